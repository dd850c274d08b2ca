/**
 * The writing end of a lane for a stream of bytes: read in large pieces and written as they are, past the session.
 *
 * A stream of bytes has no chunks of its own to keep, so there are no records: the native stream's end is the end, and why it failed is told by a
 * frame (`lane-fail`), because a native stream says only that it did. Owns the reader of the user's stream and the native stream's writer.
 * Invariants:
 * 1. At most one piece is under way: the next is read when it was taken.
 * 2. The user's stream is let go with its last byte, or with the reason for which nobody reads it.
 */
import { PieceReader } from './byte-stream.ts'
import { linkLost, thrown } from './errors.ts'

/** What a lane of bytes says to the far end. */
export interface ByteLanePorts {
  /** Tells the far end why nothing more comes. */
  fail(reason: unknown): void
  /** An error as the session tells it. */
  describe(error: unknown): unknown
}

/** See the head of this file for what it owns. */
export class ByteLane {
  /** Resolves when the far end is through, or the session is. */
  readonly done: Promise<void>
  #ports: ByteLanePorts
  #pieces: PieceReader
  #writer: WritableStreamDefaultWriter<Uint8Array>
  #resolve: () => void
  #over = false

  /** @throws `TypeError` for a stream that is none of bytes, which is left as it is */
  constructor(source: ReadableStream<Uint8Array>, writable: () => WritableStream<Uint8Array>, ports: ByteLanePorts) {
    this.#ports = ports
    this.#pieces = new PieceReader(source)
    this.#writer = writable().getWriter()
    this.#writer.closed.catch(noop)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.done = promise
    this.#resolve = resolve
    void this.#run()
  }

  /** The far end is through: with everything, or for a reason, given as an expression. */
  ended(failure?: unknown): void {
    if (this.#over) return
    this.#over = true
    if (failure !== undefined) {
      this.#pieces.cancel(thrown(failure))
      this.#writer.abort().catch(noop)
    }
    this.#resolve()
  }

  /** The session is over: so is the stream. */
  break(reason: unknown): void {
    if (this.#over) return
    this.#over = true
    this.#pieces.cancel(reason)
    this.#writer.abort(reason).catch(noop)
    this.#resolve()
  }

  async #run(): Promise<void> {
    let reason: unknown
    try {
      for (let piece = await this.#pieces.next(); piece; piece = await this.#pieces.next()) {
        if (!(await this.#taken(piece))) return
      }
      await this.#writer.close().catch(noop)
      return
    } catch (error) {
      reason = error
    }
    if (this.#over) return
    this.#ports.fail(this.#ports.describe(reason))
    this.#writer.abort(reason).catch(noop)
  }

  /** Whether a piece was taken. If not, the far end says why by its last word; if it does not know either, it waits for ours. */
  async #taken(piece: Uint8Array): Promise<boolean> {
    try {
      await this.#writer.write(piece)
      return true
    } catch {
      if (!this.#over) this.#ports.fail(this.#ports.describe(linkLost('a stream broke off before its end')))
      return false
    }
  }
}

function noop(): void {}
