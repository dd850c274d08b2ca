/**
 * A run that leaves nothing behind: the code of a run is executed for what it would do. Steps that another run has done before answer with their stored results, the
 * others run once, and nothing is written, whatever becomes of them. What keeps the capabilities that the code uses from writing is the matter of whoever executes it.
 *
 * Invariants: 1. Nothing of it is stored, and no key of it is one of a run. 2. It never waits: a sleep is over at once, and a wait gives what the origin's wait got, or ends
 * the rehearsal (`REHEARSAL_ENDED`). 3. A step runs once: what fails is told, not tried again. 4. Memory is bounded by {@link rehearsedRows} of streams.
 */
import { DotdoError } from '../base/errors.ts'
import type { LineageEdge, Progress, RunTarget } from '../base/views.ts'
import type { Execution, StepResult } from './execution.ts'
import { stepIdReused } from './failures.ts'
import { Notes, type LineageNote } from './lineage.ts'
import { mapItems, type MapOptions } from './map-items.ts'
import type { ReceivedEvent } from './signals.ts'
import { planStep, type Checkpoint, type StepContext, type StepFunction, type StepOptions } from './step-options.ts'
import { inputOf } from './rest-runner.ts'
import { StoredStream } from './stored-stream.ts'
import type { Stated } from './unchanged.ts'
import { planChild, planSleep, planSleepUntil, planWait, type RestPlan, type WaitOptions } from './wait-options.ts'

/** Elements of one stream that a rehearsal holds in memory at most. */
export const rehearsedRows = 100_000

/** What a rehearsal begins with, and how its code is run. */
export interface RehearsalPorts {
  /** What it is called where a run has its id. */
  readonly name: string
  /** The result of a step that was done before: `{ value }`, or `undefined` for one that is to run. @throws `STEP_CHANGED` where it is not what the code states now */
  taken?(stepId: string, stated: Stated): { value: unknown } | undefined
  /** What the origin's wait of this id got: `{ value }`; `undefined` where it got nothing. */
  waited?(stepId: string): { value: unknown } | undefined
  /** Calls a step's function in a context that holds `execution`. */
  enter<T>(execution: Execution, work: () => T): T
  /** Executes the target of a run that a step would begin. */
  execute?(target: RunTarget, args: unknown[], execution: Execution): unknown
}

/** How a step of a rehearsal went. */
export interface RehearsedStep {
  stepId: string
  state: 'taken' | 'done' | 'failed'
  error?: unknown
}

/** What a rehearsal remembers of itself, shared by all of its scopes. */
class Course {
  readonly ports: RehearsalPorts
  readonly notes = new Notes()
  readonly steps = new Map<string, RehearsedStep>()
  readonly uses = new Map<string, { fn: object; promise: Promise<unknown> }>()
  readonly stopped = new AbortController()

  constructor(ports: RehearsalPorts) {
    this.ports = ports
  }
}

/** One rehearsal, or the scope of one of its steps. */
export class Rehearsal implements Execution {
  readonly stepId: string | undefined
  /** No step of a run: a call from here has no key, and so is remembered by nobody. */
  readonly stepStartedAt = undefined
  readonly #course: Course
  /** What stands before the names of its steps: those of a run that a step began. */
  readonly #prefix: string
  readonly #ordinals = new Map<string, number>()

  constructor(ports: RehearsalPorts, within?: { course: Course; stepId: string | undefined; prefix: string }) {
    this.#course = within?.course ?? new Course(ports)
    this.stepId = within?.stepId
    this.#prefix = within?.prefix ?? ''
  }

  get runId(): string {
    return this.#course.ports.name
  }
  get signal(): AbortSignal {
    return this.#course.stopped.signal
  }
  /** The steps that it came to, in the order in which they began. */
  get steps(): RehearsedStep[] {
    return [...this.#course.steps.values()]
  }
  /** What its code has noted, by step; `''` for what stands between steps. */
  get notes(): Map<string, LineageEdge[]> {
    const { notes } = this.#course
    return new Map(notes.steps.map((stepId) => [stepId, notes.take(stepId)]))
  }

  step<T>(fn: StepFunction<T>, options: StepOptions<NoInfer<Awaited<T>>>): Promise<StepResult<T>> {
    return this.#use(
      fn,
      planned(() => planStep(options)),
      ({ version, input }) => ({ kind: null, version, input }),
      (id) => this.#attempt(id, fn),
    ) as Promise<StepResult<T>>
  }

  sleep(length: number | string, options: { stepId: string }): Promise<void> {
    return this.#rest(() => planSleep(length, options)) as Promise<void>
  }

  sleepUntil(instant: number | Date | string, options: { stepId: string }): Promise<void> {
    return this.#rest(() => planSleepUntil(instant, options)) as Promise<void>
  }

  waitFor<Payload>(type: string, options: WaitOptions): Promise<ReceivedEvent<Payload> | null> {
    return this.#rest(() => planWait(type, options)) as Promise<ReceivedEvent<Payload> | null>
  }

  callRun(target: RunTarget, args: unknown[], options: { stepId: string }): Promise<unknown> {
    return this.#rest(() => planChild(target, args, options))
  }

