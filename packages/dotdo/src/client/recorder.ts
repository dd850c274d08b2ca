/**
 * What a user of a connection holds: references that record the calls of a turn, and send them when it ends.
 *
 * A chain of calls on one object whose intermediate results nobody else uses leaves as one unit, which can be sent again when the connection
 * breaks. Everything else leaves as plain calls of capnweb, in the order in which it was made.
 *
 * Owns the calls of the turn that have not left. Invariants:
 * 1. Calls on one object leave in the order in which they were made: a chain is one unit only where no other call on its object was made in
 *    between.
 * 2. A call leaves once; however often it is awaited, it is one call.
 * 3. A call that nobody awaits is delivered, and its failure is told to `onFailure`, never an unhandled rejection.
 */
import { RpcPromise } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { chainLinks, type ChainLink } from '../rpc/chain.ts'
import { recordable } from '../rpc/mapper.ts'
import { asLost, type AnyStub, type Connection } from './connection.ts'
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
  /** `undefined` of the origin itself. */
  name: string | undefined
  args: unknown[] | undefined
  chars: number
  /** Calls that were made on it. */
  users: number
  /** It is used in a way that needs a promise of its own. */
  isShared: boolean
  isAwaited: boolean
  /** Recorded in the turn, to be sent when it ends. */
  isRecorded: boolean
  /** Of one that has left: the promise that calls can be made on. */
  stub: (() => AnyStub) | undefined
  /** What the user awaits. */
  answer: PromiseWithResolvers<unknown> | undefined
  isPulled: boolean
}

/** Names that references keep for themselves, as capnweb's do, beside `map`. */
const ownNames = new Set(['dup', 'onRpcBroken'])
/** Symbols that anybody may ask an object for. Others are capnweb's own, which looks for its stub behind a value. */
const knownSymbols = new Set(Object.getOwnPropertyNames(Symbol).map((name) => (Symbol as unknown as Record<string, unknown>)[name]))

/** The calls of one connection; see the head of this file for what it owns. */
export class Recorder {
  #connection: Connection
  #ports: ClientPorts
  #isBatch: boolean
  #onFailure: ((error: unknown) => void) | undefined
  #turn: Step[] = []
  /** The newest call of the turn on each object. */
  #newest = new Map<string, Step>()
  /** Calls that have left at once, and have their answers asked for when the turn ends. */
  #left: Step[] = []
  #scheduled = false
  /** The steps behind references, which are proxies. */
  #steps = new WeakMap<object, Step>()

