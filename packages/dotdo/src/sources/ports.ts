import type { Secret } from '../base/secrets.ts'
import type { Progress } from '../base/views.ts'

/** What the room needs from the platform. Whoever makes an `extract` supplies these; the room itself opens nothing. */
export interface SourcePorts {
  /** The reader of a bucket binding, or `undefined` where the app has none by that name. Names are those of `r2://BINDING/…`. */
  bucket(name: string): BucketReader | undefined
  /** The bucket bindings that exist, for the message that says which ones do. */
  bucketNames(): string[]
  /** The `sources` that the app declares: see {@link SourceDeclarations}. */
  sources?: SourceDeclarations
  /**
   * One GET. Redirects are followed by it. A rejected promise means that no answer came (counted as retryable). The room reads or
   * cancels every `body` it is given.
   */
  http(url: string, request?: HttpRequest): Promise<HttpAnswer>
  /**
   * Decompresses gzip as it flows, holding no more than a window of it. A stream that is no gzip, or ends early, must error.
   * On the web: `stream.pipeThrough(new DecompressionStream('gzip'))`. In workerd that one refuses a file of several gzip members (what `cat a.gz
   * b.gz` makes) as trailing bytes: an error and never a short table.
   */
  gunzip(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array>
  /** Told after each batch: rows and bytes so far over the whole extraction, and the object that is being read. Must not throw. */
  onProgress?(progress: Progress): void
}

/**
 * Names that an app declares for its data. A value with a scheme is a named source (`users: 's3://data-lake/users/'`, read by
 * `extract('users')`). A value without one is a bucket binding (`'data-lake': 'R2_BUCKET'`, so `s3://data-lake/…` reads that binding),
 * unless it is itself a declared name: then it is an alias of that, one step deep.
 */
export type SourceDeclarations = Readonly<Record<string, string>>

/**
 * The part of a bucket that is read. An `R2Bucket` is one as it is; so is a small class over a `Map` in a test.
 * A rejected promise from either method counts as a passing failure of the store (`SOURCE_UNAVAILABLE`, retryable).
 */
export interface BucketReader {
  /** The object, or `null` where there is none. The room reads or cancels every `body` it is given. */
  get(key: string): Promise<BucketObject | null>
  /** One page of the keys that begin with `prefix`, in ascending order of their UTF-8 bytes, going on from `cursor`. */
  list(request: BucketListRequest): Promise<BucketPage>
}

/** One stored object with its open body. `size` is in bytes, as stored (compressed where it is). */
export interface BucketObject {
  body: ReadableStream<Uint8Array>
  size: number
  /** The entity tag in its quotes, as it goes into an HTTP header. */
  httpEtag?: string
  httpMetadata?: { contentType?: string }
}

/** Which page of which keys. */
export interface BucketListRequest {
  prefix: string
  cursor?: string
  /** At most this many keys in the answer. */
  limit: number
}

/** A page of a listing. A `truncated` page has a `cursor` for the next one. */
export interface BucketPage {
  objects: readonly { key: string; size: number }[]
  truncated: boolean
  cursor?: string
}

/** What a GET carries. */
export interface HttpRequest {
  headers?: Readonly<Record<string, string | Secret>>
  signal?: AbortSignal
}

/** An HTTP answer as far as the room looks at it. A `Response` is one. */
export interface HttpAnswer {
  status: number
  headers: { get(name: string): string | null }
  body: ReadableStream<Uint8Array> | null
}
