import { expect, it } from 'vitest'
import type { ScheduleHandle } from '../../src/schedule/declaration.ts'
import { createEvery } from '../../src/schedule/every.ts'
import { Scheduler } from '../../src/schedule/scheduler.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'
import { StoredRuns } from './world.ts'

const hourMs = 3_600_000
const begin = Date.UTC(2026, 0, 1)
const windows = 40
const concurrency = 4

/** A store that dies at a chosen statement, in the middle of a transaction or not. */
function dying(store: SqliteStore, dieAt: number) {
  let left = dieAt
  const sql = (statement: string, ...parameters: never[]) => {
    if (left-- > 0) return store.sql(statement, ...parameters)
    store.crash()
    throw new Error('crashed')
  }
  return { sql: sql as SqliteStore['sql'], transaction: <T>(work: () => T) => store.transaction(work) }
}

/**
 * An object that fires every hour and fills the 40 hours before, and dies at random statements, with or without its last turn. Runs end in a
 * seeded order; some fail, some end and nobody is told.
 */
function simulate(seed: number) {
  const random = new SeededRandom(seed)
  const clock = new ManualClock(begin + hourMs / 2)
  let store = new SqliteStore()
  let most = 0
  let crashes = 0
  let backfillId: string | undefined
  for (let incarnation = 0; incarnation < 200; incarnation++) {
    const isLast = incarnation === 199
    const port = dying(store, isLast || incarnation === 0 ? Infinity : 20 + random.below(150))
    try {
      const runs = new StoredRuns(port, () => false)
      const scheduler = new Scheduler({ store: port, clock, random, runs })
      let handle!: ScheduleHandle
      handle = createEvery(scheduler.declare.bind(scheduler)).hour(() => undefined, { id: 's' })
      scheduler.settle()
      store.flush()
      if (incarnation === 0) {
        backfillId = handle.backfill(begin - windows * hourMs, begin, { concurrency }).id
        store.flush()
      }
      const end = () => {
        const underWay = runs.underWay()
        const run = underWay[random.below(underWay.length)]
        if (!run) return false
        const status = random.next() < 0.2 ? 'failed' : 'done'
        runs.end(run.id, status)
        if (random.next() < 0.9) scheduler.ran('s', run.at, run.id, status)
        return true
      }
      for (let turn = random.below(15); turn > 0 || (isLast && handle.openBackfill(backfillId!).progress().status === 'running'); turn--) {
        if (random.next() < 0.1) clock.advance(hourMs)
        scheduler.due()
        // What ended untold is found by the next incarnation; the last one has none after it.
        if (!end() && isLast) break
        const filling = runs.underWay().filter(({ at }) => at <= begin).length
        most = Math.max(most, filling)
        if (random.next() < 0.8) store.flush()
      }
      if (isLast) {
        const again = new Scheduler({ store, clock, random, runs: new StoredRuns(store, () => false) })
        const reopened = createEvery(again.declare.bind(again)).hour(() => undefined, { id: 's' })
        again.settle()
        store.flush()
        for (const run of runs.underWay()) {
          runs.end(run.id, 'done')
          again.ran('s', run.at, run.id, 'done')
        }
        return {
          most,
          crashes,
          progress: reopened.openBackfill(backfillId!).progress(),
          rows: runs.rows('s'),
          partitions: reopened.partitions(begin - windows * hourMs, clock.now(), { limit: 1000 }).partitions,
        }
      }
      if (random.next() < 0.5) store.flush()
      store.crash()
    } catch (thrown) {
      if (!(thrown instanceof Error && thrown.message === 'crashed')) throw thrown
    }
    crashes++
    store = store.reopen()
  }
  throw new Error('unreachable')
}

it('repeats and leaves out no window wherever it crashes, holds its concurrency, and says of each window what its run says', () => {
  let crashes = 0
  for (let seed = 1; seed <= 40; seed++) {
    const outcome = simulate(seed)
    crashes += outcome.crashes
    const filled = outcome.rows.filter((it) => it.at <= begin)
    expect({ seed, at: filled.map((it) => it.at) }).toEqual({
      seed,
      at: Array.from({ length: windows }, (_, index) => begin - (windows - 1 - index) * hourMs),
    })
    expect({ seed, most: outcome.most <= concurrency }).toEqual({ seed, most: true })
    const failed = filled.filter((it) => it.status === 'failed').length
    expect({ seed, ...outcome.progress }).toMatchObject({ seed, status: 'done', running: 0, failed, done: windows - failed, passed: 0 })
    // Each window is as the run that covers it, and no run of an instant is there twice.
    const status = new Map(outcome.rows.map((it) => [it.id, it.status]))
    for (const { end, state, runId } of outcome.partitions)
      if (runId !== undefined) expect({ seed, end, state }).toEqual({ seed, end, state: status.get(runId) })
    expect({ seed, missing: outcome.partitions.filter((it) => it.end <= begin && it.state === 'missing') }).toEqual({ seed, missing: [] })
  }
  expect(crashes).toBeGreaterThan(5000)
}, 60_000)
