import type { Progress } from '../../src/base/views.ts'
import type {
  BucketListRequest,
  BucketObject,
  BucketPage,
  BucketReader,
  HttpAnswer,
  HttpRequest,
  SourcePorts,
} from '../../src/sources/ports.ts'

let bytes = false

/** From now on bodies are streams of bytes, as the platform's own are: a reader may bring its own room. */
export function giveByteStreams(): void {
  bytes = true
}

/** What became of the bodies that a fake handed out. `heldBytes` are those given to the room so far. */
export class BodyLog {
  opened = 0
  ended = 0
  cancelled = 0
  openNow = 0
  mostOpen = 0
  bytesGiven = 0
  /** Addresses in the order of their opening. */
  order: string[] = []

  /** A stream that gives the chunks one a pull, and then closes, fails or goes quiet. */
  stream(name: string, chunks: Iterable<Uint8Array>, ending: 'close' | 'hang' | Error = 'close'): ReadableStream<Uint8Array> {
    const iterator = chunks[Symbol.iterator]()
    this.opened++
    this.openNow++
    this.mostOpen = Math.max(this.mostOpen, this.openNow)
    this.order.push(name)
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array> | ReadableByteStreamController): Promise<void> => {
      const next = iterator.next()
      if (!next.done) {
        this.bytesGiven += next.value.length
        // A copy: a stream of bytes takes the memory of what it is given.
        return controller.enqueue(new Uint8Array(next.value))
      }
      if (ending === 'hang') return new Promise<void>(() => undefined)
      this.ended++
      this.openNow--
      if (ending !== 'close') return controller.error(ending)
      controller.close()
      // A read that brought its room is answered with none of it filled.
      if ('byobRequest' in controller) controller.byobRequest?.respond(0)
    }
    const cancel = (): void => {
      this.cancelled++
      this.openNow--
    }
    return bytes
      ? new ReadableStream({ type: 'bytes', pull, cancel }, { highWaterMark: 0 })
      : new ReadableStream<Uint8Array>({ pull, cancel }, { highWaterMark: 0 })
  }
}

/** A bucket over a map. Pages of `pageKeys` keys; bodies in chunks of `chunkBytes`. */
export class FakeBucket implements BucketReader {
  readonly log: BodyLog
  readonly objects = new Map<string, { bytes: Uint8Array; contentType?: string; ending?: 'close' | 'hang' | Error; statedSize?: number }>()
  pageKeys = 2
  chunkBytes = 1000
  lists: BucketListRequest[] = []
  failGet: Error | undefined

  constructor(log: BodyLog, objects: Record<string, string | Uint8Array> = {}) {
    this.log = log
    for (const [key, value] of Object.entries(objects)) this.put(key, value)
  }

  put(key: string, value: string | Uint8Array): void {
    this.objects.set(key, { bytes: typeof value === 'string' ? new TextEncoder().encode(value) : value })
  }

  async get(key: string): Promise<BucketObject | null> {
    if (this.failGet) throw this.failGet
    const object = this.objects.get(key)
    if (object === undefined) return null
    return {
      body: this.log.stream(key, chunked(object.bytes, this.chunkBytes), object.ending),
      size: object.statedSize ?? object.bytes.length,
      httpEtag: '"tag"',
      httpMetadata: object.contentType === undefined ? {} : { contentType: object.contentType },
    }
  }

  async list(request: BucketListRequest): Promise<BucketPage> {
    this.lists.push(request)
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(request.prefix)).sort()
    const from = request.cursor === undefined ? 0 : Number(request.cursor)
    const to = from + Math.min(this.pageKeys, request.limit)
    const objects = keys.slice(from, to).map((key) => ({ key, size: this.objects.get(key)?.bytes.length ?? 0 }))
    return to < keys.length ? { objects, truncated: true, cursor: String(to) } : { objects, truncated: false }
  }
}

export interface FakeWorld {
  ports: SourcePorts
  log: BodyLog
  bucket: FakeBucket
  progress: Progress[]
  requests: { url: string; request: HttpRequest | undefined }[]
  /** What the next requests answer. */
  answer: (url: string) => Promise<HttpAnswer>
}

/** Ports over one bucket bound as `R2_BUCKET` and declared as `data-lake`, with every body counted. */
export function fakeWorld(objects: Record<string, string | Uint8Array> = {}, sources: Record<string, string> = {}): FakeWorld {
  const log = new BodyLog()
  const bucket = new FakeBucket(log, objects)
  const world: FakeWorld = {
    log,
    bucket,
    progress: [],
    requests: [],
    answer: async () => httpAnswer(log, 404, 'no'),
    ports: {
      bucket: (name) => (name === 'R2_BUCKET' ? bucket : undefined),
      bucketNames: () => ['R2_BUCKET'],
      sources: { 'data-lake': 'R2_BUCKET', ...sources },
      http: async (url, request) => {
        world.requests.push({ url, request })
        return world.answer(url)
      },
      gunzip: (stream) =>
        stream.pipeThrough(new DecompressionStream('gzip') as unknown as Parameters<typeof stream.pipeThrough<Uint8Array>>[0]),
      onProgress: (progress) => void world.progress.push({ ...progress }),
    },
  }
  return world
}

/** An HTTP answer with a counted body. */
export function httpAnswer(log: BodyLog, status: number, body: string | Uint8Array | null, contentType?: string): HttpAnswer {
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
  return {
    status,
    headers: { get: (name) => (name === 'content-type' ? (contentType ?? null) : null) },
    body: bytes === null ? null : log.stream('http', chunked(bytes, 7)),
  }
}

/** `bytes` in copies of `size` bytes. */
export function* chunked(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.slice(start, start + size)
}

/** `bytes` cut at the given places, which are taken modulo the length: any list of numbers is a chunking. */
export function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const cuts = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  const edges = [0, ...cuts, bytes.length]
  return edges.slice(1).map((edge, index) => bytes.slice(edges[index], edge))
}

/** The error that a promise ends with; fails the test when it does not. */
export async function failureOf(
  promise: PromiseLike<unknown>,
): Promise<{ code: string; message: string; retryable: boolean; data: Record<string, unknown> }> {
  try {
    await promise
  } catch (thrown) {
    return thrown as { code: string; message: string; retryable: boolean; data: Record<string, unknown> }
  }
  throw new Error('expected a failure, and there was none')
}
