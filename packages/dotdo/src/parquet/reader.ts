import { DotdoError } from '../base/errors.ts'
import { decodePlain, decodeValues, listFor } from './decode.ts'
import { chunkStart, plainBytes, readExactly, readFooter, type ParquetSource } from './footer-reader.ts'
import type { ChunkMeta, RowGroupMeta } from './footer.ts'
import { Codec, malformed, PageType, unsupported } from './format.ts'
import { readHybrid } from './hybrid.ts'
import type { Column } from './schema.ts'
import { readStruct } from './thrift-reader.ts'

/** One row: a value for each column that was asked for, `null` for null. */
export type Row = Record<string, unknown>

/** How a file is read. */
export interface ReadOptions {
  /**
   * Decompresses one page of zstd, whose size is `sizeBytes`. It must refuse to make more than that (`maxOutputLength` of node:zlib), for a
   * forged page could else fill the memory. Needed for files that are compressed.
   */
  decompress?(bytes: Uint8Array, sizeBytes: number): Uint8Array
  /** The columns to read, by name; others are neither fetched nor decoded. Default: all. */
  columns?: readonly string[]
  /** Rows of a batch at most. Default 8192. */
  batchRows?: number
  /** `number` gives days and epoch milliseconds, which can be written back as they are; `Date` gives Dates, to the millisecond. Default `number`. */
  temporal?: 'number' | 'Date'
  /** Columns whose text is JSON and is wanted as its value. (A file keeps JSON as a string and does not say so.) */
  json?: readonly string[]
  /** The most uncompressed bytes of the wanted columns in one row group. Default 128 MiB. */
  maxRowGroupBytes?: number
  /** The most values of the wanted columns in one row group. Default 16 Mi: nulls and repetitions take no room in a file, but in memory. */
  maxRowGroupValues?: number
}

/** Wanted chunks that lie no farther apart than this are fetched in one read. */
const MERGE_GAP_BYTES = 1 << 16

/**
 * Reads a file's rows in order, in batches. Values are as {@link decodeValues} has them, and can be written again by the same columns.
 * Memory is bounded by one row group of the wanted columns and one batch.
 *
 * @throws `PARQUET_MALFORMED` for damaged files, `PARQUET_UNSUPPORTED` for what dotdo does not write, `PARQUET_TOO_LARGE` for a row group
 *   over a limit, `COLUMN_UNKNOWN` for a column that is not there, `INVALID_VALUE` for a text that is no JSON where JSON was asked for
 */
export async function* readParquet(source: ParquetSource, options: ReadOptions): AsyncGenerator<Row[], void, undefined> {
  const { columns, rowGroups } = await readFooter(source)
  const wanted = pick(columns, options)
  const batchRows = options.batchRows ?? 8192
  let before = 0
  for (const group of rowGroups) {
    checkSize(group, wanted, options)
    const chunks = await fetchChunks(source, group, wanted)
    const decoded = wanted.map(({ index, column }, i) => decodeChunk(chunks[i]!, group.chunks[index]!, column, options))
    const finished = wanted.map(({ column }, i) => finisher(column, options)?.(decoded[i]!, before) ?? decoded[i]!)
    for (let start = 0; start < group.rows; start += batchRows) {
      const rows: Row[] = []
      const end = Math.min(group.rows, start + batchRows)
      for (let i = start; i < end; i++) {
        const row: Row = {}
        for (let c = 0; c < wanted.length; c++) row[wanted[c]!.column.name] = finished[c]![i]
        rows.push(row)
      }
      yield rows
    }
    before += group.rows
  }
}

/** A column that was asked for, and its place in the file. */
interface Wanted {
  index: number
  column: Column
}

/** The wanted columns in the order of the file. Unknown names are refused: an empty column would be a wrong answer. */
function pick(columns: readonly Column[], { columns: names, json = [] }: ReadOptions): Wanted[] {
  for (const name of [...(names ?? []), ...json]) {
    if (columns.some((column) => column.name === name)) continue
    const known = columns.map((column) => column.name)
    throw new DotdoError('COLUMN_UNKNOWN', `The file has no column ${JSON.stringify(name)}. It has ${known.join(', ')}.`, {
      data: { column: name, columns: known },
    })
  }
  return columns.map((column, index) => ({ column, index })).filter(({ column }) => names === undefined || names.includes(column.name))
}

