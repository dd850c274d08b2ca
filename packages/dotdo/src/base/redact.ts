/**
 * The one home of what nobody is to read: tokens, because whoever reads one holds what it stands for, and the texts that code has declared by
 * `secret()`. Every text that leaves the code for a person (a log, an error's message, a preview, a live event) goes through here first.
 */
import { anySecrets, shownOf, withoutSecrets } from './secret-texts.ts'

/** What is said in a token's place. It names the kind of secret, so that a reader knows what stood there. */
export const redacted = 'dotdo1.(redacted)'

/**
 * A token from its mark on, whole or cut anywhere: a preview is cut at a length, and half a signature is half a secret. The mark alone (in
 * documentation, say) stays.
 */
const tokens = /dotdo1\.[\w-]+(?:\.[\w-]*)?/g

/** How deep and how wide data is looked through. What lies beyond is replaced as a whole: what was not looked at is not shown. */
const maxDepth = 16
const maxValues = 10_000

/** The text without the tokens and the secrets that stand in it. */
export function redactText(text: string): string {
  // Nearly every text has none, and this is asked of each preview.
  const clean = text.includes('dotdo1.') ? text.replace(tokens, redacted) : text
  return anySecrets() ? withoutSecrets(clean) : clean
}

/**
 * The same data without the tokens and the secrets that stand in its texts and keys. What has none is given back as it is, not copied. Looks through plain
 * objects and arrays, to a depth of 16 and 10,000 values; what lies beyond becomes `'(not shown)'`.
 */
export function redactData<T>(data: T): T {
  return walk(data, 0, { left: maxValues }) as T
}

function walk(value: unknown, depth: number, budget: { left: number }): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value !== 'object' || value === null) return value
  const shown = shownOf(value)
  if (shown !== undefined) return shown
  const isList = Array.isArray(value)
  if (!isList && !isPlain(value)) return value
  if (depth >= maxDepth || budget.left <= 0) return '(not shown)'
  const entries = isList ? value.entries() : Object.entries(value)
  let copy: Record<string, unknown> | unknown[] | undefined
  for (const [key, member] of entries) {
    budget.left--
    const clean = walk(member, depth + 1, budget)
    const cleanKey = typeof key === 'string' ? redactText(key) : key
    if (clean === member && cleanKey === key) continue
    copy ??= isList ? [...(value as unknown[])] : { ...value }
    if (cleanKey !== key) delete (copy as Record<string, unknown>)[key]
    Object.defineProperty(copy, cleanKey, { value: clean, enumerable: true, writable: true, configurable: true })
  }
  return copy ?? value
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
