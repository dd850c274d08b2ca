import { codeOf, DotdoError } from '../base/errors.ts'
import { newId } from '../base/ids.ts'
import { migrate } from '../base/migrations.ts'
import type { RunStatus, RunTarget, RunView, StepView } from '../base/views.ts'
import type { AdoptedExecution } from './execution.ts'
import { Executions } from './executions.ts'
import { runUnderWay, storableError } from './failures.ts'
import { defaultLimits, type JournalLimits, type JournalPorts } from './ports.ts'
import { Pruner } from './pruner.ts'
import { errorOf, RunTable, toRunRecord, type RunRecord, type RunRow } from './runs.ts'
import { StepTable } from './steps.ts'
import { journalMigrations } from './tables.ts'
import { ValueStore } from './values.ts'

/** A run shows at most this many of its steps at once; `steps` pages through more. */
const stepsShown = 2000

/** A list shows at most this many runs at once. */
const runsShown = 500

const maxIdLength = 512

/** What starts a run. */
export interface RunStart {
  /** The run's id, 1 to 512 characters; a new one where absent. Starting an id again gives the run that there is. */
  runId?: string
  /** An idempotency key of the caller. Starting with a key again gives the run that there is, as long as that is kept. */
  key?: string
  target: RunTarget
  args: unknown[]
}

/**
 * Runs and their steps: what has happened already, and what is to be done again. Owns the tables `dotdo_runs`, `dotdo_steps` and
 * `dotdo_values`, and which runs are due.
 *
 * Invariants: 1. A run is executed at most once at a time: starting, launching, resuming and the watchdog join what is under way.
 * 2. A run whose row says `running` and that is not under way is due: either it was just started, or an earlier incarnation died.
 * 3. While a run is running, {@link Journal.nextWakeMs} is an instant. 4. Nothing is held across an await but memory.
 */
export class Journal {
  readonly #ports: JournalPorts
  readonly #limits: JournalLimits
  readonly #values: ValueStore
  readonly #runs: RunTable
  readonly #steps: StepTable
  readonly #executions: Executions
  readonly #pruner: Pruner
  /** Runs inserted by this incarnation and not yet launched: nothing of them can have run. */
  readonly #unlaunched = new Set<string>()
  /** Runs to take up, in order, and how many lanes work on them. */
  readonly #due = new Set<string>()
  #lanes = 0
  #wakeAt: number | null = null

  /** Opens or creates the tables. @throws `STATE_TOO_NEW` */
  constructor(ports: JournalPorts, limits: Partial<JournalLimits> = {}) {
    this.#ports = ports
    this.#limits = { ...defaultLimits, ...limits }
    migrate(ports.store, 'journal', journalMigrations)
    this.#values = new ValueStore(ports.store, ports.compression)
    this.#steps = new StepTable(ports.store, this.#values)
    this.#runs = new RunTable(ports.store, this.#values)
    this.#executions = new Executions(ports, this.#limits, this.#runs, this.#steps, this.#values)
    this.#pruner = new Pruner(ports.store, this.#values)
  }

