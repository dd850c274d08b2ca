import { decodeValue } from '../base/codec.ts'
import { codeOf, DotdoError } from '../base/errors.ts'
import { redactText } from '../base/redact.ts'
import type { Store } from '../base/ports.ts'
import type { ValuePreview } from '../base/views.ts'
import type { Compression } from './ports.ts'
import { Moves } from './moves.ts'
import { ChunkWriter, chunksPerValue, encodePieces, encodeWhole, readLines, readSpilled } from './pieces.ts'
import { previewInline, printBounded } from './previews.ts'
import { readPart, SpillTable, type SpillPorts } from './spill.ts'
import { StoredStream } from './stored-stream.ts'

/** Up to this many characters a value lies in the row of its step or run; above, in chunks. */
export const inlineChars = 8 * 1024

/**
 * What a column holds of a value. The first character is the form: `j` or `d` the value itself (`encodeValue`), `r` a reference to
 * chunks (JSON of {@link ValueRef}), `u` that it was not stored, and why.
 */
export interface Stored {
  text: string
  /** The chunks that the row now owns, to be removed with it. */
  valueId: number | null
}

/** Where the chunks of a value are, and what is known of it without reading them. */
interface ValueRef {
  valueId: number
  kind: 'text' | 'array' | 'stream'
  chunks: number
  sizeBytes: number
  rows?: number
  preview: string
  /** Where its later chunks are in the bucket of results, and in how many objects; absent where all of them are in rows. */
  spilled?: { prefix: string; parts: number }
  /** All of its chunks are moved to the bucket, or will be: `dotdo_value_objects` tells. */
  staged?: true
}

/**
 * Owns the table `dotdo_values`: the chunks of values too large for a row, each value under a number of its own.
 *
 * Invariants: 1. The chunks of value v have the ids v * 2^20 and up, without gaps, so a range finds all of them. 2. Numbers are not used
 * twice in one incarnation, so a stream that somebody still holds never reads another value. 3. Chunks are written in the transaction
 * that writes the reference to them, except a stream's, whose step row owns the number before the first chunk is written.
 */
export class ValueStore {
  readonly #store: Store
  readonly #compression: Compression | undefined
  /** What of it is in a bucket. */
  readonly spills: SpillTable
  #nextId: number | undefined

  /** Moves large results into the bucket. */
  readonly moves: Moves

  /**
   * @param spill where the later part of a long stream and large results go; absent: into rows, too
   * @param staged told of a result that is to be moved
   */
  constructor(store: Store, compression?: Compression, spill?: SpillPorts, staged: () => void = () => {}) {
    this.#store = store
    this.#compression = compression
    this.spills = new SpillTable(store, spill)
    this.moves = new Moves(store, this.spills, staged)
  }

  /**
   * Stores `value` and hands what the column must hold to `commit`, both in one transaction.
   * @param what names the value in errors
   * @throws `NOT_STORABLE`, `RESULT_TOO_LARGE`; nothing is written then
   */
  put(value: unknown, what: string, commit: (stored: Stored) => void): void {
    this.#put(value, what, commit, false)
  }

  /** The same for a result: a large one is in rows until it has been moved to the bucket, where there is one. {@link get} gives a promise of it from then on. */
  putResult(value: unknown, what: string, commit: (stored: Stored) => void): void {
    this.#put(value, what, commit, true)
  }