/**
 * Refuses a row group that would not fit into memory, before anything of it is fetched. Bytes alone do not tell: a million nulls are
 * stored in three bytes.
 */
function checkSize(group: RowGroupMeta, wanted: readonly Wanted[], options: ReadOptions): void {
  const { maxRowGroupBytes = 128 << 20, maxRowGroupValues = 16 << 20 } = options
  const values = group.rows * wanted.length
  const sizeBytes = wanted.reduce(
    (sum, { index }) => sum + Math.max(group.chunks[index]!.uncompressedBytes, group.chunks[index]!.compressedBytes),
    0,
  )
  if (values <= maxRowGroupValues && sizeBytes <= maxRowGroupBytes) return
  throw new DotdoError(
    'PARQUET_TOO_LARGE',
    `A row group has ${values} values in ${sizeBytes} bytes; the limits are ${maxRowGroupValues} (maxRowGroupValues) and ${maxRowGroupBytes} (maxRowGroupBytes). Read fewer columns, or raise the limits.`,
    { data: { values, sizeBytes, maxRowGroupValues, maxRowGroupBytes } },
  )
}

/** The bytes of the wanted chunks of a row group, in the order of `wanted`, with as few reads as is sensible. */
async function fetchChunks(source: ParquetSource, group: RowGroupMeta, wanted: readonly Wanted[]): Promise<Uint8Array[]> {
  const ranges = wanted.map(({ index }, i) => {
    const chunk = group.chunks[index]!
    return { i, start: chunkStart(chunk), end: chunkStart(chunk) + chunk.compressedBytes }
  })
  ranges.sort((a, b) => a.start - b.start)
  const bytes: Uint8Array[] = []
  for (let first = 0; first < ranges.length;) {
    const { start } = ranges[first]!
    let { end } = ranges[first]!
    let next = first + 1
    // Chunks that overlap are possible only in a forged file, and harmless.
    while (next < ranges.length && ranges[next]!.start - end <= MERGE_GAP_BYTES) end = Math.max(end, ranges[next++]!.end)
    const read = await readExactly(source, start, end - start)
    for (; first < next; first++) {
      const range = ranges[first]!
      bytes[range.i] = read.subarray(range.start - start, range.end - start)
    }
  }
  return bytes
}

/** Decodes the pages of one chunk into one value a row. Each turn of the loop consumes a header, so it ends with the bytes. */
function decodeChunk(bytes: Uint8Array, chunk: ChunkMeta, column: Column, options: ReadOptions): unknown[] {
  const pages: unknown[][] = []
  let dictionary: unknown[] | undefined
  let at = 0
  let missing = chunk.values
  while (missing > 0) {
    const { struct: header, end } = readStruct(bytes, at)
    const type = header.number(1, 'the type of a page')
    // Before anything is decompressed: the body of a page of another type begins with bytes that are not compressed.
    if (type !== PageType.DICTIONARY && type !== PageType.DATA)
      throw unsupported(`a page has the type ${type}`, { type, column: column.name })
    const sizeBytes = header.count(2, 'the size of a page', chunk.uncompressedBytes)
    const storedBytes = header.count(3, 'the stored size of a page', bytes.length - end)
    const body = decompressed(bytes.subarray(end, end + storedBytes), sizeBytes, chunk, options)
    at = end + storedBytes
    if (type === PageType.DICTIONARY) {
      const page = header.struct(7, 'the header of a dictionary')
      // Each entry but a boolean takes a byte at least, and nobody has a dictionary of booleans.
      const count = page.count(1, 'the size of a dictionary', column.type === 'boolean' ? 0 : body.length)
      dictionary = decodePlain(column.type, { bytes: body, at: 0, count })
    } else {
      const page = header.struct(5, 'the header of a page')
      const rows = page.count(1, 'the rows of a page', missing)
      pages.push(readPage(body, rows, page.number(2, 'the encoding of a page'), column, dictionary))
      missing -= rows
    }
  }
  return pages.length === 1 ? pages[0]! : pages.flat()
}