  constructor(
    connection: Connection,
    ports: ClientPorts,
    options: { isBatch: boolean; onFailure: ((error: unknown) => void) | undefined },
  ) {
    this.#connection = connection
    this.#ports = ports
    this.#isBatch = options.isBatch
    this.#onFailure = options.onFailure
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
          if (member === Symbol.dispose) return () => at.stub?.()[Symbol.dispose]?.()
          return isKnown(member) ? undefined : (Reflect.get(this.#share(at), member) as unknown)
        }
        if (member === 'then' || member === 'catch' || member === 'finally') {
          if (isRoot) return undefined
          return (...handlers: never[]) => (this.#await(at)[member] as (...handlers: never[]) => unknown)(...handlers)
        }
        if (member === 'map') return (mapper: (value: unknown) => unknown) => this.#share(at)['map']!(recordable(mapper))
        if (ownNames.has(member)) return (...args: unknown[]) => this.#share(at)[member]!(...args)
        if (member === 'toJSON') return undefined
        if (member in Object.prototype) return Reflect.get(RpcPromise.prototype, member) as unknown
        return this.#reference(step(at.origin, isRoot ? undefined : at, member))
      },
      has: (_, member) => typeof member === 'string' || !isKnown(member),
      // capnweb tells its stubs by their prototype.
      getPrototypeOf: () => RpcPromise.prototype,
      set: () => false,
      defineProperty: () => false,
      deleteProperty: () => false,
    })
    this.#steps.set(reference, at)
    return reference
  }

  /** Calls what a reference leads to: the member that it names, of what it was taken from. */
  #call(at: Step, args: unknown[]): object {
    const made = step(at.origin, at.on, at.name ?? '')
    const references: Step[] = []
    let foreign: unknown
    const taken = snapshot(args, (value) => {
      const behind = isObject(value) ? this.#steps.get(value) : undefined
      if (behind) references.push(behind)
      else foreign = value
    })
    if (taken) {
      made.args = taken.args
      made.chars = taken.chars
      this.#record(made)
      return this.#reference(made)
    }
    made.args = args
    for (const used of [...references, made.on]) share(used)
    this.#flush()
    this.#schedule()
    if (this.#isBatch && foreign !== undefined) this.#fail(made, notInBatch(made.name!))
    else this.#sendPlain(made)
    this.#left.push(made)
    return this.#reference(made)
  }

  /** The answer of what a reference leads to. */
  #await(at: Step): Promise<unknown> {
    at.isAwaited = true
    at.answer ??= Promise.withResolvers()
    if (at.stub) this.#pull(at)
    // A property that somebody reads.
    else if (!at.isRecorded) this.#record(at)
    return at.answer.promise
  }

  /** The stub of capnweb behind a reference, for whatever capnweb does with it. It leaves at once, and all that was recorded before it. */
  #share(at: Step): AnyStub {
    share(at)
    this.#flush()
    this.#schedule()
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
      this.#flush()
      for (const made of this.#left.splice(0)) if (made.users === 0) this.#pull(made)
      this.#connection.endOfTurn()
    })
  }

  /** Sends what was recorded so far. */
  #flush(): void {
    const turn = this.#turn
    this.#turn = []
    this.#newest = new Map()
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
  }

  #sendChain(made: Step, chain: Step[]): void {
    const { noun, name } = made.origin.object!
    const links = chain.map(({ name, args }): ChainLink => (args ? [name!, args] : [name!]))
    const isRead = links.every(([, args]) => args === undefined)
    const chars = chain.reduce((sum, { chars }) => sum + chars, 0)
    this.#try(made, () => {
      const call = this.#connection.call(noun, name, links, isRead, chars)
      made.stub = () => call.stub
      this.#settle(made, call.answer)
    })
  }

  #sendPlain(made: Step): void {
    this.#try(made, () => {
      const on = this.#stubOf(made.on, made.origin)
      const stub = made.args ? on[made.name!]!(...made.args) : on[made.name!]!
      made.stub = () => stub
      // What it carried is the session's now.
      made.args = undefined
    })
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
    this.#settle(made, Promise.reject(error))
    made.stub = () => {
      throw error
    }
  }

  #stubOf(at: Step | undefined, origin = at!.origin): AnyStub {
    if (at?.name === undefined) return this.#connection.root(origin.key, (app) => origin.take(app))
    if (!at.stub) this.#sendPlain(at)
    return at.stub!()
  }

  #pull(made: Step): void {
    // Asked for now: a promise around it would ask in a moment, when a batch has left.
    if (!made.isPulled) this.#settle(made, this.#connection.ask(made.stub!()))
  }

  #settle(made: Step, outcome: PromiseLike<unknown>): void {
    made.isPulled = true
    made.answer ??= Promise.withResolvers()
    made.answer.promise.catch(() => {})
    outcome.then(made.answer.resolve, (error: unknown) => {
      const reason = asLost(error)
      if (!made.isAwaited) this.#onFailure?.(reason)
      made.answer!.reject(reason)
    })
  }
}

const step = (origin: Origin, on: Step | undefined, name: string | undefined): Step => ({
  origin,
  on,
  name,
  args: undefined,
  chars: 0,
  users: 0,
  isShared: false,
  isAwaited: false,
  isRecorded: false,
  stub: undefined,
  answer: undefined,
  isPulled: false,
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

const isObject = (value: unknown): value is object => (typeof value === 'object' && value !== null) || typeof value === 'function'

const isKnown = (symbol: symbol): boolean => knownSymbols.has(symbol) || Symbol.keyFor(symbol) !== undefined

function notInBatch(method: string): DotdoError {
  return new DotdoError(
    'BATCH_ONE_WAY',
    `The arguments of ${method}() hold what a batch cannot carry: functions, stubs of other connections, streams. Connect with { transport: 'socket' }.`,
    { data: { method } },
  )
}
