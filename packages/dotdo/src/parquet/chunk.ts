import { noBounds, widen, type Bounds } from './bounds.ts'
import { ByteWriter } from './bytes.ts'
import type { ChunkMeta, ChunkStatistics } from './footer.ts'
import { Encoding, PageType, physicalOf } from './format.ts'
import { writeHybrid, writeRun } from './hybrid.ts'
import { kindOf, type Kind } from './kinds.ts'
import type { Column } from './schema.ts'
import { StructWriter } from './thrift.ts'
import { grownCapacity, type ColumnValues, type GroupValues } from './values.ts'

/** What all columns of a file share: scratch memory, and how a page is compressed. */
export interface PagePress {
  /** The page that is being written. */
  body: ByteWriter
  /** Its header. */
  header: ByteWriter
  codec: number
  /** The bytes as they are stored, in memory that the file owns. */
  press(bytes: Uint8Array): Uint8Array
}

/** A finished column chunk: its bytes in order, and its footer entry with offsets that count from the chunk's own beginning. */
export interface FinishedChunk {
  pieces: Uint8Array[]
  meta: ChunkMeta
}

/** What the whole file holds of one column. See {@link ParquetFileInfo} for its parts. */
export interface ColumnTotals {
  sizeBytes: number
  valueCount: number
  nullCount: number
  nanCount?: number
  lower?: unknown
  upper?: unknown
}

/**
 * One column of an open file: the values and levels of the page that is gathered, and the finished pages of the row group.
 *
 * 1. Every row adds exactly one of {@link add} and {@link addNull}, and {@link undo} takes the last one back.
 * 2. Pages end where their rows end: values and levels of a page speak of the same rows.
 * 3. Levels exist only for pages of an optional column; only from the first null of a page on do they cost memory per row.
 */
export class ColumnChunk {
  readonly column: Column
  readonly kind: Kind
  readonly #values: ColumnValues
  /** Of the page that is gathered, one a row: 1 where a value is. Good only while `#nulls` is above zero. */
  #levels = new Uint8Array(0)
  #rows = 0
  #nulls = 0
  #lastWasNull = false
  /** Finished pages of the row group, each as a header and a body. */
  #pages: Uint8Array[] = []
  #pagesBytes = 0
  #uncompressed = 0
  #groupRows = 0
  #groupNulls = 0
  readonly #encodings = new Set<number>()
  readonly #fileBounds: Bounds<unknown> = noBounds()
  readonly #totals: ColumnTotals = { sizeBytes: 0, valueCount: 0, nullCount: 0 }

  constructor(column: Column) {
    this.column = column
    this.kind = kindOf(column.type)
    this.#values = this.kind.values()
  }

  /** Whether what is gathered is enough for a page. */
  get due(): boolean {
    return this.#values.due
  }

  /** About how many bytes of memory are held: what is gathered, and finished pages. */
  get heldBytes(): number {
    return this.#pagesBytes + this.#levels.length + this.#values.heldBytes
  }

  /** About how large the row group is, before compression. */
  get groupBytes(): number {
    return this.#uncompressed + this.#values.waitingBytes
  }

