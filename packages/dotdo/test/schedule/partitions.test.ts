import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PartitionState } from '../../src/base/views.ts'
import { PartitionTable, spansKeptApart, type OwnedSpan, type Span } from '../../src/schedule/partition-table.ts'
import { viewsOf, windowsOf } from '../../src/schedule/partitions.ts'
import { cron, interval, once, openRecurrence } from '../../src/schedule/recurrence.ts'
import { migrations } from '../../src/schedule/tables.ts'
import { SqliteStore } from '../support/sqlite-store.ts'
import { World } from './world.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const at = (text: string) => Date.parse(text)
const hour = (n: number) => at('2026-01-01T00:00:00Z') + n * hourMs
const fn = () => undefined

function table() {
  const store = new SqliteStore()
  for (const statements of migrations) for (const statement of statements) store.sql(statement)
  return { store, table: new PartitionTable(store) }
}

const span = (start: number, end: number, state: PartitionState, runId: string | null = null): OwnedSpan => ({
  schedule: 's',
  start,
  end,
  state,
  runId,
  backfill: null,
  again: false,
})

describe('stretches', () => {
  it('never overlap, and say of each moment what was laid there last', () => {
    const laid = fc.array(
      fc.record({
        start: fc.nat(30),
        length: fc.integer({ min: 1, max: 12 }),
        state: fc.constantFrom<PartitionState>('done', 'failed', 'stale'),
      }),
      { maxLength: 25 },
    )
    fc.assert(
      fc.property(laid, (moves) => {
        const { table: it } = table()
        const moments: (string | undefined)[] = []
        for (const [index, { start, length, state }] of moves.entries()) {
          it.lay([span(start, start + length, state, `r${index}`)])
          for (let moment = start; moment < start + length; moment++) moments[moment] = `${state} r${index}`
        }
        const found: (string | undefined)[] = []
        let last = 0
        for (const { start, end, state, runId } of it.overlapping('s', 0, 100)) {
          expect(start).toBeGreaterThanOrEqual(last)
          last = end
          for (let moment = start; moment < end; moment++) found[moment] = `${state} ${runId}`
        }
        expect(Array.from(found)).toEqual(Array.from(moments))
      }),
    )
  })

  it('overlap a range when they share a moment with it, and not when they only touch it', () => {
    const { table: it } = table()
    it.lay([span(0, 10, 'done'), span(10, 20, 'failed'), span(20, 30, 'done')])
    const found = (from: number, to: number) => it.overlapping('s', from, to).map((found) => found.start)
    expect([found(10, 20), found(9, 20), found(10, 21), found(12, 13), found(30, 40)]).toEqual([[10], [0, 10], [10, 20], [10], []])
  })

  it('that run and are cut keep the part that their run still ends, and lose the one before', () => {
    const { table: it } = table()
    it.lay([span(0, 10, 'running', 'r')])
    it.lay([span(3, 5, 'done')])
    expect(it.overlapping('s', 0, 20).map(({ start, end, state }) => [start, end, state])).toEqual([
      [3, 5, 'done'],
      [5, 10, 'running'],
    ])
    expect(it.settle([{ schedule: 's', end: 10, runId: 'r', status: 'done' }])).toMatchObject([{ start: 5, end: 10, state: 'done' }])
  })

  it('take the outcome of their own run only', () => {
    const { table: it } = table()
    it.lay([span(0, 10, 'running', 'new')])
    expect(it.settle([{ schedule: 's', end: 10, runId: 'old', status: 'failed' }])).toEqual([])
    expect(it.settle([{ schedule: 's', end: 10, runId: 'new', status: 'cancelled' }])).toMatchObject([{ state: 'missing', runId: 'new' }])
  })

  it('that are old, done and touch are folded into one; others stay', () => {
    const { table: it, store } = table()
    const states: PartitionState[] = ['done', 'done', 'done', 'failed', 'done', 'done']
    it.lay(states.map((state, index) => span(index, index + 1, state, `r${index}`)))
    it.lay([span(8, 9, 'done')])
    it.lay(Array.from({ length: spansKeptApart }, (_, index) => span(100 + index, 101 + index, 'done', `n${index}`)))
    it.fold('s')
    expect(it.overlapping('s', 0, 102).map(({ start, end, state, runId }) => [start, end, state, runId])).toEqual([
      [0, 3, 'done', null],
      [3, 4, 'failed', 'r3'],
      [4, 6, 'done', null],
      [8, 9, 'done', null],
      [100, 101, 'done', 'n0'],
      [101, 102, 'done', 'n1'],
    ])
    const before = store.statements
    it.fold('s')
    expect(store.statements - before).toBeLessThan(5)
  })

  it('are at most 10,000 of one schedule: the oldest are forgotten', () => {
    const { table: it, store } = table()
    it.lay(Array.from({ length: 10_500 }, (_, index) => span(index, index + 1, index % 2 ? 'done' : 'failed')))
    it.fold('s')
    expect(store.sql('SELECT COUNT(*) AS n, MIN(start_at) AS first FROM dotdo_partitions')).toEqual([{ n: 10_000, first: 500 }])
  })
})

