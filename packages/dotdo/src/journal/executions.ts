import { codeOf } from '../base/errors.ts'
import { ActiveRun } from './active-run.ts'
import type { AdoptedExecution } from './execution.ts'
import { rebuiltError, runCancelled, runCrashed, runEnded, runFailedElsewhere, runNotResumable, storableError } from './failures.ts'
import type { JournalLimits, JournalPorts } from './ports.ts'
import { readTarget, type RunRow, type RunTable } from './runs.ts'
import { Scope } from './scope.ts'
import { StepRunner } from './step-runner.ts'
import type { StepTable } from './steps.ts'
import { StoredStream } from './stored-stream.ts'
import type { Stored, ValueStore } from './values.ts'

/**
 * Owns the executions that are under way in this incarnation of the object, and how they end.
 *
 * Invariants: 1. A run's end is written once, together with the end of its open steps, and never changes. 2. Every execution that
 * resumes is counted on disk before it runs, so a run that kills the object ends as `RUN_CRASHED`. 3. After a write that failed the row
 * is left running: what is true is on disk, and the watchdog goes on from there.
 */
export class Executions {
  readonly #ports: JournalPorts
  readonly #limits: JournalLimits
  readonly #runs: RunTable
  readonly #steps: StepTable
  readonly #values: ValueStore
  readonly #runner: StepRunner
  readonly #active = new Map<string, ActiveRun>()

  constructor(ports: JournalPorts, limits: JournalLimits, runs: RunTable, steps: StepTable, values: ValueStore) {
    this.#ports = ports
    this.#limits = limits
    this.#runs = runs
    this.#steps = steps
    this.#values = values
    this.#runner = new StepRunner(ports, limits, steps, values)
  }

  /** The execution of a run that is under way. */
  find(runId: string): ActiveRun | undefined {
    return this.#active.get(runId)
  }

  /** Executes a run that is running by its row and not under way. @param fresh nothing of it can have run before */
  async execute(row: RunRow, fresh: boolean): Promise<unknown> {
    const run = this.#activate(row, fresh)
    await this.#conclude(run, this.#call(run, row))
    return run.outcome
  }

