import { describe, expect, it } from 'vitest'
import { Zone } from '../../src/schedule/zone.ts'
import { SeededRandom } from '../support/fakes.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs
const at = (text: string) => Date.parse(text)

/** What the wall shows, from Intl in another locale and shape than the room asks for. */
function wallClock(timeZone: string): (instant: number) => number {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' })
  return (instant) => Date.parse(`${format.format(instant).replace(' ', 'T')}Z`)
}

describe('any zone that the runtime knows', () => {
  it('shows the wall time that Intl shows, and gives the instant back for it', () => {
    const random = new SeededRandom(11)
    const first = at('1972-06-01T00:00:00Z')
    for (const timeZone of Intl.supportedValuesOf('timeZone')) {
      const zone = new Zone(timeZone)
      const wall = wallClock(timeZone)
      for (let i = 0; i < 12; i++) {
        const instant = first + Math.floor((random.next() * 64 * 365 * dayMs) / 1000) * 1000
        const shown = instant + zone.offsetAt(instant)
        expect({ timeZone, instant, shown }).toEqual({ timeZone, instant, shown: wall(instant) })
        expect({ timeZone, instant, instants: zone.instantsOf(shown) }).toEqual({
          timeZone,
          instant,
          instants: expect.arrayContaining([instant]),
        })
      }
    }
  }, 60_000)

  it('sees each change of 12 years as a gap or an overlap of the right length, where scanning by the hour sees it', () => {
    for (const timeZone of [
      'America/New_York',
      'Europe/Berlin',
      'Australia/Lord_Howe',
      'Africa/Casablanca',
      'Pacific/Apia',
      'America/Caracas',
      'Asia/Pyongyang',
      'Antarctica/Troll',
    ]) {
      const zone = new Zone(timeZone)
      const wall = wallClock(timeZone)
      let last = wall(at('2007-01-01T00:00:00Z')) - at('2007-01-01T00:00:00Z')
      let changes = 0
      for (let hour = at('2007-01-01T00:00:00Z'); hour < at('2019-01-01T00:00:00Z'); hour += hourMs) {
        const offset = wall(hour) - hour
        const jump = offset - last
        if (jump !== 0) {
          changes++
          let change = hour
          while (wall(change - minuteMs) - (change - minuteMs) === offset) change -= minuteMs
          const middle = change + last + jump / 2
          if (jump > 0) {
            expect([timeZone, zone.instantsOf(middle), zone.endOfGap(middle)]).toEqual([timeZone, [], change])
            expect([zone.instantsOf(change + last - 1), zone.instantsOf(change + last + jump)]).toEqual([[change - 1], [change]])
          } else {
            expect([timeZone, zone.instantsOf(middle)]).toEqual([timeZone, [middle - last, middle - offset]])
            const overlap = { at: change, wallStart: change + offset, wallEnd: change + last }
            const inside = [change + jump, change - 1, change, change - jump - 1].map((it) => zone.overlapAt(it))
            expect([timeZone, ...inside]).toEqual([timeZone, overlap, overlap, overlap, overlap])
            expect([zone.overlapAt(change + jump - 1), zone.overlapAt(change - jump)]).toEqual([undefined, undefined])
          }
        }
        last = offset
      }
      expect([timeZone, changes > 0]).toEqual([timeZone, true])
    }
  }, 60_000)
})

describe('a zone', () => {
  it('is midnight at hour 0 of the day that begins, and not at hour 24', () => {
    for (const [timeZone, instant] of [
      ['Asia/Tokyo', '2026-05-04T15:00:00Z'],
      ['America/New_York', '2026-05-05T04:00:00Z'],
      ['Asia/Kathmandu', '2026-05-04T18:15:00Z'],
    ] as const) {
      expect(new Date(at(instant) + new Zone(timeZone).offsetAt(at(instant))).toISOString()).toBe('2026-05-05T00:00:00.000Z')
    }
  })

  it('keeps milliseconds, also before the epoch', () => {
    const zone = new Zone('Asia/Kolkata')
    for (const instant of [1_777_777_777_777, -1, -999_999_999]) expect(zone.offsetAt(instant)).toBe(5.5 * hourMs)
    expect(zone.instantsOf(1_777_777_777_777)).toEqual([1_777_777_777_777 - 5.5 * hourMs])
  })

  it('answers the same after it has forgotten the days it had seen', () => {
    const zone = new Zone('America/New_York')
    const days = Array.from({ length: 1500 }, (_, i) => at('2024-01-01T07:00:00Z') + i * dayMs)
    const once = days.map((day) => zone.offsetAt(day))
    expect(days.map((day) => zone.offsetAt(day))).toEqual(once)
    expect(new Set(once)).toEqual(new Set([-5 * hourMs, -4 * hourMs]))
  })

  it('is UTC under each of its names, with no change ever', () => {
    for (const name of ['UTC', 'Etc/UTC', 'GMT']) {
      const zone = new Zone(name)
      expect([zone.offsetAt(5), zone.instantsOf(5), zone.overlapAt(5)]).toEqual([0, [5], undefined])
    }
  })
})
