import { describe, expect, test } from 'vitest'
import { priceNames, readBudget } from '../../src/base/price.ts'
import type { ForkOptions } from '../../src/journal/forks.ts'
import { settle, TestObject } from './harness.ts'

const never = (): Promise<never> => new Promise(() => {})

describe('the price of a run', () => {
  test('is that of its steps, over all attempts, and of what lies between them, also after it was taken up again', async () => {
    let fail = true
    const object: TestObject = new TestObject({
      main: async (run) => {
        run.spend({ requests: 1 })
        await run.step(() => object.here.spend({ rowsRead: 5, bytes: 100 }), { stepId: 'read' })
        await run.step(() => 'free', { stepId: 'free' })
        await run.step(
          ({ attempt }) => {
            object.here.spend({ calls: 2, messages: 1 })
            if (attempt < 3 || fail) throw new Error('again')
          },
          { stepId: 'call', retries: { limit: 2, delay: 0 } },
        )
        run.spend({ requests: 1, r2: 3 })
      },
    })
    const failed = object.call('main', [], 'r').catch(() => undefined)
    await object.advance(10)
    await failed
    fail = false
    object.evict()
    const again = object.journal.retry('r')
    await object.advance(10)
    await again
    const price = object.journal.price('r')
    // The first request is made again by each execution: it is in no step.
    expect(price).toMatchObject({ requests: 3, calls: 12, messages: 6, bytes: 100, rowsRead: 5, rowsWritten: 0, r2: 3 })
    expect(price.steps.map(({ stepId, calls, rowsRead }) => [stepId, calls, rowsRead])).toEqual([
      ['read', 0, 5],
      ['call', 12, 0],
    ])
    expect(object.journal.run('r').steps?.map((step) => step.price)).toEqual([
      { rowsRead: 5, bytes: 100 },
      undefined,
      { calls: 12, messages: 6 },
    ])
  })

  test('is known while it runs, and kept while it is parked', async () => {
    const object: TestObject = new TestObject(
      {
        main: async (run) => {
          run.spend({ rowsRead: 7 })
          void run.step(() => (object.here.spend({ calls: 1 }), never()), { stepId: 'open' }).catch(() => undefined)
          await run.sleep('1h', { stepId: 'rest' })
        },
        rests: async (run) => {
          run.spend({ rowsWritten: 9 })
          await run.sleep('1h', { stepId: 'rest' })
        },
      },
      { parkAfterMs: 10 },
    )
    object.begin('main')
    object.begin('rests', [], 'parked')
    await object.advance(1000)
    expect(object.journal.price('r')).toMatchObject({
      rowsRead: 7,
      calls: 1,
      wallMs: 1000,
      steps: [{ stepId: 'open', calls: 1, wallMs: 1000 }],
    })
    object.evict()
    expect(object.journal.price('parked')).toMatchObject({ rowsWritten: 9 })
  })
})

