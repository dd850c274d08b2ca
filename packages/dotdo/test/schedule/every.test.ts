import { describe, expect, expectTypeOf, it } from 'vitest'
import type { Declaration, ScheduleHandle, ScheduleHandler, ScheduleOptions } from '../../src/schedule/declaration.ts'
import { createAfter, createAt, createEvery, type Daily, type Every, type Finish } from '../../src/schedule/every.ts'
import type { CronRecurrence } from '../../src/schedule/recurrence.ts'

const handle = { id: 'x' } as ScheduleHandle

/** A port that remembers what it was told. */
function recorder() {
  const told: { declaration: Declaration; handler: ScheduleHandler }[] = []
  const declare = (declaration: Declaration, handler: ScheduleHandler) => (told.push({ declaration, handler }), handle)
  return {
    told,
    declare,
    every: createEvery(declare),
    at: createAt(declare),
    after: createAfter(declare),
    last: () => told.at(-1)!.declaration,
  }
}

const fn = () => undefined

/** A sentence, the recurrence it means (`pattern @ zone`, or ms), and its words. */
const sentences: [name: string, say: (every: Every) => unknown, means: string | number, words: string][] = [
  ['every.day(fn)', (every) => every.day(fn), '0 0 * * * @ UTC', 'every day at 00:00'],
  ["every.day.at('2am')(fn)", (every) => every.day.at('2am')(fn), '0 2 * * * @ UTC', 'every day at 02:00'],
  ["every.Monday.at('9am')(fn)", (every) => every.Monday.at('9am')(fn), '0 9 * * 1 @ UTC', 'every Monday at 09:00'],
  ["every.monday.at('9:30pm')(fn)", (every) => every.monday.at('9:30pm')(fn), '30 21 * * 1 @ UTC', 'every Monday at 21:30'],
  ['every.Tuesday(fn)', (every) => every.Tuesday(fn), '0 0 * * 2 @ UTC', 'every Tuesday at 00:00'],
  ['every.wednesday(fn)', (every) => every.wednesday(fn), '0 0 * * 3 @ UTC', 'every Wednesday at 00:00'],
  ['every.Thursday(fn)', (every) => every.Thursday(fn), '0 0 * * 4 @ UTC', 'every Thursday at 00:00'],
  ['every.friday(fn)', (every) => every.friday(fn), '0 0 * * 5 @ UTC', 'every Friday at 00:00'],
  ['every.Saturday(fn)', (every) => every.Saturday(fn), '0 0 * * 6 @ UTC', 'every Saturday at 00:00'],
  ['every.sunday(fn)', (every) => every.sunday(fn), '0 0 * * 0 @ UTC', 'every Sunday at 00:00'],
  ["every.weekday.at('14:30')(fn)", (every) => every.weekday.at('14:30')(fn), '30 14 * * 1-5 @ UTC', 'every weekday at 14:30'],
  ["every.weekend.at('noon')(fn)", (every) => every.weekend.at('noon')(fn), '0 12 * * 0,6 @ UTC', 'every weekend day at 12:00'],
  ['every.hour(fn)', (every) => every.hour(fn), '0 * * * * @ UTC', 'every hour'],
  ['every.minute(fn)', (every) => every.minute(fn), '* * * * * @ UTC', 'every minute'],
  ['every.month(fn)', (every) => every.month(fn), '0 0 1 * * @ UTC', 'every month on day 1 at 00:00'],
  ["every.month.at('2am')(fn)", (every) => every.month.at('2am')(fn), '0 2 1 * * @ UTC', 'every month on day 1 at 02:00'],
  [
    "every.month.on(31).at('noon')(fn)",
    (every) => every.month.on(31).at('noon')(fn),
    '0 12 31 * * @ UTC',
    'every month on day 31 at 12:00',
  ],
  ["every.month.on('last')(fn)", (every) => every.month.on('last')(fn), '0 0 L * * @ UTC', 'every month on the last day at 00:00'],
  ["every('0 2 * * *')(fn)", (every) => every('0 2 * * *')(fn), '0 2 * * * @ UTC', 'every day at 02:00'],
  ["every.in(zone).day.at('2am')(fn)", (every) => every.in('Asia/Tokyo').day.at('2am')(fn), '0 2 * * * @ Asia/Tokyo', 'every day at 02:00'],
  ["every.day.in(zone).at('2am')(fn)", (every) => every.day.in('Asia/Tokyo').at('2am')(fn), '0 2 * * * @ Asia/Tokyo', 'every day at 02:00'],
  ["every.day.at('2am').in(zone)(fn)", (every) => every.day.at('2am').in('Asia/Tokyo')(fn), '0 2 * * * @ Asia/Tokyo', 'every day at 02:00'],
  [
    "every.month.in(zone).on(2).at('2am')(fn)",
    (every) => every.month.in('Asia/Tokyo').on(2).at('2am')(fn),
    '0 2 2 * * @ Asia/Tokyo',
    'every month on day 2 at 02:00',
  ],
  ["every('0 2 * * *').in(zone)(fn)", (every) => every('0 2 * * *').in('Asia/Tokyo')(fn), '0 2 * * * @ Asia/Tokyo', 'every day at 02:00'],
  ['every.hour.in(zone)(fn)', (every) => every.hour.in('Asia/Kolkata')(fn), '0 * * * * @ Asia/Kolkata', 'every hour'],
  ['every.day(fn, { timeZone })', (every) => every.day(fn, { timeZone: 'Asia/Tokyo' }), '0 0 * * * @ Asia/Tokyo', 'every day at 00:00'],
  ['every(15).minutes(fn)', (every) => every(15).minutes(fn), 900_000, 'every 15 minutes'],
  ['every(90).minutes(fn)', (every) => every(90).minutes(fn), 5_400_000, 'every 90 minutes'],
  ['every(90).seconds(fn)', (every) => every(90).seconds(fn), 90_000, 'every 90 seconds'],
  ['every(2).hours(fn)', (every) => every(2).hours(fn), 7_200_000, 'every 2 hours'],
  ['every(1).hour(fn)', (every) => every(1).hour(fn), 3_600_000, 'every hour'],
  ['every(1.1).hours(fn)', (every) => every(1.1).hours(fn), 3_960_000, 'every 66 minutes'],
  ['every(3).days(fn)', (every) => every(3).days(fn), 259_200_000, 'every 3 days'],
  ['every(2).weeks(fn)', (every) => every(2).weeks(fn), 1_209_600_000, 'every 2 weeks'],
]

