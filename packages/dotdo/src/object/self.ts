/** The user's `this`: fields of its own, the shared methods, the framework's members, and every noun. */
import type { Duration } from '../base/durations.ts'
import type { SendOptions, SentEvent } from '../events/event.ts'
import { createOn, type On } from '../events/on.ts'
import type { DeadLetterFilter } from '../events/shelf.ts'
import type { DeadLetter, EventView, SubscribedView, SubscriptionView } from '../base/views.ts'
import type { MapOptions } from '../journal/map-items.ts'
import type { ReceivedEvent } from '../journal/signals.ts'
import type { StepContext, StepOptions } from '../journal/step-options.ts'
import type { WaitOptions } from '../journal/wait-options.ts'
import type { StoredStream } from '../journal/stored-stream.ts'
import type { ScheduleHandle } from '../schedule/declaration.ts'
import { createAfter, createAt, createEvery, type Every, type Finish } from '../schedule/every.ts'
import type { ObjectAlerts } from './alerts.ts'
import type { Env } from './env.ts'
import { dryRunIn, notInDryRun } from './dry-run.ts'
import { guardedCtx, guardedEnv, refused } from './held-back.ts'
import type { ObjectHost } from './host.ts'
import type { NounOptions } from '../rpc/remote.ts'
import { runsOf, type Runs } from './runs.ts'
import { declareSchedule } from './schedules.ts'

/**
 * What a step gives back. A stream comes back as what was stored of it. What nobody has typed (`response.json()` is `unknown`) is as free as
 * JSON is, so that the seed's pipeline reads as it does.
 */
// oxlint-disable-next-line typescript/no-explicit-any
export type Done<T> = unknown extends T ? any : T extends AsyncIterable<infer Batch> ? StoredStream<Batch> : T

/** What stands on `this` beside what the definition brings. */
export interface DotdoObject {
  /** The bindings of the Worker. */
  readonly env: Env
  /** The name of this object: what `this.Noun(id)` was called with. */
  readonly id: string
  /** The platform's own state: storage, WebSockets, `waitUntil`. */
  readonly ctx: DurableObjectState
  /** Schedules: `this.every.day.at('2am')(fn)`. Each gives a capability that pauses, runs and fills it. */
  readonly every: Every
  /** One run at an instant: `this.at('2026-12-01T00:00:00Z')(fn)`. */
  at(instant: number | Date | string): Finish
  /** One run after a delay: `this.after('10m')(fn)`. */
  after(delay: Duration): Finish
  /** Handlers of this object's own events: `this.on.Order.paid(fn)`. Those of another: `this.Orders('eu').on.Order.paid(fn)`. */
  readonly on: On
  /** Who is told when runs of this object fail, are late, or go well again. */
  readonly alerts: ObjectAlerts
  /** What became of events: what was sent, what nobody took, who has subscribed. */
  readonly events: ObjectEvents
  /**
   * Does `fn`, or sends a graph, once in this run, whatever happens in between: its result is stored under `stepId`, an attempt that fails is repeated with
   * backoff, and after a restart a step that is done is not done again.
   * @throws the step's own error when its attempts are used up; `STEP_ID_MISSING`, `STEP_ID_REUSED`, `DO_OUTSIDE_RUN`, `IN_TRANSACTION`
   */
  do<T>(fn: ((step: StepContext) => T | PromiseLike<T>) | { send(): PromiseLike<T> }, options: StepOptions<NoInfer<T>>): Promise<Done<T>>
  /**
   * One step for each item, `concurrency` of them at a time (10), and their results in the order of the items. After a failure no further item begins.
   * @throws the failure of the first item that failed, and as {@link do}
   */
  map<Item, T>(
    items: Iterable<Item> | AsyncIterable<Item>,
    fn: (item: Item, step: StepContext) => T | PromiseLike<T>,
    options: MapOptions<Item, NoInfer<T>>,
  ): Promise<Done<T>[]>
  /**
   * Rests for as long, counted from when the run first came here. Nothing runs meanwhile, and the object may be evicted: its alarm, or the event that is
   * waited for, takes the run up again.
   * @throws as {@link do}
   */
  sleep(duration: Duration, options: { stepId: string }): Promise<void>
  /** Rests until an instant. @throws as {@link do} */
  sleepUntil(instant: number | Date | string, options: { stepId: string }): Promise<void>
  /**
   * Rests until this object sends or receives an event of this type whose payload has what `match` names. One that came after the run began, and before
   * it came here, counts while it is kept: a day, and the newest 1,000. One event ends one wait of a run.
   * @returns the event; `null` when `timeout` has passed
   * @throws as {@link do}
   */
  // oxlint-disable-next-line typescript/no-explicit-any
  waitFor<Payload = any>(type: string, options: WaitOptions & { timeout: Duration }): Promise<ReceivedEvent<Payload> | null>
  // oxlint-disable-next-line typescript/no-explicit-any
  waitFor<Payload = any>(type: string, options: WaitOptions): Promise<ReceivedEvent<Payload>>
  /** The runs of this object. */
  readonly runs: Runs
  /**
   * Sends an event and returns its id at once. It is stored with what this turn writes, and delivered to the handlers later, at least once;
   * in a transaction that is open over turns, when that has ended.
   * @throws `INVALID_EVENT_TYPE`, `PAYLOAD_TOO_LARGE`, `NOT_STORABLE`, `OUTBOX_FULL`
   */
  send(type: string, payload?: unknown, options?: SendOptions): string
}

