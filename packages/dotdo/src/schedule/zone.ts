import { DotdoError } from '../base/errors.ts'

const dayMs = 86_400_000

/** How many days a zone remembers, before it begins anew. */
const rememberedDays = 512

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

/** An offset and the instant from which it is in force. */
interface Stretch {
  from: number
  offset: number
}

/**
 * The clock of one IANA time zone, read from the runtime's own tables (`Intl`).
 *
 * An *instant* is epoch milliseconds. A *wall time* is what the clock on the wall shows, written as the epoch milliseconds that the same
 * digits have in UTC: 02:30 on a day is `Date.UTC(year, month, day, 2, 30)` in every zone.
 *
 * Assumes what has held everywhere for as long as tables exist: offsets are less than a day, and two changes lie more than a day apart.
 */
export class Zone {
  readonly name: string
  #format: Intl.DateTimeFormat | undefined
  /** By day since the epoch: the offsets in force from two days before its start to two days after its end. */
  readonly #days = new Map<number, Stretch[]>()

  /** @throws `INVALID_TIME_ZONE` for a name that the runtime's tables do not have, and for bare offsets such as `+02:00` */
  constructor(name: string) {
    this.name = name
    if (!utcNames.has(name)) this.#format = openFormat(name)
  }

  /** What to add to an instant to get its wall time (ms). */
  offsetAt(instant: number): number {
    return this.#around(instant).findLast(({ from }) => from <= instant)!.offset
  }

  /** The instants at which the wall shows `wall`: one, two where the clock was put back, none where it was put forward. Ascending. */
  instantsOf(wall: number): number[] {
    const stretches = this.#around(wall)
    return stretches.flatMap(({ from, offset }, index) => {
      const instant = wall - offset
      return instant >= from && instant < (stretches[index + 1]?.from ?? Infinity) ? [instant] : []
    })
  }

  /** For a wall time that does not exist: the first instant after the gap that swallows it. */
  endOfGap(wall: number): number {
    return this.#around(wall).find(({ from, offset }) => wall - offset < from)!.from
  }

  /** The repeated stretch that `instant` lies in, whether in its first or in its second pass. */
  overlapAt(instant: number): Overlap | undefined {
    const stretches = this.#around(instant)
    for (const [index, { from: at, offset }] of stretches.entries()) {
      const length = (stretches[index - 1]?.offset ?? offset) - offset
      if (length > 0 && instant >= at - length && instant < at + length)
        return { at, wallStart: at + offset, wallEnd: at + offset + length }
    }
    return undefined
  }

  /**
   * The stretches around an instant or a wall time (the two are less than a day apart), oldest first, the first of them without beginning. A
   * day costs 6 looks at the tables, and about 27 more where a clock changes near it; after that it costs none.
   */
  #around(at: number): Stretch[] {
    const day = Math.floor(at / dayMs)
    let stretches = this.#days.get(day)
    if (!stretches) {
      let seen = (day - 2) * dayMs
      stretches = [{ from: -Infinity, offset: this.#lookUp(seen) }]
      for (let next = seen + dayMs; this.#format && next <= (day + 3) * dayMs; seen = next, next += dayMs) {
        const offset = this.#lookUp(next)
        if (offset !== stretches.at(-1)!.offset) stretches.push({ from: this.#changeWithin(seen, next), offset })
      }
      if (this.#days.size >= rememberedDays) this.#days.clear()
      this.#days.set(day, stretches)
    }
    return stretches
  }

  /** The first instant in (from, to] whose offset is not that of `from`, by bisection. */
  #changeWithin(from: number, to: number): number {
    const before = this.#lookUp(from)
    let low = from
    let high = to
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (this.#lookUp(middle) === before) low = middle
      else high = middle
    }
    return high
  }

  #lookUp(instant: number): number {
    if (!this.#format) return 0
    const field: Record<string, number> = {}
    for (const part of this.#format.formatToParts(instant)) if (part.type !== 'literal') field[part.type] = Number(part.value)
    // Some runtimes print midnight as hour 24, of the day that begins: without the remainder every midnight would be a day late.
    const wall = Date.UTC(field.year!, field.month! - 1, field.day, field.hour! % 24, field.minute, field.second)
    return wall - Math.floor(instant / 1000) * 1000
  }
}

/** Zones by name, each opened once: its tables cost a tenth of a millisecond, and what it remembers some KB. */
export class Zones {
  readonly #opened = new Map<string, Zone>()

  /** @throws `INVALID_TIME_ZONE` */
  of(name: string): Zone {
    let zone = this.#opened.get(name)
    if (!zone) this.#opened.set(name, (zone = new Zone(name)))
    return zone
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
    throw new DotdoError(
      'INVALID_TIME_ZONE',
      `${JSON.stringify(timeZone) ?? String(timeZone)} is no time zone. Write an IANA name such as 'UTC', 'America/New_York' or 'Europe/Berlin'.`,
      {
        data: { timeZone },
        cause,
      },
    )
  }
}