describe('the grammar', () => {
  it.each(sentences)('%s', (_name, say, means, words) => {
    const { every, last, told } = recorder()
    expect(say(every)).toBe(handle)
    const { recurrence, pattern } = last()
    expect(
      recurrence.kind === 'cron' ? `${recurrence.pattern} @ ${recurrence.timeZone}` : recurrence.kind === 'interval' && recurrence.everyMs,
    ).toBe(means)
    expect([pattern, told.length, told[0]!.handler]).toEqual([words, 1, fn])
  })

  it('says nothing before the handler is given, and a word can be kept and said again', () => {
    const { every, told } = recorder()
    const daily = every.day
    const early = daily.at('2am')
    expect(told).toEqual([])
    early(fn)
    daily.at('3am')(fn)
    early.in('Asia/Tokyo')(fn)
    early(fn)
    expect(told.map((it) => (it.declaration.recurrence as CronRecurrence).pattern)).toEqual([
      '0 2 * * *',
      '0 3 * * *',
      '0 2 * * *',
      '0 2 * * *',
    ])
    expect(told.map((it) => (it.declaration.recurrence as CronRecurrence).timeZone)).toEqual(['UTC', 'UTC', 'Asia/Tokyo', 'UTC'])
  })

  it('follows real time where it runs every hour or minute, and the named defaults elsewhere', () => {
    const { every, last } = recorder()
    every.hour(fn)
    expect(last().recurrence).toMatchObject({ gap: 'skip', overlap: 'both' })
    every.hour(fn, { overlap: 'first' })
    expect(last().recurrence).toMatchObject({ gap: 'skip', overlap: 'first' })
    every.day(fn)
    expect(last().recurrence).toMatchObject({ gap: 'fire-after', overlap: 'first' })
    every('0 * * * *')(fn, { gap: 'skip', overlap: 'second' })
    expect(last().recurrence).toMatchObject({ gap: 'skip', overlap: 'second' })
  })

  it('takes options behind the handler, and fills in the policies that are not said', () => {
    const { every, last } = recorder()
    every.day(fn)
    expect(last()).not.toHaveProperty('id')
    expect(last().policies).toEqual({ catchUp: 'latest', catchUpLimit: 1, catchUpWithinMs: null, overlapRuns: 'skip', jitterMs: 0 })
    every.day(fn, { id: 'etl', catchUp: 'all', catchUpWithin: '2d', overlapRuns: 'queue', jitter: '5m' })
    expect(last()).toMatchObject({
      id: 'etl',
      policies: { catchUp: 'all', catchUpLimit: 100, catchUpWithinMs: 172_800_000, overlapRuns: 'queue', jitterMs: 300_000 },
    })
    every(5).minutes(fn, { catchUp: 'skip' })
    expect(last().policies).toMatchObject({ catchUp: 'skip', catchUpWithinMs: 60_000 })
  })

  it('has no word that nobody defined', () => {
    const { every } = recorder()
    expect([Reflect.get(every, 'then'), Reflect.get(every, 'Mnday'), Reflect.get(every.day, 'then')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })
})

describe('at and after', () => {
  const noon = Date.UTC(2026, 2, 1, 12)

  it.each([
    noon,
    new Date(noon),
    '2026-03-01T12:00:00Z',
    ' 2026-03-01T12:00:00Z ',
    '2026-03-01T13:00:00+01:00',
    '2026-03-01T12:00:00.000Z',
  ])('at(%j) is one instant', (instant) => {
    const { at, last } = recorder()
    at(instant)(fn)
    expect(last()).toMatchObject({ recurrence: { kind: 'once', atMs: noon }, pattern: 'once at 2026-03-01T12:00:00.000Z' })
  })

  it.each([
    '2026-03-01T12:00:00',
    'tomorrow',
    '',
    '2026-13-01T00:00:00Z',
    '2026-02-30',
    '2026-02-30T00:00:00Z',
    '2025-02-29',
    NaN,
    new Date(NaN),
  ])('at(%j) is refused: it is none, or has no zone', (instant) => {
    expect(() => recorder().at(instant)).toThrow(expect.objectContaining({ code: 'INVALID_INSTANT' }))
  })

  it('after() is a delay, told apart from an instant', () => {
    const { after, last } = recorder()
    after('10m')(fn, { id: 'warm' })
    expect(last()).toMatchObject({ id: 'warm', recurrence: { kind: 'after', delayMs: 600_000 }, pattern: 'once after 10 minutes' })
    expect(() => after('soon')).toThrow(expect.objectContaining({ code: 'INVALID_DURATION' }))
  })
})

describe('bad input', () => {
  const refused: [name: string, say: (every: Every) => unknown, code: string][] = [
    ["day.at('25:00')", (every) => every.day.at('25:00'), 'INVALID_TIME'],
    ["day.at('9 am o'clock')", (every) => every.day.at("9 am o'clock"), 'INVALID_TIME'],
    ["day.in('Nowhere')", (every) => every.day.in('Nowhere'), 'INVALID_TIME_ZONE'],
    ["in('Nowhere')", (every) => every.in('Nowhere'), 'INVALID_TIME_ZONE'],
    ['{ timeZone: Nowhere }', (every) => every.day(fn, { timeZone: 'Nowhere' }), 'INVALID_TIME_ZONE'],
    ["every('nonsense')", (every) => every('nonsense'), 'INVALID_CRON'],
    ["every('0 0 30 2 *')", (every) => every('0 0 30 2 *'), 'NEVER_FIRES'],
    ['every(0).minutes', (every) => every(0).minutes, 'INVALID_INTERVAL'],
    ['every(-5).minutes', (every) => every(-5).minutes, 'INVALID_INTERVAL'],
    ['every(NaN).hours', (every) => every(NaN).hours, 'INVALID_INTERVAL'],
    ['every(0.5).seconds', (every) => every(0.5).seconds, 'INVALID_INTERVAL'],
    ['month.on(0)', (every) => every.month.on(0), 'INVALID_SCHEDULE'],
    ['month.on(32)', (every) => every.month.on(32), 'INVALID_SCHEDULE'],
    ['month.on(1.5)', (every) => every.month.on(1.5), 'INVALID_SCHEDULE'],
    ['no handler', (every) => every.day(undefined as unknown as ScheduleHandler), 'INVALID_SCHEDULE'],
    ['two zones', (every) => every.day.in('Asia/Tokyo')(fn, { timeZone: 'UTC' }), 'INVALID_SCHEDULE'],
    ['a zone on an interval', (every) => every.in('Asia/Tokyo')(6).hours, 'INVALID_SCHEDULE'],
    ['a zone behind an interval', (every) => (every(6).hours as unknown as Daily).in('Asia/Tokyo'), 'INVALID_SCHEDULE'],
    ['the option timeZone on an interval', (every) => every(6).hours(fn, { timeZone: 'UTC' }), 'INVALID_SCHEDULE'],
    ['the option overlap on an interval', (every) => every(6).hours(fn, { overlap: 'both' }), 'INVALID_SCHEDULE'],
    ['an option that does not exist', (every) => every.day(fn, { catchup: 'all' } as ScheduleOptions), 'INVALID_SCHEDULE'],
    ['a policy that does not exist', (every) => every.day(fn, { catchUp: 'some' } as unknown as ScheduleOptions), 'INVALID_SCHEDULE'],
    ['an empty id', (every) => every.day(fn, { id: ' ' }), 'INVALID_SCHEDULE'],
    ['an endless id', (every) => every.day(fn, { id: 'x'.repeat(201) }), 'INVALID_SCHEDULE'],
    ['a limit without all', (every) => every.day(fn, { catchUpLimit: 5 }), 'INVALID_SCHEDULE'],
    ['a limit without end', (every) => every.day(fn, { catchUp: 'all', catchUpLimit: Infinity }), 'INVALID_SCHEDULE'],
    ['a jitter that is no duration', (every) => every.day(fn, { jitter: 'some' }), 'INVALID_DURATION'],
  ]

  it.each(refused)('%s is refused', (_name, say, code) => {
    const { every, told } = recorder()
    expect(() => say(every)).toThrow(expect.objectContaining({ code, retryable: false }))
    expect(told).toEqual([])
  })
})

describe('types', () => {
  it('follow the grammar', () => {
    const { every } = recorder()
    expectTypeOf(every.day.at('2am')).toBeCallableWith(fn)
    expectTypeOf(every.day.at('2am')(fn)).toEqualTypeOf<ScheduleHandle>()
    expectTypeOf(every(15).minutes).toEqualTypeOf<Finish>()
    expectTypeOf(every.Monday).toEqualTypeOf<Daily>()
    every.day(async ({ scheduledAt, window }) => {
      expectTypeOf(scheduledAt).toEqualTypeOf<number>()
      expectTypeOf(window).toEqualTypeOf<{ start: number; end: number }>()
    })
    const wrong = () => {
      // @ts-expect-error no such day
      void every.Mnday
      // @ts-expect-error an hour has no time of day
      void every.hour.at('2am')
      // @ts-expect-error an interval has no zone
      void every(15).minutes.in('UTC')
      // @ts-expect-error a handler takes one event
      every.day((event: string) => event)
      // @ts-expect-error no such policy
      every.day(fn, { overlap: 'third' })
    }
    expect(wrong).toBeTypeOf('function')
  })
})

describe('a graph on a schedule', () => {
  it('is refused when it is declared, where it cannot be sent with no values', () => {
    const { every, told } = recorder()
    const refusal = new Error('takes 1 value, got 0')
    const graph = {
      send: () => 'sent',
      checkInputs: () => {
        throw refusal
      },
    }
    expect(() => every.day.at('2am')(graph)).toThrow(refusal)
    expect(told).toEqual([])
    every.day.at('2am')({ ...graph, checkInputs: () => undefined })
    every.day.at('3am')({ send: graph.send })
    expect(told.map(({ handler }) => handler({ scheduledAt: 0, window: { start: 0, end: 0 } }))).toEqual(['sent', 'sent'])
  })
})
