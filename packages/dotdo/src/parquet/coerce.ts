// From the values of a row to what a column stores. Each function answers `undefined` for a value that it refuses: the writer turns that
// into the error, because only it knows the column and the row.

const DAY_MS = 86_400_000

/** The reach of a Date, in milliseconds either side of 1970. */
const MAX_MS = 8.64e15

/** A date as days since 1970-01-01: a Date (its day in UTC), a whole number of days within 32 bits, or `'YYYY-MM-DD'`. */
export function toDays(value: unknown): number | undefined {
  if (typeof value === 'number') return value === (value | 0) ? value | 0 : undefined
  if (typeof value === 'string') {
    const parts = /^(\d{4}|[+-]\d{6})-(\d\d)-(\d\d)$/.exec(value)
    return parts === null ? undefined : civilDays(Number(parts[1]), Number(parts[2]), Number(parts[3]))
  }
  if (!(value instanceof Date)) return undefined
  const days = Math.floor(value.getTime() / DAY_MS)
  return Number.isNaN(days) ? undefined : days
}

/**
 * An instant as microseconds since 1970 in UTC: a Date, epoch milliseconds, or ISO text with its zone (`Z`, `+02:00`). Text without a zone is
 * refused, because what it means would depend on the machine; a date alone is midnight UTC, as ECMAScript has it.
 */
export function toInstantMicros(value: unknown): number | bigint | undefined {
  return typeof value === 'string' ? textMicros(value, true) : toMicros(value)
}

/**
 * A wall-clock time as microseconds since 1970: a Date or epoch milliseconds (its UTC reading), or ISO text without a zone or with `Z`.
 * Another offset is refused: a time without a zone has no place to keep it.
 */
export function toWallMicros(value: unknown): number | bigint | undefined {
  return typeof value === 'string' ? textMicros(value, false) : toMicros(value)
}

/** Milliseconds of a number or a Date as microseconds, to the nearest one; `undefined` for what is neither or out of reach. */
function toMicros(value: unknown): number | bigint | undefined {
  const ms = typeof value === 'number' ? value : value instanceof Date ? value.getTime() : Number.NaN
  // NaN fails this too.
  if (!(Math.abs(ms) <= MAX_MS)) return undefined
  const micros = ms * 1000
  if (Number.isSafeInteger(micros)) return micros
  const rounded = Math.round(micros)
  if (Number.isSafeInteger(rounded)) return rounded
  // Past the year 2255 microseconds leave the exact range of a double.
  const whole = Math.floor(ms)
  return BigInt(whole) * 1000n + BigInt(Math.round((ms - whole) * 1000))
}

/** Date, time, fraction and zone of ISO 8601, with a `T` or a space, in years of four digits or six with a sign. */
const ISO = /^(\d{4}|[+-]\d{6})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?(Z|[+-]\d\d:?\d\d)?$/

/** ISO text as microseconds. `instant` tells whether the time needs its zone or must not have an offset. */
function textMicros(text: string, instant: boolean): number | bigint | undefined {
  const plain = plainMicros(text)
  // The zone is all that the two readings differ in: Z suits both.
  if (plain !== undefined && (!instant || text.endsWith('Z'))) return plain
  const parts = ISO.exec(text)
  if (parts === null) return undefined
  const days = civilDays(Number(parts[1]), Number(parts[2]), Number(parts[3]))
  const hour = Number(parts[4] ?? 0)
  const minute = Number(parts[5] ?? 0)
  const second = Number(parts[6] ?? 0)
  const fraction = (parts[7] ?? '').padEnd(9, '0')
  if (days === undefined || hour > 23 || minute > 59 || second > 59 || !fraction.endsWith('000')) return undefined
  const zone = parts[8]
  if (instant ? zone === undefined && parts[4] !== undefined : zone !== undefined && zone !== 'Z') return undefined
  const offset = zone === undefined || zone === 'Z' ? 0 : zoneMinutes(zone)
  if (offset === undefined) return undefined
  const seconds = days * 86_400 + hour * 3_600 + (minute - offset) * 60 + second
  const micros = seconds * 1e6 + Number(fraction.slice(0, 6))
  if (Number.isSafeInteger(micros)) return micros
  // Years of six digits reach past the range of a Date, and of everything that reads one back.
  return Math.abs(seconds) <= MAX_MS / 1000 ? BigInt(seconds) * 1_000_000n + BigInt(fraction.slice(0, 6)) : undefined
}

