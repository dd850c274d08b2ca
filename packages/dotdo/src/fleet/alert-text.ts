/** Alerts as sentences, for chats and for those who read mail. */
import { shownUnits } from '../base/durations.ts'
import type { AlertSubject } from '../base/fleet-views.ts'

/** The code of an alert's error where a deploy holds the run. */
export const heldCode = 'RUN_HELD'

interface Told {
  object: string
  subject: AlertSubject
  kind: 'failed' | 'late'
  openedAt: number
  at: number
  count: number
  scheduledAt?: number
  deadlineMs?: number
  error?: { code?: string; message: string }
}

/** One sentence or two, with what somebody has to know who is woken by it. Instants are in UTC. */
export function textOf(event: 'failed' | 'late' | 'recovered', told: Told): string {
  const { object, subject, kind, openedAt, at, count, scheduledAt, deadlineMs, error } = told
  const what = `${nameOf(subject)} of ${object}`
  const why = error ? ` ${error.code === undefined ? '' : `${error.code}: `}${error.message}` : ''
  if (event === 'recovered' && error?.code === heldCode) return `${what} is held no more, ${lengthOf(at - openedAt)} after it was.`
  if (event === 'recovered') return `${what} is well again, ${lengthOf(at - openedAt)} after it ${kind === 'late' ? 'was late' : 'failed'}.`
  if (event === 'failed' && error?.code === heldCode) return `${what} is held, and waits for an answer.${why}`
  if (event === 'failed') return `${what} failed${count > 1 ? `, ${count} times since ${instant(openedAt)}` : ''}.${why}`
  return `${what} is late: its run of ${instant(scheduledAt ?? at)} is not done ${lengthOf(deadlineMs ?? 0)} later.${why}`
}

function nameOf({ kind, id }: AlertSubject): string {
  return kind === 'method' ? `${id}()` : kind === 'schedule' ? `The schedule '${id}'` : `The handler '${id}'`
}

/** A length of time by its two largest units. */
function lengthOf(ms: number): string {
  let left = Math.max(0, Math.round(ms / 1000) * 1000)
  const parts: string[] = []
  for (const [unit, size] of shownUnits) {
    const count = Math.floor(left / size)
    left -= count * size
    if (count > 0) parts.push(`${count} ${unit}`)
  }
  return parts.slice(0, 2).join(' ') || '0 s'
}

const instant = (at: number): string => new Date(at).toISOString().replace(/:\d\d\.\d{3}Z$/, 'Z')
