/**
 * A capability that does less than the one it stands before.
 *
 * A {@link Restricted} owns nothing but its guards. Invariants:
 * 1. A call runs only when every guard has admitted it, and no guard counts a call that another one refuses.
 * 2. Narrowing only narrows: guards are added and never taken away, and the capability behind is not reachable by any name.
 * 3. What a call answers with is as mortal as the capability: where that can expire or be revoked, capabilities in the answer end with it.
 *    A stub of another object that is narrowed, or stands in such an answer, is checked at each call made on it; what that object answers
 *    with is its own.
 */
import { RpcPromise, RpcStub, RpcTarget } from 'capnweb'
import { isThenable } from '../base/thenable.ts'
import { codeOf, type DotdoError } from '../base/errors.ts'
import { guardOf, readCaveats, type Guard, type ReadCaveats, type UseCounter } from './caveats.ts'
import { withParts } from './changed-parts.ts'
import { lacks, standsBefore } from './lacking.ts'
import { callMember, isGetter, isReachable } from './members.ts'
import { invalid } from './patterns.ts'
import { isPublicName } from './reach.ts'
import { capabilityBehindStub } from './shortcuts.ts'

/** What narrowing needs of its surroundings. */
export interface NarrowPorts {
  now(): number
  /** Counts uses. The same key counts together, so that a reference that is narrowed anew in each turn has its uses once. */
  counter(uses: number, key: string | undefined): UseCounter
}

/** What narrowed capabilities answer to beside the names of what they narrow. */
export const narrowName = 'dotdo:narrow'

/**
 * The guard of caveats that somebody else wrote.
 * @param of what is narrowed, where names that it has not are to be refused
 * @throws `INVALID_CAVEAT`
 */
export function readGuard(caveats: unknown, ports: NarrowPorts, key?: string, of?: unknown): Guard {
  const read = readCaveats(caveats, ports.now())
  requireMembers(of, read)
  return guardFrom(read, ports, key)
}

/** The guard of caveats that were read. */
export function guardFrom(read: ReadCaveats, ports: NarrowPorts, key?: string): Guard {
  return guardOf(read, () => ports.now(), read.uses === undefined ? undefined : ports.counter(read.uses, key))
}

/** A counter that lives as long as whoever holds it. */
export function countedHere(uses: number): UseCounter {
  let left = uses
  return { left: () => left, take: () => void left-- }
}

/**
 * Narrows a capability of this isolate: an `RpcTarget`, a stub, or a function.
 * @param owned whether the capability behind ends when the narrowed one is disposed of
 * @throws `INVALID_CAVEAT` for what is no capability, and for a function with caveats that speak of names
 */
export function restrict(cap: unknown, guard: Guard, ports: NarrowPorts, owned = false): RpcTarget | ((...args: unknown[]) => unknown) {
  // What is here is called as it is, and not by its stub: what a call of it gives is seen here, and ends with the narrowed one (invariant 3).
  const target = capabilityBehindStub(cap) ?? cap
  const held = owned ? (cap as Partial<Disposable>) : undefined
  if (target instanceof Restricted) return Restricted.more(target, guard, held)
  if (target instanceof RpcTarget || isStub(target)) return new Restricted(target, [guard], ports, held)
  if (typeof target === 'function') return restrictFunction(target as (...args: unknown[]) => unknown, guard, ports, held)
  throw invalid(
    'what is narrowed',
    `is no capability but ${cap === null ? 'null' : `a ${typeof cap}`}: an RpcTarget, a stub or a function can be`,
  )
}

/**
 * Refuses names that a capability has not, which nobody could ever call: whoever narrows it is told at once. Not asked of what was stored: that may name what
 * a later release has no more.
 * @param cap what is elsewhere is not looked at: it tells by itself
 * @throws `INVALID_CAVEAT`
 */
export function requireMembers(cap: unknown, { only = [], where = {} }: ReadCaveats): void {
  const here = capabilityBehindStub(cap) ?? cap
  const target = here instanceof Restricted ? Restricted.behind(here) : here
  if (!(target instanceof RpcTarget) || isStub(target) || standsBefore in target) return
  for (const [caveat, names] of [['only', only] as const, ['where', Object.keys(where)] as const]) {
    for (const name of names) {
      const lacking = lackingIn(target, name)
      if (!lacking) continue
      const { noun, known } = lacking.data as { noun: string; known: string[] }
      throw invalid(caveat, `names ${JSON.stringify(name)}, which ${noun} has not; it has ${known.join(', ') || 'none'}`)
    }
  }
}

/** What is told of a name that a capability has not; `undefined` for one that it has. */
function lackingIn(target: RpcTarget, name: string): DotdoError | undefined {
  if (name in target) return isReachable(target, name) ? undefined : lacks(target, name)
  try {
    // No getter is there to be read: what answers now has its members in a way of its own, and says itself which.
    return Reflect.get(target, name) === undefined ? lacks(target, name) : undefined
  } catch (error) {
    if (codeOf(error) === 'METHOD_UNKNOWN') return error as DotdoError
    throw error
  }
}

/** Whether a capability only stands before one that lives elsewhere. */
export function leadsAway(cap: unknown): boolean {
  return cap instanceof Restricted && isStub(Restricted.behind(cap))
}

/** Whether a value is a capability: something that crosses a link as a reference. */
export function isCapability(value: unknown): boolean {
  return value instanceof RpcTarget || isStub(value) || typeof value === 'function'
}