  /** Makes an execution of a call that is under way. */
  adopt(row: RunRow, fresh: boolean): AdoptedExecution {
    const run = this.#activate(row, fresh)
    if (!fresh) this.#runs.began(row.seq, row.attempt + 1)
    this.#tell(fresh ? 'run.started' : 'run.resumed', run.runId)
    return new Adopted(run, this.#runner, (outcome) => this.#conclude(run, outcome))
  }

  /** Ends a run as cancelled, under way or not. */
  cancel(row: RunRow): void {
    const error = runCancelled(row.run_id)
    this.#end(row.seq, 'cancelled', error)
    const run = this.#active.get(row.run_id)
    if (run) {
      run.ended = true
      run.cancellation.abort(error)
    }
    this.#tell('run.cancelled', row.run_id)
  }

  #activate(row: RunRow, fresh: boolean): ActiveRun {
    const run = new ActiveRun(row.seq, row.run_id, fresh, fresh ? 0 : this.#steps.count(row.seq))
    this.#active.set(row.run_id, run)
    return run
  }

  async #call(run: ActiveRun, row: RunRow): Promise<unknown> {
    const { runId } = run
    if (!run.fresh) {
      if (row.args[0] === 'u') throw runNotResumable(runId, row.args.slice(1))
      // The first execution is none of the resumptions.
      if (row.attempt > this.#limits.runResumes) throw runCrashed(runId, this.#limits.runResumes)
    }
    run.write(() => this.#runs.began(run.seq, row.attempt + 1))
    this.#tell(run.fresh ? 'run.started' : 'run.resumed', runId)
    if (!run.fresh) {
      await this.#ports.sync().catch((thrown: unknown) => {
        run.broken ??= { thrown }
        throw thrown
      })
      run.cancellation.throwIfAborted()
    }
    const scope = new Scope(run, this.#runner)
    // start() has encoded an array, so an array is read.
    const args = this.#values.get(row.args) as unknown[]
    return this.#ports.execute({ runId, target: readTarget(row), args }, scope)
  }

  /**
   * Waits for the outcome of an execution and for the steps that nobody awaited, and writes the run's end: the commit point of a run.
   * Resolves when that is done; the outcome itself is for those who await the run.
   */
  async #conclude(run: ActiveRun, outcome: PromiseLike<unknown>): Promise<void> {
    try {
      const result = await run.cancellation.race(outcome)
      await run.cancellation.race(run.quiet())
      this.#finish(run, result)
      run.resolve(result)
    } catch (thrown) {
      run.resolve(Promise.reject(this.#failed(run, thrown)))
    } finally {
      this.#active.delete(run.runId)
    }
    if (run.broken) throw run.broken.thrown
  }

  #finish(run: ActiveRun, result: unknown): void {
    if (run.broken) throw run.broken.thrown
    run.cancellation.throwIfAborted()
    run.write(() => this.#putResult(run, result, (stored) => this.#runs.done(run.seq, stored, this.#ports.clock.now())))
    run.ended = true
    this.#tell('run.done', run.runId)
  }

  /** Stores what can be stored. What cannot does not fail a run whose work is done: the row says why it is missing. */
  #putResult(run: ActiveRun, result: unknown, commit: (stored: Stored) => void): void {
    if (result instanceof StoredStream) {
      const { valueId, text } = result.source
      if (this.#steps.ownedStream(run.seq, valueId) === text) return commit({ text, valueId: null })
    }
    if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result) {
      return commit({ text: 'uit is a stream, which went to the caller', valueId: null })
    }
    try {
      this.#values.put(result, `The result of run '${run.runId}'`, commit)
    } catch (thrown) {
      if (codeOf(thrown) !== 'NOT_STORABLE' && codeOf(thrown) !== 'RESULT_TOO_LARGE') throw thrown
      commit({ text: `u${storableError(thrown).message}`, valueId: null })
    }
  }

  /** Writes that a run failed, unless its end is written or nothing can be. Returns what those who await it get. */
  #failed(run: ActiveRun, thrown: unknown): unknown {
    if (run.broken) return run.broken.thrown
    if (run.ended) return run.cancellation.reason
    const error = storableError(thrown)
    try {
      run.write(() => this.#end(run.seq, 'failed', thrown))
    } catch (cause) {
      return cause
    }
    run.ended = true
    run.cancellation.abort(runEnded(run.runId))
    this.#tell('run.failed', run.runId)
    return rebuiltError(error, thrown)
  }

  #end(seq: number, status: 'failed' | 'cancelled', thrown: unknown): void {
    const now = this.#ports.clock.now()
    const error = storableError(thrown)
    this.#ports.store.transaction(() => {
      // A step that was under way did not fail by itself: another one, or the run's own code, did.
      const open = status === 'failed' ? storableError(runFailedElsewhere(error)) : error
      this.#steps.closeOpen(seq, open, now)
      this.#runs.ended(seq, status, error, now)
    })
  }

  #tell(type: 'run.started' | 'run.resumed' | 'run.done' | 'run.failed' | 'run.cancelled', runId: string): void {
    this.#ports.observe({ type, run: this.#runs.view(this.#runs.get(runId)) })
  }
}

/** The scope of a call that became a run. */
class Adopted extends Scope implements AdoptedExecution {
  readonly outcome: Promise<unknown>
  readonly #conclude: (outcome: PromiseLike<unknown>) => Promise<void>

  constructor(run: ActiveRun, runner: StepRunner, conclude: (outcome: PromiseLike<unknown>) => Promise<void>) {
    super(run, runner)
    this.outcome = run.outcome
    this.#conclude = conclude
  }

  settle(outcome: PromiseLike<unknown>): Promise<void> {
    return this.#conclude(outcome)
  }
}