describe('windows', () => {
  it('follow each other without gap or overlap, and end after the one and not after the other', () => {
    const recurrences = [interval(7 * hourMs), cron('30 2 * * *', { timeZone: 'America/New_York' }), cron('0 0 29 2 *')]
    const moment = fc.integer({ min: hour(0), max: hour(0) + 300 * dayMs })
    fc.assert(
      fc.property(fc.constantFrom(...recurrences), moment, moment, (recurrence, a, b) => {
        const windows = [...windowsOf(openRecurrence(recurrence), a, b)]
        for (const [index, { start, end }] of windows.entries()) {
          expect([start < end, end > a, end <= b]).toEqual([true, true, true])
          if (index > 0) expect(start).toBe(windows[index - 1]!.end)
        }
      }),
    )
  })

  it('end at the instants around a change of the clock: one of 23 hours and one of 25', () => {
    const instants = openRecurrence(cron('0 0 * * *', { timeZone: 'America/New_York' }))
    const lengths = (from: string, to: string) => [...windowsOf(instants, at(from), at(to))].map(({ start, end }) => (end - start) / hourMs)
    expect(lengths('2026-03-07T12:00:00Z', '2026-03-11T00:00:00Z')).toEqual([24, 23, 24])
    expect(lengths('2026-10-31T12:00:00Z', '2026-11-04T00:00:00Z')).toEqual([24, 25, 24])
  })

  it('has none where there is one instant, and none before the first of a year that is named', () => {
    expect([...windowsOf(openRecurrence(once(5)), 0, 10)]).toEqual([])
    const year = openRecurrence(cron('0 0 0 1 * * 2024'))
    expect([...windowsOf(year, 0, at('2024-03-15T00:00:00Z'))].map(({ end }) => new Date(end).getUTCMonth())).toEqual([1, 2])
  })
})

describe('the state of a window', () => {
  const of = (...spans: [start: number, end: number, state: PartitionState][]) =>
    viewsOf(
      [{ start: 10, end: 20 }],
      spans.map(([start, end, state]) => span(start, end, state) satisfies Span),
    )[0]!.state

  it.each<[PartitionState, [number, number, PartitionState][]]>([
    ['missing', []],
    [
      'missing',
      [
        [0, 10, 'done'],
        [20, 30, 'done'],
      ],
    ],
    ['done', [[10, 20, 'done']]],
    [
      'done',
      [
        [0, 15, 'done'],
        [15, 40, 'done'],
      ],
    ],
    ['missing', [[10, 19, 'done']]],
    [
      'missing',
      [
        [10, 12, 'stale'],
        [13, 20, 'done'],
      ],
    ],
    [
      'stale',
      [
        [10, 12, 'stale'],
        [12, 20, 'done'],
      ],
    ],
    [
      'failed',
      [
        [10, 12, 'failed'],
        [12, 20, 'stale'],
      ],
    ],
    [
      'running',
      [
        [10, 12, 'failed'],
        [12, 20, 'running'],
      ],
    ],
  ])('is %s where its worst part is', (state, spans) => {
    expect(of(...spans)).toBe(state)
  })

  it('is told of many windows as of each alone', () => {
    const cuts = fc.uniqueArray(fc.nat(60), { minLength: 2, maxLength: 14 }).map((it) => it.sort((a, b) => a - b))
    const states = fc.array(fc.constantFrom<PartitionState | null>('done', 'failed', 'stale', 'running', null), {
      minLength: 14,
      maxLength: 14,
    })
    fc.assert(
      fc.property(cuts, cuts, states, (ends, edges, drawn) => {
        const spans = edges.slice(1).flatMap((end, index) => (drawn[index] ? [span(edges[index]!, end, drawn[index])] : []))
        const windows = ends.slice(1).map((end, index) => ({ start: ends[index]!, end }))
        expect(viewsOf(windows, spans)).toEqual(windows.flatMap((window) => viewsOf([window], spans)))
      }),
    )
  })
})

