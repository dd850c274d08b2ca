/**
 * What schedules cost, in plain Node over `node:sqlite` in memory: 10,000 of them in one object, registered, all due at once, and left alone.
 * Runs are started as calls of their handlers: what the journal adds for a run is measured beside it.
 */
import { createEvery } from '../src/schedule/every.ts'
import type { Firing, ScheduleRuns } from '../src/schedule/firing.ts'
import { defaultPolicies } from '../src/schedule/policies.ts'
import { storeRecurrence } from '../src/schedule/recurrence.ts'
import { Scheduler } from '../src/schedule/scheduler.ts'
import { ManualClock, SeededRandom } from '../test/support/fakes.ts'
import { SqliteStore } from '../test/support/sqlite-store.ts'
import type { BenchResult } from '../../../bench/run.ts'

const count = 10_000
const rounds = 5
const hourMs = 3_600_000

/** Calls handlers at once, as runs that end when they begin. */
function calls(): ScheduleRuns & { called: number } {
  const runs = {
    called: 0,
    start: ({ handler, scheduledAt, window }: Firing) => {
      handler({ scheduledAt, window })
      runs.called++
    },
    statuses: (ids: readonly string[]) => new Map(ids.map((id) => [id, 'done' as const])),
    cancel: () => undefined,
    list: () => [],
  }
  return runs
}

/** One object that declares 10,000 schedules in its `init`: hourly, at quarters, and daily at 96 times in 3 zones, as tenants have them. */
function open(store: SqliteStore, clock: ManualClock) {
  const runs = calls()
  const scheduler = new Scheduler({ store, clock, random: new SeededRandom(1), runs })
  const every = createEvery(scheduler.declare.bind(scheduler))
  const zones = ['UTC', 'America/New_York', 'Europe/Berlin']
  let handled = 0
  const handler = () => void handled++
  for (let index = 0; index < count; index++) {
    const id = `tenant-${index}`
    if (index % 3 === 0) every.hour(handler, { id })
    else if (index % 3 === 1) every(15).minutes(handler, { id })
    else {
      const time = `${String(index % 24).padStart(2, '0')}:${String((index % 4) * 15).padStart(2, '0')}`
      every.day.in(zones[index % zones.length]!).at(time)(handler, { id })
    }
  }
  scheduler.settle()
  return { scheduler, runs }
}

const time = (work: () => void): number => {
  const begun = performance.now()
  work()
  return performance.now() - begun
}

/**
 * As many bare rows in the same SQLite, one statement each: with what a schedule's row says of it, and an index on the instant, without which
 * nobody knows which is due.
 */
function bareInserts(store: SqliteStore): void {
  store.sql('CREATE TABLE bare (id TEXT PRIMARY KEY, recurrence TEXT, pattern TEXT, policies TEXT, next_at INTEGER) WITHOUT ROWID')
  store.sql('CREATE INDEX bare_next ON bare (next_at)')
  const recurrence = storeRecurrence({ kind: 'cron', pattern: '0 2 * * *', timeZone: 'Europe/Berlin', gap: 'fire-after', overlap: 'first' })
  const policies = JSON.stringify(defaultPolicies)
  for (let index = 0; index < count; index++)
    store.sql('INSERT INTO bare VALUES (?, ?, ?, ?, ?)', `tenant-${index}`, recurrence, 'every day at 02:00', policies, index)
  store.flush()
}

/** The handlers, and one row update each. */
function bareFirings(store: SqliteStore): void {
  let handled = 0
  for (let index = 0; index < count; index++) {
    handled++
    store.sql('UPDATE bare SET next_at = ? WHERE id = ?', 1e12 + handled, `tenant-${index}`)
  }
  store.flush()
}

function measure() {
  const clock = new ManualClock(Date.UTC(2026, 0, 1, 0, 30))
  const store = new SqliteStore()
  const bare = new SqliteStore()
  const insertMs = time(() => bareInserts(bare))
  const registerMs = time(() => {
    open(store, clock)
    store.flush()
  })
  const again = store.reopen()
  let opened!: ReturnType<typeof open>
  const wakeMs = time(() => {
    opened = open(again, clock)
    again.flush()
  })
  const { scheduler, runs } = opened
  // A day later each is due.
  clock.advance(25 * hourMs)
  const updateMs = time(() => bareFirings(bare))
  const dueMs = time(() => {
    while (scheduler.nextWakeMs()! <= clock.now()) {
      scheduler.due()
      again.flush()
    }
  })
  if (runs.called !== count) throw new Error(`${runs.called} of ${count} were fired`)
  // Nothing is due before the next quarter: what asks until then.
  const before = again.statements
  clock.advance(1)
  const idle = scheduler.due().length
  return { insertMs, registerMs, wakeMs, updateMs, dueMs, idleStatements: again.statements - before, idle }
}

/** 10,000 schedules in one object beside bare rows. */
export default async function* schedules(): AsyncGenerator<BenchResult> {
  measure()
  const measured = Array.from({ length: rounds }, measure)
  const median = (of: (it: (typeof measured)[number]) => number) => measured.map(of).sort((a, b) => a - b)[Math.floor(rounds / 2)]!
  const line = (name: string, value: number, baseline: string, baselineValue: number, atMost: number | undefined): BenchResult => {
    const ratio = Math.round((value / baselineValue) * 100) / 100
    const round = (it: number) => Math.round(it * 10) / 10
    const bar = atMost === undefined ? 'none' : `at most ${atMost}`
    const ok = atMost === undefined || ratio <= atMost
    return { name, value: round(value), unit: 'ms', baseline, baselineValue: round(baselineValue), ratio, bar, ok }
  }
  const [inserts, updates] = [median((it) => it.insertMs), median((it) => it.updateMs)]
  yield line(
    `registering ${count} schedules`,
    median((it) => it.registerMs),
    `${count} bare row inserts`,
    inserts,
    3,
  )
  yield line(
    `declaring ${count} that are stored, at a wake`,
    median((it) => it.wakeMs),
    `${count} bare row inserts`,
    inserts,
    undefined,
  )
  yield line(
    `${count} due at once`,
    median((it) => it.dueMs),
    'their handlers and one row update each',
    updates,
    3,
  )
  const idle = median((it) => it.idleStatements)
  yield {
    name: `${count} of which none is due`,
    value: idle,
    unit: 'statements',
    baseline: 'a look',
    baselineValue: 1,
    ratio: idle,
    bar: 'at most 5',
    ok: idle <= 5,
  }
}
