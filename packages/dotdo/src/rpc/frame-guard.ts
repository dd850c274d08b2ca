/**
 * Looks at every frame before capnweb does, at the receiving end of a session: whether it is a frame at all, and whether it passes a limit.
 *
 * A call that passes a limit is refused alone: in its place capnweb gets a call that does nothing, so that the numbers of later calls stay
 * right, and whoever asks for its answer gets the error. What breaks the protocol, or a limit of the whole session, is thrown, and ends the
 * session.
 *
 * Owns the count of a session's calls. Invariants:
 * 1. Calls are numbered as capnweb does it: pushes, streams and pipes as they come, from 1.
 * 2. A call is there from its frame to its release, and under way from when it is asked for to its answer.
 * 3. What refers to a refused call is refused with the same error, and never reaches capnweb.
 */
import { errorFrame } from './errors.ts'
import type { Frame } from './frames.ts'
import { overLimit, type SessionLimits } from './limits.ts'
import type { MapMeter } from './map-meter.ts'
import { frameInvalid, isWhole, noWayBack, Refusal, ValueGuard, type MessageCost } from './value-guard.ts'

interface Call {
  /** Whether the answer was asked for. */
  pulled: boolean
  /** How long the chain is that it ends. */
  depth: number
  /** When its answer was asked for, on the clock of the guard; absent while it was not, and when it was given. */
  since?: number
  /** One chunk of a stream: released with its answer, unasked. */
  chunk?: true
  refused?: Error
}

/** How a guard looks. */
export interface GuardOptions {
  limits: SessionLimits
  /** Counts what `.map`s cost; without one they are bounded by what can be seen in a frame. */
  meter?: MapMeter | undefined
  /** Who is on the other end, as errors name it. */
  caller?: string | undefined
  /**
   * Whether the other end is a stranger: then values are looked into as well, for nesting, capabilities and references. A link between objects is
   * not looked into, because its frames were made by capnweb in a Worker of this app and may hold 32 MiB of rows.
   */
  stranger?: boolean
  /** Set for a batch: the other end cannot be asked for anything, and these are the numbers of the promises that it has answered by itself. */
  oneWay?: { answers: ReadonlySet<number> }
}

/** What of a message goes on to capnweb, and what is answered without it. */
export interface Looked {
  frames: Frame[]
  answers: Frame[]
  /** Depths of the calls, and instructions of the `.map`s. */
  work: number
  /** Whether there is a `.map` in it. */
  maps: boolean
}

/** The guard of one session; see the head of this file. */
export class FrameGuard {
  #options: GuardOptions
  #limits: SessionLimits
  #values: ValueGuard
  #calls = new Map<number, Call>()
  #next = 1
  #unpulled = 0
  #underWay = 0
  #work = 0
  #refused = 0
  /** Calls that this end has made on the other: what it may resolve. */
  #sent = 0
  #piped = false

