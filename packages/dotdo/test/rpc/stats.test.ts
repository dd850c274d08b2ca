import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { serialize } from 'node:v8'
import { estimateBytes, newLinkStats, sumStats } from '../../src/rpc/stats.ts'

describe('the weight of a value', () => {
  test('is near what a serializer of the same kind writes, for data of any shape', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' '), maxLength: 40 })
    const data = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        text,
        fc.integer(),
        fc.double({ noNaN: true }),
        fc.boolean(),
        fc.constant(null),
        fc.uint8Array({ maxLength: 200 }),
        fc.array(tie('value'), { maxLength: 20 }),
        fc.dictionary(fc.string({ unit: fc.constantFrom('k', 'l', 'm'), minLength: 1, maxLength: 8 }), tie('value'), { maxKeys: 8 }),
      ),
    })).value
    fc.assert(
      fc.property(data, (value) => {
        const real = serialize(value).byteLength
        const estimate = estimateBytes(value)
        expect(estimate).toBeLessThan(real * 8 + 64)
        expect(estimate).toBeGreaterThan(real / 8 - 64)
      }),
      { numRuns: 500 },
    )
  })
  test('of bytes and texts is theirs', () => {
    expect(estimateBytes(new Uint8Array(16 * 1024 * 1024))).toBe(16 * 1024 * 1024 + 8)
    expect(estimateBytes('x'.repeat(100_000))).toBe(100_004)
  })
  test('of a long list is scaled up from some of its entries, within a fifth where entries are alike', () => {
    const rows = Array.from({ length: 100_000 }, (_, i) => ({ date: '2001-01-01 00:05', delay: i % 90, origin: 'SFO' }))
    const all = rows.reduce((sum, row) => sum + estimateBytes(row), 8)
    expect(Math.abs(estimateBytes(rows) - all)).toBeLessThan(all / 5)
  })
  test('of a list of a million is asked of no more than a hundred entries', () => {
    let read = 0
    const list = new Proxy(
      Array.from({ length: 1_000_000 }, () => 1),
      {
        get: (target, property, receiver) => {
          if (typeof property === 'string' && /^\d+$/.test(property)) read++
          return Reflect.get(target, property, receiver) as unknown
        },
      },
    )
    expect(estimateBytes(list)).toBe(8_000_008)
    expect(read).toBeLessThan(100)
  })
  test('of what is nested without end comes to an end', () => {
    const loop: unknown[] = []
    // Twice each: by the paths through it, this is 2 to the 20,000.
    loop.push(loop, loop)
    expect(estimateBytes(loop)).toBeLessThan(1_000_000)
  })
  test('reads no field of what is no plain data', () => {
    const stub = new Proxy(new (class {})(), {
      get: () => {
        throw new Error('read')
      },
      ownKeys: () => {
        throw new Error('listed')
      },
    })
    expect(estimateBytes([stub, new Date(0)])).toBe(24)
  })
})

test('the sum of links is that of each of their counters', () => {
  const one = { ...newLinkStats(), messages: 1, bytesSent: 10 }
  const two = { ...newLinkStats(), messages: 2, calls: 5, bytesSent: 5 }
  expect(sumStats([one, two])).toEqual({ ...newLinkStats(), messages: 3, calls: 5, bytesSent: 15 })
  expect(sumStats([])).toEqual(newLinkStats())
})
