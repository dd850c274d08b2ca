import { decodeValue, encodeValue } from '../base/codec.ts'
import { DotdoError, fromErrorRecord, type ErrorRecord } from '../base/errors.ts'
import type { Store } from '../base/ports.ts'
import type { Budget, Spent } from '../base/price.ts'
import type { RunHead } from '../base/fleet-views.ts'
import type { RunStatus, RunTarget, RunView } from '../base/views.ts'
import { encodeError } from './failures.ts'
import { encodeEdges, edgeBy, type Caller } from './lineage.ts'
import type { Stored, ValueStore } from './values.ts'

/** A run as the callers of the journal see it; its arguments and results are behind their own calls. */
export interface RunRecord {
  runId: string
  key?: string
  target: RunTarget
  status: RunStatus
  /** Executions begun, 0 before the first. */
  attempt: number
  /** Epoch milliseconds. */
  startedAt: number
  endedAt?: number
}

/** What a row says of where its run stands; see tables.ts for those that people do not see as such. */
export type StoredStatus = RunStatus | 'parked' | 'undoing'

/** How a run is to end when its steps have been undone. */
export interface Ending {
  status: 'failed' | 'cancelled'
  error: ErrorRecord
}

/** A row of `dotdo_runs`. */
export type RunRow = {
  seq: number
  run_id: string
  key: string | null
  target: string
  status: StoredStatus
  attempt: number
  args: string
  result: string | null
  error: string | null
  started_at: number
  ended_at: number | null
  version: string | null
  tags: string | null
  wake_at: number | null
  resumes_from: number
  parent: number | null
  parent_step: string | null
  ending: string | null
  signals_from: number
  budget: string | null
  price: string | null
  forked_from: number | null
  forked_at: string | null
}

/** What decides whether a run is held. */
export type HeldRow = Pick<RunRow, 'seq' | 'run_id' | 'version' | 'target' | 'ending' | 'args'>

/** What a run is started with, as its row takes it. */
export interface NewRun {
  runId: string
  key: string | undefined
  target: RunTarget
  attempt: number
  tags: readonly string[] | undefined
  version: string | undefined
  parent: { seq: number; stepId: string } | undefined
  /** The number of the last signal that came before it. */
  signalsFrom: number
  budget: Budget | undefined
  /** The call that it is. */
  calledBy: Caller | undefined
  /** Whose results it begins with, and the first step that is its own. */
  forked?: { seq: number; from: string | undefined }
}

const columns =
  'seq, run_id, key, target, status, attempt, args, result, error, started_at, ended_at, version, tags, wake_at, resumes_from, parent, parent_step, ending, signals_from, forked_from, forked_at, budget, price'

/** Runs that neither time nor code takes further. */
const waiting = `(status = 'held' OR (status = 'parked' AND wake_at IS NULL))`

/** Runs that have not ended: each kind of them is found by an index of its own. */
const openRuns = ['running', 'parked', 'held', 'undoing']
  .map((status) => `SELECT seq, run_id, started_at FROM dotdo_runs WHERE status = '${status}'`)
  .join(' UNION ALL ')

/**
 * Reads and writes `dotdo_runs`. What may follow on what is decided by the journal.
 *
 * Owns whether any run can come to a wait, where the answer was no: it is asked for each event that the object sends or receives, and most objects that do have no
 * run at all. Invariant: every write here forgets it. Of those elsewhere none makes a run that waits, nor is any event sent in their transactions.
 */
export class RunTable {
  readonly #store: Store
  readonly #values: ValueStore
  #noneMayWait = false

  constructor(store: Store, values: ValueStore) {
    const write: Store['sql'] = (statement, ...parameters) => {
      if (!statement.startsWith('SELECT')) this.#noneMayWait = false
      return store.sql(statement, ...parameters)
    }
    this.#store = { sql: write, transaction: (work) => store.transaction(work) }
    this.#values = values
  }

