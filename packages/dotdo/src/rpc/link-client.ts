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
import { RpcStub, RpcTarget } from 'capnweb'
import type { DotdoError } from '../base/errors.ts'
import type { BytePipe } from './byte-stream.ts'
import { ClientSession } from './client-session.ts'
import { linkVersion, type DirectCall, type LinkAnswer, type LinkCall, type LinkPeer } from './frames.ts'
import { defaultLinkLimits, type LinkLimits } from './limits.ts'
import { LoneCall } from './lone-call.ts'
import { unawaitedLoss, whyLost } from './lost.ts'
import { OrderSource } from './order.ts'
import { sentOrigin, type Caller, type CallName, type Origin } from './origin.ts'
import { copyPlain, notPlain } from './plain.ts'
import { frameworkPrefix } from './conversation.ts'
import { bindCall, mapSession, rootRef, type Answer, type Start } from './ref.ts'
import type { LinkStats } from './stats.ts'

/** What the calling end needs of its surroundings. */
export interface LinkClientPorts {
  /**
   * Runs `then` when the code that runs now, and all promises that are ready, have run: where a turn ends and its message leaves. The result,
   * where there is one, cancels it.
   */
  endOfTurn(then: () => void): (() => void) | void
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
  /** A call failed that nobody had awaited when its answer came. */
  unawaitedFailure(error: DotdoError): void
}

/** The calling end of the link to one object; see the head of this file for what it owns. */
export class Link implements Start {
  readonly at: { noun: string; name: string } | undefined
  /** It leads to the object itself. */
  readonly steps: readonly [] = []
  readonly whole: Link = this
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
  #name: string | undefined
  #named = 0
  #order: OrderSource

  /**
   * @param peer gives the far end; asked again after it has failed
   * @param at what the object is called, for those who save a reference to it
   */
  constructor(
    peer: () => LinkPeer,
    ports: LinkClientPorts,
    stats: LinkStats,
    limits: Partial<LinkLimits> = {},
    at?: { noun: string; name: string },
  ) {
    this.at = at
    this.#open = peer
    this.#ports = ports
    this.#order = new OrderSource(() => ports.newSession())
    this.#stats = stats
    this.#limits = { ...defaultLinkLimits, ...limits }
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

  /** Who calls now. */
  caller(): Caller {
    return this.#ports.caller()
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
    const [method] = path
    const name = path.length === 1 && args && !method!.startsWith(frameworkPrefix) && this.at ? this.#nameOf(method!) : undefined
    return name ? this.#record([onceMethod], [...name, method, args], caller) : this.#record(path, args, caller)
  }

  /** What a call that a step makes is known by, at every attempt of the step. One of a mapper is made for each element, and has no name. */
  #nameOf(method: string): CallName | undefined {
    return mapSession() ? undefined : this.#ports.caller().once?.(`${this.at!.noun}/${this.at!.name}.${method}`)
  }

  #record(path: string[], args: unknown[] | undefined, caller?: Caller): Answer {
    const recorded = mapSession()
    // Inside a mapper everything is an instruction of it, on what its session can reach.
    if (recorded) return bindCall(recorded, recorded.introduce(this) ?? this.forwarder(caller), path, args)
    const turn = this.#turn(caller)
    if (path.length === 1 && !turn.hasSession && !this.#order.isOpen) {
      const plain = args && copyPlain(args, true)
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
    const plain = turn.isEmpty ? copyPlain(args, false) : notPlain
    if (plain === notPlain) return bindCall(turn.session, turn.session.main, [method], args).value()
    const lone = turn.record({ method, args: plain as unknown[] })
    const value = lone.value()
    turn.leave()
    return value
  }

  /** The stub that capnweb is given when the root goes into a value: each call on it enters the turn in which it is made. */
  forwarder(caller?: Caller): RpcStub<Record<string, never>> {
    const link = this
    const target = new Proxy(new Forwarder(), {
      get(forwarder, property) {
        if (typeof property !== 'string') return Reflect.get(forwarder, property)
        // The framework's own names are not for whoever holds a stub.
        if (property.startsWith(frameworkPrefix)) return undefined
        return Reflect.get(link.#turn(caller).session.main, property)
      },
    })
    return new RpcStub(target) as unknown as RpcStub<Record<string, never>>
  }

  #turn(whose?: Caller): Turn {
    const now = this.#ports.caller()
    const { context, origin } = now.context === undefined && whose ? whose : now
    let turn = this.#turns.get(context)
    if (!turn) {
      const begun: Turn = new Turn(origin, {
        call: (call) => this.#use((peer) => peer.call(call)),
        open: (answered) => this.#session(origin, begun, answered),
        ended: () => {
          if (this.#turns.get(context) === begun) this.#turns.delete(context)
        },
        mostCalls: this.#limits.framesPerMessage,
        newSession: () => this.#newSession(),
        ports: this.#ports,
        stats: this.#stats,
      })
      this.#turns.set(context, (turn = begun))
    }
    return turn
  }

  #session(origin: Origin, turn: Turn, answered: LinkCall | undefined): ClientSession {
    const opened: ClientSession = this.#ports.detached(
      () =>
        new ClientSession({
          closed: () => this.#sessions.delete(opened),
          link: this,
          name: answered?.session ?? this.#newSession(),
          peer: { address: this.#far().address, send: (message) => this.#use((peer) => peer.send(message)) },
          ports: this.#ports,
          stats: this.#stats,
          limits: this.#limits,
          told: (session, isKept) => this.#tell(session, isKept),
          ended: () => (this.#ended.length > 0 ? { ended: this.#ended.splice(0) } : {}),
          origin,
          order: this.#order,
          turnEnded: answered ? () => {} : () => turn.leave(),
          ...(answered && { answered }),
        }),
    )
    this.#sessions.add(opened)
    return opened
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
    this.#ports.timer(this.#limits.graceMs, () => {
      this.#telling = false
      const ended = this.#ended.splice(0)
      if (ended.length === 0) return
      this.#stats.messages++
      const message = { version: linkVersion, session: ended[0]!, seq: 0, frames: [], ended } as const
      // Nobody waits for it: what is not heard of is dropped when idle.
      this.#use((peer) => peer.send({ ...message, frames: [] })).then(noop, noop)
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
      if (this.#peer === peer) this.#peer = undefined
      throw error
    })
  }
}

