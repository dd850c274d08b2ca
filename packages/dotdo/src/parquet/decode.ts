import { uuidText } from './coerce.ts'
import { readDelta } from './delta.ts'
import { Encoding, malformed, unsupported } from './format.ts'
import { readHybrid } from './hybrid.ts'
import type { ColumnType } from './schema.ts'

/** The part of a page that holds its values. */
export interface PageBytes {
  bytes: Uint8Array
  /** Where the values begin. They end with the bytes. */
  at: number
  /** How many values there are, without nulls. */
  count: number
}

/**
 * Decodes the values of a page, without nulls: booleans; numbers; for `long` a bigint beyond 2^53; days for dates; epoch milliseconds for
 * times (with a fraction); texts (a UUID's in lower case); bytes, copied.
 *
 * @param dictionary what an earlier dictionary page of the chunk held
 * @throws `PARQUET_MALFORMED` where the bytes do not hold `count` values, `PARQUET_UNSUPPORTED` for an encoding that dotdo does not write
 */
export function decodeValues(type: ColumnType, encoding: number, page: PageBytes, dictionary: readonly unknown[] | undefined): unknown[] {
  if (encoding === Encoding.RLE_DICTIONARY || encoding === PLAIN_DICTIONARY) return decodeCodes(page, dictionary)
  if (encoding === Encoding.PLAIN) return decodePlain(type, page)
  if (encoding === Encoding.DELTA_LENGTH_BYTE_ARRAY && isText(type)) return decodeTexts(page)
  if (encoding === Encoding.DELTA_LENGTH_BYTE_ARRAY && type === 'binary') return decodeBinaries(page)
  if (encoding === Encoding.DELTA_BINARY_PACKED && INTEGERS.has(type)) return decodeIntegers(type, page)
  if (encoding === Encoding.RLE && type === 'boolean') return decodeBooleanRuns(page)
  throw unsupported(`a column of type ${type} has the encoding ${encoding}`, { type, encoding })
}

/** A list with room for `length` values, each of which its maker sets: growing one value at a time would copy it over and over. */
export function listFor<T>(length: number): T[] {
  const list: T[] = []
  list.length = length
  return list
}

/** The older name of dictionary codes, in version 1 files of others. */
const PLAIN_DICTIONARY = 2

/** Types that are stored as integers, and may be packed as differences. */
const INTEGERS = new Set<ColumnType>(['int', 'date', 'long', 'timestamp', 'timestamptz'])

function isText(type: ColumnType): boolean {
  return type === 'string' || type === 'json'
}

/**
 * Codes of a dictionary: a byte with their width in bits, then hybrid runs. A code that no entry has is damage; it must not become
 * `undefined` in a row.
 */
function decodeCodes({ bytes, at, count }: PageBytes, dictionary: readonly unknown[] | undefined): unknown[] {
  if (dictionary === undefined) throw malformed('a page refers to a dictionary that is not there')
  const width = bytes[at]
  if (width === undefined) throw malformed('a page of codes is empty')
  const codes = new Uint32Array(count)
  readHybrid(bytes, at + 1, bytes.length, width, count, codes)
  const values = listFor<unknown>(count)
  for (let i = 0; i < count; i++) {
    const code = codes[i]!
    if (code >= dictionary.length) throw malformed(`a page refers to entry ${code} of a dictionary of ${dictionary.length}`)
    values[i] = dictionary[code]
  }
  return values
}

/** PLAIN, which dictionaries are written in too. */
export function decodePlain(type: ColumnType, page: PageBytes): unknown[] {
  const { bytes, at, count } = page
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const each = <T>(size: number, read: (at: number) => T): T[] => {
    if (at + size * count > bytes.length)
      throw malformed(`${count} values of ${size} bytes do not fit into the ${bytes.length - at} of their page`)
    const values = listFor<T>(count)
    for (let i = 0; i < count; i++) values[i] = read(at + i * size)
    return values
  }
  switch (type) {
    case 'boolean':
      if (at + Math.ceil(count / 8) > bytes.length) throw malformed(`${count} booleans do not fit into ${bytes.length - at} bytes`)
      return Array.from({ length: count }, (_, i) => ((bytes[at + (i >> 3)]! >> (i & 7)) & 1) === 1)
    case 'int':
    case 'date':
      return each(4, (offset) => view.getInt32(offset, true))
    case 'long':
      return each(8, (offset) => readInt64(view, offset))
    case 'timestamp':
    case 'timestamptz':
      return each(8, (offset) => toMs(readInt64(view, offset)))
    case 'float':
      return each(4, (offset) => view.getFloat32(offset, true))
    case 'double':
      return each(8, (offset) => view.getFloat64(offset, true))
    case 'uuid':
      return each(16, (offset) => uuidText(bytes.subarray(offset, offset + 16)))
    case 'binary':
      return plainBinaries(view, page).map((value) => value.slice())
    case 'string':
    case 'json':
      return plainBinaries(view, page).map(utf8)
  }
}

