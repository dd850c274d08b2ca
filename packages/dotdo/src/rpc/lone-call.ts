/**
 * A call that may stay the only one of its turn on its object.
 *
 * Owns what becomes of it: recorded, then either joined to a session or sent as one native call. Invariants:
 * 1. It is carried once, by one of the two.
 * 2. Its answer is there for everybody who asks, whenever they ask; a failure that nobody had asked for when it came is told.
 */
import { RpcPromise } from 'capnweb'
import { codeOf, DotdoError } from '../base/errors.ts'
import type { ClientSession } from './client-session.ts'
import type { LinkAnswer, LinkCall, LinkReply } from './frames.ts'
import { whyLost } from './lost.ts'
import { bindCall, here, wrapped, type Answer, type Stub } from './ref.ts'

/** What a lone call needs of its turn. */
export interface LoneCallPorts {
  send(method: string, args: unknown[] | undefined): { message: LinkCall; answer: Promise<LinkAnswer> }
  /** Takes up the session that the answer has opened. */
  adopt(message: LinkCall, reply: LinkReply): { session: ClientSession; stub: Stub; value: PromiseLike<unknown> }
  unawaited(error: DotdoError): void
}

/** See the head of this file for what it owns. */
export class LoneCall implements Answer {
  readonly isPromise = true
  /** Resolves when nothing is under way for it any more; never rejects. */
  readonly ended: Promise<unknown>
  #method: string
  #args: unknown[] | undefined
  #openSession: () => void
  #ports: LoneCallPorts
  #state: 'recorded' | 'sent' | 'joined' = 'recorded'
  /** What it is as a call of a session. */
  #joined: Answer | undefined
  /** Of a call that went natively: the session that its answer has opened, and its promise there. */
  #session: ClientSession | undefined
  #bound: Stub | undefined
  #waiting: Stub | undefined
  #settled = Promise.withResolvers<unknown>()
  #isAwaited = false
  #isDisposed = false
  #isHere = false

  constructor(method: string, args: unknown[] | undefined, openSession: () => void, ports: LoneCallPorts) {
    this.#method = method
    this.#args = args
    this.#openSession = openSession
    this.#ports = ports
    this.ended = this.#settled.promise.then(noop, noop)
  }

  /** The turn has a session after all: the call becomes its first. */
  join(session: ClientSession): void {
    this.#state = 'joined'
    this.#joined = bindCall(session, session.main, [this.#method], this.#args)
    // From here on the session sees to it that the message leaves and that a failure is told.
    this.#settled.resolve(this.#isAwaited ? this.#joined.value() : undefined)
    // It was let go of before it left: it is delivered, and what it gives goes with it.
    if (this.#isDisposed) this.#joined.dispose()
  }

  /** The turn is over and this was its only call. */
  leave(): void {
    if (this.#state !== 'recorded') return
    this.#state = 'sent'
    const { message, answer } = this.#ports.send(this.#method, this.#args)
    this.#args = undefined
    answer.then(
      (answered) => this.#take(message, answered),
      (error: unknown) => this.#fail(whyLost(error)),
    )
  }

  #take(message: LinkCall, answer: LinkAnswer): void {
    if ('value' in answer) {
      this.#isHere = true
      this.#settled.resolve(disposable(answer.value))
      return
    }
    const { session, stub, value } = this.#ports.adopt(message, answer.reply)
    this.#session = session
    this.#bound = stub
    if (this.#isDisposed) stub[Symbol.dispose]()
    value.then(
      (it) => {
        this.#isHere = true
        // Nobody has asked for it, and nobody will.
        if (this.#isDisposed && !this.#isAwaited) (it as Partial<Disposable> | undefined)?.[Symbol.dispose]?.()
        this.#settled.resolve(wrapped(session, it, this))
      },
      (error: unknown) => this.#fail(error),
    )
  }

  #fail(error: unknown): void {
    if (!this.#isAwaited)
      this.#ports.unawaited(
        new DotdoError(codeOf(error) ?? 'CALL_FAILED', error instanceof Error ? `${error.name}: ${error.message}` : String(error)),
      )
    this.#settled.reject(error)
  }

  get session(): ClientSession | undefined {
    return this.#joined ? this.#joined.session : this.#session
  }

  get isHere(): boolean {
    return this.#joined ? this.#joined.isHere : this.#isHere
  }

  /** Whether it has been asked for its value, and nothing has become of it yet. */
  get isWaitedFor(): boolean {
    return this.#isAwaited && this.#state === 'recorded'
  }

  value(): Promise<unknown> {
    this.#isAwaited = true
    return this.#joined ? this.#joined.value() : this.#settled.promise
  }

  stub(): Stub {
    if (this.#state === 'recorded') this.#openSession()
    if (this.#joined) return this.#joined.stub()
    if (this.#bound) return this.#bound
    // It went natively: what is called on its result waits here for the answer, and learns of a failure.
    this.#isAwaited = true
    this.#waiting ??= new RpcPromise(
      this.#settled.promise.then((value) => this.#bound?.dup() ?? value) as Promise<never>,
    ) as unknown as Stub
    return this.#waiting
  }

  carry(): Stub {
    if (this.#joined) return this.#joined.carry()
    return this.#isHere ? here(this.#settled.promise) : this.stub()
  }

  dispose(): void {
    this.#isDisposed = true
    if (this.#joined) this.#joined.dispose()
    else (this.#bound ?? this.#waiting)?.[Symbol.dispose]()
  }
}

function noop(): void {}

/** Results can be disposed, whichever way they came: capnweb hangs the same on what it delivers. */
function disposable(value: unknown): unknown {
  if (typeof value === 'object' && value !== null && !(Symbol.dispose in value))
    Object.defineProperty(value, Symbol.dispose, { value: noop, enumerable: false, configurable: true, writable: true })
  return value
}