describe('a budget', () => {
  test('ends a run where it is passed, names limit, value and step, and a higher one takes the run on', async () => {
    const done: number[] = []
    const object: TestObject = new TestObject({
      main: async (run) => {
        for (let i = 0; i < 10; i++) {
          await run.step(
            () => {
              const over = object.here.spend({ rowsWritten: 10 })
              if (over) throw over
              done.push(i)
            },
            { stepId: `step ${i}`, retries: { limit: 3, delay: 0 } },
          )
        }
      },
    })
    object.journal.start({ runId: 'r', target: { kind: 'method', name: 'main' }, args: [], budget: { rowsWritten: 45 } })
    await expect(object.journal.launch('r')).rejects.toMatchObject({
      code: 'BUDGET_EXCEEDED',
      retryable: false,
      data: { runId: 'r', stepId: 'step 4', name: 'rowsWritten', limit: 45, value: 50 },
    })
    expect(object.journal.run('r')).toMatchObject({ status: 'failed', error: { code: 'BUDGET_EXCEEDED' } })
    expect(object.timers).toBe(0)
    // The same again is over at once; what was done stays done.
    await expect(object.journal.retry('r')).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED', data: { stepId: 'step 4', value: 60 } })
    expect(done).toEqual([0, 1, 2, 3])
    object.evict()
    object.journal.reopen('r', { budget: { rowsWritten: 1000 } })
    await object.journal.launch('r')
    expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(object.journal.price('r')).toMatchObject({ rowsWritten: 120, budget: { rowsWritten: 1000 } })
  })

  test('counts what the run has used outside of steps, too, over all that took it up', async () => {
    const object: TestObject = new TestObject({
      main: async (run) => {
        const over = run.spend({ requests: 2 })
        if (over) throw over
        await run.step(() => Promise.reject(new Error('not yet')), { stepId: 'fail', retries: { limit: 0 } })
      },
    })
    object.journal.start({ runId: 'r', target: { kind: 'method', name: 'main' }, args: [], budget: { requests: 5 } })
    await expect(object.journal.launch('r')).rejects.toThrow('not yet')
    await expect(object.journal.retry('r')).rejects.toThrow('not yet')
    object.evict()
    await expect(object.journal.retry('r')).rejects.toMatchObject({
      code: 'BUDGET_EXCEEDED',
      data: { name: 'requests', limit: 5, value: 6 },
    })
  })

  test('of time ends a run that waits, rests or never returns, and counts from its beginning', async () => {
    const object = new TestObject({
      main: (run) => run.step(() => never(), { stepId: 'hangs' }),
      rests: (run) => run.sleep('1d', { stepId: 'rest' }),
    })
    for (const name of ['main', 'rests'])
      object.journal.start({ runId: name, target: { kind: 'method', name }, args: [], budget: { wallMs: 5000 } })
    const ends = Promise.allSettled([object.journal.launch('main'), object.journal.launch('rests')])
    await object.advance(4999)
    expect(object.journal.status('main').status).toBe('running')
    await object.advance(1)
    for (const end of await ends)
      expect(end).toMatchObject({ reason: { code: 'BUDGET_EXCEEDED', data: { name: 'wallMs', limit: 5000, value: 5000 } } })
    expect(object.timers).toBe(0)
  })

  test('leaves alone what undoes, so that nothing is taken back by halves', async () => {
    const undone: string[] = []
    const object: TestObject = new TestObject({
      main: async (run) => {
        await run.step(() => 'seat', { stepId: 'book', undo: () => (object.here.spend({ calls: 100 }), undone.push('book')) })
        await run.step(() => void object.here.spend({ calls: 2 }), { stepId: 'pay' })
        await settle()
      },
    })
    object.journal.start({ runId: 'r', target: { kind: 'method', name: 'main' }, args: [], budget: { calls: 1 } })
    await expect(object.journal.launch('r')).rejects.toMatchObject({ code: 'BUDGET_EXCEEDED' })
    expect(undone).toEqual(['book'])
  })

  test('of a run is that of its forks, each from its own beginning on, but where a fork has its own or none', async () => {
    const object: TestObject = new TestObject({
      main: async (run) => {
        for (const stepId of ['a', 'b', 'c']) await run.step(() => object.here.spend({ calls: 1 })?.message, { stepId })
      },
    })
    object.journal.start({ runId: 'r', target: { kind: 'method', name: 'main' }, args: [], budget: { calls: 3 } })
    await object.journal.launch('r')
    const forked = async (options: ForkOptions) => {
      const { runId } = object.journal.fork('r', options)
      await object.journal.launch(runId).catch((thrown: { code?: string }) => expect(thrown.code).toBe('BUDGET_EXCEEDED'))
      const { status, budget } = object.journal.status(runId)
      return [status, budget, object.journal.price(runId).calls]
    }
    expect(await forked({})).toEqual(['done', { calls: 3 }, 3])
    // What it takes over costs it nothing.
    expect(await forked({ from: 'c', budget: { calls: 1 } })).toEqual(['done', { calls: 1 }, 1])
    expect(await forked({ budget: { calls: 1 } })).toEqual(['failed', { calls: 1 }, 2])
    expect(await forked({ budget: {} })).toEqual(['done', undefined, 3])
    const runs = object.journal.runs().length
    expect(() => object.journal.fork('r', { budget: { calls: -1 } })).toThrow(expect.objectContaining({ code: 'INVALID_BUDGET' }))
    expect(object.journal.runs()).toHaveLength(runs)
  })

  test.each<[string, unknown]>([
    ['a name that there is not', { cpuMs: 5 }],
    ['less than nothing', { calls: -1 }],
    ['a text', { calls: '5' }],
    ['no object', 5],
  ])('of %s is refused before anything begins', (_, budget) => {
    const object = new TestObject({})
    expect(() => object.journal.start({ target: { kind: 'method', name: 'main' }, args: [], budget: budget as never })).toThrow(
      expect.objectContaining({ code: 'INVALID_BUDGET' }),
    )
    expect(object.journal.runs()).toEqual([])
  })

  test('has the names of a price, and of time', () => {
    const all = Object.fromEntries([...priceNames, 'wallMs'].map((name, i) => [name, i]))
    expect(readBudget({ ...all, calls: undefined })).toEqual(Object.fromEntries(Object.entries(all).filter(([name]) => name !== 'calls')))
  })
})
