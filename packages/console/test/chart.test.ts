import fc from 'fast-check'
import { expect, test } from 'vitest'
import { barChart, columnsOf, labelOf, lineChart, mostBars, niceTicks, suggestChart, toNumber, toTime } from '../src/chart.ts'

test.each([
  ['numbers', [1, 2.5, null], 'number'],
  ['big integers', [1n, 2n], 'number'],
  ['days', ['2026-11-01', '2026-11-02'], 'time'],
  ['months', ['2026-11', '2026-12'], 'time'],
  ['instants', ['2001-01-01T00:01:00', '2001-01-01 00:02:00.5', '2001-01-01T00:02:00+01:00'], 'time'],
  ['dates', [new Date(0)], 'time'],
  ['texts', ['CA', 'TX'], 'text'],
  ['a day among texts', ['2026-11-01', 'later'], 'text'],
  ['numbers and texts', [1, 'one'], 'text'],
  ['numbers that are none', [NaN], 'text'],
  ['nothing', [null, undefined], 'text'],
])('a column of %s is of the right kind', (_, values, kind) => expect(columnsOf(values.map((value) => ({ c: value })))[0]?.kind).toBe(kind))

test('columns stand in the order of the rows, also those that the first row lacks', () => {
  expect(columnsOf([{ a: 1 }, { b: 'x', a: 2 }]).map(({ name }) => name)).toEqual(['a', 'b'])
})

test('time first is a line, text with numbers is bars, anything else is no chart', () => {
  const suggest = (row: Record<string, unknown>) => suggestChart(columnsOf([row]))
  expect(suggest({ day: '2026-11-01', n: 1 })).toEqual({ x: 'day', y: 'n' })
  expect(suggest({ n: 1, state: 'CA', mean: 2 })).toEqual({ x: 'state', y: 'n' })
  expect(suggest({ state: 'CA', day: '2026-11-01', n: 1 })).toEqual({ x: 'state', y: 'n' })
  expect(suggest({ n: 1, day: '2026-11-01' })).toEqual({ x: 'day', y: 'n' })
  expect([suggest({ n: 1 }), suggest({ a: 'x', b: 'y' }), suggest({})]).toEqual([undefined, undefined, undefined])
})

test('the longest bar fills the width, and those below zero go left from it', () => {
  const { bars, zero } = barChart(
    [
      { s: 'a', n: 30 },
      { s: 'b', n: -10 },
      { s: null, n: 0 },
    ],
    's',
    'n',
    { width: 400, rowHeight: 24 },
  )
  expect(zero).toBe(100)
  expect(bars.map(({ label, x, width }) => [label, x, width])).toEqual([
    ['a', 100, 300],
    ['b', 0, 100],
    ['(none)', 100, 0],
  ])
  expect(bars[1]!.y - bars[0]!.y).toBe(24)
})

test('rows without a number have no bar, and bars are bounded', () => {
  expect(barChart([{ s: 'a', n: null }], 's', 'n', { width: 100, rowHeight: 20 }).bars).toEqual([])
  expect(
    barChart(
      Array.from({ length: 99 }, (_, n) => ({ s: 'a', n })),
      's',
      'n',
      { width: 100, rowHeight: 20 },
    ).bars,
  ).toHaveLength(mostBars)
})

test('whatever the values, bars and ticks lie within the plot', () => {
  const value = fc.oneof(fc.integer(), fc.double({ min: -1e12, max: 1e12, noNaN: true }), fc.constant(null))
  fc.assert(
    fc.property(fc.array(value), fc.integer({ min: 60, max: 2000 }), (values, width) => {
      const { bars, ticks, zero } = barChart(
        values.map((n) => ({ s: 'x', n })),
        's',
        'n',
        { width, rowHeight: 24 },
      )
      for (const bar of bars) {
        expect(bar.x).toBeGreaterThanOrEqual(-1e-6)
        expect(bar.x + bar.width).toBeLessThanOrEqual(width + 1e-6)
        expect(bar.width).toBeGreaterThanOrEqual(0)
      }
      for (const { at } of [...ticks, { at: zero }]) expect(at >= -1e-6 && at <= width + 1e-6).toBe(true)
    }),
  )
})

test('values too small to be told apart are drawn as if there were none', () => {
  const { bars, ticks } = barChart(
    [
      { s: 'a', n: -Number.MIN_VALUE },
      { s: 'b', n: Number.MIN_VALUE },
    ],
    's',
    'n',
    { width: 60, rowHeight: 24 },
  )
  expect(bars).toHaveLength(2)
  expect(ticks.map(({ value }) => value)).toEqual([0])
})

