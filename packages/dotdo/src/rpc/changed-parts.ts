/**
 * A list or plain object with its parts changed: a copy where one of them is another than it was, and the value itself where none is. What is given is
 * never written to, because it is the program's own; any other value is given back as it is. How deep parts are changed is for `change` to say.
 */
export function withParts(value: unknown, change: (part: unknown) => unknown): unknown {
  if (!hasParts(value)) return value
  let copy: Record<string, unknown> | undefined
  for (const key in value) {
    const part = value[key]
    const changed = change(part)
    if (changed !== part)
      (copy ??= (Array.isArray(value) ? [...(value as unknown[])] : { ...value }) as Record<string, unknown>)[key] = changed
  }
  return copy ?? value
}

/** Whether a value is a list or an object of nobody's class. */
export function hasParts(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value) as unknown
  return prototype === Object.prototype || prototype === Array.prototype
}
