import { DotdoError } from '../base/errors.ts'

/** A time on the clock of some zone: whole hours 0 to 23, whole minutes 0 to 59. */
export interface TimeOfDay {
  hour: number
  minute: number
}

/**
 * Reads a time of day: `'2am'`, `'9:30pm'`, `'9 AM'`, `'14:30'`, `'02:00'`, `'noon'`, `'midnight'`. Midnight is the start of the day.
 *
 * @throws `INVALID_TIME` for anything else, such as `'25:00'`, `'13pm'` or `'9'` (which may mean the morning or the evening)
 */
export function parseTimeOfDay(text: string): TimeOfDay {
  const plain = typeof text === 'string' ? text.trim().toLowerCase() : ''
  if (plain === 'midnight') return { hour: 0, minute: 0 }
  if (plain === 'noon') return { hour: 12, minute: 0 }
  return readTwelveHours(plain) ?? readTwentyFourHours(plain) ?? refuse(text)
}

/** A time of day as `'02:00'`: 24 hours, two digits each. */
export function formatTimeOfDay({ hour, minute }: TimeOfDay): string {
  return `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`
}

/** `2am`, `9:30pm`: 12am is midnight and 12pm is noon; there is no 0am. */
function readTwelveHours(text: string): TimeOfDay | undefined {
  const match = /^(\d{1,2})(?::(\d{2}))? ?(am|pm)$/.exec(text)
  if (!match) return undefined
  const hour = Number(match[1])
  const minute = Number(match[2] ?? 0)
  if (hour < 1 || hour > 12 || minute > 59) return undefined
  return { hour: (hour % 12) + (match[3] === 'pm' ? 12 : 0), minute }
}

/** `14:30`, `02:00`, `2:00`. There is no 24:00: it would be the midnight of another day than the one that is named. */
function readTwentyFourHours(text: string): TimeOfDay | undefined {
  const match = /^(\d{1,2}):(\d{2})$/.exec(text)
  if (!match) return undefined
  const hour = Number(match[1])
  const minute = Number(match[2])
  return hour > 23 || minute > 59 ? undefined : { hour, minute }
}

function refuse(time: unknown): never {
  throw new DotdoError(
    'INVALID_TIME',
    `${JSON.stringify(time) ?? String(time)} is no time of day. Write '2am', '9:30pm', '14:30', '02:00', 'noon' or 'midnight'.`,
    { data: { time, accepted: ['2am', '9:30pm', '14:30', '02:00', 'noon', 'midnight'] } },
  )
}
