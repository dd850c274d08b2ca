import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { callersRemembered, Deliveries, numbersMissed } from '../../src/rpc/deliveries.ts'

describe('a message', () => {
  test('is new once, in whatever order those of its caller come', () => {
    const deliveries = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(numbersMissed - 1)), { maxLength: 300 })
    fc.assert(
      fc.property(deliveries, (all) => {
        const seen = new Set<string>()
        const known = new Deliveries()
        for (const [caller, number] of all) {
          const key = `${caller} ${number}`
          expect(known.isNew(caller, number)).toBe(!seen.has(key))
          seen.add(key)
        }
      }),
    )
  })
  test('is new where the receiver has begun anew and has not heard the ones before', () => {
    const known = new Deliveries()
    expect([1_000_000, 999_999, 1_000_000, 999_999, 1_000_001].map((number) => known.isNew('a', number))).toEqual([
      true,
      true,
      false,
      false,
      true,
    ])
  })
  test('that comes later than many that were sent after it is taken for one that was there', () => {
    const known = new Deliveries()
    known.isNew('a', numbersMissed + 1)
    expect([known.isNew('a', 0), known.isNew('a', 1), known.isNew('a', numbersMissed)]).toEqual([false, true, true])
  })
  test('is remembered while fewer than so many other callers have come', () => {
    const known = new Deliveries()
    const others = (count: number) => {
      for (let i = 0; i < count; i++) known.isNew(`other ${i}`, 0)
    }
    known.isNew('a', 0)
    others(callersRemembered)
    expect(known.isNew('a', 0)).toBe(false)
    others(callersRemembered)
    // Its caller was heard of again in between.
    expect(known.isNew('a', 0)).toBe(false)
    expect(known.isNew('a', 1)).toBe(true)
  })
  test.each([[-1], [0.5], [NaN], ['1'], [undefined], [2 ** 53]])('has no number %j', (number) => {
    expect(new Deliveries().isNew('a', number as number)).toBe(false)
  })
})
