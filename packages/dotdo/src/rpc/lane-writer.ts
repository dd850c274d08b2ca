/**
 * The writing end of a lane: what a session writes to one far stream, put into a native one.
 *
 * Owns the native stream's writer and the operations that the session waits for. Invariants:
 * 1. Every operation is answered once, in order; or the session ends, which answers all.
 * 2. A chunk is answered when its bytes were taken, or at once while less than {@link aheadBytes} wait: that is the backpressure.
 * 3. The last operation, `close` or `abort`, is answered when the far end has done it, or has failed.
 */
import { abortRecord, chunkRecords, record } from './chunk-codec.ts'

/** How much may wait in the native stream before the next chunk is asked for. It hides the way to the reader for streams of small chunks. */
const aheadBytes = 65_536

/** What a lane's writer says to its own session and to the far end. */
export interface LaneWriterPorts {
  /** Answers an operation of the session: with a failure, as an expression, or without. Each failure is an expression of its own. */
  answer(number: number, failure?: unknown): void
  /** Sends a chunk that refers to the session within the session's own frames. */
  sendChunk(chunk: unknown): void
  /** An error as the session tells it. */
  describe(error: unknown): unknown
  /** The largest chunk. */
  mostBytes: number
}

/** The writing end; see the head of this file for what it owns. */
export class LaneWriter {
  #ports: LaneWriterPorts
  #writer: WritableStreamDefaultWriter<Uint8Array>
  #waiting: number[] = []
  #last: number | undefined
  #untaken = 0
  #over = false
  #broken = false
  /** Why the far end takes no more. */
  #failure: { reason: unknown } | undefined

  constructor(writable: WritableStream<Uint8Array>, ports: LaneWriterPorts) {
    this.#ports = ports
    this.#writer = writable.getWriter()
    // The far end's going is told by its last frame, which has the reason.
    this.#writer.closed.catch(() => {
      this.#broken = true
    })
  }

  /** One operation of the session's end of the stream, by its number. */
  operate(number: number, method: unknown, argument: unknown): void {
    if (this.#failure) return this.#ports.answer(number, structuredClone(this.#failure.reason))
    if (method === 'write') return this.#write(number, argument)
    this.#over = true
    this.#last = number
    this.#put(method === 'close' ? record('close') : abortRecord(argument))
    this.#end()
  }

  /** The session's end was let go. After the last operation, or a failure, that is how it ends; before, the far end has to know. */
  drop(): void {
    if (this.#over || this.#failure) return
    this.#over = true
    this.#put(record('drop'))
    this.#end()
  }

  /** The far end is through: with everything, or with a failure, which every operation that waits gets. */
  ended(failure?: unknown): void {
    if (failure !== undefined) this.#failure = { reason: failure }
    const open = this.#last === undefined ? this.#waiting : [...this.#waiting, this.#last]
    this.#waiting = []
    this.#last = undefined
    for (const number of open) this.#ports.answer(number, failure === undefined ? undefined : structuredClone(failure))
    if (failure !== undefined) this.break(undefined)
  }

  /** Lets the native stream go; whoever reads it finds it cut off. */
  break(reason: unknown): void {
    this.#broken = true
    // It may be closed or broken already: then there is nobody to tell.
    this.#writer.abort(reason).catch(() => {})
  }

  #write(number: number, chunk: unknown): void {
    let parts: Uint8Array[] | undefined
    try {
      parts = chunkRecords(chunk, this.#ports.mostBytes)
    } catch (error) {
      // A chunk that cannot travel ends the stream at both ends.
      const reason = this.#ports.describe(error)
      this.#failure = { reason }
      this.#put(abortRecord(reason))
      this.#end()
      return this.#ports.answer(number, structuredClone(reason))
    }
    if (!parts) {
      this.#ports.sendChunk(chunk)
      parts = record('next')
    }
    this.#waiting.push(number)
    this.#put(parts)
    this.#answerTaken()
  }

  #put(parts: Uint8Array[]): void {
    if (this.#broken) return
    for (const part of parts) {
      const size = part.byteLength
      this.#untaken += size
      this.#writer.write(part).then(
        () => {
          this.#untaken -= size
          this.#answerTaken()
        },
        () => {
          this.#broken = true
        },
      )
    }
  }

  #answerTaken(): void {
    if (this.#broken || this.#untaken > aheadBytes) return
    for (const number of this.#waiting.splice(0)) this.#ports.answer(number)
  }

  #end(): void {
    // Whether the end arrived is told by the far end's last frame.
    this.#writer.close().catch(() => {
      this.#broken = true
    })
  }
}
