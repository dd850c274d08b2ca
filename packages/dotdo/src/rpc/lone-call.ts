/**
 * A call that may go without a session: its arguments are plain, and nothing in its turn has needed it yet.
 *
 * Owns what becomes of it: recorded, then either joined to a session or sent as one native call. Invariants:
 * 1. It is carried once, by one of the two.
 * 2. Its answer is there for everybody who asks, whenever they ask; a failure that nobody had asked for when it came is told.
 * 3. What was called on it while it was under way is called before anybody gets the answer, and so before what is called on that.
 */
import type { DotdoError } from '../base/errors.ts'
import type { ClientSession } from './client-session.ts'
import { onceMethod } from './conversation.ts'
import { asGone } from './errors.ts'
import type { DirectCall } from './frames.ts'
import { unawaited } from './lost.ts'
import { rawOf } from './passing-on.ts'
import { bindCall, captured, here, wrapped, type Answer, type Objects, type Stub } from './ref.ts'
import { comeBy } from './settled-args.ts'
import { step } from './steps.ts'

/** What a lone call needs of its turn. */
export interface LoneCallPorts {
  /** Gives the turn a session: the call becomes one of its. */
  openSession(): void
  unawaited(error: DotdoError): void
}

/** See the head of this file for what it owns. */
export class LoneCall implements Answer {
  made?: Answer['made']
  named?: string
  readonly isPromise = true
  readonly #call: DirectCall
  #ports: LoneCallPorts
  #state: 'recorded' | 'sent' | 'joined' = 'recorded'
  /** What it is as a call of a session. */
  #joined: Answer | undefined
  /** Of a call that went natively: the session that its answer has opened, and its promise there. */
  #session: ClientSession | undefined
  #bound: Stub | undefined
  /** What was called on it while it was under way waits in this; and how many steps of promises longer. */
  #waiting: Stub | undefined
  #stepsLeft = 0
  /** Its answer, as its user gets it; and as those calls get it that wait for it, where there are any. */
  #settled = Promise.withResolvers<unknown>()
  #arrived: PromiseWithResolvers<unknown> | undefined
  #objects: Objects | undefined
  #isAwaited = false
  #isDisposed = false
  /** Its value, once that is here. */
  #came: { value: unknown } | undefined
  /** The same before capnweb says so: a capability has one reference, which lets go of it when it is forgotten. */
  #early: { value: unknown } | undefined
  #hasFailed = false

  constructor(call: DirectCall, ports: LoneCallPorts) {
    this.#call = call
    this.#ports = ports
  }

  /** Resolves when nothing is under way for it any more; never rejects. */
  ended(): Promise<unknown> {
    return this.#settled.promise.then(noop, noop)
  }

