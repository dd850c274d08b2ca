/**
 * Single-value binary serialization (specification, appendix D): how bounds stand in manifests, and what the bucket transform hashes.
 */
import type { PartitionValue } from './types.ts'

/** The longest bound of a text or of bytes, in code points or bytes. Longer ones are cut, uppers rounded up. */
export const BOUND_LENGTH = 16

const encoder = new TextEncoder()

/** A stored value (`values.ts`) as single-value binary of an Iceberg primitive. */
export function singleValue(type: string, value: Exclude<PartitionValue, null>): Uint8Array {
  // UUIDs and binary are their bytes.
  if (value instanceof Uint8Array) return value.slice()
  if (typeof value === 'string') return encoder.encode(value)
  if (typeof value === 'boolean') return Uint8Array.of(value ? 1 : 0)
  const wide = type === 'long' || type === 'timestamp' || type === 'timestamptz' || type === 'double'
  const bytes = new Uint8Array(wide ? 8 : 4)
  const view = new DataView(bytes.buffer)
  if (type === 'double') view.setFloat64(0, Number(value), true)
  else if (type === 'float') view.setFloat32(0, Number(value), true)
  else if (wide) view.setBigInt64(0, BigInt(value), true)
  else view.setInt32(0, Number(value), true)
  return bytes
}

/**
 * The lower bound of a column as it is stored: not above any value of the file. `undefined` where there is none (NaN is never a bound).
 * A zero becomes -0, which sorts below 0.
 */
export function lowerBound(type: string, value: Exclude<PartitionValue, null>): Uint8Array | undefined {
  if (typeof value === 'string') return singleValue(type, truncateText(value))
  if (value instanceof Uint8Array && type === 'binary') return value.slice(0, BOUND_LENGTH)
  if (Number.isNaN(value)) return undefined
  return singleValue(type, isFloat(type) && value === 0 ? -0 : value)
}

/**
 * The upper bound of a column as it is stored: not below any value of the file. A cut text or bytes are incremented at their end;
 * `undefined` where no such value exists (every cut character is the last one there is).
 */
export function upperBound(type: string, value: Exclude<PartitionValue, null>): Uint8Array | undefined {
  if (typeof value === 'string') {
    const cut = truncateText(value)
    const upper = cut.length === value.length ? cut : incrementText(cut)
    return upper === undefined ? undefined : singleValue(type, upper)
  }
  if (value instanceof Uint8Array && type === 'binary')
    return value.length <= BOUND_LENGTH ? value.slice() : incrementBytes(value.slice(0, BOUND_LENGTH))
  if (Number.isNaN(value)) return undefined
  return singleValue(type, isFloat(type) && value === 0 ? 0 : value)
}

/** The first {@link BOUND_LENGTH} code points of a text. */
export function truncateText(text: string, codePoints = BOUND_LENGTH): string {
  if (text.length <= codePoints) return text
  let end = 0
  for (let i = 0; i < codePoints && end < text.length; i++) end += text.codePointAt(end)! > 0xffff ? 2 : 1
  return text.slice(0, end)
}

/** The shortest text above all that start with `text`, in the order of UTF-8 bytes; `undefined` where there is none. */
export function incrementText(text: string): string | undefined {
  const points = Array.from(text)
  while (points.length > 0) {
    const last = points.pop()!.codePointAt(0)!
    // Surrogates are no characters: the one after U+D7FF is U+E000.
    if (last < 0x10ffff) return points.join('') + String.fromCodePoint(last === 0xd7ff ? 0xe000 : last + 1)
  }
  return undefined
}

/** The shortest bytes above all that start with these; `undefined` where all of them are 255. */
function incrementBytes(bytes: Uint8Array): Uint8Array | undefined {
  for (let i = bytes.length - 1; i >= 0; i--) {
    if (bytes[i]! < 0xff) {
      const upper = bytes.slice(0, i + 1)
      upper[i] = upper[i]! + 1
      return upper
    }
  }
  return undefined
}

/** Whether zero has a sign. */
function isFloat(type: string): boolean {
  return type === 'float' || type === 'double'
}
