/**
 * An S3-compatible read endpoint over a bucket, as a function from request to response: object reads with ranges, listings, and what
 * clients ask before them (https://docs.aws.amazon.com/AmazonS3/latest/API/). Locally it stands in for the S3 address that R2 has on
 * Cloudflare, so that engines which attach to the catalog find the files.
 *
 * Path style only: `/{bucket}/{key}`, at the root of an address or below a first segment of at least
 * three letters, such as `/objects`: ClickHouse takes the first segment for the bucket, and refuses
 * a shorter one (`/s3`). Who may ask is the adapter's matter (it allows loopback alone); signatures are not looked at.
 */
import type { ObjectInfo, ObjectRange, ObjectStore, StoredObject } from './ports.ts'
import { errorXml, listXml, locationXml } from './s3-xml.ts'

/** A request to the endpoint. Header names are in lower case. */
export interface S3Request {
  method: string
  /** The path as it came, with its percent-encoding. */
  path: string
  query: URLSearchParams
  headers: Readonly<Record<string, string | undefined>>
}

/** A response. An object's bytes are handed on as the bucket gave them: `object.body`, or `object.arrayBuffer()`. */
export interface S3Response {
  status: number
  headers: Record<string, string>
  body: { text: string } | { object: StoredObject } | null
}

/** Parameters that ask for something else than the bytes or the listing. Ignoring one would answer another question. */
const subresources = [
  'acl',
  'versioning',
  'versions',
  'uploads',
  'tagging',
  'policy',
  'cors',
  'lifecycle',
  'encryption',
  'attributes',
  'uploadId',
  'partNumber',
  'versionId',
  'torrent',
  'object-lock',
  'website',
  'notification',
  'replication',
]

/** Answers one request. `buckets` are those that the endpoint shows, by name. */
export async function serveS3(request: S3Request, buckets: Readonly<Record<string, ObjectStore>>): Promise<S3Response> {
  const path = decodePath(request.path)
  if (path === undefined) return failure(request, 400, 'InvalidURI', `The path ${request.path} is not percent-encoded UTF-8.`)
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    const response = failure(request, 405, 'MethodNotAllowed', `${request.method} is not served: this endpoint only reads.`)
    return { ...response, headers: { ...response.headers, allow: 'GET, HEAD' } }
  }
  // The first segment is the bucket; all after it, slashes too, is the key.
  const slash = path.indexOf('/', 1)
  const bucketName = slash < 0 ? path.slice(1) : path.slice(1, slash)
  const key = slash < 0 ? '' : path.slice(slash + 1)
  if (bucketName === '') return failure(request, 501, 'NotImplemented', 'Listing buckets is not served. Ask for a bucket by name.')
  const bucket = Object.hasOwn(buckets, bucketName) ? buckets[bucketName] : undefined
  if (!bucket) return failure(request, 404, 'NoSuchBucket', `There is no bucket ${bucketName} here.`)
  const other = subresources.find((it) => request.query.has(it))
  if (other) return failure(request, 501, 'NotImplemented', `?${other} is not served: this endpoint reads objects and lists them.`)
  if (key !== '') return request.method === 'HEAD' ? headObject(request, bucket, key) : getObject(request, bucket, key)
  if (request.method === 'HEAD') return { status: 200, headers: {}, body: null }
  if (request.query.has('location')) return xml(200, locationXml())
  return listObjects(request, bucket, bucketName)
}

/** HeadObject: what GetObject would say, without the bytes; with a range, too. */
async function headObject(request: S3Request, bucket: ObjectStore, key: string): Promise<S3Response> {
  const info = await bucket.head(key)
  if (!info) return failure(request, 404, 'NoSuchKey', `There is no object ${key}.`)
  const condition = unmet(request, info)
  if (condition) return condition
  const range = parseRange(request.headers.range, info.size)
  if (range === 'unsatisfiable') return outOfRange(request, info)
  return range
    ? partial(info, range, null)
    : { status: 200, headers: { ...objectHeaders(info), 'content-length': String(info.size) }, body: null }
}

/** GetObject, whole or in part. The bytes are handed on as a stream and never held here. */
async function getObject(request: S3Request, bucket: ObjectStore, key: string): Promise<S3Response> {
  const wantsRange = request.headers.range !== undefined
  const conditional = request.headers['if-match'] !== undefined || request.headers['if-none-match'] !== undefined
  // A range is checked against the size first: a bucket refuses one past the end with an error of its own.
  const info = wantsRange || conditional ? await bucket.head(key) : undefined
  if (info === null) return failure(request, 404, 'NoSuchKey', `There is no object ${key}.`)
  const condition = info && unmet(request, info)
  if (condition) return condition
  const range = info && parseRange(request.headers.range, info.size)
  if (info && range === 'unsatisfiable') return outOfRange(request, info)
  const object = range && range !== 'unsatisfiable' ? await bucket.get(key, { range }) : await bucket.get(key)
  if (!object) return failure(request, 404, 'NoSuchKey', `There is no object ${key}.`)
  // Between the two calls the object may have become another one; half of each would be worse than an error.
  if (info && object.etag !== info.etag)
    return failure(request, 409, 'OperationAborted', `The object ${key} changed while it was read. Try again.`)
  if (info && range && range !== 'unsatisfiable') return partial(info, range, object)
  return { status: 200, headers: { ...objectHeaders(object), 'content-length': String(object.size) }, body: { object } }
}

