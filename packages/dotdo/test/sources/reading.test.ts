// How an extraction goes on its way: gzip in all its shapes, listings that answer oddly, ends that come from outside at every stage, numbers
// of progress, and limits at their exact boundary.
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { Body, CHUNK_BYTES } from '../../src/sources/body.ts'
import { cancellable } from '../../src/sources/cancellable.ts'
import { createExtract } from '../../src/sources/extract.ts'
import type { ExtractOptions } from '../../src/sources/extract.ts'
import { LIST_PAGE_KEYS } from '../../src/sources/objects.ts'
import type { BucketPage } from '../../src/sources/ports.ts'
import { createSchemeFetch } from '../../src/sources/fetch-scheme.ts'
import { BodyLog, chunked, failureOf, fakeWorld, httpAnswer } from './fakes.ts'
import type { FakeWorld } from './fakes.ts'

const lines = (from: number, count: number): string => Array.from({ length: count }, (_, index) => `{"n":${from + index}}\n`).join('')
const numbers = (count: number, from = 0): { n: number }[] => Array.from({ length: count }, (_, index) => ({ n: from + index }))
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
const gzip = (text: string): Uint8Array => new Uint8Array(gzipSync(text))
const join = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))
const tick = () => new Promise((resolve) => setImmediate(resolve))

let worlds: FakeWorld[] = []
function world(...args: Parameters<typeof fakeWorld>): FakeWorld {
  const made = fakeWorld(...args)
  worlds.push(made)
  return made
}
const rowsOf = (made: FakeWorld, source: string, options?: ExtractOptions) => createExtract(made.ports)<{ n: number }>(source, options)

async function sizesOf(batches: AsyncIterable<unknown[]>): Promise<number[]> {
  const sizes: number[] = []
  for await (const batch of batches) sizes.push(batch.length)
  return sizes
}

// Whatever a test did: no body is left that was neither read to its end nor cancelled.
afterEach(() => {
  for (const { log } of worlds) expect(log.openNow, 'bodies left open').toBe(0)
  worlds = []
})

