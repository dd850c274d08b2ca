import type { Store } from '../../src/base/ports.ts'
import type { RunStatus, RunView, ScheduleView } from '../../src/base/views.ts'
import { createAfter, createAt, createEvery } from '../../src/schedule/every.ts'
import type { Firing, ScheduleRuns } from '../../src/schedule/firing.ts'
import { Scheduler } from '../../src/schedule/scheduler.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

/** Runs that are rows and nothing else: written where the scheduler writes, so that a crash takes both or neither. */
export class StoredRuns implements ScheduleRuns {
  readonly #store: Store
  /** Which of them end as soon as they begin. */
  readonly #endsAtOnce: () => boolean
  readonly cancelled: string[] = []

  constructor(store: Store, endsAtOnce: () => boolean = () => true) {
    this.#store = store
    this.#endsAtOnce = endsAtOnce
    store.sql('CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, schedule TEXT, at INTEGER, start INTEGER, status TEXT)')
  }

  start({ runId, scheduleId, scheduledAt, window }: Firing): void {
    const status = this.#endsAtOnce() ? 'done' : 'running'
    this.#store.sql('INSERT INTO runs VALUES (?, ?, ?, ?, ?)', runId, scheduleId, scheduledAt, window.start, status)
  }

  statuses(runIds: readonly string[]): Map<string, RunStatus> {
    const rows = this.#store.sql<{ id: string; status: RunStatus }>(
      'SELECT id, status FROM runs WHERE id IN (SELECT value FROM json_each(?))',
      JSON.stringify(runIds),
    )
    return new Map(rows.map(({ id, status }) => [id, status]))
  }

  cancel(runId: string): void {
    this.cancelled.push(runId)
    this.#store.sql(`UPDATE runs SET status = 'cancelled' WHERE id = ? AND status IN ('running', 'held')`, runId)
  }

  list(): RunView[] {
    return []
  }

  /** Ends one, as the journal would. */
  end(runId: string, status: RunStatus): void {
    this.#store.sql('UPDATE runs SET status = ? WHERE id = ?', status, runId)
  }

  /** The rows, in order of instants. */
  rows(schedule: string): { id: string; at: number; start: number; status: RunStatus }[] {
    return this.#store.sql('SELECT id, at, start, status FROM runs WHERE schedule = ? ORDER BY at, id', schedule)
  }

  underWay(): { id: string; schedule: string; at: number }[] {
    return this.#store.sql(`SELECT id, schedule, at FROM runs WHERE status IN ('running', 'held') ORDER BY at, id`)
  }
}

/** One object over its incarnations: a clock that goes on, a store that is reopened, the runs that were started. */
export class World {
  readonly clock = new ManualClock(Date.parse('2026-01-01T00:30:00Z'))
  store = new SqliteStore()
  readonly started: Firing[] = []
  readonly changed: string[] = []
  readonly seen: ScheduleView[] = []
  /** Whether runs stay under way until {@link end}. */
  holding = false
  runs!: StoredRuns
  scheduler!: Scheduler

  /** The object wakes: a new scheduler over what is stored, `init`, `settle`. */
  wake(init: (it: ReturnType<World['open']>) => void): Scheduler {
    this.store = this.store.reopen()
    const it = this.open()
    init(it)
    it.scheduler.settle()
    return it.scheduler
  }

  open() {
    const runs = (this.runs = new StoredRuns(this.store, () => !this.holding))
    const scheduler = (this.scheduler = new Scheduler({
      store: this.store,
      clock: this.clock,
      random: new SeededRandom(7 + this.started.length),
      runs: {
        start: (firing) => (runs.start(firing), void this.started.push(firing)),
        statuses: (runIds) => runs.statuses(runIds),
        cancel: (runId) => this.end(runId, 'cancelled'),
        list: () => runs.list(),
      },
      changed: (id) => void this.changed.push(id),
      observe: (view) => void this.seen.push(view),
    }))
    const declare = scheduler.declare.bind(scheduler)
    return { scheduler, declare, every: createEvery(declare), at: createAt(declare), after: createAfter(declare) }
  }

  /** Ends a run, and tells the scheduler as the journal's owner would. */
  end(runId: string, status: RunStatus = 'done'): void {
    const run = this.runs.underWay().find(({ id }) => id === runId)
    if (!run) return
    this.runs.end(runId, status)
    this.scheduler.ran(run.schedule, run.at, runId, status)
  }
}
