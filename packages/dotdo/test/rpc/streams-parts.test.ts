/** The parts of lanes, each on its own: records, numbers, native streams, and the frames of a session that says anything at all. */
import { RpcTarget } from 'capnweb'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PieceReader, ExactReader } from '../../src/rpc/byte-stream.ts'
import { abortRecord, chunkRecords, decodeBody, record, recordHead, recordKinds, type RecordKind } from '../../src/rpc/chunk-codec.ts'
import { cancelStreams, keptStream, withStreamsOf } from '../../src/rpc/kept-streams.ts'
import { CallNumbers, renumber } from '../../src/rpc/numbers.ts'
import { nextPipeTo } from '../../src/rpc/pipe-source.ts'
import { ends } from '../conformance/links.ts'
import { bytePipe } from './byte-pipe.ts'
import { turns } from './pair.ts'

const most = 32 * 1024 * 1024

/** Expressions as capnweb makes them at the level that keeps values native; `depth` bounds how deep they are. */
const expression: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\ud800', '\u0000', '__proto__', 'import'),
      fc.double(),
      fc.constantFrom(-0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
      fc.bigInt(),
      fc.boolean(),
      fc.constantFrom(null, undefined),
      fc.date({ noInvalidDate: false }),
      fc.uint8Array().map((bytes) => ['bytes', bytes]),
      fc.uint8Array().map((bytes) => ['bytes', bytes, 'Float64Array']),
    ),
    fc.array(tie('value')).map((list) => [list]),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('\u0000', 'v', 'toJSON', '__proto__')), tie('value')),
    fc.tuple(fc.string(), fc.string(), tie('value')).map(([name, message, data]) => ['error', name, message, null, { data }]),
  ),
})).value

/** The one record that was written for a chunk, read back. */
function readBack(parts: Uint8Array[] | undefined): unknown {
  const whole = new Uint8Array(parts!.reduce((sum, part) => sum + part.byteLength, 0))
  let at = 0
  for (const part of parts!) {
    whole.set(part, at)
    at += part.byteLength
  }
  const kind = (Object.keys(recordKinds) as RecordKind[])[whole[0]!]!
  expect(new DataView(whole.buffer).getUint32(1, true)).toBe(whole.byteLength - recordHead)
  return decodeBody(kind, whole.subarray(recordHead))
}

describe('a record', () => {
  test('holds any chunk that does not refer to the session', () => {
    fc.assert(
      fc.property(expression, (chunk) => {
        expect(readBack(chunkRecords(chunk, most))).toEqual(chunk)
      }),
      { numRuns: 500 },
    )
  })

  test('tells zero from minus zero, nothing from undefined, and keeps names that objects have already', () => {
    expect(Object.is(readBack(chunkRecords(-0, most)), -0)).toBe(true)
    expect(Object.hasOwn(readBack(chunkRecords({ a: undefined }, most)) as object, 'a')).toBe(true)
    const own = JSON.parse('{"__proto__":{"big":1}}') as Record<string, unknown>
    Object.defineProperty(own, '__proto__', { value: { big: 2n } })
    expect(Object.getOwnPropertyDescriptor(readBack(chunkRecords(own, most)), '__proto__')?.value).toEqual({ big: 2n })
  })

  test.each([
    ['a capability', ['export', -1]],
    ['a promise', { a: [[['promise', -2]]] }],
    ['a result', ['pipeline', 3]],
    ['an import', [[1, ['import', 3]]]],
    ['a stream', { rows: ['readable', 4] }],
    ['a writable', ['writable', -4]],
    ['a Blob', ['blob', 'text/plain', ['readable', 4]]],
    ['a body', ['response', ['readable', 4], {}]],
    ['a .map', ['remap', 1, [], [], []]],
  ])('is none for %s', (_, chunk) => {
    expect(chunkRecords(chunk, most)).toBeUndefined()
  })

  test('is one for a list of the user that looks like a reference', () => {
    expect(readBack(chunkRecords([['import', 3]], most))).toEqual([['import', 3]])
    expect(readBack(chunkRecords([[[['pipeline', 3]]]], most))).toEqual([[[['pipeline', 3]]]])
  })

  test('splits bytes that are larger than a chunk, and refuses any other chunk that is', () => {
    const parts = chunkRecords(['bytes', new Uint8Array(25)], 10)!
    expect(parts.map((part) => part.byteLength - recordHead)).toEqual([10, 10, 5])
    expect(() => chunkRecords('x'.repeat(25), 10)).toThrow(
      expect.objectContaining({ code: 'LINK_LIMIT', data: expect.objectContaining({ limit: 'streamChunkBytes' }) }),
    )
  })

  test('copies what is small, and leaves what is large where it is', () => {
    const large = new Uint8Array(100_000)
    expect(chunkRecords(['bytes', large], most)).toEqual([expect.anything(), large])
    expect(chunkRecords(['bytes', large], most)![1]).toBe(large)
    expect(chunkRecords(['bytes', new Uint8Array(10)], most)).toHaveLength(1)
    expect(record('close')).toEqual([new Uint8Array([recordKinds.close, 0, 0, 0, 0])])
  })

  test('of a reason that leads to the session tells so, and no more', () => {
    expect(readBack(abortRecord(['error', 'Error', 'it broke']))).toEqual(['error', 'Error', 'it broke'])
    expect(readBack(abortRecord(['export', -1]))).toEqual(['error', 'Error', expect.stringContaining('cannot leave')])
  })

  test('of another version is an error', () => {
    const body = readable({ '\u0000': 'colour', v: 1 })
    expect(() => decodeBody('value', body)).toThrow(/colour/)
  })
})

