/** What a failure of the carrier means to the calls that it carried. */
import { codeOf, DotdoError, toErrorRecord, type ErrorRecord } from '../base/errors.ts'
import { asStorageError } from '../base/storage-full.ts'

/** What is told of a call that nobody had awaited when it failed. */
export function unawaited(error: unknown): DotdoError {
  return new DotdoError(codeOf(error) ?? 'CALL_FAILED', error instanceof Error ? `${error.name}: ${error.message}` : String(error))
}

/** What is told of calls that nobody had awaited when their message was lost. */
export function unawaitedLoss(failure: unknown, count: number): DotdoError {
  return new DotdoError(
    codeOf(failure) ?? 'CALL_FAILED',
    `${count} ${count === 1 ? 'call' : 'calls'} of one message: ${failure instanceof Error ? failure.message : String(failure)}`,
  )
}

/** What a message that the platform did not carry means to its calls. Errors with a code are the far end's own and stay as they are. */
export function whyLost(error: unknown): unknown {
  if (!(error instanceof Error) || codeOf(error) !== undefined) return error
  // Its storage being full ends an object, and what it had begun in that turn.
  const full = asStorageError(error)
  if (full !== error) return full
  // The platform's own words; it tells these apart by nothing else.
  const method = /does not implement (?:the method )?"(dotdo\w*)"/.exec(error.message)?.[1]
  if (method !== undefined) {
    return new DotdoError(
      'LINK_VERSION',
      `The other end does not speak this link: it has no ${method}. Deploy both Workers with the same release of dotdo; a Durable Object binding has to be of a class that DO.extend made, and a service binding needs entrypoint = "DotdoEntrypoint".`,
      { data: { method }, cause: error },
    )
  }
  if (/limited to 32 ?MiB|too large/i.test(error.message)) {
    return new DotdoError(
      'MESSAGE_TOO_LARGE',
      `A message between objects holds at most 32 MiB: ${error.message} Arguments that are too large were never sent; a result that is too large comes from a method that has run. Return or pass a ReadableStream, pass the rows in smaller calls, or write them to a bucket and pass the key.`,
      { data: { limitBytes: 32 * 1024 * 1024 }, cause: error },
    )
  }
  if (error.name === 'DataCloneError' || /could not (?:be )?(?:serialize|cloned?)/i.test(error.message)) {
    return new DotdoError(
      'NOT_SENDABLE',
      `A value of these calls cannot cross to another object: ${error.message} Pass plain data, capabilities or functions.`,
      { cause: error },
    )
  }
  return new DotdoError(
    'OBJECT_UNREACHABLE',
    `The call did not come back: ${error.message}. It may have taken effect; inside this.do it is tried again.`,
    { retryable: true, cause: error },
  )
}

const carrierFailures = new Set(['LINK_LOST', 'OBJECT_UNREACHABLE'])

/** Why a hand-off did not come to be, as its receiver is told: the provider's own failure as it is, and a provider that is gone as `HANDOFF_LOST`. */
export function handOffFailure(error: unknown): ErrorRecord {
  const record = toErrorRecord(error)
  return record.code !== undefined && carrierFailures.has(record.code) ? toErrorRecord(handOffLost(record.message)) : record
}

/** The error for a result that its provider no longer has. It is not made again by itself. */
export function handOffLost(reason: string): DotdoError {
  return new DotdoError(
    'HANDOFF_LOST',
    `A result on its way from one object to another is lost: ${reason} Make the call again; inside this.do the step does.`,
    { retryable: true, data: { reason } },
  )
}