describe('gzip', () => {
  const file = gzip(lines(0, 50))

  it('is found under any key, by its first two bytes, however few of them come at once', async () => {
    for (const key of ['a.ndjson', 'a.ndjson.gz', 'a.json', 'a.csv']) {
      for (const chunkBytes of [1, 2, 3, 7, 1000]) {
        const made = world({ [key]: file })
        made.bucket.chunkBytes = chunkBytes
        expect(await rowsOf(made, `s3://data-lake/${key}`, { format: 'ndjson' })).toEqual(numbers(50))
      }
    }
  })

  it('is not taken for what it is not: a text under a name of gzip is read as it is', async () => {
    expect(await rowsOf(world({ 'a.ndjson.gz': lines(0, 3) }), 's3://data-lake/a.ndjson.gz')).toEqual(numbers(3))
    for (const head of [[0x1f], [0x1f, 0x8a], [0x8b, 0x1f]]) {
      const made = world({ 'a.ndjson.gz': join(Uint8Array.from(head), encode('\n')) })
      expect(await failureOf(rowsOf(made, 's3://data-lake/a.ndjson.gz'))).toMatchObject({ code: 'SOURCE_MALFORMED' })
    }
  })

  it('of nothing is no rows, and of nothing at all, not even gzip, too', async () => {
    for (const bytes of [gzip(''), new Uint8Array(0)])
      expect(await rowsOf(world({ 'a.ndjson': bytes }), 's3://data-lake/a.ndjson')).toEqual([])
  })

  it('is read once: gzip within gzip is bytes that are no text', async () => {
    const made = world({ 'a.ndjson.gz': new Uint8Array(gzipSync(file)) })
    expect(await failureOf(rowsOf(made, 's3://data-lake/a.ndjson.gz'))).toMatchObject({
      code: 'SOURCE_MALFORMED',
      message: expect.stringContaining('not UTF-8'),
    })
  })

  it('of several members gives all of their rows or none, never the first alone', async () => {
    const made = world({ 'a.ndjson.gz': join(gzip(lines(0, 5)), gzip(lines(5, 5))) })
    const rows = await rowsOf(made, 's3://data-lake/a.ndjson.gz').catch(codeOf)
    expect([numbers(10), 'SOURCE_MALFORMED']).toContainEqual(rows)
  })

  it('is malformed where the decompressor stops before the bytes do, and does not say so', async () => {
    const made = world({ 'a.ndjson.gz': join(file, gzip(lines(50, 50))) })
    made.bucket.chunkBytes = file.length
    // One that takes the first chunk for the whole, as some do with the first member.
    made.ports.gunzip = (stream) => {
      const reader = stream.getReader()
      return new ReadableStream<Uint8Array>({
        pull: async (controller) => {
          await reader.read()
          controller.enqueue(encode(lines(0, 50)))
          controller.close()
        },
      })
    }
    expect(await failureOf(rowsOf(made, 's3://data-lake/a.ndjson.gz'))).toMatchObject({
      code: 'SOURCE_MALFORMED',
      message: expect.stringContaining('more after the end of the gzip data'),
    })
  })

  it.each<[string, Uint8Array]>([
    ['cut off in its header', file.slice(0, 5)],
    ['cut off in its data', file.slice(0, -30)],
    ['cut off in its checksum', file.slice(0, -3)],
    ['with another checksum', join(file.slice(0, -8), Uint8Array.from([1, 2, 3, 4]), file.slice(-4))],
    ['with another length', join(file.slice(0, -1), Uint8Array.of(9))],
    ['with another method', join(file.slice(0, 2), Uint8Array.of(7), file.slice(3))],
    ['with bytes behind its end', join(file, encode('behind'))],
  ])('%s is malformed, terminal, and tells the stored byte', async (_, bytes) => {
    for (const chunkBytes of [3, 1000]) {
      const made = world({ 'a.ndjson.gz': bytes })
      made.bucket.chunkBytes = chunkBytes
      const failure = await failureOf(rowsOf(made, 's3://data-lake/a.ndjson.gz'))
      expect(failure).toMatchObject({ code: 'SOURCE_MALFORMED', retryable: false, data: { source: 's3://data-lake/a.ndjson.gz' } })
      expect(failure.message).toContain('gzip')
    }
  })

  it('that unpacks to a thousand times its size is read in bounded batches', async () => {
    const made = world({ 'a.ndjson.gz': gzip('{"n":0}\n'.repeat(500_000)) })
    const stored = made.bucket.objects.get('a.ndjson.gz')!.bytes.length
    expect(stored * 200).toBeLessThan(4_000_000)
    const sizes = await sizesOf(rowsOf(made, 's3://data-lake/a.ndjson.gz', { batchRows: 1_000_000, batchBytes: 1000 }))
    expect(sizes.reduce((a, b) => a + b, 0)).toBe(500_000)
    expect(Math.max(...sizes)).toBeLessThanOrEqual((1000 + CHUNK_BYTES) / 8 + 1)
    expect(made.progress.at(-1)).toEqual({ rows: 500_000, bytes: stored, at: 's3://data-lake/a.ndjson.gz' })
  })
})

