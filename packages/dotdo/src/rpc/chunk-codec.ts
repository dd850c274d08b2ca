/**
 * The records of a lane: how the chunks of one stream stand in a native stream of bytes.
 *
 * A record is its kind (1 byte), the length of its body (4 bytes, little endian) and the body. A chunk is one of capnweb's expressions at the
 * level `structuredClonable`; one record is one chunk, so that a reader gets the pieces that were written.
 *
 * | kind | body |
 * |---|---|
 * | `bytes` | a `Uint8Array`, as it is |
 * | `json` | JSON of a value that JSON can hold |
 * | `value` | length of the JSON (4 bytes), JSON in which special values are tagged, then the bytes that it counts |
 * | `abort` | a `value`: why the writer gave up |
 * | `close` | nothing: the end, all is there. A stream that ends without it was cut off |
 * | `drop` | nothing: the writer was let go without a word |
 * | `next` | nothing: the chunk refers to the session, so it came in a frame of the session: the oldest that was not taken yet |
 */
import { overLimit } from './limits.ts'

/** The kinds of records, as they stand on the wire. */
export const recordKinds = { bytes: 0, json: 1, value: 2, abort: 3, close: 4, drop: 5, next: 6 } as const

/** The name of a kind of record. */
export type RecordKind = keyof typeof recordKinds

/** Kind and length. */
export const recordHead = 5

/** A body up to this size is copied behind its head, so that both are one write. Above it a copy costs more than a write. */
const copiedBytes = 65_536

/** A record as what is written for it, in order. */
export function record(kind: RecordKind, body: Uint8Array[] = []): Uint8Array[] {
  const length = body.reduce((sum, part) => sum + part.byteLength, 0)
  const head = new Uint8Array(recordHead)
  head[0] = recordKinds[kind]
  new DataView(head.buffer).setUint32(1, length, true)
  return length <= copiedBytes ? [joined([head, ...body], recordHead + length)] : [head, ...body]
}

/**
 * A chunk as records; `undefined` when it refers to the session, by a capability, a promise or another stream, and so cannot leave it.
 * Bytes above `mostBytes` become several chunks.
 * @throws `LINK_LIMIT` for any other chunk above `mostBytes`
 */
export function chunkRecords(chunk: unknown, mostBytes: number): Uint8Array[] | undefined {
  if (isPlainBytes(chunk)) {
    const bytes = chunk[1]
    if (bytes.byteLength <= mostBytes) return record('bytes', [bytes])
    const pieces: Uint8Array[] = []
    for (let at = 0; at < bytes.byteLength; at += mostBytes) pieces.push(...record('bytes', [bytes.subarray(at, at + mostBytes)]))
    return pieces
  }
  const nature = natureOf(chunk)
  if (nature === 'refers') return undefined
  const body = nature === 'plain' ? [new TextEncoder().encode(JSON.stringify(chunk))] : valueBody(chunk)
  const length = body.reduce((sum, part) => sum + part.byteLength, 0)
  if (length > mostBytes) throw overLimit('streamChunkBytes', length, mostBytes)
  return record(nature === 'plain' ? 'json' : 'value', body)
}

/** The record that tells why a writer gave up. A reason that refers to the session is told by its text alone. */
export function abortRecord(reason: unknown): Uint8Array[] {
  return record('abort', valueBody(natureOf(reason) === 'refers' ? ['error', 'Error', 'the reason cannot leave its object'] : reason))
}

/** The expression that a body of the kind `bytes`, `json`, `value` or `abort` holds. @throws what JSON throws for a body that is none */
export function decodeBody(kind: RecordKind, body: Uint8Array): unknown {
  if (kind === 'bytes') return ['bytes', body]
  if (kind === 'json') return JSON.parse(new TextDecoder().decode(body)) as unknown
  const jsonBytes = new DataView(body.buffer, body.byteOffset).getUint32(0, true)
  const json: unknown = JSON.parse(new TextDecoder().decode(body.subarray(4, 4 + jsonBytes)))
  return untagged(json, { bytes: body, at: 4 + jsonBytes })
}

