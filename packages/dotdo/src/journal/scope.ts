import { DotdoError } from '../base/errors.ts'
import type { Progress } from '../base/views.ts'
import type { ActiveRun, StepUse } from './active-run.ts'
import { Cancellation } from './cancellation.ts'
import type { Execution, StepResult } from './execution.ts'
import { runEnded, stepIdReused } from './failures.ts'
import { planStep, type StepFunction, type StepOptions, type StepPlan } from './step-options.ts'

/** What a scope hands its steps to. */
export interface StepDriver {
  /** Does the step or finds its result. @param again the id was used before in this execution, so there may be a row */
  perform(run: ActiveRun, scope: Scope, fn: StepFunction<unknown>, plan: StepPlan, again: boolean): Promise<unknown>
  progress(run: ActiveRun, stepId: string, progress: Progress): void
}

/** The run's own scope, or that of one attempt of a step: decides whether a use of a step id is right, and counts ordinals. */
export class Scope implements Execution {
  readonly stepId: string | undefined
  readonly stepStartedAt: number | undefined
  readonly cancellation: Cancellation
  /** Whether steps were begun in it. */
  nested = false
  readonly #run: ActiveRun
  readonly #driver: StepDriver
  readonly #parent: Scope | undefined
  #ordinals: Map<string, number> | undefined

  constructor(run: ActiveRun, driver: StepDriver, within?: { parent: Scope; stepId: string; startedAt: number }) {
    this.#run = run
    this.#driver = driver
    this.#parent = within?.parent
    this.stepId = within?.stepId
    this.stepStartedAt = within?.startedAt
    this.cancellation = within ? new Cancellation() : run.cancellation
  }

  get runId(): string {
    return this.#run.runId
  }

  get signal(): AbortSignal {
    return this.cancellation.signal
  }

  async step<T>(fn: StepFunction<T>, options: StepOptions): Promise<StepResult<T>> {
    const plan = planStep(options)
    if (typeof fn !== 'function') {
      throw new DotdoError(
        'INVALID_STEP_OPTIONS',
        `Step '${plan.stepId}' is given a ${typeof fn} instead of a function. Write this.do(() => work(), { stepId }), so that a replay can leave the work out.`,
        {
          data: { stepId: plan.stepId },
        },
      )
    }
    // The one place where what was stored gets its type back: T says what the function gives, and the codec gives that back.
    return this.#use(fn, plan) as Promise<StepResult<T>>
  }

  nextOrdinal(label = ''): number {
    this.#ordinals ??= new Map()
    const ordinal = this.#ordinals.get(label) ?? 0
    this.#ordinals.set(label, ordinal + 1)
    return ordinal
  }

  nextKey(label = ''): string {
    const place = this.stepId === undefined ? escapeId(this.runId) : idempotencyKey(this.runId, this.stepId)
    return `${place}#${label}#${this.nextOrdinal(label)}`
  }

  progress(stepId: string, progress: Progress): void {
    this.#driver.progress(this.#run, stepId, progress)
  }

  #use(fn: StepFunction<unknown>, plan: StepPlan): Promise<unknown> {
    const run = this.#run
    this.cancellation.throwIfAborted()
    if (run.ended) throw runEnded(run.runId)
    const text = describe(fn)
    for (let scope: Scope | undefined = this; scope; scope = scope.#parent) {
      // A step that waits for itself would wait for ever.
      if (scope.stepId === plan.stepId) throw stepIdReused(plan.stepId, 'the step itself', `${text} inside of it`)
    }
    const earlier = run.uses.get(plan.stepId)
    if (earlier) {
      if (!this.#isNextAttempt(earlier) && earlier.fn.deref() !== fn) throw stepIdReused(plan.stepId, earlier.text, text)
      if (earlier.promise && !earlier.scope.cancellation.aborted) return earlier.promise
    }
    this.nested = true
    const use: StepUse = { fn: new WeakRef(fn), text, scope: this, promise: undefined }
    run.uses.set(plan.stepId, use)
    const promise = earlier?.promise
      ? this.#performAfter(earlier.promise, fn, plan)
      : this.#driver.perform(run, this, fn, plan, earlier !== undefined)
    use.promise = promise
    run.open.add(promise)
    const close = (): void => {
      use.promise = undefined
      run.open.delete(promise)
    }
    promise.then(close, close)
    return promise
  }

  /** A new attempt of a step makes its nested functions anew: the same id for another function object is right there. */
  #isNextAttempt(earlier: StepUse): boolean {
    return this.stepId !== undefined && earlier.scope !== this && earlier.scope.stepId === this.stepId
  }

  /** The earlier use was stopped with its attempt and is about to write so; only then does its row tell the truth. */
  async #performAfter(earlier: Promise<unknown>, fn: StepFunction<unknown>, plan: StepPlan): Promise<unknown> {
    await Promise.allSettled([earlier])
    this.cancellation.throwIfAborted()
    return this.#driver.perform(this.#run, this, fn, plan, true)
  }
}

/** `<run id>/<step id>`; a slash in the run's id is escaped, so that no two steps share a key. */
export function idempotencyKey(runId: string, stepId: string): string {
  return `${escapeId(runId)}/${stepId}`
}

function escapeId(runId: string): string {
  return /[%/#]/.test(runId) ? runId.replace(/[%/#]/g, encodeURIComponent) : runId
}

/** A function for people: its name, else the beginning of its text on one line. */
function describe(fn: StepFunction<unknown>): string {
  if (fn.name !== '') return `'${fn.name}'`
  const text = Function.prototype.toString.call(fn).slice(0, 160).replace(/\s+/g, ' ')
  return `\`${text.length > 80 ? `${text.slice(0, 80)}…` : text}\``
}