  /** @returns `undefined` where there is none, or it was pruned */
  find(runId: string): RunRow | undefined {
    return this.#store.sql<RunRow>(`SELECT ${columns} FROM dotdo_runs WHERE run_id = ? AND status <> 'pruned'`, runId)[0]
  }

  findByKey(key: string): RunRow | undefined {
    return this.#store.sql<RunRow>(`SELECT ${columns} FROM dotdo_runs WHERE key = ? AND status <> 'pruned'`, key)[0]
  }

  /** @throws `RUN_UNKNOWN` */
  get(runId: string): RunRow {
    const row = this.find(runId)
    if (row) return row
    throw new DotdoError(
      'RUN_UNKNOWN',
      `This object has no run '${runId}'. It may have been pruned after its retention; runs() lists those that exist.`,
      { data: { runId } },
    )
  }

  insert(run: NewRun, args: Stored, now: number): RunRow {
    const row: Omit<RunRow, 'seq'> = {
      run_id: run.runId,
      key: run.key ?? null,
      target: JSON.stringify(run.target),
      status: 'running',
      attempt: run.attempt,
      args: args.text,
      result: null,
      error: null,
      started_at: now,
      ended_at: null,
      version: run.version ?? null,
      tags: run.tags && run.tags.length > 0 ? JSON.stringify(run.tags) : null,
      wake_at: null,
      resumes_from: 0,
      parent: run.parent?.seq ?? null,
      parent_step: run.parent?.stepId ?? null,
      ending: null,
      signals_from: run.signalsFrom,
      forked_from: run.forked?.seq ?? null,
      forked_at: run.forked?.from ?? null,
      budget: encodeBudget(run.budget),
      price: null,
    }
    // What the table fills in stands above, so that a row which was just written need not be read.
    const { seq } = this.#store.sql<Pick<RunRow, 'seq'>>(
      `INSERT INTO dotdo_runs (run_id, key, target, status, attempt, args, args_value, started_at, version, tags, parent, parent_step, signals_from, forked_from, forked_at, budget, lineage)
        VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`,
      row.run_id,
      row.key,
      row.target,
      row.attempt,
      row.args,
      args.valueId,
      row.started_at,
      row.version,
      row.tags,
      row.parent,
      row.parent_step,
      row.signals_from,
      row.forked_from,
      row.forked_at,
      row.budget,
      run.calledBy ? encodeEdges([edgeBy(run.calledBy)]) : null,
    )[0]!
    if (row.tags !== null)
      this.#store.sql('INSERT OR IGNORE INTO dotdo_run_tags (tag, run) SELECT value, ? FROM json_each(?)', seq, row.tags)
    return { seq, ...row }
  }

  /** Writes what a run has used outside of its steps. */
  putPrice(seq: number, spent: Spent): void {
    this.#store.sql('UPDATE dotdo_runs SET price = ? WHERE seq = ?', JSON.stringify(spent), seq)
  }

  /** Gives a run another budget. */
  putBudget(seq: number, budget: Budget): void {
    this.#store.sql('UPDATE dotdo_runs SET budget = ? WHERE seq = ?', encodeBudget(budget), seq)
  }

  /** Counts one more execution. */
  began(seq: number, attempt: number): void {
    this.#store.sql('UPDATE dotdo_runs SET attempt = ? WHERE seq = ?', attempt, seq)
  }

  /** Writes that nothing of a run need be in memory until an instant, or until something comes for it. What it did so far is no crash. */
  park(seq: number, wakeAt: number | null, attempt: number): void {
    this.#store.sql(
      `UPDATE dotdo_runs SET status = 'parked', wake_at = ?, resumes_from = ? WHERE seq = ? AND status = 'running'`,
      wakeAt,
      attempt,
      seq,
    )
  }

  /** Writes that a run goes on. Returns whether it was parked. */
  unpark(seq: number): boolean {
    return (
      this.#store.sql(`UPDATE dotdo_runs SET status = 'running', wake_at = NULL WHERE seq = ? AND status = 'parked' RETURNING seq`, seq)
        .length > 0
    )
  }

  /** Runs that are parked until an instant that has come, the one that has waited longest first. */
  parkedUntil(now: number, limit: number): RunRow[] {
    return this.#store.sql<RunRow>(
      `SELECT ${columns} FROM dotdo_runs WHERE status = 'parked' AND wake_at <= ? ORDER BY wake_at LIMIT (? + 0)`,
      now,
      limit,
    )
  }

  /** Writes that a policy keeps a run from going on. */
  hold(seq: number, reason: ErrorRecord): void {
    this.#store.sql(`UPDATE dotdo_runs SET status = 'held', error = ?, wake_at = NULL WHERE seq = ?`, encodeError(reason), seq)
  }

  /** Lets a run that was held go on, from now on as one of `version`. */
  release(seq: number, version: string | null): void {
    this.#store.sql(
      `UPDATE dotdo_runs SET status = CASE WHEN ending IS NULL THEN 'running' ELSE 'undoing' END, error = NULL, version = ? WHERE seq = ?`,
      version,
      seq,
    )
  }

  /** The runs that are held. */
  held(): HeldRow[] {
    return this.#store.sql<HeldRow>(
      `SELECT seq, run_id, version, target, ending, substr(args, 1, 1) AS args FROM dotdo_runs WHERE status = 'held' AND version IS NULL
       UNION ALL SELECT seq, run_id, version, target, ending, substr(args, 1, 1) AS args FROM dotdo_runs WHERE status = 'held' AND version >= ''`,
    )
  }

  /**
   * Writes how a run will end when its steps are undone; from then on no step of it begins that undoes nothing.
   * @param version of the code that may undo them; `undefined`: the one that the run has
   */
  undoing(seq: number, ending: Ending, version?: string): void {
    this.#store.sql(
      `UPDATE dotdo_runs SET status = 'undoing', wake_at = NULL, version = COALESCE(?, version), ending = ?, error = ? WHERE seq = ?`,
      version ?? null,
      encodeValue(ending, 'the end of a run'),
      encodeError(ending.error),
      seq,
    )
  }

  /** The runs that a run has begun and that have not ended. */
  openChildren(seq: number): RunRow[] {
    return this.#store.sql<RunRow>(`SELECT ${columns} FROM dotdo_runs WHERE parent = ? AND ended_at IS NULL`, seq)
  }

  /** The runs that are held below a run, at any depth, each with the step of this run that waits for it. */
  heldBelow(seq: number): { step: string; runId: string }[] {
    return this.#store
      .sql<{ step: string; run_id: string }>(
        `WITH RECURSIVE below(step, seq, run_id, status) AS (
          SELECT parent_step, seq, run_id, status FROM dotdo_runs WHERE parent = ? AND ended_at IS NULL
          UNION ALL SELECT step, child.seq, child.run_id, child.status FROM below JOIN dotdo_runs AS child
            ON child.parent = below.seq AND child.ended_at IS NULL)
        SELECT step, run_id FROM below WHERE status = 'held'`,
        seq,
      )
      .map(({ step, run_id: runId }) => ({ step, runId }))
  }

  findBySeq(seq: number): RunRow | undefined {
    return this.#store.sql<RunRow>(`SELECT ${columns} FROM dotdo_runs WHERE seq = ?`, seq)[0]
  }

  /** Whether any run can come to a wait still: one that has not ended, or that may be retried. Only then can a wait be for what is received now. */
  anyMayWait(): boolean {
    if (this.#noneMayWait) return false
    const any =
      this.#store.sql(
        `SELECT 1 WHERE EXISTS (SELECT 1 FROM dotdo_runs WHERE status = 'running') OR EXISTS (SELECT 1 FROM dotdo_runs WHERE status = 'parked')
          OR EXISTS (SELECT 1 FROM dotdo_runs WHERE status = 'held') OR EXISTS (SELECT 1 FROM dotdo_runs WHERE status = 'undoing')
          OR EXISTS (SELECT 1 FROM dotdo_runs WHERE status IN ('failed', 'cancelled'))`,
      ).length > 0
    this.#noneMayWait = !any
    return any
  }

  done(seq: number, result: Stored, now: number): void {
    this.#store.sql(
      `UPDATE dotdo_runs SET status = 'done', result = ?, result_value = ?, ended_at = ? WHERE seq = ?`,
      result.text,
      result.valueId,
      now,
      seq,
    )
  }

  ended(seq: number, status: 'failed' | 'cancelled', error: ErrorRecord, now: number): void {
    this.#store.sql('UPDATE dotdo_runs SET status = ?, error = ?, ended_at = ? WHERE seq = ?', status, encodeError(error), now, seq)
  }

  /** Takes back the end of a run: it is running again, with all of its resumes, as one of `version`. */
  reopen(seq: number, version: string | null): void {
    this.#store.sql(
      `UPDATE dotdo_runs SET status = 'running', resumes_from = attempt, error = NULL, ending = NULL, ended_at = NULL, version = COALESCE(?, version) WHERE seq = ?`,
      version,
      seq,
    )
  }

  /** Runs that began before an instant and that nothing but somebody's word can end, the oldest first. */
  waitingSince(beforeMs: number, limit: number): RunRow[] {
    return this.#store.sql<RunRow>(
      `SELECT ${columns} FROM dotdo_runs WHERE ${waiting} AND started_at <= ? ORDER BY started_at LIMIT (? + 0)`,
      beforeMs,
      limit,
    )
  }

  /** When the first of these will have waited for so long. */
  oldestWaiting(waitingMs: number): number | null {
    const at = this.#store.sql(`SELECT MIN(started_at) AS at FROM dotdo_runs WHERE ${waiting}`)[0]?.at
    return typeof at === 'number' ? at + waitingMs : null
  }

  /**
   * What there is to be awake for, in one statement, since it is asked after each turn. `running`: whether any run is running or being undone, what a death of
   * the object would interrupt. `held`: whether any is. `parkedUntil`: when the next parked one goes on, null where none has an instant.
   */
  standing(): { running: boolean; held: boolean; parkedUntil: number | null } {
    const [row] = this.#store.sql<{ running: number; held: number; at: number | null }>(
      `SELECT EXISTS (SELECT 1 FROM dotdo_runs WHERE status = 'running') OR EXISTS (SELECT 1 FROM dotdo_runs WHERE status = 'undoing') AS running,
        EXISTS (SELECT 1 FROM dotdo_runs WHERE status = 'held') AS held,
        (SELECT MIN(wake_at) FROM dotdo_runs WHERE status = 'parked') AS at`,
    )
    return { running: row!.running === 1, held: row!.held === 1, parkedUntil: row!.at }
  }

  /** When the first of the runs began that have not ended, or not well and after `endedAfter`. */
  oldestOpen(endedAfter: number): number | null {
    const running = `SELECT min(started_at) AS at FROM (${openRuns})`
    const ended = `SELECT min(started_at) AS at FROM dotdo_runs WHERE ended_at > ? AND status IN ('failed', 'cancelled')`
    const rows = [...this.#store.sql<{ at: number | null }>(running), ...this.#store.sql<{ at: number | null }>(ended, endedAfter)]
    const instants = rows.flatMap(({ at }) => (at === null ? [] : [at]))
    return instants.length === 0 ? null : Math.min(...instants)
  }

  /**
   * All runs that are running or being undone, oldest first. `awaitsCaller`: only whoever called under its key can take it up, because its arguments are in
   * no row, and nobody has been waited for since it went on last.
   */
  running(): { seq: number; runId: string; attempt: number; awaitsCaller: boolean }[] {
    return this.#store
      .sql<{ seq: number; run_id: string; attempt: number; awaits: number }>(
        `SELECT * FROM (SELECT seq, run_id, attempt, key IS NOT NULL AND resumes_from < attempt AND substr(args, 1, 1) = 'u' AS awaits
         FROM dotdo_runs WHERE status = 'running'
         UNION ALL SELECT seq, run_id, attempt, 0 FROM dotdo_runs WHERE status = 'undoing') ORDER BY seq`,
      )
      .map(({ seq, run_id, attempt, awaits }) => ({ seq, runId: run_id, attempt, awaitsCaller: awaits === 1 }))
  }

  /** Newest first, those with a tag where one is given. */
  page(beforeSeq: number, limit: number, tag?: string): RunRow[] {
    if (tag === undefined) {
      return this.#store.sql<RunRow>(
        `SELECT ${columns} FROM dotdo_runs WHERE seq < ? AND status <> 'pruned' ORDER BY seq DESC LIMIT (? + 0)`,
        beforeSeq,
        limit,
      )
    }
    return this.#store.sql<RunRow>(
      `SELECT ${columns} FROM dotdo_run_tags CROSS JOIN dotdo_runs ON seq = run WHERE tag = ? AND run < ? AND status <> 'pruned'
        ORDER BY run DESC LIMIT (? + 0)`,
      tag,
      beforeSeq,
      limit,
    )
  }

  /** What lists tell of some runs, without values; those that are not there, or not any more, are absent. */
  heads(runIds: readonly string[]): RunHead[] {
    const rows = this.#store.sql<RunRow>(
      `SELECT ${columns} FROM dotdo_runs WHERE run_id IN (SELECT value FROM json_each(?)) AND status <> 'pruned'`,
      JSON.stringify(runIds),
    )
    return rows.map((row) => ({ ...headOf(row), ...this.#originOf(row) }))
  }

  /** The ids of those that have not ended, and of the newest of the others, oldest first. */
  newest(limit: number): string[] {
    const rows = this.#store.sql<{ run_id: string }>(
      `SELECT run_id, seq FROM (${openRuns}) UNION SELECT * FROM (SELECT run_id, seq FROM dotdo_runs WHERE status <> 'pruned' ORDER BY seq DESC LIMIT (? + 0)) ORDER BY seq`,
      limit,
    )
    return rows.map((row) => row.run_id)
  }

  statuses(runIds: readonly string[]): Map<string, RunStatus> {
    const rows = this.#store.sql<Pick<RunRow, 'run_id' | 'status'>>(
      `SELECT run_id, status FROM dotdo_runs WHERE run_id IN (SELECT value FROM json_each(?)) AND status <> 'pruned'`,
      JSON.stringify(runIds),
    )
    return new Map(rows.map((row) => [row.run_id, statusOf(row)]))
  }

  /** Those whose ids begin with a text, in falling order of ids: U+10FFFF is behind whatever follows it. */
  named(prefix: string, before: string | undefined, limit: number): RunRow[] {
    return this.#store.sql<RunRow>(
      `SELECT ${columns} FROM dotdo_runs WHERE run_id >= ? AND run_id < ? AND status <> 'pruned' ORDER BY run_id DESC LIMIT (? + 0)`,
      prefix,
      before ?? `${prefix}\u{10FFFF}`,
      limit,
    )
  }

  view(row: RunRow): RunView {
    return {
      ...timesOf(row),
      input: this.#values.preview(row.args),
      ...(row.result !== null && { result: this.#values.preview(row.result) }),
      ...(row.error !== null && { error: readError(row.error) }),
      ...labelsOf(row),
      ...(row.status === 'parked' && { parked: row.wake_at === null ? {} : { until: row.wake_at } }),
      ...(row.status === 'undoing' && { undoing: true as const }),
      ...(row.budget !== null && { budget: budgetOf(row)! }),
      ...this.#parentOf(row),
      ...this.#originOf(row),
    }
  }

  #originOf(row: RunRow): Pick<RunView, 'forkedFrom'> {
    // Kept as long as its forks are.
    const origin = row.forked_from === null ? undefined : this.findBySeq(row.forked_from)
    return origin ? { forkedFrom: { runId: origin.run_id, ...(row.forked_at !== null && { stepId: row.forked_at }) } } : {}
  }

  #parentOf(row: RunRow): Pick<RunView, 'parent'> {
    const parent = row.parent === null ? undefined : this.findBySeq(row.parent)
    return parent && row.parent_step !== null ? { parent: { runId: parent.run_id, stepId: row.parent_step } } : {}
  }
}

