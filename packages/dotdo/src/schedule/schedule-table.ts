import { decodeValue, encodeValue } from '../base/codec.ts'
import { migrate, type Migrations } from '../base/migrations.ts'
import type { SqlRow, Store } from '../base/ports.ts'
import type { SchedulePolicies } from './policies.ts'

/**
 * Where a schedule stands. `active`: it fires (unless paused). `cancelled`: ended by hand, though the code still declares it. `retired`: the
 * code no longer declares it; what it did last is remembered for a while, in case that code comes back.
 */
export type ScheduleStatus = 'active' | 'cancelled' | 'retired'

/** One row of `dotdo_schedules`. Instants are epoch ms. */
export interface ScheduleRow {
  id: string
  status: ScheduleStatus
  paused: boolean
  /** The recurrence as the code states it (text of {@link declaredText}): what tells whether it changed. */
  declared: string
  /** The recurrence that counts, as stored text: the declared one, with a delay turned into its instant. */
  recurrence: string
  pattern: string
  policies: SchedulePolicies
  /** The first instant that has not fired; `null` when there is none. */
  nextAt: number | null
  /** When that one starts: `nextAt` and its jitter. */
  wakeAt: number | null
  /** The last instant that fired by itself, or was given up as too late: nothing at or before it fires again. */
  lastScheduledAt: number | null
  /** Where the last window ended: the next one starts here. Before anything fired, the instant before the first; `null` when there is none. */
  coveredTo: number | null
  lastFiredAt: number | null
  lastRunId: string | null
  /** Place in the order of declaration. */
  position: number
  /** When `status` last changed. */
  changedAt: number
}

/** How long a retired schedule is remembered. */
export const retiredKeptMs = 90 * 86_400_000
/** How many retired schedules are remembered: the newest. */
export const retiredKept = 1000

/** Never edited after a release, only added to. The version also covers the JSON in `policies`; `declared` and `recurrence` carry their own. */
export const migrations: Migrations = [
  [
    `CREATE TABLE dotdo_schedules (
      id TEXT PRIMARY KEY, status TEXT NOT NULL, paused INTEGER NOT NULL, declared TEXT NOT NULL, recurrence TEXT NOT NULL,
      pattern TEXT NOT NULL, policies TEXT NOT NULL, next_at INTEGER, wake_at INTEGER, last_scheduled_at INTEGER,
      covered_to INTEGER, last_fired_at INTEGER, last_run_id TEXT, position INTEGER NOT NULL, changed_at INTEGER NOT NULL
    ) WITHOUT ROWID`,
    `CREATE INDEX dotdo_schedules_wake ON dotdo_schedules (wake_at) WHERE status = 'active' AND paused = 0`,
  ],
]

/** The rows of an object's schedules: reads and writes, no decisions. Transactions are the caller's. */
export class ScheduleTable {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
    migrate(store, 'schedule', migrations)
  }

  read(id: string): ScheduleRow | undefined {
    const [row] = this.#store.sql('SELECT * FROM dotdo_schedules WHERE id = ?', id)
    return row && fromSql(row)
  }

  /** In order of declaration. */
  withStatus(status: ScheduleStatus): ScheduleRow[] {
    return this.#store.sql('SELECT * FROM dotdo_schedules WHERE status = ? ORDER BY position, id', status).map(fromSql)
  }

  /** Those that start at or before `now`, soonest first. */
  due(now: number): ScheduleRow[] {
    return this.#store
      .sql(`SELECT * FROM dotdo_schedules WHERE status = 'active' AND paused = 0 AND wake_at <= ? ORDER BY wake_at, position`, now)
      .map(fromSql)
  }

  /** When the soonest starts. */
  soonest(): number | null {
    const [row] = this.#store.sql(`SELECT MIN(wake_at) AS wake FROM dotdo_schedules WHERE status = 'active' AND paused = 0`)
    return row?.wake == null ? null : Number(row.wake)
  }

  write(row: ScheduleRow): void {
    this.#store.sql(
      `INSERT OR REPLACE INTO dotdo_schedules (id, status, paused, declared, recurrence, pattern, policies, next_at, wake_at, last_scheduled_at,
        covered_to, last_fired_at, last_run_id, position, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      row.id,
      row.status,
      row.paused ? 1 : 0,
      row.declared,
      row.recurrence,
      row.pattern,
      encodeValue(row.policies),
      row.nextAt,
      row.wakeAt,
      row.lastScheduledAt,
      row.coveredTo,
      row.lastFiredAt,
      row.lastRunId,
      row.position,
      row.changedAt,
    )
  }

  /** Forgets retired rows that are older than {@link retiredKeptMs}, and all but the newest {@link retiredKept}. */
  prune(now: number): void {
    this.#store.sql(`DELETE FROM dotdo_schedules WHERE status = 'retired' AND changed_at < ?`, now - retiredKeptMs)
    this.#store.sql(
      `DELETE FROM dotdo_schedules WHERE status = 'retired' AND id NOT IN (
        SELECT id FROM dotdo_schedules WHERE status = 'retired' ORDER BY changed_at DESC, id LIMIT ${retiredKept})`,
    )
  }
}

function fromSql(row: SqlRow): ScheduleRow {
  return {
    id: String(row.id),
    status: row.status as ScheduleStatus,
    paused: row.paused === 1,
    declared: String(row.declared),
    recurrence: String(row.recurrence),
    pattern: String(row.pattern),
    policies: decodeValue(String(row.policies)) as SchedulePolicies,
    nextAt: row.next_at as number | null,
    wakeAt: row.wake_at as number | null,
    lastScheduledAt: row.last_scheduled_at as number | null,
    coveredTo: row.covered_to as number | null,
    lastFiredAt: row.last_fired_at as number | null,
    lastRunId: row.last_run_id as string | null,
    position: Number(row.position),
    changedAt: Number(row.changed_at),
  }
}
