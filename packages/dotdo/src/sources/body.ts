import { malformed } from './malformed.ts'
import { unavailable } from './failures.ts'
import type { FormatHints } from './format.ts'
import type { SourcePorts } from './ports.ts'

/** The longest piece that a reader is given at once: it bounds the rows that one step of the pipeline makes. */
export const CHUNK_BYTES = 64 * 1024

/** One object or HTTP answer, open, before it is read. */
export interface OpenBody {
  hints: FormatHints
  stream: ReadableStream<Uint8Array>
  /** As stored, where it is known. Fewer bytes than this are an error, never a short table. */
  sizeBytes?: number
}

/**
 * Reads one open body to its end, or cancels it.
 *
 * Owns: the stream and its lock. Invariants:
 * 1. `chunks` runs at most once.
 * 2. When `chunks` is left, by its end, an error or a `return`, the stream is either read to its end or cancelled; so it is after `close`.
 * 3. Once the signal is aborted, a pending read ends at once and throws the signal's reason.
 */
export class Body {
  readonly hints: FormatHints
  readonly #sizeBytes: number | undefined
  readonly #reader: BytesReader
  readonly #signal: AbortSignal
  readonly #onAbort = () => void this.close()
  #bytesRead = 0
  #isEnded = false
  #failure: unknown
  /** Called after each read with the stored bytes that are still to come, 0 where the size is unknown. */
  onRemaining: ((remainingBytes: number) => void) | undefined

  constructor(body: OpenBody, signal: AbortSignal) {
    this.hints = body.hints
    this.#sizeBytes = body.sizeBytes
    this.#reader = openReader(body.stream)
    this.#signal = signal
    signal.addEventListener('abort', this.#onAbort, { once: true })
    if (signal.aborted) this.#onAbort()
  }

  /** Stored bytes read so far: compressed ones, where the object is. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  /**
   * The decompressed bytes, in pieces of at most {@link CHUNK_BYTES}. Gzip is told by its first two bytes and not by a name: a server may
   * have decompressed a `.gz` on the way, and a bucket may hold gzip under any key. No text can begin with them.
   *
   * @throws `SOURCE_UNAVAILABLE` (retryable) when the body fails or ends before its size, `SOURCE_MALFORMED` for broken gzip.
   */
  async *chunks(gunzip: SourcePorts['gunzip']): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      const head = await this.#readHead()
      const isGzip = head[0]?.[0] === 0x1f && head[0][1] === 0x8b
      if (isGzip) yield* this.#unzipped(head, gunzip)
      else {
        for (const chunk of head) yield* pieces(chunk)
        for (let chunk = await this.#read(); chunk !== undefined; chunk = await this.#read()) yield* pieces(chunk)
      }
    } finally {
      await this.close()
    }
  }

  /** Cancels what is not read. Safe to call at any time, any number of times. */
  async close(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#onAbort)
    if (this.#isEnded) return
    this.#isEnded = true
    // Nobody wants these bytes any more, so a stream that cannot be cancelled (it failed already) changes nothing.
    await this.#reader.cancel().then(undefined, () => undefined)
  }

  /** The first bytes, at least two where there are so many, joined when they come one by one. */
  async #readHead(): Promise<Uint8Array[]> {
    const first = await this.#readInk()
    if (first === undefined) return []
    if (first.length > 1) return [first]
    const second = await this.#readInk()
    if (second === undefined) return [first]
    const joined = new Uint8Array(1 + second.length)
    joined.set(first)
    joined.set(second, 1)
    return [joined]
  }

  /** The next chunk that has bytes. */
  async #readInk(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = await this.#read()
      if (chunk === undefined || chunk.length > 0) return chunk
    }
  }

  /** The next stored bytes, `undefined` at the end. Every read of the stream goes through here: counting, abort and size are checked once. */
  async #read(): Promise<Uint8Array | undefined> {
    const address = this.hints.address
    this.#signal.throwIfAborted()
    const result = await this.#reader.read().catch((cause: unknown) => {
      this.#isEnded = true
      throw this.#fail(unavailable(address, `the transfer broke after ${this.#bytesRead} bytes`, cause))
    })
    // A read that the abort cut short says `done`, which must not be taken for the end of the data.
    this.#signal.throwIfAborted()
    if (result.done) {
      this.#isEnded = true
      if (this.#sizeBytes !== undefined && this.#bytesRead < this.#sizeBytes) {
        throw this.#fail(unavailable(address, `the transfer ended after ${this.#bytesRead} of ${this.#sizeBytes} bytes`))
      }
      return undefined
    }
    this.#bytesRead += result.value.length
    this.onRemaining?.(Math.max(0, (this.#sizeBytes ?? 0) - this.#bytesRead))
    return result.value
  }

  // Kept, because a decompressor in between may report the failure of its source as one of its own.
  #fail(failure: unknown): unknown {
    this.#failure = failure
    return failure
  }

  /** The decompressed bytes. The decompressor pulls from this body, so what breaks in the transfer comes out of it and is told apart. */
  async *#unzipped(head: Uint8Array[], gunzip: SourcePorts['gunzip']): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = gunzip(this.#replay(head)).getReader()
    let isOpen = true
    try {
      for (;;) {
        const result = await reader.read().catch((cause: unknown) => {
          isOpen = false
          this.#signal.throwIfAborted()
          throw (
            this.#failure ??
            this.#badGzip(`the gzip data is broken or cut off${cause instanceof Error ? ` (${cause.message})` : ''}`, cause)
          )
        })
        this.#signal.throwIfAborted()
        if (result.done) break
        yield* pieces(result.value)
      }
      isOpen = false
      if (!this.#isEnded) throw this.#badGzip('there is more after the end of the gzip data')
    } finally {
      if (isOpen) await reader.cancel().then(undefined, () => undefined)
    }
  }

  #badGzip(problem: string, cause?: unknown): Error {
    return malformed(this.hints.address, { bytePosition: this.#bytesRead }, problem, '', cause)
  }

  /** The whole body as a stream again, from its first byte; each pull is one read. */
  #replay(head: Uint8Array[]): ReadableStream<Uint8Array> {
    const waiting = [...head]
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const chunk = waiting.shift() ?? (await this.#read())
          if (chunk === undefined) controller.close()
          else controller.enqueue(chunk)
        },
        cancel: () => this.close(),
      },
      { highWaterMark: 0 },
    )
  }
}

/** What this room asks of a reader. */
type BytesReader = Pick<ReadableStreamDefaultReader<Uint8Array>, 'cancel'> & {
  read(): Promise<{ done: false; value: Uint8Array } | { done: true; value?: Uint8Array | undefined }>
}

/**
 * A reader that brings its own room, where the stream takes it: streams of the platform give 4 KB a read otherwise, and 64 KB this way,
 * which is a tenth of the time. The room is new for each read, because a chunk may be kept.
 */
function openReader(stream: ReadableStream<Uint8Array>): BytesReader {
  try {
    const reader = stream.getReader({ mode: 'byob' })
    return { read: () => reader.read(new Uint8Array(CHUNK_BYTES)), cancel: (reason) => reader.cancel(reason) }
  } catch (cause) {
    // A stream that is not one of bytes says so with a TypeError; it gives its chunks as they are.
    if (cause instanceof TypeError) return stream.getReader()
    throw cause
  }
}

/** A chunk in views of at most {@link CHUNK_BYTES}: nothing is copied. */
function* pieces(chunk: Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let start = 0; start < chunk.length; start += CHUNK_BYTES) {
    yield chunk.length <= CHUNK_BYTES ? chunk : chunk.subarray(start, start + CHUNK_BYTES)
  }
}
