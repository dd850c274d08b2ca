/**
 * Partition transforms (specification, "Partition Transforms"): from a stored value (`values.ts`) to the value that its partition has.
 */
import type { ColumnType } from '../parquet/schema.ts'
import { murmur3 } from './murmur.ts'
import { singleValue, truncateText } from './single-value.ts'
import type { PartitionValue } from './types.ts'

const MICROS_A_HOUR = 3_600_000_000
const HOURS_A_DAY = 24

/**
 * The Iceberg type of a transform's results, or `undefined` where the transform does not exist or
 * does not take the type. Floating point is no identity partition here: two computations of one value may differ in the last bit.
 */
export function transformResult(transform: string, source: ColumnType): string | undefined {
  const time = source === 'timestamp' || source === 'timestamptz'
  switch (transform) {
    case 'identity':
      return source === 'float' || source === 'double' || source === 'binary' || source === 'json' ? undefined : source
    case 'day':
      // The specification says int; every engine writes and shows it as a date, whose stored form is the same.
      return time || source === 'date' ? 'date' : undefined
    case 'year':
    case 'month':
      return time || source === 'date' ? 'int' : undefined
    case 'hour':
      return time ? 'int' : undefined
    default: {
      const sized = parseSized(transform)
      if (sized?.name === 'bucket')
        return source === 'boolean' || source === 'float' || source === 'double' || source === 'json' ? undefined : 'int'
      if (sized?.name === 'truncate')
        return source === 'int' || source === 'long' || source === 'string' || source === 'binary' ? source : undefined
      return undefined
    }
  }
}

/** A transform as a function of stored values. Null stays null. The pair must be one that {@link transformResult} takes. */
export function transformOf(transform: string, source: ColumnType): (value: PartitionValue) => PartitionValue {
  const sized = parseSized(transform)
  if (sized?.name === 'bucket') return (value) => (value === null ? null : (murmur3(hashed(source, value)) & 0x7fffffff) % sized.size)
  if (sized?.name === 'truncate') return (value) => (value === null ? null : truncate(source, value, sized.size))
  if (transform === 'identity') return (value) => value
  // Down to the hour by one floor: exact below 2^53 microseconds, and right before 1970.
  const hours = (value: PartitionValue): number =>
    source === 'date' ? Number(value) * HOURS_A_DAY : Math.floor(Number(value) / MICROS_A_HOUR)
  if (transform === 'hour') return (value) => (value === null ? null : hours(value))
  if (transform === 'day') return (value) => (value === null ? null : Math.floor(hours(value) / HOURS_A_DAY))
  return (value) => {
    if (value === null) return null
    const date = new Date(hours(value) * 3_600_000)
    // Both count from 1970, so that January 1969 is month -12.
    const years = date.getUTCFullYear() - 1970
    return transform === 'year' ? years : years * 12 + date.getUTCMonth()
  }
}

/** A partition value as people read it in a path, such as `2001-01-31`. */
export function partitionText(result: string, transform: string, value: PartitionValue): string {
  if (value === null) return 'null'
  if (result === 'date') return new Date(Number(value) * 86_400_000).toISOString().slice(0, 10)
  if (transform === 'hour') return new Date(Number(value) * 3_600_000).toISOString().slice(0, 13)
  if (transform === 'year') return String(1970 + Number(value))
  if (transform === 'month') return new Date(Date.UTC(1970, Number(value), 1)).toISOString().slice(0, 7)
  if (result === 'timestamp' || result === 'timestamptz') return new Date(Math.floor(Number(value) / 1000)).toISOString()
  if (value instanceof Uint8Array) return Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return String(value)
}

/** `bucket[16]` and `truncate[4]`. A size of zero is none. */
function parseSized(transform: string): { name: string; size: number } | undefined {
  const match = /^(bucket|truncate)\[([1-9]\d{0,8})\]$/.exec(transform)
  return match ? { name: match[1]!, size: Number(match[2]) } : undefined
}

/** What bucket hashes: integers and dates as 64-bit, so that widening an int to a long keeps its buckets (appendix B). */
function hashed(source: ColumnType, value: Exclude<PartitionValue, null>): Uint8Array {
  return singleValue(source === 'int' || source === 'date' ? 'long' : source, value)
}

/**
 * Integers go down to a multiple of the width (also below zero), texts to that many code points, bytes to that many bytes. At the lowest
 * integers the multiple lies below what the type holds: it wraps there, as in the reference implementation, so that engines agree.
 */
function truncate(source: ColumnType, value: Exclude<PartitionValue, null>, width: number): PartitionValue {
  if (typeof value === 'string') return truncateText(value, width)
  if (value instanceof Uint8Array) return value.slice(0, width)
  const number = Number(value)
  const down = number - (((number % width) + width) % width)
  if (source === 'int') return down | 0
  if (typeof value !== 'bigint' && Number.isSafeInteger(down)) return down
  const wide = BigInt(value)
  const size = BigInt(width)
  const exact = BigInt.asIntN(64, wide - (((wide % size) + size) % size))
  // One value has one form: a bigint that a number holds is that number.
  return Number.isSafeInteger(Number(exact)) ? Number(exact) : exact
}
