/**
 * One capnweb session at the receiving end of a link. Invariants 1 to 3 of `link-server.ts` are kept here.
 */
import { RpcSession } from 'capnweb'
import { errorForWire, linkLost, overLimit } from './errors.ts'
import { FrameTransport } from './frame-transport.ts'
import type { Frame, LinkMessage, LinkReply } from './frames.ts'
import type { LinkLimits } from './limits.ts'
import type { LinkServerPorts } from './link-server.ts'

/** The receiving end of one session. */
export class ServerSession {
  /** Sweeps since the last traffic. */
  idleSweeps = 0
  #transport: FrameTransport
  #session: RpcSession
  #ports: LinkServerPorts
  #limits: LinkLimits
  #expected = 0
  #early = new Map<number, () => void>()
  #replies = 0
  #hanging: (() => void) | undefined
  #draining = false
  #drained: Promise<void> = Promise.resolve()
  #failure: { error: unknown } | undefined
  /** Calls that were pushed and not released: whether their answer was asked for, and how long the chain is that they end. */
  #calls = new Map<number, { pulled: boolean; depth: number }>()
  #nextCall = 1
  #duplex = false
  #closed = false

  constructor(main: unknown, ports: LinkServerPorts, limits: LinkLimits) {
    this.#ports = ports
    this.#limits = limits
    this.#transport = new FrameTransport((frame) => {
      if (frame[0] === 'abort') this.#failure ??= { error: linkLost('a frame could not be understood') }
      this.#hanging?.()
    })
    this.#session = new RpcSession(this.#transport, main, { onSendError: errorForWire })
  }

  async exchange(message: LinkMessage): Promise<LinkReply> {
    this.idleSweeps = 0
    if (message.seq < this.#expected) throw linkLost('this message was delivered twice')
    while (message.seq !== this.#expected) {
      if (this.#closed) throw linkLost('it was closed')
      await new Promise<void>((resolve) => this.#early.set(message.seq, resolve))
    }
    this.#expected++
    this.#hanging?.()
    if (message.duplex) this.#duplex = true
    this.#note(message.frames)
    if (this.#calls.size > this.#limits.callsPerSession) throw overLimit('callsPerSession', this.#calls.size, this.#limits.callsPerSession)
    this.#transport.deliver(message.frames)
    const next = this.#early.get(this.#expected)
    this.#early.delete(this.#expected)
    next?.()

    await this.#transport.idle()
    await this.#drainOrTurn()
    // A duplex caller has more to say before these calls can end, so its first message is never held back.
    const hangs = this.#draining && this.#transport.waiting === 0 && !message.duplex
    if (hangs) {
      await this.#hang()
      await this.#drainOrTurn()
    }
    const frames = this.#transport.take()
    this.idleSweeps = 0
    if (this.#failure && frames.length === 0) throw this.#failure.error
    return { seq: this.#replies++, frames, pending: this.#draining, open: this.isRetained }
  }

  close(): void {
    this.#closed = true
    this.#hanging?.()
    for (const wake of this.#early.values()) wake()
    this.#transport.fail(linkLost('it was closed'))
  }

  /**
   * Resolves when all calls have ended, or else when everything that is ready has run. The first is what lets an object answer at once while it
   * is busy: a turn of its event loop may then be seconds away.
   */
  #drainOrTurn(): Promise<void> {
    this.#watchDrain()
    return Promise.race([this.#drained, new Promise<void>((resolve) => this.#ports.endOfTurn(resolve))])
  }

  /** Waits for something to say, for the end of all calls, or for the poll's time to run out. */
  #hang(): Promise<void> {
    // Two messages that arrived together both come here: without this the first would be forgotten, and never answered (invariant 3).
    this.#hanging?.()
    return new Promise((resolve) => {
      const release = () => {
        if (this.#hanging === release) this.#hanging = undefined
        cancel()
        resolve()
      }
      const cancel = this.#ports.timer(this.#limits.pollMs, release)
      this.#hanging = release
    })
  }

  /** Keeps `#draining` true while there are calls whose answers were asked for. capnweb tells one waiter only, so there is one. */
  #watchDrain(): void {
    if (this.#draining) return
    this.#draining = true
    const drained = () => {
      this.#draining = false
      this.#hanging?.()
    }
    // An aborted session has told its reason in an `abort` frame already.
    this.#drained = this.#session.drain().then(drained, drained)
  }

  /** Whether anything can still refer to this session: a running call, an unpulled promise, a capability, a callback. */
  get isRetained(): boolean {
    if (this.#failure) return false
    if (this.#draining || this.#duplex) return true
    for (const { pulled } of this.#calls.values()) if (!pulled) return true
    // Exports beyond the main one and the callers' own calls are capabilities that results carried.
    return this.#session.getStats().exports > 1 + this.#calls.size
  }

  /** Keeps count of the caller's calls, by capnweb's rule that pushes, streams and pipes are numbered as they come. */
  #note(frames: Frame[]): void {
    for (const [kind, subject] of frames) {
      if (kind === 'push') this.#calls.set(this.#nextCall++, { pulled: false, depth: this.#depthOf(subject) })
      else if (kind === 'pipe') this.#calls.set(this.#nextCall++, { pulled: true, depth: 0 })
      else if (kind === 'stream') this.#nextCall++
      else if (kind === 'release') this.#calls.delete(subject as number)
      else if (kind === 'pull') {
        const call = this.#calls.get(subject as number)
        if (call) call.pulled = true
      }
    }
  }

  /** How many calls deep a pushed expression is: one more than the call it starts from. @throws `LINK_LIMIT` */
  #depthOf(expression: unknown): number {
    const parent = Array.isArray(expression) ? this.#calls.get(expression[1] as number) : undefined
    const depth = (parent?.depth ?? 0) + 1
    if (depth > this.#limits.chainDepth) throw overLimit('chainDepth', depth, this.#limits.chainDepth)
    return depth
  }
}
