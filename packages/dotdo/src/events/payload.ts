import { encodeValue } from '../base/codec.ts'
import { DotdoError } from '../base/errors.ts'
import { redactText } from '../base/redact.ts'
import type { ValuePreview } from '../base/views.ts'

/** How much of a payload a list shows, in characters of its stored form. */
export const previewLength = 1000

/**
 * A payload in its stored form.
 *
 * @throws `NOT_STORABLE` for functions, stubs and instances of classes
 * @throws `PAYLOAD_TOO_LARGE` above `limitBytes`, or above 16 times that with each repeated text written out
 */
export function encodePayload(type: string, payload: unknown, limitBytes: number): string {
  // Measured first: a payload of a gigabyte is refused before a second one is made of it.
  if (isLargerThan(payload, limitBytes)) throw tooLarge(type, undefined, limitBytes)
  const text = encodeValue(payload, `the payload of '${type}'`)
  // No character has more than three bytes: most payloads need not be encoded to see that they are small enough.
  if (text.length * 3 <= limitBytes) return text
  const size = text.length > limitBytes ? text.length : sizeBytes(text)
  if (size > limitBytes) throw tooLarge(type, size, limitBytes)
  return text
}

/** What lists show of a stored payload: its text without the letter that names the form, cut at {@link previewLength}, and without tokens. */
export function previewOf(stored: string, size: number): ValuePreview {
  return { text: redactText(stored.slice(1, previewLength + 1)), sizeBytes: size - 1 }
}

/** Length in UTF-8. */
export function sizeBytes(text: string): number {
  return new TextEncoder().encode(text).length
}

function tooLarge(type: string, size: number | undefined, limitBytes: number): DotdoError {
  const found = size === undefined ? `more than ${limitBytes}` : `at least ${size}`
  return new DotdoError(
    'PAYLOAD_TOO_LARGE',
    `The payload of '${type}' has ${found} bytes; an event takes up to ${limitBytes}. Store the data (a step's result, a table, an R2 object) and send a reference to it.`,
    {
      data: { type, limitBytes, ...(size !== undefined && { sizeBytes: size }) },
    },
  )
}

/** How much larger than the limit a payload may be with each text in it counted wherever it is referred to: while it is encoded it may be. */
const spread = 16

/**
 * Whether the stored form is sure to be larger than `limit` bytes: a lower bound, one byte for each element (holes are elements), character
 * and byte of binary data, and each thing once however often it is referred to. Stops as soon as it knows.
 */
function isLargerThan(payload: unknown, limit: number): boolean {
  const seen = new Set<unknown>()
  const rest: unknown[] = [payload]
  let size = 0
  let written = 0
  while (rest.length > 0 && size <= limit && written <= limit * spread) {
    const value = rest.pop()
    size++
    if (typeof value === 'string') {
      written += value.length
      if (!seen.has(value)) size += value.length
      seen.add(value)
    } else if (typeof value === 'object' && value !== null && !seen.has(value)) {
      seen.add(value)
      size += pushParts(value, rest, limit)
    }
  }
  return size > limit || written > limit * spread
}

/** Puts the parts of a value on the pile, or says how large it is where it has none or too many. */
function pushParts(value: object, rest: unknown[], limit: number): number {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength
  if (Array.isArray(value)) {
    if (value.length > limit) return value.length
    for (const item of value) rest.push(item)
  } else if (value instanceof Map) {
    if (value.size > limit) return value.size
    for (const [key, item] of value) rest.push(key, item)
  } else if (value instanceof Set) {
    if (value.size > limit) return value.size
    for (const item of value) rest.push(item)
  } else {
    for (const key of Object.keys(value)) rest.push((value as Record<string, unknown>)[key])
  }
  return 0
}
