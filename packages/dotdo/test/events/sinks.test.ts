import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import { Bench } from './harness.ts'

/** An object whose sink takes batches, and none that has one of the refused; it names which when it is asked to. */
function bench(refused: ReadonlySet<number>, { fixed = false, retryable = false, names = true } = {}) {
  const taken: number[] = []
  const it = new Bench({
    open: () => ({
      most: 100,
      fixed,
      put: async (events) => {
        const bad = events.find(({ payload }) => refused.has(payload as number))
        if (bad) throw new DotdoError('NOT_STORABLE', 'not that one', { ...(names && { data: { eventId: bad.id } }), retryable })
        taken.push(...events.map(({ payload }) => payload as number))
      },
    }),
  })
  it.outbox.subscribe('A.b', { queue: 'Q' }, { id: 'out', retries: { limit: 2, delay: '1s' } })
  it.outbox.settle()
  return { it, taken }
}

test('only the events that a sink refuses become dead letters, whatever shared a batch with them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.nat(29), { maxLength: 6 }), fc.boolean(), fc.boolean(), async (refused, fixed, retryable) => {
      const { it, taken } = bench(new Set(refused), { fixed, retryable })
      for (let i = 0; i < 30; i++) it.outbox.send('A.b', i)
      await it.drain()
      const dead = it.outbox.deadLetters().map(({ payload }) => Number(payload.text))
      expect(dead.toSorted((a, b) => a - b)).toEqual(refused.toSorted((a, b) => a - b))
      // In the order in which they were sent, each once.
      expect(taken).toEqual(Array.from({ length: 30 }, (_, i) => i).filter((i) => !refused.includes(i)))
    }),
    { numRuns: 60 },
  )
})

test('those alone do that a sink refuses without a word which, whatever shared a batch with them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.nat(29), { maxLength: 4 }), fc.boolean(), fc.boolean(), async (refused, fixed, retryable) => {
      const { it, taken } = bench(new Set(refused), { fixed, retryable, names: false })
      for (let i = 0; i < 30; i++) it.outbox.send('A.b', i)
      await it.drain()
      const dead = it.outbox.deadLetters()
      expect(dead.map(({ payload }) => Number(payload.text)).toSorted((a, b) => a - b)).toEqual(refused.toSorted((a, b) => a - b))
      // Each has had its own attempts, and no others.
      expect(dead.every(({ attempts }) => attempts === (retryable ? 3 : 1))).toBe(true)
      expect(taken).toEqual(Array.from({ length: 30 }, (_, i) => i).filter((i) => !refused.includes(i)))
    }),
    { numRuns: 60 },
  )
})

test('a batch has its events in order and whole, those with much in them and those with little', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(1, 4090, 4094, 4095, 5000), { maxLength: 12 }), async (lengths) => {
      const batches: string[][] = []
      const it = new Bench({
        open: () => ({ most: 100, fixed: false, put: async (events) => void batches.push(events.map(({ payload }) => payload as string)) }),
      })
      it.outbox.subscribe('A.b', { queue: 'Q' }, { id: 'out' })
      it.outbox.settle()
      const sent = lengths.map((length, i) => `${i}`.padEnd(length, 'é'))
      for (const text of sent) it.outbox.send('A.b', text)
      await it.drain()
      expect(batches).toEqual(sent.length > 0 ? [sent] : [])
    }),
    { numRuns: 30 },
  )
})

test('one that waits for another attempt is not put off by a clock that jumps back', async () => {
  let tries = 0
  const it = new Bench({
    open: () => ({
      most: 100,
      fixed: false,
      put: async () => {
        if (tries++ === 0) throw new DotdoError('SINK_DOWN', 'down', { retryable: true })
      },
    }),
  })
  it.outbox.subscribe('A.b', { queue: 'Q' }, { id: 'out', retries: { limit: 2, delay: '1s' } })
  it.outbox.settle()
  it.outbox.send('A.b', 1)
  await it.outbox.pump()
  expect(tries).toBe(1)
  it.clock.ms -= 30 * 86_400_000
  await it.outbox.pump()
  expect(tries).toBe(2)
})

test.each([
  ['comes again as it was to a sink that knows it by its key, and then in halves', true, [8, 8, 8, 4, 4, 4, 2, 2, 2, 1, 2, 4, 1]],
  ['comes in halves to another, which grow again when it takes them', false, [8, 4, 2, 1, 2, 4, 1]],
])('a batch that a sink is not there for %s: nothing of it is an attempt of its events', async (_, fixed, expected) => {
  const sizes: number[] = []
  const keys = new Set<string>()
  const out = expected.indexOf(1)
  const it = new Bench({
    open: () => ({
      most: 100,
      fixed,
      put: async (events, key) => {
        keys.add(`${events.length} ${key}`)
        // An event that is not of the batch is none.
        if (sizes.push(events.length) <= out) throw new DotdoError('SINK_DOWN', 'down', { retryable: true, data: { eventId: 'evt_other' } })
      },
    }),
  })
  it.outbox.subscribe('A.b', { queue: 'Q' }, { id: 'out', retries: { limit: 2, delay: '1s' } })
  it.outbox.settle()
  for (let i = 0; i < 8; i++) it.outbox.send('A.b', i)
  await it.drain()
  expect(sizes).toEqual(expected)
  expect(it.outbox.deadLetters()).toEqual([])
  expect(keys.size).toBe(new Set(expected.slice(0, out)).size + expected.length - out)
})

test('without order, none of the batch is tried again before its time', async () => {
  const at: number[] = []
  const it: Bench = new Bench({
    open: () => ({
      most: 100,
      fixed: false,
      put: async () => {
        at.push(it.clock.now())
        if (at.length === 1) throw new DotdoError('SINK_DOWN', 'down', { retryable: true })
      },
    }),
  })
  it.outbox.subscribe('A.b', { queue: 'Q' }, { id: 'out', ordered: false, retries: { limit: 2, delay: '5s' } })
  it.outbox.settle()
  for (let i = 0; i < 6; i++) it.outbox.send('A.b', i)
  await it.drain()
  expect(at.length).toBeGreaterThan(1)
  for (const later of at.slice(1)) expect(later - at[0]!).toBeGreaterThanOrEqual(5000)
  expect(it.outbox.deadLetters()).toEqual([])
})
