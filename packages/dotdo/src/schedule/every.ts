import { toMs, type Duration } from '../base/durations.ts'
import { DotdoError } from '../base/errors.ts'
import type { Declaration, Declare, ScheduleHandle, ScheduleHandler, ScheduleOptions, Sendable } from './declaration.ts'
import { readPolicies } from './policies.ts'
import { cron, describe, interval, isInstant, lengthInWords, once, type CronSettings } from './recurrence.ts'
import { parseTimeOfDay, type TimeOfDay } from './time-of-day.ts'
import { Zone } from './zone.ts'

/** The end of a sentence: given the handler, the schedule exists. @throws `INVALID_SCHEDULE` for what is no function, and for bad options */
export type Finish = (handler: ScheduleHandler | Sendable, options?: ScheduleOptions) => ScheduleHandle

/** A sentence that may still say its zone: `every.hour.in('Asia/Kolkata')(fn)`. */
export interface Zoned extends Finish {
  /** The IANA zone whose clock counts. @throws `INVALID_TIME_ZONE` */
  in(timeZone: string): Zoned
}

/** Days that may still say their time; without one it is midnight: `every.day(fn)`, `every.Monday.at('9am')(fn)`. */
export interface Daily extends Finish {
  /** As {@link parseTimeOfDay} reads it. @throws `INVALID_TIME` */
  at(time: string): Zoned
  in(timeZone: string): Daily
}

/** Months, on their first day unless they say which: `every.month.on(15).at('noon')(fn)`. */
export interface Monthly extends Daily {
  /** Day 1 to 31, or `'last'`. A month that does not have the day is left out. @throws `INVALID_SCHEDULE` */
  on(day: number | 'last'): Daily
  in(timeZone: string): Monthly
}

/** `every(15)`: what the count counts. True intervals in real time, anchored at the epoch, the same in all zones. */
export type Count = { readonly [Unit in CountUnit]: Finish }

type CountUnit = keyof typeof unitMs
type WeekdayName = 'Monday' | 'Tuesday' | 'Wednesday' | 'Thursday' | 'Friday' | 'Saturday' | 'Sunday'

/**
 * The grammar of `this.every`.
 *
 * @example
 * every.day.at('2am')(runETL)
 * every.Monday.at('9am').in('America/New_York')(generateReport)
 * every.hour(syncInventory)
 * every(15).minutes(checkAlerts)
 * every('0 2 * * *')(runETL, { catchUp: 'all' })
 */
export interface Every extends Readonly<Record<WeekdayName | Lowercase<WeekdayName>, Daily>> {
  /** A cron pattern. @throws `INVALID_CRON`, `NEVER_FIRES` */
  (pattern: string): Zoned
  /** A count of a unit. Fractions are fine where they make whole milliseconds. @throws `INVALID_INTERVAL` */
  (count: number): Count
  readonly minute: Zoned
  readonly hour: Zoned
  readonly day: Daily
  /** Monday to Friday. */
  readonly weekday: Daily
  /** Saturday and Sunday. */
  readonly weekend: Daily
  readonly month: Monthly
  /** Says the zone first: `every.in('Europe/Berlin').day.at('2am')(fn)`. @throws `INVALID_TIME_ZONE` */
  in(timeZone: string): Every
}

const unitMs = {
  second: 1000,
  seconds: 1000,
  minute: 60_000,
  minutes: 60_000,
  hour: 3_600_000,
  hours: 3_600_000,
  day: 86_400_000,
  days: 86_400_000,
  week: 604_800_000,
  weeks: 604_800_000,
}

const weekdays: WeekdayName[] = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const midnight: TimeOfDay = { hour: 0, minute: 0 }

/** What runs every hour or oftener follows real time: it neither rests for a repeated hour nor fires twice around a skipped one. */
const realTime: CronSettings = { gap: 'skip', overlap: 'both' }

/** Makes the grammar over a port. Its words are plain getters: a word that does not exist is `undefined`, and a type error. */
export function createEvery(declare: Declare): Every {
  return makeEvery(declare, undefined)
}

