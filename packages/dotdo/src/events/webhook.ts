/**
 * Signed requests as https://www.standardwebhooks.com says (specification 1.0.0): three headers, and an HMAC-SHA-256 over id, time and body.
 *
 * Pure: the caller has the secret, the clock and the hash.
 */
import { DotdoError } from '../base/errors.ts'
import type { SentEvent } from './event.ts'

/** A request that is ready to be sent. */
export interface SignedRequest {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Reads a secret: base 64 of 24 to 64 bytes, `whsec_` before it or not. @throws `SECRET_INVALID`, which does not repeat it */
export function readSecret(secret: unknown, binding: string): Uint8Array {
  const text = typeof secret === 'string' ? secret.trim().replace(/^whsec_/, '') : ''
  const bytes = /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? fromBase64(text) : undefined
  if (bytes && bytes.length >= 24 && bytes.length <= 64) return bytes
  throw new DotdoError(
    'SECRET_INVALID',
    `The binding ${binding} holds no secret of a webhook: base 64 of 24 to 64 random bytes, such as "whsec_" and what \`openssl rand -base64 32\` prints. Set it by \`wrangler secret put ${binding}\`.`,
    { data: { binding } },
  )
}

/**
 * An event as a request: `{ type, timestamp, data }`. The `webhook-id` is the event's own id, the same on every attempt, by which a receiver tells a
 * repetition.
 *
 * @param mac HMAC-SHA-256 of a text with the secret
 * @throws `NOT_STORABLE` for a payload that JSON cannot hold
 */
export function signedRequest(event: SentEvent, now: number, mac: (text: string) => Uint8Array): SignedRequest {
  const body = jsonOf({ type: event.type, timestamp: new Date(event.sentAt).toISOString(), data: event.payload }, event)
  const timestamp = String(Math.floor(now / 1000))
  return {
    headers: {
      'content-type': 'application/json',
      'webhook-id': event.id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${toBase64(mac(`${event.id}.${timestamp}.${body}`))}`,
    },
    body,
  }
}

/**
 * JSON of something of an event. An instant becomes its text, as everywhere.
 *
 * @throws `NOT_STORABLE` for what JSON refuses, and for what it would make into something else without a word: a `Map` becomes `{}`, `NaN` becomes `null`
 */
export function jsonOf(value: unknown, { type, id }: SentEvent): string {
  try {
    return JSON.stringify(value, function (this: Record<string, unknown>, key: string, part: unknown) {
      // An instant comes as its text, and one that is none as null.
      const strange = notInJson(this[key] instanceof Date ? this[key].getTime() : part)
      if (strange) throw new TypeError(`JSON has no ${strange}`)
      return part
    })
  } catch (cause) {
    throw new DotdoError(
      'NOT_STORABLE',
      `The payload of the '${type}' ${id} cannot leave as JSON: ${cause instanceof Error ? cause.message : String(cause)}. Send plain data: no BigInt, Map, Set, bytes, NaN or cycles.`,
      { data: { type, eventId: id }, cause },
    )
  }
}

/** What a payload may hold within dotdo and JSON has no form for. */
function notInJson(part: unknown): string | undefined {
  if (typeof part === 'number') return Number.isFinite(part) ? undefined : String(part)
  if (part instanceof ArrayBuffer || ArrayBuffer.isView(part)) return 'bytes'
  return [Map, Set, RegExp, Error].find((kind) => part instanceof kind)?.name
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 3) {
    const word = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0)
    const four = [18, 12, 6, 0].map((shift) => letters[(word >> shift) & 63]!)
    const left = bytes.length - i
    text += left >= 3 ? four.join('') : four.slice(0, left + 1).join('') + '='.repeat(3 - left)
  }
  return text
}

function fromBase64(text: string): Uint8Array | undefined {
  const body = text.replace(/=+$/, '')
  if (body.length % 4 === 1) return undefined
  const bytes = new Uint8Array(Math.floor((body.length * 3) / 4))
  let word = 0
  for (let i = 0, at = 0; i < body.length; i++) {
    word = ((word << 6) | letters.indexOf(body[i]!)) & 0xffffff
    const rest = i % 4
    if (rest > 0) bytes[at++] = (word >> (6 - rest * 2)) & 255
  }
  return bytes
}