describe('a listing', () => {
  const page = (keys: string[], cursor?: string): BucketPage => ({
    objects: keys.map((key) => ({ key, size: 8 })),
    truncated: cursor !== undefined,
    ...(cursor !== undefined && { cursor }),
  })
  const listed = (pages: BucketPage[]): FakeWorld => {
    const made = world(
      Object.fromEntries(pages.flatMap(({ objects }, at) => objects.map(({ key }, index) => [key, lines(at * 10 + index, 1)]))),
    )
    const asked = pages.values()
    made.bucket.list = async (request) => {
      made.bucket.lists.push(request)
      return asked.next().value ?? page([])
    }
    return made
  }

  it.each<[string, BucketPage[], number[]]>([
    ['of one page', [page(['p/1', 'p/2'])], [0, 1]],
    ['whose first page is empty and not the last', [page([], 'a'), page(['p/1'])], [10]],
    ['whose last page is empty', [page(['p/1'], 'a'), page([])], [0]],
    ['of empty pages between full ones', [page(['p/1'], 'a'), page([], 'b'), page([], 'c'), page(['p/2'])], [0, 30]],
    ['with an empty text for a cursor', [page(['p/1'], ''), page(['p/2'])], [0, 10]],
    ['with a cursor that comes again later', [page(['p/1'], 'a'), page(['p/2'], 'b'), page(['p/3'], 'a'), page(['p/4'])], [0, 10, 20, 30]],
    ['with a cursor behind the last page', [{ ...page(['p/1'], 'a'), truncated: false }], [0]],
  ])('%s is read to its end, each page asked for with the cursor before it', async (_, pages, found) => {
    const made = listed(pages)
    expect(await rowsOf(made, 's3://data-lake/p/', { format: 'ndjson' })).toEqual(found.map((n) => ({ n })))
    expect(made.bucket.lists.map(({ cursor }) => cursor)).toEqual([undefined, ...pages.slice(0, -1).map(({ cursor }) => cursor)])
    for (const { prefix, limit } of made.bucket.lists) expect([prefix, limit]).toEqual(['p/', LIST_PAGE_KEYS])
  })

  it.each<[string, BucketPage[]]>([
    ['without a cursor', [{ objects: [{ key: 'p/1', size: 8 }], truncated: true }]],
    ['with the cursor it was asked with', [page(['p/1'], 'a'), page(['p/2'], 'a')]],
  ])('that is cut off %s is an error to try again, never a short table, and never without end', async (_, pages) => {
    const made = listed(pages)
    expect(await failureOf(rowsOf(made, 's3://data-lake/p/', { format: 'ndjson' }))).toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      retryable: true,
      message: expect.stringContaining('does not say how to go on'),
    })
    expect(made.bucket.lists).toHaveLength(pages.length)
  })

  it('asks for no page that nobody reads up to', async () => {
    const made = world(Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`p/${10 + index}.ndjson`, lines(index, 1)])))
    for await (const batch of rowsOf(made, 's3://data-lake/p/', { batchRows: 1 })) {
      expect(batch).toEqual(numbers(1))
      break
    }
    expect(made.bucket.lists.length).toBeLessThanOrEqual(2)
  })

  it.each<[string, string, boolean]>([
    ['p/', '', false],
    ['p/a/', '', false],
    ['p/a_$folder$', '', false],
    ['p/_SUCCESS', '', false],
    ['p/a/_SUCCESS', '', false],
    ['p/_SUCCESS', '{"n":1}', true],
    ['p/x_SUCCESS', '', true],
    ['p/a_$folder$', '{"n":1}', true],
    ['p/a/', '{"n":1}', true],
    ['p/empty', '', true],
    ['p/_committed_1', '', true],
    ['p/.hidden', '{"n":1}', true],
  ])('reads or passes over the key %j of the content %j: %s', async (key, content, isRead) => {
    const made = world({ [key]: content })
    expect(await rowsOf(made, 's3://data-lake/p/', { format: 'ndjson', allowEmpty: true })).toEqual(content === '' ? [] : numbers(1, 1))
    expect(made.log.order).toEqual(isRead ? [key] : [])
  })
})

