/** R2 in memory: what `object/` and users' code read and write of a bucket. */
import { createHash } from 'node:crypto'
import type { World } from './world.ts'

interface Stored {
  bytes: Uint8Array
  uploaded: Date
  contentType: string | undefined
}

type Range = { offset: number; length?: number } | { suffix: number }

/** An `R2Bucket` that pages and ranges as the platform's does. What an object puts leaves when what it has written before is on disk. */
export class MemoryBucket {
  readonly objects = new Map<string, Stored>()
  readonly #world: World
  #operations = 0

  constructor(world: World) {
    this.#world = world
  }

  get [Symbol.toStringTag](): string {
    return 'R2Bucket'
  }

  /** Puts an object as somebody else would, at once. */
  store(key: string, content: string | Uint8Array, contentType?: string): void {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content.slice()
    this.objects.set(key, { bytes, uploaded: new Date(this.#world.now), contentType })
  }

  get(key: string, options?: { range?: Range }): Promise<object | null> {
    return this.#do(() => {
      const stored = this.objects.get(key)
      if (!stored) return null
      const bytes = options?.range ? cut(stored.bytes, options.range) : stored.bytes
      return {
        ...infoOf(key, stored),
        get body() {
          return streamOf(bytes)
        },
        arrayBuffer: async () => bytes.slice().buffer,
        bytes: async () => bytes.slice(),
        text: async () => new TextDecoder().decode(bytes),
        json: async () => JSON.parse(new TextDecoder().decode(bytes)) as unknown,
      }
    })
  }

  head(key: string): Promise<object | null> {
    return this.#do(() => {
      const stored = this.objects.get(key)
      return stored ? infoOf(key, stored) : null
    })
  }

  async put(
    key: string,
    content: string | Uint8Array | ArrayBuffer | ReadableStream,
    options?: { httpMetadata?: { contentType?: string } },
  ): Promise<object> {
    const given = content instanceof ReadableStream ? await new Response(content).arrayBuffer() : content
    // What was given may be changed by its owner before this takes effect.
    const bytes = typeof given === 'string' ? given : new Uint8Array(given as ArrayBuffer).slice()
    return this.#do(() => {
      this.store(key, bytes, options?.httpMetadata?.contentType)
      return infoOf(key, this.objects.get(key)!)
    })
  }

  delete(keys: string | string[]): Promise<void> {
    const all = typeof keys === 'string' ? [keys] : [...keys]
    if (all.length > 1000) return Promise.reject(new Error('delete: at most 1000 keys'))
    return this.#do(() => {
      for (const key of all) this.objects.delete(key)
    })
  }

  list(query: { prefix?: string; delimiter?: string; cursor?: string; startAfter?: string; limit?: number } = {}): Promise<object> {
    return this.#do(() => {
      const { prefix = '', delimiter, cursor, startAfter, limit = 1000 } = query
      const after = cursor ?? startAfter
      const objects: object[] = []
      const delimitedPrefixes = new Set<string>()
      let last = ''
      for (const key of [...this.objects.keys()].filter((it) => it.startsWith(prefix)).toSorted(byBytes)) {
        const end = delimiter ? key.indexOf(delimiter, prefix.length) : -1
        const entry = end < 0 ? key : key.slice(0, end + delimiter!.length)
        if (delimitedPrefixes.has(entry) || (after !== undefined && byBytes(entry, after) <= 0)) continue
        if (objects.length + delimitedPrefixes.size >= limit)
          return { objects, delimitedPrefixes: [...delimitedPrefixes], truncated: true, cursor: last }
        if (end < 0) objects.push(infoOf(key, this.objects.get(key)!))
        else delimitedPrefixes.add(entry)
        last = entry
      }
      return { objects, delimitedPrefixes: [...delimitedPrefixes], truncated: false }
    })
  }

  /** Takes effect when it has left whoever asked, and answers in an event of its own. */
  #do<T>(effect: () => T): Promise<T> {
    const world = this.#world
    const life = world.here
    const number = this.#operations++
    return new Promise((resolve, reject) => {
      const done = () => {
        let answer: () => void
        try {
          const value = effect()
          answer = () => resolve(value)
        } catch (error) {
          answer = () => reject(error as Error)
        }
        world.post({ lane: `bucket answer ${number}`, life, kind: 'bucket answer', run: answer })
      }
      world.depart(life, () => world.post({ lane: `bucket ${number}`, kind: 'bucket', run: done }))
    })
  }
}

function infoOf(key: string, { bytes, uploaded, contentType }: Stored): object {
  const etag = createHash('md5').update(bytes).digest('hex')
  return { key, size: bytes.length, etag, httpEtag: `"${etag}"`, uploaded, httpMetadata: contentType === undefined ? {} : { contentType } }
}

function cut(bytes: Uint8Array, range: Range): Uint8Array {
  if ('suffix' in range) return bytes.slice(Math.max(0, bytes.length - range.suffix))
  if (range.offset >= bytes.length) throw new Error('get: The requested range is not satisfiable (10039)')
  return bytes.slice(range.offset, range.length === undefined ? undefined : range.offset + range.length)
}

/** A stream of bytes in pieces, as those of the platform come. */
function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  const pieceBytes = 65_536
  let at = 0
  // The libraries of types declare streams of bytes differently.
  const ByteStream = ReadableStream as unknown as new (source: object) => ReadableStream<Uint8Array>
  return new ByteStream({
    type: 'bytes',
    pull(controller: { enqueue(piece: Uint8Array): void; close(): void; byobRequest?: { respond(count: number): void } | null }) {
      if (at < bytes.length) controller.enqueue(bytes.slice(at, (at += pieceBytes)))
      if (at < bytes.length) return
      controller.close()
      controller.byobRequest?.respond(0)
    },
  })
}

function byBytes(a: string, b: string): number {
  const [left, right] = [new TextEncoder().encode(a), new TextEncoder().encode(b)]
  for (let i = 0; i < Math.min(left.length, right.length); i++) if (left[i] !== right[i]) return left[i]! - right[i]!
  return left.length - right.length
}
