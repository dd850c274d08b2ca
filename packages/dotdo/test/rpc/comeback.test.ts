/** Who was cut off and comes back: how long it waits, who waits with it, and what is remembered. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { Comebacks, networkOf } from '../../src/rpc/comeback.ts'
import { ManualClock } from '../support/fakes.ts'

const limits = { comebackMs: 100, comebackEndMs: 1_000 }

function made() {
  const clock = new ManualClock(0)
  return { clock, comebacks: new Comebacks(clock) }
}

describe('a network', () => {
  test('of which nobody was cut off never waits, and is not remembered', () => {
    const { comebacks } = made()
    comebacks.cutOff('another', limits)
    for (let i = 0; i < 1_000; i++) expect(comebacks.enter('good', limits)).toBe(0)
    expect(comebacks.size).toBe(1)
  })

  test('waits twice as long after each session that was cut off, up to the end', () => {
    const { clock, comebacks } = made()
    const waits = Array.from({ length: 6 }, () => {
      comebacks.cutOff('bad', limits)
      const wait = comebacks.enter('bad', limits)
      clock.advance(wait)
      return wait
    })
    // After the second, the third and so on the socket before it has been let in already.
    expect(waits[0]).toBe(100)
    expect(waits.slice(1).every((wait, i) => wait >= waits[i]!)).toBe(true)
    expect(waits.at(-1)).toBe(1_000)
  })

  test('has its sockets let in one at a time, and is refused those that would wait too long', () => {
    const { comebacks } = made()
    comebacks.cutOff('bad', limits)
    const waits = Array.from({ length: 10 }, () => comebacks.enter('bad', limits))
    expect(waits).toEqual([100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000])
    try {
      comebacks.enter('bad', limits)
      expect.unreachable()
    } catch (error) {
      expect(codeOf(error)).toBe('LINK_LIMIT')
      expect(error).toMatchObject({ data: { limit: 'comebackEndMs', value: 1_100, bound: 1_000, caller: 'a client' } })
    }
  })

  test('is forgotten when it was calm for six times of its delay', () => {
    const { clock, comebacks } = made()
    comebacks.cutOff('bad', limits)
    clock.advance(600)
    expect(comebacks.enter('bad', limits)).toBe(0)
    expect(comebacks.size).toBe(1)
    clock.advance(1)
    expect(comebacks.enter('bad', limits)).toBe(0)
    expect(comebacks.size).toBe(0)
    comebacks.cutOff('bad', limits)
    expect(comebacks.enter('bad', limits)).toBe(100)
  })

  test('waits never where the app says so', () => {
    const { comebacks } = made()
    for (let i = 0; i < 10; i++) comebacks.cutOff('bad', { ...limits, comebackMs: 0 })
    expect(comebacks.enter('bad', limits)).toBe(0)
    expect(comebacks.size).toBe(0)
  })
})

test('whatever happens: sockets of a network that was cut off are apart by its delay, and nobody waits longer than the end', () => {
  const step = fc.oneof(fc.constant('cut' as const), fc.constant('enter' as const), fc.integer({ min: 1, max: 500 }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { clock, comebacks } = made()
      let letIn = -Infinity
      let cutAt: number | undefined
      for (const it of steps) {
        if (typeof it === 'number') clock.advance(it)
        else if (it === 'cut') {
          comebacks.cutOff('bad', limits)
          cutAt = clock.now()
        } else {
          let wait: number
          try {
            wait = comebacks.enter('bad', limits)
          } catch {
            continue
          }
          expect(wait).toBeLessThanOrEqual(limits.comebackEndMs)
          if (cutAt === undefined) expect(wait).toBe(0)
          // Whatever the delay is by now, it is not forgotten before six times the first one.
          else if (clock.now() - cutAt <= 6 * limits.comebackMs) {
            expect(clock.now() + wait - letIn).toBeGreaterThanOrEqual(limits.comebackMs)
            letIn = clock.now() + wait
          } else letIn = -Infinity
        }
      }
    }),
  )
})

test('what is remembered is bounded, and who was cut off longest ago is forgotten first', () => {
  const { comebacks } = made()
  for (let i = 0; i < 10_050; i++) {
    comebacks.cutOff(`network ${i}`, limits)
    comebacks.cutOff('always', limits)
  }
  expect(comebacks.size).toBe(10_000)
  expect(comebacks.enter('network 0', limits)).toBe(0)
  expect(comebacks.enter('network 10049', limits)).toBeGreaterThan(0)
  expect(comebacks.enter('always', limits)).toBeGreaterThan(0)
})

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['192.0.2.7:5000', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['[::ffff:192.0.2.7]:5000', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:0DB8:0001:0002::6', '2001:db8:1:2'],
  ['[2001:db8::1]:5000', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['::2:3:4:5:6', '0:0:0:2'],
  ['', ''],
])('%s is of the network %s', (address, network) => {
  expect(networkOf(address)).toBe(network)
})