describe('progress', () => {
  it('counts rows and stored bytes up, over objects, one report a batch', async () => {
    const objects = { 'p/1.ndjson': lines(0, 10), 'p/2.ndjson.gz': gzip(lines(10, 500)), 'p/3.csv': 'n\n1\n2\n', 'p/4.ndjson': '' }
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: 500 }), async (batchRows, chunkBytes) => {
        const made = world(objects)
        made.bucket.chunkBytes = chunkBytes
        const sizes = await sizesOf(rowsOf(made, 's3://data-lake/p/', { batchRows }))
        const total = [...made.bucket.objects.values()].reduce((sum, { bytes }) => sum + bytes.length, 0)
        expect(made.progress.map(({ rows }) => rows)).toEqual(sizes.map((_, index) => sizes.slice(0, index + 1).reduce((a, b) => a + b, 0)))
        const bytes = made.progress.map((it) => it.bytes ?? 0)
        expect(bytes).toEqual(bytes.toSorted((a, b) => a - b))
        expect(made.progress.at(-1)).toMatchObject({ rows: 512, bytes: total })
      }),
      { numRuns: 25 },
    )
  })

  it('names the object that is read by its own address, over HTTP without its query', async () => {
    const made = world({ 'p/1.ndjson': lines(0, 1), 'p/2.ndjson': lines(1, 1) }, { events: 's3://data-lake/p/' })
    await rowsOf(made, 'events', { batchRows: 1 })
    expect(made.progress.map(({ at }) => at)).toEqual(['s3://data-lake/p/1.ndjson', 's3://data-lake/p/2.ndjson'])
    made.answer = async () => httpAnswer(made.log, 200, lines(0, 1))
    await rowsOf(made, 'https://example.com/e.ndjson?sig=hush')
    expect(made.progress.at(-1)).toEqual({ rows: 1, bytes: 8, at: 'https://example.com/e.ndjson?…' })
  })

  it('is told before its batch is given out, and not at all where there are no rows', async () => {
    const made = world({ 'a.ndjson': lines(0, 5), 'b.ndjson': '' })
    let given = 0
    for await (const batch of rowsOf(made, 's3://data-lake/a.ndjson', { batchRows: 2 })) {
      given += batch.length
      expect(made.progress.at(-1)?.rows).toBe(given)
    }
    made.progress.length = 0
    await rowsOf(made, 's3://data-lake/b.ndjson')
    expect(made.progress).toEqual([])
  })
})

