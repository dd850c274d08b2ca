import { DotdoError } from '../base/errors.ts'
import type { ColumnType } from './schema.ts'

// The numbers of the Parquet format that this room writes and reads, from parquet.thrift of apache/parquet-format.

/** Physical types. */
export const Physical = { BOOLEAN: 0, INT32: 1, INT64: 2, FLOAT: 4, DOUBLE: 5, BYTE_ARRAY: 6, FIXED: 7 } as const

/** Encodings of values and levels. */
export const Encoding = { PLAIN: 0, RLE: 3, DELTA_BINARY_PACKED: 5, DELTA_LENGTH_BYTE_ARRAY: 6, RLE_DICTIONARY: 8 } as const

/** Kinds of pages. Version 1 data pages are the ones that every reader reads. */
export const PageType = { DATA: 0, DICTIONARY: 2 } as const

/** Compression codecs. */
export const Codec = { UNCOMPRESSED: 0, ZSTD: 6 } as const

/** The four bytes that open and close a file: `PAR1`. */
export const MAGIC: readonly number[] = [0x50, 0x41, 0x52, 0x31]

/** How values of a column type lie in a file. */
export function physicalOf(type: ColumnType): number {
  switch (type) {
    case 'boolean':
      return Physical.BOOLEAN
    case 'int':
    case 'date':
      return Physical.INT32
    case 'long':
    case 'timestamp':
    case 'timestamptz':
      return Physical.INT64
    case 'float':
      return Physical.FLOAT
    case 'double':
      return Physical.DOUBLE
    case 'string':
    case 'json':
    case 'binary':
      return Physical.BYTE_ARRAY
    case 'uuid':
      return Physical.FIXED
  }
}

/** The error for bytes that are not a Parquet file, or are a damaged one. `what` is a sentence without its end. */
export function malformed(what: string, data: Record<string, unknown> = {}, cause?: unknown): DotdoError {
  return new DotdoError('PARQUET_MALFORMED', `The Parquet file is damaged or cut short: ${what}. Fetch or write the file again.`, {
    data,
    cause,
  })
}

/** The error for a Parquet file that is sound, but uses what this reader does not know. */
export function unsupported(what: string, data: Record<string, unknown> = {}): DotdoError {
  return new DotdoError('PARQUET_UNSUPPORTED', `This Parquet file needs another reader: ${what}. This one reads what dotdo writes.`, {
    data,
  })
}
