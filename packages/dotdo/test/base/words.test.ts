import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  budgetInWords,
  counted,
  formatBytes,
  formatCount,
  formatRelative,
  priceInWords,
  targetInWords,
  untoldInWords,
} from '../../src/base/words.ts'

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [999_949, '999.9 kB'],
  [999_951, '1.0 MB'],
  [18_449_535, '18.4 MB'],
  [2_500_000_000, '2.5 GB'],
  [5e15, '5000.0 TB'],
])('%d bytes are %s', (value, text) => expect(formatBytes(value)).toBe(text))

test('a size has at most three digits before its point, below the largest unit', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_000_000_000_000 }), (value) => {
      expect(formatBytes(value)).toMatch(/^\d{1,3}( B|\.\d (kB|MB|GB|TB))$/)
    }),
  )
})

test.each([
  [0, 'now'],
  [-999, 'now'],
  [-1000, '1 s ago'],
  [-59_999, '59 s ago'],
  [-60_000, '1 min ago'],
  [-3_600_000, '1 h ago'],
  [-86_400_000 * 40, '40 d ago'],
  [90_000, 'in 1 min 30 s'],
  [60_000, 'in 1 min'],
  [59_000, 'in 59 s'],
  [6_899_999, 'in 1 h 54 min'],
  [86_400_000 * 7 - 1, 'in 6 d 23 h'],
  [86_400_000 * 2 + 1, 'in 2 d'],
])('%i ms from now is %s', (distance, words) => expect(formatRelative(1_790_000_000_000 + distance, 1_790_000_000_000)).toBe(words))

test('thousands are apart, and one row is not a plural', () => {
  expect([formatCount(1_234_567), formatCount(2n ** 53n), formatCount(0.25)]).toEqual(['1,234,567', '9,007,199,254,740,992', '0.25'])
  expect([counted(1, 'row'), counted(0, 'row'), counted(1200, 'row'), counted(2, 'query', 'queries')]).toEqual([
    '1 row',
    '0 rows',
    '1,200 rows',
    '2 queries',
  ])
})

test('what started a run is said in words', () => {
  expect(targetInWords({ kind: 'method', name: 'backfill' })).toBe('backfill()')
  expect(targetInWords({ kind: 'schedule', id: 'daily', scheduledAt: 0 })).toBe('schedule daily')
  expect(targetInWords({ kind: 'event', type: 'Pipeline.completed', handler: 'Pipeline.completed#1' })).toBe('event Pipeline.completed')
})

test('who could not be told of an alert is said with the reason, which may have no code', () => {
  const error = { code: 'WEBHOOK_REFUSED', message: 'It answered 410.' }
  expect(untoldInWords({ to: 'chat OPS', at: 0, error })).toBe('nobody could be told at chat OPS: WEBHOOK_REFUSED: It answered 410.')
  expect(untoldInWords({ to: 'object Ops/main', at: 0, error: { message: 'gone' } })).toBe('nobody could be told at object Ops/main: gone')
})

test('a price tells what there is of it, one of a thing in the singular', () => {
  expect(priceInWords({ messages: 1, requests: 3, bytes: 1_250_000, rowsRead: 1, r2: 2 })).toBe(
    '3 requests, 1 message, 1.3 MB, 1 row read, 2 bucket operations',
  )
  expect(priceInWords({})).toBe('')
})

test('a budget is told like a price, with its time', () => {
  expect(budgetInWords({ wallMs: 3_600_000, requests: 1000, r2: 1 })).toBe('1,000 requests, 1 bucket operation, 1 h')
  expect(budgetInWords({ wallMs: 30_000 })).toBe('30 s')
  expect(budgetInWords({ wallMs: 600_000 })).toBe('10 min')
  expect(budgetInWords({})).toBe('')
})
