/**
 * Owns: which deliveries are under way in the lanes, the queues of the handlers. All of it is memory, and so is which lanes may have work (`lane-set.ts`): a new
 * incarnation reads the lanes from the tables and starts with nothing under way.
 *
 * L1. In an ordered lane one delivery is under way at a time, and it is the oldest that has not ended. One that waits for another attempt
 *     holds the lane.
 * L2. A delivery ends once: delivered, or a dead letter. Whichever it is, its record is the commit point; an object that stops before it
 *     makes the delivery again, under the same run id.
 * L3. A handler that stops the whole object cannot do so for ever: a delivery that an earlier incarnation left is counted, and the count is
 *     on disk, before it is made. One that was sent in this incarnation pays no such write: when it fails to return it will have been left.
 * L4. A lane with deliveries and without a declared handler is emptied into the dead letters, with the code `HANDLER_GONE`.
 */
import { DotdoError, isRetryable } from '../base/errors.ts'
import type { Clock, Random } from '../base/ports.ts'
import type { LiveEventBody } from '../base/views.ts'
import { storableError } from './error-record.ts'
import type { Attempt, SentEvent } from './event.ts'
import type { DeclaredHandler, Handlers } from './handlers.ts'
import { LaneSet } from './lane-set.ts'
import { watchdogAt, type OutboxLimits } from './limits.ts'
import { heldDelayMs, isHeld, longestDelayMs, retryDelayMs } from './retry.ts'
import type { OutboxTables, Waiting } from './tables.ts'

/** What delivering needs from outside. */
export interface DeliveryPorts {
  readonly clock: Clock
  readonly random: Random
  /**
   * Calls the handler with the event in its own context, as the run `attempt.runId`. Resolves when the handler has done its work, rejects
   * with what it threw. A run with this id that is already done resolves at once and does not call the handler: that is what makes the
   * effect happen once. A run that failed is taken up again: that is what an attempt after the first is. One that a policy holds rejects with
   * `RUN_HELD`, which is no attempt.
   *
   * Has to settle: the lane stands still until it does, and a bound on a handler's time is the adapter's.
   */
  deliver(event: SentEvent, handler: DeclaredHandler, attempt: Attempt): Promise<void>
  /** Resolves when everything written so far is on disk. */
  sync(): Promise<void>
  /** Is told what happened, before it is committed: a turn that is lost takes back what was said. Must not throw. */
  observe?(event: LiveEventBody): void
  /** Whether anybody is told of what `observe` is told. Absent: yes. */
  isObserved?(): boolean
  /**
   * Is told that `nextWakeMs()` may have become sooner: something was sent or replayed, or a delivery ended. Called often and in the middle
   * of things; the adapter asks `nextWakeMs()` once, at the end of the turn.
   */
  wake?(): void
}

interface Lane {
  readonly id: string
  /** The deliveries under way, by seq. */
  readonly underWay: Set<number>
  /** Only for lanes without order: up to this seq none is untried, so that a backlog of retries is not walked through for each event. */
  triedTo: number
}

/** The delivery of stored events to the declared handlers. */
export class Lanes extends LaneSet<Lane> {
  readonly #tables: OutboxTables
  readonly #handlers: Handlers
  readonly #ports: DeliveryPorts
  readonly #limits: OutboxLimits
  /** Deliveries with a seq up to this one may have been begun by an earlier incarnation (L3). */
  readonly #inheritedTo: number
  /** Deliveries under way, over all lanes. */
  #atOnce = 0

  constructor(tables: OutboxTables, handlers: Handlers, ports: DeliveryPorts, limits: OutboxLimits) {
    super(ports.clock)
    this.#tables = tables
    this.#handlers = handlers
    this.#ports = ports
    this.#limits = limits
    this.#inheritedTo = tables.lastSeq()
  }

  protected override newLane(id: string): Lane {
    return { id, underWay: new Set(), triedTo: 0 }
  }

  protected override nextOf(lane: Lane, now: number): number | undefined {
    const handler = this.#handlers.get(lane.id)
    const next = this.#free(handler) > 0 && this.#room(lane, handler) > 0 ? this.#next(lane, handler) : undefined
    const due = next && (handler ? Math.min(next.due_at, now + longestDelayMs) : now)
    if (lane.underWay.size > 0) return Math.min(due ?? Infinity, watchdogAt(now))
    // With no worker free, one of them will call wake() when it ends; the watchdog is for the case that it never does.
    return due ?? (this.#free(handler) > 0 ? undefined : watchdogAt(now))
  }

  /** How many more deliveries the object may have under way. Emptying a lane takes no worker. */
  #free(handler: DeclaredHandler | undefined): number {
    return handler ? this.#limits.atOnce - this.#atOnce : 1
  }