  constructor(options: GuardOptions) {
    this.#options = options
    this.#limits = options.limits
    this.#values = new ValueGuard({
      ...options,
      isHere: (id) => this.#calls.has(id),
      refusalOf: (id) => this.#calls.get(id)?.refused,
    })
  }

  /** The number that the other end gives to its next call. */
  get nextCall(): number {
    return this.#next
  }

  /** Calls that were made and not released. */
  get calls(): number {
    return this.#calls.size
  }

  /** Whether there is a call whose answer nobody asked for yet. */
  get hasUnpulled(): boolean {
    return this.#unpulled > 0
  }

  /** Calls that were asked for and not answered. */
  get underWay(): number {
    return this.#underWay
  }

  /** What the calls weigh that are under way: one for a plain call, and for a chain with the square of its depth, as it costs. */
  get work(): number {
    return this.#work
  }

  /** Values that the `.map`s of the session have made here. */
  get mapSteps(): number {
    return this.#values.spent.steps
  }

  /** Whether a call may wait for something else that the other end says: it holds a capability of it, has called it back, or reads its stream. */
  get needsMore(): boolean {
    return this.#sent > 0 || this.#piped || this.#values.capabilities > 0
  }

  /**
   * Looks at the frames of one message. A recording in them is metered where it stands.
   * @param now what `overdue` compares with; any clock that only goes forward
   * @throws `LINK_LIMIT`, `FRAME_INVALID`: nothing of the message may be delivered, and the session ends
   */
  look(frames: Frame[], now = 0): Looked {
    if (frames.length > this.#limits.framesPerMessage) throw this.#over('framesPerMessage', frames.length)
    const looked: Looked = { frames: [], answers: [], work: 0, maps: false }
    const cost: MessageCost = { budget: undefined, work: 0, maps: false }
    for (const frame of frames) this.#lookAt(frame, now, cost, looked)
    looked.work = cost.work
    looked.maps = cost.maps
    return looked
  }

  /** Takes note of a frame that this end sends. */
  sent([kind, id]: Frame): void {
    if (kind === 'push' || kind === 'stream' || kind === 'pipe') this.#sent++
    else if (kind === 'resolve' || kind === 'reject') this.#answered(id as number)
    else if (kind === 'release') this.#values.released(id as number)
    // A pipe ends with the lane of its stream.
    else if (kind === 'lane-end') this.#remove(id as number)
  }

  /** Errors for the calls that have waited too long for their answers: frames to send. What capnweb says of them later comes too late. */
  overdue(now: number): Frame[] {
    if (this.#underWay === 0) return []
    const late: Frame[] = []
    for (const [id, call] of this.#calls) {
      if (call.since === undefined || now - call.since <= this.#limits.graphMs) continue
      late.push(errorFrame(id, this.#over('graphMs', Math.round(now - call.since))))
    }
    for (const [, id] of late) this.#answered(id as number)
    return late
  }

  #lookAt(frame: Frame, now: number, cost: MessageCost, { frames, answers }: Looked): void {
    if (!Array.isArray(frame)) throw frameInvalid('it is not a list', frame)
    const [kind, subject] = frame
    switch (kind) {
      case 'push':
      case 'stream': {
        if (frame.length < 2) throw frameInvalid('it has no expression', frame)
        const { depth, refused, given } = this.#judge(subject, cost)
        const id = this.#add({ pulled: false, depth, ...(kind === 'stream' && { chunk: true }), ...(refused && { refused }) })
        frames.push(refused ? ['push', ['undefined']] : frame)
        if (refused) {
          this.#refused++
          // The other end counts what it gave away, and nobody here has it.
          for (const capability of given) answers.push(['release', capability, 1])
        }
        if (kind === 'push') return
        this.#pull(id, now)
        if (!refused) return
        answers.push(errorFrame(id, refused))
        frames.push(['release', id, 1])
        this.#remove(id)
        return
      }
      case 'pipe':
        if (this.#options.oneWay) {
          // Nothing may wait for what comes through it: what is written to it is refused, and so is who should read it.
          this.#add({ pulled: true, depth: 0, refused: noWayBack('stream') })
          this.#refused++
          frames.push(['push', ['undefined']])
          return
        }
        this.#piped = true
        this.#add({ pulled: true, depth: 0 })
        frames.push(frame)
        return
      case 'pull': {
        const call = this.#calls.get(subject as number)
        if (!call) throw frameInvalid('there is no such call', frame)
        const first = !call.pulled
        this.#pull(subject as number, now)
        if (!call.refused) frames.push(frame)
        else if (first) {
          answers.push(errorFrame(subject as number, call.refused))
          this.#answered(subject as number)
        }
        return
      }
      case 'release': {
        const count = frame[2]
        if (!isWhole(subject) || !isWhole(count) || count < 1) throw frameInvalid('it does not say what is released', frame)
        // Capabilities that were given away have numbers below 0: capnweb counts those.
        if (subject >= 0 && (count !== 1 || !this.#remove(subject))) throw frameInvalid('there is no such call', frame)
        frames.push(frame)
        return
      }
      case 'resolve':
      case 'reject':
        if (!isWhole(subject) || frame.length < 3 || !this.#wasAsked(subject))
          throw frameInvalid('nothing was asked that it could answer', frame)
        if (this.#options.stranger) this.#lookIntoAnswer(frame, cost)
        frames.push(frame)
        return
      case 'abort':
        if (frame.length < 2) throw frameInvalid('it gives no reason', frame)
        frames.push(frame)
        return
      case 'lane':
      case 'lane-chunk':
      case 'lane-fail':
      case 'lane-end':
        // Streams of links between objects (stream-lanes.ts). A client's session has none.
        if (this.#options.stranger || !isWhole(subject)) throw frameInvalid('its kind is not known', frame)
        frames.push(frame)
        return
      default:
        throw frameInvalid('its kind is not known', frame)
    }
  }

  /** An answer that cannot be taken has no caller at the other end to tell it to: it ends the session. */
  #lookIntoAnswer(frame: Frame, cost: MessageCost): void {
    try {
      this.#values.look(frame[2], cost)
    } catch (error) {
      throw error instanceof Refusal ? error.reason : error
    }
  }

  #wasAsked(id: number): boolean {
    if (id > 0) return id <= this.#sent
    return !this.#options.stranger || this.#values.wasGiven(id)
  }

  #add(call: Call): number {
    const id = this.#next++
    this.#calls.set(id, call)
    if (!call.pulled) this.#unpulled++
    if (this.#calls.size > this.#limits.callsPerSession) throw this.#over('callsPerSession', this.#calls.size)
    return id
  }

  #pull(id: number, now: number): void {
    const call = this.#calls.get(id)!
    if (call.pulled) return
    call.pulled = true
    call.since = now
    this.#unpulled--
    this.#underWay++
    this.#work += weightOf(call.depth)
  }

  #answered(id: number): void {
    const call = this.#calls.get(id)
    if (call?.since === undefined) return
    delete call.since
    this.#underWay--
    this.#work -= weightOf(call.depth)
    if (call.chunk) this.#calls.delete(id)
  }

  #remove(id: number): boolean {
    const call = this.#calls.get(id)
    if (!call) return false
    if (!call.pulled) this.#unpulled--
    if (call.refused) this.#refused--
    this.#answered(id)
    this.#calls.delete(id)
    return true
  }

  /** What a pushed expression weighs, or why it is refused, and which capabilities of the other end it gives. @throws what ends the session */
  #judge(expression: unknown, cost: MessageCost): { depth: number; refused?: Error; given: number[] } {
    this.#values.beginCall()
    const workBefore = cost.work
    try {
      const depth = this.#depthOf(expression)
      if (depth > this.#limits.chainDepth) throw new Refusal(this.#over('chainDepth', depth))
      cost.work += depth
      if (cost.work > this.#limits.chainWork) throw new Refusal(this.#over('chainWork', cost.work))
      // Between objects a value is looked into only when something in it may refer to a call that was refused (invariant 3).
      if (this.#options.stranger || this.#refused > 0) this.#values.look(expression, cost)
      else this.#values.lookAtHead(expression, cost)
      return { depth, given: [] }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      cost.work = workBefore
      return { depth: 0, refused: error.reason, given: this.#values.undoCall() }
    }
  }

  /** How many calls deep an expression is: one for each step of its path, more than the call it starts from. */
  #depthOf(expression: unknown): number {
    if (!Array.isArray(expression)) return 1
    const path: unknown = expression[2]
    const from = expression[0] === 'pipeline' || expression[0] === 'remap' ? this.#calls.get(expression[1] as number) : undefined
    return (from?.depth ?? 0) + (Array.isArray(path) ? Math.max(1, path.length) : 1)
  }

  #over(limit: keyof SessionLimits, value: number): Error {
    return overLimit(limit, value, this.#limits[limit], this.#options.caller)
  }
}

/** Each step of a chain goes the way of those before it, and through as many objects when each gives a reference to the next: half the square. */
const weightOf = (depth: number): number => 1 + Math.floor((depth * depth) / 16)
