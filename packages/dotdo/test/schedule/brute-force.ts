import { SeededRandom } from '../support/fakes.ts'
import type { CronRecurrence } from '../../src/schedule/recurrence.ts'

/** The matching values of each cron field; `null` is `*`. */
export interface Fields {
  minute: number[] | null
  hour: number[] | null
  day: number[] | null
  month: number[] | null
  weekday: number[] | null
}

export const minuteMs = 60_000

/** What the wall shows at an instant, from Intl alone: the oracle shares no code with the room. */
function wallClock(timeZone: string): (instant: number) => number {
  const known = (walls[timeZone] ??= new Map())
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' })
  return (instant) => {
    let wall = known.get(instant)
    if (wall === undefined) known.set(instant, (wall = Date.parse(`${format.format(instant).replace(' ', 'T')}Z`)))
    return wall
  }
}

/** Many seeds look at the same few nights. */
const walls: Record<string, Map<number, number>> = {}

/**
 * Every instant in [from, to) at which a pattern fires, found by looking at each minute: at its wall time, whether that was shown before, and
 * which wall times the minute jumped over. Starts a day and a half early, to know what was shown before.
 */
export function scan(fields: Fields, recurrence: CronRecurrence, from: number, to: number): number[] {
  const wall = wallClock(recurrence.timeZone)
  const seen = new Map<number, number>()
  const found = new Set<number>()
  let last: number | undefined
  const begin = Math.floor((from - 36 * 60 * minuteMs) / minuteMs) * minuteMs
  // Beyond the end by as much: whether a pass is the last one of its wall time is known only later.
  for (let at = begin; at < to + 36 * 60 * minuteMs; at += minuteMs) {
    const now = wall(at)
    if (last !== undefined && recurrence.gap === 'fire-after') {
      for (let missing = last + minuteMs; missing < now; missing += minuteMs) if (matches(fields, missing)) found.add(at)
    }
    if (matches(fields, now)) {
      const former = seen.get(now)
      if (former === undefined || recurrence.overlap !== 'first') found.add(at)
      if (former !== undefined && recurrence.overlap === 'second') found.delete(former)
      seen.set(now, at)
    }
    last = now
  }
  return [...found].filter((it) => it >= from && it < to).sort((a, b) => a - b)
}

/** A pattern drawn at random, as its fields and as cron text: numbers, lists, ranges, steps and stars. */
export function randomFields(random: SeededRandom): { fields: Fields; pattern: string } {
  const pick = (first: number, last: number, starShare: number): { values: number[] | null; text: string } => {
    if (random.next() < starShare) return { values: null, text: '*' }
    const kind = random.below(3)
    if (kind === 0) {
      const step = 1 + random.below(last - first)
      return { values: range(first, last, step), text: `${first}-${last}/${step}` }
    }
    if (kind === 1) {
      const low = first + random.below(last - first + 1)
      const high = low + random.below(last - low + 1)
      return { values: range(low, high, 1), text: `${low}-${high}` }
    }
    const values = [...new Set(Array.from({ length: 1 + random.below(3) }, () => first + random.below(last - first + 1)))]
    return { values, text: values.join(',') }
  }
  const minute = pick(0, 59, 0.1)
  // Mostly the hours of the night, where clocks change.
  const hour = random.next() < 0.6 ? pick(0, 3, 0.1) : pick(0, 23, 0.3)
  const day = pick(1, 31, 0.7)
  const month = pick(1, 12, 0.9)
  const weekday = pick(0, 6, 0.7)
  return {
    fields: { minute: minute.values, hour: hour.values, day: day.values, month: month.values, weekday: weekday.values },
    pattern: [minute, hour, day, month, weekday].map((it) => it.text).join(' '),
  }
}

function range(first: number, last: number, step: number): number[] {
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, i) => first + i * step)
}

/** POSIX crontab: when both the day and the weekday are restricted, either is enough. */
function matches({ minute, hour, day, month, weekday }: Fields, wall: number): boolean {
  const date = new Date(wall)
  const has = (values: number[] | null, value: number) => values === null || values.includes(value)
  if (!has(minute, date.getUTCMinutes()) || !has(hour, date.getUTCHours()) || !has(month, date.getUTCMonth() + 1)) return false
  if (day !== null && weekday !== null) return day.includes(date.getUTCDate()) || weekday.includes(date.getUTCDay())
  return has(day, date.getUTCDate()) && has(weekday, date.getUTCDay())
}
