/** Numbers, times and targets in words. Pure: the present instant is an argument. */
import { formatMs, type Progress, type RunTarget } from 'dotdo/client'

const number = new Intl.NumberFormat('en-US', { maximumFractionDigits: 6 })

/** `1,234,567`. */
export const count = (value: number | bigint): string => number.format(value)

/** `1 row`, `2 rows`. */
export const counted = (value: number, one: string, many = `${one}s`): string => `${count(value)} ${value === 1 ? one : many}`

/** `999 B`, `12.3 kB`, `4.0 MB`: powers of 1,000. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let scaled = value
  let unit = 0
  while (scaled >= 999.95 && unit < units.length - 1) {
    scaled /= 1000
    unit++
  }
  return unit === 0 ? `${value} B` : `${scaled.toFixed(1)} ${units[unit]}`
}

/** How long, from one instant to another or to now. */
export const took = (from: number, to: number): string => formatDuration(Math.max(0, to - from))

/** `850 ms`, `12.3 s`, `4 min 5 s`, `3 h 20 min`, `2 d 4 h`. */
export function formatDuration(ms: number): string {
  const minutes = Math.round(ms / 60_000)
  if (minutes < 60) return formatMs(ms)
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
  const hours = Math.round(minutes / 60)
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** `in 3 min`, `2 h ago`, `now`: one unit, cut off, for a glance. */
export function relative(at: number, now: number): string {
  const ms = Math.abs(at - now)
  if (ms < 1000) return 'now'
  const units: [number, string][] = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1000, 's'],
  ]
  const [size, unit] = units.find(([size]) => ms >= size)!
  const text = `${Math.floor(ms / size)} ${unit}`
  return at > now ? `in ${text}` : `${text} ago`
}

/** An instant in the reader's own zone: `Nov 22, 2026, 14:05:09`. */
export const dateTime = (at: number, timeZone?: string): string =>
  new Intl.DateTimeFormat('en-US', {
    dateStyle: 'medium',
    timeStyle: 'medium',
    hourCycle: 'h23',
    ...(timeZone !== undefined && { timeZone }),
  }).format(at)

/** The same without seconds and with the day of the week: for instants to come. */
export const dayTime = (at: number, timeZone?: string): string =>
  new Intl.DateTimeFormat('en-US', {
    weekday: 'short',
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    ...(timeZone !== undefined && { timeZone }),
  }).format(at)

/** The short name of a zone at an instant, such as `GMT+1`. */
export function zoneName(at: number, timeZone?: string): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short', ...(timeZone !== undefined && { timeZone }) }).formatToParts(at)
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? ''
}

/** What started a run. */
export function targetInWords(target: RunTarget): string {
  switch (target.kind) {
    case 'method':
      return `${target.name}()`
    case 'schedule':
      return `schedule ${target.id}`
    case 'event':
      return `event ${target.type}`
  }
}

/** `12,000 rows · 1.2 MB · 4,000 rows/s`. A rate needs the time it took, and is left out for what took less than a tenth of a second. */
export function progressInWords(progress: Progress | undefined, elapsedMs: number): string {
  if (!progress) return ''
  const { rows, bytes: size } = progress
  const perSecond = (value: number) => value / (elapsedMs / 1000)
  const words: string[] = []
  if (rows !== undefined) words.push(counted(rows, 'row'))
  if (size !== undefined) words.push(bytes(size))
  if (elapsedMs >= 100) {
    if (rows !== undefined && rows > 0) words.push(`${count(Math.round(perSecond(rows)))} rows/s`)
    else if (size !== undefined && size > 0) words.push(`${bytes(Math.round(perSecond(size)))}/s`)
  }
  return words.join(' · ')
}
