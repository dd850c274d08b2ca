import { decodeValue, encodeValue } from '../base/codec.ts'
import type { SqlRow, Store } from '../base/ports.ts'
import { forRows, groupsOf, groupsTable } from './bulk.ts'
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

/** What firing reads of a schedule. What the code states of it is known to whoever has its handler. */
export type DueRow = Pick<ScheduleRow, 'id' | 'nextAt' | 'lastScheduledAt' | 'coveredTo' | 'openRun' | 'fired'>

/** What firing changes in a row. */
export interface Fired extends Pick<ScheduleRow, 'id' | 'nextAt' | 'wakeAt' | 'lastScheduledAt' | 'coveredTo'> {
  /** How many runs it has begun; of one that has begun none, what the row says of its runs stays. */
  firings: number
  /** When. */
  firedAt: number | null
  /** What stands behind the schedule's id in that of the last of them. */
  runSuffix: string | null
  /** Whether that one is asked for before the next begins. */
  isOpen: boolean
}

/** How runs of one schedule have ended. */
export interface Tally {
  schedule: string
  runIds: string[]
  /** Whether one was done. */
  done: boolean
  /** How many have failed after the last of those, or all that have. */
  failed: number
}

/** A {@link DueRow} as it is read. */
type DueCells = [string, number | null, number | null, number | null, string | null, number]

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

const written = `INSERT OR REPLACE INTO dotdo_schedules (${columns.join(', ')}) VALUES `

/** A row that nothing has happened to yet: what is left out is as the table fills it in. */
const begun = `INSERT INTO dotdo_schedules (${columns.slice(3, 9).join(', ')}, covered_to, position, changed_at, id, status, paused) VALUES `

const told = groupsTable('told', ['next_at', 'wake_at', 'last_scheduled_at', 'covered_to', 'firings', 'fired_at', 'suffix', 'is_open'])

const firedRows = `WITH ${told}
  UPDATE dotdo_schedules SET next_at = new.next_at, wake_at = new.wake_at, last_scheduled_at = new.last_scheduled_at, covered_to = new.covered_to,
    last_fired_at = coalesce(new.fired_at, last_fired_at), last_run_id = coalesce(id || suffix, last_run_id),
    open_run = CASE WHEN firings = 0 THEN open_run WHEN is_open = 1 THEN id || suffix END, fired = fired + firings
  FROM (SELECT schedule.value AS schedule, told.* FROM told JOIN json_each(told.ids) AS schedule) AS new
  WHERE dotdo_schedules.id = new.schedule`

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

  /**
   * Those that start at or before `now`, soonest first: in the order of the index, so that the first of thousands cost no more than themselves.
   * @param from how many of them to leave out
   */
  due(now: number, limit: number, from: number): DueRow[] {
    // As one text: the platform makes a value of each column of each row otherwise, which is most of what reading costs.
    const [row] = this.#store.sql<{ due: string }>(
      `SELECT json_group_array(json_array(id, next_at, last_scheduled_at, covered_to, open_run, fired)) AS due FROM (
        SELECT id, next_at, last_scheduled_at, covered_to, open_run, fired FROM dotdo_schedules
          WHERE status = 'active' AND paused = 0 AND wake_at <= ? ORDER BY wake_at LIMIT (? + 0) OFFSET (? + 0))`,
      now,
      limit,
      from,
    )
    return (JSON.parse(row!.due) as DueCells[]).map(([id, nextAt, lastScheduledAt, coveredTo, openRun, fired]) => ({
      id,
      nextAt,
      lastScheduledAt,
      coveredTo,
      openRun,
      fired,
    }))
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

  /** Writes what firing changes in rows. */
  fired(rows: readonly Fired[]): void {
    if (rows.length === 0) return
    const common = ({ nextAt, wakeAt, lastScheduledAt, coveredTo, firings, firedAt, runSuffix, isOpen }: Fired) => [
      nextAt,
      wakeAt,
      lastScheduledAt,
      coveredTo,
      firings,
      firedAt,
      runSuffix,
      isOpen ? 1 : 0,
    ]
    this.#store.sql(
      firedRows,
      groupsOf(rows, ({ id }) => id, common),
    )
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
    id: String(row.id),
    status: row.status as ScheduleStatus,
    paused: row.paused === 1,
    declared: String(row.declared),
    recurrence: String(row.recurrence || row.declared),
    pattern: String(row.pattern),
    policies,
    nextAt: row.next_at as number | null,
    wakeAt: row.wake_at as number | null,
    lastScheduledAt: row.last_scheduled_at as number | null,
    coveredTo: row.covered_to as number | null,
    lastFiredAt: row.last_fired_at as number | null,
    lastRunId: row.last_run_id as string | null,
    openRun: row.open_run as string | null,
    failures: Number(row.failures),
    fired: Number(row.fired),
    position: Number(row.position),
    changedAt: Number(row.changed_at),
  }
}
