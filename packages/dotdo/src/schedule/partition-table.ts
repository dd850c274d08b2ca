import type { SqlRow, Store } from '../base/ports.ts'
import type { PartitionState, RunStatus } from '../base/views.ts'
import { groupsOf, groupsTable } from './bulk.ts'

/** A stretch of time that one run answers for, or that many answered for long ago. Epoch ms, `start` inclusive, `end` exclusive. */
export interface Span {
  start: number
  end: number
  state: PartitionState
  /** `null` for what was folded together long ago. */
  runId: string | null
  /** The backfill that the run is of. */
  backfill: string | null
  /** Marked as stale while it ran: it is stale when it is done. */
  again: boolean
}

/** A stretch and whose it is. */
export interface OwnedSpan extends Span {
  schedule: string
}

/** What became of the run of a stretch. `end` is the instant that the run stands for. */
export interface Outcome {
  schedule: string
  end: number
  runId: string
  status: RunStatus
}

/** How many stretches of one schedule stand alone: the newest. Older ones that are done and touch are folded into one. */
export const spansKeptApart = 1000
/** How many stretches of one schedule are known at most; the oldest are forgotten, and count as missing. */
export const maxSpans = 10_000

const rowsAtOnce = 1000

/** Stretches that say the same of many schedules. A run's id is what stands behind its schedule's, or else whole. */
const laid = groupsTable('laid', ['start_at', 'end_at', 'state', 'suffix', 'run', 'backfill', 'again'])

/** The schedules that have anything behind the beginning of what is laid. Most stretches begin where the newest one ended. */
const crowdedIds = `WITH ${laid} SELECT DISTINCT schedule.value AS id FROM laid JOIN json_each(laid.ids) AS schedule
  WHERE EXISTS (SELECT 1 FROM dotdo_partitions AS there WHERE there.schedule = schedule.value AND there.end_at > laid.start_at)`

const inserted = `WITH ${laid} INSERT INTO dotdo_partitions (schedule, end_at, start_at, state, run_id, backfill, again)
  SELECT schedule.value, end_at, start_at, state, coalesce(schedule.value || suffix, run), backfill, again
  FROM laid JOIN json_each(laid.ids) AS schedule`

/**
 * Which stretches of time have been covered. Reads and writes `dotdo_partitions`; transactions are the caller's.
 *
 * 1. Stretches of one schedule do not overlap: a new one cuts away what was there.
 * 2. At most {@link maxSpans} of one schedule, and of those that are done and older than the newest {@link spansKeptApart} no two touch.
 */
export class PartitionTable {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** Those that overlap [from, to), in order. */
  overlapping(schedule: string, from: number, to: number): Span[] {
    return this.#store
      .sql(
        `SELECT * FROM dotdo_partitions WHERE schedule = ? AND end_at > ? AND start_at < ? AND end_at <= COALESCE(
          (SELECT MIN(end_at) FROM dotdo_partitions WHERE schedule = ? AND end_at >= ?), ?) ORDER BY end_at`,
        schedule,
        from,
        to,
        schedule,
        to,
        to,
      )
      .map(fromSql)
  }

  /** The one that ends at an instant. */
  endingAt(schedule: string, end: number): Span | undefined {
    const [row] = this.#store.sql('SELECT * FROM dotdo_partitions WHERE schedule = ? AND end_at = ?', schedule, end)
    return row && fromSql(row)
  }

  /** Lays stretches down, cutting away what they overlap. Those of one schedule are in order and do not overlap each other. */
  lay(spans: readonly OwnedSpan[]): void {
    for (let from = 0; from < spans.length; from += rowsAtOnce) this.#layBite(spans.slice(from, from + rowsAtOnce))
  }

  #layBite(spans: readonly OwnedSpan[]): void {
    const groups = asGroups(spans)
    const crowded = new Set(this.#store.sql<{ id: string }>(crowdedIds, groups).map(({ id }) => id))
    if (crowded.size > 0) for (const { schedule, start, end } of spans) if (crowded.has(schedule)) this.#cut(schedule, start, end)
    this.#store.sql(inserted, groups)
  }

