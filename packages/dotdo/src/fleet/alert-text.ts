/** Alerts as sentences, for chats and for those who read mail. */
import { formatMs } from '../base/durations.ts'
import type { AlertSubject } from '../base/fleet-views.ts'

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
  if (event === 'recovered') return `${what} is well again: it was ${kind} for ${formatMs(Math.max(0, at - openedAt))}.`
  if (event === 'failed') return `${what} failed${count > 1 ? `, ${count} times since ${instant(openedAt)}` : ''}.${why}`
  return `${what} is late: its run of ${instant(scheduledAt ?? at)} is not done ${formatMs(deadlineMs ?? 0)} later.${why}`
}

function nameOf({ kind, id }: AlertSubject): string {
  return kind === 'method' ? `${id}()` : kind === 'schedule' ? `The schedule '${id}'` : `The handler '${id}'`
}

const instant = (at: number): string => new Date(at).toISOString().replace(/:\d\d\.\d{3}Z$/, 'Z')