/** `this.events`: the events of one object, for its own code. */
export interface ObjectEvents {
  /** What was sent and is still kept, the latest first, at most `limit` (100). */
  sent(options?: { limit?: number }): EventView[]
  /** One event with its payload, while it is kept. */
  get(eventId: string): SentEvent | undefined
  /** Events that a handler or a subscriber never took, the latest first: a page of 100, or of `limit`. @throws `DEAD_LETTER_UNKNOWN` for a `before` that is gone */
  deadLetters(filter?: DeadLetterFilter): DeadLetter[]
  /**
   * Gives a dead letter to its handler again, by its id; or a page of those that a filter means. Answers how many.
   * @throws for an id `DEAD_LETTER_UNKNOWN`, `HANDLER_GONE`, `SUBSCRIPTION_UNKNOWN`
   */
  replay(which: string | DeadLetterFilter): number
  /** Takes a dead letter off the list for good, or a page of them. Answers how many. @throws `DEAD_LETTER_UNKNOWN` */
  discard(which: string | DeadLetterFilter): number
  /** Who has subscribed to this object's events. */
  subscriptions(): SubscriptionView[]
  /** What this object has subscribed to elsewhere. */
  subscribed(): SubscribedView[]
  /** Takes a suspended subscription to this object's events up again. @throws `SUBSCRIPTION_UNKNOWN` */
  resume(subscriptionId: string): void
  /** Ends a subscription that this object holds elsewhere. @throws `SUBSCRIPTION_UNKNOWN` */
  unsubscribe(subscriptionId: string): void
}

/** Dead letters, by id or by a page of a filter; what both ways in do with them. */
export function withLetters(
  which: string | DeadLetterFilter,
  one: (id: string) => void,
  page: (filter: DeadLetterFilter) => number,
): number {
  if (typeof which !== 'string') return page(which)
  one(which)
  return 1
}

/** Does what a dry run must not. @throws `DRY_RUN_REFUSED` */
function changing<T>(what: string, work: () => T): T {
  notInDryRun(what)
  return work()
}