function isStub(value: unknown): value is object {
  return value instanceof RpcStub
}

function restrictFunction(
  fn: (...args: unknown[]) => unknown,
  guard: Guard,
  ports: NarrowPorts,
  held: Partial<Disposable> | undefined,
): (...args: unknown[]) => unknown {
  if (guard.named) throw invalid('only and where', 'speak of methods, and what is narrowed is a function: until and uses hold for one')
  const restricted = (...args: unknown[]): unknown => {
    guard.check('', args)
    guard.take()
    const result = during([guard], () => fn(...args))
    return guard.ends ? through(result, mortal([guard]), ports) : result
  }
  return held ? Object.assign(restricted, { [Symbol.dispose]: () => held[Symbol.dispose]?.() }) : restricted
}

/** The capability of invariants 1 to 3. */
class Restricted extends RpcTarget {
  readonly #target: object
  readonly #guards: readonly Guard[]
  readonly #ports: NarrowPorts
  /** What ends with this one. */
  readonly #held: Partial<Disposable> | undefined

  constructor(target: object, guards: readonly Guard[], ports: NarrowPorts, held: Partial<Disposable> | undefined) {
    super()
    this.#target = target
    this.#guards = guards
    this.#ports = ports
    this.#held = held
  }

  /** Guards of one capability are kept in one list: invariant 1 holds for all of them together. */
  static more(cap: Restricted, guard: Guard, held: Partial<Disposable> | undefined): Restricted {
    return new Restricted(cap.#target, [...cap.#guards, guard], cap.#ports, held)
  }

  /** What it stands before. */
  static behind(cap: Restricted): object {
    return cap.#target
  }

  /** What a peer gets of a name: capnweb asks once for each call or read. */
  static member(cap: Restricted, name: string): unknown {
    if (name === narrowName)
      return (caveats: unknown, key?: unknown) =>
        Restricted.more(cap, readGuard(caveats, cap.#ports, typeof key === 'string' ? key : undefined, cap), undefined)
    const target = cap.#target as Record<string, unknown>
    if (!isStub(target) && !isReachable(target, name)) return undefined
    // What is not there is no use.
    const lacking = isStub(target) ? undefined : lackingIn(target as RpcTarget, name)
    if (lacking) {
      for (const guard of cap.#guards) guard.check(name, undefined)
      throw lacking
    }
    const isMethod = isStub(target)
      ? cap.#guards.some((guard) => guard.looksAt(name))
      : !isGetter(target, name) && typeof target[name] === 'function'
    // Of a stub nobody can tell a method from a getter; where arguments do not matter, both are asked for in the same way.
    if (!isMethod) {
      let read: unknown
      const given = cap.#admit(name, isStub(target) ? undefined : [], () => (read = target[name]))
      // capnweb takes promises of its own alone as what a getter gives.
      return read instanceof RpcPromise && given instanceof Promise ? new RpcPromise(given) : given
    }
    return (...args: unknown[]) => cap.#admit(name, args, () => callMember(target, name, args))
  }

  #admit(name: string, args: readonly unknown[] | undefined, work: () => unknown): unknown {
    for (const guard of this.#guards) guard.check(name, args)
    for (const guard of this.#guards) guard.take()
    const result = during(this.#guards, work)
    const ending = args && this.#guards.filter((guard) => guard.ends)
    return ending && ending.length > 0 ? through(result, mortal(ending), this.#ports) : result
  }

  get [standsBefore](): true {
    return true
  }

  [Symbol.dispose](): void {
    this.#held?.[Symbol.dispose]?.()
  }
}

/** Makes a call that guards have admitted, and tells them when it has ended. What it gives is given as it is. */
function during(guards: readonly Guard[], work: () => unknown): unknown {
  const leaves = guards.flatMap((guard) => (guard.enter ? [guard.enter()] : []))
  if (leaves.length === 0) return work()
  const leave = () => {
    for (const it of leaves) it()
  }
  let result: unknown
  try {
    result = work()
  } catch (error) {
    leave()
    throw error
  }
  if (isThenable(result)) result.then(leave, leave)
  else leave()
  return result
}

const members = new Proxy(Object.create(RpcTarget.prototype) as object, {
  get(base, property, receiver) {
    if (typeof property === 'string' && receiver instanceof Restricted && (property === narrowName || isPublicName(property)))
      return Restricted.member(receiver, property)
    return Reflect.get(base, property, receiver) as unknown
  },
})
Object.setPrototypeOf(Restricted.prototype, members)

/** A guard that admits everything for as long as these do. */
function mortal(guards: readonly Guard[]): Guard {
  const alive = () => {
    for (const guard of guards) guard.alive()
  }
  return { named: false, ends: true, alive, looksAt: () => false, check: alive, take: () => {} }
}

/** The answer of a call with each capability in it made mortal. Plain data is copied where something in it changes, and never written to. */
function through(value: unknown, guard: Guard, ports: NarrowPorts, seen = new Map<object, unknown>()): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return value
  if (isThenable(value)) return value.then((it) => through(it, guard, ports))
  if (isCapability(value)) return restrict(value, guard, ports, true)
  if (seen.has(value)) return seen.get(value)
  seen.set(value, value)
  const changed = withParts(value, (part) => through(part, guard, ports, seen))
  seen.set(value, changed)
  return changed
}