  #put(value: unknown, what: string, commit: (stored: Stored) => void, isResult: boolean): void {
    if (Array.isArray(value)) return this.#putArray(value, what, commit, isResult)
    const text = encodeWhole(value, what)
    if (text.length <= inlineChars) return commit({ text, valueId: null })
    this.#store.transaction(() => {
      const writer = new ChunkWriter(this.#store, this.newId(), this.#compression)
      writer.add(text)
      commit(this.#finish(writer, 'text', undefined, printBounded(value), isResult))
    })
  }

  #putArray(array: readonly unknown[], what: string, commit: (stored: Stored) => void, isResult: boolean): void {
    const pieces = encodePieces(array, what)
    const first = pieces.next()
    if (first.done) return commit({ text: encodeWhole(array, what), valueId: null })
    const second = pieces.next()
    if (second.done && first.value.length <= inlineChars) return commit({ text: first.value, valueId: null })
    this.#store.transaction(() => {
      const writer = new ChunkWriter(this.#store, this.newId(), this.#compression)
      writer.add(first.value)
      if (!second.done) writer.add(second.value)
      for (const piece of pieces) writer.add(piece)
      commit(this.#finish(writer, 'array', array.length, printBounded(array), isResult))
    })
  }

  /** Begins a stream under the number `valueId`, which the caller has written into the row that owns it. */
  openStream(valueId: number, what: string): StreamWriter {
    return new StreamWriter(
      new ChunkWriter(this.#store, valueId, this.#compression, this.spills.open(valueId)),
      what,
      (writer, rows, preview) => this.#finish(writer, 'stream', rows, preview),
    )
  }

  /**
   * Reads what {@link put} or a stream left in a column; a promise of it where that was moved to the bucket.
   * @throws `RESULT_NOT_STORED`, `VALUE_LOST`, `STATE_TOO_NEW`; what was moved rejects with them
   */
  get(text: string): unknown {
    if (text[0] === 'u')
      throw new DotdoError(
        'RESULT_NOT_STORED',
        `The value was not stored: ${text.slice(1)}. Return plain data, or return the stream from a step, to find it here.`,
      )
    if (text[0] !== 'r') return decodeValue(text)
    const ref = readRef(text)
    if (ref.kind === 'stream') return this.#stream(ref, text)
    const moved = ref.staged && this.spills.moved(ref.valueId)
    if (moved) return this.#fetch(ref, moved)
    const whole = new Whole(ref.kind)
    for (const line of readLines(this.#store, ref.valueId, ref.chunks, this.#compression)) whole.add(line)
    return whole.value
  }

  async #fetch({ kind, valueId }: ValueRef, { prefix, parts }: { prefix: string; parts: number }): Promise<unknown> {
    const whole = new Whole(kind)
    const part = (n: number) => readPart(this.spills.ports?.bucket, prefix, n)
    for await (const line of readSpilled(readLines(this.#store, valueId, 0), parts, part, this.#compression)) whole.add(line)
    return whole.value
  }

  /** What people see of a column. Never reads chunks. */
  preview(text: string): ValuePreview {
    if (text[0] === 'u') return { text: redactText(`(not stored: ${text.slice(1)})`), sizeBytes: 0 }
    if (text[0] !== 'r') return previewInline(text)
    const { preview, sizeBytes, rows } = readRef(text)
    return { text: preview, sizeBytes, ...(rows !== undefined && { rows }) }
  }

  /**
   * Whether so many bytes more fit into the object's storage. Nothing stays of the question; and where the answer is no, the turn goes on: a statement that
   * gives rows to insert is undone alone, where any other that finds storage full takes back its turn, and on the platform the object with it.
   */
  hasRoom(bytes: number): boolean {
    const fits = new Error('it fits')
    try {
      this.#store.transaction(() => {
        this.#store.sql('INSERT INTO dotdo_values (id, text) SELECT -1, zeroblob(?)', bytes)
        throw fits
      })
    } catch (thrown) {
      if (thrown === fits) return true
      if (codeOf(thrown) !== 'STORAGE_FULL') throw thrown
    }
    return false
  }

  /** A number that no value has or had in this incarnation. */
  newId(): number {
    if (this.#nextId === undefined) {
      // One that was moved has no chunks, and its number still.
      const last =
        'SELECT (SELECT max(id) FROM dotdo_values) AS id, (SELECT max(value_id) FROM dotdo_value_objects WHERE value_id IS NOT NULL) AS moved'
      const [row] = this.#store.sql<{ id: number | null; moved: number | null }>(last)
      this.#nextId = Math.max(Math.floor((row?.id ?? 0) / chunksPerValue), row?.moved ?? 0) + 1
    }
    return this.#nextId++
  }

  /** Removes up to `limit` chunks of a value; returns how many there were. Fewer than `limit`: it is gone. */
  remove(valueId: number, limit = chunksPerValue): number {
    const from = valueId * chunksPerValue
    const to = from + chunksPerValue
    const removed = this.#store.sql(
      'DELETE FROM dotdo_values WHERE id IN (SELECT id FROM dotdo_values WHERE id >= ? AND id < ? LIMIT (? + 0)) RETURNING id',
      from,
      to,
      limit,
    ).length
    if (removed < limit) this.spills.drop(valueId)
    return removed
  }

  #finish(writer: ChunkWriter, kind: ValueRef['kind'], rows: number | undefined, preview: string, isResult = false): Stored {
    writer.flush()
    const isStaged = isResult && writer.rowBytes > (this.spills.ports?.moveFromBytes ?? Infinity)
    if (isStaged) this.moves.stage(writer.valueId)
    const ref: ValueRef = {
      valueId: writer.valueId,
      kind,
      chunks: writer.chunks,
      sizeBytes: writer.sizeBytes,
      ...(rows !== undefined && { rows }),
      preview,
      ...(writer.spill?.used && { spilled: { prefix: writer.spill.prefix, parts: writer.spill.parts } }),
      ...(isStaged && { staged: true }),
    }
    return { text: `r${JSON.stringify(ref)}`, valueId: writer.valueId }
  }

  #stream(ref: ValueRef, text: string): StoredStream {
    const store = this.#store
    const compression = this.#compression
    const { spilled } = ref
    const { ports } = this.spills
    const lines = () => readLines(store, ref.valueId, ref.chunks, compression)
    return new StoredStream({
      valueId: ref.valueId,
      text,
      rows: ref.rows ?? 0,
      sizeBytes: ref.sizeBytes,
      read: spilled
        ? async function* () {
            const part = (n: number) => readPart(ports?.bucket, spilled.prefix, n)
            for await (const line of readSpilled(lines(), spilled.parts, part, compression)) yield decodeValue(line)
          }
        : function* () {
            for (const line of lines()) yield decodeValue(line)
          },
    })
  }
}

