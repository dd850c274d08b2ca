/**
 * Plain data: the values for which a raw native call and a capnweb session are the same. Exactly these may take the direct path; whatever
 * else is asked of capnweb, so that both accept and refuse the same.
 */

import { manyParts, refuseOverweight } from './shared-parts.ts'

/** What {@link copyPlain} answers for a value that is not plain. */
export const notPlain: unique symbol = Symbol('not plain')

/**
 * Bytes of one array, from this size on, are not copied for the moment between their call and the end of its turn: the call leaves at once, in a
 * message of its own, while they are what they are. A message more costs less than a copy of so many.
 */
export const bulkBytes = 1024 * 1024

/** Whether bytes are so many that their call leaves at once. A view of a part would take the whole buffer along, and one that can grow may shrink. */
export function isBulk(bytes: Uint8Array): boolean {
  const { buffer, byteLength } = bytes
  return byteLength >= bulkBytes && buffer instanceof ArrayBuffer && !buffer.resizable && byteLength === buffer.byteLength
}

/** Deeper values go by a session: its own limit is the one that holds, and cycles end here. */
const maxDepth = 64

/**
 * Copies a value that is plain: primitives, `Date`, `Uint8Array`, lists without holes, and objects whose prototype is `Object.prototype`. Two
 * places that share one object get two copies, as every other link gives them.
 *
 * @param copyBytes whether bytes are copied too: for arguments, which the caller may change before its turn has ended. Bulk is not plain then:
 * a session takes it over at once
 * @param copyBulk whether bulk is plain all the same, and copied: for results, beside which other calls run
 * @returns the copy, or {@link notPlain}
 * @throws `LINK_LIMIT` for one that no message can hold, because parts of it stand in many places
 */
export function copyPlain(value: unknown, copyBytes: boolean, copyBulk = false): unknown {
  // What most results are.
  if (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol') return value
  return copy(value, { copyBytes, copyBulk, bytes: [], parts: 0, whole: value }, 0)
}

interface Copying {
  copyBytes: boolean
  copyBulk: boolean
  /** Byte arrays that the copy refers to already: a second one is copied, because a native call would keep the two one. */
  bytes: Uint8Array[]
  /** Values of any kind that were copied so far. */
  parts: number
  whole: unknown
}

function copy(value: unknown, state: Copying, depth: number): unknown {
  if (++state.parts === manyParts) refuseOverweight(state.whole)
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'undefined':
    case 'bigint':
      return value
    case 'object':
      break
    default:
      return notPlain
  }
  if (value === null) return null
  if (depth >= maxDepth) return notPlain
  const prototype = Object.getPrototypeOf(value) as unknown
  if (prototype === Object.prototype) return copyObject(value as Record<string, unknown>, state, depth)
  if (prototype === Array.prototype) return copyList(value as unknown[], state, depth)
  if (prototype === Uint8Array.prototype) return copyOfBytes(value as Uint8Array, state)
  if (prototype === Date.prototype) return new Date(Number(value as Date))
  return notPlain
}

function copyObject(object: Record<string, unknown>, state: Copying, depth: number): unknown {
  const result: Record<string, unknown> = {}
  for (const key in object) {
    // capnweb drops these at the receiver.
    if (key in Object.prototype || key === 'toJSON') return notPlain
    const part = copy(object[key], state, depth + 1)
    if (part === notPlain) return notPlain
    result[key] = part
  }
  return result
}

function copyList(list: unknown[], state: Copying, depth: number): unknown {
  const result: unknown[] = []
  for (let i = 0; i < list.length; i++) {
    const part = copy(list[i], state, depth + 1)
    if (part === notPlain || (part === undefined && !(i in list))) return notPlain
    result.push(part)
  }
  return result
}

function copyOfBytes(bytes: Uint8Array, state: Copying): unknown {
  // Shared memory, and bytes that were given away: a session says what is wrong with them.
  if (!(bytes.buffer instanceof ArrayBuffer) || bytes.buffer.detached) return notPlain
  // A view of a part would take the whole buffer along.
  if (state.copyBytes && !state.copyBulk && isBulk(bytes)) return notPlain
  const isWhole = bytes.byteLength === bytes.buffer.byteLength
  if (!state.copyBytes && isWhole && !state.bytes.some((seen) => seen.buffer === bytes.buffer)) {
    state.bytes.push(bytes)
    return bytes
  }
  return bytes.slice()
}
