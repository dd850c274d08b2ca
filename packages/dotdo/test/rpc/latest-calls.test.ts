/** Which calls of steps have no row for sure: never one that has, and nearly every first attempt. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { callersKnown, keysKnown, LatestCalls } from '../../src/rpc/latest-calls.ts'

const call = (since: number, key = 'a', caller = 'Pipeline/main') => ({ since, caller, key })

describe('a call is known to be new', () => {
  test('when its step began after all that have rows, or at the same instant under another key', () => {
    const latest = new LatestCalls(5)
    expect([latest.isNew(call(5)), latest.isNew(call(6))]).toEqual([false, true])
    latest.add(call(6))
    expect([latest.isNew(call(6)), latest.isNew(call(6, 'b')), latest.isNew(call(5, 'b')), latest.isNew(call(7))]).toEqual([
      false,
      true,
      false,
      true,
    ])
  })

  test('whatever others have written meanwhile, later or earlier', () => {
    const latest = new LatestCalls(Number.NEGATIVE_INFINITY)
    latest.add(call(9, 'a', 'Pipeline/two'))
    latest.add(call(7))
    expect([latest.isNew(call(8)), latest.isNew(call(8, 'a', 'Pipeline/two')), latest.isNew(call(1, 'a', 'Pipeline/three'))]).toEqual([
      true,
      false,
      true,
    ])
  })

  test('not where more began at one instant than are kept, until a later instant', () => {
    const latest = new LatestCalls(0)
    for (let n = 0; n < keysKnown; n++) latest.add(call(1, `key ${n}`))
    expect([latest.isNew(call(1, 'another')), latest.isNew(call(2))]).toEqual([false, true])
  })

  test('not by a beginning that is no number', () => {
    const latest = new LatestCalls(0)
    latest.add(call(Number.NaN))
    expect([latest.isNew(call(Number.NaN)), latest.isNew(call(1))]).toEqual([false, true])
  })
})

test('a call that has a row is never told to be new, however many callers there are, and after a restart', () => {
  // Twice as many callers as are kept apart, few instants, and more keys than are kept of one.
  const calls = fc.array(
    fc.record({
      since: fc.integer({ min: 1, max: 6 }),
      caller: fc.integer({ min: 0, max: 2 * callersKnown }).map((n) => `Caller/${n}`),
      key: fc.integer({ min: 0, max: 2 * keysKnown }).map((n) => `key ${n}`),
      isKept: fc.boolean(),
    }),
    { minLength: 1, maxLength: 600 },
  )
  fc.assert(
    fc.property(calls, fc.nat(600), fc.boolean(), (made, restartAt, isCrowded) => {
      const rows = new Map<string, { since: number; caller: string; key: string }>()
      let latest = new LatestCalls(Number.NEGATIVE_INFINITY)
      for (const [n, { isKept, ...it }] of made.entries()) {
        const one = isCrowded ? it : { ...it, caller: 'Caller/0' }
        if (n === restartAt) latest = new LatestCalls(Math.max(Number.NEGATIVE_INFINITY, ...[...rows.values()].map(({ since }) => since)))
        const id = JSON.stringify(one)
        if (rows.has(id)) expect(latest.isNew(one)).toBe(false)
        else if (isKept) {
          rows.set(id, one)
          latest.add(one)
        }
      }
      for (const row of rows.values()) expect(latest.isNew(row)).toBe(false)
    }),
    { numRuns: 200 },
  )
})