function isPlainBytes(chunk: unknown): chunk is ['bytes', Uint8Array] {
  return Array.isArray(chunk) && chunk.length === 2 && chunk[0] === 'bytes' && chunk[1] instanceof Uint8Array
}

/** `plain`: JSON holds it as it is. `special`: some value needs a tag. `refers`: some part of it leads to an entry of the session's tables. */
type Nature = 'plain' | 'special' | 'refers'

const references = new Set<unknown>(['import', 'pipeline', 'remap', 'export', 'promise', 'writable', 'readable', 'blob'])

/** The key of a tag: no key that a row is likely to have; an object that has it is tagged itself. */
const tag = '\u0000'

function natureOf(value: unknown): Nature {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return 'plain'
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? 'plain' : 'special'
    case 'object':
      break
    default:
      return 'special'
  }
  if (value === null) return 'plain'
  if (value instanceof Date || value instanceof Uint8Array) return 'special'
  let nature: Nature = 'plain'
  let parts: unknown[]
  if (Array.isArray(value)) {
    // An array of the user stands in an array of its own; any other that begins with a text is a form of the protocol.
    const isOfUser = value.length === 1 && Array.isArray(value[0])
    if (!isOfUser && references.has(value[0])) return 'refers'
    parts = (isOfUser ? value[0] : value) as unknown[]
  } else {
    if (Object.hasOwn(value, tag)) nature = 'special'
    parts = Object.values(value)
  }
  for (const part of parts) {
    const inner = natureOf(part)
    if (inner === 'refers') return inner
    if (inner === 'special') nature = inner
  }
  return nature
}

function valueBody(value: unknown): Uint8Array[] {
  const bytes: Uint8Array[] = []
  const json = new TextEncoder().encode(JSON.stringify(tagged(value, bytes)))
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, json.byteLength, true)
  return [length, json, ...bytes]
}

/** What JSON cannot hold, as `{ '\0': kind, v }`; bytes go to `bytes`, and their length stands for them. */
function tagged(value: unknown, bytes: Uint8Array[]): unknown {
  const as = (kind: string, v?: unknown) => (v === undefined ? { [tag]: kind } : { [tag]: kind, v })
  if (value === undefined) return as('undefined')
  if (typeof value === 'bigint') return as('bigint', value.toString())
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0) ? value : as('number', numberName(value))
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return as('date', Number.isNaN(value.getTime()) ? null : value.getTime())
  if (value instanceof Uint8Array) {
    bytes.push(value)
    return as('bytes', value.byteLength)
  }
  if (Array.isArray(value)) return value.map((part) => tagged(part, bytes))
  const entries = Object.entries(value).map(([key, part]): [string, unknown] => [key, tagged(part, bytes)])
  return Object.hasOwn(value, tag) ? as('object', entries) : Object.fromEntries(entries)
}

function untagged(value: unknown, rest: { bytes: Uint8Array; at: number }): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = untagged(value[i], rest)
    return value
  }
  const object = value as Record<string, unknown>
  if (!Object.hasOwn(object, tag)) {
    for (const [key, part] of Object.entries(object)) {
      const is = untagged(part, rest)
      // JSON.parse makes `__proto__` a property as any other; an assignment would not.
      if (is !== part) Object.defineProperty(object, key, { value: is })
    }
    return object
  }
  const v = object['v']
  switch (object[tag]) {
    case 'undefined':
      return undefined
    case 'bigint':
      return BigInt(v as string)
    case 'number':
      return v === '-0' ? -0 : Number(v)
    case 'date':
      return new Date(v === null ? Number.NaN : (v as number))
    case 'bytes':
      return rest.bytes.slice(rest.at, (rest.at += v as number))
    case 'object':
      return Object.fromEntries((v as [string, unknown][]).map(([key, part]) => [key, untagged(part, rest)]))
    default:
      throw new TypeError(`a chunk has a value of the kind ${String(object[tag])}, which is none of this version's`)
  }
}

function numberName(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value)
}

function joined(parts: Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.byteLength
  }
  return whole
}