/** A body of the kind `value`, from the JSON of it. */
function readable(json: unknown): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(json))
  const body = new Uint8Array(4 + text.byteLength)
  new DataView(body.buffer).setUint32(0, text.byteLength, true)
  body.set(text, 4)
  return body
}

describe('numbers of calls', () => {
  test('lead from the session to the wire and back, whichever travel', () => {
    fc.assert(
      fc.property(fc.nat(3), fc.array(fc.boolean(), { maxLength: 200 }), (before, travelling) => {
        const numbers = new CallNumbers(before)
        const wire: number[] = Array.from({ length: before }, (_, i) => i + 1)
        const stayed: number[] = []
        for (const travels of travelling) {
          if (travels) wire.push(numbers.travels())
          else stayed.push(numbers.stays())
        }
        expect(numbers.same).toBe(stayed.length === 0)
        wire.forEach((number, i) => {
          expect(numbers.toWire(number)).toBe(i + 1)
          expect(numbers.toSession(i + 1)).toBe(number)
          expect(numbers.stayed(number)).toBe(false)
        })
        for (const number of stayed) expect(numbers.stayed(number)).toBe(true)
        for (const capability of [0, -1, -100])
          expect([numbers.toWire(capability), numbers.toSession(capability)]).toEqual([capability, capability])
      }),
      { numRuns: 300 },
    )
  })

  test('are bounded by a limit that has a name', () => {
    const numbers = new CallNumbers()
    const many = () => {
      for (let i = 0; i < 200_000; i++) {
        numbers.travels()
        numbers.stays()
      }
    }
    expect(many).toThrow(expect.objectContaining({ code: 'LINK_LIMIT' }))
  })

  test('are replaced where they are references, and nowhere else', () => {
    const up = (number: number) => number + 100
    const value = {
      a: ['import', 1],
      b: [[['pipeline', 2, ['x', 3], [['readable', 4], 5, [['import', 6]]]], 'import']],
      c: [
        'remap',
        7,
        ['p'],
        [
          ['import', 8],
          ['export', -9],
        ],
        [['pipeline', 1, ['y'], [1]]],
      ],
      d: ['error', 'Error', 'm', null, { cause: ['import', 10] }],
      e: ['response', ['readable', 11], { headers: [['import', 'x']] }],
      f: ['request', 'https://x', { method: 'POST', body: ['readable', 12], headers: [['a', 'b']] }],
      g: ['blob', 't', ['readable', 13]],
      h: ['export', -1],
      i: ['bytes', new Uint8Array(1)],
      j: new Date(0),
      k: null,
    }
    renumber(value, up)
    expect(value).toEqual({
      a: ['import', 101],
      // A list of the user stands in a list of its own, and what is in it are expressions again.
      b: [[['pipeline', 102, ['x', 3], [['readable', 104], 5, [['import', 6]]]], 'import']],
      c: [
        'remap',
        107,
        ['p'],
        [
          ['import', 108],
          ['export', -9],
        ],
        [['pipeline', 1, ['y'], [1]]],
      ],
      d: ['error', 'Error', 'm', null, { cause: ['import', 110] }],
      e: ['response', ['readable', 111], { headers: [['import', 'x']] }],
      f: ['request', 'https://x', { method: 'POST', body: ['readable', 112], headers: [['a', 'b']] }],
      g: ['blob', 't', ['readable', 113]],
      h: ['export', -1],
      i: ['bytes', new Uint8Array(1)],
      j: new Date(0),
      k: null,
    })
  })
})

