/** How much a value takes when it is written down, roughly, and without writing it. */

/** What a number, a date or the frame of a list counts as. */
const smallChars = 8

/**
 * Characters that a value would take as text: a lower bound, within a small factor for plain data. Stops as soon as `enough` is passed, so that
 * a value of any size costs no more than that.
 */
export function weigh(value: unknown, enough: number): number {
  if (typeof value !== 'object' || value === null)
    return typeof value === 'string' ? value.length : typeof value === 'bigint' ? smallChars * 2 : smallChars / 2
  const flat = weighFlat(value)
  if (flat >= 0) return flat
  let total = 0
  const seen = new Set<object>()
  const add = (part: unknown): void => {
    if (total > enough) return
    if (typeof part === 'string') total += part.length
    else if (ArrayBuffer.isView(part)) total += part.byteLength
    else if (part instanceof ArrayBuffer) total += part.byteLength
    else if (typeof part !== 'object' || part === null) total += typeof part === 'bigint' ? smallChars * 2 : smallChars / 2
    else if (!seen.has(part)) {
      seen.add(part)
      total += 2
      if (Array.isArray(part) || part instanceof Set) for (const each of part as Iterable<unknown>) add(each)
      else if (part instanceof Map) for (const pair of part) pair.forEach(add)
      else if (part instanceof Date) total += smallChars
      // Of anything else only what is data: a capability may lead to half the object.
      else if (part instanceof Error) total += part.message.length
      else if ([Object.prototype, null].includes(Object.getPrototypeOf(part) as object | null))
        for (const key in part) {
          total += key.length
          add((part as Record<string, unknown>)[key])
        }
    }
  }
  add(value)
  return total
}

/** The same for a list in which nothing stands that has parts, as the arguments of most calls are; -1 for anything else. */
function weighFlat(value: object): number {
  if (!Array.isArray(value) || value.length > mostFlat) return -1
  let total = 2
  for (const part of value as unknown[]) {
    if (typeof part === 'string') total += part.length
    else if (typeof part === 'number' || typeof part === 'boolean') total += smallChars / 2
    else return -1
  }
  return total
}

/** Longer lists are weighed with care not to pass what is enough. */
const mostFlat = 16
