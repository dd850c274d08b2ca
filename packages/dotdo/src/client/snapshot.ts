/** Arguments as they are at the moment of a call: the caller may change them before the turn ends, and long before a call is sent again. */

/** What {@link snapshot} took. */
export interface Snapshot {
  /** The copy. What is not plain stands in it as it is. */
  args: unknown[]
  /** Whether all of it is plain data. */
  isPlain: boolean
  /** Characters that it takes on the wire, roughly. */
  chars: number
}

/**
 * Copies arguments that are plain data: what JSON has, `undefined`, big integers, dates and bytes. Where anything else is among them (a function, a
 * stub, a stream) the call is made at once, and is never sent twice.
 *
 * @param meet told of each thing that is no plain data; may give a value that goes in its place
 */
export function snapshot(args: unknown[], meet: (value: unknown) => { value: unknown } | undefined): Snapshot {
  let chars = 0
  let isPlain = true
  const copy = (value: unknown, depth: number): unknown => {
    chars += 8
    if (typeof value === 'string') chars += value.length
    if (Object(value) !== value && typeof value !== 'symbol') return value
    const prototype: unknown = typeof value === 'object' && Object.getPrototypeOf(value)
    // Deeper values are left to capnweb, which refuses them, and circles with them.
    if (depth < 64) {
      if (prototype === Array.prototype) return (value as unknown[]).map((part) => copy(part, depth + 1))
      if (prototype === Object.prototype) {
        const made: Record<string, unknown> = {}
        for (const key in value as object) {
          chars += key.length
          // `__proto__` as a key would set the copy's own.
          if (key === '__proto__') isPlain = false
          else made[key] = copy((value as Record<string, unknown>)[key], depth + 1)
        }
        return made
      }
      if (prototype === Date.prototype) return new Date(value as Date)
      if (prototype === Uint8Array.prototype) {
        chars += (value as Uint8Array).length * 1.4
        return (value as Uint8Array).slice()
      }
    }
    const instead = meet(value)
    if (instead) return copy(instead.value, depth + 1)
    isPlain = false
    return value
  }
  return { args: args.map((arg) => copy(arg, 0)), isPlain, chars }
}
