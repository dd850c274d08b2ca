/**
 * Arguments that are here already, in the place of the references that stand for them; and promises of the program's own as capnweb's, which travel.
 *
 * capnweb makes a promise of every reference to a result, and a call that is given a promise is made when that is kept: after calls that were written
 * later. What has come is given as what it is, so that its call keeps its place.
 */
import { RpcPromise, RpcStub } from 'capnweb'
import { hasParts, withParts } from './changed-parts.ts'
import { rawOf, type Hook } from './passing-on.ts'

/** What a reference stands for, where that is here: at the end of this path from this value. */
export interface Come {
  value: unknown
  path: readonly (string | number)[]
}

/** By which value a promise of capnweb's was kept; `undefined` while it is not, and where it failed. */
export function comeBy(promise: unknown): { value: unknown } | undefined {
  for (let hook: Hook | undefined = rawOf(promise).hook; hook; hook = hook.entry?.resolution ?? hook.resolution)
    if (hook.payload) return { value: hook.payload.value }
  return undefined
}

/**
 * The same arguments with values in the places of references, and promises of capnweb's in those of JavaScript's. What is not here, or holds anything that is more than data and capabilities, stays as it is.
 * @param look what one of dotdo's references stands for: `undefined` where that is not here, `null` for what is none or leads to an object
 * @returns `args` itself where nothing is replaced
 */
export function settledArgs(args: unknown[], look: (value: unknown) => Come | undefined | null): unknown[] {
  return replaced(args, look, 0) as unknown[]
}

/** As deep as capnweb copies. A circle ends here too, and is refused by that. */
const deepest = 64

type Look = Parameters<typeof settledArgs>[1]

function replaced(value: unknown, look: Look, depth: number): unknown {
  if (typeof value === 'function') {
    const come = value instanceof RpcStub ? look(value) : null
    const found = come ? followed(come) : undefined
    return found && isSendable(found.value, look, depth) ? replaced(found.value, look, depth + 1) : value
  }
  if (value instanceof Promise) return new RpcPromise(value as Promise<never>)
  return depth > deepest ? value : withParts(value, (part) => replaced(part, look, depth + 1))
}

/** Whether a value that came is data and capabilities that are still held, through and through. */
function isSendable(value: unknown, look: Look, depth: number): boolean {
  if (typeof value === 'function') {
    if (!(value instanceof RpcStub)) return false
    const come = look(value)
    if (come === null) return true
    const found = come && followed(come)
    if (found) return isSendable(found.value, look, depth + 1)
    return !(value instanceof RpcPromise) && isHeld(value)
  }
  if (typeof value !== 'object' || value === null) return typeof value !== 'symbol'
  if (depth > deepest) return false
  if (hasParts(value)) return Object.values(value).every((part) => isSendable(part, look, depth + 1))
  return (
    value instanceof Date || ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof Error || value instanceof URL
  )
}

/** What a path leads to; `undefined` for what is not there, or is found by asking. */
export function followed({ value, path }: Come): { value: unknown } | undefined {
  for (const name of path) {
    if (typeof value !== 'object' || value === null || name in Object.prototype) return undefined
    const isThere = hasParts(value) && (Array.isArray(value) ? /^(?:0|[1-9]\d{0,14})$/.test(String(name)) : Object.hasOwn(value, name))
    if (!isThere) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return { value }
}

/** Whether a stub was not let go of. */
function isHeld(stub: unknown): boolean {
  const { entry, target, payload } = rawOf(stub).hook
  return entry !== undefined || target !== undefined || payload !== undefined
}
