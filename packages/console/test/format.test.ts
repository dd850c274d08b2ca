import { expect, test } from 'vitest'
import { dateTime, dayTime, nextInWords, progressInWords, took, zoneName } from '../src/format.ts'

test('a clock that was set back takes no time', () => expect(took(1000, 400)).toBe('0 ms'))

test('instants are written in the zone of the reader', () => {
  const at = Date.UTC(2026, 10, 23, 1, 0, 9)
  expect(dateTime(at, 'Europe/Berlin')).toBe('Nov 23, 2026, 02:00:09')
  expect(dayTime(at, 'America/New_York')).toMatch(/^Sun, Nov 22, 20:00$/)
  expect(zoneName(at, 'Europe/Berlin')).toBe('GMT+1')
})

test('midnight is 00, not 24', () => expect(dateTime(Date.UTC(2026, 0, 1), 'UTC')).toBe('Jan 1, 2026, 00:00:00'))

test('progress tells what is known, and a rate where time has passed', () => {
  expect(progressInWords(undefined, 1000)).toBe('')
  expect(progressInWords({ rows: 200_000, bytes: 18_449_535 }, 4000)).toBe('200,000 rows · 18.4 MB · 50,000 rows/s')
  expect(progressInWords({ bytes: 1000 }, 500)).toBe('1.0 kB · 2.0 kB/s')
  expect(progressInWords({ rows: 7 }, 20)).toBe('7 rows')
  expect(progressInWords({ rows: 0 }, 2000)).toBe('0 rows')
})

test('what waits says its next attempt; a wait and a sleep, which make none, say when they end', () => {
  const step = { stepId: 'x', status: 'waiting', attempt: 1, startedAt: 0, nextAttemptAt: 604_800_000 } as const
  expect(nextInWords(step, 1)).toBe('next attempt in 6 d 23 h')
  expect(nextInWords({ ...step, kind: 'wait', waitsFor: 'Order.paid' }, 1)).toBe('waits for Order.paid, ends in 6 d 23 h')
  expect(nextInWords({ ...step, kind: 'sleep' }, 0)).toBe('asleep, ends in 7 d')
  const { nextAttemptAt: _, ...endless } = step
  expect(nextInWords({ ...endless, kind: 'wait', waitsFor: 'Order.paid' }, 1)).toBe('waits for Order.paid')
  expect(nextInWords({ ...step, status: 'running' }, 1)).toBe('')
})
