import { codeOf, DotdoError } from '../base/errors.ts'
import { resolveAddress, schemeOf } from './address.ts'
import type { Address } from './address.ts'
import { createExtract } from './extract.ts'
import { contentTypeOf } from './format.ts'
import { unavailable } from './failures.ts'
import { bucketOf } from './objects.ts'
import type { SourcePorts } from './ports.ts'

/** What a fetch of `s3:` or `r2:` answers. The adapter makes a `Response` of it. Whoever gets the `body` reads or cancels it. */
export interface SchemeAnswer {
  status: number
  headers: Record<string, string>
  body: ReadableStream<Uint8Array> | null
}

/** The part of a request that a bucket can answer. */
export interface SchemeRequest {
  /** Default `GET`. */
  method?: string
  /** Cancels the reading of a prefix. */
  signal?: AbortSignal
}

/** Answers `address`, which begins with `s3://` or `r2://`. */
export type SchemeFetch = (address: string, request?: SchemeRequest) => Promise<SchemeAnswer>

/** Whether {@link SchemeFetch} is who answers this address, and not the platform. */
export function isBucketAddress(address: string): boolean {
  const scheme = schemeOf(address)
  return scheme === 's3' || scheme === 'r2'
}

// Small, because CSV rows grow as JSON: each repeats the names of its columns.
const PREFIX_BATCH = { batchRows: 1024, batchBytes: 64 * 1024 }

/**
 * Makes the fetch of the schemes `s3:` and `r2:`. An object answers its bytes as stored, with type, length and entity tag. A prefix (a
 * trailing slash) answers one JSON array of all records below, streamed in bounded memory, from all formats that `extract` reads. What is not
 * there is a 404, as over HTTP, with the reason as plain text, so that `.json()` of it fails and says why. `HEAD` answers as
 * `GET` without its body; any other method is a 405. Ranges are not served: the whole object is the answer, as RFC 9110 (14.2) allows.
 *
 * @throws `SCHEME_UNKNOWN`, `BUCKET_UNKNOWN`, `ADDRESS_INVALID`, `SOURCE_DECLARATION_INVALID` (terminal), `SOURCE_UNAVAILABLE` (retryable); and for a
 * prefix what its first batch throws. A failure further on errors the body.
 */
export function createSchemeFetch(ports: SourcePorts): SchemeFetch {
  return async (source, request = {}) => {
    if (!isBucketAddress(source)) {
      throw new DotdoError('SCHEME_UNKNOWN', `'${source}' is no bucket address: this fetch answers s3:// and r2:// alone.`, {
        data: { source, known: ['s3', 'r2'] },
      })
    }
    const address = resolveAddress(source, ports)
    const method = (request.method ?? 'GET').toUpperCase()
    if (method !== 'GET' && method !== 'HEAD')
      return textAnswer(405, `${method} is not possible on ${address.text}: read it with GET or HEAD.`, { allow: 'GET, HEAD' })
    const answer = address.kind === 'object' ? await answerObject(address, ports) : await answerPrefix(source, ports, request.signal)
    if (method === 'GET') return answer
    await answer.body?.cancel()
    return { ...answer, body: null }
  }
}

/** The object as it lies there. Its body is the store's own stream, passed through untouched. */
async function answerObject(address: Extract<Address, { kind: 'object' }>, ports: SourcePorts): Promise<SchemeAnswer> {
  const object = await bucketOf(address, ports)
    .get(address.key)
    .catch((cause: unknown) => {
      throw unavailable(address.text, 'the object could not be opened', cause)
    })
  if (object === null) return textAnswer(404, `${address.text}: there is no such object.`)
  const headers: Record<string, string> = {
    'content-type': object.httpMetadata?.contentType ?? contentTypeOf(address.key),
    'content-length': String(object.size),
  }
  if (object.httpEtag !== undefined) headers['etag'] = object.httpEtag
  return { status: 200, headers, body: object.body }
}

/** The records below a prefix, after a first look at whether there are any objects. */
async function answerPrefix(source: string, ports: SourcePorts, signal?: AbortSignal): Promise<SchemeAnswer> {
  const extraction = createExtract(ports)<unknown>(source, { ...PREFIX_BATCH, ...(signal && { signal }) })
  const batches = extraction.batches()[Symbol.asyncIterator]()
  // The first batch is read before the status is said, because only then it is known whether there is anything.
  try {
    const first = await batches.next()
    return { status: 200, headers: { 'content-type': 'application/json' }, body: arrayOf(first, batches) }
  } catch (failure) {
    if (codeOf(failure) === 'SOURCE_NOT_FOUND' && failure instanceof DotdoError) return textAnswer(404, failure.message)
    throw failure
  }
}

/** One JSON array of all rows, a batch a pull. */
function arrayOf(first: IteratorResult<unknown[], void>, batches: AsyncIterator<unknown[], void, undefined>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let waiting: IteratorResult<unknown[], void> | undefined = first
  let opening = '['
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const batch = waiting ?? (await batches.next())
        waiting = undefined
        if (batch.done) {
          controller.enqueue(encoder.encode(opening === '[' ? '[]' : ']'))
          return controller.close()
        }
        controller.enqueue(encoder.encode(opening + JSON.stringify(batch.value).slice(1, -1)))
        opening = ','
      },
      cancel: async () => {
        await batches.return?.()
      },
    },
    { highWaterMark: 0 },
  )
}

/** An answer of plain text, for people. */
function textAnswer(status: number, text: string, headers: Record<string, string> = {}): SchemeAnswer {
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      controller.enqueue(new TextEncoder().encode(text))
      controller.close()
    },
  })
  return { status, headers: { 'content-type': 'text/plain;charset=utf-8', ...headers }, body }
}
