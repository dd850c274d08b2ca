import { DotdoError } from '../base/errors.ts'
import type { Spent } from '../base/price.ts'
import type { Progress, RunTarget } from '../base/views.ts'
import type { ActiveRun, StepUse, UsingScope } from './active-run.ts'
import { Cancellation } from './cancellation.ts'
import type { Execution, StepResult } from './execution.ts'
import { runEnded, stepIdReused } from './failures.ts'
import { Notes, type LineageNote } from './lineage.ts'
import { mapItems, type MapOptions } from './map-items.ts'
import type { Place } from './limiter.ts'
import type { ReceivedEvent } from './signals.ts'
import { planStep, type StepContext, type StepFunction, type StepOptions, type StepPlan } from './step-options.ts'
import { StepPromise } from './step-promise.ts'
import { isDone, type DoneStep, type Step } from './steps.ts'
import { planChild, planSleep, planSleepUntil, planWait, type RestPlan, type WaitOptions } from './wait-options.ts'

/** What a scope hands its steps to. */
export interface StepDriver {
  /** Does the step or finds its result. @param again the id was used before in this execution, so there may be a row */
  perform(run: ActiveRun, scope: Scope, fn: StepFunction<unknown>, plan: StepPlan, again: boolean, looked?: Looked): Promise<unknown>
  /** Finds what an earlier execution has left of a step. @throws `STEP_CHANGED` */
  look(run: ActiveRun, plan: StepPlan): Looked
  /** The result of a step that was found done. */
  memo(run: ActiveRun, found: DoneStep, plan: StepPlan): unknown
  /** Rests until what the plan waits for is there. @param again as above */
  rest(run: ActiveRun, scope: Scope, plan: RestPlan, again: boolean): Promise<unknown>
  /** The run that has done a step in the place of this one. */
  takenFrom(run: ActiveRun, stepId: string): number | undefined
  /** The id of a run, for one that another has taken over. */
  runIdOf(seq: number): string | undefined
  /** Where the step stands that waits for a run to end, while that is under way here. */
  around(run: ActiveRun): UsingScope | undefined
  /** Is told that a step of the run begins. */
  begins(run: ActiveRun): void
  /** Is told that one is among those under way; it may rest already. */
  opened(run: ActiveRun): void
  /** Is told that one has ended. */
  ends(run: ActiveRun): void
  progress(run: ActiveRun, stepId: string, progress: Progress): void
  /** Is told what the code in a scope has used. Gives `BUDGET_EXCEEDED` where the run is to end with that */
  spend(run: ActiveRun, stepId: string | undefined, spent: Spent): Error | undefined
}

/** What a look at a step's row has found. */
export interface Looked {
  found: DoneStep | Step | undefined
}

/** The run's own scope, or that of one attempt of a step: decides whether a use of a step id is right, and counts ordinals. */
export class Scope implements Execution {
  readonly stepId: string | undefined
  readonly stepStartedAt: number | undefined
  readonly cancellation: Cancellation
  /** Whether steps were begun in it. */
  nested = false
  /** The place that its step holds. */
  holds: Place | undefined
  readonly #run: ActiveRun
  readonly #driver: StepDriver
  readonly #parent: Scope | undefined
  /** How often its step was done anew after it had been undone. */
  readonly #round: number
  #ordinals: Map<string, number> | undefined
  /** The result that was found stored, on its way to the user. */
  #memo: Promise<unknown> | undefined

  /** @param within the step that it is an attempt of; `undefined` for the run's own. A scope without a parent stops by itself alone */
  constructor(
    run: ActiveRun,
    driver: StepDriver,
    within?: { parent?: Scope; stepId: string | undefined; startedAt?: number; round?: number },
  ) {
    this.#run = run
    this.#driver = driver
    this.#parent = within?.parent
    this.stepId = within?.stepId
    // What its calls are remembered by, until no run of the object began as early: a clock that was put back must not make a step older than its run.
    this.stepStartedAt = within?.startedAt === undefined ? undefined : Math.max(within.startedAt, run.startedAt)
    this.#round = within?.round ?? 1
    this.cancellation = within ? new Cancellation() : run.cancellation
  }

