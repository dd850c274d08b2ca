import { DotdoError, toErrorRecord } from '../base/errors.ts'

/**
 * What of an error crosses a link: name, message, `code`, `retryable`, `data`. Stacks and causes stay at home, and so does whatever else
 * somebody hung on it. Given to capnweb as `onSendError`.
 */
export function errorForWire(error: Error): Error {
  const record = toErrorRecord(error)
  const sent = new Error(record.message)
  Object.assign(sent, record)
  delete sent.stack
  return sent
}

/** The error for a call whose session is gone: evicted with its object, expired, or closed. */
export function linkLost(reason: string): DotdoError {
  return new DotdoError(
    'LINK_LOST',
    `The session of this reference is gone: ${reason}. Take a new reference, by this.Noun(id) or connect(); a call that was under way may have taken effect.`,
    {
      retryable: true,
      data: { reason },
    },
  )
}

/** The error for a limit of a link that was passed. */
export function overLimit(limit: string, value: number, bound: number): DotdoError {
  return new DotdoError(
    'LINK_LIMIT',
    `This message passes the limit ${limit}: ${value} is more than ${bound}. Split the work into more turns or smaller calls.`,
    {
      data: { limit, value, bound },
    },
  )
}
