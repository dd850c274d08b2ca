import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { longestDelayMs, retryDelayMs, toRetryPolicy, type RetryOptions } from '../../src/events/retry.ts'
import { overloaded } from '../../src/base/overload.ts'
import { SeededRandom } from '../support/fakes.ts'
import { Bench } from './harness.ts'

const noJitter = { next: () => 0, bytes: () => new Uint8Array() }

describe('retries', () => {
  test('left alone, they are ten, doubling from a second', () => {
    const policy = toRetryPolicy()
    expect(policy).toEqual({ limit: 10, delayMs: 1000, backoff: 'exponential' })
    expect([1, 2, 3, 10].map((n) => retryDelayMs(policy, n, noJitter))).toEqual([1000, 2000, 4000, 512_000])
  })
  test('a constant wait stays, a linear one grows by itself', () => {
    expect([1, 2, 3].map((n) => retryDelayMs(toRetryPolicy({ delay: '5s', backoff: 'constant' }), n, noJitter))).toEqual([5000, 5000, 5000])
    expect([1, 2, 3].map((n) => retryDelayMs(toRetryPolicy({ delay: '5s', backoff: 'linear' }), n, noJitter))).toEqual([
      5000, 10_000, 15_000,
    ])
  })
  test('no wait is shorter than was asked, longer than a fifth more, or above an hour', () => {
    fc.assert(
      fc.property(
        fc.nat(3_600_000),
        fc.constantFrom('constant', 'linear', 'exponential'),
        fc.integer({ min: 1, max: 101 }),
        fc.nat(),
        (delay, backoff, n, seed) => {
          const policy = toRetryPolicy({ delay, backoff: backoff as 'constant' })
          const plain = retryDelayMs(policy, n, noJitter)
          const actual = retryDelayMs(policy, n, new SeededRandom(seed))
          expect(actual).toBeGreaterThanOrEqual(plain)
          expect(actual).toBeLessThanOrEqual(Math.min(longestDelayMs, Math.ceil(plain * 1.2)))
          expect(Number.isInteger(actual)).toBe(true)
        },
      ),
    )
  })
  test.each<RetryOptions>([
    { limit: -1 },
    { limit: 1.5 },
    { limit: 101 },
    { limit: Infinity },
    { limit: NaN },
    { delay: '2h' },
    { backoff: 'quadratic' as 'linear' },
  ])('%o cannot be kept', (options) => {
    expect(() => toRetryPolicy(options)).toThrow(expect.objectContaining({ code: 'INVALID_RETRIES' }))
  })
  test('a delay that is none is refused', () => {
    expect(() => toRetryPolicy({ delay: 'soon' })).toThrow(expect.objectContaining({ code: 'INVALID_DURATION' }))
  })
})

test('what fails with a time to come back is left alone for as long, and at most an hour', () => {
  const policy = { limit: 5, delayMs: 100, backoff: 'constant' } as const
  const after = (retryAfterMs: unknown) => retryDelayMs(policy, 1, new SeededRandom(1), { code: 'OVERLOADED', data: { retryAfterMs } })
  expect(after(5000)).toBe(5000)
  expect(after(10)).toBeGreaterThanOrEqual(100)
  expect(after(10 ** 12)).toBe(3_600_000)
})

test('a receiver that is overloaded is tried again when it has said, and nothing is lost', async () => {
  const bench = new Bench()
  let calls = 0
  bench.outbox.subscribe(
    'A.b',
    () => {
      if (++calls === 1) throw overloaded('A call of Orders/eu', 'callsUnderWay', 5, bench.random)
    },
    { retries: { delay: 1 } },
  )
  bench.outbox.settle()
  bench.outbox.send('A.b', 1)
  await bench.outbox.pump()
  expect(bench.outbox.nextWakeMs()! - bench.clock.now()).toBeGreaterThanOrEqual(1000)
  await bench.drain()
  expect([calls, bench.outbox.events()[0]?.waiting]).toEqual([2, 0])
})