  map<Item, T>(
    items: Iterable<Item> | AsyncIterable<Item>,
    fn: (item: Item, context: StepContext) => T,
    options: MapOptions<Item, NoInfer<Awaited<T>>>,
  ): Promise<StepResult<T>[]> {
    return mapItems(items, fn, options, (work, plan) => this.step(work, plan))
  }

  nextOrdinal(label = ''): number {
    const ordinal = this.#ordinals.get(label) ?? 0
    this.#ordinals.set(label, ordinal + 1)
    return ordinal
  }

  nextKey(label = ''): string {
    return `${this.runId}/${this.#prefix}${this.stepId ?? ''}#${label}#${this.nextOrdinal(label)}`
  }

  note(note: LineageNote): void {
    this.#course.notes.add(this.stepId === undefined ? this.#prefix : this.stepId, note)
  }

  progress(_stepId: string, _progress: Progress): void {}

  /** Nobody is charged for what is not done. */
  spend(): undefined {}

  /** Resolves when no step is under way. */
  async quiet(): Promise<void> {
    const { uses } = this.#course
    for (let count = -1; count !== uses.size;) {
      count = uses.size
      await Promise.allSettled([...uses.values()].map(({ promise }) => promise))
    }
  }

  /** Ends it: what its code still does is told that it is over. */
  end(): void {
    this.#course.stopped.abort(new DotdoError('RUN_ENDED', `${this.runId} has ended.`))
  }

  #rest(plan: () => RestPlan): Promise<unknown> {
    return this.#use(
      {},
      planned(plan),
      (rest) => ({ kind: rest.kind, version: null, input: inputOf(rest) }),
      (id, rest) => this.#pass(id, rest),
    )
  }

  async #use<Plan extends { stepId: string }>(
    fn: object,
    plan: Promise<Plan>,
    statedBy: (plan: Plan) => Stated,
    work: (id: string, plan: Plan) => unknown,
  ): Promise<unknown> {
    const { uses, steps, ports } = this.#course
    // The plan is there already: awaiting a failure tells of it as a run does.
    const made = await plan
    const id = this.#prefix + made.stepId
    const earlier = uses.get(id)
    if (earlier && earlier.fn !== fn) throw stepIdReused(id, 'another function', 'this one')
    if (earlier) return earlier.promise
    const step: RehearsedStep = { stepId: id, state: 'done' }
    steps.set(id, step)
    const promise = (async () => {
      const taken = ports.taken?.(id, statedBy(made))
      if (!taken) return work(id, made)
      step.state = 'taken'
      return taken.value
    })()
    promise.catch((error: unknown) => Object.assign(step, { state: 'failed', error }))
    uses.set(id, { fn, promise })
    return promise
  }

  async #attempt(stepId: string, fn: StepFunction<unknown>): Promise<unknown> {
    const { ports } = this.#course
    const scope = new Rehearsal(ports, { course: this.#course, stepId, prefix: this.#prefix })
    const context: StepContext = {
      attempt: 1,
      signal: this.signal,
      idempotencyKey: `${this.runId}/${stepId}`,
      progress: () => {},
      checkpoint: Object.assign((_value: unknown) => {}, { value: undefined }) as Checkpoint,
    }
    const value: unknown = await ports.enter(scope, () => fn(context))
    return isStream(value) ? held(stepId, value) : value
  }

  async #pass(stepId: string, plan: RestPlan): Promise<unknown> {
    const { ports } = this.#course
    if (plan.kind === 'sleep') return undefined
    if (plan.kind === 'wait') {
      const got = ports.waited?.(stepId)
      if (got) return got.value
      throw rehearsalEnded(`it came to step '${stepId}', which waits for ${plan.type}, and the run that it was forked from got none there`)
    }
    if (!ports.execute) throw rehearsalEnded(`step '${stepId}' begins a run`)
    const child = new Rehearsal(ports, { course: this.#course, stepId: undefined, prefix: `${stepId}/` })
    return ports.execute(plan.target, plan.args, child)
  }
}

/** A plan that is wrong is told by the step's promise, like whatever else is wrong with it. */
async function planned<Plan>(plan: () => Plan): Promise<Plan> {
  return plan()
}

/** A stream as a step gives it back, in memory. */
async function held(stepId: string, stream: AsyncIterable<unknown>): Promise<StoredStream> {
  const batches: unknown[] = []
  let rows = 0
  for await (const batch of stream) {
    rows += Array.isArray(batch) ? batch.length : 1
    if (rows > rehearsedRows) throw rehearsalEnded(`the stream of step '${stepId}' has more than ${rehearsedRows} elements`)
    batches.push(batch)
  }
  return new StoredStream({ valueId: -1, text: '', rows, sizeBytes: 0, read: () => batches })
}

function rehearsalEnded(reason: string): DotdoError {
  return new DotdoError(
    'REHEARSAL_ENDED',
    `The dry run ends here: ${reason}. What would follow is not known; fork the run in earnest, or from a later step.`,
    {
      data: { reason },
    },
  )
}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value && typeof value[Symbol.asyncIterator] === 'function'
}