  /** How many more the lane may have (L1). A lane without a handler is emptied when its last delivery has ended. */
  #room(lane: Lane, handler: DeclaredHandler | undefined): number {
    if (handler && !handler.ordered) return this.#limits.atOnceUnordered - lane.underWay.size
    return lane.underWay.size === 0 ? 1 : 0
  }

  /** What a lane does next, whether or not it is due. Without order: retries that are due, then what was never tried, then other retries. */
  #next(lane: Lane, handler: DeclaredHandler | undefined): Waiting | undefined {
    if (handler === undefined || handler.ordered) return this.#tables.oldest(lane.id)
    const isFree = ({ seq }: Waiting): boolean => !lane.underWay.has(seq)
    const look = lane.underWay.size + 1
    const retry = this.#tables.retrying(lane.id, look).find(isFree)
    if (retry && retry.due_at <= this.#ports.clock.now()) return retry
    return this.#tables.untried(lane.id, lane.triedTo, look).find(isFree) ?? retry
  }

  /** Starts the workers of one lane, as many as it and the object may have, for at most `batch` deliveries, and adds them to `work` as they begin. */
  protected override serve(lane: Lane, work: Promise<void>[]): void {
    const handler = this.#handlers.get(lane.id)
    if (handler === undefined) return this.#empty(lane)
    const now = this.#ports.clock.now()
    this.#tables.notLaterThan(lane.id, now + longestDelayMs, now)
    let left = this.#limits.batch
    // Taking a delivery and marking it as under way is one synchronous step, so no two workers have the same.
    const take = (): Waiting | undefined => {
      if (left <= 0 || this.#handlers.get(lane.id) !== handler || this.#free(handler) <= 0 || this.#room(lane, handler) <= 0)
        return undefined
      const next = this.#next(lane, handler)
      if (!next || next.due_at > this.#ports.clock.now()) return undefined
      left--
      this.#atOnce++
      lane.underWay.add(next.seq)
      if (next.due_at === 0) lane.triedTo = next.seq
      return next
    }
    for (let first = take(); first; first = take()) work.push(this.#work(lane, handler, first, take))
    if (left < this.#limits.batch) this.toEnd(lane)
  }

  async #work(lane: Lane, handler: DeclaredHandler, first: Waiting, take: () => Waiting | undefined): Promise<void> {
    for (let next: Waiting | undefined = first; next; next = take()) {
      try {
        await this.#attempt(handler, next)
      } catch (thrown) {
        // The store failed between the handler and the record. The delivery is still there, and has to be found again.
        lane.triedTo = 0
        throw thrown
      } finally {
        lane.underWay.delete(next.seq)
        this.#atOnce--
        this.#ports.wake?.()
      }
    }
  }

  async #attempt(handler: DeclaredHandler, { seq, attempts, due_at }: Waiting): Promise<void> {
    if (attempts > handler.retries.limit) return this.#die(handler.id, seq, attempts, interrupted(handler.id, attempts))
    const number = attempts + 1
    if (seq <= this.#inheritedTo) {
      this.#tables.tried(handler.id, seq, number, due_at)
      await this.#ports.sync()
    }
    try {
      const event = this.#tables.event(seq)
      await this.#ports.deliver(event, handler, { runId: `event:${event.id}:${handler.id}`, number })
    } catch (thrown) {
      // It has its place in the lane, and all of its attempts, until somebody has answered.
      if (isHeld(thrown)) return this.#tables.tried(handler.id, seq, attempts, this.#ports.clock.now() + heldDelayMs)
      if (!isRetryable(thrown) || number > handler.retries.limit) return this.#die(handler.id, seq, number, thrown)
      this.#tables.tried(
        handler.id,
        seq,
        number,
        this.#ports.clock.now() + retryDelayMs(handler.retries, number, this.#ports.random, thrown),
      )
      return
    }
    this.#tables.delivered(handler.id, seq, this.#ports.clock.now())
    const { id, type } = this.#tables.head(seq)
    this.#ports.observe?.({ type: 'event.delivered', eventId: id, eventType: type, handler: handler.id })
  }

  #die(handler: string, seq: number, attempts: number, thrown: unknown): void {
    const error = storableError(thrown)
    this.#tables.bury(handler, seq, attempts, error, this.#ports.clock.now())
    const { id, type } = this.#tables.head(seq)
    this.#ports.observe?.({ type: 'event.dead', eventId: id, eventType: type, handler, error })
  }

  /** L4, one batch of it. What is under way ends first: its handler was called before it was taken back. */
  #empty(lane: Lane): void {
    if (lane.underWay.size > 0) return
    for (let left = this.#limits.batch; left > 0; left--) {
      const next = this.#tables.oldest(lane.id)
      if (!next) return
      this.#die(lane.id, next.seq, next.attempts, handlerGone(lane.id, this.#handlers.ids()))
    }
  }
}

/** `HANDLER_GONE`, with the ids that there are (the first 20). */
export function handlerGone(id: string, declared: string[]): DotdoError {
  const some = declared.slice(0, 20)
  return new DotdoError(
    'HANDLER_GONE',
    `An event waits for the handler '${id}', which the code does not declare. Declared are: ${some.join(', ') || 'none'}${some.length < declared.length ? ', …' : ''}. Declare it in init() (its id can be given: { id: '…' }) and replay the event, or discard it.`,
    {
      data: { handler: id, declared: some },
    },
  )
}

function interrupted(id: string, attempts: number): DotdoError {
  return new DotdoError(
    'DELIVERY_INTERRUPTED',
    `The handler '${id}' was begun ${attempts} times, more than its retries now allow, and did not end: the object stopped each time, by a deploy or because the handler took too much memory or CPU. Look at what it does with this event, then replay it.`,
    {
      data: { handler: id, attempts },
    },
  )
}
