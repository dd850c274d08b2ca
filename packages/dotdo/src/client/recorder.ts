/**
 * What a user of a connection holds: references that record the calls of a turn, and send them when it ends.
 *
 * A chain of calls on one object whose intermediate results nobody else uses in its turn leaves as one unit, which can be sent again when the
 * connection breaks. Everything else leaves as plain calls of capnweb, in the order in which it was made.
 *
 * Owns the calls of the turn that have not left. Invariants:
 * 1. Calls on one object leave in the order in which they were made: a chain is one unit only where no other call on its object was made in
 *    between.
 * 2. A call leaves once; however often it is awaited, it is one call. What stood in the middle of a unit is nowhere after it: used in a later turn
 *    it is refused with `REFERENCE_GONE`, and never made again.
 * 3. A call that nobody awaits is delivered, and its failure is told to `onFailure`, never an unhandled rejection.
 * 4. An answer that has come is passed on as the value that it is: its number at the server is given back by then.
 * 5. What is called while the function of a `.map` runs is written down by capnweb for the far end: nothing of it is recorded here.
 */
import { RpcPromise } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { named } from '../rpc/errors.ts'
import { chainLinks, type ChainLink } from '../rpc/chain.ts'
import { recordable } from '../rpc/mapper.ts'
import { asCoded, type AnyStub, type Connection } from './connection.ts'
import type { ClientPorts } from './ports.ts'
import { snapshot } from './snapshot.ts'

/** Where references start: an object of the app, or something that every app has. */
export interface Origin {
  /** Names what it leads to. */
  key: string
  /** Takes its stub from the app's. */
  take(app: AnyStub): AnyStub
  /** Of an object: calls on it may be sent again. */
  object?: { noun: string; name: string }
}

/** A call, or a property that was read, and what became of it. */
interface Step {
  origin: Origin
  /** What it was made on: `undefined` for the origin itself. */
  on: Step | undefined
  /** `undefined` of the origin itself, `null` where what it was made on is called itself. */
  name: string | null | undefined
  args?: unknown[]
  chars: number
  /** Calls that were made on it. */
  users: number
  /** It is used in a way that needs a promise of its own. */
  isShared?: boolean
  isAwaited?: true
  /** Recorded in the turn, to be sent when it ends. */
  isRecorded?: true
  /** Of one that has left: the promise that calls can be made on. */
  stub?: () => AnyStub
  /** What the user awaits. */
  answer?: PromiseWithResolvers<unknown>
  isPulled?: true
  /** What it was answered with. */
  outcome?: { value: unknown } | { error: unknown }
  /** Its user has let go of it: so is its answer, when it comes. */
  isDisposed?: true
}

/** The calls of one connection; see the head of this file for what it owns. */
export class Recorder {
  #connection: Connection
  #ports: ClientPorts
  #onFailure: ((error: unknown) => void) | undefined
  #turn: Step[] = []
  /** The newest call of the turn on each object. */
  #newest = new Map<string, Step>()
  /** Calls that have left at once, and have their answers asked for when the turn ends. */
  #left: Step[] = []
  #scheduled = false
  /** Functions of `.map` that run now, one within the other. */
  #mapping = 0
  /** The steps behind references, which are proxies. */
  #steps = new WeakMap<object, Step>()

  constructor(connection: Connection, ports: ClientPorts, onFailure: ((error: unknown) => void) | undefined) {
    this.#connection = connection
    this.#ports = ports
    this.#onFailure = onFailure
  }

  /** A reference that never wears out: used in a later turn, or after the connection broke, it leads there again. */
  root(origin: Origin): object {
    return this.#reference(step(origin, undefined, undefined))
  }

