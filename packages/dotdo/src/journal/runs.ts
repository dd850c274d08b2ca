import { decodeValue } from '../base/codec.ts'
import { DotdoError, fromErrorRecord, type ErrorRecord } from '../base/errors.ts'
import type { Store } from '../base/ports.ts'
import type { RunStatus, RunTarget, RunView } from '../base/views.ts'
import { encodeError } from './failures.ts'
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

/** A row of `dotdo_runs`. */
export type RunRow = {
  seq: number
  run_id: string
  key: string | null
  target: string
  status: RunStatus
  attempt: number
  args: string
  result: string | null
  error: string | null
  started_at: number
  ended_at: number | null
}

const columns = 'seq, run_id, key, target, status, attempt, args, result, error, started_at, ended_at'

/** Reads and writes `dotdo_runs`. What may follow on what is decided by the journal. */
export class RunTable {
  readonly #store: Store
  readonly #values: ValueStore

  constructor(store: Store, values: ValueStore) {
    this.#store = store
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

  insert(runId: string, key: string | undefined, target: RunTarget, attempt: number, args: Stored, now: number): RunRow {
    return this.#store.sql<RunRow>(
      `INSERT INTO dotdo_runs (run_id, key, target, status, attempt, args, args_value, started_at) VALUES (?, ?, ?, 'running', ?, ?, ?, ?) RETURNING ${columns}`,
      runId,
      key ?? null,
      JSON.stringify(target),
      attempt,
      args.text,
      args.valueId,
      now,
    )[0]!
  }

  /** Counts one more execution. */
  began(seq: number, attempt: number): void {
    this.#store.sql('UPDATE dotdo_runs SET attempt = ? WHERE seq = ?', attempt, seq)
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

  /** Takes back the end of a run: it is running again, and has not been executed. */
  reopen(seq: number): void {
    this.#store.sql(`UPDATE dotdo_runs SET status = 'running', attempt = 0, error = NULL, ended_at = NULL WHERE seq = ?`, seq)
  }

  anyRunning(): boolean {
    return this.#store.sql(`SELECT 1 FROM dotdo_runs WHERE status = 'running' LIMIT 1`).length > 0
  }

  /** When the first of the runs began that have not ended, or not well and after `endedAfter`. */
  oldestOpen(endedAfter: number): number | null {
    const running = `SELECT min(started_at) AS at FROM dotdo_runs WHERE status = 'running'`
    const ended = `SELECT min(started_at) AS at FROM dotdo_runs WHERE ended_at > ? AND status IN ('failed', 'cancelled')`
    const rows = [...this.#store.sql<{ at: number | null }>(running), ...this.#store.sql<{ at: number | null }>(ended, endedAfter)]
    const instants = rows.flatMap(({ at }) => (at === null ? [] : [at]))
    return instants.length === 0 ? null : Math.min(...instants)
  }

  /** The ids of all runs that have not ended, oldest first. */
  running(): string[] {
    return this.#store
      .sql<{ run_id: string }>(`SELECT run_id FROM dotdo_runs WHERE status = 'running' ORDER BY seq`)
      .map((row) => row.run_id)
  }

  /** Newest first. */
  page(beforeSeq: number, limit: number): RunRow[] {
    return this.#store.sql<RunRow>(
      `SELECT ${columns} FROM dotdo_runs WHERE seq < ? AND status <> 'pruned' ORDER BY seq DESC LIMIT ?`,
      beforeSeq,
      limit,
    )
  }

  statuses(runIds: readonly string[]): Map<string, RunStatus> {
    const rows = this.#store.sql<{ run_id: string; status: RunStatus }>(
      `SELECT run_id, status FROM dotdo_runs WHERE run_id IN (SELECT value FROM json_each(?)) AND status <> 'pruned'`,
      JSON.stringify(runIds),
    )
    return new Map(rows.map((row) => [row.run_id, row.status]))
  }

  /** Those whose ids begin with a text, in falling order of ids: U+10FFFF is behind whatever follows it. */
  named(prefix: string, before: string | undefined, limit: number): RunRow[] {
    return this.#store.sql<RunRow>(
      `SELECT ${columns} FROM dotdo_runs WHERE run_id >= ? AND run_id < ? AND status <> 'pruned' ORDER BY run_id DESC LIMIT ?`,
      prefix,
      before ?? `${prefix}\u{10FFFF}`,
      limit,
    )
  }

  view(row: RunRow): RunView {
    return {
      runId: row.run_id,
      target: readTarget(row),
      status: row.status,
      attempt: Math.max(1, row.attempt),
      startedAt: row.started_at,
      ...(row.ended_at !== null && { endedAt: row.ended_at }),
      input: this.#values.preview(row.args),
      ...(row.result !== null && { result: this.#values.preview(row.result) }),
      ...(row.error !== null && { error: readError(row.error) }),
    }
  }
}

/** A row as the journal tells of it to its callers. */
export function toRunRecord(row: RunRow): RunRecord {
  return {
    runId: row.run_id,
    ...(row.key !== null && { key: row.key }),
    target: readTarget(row),
    status: row.status,
    attempt: row.attempt,
    startedAt: row.started_at,
    ...(row.ended_at !== null && { endedAt: row.ended_at }),
  }
}

// What the readers below cast was written by this room, and migrations guard its version.
/** What a row says started its run. */
export function readTarget(row: RunRow): RunTarget {
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