/**
 * Makes `this.at(instant)(fn)`: one run. The instant is epoch ms, a `Date`, or an ISO text that says its zone (`'2026-03-01T12:00:00Z'`). An
 * object that comes to life after the instant does not run it.
 */
export function createAt(declare: Declare): (instant: number | Date | string) => Finish {
  return (instant) => {
    const recurrence = once(readInstant(instant))
    return finish(declare, (options) => {
      refuseWallOptions(options, 'one instant')
      return { recurrence, pattern: describe(recurrence) }
    })
  }
}

/** Makes `this.after('10m')(fn)`: one run, that long after the object declared it for the first time. A later wake does not begin anew. */
export function createAfter(declare: Declare): (delay: Duration) => Finish {
  return (delay) => {
    const delayMs = Math.round(toMs(delay))
    return finish(declare, (options) => {
      refuseWallOptions(options, 'a delay')
      return { recurrence: { kind: 'after', delayMs }, pattern: `once after ${lengthInWords(delayMs)}` }
    })
  }
}

function makeEvery(declare: Declare, zone: string | undefined): Every {
  const days = (day: string, weekday: string) => () => daily(declare, day, weekday, zone)
  const words: Record<string, () => unknown> = {
    minute: () => zoned(declare, '* * * * *', zone, realTime),
    hour: () => zoned(declare, '0 * * * *', zone, realTime),
    day: days('*', '*'),
    weekday: days('*', '1-5'),
    weekend: days('*', '0,6'),
    month: () => monthly(declare, zone),
  }
  weekdays.forEach((name, index) => (words[name] = words[name.toLowerCase()] = days('*', String(index))))
  const every = (what: string | number) => (typeof what === 'number' ? count(declare, what, zone) : zoned(declare, what, zone))
  return withWords(Object.assign(every, { in: (timeZone: string) => makeEvery(declare, checkZone(timeZone)) }), words) as Every
}

function monthly(declare: Declare, zone: string | undefined): Monthly {
  return Object.assign(daily(declare, '1', '*', zone), {
    on: (day: number | 'last') => daily(declare, readDay(day), '*', zone),
    in: (timeZone: string) => monthly(declare, checkZone(timeZone)),
  })
}

function daily(declare: Declare, day: string, weekday: string, zone: string | undefined): Daily {
  const at = ({ hour, minute }: TimeOfDay) => zoned(declare, `${minute} ${hour} ${day} * ${weekday}`, zone)
  return Object.assign(at(midnight), {
    at: (time: string) => at(parseTimeOfDay(time)),
    in: (timeZone: string) => daily(declare, day, weekday, checkZone(timeZone)),
  })
}

function zoned(declare: Declare, pattern: string, zone: string | undefined, defaults: CronSettings = {}): Zoned {
  cron(pattern)
  const end = finish(declare, (options) => {
    if (zone !== undefined && options.timeZone !== undefined && options.timeZone !== zone) {
      throw new DotdoError(
        'INVALID_SCHEDULE',
        `A schedule has one time zone, not both ${zone} and ${options.timeZone}. Leave out .in() or the option.`,
        {
          data: { zones: [zone, options.timeZone] },
        },
      )
    }
    const { gap = defaults.gap, overlap = defaults.overlap } = options
    const recurrence = cron(pattern, { timeZone: options.timeZone ?? zone, gap, overlap })
    return { recurrence, pattern: describe(recurrence) }
  })
  return Object.assign(end, { in: (timeZone: string) => zoned(declare, pattern, checkZone(timeZone), defaults) })
}

function count(declare: Declare, amount: number, zone: string | undefined): Count {
  const words = Object.entries(unitMs).map(([unit, ms]) => [unit, () => intervalEvery(declare, wholeProduct(amount, ms), zone)] as const)
  return withWords({}, Object.fromEntries(words)) as Count
}

/** 1.1 hours are 3,960,000 ms, not 3,960,000.0000000005. */
function wholeProduct(amount: number, ms: number): number {
  const nearest = Math.round(amount * ms)
  return Math.abs(nearest - amount * ms) < 1e-3 ? nearest : amount * ms
}

