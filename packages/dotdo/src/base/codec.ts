import { parse, stringify } from 'devalue'
import { DotdoError, fromErrorRecord, toErrorRecord, type ErrorRecord } from './errors.ts'
import { refuseSecrets, Secret } from './secrets.ts'

/**
 * Turns a value into text that {@link decodeValue} reads back as it was: JSON's values, and `undefined`, `Date`, `Map`, `Set`, `RegExp`,
 * `BigInt`, typed arrays, errors, NaN, infinities, shared and circular references.
 *
 * The first character is the format: `j` plain JSON (the fast path), `d` devalue.
 *
 * @param what names the value in the error, such as `the result of step 'load'`
 * @throws `NOT_STORABLE` for functions, symbols, stubs and instances of classes, with the path to the first of them; and for what holds a secret
 */
export function encodeValue(value: unknown, what = 'a value'): string {
  const text = encode(value, what)
  refuseSecrets(what, text)
  return text
}

function encode(value: unknown, what: string): string {
  if (isJson(value, 0, undefined)) return 'j' + JSON.stringify(value)
  try {
    return 'd' + stringify(value, { Error: (it: unknown) => it instanceof Error && toErrorRecord(it) })
  } catch (cause) {
    const path = cause instanceof Error && 'path' in cause && typeof cause.path === 'string' ? cause.path : ''
    if (cause instanceof Error && 'value' in cause && cause.value instanceof Secret)
      refuseSecrets(`${what}${path && ` (at ${path})`}`, cause.value.reveal())
    throw new DotdoError(
      'NOT_STORABLE',
      `${what} cannot be stored: ${cause instanceof Error ? cause.message : String(cause)}${path && ` (at ${path})`}. Return plain data: no functions, stubs or class instances.`,
      {
        data: { what, path },
        cause,
      },
    )
  }
}

/** Reads what {@link encodeValue} wrote. */
export function decodeValue(text: string): unknown {
  const body = text.slice(1)
  if (text[0] === 'j') return JSON.parse(body)
  if (text[0] === 'd') return parse(body, { Error: (record: ErrorRecord) => fromErrorRecord(record) })
  throw new DotdoError(
    'STATE_TOO_NEW',
    `A stored value starts with ${JSON.stringify(text[0])}, a format this code does not know. Deploy the release that wrote it, or a later one.`,
  )
}

/** Whether JSON gives the value back as it is. Deep values and shared ones go to devalue, which keeps references and finds cycles. */
function isJson(value: unknown, depth: number, above: Set<object> | undefined): boolean {
  if (isJsonAtom(value)) return true
  if (typeof value !== 'object' || value === null || depth > 64 || above?.has(value)) return false
  above?.add(value)
  // What nothing with parts stands in can hold nothing twice, and needs no memory of what was seen: most values are such.
  let seen = above
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const part: unknown = value[i]
      if (!isJsonAtom(part) && !isJson(part, depth + 1, (seen ??= new Set<object>([value])))) return false
    }
    return true
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return false
  for (const key in value) {
    const part = (value as Record<string, unknown>)[key]
    if (key === '__proto__' || (!isJsonAtom(part) && !isJson(part, depth + 1, (seen ??= new Set<object>([value]))))) return false
  }
  return !('toJSON' in value)
}

/** A value without parts that JSON gives back as it is. */
function isJsonAtom(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0)
  return value === null || typeof value === 'string' || typeof value === 'boolean'
}
