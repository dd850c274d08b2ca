/**
 * The receiving end of the session link.
 *
 * Owns the sessions that callers have open with one object. Invariants:
 * 1. Messages of a session take effect in the order of their `seq`, whatever order they arrive in.
 * 2. A reply leaves as soon as there is anything to say, and never waits for a slower sibling in the same message.
 * 3. At most one exchange of a session hangs; a newer message releases the older one with what there is.
 * 4. A session to which nothing can refer is dropped when its caller says so, or after a moment of grace, because a message of the caller may
 *    be on its way; one that is retained is dropped when idle.
 */
import { RpcSession } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { errorForWire, linkLost, overLimit } from './errors.ts'
import { FrameTransport } from './frame-transport.ts'
import { linkVersion, type Frame, type LinkMessage, type LinkReply } from './frames.ts'
import { defaultLinkLimits, type LinkLimits } from './limits.ts'

/** What the receiving end needs of its surroundings. */
export interface LinkServerPorts {
  /** Runs `then` when everything that is ready has run: where one batch of answers ends. */
  endOfTurn(then: () => void): void
  /** Runs `then` after `delayMs`; the result cancels it. */
  timer(delayMs: number, then: () => void): () => void
}

/** The receiving end of all links to one object; see the head of this file for what it owns. */
export class LinkServer {
  #sessions = new Map<string, ServerSession>()
  #main: () => unknown
  #ports: LinkServerPorts
  #limits: LinkLimits
  #sweep: (() => void) | undefined

  /** @param main makes the capability that a new session starts from */
  constructor(main: () => unknown, ports: LinkServerPorts, limits: Partial<LinkLimits> = {}) {
    this.#main = main
    this.#ports = ports
    this.#limits = { ...defaultLinkLimits, ...limits }
  }

  /** Sessions that are open: what a test for leaks looks at. */
  get openSessions(): number {
    return this.#sessions.size
  }

  /**
   * Takes one message and answers with what its session has to say.
   * @throws `LINK_VERSION`, `LINK_LOST` (the message belongs to a session that is not here any more), `LINK_LIMIT`
   */
  async accept(message: LinkMessage): Promise<LinkReply> {
    if (message?.version !== linkVersion || !Array.isArray(message.frames) || typeof message.session !== 'string') {
      throw new DotdoError(
        'LINK_VERSION',
        `This object speaks link version ${linkVersion}, the caller ${String(message?.version)}. Deploy both Workers with the same release of dotdo.`,
        { data: { version: message?.version } },
      )
    }
    if (message.frames.length > this.#limits.framesPerMessage)
      throw overLimit('framesPerMessage', message.frames.length, this.#limits.framesPerMessage)
    for (const ended of message.ended ?? []) this.#drop(ended)
    let session = this.#sessions.get(message.session)
    if (!session) {
      if (message.seq !== 0) throw linkLost('the object was restarted, or the session was idle for too long')
      session = new ServerSession(this.#main(), this.#ports, this.#limits)
      this.#sessions.set(message.session, session)
    }
    try {
      return await session.exchange(message)
    } finally {
      this.#scheduleSweep()
    }
  }

  #drop(id: string): void {
    this.#sessions.get(id)?.close()
    this.#sessions.delete(id)
  }

  /** Drops sessions that nobody uses any more, so that an object with no live conversation can be evicted. */
  #scheduleSweep(): void {
    if (this.#sweep || this.#sessions.size === 0) return
    const { graceMs, idleMs } = this.#limits
    this.#sweep = this.#ports.timer(graceMs, () => {
      this.#sweep = undefined
      for (const [id, session] of this.#sessions) {
        session.idleSweeps++
        // One sweep more than the time: the first may come right after the traffic.
        if (session.idleSweeps > (session.isRetained ? idleMs / graceMs : 1)) this.#drop(id)
      }
      this.#scheduleSweep()
    })
  }
}

class ServerSession {
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
