/**
 * The receiving end of the session link.
 *
 * Owns the sessions that callers have open with one object. Invariants:
 * 1. Messages of a session take effect in the order of their `seq`, whatever order they arrive in.
 * 2. A reply leaves as soon as there is anything to say, and never waits for a slower sibling in the same message.
 * 3. At most one exchange of a session hangs; a newer message releases the older one with what there is.
 * 4. Calls take effect in the order in which they arrive, with and without a session.
 * 5. A session to which nothing can refer is dropped when its caller says so, or after a moment of grace, because a message of the caller may
 *    be on its way; one that is retained is dropped when idle.
 * 6. There are never more than `sessionsPerObject`.
 */
import { RpcStub } from 'capnweb'
import { DotdoError, type ErrorRecord } from '../base/errors.ts'
import { isThenable } from '../base/thenable.ts'
import { frameworkPrefix, onceMethod, startOf, type Conversation, type FrameworkMethods, type MadeCall } from './conversation.ts'
import type { BytePipe } from './byte-stream.ts'
import { Deliveries } from './deliveries.ts'
import { linkLost } from './errors.ts'
import {
  linkVersion,
  sessionOfCall,
  type DirectCall,
  type Frame,
  type LinkAnswer,
  type LinkCall,
  type LinkMessage,
  type LinkReply,
} from './frames.ts'
import type { Gathering } from './gathering.ts'
import type { MapMeter } from './map-meter.ts'
import { defaultLinkLimits, overLimit, type LinkLimits } from './limits.ts'
import { OrderGates } from './order.ts'
import { receivedOrigin, type Origin } from './origin.ts'
import type { Link } from './link-client.ts'
import { Handoffs } from './handoffs.ts'
import { callMember, isReachable } from './members.ts'
import { makeCall, type Outcome } from './outcome.ts'
import { madeApart, neverMade } from './passing-on.ts'
import { givesItsOwn } from './own-bytes.ts'
import { packAnswer, packPlain, unpackCall } from './packed-call.ts'
import { notPlain } from './plain.ts'
import { applyNow, type Stub } from './ref.ts'
import { ServerSession } from './server-session.ts'

/** What the receiving end needs of its surroundings. */
export interface LinkServerPorts {
  /** Runs `then` when everything that is ready has run: where one batch of answers ends. */
  endOfTurn(then: () => void): void
  /** Runs `then` after `delayMs`; the result cancels it. */
  timer(delayMs: number, then: () => void): () => void
  /** A new pipe for the bytes of a stream, which a reply can carry. */
  bytePipe(): BytePipe
  /** What of the object's calls is made together; absent where each is made when it comes. */
  gathering?: Gathering
  /** Counts what `.map`s cost: the isolate's one. */
  mapMeter?: MapMeter
  /** A link to the object at an address that a caller has sent. Without it, results can only be handed off to the object itself. */
  linkAt?(address: unknown): Link
}

/** The receiving end of all links to one object; see the head of this file for what it owns. */
export class LinkServer {
  #sessions = new Map<string, ServerSession>()
  #main: (conversation: Conversation) => object
  #direct: (conversation: Conversation) => object
  #framework: (conversation: Conversation) => FrameworkMethods
  #ports: LinkServerPorts
  #handoffs: Handoffs
  #gates = new OrderGates()
  #limits: LinkLimits
  #sweep: (() => void) | undefined
  /** Calls without a session that have come. */
  #made = new Deliveries()
  /** Whoever takes effect now or has its place in the line to do so. */
  #line: Promise<void> | undefined

  /**
   * @param main makes the capability that a conversation starts from
   * @param framework the framework's methods beside those of hand-off, which are here
   * @param direct makes what a call without a session is made on: as `main`, but it never leaves this end, and so need not be a capability
   */
  constructor(
    main: (conversation: Conversation) => object,
    ports: LinkServerPorts,
    limits: Partial<LinkLimits> = {},
    framework: (conversation: Conversation) => FrameworkMethods = () => ({}),
    direct = main,
  ) {
    this.#main = main
    this.#direct = direct
    this.#framework = framework
    this.#handoffs = new Handoffs((delayMs, then) => ports.timer(delayMs, then))
    this.#ports = ports
    this.#limits = { ...defaultLinkLimits, ...limits }
  }

