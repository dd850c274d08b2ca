/** Instants and progress in words; what a terminal says alike is the client's. Pure: the present instant is an argument. */
import type { Progress, StepView } from 'dotdo/client'
import { counted, formatBytes, formatCount, formatMs, formatRelative } from 'dotdo/words'

/** How long, from one instant to another or to now. */
export const took = (from: number, to: number): string => formatMs(Math.max(0, to - from))

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

/** `12,000 rows · 1.2 MB · 4,000 rows/s`. A rate needs the time it took, and is left out for what took less than a tenth of a second. */
export function progressInWords(progress: Progress | undefined, elapsedMs: number): string {
  if (!progress) return ''
  const { rows, bytes: size } = progress
  const perSecond = (value: number) => value / (elapsedMs / 1000)
  const words: string[] = []
  if (rows !== undefined) words.push(counted(rows, 'row'))
  if (size !== undefined) words.push(formatBytes(size))
  if (elapsedMs >= 100) {
    if (rows !== undefined && rows > 0) words.push(`${formatCount(Math.round(perSecond(rows)))} rows/s`)
    else if (size !== undefined && size > 0) words.push(`${formatBytes(Math.round(perSecond(size)))}/s`)
  }
  return words.join(' · ')
}

/** What comes next of a step that waits: its next attempt; of a wait or a sleep, which make none, when they end. Empty where nothing is known of it. */
export function nextInWords({ status, kind, waitsFor, nextAttemptAt }: StepView, now: number): string {
  if (status !== 'waiting') return ''
  const waited = waitsFor === undefined ? '' : `waits for ${waitsFor}`
  if (nextAttemptAt === undefined) return waited
  const at = formatRelative(nextAttemptAt, now)
  if (kind === 'wait') return `${waited === '' ? 'waits' : waited}, ends ${at}`
  return kind === 'sleep' ? `asleep, ends ${at}` : `next attempt ${at}`
}
