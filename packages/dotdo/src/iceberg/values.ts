/**
 * Values of rows in the domain that Iceberg stores: dates are days, timestamps microseconds, UUIDs 16 bytes. The rules for what a row
 * may hold are the Parquet room's, so that a row and its partition never read one value two ways.
 */
import { toDays, toInstantMicros, toWallMicros, writeUuid } from '../parquet/coerce.ts'
import type { ColumnType } from '../parquet/schema.ts'
import type { PartitionValue } from './types.ts'

/** The Iceberg primitive that a column is stored as. JSON is its text. */
export function icebergType(type: ColumnType): string {
  return type === 'json' ? 'string' : type
}

/**
 * A value of a row in the stored domain; `null` for null, `undefined` for what the type does not accept. JSON values come as their text.
 */
export function storedValue(type: ColumnType, value: unknown): PartitionValue | undefined {
  if (value === null || value === undefined) return null
  switch (type) {
    case 'boolean':
      return typeof value === 'boolean' ? value : undefined
    case 'int':
      return typeof value === 'number' && (value | 0) === value ? value | 0 : undefined
    case 'long':
      return storedLong(value)
    case 'float':
    case 'double':
      return typeof value === 'number' ? value : undefined
    case 'date':
      return toDays(value)
    case 'timestamp':
      return toWallMicros(value)
    case 'timestamptz':
      return toInstantMicros(value)
    // Half a pair of surrogates has no UTF-8, and would come back as another character.
    case 'string':
    case 'json':
      return typeof value === 'string' && value.isWellFormed() ? value : undefined
    case 'binary':
      return value instanceof Uint8Array ? value : undefined
    case 'uuid': {
      const bytes = new Uint8Array(16)
      return writeUuid(value, bytes, 0) ? bytes : undefined
    }
    default:
      return type satisfies never
  }
}

/** What a column accepts, in words for an error. */
export function acceptedBy(type: ColumnType): string {
  switch (type) {
    case 'int':
      return 'a whole number of 32 bits'
    case 'long':
      return 'a whole number: a safe integer or a bigint of 64 bits'
    case 'float':
    case 'double':
      return 'a number'
    case 'date':
      return "a Date, a whole number of days since 1970, or text such as '2026-01-31'"
    case 'timestamp':
      return "a Date, epoch milliseconds, or ISO text without a zone such as '2026-01-31T10:00:00'"
    case 'timestamptz':
      return "a Date, epoch milliseconds, or ISO text with its zone such as '2026-01-31T10:00:00Z'"
    case 'string':
      return 'well-formed text'
    case 'json':
      return 'any JSON value'
    case 'binary':
      return 'a Uint8Array'
    case 'uuid':
      return "a UUID's text"
    default:
      return type satisfies 'boolean'
  }
}

/** A value in a few characters, for the text of an error. */
export function preview(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value !== 'object' || value === null) return cut(typeof value === 'string' ? JSON.stringify(value) : String(value))
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid Date' : value.toISOString()
  return Array.isArray(value)
    ? 'an array'
    : value instanceof Uint8Array
      ? `${value.length} bytes`
      : `an object with ${cut(Object.keys(value).join(', ') || 'no keys')}`
}

/** A 64-bit integer: a number where that is exact, a bigint beyond. */
function storedLong(value: unknown): number | bigint | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value + 0 : undefined
  if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value) return undefined
  const number = Number(value)
  // One value has one form, so that 7 and 7n land in one partition.
  return Number.isSafeInteger(number) ? number : value
}

/** A text short enough for a message. */
function cut(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}
