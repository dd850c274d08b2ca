import { DotdoError } from '../base/errors.ts'
import { isInstant, parseInstant } from '../base/instants.ts'
import type { InstantLike } from './declaration.ts'

/**
 * Reads an instant: epoch ms, a `Date`, a text such as `'2026-03-01T12:00:00Z'`, or a date, which is its midnight in UTC.
 * @throws `INVALID_INSTANT` for anything else, and for a date that does not exist, which `Date` takes for one in the next month
 */
export function readInstant(instant: InstantLike): number {
  const ms = typeof instant === 'string' ? parseInstant(instant) : Number(instant)
  if (isInstant(ms)) return ms
  throw new DotdoError(
    'INVALID_INSTANT',
    `${JSON.stringify(instant) ?? String(instant)} is no instant. Give epoch milliseconds, a Date, or a text with its zone such as '2026-03-01T12:00:00Z'.`,
    {
      data: { instant: String(instant) },
    },
  )
}