  /** Takes a value that is not null; `false` and no change where it is not of the column's type. */
  add(value: unknown): boolean {
    if (!this.#values.push(value)) return false
    if (this.#nulls > 0) this.#level(1)
    this.#rows++
    this.#lastWasNull = false
    return true
  }

  /** Takes a null. The first one of a page brings levels for the rows before it. */
  addNull(): void {
    if (this.#nulls++ === 0) {
      this.#growLevels()
      this.#levels.fill(1, 0, this.#rows)
    }
    this.#level(0)
    this.#rows++
    this.#lastWasNull = true
  }

  /** Takes back the last value or null. Once only. */
  undo(): void {
    this.#rows--
    if (this.#lastWasNull) this.#nulls--
    else this.#values.pop()
  }

  /** Sets the level of the row that is being added. */
  #level(level: number): void {
    if (this.#rows >= this.#levels.length) this.#growLevels()
    this.#levels[this.#rows] = level
  }

  #growLevels(): void {
    if (this.#rows < this.#levels.length) return
    const levels = new Uint8Array(grownCapacity(this.#levels.length, this.#rows + 1))
    levels.set(this.#levels)
    this.#levels = levels
  }

  /** Ends the page: encodes and compresses what is gathered. Does nothing where nothing is. */
  cutPage(page: PagePress): void {
    if (this.#rows === 0) return
    const { body } = page
    body.clear()
    if (!this.column.required) this.#writeLevels(body)
    // A page of nulls alone has no values, and every reader agrees that nothing in PLAIN is nothing.
    const encoding = this.#values.count === 0 ? Encoding.PLAIN : this.#values.page(body)
    this.#encodings.add(encoding)
    const rows = this.#rows
    this.#keep(page, PageType.DATA, (fields) =>
      fields.struct(5, (header) => {
        header.i32(1, rows)
        header.i32(2, encoding)
        header.i32(3, Encoding.RLE)
        header.i32(4, Encoding.RLE)
      }),
    )
    this.#groupRows += rows
    this.#groupNulls += this.#nulls
    this.#rows = 0
    this.#nulls = 0
  }

  /** Definition levels of one bit: 1 where a value is, 0 where null is; before them their size in four bytes. */
  #writeLevels(body: ByteWriter): void {
    const start = body.length
    body.u32(0)
    if (this.#nulls === 0) writeRun(body, 1, this.#rows, 1)
    else writeHybrid(body, this.#levels, 0, this.#rows, 1)
    body.view.setUint32(start, body.length - start - 4, true)
  }

  /** Ends the last page and the row group; pages begin anew. */
  endGroup(page: PagePress): FinishedChunk {
    this.cutPage(page)
    const group = this.#values.endGroup()
    const dictionary = group.dictionary
    let dictionaryBytes = 0
    if (dictionary !== undefined) {
      // The dictionary stands before the pages that refer to it, and is known only after the last of them.
      const data = this.#pages
      this.#pages = []
      page.body.clear()
      dictionary.write(page.body)
      dictionaryBytes = this.#keep(page, PageType.DICTIONARY, (fields) =>
        fields.struct(7, (header) => {
          header.i32(1, dictionary.entries)
          header.i32(2, Encoding.PLAIN)
        }),
      )
      this.#pages.push(...data)
      this.#encodings.add(Encoding.PLAIN)
    }
    if (!this.column.required) this.#encodings.add(Encoding.RLE)
    const meta: ChunkMeta = {
      physical: physicalOf(this.column.type),
      encodings: [...this.#encodings],
      name: this.column.name,
      codec: page.codec,
      values: this.#groupRows,
      uncompressedBytes: this.#uncompressed,
      compressedBytes: this.#pagesBytes,
      dataPageOffset: dictionaryBytes,
      ...(dictionary !== undefined && { dictionaryPageOffset: 0 }),
      statistics: this.#statistics(group.bounds),
    }
    this.#addToTotals(group)
    const pieces = this.#pages
    this.#pages = []
    this.#pagesBytes = 0
    this.#uncompressed = 0
    this.#groupRows = 0
    this.#groupNulls = 0
    this.#encodings.clear()
    return { pieces, meta }
  }

  /** Compresses the body, puts its header before it, of which `write` gives the last part, and keeps both. Answers their size. */
  #keep(page: PagePress, type: number, write: (fields: StructWriter) => void): number {
    const raw = page.body.written()
    const pressed = page.press(raw)
    const { header } = page
    header.clear()
    const fields = new StructWriter(header)
    fields.i32(1, type)
    fields.i32(2, raw.length)
    fields.i32(3, pressed.length)
    write(fields)
    fields.end()
    this.#pages.push(header.copy(), pressed)
    this.#pagesBytes += header.length + pressed.length
    this.#uncompressed += header.length + raw.length
    return header.length + pressed.length
  }

  /** The bounds of a row group as they stand in the file: short, as bytes, and telling whether they were cut. */
  #statistics({ lower, upper }: Bounds<unknown>): ChunkStatistics {
    const statistics: ChunkStatistics = { nullCount: this.#groupNulls }
    const { kind } = this
    if (lower === undefined || upper === undefined) return statistics
    const min = kind.cutLower ? kind.cutLower(lower) : { value: lower, exact: true }
    statistics.min = kind.encode(min.value)
    statistics.minExact = min.exact
    const max = kind.cutUpper ? kind.cutUpper(upper) : { value: upper, exact: true }
    if (max === undefined) return statistics
    statistics.max = kind.encode(max.value)
    statistics.maxExact = max.exact
    return statistics
  }

  /** Bounds of the file are widened by whole values, and cut once at the end: cutting twice would loosen them. */
  #addToTotals(group: GroupValues<unknown>): void {
    const totals = this.#totals
    totals.sizeBytes += this.#pagesBytes
    totals.valueCount += this.#groupRows
    totals.nullCount += this.#groupNulls
    if (group.nanCount !== undefined) totals.nanCount = (totals.nanCount ?? 0) + group.nanCount
    widen(this.#fileBounds, group.bounds, this.kind.before)
  }

  /** What the finished row groups hold of this column, with bounds as a row would give them. */
  totals(): ColumnTotals {
    const { kind } = this
    const { lower, upper } = this.#fileBounds
    const totals = { ...this.#totals }
    if (lower === undefined || upper === undefined) return totals
    const low = kind.cutLower ? kind.cutLower(lower).value : lower
    const high = kind.cutUpper ? kind.cutUpper(upper)?.value : upper
    totals.lower = kind.present ? kind.present(low, 'lower') : low
    if (high !== undefined) totals.upper = kind.present ? kind.present(high, 'upper') : high
    return totals
  }
}