describe('native streams', () => {
  test('are read in exact pieces, however they were written', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 5000 }), { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 30 }),
        async (writes, reads) => {
          const total = writes.reduce((sum, size) => sum + size, 0)
          const all = Uint8Array.from({ length: total }, (_, i) => i % 251)
          const { readable: stream, writable } = bytePipe()
          const writer = writable.getWriter()
          const writing = (async () => {
            let at = 0
            for (const size of writes) await writer.write(all.subarray(at, (at += size)))
            await writer.close()
          })().catch(() => {})
          const reader = new ExactReader(stream)
          let at = 0
          for (const [i, size] of reads.entries()) {
            const piece = i % 2 === 0 ? await reader.own(size) : await reader.few(size)
            if (at + size > total) {
              expect(piece).toBeUndefined()
              break
            }
            expect(piece).toEqual(all.subarray(at, (at += size)))
          }
          reader.cancel(undefined)
          await writing
        },
      ),
      { numRuns: 60 },
    )
  })

  test('are read in pieces as large as they come', async () => {
    const { readable: stream, writable } = bytePipe()
    const writer = writable.getWriter()
    const writing = (async () => {
      for (let i = 0; i < 30; i++) await writer.write(new Uint8Array(100_000))
      for (let i = 0; i < 10; i++) await writer.write(new Uint8Array(10))
      await writer.close()
    })()
    const reader = new PieceReader(stream)
    const sizes: number[] = []
    for (let piece = await reader.next(); piece; piece = await reader.next()) {
      sizes.push(piece.byteLength)
      expect(piece.buffer.byteLength).toBeLessThanOrEqual(2 * piece.byteLength)
    }
    await writing
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(3_000_100)
    expect(sizes.slice(-10)).toEqual(Array.from({ length: 10 }, () => 10))
  })
})

describe('the moment in which pipeTo is ours', () => {
  const current = () => Object.getOwnPropertyDescriptor(ReadableStream.prototype, 'pipeTo')?.value as unknown
  const platform = current()
  test('ends with the call', async () => {
    const taken: unknown[] = []
    nextPipeTo((source, destination, pipeTo) => {
      taken.push(source, destination)
      return pipeTo()
    })
    const source = new ReadableStream({ start: (controller) => controller.close() })
    const destination = new WritableStream()
    await source.pipeTo(destination)
    expect(taken).toEqual([source, destination])
    expect(current()).toBe(platform)
  })
  test('ends with the code that runs, where there is no call', async () => {
    nextPipeTo(() => Promise.reject(new Error('not this one')))
    expect(current()).not.toBe(platform)
    await Promise.resolve()
    expect(current()).toBe(platform)
  })
})

describe('a stream that outlives its call', () => {
  const ofOne = (events: unknown[] = []) =>
    new ReadableStream({
      start: (controller) => (controller.enqueue('one'), controller.close()),
      cancel: (reason) => void events.push(reason),
    })
  const open = (events: unknown[] = []) => new ReadableStream({ cancel: (reason) => void events.push(reason) })
  const read = async (stream: unknown) => await new Response((stream as ReadableStream).pipeThrough(new TextEncoderStream())).text()

  test('is locked when it is kept, so that the end of its call leaves it alone', async () => {
    const stream = ofOne()
    const kept = keptStream(stream)
    expect(stream.locked).toBe(true)
    // What somebody reads is theirs.
    expect(keptStream(stream)).toBe(stream)
    expect(await read(kept)).toBe('one')
    for (const value of [undefined, null, 1, 'text', { stream }, new Response(null)]) expect(keptStream(value)).toBe(value)
  })

  test('keeps its status and headers when it is a body', async () => {
    const response = new Response('the body', { status: 201, headers: { 'x-a': 'b' } })
    const kept = keptStream(response) as Response
    expect(response.body!.locked).toBe(true)
    expect([kept.status, kept.headers.get('x-a'), await kept.text()]).toEqual([201, 'b', 'the body'])
    const request = keptStream(new Request('https://example.com/', { method: 'POST', body: 'sent' })) as Request
    expect([request.method, await request.text()]).toEqual(['POST', 'sent'])
  })

  test('goes on in the result, on top, nested, and in what comes later', async () => {
    const arg = () => ofOne()
    const cases: ((stream: ReadableStream) => [result: unknown, find: (result: never) => unknown])[] = [
      (stream) => [stream, (it) => it],
      (stream) => [[1, stream], (it) => it[1]],
      (stream) => [{ deep: { stream } }, (it) => (it as { deep: { stream: unknown } }).deep.stream],
      (stream) => [Promise.resolve({ stream }), (it) => (it as { stream: unknown }).stream],
    ]
    for (const make of cases) {
      const stream = arg()
      const [result, find] = make(stream)
      const given = await (withStreamsOf([0, stream], result) as Promise<never>)
      expect(stream.locked).toBe(true)
      expect(await read(find(given))).toBe('one')
    }
  })

  test('and any other result is given back as it is', () => {
    const stream = ofOne()
    const result = { stream }
    expect(withStreamsOf([1, 'x', { stream }], result)).toBe(result)
    const thenable = { then() {} }
    expect(withStreamsOf([stream], thenable)).toBe(thenable)
    class Door extends RpcTarget {}
    const door = new Door()
    expect(withStreamsOf([stream], door)).toBe(door)
    expect(stream.locked).toBe(false)
  })

  test('is cancelled when what holds it is dropped, wherever it lies', async () => {
    const events: unknown[] = []
    const locked = open(events)
    locked.getReader()
    cancelStreams([open(events), { a: open(events), b: [locked] }, new Response(open(events)), 1, null, new Date()], 'dropped')
    await Promise.resolve()
    expect(events).toEqual(['dropped', 'dropped', 'dropped'])
  })
})

