import { codeOf, DotdoError } from '../base/errors.ts'
import type { RunHead } from '../base/fleet-views.ts'
import { newId } from '../base/ids.ts'
import { migrate } from '../base/migrations.ts'
import { overloaded } from '../base/overload.ts'
import { pageSize } from '../base/pages.ts'
import { addSpent, readBudget, wholePrice, type Budget, type RunPrice, type Spent } from '../base/price.ts'
import type { RunLineage, RunStatus, RunTarget, RunView, StepView } from '../base/views.ts'
import type { AdoptedExecution } from './execution.ts'
import { Executions } from './executions.ts'
import { runCancelled, runExpired, runUnderWay, storableError } from './failures.ts'
import type { ActiveRun } from './active-run.ts'
import { originOf, type ForkOrigin } from './fork-origin.ts'
import { checkVersion, planFork, type ForkOptions } from './forks.ts'
import { heldOriginOf, type HeldOrigin } from './held-origin.ts'
import { LineageTable, type Caller } from './lineage.ts'
import { defaultLimits, type JournalLimits, type JournalPorts } from './ports.ts'
import { Pruner } from './pruner.ts'
import { matchOf } from './rest-runner.ts'
import {
  errorOf,
  readTarget,
  budgetOf,
  ownPrice,
  RunTable,
  statusOf,
  toRunRecord,
  type NewRun,
  type RunRecord,
  type RunRow,
} from './runs.ts'
import { matches, SignalTable, type ReceivedEvent } from './signals.ts'
import { StepTable } from './steps.ts'
import { journalMigrations } from './tables.ts'
import { ValueStore } from './values.ts'

/** A run shows at most this many of its steps at once; `steps` pages through more. */
const stepsShown = 2000

/** A list shows at most this many runs at once. */
const runsShown = 500

const maxIdLength = 512

/** A run has at most this many tags, of this many characters each. */
const maxTags = 20
const maxTagLength = 128

/** Runs that one sweep cancels at most. */
const expiredAtOnce = 100

/** How long a call that only its caller can take up is waited for when its object has died, before its run fails. */
const callerMs = 86_400_000

/** Parked runs that one look takes up at most; the next one follows at once. */
const parkedAtOnce = 1000

/** What starts a run. */
export interface RunStart {
  /** The run's id, 1 to 512 characters; a new one where absent. Starting an id again gives the run that there is. */
  runId?: string
  /** An idempotency key of the caller. Starting with a key again gives the run that there is, as long as that is kept. */
  key?: string
  target: RunTarget
  args: unknown[]
  /** Words to find it by, at most 20 of 1 to 128 characters. */
  tags?: readonly string[]
  /** The most that it may use. */
  budget?: Budget
  /** Whether it may be refused while too many wait. */
  mayBeRefused?: boolean
}

/** A call that is under way and becomes a run. */
export interface AdoptedCall {
  target: RunTarget
  args: unknown[]
  /** The key of the call. */
  key?: string
  /** Whose step calls, and the key that it gave. Stored with the run's row, so that it is known of runs that never end. */
  calledBy?: Caller | undefined
}

/**
 * Runs and their steps: what has happened already, and what is to be done again. Owns the tables `dotdo_runs`, `dotdo_run_tags`, `dotdo_steps`,
 * `dotdo_values`, `dotdo_signals` and `dotdo_rates`, and which runs are due.
 *
 * Invariants: 1. A run is executed at most once at a time: starting, launching, resuming and the watchdog join what is under way.
 * 2. A run whose row says `running` and that is not under way is due: either it was just started, or an earlier incarnation died.
 * 3. While a run is running, {@link Journal.nextWakeMs} is an instant; while it is parked, if it waits for one. 4. Nothing is held across an await but
 * memory. 5. A run that is held goes on only when its version is back, or somebody accepted the one that runs; or
 * when the code has again what it lacked.
 */
export class Journal {
  readonly #ports: JournalPorts
  readonly #limits: JournalLimits
  readonly #values: ValueStore
  readonly #runs: RunTable
  readonly #steps: StepTable
  readonly #signals: SignalTable
  readonly #lineage: LineageTable
  readonly #executions: Executions
  readonly #pruner: Pruner
  /** Runs inserted by this incarnation and not yet launched: nothing of them can have run. */
  readonly #unlaunched = new Set<string>()
  /** Runs to take up, in order, and how many lanes work on them. */
  readonly #due = new Set<string>()
  #lanes = 0
  #wakeAt: number | null = null
  #lookAt: number | null = null

