// The few globals of the web platform that every runtime of ours has and that hold no authority: text, addresses,
// streams, signals. The pure rooms compile against these alone, so that `fetch`, timers or storage in one of them is a type error.
declare class TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>
  encodeInto(source: string, destination: Uint8Array): { read: number; written: number }
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean })
  decode(input?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string
}
declare class URLSearchParams implements Iterable<[string, string]> {
  constructor(init?: string | Record<string, string>)
  get(name: string): string | null
  getAll(name: string): string[]
  has(name: string): boolean
  set(name: string, value: string): void
  append(name: string, value: string): void
  toString(): string
  [Symbol.iterator](): Iterator<[string, string]>
}
declare class URL {
  constructor(url: string, base?: string | URL)
  static canParse(url: string, base?: string): boolean
  readonly protocol: string
  readonly host: string
  readonly hostname: string
  readonly port: string
  readonly pathname: string
  readonly search: string
  readonly hash: string
  readonly origin: string
  readonly href: string
  readonly searchParams: URLSearchParams
}
interface ReadableStreamDefaultReader<R = unknown> {
  read(): Promise<{ done: false; value: R } | { done: true; value?: undefined }>
  cancel(reason?: unknown): Promise<void>
  releaseLock(): void
}
interface ReadableStreamBYOBReader {
  read(room: Uint8Array): Promise<{ done: false; value: Uint8Array } | { done: true; value?: Uint8Array }>
  cancel(reason?: unknown): Promise<void>
}
interface ReadableStreamDefaultController<R = unknown> {
  readonly desiredSize: number | null
  enqueue(chunk: R): void
  close(): void
  error(reason?: unknown): void
}
declare class ReadableStream<R = unknown> {
  constructor(
    source?: {
      start?(controller: ReadableStreamDefaultController<R>): void | Promise<void>
      pull?(controller: ReadableStreamDefaultController<R>): void | Promise<void>
      cancel?(reason?: unknown): void | Promise<void>
    },
    strategy?: { highWaterMark?: number },
  )
  getReader(): ReadableStreamDefaultReader<R>
  getReader(options: { mode: 'byob' }): ReadableStreamBYOBReader
  cancel(reason?: unknown): Promise<void>
  pipeThrough<T>(transform: { readable: ReadableStream<T>; writable: unknown }): ReadableStream<T>
  [Symbol.asyncIterator](): AsyncIterator<R>
}
interface AbortSignal {
  readonly aborted: boolean
  readonly reason: unknown
  throwIfAborted(): void
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
}
declare class AbortController {
  readonly signal: AbortSignal
  abort(reason?: unknown): void
}
declare function queueMicrotask(callback: () => void): void
