import { DotdoError, fromErrorRecord, toErrorRecord } from '../base/errors.ts'
import { redactData } from '../base/redact.ts'
import type { Frame } from './frames.ts'

/**
 * The property by which the name of an error travels. capnweb sends the name, and makes an error of a class that JavaScript has of it: of any other name
 * an `Error`, and it takes no property that is called `name`. So those travel beside it too, and an end of dotdo gives them back ({@link named}); capnweb
 * alone shows the property as it is.
 */
export const nameKey = 'dotdo:name'

/** The names that capnweb keeps by itself. */
const capnwebs = /^(?:Eval|Range|Reference|Syntax|Type|URI|Aggregate)?Error$/

/**
 * What of an error crosses a link: name, message, `code`, `retryable`, `data`, its own properties, and the errors that it gathers. Stacks
 * and causes stay at home: they tell of what is inside. Given to capnweb as `onSendError`, which leaves out what cannot be sent.
 */
export function errorForWire(thrown: Error): Error {
  const error = asGone(asUnsendable(thrown))
  const record = toErrorRecord(error)
  const sent = new Error(record.message)
  Object.assign(sent, redactData(ownProperties(error)), record, nameBeside(record.name))
  delete sent.stack
  return sent
}

/** The property for a name that capnweb would lose; none for another. Longer ones are cut where they leave, and are none where they come. */
const nameBeside = (name: string): object => (capnwebs.test(name) ? {} : { [nameKey]: name.slice(0, 100) })

/**
 * Gives an error that came over capnweb the name that it left with, and answers with it. Whoever sent it may have put anything in the property's place: only a
 * short text is a name.
 */
export function named(error: Error & { [nameKey]?: unknown }): Error {
  const name = error[nameKey]
  delete error[nameKey]
  if (typeof name === 'string' && name.length <= 100) error.name = name
  return error
}

/**
 * Writes the name of an error beside it in an expression that is about to be read, `['error', name, message, stack?, properties?]`: capnweb's own clients
 * do not.
 */
export function keepName(expression: unknown[]): void {
  const [, name, , , properties] = expression
  if (typeof name !== 'string' || capnwebs.test(name) || !(properties === undefined || isPlain(properties))) return
  expression[3] ??= null
  expression[4] = { ...nameBeside(name), ...properties }
}

/** How capnweb says that a value is of no kind that it carries (`[object Map]`; an instance of a class is an `Object`), or goes round in circles. */
const unsendable = /^(?:Cannot serialize value: (?:\[object )?|Serialization )([^\]]{1,100})/

/** capnweb's refusal of a value, as `NOT_SENDABLE`, which says what to pass instead; any other error as it is. */
export function asUnsendable<T>(error: T): T | DotdoError {
  const value = error instanceof Error && unsendable.exec(error.message)?.[1]
  if (!value) return error
  return new DotdoError('NOT_SENDABLE', `A value cannot be sent: ${value}. Pass plain data, a function or an RpcTarget.`, {
    data: { value },
    cause: error,
  })
}

/**
 * The error for a reference, or for the promise of a result, of which a text or a number was to be made, or that was to be gone over:
 * `${app.Stage('a').size}`, `[...app.Stage('a').rows()]`. capnweb answers `[object RpcPromise]`, which nobody can mean and which goes unseen into keys and addresses.
 * @param of what it is, as one would write it: `Stage/a.size`
 */
export function notAValue(of: string): DotdoError {
  return new DotdoError('NOT_A_VALUE', `No text, number or iteration can be made of ${of}: await it, or pass it on as it is.`, {
    data: { of },
  })
}

/** What somebody hung on an error. Accessors are not asked: a failure must be told, whatever they would do. */
function ownProperties(error: Error): Record<string, unknown> {
  const own: Record<string, unknown> = {}
  for (const [name, it] of Object.entries(Object.getOwnPropertyDescriptors(error))) {
    // Those of an AggregateError are not enumerable.
    if ('value' in it && (it.enumerable || name === 'errors') && name !== 'stack' && name !== 'cause') own[name] = it.value
  }
  return own
}

/** How capnweb says that something was let go of before it was used, sent or answered. */
const disposed = /^(?:This RpcImportHook was already|Attempted to use (?:an )?RPC stub(?:Hook)? after|RPC was canceled because) /i

/** capnweb's refusal of what was let go of, as `REFERENCE_GONE`; any other error as it is. */
export function asGone<T>(error: T): T | DotdoError {
  return error instanceof Error && disposed.test(error.message) ? new DotdoError('REFERENCE_GONE', goneWords, { cause: error }) : error
}

/** What is told of a reference that was let go of. */
export const goneWords = 'It was disposed of here or with its call. Keep ref.dup() of what is used later.'

/** The error for a call whose session is gone: evicted with its object, expired, or closed. */
export function linkLost(reason: string): DotdoError {
  return new DotdoError(
    'LINK_LOST',
    `The session of this reference is gone: ${reason}. Take a new one; a call under way may have taken effect.`,
    {
      retryable: true,
      data: { reason },
    },
  )
}

/** The frame that answers a call with an error, without capnweb: as it would send it. */
export function errorFrame(id: number, error: Error): Frame {
  return ['reject', id, errorExpression(error)]
}

/** Whatever was thrown as capnweb's frames tell an error: `['error', name, message, stack, properties]`. {@link thrown} reads it. */
export function errorExpression(error: unknown): unknown[] {
  const { name, message, ...properties } = toErrorRecord(error)
  return ['error', name, message, null, encoded({ ...properties, ...nameBeside(name) })]
}

/** A reason as the wire tells it, to be thrown here without a session: an error, or any other plain value. */
export function thrown(expression: unknown): unknown {
  if (!Array.isArray(expression) || expression[0] !== 'error') return typeof expression === 'object' ? undefined : expression
  const [, name, message, , properties] = expression as [string, string, string, unknown?, object?]
  return fromErrorRecord({ ...(decoded(properties) as object | undefined), name, message })
}

/** Plain data as capnweb writes it at every level of encoding: a list stands in a list of its own. What is none is left out. */
function encoded(value: unknown): unknown {
  if (Array.isArray(value)) return [value.map(encoded)]
  if (isPlain(value)) return mapped(value, encoded)
  return Object(value) === value || typeof value === 'symbol' ? undefined : value
}

/** What {@link encoded} was made of. */
function decoded(value: unknown): unknown {
  if (Array.isArray(value)) return Array.isArray(value[0]) ? value[0].map(decoded) : undefined
  return isPlain(value) ? mapped(value, decoded) : value
}

const isPlain = (value: unknown): value is object => Object(value) === value && Object.getPrototypeOf(value) === Object.prototype

const mapped = (object: object, change: (part: unknown) => unknown): object =>
  Object.fromEntries(Object.entries(object).map(([key, part]) => [key, change(part)]))
