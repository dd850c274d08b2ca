import { describe, expect, test } from 'vitest'
import { overloaded, retryAfterOf } from '../../src/base/overload.ts'
import { SeededRandom } from '../support/fakes.ts'
import { method, settle, TestObject } from './harness.ts'

describe('runs that are started', () => {
  test('execute so many at a time, the others as those end, in the order in which they came, and none is lost by a crash', async () => {
    let open = 0
    let most = 0
    const order: string[] = []
    const gates: (() => void)[] = []
    const object: TestObject = new TestObject(
      {
        main: (run, name: string) =>
          run.step(
            async () => {
              order.push(name)
              most = Math.max(most, ++open)
              await new Promise<void>((resolve) => gates.push(resolve))
              open--
            },
            { stepId: 'a' },
          ),
      },
      { runsUnderWay: 3 },
    )
    const begin = (i: number): void => {
      object.journal.start({ runId: `r${i}`, target: method('main'), args: [`r${i}`] })
      void object.journal.work(`r${i}`)
    }
    for (let i = 0; i < 10; i++) begin(i)
    const go = async (): Promise<void> => {
      for (const gate of gates.splice(0)) gate()
      await settle()
      void object.journal.resumeDue()
      await settle()
    }
    await settle()
    expect(order).toEqual(['r0', 'r1', 'r2'])
    // What waits is due, but not now: the object is not kept awake for it.
    expect(object.journal.nextWakeMs()).toBe(object.clock.now() + 30_000)
    await go()
    expect(order).toEqual(['r0', 'r1', 'r2', 'r3', 'r4', 'r5'])
    object.evict()
    open = 0
    gates.length = 0
    void object.journal.resumeDue()
    await settle()
    for (let i = 0; i < 4; i++) await go()
    expect(object.journal.runs().map(({ status }) => status)).toEqual(Array(10).fill('done'))
    expect([most, new Set(order).size]).toEqual([3, 10])
  })

  test('are refused while too many wait, with the time to come back, and nothing of them is stored; firings are not', async () => {
    const object = new TestObject({ main: () => new Promise(() => {}) }, { runsUnderWay: 1, runsWaiting: 2 })
    const start = (i: number, mayBeRefused: boolean): void => {
      object.journal.start({ runId: `r${i}`, target: method('main'), args: [], mayBeRefused })
      void object.journal.work(`r${i}`)
    }
    for (let i = 0; i < 3; i++) start(i, true)
    let refused: unknown
    try {
      start(3, true)
    } catch (thrown) {
      refused = thrown
    }
    expect(refused).toMatchObject({ code: 'OVERLOADED', retryable: true, data: { limit: 'runsWaiting', bound: 2 } })
    expect(retryAfterOf(refused)).toBeGreaterThanOrEqual(1000)
    expect(object.journal.runs()).toHaveLength(3)
    // One that is there already is no new one.
    expect(object.journal.start({ runId: 'r2', target: method('main'), args: [], mayBeRefused: true }).runId).toBe('r2')
    start(4, false)
    expect(object.journal.runs()).toHaveLength(4)
  })

  test('that wait for others do not wait for their own place: who awaits a result begins it', async () => {
    const object: TestObject = new TestObject(
      {
        outer: (run) =>
          run.step(
            () => {
              object.journal.start({ runId: 'inner', target: method('inner'), args: [] })
              void object.journal.work('inner')
              return object.journal.launch('inner')
            },
            { stepId: 'a' },
          ),
        inner: () => 'in',
      },
      { runsUnderWay: 1 },
    )
    expect(await object.call('outer')).toBe('in')
  })

  test('and only rest hold no place', async () => {
    const object: TestObject = new TestObject(
      { rests: (run) => run.sleep('1h', { stepId: 'rest' }), main: () => 'done' },
      { runsUnderWay: 1, parkAfterMs: 10 },
    )
    object.begin('rests')
    await object.advance(100)
    object.journal.start({ runId: 'next', target: method('main'), args: [] })
    await object.journal.work('next')
    expect(object.journal.status('next').status).toBe('done')
  })
})

describe('a step that calls what is overloaded', () => {
  test('comes back no sooner than it was told, and goes on by its own pauses where it was told nothing', async () => {
    const at: number[] = []
    const object: TestObject = new TestObject({
      main: (run) =>
        run.step(
          ({ attempt }) => {
            at.push(object.clock.now())
            if (attempt === 1) throw Object.assign(overloaded('A call of Orders/eu', 'callsUnderWay', 5, new SeededRandom(1)), {})
            if (attempt === 2) throw new Error('another')
          },
          { stepId: 'a', retries: { delay: 10, jitter: 0, backoff: 'constant' } },
        ),
    })
    const ended = object.call('main')
    await object.advance(10_000)
    await ended
    expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(1000)
    expect(at[2]! - at[1]!).toBe(10)
  })

  test.each<[string, unknown, number]>([
    ['nothing', new Error('x'), 0],
    ['a text', { data: { retryAfterMs: '5' } }, 0],
    ['less than nothing', { data: { retryAfterMs: -5 } }, 0],
    ['no number', { data: { retryAfterMs: NaN } }, 0],
    ['for ever', { data: { retryAfterMs: Infinity } }, 3_600_000],
    ['a time', { data: { retryAfterMs: 1500 } }, 1500],
  ])('believes whoever says %s', (_, thrown, ms) => {
    expect(retryAfterOf(thrown)).toBe(ms)
  })
})
