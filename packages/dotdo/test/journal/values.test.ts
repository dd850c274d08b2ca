import { createHash } from 'node:crypto'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeValue, encodeValue } from '../../src/base/codec.ts'
import { migrate } from '../../src/base/migrations.ts'
import { chunkChars, cutAt, encodePieces, utf8Length } from '../../src/journal/pieces.ts'
import type { Compression } from '../../src/journal/ports.ts'
import { previewChars, printBounded } from '../../src/journal/previews.ts'
import { StoredStream } from '../../src/journal/stored-stream.ts'
import { journalMigrations } from '../../src/journal/tables.ts'
import { inlineChars, ValueStore, type Stored } from '../../src/journal/values.ts'
import { SqliteStore } from '../support/sqlite-store.ts'
import { collect, settle, TestObject } from './harness.ts'

/** As the platform's adapter gives it. */
const zstd: Compression = { compress: (bytes) => zstdCompressSync(bytes), decompress: (bytes) => zstdDecompressSync(bytes) }

function open(compression?: Compression): { store: SqliteStore; values: ValueStore; put: (value: unknown) => Stored } {
  const store = new SqliteStore()
  migrate(store, 'journal', journalMigrations)
  const values = new ValueStore(store, compression)
  const put = (value: unknown): Stored => {
    let stored: Stored | undefined
    values.put(value, 'a value', (it) => (stored = it))
    if (!stored) throw new Error('put did not commit')
    return stored
  }
  return { store, values, put }
}

const chunks = (store: SqliteStore): { chars: number; bytes: number }[] =>
  store.sql('SELECT length(text) AS chars, octet_length(text) AS bytes FROM dotdo_values') as { chars: number; bytes: number }[]

describe('the stored format', () => {
  test('is pinned: whoever changes a table adds a migration and a new hash below, and edits none', () => {
    const hashes = journalMigrations.map((statements) =>
      createHash('sha256')
        .update(statements.map((it) => it.replace(/\s+/g, ' ')).join(';'))
        .digest('hex')
        .slice(0, 16),
    )
    expect(hashes).toEqual([
      '410f4e90d9c654fc',
      '85bb6c3302212acf',
      '6cf57a1909d5f048',
      '3fde237b11ae27e5',
      'd6d4111d342d8154',
      '00b0cd0dd50bb4e6',
      '6ca938f44bb13722',
      '1d91d7284f3510db',
      '78bd390f0e3f15b1',
      '0dd5f92a2ef2798a',
      '0182e44e335e1893',
      '99c7d99ea3bc43fd',
    ])
  })

  test('of a value is pinned: these rows were written by the first release', () => {
    const { store, values, put } = open()
    expect(put({ a: 1 }).text).toBe('j{"a":1}')
    expect(put(undefined).text).toBe('d-1')
    const ref = 'r{"valueId":1,"kind":"array","chunks":2,"sizeBytes":20,"rows":4,"preview":"[1,2,3,4]"}'
    // A line may go on in the next chunk (+), and a chunk may hold several lines (=).
    store.sql('INSERT INTO dotdo_values (id, text) VALUES (?, ?), (?, ?)', 1048576, '+j[1,', 1048577, '=2]\nj[3]\nj[4]')
    expect(values.get(ref)).toEqual([1, 2, 3, 4])
    expect(values.preview(ref)).toEqual({ text: '[1,2,3,4]', sizeBytes: 20, rows: 4 })
    expect(() => values.get('zfuture')).toThrow(expect.objectContaining({ code: 'STATE_TOO_NEW' }))
  })

  test('of a compressed chunk is pinned: these rows were written by the first release', () => {
    const { store, values } = open(zstd)
    const ref = 'r{"valueId":1,"kind":"array","chunks":2,"sizeBytes":20,"rows":4,"preview":"[1,2,3,4]"}'
    // Beside a chunk that is text: an object may have been written with and without.
    store.sql(
      'INSERT INTO dotdo_values (id, text) VALUES (?, ?), (?, ?)',
      1048576,
      Buffer.from('28b52ffd20052900002b6a5b312c', 'hex'),
      1048577,
      '=2]\nj[3]\nj[4]',
    )
    expect(values.get(ref)).toEqual([1, 2, 3, 4])
    expect(() => new ValueStore(store).get(ref)).toThrow(expect.objectContaining({ code: 'STATE_TOO_NEW' }))
  })

  test('of a later release is refused and not touched', () => {
    const object = new TestObject({})
    object.store.sql(`UPDATE dotdo_versions SET version = 99 WHERE room = 'journal'`)
    object.store.flush()
    expect(() => object.crash()).toThrow(expect.objectContaining({ code: 'STATE_TOO_NEW' }))
  })
})

