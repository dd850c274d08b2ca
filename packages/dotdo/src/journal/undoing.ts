import { isThenable } from '../base/thenable.ts'
import type { ActiveRun } from './active-run.ts'
import type { JournalLimits, JournalPorts } from './ports.ts'
import { Scope, type StepDriver } from './scope.ts'
import { undoPrefix, type StepContext, type StepPlan } from './step-options.ts'
import type { Step, StepTable } from './steps.ts'
import type { ValueStore } from './values.ts'

/** What became of the undoing of a run's steps. */
export interface Undone {
  /** Steps whose undo failed, with all of its attempts. */
  failed: string[]
  /** Steps that the code knows no undo for any more. */
  unknown: string[]
}

/**
 * Takes the steps of a run back that are done and have an `undo`, the one that began last first. Each undo is a step of its own, `undo:<step id>`, with the
 * retries of the step that it takes back, so it happens once and survives a crash.
 *
 * Invariants: 1. A step says that it was undone only when its undo is done, and is then not undone again. 2. Once it is given up, no undo begins, the one that is
 * under way is left behind, and what was not undone counts as failed.
 */
export class Undoer {
  readonly #ports: JournalPorts
  readonly #limits: JournalLimits
  readonly #steps: StepTable
  readonly #values: ValueStore
  readonly #driver: StepDriver

  constructor(ports: JournalPorts, limits: JournalLimits, steps: StepTable, values: ValueStore, driver: StepDriver) {
    this.#ports = ports
    this.#limits = limits
    this.#steps = steps
    this.#values = values
    this.#driver = driver
  }

  /** Whether a run has anything to undo. */
  needed(seq: number): boolean {
    return this.#steps.anyToUndo(seq)
  }

  /**
   * Undoes what there is. Functions are not stored: those that this execution does not know yet are made known by the run's own code, which is being
   * replayed; it is waited for until all are known or `replayed` is over, for `undoReplayMs` at most.
   */
  async undo(run: ActiveRun, replayed: Promise<unknown>): Promise<Undone> {
    const steps = run.write(() => this.#steps.toUndo(run.seq))
    if (!run.giveUp.aborted) await this.#known(run, steps, replayed)
    const undone: Undone = { failed: [], unknown: [] }
    for (const step of steps) {
      const plan = run.undos.get(step.stepId)
      if (run.giveUp.aborted) undone.failed.push(step.stepId)
      else if (!plan?.undo) undone.unknown.push(step.stepId)
      else if (!(await this.#undoOne(run, step, plan))) undone.failed.push(step.stepId)
      if (run.broken) throw run.broken.thrown
    }
    return undone
  }

  async #undoOne(run: ActiveRun, step: Step, plan: StepPlan): Promise<boolean> {
    const stepId = undoPrefix + step.stepId
    const { undo } = plan
    // Its own, because the run's has stopped.
    const scope = new Scope(run, this.#driver, { stepId: undefined })
    const detach = run.giveUp.onAbort((reason) => scope.cancellation.abort(reason))
    const own: StepPlan = { ...plan, stepId, version: null, input: null, undo: undefined }
    try {
      const work = (context: StepContext): unknown => {
        const result = this.#values.get(step.result ?? '')
        return isThenable(result) ? result.then((it) => undo?.(it as never, context)) : undo?.(result as never, context)
      }
      await this.#driver.perform(run, scope, work, own, true)
    } catch {
      // What it failed with stands in its own row.
      return false
    } finally {
      detach()
    }
    this.#steps.putUndo(run, step.stepId, -step.undo)
    return true
  }

  async #known(run: ActiveRun, steps: readonly Step[], replayed: Promise<unknown>): Promise<void> {
    const all = (): boolean => steps.every(({ stepId }) => run.undos.has(stepId))
    if (all()) return
    const stopped = new AbortController()
    const { promise, resolve } = Promise.withResolvers<void>()
    run.undoKnown = () => {
      if (all()) resolve()
    }
    const timer = this.#ports.sleep(this.#limits.undoReplayMs, stopped.signal)
    const detach = run.giveUp.onAbort(() => resolve())
    try {
      await Promise.race([promise, Promise.allSettled([replayed]), Promise.allSettled([timer])])
    } finally {
      detach()
      run.undoKnown = undefined
      stopped.abort()
    }
  }
}
