import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { createExtract } from '../../src/sources/extract.ts'
import type { ExtractOptions } from '../../src/sources/extract.ts'
import { failureOf, fakeWorld, httpAnswer } from './fakes.ts'
import type { FakeWorld } from './fakes.ts'

interface Numbered {
  n: number
}

const lines = (from: number, count: number): string => Array.from({ length: count }, (_, index) => `{"n":${from + index}}\n`).join('')
const numbers = (count: number, from = 0): Numbered[] => Array.from({ length: count }, (_, index) => ({ n: from + index }))

let worlds: FakeWorld[] = []
function world(...args: Parameters<typeof fakeWorld>): FakeWorld {
  const made = fakeWorld(...args)
  worlds.push(made)
  return made
}
const rowsOf = (made: FakeWorld, source: string, options?: ExtractOptions) => createExtract(made.ports)<Numbered>(source, options)

async function batchesOf<Row>(batches: AsyncIterable<Row[]>): Promise<Row[][]> {
  const all: Row[][] = []
  for await (const batch of batches) all.push(batch)
  return all
}

// Whatever a test did: no body is left that was neither read to its end nor cancelled.
afterEach(() => {
  for (const { log } of worlds) expect(log.openNow, 'bodies left open').toBe(0)
  worlds = []
})

