/** A date, or a date and a time with a zone. A time without one would mean the zone of whatever machine runs the code. */
const form = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2}))?$/i

/** Whether a text begins with a day that there is: `Date` takes 30 February for one in March. */
export function isRealDay(text: string): boolean {
  const day = text.slice(0, 10)
  const midnight = Date.parse(`${day}T00:00:00Z`)
  return !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(day)
}

/** Whether a number is an instant that `Date` can hold (ECMA-262, time values). */
export function isInstant(ms: number): boolean {
  return Number.isSafeInteger(ms) && Math.abs(ms) <= 8.64e15
}

/**
 * Reads a date, which is its midnight in UTC, or a date and a time with its zone: `2026-11-23T02:00Z`. Epoch milliseconds; `NaN` for any other text, for one
 * without its zone, and for a day that there is not.
 */
export function parseInstant(text: string): number {
  const given = text.trim()
  return form.test(given) && isRealDay(given) ? Date.parse(given.replace(' ', 'T')) : NaN
}