  #reference(at: Step): object {
    const isRoot = at.name === undefined
    const reference = new Proxy(() => {}, {
      apply: (_, __, args: unknown[]) => this.#call(at, args),
      get: (_, member) => {
        if (typeof member === 'symbol') {
          if (member === Symbol.dispose) return () => this.#dispose(at)
          return Reflect.get(isCapnwebs(member) ? this.#share(at) : RpcPromise.prototype, member) as unknown
        }
        if (/^(?:then|catch|finally)$/.test(member)) {
          if (isRoot) return undefined
          return (...handlers: never[]) => (this.#await(at)[member as 'then'] as (...handlers: never[]) => unknown)(...handlers)
        }
        if (member === 'map') return (mapper: (value: unknown) => unknown) => this.#map(at, mapper)
        // Names that references keep for themselves, as capnweb's do.
        if (member === 'dup' || member === 'onRpcBroken') return (...args: unknown[]) => this.#share(at)[member]!(...args)
        if (member === 'toJSON') return undefined
        if (member in Object.prototype) return Reflect.get(RpcPromise.prototype, member) as unknown
        return this.#reference(step(at.origin, isRoot ? undefined : at, member))
      },
      has: (_, member) => typeof member === 'string' || isCapnwebs(member),
      // capnweb tells its stubs by their prototype.
      getPrototypeOf: () => RpcPromise.prototype,
      defineProperty: refuseChange,
      deleteProperty: refuseChange,
    })
    this.#steps.set(reference, at)
    return reference
  }

  /** Calls what a reference leads to: the member that it names, of what it was taken from, or what a call gives. */
  #call(at: Step, args: unknown[]): object {
    const made = at.args ? step(at.origin, at, null) : step(at.origin, at.on, at.name ?? '')
    const references: Step[] = []
    let failed: { error: unknown } | undefined
    const taken = snapshot(args, (value) => {
      const behind = isObject(value) ? this.#steps.get(value) : undefined
      if (!behind) return undefined
      // Invariant 4.
      const outcome = outcomeOf(behind)
      if (!outcome) references.push(behind)
      else if ('value' in outcome) return outcome
      else failed ??= outcome
      return undefined
    })
    made.args = taken.args
    made.chars = taken.chars
    if (this.#mapping > 0) {
      if (failed) throw failed.error
      this.#make(made)
      return this.#reference(made)
    }
    // What is called on what a call gives has no name that a unit could say it by.
    if (taken.isPlain && made.name !== null) this.#record(made)
    else {
      for (const used of [...references, made.on]) share(used)
      this.#flush(references.length > 0)
      this.#schedule()
      if (failed) this.#fail(made, failed.error)
      else this.#sendPlain(made)
      this.#left.push(made)
    }
    return this.#reference(made)
  }

  /** Has `mapper` recorded, and its calls made at the far end for each element of what a reference leads to. */
  #map(at: Step, mapper: (value: unknown) => unknown): object {
    const made = step(at.origin, at, null)
    made.args = []
    // Any of them may be captured: as the promises that they are, beside the list.
    for (const it of this.#turn) it.isShared = true
    const stub = this.#share(at)
    // Invariant 5. What is not there yet would be written down as well.
    this.#connection.open()
    const mapped = stub['map']!(
      recordable((value) => {
        this.#mapping++
        try {
          return mapper(value)
        } catch (error) {
          throw asCoded(error)
        } finally {
          this.#mapping--
        }
      }),
    )
    made.stub = () => mapped
    if (this.#mapping === 0) this.#left.push(made)
    return this.#reference(made)
  }

  /** Lets go of the answer of a call: now, or when it comes. */
  #dispose(at: Step): void {
    // A property belongs to what it is read of, and a failure holds nothing.
    if (!at.args || (at.outcome && 'error' in at.outcome)) return
    if (at.stub && (at.outcome || (at.users > 0 && !at.isPulled))) at.stub()[Symbol.dispose]?.()
    else at.isDisposed = true
  }

