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
import { insideOfStub } from '../rpc/inside-of-stub.ts'
import { isMapping, saidBeforeMaps } from '../rpc/mapper.ts'
import { asCoded, type AnyStub, type Connection, type ObjectAt } from './connection.ts'
import type { ClientPorts } from './ports.ts'
import { snapshot } from './snapshot.ts'

/** Where references start: an object of the app, or something that every app has. */
export interface Origin {
  /** Names what it leads to. */
  key: string
  /** Takes its stub from the app's. */
  take(app: AnyStub): AnyStub
  /** Of an object: calls on it may be sent again. */
  object?: ObjectAt | undefined
  /** What its reference has itself, and does not ask for. */
  own?: Record<string | symbol, unknown>
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

/**
 * The calls of one connection; see the head of this file for what it owns.
 * @returns makes references that never wear out: used in a later turn, or after the connection broke, one leads there again
 */
export function recorder(
  connection: Connection,
  ports: ClientPorts,
  onFailure: ((error: unknown) => void) | undefined,
): (origin: Origin) => object {
  let turn: Step[] = []
  /** The newest call of the turn on each object. */
  let newest = new Map<string, Step>()
  /** Calls that have left at once, and have their answers asked for when the turn ends. */
  const left: Step[] = []
  let scheduled = false
  /** The steps behind references, which are proxies. */
  const steps = new WeakMap<object, Step>()

  return (origin) => referenceTo(step(origin, undefined, undefined))

  function referenceTo(at: Step): object {
    const isRoot = at.name === undefined
    const reference = new Proxy(() => {}, {
      apply: (_, __, args: unknown[]) => call(at, args),
      get: (_, member) => {
        const isCommon = member in Object.prototype
        const own = isRoot && !isCommon && at.origin.own?.[member]
        if (own) return own
        if (member === insideOfStub) return stubNow(at)[member]
        if (member === Symbol.dispose) return () => dispose(at)
        if (isCommon || typeof member === 'symbol') return (RpcPromise.prototype as unknown as AnyStub)[member]
        if (member === 'toJSON') return undefined
        if (member === 'map') return (mapper: (value: unknown) => unknown) => map(at, mapper)
        if (member in Promise.prototype) {
          if (isRoot) return undefined
          return (...handlers: never[]) => (answerOf(at)[member as 'then'] as (...handlers: never[]) => unknown)(...handlers)
        }
        // Names that references keep for themselves, as capnweb's do.
        if (member in RpcPromise.prototype) return (...args: unknown[]) => stubNow(at)[member]!(...args)
        return referenceTo(step(at.origin, isRoot ? undefined : at, member))
      },
      has: (_, member) => typeof member === 'string' || member === insideOfStub,
      // capnweb tells its stubs by their prototype.
      getPrototypeOf: () => RpcPromise.prototype,
      defineProperty: refuseChange,
      deleteProperty: refuseChange,
    })
    steps.set(reference, at)
    return reference
  }

  /** Calls what a reference leads to: the member that it names, of what it was taken from, or what a call gives. */
  function call(at: Step, args: unknown[]): object {
    const made = at.args ? step(at.origin, at, null) : step(at.origin, at.on, at.name ?? '')
    const references: Step[] = []
    const given = asTheyAre(args, references)
    made.args = given.args
    made.chars = given.chars
    if (isMapping()) {
      make(made)
      return referenceTo(made)
    }
    // What is called on what a call gives has no name that a unit could say it by.
    if (given.isPlain && made.name !== null) record(made)
    else {
      for (const used of [...references, made.on]) share(used)
      flush(references.length > 0)
      schedule()
      if (given.failed) fail(made, given.failed.error)
      else sendPlain(made)
      left.push(made)
    }
    return referenceTo(made)
  }

  /**
   * Values as they are now, with what has come in the places of references: invariant 4.
   * @param references gets those of what has not come
   */
  function asTheyAre(values: unknown[], references: Step[]) {
    let failed: { error: unknown } | undefined
    const taken = snapshot(values, (value) => {
      const behind = steps.get(value as object)
      const outcome = behind && outcomeOf(behind)
      if (outcome && 'value' in outcome) return outcome
      if (outcome) failed ??= outcome
      else if (behind) references.push(behind)
      return undefined
    })
    if (failed && isMapping()) throw failed.error
    return { ...taken, failed }
  }

  /** Has `mapper` recorded, and its calls made at the far end for each element of what a reference leads to. */
  function map(at: Step, mapper: (value: unknown) => unknown): object {
    const made = step(at.origin, at, null)
    made.args = []
    share(at)
    sayAll()
    // What is not there yet would be written down as well.
    connection.open()
    const mapped = stubNow(at)['map']!((value: unknown) => asTheyAre([mapper(value)], []).args[0])
    made.stub = () => mapped
    if (!isMapping()) left.push(made)
    return referenceTo(made)
  }

  /** Lets go of the answer of a call: now, or when it comes. */
  function dispose(at: Step): void {
    // A property belongs to what it is read of, and a failure holds nothing.
    if (!at.args || (at.outcome && 'error' in at.outcome)) return
    if (at.stub && (at.outcome || (at.users > 0 && !at.isPulled))) at.stub()[Symbol.dispose]?.()
    else at.isDisposed = true
  }

  /** The answer of what a reference leads to. */
  function answerOf(at: Step): Promise<unknown> {
    at.isAwaited = true
    const known = at.args || at.isRecorded ? undefined : outcomeOf(at)
    // What a capability has is asked for.
    if (known && 'value' in known && typeof known.value !== 'function') return Promise.resolve(known.value)
    at.answer ??= Promise.withResolvers()
    if (at.stub) pull(at)
    // A property that somebody reads.
    else if (!at.isRecorded) record(at)
    return at.answer.promise
  }

  /** The stub of capnweb behind a reference, for whatever capnweb does with it. It leaves at once, and all that was recorded before it. */
  function stubNow(at: Step): AnyStub {
    share(at)
    flush(true)
    schedule()
    return stubOf(at)
  }

  function record(made: Step): void {
    made.isRecorded = true
    const on = callOf(made.on)
    if (on) {
      on.users++
      // Invariant 1.
      on.isShared ||= newest.get(made.origin.key) !== on
    }
    newest.set(made.origin.key, made)
    turn.push(made)
    schedule()
  }

  /** Before the function of a `.map` runs: invariant 5. Any call may be captured, as the promise that it is, beside the list. */
  function sayAll(): void {
    for (const it of turn) it.isShared = true
    flush(true)
  }

  function schedule(): void {
    if (scheduled) return
    scheduled = true
    saidBeforeMaps.add(sayAll)
    ports.endOfTurn(() => {
      scheduled = false
      saidBeforeMaps.delete(sayAll)
      flush(false)
      for (const made of left.splice(0)) if (made.users === 0) pull(made)
      connection.endOfTurn()
    })
  }

  /** Sends what was recorded so far. @param goesOn more may be called in this turn: on results in the middle of chains, too */
  function flush(goesOn: boolean): void {
    const leaving = turn
    turn = []
    newest = new Map()
    if (goesOn) for (const made of leaving) made.isShared ||= made.users > 0
    for (const made of leaving) {
      if (made.stub || isBetween(made)) continue
      const chain = made.users === 0 && !made.isShared ? chainOf(made) : undefined
      if (chain) sendChain(made, chain)
      else sendPlain(made)
      if (made.isAwaited || made.users === 0) pull(made)
    }
    for (const made of leaving) if (made.isDisposed) dispose(made)
  }

  function sendChain(made: Step, chain: Step[]): void {
    const links = chain.map(({ name, args }): ChainLink => (args ? [name!, args] : [name!]))
    const chars = chain.reduce((sum, { chars }) => sum + chars, 0)
    attempt(made, () => {
      const call = connection.call(made.origin.object!, links, chars)
      made.stub = () => call.stub
      settle(made, call.settle.promise)
    })
    for (const between of chain.slice(0, -1)) if (between.args) leave(between, gone(between.name!))
  }

  function sendPlain(made: Step): void {
    attempt(made, () => make(made))
  }

  function make(made: Step): void {
    const on = stubOf(made.on, made.origin)
    const member = made.name === null ? on : on[made.name!]!
    const stub = made.args ? member(...made.args) : member
    made.stub = () => stub
    // What it carried is the session's now.
    if (made.args) made.args = []
  }

  /** Where a call cannot even leave, it fails as one that did. */
  function attempt(made: Step, send: () => void): void {
    try {
      send()
    } catch (error) {
      fail(made, error)
    }
  }

  function fail(made: Step, error: unknown): void {
    leave(made, { error })
    // A moment later: its user has not had the time to await it.
    settle(
      made,
      Promise.resolve().then(() => {
        throw error
      }),
    )
  }

  function stubOf(at: Step | undefined, origin = at!.origin): AnyStub {
    if (at?.name === undefined) return connection.root(origin.key, (app) => origin.take(app), isMapping())
    // A capability that has come has a number of its own; that of its call is given back.
    const outcome = outcomeOf(at)
    if (outcome && 'value' in outcome && typeof outcome.value === 'function') return outcome.value as AnyStub
    // The middle of a chain whose end is no unit.
    if (!at.stub && at.args) sendPlain(at)
    // A property goes with what is said of it.
    return at.stub?.() ?? stubOf(at.on, origin)[at.name!]!
  }

  function pull(made: Step): void {
    if (made.isPulled) return
    // Asked for now: a promise around it would ask in a moment, when a batch has left.
    attempt(made, () => settle(made, connection.ask(made.stub!())))
  }

  function settle(made: Step, outcome: PromiseLike<unknown>): void {
    made.isPulled = true
    made.answer ??= Promise.withResolvers()
    made.answer.promise.catch(() => {})
    outcome.then(
      (came) => {
        const value = received(came)
        made.outcome = { value }
        made.answer!.resolve(value)
        if (made.isDisposed) dispose(made)
      },
      (error: unknown) => {
        const reason = received(asCoded(error))
        made.outcome = { error: reason }
        if (!made.isAwaited) onFailure?.(reason)
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
  if (used) used.isShared = true
  if (call) {
    call.isShared = true
    call.users++
  }
}

/** Whether a step only leads to the one call that was made on it. */
const isBetween = (made: Step): unknown => made.users === 1 && !made.isShared && !made.isAwaited && made.origin.object

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

/** What has come of a step: of a property, where what it is read of has come. */
function outcomeOf(at: Step): Step['outcome'] {
  if (at.outcome || at.args || !at.on) return at.outcome
  const of = outcomeOf(at.on)
  if (!of || 'error' in of) return of
  const { value } = of
  // A capability answers for its own properties; what a value has not is `undefined`, as it is at the far end.
  // Texts have a length, too.
  const parts = Object(value) as Record<string, unknown>
  const isThere = typeof value === 'function' || at.name === 'length' || Object.hasOwn(parts, at.name!)
  return { value: isThere ? parts[at.name!] : undefined }
}

function refuseChange(): never {
  throw new TypeError('Stubs cannot be assigned to.')
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
    return new DotdoError('REFERENCE_GONE', `${method}() left with its chain. Await what is used later.`, {
      data: { method },
    })
  },
})