/**
 * The common forms alone, `2026-01-31T08:30:00` with or without `.123` and `Z`; `undefined` for every other text, good or bad. It makes no
 * texts on the way: a third of a load's time went into matching the others' pattern, ten times that of this.
 */
function plainMicros(text: string): number | undefined {
  const { length } = text
  const end = text.charCodeAt(length - 1) === 90 ? length - 1 : length
  if ((end !== 19 && end !== 23) || (end === 23 && text.charCodeAt(19) !== 46)) return undefined
  if (text.charCodeAt(4) !== 45 || text.charCodeAt(7) !== 45 || text.charCodeAt(10) !== 84) return undefined
  if (text.charCodeAt(13) !== 58 || text.charCodeAt(16) !== 58) return undefined
  const days = civilDays(digits(text, 0, 4), digits(text, 5, 7), digits(text, 8, 10))
  const hour = digits(text, 11, 13)
  const minute = digits(text, 14, 16)
  const second = digits(text, 17, 19)
  const ms = end === 23 ? digits(text, 20, 23) : 0
  if (days === undefined || hour > 23 || minute > 59 || second > 59) return undefined
  const micros = ((days * 86_400 + hour * 3_600 + minute * 60 + second) * 1000 + ms) * 1000
  // What is no digit has made this NaN, and after the year 2255 it is not exact.
  return Number.isSafeInteger(micros) ? micros : undefined
}

/** The number that the characters `from` to `to` spell, or NaN where one is no digit. */
function digits(text: string, from: number, to: number): number {
  let number = 0
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return Number.NaN
    number = number * 10 + digit
  }
  return number
}

/** Minutes east of UTC of an offset such as `+05:30`. */
function zoneMinutes(zone: string): number | undefined {
  const hours = Number(zone.slice(1, 3))
  const minutes = Number(zone.slice(-2))
  if (hours > 23 || minutes > 59) return undefined
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes)
}

/**
 * Days since 1970-01-01 of a date in the proleptic Gregorian calendar, or `undefined` for a day that does not exist. (`Date.UTC` would
 * read the years 0 to 99 as 1900 to 1999, and February 30 as March.)
 */
function civilDays(year: number, month: number, day: number): number | undefined {
  if (month < 1 || month > 12 || day < 1 || day > monthDays(year, month)) return undefined
  // Years are counted from March, so that the leap day is the last of its year.
  const fromMarch = month > 2 ? year : year - 1
  const era = Math.floor(fromMarch / 400)
  const yearOfEra = fromMarch - era * 400
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

/** The days of a month in the Gregorian calendar. */
function monthDays(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

/** A string whose UTF-8 is its own: one that holds half a surrogate pair is refused, because UTF-8 would replace it without a word. */
export function toText(value: unknown): string | undefined {
  return typeof value === 'string' && value.isWellFormed() ? value : undefined
}

/** The text of a JSON value, as `JSON.stringify` makes it: Dates become their ISO text, NaN becomes null, half a pair is escaped. */
export function toJsonText(value: unknown): string | undefined {
  try {
    // The declared type hides that functions and symbols give undefined.
    return JSON.stringify(value) as string | undefined
  } catch {
    // Cycles, bigints and a `toJSON` that throws: the writer refuses the value, with the column, the row and what is accepted.
    return undefined
  }
}

/** Writes the 16 bytes of a UUID's text at `offset`, or answers `false` for what is no UUID. Upper and lower case are the same. */
export function writeUuid(value: unknown, into: Uint8Array, offset: number): boolean {
  if (typeof value !== 'string' || !/^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i.test(value)) return false
  const digits = value.replaceAll('-', '')
  for (let i = 0; i < 16; i++) into[offset + i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16)
  return true
}

/** The text of 16 bytes, in lower case. */
export function uuidText(bytes: Uint8Array): string {
  let digits = ''
  for (let i = 0; i < 16; i++) digits += bytes[i]!.toString(16).padStart(2, '0')
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`
}
