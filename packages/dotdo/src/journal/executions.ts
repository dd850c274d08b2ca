import { codeOf, type DotdoError } from '../base/errors.ts'
import { addSpent, type Spent } from '../base/price.ts'
import { ActiveRun } from './active-run.ts'
import type { AdoptedExecution } from './execution.ts'
import {
  rebuiltError,
  runCrashed,
  runEnded,
  runFailedElsewhere,
  runHeld,
  runLacking,
  runNotResumable,
  storableError,
  undoFailed,
  undoGivenUp,
} from './failures.ts'
import type { LineageTable } from './lineage.ts'
import { budgetExceeded, Meter } from './meter.ts'
import type { JournalLimits, JournalPorts } from './ports.ts'
import { RestRunner, type Children } from './rest-runner.ts'
import { Rests } from './rests.ts'
import { budgetOf, endingOf, ownPrice, readTarget, type Ending, type HeldRow, type RunRow, type RunTable } from './runs.ts'
import { Scope } from './scope.ts'
import type { SignalTable } from './signals.ts'
import { StepRunner } from './step-runner.ts'
import type { StepTable } from './steps.ts'
import { StoredStream } from './stored-stream.ts'
import { tellRun } from './telling.ts'
import { Undoer } from './undoing.ts'
import type { Stored, ValueStore } from './values.ts'

/** The tables of the journal. */
export interface JournalTables {
  runs: RunTable
  steps: StepTable
  values: ValueStore
  signals: SignalTable
  lineage: LineageTable
}

/** What executions ask of the journal around them. */
export interface ExecutionHooks extends Children {
  /** A run has ended that a step of another waits for. */
  childEnded(parent: { seq: number; stepId: string }): void
  /** An execution is over, so there is room for another. */
  ended(): void
  /** Cancels a run whose parent has ended. */
  cancelChild(child: RunRow): void
  /** Resolves when a run has ended, and takes it up where nobody has; rejects with its error. */
  untilEnd(runId: string): Promise<unknown>
}

/**
 * Owns the executions that are under way in this incarnation of the object, and how they end.
 *
 * Invariants: 1. A run's end is written once, together with the end of its open steps, and never changes but by a retry. 2. Every execution that
 * resumes is counted on disk before it runs, so a run that kills the object ends as `RUN_CRASHED`. 3. After a write that failed the row
 * is left running: what is true is on disk, and the watchdog goes on from there. 4. A run with steps that can be undone ends when they are: until
 * then its row says how it is going to end, and none of its steps begins.
 */
export class Executions {
  readonly rests: Rests
  readonly restRunner: RestRunner
  readonly #ports: JournalPorts
  readonly #limits: JournalLimits
  readonly #runs: RunTable
  readonly #steps: StepTable
  readonly #values: ValueStore
  readonly #lineage: LineageTable
  readonly #runner: StepRunner
  readonly #undoer: Undoer
  readonly #hooks: ExecutionHooks
  readonly #active = new Map<string, ActiveRun>()
  /** Of them, calls that became runs. */
  #adopted = 0
  /** Who waits for runs whose executions were let go of: the next execution answers them. */
  readonly #followers = new Map<string, ((outcome: unknown) => void)[]>()

