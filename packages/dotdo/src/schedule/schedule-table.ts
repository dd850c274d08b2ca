import { decodeValue, encodeValue } from '../base/codec.ts'
import type { SqlRow, Store } from '../base/ports.ts'
import { forRows } from './bulk.ts'
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
  /** The recurrence that counts, as stored text: the declared one, with a delay turned into its instant. Where they are one, it is stored once. */
  recurrence: string
  pattern: string
  policies: SchedulePolicies
  /** The first instant that has not fired; `null` when there is none. */
  nextAt: number | null
  /** When that one starts: `nextAt` and its jitter. `null` as well while it waits for the run before. */
  wakeAt: number | null
  /** The last instant that fired by itself, or was given up as too late: nothing at or before it fires again. */
  lastScheduledAt: number | null
  /** Where the last window ended: the next one starts here. Before anything fired, the instant before the first; `null` when there is none. */
  coveredTo: number | null
  lastFiredAt: number | null
  lastRunId: string | null
  /** The newest run that an instant of its own began, until it has ended; where runs may overlap nobody asks, and it stays `null`. */
  openRun: string | null
  /** How many runs have failed since one was done. */
  failures: number
  /** How many instants have fired. */
  fired: number
  /** Place in the order of declaration. */
  position: number
  /** When `status` last changed. */
  changedAt: number
}

/** What firing reads of a schedule, and changes in it. */
export type DueRow = Pick<
  ScheduleRow,
  | 'id'
  | 'status'
  | 'recurrence'
  | 'policies'
  | 'nextAt'
  | 'wakeAt'
  | 'lastScheduledAt'
  | 'coveredTo'
  | 'lastFiredAt'
  | 'lastRunId'
  | 'openRun'
  | 'fired'
  | 'position'
>

/** How runs of one schedule have ended. */
export interface Tally {
  schedule: string
  runIds: string[]
  /** Whether one was done. */
  done: boolean
  /** How many have failed after the last of those, or all that have. */
  failed: number
}

/** How long a retired schedule is remembered. */
export const retiredKeptMs = 90 * 86_400_000
/** How many retired schedules are remembered: the newest. As many as one object declares, so that a deploy without them forgets none. */
export const retiredKept = 10_000

const columns = [
  'id',
  'status',
  'paused',
  'declared',
  'recurrence',
  'pattern',
  'policies',
  'next_at',
  'wake_at',
  'last_scheduled_at',
  'covered_to',
  'last_fired_at',
  'last_run_id',
  'position',
  'changed_at',
  'open_run',
  'failures',
  'fired',
]

const dueColumns =
  'id, declared, recurrence, policies, next_at, wake_at, last_scheduled_at, covered_to, last_fired_at, last_run_id, open_run, fired, position'

const written = `INSERT OR REPLACE INTO dotdo_schedules (${columns.join(', ')}) VALUES `

/** A row that nothing has happened to yet: what is left out is as the table fills it in. */
const begun = `INSERT INTO dotdo_schedules (${columns.slice(3, 9).join(', ')}, covered_to, position, changed_at, id, status, paused) VALUES `

const firedRows = `UPDATE dotdo_schedules SET next_at = new.a, wake_at = new.b, last_scheduled_at = new.c, covered_to = new.d,
    last_fired_at = new.e, last_run_id = new.f, open_run = new.g, fired = new.h
  FROM (SELECT value ->> 0 AS id, value ->> 1 AS a, value ->> 2 AS b, value ->> 3 AS c, value ->> 4 AS d, value ->> 5 AS e, value ->> 6 AS f,
    value ->> 7 AS g, value ->> 8 AS h FROM json_each(?)) AS new
  WHERE dotdo_schedules.id = new.id`

/** The rows of an object's schedules: reads and writes, no decisions. Transactions are the caller's. */
export class ScheduleTable {
  readonly #store: Store
  /** Policies by their text: thousands of schedules have few. */
  readonly #policies = new Map<string, SchedulePolicies>()

  constructor(store: Store) {
    this.#store = store
  }

  read(id: string): ScheduleRow | undefined {
    const [row] = this.#store.sql('SELECT * FROM dotdo_schedules WHERE id = ?', id)
    return row && this.#fromSql(row)
  }

