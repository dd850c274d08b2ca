import { DotdoError } from '../base/errors.ts'
import { ByteWriter } from './bytes.ts'
import { ColumnChunk, type FinishedChunk, type PagePress } from './chunk.ts'
import { encodeFooter, type RowGroupMeta } from './footer.ts'
import { Codec, MAGIC } from './format.ts'
import { checkColumns, type Column } from './schema.ts'

/** How a file is written. */
export interface ParquetOptions {
  /** How pages are compressed. */
  codec: 'zstd' | 'uncompressed'
  /** Compresses one page with zstd into memory that the writer may keep. Needed for `codec: 'zstd'`; level 1 is as small as level 3 here. */
  compress?(bytes: Uint8Array): Uint8Array
  /** The most rows of a row group. Default {@link ROW_GROUP_ROWS}. */
  rowGroupRows?: number
  /** The most bytes of a row group before compression, above which it ends with the next page. Default {@link ROW_GROUP_BYTES}. */
  rowGroupBytes?: number
  /** Key and value pairs of the footer, such as `iceberg.schema`. */
  metadata?: Record<string, string>
  /** Who wrote the file. Default {@link CREATED_BY}. */
  createdBy?: string
}

/** What a file holds of one column, over all of its row groups. */
export interface ColumnSummary {
  fieldId: number
  /** Bytes in the file, as stored. */
  sizeBytes: number
  /** Values with nulls and NaN: the number of rows. */
  valueCount: number
  nullCount: number
  /** Only of `float` and `double`. */
  nanCount?: number
  /**
   * No value is less (NaN is left out). As a row gives it: booleans, numbers, bigints beyond 2^53, days for dates, epoch milliseconds
   * for times, texts, bytes. Texts and bytes are cut to 64 code points or bytes, the upper one raised, so that they still bound.
   */
  lower?: unknown
  /** No value is greater. Absent, as `lower`, where there is no value; alone absent where no short text or bytes can bound. */
  upper?: unknown
}

/** What a finished file is. */
export interface ParquetFileInfo {
  sizeBytes: number
  rows: number
  /** Where each row group begins, for readers that share a file among them. */
  splitOffsets: number[]
  /** In the order of the columns. */
  columns: ColumnSummary[]
}

/** Rows of a row group, unless the options say otherwise. */
export const ROW_GROUP_ROWS = 100_000

/** Uncompressed bytes at which a row group ends, unless the options say otherwise. */
export const ROW_GROUP_BYTES = 32 << 20

/** Written into files, in the form that readers parse: application, version of this codec, build. */
export const CREATED_BY = 'dotdo version 1 (build 1)'

/** Values, of all columns together, between two looks at the size of what is gathered. */
const LOOK_VALUES = 1 << 16

/** Rows of a page at most: for columns of few or no values, which are never due by themselves. */
const PAGE_ROWS = 1 << 17

/**
 * Writes rows into a Parquet file, whose bytes it hands out row group by row group. It owns the file's columns, finished row groups
 * that were not taken yet, and two scratch buffers.
 *
 * 1. A row enters whole or not at all: one that is refused leaves the writer as it was.
 * 2. What the chunks taken so far say is final: nothing is ever written over.
 * 3. Memory is bounded by one row group (compressed, but for one page a column) and what was not taken.
 * 4. After {@link finish} nothing more can be added; {@link takeChunks} then gives the rest, once.
 *
 * @example
 * ```ts
 * const writer = new ParquetWriter([{ name: 'id', type: 'long', required: true, fieldId: 1 }], { codec: 'uncompressed' })
 * writer.add({ id: 7 })
 * const { rows, sizeBytes } = writer.finish()
 * const chunks = writer.takeChunks()
 * ```
 */
export class ParquetWriter {
  readonly #columns: Column[]
  readonly #chunks: ColumnChunk[]
  /** Whether a column's name is one that every object inherits, so that a row must have it as its own. */
  readonly #inherited: boolean[]
  readonly #page: PagePress
  readonly #rowGroupRows: number
  readonly #rowGroupBytes: number
  readonly #lookRows: number
  readonly #metadata: Record<string, string>
  readonly #createdBy: string
  readonly #groups: RowGroupMeta[] = []
  #out: Uint8Array[] = [Uint8Array.from(MAGIC)]
  #outBytes = MAGIC.length
  #offset = MAGIC.length
  #rows = 0
  #groupRows = 0
  #pageRows = 0
  #finished = false

