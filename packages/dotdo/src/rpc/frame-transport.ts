import type { RpcTransportWithCustomEncoding } from 'capnweb'
import type { Frame, StreamsOfFrames } from './frames.ts'
import { ownBytes } from './own-bytes.ts'
import type { LinkLimits } from './limits.ts'
import { laneFrames, StreamLanes, type StreamLanePorts } from './stream-lanes.ts'

/** What a transport needs of its surroundings, for streams. */
export type TransportPorts = Pick<StreamLanePorts, 'bytePipe' | 'timer'>

/**
 * One end of a capnweb session whose frames somebody else carries.
 *
 * Streams leave the frames here and travel beside them (stream-lanes.ts).
 *
 * Owns the frames that wait in either direction. Invariants: (1) frames are delivered to the session in the order of `deliver`; (2) after
 * `fail`, the session sees the error once and nothing more is queued.
 */
export class FrameTransport implements RpcTransportWithCustomEncoding {
  readonly encodingLevel = 'structuredClonable'
  #outgoing: Frame[] = []
  #incoming: Frame[] = []
  #current: Frame | undefined
  #reader: PromiseWithResolvers<unknown> | undefined
  #failure: { error: unknown } | undefined
  #idle: PromiseWithResolvers<void> | undefined
  #onSend: (frame: Frame) => void
  /** Buffers of the user's that frames refer to which wait. */
  #lent = new Set<ArrayBufferLike>()
  #lends = false
  /** There from the first stream on: most sessions have none. */
  #lanes: StreamLanes | undefined
  #makeLanes: () => StreamLanes
  /** Calls of either end while there were no lanes. */
  #calls = { own: 0, peer: 0 }

  /** @param onSend told of every frame that waits to be carried, after it was queued */
  constructor(onSend: (frame: Frame) => void, ports: TransportPorts, limits: LinkLimits) {
    this.#onSend = onSend
    this.#makeLanes = () =>
      new StreamLanes(
        {
          bytePipe: () => ports.bytePipe(),
          timer: (delayMs, then) => ports.timer(delayMs, then),
          limits,
          toWire: (frame) => this.say(frame),
          toSession: (frame) => this.#hand(frame),
        },
        this.#calls,
      )
  }

  /** Called by the session. */
  send(message: unknown): number | void {
    const frame = message as Frame
    const [kind] = frame
    // A session that aborts reads no more.
    if (kind === 'abort') this.#becomeIdle()
    if (this.#lanes || kind === 'stream' || kind === 'pipe') return (this.#lanes ??= this.#makeLanes()).fromSession(frame)
    if (kind === 'push') this.#calls.own++
    this.say(frame)
  }

  /** Queues a frame to be carried, as the wire has it. */
  say(frame: Frame): void {
    this.#outgoing.push(ownBytes(frame, this.#lends ? this.#lent : undefined))
    this.#onSend(frame)
  }

  /**
   * Makes a call whose bulk need not be copied: what of it waits then has to be taken before the user's code goes on.
   * @param call says its frames while it runs
   */
  lending<T>(call: () => T): T {
    const before = this.#lends
    this.#lends = true
    try {
      return call()
    } finally {
      this.#lends = before
    }
  }

  /** Whether frames that wait refer to bytes of the user's. */
  get hasLent(): boolean {
    return this.#lent.size > 0
  }

  /** What waits to be carried. */
  get queued(): readonly Frame[] {
    return this.#outgoing
  }

  /** Says otherwise what was queued last. */
  amend(change: (frame: Frame) => Frame): void {
    const frame = this.#outgoing.pop()
    if (frame) this.#outgoing.push(change(frame))
  }

  /** Called by the session. */
  receive(): Promise<unknown> {
    // capnweb has taken in what it read last, and its loop refers to it until it reads more: bytes of a call would be kept as long as the session.
    if (this.#current) this.#current.length = 0
    this.#current = undefined
    if (this.#incoming.length > 0) return Promise.resolve((this.#current = this.#incoming.shift()))
    if (this.#failure) return Promise.reject(this.#failure.error)
    this.#reader = Promise.withResolvers()
    this.#becomeIdle()
    return this.#reader.promise
  }

  /** The frame that the session takes in now. */
  get current(): Frame | undefined {
    return this.#current
  }

  /** Frames that are waiting to be carried. */
  get waiting(): number {
    return this.#outgoing.length
  }

  /** Streams that are under way: while there are any, both ends keep the session and the caller keeps a poll at the receiver. */
  get openStreams(): number {
    return this.#lanes?.open ?? 0
  }

  /** The native streams to carry along with frames that were taken; each is given once. */
  streamsOf(frames: Frame[]): { streams: StreamsOfFrames } | undefined {
    const streams = this.#lanes?.streamsOf(frames)
    return streams && { streams }
  }

  /** Takes the frames that are waiting to be carried. */
  take(): Frame[] {
    const frames = this.#outgoing
    this.#outgoing = []
    if (this.#lent.size > 0) this.#lent.clear()
    return frames
  }

  /** Resolves when the session has taken in every frame that was delivered, or has ended. Calls that these made may still run. */
  idle(): Promise<void> {
    if (this.#failure || (this.#reader && this.#incoming.length === 0)) return Promise.resolve()
    this.#idle ??= Promise.withResolvers()
    return this.#idle.promise
  }

  /** Hands frames of the other end to the session, and the native streams that came with them. */
  deliver(frames: readonly Frame[], streams?: StreamsOfFrames): void {
    for (const [i, frame] of frames.entries()) {
      const [kind] = frame
      if (this.#lanes || laneFrames.has(kind)) return (this.#lanes ??= this.#makeLanes()).fromWire(frames.slice(i), streams)
      if (kind === 'push' || kind === 'stream' || kind === 'pipe') this.#calls.peer++
      this.#hand(frame)
    }
  }

  #hand(frame: Frame): void {
    if (this.#reader) {
      this.#current = frame
      this.#reader.resolve(frame)
      this.#reader = undefined
    } else {
      this.#incoming.push(frame)
    }
  }

  /** Ends the session with an error, which every call that waits for an answer gets. */
  fail(error: unknown): void {
    // What reads a stream is told before the session goes, which would tell it less.
    if (!this.#failure) this.#lanes?.fail(error)
    this.#failure ??= { error }
    this.#outgoing = []
    if (this.#lent.size > 0) this.#lent.clear()
    this.#reader?.reject(error)
    this.#reader = undefined
    this.#becomeIdle()
  }

  #becomeIdle(): void {
    this.#idle?.resolve()
    this.#idle = undefined
  }
}
