/**
 * An object sleeps when nobody speaks with it, and stays awake while somebody holds a part of it: shown on workerd under the compatibility
 * date of the tests. workerd evicts an object that has been idle for ten seconds; Cloudflare takes longer.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startWorker, type RunningApp } from '../support/app.ts'

/** Longer than what workerd takes to evict. */
const evictedMs = 14_000

describe.concurrent('an object', () => {
  let running: RunningApp
  beforeAll(async () => {
    running = await startWorker(fileURLToPath(new URL('app/wrangler.toml', import.meta.url)))
  })
  afterAll(() => running?.stop())

  test('that was called, by itself and by many at once, is evicted when it is idle', async () => {
    const sleeper = running.app['Sleeper']('idle')
    const before = await sleeper.life()
    expect(await Promise.all([sleeper.life(), sleeper.life()])).toEqual([before, before])
    await wait(evictedMs)
    expect(await sleeper.life()).not.toBe(before)
  })

  test('on whose result a chain went on is evicted when the lease of that has run out', async () => {
    const sleeper = running.app['Sleeper']('chained')
    const before = await sleeper.life()
    expect(await sleeper.counter().increment()).toBe(2)
    // Nobody disposed of the counter: 20 seconds without traffic end its session.
    await wait(22_000 + evictedMs)
    expect(await sleeper.life()).not.toBe(before)
  })

  test('whose capability another object holds is not, until that lets go of it', async () => {
    const sleeper = running.app['Sleeper']('held')
    const holder = running.app['Holder']('one')
    const before = await sleeper.life()
    expect(await holder.hold('held')).toBe(1)
    // The holder is kept awake; the sleeper is spoken with by nobody.
    const awake = setInterval(() => void holder.awake(), 2000)
    await wait(evictedMs)
    expect(await sleeper.life()).toBe(before)
    await holder.letGo()
    await wait(evictedMs + 3000)
    clearInterval(awake)
    expect(await sleeper.life()).not.toBe(before)
  })
})
