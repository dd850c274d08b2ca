/**
 * The calling end of links.
 *
 * A {@link Link} leads to one object. A turn's calls are only recorded; while all are plain and none needs another, they go as one native call, and
 * else the turn opens a capnweb session, whose frames leave together when the turn ends.
 *
 * Owns the turns that run now. Invariants:
 * 1. Calls of one context share a session, and calls of two never do: the receiver knows on whose behalf it works.
 * 2. A session is entered only in the turn that opened it, except through what its calls have given.
 * 3. What goes natively and what goes by a session is accepted, refused and ordered alike: nobody can tell which it was.
 */
import { RpcStub } from 'capnweb'
import type { DotdoError } from '../base/errors.ts'
import type { BytePipe } from './byte-stream.ts'
import { localName, calledOn } from './call-names.ts'
import { ClientSession } from './client-session.ts'
import type { Departure, Departures } from './departures.ts'
import type { Gathering } from './gathering.ts'
import { linkVersion, sessionOfCall, type DirectCall, type LinkAnswer, type LinkCall, type LinkPeer, type LinkReply } from './frames.ts'
import { defaultLinkLimits, type LinkLimits } from './limits.ts'
import { meteredPeer } from './metered-peer.ts'
import { LoneCall } from './lone-call.ts'
import { unawaited, unawaitedLoss, whyLost } from './lost.ts'
import { OrderSources } from './order.ts'
import type { Caller, CallName } from './origin.ts'
import { isMapping } from './mapper.ts'
import { copyPlain, notPlain } from './plain.ts'
import { frameworkPrefix, keyedMethod, onceMethod } from './conversation.ts'
import {
  bindCall,
  bindOnceOfProperty,
  mappedOn,
  rootRef,
  withWhatIsHere,
  type Answer,
  type CameBy,
  type ObjectName,
  type Refused,
  type Start,
} from './ref.ts'
import { Forwarder, leadsTo } from './shortcuts.ts'
import type { LinkStats } from './stats.ts'
import { step, stepsToJoin } from './steps.ts'

/** What the calling end needs of its surroundings. */
export interface LinkClientPorts {
  /**
   * Runs `then` when the code that runs now, and all promises that are ready, have run: where a turn ends and its message leaves.
   */
  endOfTurn(then: () => void): void
  /** What of this owner waits to leave, on all of its links. */
  departures: Departures
  /** What of this owner goes on together; absent where nobody's steps call. */
  gathering?: Gathering
  /** Keeps the caller's own request alive until `work` has settled. */
  keepAlive(work: Promise<unknown>): void
  /** Runs `then` after `delayMs`; the result cancels it. */
  timer(delayMs: number, then: () => void): () => void
  /** Whose code calls now. Messages are split by it. */
  caller(): Caller
  /** A new pipe for the bytes of a stream, which a message can carry. */
  bytePipe(): BytePipe
  /** A new session's name, unguessable. */
  newSession(): string
  /** Runs `work` outside of whatever context the caller is in, so that a session carries nobody's. */
  detached<T>(work: () => T): T
  /**
   * Runs `then` some time after nothing refers to `target` any more, in whatever context: it may only take note. Absent where the platform does not
   * tell: then what nobody disposes of lives until it is idle.
   */
  whenForgotten?(target: object, then: () => void): void
  /** A call failed that nobody had awaited when its answer came. */
  unawaitedFailure(error: DotdoError): void
  /** The object at an address that another has told. */
  peerAt(address: unknown): LinkPeer
  /** Set where calls are those of a client, which asks for its answers by itself, later than it calls. */
  isRelay?: true
}

/** The calling end of the link to one object; see the head of this file for what it owns. */
export class Link implements Start {
  readonly at: ObjectName | undefined
  /** It leads to the object itself. */
  readonly steps: readonly [] = []
  readonly whole: Link = this
  cameBy: CameBy | undefined
  on: (() => object) | undefined
  #open: () => LinkPeer
  #peer: LinkPeer | undefined
  #ports: LinkClientPorts
  #limits: LinkLimits
  #stats: LinkStats
  #sessions = new Set<ClientSession>()
  #root: RpcStub<Record<string, never>> | undefined
  /** The turn that runs now, by whose code calls. */
  #turns = new Map<object | undefined, Turn>()
  /** Sessions that are over at this end and may be kept at the other: told with the next message. */
  #ended: string[] = []
  #telling = false
  /** What its object is called in notes and in the names of calls. */
  #label: string | undefined
  #name: string | undefined
  #named = 0
  /** Messages without a session so far: the next one's number. */
  #called = 0
  #forTurns: TurnPorts
  #orders: OrderSources
  /** Native calls whose answers are due. */
  #underWay = 0

