import { expect, test } from 'vitest'
import {
  bytes,
  counted,
  dateTime,
  dayTime,
  formatDuration,
  progressInWords,
  relative,
  targetInWords,
  took,
  zoneName,
} from '../src/format.ts'

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [999_949, '999.9 kB'],
  [999_951, '1.0 MB'],
  [18_449_535, '18.4 MB'],
  [5e15, '5000.0 TB'],
])('%d bytes are %s', (value, text) => expect(bytes(value)).toBe(text))

test.each([
  [5, '5 ms'],
  [59_900, '59.9 s'],
  [61_000, '1 min 1 s'],
  [3_599_000, '1 h 0 min'],
  [2 * 3_600_000 + 5 * 60_000, '2 h 5 min'],
  [52 * 3_600_000, '2 d 4 h'],
])('%d ms are %s', (ms, text) => expect(formatDuration(ms)).toBe(text))

test.each([
  [1000, 1500, 'now'],
  [1000, 1000 + 59_999, '59 s ago'],
  [1000, 61_000, '1 min ago'],
  [7_200_000, 0, 'in 2 h'],
  [0, 90_000_000, '1 d ago'],
])('%d seen from %d is %s', (at, now, text) => expect(relative(at, now)).toBe(text))

test('a clock that was set back takes no time', () => expect(took(1000, 400)).toBe('0 ms'))

test('one row is not a plural', () =>
  expect([counted(1, 'row'), counted(0, 'row'), counted(1200, 'row')]).toEqual(['1 row', '0 rows', '1,200 rows']))

test('instants are written in the zone of the reader', () => {
  const at = Date.UTC(2026, 10, 23, 1, 0, 9)
  expect(dateTime(at, 'Europe/Berlin')).toBe('Nov 23, 2026, 02:00:09')
  expect(dayTime(at, 'America/New_York')).toMatch(/^Sun, Nov 22, 20:00$/)
  expect(zoneName(at, 'Europe/Berlin')).toBe('GMT+1')
})

test('midnight is 00, not 24', () => expect(dateTime(Date.UTC(2026, 0, 1), 'UTC')).toBe('Jan 1, 2026, 00:00:00'))

test('what started a run is said in words', () => {
  expect(targetInWords({ kind: 'method', name: 'backfill' })).toBe('backfill()')
  expect(targetInWords({ kind: 'schedule', id: 'daily', scheduledAt: 0 })).toBe('schedule daily')
  expect(targetInWords({ kind: 'event', type: 'Pipeline.completed', handler: 'Pipeline.completed#1' })).toBe('event Pipeline.completed')
})

test('progress tells what is known, and a rate where time has passed', () => {
  expect(progressInWords(undefined, 1000)).toBe('')
  expect(progressInWords({ rows: 200_000, bytes: 18_449_535 }, 4000)).toBe('200,000 rows · 18.4 MB · 50,000 rows/s')
  expect(progressInWords({ bytes: 1000 }, 500)).toBe('1.0 kB · 2.0 kB/s')
  expect(progressInWords({ rows: 7 }, 20)).toBe('7 rows')
  expect(progressInWords({ rows: 0 }, 2000)).toBe('0 rows')
})