describe('an extraction', () => {
  it('opens nothing until it is awaited or iterated', async () => {
    const made = world({ 'a.ndjson': lines(0, 3) })
    const extraction = rowsOf(made, 's3://data-lake/a.ndjson')
    const batches = extraction.batches()
    await Promise.resolve()
    expect(made.log.opened).toBe(0)
    expect(await extraction).toEqual(numbers(3))
    expect(await batchesOf(batches)).toEqual([numbers(3)])
    expect(made.log.opened).toBe(2)
  })

  it('reads once however often it is awaited, failures too', async () => {
    const made = world({ 'a.ndjson': lines(0, 3) })
    const extraction = rowsOf(made, 's3://data-lake/a.ndjson')
    const [one, two] = await Promise.all([extraction, extraction.then((rows) => rows)])
    expect(one).toBe(two)
    expect(made.log.opened).toBe(1)
    const missing = rowsOf(made, 's3://data-lake/b.ndjson')
    expect(await failureOf(missing)).toBe(await failureOf(missing))
  })

  it('is a promise to those who treat it as one, and its batches are none', async () => {
    const made = world({ 'a.ndjson': lines(0, 1) })
    const promise: Promise<Numbered[]> = rowsOf(made, 's3://data-lake/a.ndjson')
    let ended = false
    expect(await promise.finally(() => (ended = true))).toEqual(numbers(1))
    expect(ended).toBe(true)
    expect(await rowsOf(made, 's3://data-lake/none').catch(() => 'caught')).toBe('caught')
    expect(rowsOf(made, 's3://data-lake/a.ndjson').batches()).not.toHaveProperty('then')
  })

  it('throws nothing from the call itself: an address that is wrong fails when it is awaited', async () => {
    const extraction = rowsOf(world(), 'nope')
    expect(await failureOf(extraction)).toMatchObject({ code: 'SOURCE_UNKNOWN' })
  })

  it('gives batches of at most the rows asked for, over the borders of objects, in the order of the keys', async () => {
    const made = world({ 'e/2.ndjson': lines(5, 5), 'e/10.ndjson': lines(0, 5), 'e/3.json': '[{"n":10},{"n":11}]' })
    const all = await batchesOf(rowsOf(made, 's3://data-lake/e/', { batchRows: 4 }).batches())
    expect(all.map((batch) => batch.length)).toEqual([4, 4, 4])
    expect(all.flat()).toEqual(numbers(12))
  })

  it('gives the same rows for any sizes of batches and chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 400 }),
        async (batchRows, batchBytes, chunkBytes) => {
          const made = world({ 'a/1.ndjson': lines(0, 40), 'a/2.ndjson': lines(40, 1), 'a/3.ndjson': '', 'a/4.ndjson': lines(41, 9) })
          made.bucket.chunkBytes = chunkBytes
          const all = await batchesOf(rowsOf(made, 's3://data-lake/a/', { batchRows, batchBytes }).batches())
          expect(all.flat()).toEqual(numbers(50))
          expect(all.every((batch) => batch.length > 0 && batch.length <= batchRows)).toBe(true)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('holds one batch and two chunks, whatever the size of the source', async () => {
    const made = world()
    const bytes = new TextEncoder().encode(lines(100_000, 50_000))
    made.bucket.objects.set('big.ndjson', { bytes })
    made.bucket.chunkBytes = 16_384
    const rowBytes = bytes.length / 50_000
    let taken = 0
    let most = 0
    let count = 0
    for await (const batch of rowsOf(made, 's3://data-lake/big.ndjson', { batchBytes: 40_000 })) {
      most = Math.max(most, made.log.bytesGiven - taken)
      taken += batch.length * rowBytes
      count += batch.length
    }
    expect(count).toBe(50_000)
    // A batch ends with the chunk that fills it.
    expect(most).toBeLessThanOrEqual(40_000 + 2 * 16_384)
    expect(most).toBeGreaterThan(40_000)
  })

  it('takes one huge chunk apart, so that a batch stays bounded', async () => {
    const made = world({ 'a.ndjson': lines(0, 100_000) })
    made.bucket.chunkBytes = 1 << 30
    const sizes = (await batchesOf(rowsOf(made, 's3://data-lake/a.ndjson', { batchBytes: 1, batchRows: 1_000_000 }))).map(
      (batch) => batch.length,
    )
    expect(Math.max(...sizes)).toBeLessThan(9000)
  })

  it('refuses to await more than the stated bytes, and cancels the rest', async () => {
    const made = world({ 'a.ndjson': lines(0, 1000) })
    const options = { maxAwaitedBytes: 5000, batchRows: 10 }
    expect(await failureOf(rowsOf(made, 's3://data-lake/a.ndjson', options))).toMatchObject({
      code: 'SOURCE_TOO_LARGE',
      message: expect.stringContaining('batches()'),
    })
    expect(made.log.cancelled).toBe(1)
    expect((await batchesOf(rowsOf(made, 's3://data-lake/a.ndjson', options))).flat()).toHaveLength(1000)
  })

  it('refuses options that are none', async () => {
    const made = world({ 'a.ndjson': '' })
    for (const options of [{ batchRows: 0 }, { batchBytes: 1.5 }, { maxRecordBytes: -1 }, { format: 'xml' as 'csv' }]) {
      expect(await failureOf(rowsOf(made, 's3://data-lake/a.ndjson', options))).toMatchObject({ code: 'OPTION_INVALID', retryable: false })
    }
  })

  it('tells its progress: rows, stored bytes, and the object that is read', async () => {
    const made = world({ 'a/1.ndjson': lines(0, 10), 'a/2.ndjson': lines(10, 10) })
    await rowsOf(made, 's3://data-lake/a/', { batchBytes: 1 })
    expect(made.progress.at(0)).toEqual({ rows: 10, bytes: 80, at: 's3://data-lake/a/1.ndjson' })
    expect(made.progress.at(-1)).toEqual({ rows: 20, bytes: 170, at: 's3://data-lake/a/2.ndjson' })
  })
})

describe('leaving an extraction', () => {
  it('cancels the body that is read and the one that was opened ahead', async () => {
    const made = world({ 'a/1.ndjson': lines(0, 1000), 'a/2.ndjson': lines(1000, 1000), 'a/3.ndjson': lines(2000, 10) })
    for await (const batch of rowsOf(made, 's3://data-lake/a/', { batchRows: 5 })) {
      expect(batch).toEqual(numbers(5))
      break
    }
    expect(made.log).toMatchObject({ opened: 2, cancelled: 2, ended: 0 })
  })

  it('takes effect at once while a read is pending on a stream that has gone quiet', async () => {
    for (const bytes of ['{"n":0}\n', gzipSync('{"n":0}\n').subarray(0, 20)]) {
      const made = world({ 'a.ndjson': bytes })
      const stored = made.bucket.objects.get('a.ndjson')
      if (stored) stored.ending = 'hang'
      const iterator = rowsOf(made, 's3://data-lake/a.ndjson')[Symbol.asyncIterator]()
      const pending = iterator.next()
      await new Promise((resolve) => setImmediate(resolve))
      expect(await iterator.return?.()).toEqual({ done: true, value: undefined })
      expect(await pending).toEqual({ done: true, value: undefined })
      expect(await iterator.next()).toEqual({ done: true, value: undefined })
      expect(made.log.cancelled).toBe(1)
    }
  })

  it('by a signal rejects with its reason, before, during and between reads', async () => {
    const reason = new Error('stopped')
    const made = world({ 'a.ndjson': lines(0, 10) })
    const before = rowsOf(made, 's3://data-lake/a.ndjson', { signal: AbortSignal.abort(reason) })
    expect(await failureOf(before)).toBe(reason)
    expect(made.log.opened).toBe(0)

    const stored = made.bucket.objects.get('a.ndjson')
    if (stored) stored.ending = 'hang'
    const controller = new AbortController()
    const during = rowsOf(made, 's3://data-lake/a.ndjson', { signal: controller.signal })
    const failure = failureOf(during)
    await new Promise((resolve) => setImmediate(resolve))
    controller.abort(reason)
    expect(await failure).toBe(reason)
    expect(made.log.cancelled).toBe(1)

    const between = new AbortController()
    const iterator = rowsOf(made, 's3://data-lake/a.ndjson', { signal: between.signal, batchRows: 1 })[Symbol.asyncIterator]()
    await iterator.next()
    between.abort(reason)
    await iterator.next()
    await iterator.return?.()
    expect(made.log.openNow).toBe(0)
  })

  it('before its first row opens nothing', async () => {
    const made = world({ 'a.ndjson': lines(0, 1) })
    const iterator = rowsOf(made, 's3://data-lake/a.ndjson')[Symbol.asyncIterator]()
    await iterator.return?.()
    expect((await iterator.next()).done).toBe(true)
    expect(made.log.opened).toBe(0)
  })
})

describe('a prefix', () => {
  it('is read page by page, in key order, with no more than two objects open', async () => {
    const keys = Array.from({ length: 9 }, (_, index) => `p/${index}.ndjson`)
    const made = world(Object.fromEntries(keys.map((key, index) => [key, lines(index * 10, 10)])))
    expect(await rowsOf(made, 's3://data-lake/p/')).toEqual(numbers(90))
    expect(made.log.order).toEqual(keys)
    expect(made.log.mostOpen).toBe(2)
    expect(made.bucket.lists).toHaveLength(5)
  })

  it('opens the next object only when the one that is read comes to its end', async () => {
    const made = world({ 'p/1.ndjson': lines(0, 400_000), 'p/2.ndjson': lines(0, 1) })
    made.bucket.chunkBytes = 65_536
    const size = made.bucket.objects.get('p/1.ndjson')?.bytes.length ?? 0
    let openedAt: number | undefined
    for await (const _ of rowsOf(made, 's3://data-lake/p/')) {
      if (made.log.opened === 2) openedAt ??= made.log.bytesGiven
    }
    expect(openedAt).toBeGreaterThan(size - 2 * 1024 * 1024)
  })

  it('reads each object by its own extension, gzip included', async () => {
    const made = world({
      'p/1.json': '[{"n":0},{"n":1}]',
      'p/2.csv': 'n\n2\n',
      'p/3.jsonl.gz': gzipSync(lines(3, 2)),
      'p/4': '{"n":5}\n{"n":6}\n',
      'p/5.csv.gz': gzipSync('n\n7\n'),
    })
    made.bucket.chunkBytes = 3
    expect(await rowsOf(made, 's3://data-lake/p/', { types: { n: 'number' } })).toEqual(numbers(8))
  })

  it('passes over the markers of empty folders', async () => {
    const made = world({ 'p/': '', 'p/a/': '', 'p/a_$folder$': '', 'p/_SUCCESS': '', 'p/a/1.ndjson': lines(0, 2) })
    expect(await rowsOf(made, 's3://data-lake/p/')).toEqual(numbers(2))
    expect(made.log.order).toEqual(['p/a/1.ndjson'])
  })

  it('with nothing below it is not found, unless that is allowed', async () => {
    const made = world({ 'p/': '', 'q.ndjson': lines(0, 1) })
    expect(await failureOf(rowsOf(made, 's3://data-lake/p/'))).toMatchObject({ code: 'SOURCE_NOT_FOUND', retryable: false })
    expect(await rowsOf(made, 's3://data-lake/p/', { allowEmpty: true })).toEqual([])
    made.bucket.put('p/1.ndjson', '')
    expect(await rowsOf(made, 's3://data-lake/p/')).toEqual([])
  })

  it('names the object that is wrong, and leaves none open', async () => {
    const made = world({ 'p/1.ndjson': lines(0, 3), 'p/2.json': '[{"n":', 'p/3.ndjson': lines(0, 3) })
    expect(await failureOf(rowsOf(made, 's3://data-lake/p/'))).toMatchObject({
      code: 'SOURCE_MALFORMED',
      data: { source: 's3://data-lake/p/2.json' },
    })
    made.bucket.put('p/2.json', '')
    made.bucket.objects.delete('p/2.json')
    made.bucket.put('p/2.parquet', 'PAR1')
    expect(await failureOf(rowsOf(made, 's3://data-lake/p/'))).toMatchObject({ code: 'FORMAT_UNKNOWN' })
  })

  it('fails, to be tried again, when a listed object is gone or the listing does not move on', async () => {
    const made = world({ 'p/1.ndjson': lines(0, 3), 'p/2.ndjson': lines(0, 3) })
    const list = made.bucket.list.bind(made.bucket)
    made.bucket.list = async (request) => {
      const page = await list(request)
      made.bucket.objects.delete('p/2.ndjson')
      return page
    }
    expect(await failureOf(rowsOf(made, 's3://data-lake/p/'))).toMatchObject({ code: 'SOURCE_CHANGED', retryable: true })
    made.bucket.list = async () => ({ objects: [{ key: 'p/1.ndjson', size: 24 }], truncated: true, cursor: 'same' })
    expect(await failureOf(rowsOf(made, 's3://data-lake/p/'))).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true })
    made.bucket.list = () => Promise.reject(new Error('10001'))
    expect(await failureOf(rowsOf(made, 's3://data-lake/p/'))).toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      message: expect.stringContaining('10001'),
    })
  })
})

