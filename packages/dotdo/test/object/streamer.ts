/** An object whose methods give and take streams, and tell what became of them. */
import { DO, DotdoError } from '../../src/index.ts'

/** What the sources of all objects went through, by object. Tests look here. */
export const sources: Record<string, string[]> = {}

function source(name: string, chunks: Iterator<unknown>): ReadableStream<unknown> {
  const events = (sources[name] ??= [])
  return new ReadableStream(
    {
      pull(controller) {
        const { done, value } = chunks.next()
        if (done) return controller.close()
        events.push('made')
        controller.enqueue(value)
      },
      cancel: (reason) => void events.push(`cancelled: ${(reason as Error)?.message}`),
    },
    { highWaterMark: 0 },
  )
}

function* blocks(count: number, size: number): Generator<Uint8Array> {
  for (let i = 0; i < count; i++) yield new Uint8Array(size).fill(i)
}

function* rows(count: number): Generator<unknown> {
  for (let i = 0; i < count; i++) yield { id: i, at: new Date(i), big: BigInt(i), none: undefined }
}

export const Streamer = DO.extend({
  blocks(count: number, size: number) {
    return { stream: source(this.id, blocks(count, size)) }
  },
  rows(count: number) {
    return source(this.id, rows(count))
  },
  *_failing(): Generator<unknown> {
    yield 'one'
    throw new DotdoError('SOURCE_BROKE', 'the source broke')
  },
  failing() {
    return { stream: source(this.id, this._failing()) }
  },
  body(text: string) {
    return { blob: new Blob([text], { type: 'text/plain' }), response: new Response(text, { status: 201 }) }
  },
  async size(stream: ReadableStream<Uint8Array>) {
    let size = 0
    for await (const chunk of stream) size += chunk.byteLength
    return size
  },
  async first(stream: ReadableStream) {
    const reader = stream.getReader()
    const { value } = await reader.read()
    await reader.cancel(new Error('one is enough'))
    return value
  },
  async fill(writable: WritableStream, count: number) {
    const writer = writable.getWriter()
    for (const row of rows(count)) await writer.write(row)
    await writer.close()
  },
  /** Reads a stream of another object as it comes. */
  async drain(from: string, count: number, size: number) {
    const { stream } = await this.Streamer(from).blocks(count, size)
    return await this.size(stream as ReadableStream<Uint8Array>)
  },
  bytes(count: number, size: number) {
    const chunks = blocks(count, size)
    const source = {
      type: 'bytes',
      pull(controller: ReadableByteStreamController) {
        const { done, value } = chunks.next()
        if (!done) return controller.enqueue(value)
        controller.close()
        controller.byobRequest?.respond(0)
      },
    }
    return new ReadableStream(source as never)
  },
  whole(size: number) {
    return new Uint8Array(size)
  },
  length(bytes: Uint8Array) {
    return bytes.byteLength
  },
  /** One message of more than the platform carries: as a result, as an argument, and handed off. */
  async tooLarge(size: number) {
    const code = (call: unknown) =>
      (call as Promise<unknown>).then(
        (value) => `came: ${String(value)}`,
        (error: { code?: string }) => error.code,
      )
    return await Promise.all([
      code(this.Streamer('large').whole(size)),
      code(this.Streamer('large').length(new Uint8Array(size))),
      code(this.Streamer('consumer').length(this.Streamer('provider').whole(size) as never)),
    ])
  },
  echo(stream: ReadableStream) {
    return stream
  },
  echoNested(stream: ReadableStream) {
    return { stream, label: 'nested' }
  },
  /** Streams of one object as arguments of another: they go from the one to the other. */
  async between(from: string, to: string, count: number, size: number) {
    const [nested, whole, bytes] = [
      this.Streamer(from).blocks(count, size),
      this.Streamer(from).rows(count),
      this.Streamer(from).bytes(count, size),
    ]
    return await Promise.all([
      this.Streamer(to).size(nested.stream as never),
      this.Streamer(to).count(whole as never),
      this.Streamer(to).size(bytes as never),
    ])
  },
  async count(stream: ReadableStream) {
    let count = 0
    for await (const _ of stream) count++
    return count
  },
  async sizeOfBlob(blob: Blob) {
    return (await blob.arrayBuffer()).byteLength
  },
})
