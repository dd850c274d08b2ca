/**
 * One capnweb session at the calling end of a link: the frames of a turn, and what becomes of them.
 *
 * Owns the session, its numbering of messages and calls, and the releases that are held back. Invariants:
 * 1. All frames of one turn leave in one message, but for a call with bulk: its frame, and what stands before it, leave while it is made. A message that would only tell that answers have come is not sent; one that tells of a
 *    capability that was let go of is, so that its end comes while the session goes on.
 * 2. Every call that nothing else refers to is pulled when its turn ends, awaited or not: it is delivered, and its failure is known. Calls that are passed on for
 *    a client are pulled by that, in a message of its own: what it gives away instead may be a stream, which would have come here and had its one reader. Those that it
 *    has forgotten are pulled when the session rests.
 * 3. While an answer is outstanding, exactly one poll hangs at the receiver.
 * 4. A session of an ended turn stays usable while something may refer to it, and is dropped when idle. What the user's code cannot reach any more
 *    refers to nothing, said or not: a chain of calls leaves no session behind.
 */
import { RpcSession, RpcTarget, type RpcStub } from 'capnweb'
import { errorForWire, linkLost, thrown } from './errors.ts'
import { linkEnded, saidToNobody } from './session-end.ts'
import type { Departure } from './departures.ts'
import { FrameTransport } from './frame-transport.ts'
import { linkVersion, type DirectCall, type Frame, type LinkCall, type LinkPeer, type LinkReply } from './frames.ts'
import type { LinkLimits } from './limits.ts'
import { Lines, marked, Marking } from './lines.ts'
import type { Link, LinkClientPorts } from './link-client.ts'
import { sentOrigin, type Caller } from './origin.ts'
import { numbered, type CallOrder, type OrderSource } from './order.ts'
import { handOffFailure, unawaited, unawaitedLoss, whyLost } from './lost.ts'
import { exportOf, insideOf, passOn, rawOf } from './passing-on.ts'
import { frameworkPrefix, startOf } from './conversation.ts'
import { applyNow, applyPath, pathKey, type Answer, type Consumer, type Stub } from './ref.ts'
import { referredCalls } from './references.ts'
import { callingEnd, ShortWays } from './shortcuts.ts'
import type { LinkStats } from './stats.ts'
import { step, stepsToJoin } from './steps.ts'

/** What a session is made of. */
export interface ClientSessionOptions {
  /** Which link it belongs to. */
  link: Link
  /** Unguessable. */
  name: string
  peer: Pick<LinkPeer, 'send' | 'address'>
  ports: LinkClientPorts
  stats: LinkStats
  limits: LinkLimits
  /** Says that a session is over at this end, and whether the far end keeps it until it hears of that. */
  told: (session: string, isKept: boolean) => void
  /** The sessions of the same link that the next message tells the end of. */
  ended: () => { ended?: string[] }
  /** On whose behalf it is opened. */
  caller: Caller
  /** The order of calls on the object, shared by all sessions of the link. */
  order: OrderSource
  /** Called when no more of this turn's calls may enter. */
  turnEnded: () => void
  /** By what its turn waits to leave already. */
  departure?: object
  /** Called when nothing is on its way and something may still refer to it: it wants to be swept from now on. */
  rests: () => void
  /** Called once, when it is over. */
  closed: () => void
  /** The call without a session whose answer opened this one at the far end. */
  answered?: LinkCall
}

/**
 * Where a call stands among those on the object itself: it is one, or one on a property that is read before it. What only a step may do, which has to find the
 * property first, comes later than a call that was written after it.
 */
export type CallPlace = 'on it' | 'on a property'

/** Steps of promises after which a chain has been asked for its value by whoever awaits it where it is made. */
const stepsToAwait = 4

/** Whether an expression is a call on result number `id`. */
function isCallOn(expression: unknown, id: number): boolean {
  return Array.isArray(expression) && expression[0] === 'pipeline' && expression[1] === id
}

/** Releases a promise of this session with all copies of it: capnweb copies what a `.map` takes along, and keeps the copies for good. */
function letGo(stub: Stub): void {
  const { entry } = rawOf(stub).hook
  if (entry?.localRefcount) entry.localRefcount = 1
  stub[Symbol.dispose]()
}

/**
 * What the far end finds at the start of this one. With nothing there, capnweb makes an error for each session, whose stack holds on to the code that
 * opened it.
 */