class World extends RpcTarget {
  held: ((n: number) => unknown)[] = []
  list(n: number) {
    return Array.from({ length: n }, (_, i) => i)
  }
  add(a: number, b: number) {
    return a + b
  }
  stream(n: number, kind: 'rows' | 'bytes' | 'capabilities') {
    let i = 0
    const next = () => (kind === 'rows' ? { row: i } : kind === 'bytes' ? new Uint8Array(i % 7).fill(i) : { add: (m: number) => m + i })
    return new ReadableStream({ pull: (controller) => (i++ < n ? controller.enqueue(next()) : controller.close()) }, { highWaterMark: 0 })
  }
  async count(stream: ReadableStream) {
    let n = 0
    for await (const _ of stream) n++
    return n
  }
  async call(callback: (n: number) => Promise<number>, n: number) {
    return (await callback(n)) + 1
  }
  self() {
    return this
  }
  async fill(writable: WritableStream, n: number) {
    const writer = writable.getWriter()
    for (let i = 0; i < n; i++) await writer.write(i)
    await writer.close()
    return n
  }
}

describe('a session that says anything', () => {
  /** What can be done with a stub, each with the answer that it must have. */
  // oxlint-disable-next-line typescript/no-explicit-any
  const deeds: Record<string, (stub: any, n: number) => Promise<void>> = {
    add: async (stub, n) => expect(await stub.add(n, 1)).toBe(n + 1),
    chain: async (stub, n) => expect(await stub.self().self().add(n, n)).toBe(2 * n),
    argument: async (stub, n) => expect(await stub.add(stub.add(n, 1), stub.self().add(n, 2))).toBe(2 * n + 3),
    map: async (stub, n) =>
      expect(await stub.list(n).map((i: number) => stub.add(i, 1))).toEqual(Array.from({ length: n }, (_, i) => i + 1)),
    callback: async (stub, n) => expect(await stub.call(async (m: number) => m * 2, n)).toBe(2 * n + 1),
    rows: async (stub, n) => expect(await all(await stub.stream(n, 'rows'))).toEqual(Array.from({ length: n }, (_, i) => ({ row: i + 1 }))),
    bytes: async (stub, n) => expect((await all(await stub.stream(n, 'bytes'))).length).toBe(n),
    capabilities: async (stub, n) => {
      const chunks = (await all(await stub.stream(n, 'capabilities'))) as { add(m: number): Promise<number> }[]
      for (const chunk of chunks.slice(-2)) expect(await chunk.add(1)).toBeGreaterThan(0)
      for (const chunk of chunks) (chunk as unknown as Disposable)[Symbol.dispose]()
    },
    upload: async (stub, n) => expect(await stub.count(new World().stream(n, 'rows'))).toBe(n),
    relayed: async (stub, n) => expect(await stub.count(stub.stream(n, 'rows'))).toBe(n),
    cancelled: async (stub, n) => void (await (await stub.stream(n + 1, 'rows')).getReader().cancel()),
    fill: async (stub, n) => {
      const written: unknown[] = []
      expect(await stub.fill(new WritableStream({ write: (chunk) => void written.push(chunk) }), n)).toBe(n)
      expect(written).toHaveLength(n)
    },
  }

  async function all(stream: ReadableStream): Promise<unknown[]> {
    const chunks: unknown[] = []
    for await (const chunk of stream) chunks.push(chunk)
    return chunks
  }

  test('gives the right answers to calls before, between and after its streams, and is gone when they are', async () => {
    const deed = fc.record({
      name: fc.constantFrom(...Object.keys(deeds)),
      n: fc.integer({ min: 0, max: 12 }),
      after: fc.integer({ min: 0, max: 4 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(deed, { maxLength: 14 }), async (script) => {
        const link = ends(new World())
        // One capability is one session: what is done with it shares its numbers.
        const stub = await link.root().self()
        await Promise.all(
          script.map(async ({ name, n, after }) => {
            await turns(after)
            await deeds[name]!(stub, n)
          }),
        )
        stub[Symbol.dispose]()
        await link.empty()
      }),
      { numRuns: 40 },
    )
  })
})
