import { DotdoError } from './errors.ts'

/** A length of time: milliseconds, or text such as `'250ms'`, `'10s'`, `'15m'`, `'2h'`, `'7d'`, `'10 minutes'`. */
export type Duration = number | string

/** Milliseconds of 24 hours. */
export const dayMs = 86_400_000

const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: dayMs, w: 7 * dayMs }

/** Units of lengths of time as people read them, the largest first, with their milliseconds. */
export const shownUnits = [
  ['d', dayMs],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const

const unitNames: Record<string, string> = {
  ms: 'ms',
  millisecond: 'ms',
  milliseconds: 'ms',
  s: 's',
  sec: 's',
  second: 's',
  seconds: 's',
  m: 'm',
  min: 'm',
  minute: 'm',
  minutes: 'm',
  h: 'h',
  hour: 'h',
  hours: 'h',
  d: 'd',
  day: 'd',
  days: 'd',
  w: 'w',
  week: 'w',
  weeks: 'w',
}

/**
 * Reads a {@link Duration} as milliseconds.
 * @throws `INVALID_DURATION` for text that is none, and for negative or endless numbers.
 */
export function toMs(duration: Duration): number {
  if (typeof duration === 'number') {
    if (Number.isFinite(duration) && duration >= 0) return duration
  } else {
    const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(duration)
    const name = match?.[2]?.toLowerCase() ?? ''
    // A plain object also answers to 'constructor' and the like.
    const ms = match && Object.hasOwn(unitNames, name) ? Math.round(Number(match[1]) * unitMs[unitNames[name]!]!) : NaN
    if (Number.isFinite(ms)) return ms
  }
  throw new DotdoError(
    'INVALID_DURATION',
    `${JSON.stringify(duration)} is no duration. Write milliseconds or a text such as '250ms', '10s', '15m', '2h' or '7d'.`,
    {
      data: { duration },
    },
  )
}

/** Milliseconds in words for people: `'850 ms'`, `'12.3 s'`, `'4 min 5 s'`, `'3 h 20 min'`, `'2 d 4 h'`. */
export function formatMs(ms: number): string {
  // Bounds are where rounding reaches the next unit: nothing is ever '60.0 s' or '1 min 60 s'.
  if (ms < 999.5) return `${ms.toFixed()} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const minutes = Math.round(ms / 60_000)
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
  const hours = Math.round(ms / 3_600_000)
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** The same of a length that somebody has chosen, without what is zero: `'30 s'`, `'1 h'`. */
export function formatRound(ms: number): string {
  return formatMs(ms)
    .replace('.0 s', ' s')
    .replace(/ 0 (s|min|h)$/, '')
}