describe('an object that cannot be read', () => {
  it('is not found, or unavailable and retryable, and says its address', async () => {
    const made = world({ 'a.ndjson': lines(0, 3) })
    expect(await failureOf(rowsOf(made, 's3://data-lake/b.ndjson'))).toMatchObject({
      code: 'SOURCE_NOT_FOUND',
      retryable: false,
      data: { source: 's3://data-lake/b.ndjson', status: 404 },
    })
    made.bucket.failGet = new Error('internal')
    expect(await failureOf(rowsOf(made, 's3://data-lake/a.ndjson'))).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true })
  })

  it('is unavailable when its body breaks or ends early, even at the end of a line', async () => {
    for (const bytes of [new TextEncoder().encode(lines(0, 3)), gzipSync(lines(0, 3))]) {
      const made = world()
      made.bucket.objects.set('a.ndjson', { bytes, ending: new Error('reset') })
      expect(await failureOf(rowsOf(made, 's3://data-lake/a.ndjson'))).toMatchObject({
        code: 'SOURCE_UNAVAILABLE',
        message: expect.stringContaining('reset'),
      })
      made.bucket.objects.set('a.ndjson', { bytes, statedSize: bytes.length + 1 })
      expect(await failureOf(rowsOf(made, 's3://data-lake/a.ndjson'))).toMatchObject({
        code: 'SOURCE_UNAVAILABLE',
        message: expect.stringContaining(`${bytes.length} of ${bytes.length + 1} bytes`),
      })
    }
  })

  it('is malformed when its gzip is broken or cut off', async () => {
    const good = gzipSync(lines(0, 1000))
    const broken = Uint8Array.from(good, (byte, index) => (index === 60 ? byte ^ 0xff : byte))
    for (const bytes of [good.subarray(0, -20), broken]) {
      const made = world({ 'a.ndjson.gz': new Uint8Array(bytes) })
      expect(await failureOf(rowsOf(made, 's3://data-lake/a.ndjson.gz'))).toMatchObject({ code: 'SOURCE_MALFORMED', retryable: false })
    }
  })
})