/** Where a run stands for those outside: parked and being undone, it has not ended, so it is running. */
export function statusOf({ status }: Pick<RunRow, 'status'>): RunStatus {
  return status === 'parked' || status === 'undoing' ? 'running' : status
}

/** What a run may use at most. */
export function budgetOf(row: Pick<RunRow, 'budget'>): Budget | undefined {
  return row.budget === null ? undefined : (JSON.parse(row.budget) as Budget)
}

/** A budget as a column takes it; one that bounds nothing is none. */
function encodeBudget(budget: Budget | undefined): string | null {
  return budget && Object.keys(budget).length > 0 ? JSON.stringify(budget) : null
}

/** What a row says that a run has used outside of its steps. */
export function ownPrice(row: Pick<RunRow, 'price'>): Spent {
  return row.price === null ? {} : (JSON.parse(row.price) as Spent)
}

/** How a run that is being undone is to end. */
export function endingOf(row: Pick<RunRow, 'ending'>): Ending | undefined {
  return row.ending === null ? undefined : (decodeValue(row.ending) as Ending)
}

/** What a run is, how it stands, and since when. */
function timesOf(row: RunRow): Pick<RunView, 'runId' | 'target' | 'status' | 'attempt' | 'startedAt' | 'endedAt'> {
  return {
    runId: row.run_id,
    target: readTarget(row),
    status: statusOf(row),
    attempt: Math.max(1, row.attempt),
    startedAt: row.started_at,
    ...(row.ended_at !== null && { endedAt: row.ended_at }),
  }
}

