import { Cron } from 'croner'
import { DotdoError } from '../base/errors.ts'
import { Zones, type Zone } from './zone.ts'

/** What happens to a wall time that daylight saving skips: fire at the first instant after the gap, or not at all that day. */
export type GapPolicy = 'fire-after' | 'skip'

/** What happens to a wall time that daylight saving repeats: fire at its first pass, its second, or both. */
export type OverlapPolicy = 'first' | 'second' | 'both'

/** Which of the two passes of a repeated wall time a search is about. */
type Pass = 'first' | 'second'

/**
 * The instants of a cron pattern in a time zone.
 *
 * croner says which *wall times* match: it is run on UTC, where every wall time exists exactly once, so its own rules for daylight saving
 * never apply. The zone and the two policies then turn wall times into instants. Taken one pass at a time this is a monotone map, so
 * the next instant is that of the first wall time beyond the reference that maps beyond it, and `'both'` is the union of the passes.
 *
 * 1. Every wall time that exists once fires once, at its instant.
 * 2. A wall time in a gap fires at the end of the gap or never, by `gap`; all of one gap together fire once.
 * 3. A wall time in an overlap fires in the first pass, the second, or both, by `overlap`.
 */
export class CronInstants {
  readonly #cron: Cron
  readonly #zone: Zone
  readonly #gap: GapPolicy
  readonly #passes: readonly Pass[]

  /** @throws `INVALID_CRON`, `INVALID_TIME_ZONE` */
  constructor(pattern: string, timeZone: string, gap: GapPolicy, overlap: OverlapPolicy, zones = new Zones()) {
    this.#cron = openCron(pattern)
    this.#zone = zones.of(timeZone)
    this.#gap = gap
    this.#passes = overlap === 'both' ? ['first', 'second'] : [overlap]
  }

  /** The first instant strictly after `instant`, or `null` when there is none before the year 3000. */
  next(instant: number): number | null {
    const found = this.#passes.map((pass) => this.#nextOf(pass, instant)).filter((it) => it !== null)
    return found.length > 0 ? Math.min(...found) : null
  }

  /** The last instant at or before `instant`, or `null` when there is none. */
  previous(instant: number): number | null {
    const found = this.#passes.map((pass) => this.#previousOf(pass, instant)).filter((it) => it !== null)
    return found.length > 0 ? Math.max(...found) : null
  }

  #nextOf(pass: Pass, instant: number): number | null {
    let wall = instant + this.#zone.offsetAt(instant)
    // Inside an overlap the wall clock alone does not say what is still to come: the first pass of all of it is over, or the
    // second pass of all of it is ahead.
    const overlap = this.#zone.overlapAt(instant)
    if (overlap && pass === 'first' && instant >= overlap.at) wall = overlap.wallEnd - 1
    if (overlap && pass === 'second' && instant < overlap.at) wall = overlap.wallStart - 1
    for (;;) {
      const match = this.#matchAfter(wall)
      if (match === null) return null
      const fired = this.#instantOf(pass, match)
      if (fired.instant !== null && fired.instant > instant) return fired.instant
      wall = fired.wallAfter
    }
  }

  #previousOf(pass: Pass, instant: number): number | null {
    let wall = instant + this.#zone.offsetAt(instant)
    const overlap = this.#zone.overlapAt(instant)
    if (overlap && pass === 'first' && instant >= overlap.at) wall = overlap.wallEnd - 1
    if (overlap && pass === 'second' && instant < overlap.at) wall = overlap.wallStart - 1
    for (;;) {
      const match = this.#matchAtOrBefore(wall)
      if (match === null) return null
      const fired = this.#instantOf(pass, match)
      if (fired.instant !== null && fired.instant <= instant) return fired.instant
      wall = fired.wallBefore
    }
  }

  /** The instant of one matching wall time, and where the search goes on when that one is not wanted (a whole gap is left at once). */
  #instantOf(pass: Pass, wall: number): { instant: number | null; wallAfter: number; wallBefore: number } {
    const instants = this.#zone.instantsOf(wall)
    const instant = pass === 'first' ? instants[0] : instants.at(-1)
    if (instant !== undefined) return { instant, wallAfter: wall, wallBefore: wall - 1 }
    const end = this.#zone.endOfGap(wall)
    return {
      instant: this.#gap === 'fire-after' ? end : null,
      wallAfter: end + this.#zone.offsetAt(end) - 1,
      wallBefore: end + this.#zone.offsetAt(end - 1) - 1,
    }
  }

  #matchAfter(wall: number): number | null {
    return this.#cron.nextRun(new Date(wall))?.getTime() ?? null
  }

  #matchAtOrBefore(wall: number): number | null {
    const beyond = (Math.floor(wall / 1000) + 1) * 1000
    return this.#cron.previousRuns(1, new Date(beyond))[0]?.getTime() ?? null
  }
}

/** A cron pattern as it is stored: fields parted by one space. */
export function normaliseCron(pattern: string): string {
  return pattern.trim().replace(/\s+/g, ' ')
}

/** A croner job without a function starts no timer and is registered nowhere. */
function openCron(pattern: string): Cron {
  try {
    const cron = new Cron(pattern, { utcOffset: 0, paused: true })
    // The offset 0 is UTC without a look at the tables of zones: four times faster than the name.
    // croner also reads ISO dates, as jobs that run once: those are `once` here, and say their zone.
    if (cron.getPattern() !== undefined) return cron
  } catch (cause) {
    throw invalidCron(pattern, cause)
  }
  throw invalidCron(pattern, new Error('it is a date'))
}

function invalidCron(pattern: string, cause: unknown): DotdoError {
  const reason = cause instanceof Error ? cause.message.replace(/^CronPattern: /, '') : String(cause)
  return new DotdoError(
    'INVALID_CRON',
    `${JSON.stringify(pattern) ?? String(pattern)} is no cron pattern: ${reason} Write five fields, 'minute hour day month weekday', such as '0 2 * * *'; a sixth in front is seconds.`,
    {
      data: { pattern, reason },
      cause,
    },
  )
}
