import type { SqlRow, Store } from '../base/ports.ts'
import type { Budget } from '../base/price.ts'
import type { BackfillView, PartitionState } from '../base/views.ts'

/** One row of `dotdo_backfills` is what is seen of it. */
export type BackfillRow = BackfillView

/** How long a backfill that has ended is remembered. */
export const endedKeptMs = 30 * 86_400_000
/** How many backfills of one object are under way at the same time. */
export const maxBackfills = 100
/** How many backfills of one object that have ended are remembered: the newest. */
export const endedKept = 1000

/** Reads and writes `dotdo_backfills`; transactions are the caller's. */
export class BackfillTable {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  read(id: string): BackfillRow | undefined {
    const [row] = this.#store.sql('SELECT * FROM dotdo_backfills WHERE id = ?', id)
    return row && fromSql(row)
  }

  /** Those of one schedule, newest first. */
  of(schedule: string): BackfillRow[] {
    return this.#store.sql('SELECT * FROM dotdo_backfills WHERE schedule = ? ORDER BY id DESC', schedule).map(fromSql)
  }

  /** Those under way, oldest first. There are few rows in all, so none of this needs an index. */
  open(): BackfillRow[] {
    return this.#store.sql(`SELECT * FROM dotdo_backfills WHERE status = 'running' ORDER BY id`).map(fromSql)
  }

  write(row: BackfillRow): void {
    this.#store.sql(
      `INSERT OR REPLACE INTO dotdo_backfills (id, schedule, status, from_at, to_at, up_to, windows, takes, concurrency, running, done, failed,
        cancelled, passed, started_at, ended_at, budget) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      row.backfillId,
      row.scheduleId,
      row.status,
      row.from,
      row.to,
      row.upTo,
      row.windows ?? null,
      JSON.stringify(row.takes),
      row.concurrency,
      row.running,
      row.done,
      row.failed,
      row.cancelled,
      row.passed,
      row.startedAt,
      row.endedAt ?? null,
      row.budget ? JSON.stringify(row.budget) : null,
    )
  }

  /** When the first of those that have ended did. */
  oldestEnded(): number | null {
    return this.#store.sql<{ at: number | null }>(`SELECT min(ended_at) AS at FROM dotdo_backfills WHERE status <> 'running'`)[0]!.at
  }

  /** Forgets those that ended long ago, and all but the newest {@link endedKept}. */
  prune(now: number, keptMs = endedKeptMs): void {
    this.#store.sql(
      `DELETE FROM dotdo_backfills WHERE status <> 'running' AND (ended_at < ? OR id NOT IN (
        SELECT id FROM dotdo_backfills WHERE status <> 'running' ORDER BY ended_at DESC, id LIMIT ${endedKept}))`,
      now - keptMs,
    )
  }

  /** Forgets all of some schedules. */
  forget(schedules: readonly string[]): void {
    this.#store.sql('DELETE FROM dotdo_backfills WHERE schedule IN (SELECT value FROM json_each(?))', JSON.stringify(schedules))
  }
}

function fromSql(row: SqlRow): BackfillRow {
  return {
    backfillId: String(row.id),
    scheduleId: String(row.schedule),
    status: row.status as BackfillRow['status'],
    from: Number(row.from_at),
    to: Number(row.to_at),
    upTo: Number(row.up_to),
    ...(row.windows !== null && { windows: Number(row.windows) }),
    takes: JSON.parse(String(row.takes)) as PartitionState[],
    concurrency: Number(row.concurrency),
    running: Number(row.running),
    done: Number(row.done),
    failed: Number(row.failed),
    cancelled: Number(row.cancelled),
    passed: Number(row.passed),
    startedAt: Number(row.started_at),
    ...(row.ended_at !== null && { endedAt: Number(row.ended_at) }),
    ...(row.budget !== null && { budget: JSON.parse(String(row.budget)) as Budget }),
  }
}
