import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import { Bench } from './harness.ts'

/** An object whose sink takes batches, and none that has one of the refused; it names which when it is asked to. */
function bench(refused: ReadonlySet<number>, { fixed = false, retryable = false } = {}) {
  const taken: number[] = []
  const it = new Bench({
    open: () => ({
      most: 100,
      fixed,
      put: async (events) => {
        const bad = events.find(({ payload }) => refused.has(payload as number))
        if (bad) throw new DotdoError('NOT_STORABLE', 'not that one', { data: { eventId: bad.id }, retryable })
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

test('an error that names no event of the batch counts for the first, which is then tried alone', async () => {
  const sizes: number[] = []
  const it = new Bench({
    open: () => ({
      most: 100,
      fixed: false,
      put: async (events) => {
        sizes.push(events.length)
        if (sizes.length === 1) throw new DotdoError('SINK_DOWN', 'down', { retryable: true, data: { eventId: 'evt_of_somebody_else' } })
      },
    }),
  })
  it.outbox.subscribe('A.b', { queue: 'Q' }, { id: 'out', retries: { limit: 2, delay: '1s' } })
  it.outbox.settle()
  for (let i = 0; i < 5; i++) it.outbox.send('A.b', i)
  await it.drain()
  expect(sizes).toEqual([5, 1, 4])
  expect(it.outbox.deadLetters()).toEqual([])
})
