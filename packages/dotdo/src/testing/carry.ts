/** What a native call carries from one object to another: copies of data, and the things that go over as they are. */
import { Stub } from './stub.ts'

/**
 * A value as the far end gets it. Data is copied as the platform copies it; stubs and streams go over themselves, and with them whatever holds
 * them is walked by hand.
 * @throws `DataCloneError` for what the platform refuses: functions, instances of classes
 */
export function carry<T>(value: T): T {
  return (holdsLive(value) ? walk(value) : copy(value)) as T
}

/** An error as the far end gets it: name, message and what stands on it. Its stack stays at home. */
export function carryError(error: unknown): unknown {
  if (!(error instanceof Error)) return carry(error)
  const { cause: _, ...own } = Object.fromEntries(Object.entries(error))
  const far = new Error(error.message)
  far.name = error.name
  delete far.stack
  return Object.assign(far, carry(own), { remote: true })
}

const isLive = (value: object): boolean => value instanceof Stub || value instanceof ReadableStream || value instanceof WritableStream

function holdsLive(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (isLive(value)) return true
  if (Array.isArray(value)) return value.some(holdsLive)
  return isPlain(value) && Object.values(value).some(holdsLive)
}

function walk(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || isLive(value)) return value
  if (Array.isArray(value)) return value.map(walk)
  if (!isPlain(value)) return copy(value)
  return Object.fromEntries(Object.entries(value).map(([key, it]) => [key, walk(it)]))
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Most of what is carried are texts, numbers and short arrays of them. */
function copy(value: unknown): unknown {
  return (typeof value === 'object' && value !== null) || typeof value === 'function' || typeof value === 'symbol'
    ? structuredClone(value)
    : value
}