  constructor(ports: JournalPorts, limits: JournalLimits, tables: JournalTables, hooks: ExecutionHooks) {
    const { runs, steps, values, signals, lineage } = tables
    this.#ports = ports
    this.#limits = limits
    this.#runs = runs
    this.#steps = steps
    this.#values = values
    this.#hooks = hooks
    this.#lineage = lineage
    this.rests = new Rests(ports, limits, runs, (run) => this.#letGo(run))
    this.restRunner = new RestRunner(ports, steps, values, signals, this.rests, hooks)
    this.#runner = new StepRunner(ports, limits, {
      steps,
      values,
      rests: this.rests,
      restRunner: this.restRunner,
      runIdOf: (seq) => runs.findBySeq(seq)?.run_id,
      around: ({ parent }) => parent && this.#active.get(runs.findBySeq(parent.seq)?.run_id ?? '')?.uses.get(parent.stepId)?.scope,
    })
    this.#undoer = new Undoer(ports, limits, steps, values, this.#runner)
  }

  /** Executions of runs that were started, those that only rest not counted. */
  get working(): number {
    return this.#active.size - this.#adopted - this.rests.parkedInMemory
  }

  /** The execution of a run that is under way. */
  find(runId: string): ActiveRun | undefined {
    return this.#active.get(runId)
  }

  /** Writes the rows of steps that began in this turn and have none yet, for whoever is about to look at them. */
  writeRows(runId: string): void {
    const run = this.#active.get(runId)
    if (run) for (const step of run.unwritten) this.#runner.writeRow(run, step)
  }

  /**
   * Executes a run that has not ended by its row and is not under way.
   * @param fresh nothing of it can have run before
   * @throws `RUN_HELD` where its policy keeps it from going on; the row says so then
   */
  async execute(row: RunRow, fresh: boolean): Promise<unknown> {
    if (!fresh) this.#holdBack(row, this.heldBy(row))
    const run = this.#activate(row, fresh)
    // An execution that is let go of comes to no conclusion of its own. What it fails with is the outcome, too.
    this.#conclude(run, row, this.#call(run, row)).catch(() => undefined)
    return run.outcome
  }

  /** Makes an execution of a call that is under way. @throws `RUN_HELD` as {@link execute} */
  adopt(row: RunRow, fresh: boolean): AdoptedExecution {
    // Its code is there: it is being called.
    if (!fresh) this.#holdBack(row, this.#heldByPolicy(row))
    const run = this.#activate(row, fresh)
    run.adopted = true
    this.#adopted++
    if (!fresh) {
      this.#runs.began(row.seq, row.attempt + 1)
      this.#runs.unpark(row.seq)
    }
    this.#tell(fresh ? 'run.started' : 'run.resumed', run.runId, fresh ? row : undefined)
    return new Adopted(run, this.#runner, (outcome) => this.#conclude(run, row, outcome))
  }

  /** Ends a run as cancelled, with an error that says why, under way or not. Returns whether its steps are to be undone first, in an execution that is under way or to come. */
  cancel(row: RunRow, error: Error): boolean {
    this.writeRows(row.run_id)
    this.#writeNotes(this.#active.get(row.run_id))
    const run = this.#active.get(row.run_id)
    const undo = this.#undoer.needed(row.seq)
    // Whoever cancels has answered which code may undo: the one that runs now.
    if (undo) this.#endLater(row.seq, row.run_id, { status: 'cancelled', error: storableError(error) }, this.#ports.codeVersion)
    else this.#end(row.seq, 'cancelled', error)
    if (run) {
      if (undo) run.undoing = true
      else run.ended = true
      run.cancellation.abort(error)
    }
    if (!undo) {
      this.#tell('run.cancelled', row.run_id)
      const outcome = Promise.reject(error)
      outcome.catch(() => undefined)
      this.#answer(row.run_id, outcome)
      this.#endedFor(row)
    }
    return undo
  }

  /** Ends a run that is being undone without undoing the rest, which is named in its error. */
  giveUp(row: RunRow): void {
    const error = undoGivenUp(row.run_id)
    const run = this.#active.get(row.run_id)
    // Its execution writes the end.
    if (run) return run.giveUp.abort(error)
    const left = this.#steps.toUndo(row.seq).map(({ stepId }) => stepId)
    const end = undoFailed(row.run_id, endingOf(row)?.error ?? storableError(error), left, [])
    this.#end(row.seq, 'failed', end)
    this.#tell('run.failed', row.run_id)
    const outcome = Promise.reject(end)
    outcome.catch(() => undefined)
    this.#answer(row.run_id, outcome)
    this.#endedFor(row)
  }

  #activate(row: RunRow, fresh: boolean): ActiveRun {
    const run = new ActiveRun(row, fresh, fresh ? 1 : row.attempt + 1, fresh ? 0 : this.#steps.count(row.seq), this.#meterOf(row, fresh))
    run.undoing = row.status === 'undoing'
    if (run.isFork) run.follows = this.#rootOf(row)
    this.#active.set(row.run_id, run)
    this.#answer(row.run_id, run.outcome)
    this.#boundTime(run, row)
    return run
  }

  #meterOf(row: RunRow, fresh: boolean): Meter {
    const budget = budgetOf(row)
    const earlier: Spent = {}
    if (budget && !fresh) for (const { spent } of this.#steps.prices(row.seq)) addSpent(earlier, spent)
    return new Meter(budget, ownPrice(row), earlier)
  }

  /** Ends a run when its budget of time is used up, whatever it waits for. */
  #boundTime(run: ActiveRun, row: RunRow): void {
    const limit = budgetOf(row)?.wallMs
    if (limit === undefined || run.undoing) return
    // A clock that was set back makes it no longer than the budget.
    const left = Math.min(limit, Math.max(0, row.started_at + limit - this.#ports.clock.now()))
    run.timer = new AbortController()
    this.#ports.sleep(left, run.timer.signal).then(
      () => {
        const value = this.#ports.clock.now() - row.started_at
        const [step] = run.steps.keys()
        if (!run.undoing) run.cancellation.abort(budgetExceeded(run.runId, step, { name: 'wallMs', limit, value }))
      },
      // The run has come to rest before.
      () => undefined,
    )
  }

  /** Writes what was used and has no row yet. */
  #writePrices(run: ActiveRun): void {
    if (run.broken || run.letGo) return
    run.write(() => {
      if (run.meter.dirty) this.#runs.putPrice(run.seq, run.meter.own)
      run.meter.dirty = false
      for (const step of run.steps.values()) if (step.price) this.#steps.putPrice(step)
    })
  }

  /** The first of the runs that a fork goes back to. */
  #rootOf(row: RunRow): { seq: number; runId: string } {
    let root = row
    while (root.forked_from !== null) {
      const before = this.#runs.findBySeq(root.forked_from)
      if (!before) break
      root = before
    }
    return { seq: root.seq, runId: root.run_id }
  }

  #letGo(run: ActiveRun): void {
    run.timer?.abort()
    this.#active.delete(run.runId)
    this.#followers.set(run.runId, [...(this.#followers.get(run.runId) ?? []), run.resolve])
  }

  #answer(runId: string, outcome: Promise<unknown>): void {
    for (const resolve of this.#followers.get(runId) ?? []) resolve(outcome)
    this.#followers.delete(runId)
  }

  /** Why a run that is in flight must not go on with the code that runs now: by its policy, or because there is none for it. */
  heldBy(row: HeldRow): DotdoError | undefined {
    const byPolicy = this.#heldByPolicy(row)
    // What somebody has cancelled ends, and says what it could not undo. Arguments that are not stored end it, too.
    if (byPolicy || row.args[0] === 'u' || endingOf(row)?.status === 'cancelled') return byPolicy
    const lack = this.#ports.lacks?.(readTarget(row))
    return lack && runLacking(row.run_id, lack)
  }

  #heldByPolicy(row: HeldRow): DotdoError | undefined {
    const { codeVersion, deployPolicy = 'latest' } = this.#ports
    if (deployPolicy === 'latest' || row.version === null || codeVersion === undefined || row.version === codeVersion) return undefined
    return runHeld(row.run_id, deployPolicy, row.version, codeVersion)
  }

  #holdBack(row: RunRow, error: DotdoError | undefined): void {
    if (!error) return
    this.#runs.hold(row.seq, storableError(error))
    this.#tell('run.held', row.run_id)
    throw error
  }

  async #call(run: ActiveRun, row: RunRow): Promise<unknown> {
    const { runId } = run
    if (!run.fresh) {
      if (row.args[0] === 'u') throw runNotResumable(runId, row.args.slice(1))
      // The first execution is none of the resumptions, and neither is one before the run was parked or retried.
      if (row.attempt - row.resumes_from > this.#limits.runResumes) throw runCrashed(runId, this.#limits.runResumes)
    }
    run.write(() => {
      this.#runs.began(run.seq, run.attempt)
      if (row.status === 'parked') this.#runs.unpark(run.seq)
    })
    const type = run.undoing ? 'run.undoing' : run.fresh || (run.isFork && run.attempt === 1) ? 'run.started' : 'run.resumed'
    this.#tell(type, runId, run.fresh ? row : undefined)
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
  async #conclude(run: ActiveRun, row: RunRow, outcome: Promise<unknown> | PromiseLike<unknown>): Promise<void> {
    try {
      if (run.undoing) return run.resolve(Promise.reject(await this.#undo(run, endingOf(row), outcome)))
      const result = await run.cancellation.race(outcome)
      await run.cancellation.race(run.quiet())
      if (run.unseenFailure) throw run.unseenFailure.thrown
      this.#finish(run, row, result)
      run.resolve(result)
    } catch (thrown) {
      run.resolve(Promise.reject(await this.#failed(run, thrown, outcome)))
    } finally {
      run.timer?.abort()
      this.#writePrices(run)
      this.rests.ended(run)
      if (this.#active.get(run.runId) === run) this.#active.delete(run.runId)
      if (run.adopted) this.#adopted--
      this.#hooks.ended()
      if (run.parent && !run.broken) this.#hooks.childEnded(run.parent)
    }
    if (run.broken) throw run.broken.thrown
  }

  #finish(run: ActiveRun, row: RunRow, result: unknown): void {
    if (run.broken) throw run.broken.thrown
    run.cancellation.throwIfAborted()
    this.#writeNotes(run)
    const now = this.#ports.clock.now()
    let done: RunRow | undefined
    run.write(() =>
      this.#putResult(run, result, (stored) => {
        this.#runs.done(run.seq, stored, now)
        if (run.fresh) done = { ...row, status: 'done', result: stored.text, ended_at: now }
      }),
    )
    run.ended = true
    this.#tell('run.done', run.runId, done)
  }

  /** What the run's own code has noted, and steps that came to nothing: written with its end. */
  #writeNotes(run: ActiveRun | undefined): void {
    if (!run?.notes) return
    const { notes } = run
    for (const stepId of notes.steps) run.write(() => this.#lineage.put(run.seq, stepId, notes.take(stepId)))
  }

  /** Stores what can be stored. What cannot does not fail a run whose work is done: the row says why it is missing. */
  #putResult(run: ActiveRun, result: unknown, commit: (stored: Stored) => void): void {
    if (result instanceof StoredStream) {
      const { text } = result.source
      if (this.#steps.hasStream(run.seq, text)) return commit({ text, valueId: null })
    }
    if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result) {
      return commit({ text: 'uit is a stream, which went to the caller', valueId: null })
    }
    try {
      this.#values.putResult(result, `The result of run '${run.runId}'`, commit)
    } catch (thrown) {
      if (codeOf(thrown) !== 'NOT_STORABLE' && codeOf(thrown) !== 'RESULT_TOO_LARGE') throw thrown
      commit({ text: `u${storableError(thrown).message}`, valueId: null })
    }
  }

  /** Writes that a run failed, unless its end is written or nothing can be. Returns what those who await it get. */
  async #failed(run: ActiveRun, thrown: unknown, outcome: PromiseLike<unknown>): Promise<unknown> {
    if (run.broken) return run.broken.thrown
    if (run.ended) return run.cancellation.aborted ? run.cancellation.reason : thrown
    try {
      this.writeRows(run.runId)
      this.#writeNotes(run)
      if (run.undoing || this.#undoer.needed(run.seq)) return await this.#undo(run, undefined, outcome, thrown)
      run.write(() => this.#end(run.seq, 'failed', thrown))
    } catch (cause) {
      return cause
    }
    run.ended = true
    run.cancellation.abort(runEnded(run.runId))
    this.#tell('run.failed', run.runId)
    return rebuiltError(storableError(thrown), thrown)
  }

  /**
   * Takes back what a run has done, and then ends it. Returns what those who await it get.
   * @param stored how it is to end, where an earlier execution has said so
   * @param thrown what it failed with, where this one says so
   */
  async #undo(run: ActiveRun, stored: Ending | undefined, outcome: PromiseLike<unknown>, thrown?: unknown): Promise<unknown> {
    let ending = stored
    if (!ending && run.undoing) ending = endingOf(this.#runs.get(run.runId))
    if (!ending) {
      const made: Ending = { status: 'failed', error: storableError(thrown) }
      run.write(() => this.#endLater(run.seq, run.runId, made))
      ending = made
      run.undoing = true
      run.cancellation.abort(runEnded(run.runId))
    }
    // What the run's own code comes to changes nothing any more.
    Promise.resolve(outcome).catch(() => undefined)
    const { status, error } = ending
    // What runs that this one has begun take back, they did later.
    const children = this.#runs.openChildren(run.seq).map(({ run_id }) => this.#hooks.untilEnd(run_id))
    // What stops this one has stopped them.
    await run.giveUp.race(Promise.allSettled(children)).catch(() => undefined)
    const { failed, unknown } = await this.#undoer.undo(run, Promise.resolve(outcome))
    const whole = failed.length + unknown.length === 0
    const end = whole ? rebuiltError(error, thrown) : undoFailed(run.runId, error, failed, unknown)
    const endStatus = whole ? status : 'failed'
    run.write(() => this.#end(run.seq, endStatus, end))
    run.ended = true
    run.cancellation.abort(end)
    this.#tell(endStatus === 'failed' ? 'run.failed' : 'run.cancelled', run.runId)
    return end
  }

  #end(seq: number, status: 'failed' | 'cancelled', thrown: unknown): void {
    const error = storableError(thrown)
    this.#ports.store.transaction(() => {
      this.#closeOpen(seq, status, error)
      this.#runs.ended(seq, status, error, this.#ports.clock.now())
    })
    this.#cancelChildren(seq)
  }

  /** Writes how a run will end when its steps are undone. */
  #endLater(seq: number, runId: string, ending: Ending, version?: string): void {
    this.#ports.store.transaction(() => {
      this.#closeOpen(seq, ending.status, ending.error)
      this.#runs.undoing(seq, ending, version)
    })
    this.#cancelChildren(seq)
    this.#tell('run.undoing', runId)
  }

  /** The runs that a run has begun end with it, in the same commit. */
  #cancelChildren(seq: number): void {
    for (const child of this.#runs.openChildren(seq)) this.#hooks.cancelChild(child)
  }

  /** Ends the steps that the end of their run leaves open. */
  #closeOpen(seq: number, status: 'failed' | 'cancelled', error: ReturnType<typeof storableError>): void {
    // A step that was under way did not fail by itself: another one, or the run's own code, did.
    const open = status === 'failed' ? storableError(runFailedElsewhere(error)) : error
    this.#steps.closeOpen(seq, open, this.#ports.clock.now())
  }

  #endedFor(row: RunRow): void {
    if (row.parent !== null && row.parent_step !== null) this.#hooks.childEnded({ seq: row.parent, stepId: row.parent_step })
  }

  /** @param row of a run that nothing but this execution has changed, as it is now: it need not be read */
  #tell(
    type: 'run.started' | 'run.resumed' | 'run.held' | 'run.undoing' | 'run.done' | 'run.failed' | 'run.cancelled',
    runId: string,
    row?: RunRow,
  ): void {
    tellRun(this.#ports, this.#runs, type, row ?? this.#runs.get(runId))
  }
}

/** The scope of a call that became a run. */
class Adopted extends Scope implements AdoptedExecution {
  readonly outcome: Promise<unknown>
  readonly atRest: Promise<void>
  readonly #conclude: (outcome: PromiseLike<unknown>) => Promise<void>

  constructor(run: ActiveRun, runner: StepRunner, conclude: (outcome: PromiseLike<unknown>) => Promise<void>) {
    super(run, runner)
    this.outcome = run.outcome
    this.atRest = run.atRest
    this.#conclude = conclude
  }

  settle(outcome: PromiseLike<unknown>): Promise<void> {
    return this.#conclude(outcome)
  }
}
