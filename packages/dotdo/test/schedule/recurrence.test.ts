import { Cron } from 'croner'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { GapPolicy, OverlapPolicy } from '../../src/schedule/cron-instants.ts'
import {
  cron,
  describe as inWords,
  interval,
  nextAfter,
  once,
  openRecurrence,
  previousAtOrBefore,
  readRecurrence,
  storeRecurrence,
  type Recurrence,
} from '../../src/schedule/recurrence.ts'
import { SeededRandom } from '../support/fakes.ts'
import { minuteMs, randomFields, scan } from './brute-force.ts'

const dayMs = 1440 * minuteMs
const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString().replace('.000Z', 'Z'))
const list = (recurrence: Recurrence, from: string, count: number) => {
  const instants = []
  for (let at = nextAfter(recurrence, Date.parse(from)); at !== null && instants.length < count; at = nextAfter(recurrence, at))
    instants.push(iso(at))
  return instants
}

/** Zones and days on which their clocks change, forwards and back: by an hour, by half of one, at midnight, by a whole day. */
const changes: [timeZone: string, day: string][] = [
  ['America/New_York', '2026-03-08'],
  ['America/New_York', '2026-11-01'],
  ['Australia/Lord_Howe', '2026-10-03'],
  ['Australia/Lord_Howe', '2026-04-04'],
  ['America/Sao_Paulo', '2018-11-04'],
  ['America/Sao_Paulo', '2018-02-18'],
  ['Pacific/Apia', '2011-12-30'],
  ['Europe/Berlin', '2026-03-29'],
  ['Europe/Berlin', '2026-10-25'],
  ['Asia/Kathmandu', '2026-05-05'],
  ['UTC', '2028-02-28'],
  ['Africa/Casablanca', '2026-02-15'],
  ['America/St_Johns', '2010-03-14'],
]

describe('cron against a scan of every minute', () => {
  const gaps: GapPolicy[] = ['fire-after', 'skip']
  const overlaps: OverlapPolicy[] = ['first', 'second', 'both']

  it('finds the same instants, forwards and backwards, for random patterns, zones and policies around changes of the clock', () => {
    let compared = 0
    for (let seed = 1; seed <= 260; seed++) {
      const random = new SeededRandom(seed)
      const [timeZone, day] = changes[seed % changes.length]!
      const { fields, pattern } = randomFields(random)
      const recurrence = { kind: 'cron', pattern, timeZone, gap: gaps[random.below(2)]!, overlap: overlaps[random.below(3)]! } as const
      const from = Date.parse(`${day}T00:00:00Z`) - dayMs + random.below(dayMs)
      const to = from + 2.5 * dayMs
      const expected = scan(fields, recurrence, from, to)
      const instants = openRecurrence(recurrence)

      const forwards = []
      for (let at = instants.next(from - 1); at !== null && at < to; at = instants.next(at)) forwards.push(at)
      expect({ seed, recurrence, instants: forwards.map(iso) }).toEqual({ seed, recurrence, instants: expected.map(iso) })

      const backwards = []
      for (let at = instants.previous(to - 1); at !== null && at >= from; at = instants.previous(at - 1)) backwards.unshift(at)
      expect({ seed, recurrence, instants: backwards.map(iso) }).toEqual({ seed, recurrence, instants: expected.map(iso) })

      // From anywhere in between, not only from one instant to the next: also from within a gap, a first and a second pass.
      for (let i = 0; i < 40; i++) {
        const at = from + random.below(2.5 * dayMs)
        const next = expected.find((it) => it > at)
        const previous = expected.findLast((it) => it <= at)
        if (next !== undefined)
          expect({ seed, recurrence, at: iso(at), next: iso(instants.next(at)) }).toEqual({
            seed,
            recurrence,
            at: iso(at),
            next: iso(next),
          })
        if (previous !== undefined)
          expect({ seed, recurrence, at: iso(at), previous: iso(instants.previous(at)) }).toEqual({
            seed,
            recurrence,
            at: iso(at),
            previous: iso(previous),
          })
      }
      compared += expected.length
    }
    expect(compared).toBeGreaterThan(5000)
  }, 120_000)

  it('agrees with croner by itself on daily times under the default policies, for years', () => {
    for (const timeZone of ['America/New_York', 'Australia/Lord_Howe', 'America/Sao_Paulo', 'Europe/Berlin']) {
      for (const pattern of ['30 2 * * *', '15 2 * * *', '30 1 * * *', '0 0 * * *']) {
        const alone = new Cron(pattern, { timezone: timeZone }).nextRuns(1200, new Date(Date.UTC(2017, 0, 1))).map((it) => it.getTime())
        const instants = openRecurrence(cron(pattern, { timeZone }))
        let at: number | null = Date.UTC(2017, 0, 1)
        expect([timeZone, pattern, alone.map(() => iso((at = instants.next(at!))))]).toEqual([timeZone, pattern, alone.map(iso)])
      }
    }
  })

  it('matches a zone of seconds: the wall clock is right to the second', () => {
    expect(list(cron('15 30 2 * * *', { timeZone: 'America/New_York' }), '2026-07-01T00:00:00Z', 2)).toEqual([
      '2026-07-01T06:30:15Z',
      '2026-07-02T06:30:15Z',
    ])
  })
})