  #cut(schedule: string, from: number, to: number): void {
    for (const span of this.overlapping(schedule, from, to)) {
      if (span.end <= to) this.#store.sql('DELETE FROM dotdo_partitions WHERE schedule = ? AND end_at = ?', schedule, span.end)
      else this.#store.sql('UPDATE dotdo_partitions SET start_at = ? WHERE schedule = ? AND end_at = ?', to, schedule, span.end)
      // What a run is still to answer for has to end where the run's instant is, so the rest of it is missing.
      if (span.start < from && span.state !== 'running') this.#store.sql(inserted, asGroups([{ ...span, schedule, end: from }]))
    }
  }

  /** Says what became of runs. Gives the stretches whose state that has changed; a run whose stretch was cut away has none. */
  settle(outcomes: readonly Outcome[]): OwnedSpan[] {
    const rows = outcomes.map((it) => [it.schedule, it.end, it.runId, stateOf(it.status)])
    return this.#store
      .sql(
        `UPDATE dotdo_partitions SET
          state = CASE WHEN told.state = 'done' AND again = 1 THEN 'stale' ELSE told.state END,
          again = CASE WHEN told.state = 'done' THEN 0 ELSE again END,
          backfill = CASE WHEN told.state = 'running' THEN NULL ELSE backfill END
        FROM (SELECT value ->> 0 AS id, value ->> 1 AS at, value ->> 2 AS run, value ->> 3 AS state FROM json_each(?)) AS told
        WHERE schedule = told.id AND end_at = told.at AND run_id = told.run AND dotdo_partitions.state <> told.state
        RETURNING schedule, end_at, start_at, dotdo_partitions.state AS state, run_id, backfill, again`,
        JSON.stringify(rows),
      )
      .map((row) => ({ ...fromSql(row), schedule: String(row.schedule) }))
  }

  /** Marks what overlaps [from, to): what is done becomes stale, what runs will be. */
  markStale(schedule: string, from: number, to: number): void {
    const stale: OwnedSpan[] = []
    for (const span of this.overlapping(schedule, from, to)) {
      if (span.state === 'running')
        this.#store.sql('UPDATE dotdo_partitions SET again = 1 WHERE schedule = ? AND end_at = ?', schedule, span.end)
      if (span.state === 'done')
        stale.push({ ...span, schedule, start: Math.max(span.start, from), end: Math.min(span.end, to), state: 'stale' })
    }
    this.lay(stale)
  }

  /** Those whose runs had not ended when somebody last looked; of one backfill, where one is named. */
  running(schedule?: string, backfill?: string): OwnedSpan[] {
    return this.#store
      .sql(
        `SELECT * FROM dotdo_partitions WHERE state = 'running' AND (? IS NULL OR schedule = ?) AND (? IS NULL OR backfill = ?)`,
        schedule ?? null,
        schedule ?? null,
        backfill ?? null,
        backfill ?? null,
      )
      .map((row) => ({ ...fromSql(row), schedule: String(row.schedule) }))
  }

  /** Invariant 2 for one schedule. Its cost is that of reading its stretches once, so it is called now and then. */
  fold(schedule: string): void {
    const [newest] = this.#store.sql<{ end_at: number }>(
      'SELECT end_at FROM dotdo_partitions WHERE schedule = ? ORDER BY end_at DESC LIMIT 1 OFFSET ?',
      schedule,
      spansKeptApart,
    )
    if (!newest) return
    const old = this.#store
      .sql('SELECT * FROM dotdo_partitions WHERE schedule = ? AND end_at <= ? ORDER BY end_at', schedule, newest.end_at)
      .map(fromSql)
    const gone = new Set<number>()
    const folded = new Map<number, number>()
    for (const [index, span] of old.entries()) {
      const next = old[index + 1]
      if (span.state !== 'done' || next?.state !== 'done' || next.start !== span.end) continue
      gone.add(span.end)
      next.start = span.start
      folded.delete(span.end)
      folded.set(next.end, next.start)
    }
    const left = old.filter((span) => !gone.has(span.end))
    for (const span of left.slice(0, Math.max(0, left.length + spansKeptApart - maxSpans))) gone.add(span.end)
    this.#store.sql(
      'DELETE FROM dotdo_partitions WHERE schedule = ? AND end_at IN (SELECT value FROM json_each(?))',
      schedule,
      JSON.stringify([...gone]),
    )
    for (const [end, start] of folded)
      this.#store.sql('UPDATE dotdo_partitions SET start_at = ?, run_id = NULL WHERE schedule = ? AND end_at = ?', start, schedule, end)
  }

  /** Forgets all of some schedules. */
  forget(schedules: readonly string[]): void {
    this.#store.sql('DELETE FROM dotdo_partitions WHERE schedule IN (SELECT value FROM json_each(?))', JSON.stringify(schedules))
  }
}

/** What a run that stands there makes of its stretch. */
function stateOf(status: RunStatus): PartitionState {
  return status === 'cancelled' ? 'missing' : status === 'held' ? 'running' : status
}

/** Stretches as the table {@link laid}. */
function asGroups(spans: readonly OwnedSpan[]): string {
  return groupsOf(
    spans,
    ({ schedule }) => schedule,
    ({ schedule, start, end, state, runId, backfill, again }) => {
      const isBehind = runId?.startsWith(schedule) ?? false
      return [start, end, state, isBehind ? runId!.slice(schedule.length) : null, isBehind ? null : runId, backfill, again ? 1 : 0]
    },
  )
}

function fromSql(row: SqlRow): Span {
  return {
    start: Number(row.start_at),
    end: Number(row.end_at),
    state: row.state as PartitionState,
    runId: row.run_id as string | null,
    backfill: row.backfill as string | null,
    again: row.again === 1,
  }
}