/** Views of the values of a PLAIN page, each of which has its length in front of it. */
function plainBinaries(view: DataView, { bytes, at, count }: PageBytes): Uint8Array[] {
  const values: Uint8Array[] = []
  let offset = at
  for (let i = 0; i < count; i++) {
    const start = offset + 4
    const end = start > bytes.length ? Infinity : start + view.getUint32(offset, true)
    if (end > bytes.length) throw malformed(`value ${i + 1} of ${count} reaches beyond its page`)
    values.push(bytes.subarray(start, end))
    offset = end
  }
  return values
}

/** A whole number within 2^53 as a number, else as a bigint. */
function readInt64(view: DataView, offset: number): number | bigint {
  const number = view.getInt32(offset + 4, true) * 0x1_0000_0000 + view.getUint32(offset, true)
  return Number.isSafeInteger(number) ? number : view.getBigInt64(offset, true)
}

/** Microseconds as milliseconds. To the microsecond until the year 2248; from there on the nearest that a double has. */
function toMs(micros: number | bigint): number {
  return typeof micros === 'number' ? micros / 1000 : Number(micros / 1000n) + Number(micros % 1000n) / 1000
}

/** Packed differences, brought into the form of their type. */
function decodeIntegers(type: ColumnType, { bytes, at, count }: PageBytes): unknown[] {
  const { values } = readDelta(bytes, at, bytes.length, count)
  if (type !== 'int' && type !== 'date') return listOf(values, type === 'long' ? 1 : 1000)
  if (!values.every((value) => value === (value | 0))) throw unsupported('differences of 32-bit integers that overflow')
  return listOf(values, 1)
}

/** A plain array of what stands in a typed one, divided. (`Array.from` takes several times as long.) */
function listOf(values: Float64Array, divisor: number): number[] {
  const list = listFor<number>(values.length)
  for (let i = 0; i < values.length; i++) list[i] = values[i]! / divisor
  return list
}

/** Booleans as hybrid runs of one bit, which others write. Four bytes of size come first. */
function decodeBooleanRuns({ bytes, at, count }: PageBytes): unknown[] {
  const runs = new Uint8Array(count)
  // The size in front says nothing that the runs themselves do not.
  readHybrid(bytes, at + 4, bytes.length, 1, count, runs)
  return Array.from(runs, (value) => value === 1)
}

/** The lengths in front of a page of texts or bytes, checked against what follows them. */
function readLengths({ bytes, at, count }: PageBytes): { lengths: Float64Array; start: number } {
  const { values: lengths, end: start } = readDelta(bytes, at, bytes.length, count)
  let total = 0
  for (const length of lengths) {
    if (length < 0) throw malformed(`a value has the length ${length}`, { length })
    total += length
  }
  if (total > bytes.length - start) throw malformed(`values of ${total} bytes do not fit into the ${bytes.length - start} of their page`)
  return { lengths, start }
}

/** Bytes behind their lengths. Copied, so that a value that is kept does not keep its page. */
function decodeBinaries(page: PageBytes): unknown[] {
  const { lengths, start } = readLengths(page)
  let at = start
  return Array.from(lengths, (length) => page.bytes.slice(at, (at += length)))
}

/**
 * Texts behind their lengths. One decode for the whole page, then slices of it: a decode for each value would cost ten times as much.
 * The engine keeps a page's text for as long as one of its longer slices lives, which is what a page of about a megabyte costs at most.
 */
function decodeTexts(page: PageBytes): unknown[] {
  const { bytes } = page
  const { lengths, start } = readLengths(page)
  const end = lengths.reduce((sum, length) => sum + length, start)
  const text = utf8(bytes.subarray(start, end))
  const ascii = text.length === end - start
  const values = listFor<string>(lengths.length)
  let at = start
  let unit = 0
  for (let i = 0; i < lengths.length; i++) {
    const length = lengths[i]!
    // A text that began inside a character would be cut out of two that are whole.
    if (length > 0 && (bytes[at]! & 0xc0) === 0x80) throw malformed('a text begins in the middle of a character')
    const units = ascii ? length : utf16Length(bytes, at, at + length)
    values[i] = text.slice(unit, unit + units)
    at += length
    unit += units
  }
  return values
}

/** How many code units of a string the UTF-8 between two offsets becomes. */
function utf16Length(bytes: Uint8Array, start: number, end: number): number {
  let units = 0
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if ((byte & 0xc0) !== 0x80) units += byte >= 0xf0 ? 2 : 1
  }
  return units
}

/** Text of UTF-8, refusing what is none: a replaced character would be a wrong answer. */
function utf8(bytes: Uint8Array): string {
  try {
    // Without ignoreBOM a leading U+FEFF would be dropped.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw malformed('a text is not UTF-8', {}, cause)
  }
}