  /** The answer of what a reference leads to. */
  #await(at: Step): Promise<unknown> {
    at.isAwaited = true
    const known = at.args || at.isRecorded ? undefined : outcomeOf(at)
    // What a capability has is asked for.
    if (known && 'value' in known && typeof known.value !== 'function') return Promise.resolve(known.value)
    at.answer ??= Promise.withResolvers()
    if (at.stub) this.#pull(at)
    // A property that somebody reads.
    else if (!at.isRecorded) this.#record(at)
    return at.answer.promise
  }

  /** The stub of capnweb behind a reference, for whatever capnweb does with it. It leaves at once, and all that was recorded before it. */
  #share(at: Step): AnyStub {
    if (this.#mapping === 0) {
      share(at)
      this.#flush(true)
      this.#schedule()
    }
    return this.#stubOf(at)
  }

  #record(made: Step): void {
    made.isRecorded = true
    const on = callOf(made.on)
    if (on) {
      on.users++
      // Invariant 1.
      if (this.#newest.get(made.origin.key) !== on) on.isShared = true
    }
    this.#newest.set(made.origin.key, made)
    this.#turn.push(made)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#ports.endOfTurn(() => {
      this.#scheduled = false
      this.#flush(false)
      for (const made of this.#left.splice(0)) if (made.users === 0) this.#pull(made)
      this.#connection.endOfTurn()
    })
  }

  /** Sends what was recorded so far. @param goesOn more may be called in this turn: on results in the middle of chains, too */
  #flush(goesOn: boolean): void {
    const turn = this.#turn
    this.#turn = []
    this.#newest = new Map()
    if (goesOn) for (const made of turn) made.isShared ||= made.users > 0
    for (const made of turn) {
      if (made.stub || isBetween(made)) continue
      const chain = made.users === 0 && !made.isShared ? chainOf(made) : undefined
      if (chain) this.#sendChain(made, chain)
      else {
        this.#sendPlain(made)
        if (made.users === 0) this.#pull(made)
      }
      if (made.isAwaited) this.#pull(made)
    }
    for (const made of turn) if (made.isDisposed) this.#dispose(made)
  }

  #sendChain(made: Step, chain: Step[]): void {
    const { noun, name } = made.origin.object!
    const links = chain.map(({ name, args }): ChainLink => (args ? [name!, args] : [name!]))
    const isRead = links.every(([, args]) => args === undefined)
    const chars = chain.reduce((sum, { chars }) => sum + chars, 0)
    this.#try(made, () => {
      const call = this.#connection.call(noun, name, links, isRead, chars)
      made.stub = () => call.stub
      this.#settle(made, call.settle.promise)
    })
    for (const between of chain) if (between !== made && between.args) leave(between, gone(between.name!))
  }

  #sendPlain(made: Step): void {
    this.#try(made, () => this.#make(made))
  }

  #make(made: Step): void {
    const on = this.#stubOf(made.on, made.origin)
    const member = made.name === null ? on : on[made.name!]!
    const stub = made.args ? member(...made.args) : member
    made.stub = () => stub
    // What it carried is the session's now.
    if (made.args) made.args = []
  }

  /** Where a call cannot even leave, it fails as one that did. */
  #try(made: Step, send: () => void): void {
    try {
      send()
    } catch (error) {
      this.#fail(made, error)
    }
  }

  #fail(made: Step, error: unknown): void {
    leave(made, { error })
    this.#settle(made, Promise.reject(error))
  }

  #stubOf(at: Step | undefined, origin = at!.origin): AnyStub {
    if (at?.name === undefined) return this.#connection.root(origin.key, (app) => origin.take(app), this.#mapping > 0)
    // A capability that has come has a number of its own; that of its call is given back.
    const outcome = outcomeOf(at)
    if (outcome && 'value' in outcome && typeof outcome.value === 'function') return outcome.value as AnyStub
    // The middle of a chain whose end is no unit.
    if (!at.stub && at.args) this.#sendPlain(at)
    // A property goes with what is said of it.
    return at.stub?.() ?? this.#stubOf(at.on, origin)[at.name!]!
  }

  #pull(made: Step): void {
    if (made.isPulled) return
    // Asked for now: a promise around it would ask in a moment, when a batch has left.
    this.#try(made, () => this.#settle(made, this.#connection.ask(made.stub!())))
  }

  #settle(made: Step, outcome: PromiseLike<unknown>): void {
    made.isPulled = true
    made.answer ??= Promise.withResolvers()
    made.answer.promise.catch(() => {})
    outcome.then(
      (came) => {
        const value = received(came)
        made.outcome = { value }
        made.answer!.resolve(value)
        if (made.isDisposed) made.stub!()[Symbol.dispose]?.()
      },
      (error: unknown) => {
        const reason = received(asCoded(error))
        made.outcome = { error: reason }
        if (!made.isAwaited) this.#onFailure?.(reason)
        made.answer!.reject(reason)
      },
    )
  }
}

