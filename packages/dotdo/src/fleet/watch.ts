/**
 * Owns: when somebody has to look whether a schedule is late (`due_at` and what it is worked out from, in `dotdo_fleet_schedules`).
 *
 * W1. A schedule is late when, at a deadline after one of its instants, no run is done that covers it: none has begun, it still runs, or it has failed.
 *     So an object that never wakes is late like any other: nothing here waits for it to speak.
 * W2. Before it is told, the object is asked once, which also wakes it: what it has not told yet counts.
 * W3. One instant is told once for each deadline. Later instants are not told until one is done again.
 * W4. Instants before the newest that is done, those of a paused schedule, and runs by hand and of backfills are never late.
 */
import type { Clock, Store } from '../base/ports.ts'
import type { Alerts } from './alerts.ts'
import type { FleetLimits } from './limits.ts'
import { deadlinesOf, type AlertRule } from './rules.ts'

/** What a {@link Watch} stands on. */
export interface WatchPorts {
  readonly store: Store
  readonly clock: Clock
  readonly limits: FleetLimits
  rules(object: string): readonly AlertRule[]
  /** Asks an object to tell what it has not told, and resolves when that is here. Rejects where it cannot. */
  ask(object: string): Promise<void>
  wake(): void
}

type WatchedRow = {
  object: string
  id: string
  noun: string
  next_at: number | null
  paused: number
  done_to: number | null
  late_at: number | null
  late_step: number | null
  due_at: number | null
}

const columns = 'object, id, noun, next_at, paused, done_to, late_at, late_step, due_at'
/** Schedules that one look takes. */
const mostAtOnce = 200

/** Who is late; see the head of this file. */
export class Watch {
  readonly #ports: WatchPorts
  readonly #alerts: Alerts
  #looking = false

  constructor(ports: WatchPorts, alerts: Alerts) {
    this.#ports = ports
    this.#alerts = alerts
  }

  /** Works out anew when somebody has to look at a schedule: its row, its runs or its rules have changed. */
  aim(object: string, id: string): void {
    const row = this.#read(object, id)
    if (!row) return
    const due = this.#dueOf(row)
    if (due !== row.due_at)
      this.#ports.store.sql('UPDATE dotdo_fleet_schedules SET due_at = ? WHERE object = ? AND id = ?', due, object, id)
  }

  /** The same for all schedules of an object, or of all. */
  aimAll(object?: string): void {
    const { store } = this.#ports
    const rows =
      object === undefined
        ? store.sql<{ object: string; id: string }>('SELECT object, id FROM dotdo_fleet_schedules')
        : store.sql<{ object: string; id: string }>('SELECT object, id FROM dotdo_fleet_schedules WHERE object = ?', object)
    for (const row of rows) this.aim(row.object, row.id)
  }

  /** A run of an instant is done. */
  done(object: string, id: string, scheduledAt: number, at: number): void {
    const { store } = this.#ports
    const [row] = store.sql<{ late_at: number | null; done_to: number }>(
      `UPDATE dotdo_fleet_schedules SET done_to = max(coalesce(done_to, 0), ?) WHERE object = ? AND id = ? RETURNING late_at, done_to`,
      scheduledAt,
      object,
      id,
    )
    if (!row || row.late_at === null || row.done_to < row.late_at) return
    store.sql('UPDATE dotdo_fleet_schedules SET late_at = NULL, late_step = NULL WHERE object = ? AND id = ?', object, id)
    this.#alerts.well(object, { kind: 'schedule', id }, 'late', Math.max(at, this.#ports.clock.now()))
  }