  /**
   * Writes the row of a run, synchronously and within the caller's transaction if there is one; nothing executes. Idempotent by id and
   * by key: a later start returns the first run, whatever its state, and its own target and arguments are not used.
   *
   * @throws `NOT_STORABLE`, `RESULT_TOO_LARGE` for the arguments, `INVALID_RUN_ID`
   */
  start({ runId, key, target, args }: RunStart): RunRecord {
    checkId(runId, 'run id')
    checkId(key, 'key')
    const known = (runId !== undefined && this.#runs.find(runId)) || (key !== undefined && this.#runs.findByKey(key))
    if (known) return toRunRecord(known)
    const id = runId ?? newId('run', this.#ports.clock, this.#ports.random)
    const row = this.#insert(id, key, target, 0, args)
    this.#unlaunched.add(id)
    return toRunRecord(row)
  }

  /**
   * Executes a run that was started, or joins the execution that is under way. A run that has ended is not executed again.
   *
   * @returns the run's result
   * @throws the run's error; `RUN_CANCELLED`, `RUN_CRASHED`, `RUN_NOT_RESUMABLE`, `RUN_UNKNOWN`
   */
  async launch(runId: string): Promise<unknown> {
    const active = this.#executions.find(runId)
    if (active) return active.outcome
    const row = this.#runs.get(runId)
    if (row.status !== 'running') return this.#resultOf(row)
    this.#due.delete(runId)
    return this.#executions.execute(row, this.#unlaunched.delete(runId))
  }

  /**
   * Takes up a run that failed or was cancelled: steps that are done stay done, the others begin anew. A run that is under way is joined, and one
   * that is done answers with its result.
   *
   * @returns the run's result
   * @throws as {@link launch}
   */
  async retry(runId: string): Promise<unknown> {
    const row = this.#runs.get(runId)
    if (row.status === 'failed' || row.status === 'cancelled') this.#reopen(row)
    return this.launch(runId)
  }

  #reopen(row: RunRow): void {
    this.#ports.store.transaction(() => {
      this.#runs.reopen(row.seq)
      this.#steps.reopenFailed(row.seq, this.#ports.clock.now())
    })
  }

  /**
   * Makes a run of a call that is under way already: the adapter calls this at the first step of a call from outside, and then
   * `settle` with the promise of the call. Arguments that cannot be stored make a run that ends as `RUN_NOT_RESUMABLE` after a crash;
   * its view says so from the start.
   *
   * @throws `RUN_KEY_TAKEN` when the key has a run that is under way or has ended: look it up by `findByKey` and `launch` it instead
   */
  adopt({ target, args, key }: { target: RunTarget; args: unknown[]; key?: string }): AdoptedExecution {
    checkId(key, 'key')
    const known = key === undefined ? undefined : this.#runs.findByKey(key)
    if (known && (known.status !== 'running' || this.#executions.find(known.run_id))) {
      throw new DotdoError(
        'RUN_KEY_TAKEN',
        `Key '${key}' belongs to run '${known.run_id}', which is ${known.status}. Await that run's result instead of calling again.`,
        {
          data: { key, runId: known.run_id, status: known.status },
          retryable: known.status === 'running',
        },
      )
    }
    const row = known ?? this.#insertAdopted(newId('run', this.#ports.clock, this.#ports.random), key, target, args)
    this.#due.delete(row.run_id)
    return this.#executions.adopt(row, known === undefined)
  }

  /**
   * What became of the call that has a key: its outcome, now or when it has ended. `undefined` when the call is to be made anew, by
   * {@link Journal.adopt} with the same key, and then finds the steps that are done: it failed, was interrupted by a crash, or gave what could
   * not be stored. A run that was cancelled stays so.
   */
  outcomeOf(key: string): Promise<unknown> | undefined {
    const row = this.#runs.findByKey(key)
    if (!row) return undefined
    if (this.#executions.find(row.run_id)) return this.launch(row.run_id)
    const isLost = row.status === 'failed' || (row.status === 'done' && row.result?.[0] === 'u')
    if (isLost) this.#reopen(row)
    return isLost || row.status === 'running' ? undefined : this.launch(row.run_id)
  }

  /** The run that a key belongs to. @returns `undefined` where there is none, or it was pruned */
  findByKey(key: string): RunRecord | undefined {
    const row = this.#runs.findByKey(key)
    return row && toRunRecord(row)
  }

  /**
   * To be called once when the object starts, before anything else: runs that an earlier incarnation left running become due, and
   * {@link nextWakeMs} says so.
   */
  recover(): void {
    for (const runId of this.#runs.running()) if (!this.#executions.find(runId)) this.#due.add(runId)
  }

  /**
   * Takes up the runs that are due, at most `resumesAtOnce` at a time, the others as those end. Runs under way are left alone, so calling
   * it from every alarm is right.
   *
   * @returns one promise a lane, none of which rejects: how a run ends is in its row. Keep the object alive until they settle
   */
  resumeDue(): Promise<void>[] {
    this.recover()
    const lanes: Promise<void>[] = []
    while (this.#lanes < this.#limits.resumesAtOnce && this.#due.size > 0) {
      this.#lanes++
      lanes.push(this.#workLane())
    }
    return lanes
  }

  /**
   * When the object wants to be woken for its runs, epoch milliseconds: at once while runs are due, else `watchdogMs` from now while any
   * is running, so that an object which dies goes on by itself. Stays the same until it has passed. `null` when nothing is running.
   */
  nextWakeMs(): number | null {
    const now = this.#ports.clock.now()
    if (this.#due.size > 0 && this.#lanes === 0) return now
    if (!this.#runs.anyRunning()) this.#wakeAt = null
    // A clock that was set back must not put the watchdog off by more than its period.
    else if (this.#wakeAt === null || this.#wakeAt <= now || this.#wakeAt > now + this.#limits.watchdogMs)
      this.#wakeAt = now + this.#limits.watchdogMs
    return this.#wakeAt
  }

  /**
   * Ends a run as cancelled: its signals abort, its steps get `RUN_CANCELLED`, and no step of it begins any more. Whoever awaits it is
   * rejected at once; code that ignores the signal goes on unseen. A run that has ended stays as it is.
   *
   * @returns the run as it is then
   * @throws `RUN_UNKNOWN`
   */
  cancel(runId: string): RunRecord {
    const row = this.#runs.get(runId)
    if (row.status !== 'running') return toRunRecord(row)
    this.#unlaunched.delete(runId)
    this.#due.delete(runId)
    this.#executions.cancel(row)
    return toRunRecord(this.#runs.get(runId))
  }

  /**
   * The runs of this object, newest first, without their steps.
   * @param page `limit` 1 to 500, default 50; `before` the id of a run to go on behind
   * @throws `RUN_UNKNOWN` when `before` is gone
   */
  runs({ limit = 50, before }: { limit?: number; before?: string } = {}): RunView[] {
    const beforeSeq = before === undefined ? Number.MAX_SAFE_INTEGER : this.#runs.get(before).seq
    return this.#runs.page(beforeSeq, Math.min(Math.max(1, limit), runsShown)).map((row) => this.#runs.view(row))
  }

  /**
   * No step of this object that can still be attempted began before this instant, epoch milliseconds: runs that failed or were cancelled may be
   * retried for as long as `keepMs`.
   */
  oldestOpen(keepMs: number): number {
    const now = this.#ports.clock.now()
    return Math.min(now, this.#runs.oldestOpen(now - keepMs) ?? now)
  }

  /** Where runs stand; those that are not there, or not any more, are absent. */
  statuses(runIds: readonly string[]): Map<string, RunStatus> {
    return this.#runs.statuses(runIds)
  }

  /**
   * The runs whose ids begin with a text, the last of them in the order of ids first, without their steps.
   * @param page `limit` 1 to 500, default 50; `before` the id of a run to go on behind
   */
  runsNamed(prefix: string, { limit = 50, before }: { limit?: number; before?: string } = {}): RunView[] {
    return this.#runs.named(prefix, before, Math.min(Math.max(1, limit), runsShown)).map((row) => this.#runs.view(row))
  }

  /** A run with its first 2,000 steps. @throws `RUN_UNKNOWN` */
  run(runId: string): RunView {
    const row = this.#runs.get(runId)
    return { ...this.#runs.view(row), steps: this.#stepViews(row, -1, stepsShown) }
  }

  /**
   * The steps of a run in order of their first start, from number `from` on.
   * @param page `from` default 0; `limit` 1 to 2,000, default 2,000
   * @throws `RUN_UNKNOWN`
   */
  steps(runId: string, { from = 0, limit = stepsShown }: { from?: number; limit?: number } = {}): StepView[] {
    return this.#stepViews(this.#runs.get(runId), from - 1, Math.min(Math.max(1, limit), stepsShown))
  }

  /**
   * The result of a run that is done, as often as it is asked for; a stream as a `StoredStream`.
   * @throws the run's error; `RUN_NOT_ENDED` (retryable), `RUN_CANCELLED`, `RESULT_NOT_STORED`, `RUN_UNKNOWN`
   */
  result(runId: string): unknown {
    return this.#resultOf(this.#runs.get(runId))
  }

  /**
   * Removes runs that ended before an instant, with their steps and values, in a bite of bounded size: call again while `more` is true,
   * in a later turn. A run that is partly removed is not shown any more, and its id and key may be used anew once it is gone.
   */
  prune(beforeMs: number): { removed: number; more: boolean } {
    return this.#pruner.bite(beforeMs)
  }

  async #workLane(): Promise<void> {
    try {
      for (const runId of this.#due) {
        this.#due.delete(runId)
        // A failure of the run is in its row. A store that failed leaves the row running, and the watchdog comes again.
        await Promise.allSettled([this.launch(runId)])
      }
    } finally {
      this.#lanes--
    }
  }

  // Rows

  #insert(runId: string, key: string | undefined, target: RunTarget, attempt: number, args: unknown[]): RunRow {
    let row: RunRow | undefined
    this.#values.put(args, `The arguments of run '${runId}'`, (stored) => {
      row = this.#runs.insert(runId, key, target, attempt, stored, this.#ports.clock.now())
    })
    return row ?? this.#runs.get(runId)
  }

  #insertAdopted(runId: string, key: string | undefined, target: RunTarget, args: unknown[]): RunRow {
    try {
      return this.#insert(runId, key, target, 1, args)
    } catch (thrown) {
      if (codeOf(thrown) !== 'NOT_STORABLE' && codeOf(thrown) !== 'RESULT_TOO_LARGE') throw thrown
      const text = `u${storableError(thrown).message}`
      return this.#runs.insert(runId, key, target, 1, { text, valueId: null }, this.#ports.clock.now())
    }
  }

  #resultOf(row: RunRow): unknown {
    if (row.status === 'running') throw runUnderWay(row.run_id)
    if (row.status !== 'done') throw errorOf(row)
    return this.#values.get(row.result ?? '')
  }

  #stepViews(row: RunRow, afterOrdinal: number, limit: number): StepView[] {
    const live = this.#executions.find(row.run_id)?.steps
    return this.#steps
      .page(row.seq, afterOrdinal, limit)
      .map((step) => this.#steps.view(step, live?.get(step.stepId)?.progress ?? step.progress))
  }
}

/** @throws `INVALID_RUN_ID` */
function checkId(id: unknown, name: string): void {
  if (id === undefined || (typeof id === 'string' && id.length > 0 && id.length <= maxIdLength && id[0] !== '\n')) return
  throw new DotdoError(
    'INVALID_RUN_ID',
    `A ${name} is text of 1 to ${maxIdLength} characters that begins with no line break, not ${typeof id === 'string' ? `text of ${id.length}` : `a ${typeof id}`}.`,
    { data: { name } },
  )
}