  /** The turn has a session after all: the call becomes its first. */
  join(session: ClientSession): void {
    this.#state = 'joined'
    this.#joined = bindCall(session, session.main, [this.#call.method], this.#call.args, true)
    // From here on the session sees to it that the message leaves and that a failure is told.
    if (this.#isAwaited) this.#joined.value().then(this.#settled.resolve, (error: unknown) => this.#reject(error))
    // It was let go of before it left: it is delivered, and what it gives goes with it.
    if (this.#isDisposed) this.#joined.dispose()
  }

  /** The turn is over: it goes without a session. */
  leave(): DirectCall {
    this.#state = 'sent'
    return this.#call
  }

  /** Its plain value has come. */
  answered(value: unknown): void {
    this.#came = { value: disposable(value) }
    this.#settle(value)
  }

  /** It is a call of the session that the answer has opened. */
  adopted(session: ClientSession, stub: Stub, value: PromiseLike<unknown>): void {
    this.#session = session
    this.#bound = stub
    if (this.#isDisposed) stub[Symbol.dispose]()
    value.then(
      (it) => {
        this.#came = this.#early ?? { value: wrapped(session, it, this) }
        // Nobody has asked for it, and nobody will.
        if (this.#isDisposed && !this.#isAwaited) (it as Partial<Disposable> | undefined)?.[Symbol.dispose]?.()
        this.#settle(this.#came.value)
      },
      (error: unknown) => this.#fail(asGone(error)),
    )
  }

  /** Its message did not come back. Whether nobody has asked for it: the link tells of those. */
  lost(error: unknown): boolean {
    this.#reject(error)
    return !this.#isAwaited
  }

  #settle(value: unknown): void {
    if (this.#waiting) void this.#settleBehindCalls(value)
    else this.#settled.resolve(value)
  }

  async #settleBehindCalls(value: unknown): Promise<void> {
    this.#arrived?.resolve(value)
    // capnweb makes the calls that wait some steps of promises after it has the answer.
    while (this.#stepsLeft-- > 0) await step
    this.#waiting = undefined
    this.#settled.resolve(value)
  }

  /** A failure that nobody waits for has been told already. */
  #reject(error: unknown): void {
    this.#hasFailed = true
    this.#arrived?.reject(error)
    this.#settled.promise.catch(noop)
    this.#settled.reject(error)
  }

  #fail(error: unknown): void {
    if (!this.#isAwaited) this.#ports.unawaited(unawaited(error))
    this.#reject(error)
  }

  get session(): ClientSession | undefined {
    return this.#joined ? this.#joined.session : this.#session
  }

  /** What is called while others wait stands behind them. */
  get objects(): Objects | undefined {
    return this.#joined ? this.#joined.objects : this.#waiting ? undefined : this.#objects
  }
  set objects(objects: Objects | undefined) {
    this.#objects = objects
  }

  get sent(): readonly unknown[] | undefined {
    const { method, args } = this.#call
    return method === onceMethod ? (args!.at(-1) as unknown[]) : args
  }

  get isHere(): boolean {
    return this.#joined ? this.#joined.isHere : this.came !== undefined || this.#hasFailed
  }

  get came(): { value: unknown } | undefined {
    if (this.#joined) return this.#joined.came
    // capnweb knows it some steps of promises before it says so, and has forgotten the call's number by then.
    const come = this.#came || !this.#bound ? undefined : comeBy(this.#bound)
    return come ? (this.#early ??= { value: wrapped(this.#session!, come.value, this) }) : this.#came
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
    if (this.#state === 'recorded') this.#ports.openSession()
    if (this.#joined) return this.#joined.stub()
    if (this.#bound && !this.#waiting) return captured(this.#bound)
    // It went natively: what is called on its result waits here for the answer, and learns of a failure.
    this.#isAwaited = true
    this.#stepsLeft = stepsToCall
    this.#waiting ??= this.#waitFor()
    return this.#waiting
  }

  arrival(): Promise<unknown> | undefined {
    this.stub()
    // In the same line as what capnweb makes then.
    return this.#waiting && rawOf(this.#waiting).hook.promise
  }

  #waitFor(): Stub {
    // What has come already, or never will, is what it is.
    const answer = this.#came || this.#hasFailed ? this.#settled : (this.#arrived = Promise.withResolvers())
    return here(answer.promise)
  }

  carry(): Stub {
    if (this.#joined) return this.#joined.carry()
    return this.isHere ? here(this.#settled.promise) : this.stub()
  }

  dispose(): void {
    this.#isDisposed = true
    if (this.#joined) this.#joined.dispose()
    else (this.#bound ?? this.#waiting)?.[Symbol.dispose]()
  }
}

/** Steps of promises, at most, until capnweb has made the calls that waited for an answer: 8 were seen. */
const stepsToCall = 32

function noop(): void {}

/** Results can be disposed, whichever way they came: capnweb hangs the same on what it delivers. */
function disposable(value: unknown): unknown {
  if (typeof value === 'object' && value !== null && !(Symbol.dispose in value))
    Object.defineProperty(value, Symbol.dispose, { value: noop, enumerable: false, configurable: true, writable: true })
  return value
}