/**
 * What came, with the names of its errors. Its streams, cut off by a connection that breaks, end with a code: capnweb ends them in words of its own.
 */
function received(value: unknown): unknown {
  if (value instanceof ReadableStream) {
    const source = value as ReadableStream<unknown>
    // Taken when somebody reads: a result that is let go of unread ends its stream.
    let reader: ReadableStreamDefaultReader<unknown> | undefined
    return new ReadableStream(
      {
        pull: (to) =>
          (reader ??= source.getReader()).read().then(
            ({ done, value }) => (done ? to.close() : to.enqueue(value)),
            (error) => to.error(received(asCoded(error))),
          ),
        cancel: (reason) => (reader ?? source).cancel(reason),
      },
      { highWaterMark: 0 },
    )
  }
  const parts = value as Record<string, unknown>
  if (Array.isArray(parts) || (parts as object | undefined)?.constructor === Object || (value instanceof Error && named(value)))
    // The errors that another gathers are not enumerable.
    for (const name of Object.getOwnPropertyNames(parts)) parts[name] = received(parts[name])
  return value
}

const step = (origin: Origin, on: Step | undefined, name: Step['name']): Step => ({
  origin,
  on,
  name,
  chars: 0,
  users: 0,
})

/** The call that a step was made on, over properties in between that nobody has read by themselves. */
function callOf(at: Step | undefined): Step | undefined {
  while (at && !at.isRecorded && !at.stub) at = at.on
  return at
}

/** Something needs a promise of this step, or of the call that it is read of. */
function share(used: Step | undefined): void {
  const call = callOf(used)
  for (const at of [used, call]) if (at) at.isShared = true
  if (call) call.users++
}

/** Whether a step only leads to the one call that was made on it. */
const isBetween = (made: Step): boolean => made.users === 1 && !made.isShared && !made.isAwaited && made.origin.object !== undefined

/** The steps from the object on, where they are one unit. */
function chainOf(made: Step): Step[] | undefined {
  if (!made.origin.object) return undefined
  const chain: Step[] = []
  for (let at: Step | undefined = made; at; at = at.on) {
    if (at.stub || (at !== made && at.isRecorded && !isBetween(at))) return undefined
    chain.unshift(at)
  }
  return chain.length <= chainLinks ? chain : undefined
}

const isObject = (value: unknown): value is object => Object(value) === value

/** Whether capnweb looks for its stub behind a value. Whatever else anybody asks a reference for by a symbol, it does not have. */
const isCapnwebs = ({ description }: symbol): boolean => description === 'realStub'

/** What has come of a step: of a property, where what it is read of has come. */
function outcomeOf(at: Step): Step['outcome'] {
  if (at.outcome || at.args || !at.on) return at.outcome
  const of = outcomeOf(at.on)
  if (!of || 'error' in of) return of
  const { value } = of
  // A capability answers for its own properties; what a value has not is `undefined`, as it is at the far end.
  const isThere = typeof value === 'function' || (isObject(value) && Object.hasOwn(value, at.name!))
  return { value: isThere ? (Reflect.get(value, at.name!) as unknown) : undefined }
}

function refuseChange(): never {
  throw new TypeError('Stubs cannot be assigned to: call a method.')
}

/** A step has left and came to nothing: whatever is done with it fails. */
function leave(made: Step, outcome: { readonly error: unknown }): void {
  made.outcome = outcome
  made.stub = () => {
    throw outcome.error
  }
}

/** The end of a call in the middle of a unit. Few are ever looked at. */
const gone = (method: string) => ({
  get error() {
    return new DotdoError('REFERENCE_GONE', `${method}() left with its chain of calls: await what is used in later turns.`, {
      data: { method },
    })
  },
})
