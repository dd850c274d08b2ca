import { DotdoError } from '../base/errors.ts'
import type { Frame } from './frames.ts'
import { copyPlain, isBulk, notPlain } from './plain.ts'
import { refuseOverweight } from './shared-parts.ts'

/**
 * Makes a frame its own: bytes and dates in it are copied, in place.
 *
 * A frame leaves when its turn ends, and capnweb hands bytes and dates over as the very objects of the user, who may write to them in
 * between: a buffer that is filled anew for each call would arrive with the last filling every time. And a view of a few bytes would
 * bring the whole of its buffer along, because that is what a structured clone of a view holds: bytes that are none of the receiver's
 * business. Everything else of a frame has been built by capnweb for this frame alone.
 *
 * Bulk may be lent instead: it stays the user's, and the frame has to leave before the user's code goes on.
 *
 * @throws `NOT_SENDABLE` for bytes that are gone; an answer with such is a failed answer instead
 * @param lent takes the bulk that was not copied; absent where everything is
 * @param frame as capnweb's encoding `structuredClonable` gives it: bytes are `['bytes', view, …]`, a user's list is a list in a list
 */
export function ownBytes(frame: Frame, lent?: Set<ArrayBufferLike>): Frame {
  try {
    own(frame, lent)
    return frame
  } catch (error) {
    // A frame that cannot be sent is the end of its session. An answer need not be: its call alone fails.
    if (frame[0] !== 'resolve') throw error
    const { name, message, code, retryable, data } = error as DotdoError
    return ['reject', frame[1], ['error', name, message, null, { code, retryable, data }]]
  }
}

/**
 * A value that is sent later: bytes, dates, lists and records in it are copied now, and whatever else stands beside them is what it is. What is too deep
 * is left as it is, to be refused.
 * @throws `LINK_LIMIT` for what no message can hold
 */
export function ownParts<T>(value: T): T {
  refuseOverweight(value)
  const own = copiedParts(value, 0)
  return own === tooDeep ? value : (own as T)
}

/** Messages that are being taken in, in this isolate, of which what one call gives another may write to before it is said. */
let crowds = 0

/** Such a message is being taken in, until the result is called. */
export function crowd(): () => void {
  crowds++
  return () => void crowds--
}

/** On a method of the framework: what it gives is nobody else's, so it is not copied. */
export const givesItsOwn: unique symbol = Symbol('gives its own')

/**
 * What a call has given, as it was then: capnweb looks at it only when it was asked for, and after the other calls of its message have begun; one of them
 * may write to it. Capabilities and streams in it are what they are. Bulk is copied where other calls may run before it is looked at, because that costs as
 * much as sending it: beside others, and where it comes later, because others may wait for its call to end.
 */
export function asGiven(value: unknown, copyBulk = crowds > 0): unknown {
  if (value instanceof Promise && Object.getPrototypeOf(value) === Promise.prototype) return value.then((it) => asGiven(it, true))
  try {
    const plain = copyPlain(value, true, copyBulk)
    if (plain !== notPlain) return plain
    return copyBulk ? ownParts(value) : value
  } catch {
    // A getter that throws, or parts without end: capnweb says so.
    return value
  }
}

/** As deep as capnweb copies. */
const deepest = 64
const tooDeep = Symbol('too deep')

function copiedParts(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth > deepest) return tooDeep
  if (value instanceof Date) return new Date(value)
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    const buffer = value instanceof ArrayBuffer ? value : value.buffer
    if (!(buffer instanceof ArrayBuffer) || buffer.detached || value instanceof DataView) return value
    return (value as Uint8Array).slice()
  }
  const prototype = Object.getPrototypeOf(value) as unknown
  if (prototype !== Object.prototype && prototype !== Array.prototype) return value
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...value }) as Record<string, unknown>
  for (const key in copy) {
    const part = copiedParts(copy[key], depth + 1)
    if (part === tooDeep) return tooDeep
    copy[key] = part
  }
  return copy
}

function own(value: unknown, lent: Set<ArrayBufferLike> | undefined): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    const parts = value as unknown[]
    // A copy of exactly these bytes. A Buffer becomes what it arrives as.
    if (parts[0] === 'bytes' && parts[1] instanceof Uint8Array) parts[1] = owned(parts[1], lent)
    else for (let i = 0; i < parts.length; i++) parts[i] = own(parts[i], lent)
    return value
  }
  if (value instanceof Date) return new Date(value)
  // A user's key `__proto__` became the prototype when capnweb copied the object. No key of that name ever arrives, and workerd refuses the
  // whole message for an object whose prototype is its own.
  if (Object.getPrototypeOf(value) !== Object.prototype) Object.setPrototypeOf(value, Object.prototype)
  const object = value as Record<string, unknown>
  for (const key in object) {
    const part = object[key]
    if (typeof part === 'object' && part !== null) object[key] = own(part, lent)
  }
  return value
}

/** A second view of one buffer is copied: at the receiver the two would be one. */
function owned(bytes: Uint8Array, lent: Set<ArrayBufferLike> | undefined): Uint8Array {
  if (!lent || !isBulk(bytes) || lent.has(bytes.buffer)) return copyOf(bytes)
  lent.add(bytes.buffer)
  return bytes
}

function copyOf(bytes: Uint8Array): Uint8Array {
  if ((bytes.buffer as ArrayBuffer).detached)
    throw new DotdoError(
      'NOT_SENDABLE',
      'Bytes of a call were given away before it: their buffer was transferred to a stream or another thread. Pass a copy: bytes.slice().',
    )
  return new Uint8Array(bytes)
}
