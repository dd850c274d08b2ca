/**
 * An object sleeps when nobody speaks with it, and stays awake while somebody holds a part of it: shown on workerd under the compatibility
 * date of the tests. workerd evicts an object that has been idle for ten seconds; Cloudflare takes longer.
 *
 * It is nearly all waiting, so it is done beside the suite that has the app anyway.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { RunningApp } from '../support/app.ts'

/** Longer than what workerd takes to evict. */
const evictedMs = 14_000

/** Declares the tests, over an app that runs when they do. */
export function evictions(running: () => RunningApp): void {
  describe.concurrent('an object', () => {
    test('that was called, by itself and by many at once, is evicted when it is idle', async () => {
      const sleeper = running().app['Sleeper']('idle')
      const before = await sleeper.life()
      expect(await Promise.all([sleeper.life(), sleeper.life()])).toEqual([before, before])
      await wait(evictedMs)
      expect(await sleeper.life()).not.toBe(before)
    })

    test('on whose result a chain went on is evicted when the lease of that has run out', async () => {
      const sleeper = running().app['Sleeper']('chained')
      const before = await sleeper.life()
      expect(await sleeper.counter().increment()).toBe(2)
      // Nobody disposed of the counter: 20 seconds without traffic end its session.
      await wait(22_000 + evictedMs)
      expect(await sleeper.life()).not.toBe(before)
    })

    test('whose capability another object holds is not, until that lets go of it', async () => {
      const sleeper = running().app['Sleeper']('held')
      const holder = running().app['Holder']('one')
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
}