  /** @throws `INVALID_SCHEMA` for columns that no file can have, `INVALID_OPTIONS` for options that contradict themselves */
  constructor(columns: readonly Column[], options: ParquetOptions) {
    checkColumns(columns)
    this.#columns = columns.map((column) => ({ ...column }))
    this.#chunks = this.#columns.map((column) => new ColumnChunk(column))
    this.#inherited = this.#columns.map(({ name }) => name in Object.prototype)
    this.#page = pagePress(options)
    this.#rowGroupRows = limit('rowGroupRows', options.rowGroupRows ?? ROW_GROUP_ROWS)
    this.#rowGroupBytes = limit('rowGroupBytes', options.rowGroupBytes ?? ROW_GROUP_BYTES)
    this.#lookRows = Math.ceil(LOOK_VALUES / columns.length)
    this.#metadata = { ...options.metadata }
    this.#createdBy = options.createdBy ?? CREATED_BY
  }

  /**
   * Adds one row. Its values are gathered at once and the object is not kept. Keys that are no column are not looked at.
   *
   * @throws `INVALID_VALUE` for a value that its column does not take, and for a missing one that is required: with column, row (counted
   *   from 1 over the accepted ones), value and what is accepted. The row is then not in the file, and the next one may be added.
   * @throws `WRITER_FINISHED` after {@link finish}
   */
  add(row: Record<string, unknown>): void {
    if (this.#finished) throw finished('a row cannot be added')
    const chunks = this.#chunks
    let added = 0
    try {
      for (; added < chunks.length; added++) {
        const chunk = chunks[added]!
        const { name, required } = chunk.column
        const value = this.#inherited[added] && !Object.hasOwn(row, name) ? undefined : row[name]
        if (value === undefined || value === null) {
          if (required) throw this.#refusal(chunk, value)
          chunk.addNull()
        } else if (!chunk.add(value)) throw this.#refusal(chunk, value)
      }
    } catch (error) {
      // Also a getter of the row that throws ends here.
      while (added > 0) chunks[--added]!.undo()
      throw error
    }
    this.#rows++
    this.#groupRows++
    this.#pageRows++
    this.#settle()
  }

  /** Ends pages and the row group where they are large enough. Only between rows, so that each row can still be undone as a whole. */
  #settle(): void {
    let cut = false
    for (const chunk of this.#chunks) {
      if (!chunk.due) continue
      chunk.cutPage(this.#page)
      cut = true
    }
    if (this.#groupRows >= this.#rowGroupRows) return this.#endGroup()
    if (this.#pageRows >= PAGE_ROWS) {
      for (const chunk of this.#chunks) chunk.cutPage(this.#page)
      this.#pageRows = 0
    }
    if (!cut && this.#groupRows % this.#lookRows !== 0) return
    let bytes = 0
    for (const chunk of this.#chunks) bytes += chunk.groupBytes
    if (bytes >= this.#rowGroupBytes) this.#endGroup()
  }

  /**
   * Ends the row group: the last page of each column, then all columns one behind the other. Only here do pages get their place in the file,
   * because how long the columns before them are is not known earlier.
   */
  #endGroup(): void {
    if (this.#groupRows === 0) return
    const finishedChunks = this.#chunks.map((chunk) => chunk.endGroup(this.#page))
    const group: RowGroupMeta = { rows: this.#groupRows, offset: this.#offset, uncompressedBytes: 0, compressedBytes: 0, chunks: [] }
    for (const { meta } of finishedChunks) {
      const start = this.#offset + group.compressedBytes
      meta.dataPageOffset += start
      if (meta.dictionaryPageOffset !== undefined) meta.dictionaryPageOffset += start
      group.uncompressedBytes += meta.uncompressedBytes
      group.compressedBytes += meta.compressedBytes
      group.chunks.push(meta)
    }
    this.#groups.push(group)
    this.#emit(joined(finishedChunks, group.compressedBytes))
    this.#groupRows = 0
    this.#pageRows = 0
  }

  /** Makes bytes final: they wait to be taken, and what follows them has its place. */
  #emit(bytes: Uint8Array): void {
    this.#out.push(bytes)
    this.#outBytes += bytes.length
    this.#offset += bytes.length
  }

  /** The bytes that are final and were not taken yet, in order: each chunk is one row group, the first one and the last are a few bytes. */
  takeChunks(): Uint8Array[] {
    const chunks = this.#out
    this.#out = []
    this.#outBytes = 0
    return chunks
  }

  /** About how many bytes of memory the writer holds: values being gathered, finished pages, scratch, and chunks that were not taken. */
  get bufferedBytes(): number {
    let bytes = this.#outBytes + this.#page.body.bytes.length
    for (const chunk of this.#chunks) bytes += chunk.heldBytes
    return bytes
  }

  /**
   * Ends the last row group and writes the footer; {@link takeChunks} then gives the rest of the file. A file without rows is a sound one.
   *
   * @throws `WRITER_FINISHED` the second time
   */
  finish(): ParquetFileInfo {
    if (this.#finished) throw finished('it cannot be finished again')
    this.#endGroup()
    this.#finished = true
    const footer = encodeFooter({
      columns: this.#columns,
      rows: this.#rows,
      rowGroups: this.#groups,
      metadata: this.#metadata,
      createdBy: this.#createdBy,
    })
    const tail = new ByteWriter(footer.length + 8)
    tail.raw(footer)
    tail.u32(footer.length)
    tail.raw(Uint8Array.from(MAGIC))
    this.#emit(tail.written())
    return {
      sizeBytes: this.#offset,
      rows: this.#rows,
      splitOffsets: this.#groups.map((group) => group.offset),
      columns: this.#chunks.map((chunk) => ({ fieldId: chunk.column.fieldId, ...chunk.totals() })),
    }
  }

  /** The error for a value: where it stands, what it is, and what would be taken. */
  #refusal(chunk: ColumnChunk, value: unknown): DotdoError {
    const { name, type, required } = chunk.column
    const row = this.#rows + 1
    const shown = show(value)
    const accepts = chunk.kind.accepts + (required ? '' : ', or null')
    return new DotdoError(
      'INVALID_VALUE',
      `Row ${row} has ${shown} in column ${JSON.stringify(name)}, which is ${required ? 'a required ' : 'of type '}${type}. Give ${accepts}.`,
      {
        data: { column: name, type, row, value: shown, accepts },
      },
    )
  }
}

/** The scratch memory and the compression that all columns of a file share. */
function pagePress(options: ParquetOptions): PagePress {
  const scratch = { body: new ByteWriter(4096), header: new ByteWriter(64) }
  if (options.codec === 'uncompressed') return { ...scratch, codec: Codec.UNCOMPRESSED, press: (bytes) => bytes.slice() }
  if (options.codec !== 'zstd' || options.compress === undefined) {
    throw new DotdoError(
      'INVALID_OPTIONS',
      `A Parquet file with codec ${JSON.stringify(options.codec)} needs a compress function for zstd. Give one, or codec 'uncompressed'.`,
      { data: { codec: options.codec } },
    )
  }
  return { ...scratch, codec: Codec.ZSTD, press: (bytes) => options.compress!(bytes) }
}

/** A limit from the options; zero or NaN would make a writer that never, or always, ends its row groups. */
function limit(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new DotdoError('INVALID_OPTIONS', `${name} is ${value}. Give a whole number above zero.`, { data: { [name]: value } })
}

/** One allocation for a row group: the pieces, which may be views into larger buffers of the compressor, can then go. */
function joined(chunks: readonly FinishedChunk[], size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  let at = 0
  for (const { pieces } of chunks) {
    for (const piece of pieces) {
      bytes.set(piece, at)
      at += piece.length
    }
  }
  return bytes
}

function finished(what: string): DotdoError {
  return new DotdoError('WRITER_FINISHED', `The Parquet file is finished: ${what}. Open a new writer.`)
}

/** A value in a message: short, and never the reason of another error. */
function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
    case 'bigint':
      return `${value}n`
    case 'number':
    case 'boolean':
    case 'symbol':
      return String(value)
    case 'object':
      if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid Date' : value.toISOString()
      if (value instanceof Uint8Array) return `${value.length} bytes`
      return Array.isArray(value) ? `an array of ${value.length}` : 'an object'
    default:
      return 'a function'
  }
}