  /** When somebody has to look next, epoch milliseconds. */
  nextWakeMs(): number | null {
    const at = this.#ports.store.sql<{ at: number | null }>(
      'SELECT min(due_at) AS at FROM dotdo_fleet_schedules WHERE due_at IS NOT NULL',
    )[0]?.at
    return at === null || at === undefined ? null : this.#looking ? Math.max(at, this.#ports.clock.now() + this.#ports.limits.askMs) : at
  }

  /** Looks at what is due, and resolves when that is told. */
  async look(): Promise<void> {
    if (this.#looking) return
    const due = this.#due()
    if (due.length === 0) return
    this.#looking = true
    try {
      const objects = [...new Set(due.map(({ object }) => object))]
      const answers = new Map<string, string | undefined>()
      const lanes = Array.from({ length: this.#ports.limits.asksAtOnce }, async () => {
        for (let object = objects.pop(); object !== undefined; object = objects.pop()) answers.set(object, await this.#ask(object))
      })
      await Promise.all(lanes)
      this.#ports.store.transaction(() => {
        for (const { object, id } of due) this.#judge(object, id, answers.get(object))
      })
    } finally {
      this.#looking = false
      this.#ports.wake()
    }
  }

  /** Why an object did not answer; `undefined` where it did. Expected: it may be what is broken. */
  async #ask(object: string): Promise<string | undefined> {
    try {
      await this.#ports.ask(object)
      return undefined
    } catch (thrown) {
      return (thrown instanceof Error ? thrown.message : String(thrown)).slice(0, 500)
    }
  }

  #due(): WatchedRow[] {
    return this.#ports.store.sql<WatchedRow>(
      `SELECT ${columns} FROM dotdo_fleet_schedules WHERE due_at <= ? ORDER BY due_at LIMIT (? + 0)`,
      this.#ports.clock.now(),
      mostAtOnce,
    )
  }

  #judge(object: string, id: string, silence: string | undefined): void {
    const row = this.#read(object, id)
    const { clock, store, limits } = this.#ports
    const now = clock.now()
    // What it has told meanwhile may have moved it on.
    if (!row || row.due_at === null || row.due_at > now) return
    const instant = row.late_at ?? this.#oldest(row)
    const passed =
      instant === null ? [] : this.#deadlines(row).filter((ms) => ms > (row.late_step ?? -1) && instant + ms + limits.graceMs <= now)
    if (instant !== null && passed.length > 0) {
      store.sql(
        'UPDATE dotdo_fleet_schedules SET late_at = ?, late_step = ? WHERE object = ? AND id = ?',
        instant,
        passed.at(-1)!,
        object,
        id,
      )
      const [run] = store.sql<{ run_id: string; status: string; fact: string }>(
        'SELECT run_id, status, fact FROM dotdo_fleet_runs WHERE object = ? AND subject = ? AND scheduled_at = ? LIMIT 1',
        object,
        id,
        instant,
      )
      const why =
        silence === undefined ? (run ? `Its run is ${run.status}.` : 'No run has begun.') : `The object does not answer: ${silence}`
      // Each deadline has its own rules.
      for (const deadlineMs of passed)
        this.#alerts.raise(
          {
            object,
            noun: row.noun,
            subject: { kind: 'schedule', id },
            kind: 'late',
            at: instant + deadlineMs,
            scheduledAt: instant,
            deadlineMs,
            ...(run && { runId: run.run_id }),
            error: { message: why },
          },
          true,
        )
    }
    this.aim(object, id)
  }

  #dueOf(row: WatchedRow): number | null {
    const deadlines = this.#deadlines(row)
    const instant = row.late_at ?? this.#oldest(row)
    const next = deadlines.find((ms) => ms > (row.late_at === null ? -1 : (row.late_step ?? -1)))
    return instant === null || next === undefined ? null : instant + next + this.#ports.limits.graceMs
  }

  #deadlines({ object, noun, id }: WatchedRow): number[] {
    return deadlinesOf(this.#ports.rules(object), noun, id)
  }

  /** The oldest instant that is not done, and that somebody waits for (W4). */
  #oldest({ object, id, next_at: nextAt, paused, done_to: doneTo }: WatchedRow): number | null {
    const [open] = this.#ports.store.sql<{ at: number | null }>(
      `SELECT min(scheduled_at) AS at FROM dotdo_fleet_runs
       WHERE object = ? AND subject = ? AND scheduled_at > ? AND scheduled_at IS NOT NULL AND status <> 'done' AND status <> 'cancelled'`,
      object,
      id,
      doneTo ?? 0,
    )
    const candidates = [open?.at ?? null, paused === 1 ? null : nextAt].filter((at): at is number => at !== null && at > (doneTo ?? 0))
    return candidates.length === 0 ? null : Math.min(...candidates)
  }

  #read(object: string, id: string): WatchedRow | undefined {
    return this.#ports.store.sql<WatchedRow>(`SELECT ${columns} FROM dotdo_fleet_schedules WHERE object = ? AND id = ?`, object, id)[0]
  }
}
