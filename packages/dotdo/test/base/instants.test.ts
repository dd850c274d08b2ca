import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isEventType } from '../../src/base/event-types.ts'
import { isInstant, isRealDay, parseInstant } from '../../src/base/instants.ts'

test('every day that there is is its midnight in UTC, and no other day is any', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9999 }), fc.integer({ min: 0, max: 13 }), fc.integer({ min: 0, max: 32 }), (year, month, day) => {
      const text = `${String(year).padStart(4, '0')}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`
      const days = [31, year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
      const isReal = month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1]!
      expect(parseInstant(text)).toBe(isReal ? Date.parse(text) : NaN)
      expect(parseInstant(` ${text}T23:59:59.5+01:30 `)).toBe(isReal ? Date.parse(`${text}T22:29:59.5Z`) : NaN)
    }),
    { numRuns: 500 },
  )
})

test.each([
  '2026-01-01T00:00',
  '2026-01-01T25:00Z',
  '2026-01-01T00:00+99:00',
  '2026-1-1',
  '20260101',
  '2026',
  'tomorrow',
  '',
  '+002026-01-01',
])('%j is no instant', (text) => expect(parseInstant(text)).toBeNaN())

test('a day is real in a longer text, too, and an instant is what Date can hold', () => {
  expect(['2024-02-29', '2024-02-29T00:00', '2025-02-29', '2026-04-31T12:00Z'].map(isRealDay)).toEqual([true, true, false, false])
  expect([0, -8.64e15, 8.64e15, 8.64e15 + 1, 0.5, NaN, Infinity].map(isInstant)).toEqual([true, true, true, false, false, false, false])
})

test('an event type has a noun and a verb, and stars in patterns alone', () => {
  expect(['Order.paid', 'A.b1', 'order.paid', 'Order.Paid', 'Order', 'A.b.c', 'A.then', '', 7].map((it) => isEventType(it))).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
    false,
    false,
    false,
  ])
  expect(['*.paid', 'Order.*', '*.*', '*'].map((it) => [isEventType(it), isEventType(it, true)])).toEqual([
    [false, true],
    [false, true],
    [false, true],
    [false, false],
  ])
})
