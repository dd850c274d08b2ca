/**
 * One capnweb session at the receiving end of a link. Invariants 1 to 3 of `link-server.ts` are kept here.
 */
import { RpcSession } from 'capnweb'
import { errorForWire, linkLost } from './errors.ts'
import { linkEnded, saidToNobody } from './session-end.ts'
import { FrameGuard } from './frame-guard.ts'
import { FrameTransport } from './frame-transport.ts'
import type { Frame, LinkMessage, LinkReply } from './frames.ts'
import type { LinkLimits } from './limits.ts'
import { Lines, marked, Marking } from './lines.ts'
import { frameworkPrefix, ofUsers, orderedMethod, type Conversation } from './conversation.ts'
import type { LinkServerPorts } from './link-server.ts'
import { exportOf, insideOf, passOn } from './passing-on.ts'
import type { OrderGates } from './order.ts'
import type { Origin } from './origin.ts'
import { crowd } from './own-bytes.ts'
import { step, stepsToDrain } from './steps.ts'
import { Shortcuts } from './shortcuts.ts'
import { frameInvalid } from './value-guard.ts'

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
  #guard: FrameGuard
  #shortcuts: Shortcuts
  /** Exports that the caller does not need, because it was told how to reach what they are without them. */
  #spared = new Set<number>()
  /** Counts up with each sweep: the clock that overdue answers are told by, in milliseconds. */
  #ageMs = 0
  #duplex = false
  #closed = false
  #records: Origin['records']
  #refused: { error: unknown } | undefined
  /** Told of the end, where somebody has asked to hear of it. */
  #gone: PromiseWithResolvers<never> | undefined
  #targets = new Map<string, unknown>()
  #gate: string | undefined
  #lines = new Lines({
    exported: (id) => exportOf(this.#session, id),
    deliver: (frames) => this.#transport.deliver(frames),
    expect: (order) => void this.#end.catch(this.#gates.expect(order)),
  })
  #marking: Marking
  #gates: OrderGates

  /** @param caller who opened the session, as errors of limits name it */
  constructor(main: (conversation: Conversation) => object, origin: Origin, ports: LinkServerPorts, limits: LinkLimits, gates: OrderGates) {
    this.#gates = gates
    this.#ports = ports
    this.#records = origin.records
    this.#limits = limits
    this.#guard = new FrameGuard({ limits, meter: ports.mapMeter, caller: origin.caller ?? 'a Worker' })
    const onSend = (frame: Frame) => {
      this.#guard.sent(frame)
      this.#lines.said(frame)
      if (frame[0] === 'abort' && !this.#closed) this.#failure ??= { error: linkLost('a frame could not be understood') }
      this.#hanging?.()
    }
    this.#transport = new FrameTransport(onSend, ports, limits)
    this.#session = new RpcSession(
      this.#transport,
      main({
        origin,
        gone: () => this.#end,
        gate: () => this.#gate,
        lines: this.#lines,
        target: (ticket) => this.#target(ticket),
      }),
      {
        onSendError: (error) => (this.#closed ? saidToNobody : errorForWire(error)),
      },
    )
    this.#marking = new Marking(insideOf(this.#session), this.#transport)
    this.#lines.watch(insideOf(this.#session))
    passOn(this.#session)
    this.#shortcuts = new Shortcuts(this.#session)
  }

  /**
   * Resolves when it is this message's turn; `undefined` where it is now: whatever arrives next must not come before it.
   * @throws `LINK_LOST` for one that was delivered twice
   */
  turnOf(message: LinkMessage): Promise<void> | undefined {
    this.idleSweeps = 0
    if (message.seq < this.#expected) throw linkLost('this message was delivered twice')
    if (message.seq !== this.#expected) return this.#waitForTurn(message)
    this.#takeTurn()
    return undefined
  }

  async #waitForTurn(message: LinkMessage): Promise<void> {
    while (message.seq !== this.#expected) {
      if (this.#closed) throw linkLost('it was closed')
      await new Promise<void>((resolve) => this.#early.set(message.seq, resolve))
    }
    this.#takeTurn()
  }

  #takeTurn(): void {
    this.#expected++
    const next = this.#early.get(this.#expected)
    this.#early.delete(this.#expected)
    next?.()
  }

  /** Takes in what a message says, in its turn. Resolves when its calls have begun; never rejects. */
  take(message: LinkMessage): Promise<void> {
    this.#hanging?.()
    if (message.duplex) this.#duplex = true
    for (const [kind, id] of message.frames) if (kind === 'release') this.#spared.delete(id as number)
    for (const ticket in message.targets) this.#targets.set(ticket, message.targets[ticket])
    const first = this.#guard.nextCall
    try {
      this.#announced(message)
      this.#transport.deliver(this.#lines.placed(this.#looked(message.frames), marked(message)), message.streams)
    } catch (error) {
      this.#refused = { error }
      return Promise.resolve()
    }
    const taken = this.#transport.idle()
    return this.#early.size > 0 || othersRun(message.frames, first) ? taken.finally(crowd()) : taken
  }

  /** Rejects when the session is over. */
  get #end(): Promise<never> {
    if (!this.#gone) {
      this.#gone = Promise.withResolvers()
      // It may end when nobody waits any more.
      this.#gone.promise.catch(() => {})
      if (this.#closed) this.#gone.reject(linkEnded('its caller is gone'))
    }
    return this.#gone.promise
  }

  /** Takes up what a message says of the order of its calls. @throws `FRAME_INVALID` */
  #announced({ order }: LinkMessage): void {
    if (!order) return
    const isOne = (call: unknown) => Array.isArray(call) && Number.isSafeInteger(call[0]) && Array.isArray(call[1])
    if (typeof order.gate !== 'string' || !Array.isArray(order.calls) || !order.calls.every(isOne))
      throw frameInvalid('its order names no calls', order)
    // Calls that wait go by the gate that they came with.
    this.#gate ??= order.gate
    this.#end.catch(this.#gates.expect(order))
  }

  /**
   * What there is to say to a message that was taken in.
   * @param sparesTold whether the caller needs no export that is another object, because it has made no call on it yet
   * @throws `LINK_LIMIT`, `LINK_LOST`
   */
  async reply(message: LinkMessage, mayWait: boolean, sparesTold = false): Promise<LinkReply> {
    if (this.#refused) throw this.#refused.error
    await this.#drainOrTurn()
    // A duplex caller has more to say before these calls can end, so its first message is never held back.
    const maySayMore = this.#draining || this.#transport.openStreams > 0 || (this.#duplex && message.frames.length === 0)
    const hangs = maySayMore && this.#transport.waiting === 0 && !message.duplex && mayWait
    if (hangs) {
      await this.#hang()
      await this.#drainOrTurn()
    }
    const frames = this.#transport.take()
    this.idleSweeps = 0
    if (this.#failure && frames.length === 0) throw this.#failure.error
    const records = this.#records?.splice(0)
    const told = this.#shortcuts.take()
    const marks = this.#marking.of(frames)
    // Nothing was called on these before they were known, so nothing goes the long way.
    if (sparesTold) for (const { exports } of told?.objects ?? []) for (const id of exports) this.#spared.add(id)
    return {
      seq: this.#replies++,
      ...this.#transport.streamsOf(frames),
      pending: this.#draining,
      open: this.isRetained,
      ...(records && { records }),
      ...told,
      ...(marks && { marks }),
      frames,
    }
  }

  /** A sweep's time has passed. Answers that are overdue become errors. */
  sweep(afterMs: number): void {
    this.idleSweeps++
    this.#ageMs += afterMs
    for (const frame of this.#guard.overdue(this.#ageMs)) this.#transport.say(frame)
  }

  /** The frames that capnweb may see. What is answered without it leaves with the reply. @throws `LINK_LIMIT`, `FRAME_INVALID`: the session is over */
  #looked(frames: Frame[]): Frame[] {
    try {
      const looked = this.#guard.look(frames, this.#ageMs)
      for (const answer of looked.answers) this.#transport.say(answer)
      if (looked.answers.length > 0) this.#refusedIn(frames, new Set(looked.frames))
      return looked.frames
    } catch (error) {
      this.#failure ??= { error }
      this.close()
      throw error
    }
  }

  /** Calls that were refused will not be made: nobody waits for them. */
  #refusedIn(frames: readonly Frame[], passed: ReadonlySet<Frame>): void {
    for (const frame of frames) {
      if (passed.has(frame) || frame[0] !== 'push' || !Array.isArray(frame[1])) continue
      const [, , path, args] = frame[1] as [unknown, unknown, unknown?, unknown?]
      if (Array.isArray(path) && path[0] === orderedMethod && Array.isArray(args)) this.#gates.passed(this.#gate, args[0] as number)
    }
  }

  close(): void {
    this.#closed = true
    this.#gone?.reject(linkEnded('its caller is gone'))
    this.#hanging?.()
    for (const wake of this.#early.values()) wake()
    const error = linkEnded('it was closed')
    this.#failure ??= { error }
    this.#transport.fail(error)
  }

  #target(ticket: string): unknown {
    const address = this.#targets.get(ticket)
    this.#targets.delete(ticket)
    return address
  }

  /**
   * Resolves when all calls have ended, or else when everything that is ready has run. The first is what lets an object answer at once while it
   * is busy: a turn of its event loop may then be seconds away.
   */
  async #drainOrTurn(): Promise<void> {
    this.#watchDrain()
    // Calls that wait for nothing have ended after some steps of promises: a turn of the event loop costs as much as many of them.
    for (let i = 0; i < stepsToDrain && this.#draining; i++) await step
    if (this.#draining) await Promise.race([this.#drained, new Promise<void>((resolve) => this.#ports.endOfTurn(resolve))])
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
    if (this.#draining || this.#duplex || this.#transport.openStreams > 0) return true
    if (this.#guard.hasUnpulled) return true
    // Exports beyond the main one and the callers' own calls are capabilities that results carried.
    return this.#session.getStats().exports > 1 + this.#guard.calls + this.#spared.size
  }
}

/**
 * Whether other calls may run before what a message's calls give is looked at: there are several, or the one is asked for later. The framework's own, which
 * may stand behind it, take what it gives at once.
 * @param next the number of the message's first call
 */
function othersRun(frames: readonly Frame[], next: number): boolean {
  let asked: number | undefined
  let isTaken = false
  for (const frame of frames) {
    const [kind, subject] = frame
    if (isUsersCall(frame)) {
      if (asked !== undefined) return true
      asked = next
    } else if (asked !== undefined && (kind === 'push' || (kind === 'pull' && subject === asked))) isTaken = true
    if (kind === 'push' || kind === 'stream' || kind === 'pipe') next++
  }
  return asked !== undefined && !isTaken
}

/** Whether a frame makes a call that may run code of the user's. What the framework does by itself writes to nothing. */
function isUsersCall([kind, call]: Frame): boolean {
  if (kind !== 'push') return false
  const [, , path] = (Array.isArray(call) ? call : []) as [unknown?, unknown?, unknown?]
  const name: unknown = Array.isArray(path) ? path[0] : undefined
  return typeof name !== 'string' || !name.startsWith(frameworkPrefix) || name === orderedMethod || ofUsers.has(name)
}
