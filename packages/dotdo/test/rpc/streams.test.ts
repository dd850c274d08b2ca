/** Streams and Blobs over the session link, between two ends in one process. */
import { RpcTarget, type RpcStub } from 'capnweb'
import { afterEach, describe, expect, test } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import { pair, turns } from './pair.ts'

/** A stream of these chunks, that tells what became of it. */
function streamOf(chunks: Iterable<unknown>, events: string[] = []): ReadableStream<any> {
  const iterator = chunks[Symbol.iterator]()
  return new ReadableStream(
    {
      pull(controller) {
        const { done, value } = iterator.next()
        if (done) return controller.close()
        events.push('pulled')
        controller.enqueue(value)
      },
      cancel: (reason) => void events.push(`cancelled: ${(reason as Error)?.message}`),
    },
    { highWaterMark: 0 },
  )
}

async function collect(stream: ReadableStream): Promise<unknown[]> {
  const chunks: unknown[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

const numbers = function* (count: number) {
  for (let i = 0; i < count; i++) yield i
}
const bytes = function* (count: number, size: number) {
  for (let i = 0; i < count; i++) yield new Uint8Array(size).fill(i)
}

/** A stream of bytes: a session does not see its pieces. */
function byteStream(count: number, size: number, events: string[] = [], failure?: Error): ReadableStream<Uint8Array> {
  let made = 0
  const source = {
    type: 'bytes',
    pull(controller: ReadableByteStreamController) {
      if (made++ < count) {
        events.push('pulled')
        return controller.enqueue(new Uint8Array(size).fill(made))
      }
      if (failure) return controller.error(failure)
      controller.close()
      controller.byobRequest?.respond(0)
    },
    cancel: (reason: unknown) => void events.push(`cancelled: ${(reason as Error)?.message}`),
  }
  // The libraries of types declare streams of bytes twice, differently.
  return new ReadableStream(source as never)
}

const pipeTo = () => Object.getOwnPropertyDescriptor(ReadableStream.prototype, 'pipeTo')?.value as unknown
const platformPipeTo = pipeTo()

class Counter extends RpcTarget {
  #n = 0
  next() {
    return ++this.#n
  }
  itself() {
    return this
  }
  numbers(count: number) {
    return streamOf(numbers(count))
  }
  collect(stream: ReadableStream) {
    return collect(stream)
  }
}

class Streams extends RpcTarget {
  events: string[] = []
  kept: ReadableStream | undefined
  numbers(count: number) {
    return streamOf(numbers(count), this.events)
  }
  chunks(chunks: unknown[]) {
    return streamOf(chunks, this.events)
  }
  blocks(count: number, size = 65_536) {
    return streamOf(bytes(count, size), this.events)
  }
  byteStream(count: number, size = 65_536) {
    return byteStream(count, size, this.events)
  }
  failingBytes(count: number) {
    return byteStream(count, 1000, this.events, new DotdoError('DISK_BROKE', 'the disk broke', { retryable: true }))
  }
  failing(after: number) {
    const events = this.events
    return streamOf(
      (function* () {
        yield* numbers(after)
        events.push('failed')
        throw new DotdoError('SOURCE_BROKE', 'the source broke', { data: { after } })
      })(),
    )
  }
  several(count: number) {
    return { streams: Array.from({ length: count }, (_, i) => streamOf([`stream ${i}`, i])), label: 'nested' }
  }
  capabilities(count: number) {
    return streamOf(Array.from({ length: count }, () => ({ counter: new Counter() })))
  }
  streamOfStreams() {
    return streamOf([streamOf([1, 2]), 'between', { inner: streamOf([3]) }])
  }
  collect(stream: ReadableStream) {
    return collect(stream)
  }
  async sum(stream: ReadableStream<Uint8Array>) {
    let sum = 0
    for await (const chunk of stream) sum += chunk.byteLength
    return sum
  }
  async first(stream: ReadableStream, count: number) {
    const reader = stream.getReader()
    const chunks = []
    for (let i = 0; i < count; i++) chunks.push((await reader.read()).value)
    await reader.cancel(new DotdoError('ENOUGH', 'enough is enough'))
    return chunks
  }
  echo<T>(value: T): T {
    return value
  }
  async fill(writable: WritableStream, count: number) {
    const writer = writable.getWriter()
    for (const n of numbers(count)) await writer.write(n)
    await writer.close()
    return 'filled'
  }
  async giveUp(writable: WritableStream) {
    const writer = writable.getWriter()
    await writer.write('something')
    await writer.abort(new DotdoError('NO_MORE', 'there is no more'))
  }
  forget(writable: WritableStream) {
    void writable
      .getWriter()
      .write('one')
      .catch(() => {})
  }
  async size(blob: Blob) {
    return { size: blob.size, type: blob.type, text: (await blob.text()).slice(0, 20) }
  }
  blob(text: string) {
    return { file: new Blob([text], { type: 'text/plain' }) }
  }
  respond(body: string) {
    return new Response(body, { status: 201, headers: { 'x-a': 'b' } })
  }
  add(a: number, b: number) {
    return a + b
  }
  keep(stream: ReadableStream) {
    this.kept = stream
    return 'kept'
  }
  counter() {
    return new Counter()
  }
}

function open(options?: Parameters<typeof pair>[1]) {
  const main = new Streams()
  const ends = pair(main, options)
  const root = () => ends.link.root() as unknown as RpcStub<Streams>
  return { main, ...ends, root: root as () => any }
}

const failure = (promise: PromiseLike<unknown>) =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => error as { code?: string; message?: string },
  )

afterEach(() => expect(pipeTo()).toBe(platformPipeTo))

/** Sessions that only streams kept are gone soon after. */
async function closed(server: { openSessions: number }, root: () => any): Promise<void> {
  for (let i = 0; i < 100 && server.openSessions > 1; i++) {
    await turns()
    // What a caller is done with is told with its next message.
    await root().add(1, 1)
  }
  expect(server.openSessions).toBeLessThanOrEqual(1)
}

describe('a stream in a result', () => {
  test('arrives whole, chunk by chunk, whatever the chunks are', async () => {
    const { root, server } = open()
    const chunks = [
      new Uint8Array([1, 2, 3]),
      new Uint8Array(100_000).fill(7),
      'text',
      '\ud800 alone',
      0,
      -0,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      12n,
      null,
      true,
      new Date(5),
      new Date(Number.NaN),
      [1, [2, [undefined]], ['import', 1]],
      { a: 1, nested: { date: new Date(1), bytes: new Uint8Array([9]) }, '\u0000': 'tag', none: undefined },
      new Float64Array([1.5, 2.5]),
      new Uint8Array(),
      new URL('https://example.com/x'),
      { rows: Array.from({ length: 1000 }, (_, i) => ({ id: i, name: `row ${i}` })) },
    ]
    const stream = await root().chunks(chunks)
    expect(await collect(stream)).toEqual(chunks)
    await closed(server, root)
  })

  test('does not make a message for every chunk', async () => {
    const { root, stats } = open()
    expect(await collect(await root().numbers(1000))).toHaveLength(1000)
    expect(stats.messages).toBeLessThan(5)
  })

  test('of 64 MiB never lies in memory whole', async () => {
    const { root, main } = open()
    const stream: ReadableStream<Uint8Array> = await root().blocks(1024)
    let read = 0
    let most = 0
    for await (const chunk of stream) {
      read += chunk.byteLength
      most = Math.max(most, main.events.length - read / 65_536)
    }
    expect(read).toBe(64 * 1024 * 1024)
    expect(most).toBeLessThanOrEqual(6)
  })

  test('waits for its reader: nothing more is made than a few chunks ahead', async () => {
    const { root, main } = open()
    const reader = (await root().blocks(1000)).getReader()
    await turns(50)
    expect(main.events.length).toBeLessThanOrEqual(5)
    await reader.read()
    await turns(50)
    expect(main.events.length).toBeLessThanOrEqual(6)
    await reader.cancel()
  })

  test('that fails in the middle fails at its reader with the same error, after what came before', async () => {
    const { root, server } = open()
    const read: unknown[] = []
    const stream: ReadableStream = await root().failing(3)
    const error = await failure(
      (async () => {
        for await (const chunk of stream) read.push(chunk)
      })(),
    )
    expect(error).toMatchObject({ code: 'SOURCE_BROKE', message: 'the source broke' })
    expect(read).toEqual([0, 1, 2])
    await closed(server, root)
  })

  test('that is cancelled by its reader stops at its source, which learns why', async () => {
    const { root, main, server } = open()
    const reader = (await root().numbers(100_000)).getReader()
    expect(await reader.read()).toEqual({ done: false, value: 0 })
    await reader.cancel(new Error('seen enough'))
    for (let i = 0; i < 100 && main.events.at(-1) === 'pulled'; i++) await turns()
    expect(main.events.at(-1)).toBe('cancelled: seen enough')
    await closed(server, root)
  })

  test('that nobody reads ends after a while, at both ends', async () => {
    const { root, main, server } = open({ limits: { streamStallMs: 30 } })
    const stream: ReadableStream = await root().blocks(100)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(main.events.at(-1)).toMatch(/cancelled: .*nobody has read/)
    await expect(collect(stream)).rejects.toMatchObject({ code: 'LINK_LOST', retryable: true })
    await closed(server, root)
  })

  test('goes beside others, nested, in any order of reading', async () => {
    const { root, server } = open()
    const { streams, label } = await root().several(5)
    expect(label).toBe('nested')
    for (const i of [3, 0, 4, 1, 2]) expect(await collect(streams[i])).toEqual([`stream ${i}`, i])
    await closed(server, root)
  })

  test('may carry capabilities, and streams of its own', async () => {
    const { root, server } = open()
    const counters = (await collect(await root().capabilities(3))) as { counter: RpcStub<Counter> & Disposable }[]
    expect(await counters[1]!.counter.next()).toBe(1)
    expect(await counters[1]!.counter.next()).toBe(2)
    expect(await counters[2]!.counter.next()).toBe(1)
    for (const chunk of counters) (chunk as unknown as Disposable)[Symbol.dispose]()

    const [first, between, third] = (await collect(await root().streamOfStreams())) as [ReadableStream, string, { inner: ReadableStream }]
    expect(between).toBe('between')
    expect(await collect(third.inner)).toEqual([3])
    expect(await collect(first)).toEqual([1, 2])
    await closed(server, root)
  })

  test.each([0, 1, 4])('leaves the numbering of calls right, with %i of its session before it', async (before) => {
    const { root } = open()
    const counter = await root().counter()
    for (let i = 0; i < before; i++) expect(await counter.itself().next()).toBe(i + 1)
    // Each way, with calls of the same session while they flow and after that.
    const [down, up, next] = await Promise.all([counter.numbers(3), counter.collect(streamOf([1, 2])), counter.itself().next()])
    expect([up, next]).toEqual([[1, 2], before + 1])
    expect(await counter.itself().next()).toBe(before + 2)
    expect(await collect(down)).toEqual([0, 1, 2])
    expect(await counter.itself().next()).toBe(before + 3)
  })
})

describe('a stream of bytes', () => {
  test('arrives whole, in pieces as large as they come, and in no more messages than it takes', async () => {
    const { root, server, stats } = open()
    const pieces = (await collect(await root().byteStream(256))) as Uint8Array[]
    expect(pieces.reduce((sum, piece) => sum + piece.byteLength, 0)).toBe(256 * 65_536)
    expect(pieces.every((piece) => piece.buffer.byteLength <= 2 * piece.byteLength)).toBe(true)
    expect(stats.messages).toBeLessThan(5)
    expect(await root().sum(byteStream(100, 10_000))).toBe(1_000_000)
    await closed(server, root)
  })

  test('waits for its reader', async () => {
    const { root, main, server } = open()
    const reader = (await root().byteStream(1000)).getReader()
    await turns(50)
    expect(main.events.length).toBeLessThanOrEqual(6)
    await reader.read()
    await reader.cancel(new Error('seen enough'))
    for (let i = 0; i < 100 && main.events.at(-1) === 'pulled'; i++) await turns()
    expect(main.events.at(-1)).toBe('cancelled: seen enough')
    await closed(server, root)
  })

  test('that fails in the middle fails at its reader with the same error, after what came before', async () => {
    const { root, server } = open()
    let read = 0
    const stream: ReadableStream<Uint8Array> = await root().failingBytes(5)
    const error = await failure(
      (async () => {
        for await (const piece of stream) read += piece.byteLength
      })(),
    )
    expect(error).toMatchObject({ code: 'DISK_BROKE', message: 'the disk broke', retryable: true })
    expect(read).toBe(5000)
    await closed(server, root)
  })

  test('that is cancelled by the callee stops at its source, which learns why', async () => {
    const { root, server } = open()
    const events: string[] = []
    await root().first(byteStream(1000, 65_536, events), 2)
    for (let i = 0; i < 100 && events.at(-1) === 'pulled'; i++) await turns()
    expect(events.at(-1)).toBe('cancelled: enough is enough')
    await closed(server, root)
  })

  test('that somebody reads already is told to be so, and takes nobody else along', async () => {
    const { root } = open()
    const locked = byteStream(3, 10)
    locked.getReader()
    const answer = await failure(root().collect(locked))
    expect(answer).toMatchObject({ code: 'NOT_SENDABLE', message: expect.stringContaining('tee()') })
    // What was ours for a moment is the platform's again.
    expect(pipeTo()).toBe(platformPipeTo)
    expect(await root().add(1, 2)).toBe(3)
  })
})

describe('a stream as an argument', () => {
  test('arrives whole', async () => {
    const { root, server } = open()
    expect(await root().collect(streamOf(numbers(200)))).toEqual([...numbers(200)])
    expect(await root().sum(streamOf(bytes(100, 10_000)))).toBe(1_000_000)
    await closed(server, root)
  })

  test('goes on when its call has returned', async () => {
    const { root, main, server } = open({ limits: { graceMs: 5, idleMs: 20, pollMs: 5 } })
    expect(await root().keep(streamOf(numbers(50)))).toBe('kept')
    await new Promise((resolve) => setTimeout(resolve, 60))
    await closed(server, root)
    void main
  })

  test('that is cancelled by the callee stops at its source', async () => {
    const { root, server } = open()
    const events: string[] = []
    expect(await root().first(streamOf(numbers(100_000), events), 3)).toEqual([0, 1, 2])
    for (let i = 0; i < 100 && events.at(-1) === 'pulled'; i++) await turns()
    expect(events.at(-1)).toBe('cancelled: enough is enough')
    await closed(server, root)
  })

  test('that fails fails the callee', async () => {
    const { root, server } = open()
    const broken = streamOf(
      (function* () {
        yield 1
        throw new DotdoError('MINE', 'my own source broke')
      })(),
    )
    expect(await failure(root().collect(broken))).toMatchObject({ code: 'MINE', message: 'my own source broke' })
    await closed(server, root)
  })

  test('may be the result of another call of the turn', async () => {
    const { root, server, stats } = open()
    expect(await root().collect(root().numbers(20))).toEqual([...numbers(20)])
    expect(stats.messages).toBeLessThan(3)
    await closed(server, root)
  })
})

describe('a writable as an argument', () => {
  const sink = () => {
    const written: unknown[] = []
    return {
      written,
      writable: new WritableStream({
        write: (chunk) => void written.push(chunk),
        close: () => void written.push('closed'),
        abort: (reason) => void written.push(`aborted: ${(reason as Error)?.message}`),
      }),
    }
  }

  test('takes what the callee writes, and its end', async () => {
    const { root, server } = open()
    const { writable, written } = sink()
    expect(await root().fill(writable, 100)).toBe('filled')
    expect(written).toEqual([...numbers(100), 'closed'])
    await closed(server, root)
  })

  test('learns that the callee gave up, and why', async () => {
    const { root, server } = open()
    const { writable, written } = sink()
    await root().giveUp(writable)
    for (let i = 0; i < 50 && written.length < 2; i++) await turns()
    expect(written).toEqual(['something', 'aborted: there is no more'])
    await closed(server, root)
  })

  test('that fails fails the writer', async () => {
    const { root, server } = open()
    const writable = new WritableStream({
      write(chunk) {
        if (chunk === 3) throw new DotdoError('FULL', 'the disk is full')
      },
    })
    expect(await failure(root().fill(writable, 100))).toMatchObject({ code: 'FULL', message: 'the disk is full' })
    await closed(server, root)
  })

  test('that the callee lets go of is aborted', async () => {
    const { root, server } = open()
    const { writable, written } = sink()
    await root().forget(writable)
    for (let i = 0; i < 50 && !String(written.at(-1)).startsWith('aborted'); i++) await turns()
    expect(written.at(-1)).toMatch(/aborted: .*disposed/)
    await closed(server, root)
  })
})

describe('Blobs and bodies', () => {
  test('arrive whole, in arguments and results', async () => {
    const { root, server } = open()
    expect(await root().size(new Blob(['x'.repeat(100_000)], { type: 'text/x' }))).toEqual({
      size: 100_000,
      type: 'text/x',
      text: 'x'.repeat(20),
    })
    const { file } = await root().blob('hello')
    expect([file.type, await file.text()]).toEqual(['text/plain', 'hello'])
    const empty = await root().blob('')
    expect(empty.file.size).toBe(0)
    await closed(server, root)
  })

  test('a Response keeps its status, headers and body', async () => {
    const { root, server } = open()
    const response: Response = await root().respond('the body')
    expect([response.status, response.headers.get('x-a'), await response.text()]).toEqual([201, 'b', 'the body'])
    await closed(server, root)
  })
})

describe('when an end goes', () => {
  test('a reader learns that the session is lost', async () => {
    let lost = false
    const { root } = open({
      carry: async (_message, send) => {
        if (lost) throw new Error('Network connection lost.')
        const reply = await send()
        if (lost) throw new Error('Network connection lost.')
        return reply
      },
      limits: { pollMs: 10 },
    })
    const reader = (await root().numbers(1000)).getReader()
    await reader.read()
    lost = true
    const error = await failure(
      (async () => {
        while (!(await reader.read()).done) await new Promise((resolve) => setTimeout(resolve, 1))
      })(),
    )
    expect(error).toMatchObject({ code: 'OBJECT_UNREACHABLE', retryable: true })
  })

  test('a source learns that its caller is gone', async () => {
    const { root, main, server } = open({
      carry: async (message, send) => ('seq' in message && message.seq > 0 ? await new Promise(() => {}) : send()),
      limits: { graceMs: 5, idleMs: 20 },
    })
    const reader = (await root().blocks(1000)).getReader()
    await reader.read()
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(server.openSessions).toBe(0)
    expect(main.events.at(-1)).toMatch(/cancelled/)
  })

  test('a source of bytes learns it too', async () => {
    const { root, main, server } = open({
      carry: async (message, send) => ('seq' in message && message.seq > 0 ? await new Promise(() => {}) : send()),
      limits: { graceMs: 5, idleMs: 20 },
    })
    const reader = (await root().byteStream(1000)).getReader()
    await reader.read()
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(server.openSessions).toBe(0)
    expect(main.events.at(-1)).toMatch(/cancelled: .*closed/)
  })
})