  /** Some of them, in any order. */
  some(ids: readonly string[]): ScheduleRow[] {
    return this.#store
      .sql('SELECT * FROM dotdo_schedules WHERE id IN (SELECT value FROM json_each(?))', JSON.stringify(ids))
      .map((row) => this.#fromSql(row))
  }

  /** All there are, retired ones too. */
  all(): ScheduleRow[] {
    return this.#store.sql('SELECT * FROM dotdo_schedules').map((row) => this.#fromSql(row))
  }

  /** In order of declaration. */
  withStatus(status: ScheduleStatus): ScheduleRow[] {
    return this.#store.sql('SELECT * FROM dotdo_schedules WHERE status = ? ORDER BY position, id', status).map((row) => this.#fromSql(row))
  }

  /** Those that start at or before `now`, soonest first: in the order of the index, so that the first of thousands cost no more than themselves. */
  due(now: number, limit: number): DueRow[] {
    return this.#store
      .sql(
        `SELECT ${dueColumns} FROM dotdo_schedules WHERE status = 'active' AND paused = 0 AND wake_at <= ? ORDER BY wake_at LIMIT (? + 0)`,
        now,
        limit,
      )
      .map((row) => dueFromSql(row, this.#readPolicies(String(row.policies))))
  }

  /** Moves the start of the next window behind one that it lies in. */
  cover(id: string, { start, end }: { start: number; end: number }): void {
    this.#store.sql('UPDATE dotdo_schedules SET covered_to = ? WHERE id = ? AND covered_to >= ? AND covered_to < ?', end, id, start, end)
  }

  /**
   * Counts how runs ended, each schedule's in one entry. Gives the schedules that wait for one of these runs, and those whose count has begun or
   * ended.
   */
  ended(tallies: readonly Tally[]): { waiting: string[]; seen: string[] } {
    const told = JSON.stringify(tallies.map((it) => [it.schedule, it.runIds, it.done ? 1 : 0, it.failed]))
    const from = `FROM (SELECT value ->> 0 AS schedule, value -> 1 AS runs, value ->> 2 AS done, value ->> 3 AS failed FROM json_each(?)) AS told`
    const isOpen = 'EXISTS (SELECT 1 FROM json_each(told.runs) WHERE value = open_run)'
    const seen = this.#store.sql<{ id: string }>(
      `SELECT id ${from} JOIN dotdo_schedules ON id = schedule WHERE told.failed > 0 OR (told.done = 1 AND failures > 0)`,
      told,
    )
    const rows = this.#store.sql<{ id: string; waits: number }>(
      `UPDATE dotdo_schedules SET
        open_run = CASE WHEN ${isOpen} THEN NULL ELSE open_run END,
        failures = told.failed + CASE WHEN told.done = 1 THEN 0 ELSE failures END
      ${from} WHERE id = told.schedule AND (${isOpen} OR told.failed > 0 OR (told.done = 1 AND failures > 0))
      RETURNING id, open_run IS NULL AND wake_at IS NULL AND next_at IS NOT NULL AS waits`,
      told,
    )
    return { waiting: rows.flatMap(({ id, waits }) => (waits === 1 ? [id] : [])), seen: seen.map(({ id }) => id) }
  }

  /** When the soonest starts. */
  soonest(): number | null {
    const [row] = this.#store.sql(`SELECT MIN(wake_at) AS wake FROM dotdo_schedules WHERE status = 'active' AND paused = 0`)
    return row?.wake == null ? null : Number(row.wake)
  }

  /** Writes whole rows. */
  write(rows: readonly ScheduleRow[]): void {
    forRows(this.#store, rows.map(toSql), (values) => written + values)
  }

  /** Writes rows of ids that the table does not have, to which nothing has happened yet. */
  begin(rows: readonly ScheduleRow[]): void {
    const narrow = rows.map((row) => [...toSql(row).slice(3, 9), row.coveredTo, row.position, row.changedAt, row.id])
    forRows(this.#store, narrow, (values) => begun + values, `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'active', 0)`)
  }

  /** Writes what firing changes in rows; as JSON, which for updates measured twice as fast as rows of values. */
  fired(rows: readonly DueRow[]): void {
    if (rows.length === 0) return
    const told = rows.map((it) => [
      it.id,
      it.nextAt,
      it.wakeAt,
      it.lastScheduledAt,
      it.coveredTo,
      it.lastFiredAt,
      it.lastRunId,
      it.openRun,
      it.fired,
    ])
    this.#store.sql(firedRows, JSON.stringify(told))
  }

  #fromSql(row: SqlRow): ScheduleRow {
    return fromSql(row, this.#readPolicies(String(row.policies)))
  }

  #readPolicies(text: string): SchedulePolicies {
    let policies = this.#policies.get(text)
    if (!policies) {
      if (this.#policies.size >= 1000) this.#policies.clear()
      this.#policies.set(text, (policies = decodeValue(text) as SchedulePolicies))
    }
    return policies
  }

  /** When the first of the retired rows was retired. */
  oldestRetired(): number | null {
    return this.#store.sql<{ at: number | null }>(`SELECT min(changed_at) AS at FROM dotdo_schedules WHERE status = 'retired'`)[0]!.at
  }

  /** Forgets retired rows that are older than `keptMs` ({@link retiredKeptMs}), and all but the newest {@link retiredKept}. Gives their ids. */
  prune(now: number, keptMs = retiredKeptMs): string[] {
    return this.#store
      .sql<{ id: string }>(
        `DELETE FROM dotdo_schedules WHERE status = 'retired' AND (changed_at < ? OR id NOT IN (
          SELECT id FROM dotdo_schedules WHERE status = 'retired' ORDER BY changed_at DESC, id LIMIT ${retiredKept})) RETURNING id`,
        now - keptMs,
      )
      .map(({ id }) => id)
  }
}

/** In the order of {@link columns}. */
function toSql(row: ScheduleRow): (string | number | null)[] {
  return [
    row.id,
    row.status,
    row.paused ? 1 : 0,
    row.declared,
    row.recurrence === row.declared ? '' : row.recurrence,
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
    row.openRun,
    row.failures,
    row.fired,
  ]
}

function fromSql(row: SqlRow, policies: SchedulePolicies): ScheduleRow {
  return {
    ...dueFromSql(row, policies),
    status: row.status as ScheduleStatus,
    paused: row.paused === 1,
    declared: String(row.declared),
    pattern: String(row.pattern),
    failures: Number(row.failures),
    changedAt: Number(row.changed_at),
  }
}

/** What firing reads of an active one, of {@link dueColumns} alone. */
function dueFromSql(row: SqlRow, policies: SchedulePolicies): DueRow {
  return {
    id: String(row.id),
    status: 'active',
    recurrence: String(row.recurrence || row.declared),
    policies,
    nextAt: row.next_at as number | null,
    wakeAt: row.wake_at as number | null,
    lastScheduledAt: row.last_scheduled_at as number | null,
    coveredTo: row.covered_to as number | null,
    lastFiredAt: row.last_fired_at as number | null,
    lastRunId: row.last_run_id as string | null,
    openRun: row.open_run as string | null,
    fired: Number(row.fired),
    position: Number(row.position),
  }
}