describe('the partitions of a schedule', () => {
  function filled() {
    const world = new World()
    world.holding = true
    world.wake(({ every }) => void every.hour(fn))
    for (const [n, status] of [
      [1, 'done'],
      [2, 'failed'],
      [3, 'cancelled'],
      [4, 'done'],
    ] as const) {
      world.clock.ms = hour(n)
      world.end(world.scheduler.due()[0]!.runId, status)
    }
    world.clock.ms = hour(5)
    world.scheduler.due()
    return world
  }
  const states = (world: World, from: number, to: number) =>
    world.scheduler.partitions('fn', hour(from), hour(to)).partitions.map((it) => it.state)

  it.each([NaN, 'many', -1, 0, null, {}])('are listed a page at a time, also where %j is asked for', (limit) => {
    const page = filled().scheduler.partitions('fn', hour(-500), hour(5), { limit: limit as number })
    expect(page).toMatchObject({ partitions: { length: 100 }, next: hour(-400) })
  })

  it('are listed with their states and runs, and those before the schedule was are missing', () => {
    const world = filled()
    expect(world.scheduler.partitions('fn', hour(-1), hour(2))).toEqual({
      partitions: [
        { start: hour(-1), end: hour(0), state: 'missing' },
        { start: hour(0), end: hour(1), state: 'done', runId: 'fn@2026-01-01T01:00:00.000Z' },
        { start: hour(1), end: hour(2), state: 'failed', runId: 'fn@2026-01-01T02:00:00.000Z' },
      ],
    })
    expect(states(world, 2, 9)).toEqual(['missing', 'done', 'running'])
  })

  it('are paged: each page goes on where the one before ended', () => {
    const world = filled()
    const seen = []
    let from: number | undefined = hour(-20)
    for (let pages = 0; from !== undefined; pages++) {
      expect(pages).toBeLessThan(20)
      const page = world.scheduler.partitions('fn', from, hour(99), { limit: 3 })
      seen.push(...page.partitions)
      from = page.next
    }
    expect(seen).toEqual(world.scheduler.partitions('fn', hour(-20), hour(99)).partitions)
    expect(seen).toHaveLength(25)
  })

  it('of a run that made up for many are as that run is', () => {
    const world = new World()
    world.wake(({ every }) => void every.hour(fn))
    world.clock.ms = hour(4)
    world.scheduler.due()
    world.scheduler.ran('fn', hour(4), 'fn@2026-01-01T04:00:00.000Z', 'done')
    expect(states(world, 0, 4)).toEqual(['done', 'done', 'done', 'done'])
  })

  it('that are done can be marked as stale; others stay as they are, and what runs is stale once it is done', () => {
    const world = filled()
    world.scheduler.markStale('fn', hour(0), '2026-01-01T05:00:00Z')
    expect(states(world, 0, 5)).toEqual(['stale', 'failed', 'missing', 'stale', 'running'])
    world.end('fn@2026-01-01T05:00:00.000Z')
    expect(states(world, 4, 5)).toEqual(['stale'])
  })

  it('are marked as whole windows, out of a stretch that was folded as well', () => {
    const world = new World()
    world.wake(({ every }) => void every.hour(fn))
    world.clock.ms = hour(5)
    world.scheduler.due()
    world.scheduler.ran('fn', hour(5), 'fn@2026-01-01T05:00:00.000Z', 'done')
    world.scheduler.markStale('fn', hour(1) + 5, hour(3) + 5)
    expect(states(world, 0, 5)).toEqual(['done', 'stale', 'stale', 'done', 'done'])
  })

  it('of an hourly schedule that has become a daily one are done where all their hours are', () => {
    const world = filled()
    for (const n of [2, 3]) world.scheduler.backfill('fn', hour(n - 1), hour(n))
    for (const { id } of world.runs.underWay()) world.end(id)
    world.holding = false
    world.clock.ms = hour(30)
    world.scheduler.due()
    world.scheduler.ran('fn', hour(30), 'fn@2026-01-02T06:00:00.000Z', 'done')
    world.wake(({ every }) => void every.day(fn))
    expect(states(world, -24, 24)).toEqual(['missing', 'done'])
  })

  it('of a run that was failed and is taken up again run, and are then done', () => {
    const world = filled()
    const runId = 'fn@2026-01-01T02:00:00.000Z'
    world.scheduler.ran('fn', hour(2), runId, 'running')
    expect(states(world, 1, 2)).toEqual(['running'])
    world.scheduler.ran('fn', hour(2), runId, 'done')
    expect(states(world, 1, 2)).toEqual(['done'])
  })

  it.each(['2026-02-30', '2026-01-01T00:00:00', 'yesterday', NaN])('are not asked for from %j, which is no instant', (from) => {
    expect(() => filled().scheduler.partitions('fn', from, hour(2))).toThrow(expect.objectContaining({ code: 'INVALID_INSTANT' }))
  })
})