  /**
   * @param peer gives the far end; asked again after it has failed
   * @param at what the object is called, for those who save a reference to it
   */
  constructor(peer: () => LinkPeer, ports: LinkClientPorts, stats: LinkStats, limits: Partial<LinkLimits> = {}, at?: ObjectName) {
    this.at = at
    this.#open = peer
    this.#ports = ports
    this.#orders = new OrderSources(() => ports.newSession())
    this.#stats = stats
    this.#limits = { ...defaultLinkLimits, ...limits }
    this.#forTurns = {
      begin: () => {
        const peer = this.#far()
        this.#underWay++
        return peer
      },
      isAlone: () => this.#underWay === 0 && ports.departures.waiting === 0,
      end: (peer, isBroken) => {
        this.#underWay--
        if (isBroken) this.#broken(peer)
      },
      open: (turn, answered) => this.#session(turn, answered),
      ended: (turn) => {
        const { context } = turn.caller
        if (this.#turns.get(context) === turn) this.#turns.delete(context)
      },
      number: () => ({ link: (this.#name ??= ports.newSession()), number: this.#called++ }),
      mostCalls: this.#limits.framesPerMessage,
      ports,
      stats,
    }
  }

  /**
   * A stub of the far object that never wears out: used in a later turn, it opens that turn's session.
   *
   * It behaves as a capnweb stub in every way: calls and properties are recorded and leave when the turn ends, a result can be called
   * before it is there, and a promise can be an argument.
   */
  root(): RpcStub<Record<string, never>> {
    const caller = this.#ports.caller()
    return caller.context ? rootRef(this, caller) : (this.#root ??= rootRef(this, caller))
  }

  /** A link to the object at an address that the far end has told. What goes over it counts as this link's. */
  toAddress(address: unknown): Link {
    return new Link(() => meteredPeer(this.#ports.peerAt(address), this.#stats), this.#ports, this.#stats, this.#limits)
  }

  /** Whether no call is under way, or waits to leave: whoever calls the object now comes after all calls of this link. */
  get isQuiet(): boolean {
    return this.#turns.size === 0 && this.#underWay === 0 && !this.#orders.isOpen && ![...this.#sessions].some((session) => session.isBusy)
  }

  /** Who calls now. */
  caller(): Caller {
    return this.#ports.caller()
  }

  /** A new order, for the calls on a part of the object that each turn asks for anew. */
  newOrder(): OrderSources {
    return new OrderSources(() => this.#ports.newSession())
  }

  /** The session of this turn. @param caller see {@link Link.record} */
  session(caller?: Caller): ClientSession {
    return this.#turn(caller).session
  }

  /**
   * Records a call of a method of the object (`args` given) or a read of a property.
   * @param caller whose reference it is: who calls where the code that runs now is nobody's
   */
  record(path: string[], args: unknown[] | undefined, caller?: Caller): Answer {
    const method = path.at(-1)!
    const name = args && !method.startsWith(frameworkPrefix) && !isMapping() ? this.#nameOf(path, args) : undefined
    if (!name) return this.#record(path, args, caller)
    if (path.length === 1) {
      const answer = this.#record([onceMethod], [...name, method, args], caller)
      answer.named = localName(name)
      return answer
    }
    return bindOnceOfProperty(this.session(caller), path, name, args!)
  }

  /** A call could not be made: told of when the turn ends, where nobody has asked for it. */
  refused(call: Refused, error: unknown): void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#ports.keepAlive(promise)
    this.#ports.endOfTurn(() => {
      resolve()
      if (call.isAsked) return
      this.#stats.unawaitedFailures++
      this.#ports.unawaitedFailure(unawaited(error))
    })
  }

  /** What a call that a step makes is known by, at every attempt of the step. One of a mapper is made for each element, and has no name. */
  #nameOf(path: readonly string[], args: readonly unknown[]): CallName | undefined {
    const { noted, once } = this.#ports.caller()
    if (!noted && !once) return undefined
    const label = (this.#label ??= calledOn({ answer: { link: this }, path: [] }))
    const what = path.join('.')
    if (this.at) noted?.(label, what, args)
    return once?.(`${label}.${what}`)
  }

  #record(path: string[], args: unknown[] | undefined, caller?: Caller): Answer {
    if (isMapping()) return mappedOn(this, path, args, caller)
    const turn = this.#turn(caller)
    if (path.length === 1 && !turn.hasSession && !this.#orders.of(turn.caller.context).isOpen) {
      let plain = args && copyPlain(args, true)
      if (args && plain === notPlain) {
        const settled = withWhatIsHere(args)
        if (settled !== args) plain = copyPlain((args = settled), true)
      }
      if (plain !== notPlain) return turn.record(plain ? { method: path[0]!, args: plain as unknown[] } : { method: path[0]! })
    }
    return bindCall(turn.session, turn.session.main, path, args)
  }

  /**
   * Calls a method of the framework on the object, now and natively where the arguments are plain. Their bytes are not copied.
   * @param name without the prefix that it has on the wire
   */
  framework(name: string, args: unknown[]): PromiseLike<unknown> {
    const method = frameworkPrefix + name
    const turn = this.#turn()
    const hasPlace = method === keyedMethod && this.#orders.of(turn.caller.context).isOpen
    const plain = turn.isEmpty && !hasPlace ? copyPlain(args, false) : notPlain
    if (plain === notPlain) return bindCall(turn.session, turn.session.main, [method], args).value()
    const lone = turn.record({ method, args: plain as unknown[] })
    const value = lone.value()
    turn.leaveNow()
    return value
  }

  /** The stub that capnweb is given when the root goes into a value: each call on it enters the turn in which it is made. */
  forwarder(caller?: Caller): RpcStub<Record<string, never>> {
    const link = this
    const target = new Proxy(new Forwarder(), {
      get(forwarder, property) {
        if (typeof property !== 'string') return property === leadsTo ? link : Reflect.get(forwarder, property)
        // The framework's own names are not for whoever holds a stub.
        if (property.startsWith(frameworkPrefix)) return undefined
        return Reflect.get(link.#turn(caller).session.main, property)
      },
    })
    return new RpcStub(target) as unknown as RpcStub<Record<string, never>>
  }

  #turn(whose?: Caller): Turn {
    const now = this.#ports.caller()
    const caller = now.context === undefined && whose ? whose : now
    let turn = this.#turns.get(caller.context)
    if (!turn) {
      turn = new Turn(caller, this.#forTurns)
      this.#turns.set(caller.context, turn)
    }
    return turn
  }

  #session(turn: Turn, answered: LinkCall | undefined): ClientSession {
    const opened: ClientSession = this.#ports.detached(
      () =>
        new ClientSession({
          rests: () => this.#sweepLater(),
          closed: () => this.#sessions.delete(opened),
          link: this,
          name: answered ? sessionOfCall(answered) : this.#newSession(),
          peer: { address: this.#far().address, send: (message) => this.#use((peer) => peer.send(message)) },
          ports: this.#ports,
          stats: this.#stats,
          limits: this.#limits,
          told: (session, isKept) => this.#tell(session, isKept),
          ended: () => (this.#ended.length > 0 ? { ended: this.#ended.splice(0) } : {}),
          caller: turn.caller,
          order: this.#orders.of(turn.caller.context),
          turnEnded: answered ? () => {} : () => turn.leaveNow(),
          ...(answered ? { answered } : { departure: turn }),
        }),
    )
    this.#sessions.add(opened)
    return opened
  }

  #sweeping = false
  #sweepLater(): void {
    if (this.#sweeping) return
    this.#sweeping = true
    this.#ports.timer(this.#limits.graceMs, () => {
      this.#sweeping = false
      for (const session of this.#sessions) session.sweep()
      if (this.#sessions.size > 0) this.#sweepLater()
    })
  }

  /** What this link has done so far, and what it holds now. */
  get stats(): LinkStats {
    let openExports = 0
    for (const session of this.#sessions) openExports += session.held
    return { ...this.#stats, openSessions: this.#sessions.size, openExports }
  }

  /**
   * A session is over at this end. The next message tells of it; where none follows soon and the far end would keep the session, one is sent for
   * the sake of that.
   */
  #tell(session: string, isKept: boolean): void {
    this.#ended.push(session)
    if (this.#ended.length > mostEnded) this.#ended.shift()
    if (!isKept || this.#telling) return
    this.#telling = true
    const { promise, resolve } = Promise.withResolvers<void>()
    // A request that has been answered is gone before the timer, and nobody would ever tell.
    this.#ports.keepAlive(promise)
    this.#ports.timer(this.#limits.graceMs, () => {
      this.#telling = false
      const ended = this.#ended.splice(0)
      if (ended.length === 0) return resolve()
      this.#stats.messages++
      const message = { version: linkVersion, session: ended[0]!, seq: 0, frames: [], ended } as const
      // Nobody waits for it: what is not heard of is dropped when idle.
      this.#use((peer) => peer.send({ ...message, frames: [] })).then(() => resolve(), resolve)
    })
  }

  /** By what the platform can pass this object on to another. */
  get address(): unknown {
    return this.#far().address
  }

  /** The far end knows this link's sessions anyway; others can guess none of them. */
  #newSession(): string {
    this.#name ??= this.#ports.newSession()
    return `${this.#name}.${this.#named++}`
  }

  #far(): LinkPeer {
    return (this.#peer ??= this.#open())
  }

  /** One native call. Calls on one native stub arrive in their order, so one is kept until it fails: a broken one stays broken. */
  #use<T>(work: (peer: LinkPeer) => Promise<T>): Promise<T> {
    const peer = this.#far()
    return work(peer).catch((error: unknown) => {
      this.#broken(peer)
      throw error
    })
  }

  #broken(peer: LinkPeer): void {
    if (this.#peer === peer) this.#peer = undefined
  }
}

/** How many ends of sessions are told of together; the far end forgets older ones by itself. */
const mostEnded = 5_000

/** After so many steps of promises a call has been asked for its value by whoever awaits it where it is made. */
const stepsToAwait = 1

/** What turns need of their link. */
interface TurnPorts {
  /** A native call begins: by whom it goes. */
  begin(): LinkPeer
  /** Whether no native call is under way, and none of the owner waits to leave. */
  isAlone(): boolean
  /** It has ended. */
  end(peer: LinkPeer, isBroken: boolean): void
  open(turn: Turn, answered?: LinkCall): ClientSession
  ended(turn: Turn): void
  /** A message's place among those of the link. */
  number(): Pick<LinkCall, 'link' | 'number'>
  mostCalls: number
  ports: LinkClientPorts
  stats: LinkStats
}

/** The calls of one context on one object in one turn: such as go without a session, until one needs it; then they all have one. */
class Turn implements Departure {
  readonly caller: Caller
  #link: TurnPorts
  #recorded: LoneCall[] = []
  #session: ClientSession | undefined
  #ended = false
  /** Resolves the promise that keeps the request alive until each call is answered, where the end of the turn is waited for. */
  #release: ((answered: unknown) => void) | undefined

  constructor(caller: Caller, link: TurnPorts) {
    this.caller = caller
    this.#link = link
  }

  get hasSession(): boolean {
    return this.#session !== undefined
  }

  get isEmpty(): boolean {
    return !this.#session && this.#recorded.length === 0
  }

  /** The turn's session. Calls that were recorded until now become its first. */
  get session(): ClientSession {
    if (!this.#session) {
      this.#session = this.#link.open(this)
      for (const call of this.#recorded.splice(0)) call.join(this.#session)
      // From here on the session keeps the request alive.
      this.#release?.(undefined)
    }
    return this.#session
  }

  record(call: DirectCall): LoneCall {
    const lone = new LoneCall(call, this)
    this.#recorded.push(lone)
    if (this.#recorded.length === 1) {
      this.#link.ports.departures.wait(this, this)
      void this.#leaveSoon(lone)
    } else this.#leaveAtEnd()
    return lone
  }

  /** Of a recorded call: it needs a session. */
  openSession(): void {
    void this.session
  }

  /** Of a call that went natively: it failed, and nobody had asked for it. */
  unawaited(error: DotdoError): void {
    this.#link.stats.unawaitedFailures++
    this.#link.ports.unawaitedFailure(error)
  }

  /**
   * A call that is awaited while it is alone does not wait for the end of its turn: a turn of the event loop costs more than the call, even one
   * that is asked for and not waited for. Code that runs beside it has some steps of promises to make another call on the object, which
   * then leaves in one message with it.
   */
  async #leaveSoon(lone: LoneCall): Promise<void> {
    for (let i = 0; i < stepsToJoin; i++) {
      await step
      if (this.#ended || this.#session || this.#recorded.length > 1) return
      // What is not awaited by now mostly is not: its turn ends no later than that of what is sent after it.
      if (i === stepsToAwait && !lone.isWaitedFor) this.#leaveAtEnd()
    }
    if (lone.isWaitedFor) this.#link.ports.departures.leave(this)
    else this.#leaveAtEnd()
  }

  #leaveAtEnd(): void {
    if (this.#release) return
    const { promise, resolve } = Promise.withResolvers<unknown>()
    this.#release = resolve
    this.#link.ports.keepAlive(promise)
    this.#link.ports.endOfTurn(() => this.#link.ports.departures.leave(this))
  }

  /** The turn is over, or what it has goes ahead of it: what comes now belongs to another. */
  leaveNow(): void {
    if (this.#ended) return
    this.#ended = true
    this.#link.ended(this)
    this.#link.ports.departures.left(this)
    const recorded = this.#recorded.splice(0)
    if (recorded.length === 0) return
    const answered = this.#sendAll(recorded)
    // The request lives on until each of its calls is answered.
    if (this.#release) void answered.then(this.#release)
    else this.#link.ports.keepAlive(answered)
  }

  /** Resolves when nothing is under way for these calls any more; never rejects. */
  #sendAll(recorded: LoneCall[]): Promise<unknown> {
    const most = this.#link.mostCalls
    if (recorded.length <= most) return this.#send(recorded)
    const messages: Promise<void>[] = []
    for (let from = 0; from < recorded.length; from += most) messages.push(this.#send(recorded.slice(from, from + most)))
    return Promise.all(messages)
  }

  async #send(recorded: LoneCall[]): Promise<void> {
    const { ports, stats } = this.#link
    const calls = recorded.map((lone) => lone.leave())
    const { link, number } = this.#link.number()
    const message: LinkCall = { version: linkVersion, link, number, origin: this.caller.origin, calls }
    const gathering = this.caller.once && ports.gathering
    if (gathering && !this.#link.isAlone()) message.together = true
    stats.messages++
    stats.calls += calls.length
    let peer: LinkPeer | undefined
    let answer: LinkAnswer
    try {
      peer = this.#link.begin()
      gathering?.left()
      answer = await peer.call(message)
      const turn = gathering?.answered()
      if (turn) await turn
      gathering?.ended()
      this.#link.end(peer, false)
    } catch (error) {
      if (peer) gathering?.ended()
      if (peer) this.#link.end(peer, true)
      const lost = whyLost(error)
      const count = recorded.filter((lone) => lone.lost(lost)).length
      if (count > 0) {
        stats.unawaitedFailures += count
        ports.unawaitedFailure(unawaitedLoss(lost, count))
      }
      return
    }
    if (answer.records) this.caller.origin.records?.push(...answer.records)
    for (let i = 0; i < recorded.length; i++) {
      const given = answer.answers[i]
      if (given) recorded[i]!.answered(given.value)
    }
    if (answer.reply) await this.#adopt(recorded, message, answer.answers, answer.reply)
  }

  /** What has no plain answer goes on as calls of the session that the answer has opened. */
  async #adopt(recorded: LoneCall[], message: LinkCall, answers: LinkAnswer['answers'], reply: LinkReply): Promise<void> {
    const session = this.#link.open(this, message)
    const rest = recorded.filter((_, i) => answers[i] === null)
    const calls = message.calls.filter((_, i) => answers[i] === null)
    const adopted = session.adopt(calls, reply)
    rest.forEach((lone, i) => lone.adopted(session, adopted[i]!.stub, adopted[i]!.value))
    await Promise.all(rest.map((lone) => lone.ended()))
  }
}
