import type { Secret } from '../base/secrets.ts'
import { DotdoError } from '../base/errors.ts'
import type { Address } from './address.ts'
import { Body } from './body.ts'
import { httpFailure, notFound, unavailable } from './failures.ts'
import type { BucketPage, BucketReader, HttpRequest, SourcePorts } from './ports.ts'

/** At most so many objects are open at once: the one that is read, and the next one. */
export const OPEN_OBJECTS = 2

/** The next object is opened when the one that is read has at most so many stored bytes left, so that no open body waits for long. */
export const READ_AHEAD_BYTES = 1024 * 1024

/** Keys in one page of a listing, the most that R2 gives. */
export const LIST_PAGE_KEYS = 1000

/** What is asked of an address besides its place. */
export interface OpenOptions {
  allowEmpty: boolean
  headers: Readonly<Record<string, string | Secret>>
  signal: AbortSignal
}

/**
 * Opens what an address stands for: one body, or those of a prefix in key order, each when it is needed ({@link READ_AHEAD_BYTES}). The
 * bodies that were opened and not read are cancelled when the generator is left. A prefix passes over the markers of empty
 * folders: keys of size 0 that end in `/` or `_$folder$`, or whose last part is `_SUCCESS`.
 *
 * @throws `SOURCE_NOT_FOUND`, `SOURCE_FORBIDDEN`, `SOURCE_REFUSED` (terminal); `SOURCE_UNAVAILABLE`, and `SOURCE_CHANGED` for a key that was
 * listed and is gone (both retryable).
 */
export async function* openAll(address: Address, ports: SourcePorts, options: OpenOptions): AsyncGenerator<Body, void, undefined> {
  if (address.kind === 'http') yield await openHttp(address, ports, options)
  else if (address.kind === 'object') yield await openObject(bucketOf(address, ports), address.key, address.text, options.signal)
  else yield* openPrefix(address, bucketOf(address, ports), options)
}

/** The reader of an address whose binding was resolved. */
export function bucketOf(address: Exclude<Address, { kind: 'http' }>, ports: SourcePorts): BucketReader {
  const bucket = ports.bucket(address.binding)
  if (bucket !== undefined) return bucket
  throw new DotdoError(
    'BUCKET_UNKNOWN',
    `Cannot read ${address.text}: the binding '${address.binding}' is listed but is no bucket. Check its declaration.`,
    {
      data: { source: address.text, binding: address.binding, known: ports.bucketNames() },
    },
  )
}

/** The body of a success; any other answer is an error by its status, and its body is cancelled unread. */
async function openHttp(address: Extract<Address, { kind: 'http' }>, ports: SourcePorts, options: OpenOptions): Promise<Body> {
  const { signal, headers } = options
  signal.throwIfAborted()
  const request: HttpRequest = { signal, headers }
  const answer = await ports.http(address.url, request).catch((cause: unknown) => {
    signal.throwIfAborted()
    throw unavailable(address.text, 'no answer came', cause)
  })
  const stream = answer.body ?? emptyStream()
  const hints = { address: address.text, path: new URL(address.url).pathname, contentType: answer.headers.get('content-type') ?? undefined }
  const body = new Body({ hints, stream }, signal)
  if (answer.status >= 200 && answer.status < 300 && !signal.aborted) return body
  await body.close()
  signal.throwIfAborted()
  throw httpFailure(address.text, answer.status)
}

/** The body of one key that must exist. */
async function openObject(bucket: BucketReader, key: string, text: string, signal: AbortSignal): Promise<Body> {
  return (await openKey(bucket, key, text, signal)) ?? Promise.reject(notFound(text, 'there is no such object'))
}

/** The body of a key, or `undefined` where there is none. Once aborted, what a pending `get` still brings is cancelled by its `Body`. */
async function openKey(bucket: BucketReader, key: string, text: string, signal: AbortSignal): Promise<Body | undefined> {
  signal.throwIfAborted()
  const object = await bucket.get(key).catch((cause: unknown) => {
    throw unavailable(text, 'the object could not be opened', cause)
  })
  if (object === null) return undefined
  const hints = { address: text, path: key, contentType: object.httpMetadata?.contentType }
  return new Body({ hints, stream: object.body, sizeBytes: object.size }, signal)
}

