/**
 * Owns: the events that one object has sent, until every handler has taken them.
 *
 * O1. An event is stored in the transaction of the state that its sender wrote with it: both are there after a crash, or neither.
 * O2. Who gets an event is decided, and stored, when it is sent (events sent during `init()`: at `settle()`, when all handlers are declared).
 *     A handler that a later deploy adds gets what is sent from then on, not the past; one that a later deploy takes away leaves its events
 *     as dead letters that can be seen and, after a rollback, replayed. Deciding at delivery would flood the one and forget the other.
 * O3. Each handler gets each event at least once, under a run id that is the same every time, and in the order of sending (L1). What a handler
 *     never takes is a dead letter.
 * O4. Nothing is delivered before `settle()`.
 *
 * Here a receiver is a handler of the same object. Lanes, attempts and dead letters know it only by its id, so a receiver elsewhere is one more
 * kind of id.
 */
import { DotdoError } from '../base/errors.ts'
import { newId } from '../base/ids.ts'
import type { Store } from '../base/ports.ts'
import type { DeadLetter, EventView } from '../base/views.ts'
import type { SendOptions, SentEvent } from './event.ts'
import { Handlers, type DeclaredHandler, type EventHandler, type HandlerOptions, type OnHandle } from './handlers.ts'
import { handlerGone, Lanes, type DeliveryPorts } from './lanes.ts'
import { countEvery, defaultLimits, watchdogAt, type OutboxLimits } from './limits.ts'
import { encodePayload, previewOf, sizeBytes } from './payload.ts'
import { assertEventType } from './pattern.ts'
import { findDeadLetter, listDeadLetters, listEvents, prune, type Pruned } from './shelf.ts'
import { OutboxTables } from './tables.ts'

/** What an {@link Outbox} is made over. */
export interface OutboxPorts extends DeliveryPorts {
  readonly store: Store
  /** Who sends: the noun and name of this object, such as `Pipeline/main`. */
  readonly source: string
  /** Bounds other than {@link defaultLimits}. */
  readonly limits?: Partial<OutboxLimits>
}

const hourMs = 3_600_000

/** The outbox of one object. Making one opens its tables; throws `STATE_TOO_NEW` when a later release wrote them. */
export class Outbox {
  readonly #ports: OutboxPorts
  readonly #limits: OutboxLimits
  readonly #tables: OutboxTables
  readonly #handlers = new Handlers()
  readonly #lanes: Lanes
  #settled = false
  #sends = 0
  /** When the outbox was last found full, or `undefined`. */
  #fullAt: number | undefined
  #prunedAt: number | undefined

  constructor(ports: OutboxPorts) {
    this.#ports = ports
    this.#limits = { ...defaultLimits, ...ports.limits }
    this.#tables = new OutboxTables(ports.store)
    this.#lanes = new Lanes(this.#tables, this.#handlers, ports, this.#limits)
  }

