/** What a frame calls or reads, and on which reference: a call that a step makes on what a call has given is asked of the object, and is one on that. */
import { onceOfMethod } from './conversation.ts'
import type { Frame } from './frames.ts'

/** A part of a path: properties by their names, elements of lists by their places. */
export type Name = string | number

/** A call, or a read where there are no `args`. */
export interface PushedCall {
  /** The reference that it is made on: what a number stands for, and the way from there. */
  on: { id: number; path: readonly Name[] }
  /** The frame's own words: what is called is at the end of `path` from number `id`. */
  id: number
  path: Name[]
  args: unknown[] | undefined
}

/**
 * The call, or the read, that a frame makes on what a call has given.
 * @returns `undefined` for one on the object itself, for a copy, which is no read, and for every other frame
 */
export function callIn([kind, expression]: Frame): PushedCall | undefined {
  if (kind !== 'push' || !Array.isArray(expression)) return undefined
  const [what, id, path, args] = expression as [unknown, unknown, unknown?, unknown[]?]
  if (what !== 'pipeline' || typeof id !== 'number' || !Array.isArray(path)) return undefined
  if (id === 0) return path[0] === onceOfMethod && path.length === 1 && Array.isArray(args) ? callOfStep(args) : undefined
  if (path.length === 0 && !args) return undefined
  return path.every(isName) ? { on: { id, path: path.slice(0, -1) }, id, path, args } : undefined
}

/** `dotdo:onceOf`: what it is made on stands before its names, and the method, which is `null` where that is called itself, before the arguments. */
function callOfStep(args: unknown[]): PushedCall | undefined {
  const on = referenceIn(args[0]) ?? referenceIn(partOf(args[0], args[5]))
  return on && { on, id: 0, path: [onceOfMethod], args }
}

/** What capnweb's expression of a capability or of a promise names. */
function referenceIn(expression: unknown): PushedCall['on'] | undefined {
  if (!Array.isArray(expression)) return undefined
  const [what, id, path = []] = expression as unknown[]
  if ((what !== 'import' && what !== 'pipeline') || typeof id !== 'number' || id === 0) return undefined
  return Array.isArray(path) && path.every(isName) ? { id, path } : undefined
}

/** A function that stands in data which has come: that is then what is said. A list is said in a list. */
function partOf(data: unknown, name: unknown): unknown {
  const parts: unknown = Array.isArray(data) ? data[0] : data
  return typeof name === 'string' && typeof parts === 'object' && parts !== null && Object.hasOwn(parts, name)
    ? (parts as Record<string, unknown>)[name]
    : undefined
}

const isName = (name: unknown): name is Name => typeof name === 'string' || typeof name === 'number'