describe('an HTTP source', () => {
  it('is read by its extension, content type or first bytes, in small chunks and with the headers given', async () => {
    const made = world()
    const cases: [string, string, string | undefined][] = [
      ['https://example.com/n.json?x=1', '[{"n":0},{"n":1}]', 'text/html'],
      ['https://example.com/n', '{"n":0}\n{"n":1}\n', 'application/x-ndjson'],
      ['https://example.com/api/', '[{"n":0},{"n":1}]', undefined],
    ]
    for (const [url, body, type] of cases) {
      made.answer = async () => httpAnswer(made.log, 200, body, type)
      expect(await rowsOf(made, url, { headers: { authorization: 'x' } })).toEqual(numbers(2))
    }
    expect(made.requests.map(({ url }) => url)).toEqual(cases.map(([url]) => url))
    expect(made.requests[0]?.request?.headers).toEqual({ authorization: 'x' })
  })

  it('takes gzip as gzip and what a server unpacked as unpacked, under one name', async () => {
    const made = world()
    for (const body of [new Uint8Array(gzipSync(lines(0, 4))), lines(0, 4)]) {
      made.answer = async () => httpAnswer(made.log, 200, body)
      expect(await rowsOf(made, 'https://example.com/n.ndjson.gz')).toEqual(numbers(4))
    }
  })

  it('fails by its status, terminal or retryable, and its body is cancelled', async () => {
    const made = world()
    const codes: [number, string, boolean][] = [
      [404, 'SOURCE_NOT_FOUND', false],
      [410, 'SOURCE_NOT_FOUND', false],
      [401, 'SOURCE_FORBIDDEN', false],
      [403, 'SOURCE_FORBIDDEN', false],
      [400, 'SOURCE_REFUSED', false],
      [304, 'SOURCE_REFUSED', false],
      [429, 'SOURCE_UNAVAILABLE', true],
      [408, 'SOURCE_UNAVAILABLE', true],
      [500, 'SOURCE_UNAVAILABLE', true],
      [503, 'SOURCE_UNAVAILABLE', true],
    ]
    for (const [status, code, retryable] of codes) {
      made.answer = async () => httpAnswer(made.log, status, 'no')
      const failure = await failureOf(rowsOf(made, 'https://example.com/n.json?sig=hush'))
      expect(failure).toMatchObject({ code, retryable, data: { status, source: 'https://example.com/n.json?…' } })
      expect(failure.message).not.toContain('hush')
    }
    expect(made.log.cancelled).toBe(codes.length)
    made.answer = () => Promise.reject(new TypeError('no route'))
    expect(await failureOf(rowsOf(made, 'https://example.com/n.json'))).toMatchObject({ code: 'SOURCE_UNAVAILABLE', retryable: true })
  })

  it('without a body is empty data, which JSON refuses and NDJSON does not', async () => {
    const made = world()
    made.answer = async () => httpAnswer(made.log, 204, null)
    expect(await rowsOf(made, 'https://example.com/n.ndjson')).toEqual([])
    expect(await failureOf(rowsOf(made, 'https://example.com/n.json'))).toMatchObject({ code: 'SOURCE_MALFORMED' })
  })
})
