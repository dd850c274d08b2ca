import type { Frame } from './frames.ts'

/**
 * Which of the calls `candidates` some frame refers to, as the start of a chain or as an argument. Expressions are capnweb's: a reference is
 * `['pipeline' | 'import' | 'remap', id, …]`, and an array of the user stands in an array of its own.
 */
export function referredCalls(frames: Frame[], candidates: number[]): Set<number> {
  const open = new Set(candidates)
  const found = new Set<number>()
  const refer = (id: unknown) => {
    if (open.delete(id as number)) found.add(id as number)
  }
  const look = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || open.size === 0) return
    if (Array.isArray(value)) {
      const [kind, id] = value as unknown[]
      if (typeof kind === 'string' && typeof id === 'number') {
        if (kind === 'pipeline' || kind === 'import' || kind === 'remap') refer(id)
        for (const part of value.slice(2) as unknown[]) look(part)
      } else {
        for (const part of value as unknown[]) look(part)
      }
    } else if (Object.getPrototypeOf(value) === Object.prototype) {
      for (const key in value) look((value as Record<string, unknown>)[key])
    }
  }
  // Heads first: most references are chains, and an argument may be megabytes.
  for (const [kind, expression] of frames) if (kind === 'push' && Array.isArray(expression)) refer(expression[1])
  for (const [kind, expression, chunk] of frames) {
    if (open.size === 0) break
    if (kind === 'push') look(expression)
    else if (kind === 'lane-chunk') look(chunk)
  }
  return found
}
