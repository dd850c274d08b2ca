/**
 * Instants of cron patterns against croner alone and cron-parser, over random patterns, zones and years. A seeded part runs always, and all of
 * it with `DIFFERENTIAL=all`.
 *
 * The three agree wherever no clock changes. Near a change each has rules of its own, and ours are policies with names: there a scan of every minute
 * is the judge of ours, and what the others do is counted.
 */
import { Cron } from 'croner'
import { CronExpressionParser } from 'cron-parser'
import { describe, expect, it } from 'vitest'
import { cron, openRecurrence, type CronRecurrence } from '../../src/schedule/recurrence.ts'
import { Zone } from '../../src/schedule/zone.ts'
import { SeededRandom } from '../support/fakes.ts'
import { randomFields, scan, type Fields } from './brute-force.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs
const cases = process.env['DIFFERENTIAL'] === 'all' ? 10_000 : 600

const zones = Intl.supportedValuesOf('timeZone')
/** Half of the draws: where clocks change by an hour, by half of one, at midnight, by a whole day, twice a month. */
const restless = [
  'America/New_York',
  'Australia/Lord_Howe',
  'America/Sao_Paulo',
  'Pacific/Apia',
  'Europe/Berlin',
  'Africa/Casablanca',
  'Asia/Gaza',
  'America/St_Johns',
  'Antarctica/Troll',
  'Africa/Cairo',
]

interface Draw {
  fields: Fields
  recurrence: CronRecurrence
  from: number
}

/** A pattern that fires, a zone, and where to begin: half of the time within three days of a change of that zone's clock. */
function draw(random: SeededRandom): Draw | undefined {
  const { fields, pattern } = randomFields(random)
  const list = random.next() < 0.5 ? restless : zones
  const timeZone = list[random.below(list.length)]!
  let from = Date.UTC(1974 + random.below(62), random.below(12), 1 + random.below(28), 0, random.below(1440))
  // The end of a year, and leap days, oftener than chance would have it.
  if (random.next() < 0.1) from = Date.UTC(1974 + random.below(62), 11, 30 + random.below(2), random.below(24))
  if (random.next() < 0.1) from = Date.UTC(1976 + 4 * random.below(15), 1, 27 + random.below(2), random.below(24))
  const change = random.next() < 0.5 ? changeAfter(new Zone(timeZone), from) : undefined
  try {
    return { fields, recurrence: cron(pattern, { timeZone }), from: change === undefined ? from : change - random.below(3 * dayMs) }
  } catch {
    return undefined
  }
}

/** The first hour within 400 days whose offset is another one than before. */
function changeAfter(zone: Zone, from: number): number | undefined {
  const before = zone.offsetAt(from)
  for (let at = from; at < from + 400 * dayMs; at += dayMs) if (zone.offsetAt(at) !== before) return at
  return undefined
}

/** Whether a clock changes within a day and a half of an instant: as long as the longest gap, and the half day that an offset can make of it. */
function isNearChange(zone: Zone, at: number): boolean {
  const before = zone.offsetAt(at - 1.5 * dayMs)
  for (let t = at - 1.5 * dayMs; t <= at + 1.5 * dayMs; t += hourMs) if (zone.offsetAt(t) !== before) return true
  return false
}

const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())

/** Compares the first instants of one draw. Answers where the other disagreed, if it did: near a change, where the scan says that ours is right. */
function compare({ fields, recurrence, from }: Draw, theirs: number[]): 'agrees' | 'differs' {
  const instants = openRecurrence(recurrence)
  const zone = new Zone(recurrence.timeZone)
  let at: number | null = from
  for (const their of theirs) {
    at = instants.next(at)
    if (at === their) continue
    const where = { recurrence, from: iso(from), ours: iso(at), theirs: iso(their) }
    const first = Math.min(at ?? Infinity, their)
    expect({ ...where, near: isNearChange(zone, first) }).toEqual({ ...where, near: true })
    const [begin, end] = [first - 6 * hourMs, first + 30 * hourMs]
    const ours: number[] = []
    for (let next = instants.next(begin - 1); next !== null && next < end; next = instants.next(next)) ours.push(next)
    expect({ ...where, instants: ours.map(iso) }).toEqual({ ...where, instants: scan(fields, recurrence, begin, end).map(iso) })
    return 'differs'
  }
  return 'agrees'
}

/** What another library says, or `undefined` where it cannot. */
type Other = (recurrence: CronRecurrence, from: number, count: number) => number[] | undefined

const croner: Other = ({ pattern, timeZone }, from, count) =>
  new Cron(pattern, { timezone: timeZone }).nextRuns(count, new Date(from)).map((it) => it.getTime())

const cronParser: Other = ({ pattern, timeZone }, from, count) => {
  const found = CronExpressionParser.parse(pattern, { currentDate: new Date(from), tz: timeZone })
  try {
    return Array.from({ length: count }, () => found.next().getTime())
  } catch (thrown) {
    // It gives a rare date up after some tries; whether there is one the other library tells.
    if (thrown instanceof Error && thrown.message.includes('loop limit')) return undefined
    throw thrown
  }
}

describe.each([
  ['croner', croner],
  ['cron-parser', cronParser],
])('against %s', (name, other) => {
  it(`finds the same instants for ${cases} random patterns, zones and years, except where a clock changes`, () => {
    const random = new SeededRandom(name.length)
    let compared = 0
    let differing = 0
    let givenUp = 0
    while (compared < cases) {
      const drawn = draw(random)
      if (!drawn) continue
      const theirs = other(drawn.recurrence, drawn.from, 4)
      if (!theirs) {
        givenUp++
        continue
      }
      compared++
      if (compare(drawn, theirs) === 'differs') differing++
    }
    console.info(`${name}: ${compared} compared, ${differing} settled by the policies, ${givenUp} given up by it`)
    expect(givenUp).toBeLessThan(compared / 10)
    expect(differing).toBeGreaterThan(0)
    expect(differing).toBeLessThan(compared / 5)
  }, 240_000)
})