describe('daylight saving, by the name of the policy', () => {
  const newYork = (pattern: string, gap: GapPolicy, overlap: OverlapPolicy) => cron(pattern, { timeZone: 'America/New_York', gap, overlap })

  it('fires 02:30 in the gap at 03:00, or not that day', () => {
    expect(list(newYork('30 2 * * *', 'fire-after', 'first'), '2026-03-07T12:00:00Z', 2)).toEqual([
      '2026-03-08T07:00:00Z',
      '2026-03-09T06:30:00Z',
    ])
    expect(list(newYork('30 2 * * *', 'skip', 'first'), '2026-03-07T12:00:00Z', 2)).toEqual([
      '2026-03-09T06:30:00Z',
      '2026-03-10T06:30:00Z',
    ])
  })

  it('fires all the times of one gap once, and not again where 03:00 matches as well', () => {
    expect(list(newYork('*/15 2,3 * * *', 'fire-after', 'first'), '2026-03-08T05:00:00Z', 3)).toEqual([
      '2026-03-08T07:00:00Z',
      '2026-03-08T07:15:00Z',
      '2026-03-08T07:30:00Z',
    ])
  })

  it.each([
    ['first', ['2026-11-01T05:30:00Z', '2026-11-02T06:30:00Z']],
    ['second', ['2026-11-01T06:30:00Z', '2026-11-02T06:30:00Z']],
    ['both', ['2026-11-01T05:30:00Z', '2026-11-01T06:30:00Z']],
  ] as const)('fires 01:30 in the overlap: %s', (overlap, expected) => {
    expect(list(newYork('30 1 * * *', 'fire-after', overlap), '2026-11-01T00:00:00-04:00', 2)).toEqual(expected)
  })

  it.each([
    ['first', ['05:00', '05:30']],
    ['second', ['06:00', '06:30']],
    ['both', ['05:00', '05:30', '06:00', '06:30']],
  ] as const)('fires */30 1 * * * in the overlap: %s', (overlap, expected) => {
    const night = list(newYork('*/30 1 * * *', 'fire-after', overlap), '2026-11-01T00:00:00-04:00', 4).filter((it) =>
      it!.startsWith('2026-11-01'),
    )
    expect(night.map((it) => it!.slice(11, 16))).toEqual(expected)
  })

  it('knows a change of half an hour: 02:15 on Lord Howe fires at 02:30', () => {
    expect(list(cron('15 2 * * *', { timeZone: 'Australia/Lord_Howe' }), '2026-10-03T12:00:00Z', 2)).toEqual([
      '2026-10-03T15:30:00Z',
      '2026-10-04T15:15:00Z',
    ])
  })

  it('fires the midnight that São Paulo skipped in 2018 at 01:00', () => {
    expect(list(cron('0 0 * * *', { timeZone: 'America/Sao_Paulo' }), '2018-11-03T12:00:00Z', 2)).toEqual([
      '2018-11-04T03:00:00Z',
      '2018-11-05T02:00:00Z',
    ])
  })

  it('fires the day that Apia left out in 2011 at the start of the next, or not at all', () => {
    const apia = (gap: GapPolicy) => list(cron('0 9 * * *', { timeZone: 'Pacific/Apia', gap }), '2011-12-29T00:00:00-10:00', 3)
    expect(apia('fire-after')).toEqual(['2011-12-29T19:00:00Z', '2011-12-30T10:00:00Z', '2011-12-30T19:00:00Z'])
    expect(apia('skip')).toEqual(['2011-12-29T19:00:00Z', '2011-12-30T19:00:00Z', '2011-12-31T19:00:00Z'])
  })

  it('leaves a skipped day at once, even for a pattern of every second', () => {
    const instants = openRecurrence(cron('* * * * * *', { timeZone: 'Pacific/Apia', gap: 'skip' }))
    const before = Date.parse('2011-12-30T09:59:59Z')
    expect(iso(instants.next(before))).toBe('2011-12-30T10:00:00Z')
    expect(iso(instants.previous(before + 999))).toBe('2011-12-30T09:59:59Z')
  })
})