test('a line goes in the order of time, from the left edge to the right, and leaves out what is unknown', () => {
  const rows = [
    { d: '2026-11-03', n: 10 },
    { d: '2026-11-01', n: 0 },
    { d: null, n: 4 },
    { d: '2026-11-02', n: null },
  ]
  const { points, yTicks, xTicks } = lineChart(rows, 'd', 'n', { width: 200, height: 100 })
  expect(points.map(({ label, x, y }) => [label, x, y])).toEqual([
    ['2026-11-01', 0, 100],
    ['2026-11-03', 200, 0],
  ])
  expect(yTicks.map(({ value }) => value)).toEqual([0, 5, 10])
  expect(xTicks.map(({ label }) => label)).toEqual(['2026-11-01', '2026-11-03'])
})

test('times below a line never lie on each other, whatever they are and however narrow it is', () => {
  const instant = fc.integer({ min: 0, max: 5e9 }).map((ms) => new Date(ms).toISOString())
  const day = fc.integer({ min: 0, max: 9000 }).map((n) => new Date(n * 86_400_000).toISOString().slice(0, 10))
  fc.assert(
    fc.property(
      fc.oneof(fc.array(instant, { minLength: 2 }), fc.array(day, { minLength: 2 })),
      fc.integer({ min: 60, max: 1200 }),
      (times, width) => {
        const { xTicks } = lineChart(
          times.map((d, n) => ({ d, n })),
          'd',
          'n',
          { width, height: 100 },
        )
        const spans = xTicks.map(({ label, at, anchor, row }) => {
          const length = label.length * 6.9
          const from = anchor === 'start' ? at : anchor === 'end' ? at - length : at - length / 2
          return { row, from, to: from + length }
        })
        for (const [i, a] of spans.entries())
          for (const b of spans.slice(i + 1)) expect(a.row !== b.row || a.to + 4 < b.from || b.to + 4 < a.from).toBe(true)
        expect(xTicks.length).toBeGreaterThan(0)
      },
    ),
  )
  const ticks = (width: number) =>
    lineChart(
      [0, 1, 2, 3].map((n) => ({ d: `2026-11-0${n + 1}T08:30:00Z`, n })),
      'd',
      'n',
      { width, height: 100 },
    ).xTicks.map(({ label, row }) => `${label} ${row}`)
  expect(ticks(800)).toHaveLength(3)
  expect(ticks(240)).toEqual(['2026-11-01T08:30:00 0', '2026-11-04T08:30:00 1'])
})

test('a line of one point stands in the middle', () => {
  expect(lineChart([{ d: '2026-11-03', n: 10 }], 'd', 'n', { width: 200, height: 100 })).toMatchObject({
    points: [{ x: 100 }],
    xTicks: [{ at: 100 }],
  })
})

test('ticks are round and reach over the values', () => {
  expect(niceTicks(0, 24_000, 5)).toEqual([0, 5000, 10_000, 15_000, 20_000, 25_000])
  expect(niceTicks(0, 0.3, 3)).toEqual([0, 0.1, 0.2, 0.3])
  expect(niceTicks(-5, 5, 2)).toEqual([-5, 0, 5])
  expect(niceTicks(0, 0, 4)).toEqual([0, 0.5, 1])
  fc.assert(
    fc.property(
      fc.double({ min: -1e9, max: 0, noNaN: true }),
      fc.double({ min: 1e-6, max: 1e9, noNaN: true }),
      fc.integer({ min: 2, max: 12 }),
      (low, high, wanted) => {
        const ticks = niceTicks(low, high, wanted)
        const slack = (high - low) * 1e-6
        expect(ticks[0]! <= low + slack && ticks.at(-1)! >= high - slack).toBe(true)
        expect(ticks.length).toBeLessThanOrEqual(wanted + 2)
      },
    ),
  )
})

test('a text without a zone is read as UTC', () => {
  expect(toTime('2001-01-01T00:01:00')).toBe(Date.UTC(2001, 0, 1, 0, 1))
  expect(toTime('2001-01-01 00:01:00')).toBe(Date.UTC(2001, 0, 1, 0, 1))
  expect(toTime('2001-01-01')).toBe(Date.UTC(2001, 0, 1))
  expect(toTime('2001-01-01T02:00:00+01:00')).toBe(Date.UTC(2001, 0, 1, 1))
  expect([toTime('2001-13-45'), toTime('12'), toTime(5), toTime(new Date(NaN))]).toEqual([undefined, undefined, undefined, undefined])
})

test('values have short texts', () => {
  expect([labelOf(null), labelOf({ a: 1 }), labelOf(5n), labelOf(new Date(0)), toNumber('5')]).toEqual([
    '(none)',
    '{"a":1}',
    '5',
    '1970-01-01T00:00:00.000Z',
    undefined,
  ])
})
