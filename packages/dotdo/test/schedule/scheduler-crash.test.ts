import { expect, it } from 'vitest'
import type { Declaration } from '../../src/schedule/declaration.ts'
import { defaultPolicies } from '../../src/schedule/policies.ts'
import { cron, describe as inWords, interval, openRecurrence, type Recurrence } from '../../src/schedule/recurrence.ts'
import { Scheduler } from '../../src/schedule/scheduler.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'
import { StoredRuns } from './world.ts'

const minuteMs = 60_000
const begin = Date.UTC(2026, 9, 31, 12)

/** The night on which New York's clock is put back lies within every simulated stretch. */
const recurrences: Recurrence[] = [
  interval(7 * minuteMs),
  cron('*/10 * * * *', { timeZone: 'America/New_York', overlap: 'both' }),
  cron('30 1 * * *', { timeZone: 'America/New_York' }),
  cron('15 * * * *'),
]

/** A store that dies at a chosen statement: wherever that is, also in the middle of a transaction. */
function failing(store: SqliteStore, dieAt: number) {
  let left = dieAt
  const dying = () => {
    if (left-- > 0) return
    store.crash()
    throw new Error('crashed')
  }
  return {
    sql: ((statement: string, ...parameters: never[]) => (dying(), store.sql(statement, ...parameters))) as SqliteStore['sql'],
    transaction: <T>(work: () => T) => store.transaction(work),
  }
}

/**
 * One object over a day: it wakes, declares, works for some turns, and dies at a random statement or between turns, with or without what it last
 * wrote. The run's row stands for the run, so the rows are what happened.
 */
function simulate(seed: number, catchUp: 'all' | 'latest') {
  const random = new SeededRandom(seed)
  const clock = new ManualClock(begin)
  let store = new SqliteStore()
  store.flush()
  let crashes = 0
  let latest = begin
  // The first incarnation is whole: from then on the schedules exist, and every one of their instants counts.
  for (let incarnation = 0; clock.now() < begin + 26 * 60 * minuteMs; incarnation++) {
    const dying = failing(store, incarnation === 0 ? Infinity : 5 + random.below(120))
    try {
      const scheduler = new Scheduler({
        store: dying,
        clock,
        random,
        runs: new StoredRuns(dying),
      })
      recurrences.forEach((recurrence, index) => {
        const policies = {
          ...defaultPolicies,
          catchUp,
          catchUpLimit: catchUp === 'all' ? 1000 : 1,
          jitterMs: index === 0 ? 5 * minuteMs : 0,
        }
        const declaration: Declaration = { recurrence, pattern: inWords(recurrence), id: `s${index}`, policies }
        scheduler.declare(declaration, () => undefined)
      })
      scheduler.settle()
      store.flush()
      for (let turn = incarnation === 0 ? 1 : random.below(12); turn > 0; turn--) {
        // The alarm comes when it was asked for, early, late, or after a long sleep.
        const wake = scheduler.nextWakeMs()!
        clock.ms = Math.max(clock.now(), wake) + (random.next() < 0.2 ? random.below(90 * minuteMs) : random.below(4000) - 1)
        latest = Math.max(latest, clock.now())
        scheduler.due()
        if (random.next() < 0.8) store.flush()
        if (random.next() < 0.1) clock.ms -= random.below(30 * minuteMs)
      }
      if (random.next() < 0.5) store.flush()
      store.crash()
    } catch (thrown) {
      if (!(thrown instanceof Error && thrown.message === 'crashed')) throw thrown
    }
    crashes++
    store = store.reopen()
  }
  // The end: everything that has come is taken.
  clock.ms = Math.max(begin + 27 * 60 * minuteMs, latest)
  const last = new Scheduler({
    store,
    clock,
    random,
    runs: new StoredRuns(store),
  })
  recurrences.forEach((recurrence, index) =>
    last.declare(
      { recurrence, pattern: '', id: `s${index}`, policies: { ...defaultPolicies, catchUp, catchUpLimit: catchUp === 'all' ? 1000 : 1 } },
      () => undefined,
    ),
  )
  last.settle()
  while (last.nextWakeMs()! <= clock.now()) last.due()
  return {
    crashes,
    end: clock.ms,
    rows: (index: number) =>
      store.sql<{ id: string; at: number; start: number }>('SELECT id, at, start FROM runs WHERE schedule = ? ORDER BY at', `s${index}`),
  }
}

function instantsIn(recurrence: Recurrence, from: number, to: number): number[] {
  const instants = openRecurrence(recurrence)
  const found = []
  for (let at = instants.next(from - 1); at !== null && at <= to; at = instants.next(at)) found.push(at)
  return found
}

it("loses and doubles no firing wherever it crashes, with catchUp 'all'", () => {
  let crashes = 0
  for (let seed = 1; seed <= 60; seed++) {
    const outcome = simulate(seed, 'all')
    crashes += outcome.crashes
    recurrences.forEach((recurrence, index) => {
      expect({ seed, index, at: outcome.rows(index).map((it) => it.at) }).toEqual({
        seed,
        index,
        at: instantsIn(recurrence, begin, outcome.end),
      })
    })
  }
  expect(crashes).toBeGreaterThan(500)
}, 60_000)

it("doubles no firing, ends with the latest, and leaves no hole between windows, with catchUp 'latest'", () => {
  for (let seed = 1001; seed <= 1060; seed++) {
    const outcome = simulate(seed, 'latest')
    recurrences.forEach((recurrence, index) => {
      const expected = instantsIn(recurrence, begin, outcome.end)
      const rows = outcome.rows(index)
      expect({
        seed,
        index,
        unknown: rows.filter((it) => !expected.includes(it.at)),
        doubled: rows.length - new Set(rows.map((it) => it.id)).size,
      }).toEqual({ seed, index, unknown: [], doubled: 0 })
      expect({ seed, index, last: rows.at(-1)?.at }).toEqual({ seed, index, last: expected.at(-1) })
      expect({ seed, index, starts: rows.slice(1).map((it) => it.start) }).toEqual({
        seed,
        index,
        starts: rows.slice(0, -1).map((it) => it.at),
      })
    })
  }
}, 60_000)
