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
 * A receiver is a handler of the same object, which takes one event at a time in a run ({@link Lanes}), or somewhere else, a subscription or a sink,
 * which takes batches ({@link Courier}). Tables, attempts and dead letters know all of them by an id alone.
 */
import { dayMs } from '../base/durations.ts'
import { DotdoError } from '../base/errors.ts'
import { newId } from '../base/ids.ts'
import type { Store } from '../base/ports.ts'
import type { DeadLetter, EventView, SubscriptionView } from '../base/views.ts'
import { batchVersion, eventOf, type EventBatch, type Receipt, type SubscriptionRequest, type SubscriptionTarget } from './batch.ts'
import { Courier, type Parcel, type Route } from './courier.ts'
import { storableError } from './error-record.ts'
import type { SendOptions, SentEvent } from './event.ts'
import { Handlers, type DeclaredHandler, type EventHandler, type HandlerOptions, type OnHandle } from './handlers.ts'
import { handlerGone, Lanes, type DeliveryPorts } from './lanes.ts'
import { countEvery, defaultLimits, watchdogAt, type OutboxLimits } from './limits.ts'
import { encodePayload, previewOf, sizeBytes } from './payload.ts'
import { assertEventType } from './pattern.ts'
import {
  deadLetterUnknown,
  findDeadLetter,
  listDeadLetters,
  listEvents,
  nextPruneMs,
  prune,
  type DeadLetterFilter,
  type Pruned,
} from './shelf.ts'
import { eventIdOf, type OpenSink, type Sink } from './sinks.ts'
import { SubscriptionStore } from './subscription-tables.ts'
import { laneOf, subscriptionOf, Subscriptions, subscriptionUnknown } from './subscriptions.ts'
import { OutboxTables } from './tables.ts'

/** What an {@link Outbox} is made over. */
export interface OutboxPorts extends DeliveryPorts {
  readonly store: Store
  /** Who sends: the noun and name of this object, such as `Pipeline/main`. */
  readonly source: string
  /** Bounds other than {@link defaultLimits}. */
  readonly limits?: Partial<OutboxLimits>
  /** Brings a batch to the object that a subscription names. Rejects when it did not get through. */
  readonly carry?: (target: SubscriptionTarget, batch: EventBatch) => Promise<Receipt>
  /** Runs `then` after `delayMs`; the result cancels it. Absent: what was delivered is written at once, with a flush of its own. */
  timer?(delayMs: number, then: () => void): () => void
  /** Whether what is written now may be taken back over turns to come. Absent: never. */
  isHeld?(): boolean
  /** Opens a sink. @throws when the app has no such binding */
  open?(sink: Sink): OpenSink
  /** Told when dead letters were given back, thrown away or forgotten; `observe` tells of those that are new. */
  lettersLeft?(): void
}

/** Deliveries of a subscription that has ended are dropped so many at a time. */
const dropBatch = 5000

/** The outbox of one object. Making one opens its tables; throws `STATE_TOO_NEW` when a later release wrote them. */
export class Outbox {
  readonly #ports: OutboxPorts
  readonly #limits: OutboxLimits
  readonly #tables: OutboxTables
  readonly #handlers = new Handlers()
  readonly #lanes: Lanes
  readonly #subscriptions: Subscriptions
  readonly #subscriptionTables: SubscriptionStore
  readonly #courier: Courier
  readonly #sinks = new Map<string, OpenSink>()
  #settled = false
  #sends = 0
  /** When the outbox was last found full, or `undefined`. */
  #fullAt: number | undefined

