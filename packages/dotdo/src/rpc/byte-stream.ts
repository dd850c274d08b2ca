/** Native streams of bytes, as lanes use them: where they come from, and how they are read in pieces of a size. */

/** A pipe for bytes: what is written to one end is read at the other. A write is taken when its bytes were read, or a little before. */
export interface BytePipe {
  /** Must be a stream that the link's carrier can take along; reads with a buffer of one's own must work. */
  readable: ReadableStream<Uint8Array>
  writable: WritableStream<Uint8Array>
}

/** A reader with a buffer of one's own. Said here, because the types of the platforms do not agree on `min`, which all of them know. */
interface BufferReader {
  read(
    view: Uint8Array<ArrayBuffer>,
    options: { min: number },
  ): Promise<{ done: false; value: Uint8Array<ArrayBuffer> } | { done: true; value: Uint8Array<ArrayBuffer> | undefined }>
  cancel(reason: unknown): Promise<void>
}

/** How much is asked for when only a few bytes are needed. */
const bufferBytes = 65_536

/**
 * Reads a native stream in pieces of exact sizes. Owns the stream's reader. Invariant: what was read and not asked for yet is `#start` to `#end`
 * of the buffer.
 */
export class ExactReader {
  #reader: BufferReader
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(bufferBytes)
  #start = 0
  #end = 0

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader({ mode: 'byob' }) as unknown as BufferReader
  }

  /** A view of the next few bytes, good until the next read; `undefined` when the stream ends before them. At most 64 KiB. */
  async few(count: number): Promise<Uint8Array | undefined> {
    if (this.#end - this.#start < count && !(await this.#fill(count))) return undefined
    const view = this.#buffer.subarray(this.#start, this.#start + count)
    this.#start += count
    return view
  }

  /** The next bytes, in memory of their own; `undefined` when the stream ends before them. */
  async own(count: number): Promise<Uint8Array | undefined> {
    const here = Math.min(count, this.#end - this.#start)
    let piece = new Uint8Array(count)
    piece.set(this.#buffer.subarray(this.#start, this.#start + here))
    this.#start += here
    if (here === count) return piece
    const missing = count - here
    // A read into one's own buffer takes the buffer away and gives it back in the answer.
    const { done, value } = await this.#reader.read(piece.subarray(here), { min: missing })
    if (done || value.byteLength < missing) return undefined
    piece = new Uint8Array(value.buffer)
    return piece
  }

  /** Lets the stream go: its writer learns that nobody reads any more. */
  cancel(reason: unknown): void {
    // The stream may have failed by itself, and that is all there is to say.
    this.#reader.cancel(reason).catch(() => {})
  }

  /** Reads on until the buffer has `count` bytes. Answers whether it has. */
  async #fill(count: number): Promise<boolean> {
    this.#buffer.copyWithin(0, this.#start, this.#end)
    this.#end -= this.#start
    this.#start = 0
    const missing = count - this.#end
    const have = this.#end
    const { done, value } = await this.#reader.read(this.#buffer.subarray(have), { min: missing })
    if (value) this.#buffer = new Uint8Array(value.buffer)
    if (done) return false
    this.#end = have + value.byteLength
    return value.byteLength >= missing
  }
}

/** What a read asks for at least and at most: pieces as large as they come, and no large buffer for a stream that trickles. */
const leastPiece = 16_384
const mostPiece = 262_144

/**
 * Reads a stream of bytes in pieces as large as there are bytes, in memory of their own. Owns the stream's reader.
 *
 * It relies on workerd, which ends a read whose stream is closed. Where the letter of the standard holds (Node), a source has to answer such a read
 * itself, by `byobRequest.respond(0)`.
 */
export class PieceReader {
  #reader: ReadableStreamBYOBReader
  #size = 65_536

  /** @throws `TypeError` for a stream that is none of bytes, which is left as it is */
  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader({ mode: 'byob' })
  }

  /** The next piece; `undefined` at the end. Rejects as the stream fails. */
  async next(): Promise<Uint8Array | undefined> {
    const { done, value } = await this.#reader.read(new Uint8Array(this.#size))
    if (done) return undefined
    if (value.byteLength === this.#size) this.#size = Math.min(2 * this.#size, mostPiece)
    else if (4 * value.byteLength < this.#size) this.#size = Math.max(this.#size / 2, leastPiece)
    // Whoever keeps a piece keeps its whole buffer.
    return 2 * value.byteLength < value.buffer.byteLength ? value.slice() : value
  }

  /** Lets the stream go: its source learns that nobody reads any more, and why. */
  cancel(reason: unknown): void {
    // The stream may have failed by itself, and that is all there is to say.
    this.#reader.cancel(reason).catch(() => {})
  }
}