  /**
   * Puts an event into the outbox and returns its id (`evt_…`) at once. It is stored when the caller's own writes are; it is delivered later.
   *
   * @param payload plain data, up to 1 MiB in its stored form
   * @throws `INVALID_EVENT_TYPE` when `type` is not of the form `Noun.verb`
   * @throws `NOT_STORABLE` when the payload holds functions, stubs or class instances; `PAYLOAD_TOO_LARGE` when it is too large
   * @throws `INVALID_EVENT_KEY` for a key that is empty or longer than 256; `EVENT_KEY_REUSED` when an event of another type has it
   * @throws `OUTBOX_FULL` (retryable) when too many deliveries wait already
   */
  send(type: string, payload?: unknown, options: SendOptions = {}): string {
    assertEventType(type)
    const { key } = options
    if (key !== undefined) {
      const first = this.#firstWithKey(type, key)
      if (first !== undefined) return first
    }
    const stored = encodePayload(type, payload, this.#limits.payloadBytes)
    this.#refuseWhenFull()
    const { clock, random, source } = this.#ports
    const id = newId('evt', clock, random)
    const handlers = this.#settled ? this.#handlers.idsFor(type) : undefined
    this.#tables.insert({ id, type, payload: stored, key, source, sentAt: clock.now() }, handlers)
    this.#ports.observe?.({ type: 'event.sent', eventId: id, eventType: type, payload: previewOf(stored, sizeBytes(stored)) })
    for (const handler of handlers ?? []) this.#lanes.touch(handler)
    if (handlers === undefined || handlers.length > 0) this.#ports.wake?.()
    return id
  }

  /**
   * Declares a handler for this incarnation; what `this.on` is made over (`createOn`). It gets what is sent from now on, and what was
   * stored for its id.
   *
   * @throws `INVALID_EVENT_TYPE`, `INVALID_HANDLER`, `HANDLER_ID_TAKEN`, `INVALID_RETRIES`, `INVALID_DURATION`
   */
  subscribe(pattern: string, fn: EventHandler, options?: HandlerOptions): OnHandle {
    const handle = this.#handlers.declare(pattern, fn, options)
    if (this.#settled) this.#changed(handle.id)
    return {
      id: handle.id,
      unsubscribe: () => {
        handle.unsubscribe()
        if (this.#settled) this.#changed(handle.id)
      },
    }
  }

  /** Says that `init()` has run and all handlers are declared. Matches what was sent until then. A second call does nothing. */
  settle(): void {
    if (this.#settled) return
    for (let batch = this.#tables.unmatched(); batch.length > 0; batch = this.#tables.unmatched()) {
      for (const { seq, type } of batch) this.#tables.match(seq, this.#handlers.idsFor(type), this.#ports.clock.now())
    }
    this.#settled = true
    for (const lane of this.#tables.lanes()) this.#lanes.touch(lane)
    this.#ports.wake?.()
  }

  /**
   * Delivers what is due, a bounded batch from each handler's lane, and resolves when that has ended; `nextWakeMs()` says when to call it
   * again. It may be called while an earlier call has not resolved. Does nothing before `settle()`. Once an hour it also prunes.
   */
  async pump(): Promise<void> {
    if (!this.#settled) return
    const now = this.#ports.clock.now()
    if (this.#prunedAt === undefined || now - this.#prunedAt >= hourMs || now < this.#prunedAt) {
      // What is left over is taken by the next pump.
      this.#prunedAt = this.prune().more ? undefined : now
    }
    await this.#lanes.pump()
  }

  /**
   * When the object has to be awake to `pump`, epoch milliseconds; a time that has passed means now, `undefined` never. Deliveries under way
   * ask for a look in a minute or two, so that an object that is lost meanwhile is woken to take them up again; so does anything that waits
   * for `settle()`, in case `init()` fails.
   */
  nextWakeMs(): number | undefined {
    if (this.#settled) return this.#lanes.nextWakeMs()
    return this.#tables.waiting(1) > 0 || this.#tables.unmatched().length > 0 ? watchdogAt(this.#ports.clock.now()) : undefined
  }

  /** A handler that this incarnation declares: what takes up a run that a crash interrupted. */
  handlerOf(id: string): DeclaredHandler | undefined {
    return this.#handlers.get(id)
  }

  /** The events that handlers never took, the latest first, at most `limit` (100). */
  deadLetters(options: { limit?: number; handler?: string } = {}): DeadLetter[] {
    return listDeadLetters(this.#ports.store, options.limit ?? 100, options.handler)
  }

  /**
   * Gives a dead letter's event to its handler again, now, with its attempts counted from 1. In an ordered lane it goes before what waits there;
   * what was delivered since has overtaken it.
   *
   * @throws `DEAD_LETTER_UNKNOWN` when there is none with this id; `HANDLER_GONE` when the code does not declare its handler
   */
  replay(id: string): void {
    const letter = this.#letter(id)
    if (!this.#handlers.get(letter.handler)) throw handlerGone(letter.handler, this.#handlers.ids())
    this.#tables.revive(letter.handler, letter.seq, this.#ports.clock.now())
    this.#changed(letter.handler)
  }

  /** Takes a dead letter off the list for good. Throws `DEAD_LETTER_UNKNOWN`. */
  discard(id: string): void {
    const letter = this.#letter(id)
    this.#tables.discard(letter.handler, letter.seq, this.#ports.clock.now())
  }

  /** What was sent and is still kept, the latest first, at most `limit` (100). */
  events(options: { limit?: number } = {}): EventView[] {
    return listEvents(this.#ports.store, options.limit ?? 100)
  }

  /** One event with its whole payload, while it is kept. */
  event(id: string): SentEvent | undefined {
    const seq = this.#tables.seqOf(id)
    return seq === undefined ? undefined : this.#tables.event(seq)
  }

  /** Takes away, in a bounded batch, what has been kept as long as {@link OutboxLimits} says. */
  prune(): Pruned {
    const now = this.#ports.clock.now()
    return prune(this.#ports.store, this.#limits, now, (handler, seq) => this.#tables.discard(handler, seq, now))
  }

  #changed(handler: string): void {
    this.#lanes.touch(handler)
    this.#ports.wake?.()
  }

  #letter(id: string): { seq: number; handler: string } {
    const letter = findDeadLetter(this.#ports.store, id)
    if (letter) return letter
    throw new DotdoError(
      'DEAD_LETTER_UNKNOWN',
      `There is no dead letter ${JSON.stringify(id)}: it was replayed, discarded or kept no longer, or the id is not one that deadLetters() lists.`,
      {
        data: { id },
      },
    )
  }

  #firstWithKey(type: string, key: string): string | undefined {
    if (typeof key !== 'string' || key.length === 0 || key.length > 256) {
      throw new DotdoError('INVALID_EVENT_KEY', `The key of '${type}' has to be a text of 1 to 256 characters.`, { data: { type } })
    }
    const first = this.#tables.byKey(key)
    if (first && first.type !== type) {
      throw new DotdoError(
        'EVENT_KEY_REUSED',
        `The key ${JSON.stringify(key)} of this '${type}' belongs to the '${first.type}' ${first.id}. Returning that one would lose this: put the type, or what tells the two apart, into the key.`,
        {
          data: { key, type, firstType: first.type, firstId: first.id },
        },
      )
    }
    return first?.id
  }

  /** Counting is as long as the backlog, so it is done now and then; a full outbox is counted again after a second. */
  #refuseWhenFull(): void {
    const now = this.#ports.clock.now()
    const again = this.#fullAt !== undefined && Math.abs(now - this.#fullAt) >= 1000
    if (again || (this.#fullAt === undefined && this.#sends % countEvery === 0)) {
      this.#fullAt = this.#tables.waiting(this.#limits.waitingDeliveries) >= this.#limits.waitingDeliveries ? now : undefined
    }
    if (this.#fullAt !== undefined) {
      throw new DotdoError(
        'OUTBOX_FULL',
        `${this.#limits.waitingDeliveries} deliveries wait in the outbox of ${this.#ports.source}, the most it takes. Look at which handler is slow or fails (events(), deadLetters()), and send again in a second or later.`,
        {
          data: { source: this.#ports.source, waiting: this.#limits.waitingDeliveries, retryAfterMs: 1000 },
          retryable: true,
        },
      )
    }
    this.#sends++
  }
}
