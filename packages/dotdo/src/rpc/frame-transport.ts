import type { RpcTransportWithCustomEncoding } from 'capnweb'
import type { Frame } from './frames.ts'
import { ownBytes } from './own-bytes.ts'

/**
 * One end of a capnweb session whose frames somebody else carries.
 *
 * Owns the frames that wait in either direction. Invariants: (1) frames are delivered to the session in the order of `deliver`; (2) after
 * `fail`, the session sees the error once and nothing more is queued.
 */
export class FrameTransport implements RpcTransportWithCustomEncoding {
  readonly encodingLevel = 'structuredClonable'
  #outgoing: Frame[] = []
  #incoming: Frame[] = []
  #reader: PromiseWithResolvers<unknown> | undefined
  #failure: { error: unknown } | undefined
  #idle: PromiseWithResolvers<void> | undefined
  #onSend: (frame: Frame) => void

  /** @param onSend told of every frame that the session wants to send, after it was queued */
  constructor(onSend: (frame: Frame) => void) {
    this.#onSend = onSend
  }

  /** Called by the session. */
  send(message: unknown): void {
    const frame = ownBytes(message as Frame)
    this.#outgoing.push(frame)
    // A session that aborts reads no more.
    if (frame[0] === 'abort') this.#becomeIdle()
    this.#onSend(frame)
  }

  /** Called by the session. */
  receive(): Promise<unknown> {
    if (this.#incoming.length > 0) return Promise.resolve(this.#incoming.shift())
    if (this.#failure) return Promise.reject(this.#failure.error)
    this.#reader = Promise.withResolvers()
    this.#becomeIdle()
    return this.#reader.promise
  }

  /** Frames that are waiting to be carried. */
  get waiting(): number {
    return this.#outgoing.length
  }

  /** Takes the frames that are waiting to be carried. */
  take(): Frame[] {
    const frames = this.#outgoing
    this.#outgoing = []
    return frames
  }

  /** Resolves when the session has taken in every frame that was delivered, or has ended. Calls that these made may still run. */
  idle(): Promise<void> {
    if (this.#failure || (this.#reader && this.#incoming.length === 0)) return Promise.resolve()
    this.#idle ??= Promise.withResolvers()
    return this.#idle.promise
  }

  /** Hands frames of the other end to the session. */
  deliver(frames: Frame[]): void {
    for (const frame of frames) {
      if (this.#reader) {
        this.#reader.resolve(frame)
        this.#reader = undefined
      } else {
        this.#incoming.push(frame)
      }
    }
  }

  /** Ends the session with an error, which every call that waits for an answer gets. */
  fail(error: unknown): void {
    this.#failure ??= { error }
    this.#outgoing = []
    this.#reader?.reject(error)
    this.#reader = undefined
    this.#becomeIdle()
  }

  #becomeIdle(): void {
    this.#idle?.resolve()
    this.#idle = undefined
  }
}