  /** Opens or creates the tables. @throws `STATE_TOO_NEW` */
  constructor(ports: JournalPorts, limits: Partial<JournalLimits> = {}) {
    this.#ports = ports
    this.#limits = { ...defaultLimits, ...limits }
    migrate(ports.store, 'journal', journalMigrations)
    const { bucket, clock, random } = ports
    const spill = bucket && {
      bucket: bucket.of,
      prefix: bucket.prefix,
      clock,
      random,
      fromBytes: this.#limits.streamRowsBytes,
      moveFromBytes: this.#limits.resultRowsBytes,
    }
    this.#values = new ValueStore(ports.store, ports.compression, spill, () => ports.wake?.())
    this.#steps = new StepTable(ports.store, this.#values)
    this.#runs = new RunTable(ports.store, this.#values)
    this.#lineage = new LineageTable(ports.store)
    this.#signals = new SignalTable(ports.store, this.#values, this.#limits)
    const tables = { runs: this.#runs, steps: this.#steps, values: this.#values, signals: this.#signals, lineage: this.#lineage }
    this.#executions = new Executions(ports, this.#limits, tables, {
      start: (runId, parent, { target, args }, again) => this.#startChild(runId, parent, target, args, again),
      find: (runId) => this.#runs.find(runId),
      resultOf: (row) => this.#resultOf(row),
      childEnded: ({ seq, stepId }) => this.#goOn(seq, stepId),
      ended: () => {
        if (this.#due.size > 0) ports.wake?.()
      },
      cancelChild: (row) => void this.#cancel(row),
      untilEnd: (runId) => this.launch(runId),
    })
    this.#pruner = new Pruner(ports.store, this.#values)
  }