/** Makes a call that a step makes, once. */
const onceMethod = `${frameworkPrefix}once`

/** How many ends of sessions are told of together; the far end forgets older ones by itself. */
const mostEnded = 100

function noop(): void {}

class Forwarder extends RpcTarget {}

/** Steps of promises for which an awaited call waits for company: about a microsecond. */
const stepsToJoin = 32
const done = Promise.resolve()

/** What a turn needs of its link. */
interface TurnPorts {
  call: LinkPeer['call']
  open(answered?: LinkCall): ClientSession
  ended(): void
  mostCalls: number
  newSession(): string
  ports: LinkClientPorts
  stats: LinkStats
}

/** The calls of one context on one object in one turn: such as go without a session, until one needs it; then they all have one. */
class Turn {
  #origin: Origin
  #link: TurnPorts
  #recorded: LoneCall[] = []
  #answered = Promise.withResolvers<unknown>()
  #session: ClientSession | undefined
  #ended = false

  constructor(origin: Origin, link: TurnPorts) {
    this.#origin = origin
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
      this.#session = this.#link.open()
      for (const call of this.#recorded.splice(0)) call.join(this.#session)
      // From here on the session keeps the request alive.
      this.#answered.resolve(undefined)
    }
    return this.#session
  }

  record(call: DirectCall): LoneCall {
    const { ports, stats } = this.#link
    const lone = new LoneCall(call, {
      openSession: () => void this.session,
      unawaited: (error) => {
        stats.unawaitedFailures++
        ports.unawaitedFailure(error)
      },
    })
    this.#recorded.push(lone)
    if (this.#recorded.length === 1) {
      // The request lives on until each of its calls is answered.
      ports.keepAlive(this.#answered.promise)
      const cancel = ports.endOfTurn(() => this.leave())
      void this.#leaveSoon(lone, cancel ?? noop)
    }
    return lone
  }

  /**
   * A call that is awaited while it is alone does not wait for the end of its turn, which costs a turn of the event loop. Code that runs beside
   * it has some steps of promises to make another call on the object, which then leaves in one message with it.
   */
  async #leaveSoon(lone: LoneCall, cancelEnd: () => void): Promise<void> {
    for (let step = 0; step < stepsToJoin && !this.#ended && this.#recorded.length === 1; step++) await done
    if (!lone.isWaitedFor || this.#recorded.length !== 1) return
    this.leave()
    // A turn of the event loop for nothing costs more than the call.
    cancelEnd()
  }

  /** The turn is over, or what it has goes ahead of it: what comes now belongs to another. */
  leave(): void {
    if (this.#ended) return
    this.#ended = true
    this.#link.ended()
    const most = this.#link.mostCalls
    const recorded = this.#recorded.splice(0)
    void Promise.all(recorded.map((lone) => lone.ended)).then(this.#answered.resolve)
    for (let from = 0; from < recorded.length; from += most) void this.#send(recorded.slice(from, from + most))
  }

  async #send(recorded: LoneCall[]): Promise<void> {
    const { ports, stats } = this.#link
    const calls = recorded.map((lone) => lone.leave())
    const message: LinkCall = { version: linkVersion, session: this.#link.newSession(), calls, origin: sentOrigin(this.#origin) }
    stats.messages++
    stats.calls += calls.length
    let answer: LinkAnswer
    try {
      answer = await this.#link.call(message)
    } catch (error) {
      const lost = whyLost(error)
      const count = recorded.filter((lone) => lone.lost(lost)).length
      if (count > 0) {
        stats.unawaitedFailures += count
        ports.unawaitedFailure(unawaitedLoss(lost, count))
      }
      return
    }
    if (answer.records) this.#origin.records?.push(...answer.records)
    const rest = recorded.filter((_, i) => answer.answers[i] === null)
    recorded.forEach((lone, i) => {
      const given = answer.answers[i]
      if (given) lone.answered(given.value)
    })
    if (!answer.reply) return
    const session = this.#link.open(message)
    const adopted = session.adopt(
      calls.filter((_, i) => answer.answers[i] === null),
      answer.reply,
    )
    rest.forEach((lone, i) => lone.adopted(session, adopted[i]!.stub, adopted[i]!.value))
  }
}