/** By what a run is found, and the code that it began on. */
function labelsOf(row: RunRow): Pick<RunView, 'tags' | 'version'> {
  return {
    ...(row.tags !== null && { tags: JSON.parse(row.tags) as string[] }),
    ...(row.version !== null && { version: row.version }),
  }
}

/** A row as lists of many objects tell of it. */
function headOf(row: RunRow): RunHead {
  const error = row.error === null ? undefined : readError(row.error)
  return {
    ...timesOf(row),
    ...(error && {
      error: { name: error.name, message: error.message.slice(0, 500), ...(error.code !== undefined && { code: error.code }) },
    }),
    ...labelsOf(row),
  }
}

/** A row as the journal tells of it to its callers. */
export function toRunRecord(row: RunRow): RunRecord {
  return {
    runId: row.run_id,
    ...(row.key !== null && { key: row.key }),
    target: readTarget(row),
    status: statusOf(row),
    attempt: row.attempt,
    startedAt: row.started_at,
    ...(row.ended_at !== null && { endedAt: row.ended_at }),
  }
}

// What the readers below cast was written by this room, and migrations guard its version.
/** What a row says started its run. */
export function readTarget(row: Pick<RunRow, 'target'>): RunTarget {
  return JSON.parse(row.target) as RunTarget
}

/** Reads an error column. */
export function readError(text: string): ErrorRecord {
  return decodeValue(text) as ErrorRecord
}

/** The error that a run ended with, ready to throw. */
export function errorOf(row: RunRow): Error {
  return fromErrorRecord(row.error === null ? { name: 'Error', message: `Run '${row.run_id}' has no error` } : readError(row.error))
}
