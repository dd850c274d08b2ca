/**
 * The reading end of a lane: what comes out of a native stream, fed to the session as writes to one stream of its own.
 *
 * Owns the native stream's reader. Invariants:
 * 1. A chunk is read when the one before was taken by the session's stream: that is the backpressure. Only when a frame waits for what stands
 *    before it in the stream, it is read up to there at once.
 * 2. The end is told once, by `ended`: after everything was written and closed, or with the failure that both ends get.
 */
import { linkLost } from './errors.ts'
import { ExactReader } from './byte-stream.ts'
import { decodeBody, recordHead, recordKinds, type RecordKind } from './chunk-codec.ts'

/** What a lane's reader says to its own session and to the far end. */
export interface LaneReaderPorts {
  /** Calls the session's stream. Resolves with nothing when that is done, or with the failure as an expression. Never rejects while the session lives. */
  feed(method: 'write' | 'close' | 'abort', argument?: unknown): Promise<{ failure: unknown } | undefined>
  /** The next chunk that comes in a frame of the session. `fed` is called right after it was fed, and lets the frames behind it go on. */
  nextChunk(): Promise<{ chunk: unknown; fed(): void }>
  /** An error as the session tells it. */
  describe(error: unknown): unknown
  /** Everything is done, or failed. */
  ended(failure?: unknown): void
  mostBytes: number
  /** Runs `then` when the session's stream took nothing for so long. The result cancels it. */
  stalled(then: () => void): () => void
}

const kindNames = Object.keys(recordKinds) as RecordKind[]

/** The reading end; see the head of this file for what it owns. */
export class LaneReader {
  #ports: LaneReaderPorts
  #reader: ExactReader
  #over = false
  #unanswered: Promise<{ failure: unknown } | undefined>[] = []
  #hurry = Promise.withResolvers<undefined>()

  constructor(readable: ReadableStream<Uint8Array>, ports: LaneReaderPorts) {
    this.#ports = ports
    this.#reader = new ExactReader(readable)
    this.#run().then(
      (failure) => this.#end(failure),
      (error: unknown) => this.fail(error),
    )
  }

  /** A frame of the session waits until the stream was read up to its place. */
  hurry(): void {
    this.#hurry.resolve(undefined)
  }

  /** Ends the stream with an error at both ends. */
  fail(error: unknown): void {
    if (this.#over) return
    const reason = this.#ports.describe(error)
    void this.#ports.feed('abort', structuredClone(reason))
    this.#end({ failure: reason })
  }

  #end(failure: { failure: unknown } | undefined): void {
    if (this.#over) return
    this.#over = true
    if (failure) this.#reader.cancel(undefined)
    this.#ports.ended(failure?.failure)
  }

  /** Reads until the end. Gives the failure of the session's own end, if that is what ended it. */
  async #run(): Promise<{ failure: unknown } | undefined> {
    for (;;) {
      const head = await this.#reader.few(recordHead)
      if (!head) throw cutOff()
      const kind = kindNames[head[0]!]
      const length = new DataView(head.buffer, head.byteOffset).getUint32(1, true)
      if (kind === undefined || length > this.#ports.mostBytes + 4)
        throw linkLost(`a stream brought a record of the kind ${head[0]} with ${length} bytes`)
      const failure = await this.#take(kind, length)
      if (failure || this.#over) return failure
      if (kind === 'close' || kind === 'abort' || kind === 'drop') return undefined
    }
  }

  async #take(kind: RecordKind, length: number): Promise<{ failure: unknown } | undefined> {
    if (kind === 'close') return this.#ports.feed('close')
    if (kind === 'drop') return undefined
    if (kind === 'next') {
      const next = await this.#ports.nextChunk()
      this.#hurry = Promise.withResolvers()
      return this.#write(next.chunk, () => next.fed())
    }
    const body = length === 0 ? new Uint8Array() : await this.#reader.own(length)
    if (!body) throw cutOff()
    const value = decodeBody(kind, body)
    if (kind !== 'abort') return this.#write(value)
    await this.#ports.feed('abort', value)
    return undefined
  }

  async #write(chunk: unknown, fed?: () => void): Promise<{ failure: unknown } | undefined> {
    this.#unanswered.push(this.#ports.feed('write', chunk))
    fed?.()
    const cancel = this.#ports.stalled(() => this.fail(linkLost('nobody has read the stream for too long')))
    const answers = await Promise.race([Promise.all(this.#unanswered), this.#hurry.promise])
    cancel()
    if (!answers) return undefined
    this.#unanswered = []
    return answers.find((answer) => answer !== undefined)
  }
}

function cutOff(): Error {
  return linkLost('a stream broke off before its end')
}
