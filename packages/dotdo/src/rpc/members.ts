/**
 * Which members can be come to by a name from the wire: capnweb's rule, for all that reads a member without a session of capnweb's. Whoever
 * reads one by a name that somebody else has written asks here first.
 *
 * Of a capability these are the members of its class. What an instance has of its own is its state, also where that is a function; what every
 * object has (`constructor`, `toString`, `__proto__`) belongs to nobody's class. Of data they are its own parts.
 */
import { RpcStub, RpcTarget } from 'capnweb'
import { noFunction } from './lacking.ts'

/**
 * Whether a member of a capability can be reached.
 * @param of an `RpcTarget`, what stands for one, or a function, which has nothing but its own. No stub: what is behind that answers for itself
 */
export function isReachable(of: object, name: string): boolean {
  return !(name in Object.prototype) && Object.hasOwn(of, name) === (typeof of === 'function')
}

/** The same of any value that stands on the way to a capability: a stub answers for itself, data has its own parts, and all else has nothing. */
export function leadsOn(from: unknown, name: string): boolean {
  if (from instanceof RpcStub) return !(name in Object.prototype)
  if (from instanceof RpcTarget) return isReachable(from, name)
  return isData(from) && !(name in Object.prototype) && Object.hasOwn(from, name)
}

/**
 * Calls a member of a capability.
 * @throws `METHOD_UNKNOWN` for one that cannot be reached or is no method; what the method throws
 */
export function callMember(of: object, name: string, args: readonly unknown[]): unknown {
  const member = (of instanceof RpcStub ? leadsOn(of, name) : isReachable(of, name)) ? (of as Record<string, unknown>)[name] : undefined
  if (typeof member !== 'function') throw noFunction(name)
  return Reflect.apply(member, of, args) as unknown
}

/** Whether a name is a getter of a capability: those are read, and all others looked at, without anything being done. */
export function isGetter(of: object, name: string): boolean {
  for (let at: object | null = of; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertyDescriptor(at, name)
    if (found) return found.get !== undefined
  }
  return false
}

/** Asked anew at each step: a getter is read as often as capnweb reads it. */
function isData(value: unknown): value is object {
  return Array.isArray(value) || (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype)
}