/** The values of one page, one a row. */
function readPage(body: Uint8Array, rows: number, encoding: number, column: Column, dictionary: unknown[] | undefined): unknown[] {
  if (column.required) return decodeValues(column.type, encoding, { bytes: body, at: 0, count: rows }, dictionary)
  if (body.length < 4) throw malformed('a page of an optional column has no levels')
  const levelsEnd = 4 + new DataView(body.buffer, body.byteOffset, 4).getUint32(0, true)
  if (levelsEnd > body.length) throw malformed('the levels of a page reach beyond it')
  const levels = new Uint8Array(rows)
  readHybrid(body, 4, levelsEnd, 1, rows, levels)
  let count = 0
  for (const level of levels) count += level
  // A page of nulls alone holds nothing to decode, whatever its encoding.
  const values = count === 0 ? [] : decodeValues(column.type, encoding, { bytes: body, at: levelsEnd, count }, dictionary)
  if (count === rows) return values
  const withNulls = listFor<unknown>(rows)
  for (let i = 0, next = 0; i < rows; i++) withNulls[i] = levels[i] === 1 ? values[next++] : null
  return withNulls
}

/** A page's body as it was before compression, of exactly the size that its header promises. */
function decompressed(bytes: Uint8Array, sizeBytes: number, chunk: ChunkMeta, options: ReadOptions): Uint8Array {
  const { codec, name } = chunk
  if (codec !== Codec.UNCOMPRESSED && codec !== Codec.ZSTD) throw unsupported(`it is compressed with codec ${codec}`, { codec })
  if (codec === Codec.ZSTD && options.decompress === undefined) {
    throw new DotdoError('INVALID_OPTIONS', 'The file is compressed with zstd and no decompress function was given. Give one.')
  }
  let body = bytes
  // node:zlib takes no limit of zero bytes, and there is nothing to decompress.
  if (codec === Codec.ZSTD) body = sizeBytes === 0 ? new Uint8Array(0) : attempt(() => options.decompress!(bytes, sizeBytes), name)
  if (body.length !== sizeBytes) throw malformed(`a page of column ${name} has ${body.length} bytes instead of ${sizeBytes}`)
  return plainBytes(body)
}

/** Runs the caller's decompressor, whose errors of any kind mean that the page is damaged. */
function attempt(work: () => Uint8Array, name: string): Uint8Array {
  try {
    return work()
  } catch (cause) {
    throw malformed(`a page of column ${name} does not decompress`, { column: name }, cause)
  }
}

/** What the options make of a column's values, if anything. `before` counts the rows of earlier row groups. */
function finisher(column: Column, { temporal, json }: ReadOptions): ((values: unknown[], before: number) => unknown[]) | undefined {
  if (json?.includes(column.name)) return (values, before) => values.map((value, i) => parseJson(value, column.name, before + i + 1))
  if (temporal !== 'Date') return undefined
  const unitMs = column.type === 'date' ? 86_400_000 : column.type === 'timestamp' || column.type === 'timestamptz' ? 1 : 0
  if (unitMs === 0) return undefined
  return (values) => values.map((value) => (typeof value === 'number' ? new Date(Math.floor(value * unitMs)) : value))
}

/** The value of a JSON text. `row` counts from 1, for the error. */
function parseJson(value: unknown, column: string, row: number): unknown {
  if (value === null) return null
  try {
    // What is no text is no JSON either, and parses to nothing.
    return JSON.parse(typeof value === 'string' ? value : '')
  } catch (cause) {
    throw new DotdoError(
      'INVALID_VALUE',
      `Row ${row} has a text in column ${JSON.stringify(column)} that is not JSON. Read the column as text.`,
      { data: { column, row }, cause },
    )
  }
}
