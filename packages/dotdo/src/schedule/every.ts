import { toMs, type Duration } from '../base/durations.ts'
import { DotdoError } from '../base/errors.ts'
import type { Declaration, Declare, InstantLike, ScheduleHandle, ScheduleHandler, ScheduleOptions, Sendable } from './declaration.ts'
import { readInstant } from './instant.ts'
import { readPolicies } from './policies.ts'
import { cron, describe, interval, lengthInWords, once, type CronRecurrence, type CronSettings } from './recurrence.ts'
import { parseTimeOfDay, type TimeOfDay } from './time-of-day.ts'
import { Zones } from './zone.ts'

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
  return makeEvery({ declare, zones: new Zones(), checked: new Map() }, undefined)
}

/** What the words of one grammar share. Thousands of schedules have few patterns: each is checked once. */
interface Grammar {
  declare: Declare
  zones: Zones
  checked: Map<string, CronRecurrence>
}

/** A cron recurrence, checked. @throws as `cron` does */
function checkedCron({ zones, checked }: Grammar, pattern: string, settings: CronSettings): CronRecurrence {
  const key = `${settings.timeZone} ${settings.gap} ${settings.overlap} ${pattern}`
  let recurrence = checked.get(key)
  if (!recurrence) checked.set(key, (recurrence = cron(pattern, settings, zones)))
  return recurrence
}

/**
 * Makes `this.at(instant)(fn)`: one run, at an instant as {@link readInstant} reads it. An object that comes to life after the instant does not run it.
 */
export function createAt(declare: Declare): (instant: InstantLike) => Finish {
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

function makeEvery(grammar: Grammar, zone: string | undefined): Every {
  const days = (day: string, weekday: string) => () => daily(grammar, day, weekday, zone)
  const words: Record<string, () => unknown> = {
    minute: () => zoned(grammar, '* * * * *', zone, realTime),
    hour: () => zoned(grammar, '0 * * * *', zone, realTime),
    day: days('*', '*'),
    weekday: days('*', '1-5'),
    weekend: days('*', '0,6'),
    month: () => monthly(grammar, zone),
  }
  weekdays.forEach((name, index) => (words[name] = words[name.toLowerCase()] = days('*', String(index))))
  const every = (what: string | number) => (typeof what === 'number' ? count(grammar, what, zone) : zoned(grammar, what, zone))
  return withWords(Object.assign(every, { in: (timeZone: string) => makeEvery(grammar, grammar.zones.of(timeZone).name) }), words) as Every
}

function monthly(grammar: Grammar, zone: string | undefined): Monthly {
  return Object.assign(daily(grammar, '1', '*', zone), {
    on: (day: number | 'last') => daily(grammar, readDay(day), '*', zone),
    in: (timeZone: string) => monthly(grammar, grammar.zones.of(timeZone).name),
  })
}

function daily(grammar: Grammar, day: string, weekday: string, zone: string | undefined): Daily {
  const at = ({ hour, minute }: TimeOfDay) => zoned(grammar, `${minute} ${hour} ${day} * ${weekday}`, zone)
  return Object.assign(at(midnight), {
    at: (time: string) => at(parseTimeOfDay(time)),
    in: (timeZone: string) => daily(grammar, day, weekday, grammar.zones.of(timeZone).name),
  })
}

function zoned(grammar: Grammar, pattern: string, zone: string | undefined, defaults: CronSettings = {}): Zoned {
  checkedCron(grammar, pattern, defaults)
  const end = finish(grammar.declare, (options) => {
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
    const recurrence = checkedCron(grammar, pattern, { timeZone: options.timeZone ?? zone, gap, overlap })
    return { recurrence, pattern: describe(recurrence) }
  })
  return Object.assign(end, { in: (timeZone: string) => zoned(grammar, pattern, grammar.zones.of(timeZone).name, defaults) })
}

function count(grammar: Grammar, amount: number, zone: string | undefined): Count {
  return new Counted(grammar, amount, zone) as unknown as Count
}

/** What a count counts. Its units are getters of the class, made once: `every(15)` is said thousands of times in one `init`. */
class Counted {
  readonly #grammar: Grammar
  readonly #amount: number
  readonly #zone: string | undefined

  constructor(grammar: Grammar, amount: number, zone: string | undefined) {
    this.#grammar = grammar
    this.#amount = amount
    this.#zone = zone
  }

  static of(it: Counted, ms: number): Finish {
    return intervalEvery(it.#grammar, wholeProduct(it.#amount, ms), it.#zone)
  }
}

for (const [unit, ms] of Object.entries(unitMs))
  Object.defineProperty(Counted.prototype, unit, {
    get(this: Counted) {
      return Counted.of(this, ms)
    },
  })

/** 1.1 hours are 3,960,000 ms, not 3,960,000.0000000005. */
function wholeProduct(amount: number, ms: number): number {
  const nearest = Math.round(amount * ms)
  return Math.abs(nearest - amount * ms) < 1e-3 ? nearest : amount * ms
}

function intervalEvery(grammar: Grammar, everyMs: number, zone: string | undefined): Finish {
  const recurrence = interval(everyMs)
  if (zone !== undefined) refuseZone(zone)
  const end = finish(grammar.declare, (options) => {
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
