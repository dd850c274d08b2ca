/** The one alarm of an object: when rooms are asked for what they want, and when it is set. */
import { afterEach, expect, test } from 'vitest'
import { DO } from '../../src/index.ts'
import { Wake } from '../../src/object/wake.ts'
import { testApp, type TestApp } from '../../src/testing.ts'

let app: TestApp | undefined
afterEach(() => app?.close())

/** An alarm for one room that wants to be woken in half a minute, and what it was set to. */
async function alarm() {
  app = await testApp({ Idle: DO.extend({}) })
  const it = { wants: (app.now + 30_000) as number | null, asked: 0, set: [] as (number | null)[] }
  const storage = { setAlarm: (at: number) => it.set.push(at), deleteAlarm: () => it.set.push(null) }
  const room = () => {
    it.asked++
    return it.wants
  }
  const wake = new Wake(storage as unknown as DurableObjectStorage, [room])
  wake.arm()
  const at = it.wants!
  expect(it).toMatchObject({ asked: 1, set: [at] })
  return { app, it, wake, at }
}

test('what wants to be woken when the alarm comes anyway asks no room; what wants it sooner does', async () => {
  const { it, wake, at } = await alarm()
  wake.by(at)
  wake.by(at + 1)
  await Promise.resolve()
  expect(it).toMatchObject({ asked: 1, set: [at] })
  it.wants = at - 1
  wake.by(at - 1)
  await Promise.resolve()
  expect(it).toMatchObject({ asked: 2, set: [at, at - 1] })
})

test('an instant that the platform has no alarm for stops nobody: the object is woken on the way', async () => {
  const Far = DO.extend({
    init() {
      this.at('2300-01-01')(() => 'far', { id: 'far' })
      this.every('0 0 0 1 1 * 2400')(() => 'farther', { id: 'farther' })
    },
    async rest() {
      await this.sleepUntil('2500-01-01', { stepId: 'rest' })
    },
    begin() {
      return this.runs.start('rest').runId
    },
  })
  const far = await testApp({ Far }, { at: '2026-01-01' })
  app = far
  await far.Far('main').begin()
  await far.advance('800d')
  expect(far.runs().map(({ status }) => status)).toEqual(['running'])
})

test('what wants to be woken when no alarm is set sets it', async () => {
  const { it, wake, at } = await alarm()
  wake.fired()
  wake.by(at)
  await Promise.resolve()
  expect(it.set).toEqual([at, at])
})

test('an instant that is not wanted any more is left for a second, however many say so, and is then taken away', async () => {
  const { app, it, wake, at } = await alarm()
  it.wants = null
  wake.eased(at)
  wake.eased(at)
  await app.advance(999)
  expect(it).toMatchObject({ asked: 1, set: [at] })
  await app.advance(1)
  expect(it).toMatchObject({ asked: 2, set: [at, null] })
})

test('one that is wanted again within the second stays as it is', async () => {
  const { app, it, wake, at } = await alarm()
  it.wants = null
  wake.eased(at)
  it.wants = at
  wake.by(at)
  await app.advance(2000)
  expect(it.set).toEqual([at])
})

test('of an instant that the alarm is not set for nothing is looked at', async () => {
  const { app, it, wake, at } = await alarm()
  wake.eased(at + 5)
  wake.eased(null)
  await app.advance(2000)
  expect(it.asked).toBe(1)
})

test('one that has passed is looked at at once', async () => {
  const { app, it, wake, at } = await alarm()
  await app.advance(40_000)
  it.wants = null
  wake.eased(at)
  await Promise.resolve()
  expect(it.set).toEqual([at, null])
})