describe('calendars', () => {
  it('fires at midnight of a zone, on the right day', () => {
    expect(list(cron('0 0 * * 1', { timeZone: 'Asia/Tokyo' }), '2026-01-01T00:00:00Z', 2)).toEqual([
      '2026-01-04T15:00:00Z',
      '2026-01-11T15:00:00Z',
    ])
    expect(list(cron('0 0 * * *', { timeZone: 'America/New_York' }), '2026-01-01T00:00:00Z', 2)).toEqual([
      '2026-01-01T05:00:00Z',
      '2026-01-02T05:00:00Z',
    ])
  })

  it('fires on 29 February in leap years only, 2100 being none', () => {
    expect(list(cron('0 0 29 2 *'), '2092-03-01T00:00:00Z', 3)).toEqual([
      '2096-02-29T00:00:00Z',
      '2104-02-29T00:00:00Z',
      '2108-02-29T00:00:00Z',
    ])
  })

  it('fires on the 31st of the months that have one, and on the last day of each', () => {
    expect(list(cron('0 0 31 * *'), '2026-01-31T00:00:00Z', 3)).toEqual([
      '2026-03-31T00:00:00Z',
      '2026-05-31T00:00:00Z',
      '2026-07-31T00:00:00Z',
    ])
    expect(list(cron('0 0 L * *'), '2026-01-31T00:00:00Z', 3)).toEqual([
      '2026-02-28T00:00:00Z',
      '2026-03-31T00:00:00Z',
      '2026-04-30T00:00:00Z',
    ])
  })

  it('does not skip a boundary that is less than a minute, or a millisecond, away', () => {
    const daily = cron('0 2 * * *')
    expect(list(daily, '2026-01-01T01:59:30Z', 1)).toEqual(['2026-01-01T02:00:00Z'])
    expect(list(daily, '2026-01-01T01:59:59.999Z', 1)).toEqual(['2026-01-01T02:00:00Z'])
    expect(list(daily, '2026-01-01T02:00:00.000Z', 1)).toEqual(['2026-01-02T02:00:00Z'])
  })

  it('ends where the year field ends, and stays declarable', () => {
    const year = cron('0 0 0 1 1 * 2024')
    expect([nextAfter(year, Date.UTC(2026, 0)), iso(previousAtOrBefore(year, Date.UTC(2026, 0)))]).toEqual([null, '2024-01-01T00:00:00Z'])
  })
})

describe('intervals and single instants', () => {
  it('are multiples of the interval since the epoch, strictly after and at or before', () => {
    const whole = fc.integer({ min: 1000, max: 10 * dayMs })
    fc.assert(
      fc.property(whole, fc.integer({ min: -dayMs * 1000, max: 4e12 }), (everyMs, at) => {
        const recurrence = interval(everyMs)
        const next = nextAfter(recurrence, at)!
        const previous = previousAtOrBefore(recurrence, at)!
        expect([next % everyMs === 0, previous % everyMs === 0, next > at, previous <= at, next - previous]).toEqual([
          true,
          true,
          true,
          true,
          everyMs,
        ])
      }),
    )
  })

  it('every 90 minutes is no */90: sixteen times a day, the same on each', () => {
    const times = list(interval(90 * minuteMs), '2026-01-01T00:00:00Z', 4)
    expect(times).toEqual(['2026-01-01T01:30:00Z', '2026-01-01T03:00:00Z', '2026-01-01T04:30:00Z', '2026-01-01T06:00:00Z'])
  })

  it('once is before its instant and at it, and not after', () => {
    const recurrence = once(5000)
    expect([
      nextAfter(recurrence, 4999),
      nextAfter(recurrence, 5000),
      previousAtOrBefore(recurrence, 4999),
      previousAtOrBefore(recurrence, 5000),
    ]).toEqual([5000, null, null, 5000])
  })

  it('end where Date ends', () => {
    expect(nextAfter(interval(1000), 8.64e15)).toBeNull()
  })
})

