import { DotdoError } from '../base/errors.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** Names whose clock is UTC for ever: no tables are asked for them. */
const utcNames = new Set(['UTC', 'Etc/UTC', 'GMT', 'Etc/GMT'])

/** A stretch of the wall clock that happens twice, because the clock was put back at `at`. */
export interface Overlap {
  /** The instant (epoch ms) at which the clock is put back: the second pass begins. */
  at: number
  /** The first wall time that repeats, and the first one after that does not (wall ms). */
  wallStart: number
  wallEnd: number
}

/**
 * The clock of one IANA time zone, read from the runtime's own tables (`Intl`).
 *
 * An *instant* is epoch milliseconds. A *wall time* is what the clock on the wall shows, written as the epoch milliseconds that the same
 * digits have in UTC: 02:30 on a day is `Date.UTC(year, month, day, 2, 30)` in every zone.
 *
 * Assumes what has held everywhere for as long as tables exist: offsets within 16 hours of UTC, at most one change within two days
 * around an instant.
 */
export class Zone {
  readonly name: string
  #format: Intl.DateTimeFormat | undefined

  /** @throws `INVALID_TIME_ZONE` for a name that the runtime's tables do not have, and for bare offsets such as `+02:00` */
  constructor(name: string) {
    this.name = name
    if (!utcNames.has(name)) this.#format = openFormat(name)
  }

  /** What to add to an instant to get its wall time (ms). */
  offsetAt(instant: number): number {
    if (!this.#format) return 0
    const field: Record<string, number> = {}
    for (const part of this.#format.formatToParts(instant)) if (part.type !== 'literal') field[part.type] = Number(part.value)
    // Some runtimes print midnight as hour 24, of the day that begins: without the remainder every midnight would be a day late.
    const wall = Date.UTC(field.year!, field.month! - 1, field.day, field.hour! % 24, field.minute, field.second)
    return wall - Math.floor(instant / 1000) * 1000
  }

  /** The instants at which the wall shows `wall`: one, two where the clock was put back, none where it was put forward. Ascending. */
  instantsOf(wall: number): number[] {
    if (!this.#format) return [wall]
    const instants = []
    for (const offset of this.#offsetsAround(wall)) if (this.offsetAt(wall - offset) === offset) instants.push(wall - offset)
    return instants.sort((a, b) => a - b)
  }

  /** For a wall time that does not exist: the first instant after the gap that swallows it. */
  endOfGap(wall: number): number {
    const offsets = this.#offsetsAround(wall)
    return this.#changeWithin(wall - Math.max(...offsets), wall - Math.min(...offsets))
  }

  /** The repeated stretch that `instant` lies in, whether in its first or in its second pass. */
  overlapAt(instant: number): Overlap | undefined {
    if (!this.#format) return undefined
    const here = this.offsetAt(instant)
    const spans: [from: number, to: number, before: number, after: number][] = [
      [instant - 25 * hourMs, instant, this.offsetAt(instant - 25 * hourMs), here],
      [instant, instant + 25 * hourMs, here, this.offsetAt(instant + 25 * hourMs)],
    ]
    for (const [from, to, before, after] of spans) {
      if (before <= after) continue
      const at = this.#changeWithin(from, to)
      const length = before - after
      if (instant >= at - length && instant < at + length) return { at, wallStart: at + after, wallEnd: at + before }
    }
    return undefined
  }

  /** Every offset in force within a day of a wall time, whatever its zone: samples at half days see each of them. */
  #offsetsAround(wall: number): Set<number> {
    const offsets = new Set<number>()
    for (let at = wall - dayMs; at <= wall + dayMs; at += dayMs / 2) offsets.add(this.offsetAt(at))
    return offsets
  }

  /** The first instant in (from, to] whose offset is not that of `from`: bisection, about 27 looks at the tables. */
  #changeWithin(from: number, to: number): number {
    const before = this.offsetAt(from)
    let low = from
    let high = to
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (this.offsetAt(middle) === before) low = middle
      else high = middle
    }
    return high
  }
}

function openFormat(timeZone: string): Intl.DateTimeFormat {
  try {
    // Newer runtimes accept '+02:00' and others refuse it; a name is the same everywhere and knows daylight saving.
    if (!/^[a-z]/i.test(timeZone)) throw new RangeError('not a name')
    return new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  } catch (cause) {
    throw new DotdoError('INVALID_TIME_ZONE', `${JSON.stringify(timeZone) ?? String(timeZone)} is no time zone. Write an IANA name such as 'UTC', 'America/New_York' or 'Europe/Berlin'.`, {
      data: { timeZone },
      cause,
    })
  }
}
