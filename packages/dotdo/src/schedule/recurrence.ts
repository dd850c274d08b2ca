import { DotdoError } from '../base/errors.ts'
import { isInstant } from '../base/instants.ts'
import { cronInWords } from './cron-words.ts'
import { CronInstants, normaliseCron, type GapPolicy, type OverlapPolicy } from './cron-instants.ts'
import type { Zones } from './zone.ts'

/** Wall times that match a cron pattern, in one time zone, under two policies for daylight saving. Made by {@link cron}. */
export interface CronRecurrence {
  kind: 'cron'
  /** Five fields, six with seconds in front, seven with a year behind, or a nickname such as `@daily`. */
  pattern: string
  /** An IANA name. */
  timeZone: string
  gap: GapPolicy
  overlap: OverlapPolicy
}

/** A true interval in real time, anchored at the epoch: every multiple of `everyMs`, the same instants in all zones. Made by {@link interval}. */
export interface IntervalRecurrence {
  kind: 'interval'
  everyMs: number
}

/** One instant, epoch milliseconds. Made by {@link once}. */
export interface OnceRecurrence {
  kind: 'once'
  atMs: number
}

/** When something happens: plain data that can be stored, compared and sent. */
export type Recurrence = CronRecurrence | IntervalRecurrence | OnceRecurrence

/** What {@link cron} takes beside the pattern. */
export interface CronSettings {
  /** Default `'UTC'`. */
  timeZone?: string | undefined
  /** Default `'fire-after'`: 02:30 on a night without 02:30 fires at 03:00. */
  gap?: GapPolicy | undefined
  /** Default `'first'`. A pattern that runs every hour or oftener then rests for the repeated hour: it wants `'both'`. */
  overlap?: OverlapPolicy | undefined
}

/** The instants of a recurrence, opened once and asked often: what {@link openRecurrence} gives. Both answer epoch ms or `null`. */
export interface Instants {
  /** The first instant strictly after. */
  next(instant: number): number | null
  /** The last instant at or before. */
  previous(instant: number): number | null
}

/** The shortest interval: an alarm a second is the most that one object should be asked for. */
export const minIntervalMs = 1000

/**
 * A cron recurrence, checked.
 * @throws `INVALID_CRON`, `INVALID_TIME_ZONE`, `INVALID_SCHEDULE` (a policy that does not exist), `NEVER_FIRES` (30 February)
 */
export function cron(pattern: string, settings: CronSettings = {}, zones?: Zones): CronRecurrence {
  const { timeZone = 'UTC', gap = 'fire-after', overlap = 'first' } = settings
  checkChoice('gap', gap, ['fire-after', 'skip'])
  checkChoice('overlap', overlap, ['first', 'second', 'both'])
  if (typeof pattern !== 'string')
    throw new DotdoError('INVALID_CRON', `A cron pattern is text, not ${typeof pattern}. Write five fields such as '0 2 * * *'.`, {
      data: { pattern },
    })
  const recurrence: CronRecurrence = { kind: 'cron', pattern: normaliseCron(pattern), timeZone, gap, overlap }
  // From the epoch and not from now: a pattern whose year is over has fired, and declaring it again on a later wake is no mistake.
  if (openRecurrence(recurrence, zones).next(0) === null) {
    throw new DotdoError('NEVER_FIRES', `The cron pattern '${pattern}' matches no date that exists. Check its day against its month.`, {
      data: { pattern, timeZone },
    })
  }
  return recurrence
}

/**
 * An interval recurrence, checked. `everyMs` is whole milliseconds.
 * @throws `INVALID_INTERVAL` for what is no number, not whole, or shorter than {@link minIntervalMs}
 */
export function interval(everyMs: number): IntervalRecurrence {
  if (!Number.isSafeInteger(everyMs) || everyMs < minIntervalMs) {
    throw new DotdoError(
      'INVALID_INTERVAL',
      `An interval of ${String(everyMs)} ms cannot be kept. Use a whole number of milliseconds, at least ${minIntervalMs}.`,
      {
        data: { everyMs, minIntervalMs },
      },
    )
  }
  return { kind: 'interval', everyMs }
}

/**
 * A recurrence of one instant, checked. A past instant is allowed: it has been.
 * @throws `INVALID_INSTANT` for what no `Date` can hold
 */