describe('bad input', () => {
  it.each([
    '',
    '* * *',
    '61 * * * *',
    '0 24 * * *',
    '*/0 * * * *',
    'every day',
    '2026-01-01T00:00:00',
    '0 0 * * 8',
    '@reboot',
    '0 2 * * * * * *',
  ])('refuses the pattern %j', (pattern) => {
    expect(() => cron(pattern)).toThrow(expect.objectContaining({ code: 'INVALID_CRON', data: expect.objectContaining({ pattern }) }))
  })

  it.each(['0 0 30 2 *', '0 0 31 4,6,9,11 *'])('refuses %j, which never fires', (pattern) => {
    expect(nextAfter({ kind: 'cron', pattern, timeZone: 'UTC', gap: 'skip', overlap: 'first' }, 0)).toBeNull()
    expect(() => cron(pattern)).toThrow(expect.objectContaining({ code: 'NEVER_FIRES' }))
  })

  it.each(['Mars/Olympus', '', 'Europe/berlin!', '+02:00', 5])('refuses the zone %j', (timeZone) => {
    expect(() => cron('0 2 * * *', { timeZone: timeZone as string })).toThrow(
      expect.objectContaining({ code: 'INVALID_TIME_ZONE', message: expect.stringContaining(JSON.stringify(timeZone)) }),
    )
  })

  it('refuses policies that do not exist, with those that do', () => {
    expect(() => cron('0 2 * * *', { gap: 'later' as GapPolicy })).toThrow(/gap cannot be "later"\. Use 'fire-after', 'skip'/)
    expect(() => cron('0 2 * * *', { overlap: 'none' as OverlapPolicy })).toThrow(expect.objectContaining({ code: 'INVALID_SCHEDULE' }))
  })

  it.each([0, -1000, 999, 1500.5, NaN, Infinity])('refuses an interval of %s ms', (everyMs) => {
    expect(() => interval(everyMs)).toThrow(expect.objectContaining({ code: 'INVALID_INTERVAL' }))
  })

  it.each([NaN, Infinity, 9e15, 1.5])('refuses %s as an instant', (atMs) => {
    expect(() => once(atMs)).toThrow(expect.objectContaining({ code: 'INVALID_INSTANT' }))
  })
})

describe('words and storage', () => {
  it.each<[Recurrence, string]>([
    [cron('0 2 * * *'), 'every day at 02:00'],
    [cron('30 21 * * 1'), 'every Monday at 21:30'],
    [cron('0 9 * * 7'), 'every Sunday at 09:00'],
    [cron('0 9 * * 1-5'), 'every weekday at 09:00'],
    [cron('0 9 * * 0,6'), 'every weekend day at 09:00'],
    [cron('0 12 1 * *'), 'every month on day 1 at 12:00'],
    [cron('0 0 L * *'), 'every month on the last day at 00:00'],
    [cron('0 * * * *'), 'every hour'],
    [cron('* * * * *'), 'every minute'],
    [cron('  */5   8-18 * *  1-5 '), "cron '*/5 8-18 * * 1-5'"],
    [cron('0 2 1 * 1'), "cron '0 2 1 * 1'"],
    [cron('0 2 * 3 *'), "cron '0 2 * 3 *'"],
    [interval(90 * minuteMs), 'every 90 minutes'],
    [interval(60 * minuteMs), 'every hour'],
    [interval(1500), 'every 1500 milliseconds'],
    [once(0), 'once at 1970-01-01T00:00:00.000Z'],
  ])('%j in words is %j', (recurrence, words) => {
    expect(inWords(recurrence)).toBe(words)
  })

  it('are stored with a version, in text that is pinned, and read back', () => {
    const stored = [cron('0 2 * * *', { timeZone: 'Europe/Berlin' }), interval(5000), once(7)].map(storeRecurrence)
    expect(stored).toEqual([
      '{"version":1,"kind":"cron","pattern":"0 2 * * *","timeZone":"Europe/Berlin","gap":"fire-after","overlap":"first"}',
      '{"version":1,"kind":"interval","everyMs":5000}',
      '{"version":1,"kind":"once","atMs":7}',
    ])
    expect(stored.map(readRecurrence).map(storeRecurrence)).toEqual(stored)
    expect(() => readRecurrence('{"version":2,"kind":"moon"}')).toThrow(expect.objectContaining({ code: 'STATE_TOO_NEW' }))
  })
})
