import { decodeValue } from '../base/codec.ts'
import { redactText } from '../base/redact.ts'
import type { ValuePreview } from '../base/views.ts'
import { cutAt, utf8Length } from './pieces.ts'

/** Previews are cut at this many characters. */
export const previewChars = 2048

/** Of a long text so much is looked through for what nobody is to read, before it is cut: half a secret is no longer known as one. */
const lookedAt = 64 * 1024

/** The preview of a value from its encoded text, which must be short (see `inlineChars`): only what JSON cannot hold is decoded. */
export function previewInline(encoded: string): ValuePreview {
  const text = encoded[0] === 'j' ? cut(encoded.slice(1)) : printBounded(decodeValue(encoded))
  return { text, sizeBytes: utf8Length(encoded) - 1 }
}

/**
 * A value as JSON-like text of at most {@link previewChars} characters. Work and memory are bounded by that length, not by the value:
 * printing stops when the text is full, and every level and element costs at least one character.
 */
export function printBounded(value: unknown): string {
  const out = { text: '', full: false }
  print(value, out, [])
  return cut(out.text)
}

interface Output {
  text: string
  full: boolean
}

function put(out: Output, text: string): void {
  out.text += text
  out.full ||= out.text.length > previewChars
}

/** Writes `value`; `above` are the objects it stands in, by which cycles are seen. */
function print(value: unknown, out: Output, above: object[]): void {
  if (out.full) return
  if (typeof value === 'string')
    return put(out, JSON.stringify(value.length > previewChars ? redactText(value.slice(0, lookedAt)).slice(0, previewChars + 1) : value))
  if (typeof value === 'bigint') return put(out, `${value}n`)
  // A stub is one, too, and has no text: what is asked of it would be a call.
  if (typeof value === 'function') return put(out, '(function)')
  if (typeof value !== 'object' || value === null) return put(out, Object.is(value, -0) ? '-0' : String(value))
  if (above.includes(value)) return put(out, '(circular)')
  const inside = [...above, value]
  if (value instanceof Date) return put(out, Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString())
  if (value instanceof Error) return put(out, `${value.name}: ${value.message.slice(0, previewChars)}`)
  if (value instanceof RegExp) return put(out, String(value))
  if (ArrayBuffer.isView(value)) return put(out, `${value.constructor.name}(${value.byteLength} bytes)`)
  if (value instanceof ArrayBuffer) return put(out, `ArrayBuffer(${value.byteLength} bytes)`)
  if (Array.isArray(value)) return printAll(value, '[', ']', out, (it) => print(it, out, inside))
  if (value instanceof Set) return printAll(value, 'Set {', '}', out, (it) => print(it, out, inside))
  if (value instanceof Map) {
    return printAll(value, 'Map {', '}', out, ([key, it]: [unknown, unknown]) => {
      print(key, out, inside)
      put(out, ' => ')
      print(it, out, inside)
    })
  }
  printAll(ownKeys(value), '{', '}', out, (key) => {
    put(out, `${JSON.stringify(key)}:`)
    print((value as Record<string, unknown>)[key], out, inside)
  })
}

/** The keys that are the object's own, one by one: printing stops where the text is full. */
function* ownKeys(value: object): Generator<string, void, undefined> {
  for (const key in value) if (Object.hasOwn(value, key)) yield key
}

function printAll<T>(items: Iterable<T>, open: string, close: string, out: Output, each: (item: T) => void): void {
  put(out, open)
  let first = true
  for (const item of items) {
    if (out.full) return
    if (!first) put(out, ',')
    first = false
    each(item)
  }
  put(out, close)
}

/** Tokens are taken out before the text is cut: what a cut leaves of one is no longer known as one. */
function cut(whole: string): string {
  const text = redactText(whole)
  return text.length <= previewChars ? text : `${text.slice(0, cutAt(text, previewChars - 1))}…`
}