export function once(atMs: number): OnceRecurrence {
  if (!isInstant(atMs))
    throw new DotdoError('INVALID_INSTANT', `${String(atMs)} is no instant. Give epoch milliseconds.`, { data: { atMs } })
  return { kind: 'once', atMs }
}

/**
 * Opens a recurrence for many questions: a cron pattern is parsed and its zone's tables are opened once.
 * @param zones shared by those who open many
 * @throws as {@link cron}
 */
export function openRecurrence(recurrence: Recurrence, zones?: Zones): Instants {
  switch (recurrence.kind) {
    case 'cron':
      return new CronInstants(recurrence.pattern, recurrence.timeZone, recurrence.gap, recurrence.overlap, zones)
    case 'interval': {
      const { everyMs } = recurrence
      return {
        next: (after) => bounded((Math.floor(after / everyMs) + 1) * everyMs),
        previous: (at) => bounded(Math.floor(at / everyMs) * everyMs),
      }
    }
    case 'once': {
      const { atMs } = recurrence
      return { next: (after) => (after < atMs ? atMs : null), previous: (at) => (at >= atMs ? atMs : null) }
    }
  }
}

/** The first instant strictly after `afterMs`, or `null` when it never fires again. Epoch milliseconds. */
export function nextAfter(recurrence: Recurrence, afterMs: number): number | null {
  return openRecurrence(recurrence).next(afterMs)
}

/** The last instant at or before `atMs`, or `null` when there was none. Epoch milliseconds. */
export function previousAtOrBefore(recurrence: Recurrence, atMs: number): number | null {
  return openRecurrence(recurrence).previous(atMs)
}

/** In words: `every day at 02:00`, `every 90 minutes`, `once at 2026-03-01T12:00:00.000Z`. The time zone is told apart, it is not part of them. */
export function describe(recurrence: Recurrence): string {
  switch (recurrence.kind) {
    case 'cron':
      return cronInWords(recurrence.pattern)
    case 'interval':
      return `every ${lengthInWords(recurrence.everyMs).replace(/^1 /, '')}`
    case 'once':
      return `once at ${new Date(recurrence.atMs).toISOString()}`
  }
}

/** A length of time in the largest unit that leaves no rest: `90 minutes`, `1 day`, `1500 milliseconds`. */
export function lengthInWords(ms: number): string {
  const [unitMs, unit] = units.find(([size]) => ms > 0 && ms % size === 0) ?? [1, 'millisecond']
  const count = ms / unitMs
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}

/** A recurrence as text for a table, its format's version inside. Equal recurrences give equal text. */
export function storeRecurrence(recurrence: Recurrence): string {
  switch (recurrence.kind) {
    case 'cron': {
      const { kind, pattern, timeZone, gap, overlap } = recurrence
      return JSON.stringify({ version: 1, kind, pattern, timeZone, gap, overlap })
    }
    case 'interval':
      return JSON.stringify({ version: 1, kind: 'interval', everyMs: recurrence.everyMs })
    case 'once':
      return JSON.stringify({ version: 1, kind: 'once', atMs: recurrence.atMs })
  }
}

/** Reads what {@link storeRecurrence} wrote. @throws `STATE_TOO_NEW` for a version that this code does not know */
export function readRecurrence(text: string): Recurrence {
  const { version, ...recurrence } = JSON.parse(text) as Recurrence & { version: number }
  if (version === 1) return recurrence
  throw new DotdoError(
    'STATE_TOO_NEW',
    `A stored recurrence has version ${version}; this code knows version 1. Deploy the release that wrote it, or a later one.`,
    {
      data: { version },
    },
  )
}

/** Refuses a policy that does not exist, with those that do. @throws `INVALID_SCHEDULE` */
export function checkChoice(name: string, value: unknown, allowed: readonly string[]): void {
  if (allowed.includes(value as string)) return
  throw new DotdoError(
    'INVALID_SCHEDULE',
    `The option ${name} cannot be ${JSON.stringify(value) ?? String(value)}. Use ${allowed.map((it) => `'${it}'`).join(', ')}.`,
    {
      data: { option: name, value, allowed },
    },
  )
}

const units: [sizeMs: number, name: string][] = [
  [604_800_000, 'week'],
  [86_400_000, 'day'],
  [3_600_000, 'hour'],
  [60_000, 'minute'],
  [1000, 'second'],
]

/** `null` past the end of `Date`. */
function bounded(ms: number): number | null {
  return isInstant(ms) ? ms : null
}