describe.each([
  ['as text', undefined],
  ['compressed', zstd],
])('whatever can be stored comes back as it was, %s', (_, compression) => {
  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withSparseArray: true,
    withNullPrototype: false,
  })

  test('small; only a key named __proto__ is refused', () => {
    const { values, put } = open(compression)
    fc.assert(
      fc.property(anything, (value) => {
        let text: string
        try {
          text = put(value).text
        } catch (thrown) {
          // The one thing that this generator draws and the codec refuses. Any other refusal is a fault.
          expect(thrown).toMatchObject({ code: 'NOT_STORABLE', message: expect.stringContaining('__proto__ keys') })
          return
        }
        expect(values.get(text)).toEqual(value)
      }),
      { numRuns: 1000, examples: [[[{ ['__proto__']: [] }]]] },
    )
    expect(() => put({ ['__proto__']: [] })).toThrow(expect.objectContaining({ code: 'NOT_STORABLE' }))
  })

  test('as an array of many pieces, whatever the sizes of its elements', () => {
    const { store, values, put } = open(compression)
    const text = fc.integer({ min: 0, max: 200_000 }).map((length) => 'äx€😀\n"'.repeat(length / 6))
    const element = fc.oneof(
      { weight: 5, arbitrary: fc.integer() },
      { weight: 1, arbitrary: text },
      { weight: 3, arbitrary: fc.record({ at: fc.date({ noInvalidDate: true }), n: fc.bigInt() }) },
    )
    fc.assert(
      fc.property(fc.array(element, { maxLength: 60 }), (array) => {
        const { text: column, valueId } = put(array)
        expect(values.get(column)).toEqual(array)
        for (const chunk of chunks(store)) {
          expect(chunk.chars).toBeLessThanOrEqual(chunkChars + 1)
          expect(chunk.bytes).toBeLessThan(2_000_000)
        }
        if (valueId !== null) expect(values.remove(valueId)).toBeGreaterThan(0)
        expect(chunks(store)).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  test('as one long text whose surrogate pairs fall on every side of a cut', () => {
    const { store, values, put } = open(compression)
    for (const lead of ['', 'x', 'xy']) {
      const value = { text: lead + '😀'.repeat(chunkChars * 1.2) }
      const { text } = put(value)
      expect(values.get(text)).toEqual(value)
      expect(values.preview(text).sizeBytes).toBe(Buffer.byteLength(JSON.stringify(value)) + 1)
    }
    expect(Math.max(...chunks(store).map((it) => it.bytes))).toBeLessThan(2_000_000)
  })

  test('with lone surrogates, line breaks and null characters in it', () => {
    const { values, put } = open(compression)
    const strange = ['\ud83d', '\ude00', 'a\nb', '\0', '\u2028'].flatMap((it) => [it, new Map([[it, it]])])
    expect(values.get(put(strange).text)).toEqual(strange)
    const long = Array.from({ length: 2000 }, () => strange)
    expect(values.get(put(long).text)).toEqual(long)
  })

  test('an array that contains itself is kept whole, and one that hides a cycle far behind is refused', () => {
    const { values, put } = open(compression)
    const circular: unknown[] = Array.from({ length: 40_000 }, (_, i) => `element ${i}`)
    circular[0] = { all: circular }
    const back = values.get(put(circular).text) as [{ all: unknown }]
    expect(back[0].all).toBe(back)
    circular[0] = 'plain'
    circular[39_999] = new Set([circular])
    expect(() => put(circular)).toThrow(expect.objectContaining({ code: 'NOT_STORABLE' }))
  })

  test('and takes the room that its form needs', () => {
    const { store, values, put } = open(compression)
    const rows = Array.from({ length: 20_000 }, (_, i) => ({ at: `2001-01-0${i % 9}`, origin: 'SFO', delay: i % 60 }))
    const { text } = put(rows)
    const bytes = chunks(store).reduce((sum, it) => sum + it.bytes, 0)
    const { sizeBytes } = values.preview(text)
    expect(sizeBytes).toBeGreaterThan(800_000)
    if (compression) expect(bytes).toBeLessThan(sizeBytes / 8)
    else expect(bytes).toBeGreaterThan(sizeBytes)
  })
})

describe('memory is bounded by a piece', () => {
  test('an array is encoded in pieces of about 256 Ki characters, however its rows grow', () => {
    const array = Array.from({ length: 3000 }, (_, i) => ({ i, text: 'x'.repeat(i) }))
    const pieces = [...encodePieces(array, 'a value')]
    expect(pieces.flatMap((piece) => decodeValue(piece))).toEqual(array)
    expect(pieces.length).toBeGreaterThan(10)
    expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThan(chunkChars)
  })

  test('one huge element far behind is measured once, and not for each piece before it', () => {
    let reads = 0
    const huge = {
      get text() {
        return (reads++, 'x'.repeat(2_000_000))
      },
    }
    const array = [...Array.from({ length: 50_000 }, (_, i) => i), huge]
    expect([...encodePieces(array, 'a value')].flatMap((piece) => decodeValue(piece))).toHaveLength(50_001)
    // Checked and written, once to measure and once to store.
    expect(reads).toBeLessThanOrEqual(4)
  })

  test('a small array is one piece in the row, a large one leaves the row small', () => {
    const { store, put } = open()
    expect(put([1, 2, 3])).toEqual({ text: 'j[1,2,3]', valueId: null })
    expect(chunks(store)).toHaveLength(0)
    expect(put(Array.from({ length: 100_000 }, (_, i) => i)).text.length).toBeLessThan(previewChars * 2)
    expect(put('x'.repeat(inlineChars)).valueId).not.toBeNull()
  })

  test('200,000 flat rows lie in few chunks, and looking at the run reads none of them', async () => {
    const rows = Array.from({ length: 200_000 }, (_, i) => ({
      date: '2001-01-01 00:05',
      delay: i % 90,
      distance: i % 3000,
      origin: 'SFO',
      destination: 'LAX',
    }))
    const object = new TestObject({ main: (run) => run.step(() => rows, { stepId: 'rows' }) })
    await object.call('main', [], 'r')
    expect(object.store.sql('SELECT id FROM dotdo_values').length).toBeLessThan(200)
    object.store.sql('DELETE FROM dotdo_values')
    const [step] = object.journal.run('r').steps ?? []
    expect(step?.result).toMatchObject({ rows: 200_000, text: expect.stringMatching(/^\[\{"date":"2001-01-01 00:05","delay":0/) })
    expect(step?.result?.text.length).toBeLessThanOrEqual(previewChars)
    expect(step?.result?.sizeBytes).toBeGreaterThan(15_000_000)
  })

  test('a text that is too long for one piece is refused with advice, and nothing of it stays', async () => {
    const object = new TestObject({ main: (run) => run.step(() => 'x'.repeat(70 * 1024 * 1024), { stepId: 'a', retries: { limit: 0 } }) })
    await expect(object.call('main')).rejects.toMatchObject({
      code: 'RESULT_TOO_LARGE',
      message: expect.stringContaining('async iterable'),
    })
    expect(chunks(object.store)).toEqual([])
  })
})

describe('a step of a stream', () => {
  test('stores it batch by batch as it comes, and gives it back as often as it is read', async () => {
    const seen: number[] = []
    const object: TestObject = new TestObject({
      main: async (run) => {
        const stream = await run.step(
          async function* () {
            for (let i = 0; i < 5; i++) {
              seen.push(object.store.sql('SELECT id FROM dotdo_values').length)
              yield Array.from({ length: 2000 }, (_, row) => ({ batch: i, row, text: 'x'.repeat(150) }))
            }
          },
          { stepId: 'extract' },
        )
        const first = await collect(stream)
        expect(await collect(stream)).toEqual(first)
        expect(first.flat()).toHaveLength(10_000)
        expect(first.flat().at(-1)).toMatchObject({ batch: 4, row: 1999 })
        return stream
      },
    })
    const stream = (await object.call('main', [], 'r')) as StoredStream
    // What came before was on its way to the disk when the next batch was asked for.
    expect(seen[0]).toBe(0)
    expect(seen.toSorted((a, b) => a - b)).toEqual(seen)
    expect(seen[4]).toBeGreaterThan(1)
    expect(stream).toBeInstanceOf(StoredStream)
    expect([stream.rows, stream.sizeBytes > 1_500_000]).toEqual([10_000, true])
    expect(object.journal.run('r').steps).toMatchObject([{ result: { rows: 10_000, text: expect.stringMatching(/^\[\{"batch":0/) } }])
  })

  test('is read one chunk at a time, from the start by each reader', async () => {
    const object = new TestObject({
      main: (run) =>
        run.step(
          async function* () {
            for (let i = 0; i < 20; i++) yield ['x'.repeat(200_000), i]
          },
          { stepId: 's' },
        ),
    })
    const stream = (await object.call('main')) as StoredStream<[string, number]>
    const before = object.store.statements
    for await (const [, i] of stream) if (i === 0) break
    expect(object.store.statements - before).toBe(1)
    expect((await collect(stream)).map(([, i]) => i)).toEqual(Array.from({ length: 20 }, (_, i) => i))
  })

  test('keeps batches as they were, unless one is larger than a piece; an empty stream is one too', async () => {
    const batches = [[], [1], [{ a: new Date(1) }, null], 'text', { not: 'an array' }, [[[]]], new Uint8Array([1, 2])]
    const big = Array.from({ length: 30_000 }, (_, i) => `row ${i} of a batch that is larger than a piece`)
    const object = new TestObject({
      main: (run, all: unknown[]) =>
        run.step(
          async function* () {
            yield* all
          },
          { stepId: 's' },
        ),
      bytes: (run) => run.step(() => new Blob(['hello']).stream(), { stepId: 's' }),
    })
    expect(await collect((await object.call('main', [batches])) as StoredStream)).toEqual(batches)
    expect(await collect((await object.call('main', [[]])) as StoredStream)).toEqual([])
    const back = await collect((await object.call('main', [[big]])) as StoredStream<string[]>)
    expect(back.length).toBeGreaterThan(1)
    expect(back.flat()).toEqual(big)
    expect(await collect((await object.call('bytes')) as StoredStream)).toEqual([new Uint8Array(Buffer.from('hello'))])
  })

  test('that is a promise too is awaited: its value is the result', async () => {
    const both = {
      then: (resolve: (rows: number[]) => void) => resolve([1, 2]),
      async *[Symbol.asyncIterator]() {
        yield [1]
        yield [2]
      },
    }
    const object = new TestObject({ main: (run) => run.step(() => both, { stepId: 'extract' }) })
    expect(await object.call('main')).toEqual([1, 2])
  })

  const half = async function* (fail: () => Promise<unknown>): AsyncGenerator<string[]> {
    for (let i = 0; i < 3; i++) yield ['x'.repeat(600_000)]
    await fail()
  }

  test('that fails half-way leaves nothing, and its source is told to let go when the step is stopped', async () => {
    let released = 0
    const object = new TestObject({
      fails: (run) => run.step(() => half(() => Promise.reject(new Error('cut off'))), { stepId: 's', retries: { limit: 0 } }),
      stops: (run) =>
        run.step(
          () => ({
            [Symbol.asyncIterator]: () => ({
              next: () => new Promise<never>(() => {}),
              return: async () => (released++, { done: true, value: undefined }),
            }),
          }),
          { stepId: 's' },
        ),
    })
    await expect(object.call('fails')).rejects.toThrow('cut off')
    expect(chunks(object.store)).toEqual([])
    object.begin('stops')
    await settle()
    object.journal.cancel('r')
    await settle()
    expect(released).toBe(1)
  })

  test('of an attempt that crashed is removed before the next attempt begins', async () => {
    let lives = 0
    let left = -1
    const object: TestObject = new TestObject({
      main: (run) =>
        run.step(
          () => {
            if (lives++ === 0) return half(() => new Promise(() => {}))
            left = chunks(object.store).length
            return half(async () => 1)
          },
          { stepId: 's' },
        ),
    })
    object.begin('main')
    await settle()
    object.store.flush()
    expect(chunks(object.store).length).toBeGreaterThan(0)
    object.crash()
    await Promise.all(object.journal.resumeDue())
    expect(left).toBe(0)
    expect(await collect(object.journal.result('r') as StoredStream)).toHaveLength(3)
  })
})

describe('previews', () => {
  test('are JSON-like, cut at 2 KB, and never much work', () => {
    expect(
      printBounded({
        a: [1, 'x', null, undefined],
        d: new Date(0),
        m: new Map([[1, new Set([2n])]]),
        b: new Uint8Array(9),
        e: new RangeError('no'),
        r: /x/g,
        z: -0,
      }),
    ).toBe(
      '{"a":[1,"x",null,undefined],"d":1970-01-01T00:00:00.000Z,"m":Map {1 => Set {2n}},"b":Uint8Array(9 bytes),"e":RangeError: no,"r":/x/g,"z":-0}',
    )
    const circular: Record<string, unknown> = {}
    circular.self = circular
    expect(printBounded(circular)).toBe('{"self":(circular)}')
    let touched = 0
    const costly = new Proxy(
      Array.from({ length: 1e6 }, () => 'element'),
      { get: (array, key) => (touched++, Reflect.get(array, key) as unknown) },
    )
    const text = printBounded(costly)
    expect(text).toHaveLength(previewChars)
    expect(text.endsWith('…')).toBe(true)
    expect(touched).toBeLessThan(1000)
  })

  test('of anything are short and well formed', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true }), (value) => {
        const text = printBounded(value)
        expect(text.length).toBeLessThanOrEqual(previewChars)
        expect(text.isWellFormed() || JSON.stringify(value)?.includes('\\ud')).toBe(true)
      }),
    )
    expect(cutAt('a😀', 2)).toBe(1)
    expect(cutAt('a😀', 3)).toBe(3)
  })

  test('lengths are bytes of UTF-8', () => {
    fc.assert(
      fc.property(
        fc.uint16Array().map((units) => String.fromCharCode(...units).toWellFormed()),
        (text) => {
          expect(utf8Length(text)).toBe(Buffer.byteLength(text))
        },
      ),
      { numRuns: 200 },
    )
    expect(utf8Length(encodeValue('äx€😀'))).toBe(Buffer.byteLength('j"äx€😀"'))
  })
})
