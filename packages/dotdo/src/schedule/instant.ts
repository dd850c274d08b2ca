import { DotdoError } from '../base/errors.ts'
import type { InstantLike } from './declaration.ts'
import { isInstant } from './recurrence.ts'

/** A date, or a date and a time with a zone. A time without one would mean the zone of whatever machine runs the code. */
const shape = /^(\d{4})-(\d{2})-(\d{2})(T[\d:.]+(Z|[+-]\d{2}:\d{2}))?$/

/**
 * Reads an instant: epoch ms, a `Date`, a text such as `'2026-03-01T12:00:00Z'`, or a date, which is its midnight in UTC.
 * @throws `INVALID_INSTANT` for anything else, and for a date that does not exist, which `Date` takes for one in the next month
 */
export function readInstant(instant: InstantLike): number {
  const ms = typeof instant === 'string' ? readText(instant.trim()) : Number(instant)
  if (isInstant(ms)) return ms
  throw new DotdoError(
    'INVALID_INSTANT',
    `${JSON.stringify(instant) ?? String(instant)} is no instant. Give epoch milliseconds, a Date, or a text with its zone such as '2026-03-01T12:00:00Z'.`,
    {
      data: { instant: String(instant) },
    },
  )
}

function readText(text: string): number {
  const [, year, month, day] = shape.exec(text) ?? []
  const midnight = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)))
  return midnight.getUTCDate() === Number(day) ? Date.parse(text) : NaN
}
