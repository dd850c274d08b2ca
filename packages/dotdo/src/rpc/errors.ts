import { DotdoError, toErrorRecord } from '../base/errors.ts'
import { redactData } from '../base/redact.ts'
import type { Frame } from './frames.ts'

/**
 * What of an error crosses a link: name, message, `code`, `retryable`, `data`, its own properties, and the errors that it gathers. Stacks
 * and causes stay at home: they tell of what is inside. Given to capnweb as `onSendError`, which leaves out what cannot be sent.
 */
export function errorForWire(thrown: Error): Error {
  const error = asUnsendable(thrown)
  const record = toErrorRecord(error)
  const sent = new Error(record.message)
  Object.assign(sent, redactData(ownProperties(error)), record)
  delete sent.stack
  return sent
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
 * The error for a reference, or for the promise of a result, of which a text or a number was to be made: `${app.Stage('a').size}`. capnweb answers
 * `[object RpcPromise]`, which nobody can mean and which goes unseen into keys and addresses.
 * @param of what it is, as one would write it: `Stage/a.size`
 */
export function notAValue(of: string): DotdoError {
  return new DotdoError('NOT_A_VALUE', `No text or number can be made of ${of}: await it, or pass it on as it is.`, { data: { of } })
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

/** The error for a call whose session is gone: evicted with its object, expired, or closed. */
export function linkLost(reason: string): DotdoError {
  return new DotdoError(
    'LINK_LOST',
    `The session of this reference is gone: ${reason}. Take a new one, by this.Noun(id) or connect(); a call under way may have taken effect.`,
    {
      retryable: true,
      data: { reason },
    },
  )
}

/** The frame that answers a call with an error, without capnweb: as it would send it. */
export function errorFrame(id: number, error: Error): Frame {
  const { name, message, ...properties } = toErrorRecord(error)
  return ['reject', id, ['error', name, message, null, encoded(properties)]]
}

/** Plain data as capnweb writes it at every level of encoding: a list stands in a list of its own. */
function encoded(value: unknown): unknown {
  if (Array.isArray(value)) return [value.map(encoded)]
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, encoded(part)]))
}