const nothing = new (class Nothing extends RpcTarget {})()

/** The calling end of one session; see the head of this file for what it owns. */
export class ClientSession implements Consumer, Departure {
  readonly main: RpcStub<Record<string, never>>
  readonly link: Link
  #id: string
  #peer: Pick<LinkPeer, 'send' | 'address'>
  #ports: LinkClientPorts
  #limits: LinkLimits
  #origin: Caller['origin']
  #context: object | undefined
  #ways: ShortWays
  #stats: LinkStats
  #told: ClientSessionOptions['told']
  #endedNow: ClientSessionOptions['ended']
  #transport: FrameTransport
  #session: RpcSession
  #turnEnded: () => void
  #rests: () => void
  #onClosed: () => void
  /** By what it waits to leave; and, while it does, resolves what keeps the request alive meanwhile. */
  #departure: object
  #leaving: (() => void) | undefined
  #seq = 0
  /** Whether the far end knows that there is more to say than what calls of it ask for. */
  #isDuplex = false
  #nextReply = 0
  #early = new Map<number, LinkReply>()
  #outstanding = 0
  /** Answers that have come and that capnweb has not taken in yet, in messages. */
  #takingIn = 0
  #closed = false
  /** Whether the far end keeps the session until it hears of its end: what its last answer says, which may come while what one before it has set going runs. */
  #isKept = false
  #targets: Record<string, unknown> | undefined
  #ofThisTurn: Stub[] = []
  /** Other objects that the far end has been given a link to in this turn. */
  #introduced = new Map<Link, Stub>()
  /** Promises that this turn has sent on their way to the far end, by what they are and which part of it. */
  #handedOff: WeakMap<Answer, Map<string, { accepted: Stub; ticket: string; isOnItsWay: boolean }>> | undefined
  #order: OrderSource
  /** The hand-offs that the call gives which is being made now, where it is one on the object itself. */
  #tickets: string[] | undefined
  #marking: Marking
  /** Calls of the far end on what this end has given. */
  #lines = new Lines({
    exported: (id) => exportOf(this.#session, id),
    deliver: (frames) => this.#transport.deliver(frames),
  })
  /** Numbered calls that the next message announces. */
  #announced: CallOrder | undefined
  /** Numbers that capnweb will give to the next calls of ours, and those whose answers are due. */
  #nextCall = 1
  #awaited = new Set<number>()
  /** Calls of this turn that have left already, and that nothing has referred to or asked for yet. */
  #wentAhead: number[] = []
  /** Calls that were pulled by the link and not by the user. */
  #pulledHere = new Set<number>()
  /** Calls of others that have left, and that nobody has asked for or referred to: whoever made them says so later. */
  #unasked = new Set<number>()
  /** Calls whose answers came in this turn of the event loop: a pull of theirs may still be queued. */
  #justAnswered = new Set<number>()
  /** Releases of answered calls: they leave with what is said next, or with the session. */
  #releases: Frame[] = []
  /** Promises of the far end that it has answered and that are not released yet. */
  #answeredThere = new Set<number>()
  /** Promises of the far end that stand in what it has given, and that it has not answered: it answers them unasked, and only a poll can hear of it. */
  #promised = new Set<number>()
  /** Since when nothing is on its way, in sweeps of the link; `undefined` while something is. */
  #restedSweeps: number | undefined
  /** What the user's code has forgotten, to be released with the next sweep: the collector of garbage tells of it at any time, in any context. */
  #forgotten: Stub[] = []

  constructor({
    link,
    name,
    peer,
    ports,
    stats,
    limits,
    told,
    ended,
    caller,
    order,
    turnEnded,
    departure,
    rests,
    closed,
    answered,
  }: ClientSessionOptions) {
    this.link = link
    this.#told = told
    this.#endedNow = ended
    this.#peer = peer
    this.#ports = ports
    this.#stats = stats
    this.#limits = limits
    this.#origin = caller.origin
    this.#context = caller.context
    this.#order = order
    this.#turnEnded = turnEnded
    this.#departure = departure ?? this
    this.#rests = rests
    this.#onClosed = closed
    this.#id = name
    this.#transport = new FrameTransport((frame) => this.#onFrame(frame), ports, limits)
    const main = startOf(nothing, () => ({ behind: this.#lines.behind }))
    this.#session = new RpcSession(this.#transport, main, {
      onSendError: (error) => (this.#closed ? saidToNobody : errorForWire(error)),
    })
    const inside = insideOf(this.#session)
    this.#marking = new Marking(inside, this.#transport, (given) => this.#number([], given.results || given.there, given.own))
    this.#lines.watch(inside)
    passOn(this.#session)
    this.#ways = new ShortWays(this.#session, {
      linkAt: (address) => link.toAddress(address),
      forwarder: (to) => to.forwarder(caller),
      introduce: (to) => this.introduce(to),
      current: () => this.#transport.current,
    })
    Reflect.set(inside, callingEnd, this)
    const { importPromise } = inside
    inside.importPromise = (id) => {
      // Its answer may have come in the same message.
      if (!this.#answeredThere.has(id)) this.#promised.add(id)
      return Reflect.apply(importPromise, inside, [id])
    }
    this.main = this.#session.getRemoteMain() as unknown as RpcStub<Record<string, never>>
    if (answered) return
    // Opened and then not used (a property was only looked at): the turn ends all the same.
    this.#scheduleFlush()
  }

  /**
   * Takes up the session that the answer to calls without one has opened: these calls are numbers 1, 2, … in it, and what was said of them is `reply`.
   * @returns the promise of each call, to be called on, and its value
   */
  adopt(calls: readonly DirectCall[], reply: LinkReply): { stub: Stub; value: PromiseLike<unknown> }[] {
    // They have their places already.
    const promises = this.#marking.apart(() =>
      calls.map(({ method, args }, i) => {
        const stub = applyPath(this.main, [method], args && [])
        const value = (stub as unknown as PromiseLike<unknown>).then((it) => it)
        this.#awaited.add(i + 1)
        return { stub, value }
      }),
    )
    // Said and taken in already.
    this.#transport.take()
    this.#seq = 1
    this.#nextCall = calls.length + 1
    this.#received(reply)
    void this.#afterAnswers()
    return promises
  }

  /**
   * Lets the provider of a promise push it to the object at the end of this session, which has been told to expect it: the bytes never come here.
   * @returns the promise as this session has it; `undefined` for one that lives in no other session
   */
  handOff(answer: Answer, path: readonly string[]): Stub | undefined {
    // What is here already is carried from here. What can only be asked of it, such as a property of a capability, comes as late as any promise.
    const { isHere } = answer
    if (isHere && !(this.#tickets && answer.came)) return undefined
    const key = pathKey(path)
    let taken = this.#handedOff?.get(answer)
    const known = taken?.get(key)
    if (known) {
      if (known.isOnItsWay) this.#tickets?.push(known.ticket)
      return known.accepted
    }
    // A call that was recorded alone gets its session now.
    const promise = applyPath(isHere ? answer.carry() : answer.stub(), path, undefined)
    const provider = isHere ? undefined : answer.session
    if (provider && provider.#closed) return undefined
    // A promise of this session is one already, and goes round only where a call on the object has to keep its place meanwhile.
    if (provider === this && !this.#tickets) return undefined
    const address = provider?.link === this.link ? null : this.#peer.address
    const ticket = this.#ports.newSession()
    const accepted = this.framework('accept', [ticket])
    let provided: Promise<unknown>
    if (provider && address !== undefined) {
      ;(provider.#targets ??= {})[ticket] = address
      provided = provider.framework('provide', [promise, ticket]) as unknown as Promise<unknown>
    } else {
      // It is here, comes here first because it is under way natively, or its receiver has no address.
      provided = this.#marking.noting(() => this.framework('deliver', [ticket, promise])).made as unknown as Promise<unknown>
    }
    const handed = { accepted, ticket, isOnItsWay: true }
    const settle = () => void (handed.isOnItsWay = false)
    provided.then(settle, (error: unknown) => {
      if (this.#closed) return settle()
      // The receiver waits for what will not come: it is told why.
      const refused = this.framework('refuse', [ticket, handOffFailure(error)]) as unknown as Promise<unknown>
      refused.then(settle, settle)
    })
    this.#tickets?.push(ticket)
    if (!taken) (this.#handedOff ??= new WeakMap()).set(answer, (taken = new Map()))
    taken.set(key, handed)
    this.untilTurnEnds(accepted)
    return accepted
  }

  /**
   * Makes a call or a read. One with bulk among its arguments leaves before this returns, because its bytes are the user's: copying them costs as much as
   * sending them.
   * @param place where it is made on the object itself
   */
  make(call: () => Stub, isCall: boolean, place: CallPlace | undefined): Stub {
    const lending = isCall ? () => this.#transport.lending(call) : call
    const stub = place ? this.#inOrder(lending, place) : lending()
    if (this.#transport.hasLent) this.#leaveAhead()
    return stub
  }

  /** What the turn has said so far goes ahead of the rest. What it asks for is decided at the turn's end. */
  #leaveAhead(): void {
    const taken = this.#transport.take()
    if (this.#closed) return
    const pushed = this.#count(taken)
    const referred = referredCalls(taken, pushed)
    const settled = new Set(taken.flatMap(([kind, id]) => (kind === 'pull' || kind === 'release' ? [id as number] : [])))
    for (const [kind, id] of taken) if (kind === 'pull') this.#awaited.add(id as number)
    for (const id of pushed) if (!referred.has(id) && !settled.has(id)) this.#wentAhead.push(id)
    this.#ports.keepAlive(this.#sendAll([...this.#releases.splice(0), ...taken]).catch((error: unknown) => this.#fail(error)))
  }

  /** Makes a call on the object itself in its place among the others, whatever its arguments wait for. */
  #inOrder(call: () => Stub, place: CallPlace): Stub {
    const before = this.#tickets
    const tickets: string[] = (this.#tickets = [])
    try {
      const { made, given } = this.#marking.apart(() => this.#marking.noting(call))
      // What lives at the far end has been handed off, with a ticket.
      this.#number(tickets, given.results || place === 'on a property', given.own)
      return made
    } finally {
      this.#tickets = before
    }
  }

  /**
   * Gives the call on the object that was said last its number, where it needs one.
   * @param tickets the hand-offs that it gives
   * @param results whether it is given other results that are under way
   * @param own whether it is given a promise that only the program itself can keep
   */
  #number(tickets: string[], results: boolean, own: boolean): void {
    const order = this.#order.number(tickets.length > 0 || results)
    if (!order) return
    const { gate, number } = order
    this.#transport.amend((frame) => numbered(frame, number))
    const calls = this.#announced?.calls ?? []
    // What the program keeps by itself may be what a later call gives it: such a call is made behind those before it, and none waits for it.
    if (!own) calls.push([number, tickets])
    this.#announced = { gate, calls }
    if (own || (tickets.length === 0 && !results)) return
    const begun = this.#order.setOut()
    ;(this.framework('begun', [number]) as unknown as PromiseLike<unknown>).then(begun, begun)
  }

  /** Lets the far end have a link of its own to another object; `undefined` where it could not reach it. */
  introduce(link: Link): Stub | undefined {
    if (link === this.link) return this.main.dup()
    const address = link.address
    if (address === undefined || this.#peer.address === undefined) return undefined
    let known = this.#introduced.get(link)
    if (!known) {
      const ticket = this.#ports.newSession()
      ;(this.#targets ??= {})[ticket] = address
      this.#introduced.set(link, (known = this.framework('meet', [ticket])))
      this.untilTurnEnds(known)
    }
    return known
  }

  /** Lets go of `stub` soon after nothing refers to `answer` any more, which leads to it. */
  releaseForgotten(answer: object, stub: Stub): void {
    this.#ports.whenForgotten?.(answer, () => this.#forgotten.push(stub))
  }

  /** What is due from time to time while the session rests: called by its link. */
  sweep(): void {
    if (this.#restedSweeps === undefined || this.#closed) return
    const { idleMs, graceMs } = this.#limits
    if (++this.#restedSweeps > idleMs / graceMs) this.#close(linkLost(`it was idle for ${idleMs} ms`))
    // A property has no end of its own.
    else for (const stub of this.#forgotten.splice(0)) (stub as Partial<Disposable>)[Symbol.dispose]?.()
    if (this.#unasked.size === 0 || this.#closed) return
    const pulls = [...this.#unasked].map((id) => this.#pulled(id))
    this.#unasked.clear()
    this.#ports.keepAlive(this.#exchange(pulls))
  }

  /** Lets go of a promise of this session as soon as the turn's calls on it have been said: nothing later can use it. */
  untilTurnEnds(stub: Stub): void {
    this.#ofThisTurn.push(stub)
  }

  /**
   * Asks for what a reference stands for, for this turn: its calls have places among those that other turns make on it.
   * @param order of the calls of this session's program on it
   */
  askAnew(from: Stub, method: string, args: unknown[], order: OrderSource): Stub {
    const asked = applyPath(from, [method], args)
    this.#marking.follow(rawOf(asked).hook.entry!.importId, order)
    this.untilTurnEnds(asked)
    return asked
  }

  /** Whose calls these are. */
  get context(): object | undefined {
    return this.#context
  }

  /**
   * Calls a method of the framework at the far end. It is a call of the turn even while the function of a `.map` runs, which takes along what it gives:
   * written down as an instruction it would be made for each element, and the far end refuses these names there.
   */
  framework(name: string, args: unknown[]): Stub {
    return applyNow(this.main, [frameworkPrefix + name], args)
  }

  #onFrame(frame: Frame): void {
    this.#ways?.said(frame)
    this.#lines.said(frame)
    const [kind, id] = frame
    if (kind === 'release') {
      this.#promised.delete(id as number)
      // Of a call whose answer is being taken in: what comes after that sees to it.
      if (this.#takingIn > 0 && (id as number) > 0) return
    }
    // capnweb forgets what it releases after it has said so: whether the session is over shows at the end of the turn.
    if (kind !== 'abort') this.#scheduleFlush()
  }

  /** Capabilities and promises that either end holds of the other, the two roots not counted. */
  get held(): number {
    const { imports, exports } = this.#session.getStats()
    return Math.max(0, imports - 1) + Math.max(0, exports - 1)
  }

  /** Whether some result held a capability: what numbers below zero stand for, or another object. */
  get holdsCapabilities(): boolean {
    return this.#ways.any || this.#session.getStats().imports > 1
  }

  /** Whether nothing can be called by it any more. */
  get isOver(): boolean {
    return this.#closed
  }

  /** Whether calls are under way, or wait to leave. */
  get isBusy(): boolean {
    return this.#awaited.size > 0 || this.#isLeaving
  }

  /**
   * Whether a frame lets go of a capability: what numbers below zero stand for, but for promises of the far end that it has answered. Those and
   * answered calls are released by capnweb itself, and nobody waits to hear of it.
   */
  #isLetGo([kind, id]: Frame): boolean {
    return kind === 'release' && (id as number) < 0 && !this.#answeredThere.has(id as number)
  }

  get #isUnreferred(): boolean {
    const { imports, exports } = this.#session.getStats()
    return imports <= 1 && exports <= 1
  }

  /** Whether something waits to leave. */
  get #isLeaving(): boolean {
    return this.#leaving !== undefined
  }

  #scheduleFlush(): void {
    if (this.#leaving || this.#closed) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#leaving = resolve
    this.#ports.departures.wait(this.#departure, this)
    this.#ports.keepAlive(promise)
    // What an answer has opened has said its first already.
    if (this.#seq === 0 && this.#departure !== this) void this.#leaveSoon()
    else this.#leaveAtEnd()
  }

  leaveNow(): void {
    const left = this.#leaving
    if (!left) return
    this.#leaving = undefined
    this.#flush().then(left, (error: unknown) => {
      this.#fail(error)
      left()
    })
  }

  #leaveAtEnd(): void {
    const left = this.#leaving
    this.#ports.endOfTurn(() => {
      // What waits by then may be another turn's.
      if (left === this.#leaving) this.#ports.departures.leave(this.#departure)
    })
  }

  /**
   * A chain that is awaited while its turn has nothing else for the object does not wait for the end of the turn, as a call that is alone does not:
   * what runs beside it has as long to join.
   */
  async #leaveSoon(): Promise<void> {
    const left = this.#leaving
    for (let i = 0; i < stepsToJoin; i++) {
      await step
      if (left !== this.#leaving) return
      // What is not awaited by now mostly is not.
      if (i === stepsToAwait && !this.#isOneChain()) return this.#leaveAtEnd()
    }
    if (this.#isOneChain()) this.#ports.departures.leave(this.#departure)
    else this.#leaveAtEnd()
  }

  /** Whether the frames that wait are calls of which each is made on the one before, with the last asked for, and nothing else. */
  #isOneChain(): boolean {
    const frames = this.#transport.queued
    const calls = frames.length - 1
    const last = frames[calls]
    if (calls < 1 || last![0] !== 'pull' || last![1] !== calls) return false
    if (this.#targets || this.#announced || this.#session.getStats().exports > 1) return false
    return frames.every(([kind, what], i) => i === calls || (kind === 'push' && isCallOn(what, i)))
  }

  async #flush(): Promise<void> {
    this.#turnEnded()
    for (const stub of this.#ofThisTurn.splice(0)) letGo(stub)
    if (this.#introduced.size > 0) this.#introduced.clear()
    this.#handedOff = undefined
    const taken = this.#transport.take()
    const frames = this.#withPulls(taken)
    this.#forgetAnswered()
    const tellsOfCapability = frames.some((frame) => this.#isLetGo(frame))
    for (const [kind, id] of frames) if (kind === 'release') this.#answeredThere.delete(id as number)
    if (frames.some(([kind]) => kind !== 'release') || (!this.#isUnreferred && tellsOfCapability))
      await this.#sendAll([...this.#releases.splice(0), ...frames])
    else if (this.#outstanding === 0) await this.#goOn(frames)
    else this.#releases.push(...frames)
  }

  /** Sends a turn's frames: in one message, or in as few as its limit allows. They take effect in their order. */
  async #sendAll(frames: Frame[]): Promise<void> {
    const most = this.#limits.framesPerMessage
    const messages: Promise<void>[] = []
    for (let from = 0; from < frames.length; from += most) messages.push(this.#exchange(frames.slice(from, from + most)))
    await Promise.all(messages)
  }

  /** Adds a pull for each call that nothing refers to, and drops pulls of what is due anyway. */
  #withPulls(taken: Frame[]): Frame[] {
    const pushed = [...this.#wentAhead.splice(0), ...this.#count(taken)]
    const asked = new Set<number>()
    const released = new Set<number>()
    for (const [kind, id] of taken) {
      if (kind === 'pull') asked.add(id as number)
      else if (kind === 'release') released.add(id as number)
    }
    const unasked = pushed.filter((id) => !asked.has(id))
    const referred = unasked.length > 0 ? referredCalls(taken, unasked) : undefined
    const frames = taken.filter(
      ([kind, id]) => !(kind === 'pull' && (this.#awaited.has(id as number) || this.#justAnswered.has(id as number))),
    )
    if (this.#unasked.size > 0) {
      const used = referredCalls(taken, [...this.#unasked])
      for (const ids of [asked, released, used]) for (const id of ids) this.#unasked.delete(id)
    }
    for (const id of asked) {
      if (this.#justAnswered.has(id)) continue
      this.#awaited.add(id)
      this.#pulledHere.delete(id)
    }
    for (const id of unasked) {
      // What its caller has let go of already is delivered, and has no number any more to ask by.
      if (referred!.has(id) || released.has(id)) continue
      if (this.#ports.isRelay) this.#unasked.add(id)
      else frames.push(this.#pulled(id))
    }
    return frames
  }

  #pulled(id: number): Frame {
    this.#awaited.add(id)
    this.#pulledHere.add(id)
    return ['pull', id]
  }

  /** The numbers of the calls that these frames make. */
  #count(frames: readonly Frame[]): number[] {
    const pushed: number[] = []
    for (const [kind] of frames) {
      if (kind === 'push') pushed.push(this.#nextCall++)
      else if (kind === 'pipe') this.#nextCall++
    }
    this.#stats.calls += pushed.length
    return pushed
  }

  async #exchange(frames: Frame[]): Promise<void> {
    this.#restedSweeps = undefined
    this.#outstanding++
    this.#stats.messages++
    if (frames.every((frame) => frame[0] === 'release')) this.#stats.polls++
    const targets = this.#targets
    this.#targets = undefined
    const order = this.#announced
    this.#announced = undefined
    const marks = this.#marking.of(frames)
    const places = this.#marking.placesOf(frames)
    const ended = this.#endedNow()
    let reply: LinkReply
    try {
      const exportsSomething = !this.#isDuplex && this.#session.getStats().exports > 1
      if (exportsSomething) this.#isDuplex = true
      reply = await this.#peer.send({
        version: linkVersion,
        session: this.#id,
        seq: this.#seq++,
        ...this.#transport.streamsOf(frames),
        ...(this.#seq === 1 && { origin: sentOrigin(this.#origin) }),
        ...(targets && { targets }),
        ...(order && { order }),
        ...(marks && { marks }),
        ...(places && { places }),
        ...(exportsSomething && { duplex: true as const }),
        ...ended,
        frames,
      })
    } catch (error) {
      this.#outstanding--
      this.#fail(error)
      return
    }
    this.#outstanding--
    this.#received(reply)
    await this.#afterAnswers()
  }

  #received(reply: LinkReply): void {
    // Where one before it is lost, this is all that is known.
    this.#isKept ||= reply.open
    this.#early.set(reply.seq, reply)
    for (let next = this.#early.get(this.#nextReply); next; next = this.#early.get(this.#nextReply)) {
      this.#early.delete(this.#nextReply++)
      this.#take(next)
    }
  }

  async #afterAnswers(): Promise<void> {
    this.#takingIn++
    await this.#transport.idle()
    this.#takingIn--
    if (this.#closed || this.#outstanding > 0) return
    // One that only rests from now on does not wait for the event loop: whatever the answers set going may say something later as well as now. One that may end waits.
    if (this.#isKept && !this.#isLeaving && !this.#isDue && !this.#isUnreferred) {
      this.#releases.push(...this.#withPulls(this.#transport.take()))
      this.#forgetAnswered()
      this.#rest()
      return
    }
    // What the answers set going (a user's continuation, a callback) runs first: it may have more to say than a poll.
    await new Promise<void>((resolve) => this.#ports.endOfTurn(resolve))
    if (!this.#isLeaving) this.#forgetAnswered()
    if (this.#closed || this.#outstanding > 0 || this.#isLeaving) return
    // Where something was let go of, its number may not have been the last: whether that is so shows here, and not at the far end.
    if (!this.#isKept && this.#transport.waiting === 0)
      this.#close(linkEnded('the object had nothing left that this reference could lead to'))
    else await this.#goOn(this.#withPulls(this.#transport.take()))
  }

  /** Answers that came are looked for no longer. */
  #forgetAnswered(): void {
    if (this.#justAnswered.size > 0) this.#justAnswered.clear()
  }

  /** Whether the far end has something to say that only a poll can bring. A stream is watched from both ends: a cancel comes by a poll, and so does the news that the other end is gone. */
  get #isDue(): boolean {
    return this.#awaited.size > 0 || this.#promised.size > 0 || this.#transport.openStreams > 0 || this.#session.getStats().exports > 1
  }

  /**
   * Nothing is on its way and there is nothing new to say: asks on for answers that are due, or lets the session rest. A turn whose flush turned
   * out empty ends here too: the exchange before it has left it the asking (invariant 3).
   */
  async #goOn(frames: Frame[]): Promise<void> {
    if (this.#closed) return
    if (this.#isDue) await this.#exchange([...this.#releases.splice(0), ...frames])
    else {
      this.#releases.push(...frames)
      this.#settle()
    }
  }

  #take(reply: LinkReply): void {
    this.#isKept = reply.open
    if (reply.records) this.#origin.records?.push(...reply.records)
    if (reply.objects) this.#ways.told(reply.objects)
    for (const [kind, id, value] of reply.frames) {
      if (kind !== 'resolve' && kind !== 'reject') continue
      if ((id as number) < 0) {
        this.#answeredThere.add(id as number)
        this.#promised.delete(id as number)
      }
      this.#awaited.delete(id as number)
      this.#justAnswered.add(id as number)
      if (this.#pulledHere.delete(id as number) && kind === 'reject') {
        this.#stats.unawaitedFailures++
        this.#ports.unawaitedFailure(unawaited(thrown(value)))
      }
    }
    this.#transport.deliver(this.#lines.placed(reply.frames, marked(reply)), reply.streams)
  }

  /** Nothing is on its way: the session ends now if nothing can refer to it, and when it was idle for long otherwise. */
  #settle(): void {
    if (this.#closed || this.#outstanding > 0) return
    if (this.#isUnreferred) this.#close(linkEnded('its turn is over'))
    else this.#rest()
  }

  #rest(): void {
    this.#restedSweeps ??= 0
    this.#rests()
  }

  #fail(error: unknown): void {
    if (this.#closed) return
    const failure = whyLost(error)
    const lost = this.#pulledHere.size
    if (lost > 0) {
      this.#stats.unawaitedFailures += lost
      this.#ports.unawaitedFailure(unawaitedLoss(failure, lost))
    }
    this.#close(failure)
  }

  #close(reason: unknown): void {
    if (this.#closed) return
    this.#closed = true
    this.#onClosed()
    this.#turnEnded()
    // What was never told of needs no end; a list that nobody fetches is short, because the other end forgets by itself.
    if (this.#seq > 0) this.#told(this.#id, this.#isKept)
    this.#transport.fail(reason)
  }
}