  /**
   * Writes the row of a run, synchronously and within the caller's transaction if there is one; nothing executes. Idempotent by id and
   * by key: a later start returns the first run, whatever its state, and its own target and arguments are not used.
   *
   * @throws `NOT_STORABLE`, `RESULT_TOO_LARGE` for the arguments, `INVALID_RUN_ID`, `INVALID_RUN_TAGS`, `INVALID_BUDGET`; `OVERLOADED` where it may be refused
   */
  start({ runId, key, target, args, tags, budget, mayBeRefused = false }: RunStart): RunRecord {
    const bound = budget && readBudget(budget)
    checkId(runId, 'run id')
    checkId(key, 'key')
    checkTags(tags)
    const known = (runId !== undefined && this.#runs.find(runId)) || (key !== undefined && this.#runs.findByKey(key))
    if (known) return toRunRecord(known)
    const { runsWaiting } = this.#limits
    if (mayBeRefused && this.#due.size >= runsWaiting) throw overloaded('A run', 'runsWaiting', runsWaiting, this.#ports.random)
    const id = runId ?? newId('run', this.#ports.clock, this.#ports.random)
    const row = this.#insert(this.#newRun({ runId: id, key, target, tags, budget: bound }), args)
    this.#unlaunched.add(id)
    return toRunRecord(row)
  }

  /**
   * Starts a run that begins with what another has come to: the results of the steps that began before `from` and are done, and its target and arguments.
   * It is a run of its own, with its own keys, but for what the code sends before it comes to the first own step: that has the origin's. A wait that it does
   * anew takes what came since the origin began and none of the origin's waits has taken. It may use as much as its origin might, or what it is given.
   * Idempotent by id and by key, as {@link start} is.
   *
   * @throws `RUN_UNKNOWN` for a run that there is not any more, too; `RUN_NOT_ENDED` (retryable), `STEP_UNKNOWN`, `RUN_VERSION_CHANGED`,
   *   `RUN_NOT_RESUMABLE`, `INVALID_FORK`, `INVALID_RUN_ID`, `INVALID_RUN_TAGS`, `INVALID_BUDGET`
   */
  fork(originId: string, options: ForkOptions = {}): RunRecord {
    const origin = this.#runs.get(originId)
    const taken = planFork(origin, options, this.#steps)
    const { runId, key, tags, from, budget, accept = false } = options
    const bound = budget === undefined ? budgetOf(origin) : readBudget(budget)
    checkId(runId, 'run id')
    checkId(key, 'key')
    checkTags(tags)
    const known = (runId !== undefined && this.#runs.find(runId)) || (key !== undefined && this.#runs.findByKey(key))
    if (known) return toRunRecord(known)
    checkVersion(origin, accept, this.#ports.codeVersion, this.#ports.deployPolicy ?? 'latest')
    const id = runId ?? newId('run', this.#ports.clock, this.#ports.random)
    const run = this.#newRun({
      runId: id,
      key,
      tags,
      target: readTarget(origin),
      budget: bound,
      signalsFrom: origin.signals_from,
      forked: { seq: origin.seq, from },
    })
    return this.#ports.store.transaction(() => {
      const row = this.#runs.insert(run, { text: origin.args, valueId: null }, this.#ports.clock.now())
      this.#steps.take(origin.seq, row.seq, taken.before, taken.around, taken.childPrefix)
      return toRunRecord(row)
    })
  }

  /**
   * What a rehearsed fork begins with and is compared with. Nothing is written. The version of the code is told, not refused.
   * @throws `RUN_UNKNOWN`, `RUN_NOT_ENDED`, `STEP_UNKNOWN`, `RUN_NOT_RESUMABLE`, `INVALID_FORK`
   */
  rehearse(originId: string, options: ForkOptions = {}): ForkOrigin {
    const { codeVersion } = this.#ports
    const tables = { runs: this.#runs, steps: this.#steps, values: this.#values, lineage: this.#lineage }
    return originOf(this.#runs.get(originId), options, tables, codeVersion)
  }

  /**
   * What a rehearsal of the rest of a run that is held begins with, and what it is compared with. Nothing is written.
   * @throws `RUN_UNKNOWN`, `RUN_NOT_HELD`, `RUN_NOT_RESUMABLE`
   */
  rehearseHeld(runId: string): HeldOrigin {
    const tables = { runs: this.#runs, steps: this.#steps, values: this.#values, lineage: this.#lineage }
    return heldOriginOf(this.#runs.get(runId), tables, this.#ports.codeVersion)
  }

  /**
   * Executes a run that was started, or joins the execution that is under way. A run that has ended is not executed again.
   *
   * @returns the run's result
   * @throws the run's error; `RUN_CANCELLED`, `RUN_CRASHED`, `RUN_NOT_RESUMABLE`, `RUN_HELD`, `UNDO_FAILED`, `RUN_UNKNOWN`
   */
  async launch(runId: string): Promise<unknown> {
    const active = this.#executions.find(runId)
    if (active) return active.outcome
    const row = this.#runs.get(runId)
    if (statusOf(row) !== 'running') return this.#resultOf(row)
    this.#due.delete(runId)
    return this.#executions.execute(row, this.#unlaunched.delete(runId))
  }

  /**
   * Executes a run as {@link launch} does, for those who keep the object alive meanwhile: resolves when it has ended or is parked, and never rejects. A
   * failure of the run is in its row. A store that failed leaves the row running, and the watchdog comes again.
   */
  async work(runId: string): Promise<void> {
    // Whoever awaits its result launches it all the same: a run that waits for another one must not wait for its own place.
    if (this.#isFull && !this.#executions.find(runId) && this.#runs.find(runId)?.status === 'running') return void this.#due.add(runId)
    await this.#workNow(runId)
  }

  async #workNow(runId: string): Promise<void> {
    const ended = Promise.allSettled([this.launch(runId)])
    await Promise.race([ended, this.#executions.find(runId)?.atRest ?? ended])
  }

  /**
   * Takes up a run that failed or was cancelled: steps that are done stay done, the others begin anew, and so do those that were undone. A run that is
   * held is accepted, one that is under way is joined, and one that is done answers with its result.
   *
   * @returns the run's result
   * @throws as {@link launch}
   */
  async retry(runId: string): Promise<unknown> {
    this.reopen(runId)
    return this.launch(runId)
  }

  /**
   * As {@link retry}, for whoever repeats by itself what a run was for, such as a delivery: nobody has said that another version of the code may go on with
   * it, so what a policy holds stays held, and what failed is held where it began with another version.
   *
   * @returns the run's result
   * @throws as {@link launch}
   */
  async repeat(runId: string): Promise<unknown> {
    const row = this.#runs.get(runId)
    if (row.status === 'failed' || row.status === 'cancelled') this.#reopen(row, row.version)
    return this.launch(runId)
  }

  /**
   * The first half of {@link retry}: the run is due, and nothing executes yet.
   * @param budget the most that it may use from its beginning on, in the place of what it was given before
   * @throws `RUN_UNKNOWN`, `INVALID_BUDGET`
   */
  reopen(runId: string, { budget }: { budget?: Budget } = {}): RunRecord {
    const row = this.#runs.get(runId)
    const bound = budget && readBudget(budget)
    if (bound && row.ended_at !== null && row.status !== 'done') this.#runs.putBudget(row.seq, bound)
    if (row.status === 'held') return this.accept(runId)
    if (row.status === 'failed' || row.status === 'cancelled') {
      this.#reopen(row, this.#ports.codeVersion ?? null)
      this.#nowDue(runId)
    }
    return toRunRecord(this.#runs.get(runId))
  }

  /**
   * Lets a run that is held go on with the code that runs now, which is its version from then on. Another run stays as it is.
   * @returns the run as it is then
   * @throws `RUN_UNKNOWN`
   */
  accept(runId: string): RunRecord {
    const row = this.#runs.get(runId)
    if (row.status === 'held') {
      this.#runs.release(row.seq, this.#ports.codeVersion ?? row.version)
      this.#nowDue(runId)
    }
    return toRunRecord(this.#runs.get(runId))
  }

  /**
   * Takes in an event that the object has received: waits for it end, and it is kept for those that begin later, those of runs that failed or were cancelled
   * and are retried or forked among them. An event is taken in once, by its id. To be called in the transaction that receives it.
   *
   * @throws `NOT_STORABLE`, `RESULT_TOO_LARGE`
   */
  signal(event: ReceivedEvent): void {
    // Nobody can wait for what came before it began; and a run that is done waits for nothing more.
    if (!this.#runs.anyMayWait() || this.#signals.has(event.id)) return
    const goOn: { seq: number; stepId: string }[] = []
    try {
      this.#ports.store.transaction(() => {
        this.#signals.add(event, this.#ports.clock.now())
        let taken: number | undefined
        for (const stored of this.#steps.waitingFor(event.type)) {
          // One wait of each run, the one that began first.
          if (stored.run === taken || !matches(matchOf(stored), event.payload)) continue
          taken = stored.run
          const row = this.#runs.findBySeq(stored.run)
          const live = row && this.#executions.find(row.run_id)?.steps.get(stored.stepId)
          this.#executions.restRunner.take(live ?? stored, event)
          goOn.push({ seq: stored.run, stepId: stored.stepId })
        }
      })
    } catch (thrown) {
      this.#signals.forgetLast()
      throw thrown
    }
    for (const { seq, stepId } of goOn) this.#goOn(seq, stepId)
  }

  /** @param version of the code that the run began with, from now on */
  #reopen(row: RunRow, version: string | null): void {
    this.#ports.store.transaction(() => {
      this.#runs.reopen(row.seq, version)
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
  adopt({ target, args, key, calledBy }: AdoptedCall): AdoptedExecution {
    checkId(key, 'key')
    const known = key === undefined ? undefined : this.#runs.findByKey(key)
    if (known && (statusOf(known) !== 'running' || this.#executions.find(known.run_id))) {
      throw new DotdoError(
        'RUN_KEY_TAKEN',
        `Key '${key}' belongs to run '${known.run_id}', which is ${statusOf(known)}. Await that run's result instead of calling again.`,
        {
          data: { key, runId: known.run_id, status: statusOf(known) },
          retryable: statusOf(known) === 'running',
        },
      )
    }
    const runId = newId('run', this.#ports.clock, this.#ports.random)
    const row = known ?? this.#insertAdopted(this.#newRun({ runId, key, target, attempt: 1, calledBy }), args)
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
    if (isLost) this.#reopen(row, row.version)
    return isLost || statusOf(row) === 'running' ? undefined : this.launch(row.run_id)
  }

  /** The run that a key belongs to. @returns `undefined` where there is none, or it was pruned */
  findByKey(key: string): RunRecord | undefined {
    const row = this.#runs.findByKey(key)
    return row && toRunRecord(row)
  }

  /**
   * To be called once when the object starts, before anything else: runs that an earlier incarnation left running become due, and
   * {@link nextWakeMs} says so. Those of calls under a key whose arguments are not stored wait a day for their callers first.
   */
  recover(): void {
    // A rollback gives runs that were held their own code back, a later version what it lacked.
    for (const row of this.#runs.held()) if (!this.#executions.heldBy(row)) this.#runs.release(row.seq, row.version)
    this.#find()
  }

  /** Runs whose rows say that they are running, and that nobody executes, are due. */
  #find(): void {
    for (const { seq, runId, attempt, awaitsCaller } of this.#runs.running()) {
      if (this.#executions.find(runId)) continue
      if (awaitsCaller) this.#runs.park(seq, this.#ports.clock.now() + callerMs, attempt)
      else this.#due.add(runId)
    }
  }

  /**
   * Takes up the runs that are due, at most `resumesAtOnce` at a time, the others as those end. Runs under way are left alone, so calling
   * it from every alarm is right.
   *
   * @returns one promise a lane, none of which rejects: how a run ends is in its row. Keep the object alive until they settle
   */
  resumeDue(): Promise<void>[] {
    this.#executions.rests.wakeDue()
    for (const row of this.#runs.parkedUntil(this.#ports.clock.now(), parkedAtOnce))
      if (this.#runs.unpark(row.seq)) this.#due.add(row.run_id)
    // It looks through all that have not ended: while some wait that are known, there is no need.
    if (this.#due.size === 0) this.#find()
    const lanes: Promise<void>[] = []
    while (this.#lanes < this.#limits.resumesAtOnce && this.#due.size > 0 && !this.#isFull) {
      this.#lanes++
      lanes.push(this.#workLane())
    }
    return lanes
  }

  /**
   * When the object wants to be woken for its runs, epoch milliseconds: at once while runs are due, else when the soonest of those that sleep goes on,
   * and `watchdogMs` from now while any is running, so that an object which dies goes on by itself; that stays the same until it has passed. While one is
   * held, `heldLookMs` from now.
   * `null` when nothing is running and nothing waits for an instant.
   */
  nextWakeMs(): number | null {
    const now = this.#ports.clock.now()
    if (this.#due.size > 0 && this.#lanes < this.#limits.resumesAtOnce && !this.#isFull) return now
    const { running, held, parkedUntil } = this.#runs.standing()
    this.#wakeAt = running ? nextLook(this.#wakeAt, now, this.#limits.watchdogMs) : null
    this.#lookAt = held ? nextLook(this.#lookAt, now, this.#limits.heldLookMs) : null
    let soonest = this.#wakeAt
    const moves = this.#values.moves.nextMs()
    // One that is under way, and ends with its object, is made again by then.
    const moveAt = moves === null ? null : Math.max(moves, now + this.#limits.watchdogMs)
    for (const at of [this.#lookAt, this.#executions.rests.nextMs(), parkedUntil, moveAt])
      if (at !== null && (soonest === null || at < soonest)) soonest = at
    return soonest
  }

  /** By when the object wants to be woken for a run that has just begun: {@link nextWakeMs} is no later from now on. Asks no row. */
  watchedBy(): number {
    return (this.#wakeAt = nextLook(this.#wakeAt, this.#ports.clock.now(), this.#limits.watchdogMs))
  }

  /** When the object is to be woken for the runs that are under way; null where none was when it was asked last. */
  get watchedAt(): number | null {
    return this.#wakeAt
  }

  /**
   * Ends a run as cancelled: its signals abort, its steps get `RUN_CANCELLED`, and no step of it begins any more. Whoever awaits it is
   * rejected at once; code that ignores the signal goes on unseen. One with steps that can be undone ends when they are, and is running until then.
   * A run that has ended stays as it is.
   *
   * @param options `undo: false`: nothing is undone, or nothing more; where anything was to be, the run and those that it has begun end with `UNDO_FAILED`
   * @returns the run as it is then
   * @throws `RUN_UNKNOWN`
   */
  cancel(runId: string, { undo = true }: { undo?: boolean } = {}): RunRecord {
    const record = this.#cancel(this.#runs.get(runId))
    if (undo || this.#runs.get(runId).status !== 'undoing') return record
    this.#giveUp(this.#runs.get(runId))
    return toRunRecord(this.#runs.get(runId))
  }

  #giveUp(row: RunRow): void {
    for (const child of this.#runs.openChildren(row.seq)) if (child.status === 'undoing') this.#giveUp(child)
    if (!this.#executions.find(row.run_id)) this.#due.delete(row.run_id)
    this.#executions.giveUp(row)
  }

  #cancel(row: RunRow, error = runCancelled(row.run_id)): RunRecord {
    const { run_id: runId, status } = row
    if (row.ended_at !== null || status === 'undoing') return toRunRecord(row)
    this.#unlaunched.delete(runId)
    this.#due.delete(runId)
    const undoing = this.#executions.cancel(row, error)
    if (undoing && !this.#executions.find(runId)) this.#nowDue(runId)
    return toRunRecord(this.#runs.get(runId))
  }

  /**
   * The runs of this object, newest first, without their steps.
   * @param page `limit` 1 to 500, default 50; `before` the id of a run to go on behind; `tag` one that they have
   * @throws `RUN_UNKNOWN` when `before` is gone
   */
  runs({ limit, before, tag }: { limit?: number; before?: string; tag?: string } = {}): RunView[] {
    const beforeSeq = before === undefined ? Number.MAX_SAFE_INTEGER : this.#runs.get(before).seq
    return this.#runs.page(beforeSeq, pageSize(limit, 50, runsShown), tag).map((row) => this.#runs.view(row))
  }

  /** What a run has used so far, by step and in sum. @throws `RUN_UNKNOWN` */
  price(runId: string): RunPrice {
    const row = this.#runs.get(runId)
    const now = this.#ports.clock.now()
    const { all, steps } = this.#spentBy(row)
    const budget = budgetOf(row)
    const ofSteps = steps.slice(0, stepsShown).map(({ stepId, startedAt, endedAt, spent }) => {
      return { stepId, wallMs: Math.max(0, (endedAt ?? now) - startedAt), ...wholePrice(spent) }
    })
    return { ...wholePrice(all), wallMs: Math.max(0, (row.ended_at ?? now) - row.started_at), ...(budget && { budget }), steps: ofSteps }
  }

  /** What a run has used, in sum and by those steps that have used something: what is in memory goes before what is stored. */
  #spentBy(row: RunRow): { all: Spent; steps: ReturnType<StepTable['prices']> } {
    const active = this.#executions.find(row.run_id)
    const all = { ...(active?.meter.own ?? ownPrice(row)) }
    const steps = this.#steps.prices(row.seq).map((step) => ({ ...step, spent: active?.steps.get(step.stepId)?.price ?? step.spent }))
    const known = new Set(steps.map(({ stepId }) => stepId))
    for (const { stepId, startedAt, endedAt, price } of active?.steps.values() ?? [])
      if (price && !known.has(stepId)) steps.push({ stepId, startedAt, endedAt, spent: price })
    for (const { spent } of steps) addSpent(all, spent)
    return { all, steps }
  }

  /** A run without its steps. @throws `RUN_UNKNOWN` */
  status(runId: string): RunView {
    return this.#runs.view(this.#runs.get(runId))
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

  /** What lists tell of some runs, without values; those that are not there, or not any more, are absent. */
  heads(runIds: readonly string[]): RunHead[] {
    return this.#runs.heads(runIds)
  }

  /** The ids of the runs that have not ended, and of the newest `limit` of all, oldest first. */
  newest(limit: number): string[] {
    return this.#runs.newest(limit)
  }

  /**
   * The runs whose ids begin with a text, the last of them in the order of ids first, without their steps.
   * @param page `limit` 1 to 500, default 50; `before` the id of a run to go on behind
   */
  runsNamed(prefix: string, { limit, before }: { limit?: number; before?: string } = {}): RunView[] {
    return this.#runs.named(prefix, before, pageSize(limit, 50, runsShown)).map((row) => this.#runs.view(row))
  }

  /** A run with its first 2,000 steps. @throws `RUN_UNKNOWN` */
  run(runId: string): RunView {
    const row = this.#runs.get(runId)
    const { all } = this.#spentBy(row)
    const price = Object.keys(all).length > 0 && { price: all }
    return { ...this.#runs.view(row), ...price, steps: this.#stepViews(row, -1, stepsShown) }
  }

  /**
   * The steps of a run in order of their first start, from number `from` on.
   * @param page `from` default 0; `limit` 1 to 2,000, default 2,000
   * @throws `RUN_UNKNOWN`
   */
  steps(runId: string, { from = 0, limit }: { from?: number; limit?: number } = {}): StepView[] {
    return this.#stepViews(this.#runs.get(runId), from - 1, pageSize(limit, stepsShown, stepsShown))
  }

  /**
   * What a run and its steps called, read and wrote, as far as they have ended.
   * @param object the object that this journal is of, as `Noun/name`
   * @throws `RUN_UNKNOWN`
   */
  lineage(runId: string, object: string): RunLineage {
    const row = this.#runs.get(runId)
    const { target, status, startedAt, endedAt, parent, forkedFrom } = this.#runs.view(row)
    const noted = [...this.#lineage.read(row.seq)].map(([stepId, edges]) => ({
      stepId,
      step: stepId === '' ? undefined : this.#steps.find(row.seq, stepId),
      edges: edges.filter(({ kind }) => kind !== 'by'),
    }))
    const steps = noted
      .toSorted((a, b) => (a.step?.ordinal ?? Infinity) - (b.step?.ordinal ?? Infinity) || 0)
      .map(({ stepId, step, edges }) => ({
        ...(stepId !== '' && { stepId }),
        ...(step && { status: step.status, startedAt: step.startedAt, ...(step.endedAt !== null && { endedAt: step.endedAt }) }),
        edges,
      }))
    const by = this.#lineage.calledBy(row.seq)
    return {
      object,
      runId,
      target,
      status,
      startedAt,
      ...(endedAt !== undefined && { endedAt }),
      ...(parent && { parent }),
      ...(forkedFrom && { forkedFrom }),
      ...(by && { calledBy: by }),
      steps: steps.filter(({ edges }) => edges.length > 0),
    }
  }

  /**
   * The result of a run that is done, as often as it is asked for; a stream as a `StoredStream`, a large one that lies in the bucket as a promise.
   * @throws the run's error; `RUN_NOT_ENDED` and `RUN_HELD` (retryable), `RUN_CANCELLED`, `RESULT_NOT_STORED`, `RUN_UNKNOWN`
   */
  result(runId: string): unknown {
    return this.#resultOf(this.#runs.get(runId))
  }

  /**
   * Removes runs that ended before an instant, with their steps and values, in a bite of bounded size: call again while `more` is true,
   * in a later turn. A run that is partly removed is not shown any more, and its id and key may be used anew once it is gone.
   */
  prune(beforeMs: number): { removed: number; more: boolean } {
    const { removed, more } = this.#pruner.bite(beforeMs)
    return { removed, more: this.#pruner.biteSignals(this.#signals, this.#ports.clock.now(), beforeMs) || more }
  }

  /**
   * Takes a slice of what has been kept for long enough: runs `runsMs` after their end; and cancels, with `RUN_EXPIRED`, those that began `waitingMs` ago and
   * that only somebody's word could end. Answers whether there may be more.
   */
  sweep({ runsMs, waitingMs }: { runsMs: number; waitingMs: number }): boolean {
    const now = this.#ports.clock.now()
    const waiting = this.#runs.waitingSince(now - waitingMs, expiredAtOnce)
    for (const row of waiting) this.#cancel(row, runExpired(row.run_id, row.started_at, waitingMs))
    return this.prune(now - runsMs).more || waiting.length === expiredAtOnce
  }

  /** Whether so many bytes more fit into the object's storage. Asking costs nothing that stays, and stops nobody. */
  hasRoom(bytes: number): boolean {
    return this.#values.hasRoom(bytes)
  }

  /**
   * Moves large results into the bucket, and deletes what is there and no step names any more. Resolves when that is done; rejects with what the bucket
   * says, and a later call goes on.
   */
  async sweepBucket(): Promise<void> {
    try {
      await this.#values.moves.run()
    } finally {
      await this.#values.spills.sweep()
    }
  }

  /** Whether {@link sweepBucket} has a result to move now. */
  get hasToMove(): boolean {
    return (this.#values.moves.nextMs() ?? Infinity) <= this.#ports.clock.now()
  }

  /** When {@link sweep} or {@link sweepBucket} has something to do, epoch milliseconds; null where there is nothing that will ever be over. */
  nextSweepMs({ runsMs, waitingMs }: { runsMs: number; waitingMs: number }): number | null {
    const instants = [
      this.#pruner.nextMs(runsMs, this.#limits.signalWindowMs),
      this.#runs.oldestWaiting(waitingMs),
      this.#values.spills.nextMs(),
    ]
    const known = instants.filter((it) => it !== null)
    return known.length === 0 ? null : Math.min(...known)
  }

  /** Whether as many runs execute as may at once. */
  get #isFull(): boolean {
    return this.#executions.working >= this.#limits.runsUnderWay
  }

  async #workLane(): Promise<void> {
    try {
      for (const runId of this.#due) {
        if (this.#isFull) break
        this.#due.delete(runId)
        await this.#workNow(runId)
      }
    } finally {
      this.#lanes--
    }
  }

  // Rows

  #newRun(run: Pick<NewRun, 'runId' | 'target'> & Partial<NewRun>): NewRun {
    const defaults = { key: undefined, attempt: 0, tags: undefined, parent: undefined, budget: undefined, calledBy: undefined }
    return { ...defaults, version: this.#ports.codeVersion, signalsFrom: this.#signals.last, ...run }
  }

  #insert(run: NewRun, args: unknown[]): RunRow {
    let row: RunRow | undefined
    this.#values.put(args, `The arguments of run '${run.runId}'`, (stored) => {
      row = this.#runs.insert(run, stored, this.#ports.clock.now())
    })
    return row ?? this.#runs.get(run.runId)
  }

  #insertAdopted(run: NewRun, args: unknown[]): RunRow {
    try {
      return this.#insert(run, args)
    } catch (thrown) {
      if (codeOf(thrown) !== 'NOT_STORABLE' && codeOf(thrown) !== 'RESULT_TOO_LARGE') throw thrown
      const text = `u${storableError(thrown).message}`
      return this.#runs.insert(run, { text, valueId: null }, this.#ports.clock.now())
    }
  }

  #startChild(runId: string, parent: { seq: number; stepId: string }, target: RunTarget, args: unknown[], again: boolean): RunRow {
    const known = this.#runs.find(runId)
    if (known && again) this.reopen(runId)
    if (!known) {
      checkId(runId, 'run id')
      // What came since the run began that waits for it may be for either.
      const signalsFrom = this.#runs.findBySeq(parent.seq)?.signals_from ?? this.#signals.last
      this.#insert(this.#newRun({ runId, target, parent, signalsFrom }), args)
      this.#unlaunched.add(runId)
    }
    // It ends in its own row, and whoever waits is told of that.
    if (!known || again) this.launch(runId).catch(() => undefined)
    return this.#runs.get(runId)
  }

  /** A step of a run has what it waited for, in its row. */
  #goOn(seq: number, stepId: string): void {
    const row = this.#runs.findBySeq(seq)
    if (!row) return
    const active: ActiveRun | undefined = this.#executions.find(row.run_id)
    if (active) active.awaited.get(stepId)?.wake()
    else if (this.#runs.unpark(seq)) this.#nowDue(row.run_id)
  }

  #nowDue(runId: string): void {
    this.#due.add(runId)
    this.#ports.wake?.()
  }

  #resultOf(row: RunRow): unknown {
    if (statusOf(row) === 'running') throw runUnderWay(row.run_id)
    if (row.status !== 'done') throw errorOf(row)
    return this.#values.get(row.result ?? '')
  }

  #stepViews(row: RunRow, afterOrdinal: number, limit: number): StepView[] {
    this.#executions.writeRows(row.run_id)
    const live = this.#executions.find(row.run_id)?.steps
    const steps = this.#steps.page(row.seq, afterOrdinal, limit)
    const waits = steps.some(({ kind, endedAt }) => kind === 'run' && endedAt === null)
    const held = new Map(waits ? this.#runs.heldBelow(row.seq).map(({ step, runId }) => [step, `run ${runId}, which is held`]) : [])
    return steps.map((step) => {
      const view = this.#steps.view(step, live?.get(step.stepId)?.progress ?? step.progress)
      const waitsFor = step.endedAt === null ? held.get(step.stepId) : undefined
      return waitsFor === undefined ? view : { ...view, waitsFor }
    })
  }
}

/** When to look next, every `ms`. A clock that was set back must not put it off by more than that. */
function nextLook(at: number | null, now: number, ms: number): number {
  return at === null || at <= now || at > now + ms ? now + ms : at
}

/** @throws `INVALID_RUN_TAGS` */
function checkTags(tags: unknown): void {
  const isTag = (tag: unknown): boolean => typeof tag === 'string' && tag.length > 0 && tag.length <= maxTagLength && tag.isWellFormed()
  if (tags === undefined || (Array.isArray(tags) && tags.length <= maxTags && tags.every(isTag))) return
  throw new DotdoError(
    'INVALID_RUN_TAGS',
    `The tags of a run are a list of at most ${maxTags} well-formed texts of 1 to ${maxTagLength} characters. Leave out what nobody looks for.`,
    { data: { maxTags, maxTagLength } },
  )
}

/** @throws `INVALID_RUN_ID` */
function checkId(id: unknown, name: string): void {
  // SQLite cannot tell texts apart that differ in halves of characters: two runs would be one.
  if (id === undefined || (typeof id === 'string' && id.length > 0 && id.length <= maxIdLength && id[0] !== '\n' && id.isWellFormed()))
    return
  throw new DotdoError(
    'INVALID_RUN_ID',
    `A ${name} is well-formed text of 1 to ${maxIdLength} characters that begins with no line break, not ${typeof id === 'string' ? `text of ${id.length}` : `a ${typeof id}`}.`,
    { data: { name } },
  )
}
