import { beforeAll, expect, test, vi } from 'vitest'
import type { Databases } from './databases.ts'
import { live } from './lives.ts'
import { everything } from '../support/scenario.ts'
import { beginnings, calm, troubles } from './simulation.ts'

let databases: Databases

/** Everything there is happens in it, once. */
const one = { ...calm, ops: everything }

beforeAll(async () => {
  // What is lost is told in the log, as it should be.
  vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  databases = await beginnings()
})

test('a life holds with a death at every point of it, before its turn is on disk and after', { timeout: 600_000 }, async () => {
  const { points } = await live(one, databases)
  expect(points).toBeGreaterThan(80)
  let deaths = 0
  // Every second point dies with what it has not flushed, and every other after its flush.
  for (let point = 1; point <= points; point++)
    deaths += (await live({ ...one, crashAt: point % 2 === 0 ? point : -point }, databases)).happened.crashes
  expect(deaths).toBeGreaterThan(points / 3)
})

test('the same seed is the same history, event by event, whichever lives were before', async () => {
  const historyOf = async (seed: number, lived: Databases) => {
    const { world, happened } = await live(troubles(seed), lived)
    return { trace: world.trace, turns: world.turns, now: world.now, happened }
  }
  const first = await historyOf(11, databases)
  expect((await historyOf(7, databases)).trace).not.toBe(first.trace)
  expect(await historyOf(11, databases)).toEqual(first)
  expect(await historyOf(11, await beginnings())).toEqual(first)
})