describe('an end from outside', () => {
  const reason = new Error('stopped')

  it.each([0, 1, 2, 3, 4, 5, 6, 8, 12, 20])('after %i turns of the loop leaves nothing open, whatever stage that is', async (turns) => {
    for (const how of ['abort', 'return'] as const) {
      const made = world({ 'p/1.ndjson.gz': gzip(lines(0, 50)), 'p/2.ndjson': lines(50, 50), 'p/3.ndjson': lines(100, 50) })
      made.bucket.chunkBytes = 50
      const controller = new AbortController()
      const iterator = rowsOf(made, 's3://data-lake/p/', { batchRows: 20, signal: controller.signal })[Symbol.asyncIterator]()
      const reading = (async () => {
        for (let result = await iterator.next(); !result.done; result = await iterator.next());
        return 'ended'
      })()
      for (let turn = 0; turn < turns; turn++) await tick()
      if (how === 'abort') controller.abort(reason)
      else await iterator.return?.()
      expect(['ended', reason]).toContain(await reading.catch((thrown: unknown) => thrown))
      await iterator.return?.()
      expect(made.log.openNow).toBe(0)
    }
  })

  it('before the first byte of an HTTP answer reaches the request, and rejects with the reason of the signal', async () => {
    const made = world()
    const controller = new AbortController()
    made.answer = () =>
      new Promise((_, reject) => made.requests[0]?.request?.signal?.addEventListener('abort', () => reject(new Error('aborted'))))
    const failure = failureOf(rowsOf(made, 'https://example.com/a.json', { signal: controller.signal }))
    await tick()
    controller.abort(reason)
    expect(await failure).toBe(reason)
  })

  it('while an answer is on its way closes what still comes', async () => {
    const made = world()
    const controller = new AbortController()
    const answer = Promise.withResolvers<ReturnType<typeof httpAnswer>>()
    made.answer = () => answer.promise
    const failure = failureOf(rowsOf(made, 'https://example.com/a.json', { signal: controller.signal }))
    await tick()
    controller.abort(reason)
    answer.resolve(httpAnswer(made.log, 200, '[1]'))
    expect(await failure).toBe(reason)
    expect(made.log.cancelled).toBe(1)
  })

  it('while an object is being opened closes it when it comes', async () => {
    const made = world({ 'a.ndjson': lines(0, 5) })
    const get = made.bucket.get.bind(made.bucket)
    const gate = Promise.withResolvers<void>()
    made.bucket.get = async (key) => (await gate.promise, get(key))
    const controller = new AbortController()
    const failure = failureOf(rowsOf(made, 's3://data-lake/a.ndjson', { signal: controller.signal }))
    await tick()
    controller.abort(reason)
    gate.resolve()
    expect(await failure).toBe(reason)
    expect(made.log).toMatchObject({ opened: 1, cancelled: 1 })
  })

  it('leaves no listener on a signal that lives on', async () => {
    const made = world({ 'a.ndjson': lines(0, 5) })
    const controller = new AbortController()
    let listeners = 0
    const { signal } = controller
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)]
    signal.addEventListener = ((...args: Parameters<typeof add>) => (listeners++, add(...args))) as typeof add
    signal.removeEventListener = ((...args: Parameters<typeof remove>) => (listeners--, remove(...args))) as typeof remove
    await rowsOf(made, 's3://data-lake/a.ndjson', { signal })
    expect(await failureOf(rowsOf(made, 's3://data-lake/none', { signal }))).toMatchObject({ code: 'SOURCE_NOT_FOUND' })
    for await (const _ of rowsOf(made, 's3://data-lake/a.ndjson', { signal, batchRows: 1 })) break
    expect(listeners).toBe(0)
  })

  it('of an iteration gives what its generator finished with, and nothing after', async () => {
    const left: string[] = []
    const count = (): AsyncIterator<number, void, undefined> =>
      cancellable(async function* () {
        try {
          for (let n = 0; ; n++) yield n
        } finally {
          left.push('left')
        }
      })
    const one = count()
    expect([await one.next(), await one.next()]).toEqual([
      { done: false, value: 0 },
      { done: false, value: 1 },
    ])
    await one.return?.()
    await one.return?.()
    expect(await one.next()).toEqual({ done: true, value: undefined })
    expect(left).toEqual(['left'])
  })
})

describe('a limit', () => {
  const exact = lines(0, 9)

  it('of awaited bytes takes exactly that many and not one more', async () => {
    const made = world({ 'a.ndjson': exact })
    expect(await rowsOf(made, 's3://data-lake/a.ndjson', { maxAwaitedBytes: exact.length })).toEqual(numbers(9))
    expect(await failureOf(rowsOf(made, 's3://data-lake/a.ndjson', { maxAwaitedBytes: exact.length - 1 }))).toMatchObject({
      code: 'SOURCE_TOO_LARGE',
    })
  })

  it('of awaited bytes counts what is unpacked, not what is stored', async () => {
    const text = '{"n":0}\n'.repeat(1000)
    const made = world({ 'a.ndjson.gz': gzip(text) })
    expect(await rowsOf(made, 's3://data-lake/a.ndjson.gz', { maxAwaitedBytes: text.length })).toHaveLength(1000)
    expect(await failureOf(rowsOf(made, 's3://data-lake/a.ndjson.gz', { maxAwaitedBytes: text.length - 1 }))).toMatchObject({
      code: 'SOURCE_TOO_LARGE',
    })
  })

  it('of a record takes exactly that many bytes of a line that waits, and not one more', async () => {
    const long = `{"n":"${'x'.repeat(92)}"}`
    expect(long).toHaveLength(100)
    for (const [maxRecordBytes, code] of [
      [100, undefined],
      [99, 'SOURCE_TOO_LARGE'],
    ] as const) {
      const made = world({ 'a.ndjson': `${long}\n{"n":1}\n` })
      made.bucket.chunkBytes = 1
      const outcome = await rowsOf(made, 's3://data-lake/a.ndjson', { maxRecordBytes }).then(() => undefined, codeOf)
      expect(outcome).toBe(code)
    }
  })

  it.each([
    [1, [1, 1, 1, 1, 1, 1, 1, 1, 1]],
    [4, [4, 4, 1]],
    [9, [9]],
    [10, [9]],
  ])('of %i rows gives batches of %j', async (batchRows, sizes) => {
    expect(await sizesOf(rowsOf(world({ 'a.ndjson': exact }), 's3://data-lake/a.ndjson', { batchRows }))).toEqual(sizes)
  })

  it.each([
    [7, 9],
    [8, 9],
    [9, 5],
    [16, 5],
    [17, 3],
    [72, 1],
    [73, 1],
  ])('of %i bytes, with a line of 8 a chunk, gives %i batches', async (batchBytes, count) => {
    const made = world({ 'a.ndjson': exact })
    made.bucket.chunkBytes = 8
    expect(await sizesOf(rowsOf(made, 's3://data-lake/a.ndjson', { batchBytes }))).toHaveLength(count)
  })
})