  get runId(): string {
    return this.#run.runId
  }

  get signal(): AbortSignal {
    return this.cancellation.signal
  }

  step<T>(fn: StepFunction<T>, options: StepOptions<NoInfer<Awaited<T>>>): Promise<StepResult<T>> {
    return this.#watched(() => {
      const plan = planStep(options)
      checkFunction(plan.stepId, fn)
      const perform = (again: boolean, looked?: Looked): Promise<unknown> => this.#driver.perform(this.#run, this, fn, plan, again, looked)
      return this.#use(fn, plan.stepId, this.#run.texts.of(fn), perform, plan)
      // The one place where what was stored gets its type back: T says what the function gives, and the codec gives that back.
    }) as Promise<StepResult<T>>
  }

  sleep(duration: number | string, options: { stepId: string }): Promise<void> {
    return this.#rest(() => planSleep(duration, options), `this.sleep(${JSON.stringify(duration)})`) as Promise<void>
  }

  sleepUntil(instant: number | Date | string, options: { stepId: string }): Promise<void> {
    return this.#rest(() => planSleepUntil(instant, options), 'this.sleepUntil') as Promise<void>
  }

  waitFor<Payload>(type: string, options: WaitOptions): Promise<ReceivedEvent<Payload> | null> {
    return this.#rest(() => planWait(type, options), `this.waitFor('${type}')`) as Promise<ReceivedEvent<Payload> | null>
  }

  callRun(target: RunTarget, args: unknown[], options: { stepId: string }): Promise<unknown> {
    return this.#rest(() => planChild(target, args, options), 'a run')
  }

  map<Item, T>(
    items: Iterable<Item> | AsyncIterable<Item>,
    fn: (item: Item, context: StepContext) => T,
    options: MapOptions<Item, NoInfer<Awaited<T>>>,
  ): Promise<StepResult<T>[]> {
    const { groups } = this.#run
    return this.#watched(() => {
      const all = mapItems(items, fn, options, (work, plan) => this.step(work, plan))
      groups.add(all)
      const close = (): void => void groups.delete(all)
      all.then(close, close)
      return all
    }) as Promise<StepResult<T>[]>
  }

  nextOrdinal(label = ''): number {
    this.#ordinals ??= new Map()
    const ordinal = this.#ordinals.get(label) ?? 0
    this.#ordinals.set(label, ordinal + 1)
    return ordinal
  }

  nextKey(label = ''): string {
    const place =
      this.stepId === undefined ? escapeId(this.#run.follows?.runId ?? this.runId) : idempotencyKey(this.runId, this.stepId, this.#round)
    return `${place}#${label}#${this.nextOrdinal(label)}`
  }

  progress(stepId: string, progress: Progress): void {
    this.#driver.progress(this.#run, stepId, progress)
  }

  note(note: LineageNote): void {
    const run = this.#run
    // What comes after the end belongs to nothing that is stored.
    if (!run.ended) (run.notes ??= new Notes()).add(this.stepId ?? '', note)
  }

  spend(spent: Spent): Error | undefined {
    return this.#driver.spend(this.#run, this.stepId, spent)
  }

  /** The places that this scope and those around it hold, those of the step that waits for its run included: what is inside of a step counts as that step. */
  held(): Place[] {
    const around = (this.#parent ?? this.#driver.around(this.#run))?.held() ?? []
    return this.holds ? [this.holds, ...around] : around
  }

  #rest(planned: () => RestPlan, text: string): Promise<unknown> {
    return this.#watched(() => {
      const plan = planned()
      // Each call is a use of its own: two sleeps with one id would else be one.
      return this.#use(
        () => {},
        plan.stepId,
        text,
        (again) => this.#driver.rest(this.#run, this, plan, again),
      )
    })
  }

  /** The promise that the user gets. What is wrong with the call is told by it, too. */
  #watched(begin: () => Promise<unknown>): Promise<unknown> {
    const run = this.#run
    // Of an execution that was let go of nothing is heard any more: another one goes on for it.
    if (run.letGo) return new Promise(() => {})
    let work: Promise<unknown>
    try {
      work = begin()
    } catch (thrown) {
      work = Promise.reject(thrown)
    }
    const memo = this.#memo
    this.#memo = undefined
    // Nobody has to look at what cannot fail.
    if (work === memo) return work
    return StepPromise.of(work, (promise, thrown) => run.failed(promise, thrown))
  }

  #use(
    fn: object,
    stepId: string,
    text: string,
    perform: (again: boolean, looked?: Looked) => Promise<unknown>,
    plan?: StepPlan,
  ): Promise<unknown> {
    const run = this.#run
    this.cancellation.throwIfAborted()
    if (run.ended) throw runEnded(run.runId)
    for (let scope: Scope | undefined = this; scope; scope = scope.#parent) {
      // A step that waits for itself would wait for ever.
      if (scope.stepId === stepId) throw stepIdReused(stepId, 'the step itself', `${text} inside of it`)
    }
    const earlier = run.uses.get(stepId)
    if (earlier) {
      if (!this.#isNextAttempt(earlier) && earlier.fn.deref() !== fn) throw stepIdReused(stepId, earlier.text, text)
      if (earlier.promise && !earlier.scope.cancellation.aborted) return earlier.promise
    }
    this.nested = true
    const use: StepUse = { fn: new WeakRef(fn), text, scope: this, promise: undefined }
    run.uses.set(stepId, use)
    this.#driver.begins(run)
    if (run.follows) this.#follow(run, run.follows, stepId)
    // A replay goes through thousands of steps that are done: those are over before they would be among the open ones.
    const looked = plan && !earlier && !run.fresh ? this.#driver.look(run, plan) : undefined
    if (plan && looked?.found && isDone(looked.found)) return (this.#memo = Promise.resolve(this.#driver.memo(run, looked.found, plan)))
    const promise = earlier?.promise ? this.#performAfter(earlier.promise, perform) : perform(earlier !== undefined, looked)
    use.promise = promise
    run.open.add(promise)
    this.#driver.opened(run)
    const close = (): void => {
      use.promise = undefined
      run.open.delete(promise)
      this.#driver.ends(run)
    }
    promise.then(close, close)
    return promise
  }

  /** A fork goes on as the run that did the step it comes to, and as itself from the first on that no other has done. */
  #follow(run: ActiveRun, follows: { seq: number; runId: string }, stepId: string): void {
    const seq = this.#driver.takenFrom(run, stepId)
    if (seq !== undefined && seq <= follows.seq) return
    const runId = seq === undefined ? undefined : this.#driver.runIdOf(seq)
    run.follows = seq === undefined || runId === undefined ? undefined : { seq, runId }
  }

  /** A new attempt of a step makes its nested functions anew: the same id for another function object is right there. */
  #isNextAttempt(earlier: StepUse): boolean {
    return this.stepId !== undefined && earlier.scope !== this && earlier.scope.stepId === this.stepId
  }

  /** The earlier use was stopped with its attempt and is about to write so; only then does its row tell the truth. */
  async #performAfter(earlier: Promise<unknown>, perform: (again: boolean) => Promise<unknown>): Promise<unknown> {
    await Promise.allSettled([earlier])
    this.cancellation.throwIfAborted()
    return perform(true)
  }
}

/**
 * `<run id>/<step id>`; a slash in the run's id is escaped, so that no two steps share a key.
 * @param round how often the step was done anew after it had been undone, from 1 on: what was taken back is not the same effect again
 */
export function idempotencyKey(runId: string, stepId: string, round = 1): string {
  return `${escapeId(runId)}${round > 1 ? `#${round}` : ''}/${stepId}`
}

/** A run's id as it stands at the head of keys. */
export function escapeId(runId: string): string {
  return /[%/#]/.test(runId) ? runId.replace(/[%/#]/g, encodeURIComponent) : runId
}

function checkFunction(stepId: string, fn: unknown): void {
  if (typeof fn === 'function') return
  throw new DotdoError(
    'INVALID_STEP_OPTIONS',
    `Step '${stepId}' is given a ${typeof fn} instead of a function. Write this.do(() => work(), { stepId }), so that a replay can leave the work out.`,
    {
      data: { stepId },
    },
  )
}