/**
 * The bodies below a prefix. At any time open: the one that was yielded, and `ahead`. Both are closed when this is left, the first by who
 * reads it.
 */
async function* openPrefix(
  address: Extract<Address, { kind: 'prefix' }>,
  bucket: BucketReader,
  options: OpenOptions,
): AsyncGenerator<Body, void, undefined> {
  const base = address.text.slice(0, address.text.length - address.prefix.length)
  const keys = listKeys(bucket, address, options.signal)
  const open = async (key: string): Promise<Body> =>
    (await openKey(bucket, key, base + key, options.signal)) ?? Promise.reject(objectGone(base + key))

  let key = (await keys.next()).value
  if (key === undefined && !options.allowEmpty) throw notFound(address.text, 'nothing lies below it')
  // An opening that runs ahead is settled into a value, so that its failure is told when its turn comes and not as an unhandled rejection.
  let ahead: Promise<Opening> | undefined
  try {
    while (key !== undefined) {
      const opening = await (ahead ?? settle(open(key)))
      ahead = undefined
      if ('failure' in opening) throw opening.failure
      const next = (key = (await nextOrClose(keys, opening.body)).value)
      opening.body.onRemaining = (remainingBytes) => {
        if (next !== undefined && remainingBytes <= READ_AHEAD_BYTES) ahead ??= settle(open(next))
      }
      yield opening.body
    }
  } finally {
    const opening = await ahead
    if (opening !== undefined && 'body' in opening) await opening.body.close()
  }
}

/** An opening that has come to its end, well or not. */
type Opening = { body: Body } | { failure: unknown }

function settle(opening: Promise<Body>): Promise<Opening> {
  return opening.then(
    (body) => ({ body }),
    (failure: unknown) => ({ failure }),
  )
}

/** The next key; when the listing fails, the body that waits for its turn is not left open. */
async function nextOrClose(keys: AsyncGenerator<string, undefined>, body: Body): Promise<IteratorResult<string, undefined>> {
  try {
    return await keys.next()
  } catch (failure) {
    await body.close()
    throw failure
  }
}

/** The keys below a prefix, a page at a time: the next page is asked for when the keys of this one are used up. */
async function* listKeys(
  bucket: BucketReader,
  address: Extract<Address, { kind: 'prefix' }>,
  signal: AbortSignal,
): AsyncGenerator<string, undefined> {
  let cursor: string | undefined
  for (;;) {
    signal.throwIfAborted()
    const request = { prefix: address.prefix, limit: LIST_PAGE_KEYS, ...(cursor !== undefined && { cursor }) }
    const page: BucketPage = await bucket.list(request).catch((cause: unknown) => {
      throw unavailable(address.text, 'the keys could not be listed', cause)
    })
    for (const { key, size } of page.objects) if (!isMarker(key, size)) yield key
    if (!page.truncated) return undefined
    // A listing that does not move on would be read for ever.
    if (page.cursor === undefined || page.cursor === cursor)
      throw unavailable(address.text, 'the listing is cut off and does not say how to go on')
    cursor = page.cursor
  }
}

// What the S3 console, Hadoop and Spark leave behind: names without data. An object of size 0 by another name is read, and is empty data.
function isMarker(key: string, size: number): boolean {
  return size === 0 && (key.endsWith('/') || key.endsWith('_$folder$') || key === '_SUCCESS' || key.endsWith('/_SUCCESS'))
}

function objectGone(text: string): DotdoError {
  return new DotdoError(
    'SOURCE_CHANGED',
    `${text} was listed and is gone: somebody deletes below the prefix while it is read. Try again.`,
    {
      data: { source: text },
      retryable: true,
    },
  )
}

function emptyStream(): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({ start: (controller) => controller.close() })
}