function eventsOf({ outbox, exchange }: ObjectHost): ObjectEvents {
  return {
    sent: (options) => outbox.events(options),
    get: (eventId) => outbox.event(eventId),
    deadLetters: (filter) => outbox.deadLetters(filter),
    replay: (which) =>
      changing('this.events.replay', () =>
        withLetters(
          which,
          (id) => outbox.replay(id),
          (filter) => outbox.replayAll(filter),
        ),
      ),
    discard: (which) =>
      changing('this.events.discard', () =>
        withLetters(
          which,
          (id) => outbox.discard(id),
          (filter) => outbox.discardAll(filter),
        ),
      ),
    subscriptions: () => exchange.subscriptions(),
    subscribed: () => exchange.subscribedViews(),
    resume: (id) => changing('this.events.resume', () => outbox.resume(id)),
    unsubscribe: (id) => changing('this.events.unsubscribe', () => exchange.subscribed.unsubscribe(id)),
  }
}

/** The functions that steps of graphs run: one for each graph, so that a step id that is used twice for one graph joins. */
const graphSteps = new WeakMap<object, () => unknown>()

function stepOf(graph: { send(): unknown }): unknown {
  if (typeof graph.send !== 'function') return graph
  let step = graphSteps.get(graph)
  if (!step) graphSteps.set(graph, (step = () => graph.send()))
  return step
}

/** What declaring a schedule gives in a dry run: there is none. */
const noSchedule = new Proxy({} as ScheduleHandle, {
  get: (_, name) => (name === 'id' ? 'dry-run' : () => refused(`${String(name)}() of a schedule`)),
})

/** Makes the user's `this` for one object. Nouns exist on it alone: nothing that can be reached from outside has them. */
export function makeSelf(host: ObjectHost, fields: Record<string, unknown>): object {
  const declare = declareSchedule((declaration, handler) => {
    const record = dryRunIn(host)
    host.transactions.refuse('A schedule', host.label)
    if (!record) return host.scheduler.declare(declaration, handler)
    record({ writer: 'schedule', target: declaration.id ?? JSON.stringify(declaration.recurrence), rows: 1, sample: [] })
    return noSchedule
  })
  const framework: Omit<DotdoObject, never> = {
    get env() {
      const record = dryRunIn(host)
      return (record ? guardedEnv(host.env as object, record) : host.env) as Env
    },
    id: host.name,
    get ctx() {
      const record = dryRunIn(host)
      return record ? guardedCtx(host.ctx, host.store, record) : host.ctx
    },
    every: createEvery(declare),
    at: createAt(declare),
    after: createAfter(declare),
    on: createOn((pattern, fn, options) => {
      const record = dryRunIn(host)
      if (!record) return host.outbox.subscribe(pattern, fn, options)
      record({ writer: 'subscription', target: pattern, rows: 1, sample: [] })
      return { id: 'dry-run', unsubscribe: () => {} }
    }),
    alerts: host.alerts,
    events: eventsOf(host),
    do: (fn, options) =>
      host.inRun((run) => run.step((typeof fn === 'object' && fn !== null ? stepOf(fn) : fn) as never, options as never)) as Promise<never>,
    map: (items, fn, options) => host.inRun((run) => run.map(items, fn as never, options as never)) as Promise<never>,
    sleep: (duration, options) => host.inRun((run) => run.sleep(duration, options)),
    sleepUntil: (instant, options) => host.inRun((run) => run.sleepUntil(instant, options)),
    waitFor: (type: string, options: WaitOptions) => host.inRun((run) => run.waitFor(type, options)) as Promise<never>,
    runs: runsOf(host),
    send: (type, payload, options) => host.send(type, payload, options),
  }
  const nouns = new Map<string, (id: string, options?: NounOptions) => unknown>()
  const base = new Proxy(framework, {
    get(target, property, receiver) {
      let noun = nouns.get(property as string)
      if (noun) return noun
      if (typeof property !== 'string' || property in target || !/^[A-Z]/.test(property))
        return Reflect.get(target, property, receiver) as unknown
      nouns.set(property, (noun = (id, options) => host.exchange.reference(property, id, options?.jurisdiction)))
      return noun
    },
  })
  const shared = Object.create(base, host.shape.shared) as object
  return Object.assign(Object.create(shared) as object, fields)
}