function intervalEvery(declare: Declare, everyMs: number, zone: string | undefined): Finish {
  const recurrence = interval(everyMs)
  if (zone !== undefined) refuseZone(zone)
  const end = finish(declare, (options) => {
    refuseWallOptions(options, 'an interval')
    return { recurrence, pattern: describe(recurrence) }
  })
  // Not in the type. For those who write without types, a sentence better than "in is not a function".
  return Object.assign(end, { in: refuseZone })
}

function finish(declare: Declare, say: (options: ScheduleOptions) => Pick<Declaration, 'recurrence' | 'pattern'>): Finish {
  return (given, options = {}) => {
    const handler = runnable(given)
    if (!handler) {
      throw new DotdoError(
        'INVALID_SCHEDULE',
        `A schedule needs a function to run, not ${given === null ? 'null' : typeof given}. Write every.day.at('2am')(fn), with fn and not fn().`,
        {
          data: { given: typeof given },
        },
      )
    }
    const policies = readPolicies(options)
    return declare({ ...say(options), policies, ...(options.id !== undefined && { id: options.id }) }, handler)
  }
}

/** The function that a schedule runs. One made here has no name, so that the schedule is known by its pattern. */
function runnable(given: ScheduleHandler | Sendable): ScheduleHandler | undefined {
  if (typeof given === 'function') return given
  const send = (given as Partial<Sendable> | null)?.send
  // Told when it is declared, and not at each instant.
  if (typeof send === 'function') given.checkInputs?.()
  return typeof send === 'function'
    ? (
        () => () =>
          send.call(given)
      )()
    : undefined
}

/** Properties that are computed when they are read: the sentence is built word by word, and nothing for words nobody says. */
function withWords<T extends object>(target: T, words: Record<string, () => unknown>): T {
  for (const [word, get] of Object.entries(words)) Object.defineProperty(target, word, { get, enumerable: true })
  return target
}

function checkZone(timeZone: string): string {
  return new Zone(timeZone).name
}

function refuseZone(timeZone: string): never {
  throw new DotdoError(
    'INVALID_SCHEDULE',
    `An interval is real time, the same in every zone: ${timeZone} would not move it. Use every.hour, every.day or a cron pattern such as every('0 */6 * * *').in('${timeZone}').`,
    {
      data: { timeZone },
    },
  )
}

/** Options about the wall clock have no effect on what does not follow it; better said than ignored. */
function refuseWallOptions(options: ScheduleOptions, what: string): void {
  for (const name of ['timeZone', 'gap', 'overlap'] as const) {
    if (options[name] === undefined) continue
    throw new DotdoError(
      'INVALID_SCHEDULE',
      `The option ${name} means nothing for ${what}, which does not follow a wall clock. Leave it out, or use a cron pattern.`,
      {
        data: { option: name, value: options[name] },
      },
    )
  }
}

function readDay(day: number | 'last'): string {
  if (day === 'last') return 'L'
  if (Number.isInteger(day) && day >= 1 && day <= 31) return String(day)
  throw new DotdoError('INVALID_SCHEDULE', `A month has no day ${String(day)}. Write on(1) to on(31), or on('last').`, { data: { day } })
}

function readInstant(instant: number | Date | string): number {
  const text = typeof instant === 'string' ? instant.trim() : undefined
  // A date and time without a zone would mean the zone of whatever machine runs the code.
  const zoneless = text !== undefined && !/^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2}))?$/.test(text)
  const ms = text !== undefined ? Date.parse(text) : Number(instant)
  if (!zoneless && isInstant(ms)) return ms
  throw new DotdoError(
    'INVALID_INSTANT',
    `${JSON.stringify(instant) ?? String(instant)} is no instant. Give epoch milliseconds, a Date, or a text with its zone such as '2026-03-01T12:00:00Z'.`,
    {
      data: { instant: String(instant) },
    },
  )
}
