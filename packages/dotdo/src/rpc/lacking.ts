/**
 * What is told of a member that a value has not: capnweb answers a call with a `TypeError` that does not say what there is, and a read with `undefined`.
 *
 * An object or a capability that is asked for a member that it has not, by a call or by a read, refuses with `METHOD_UNKNOWN`. So does whatever is called
 * and is no function. What data has not is `undefined` when it is read, as in JavaScript. Names that begin with `_` are private to every class.
 */
import { RpcStub, RpcTarget } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { hasParts } from './changed-parts.ts'
import { isPublicName, methodUnknown } from './reach.ts'

/** The first capability on a path through data that is here, and the place in the path of the member that it is asked for. */
export function firstOnPath(value: unknown, path: readonly (string | number)[]): { target: RpcTarget; at: number } | undefined {
  for (let at = 0; at < path.length; at++) {
    // A stub answers for itself.
    if (value instanceof RpcStub) return undefined
    if (value instanceof RpcTarget) return { target: value, at }
    if (!hasParts(value) || !Object.hasOwn(value, path[at]!)) return undefined
    value = value[path[at]!]
  }
  return undefined
}

/**
 * What a path through data that is here asks of a list, a text or bytes there, and capnweb does not find: how long it is, and a character of a text. `undefined` for
 * all else.
 */
export function ofListOnPath(value: unknown, path: readonly (string | number)[]): unknown {
  const name = path.at(-1)
  for (const part of path.slice(0, -1)) {
    if (!hasParts(value) || !Object.hasOwn(value, part)) return undefined
    value = value[part]
  }
  if (name === 'length' && (typeof value === 'string' || Array.isArray(value) || value instanceof Uint8Array)) return value.length
  return typeof name === 'number' && typeof value === 'string' ? value[name] : undefined
}

/**
 * The place of the first private member on the way from a capability; `undefined` where there is none. What it gives on the way may be data, whose names are
 * nobody's secret: that is for whoever goes on from there.
 */
export function privateOnPath(
  first: { target: RpcTarget; at: number } | undefined,
  path: readonly (string | number)[],
): number | undefined {
  const place = first ? path.findIndex((name, at) => at >= first.at && typeof name === 'string' && name.startsWith('_')) : -1
  // What is not there at all is told of as such.
  return place < 0 || (place === first!.at && !(path[place]! in first!.target)) ? undefined : place
}

/** What stands before another capability has this: it tells itself which public names that one has not, because `in` finds none of them. */
export const standsBefore: unique symbol = Symbol('stands before')

/** Whether a capability on a path has not the member that it is asked for, as far as can be seen without reading it. */
export function isLacking({ target, at }: { target: RpcTarget; at: number }, path: readonly (string | number)[]): boolean {
  const name = path[at]!
  return !(name in target) && !(standsBefore in target && isPublicName(String(name)))
}

/** The error for a member that a capability has not, or keeps to itself. */
export function lacks(target: RpcTarget, name: string): DotdoError {
  const methods = new Set<string>()
  for (
    let at = Object.getPrototypeOf(target) as object;
    at !== RpcTarget.prototype && at !== null;
    at = Object.getPrototypeOf(at) as object
  )
    for (const own of Object.getOwnPropertyNames(at)) if (isPublicName(own)) methods.add(own)
  return methodUnknown(target.constructor.name || 'The capability', name, { methods: [...methods], getters: [] })
}

/** capnweb's refusal of a call of what is no function, with a code; `undefined` for any other error. */
export function notCallable(error: unknown): DotdoError | undefined {
  const name = error instanceof TypeError && /^'(.{0,200})' is not a function\.$/s.exec(error.message)?.[1]
  return typeof name === 'string' ? noFunction(name, error) : undefined
}

/** The error for a call of what is no function. @param name with those before it, where it is a part of data */
export function noFunction(name: string, cause?: unknown): DotdoError {
  const last = name.slice(name.lastIndexOf('.') + 1)
  const advice = ofLists.has(last)
    ? `Lists and texts have no methods from afar, but for .map() of lists: await the value and call ${last}() on that, or let a method of the object do it.`
    : 'Read it without a call, or call a method that is there.'
  return new DotdoError('METHOD_UNKNOWN', `'${name}' is not a function. ${advice}`, { data: { method: name }, cause })
}

/** What lists and texts can do where they are. */
const ofLists = new Set([...Object.getOwnPropertyNames(Array.prototype), ...Object.getOwnPropertyNames(String.prototype)])