describe('a body', () => {
  const open = (bytes: Uint8Array, size: number, sizeBytes?: number): { body: Body; log: BodyLog } => {
    const log = new BodyLog()
    const stream = log.stream('x', chunked(bytes, size))
    return {
      log,
      body: new Body(
        { hints: { address: 'x', path: 'x' }, stream, ...(sizeBytes !== undefined && { sizeBytes }) },
        new AbortController().signal,
      ),
    }
  }
  const gunzip = (stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> => stream

  it.each([CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 1])(
    'of one chunk of %i bytes is given in pieces of 64 KiB at most',
    async (length) => {
      const bytes = new Uint8Array(length).map((_, at) => 1 + (at % 7))
      const pieces: Uint8Array[] = []
      for await (const piece of open(bytes, length).body.chunks(gunzip)) pieces.push(piece)
      expect(pieces.map((piece) => piece.length)).toEqual(
        Array.from({ length: Math.ceil(length / CHUNK_BYTES) }, (_, at) => Math.min(CHUNK_BYTES, length - at * CHUNK_BYTES)),
      )
      expect(Buffer.compare(Buffer.concat(pieces), bytes)).toBe(0)
    },
  )

  it('tells what is still to come after each read, and nothing below zero', async () => {
    for (const [stated, remaining] of [
      [10, [6, 2, 0]],
      [undefined, [0, 0, 0]],
      [5, [1, 0, 0]],
    ] as const) {
      const { body } = open(new Uint8Array(10).fill(65), 4, stated)
      const told: number[] = []
      body.onRemaining = (bytes) => void told.push(bytes)
      for await (const _ of body.chunks(gunzip)) expect(told.length).toBeGreaterThan(0)
      expect(told).toEqual(remaining)
      expect(body.bytesRead).toBe(10)
    }
  })

  it('is closed once, at any time, and a closed one is not cancelled again', async () => {
    const { body, log } = open(encode('abc'), 1)
    await body.close()
    await body.close()
    expect(log).toMatchObject({ cancelled: 1, ended: 0 })
    const read = open(encode('abc'), 1)
    for await (const _ of read.body.chunks(gunzip));
    await read.body.close()
    expect(read.log).toMatchObject({ cancelled: 0, ended: 1 })
  })
})

it('a fetch of a prefix that is aborted closes what is open and errors its body with the reason', async () => {
  const made = world({ 'p/1.ndjson': lines(0, 40_000), 'p/2.ndjson': lines(0, 5) })
  const controller = new AbortController()
  const answer = await createSchemeFetch(made.ports)('s3://data-lake/p/', { signal: controller.signal })
  const reader = answer.body?.getReader()
  await reader?.read()
  const reason = new Error('stopped')
  controller.abort(reason)
  const rest = (async () => {
    for (;;) if ((await reader?.read())?.done) return 'ended'
  })()
  expect(await rest.catch((thrown: unknown) => thrown)).toBe(reason)
})
