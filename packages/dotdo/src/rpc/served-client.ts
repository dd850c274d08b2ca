/**
 * The receiving end of a client: one capnweb session over texts that a socket or a batch carries.
 *
 * Owns what the client has sent and capnweb has not seen. Invariants:
 * 1. Nothing is parsed before its size is known to be allowed, and nothing reaches capnweb before the guard has looked at it.
 * 2. Frames take effect in the order they came.
 * 3. What waits is bounded in number and bytes; over it the session ends.
 * 4. A session ends once, with a reason that has a code: the client's open calls get it, and so does whoever carries the texts.
 */
import { RpcPromise, RpcSession, type RpcTransportWithCustomEncoding } from 'capnweb'
import { codeOf, DotdoError } from '../base/errors.ts'
import { errorForWire, errorFrame, linkLost } from './errors.ts'
import type { FairShares, Share, SharePorts } from './fair-share.ts'
import { FrameGuard } from './frame-guard.ts'
import type { Frame } from './frames.ts'
import { overLimit, type ClientLimits } from './limits.ts'
import type { MapMeter } from './map-meter.ts'
import { exportOf, passOn, rawOf } from './passing-on.ts'
import { step, stepsToJoin } from './steps.ts'
import { frameInvalid, noWayBack } from './value-guard.ts'

/** What the session of a client needs of its surroundings. */
export interface ServedClientPorts extends SharePorts {
  /** Carries one frame to the client. May throw when the client is gone. */
  send(text: string): void
  /** The session is over. Called once; the reason has a code. */
  ended(reason: Error): void
  /** Milliseconds. Needed with `shares`. */
  now?: () => number
  /** Counts what `.map`s cost: the isolate's one. */
  mapMeter?: MapMeter | undefined
  /** Whether the first call is the way in, on which all others are made: they wait until it has ended, so that they are made in their order behind it. */
  firstIsWayIn?: boolean
  /** Shares the isolate with the other clients. A batch has none: all of it is there at once, and bounded. */
  shares?: FairShares | undefined
}

/** How often overdue answers are looked for, in one time of `graphMs`. */
const looksPerGraph = 10

/**
 * What weighs as much as one plain call, measured: a call is some 50 µs, a value of a `.map` 20. A step of a chain is 1 to 2 for each of its depth
 * within one object, and 40 where it goes through as many objects: it is charged between the two.
 */
const depthPerWork = 4
const stepsPerWork = 2.5
const bytesPerWork = 8192
const workPerMs = 20

/** How often it is looked whether the isolate stands still, while a `.map` of a client's may run, and for how many times at least. */
const stillMs = 5
const stillLooks = 20

/** The session of one client; see the head of this file. */
export class ServedClient {
  #limits: ClientLimits
  #ports: ServedClientPorts
  #transport: ClientTransport
  #guard: FrameGuard
  #session: RpcSession
  #share: Share | undefined
  #isBatch: boolean
  /** Texts that came and were not parsed. Taken from `#head` on; the part before it is given up now and then. */
  #waiting: string[] = []
  #head = 0
  #waitingBytes = 0
  #held = false
  /** Steps of `.map`s that the share was charged with. */
  #stepsCharged = 0
  /** Looks that are left before nothing is suspected any longer. */
  #looksLeft = 0
  #cancelLook: (() => void) | undefined
  #ended = false
  #isIn = false
  /** What came after the end, in frames. */
  #unheard = 0
  #ageMs = 0
  #cancelAge: (() => void) | undefined