/** A value that is put together of its lines. */
class Whole {
  readonly #kind: ValueRef['kind']
  #array: unknown[] | undefined
  #text: string | undefined

  constructor(kind: ValueRef['kind']) {
    this.#kind = kind
  }

  add(line: string): void {
    if (this.#kind === 'text') return void (this.#text ??= line)
    const piece = readArray(line)
    // The first piece becomes the array: one that contains itself is a single piece, and must contain what is given back.
    if (this.#array) for (const element of piece) this.#array.push(element)
    else this.#array = piece
  }

  get value(): unknown {
    return this.#kind === 'text' ? decodeValue(this.#text ?? '') : (this.#array ?? [])
  }
}

/** Stores the batches of a stream as they come. Memory: one batch and one chunk. */
export class StreamWriter {
  readonly #writer: ChunkWriter
  readonly #what: string
  readonly #finish: (writer: ChunkWriter, rows: number, preview: string) => Stored
  #rows = 0
  #preview: string | undefined

  constructor(writer: ChunkWriter, what: string, finish: (writer: ChunkWriter, rows: number, preview: string) => Stored) {
    this.#writer = writer
    this.#what = what
    this.#finish = finish
  }

  /** Adds one batch; one that is longer than a piece is split. @throws `NOT_STORABLE`, `RESULT_TOO_LARGE` */
  add(batch: unknown): void {
    this.#preview ??= printBounded(batch)
    this.#rows += Array.isArray(batch) ? batch.length : 1
    if (!Array.isArray(batch) || batch.length === 0) this.#writer.add(encodeWhole(batch, this.#what))
    else for (const piece of encodePieces(batch, this.#what)) this.#writer.add(piece)
  }

  /** Whether what was added has to be put into the bucket before more is. */
  get isFull(): boolean {
    return this.#writer.spill?.isFull ?? false
  }

  /** Puts what is to go to the bucket. */
  async drain(): Promise<void> {
    await this.#writer.spill?.drain()
  }

  /** Puts the last of what goes to the bucket, where anything does: then all of it is there, and may be named. */
  async close(): Promise<void> {
    if (!this.#writer.spills) return
    this.#writer.flush()
    await this.#writer.spill?.drain()
  }

  /** Writes the last chunk. In the transaction that ends the step, when {@link StreamWriter.close} has resolved. */
  end(): Stored {
    return this.#finish(this.#writer, this.#rows, this.#preview ?? '[]')
  }
}

// The two readers below trust their text: only this room writes it, and migrations guard its version.
function readRef(text: string): ValueRef {
  return JSON.parse(text.slice(1)) as ValueRef
}

function readArray(line: string): unknown[] {
  return decodeValue(line) as unknown[]
}
