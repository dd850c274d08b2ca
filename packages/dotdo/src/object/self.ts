/** The user's `this`: fields of its own, the shared methods, the framework's members, and every noun. */
import type { Duration } from '../base/durations.ts'
import type { SendOptions } from '../events/event.ts'
import { createOn, type On } from '../events/on.ts'
import type { StepContext, StepOptions } from '../journal/step-options.ts'
import type { StoredStream } from '../journal/stored-stream.ts'
import { createAfter, createAt, createEvery, type Every, type Finish } from '../schedule/every.ts'
import type { Env } from './env.ts'
import type { ObjectHost } from './host.ts'
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
  /** Handlers of events: `this.on.Order.paid(fn)`. */
  readonly on: On
  /**
   * Does `fn`, or sends a graph, once in this run, whatever happens in between: its result is stored under `stepId`, an attempt that fails is repeated with
   * backoff, and after a restart a step that is done is not done again.
   * @throws the step's own error when its attempts are used up; `STEP_ID_MISSING`, `STEP_ID_REUSED`, `DO_OUTSIDE_RUN`
   */
  do<T>(fn: ((step: StepContext) => T | PromiseLike<T>) | { send(): PromiseLike<T> }, options: StepOptions): Promise<Done<T>>
  /**
   * Sends an event and returns its id at once. It is stored with what this turn writes, and delivered to the handlers later, at least once.
   * @throws `INVALID_EVENT_TYPE`, `PAYLOAD_TOO_LARGE`, `NOT_STORABLE`, `OUTBOX_FULL`
   */
  send(type: string, payload?: unknown, options?: SendOptions): string
}

/** The functions that steps of graphs run: one for each graph, so that a step id that is used twice for one graph joins. */
const graphSteps = new WeakMap<object, () => unknown>()

function stepOf(graph: { send(): unknown }): unknown {
  if (typeof graph.send !== 'function') return graph
  let step = graphSteps.get(graph)
  if (!step) graphSteps.set(graph, (step = () => graph.send()))
  return step
}

/** Makes the user's `this` for one object. Nouns exist on it alone: nothing that can be reached from outside has them. */
export function makeSelf(host: ObjectHost, fields: Record<string, unknown>): object {
  const declare = declareSchedule((declaration, handler) => host.scheduler.declare(declaration, handler))
  const framework: Omit<DotdoObject, never> = {
    env: host.env as Env,
    id: host.name,
    ctx: host.ctx,
    every: createEvery(declare),
    at: createAt(declare),
    after: createAfter(declare),
    on: createOn((pattern, fn, options) => host.outbox.subscribe(pattern, fn, options)),
    do: (fn, options) => host.step((typeof fn === 'object' && fn !== null ? stepOf(fn) : fn) as never, options) as Promise<never>,
    send: (type, payload, options) => host.send(type, payload, options),
  }
  const nouns = new Map<string, (id: string) => unknown>()
  const base = new Proxy(framework, {
    get(target, property, receiver) {
      if (typeof property !== 'string' || property in target || !/^[A-Z]/.test(property))
        return Reflect.get(target, property, receiver) as unknown
      let noun = nouns.get(property)
      if (!noun) nouns.set(property, (noun = (id) => host.links.user(property, id)))
      return noun
    },
  })
  const shared = Object.create(base, host.shape.shared) as object
  return Object.assign(Object.create(shared) as object, fields)
}