  /**
   * @param main the capability that the client starts from
   * @param batch the answers that the client has sent along, where this is a batch: what else it would have to be asked for cannot be
   */
  constructor(main: unknown, limits: ClientLimits, ports: ServedClientPorts, batch?: { answers: ReadonlySet<number> }) {
    this.#limits = limits
    this.#ports = ports
    this.#isBatch = batch !== undefined
    this.#guard = new FrameGuard({ limits, meter: ports.mapMeter, caller: 'a client', stranger: true, ...(batch && { oneWay: batch }) })
    this.#share = ports.shares?.join(limits, ports)
    this.#transport = new ClientTransport(
      (frame) => this.#send(frame),
      (reason) => this.#end(reason),
      // What a batch answers stands behind its calls, which may be made before they ask for it alone.
      () => (batch && batch.answers.size > 0 ? Promise.resolve() : this.#begun()),
    )
    this.#session = new RpcSession(this.#transport, main, { onSendError: errorForWire, limits: { maxDepth: limits.nesting + 8 } })
    passOn(this.#session, {
      isProgram: true,
      // Whatever can be measured: one millisecond.
      later: (then) => void ports.timer(1, then),
      ...(batch && { refuseStreams: () => noWayBack('stream') }),
    })
  }

  /** Texts that wait: what a test for bounds looks at. */
  get waiting(): number {
    return this.#waiting.length - this.#head
  }

  /**
   * A frame has come.
   * @returns whether to read on. A session that is over is told to its client, and whoever goes on sending after that is not read any longer.
   */
  received(text: unknown): boolean {
    if (this.#ended) {
      this.#unheard += 1 + (typeof text === 'string' ? text.length / bytesPerWork : 1)
      return this.#unheard <= this.#limits.framesAfterEnd
    }
    try {
      if (typeof text !== 'string') throw frameInvalid('it is not a text', text)
      if (text.length > this.#limits.messageBytes) throw this.#over('messageBytes', text.length)
      this.#waiting.push(text)
      this.#waitingBytes += text.length
      if (this.waiting > this.#limits.framesWaiting) throw this.#over('framesWaiting', this.waiting)
      if (this.#waitingBytes > this.#limits.bytesWaiting) throw this.#over('bytesWaiting', this.#waitingBytes)
    } catch (error) {
      this.fail(error as Error)
      return true
    }
    this.#pump()
    return true
  }

  /** All frames of a batch have come. Resolves when every call that was asked for is answered, or is overdue. @throws the reason when the session ended */
  async batch(frames: Frame[]): Promise<void> {
    this.#look(frames)
    await this.#transport.idle()
    const late = Promise.withResolvers<void>()
    const cancel = this.#ports.timer(this.#limits.graphMs, () => {
      for (const frame of this.#guard.overdue(this.#limits.graphMs + 1)) this.#send(frame)
      late.resolve()
    })
    try {
      if (this.#guard.underWay > 0) await Promise.race([this.#session.drain(), late.promise])
    } finally {
      cancel()
    }
  }

  /** Ends the session. The client's open calls get the reason; calls that run go on, and nobody hears of them. */
  fail(reason: Error): void {
    this.#transport.fail(codeOf(reason) === undefined ? frameInvalid(reason.message, []) : reason)
  }

  /** The client is gone. */
  gone(): void {
    this.fail(linkLost('the client is gone'))
  }

  /** Hands on what waits, as much as the client may have now. */
  #pump(): void {
    while (!this.#held && !this.#ended && this.waiting > 0) {
      this.#chargeMaps()
      if (this.#share && !this.#share.mayGo) return this.#pauseUntil((then) => this.#share!.next(then))
      // A client that is called back has to be heard: what it is asked for may be what its calls wait for.
      if (this.#guard.work >= this.#limits.workAtOnce && !this.#guard.needsMore) return
      const text = this.#take()
      this.#share?.use(1 + text.length / bytesPerWork)
      let frame: Frame
      try {
        frame = JSON.parse(text) as Frame
      } catch {
        this.fail(frameInvalid('it is not JSON', text))
        return
      }
      try {
        this.#look([frame])
      } catch (error) {
        this.fail(error as Error)
        return
      }
    }
  }

  /**
   * Resolves when the call that was taken in last has begun, where all that it is made on is here. capnweb makes a call on what a call gives some steps of promises
   * after it has read it: another that is made on what is here would come before.
   */
  async #begun(): Promise<void> {
    if (this.#ports.firstIsWayIn && !this.#isIn) {
      this.#isIn = true
      await wayIn(this.#session)
    }
    for (let i = 0; i < stepsToJoin; i++) await step
  }

  /** What `.map`s cost is known when they have run, which is when their lists have come: it is charged before the next frame. */
  #chargeMaps(): void {
    const steps = this.#guard.mapSteps
    if (steps > this.#stepsCharged) this.#share?.use((steps - this.#stepsCharged) / stepsPerWork)
    this.#stepsCharged = steps
  }

  /**
   * A `.map` on what an object answers runs at the object, which may be in this isolate, and in one piece. So while one may run, its client is charged
   * with the time for which nothing else could: what was hindered is what is paid for, wherever it was done.
   */
  #suspect(): void {
    const { now } = this.#ports
    if (!this.#share || !now) return
    this.#looksLeft = stillLooks
    if (this.#cancelLook) return
    const look = () => {
      const due = now() + stillMs
      this.#cancelLook = this.#ports.timer(stillMs, () => {
        this.#cancelLook = undefined
        if (this.#ended) return
        const stillForMs = now() - due
        // What is shorter is a timer's own.
        if (stillForMs >= stillMs) this.#share!.use(stillForMs * workPerMs)
        if (this.#guard.underWay === 0) this.#looksLeft--
        if (this.#looksLeft > 0) look()
      })
    }
    look()
  }

  #pauseUntil(next: (then: () => void) => void): void {
    this.#held = true
    next(() => {
      this.#held = false
      this.#pump()
    })
  }

  #take(): string {
    const text = this.#waiting[this.#head]!
    this.#waiting[this.#head++] = ''
    this.#waitingBytes -= text.length
    if (this.#head > 1000 || this.#head === this.#waiting.length) {
      this.#waiting.splice(0, this.#head)
      this.#head = 0
    }
    return text
  }

  #look(frames: Frame[]): void {
    const { frames: passed, answers, work, maps } = this.#guard.look(frames, this.#ageMs)
    this.#share?.use(work / depthPerWork)
    if (maps) this.#suspect()
    for (const answer of answers) this.#send(answer)
    this.#transport.deliver(passed)
    // A batch looks once, when its time is over.
    if (this.#guard.underWay > 0 && !this.#isBatch) this.#age()
  }

  #send(frame: Frame): void {
    this.#guard.sent(frame)
    let text = JSON.stringify(frame)
    if (text.length > this.#limits.answerBytes && (frame[0] === 'resolve' || frame[0] === 'reject'))
      text = JSON.stringify(errorFrame(frame[1] as number, this.#over('answerBytes', text.length)))
    this.#ports.send(text)
    // An answer may be what frames wait for. Not at once: capnweb is in the midst of it.
    if (this.waiting > 0 && !this.#held && !this.#ended) this.#pauseUntil((then) => this.#ports.endOfTurn(then))
  }

  #end(reason: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#waiting = []
    this.#head = 0
    this.#share?.end()
    this.#cancelAge?.()
    this.#cancelLook?.()
    this.#ports.ended(withCode(reason))
  }

  /** Looks for overdue answers while calls are under way. */
  #age(): void {
    const everyMs = Math.max(1, Math.ceil(this.#limits.graphMs / looksPerGraph))
    this.#cancelAge ??= this.#ports.timer(everyMs, () => {
      this.#cancelAge = undefined
      this.#ageMs += everyMs
      for (const frame of this.#guard.overdue(this.#ageMs)) this.#send(frame)
      if (this.#guard.underWay > 0 && !this.#ended) this.#age()
    })
  }

  #over(limit: keyof ClientLimits, value: number): Error {
    return overLimit(limit, value, this.#limits[limit], 'a client')
  }
}

/** Resolves when the first call of a session has ended, well or not. */
async function wayIn(session: RpcSession): Promise<void> {
  const called = exportOf(session, 1)?.payload?.value
  const ended = called instanceof RpcPromise ? rawOf(called).hook.promise : undefined
  await ended?.catch(() => {
    // Whoever asks for it is told, and so are all whose calls are made on it.
  })
}

/** capnweb's own words for what it cannot read have no code. */
function withCode(reason: unknown): Error {
  if (reason instanceof Error && codeOf(reason) !== undefined) return reason
  return new DotdoError('FRAME_INVALID', `A frame could not be taken: ${reason instanceof Error ? reason.message : String(reason)}.`, {
    cause: reason,
  })
}

/** capnweb's side of it: frames as values, so that a text is parsed once. */
class ClientTransport implements RpcTransportWithCustomEncoding {
  readonly encodingLevel = 'jsonCompatible'
  #incoming: Frame[] = []
  #current: Frame | undefined
  #reader: PromiseWithResolvers<unknown> | undefined
  /** While the call that was read last has not begun. */
  #held: object | undefined
  #failure: { error: unknown } | undefined
  #idle: (() => void)[] = []
  #onSend: (frame: Frame) => void
  #onAbort: (reason: unknown) => void
  #begun: () => Promise<void>

  /** @param begun resolves when the call that the session has read last has begun */
  constructor(onSend: (frame: Frame) => void, onAbort: (reason: unknown) => void, begun: () => Promise<void>) {
    this.#onSend = onSend
    this.#onAbort = onAbort
    this.#begun = begun
  }

  /** Called by the session. */
  send(message: unknown): void {
    const frame = message as Frame
    // What capnweb could not read is told with a code, too.
    this.#onSend(frame[0] === 'abort' ? abortFrame(frame) : frame)
  }

  /** Called by the session. */
  receive(): Promise<unknown> {
    if (this.#failure) return Promise.reject(this.#failure.error)
    if (this.#current?.[0] === 'push') this.#hold()
    // capnweb's loop refers to what it has read last until it reads more: a socket that rests would keep it.
    if (this.#current) this.#current.length = 0
    this.#current = undefined
    this.#reader = Promise.withResolvers()
    const { promise } = this.#reader
    this.#hand()
    if (this.#reader && this.#incoming.length === 0) for (const wake of this.#idle.splice(0)) wake()
    return promise
  }

  /** The next call waits until that has begun which was read last. What is no call does not: it may be what that one waits for. */
  #hold(): void {
    const held = (this.#held = {})
    void this.#begun().then(() => {
      if (this.#held !== held) return
      this.#held = undefined
      this.#hand()
    })
  }

  #hand(): void {
    if (!this.#reader || this.#incoming.length === 0 || (this.#held && this.#incoming[0]![0] === 'push')) return
    this.#reader.resolve((this.#current = this.#incoming.shift()))
    this.#reader = undefined
  }

  /** Called by the session when it ends, whoever ended it. */
  abort(reason: unknown): void {
    this.#failure ??= { error: reason }
    this.#incoming = []
    for (const wake of this.#idle.splice(0)) wake()
    this.#onAbort(reason)
  }

  deliver(frames: Frame[]): void {
    this.#incoming.push(...frames)
    this.#hand()
  }

  /** Resolves when the session has taken in every frame that was delivered, or has ended. */
  async idle(): Promise<void> {
    if (!this.#failure && !(this.#reader && this.#incoming.length === 0)) await new Promise<void>((resolve) => this.#idle.push(resolve))
    if (this.#failure) throw this.#failure.error
  }

  fail(error: Error): void {
    if (this.#failure) return
    this.#failure = { error }
    this.#incoming = []
    if (this.#reader) this.#reader.reject(error)
    this.#reader = undefined
  }
}

function abortFrame(frame: Frame): Frame {
  const [, name, message, , properties] = Array.isArray(frame[1]) ? (frame[1] as [string, string, string, unknown, object?]) : []
  if (properties && 'code' in properties) return frame
  const error = withCode(new Error(message ?? name ?? 'no reason was given'))
  return ['abort', errorFrame(0, error)[2]]
}
