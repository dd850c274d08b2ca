import { malformed, recordTooLarge } from './malformed.ts'
import type { Position } from './malformed.ts'

/**
 * Turns the bytes of one object into rows, chunk by chunk, whatever the places where the chunks are cut. It is synchronous and opens
 * nothing: give it every chunk in order, then call `end` once. After it threw, it is of no more use.
 *
 * What it holds is the record that is not complete yet, at most {@link ReaderContext.maxRecordBytes} plus one chunk.
 *
 * @throws `SOURCE_MALFORMED` or `SOURCE_TOO_LARGE`, both terminal, with the address and the place.
 */
export interface RowReader {
  /** The rows that are complete with this chunk. The chunk may be reused after the call. */
  push(chunk: Uint8Array): unknown[]
  /** The rows that the end of the data completes. */
  end(): unknown[]
}

/** What every reader is told of the object it reads. */
export interface ReaderContext {
  /** The address as messages name it. */
  address: string
  /** The longest single record that is held, in bytes. */
  maxRecordBytes: number
}

/**
 * The bytes of the records that are not read yet.
 *
 * Owns: one growing buffer. Invariants:
 * 1. `bytes` holds the data from stream position `offset` on, without a byte order mark at the start of the stream.
 * 2. Record ends are ASCII bytes, so a text that is decoded never begins or ends inside a character.
 */
export class RecordBuffer {
  readonly #context: ReaderContext
  // Both modes are strict. The mark is removed here, once: a decoder would remove it at the start of every piece.
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  #store = new Uint8Array(0)
  #length = 0
  #offset = 0
  #markIsSettled = false

  constructor(context: ReaderContext) {
    this.#context = context
  }

  /** The bytes that are held. Valid until the next `append` or `consume`. */
  get bytes(): Uint8Array {
    return this.#store.subarray(0, this.#length)
  }

  get length(): number {
    return this.#length
  }

  /** The position in the stream of the first held byte. */
  get offset(): number {
    return this.#offset
  }

  /** Adds a chunk. `false` while it cannot be told yet whether the stream begins with a byte order mark: read nothing then. */
  append(chunk: Uint8Array): boolean {
    const needed = this.#length + chunk.length
    if (needed > this.#store.length) this.#grow(needed)
    this.#store.set(chunk, this.#length)
    this.#length = needed
    return this.#markIsSettled || this.#settleMark()
  }

  /** Forgets the first `count` bytes. */
  consume(count: number): void {
    this.#store.copyWithin(0, count, this.#length)
    this.#length -= count
    this.#offset += count
  }

  /** The text of the bytes `from` to `to`, or `undefined` where they are not UTF-8. */
  decode(from: number, to: number): string | undefined {
    try {
      return this.#decoder.decode(this.#store.subarray(from, to))
    } catch (cause) {
      // The only thing a strict decoder throws is a TypeError for bad bytes; the caller knows the place and says so.
      if (cause instanceof TypeError) return undefined
      throw cause
    }
  }

  /** Throws `SOURCE_TOO_LARGE` when what is left after all complete records were consumed outgrows the limit. */
  checkLimit(): void {
    if (this.#length > this.#context.maxRecordBytes) {
      throw recordTooLarge(this.#context.address, this.#offset, this.#context.maxRecordBytes)
    }
  }

  /** The error for bytes `from` to `to`, which did not decode. */
  notUtf8(from: number, to: number, place: Omit<Position, 'bytePosition'> = {}): Error {
    const excerpt = new TextDecoder().decode(this.#store.subarray(from, Math.min(to, from + 120)))
    return malformed(this.#context.address, { bytePosition: this.#offset + from, ...place }, 'this is not UTF-8', excerpt)
  }

  #grow(needed: number): void {
    // Doubling keeps the copying linear for a record that spans many chunks.
    const store = new Uint8Array(Math.max(needed, this.#store.length * 2))
    store.set(this.bytes)
    this.#store = store
  }

  #settleMark(): boolean {
    const [first, second, third] = this.bytes
    if (first === 0xef && this.#length < 3) return false
    if (first === 0xef && second === 0xbb && third === 0xbf) this.consume(3)
    this.#markIsSettled = this.#length > 0 || this.#offset > 0
    return true
  }
}

const encoder = new TextEncoder()

/** The length of `text` in UTF-8, in bytes. For messages: it encodes. */
export function utf8Length(text: string): number {
  return encoder.encode(text).length
}