/** ListObjectsV2: at most 1,000 keys and prefixes a page. */
async function listObjects(request: S3Request, bucket: ObjectStore, bucketName: string): Promise<S3Response> {
  const { query } = request
  if (query.get('list-type') !== '2') return failure(request, 501, 'NotImplemented', 'Only ListObjectsV2 is served: ask with list-type=2.')
  const maxText = query.get('max-keys') ?? '1000'
  if (!/^\d{1,9}$/.test(maxText)) return failure(request, 400, 'InvalidArgument', `max-keys is ${maxText}: give a whole number.`)
  const maxKeys = Math.min(Number(maxText), 1000)
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const startAfter = query.get('start-after') ?? ''
  const token = query.get('continuation-token') ?? ''
  const encoded = query.get('encoding-type') === 'url'
  const echo = { bucketName, prefix, delimiter, startAfter, token, maxKeys, encoded }
  if (maxKeys === 0) return xml(200, listXml({ ...echo, page: { objects: [], delimitedPrefixes: [], truncated: false } }))
  const page = await bucket.list({
    prefix,
    limit: maxKeys,
    ...(delimiter && { delimiter }),
    // The bucket's cursor goes out as the token and comes back as it is.
    ...(token ? { cursor: token } : startAfter && { startAfter }),
  })
  return xml(200, listXml({ ...echo, page }))
}

/** A range that lies within the object. */
type ByteRange = { offset: number; length: number }

/**
 * The bytes that a `Range` header asks for (RFC 9110, section 14): `undefined` for all of them, also for a header of several ranges or of another
 * form, which a server may ignore.
 */
function parseRange(header: string | undefined, sizeBytes: number): ByteRange | 'unsatisfiable' | undefined {
  const match = header === undefined ? null : /^bytes=(\d*)-(\d*)$/.exec(header.trim())
  if (!match || (match[1] === '' && match[2] === '')) return undefined
  const [, first, last] = match
  if (first === '') {
    const length = Math.min(Number(last), sizeBytes)
    return length === 0 ? 'unsatisfiable' : { offset: sizeBytes - length, length }
  }
  const offset = Number(first)
  const end = last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1)
  if (last !== '' && Number(last) < offset) return undefined
  return offset >= sizeBytes ? 'unsatisfiable' : { offset, length: end - offset + 1 }
}

/** The response to a condition that does not hold. */
function unmet(request: S3Request, info: ObjectInfo): S3Response | undefined {
  const match = request.headers['if-match']
  if (match !== undefined && !names(match, info.etag))
    return failure(request, 412, 'PreconditionFailed', `The object ${info.key} has the entity tag "${info.etag}".`)
  const noneMatch = request.headers['if-none-match']
  return noneMatch !== undefined && names(noneMatch, info.etag)
    ? { status: 304, headers: { etag: `"${info.etag}"` }, body: null }
    : undefined
}

/** Whether a list of entity tags names this one. */
function names(header: string, etag: string): boolean {
  return header.split(',').some((it) => it.trim() === '*' || it.trim().replace(/^"|"$/g, '') === etag)
}

/** 206. `object` is null for HEAD. */
function partial(info: ObjectInfo, range: ByteRange & ObjectRange, object: StoredObject | null): S3Response {
  return {
    status: 206,
    headers: {
      ...objectHeaders(info),
      'content-length': String(range.length),
      'content-range': `bytes ${range.offset}-${range.offset + range.length - 1}/${info.size}`,
    },
    body: object && { object },
  }
}

/** 416, with the size, so that the client can ask again. */
function outOfRange(request: S3Request, info: ObjectInfo): S3Response {
  const response = failure(request, 416, 'InvalidRange', `The object ${info.key} has ${info.size} bytes.`)
  return { ...response, headers: { ...response.headers, 'content-range': `bytes */${info.size}` } }
}

/** What every answer about an object carries. */
function objectHeaders(info: ObjectInfo): Record<string, string> {
  return {
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    etag: `"${info.etag}"`,
    'last-modified': info.uploaded.toUTCString(),
  }
}

/** The path as text. Keys hold slashes, so nothing is split before this. */
function decodePath(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch (cause) {
    if (cause instanceof URIError) return undefined
    throw cause
  }
}

/** An error as S3's XML. */
function failure(request: S3Request, status: number, code: string, message: string): S3Response {
  // HEAD has no body by HTTP's rules: its status says all.
  return request.method === 'HEAD' ? { status, headers: {}, body: null } : xml(status, errorXml(code, message, request.path))
}

/** A response of XML. */
function xml(status: number, text: string): S3Response {
  return { status, headers: { 'content-type': 'application/xml' }, body: { text } }
}