  /** Results on their way that are here or waited for, and callers whose calls wait for their turn: what a test for leaks looks at. */
  get openHandoffs(): number {
    return this.#handoffs.open + this.#gates.open
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
    if (message?.version !== linkVersion || !Array.isArray(message.frames) || typeof message.session !== 'string')
      throw otherVersion(message)
    for (const ended of message.ended ?? []) this.#drop(ended)
    // A message that only tells of ends.
    if (message.frames.length === 0 && message.ended?.includes(message.session)) return { seq: 0, frames: [], pending: false, open: false }
    let session = this.#sessions.get(message.session)
    if (!session) {
      if (message.seq !== 0) throw linkLost('the object was restarted, or the session was idle for too long')
      session = this.#open(message.session, receivedOrigin(message.origin), (conversation) => this.#start(conversation))
    }
    return this.#exchange(session, message)
  }

  /**
   * Takes the arguments of a native call as they travel, and gives its result so: at once, where it is there at once. See {@link LinkServer.call}.
   * @throws as that does, but at once
   */
  called(packed: readonly unknown[]): unknown {
    const message = unpackCall(packed)
    const alone = this.#makeAlone(message)
    // What most messages are: nothing of it waits for a promise.
    if (alone && alone.plain !== notPlain) return packPlain(alone.plain)
    return this.#answer(message, alone).then((answer) => packAnswer(message, answer))
  }

  /**
   * Makes calls and reads properties without a session, where the answers are plain. What is answered as soon as the calls were made does not
   * wait for what takes longer.
   * @throws `LINK_VERSION`, `LINK_LOST` for calls that were delivered twice, `LINK_LIMIT`
   */
  async call(message: LinkCall): Promise<LinkAnswer> {
    return this.#answer(message, this.#makeAlone(message))
  }

