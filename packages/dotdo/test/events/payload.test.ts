import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { decodeValue, encodeValue } from '../../src/base/codec.ts'
import { encodePayload, previewOf, sizeBytes } from '../../src/events/payload.ts'
import { Bench } from './harness.ts'

const tooLarge = expect.objectContaining({
  code: 'PAYLOAD_TOO_LARGE',
  retryable: false,
  message: expect.stringContaining('send a reference'),
})

describe('payloads', () => {
  test('one is refused when its stored form is above the limit, and never when it is not', () => {
    // An own '__proto__' is refused by name: see base.
    const key = fc.string().filter((it) => it !== '__proto__')
    const anything = fc.anything({ key, withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true, maxDepth: 4 })
    fc.assert(
      fc.property(anything, fc.nat(400), (value, limit) => {
        const size = sizeBytes(encodeValue(value))
        if (size <= limit) expect(decodeValue(encodePayload('A.b', value, limit))).toEqual(value)
        else expect(() => encodePayload('A.b', value, limit)).toThrow(tooLarge)
      }),
      { numRuns: 3000 },
    )
  })
  test('the limit counts bytes, not characters, up to the last one', () => {
    expect(encodePayload('A.b', 'é'.repeat(10), 23)).toBe(`j"${'é'.repeat(10)}"`)
    expect(() => encodePayload('A.b', 'é'.repeat(10), 22)).toThrow(
      expect.objectContaining({ data: { type: 'A.b', limitBytes: 22, sizeBytes: 23 } }),
    )
  })
  test('what is referred to many times counts once, and a cycle is measured, not followed for ever', () => {
    const shared = 'x'.repeat(900)
    const value = { at: new Date(0), all: Array.from({ length: 50 }, () => shared) }
    expect(decodeValue(encodePayload('A.b', value, 3000))).toEqual(value)
    const cycle: Record<string, unknown> = { at: new Date(0) }
    cycle.self = cycle
    expect(() => encodePayload('A.b', cycle, 1000)).not.toThrow()
  })
  test('a payload of a gigabyte is refused without being copied', () => {
    const chunk = new Uint8Array(64 * 1024 * 1024)
    const bytes = Array.from({ length: 16 }, () => new Uint8Array(chunk.buffer))
    expect(() => encodePayload('A.b', { bytes }, 1_048_576)).toThrow(tooLarge)
    expect(() => encodePayload('A.b', Object.assign([], { length: 1e9 }), 1_048_576)).toThrow(tooLarge)
    const text = 'x'.repeat(1_000_000)
    expect(() => encodePayload('A.b', [new Date(0), ...Array.from({ length: 100_000 }, () => text)], 1_048_576)).toThrow(tooLarge)
  })
  test.each([
    ['a function', { rows: [() => 1] }],
    ['a symbol', Symbol('s')],
    ['an instance', new (class Stub {})()],
  ])('%s cannot be sent, and nothing is', (_, value) => {
    const bench = new Bench()
    bench.outbox.subscribe('A.b', () => 0)
    bench.outbox.settle()
    expect(() => bench.outbox.send('A.b', value)).toThrow(
      expect.objectContaining({ code: 'NOT_STORABLE', message: expect.stringContaining("the payload of 'A.b'") }),
    )
    expect(bench.outbox.events()).toEqual([])
    expect(bench.outbox.nextWakeMs()).toBeUndefined()
  })
  test('the outbox takes a payload of 1 MiB and refuses a larger one before it is stored', async () => {
    const bench = new Bench()
    const got: number[] = []
    bench.outbox.subscribe('A.b', (payload) => got.push((payload as string).length))
    bench.outbox.settle()
    bench.outbox.send('A.b', 'x'.repeat(1_048_576 - 3))
    expect(() => bench.outbox.send('A.b', 'x'.repeat(1_048_576 - 2))).toThrow(tooLarge)
    await bench.drain()
    expect(got).toEqual([1_048_573])
  })
  test('lists show the first thousand characters and the whole size', () => {
    const bench = new Bench()
    bench.outbox.settle()
    bench.outbox.send('A.b', 'é'.repeat(5000))
    const { payload } = bench.outbox.events()[0]!
    expect(payload).toEqual({ text: `"${'é'.repeat(999)}`, sizeBytes: 10_002 })
    expect(previewOf('j1', 2)).toEqual({ text: '1', sizeBytes: 1 })
    expect(bench.seen[0]).toMatchObject({ payload })
  })
})
