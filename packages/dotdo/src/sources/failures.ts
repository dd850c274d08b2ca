import { DotdoError } from '../base/errors.ts'

/** Nothing is there: `SOURCE_NOT_FOUND`, terminal. `what` completes "address: …"; `status` is the HTTP status, 404 for a bucket. */
export function notFound(address: string, what: string, status = 404): DotdoError {
  return new DotdoError('SOURCE_NOT_FOUND', `${address}: ${what} (status ${status}). Check the address and that it was written.`, {
    data: { source: address, status },
  })
}

/**
 * The store or server does not answer, or not to the end: `SOURCE_UNAVAILABLE`, retryable. An error that has a code of its own is kept as
 * it is: it says more.
 */
export function unavailable(address: string, what: string, cause?: unknown): DotdoError {
  if (cause instanceof DotdoError) return cause
  const why = cause instanceof Error ? ` (${cause.message})` : ''
  return new DotdoError('SOURCE_UNAVAILABLE', `${address}: ${what}${why}. It may work when tried again.`, {
    data: { source: address },
    retryable: true,
    ...(cause !== undefined && { cause }),
  })
}

/**
 * The error of an HTTP status that is not a success. 404 and 410: `SOURCE_NOT_FOUND`; 401 and 403: `SOURCE_FORBIDDEN`; 408, 425, 429 and 5xx:
 * `SOURCE_UNAVAILABLE`, retryable; any other: `SOURCE_REFUSED`. Terminal but for the one that says otherwise.
 */
export function httpFailure(address: string, status: number): DotdoError {
  const data = { source: address, status }
  if (status === 404 || status === 410) return notFound(address, 'there is nothing', status)
  if (status === 401 || status === 403) {
    return new DotdoError(
      'SOURCE_FORBIDDEN',
      `${address}: the server refuses access (status ${status}). Pass { headers: { authorization: … } }.`,
      { data },
    )
  }
  if (status >= 500 || status === 408 || status === 425 || status === 429) {
    return new DotdoError(
      'SOURCE_UNAVAILABLE',
      `${address}: the server cannot answer now (status ${status}). It may work when tried again.`,
      {
        data,
        retryable: true,
      },
    )
  }
  return new DotdoError(
    'SOURCE_REFUSED',
    `${address}: the server answers status ${status}, which brings no data. Check the address and { headers }.`,
    { data },
  )
}
