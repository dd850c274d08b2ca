/**
 * The reading end of a lane: what comes out of a native stream, fed to the session as writes to one stream of its own.
 *
 * Owns the native stream's reader. Invariants:
 * 1. A chunk is read when the one before was taken by the session's stream: that is the backpressure. Only when a frame waits for what stands
 *    before it in the stream, it is read up to there at once.
 * 2. The end is told once, by `ended`: after everything was written and closed, or with the failure that both ends get.
 */
import { ExactReader, PieceReader } from './byte-stream.ts'
import { decodeBody, recordHead, recordKinds, type RecordKind } from './chunk-codec.ts'
import { linkLost } from './errors.ts'

/** How an operation of the session's stream ended. */
export type Fed = { failure: unknown } | undefined

/** What a lane's reader says to its own session and to the far end. */
export interface LaneReaderPorts {
  /** Calls the session's stream. `answered` gets nothing when that is done, or the failure as an expression; it is not called when the session ends. */
  feed(method: 'write' | 'close' | 'abort', argument: unknown, answered: (fed: Fed) => void): void
  /** The next chunk that comes in a frame of the session. `fed` is called right after it was fed, and lets the frames behind it go on. */
  nextChunk(): Promise<{ chunk: unknown; fed(): void }>
  /** An error as the session tells it. */
  describe(error: unknown): unknown
  /** Everything is done, or failed. */
  ended(failure?: unknown): void
  /** The largest chunk, in bytes. */
  mostBytes: number
  /** How long the session's stream may take for a chunk. */
  stallMs: number
  timer(delayMs: number, then: () => void): () => void
}

const kindNames = Object.keys(recordKinds) as RecordKind[]

/** The reading end; see the head of this file for what it owns. */
export class LaneReader {
  #ports: LaneReaderPorts
  #cancel: (reason: unknown) => void
  #over = false
  #hurrying = false
  /** Writes that the session's stream has not taken, and those that it has. */
  #unanswered = 0
  #answered = 0
  #failure: Fed
  #wake: (() => void) | undefined
  #told = Promise.withResolvers<unknown>()
  #cancelWatch: () => void = () => {}

  /** @param isBytes whether the stream holds bytes as they are, and no records */
  constructor(readable: ReadableStream<Uint8Array>, isBytes: boolean, ports: LaneReaderPorts) {
    this.#ports = ports
    const reader = isBytes ? new PieceReader(readable) : new ExactReader(readable)
    this.#cancel = (reason) => reader.cancel(reason)
    this.#watch()
    const run = reader instanceof PieceReader ? this.#readBytes(reader) : this.#readRecords(reader)
    run.then(
      (failure) => this.#end(failure),
      (error: unknown) => this.fail(error),
    )
  }

  /** A frame of the session waits until the stream was read up to its place. */
  hurry(): void {
    this.#hurrying = true
    this.#wake?.()
  }

  /** The far end tells why its stream of bytes has failed, as an expression. */
  tell(reason: unknown): void {
    this.#told.resolve(reason)
  }

  /** Ends the stream with an error at both ends. */
  fail(error: unknown): void {
    if (this.#over) return
    const reason = this.#ports.describe(error)
    this.#ports.feed('abort', structuredClone(reason), () => {})
    this.#end({ failure: reason })
  }

  #end(failure: Fed): void {
    if (this.#over) return
    this.#over = true
    this.#cancelWatch()
    if (failure) this.#cancel(undefined)
    this.#ports.ended(failure?.failure)
  }

  /** Reads until the end. Gives the failure of the session's own end, if that is what ended it. */
  async #readRecords(reader: ExactReader): Promise<Fed> {
    for (;;) {
      const head = await reader.few(recordHead)
      if (!head) throw cutOff()
      const kind = kindNames[head[0]!]
      const length = new DataView(head.buffer, head.byteOffset).getUint32(1, true)
      if (kind === undefined || length > this.#ports.mostBytes + 4)
        throw linkLost(`a stream brought a record of the kind ${head[0]} with ${length} bytes`)
      const body = length === 0 ? new Uint8Array() : await reader.own(length)
      if (!body) throw cutOff()
      const failure = await this.#take(kind, body)
      if (failure || this.#over) return failure
      if (kind === 'close' || kind === 'abort' || kind === 'drop') return undefined
    }
  }

  async #take(kind: RecordKind, body: Uint8Array): Promise<Fed> {
    if (kind === 'close') return this.#last('close', undefined)
    if (kind === 'drop') return undefined
    if (kind === 'next') {
      const next = await this.#ports.nextChunk()
      this.#hurrying = false
      return this.#write(next.chunk, () => next.fed())
    }
    const value = decodeBody(kind, body)
    if (kind !== 'abort') return this.#write(value)
    await this.#last('abort', value)
    return undefined
  }

  async #readBytes(reader: PieceReader): Promise<Fed> {
    for (;;) {
      let piece: Uint8Array | undefined
      try {
        piece = await reader.next()
      } catch {
        // A native stream says that it failed, and its writer says why.
        await this.#last('abort', await this.#told.promise)
        return undefined
      }
      if (!piece) return this.#last('close', undefined)
      const failure = await this.#write(['bytes', piece])
      if (failure || this.#over) return failure
    }
  }

  async #write(chunk: unknown, fed?: () => void): Promise<Fed> {
    this.#unanswered++
    this.#ports.feed('write', chunk, (answer) => {
      this.#unanswered--
      this.#answered++
      this.#failure ??= answer
      if (this.#unanswered === 0 || answer) this.#wake?.()
    })
    fed?.()
    if (this.#unanswered > 0 && !this.#hurrying) await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.#failure
  }

  #last(method: 'close' | 'abort', argument: unknown): Promise<Fed> {
    return new Promise((resolve) => this.#ports.feed(method, argument, resolve))
  }

  /** Ends a stream whose reader takes nothing, once or twice the time after it took something. One timer a stream: chunks may be many. */
  #watch(): void {
    const before = this.#answered
    this.#cancelWatch = this.#ports.timer(this.#ports.stallMs, () => {
      if (this.#unanswered > 0 && this.#answered === before) this.fail(linkLost('nobody has read the stream for too long'))
      else if (!this.#over) this.#watch()
    })
  }
}

function cutOff(): Error {
  return linkLost('a stream broke off before its end')
}