  /** Takes a message in. Makes its call, where it is one alone, is no dry run, and nobody stands before it. */
  #makeAlone(message: LinkCall): Outcome | undefined {
    if (message?.version !== linkVersion || !Array.isArray(message.calls) || typeof message.link !== 'string') throw otherVersion(message)
    const { link, number, calls, origin } = message
    if (calls.length > this.#limits.framesPerMessage)
      throw overLimit('framesPerMessage', calls.length, this.#limits.framesPerMessage, origin.caller)
    if (!this.#made.isNew(link, number)) throw linkLost('this message was delivered twice')
    this.#gather(message)
    if (calls.length !== 1 || this.#line || origin.dryRun) return undefined
    return makeCall(this.#mainFor(calls, origin), calls[0]!, true)
  }

  /** @param alone the one call of the message, where it was made */
  async #answer(message: LinkCall, alone: Outcome | undefined): Promise<LinkAnswer> {
    const { calls } = message
    const origin = receivedOrigin(message.origin)
    const made = alone ? [alone] : await this.#makeAll(this.#mainFor(calls, origin), calls)
    if (made.some((outcome) => outcome.isPending)) await this.#enough(made)
    if (alone && alone.plain !== notPlain) return { answers: [{ value: alone.plain }] }
    const answers = made.map(({ plain }) => (plain === notPlain ? null : { value: plain }))
    const rest = made.flatMap((outcome, i) => (outcome.plain === notPlain ? [{ outcome, call: calls[i]! }] : []))
    const reply = rest.length > 0 ? await this.#answerBySession(message, origin, rest, rest.length === made.length) : undefined
    return { ...(reply && { reply }), ...(origin.records && { records: origin.records.splice(0) }), answers }
  }

  /** What these calls are made on. */
  #mainFor(calls: readonly DirectCall[], origin: Origin): Record<string, unknown> {
    const conversation: Conversation = { origin, gone: () => never, target: nothing }
    return (
      calls.some((call) => call.method !== onceMethod && isOfFramework(call)) ? this.#start(conversation) : this.#direct(conversation)
    ) as Record<string, unknown>
  }

  /** What comes in company is made with the others, when all that is ready has come. */
  #gather({ link, together, calls }: LinkCall): void {
    const { gathering } = this.#ports
    if (!gathering || this.#line) return
    const turn = calls[0]?.method === onceMethod ? gathering.calledByStep(link, together === true) : gathering.called()
    if (!turn) return
    const line = turn.then(() => {
      if (this.#line === line) this.#line = undefined
    })
    this.#line = line
  }

  /** Makes calls one after the other, when whoever came before has taken effect. Each answer is taken when its call gives it: the next call may write to what it stands for. */
  async #makeAll(main: Record<string, unknown>, calls: readonly DirectCall[]): Promise<Outcome[]> {
    const before = this.#line
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#line = promise
    if (before) await before
    const made: Outcome[] = []
    for (const call of calls) {
      const outcome = makeCall(main, call, false)
      made.push(outcome)
      // An async method that waits for nothing has its answer a step of promises later.
      if (outcome.isPending) await done
    }
    if (this.#line === promise) this.#line = undefined
    resolve()
    return made
  }

  /** Waits until all calls have ended, or some have and everything that was ready has run. */
  async #enough(made: readonly Outcome[]): Promise<void> {
    if (made.length === 1) return made[0]!.ended
    const ends = made.flatMap(({ ended }) => (ended ? [ended] : []))
    const all = Promise.all(ends)
    if (ends.length === made.length) await Promise.race(ends)
    if (made.some(({ isPending }) => isPending)) await Promise.race([all, new Promise<void>((resolve) => this.#ports.endOfTurn(resolve))])
  }

  #answerBySession(
    answered: LinkCall,
    origin: Origin,
    rest: readonly { outcome: Outcome; call: DirectCall }[],
    mayWait: boolean,
  ): Promise<LinkReply> {
    const made = rest.flatMap(({ outcome, call }) => outcome.asMade(call))
    const session = sessionOfCall(answered)
    // The same origin: what the calls of a dry run record from now on is the session's to bring.
    const opened = this.#open(session, origin, (conversation) => this.#start(conversation, made))
    const frames = rest.flatMap(({ call }, i): Frame[] => {
      const path = ['pipeline', 0, [call.method]]
      // Either it has been made, or it cannot be: its arguments make no difference.
      return [
        ['push', call.args ? [...path, []] : path],
        ['pull', i + 1],
      ]
    })
    return this.#exchange(opened, { version: linkVersion, session, seq: 0, frames }, mayWait, true)
  }

  #open(id: string, origin: Origin, main: (conversation: Conversation) => object): ServerSession {
    if (this.#sessions.size >= this.#limits.sessionsPerObject) this.#makeRoom(origin)
    const session = new ServerSession(main, origin, this.#ports, this.#limits, this.#gates)
    this.#sessions.set(id, session)
    return session
  }

  /** Ends the oldest session that nothing refers to. Only some are looked at: whoever opens many must not have each new one look at them all. */
  #makeRoom(origin: Origin): void {
    let looked = 0
    for (const [id, session] of this.#sessions) {
      if (!session.isRetained) return this.#drop(id)
      if (++looked === mostLooked) break
    }
    const { sessionsPerObject } = this.#limits
    throw overLimit('sessionsPerObject', this.#sessions.size + 1, sessionsPerObject, origin.caller)
  }

  async #exchange(session: ServerSession, message: LinkMessage, mayWait = true, sparesTold = false): Promise<LinkReply> {
    try {
      const turn = session.turnOf(message)
      if (turn) await turn
      while (this.#line) await this.#line
      const taken = session.take(message)
      const line = taken.then(() => {
        if (this.#line === line) this.#line = undefined
      })
      this.#line = line
      await taken
      return await session.reply(message, mayWait, sparesTold)
    } finally {
      this.#scheduleSweep()
    }
  }

  #start(conversation: Conversation, made?: readonly MadeCall[]): object {
    const framework = () => ({
      ...this.#handoffMethods(conversation),
      ...this.#placedMethods(conversation),
      ...this.#framework(conversation),
    })
    return startOf(this.#main(conversation), framework, made)
  }

  /** What this end calls itself for calls that have a place among others: see `lines.ts`. */
  #placedMethods({ lines }: Conversation): FrameworkMethods {
    if (!lines) return {}
    /** A call on what a turn has asked for anew. It came over a session, and goes on apart. */
    const inTurn = (gate: string, number: number, cap: Stub, path: string[], args: unknown[] | null) =>
      this.#gates.inTurn(gate, number, () => madeApart(() => applyNow(cap, path, args ?? undefined)))
    const passed = ([gate, number]: [string, number]) => this.#gates.passed(gate, number)
    return { behind: lines.behind, inTurn: Object.assign(inTurn, { [neverMade]: passed }) }
  }

  #handoffMethods(conversation: Conversation): FrameworkMethods {
    return {
      /** The result that `ticket` stands for, when its provider has brought it. */
      accept: Object.assign((ticket: string) => this.#accept(ticket, conversation), { [givesItsOwn]: true }),
      /** A call that has its turn among its caller's others; `args` are those of a call, `null` for a read. `path` is that of a property's. */
      ordered: Object.assign(
        (number: number, name: string | null, args: unknown[] | null, path?: string[]) =>
          this.#inOrder(conversation, number, path ?? [name!], args),
        // Another argument than a hand-off has failed: those behind it wait for no call.
        { [neverMade]: ([number]: [number]) => this.#gates.passed(conversation.gate?.(), number) },
      ),
      /** Resolves when a numbered call has been made, or given up, and all before it. */
      begun: (number: number) => this.#gates.begun(conversation.gate?.(), number),
      /** Brings a result of this object to whoever the caller has named for `ticket`. */
      provide: (value: unknown, ticket: string) => this.#provide(conversation.target(ticket), value, ticket),
      /** A provider brings what `ticket` stands for. */
      deliver: (ticket: string, value: unknown) => this.#handoffs.deliver(ticket, value),
      /** The object whose address the caller has sent for `ticket`, by a link of this object's own. */
      meet: (ticket: string) => this.#meet(conversation, ticket),
      /** What `ticket` stands for will not come. */
      refuse: (ticket: string, error: ErrorRecord) => this.#handoffs.refuse(ticket, error),
    }
  }

  #accept(ticket: string, conversation: Conversation): unknown {
    const failed = (): void => this.#gates.failed(ticket)
    try {
      const result = this.#handoffs.accept(ticket, conversation.gone())
      if (isThenable(result)) result.then(undefined, failed)
      return result
    } catch (error) {
      failed()
      throw error
    }
  }

  #inOrder(conversation: Conversation, number: number, path: string[], args: unknown[] | null): unknown {
    const main = this.#start(conversation) as Record<string, unknown>
    const [name] = path as [string]
    const make = () => {
      if (path.length > 1) return madeApart(() => applyNow(new RpcStub(main as never) as unknown as Stub, path, args ?? undefined))
      return args ? callMember(main, name, args) : isReachable(main, name) ? main[name] : undefined
    }
    return this.#gates.inTurn(conversation.gate?.(), number, make)
  }

  #meet(conversation: Conversation, ticket: string): unknown {
    const address = conversation.target(ticket)
    if (address === undefined || !this.#ports.linkAt) throw withoutAddress()
    // Whatever it is used for is used on behalf of whoever has sent it.
    return this.#ports.linkAt(address).forwarder({ context: conversation, origin: conversation.origin })
  }

  async #provide(address: unknown, value: unknown, ticket: string): Promise<void> {
    if (address === null) this.#handoffs.deliver(ticket, value)
    else if (address !== undefined && this.#ports.linkAt) await this.#ports.linkAt(address).framework('deliver', [ticket, value])
    else throw withoutAddress()
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
        session.sweep(graceMs)
        // One sweep more than the time: the first may come right after the traffic.
        if (session.idleSweeps > (session.isRetained ? idleMs / graceMs : 1)) this.#drop(id)
      }
      this.#scheduleSweep()
    })
  }
}

/** Sessions that are looked at where room for another is needed. */
const mostLooked = 100

const isOfFramework = ({ method }: DirectCall) => typeof method === 'string' && method.startsWith(frameworkPrefix)
const nothing = () => undefined
const never = new Promise<never>(() => {})
const done = Promise.resolve()

function withoutAddress(): DotdoError {
  return new DotdoError(
    'HANDOFF_UNKNOWN',
    'A hand-off came without the address that it goes to. Deploy both Workers with the same release of dotdo.',
  )
}

function otherVersion(message: { version?: unknown } | undefined): DotdoError {
  return new DotdoError(
    'LINK_VERSION',
    `This object speaks link version ${linkVersion}, the caller ${String(message?.version)}. Deploy both Workers with the same release of dotdo.`,
    { data: { version: message?.version } },
  )
}