  constructor(ports: OutboxPorts) {
    this.#ports = ports
    this.#limits = { ...defaultLimits, ...ports.limits }
    this.#tables = new OutboxTables(ports.store)
    this.#lanes = new Lanes(this.#tables, this.#handlers, ports, this.#limits)
    this.#subscriptionTables = new SubscriptionStore(ports.store)
    this.#subscriptions = new Subscriptions(this.#subscriptionTables, this.#limits, ports)
    const courierPorts = {
      ...ports,
      route: (lane: string) => this.#routeOf(lane),
      ended: (lane: string) => this.#endedLane(lane),
    }
    this.#courier = new Courier(this.#tables, courierPorts, this.#limits)
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
    return this.accept(type, payload, options, this.#ports.source)
  }

  /**
   * As {@link Outbox.send}, for an event that comes from elsewhere: a Queue hands it to this object's handlers.
   * @param only the ids of the handlers that get it, where not every one does that it would match
   * @throws as {@link Outbox.send}
   */
  accept(type: string, payload: unknown, options: SendOptions, source: string, only?: readonly string[]): string {
    assertEventType(type)
    assertSendOptions(type, options)
    const { key } = options
    if (key !== undefined) {
      const first = this.#firstWithKey(type, key)
      if (first !== undefined) return first
    }
    const stored = encodePayload(type, payload, this.#limits.payloadBytes)
    this.#refuseWhenFull()
    const { clock, random } = this.#ports
    const id = newId('evt', clock, random)
    const handlers = only ? [...only] : this.#settled ? this.#receivers(type) : undefined
    this.#tables.insert({ id, type, payload: stored, key, source, sentAt: clock.now() }, handlers)
    // What nobody sees is not made: a preview costs as much as the rest of a send.
    if (this.#ports.isObserved?.() !== false)
      this.#ports.observe?.({ type: 'event.sent', eventId: id, eventType: type, payload: previewOf(stored, sizeBytes(stored)) })
    for (const handler of handlers ?? []) this.#touch(handler)
    this.#courier.writing()
    if (handlers === undefined || handlers.length > 0) this.#ports.wake?.()
    return id
  }

  /**
   * Declares a handler for this incarnation; what `this.on` is made over (`createOn`). It gets what is sent from now on, and what was
   * stored for its id.
   *
   * @throws `INVALID_EVENT_TYPE`, `INVALID_HANDLER`, `HANDLER_ID_TAKEN`, `INVALID_RETRIES`, `INVALID_DURATION`
   */
  subscribe(pattern: string, fn: EventHandler | Sink, options?: HandlerOptions): OnHandle {
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

  /** Says that a run of this handler that was held goes on: its delivery joins it, and need not wait until it is looked at again. */
  released(handler: string): void {
    const now = this.#ports.clock.now()
    this.#tables.notLaterThan(handler, now, now)
    this.#changed(handler)
  }

  /** Says that `init()` has run and all handlers are declared. Matches what was sent until then. A second call does nothing. */
  settle(): void {
    if (this.#settled) return
    for (let batch = this.#tables.unmatched(); batch.length > 0; batch = this.#tables.unmatched()) {
      for (const { seq, type } of batch) this.#tables.match(seq, this.#receivers(type), this.#ports.clock.now())
    }
    this.#settled = true
    for (const lane of this.#tables.lanes()) this.#touch(lane)
    this.#ports.wake?.()
  }

  /**
   * Delivers what is due, a bounded batch from each handler's lane, and resolves when that has ended; `nextWakeMs()` says when to call it
   * again. It may be called while an earlier call has not resolved. Does nothing before `settle()`.
   */
  async pump(): Promise<void> {
    if (!this.#settled) return
    const both = await Promise.allSettled([this.#lanes.pump(), this.#courier.pump()])
    for (const outcome of both) if (outcome.status === 'rejected') throw outcome.reason
  }

  /**
   * When the object has to be awake to `pump`, epoch milliseconds; a time that has passed means now, `undefined` never. Deliveries under way
   * ask for a look in a minute or two, so that an object that is lost meanwhile is woken to take them up again; so does anything that waits
   * for `settle()`, in case `init()` fails.
   */
  nextWakeMs(): number | undefined {
    if (this.#settled) {
      const soonest = Math.min(this.#lanes.nextWakeMs() ?? Infinity, this.#courier.nextWakeMs() ?? Infinity)
      return soonest === Infinity ? undefined : soonest
    }
    return this.#tables.waiting(1) > 0 || this.#tables.unmatched().length > 0 ? watchdogAt(this.#ports.clock.now()) : undefined
  }

  /** A handler that this incarnation declares: what takes up a run that a crash interrupted. */
  handlerOf(id: string): DeclaredHandler | undefined {
    return this.#handlers.get(id)
  }

  /** The events that handlers never took, the latest first, at most `limit` (100). */
  deadLetters(filter: DeadLetterFilter = {}): DeadLetter[] {
    return listDeadLetters(this.#ports.store, filter)
  }

  /**
   * Gives a dead letter's event to its handler again, now, with its attempts counted from 1. In an ordered lane it goes before what waits there;
   * what was delivered since has overtaken it.
   *
   * @throws `DEAD_LETTER_UNKNOWN` when there is none with this id; `HANDLER_GONE`, `SUBSCRIPTION_UNKNOWN` when nobody takes it any more
   */
  replay(id: string): void {
    const { seq, handler } = this.#letter(id)
    const subscription = subscriptionOf(handler)
    if (subscription !== undefined && !this.#subscriptions.get(subscription)) throw subscriptionUnknown(subscription)
    if (subscription === undefined && !this.#handlers.get(handler)) throw handlerGone(handler, this.#handlers.ids())
    this.#tables.revive(handler, seq, this.#ports.clock.now())
    if (subscription !== undefined) this.#courier.revived(handler)
    this.#ports.lettersLeft?.()
    this.#changed(handler)
  }

  /** Takes a dead letter off the list for good. Throws `DEAD_LETTER_UNKNOWN`. */
  discard(id: string): void {
    const letter = this.#letter(id)
    this.#tables.discard(letter.handler, letter.seq, this.#ports.clock.now())
    this.#ports.lettersLeft?.()
  }

  /** Replays a page of the dead letters that a filter means, the oldest of the page first. Answers how many; those that nobody takes any more stay. */
  replayAll(filter: DeadLetterFilter = {}): number {
    const letters = this.deadLetters(filter).toReversed()
    const taken = letters.filter(({ handler }) => this.#isTaken(handler))
    for (const { id } of taken) this.replay(id)
    return taken.length
  }

  /** Discards a page of the dead letters that a filter means. Answers how many. */
  discardAll(filter: DeadLetterFilter = {}): number {
    const letters = this.deadLetters(filter)
    for (const { id } of letters) this.discard(id)
    return letters.length
  }

  // Subscriptions of other objects

  /** Another object asks for this one's events, or asks again. @param owner it, as `Noun/name` @throws as {@link Subscriptions.put} */
  put(request: SubscriptionRequest, owner: string | undefined): void {
    this.#subscriptions.put(request, owner)
    if (this.#settled) this.#changed(laneOf(request.id))
  }

  /**
   * A subscription is over because who asked for it says so: what waits for it is dropped. Answers whether it was there.
   * @param owner who asks; `null` may end any: an operator
   * @throws `INVALID_SUBSCRIPTION` where it is another's
   */
  end(id: string, owner: string | undefined | null): boolean {
    const was = this.#subscriptions.remove(id, owner ?? undefined, owner === null ? 'anybody' : 'owner')
    const lane = laneOf(id)
    const now = this.#ports.clock.now()
    for (let seqs = was ? this.#tables.seqsFor(lane, dropBatch) : []; seqs.length > 0; seqs = this.#tables.seqsFor(lane, dropBatch))
      this.#tables.deliveredAll(lane, seqs, now)
    return was
  }

  /** Takes a suspended subscription up again. @throws `SUBSCRIPTION_UNKNOWN` */
  resume(id: string): void {
    this.#subscriptions.resume(id)
    this.#changed(laneOf(id))
  }

  /** Who has subscribed to this object's events, the oldest first. */
  subscriptions(): SubscriptionView[] {
    const most = this.#limits.waitingPerSubscription
    return this.#subscriptions.views((lane) => ({
      waiting: Math.max(0, this.#tables.waitingFor(lane, most) - this.#courier.handledOf(lane)),
      dead: this.#tables.deadFor(lane, most),
    }))
  }

  /** How many dead letters there are, counted no further than `most`. */
  countLetters(most: number): number {
    return this.#tables.dead(most)
  }

  /** The tables that subscriptions at the other end share. */
  get subscriptionTables(): SubscriptionStore {
    return this.#subscriptionTables
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
    this.#subscriptions.prune()
    // A batch for a sink that is declared no more, whose events have gone.
    this.#subscriptionTables.prune(`DELETE FROM dotdo_sink_batches WHERE NOT EXISTS (SELECT 1 FROM dotdo_deliveries WHERE handler = lane)`)
    const pruned = prune(this.#ports.store, this.#limits, now, (handler, seq) => this.#tables.discard(handler, seq, now))
    if (pruned.deadLetters > 0) this.#ports.lettersLeft?.()
    return pruned
  }

  /** When {@link prune} has something to take, epoch milliseconds; null where nothing is kept. */
  nextPruneMs(): number | null {
    const next = nextPruneMs(this.#ports.store, this.#limits)
    const suspended = this.#subscriptions.nextPruneMs()
    return next === null || suspended === null ? (next ?? suspended) : Math.min(next, suspended)
  }

  #changed(handler: string): void {
    this.#touch(handler)
    this.#ports.wake?.()
  }

  /** Events go by batches where they leave the object. */
  #touch(lane: string): void {
    if (subscriptionOf(lane) === undefined && !this.#handlers.get(lane)?.sink) this.#lanes.touch(lane)
    else this.#courier.touch(lane)
  }

  #isTaken(lane: string): boolean {
    const subscription = subscriptionOf(lane)
    return subscription === undefined ? this.#handlers.get(lane) !== undefined : this.#subscriptions.get(subscription) !== undefined
  }

  /** Everybody who gets an event of this type (O2). One that is suspended and has too many waiting is passed by, and that is counted. */
  #receivers(type: string): string[] {
    const ids = this.#handlers.idsFor(type)
    for (const lane of this.#subscriptions.lanesFor(type)) {
      const id = subscriptionOf(lane)!
      const most = this.#limits.waitingPerSubscription
      if (this.#subscriptions.get(id)?.suspended && this.#tables.waitingFor(lane, most) >= most) this.#subscriptions.missed(id)
      else ids.push(lane)
    }
    return ids
  }

  #routeOf(lane: string): Route | undefined {
    const id = subscriptionOf(lane)
    if (id === undefined) return this.#sinkRoute(lane)
    const it = this.#subscriptions.get(id)
    const { carry } = this.#ports
    if (!it || !carry) return undefined
    const { target, ordered, retries } = it
    return {
      ordered,
      retries,
      tells: true,
      knows: true,
      dueAt: it.suspended ? undefined : it.dueAt,
      deliver: ({ events, skipped, floor, again, tried }: Parcel) =>
        carry(target, {
          version: batchVersion,
          subscription: id,
          to: target,
          ordered,
          floor,
          events,
          ...(again && { again }),
          ...(tried && { tried }),
          ...(skipped.length > 0 && { skipped }),
        }),
      reached: () => this.#subscriptions.reached(id),
      unreached: (thrown) => this.#subscriptions.unreached(id, thrown, this.#tables.waitingFor(lane, this.#limits.waitingPerSubscription)),
      gone: () => void this.#subscriptions.remove(id, undefined, 'anybody'),
    }
  }

  #sinkRoute(lane: string): Route | undefined {
    const handler = this.#handlers.get(lane)
    if (!handler?.sink) return undefined
    const open = this.#openSink(lane, handler.sink)
    const tables = this.#subscriptionTables
    return {
      // A batch that comes again as it was is one at a time.
      ordered: handler.ordered || open.fixed,
      retries: handler.retries,
      tells: false,
      dueAt: 0,
      most: open.most,
      ...(open.fixed && {
        fixed: {
          read: () => {
            const seqs = tables.read<{ seqs: string }>('SELECT seqs FROM dotdo_sink_batches WHERE lane = ?', lane)[0]?.seqs
            return seqs === undefined ? undefined : (JSON.parse(seqs) as number[])
          },
          write: (seqs: readonly number[] | undefined) =>
            void (seqs
              ? tables.write('INSERT OR REPLACE INTO dotdo_sink_batches (lane, seqs) VALUES (?, ?)', lane, JSON.stringify(seqs))
              : tables.write('DELETE FROM dotdo_sink_batches WHERE lane = ?', lane)),
        },
      }),
      deliver: async ({ events }) => {
        const [first, last] = [events[0]![1], events.at(-1)![1]]
        try {
          await open.put(events.map(eventOf), `${lane} ${first} ${last}`)
          return {}
        } catch (thrown) {
          // It takes all or none. The event that an error names, or that was alone, is the one that it would not take; else it may be any of them.
          const guilty = events.length === 1 ? 0 : events.findIndex(([, id]) => id === eventIdOf(thrown))
          const error = storableError(thrown)
          if (guilty < 0) return { refused: error }
          return { failed: [[guilty, error]], open: events.flatMap((_, i) => (i === guilty ? [] : [i])) }
        }
      },
      reached: () => undefined,
      unreached: () => undefined,
      gone: () => undefined,
    }
  }

  /** Opened once an incarnation. One that cannot be opened fails each of its batches, with the reason. */
  #openSink(lane: string, sink: Sink): OpenSink {
    let open = this.#sinks.get(lane)
    if (!open) {
      try {
        open = this.#ports.open?.(sink)
      } catch (thrown) {
        open = { most: 1, fixed: false, put: () => Promise.reject(thrown) }
      }
      this.#sinks.set(lane, (open ??= { most: 1, fixed: false, put: () => Promise.reject(handlerGone(lane, this.#handlers.ids())) }))
    }
    return open
  }

  /** Why the events of a lane can go nowhere any more. */
  #endedLane(lane: string): DotdoError {
    const id = subscriptionOf(lane)
    if (id === undefined) return handlerGone(lane, this.#handlers.ids())
    return new DotdoError(
      'SUBSCRIPTION_ENDED',
      `An event waited for the subscription ${id}, which is over: its receiver knows nothing of it any more, or it was suspended for ${this.#limits.keepSuspendedMs / dayMs} days.`,
      { data: { subscriptionId: id } },
    )
  }

  #letter(id: string): { seq: number; handler: string } {
    const letter = findDeadLetter(this.#ports.store, id)
    if (letter) return letter
    throw deadLetterUnknown(id)
  }

  #firstWithKey(type: string, key: string): string | undefined {
    if (typeof key !== 'string' || key.length === 0 || key.length > 256 || !key.isWellFormed()) {
      throw new DotdoError('INVALID_EVENT_KEY', `The key of '${type}' has to be a well-formed text of 1 to 256 characters.`, {
        data: { type },
      })
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

/** @throws `INVALID_EVENT_KEY` for options that there are not: one that is misspelt would send twice what should be sent once */
function assertSendOptions(type: string, options: object): void {
  const strange = Object.keys(options).find((name) => name !== 'key')
  if (strange === undefined) return
  throw new DotdoError('INVALID_EVENT_KEY', `send of '${type}' has no option ${JSON.stringify(strange)}. There is one: key.`, {
    data: { type, option: strange },
  })
}
