import { BinaryValues, UuidValues } from './blobs.ts'
import { bytesBefore, cutLowerBytes, cutLowerText, cutUpperBytes, cutUpperText, numberBefore, textBefore, type Cut } from './bounds.ts'
import { toDays, toInstantMicros, toJsonText, toText, toWallMicros, writeUuid } from './coerce.ts'
import { Int32Values, Int64Values, toInt32, toInt64, writeInt64 } from './integers.ts'
import { BooleanValues, FloatValues } from './scalars.ts'
import type { ColumnType } from './schema.ts'
import { TextValues } from './texts.ts'
import type { ColumnValues } from './values.ts'

/** What sets the columns of one type apart: how they are gathered, ordered, bounded, and named to whoever gave a wrong value. */
export interface Kind<T = unknown> {
  /** What a row may give, to end the sentence "accepted is …". */
  accepts: string
  /** A gatherer of its own for a column. */
  values: () => ColumnValues<T>
  /** The order that bounds speak of. */
  before: (a: T, b: T) => boolean
  /** A bound that is short enough to be stored. Absent: values are short as they are. */
  cutLower?: (value: T) => Cut<T>
  /** The same for an upper bound, for which there may be none. */
  cutUpper?: (value: T) => Cut<T> | undefined
  /** The bytes of a bound in a file's statistics: PLAIN, without a length. */
  encode: (value: T) => Uint8Array
  /** A bound as a row would give it. Absent: the same. */
  present?: (value: T, side: 'lower' | 'upper') => unknown
}

/** The kind of each column type. `T` differs by type and is hidden here: a kind is only ever handed its own values back. */
export function kindOf(type: ColumnType): Kind {
  return KINDS[type] as Kind
}

// What types of one family share.

/** Texts: JSON is ordered and bounded as the text that it is. */
const text = {
  before: textBefore,
  cutLower: cutLowerText,
  cutUpper: cutUpperText,
  encode: (value: string) => new TextEncoder().encode(value),
}

/** Numbers in four bytes. */
const int32 = { before: numberBefore, encode: (value: number) => fixed(4, (view) => view.setInt32(0, value, true)) }
/** Numbers in eight bytes, beyond 2^53 as bigints. */
const int64 = { before: numberBefore, encode: (value: number | bigint) => fixed(8, (view) => writeInt64(view, 0, value)) }
/** Microseconds, which a row gives as milliseconds. */
const time = { ...int64, present: microsToMs }

/** One entry for each column type; a new type begins here. */
const KINDS = {
  boolean: kind<boolean>({
    accepts: 'true or false',
    values: () => new BooleanValues(),
    before: (a, b) => !a && b,
    encode: (value) => Uint8Array.of(value ? 1 : 0),
  }),
  int: kind<number>({ ...int32, accepts: 'a whole number from -2147483648 to 2147483647', values: () => new Int32Values(toInt32) }),
  long: kind<number | bigint>({
    ...int64,
    accepts: 'a whole number within 2^53, or a bigint within 64 bits',
    values: () => new Int64Values(toInt64),
  }),
  float: kind<number>({
    accepts: 'a number within the range of 32-bit floats',
    values: () => new FloatValues(true),
    before: numberBefore,
    encode: (value) => fixed(4, (view) => view.setFloat32(0, value, true)),
  }),
  double: kind<number>({
    accepts: 'a number',
    values: () => new FloatValues(false),
    before: numberBefore,
    encode: (value) => fixed(8, (view) => view.setFloat64(0, value, true)),
  }),
  date: kind<number>({
    ...int32,
    accepts: "a valid Date, a whole number of days since 1970-01-01, or 'YYYY-MM-DD'",
    values: () => new Int32Values(toDays),
  }),
  timestamp: kind<number | bigint>({
    ...time,
    accepts: "a valid Date, epoch milliseconds, or ISO text without an offset (or with Z) such as '2026-01-31T08:30:00'",
    values: () => new Int64Values(toWallMicros),
  }),
  timestamptz: kind<number | bigint>({
    ...time,
    accepts: "a valid Date, epoch milliseconds, or ISO text with its zone such as '2026-01-31T08:30:00Z'",
    values: () => new Int64Values(toInstantMicros),
  }),
  string: kind<string>({
    ...text,
    accepts: 'a string of whole characters (no half of a surrogate pair), at most 16777216 long',
    values: () => new TextValues(toText),
  }),
  json: kind<string>({
    ...text,
    accepts: 'a JSON value (no function, bigint or cycle) whose text is at most 16777216 characters',
    values: () => new TextValues(toJsonText),
  }),
  binary: kind<Uint8Array>({
    accepts: 'a Uint8Array of at most 16777216 bytes',
    values: () => new BinaryValues(),
    before: bytesBefore,
    cutLower: cutLowerBytes,
    cutUpper: cutUpperBytes,
    encode: (value) => value,
  }),
  uuid: kind<string>({
    accepts: 'the text of a UUID, such as 123e4567-e89b-12d3-a456-426614174000',
    values: () => new UuidValues(),
    before: (a, b) => a < b,
    encode: uuidBytes,
  }),
} satisfies Record<ColumnType, unknown>

/** Ties the parts of one entry to one `T`. */
function kind<T>(it: Kind<T>): Kind<T> {
  return it
}

/**
 * Microseconds as epoch milliseconds, the form in which a row gives a time: with a fraction where that is exact, else rounded to the
 * outside, because a bound must never exclude a value.
 */
function microsToMs(micros: number | bigint, side: 'lower' | 'upper'): number {
  if (typeof micros === 'number') {
    const ms = micros / 1000
    if (Math.round(ms * 1000) === micros) return ms
    return side === 'lower' ? Math.floor(ms) : Math.ceil(ms)
  }
  const whole = micros / 1000n
  const outside = micros % 1000n === 0n ? 0n : side === 'lower' ? (micros < 0n ? -1n : 0n) : micros < 0n ? 0n : 1n
  return Number(whole + outside)
}

/** The 16 bytes of a text that is known to be a UUID. */
function uuidBytes(value: string): Uint8Array {
  const bytes = new Uint8Array(16)
  writeUuid(value, bytes, 0)
  return bytes
}

/** A few bytes, written through a view. */
function fixed(size: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(size)
  write(new DataView(bytes.buffer))
  return bytes
}
