/**
 * Values that hold a part of theirs in many places.
 *
 * A structured clone keeps such a part once. On the wire of capnweb each place gets its own, and so a list of two that are a list of two that are …, thirty
 * deep, is a thousand million parts: whoever writes it down is gone. So a value is looked at before: where its parts, each counted at every place, cannot
 * fit into one message, it is refused by the limit that no message may pass, whichever way it would have gone.
 */
import { defaultLinkLimits, overLimit } from './limits.ts'

/** With fewer parts than this nothing is weighed: what they cost is little, and nearly all values have fewer. */
export const manyParts = 250_000

/** As deep as capnweb writes. What is deeper, a circle too, is refused by that in its own words. */
const deepest = 256

/**
 * Refuses a value that is more than one message, where each of its parts is written at every place.
 * @throws `LINK_LIMIT` that names `messageBytes`
 */
export function refuseOverweight(value: unknown): void {
  if (typeof value !== 'object' || value === null || !hasMany(value, { count: 0 }, 0)) return
  const bound = defaultLinkLimits.messageBytes
  const bytes = weighed(value, new Map(), 0)
  if (bytes > bound) throw overLimit('messageBytes', bytes, bound)
}

/** Whether there are more than a few: stops as soon as there are. */
function hasMany(value: unknown, seen: { count: number }, depth: number): boolean {
  if (typeof value !== 'object' || value === null || depth > deepest) return ++seen.count > manyParts
  if (++seen.count > manyParts) return true
  if (Array.isArray(value)) return value.some((part) => hasMany(part, seen, depth + 1))
  if (Object.getPrototypeOf(value) !== Object.prototype) return false
  for (const key in value) if (hasMany((value as Record<string, unknown>)[key], seen, depth + 1)) return true
  return false
}

/** Bytes that a value takes at least, in any encoding. Each object is looked into once, so that this takes as long as the value is large. */
function weighed(value: unknown, known: Map<object, number>, depth: number): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null || depth > deepest) return 1
  const before = known.get(value)
  if (before !== undefined) return before
  // A circle ends here; that it is one, capnweb says.
  known.set(value, 1)
  let bytes = 2
  if (Array.isArray(value)) for (const part of value as unknown[]) bytes += weighed(part, known, depth + 1)
  else if (ArrayBuffer.isView(value)) bytes += value.byteLength
  else if (Object.getPrototypeOf(value) === Object.prototype)
    for (const key in value) bytes += key.length + weighed((value as Record<string, unknown>)[key], known, depth + 1)
  known.set(value, bytes)
  return bytes
}
