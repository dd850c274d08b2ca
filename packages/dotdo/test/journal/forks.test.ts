import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import type { Execution } from '../../src/journal/execution.ts'
import { collect, method, settle, TestObject, type Handler } from './harness.ts'

/** Steps 'a', 'b', 'c', ... one after the other; each notes that it ran. */
const chain = (ran: string[], names = ['a', 'b', 'c', 'd']): Handler =>
  async function main(run: Execution) {
    let sum = ''
    for (const name of names) sum += await run.step(() => (ran.push(`${run.runId} ${name}`), name), { stepId: name })
    return sum
  }
const forked = async (object: TestObject, origin: string, from?: string, runId = 'fork') => {
  object.journal.fork(origin, { runId, ...(from !== undefined && { from }) })
  return object.journal.launch(runId)
}
const rows = (object: TestObject, runId: string) =>
  object.journal.steps(runId).map(({ stepId, status, taken }) => `${stepId} ${status}${taken ? ' taken' : ''}`)

describe('a fork', () => {
  test('takes the results of the steps before one, does that and what follows itself, and says whose it is', async () => {
    const ran: string[] = []
    const object = new TestObject({ main: chain(ran) })
    await object.call('main', ['x'], 'origin')
    ran.length = 0
    expect(await forked(object, 'origin', 'c')).toBe('abcd')
    expect(ran).toEqual(['fork c', 'fork d'])
    expect(rows(object, 'fork')).toEqual(['a done taken', 'b done taken', 'c done', 'd done'])
    expect(object.journal.status('fork')).toMatchObject({
      status: 'done',
      attempt: 1,
      forkedFrom: { runId: 'origin', stepId: 'c' },
      target: method('main'),
      input: { text: '["x"]' },
    })
    expect(rows(object, 'origin')).toEqual(['a done', 'b done', 'c done', 'd done'])
    expect(object.events.filter(({ type }) => type === 'run.started')).toHaveLength(2)
  })

  test('without a step does all of them, and one of a failed run does what failed', async () => {
    const ran: string[] = []
    let broken = true
    const object = new TestObject({
      main: async (run) => {
        await run.step(() => ran.push('a'), { stepId: 'a' })
        await run.step(() => (broken ? Promise.reject(new Error('no')) : ran.push('b')), { stepId: 'b', retries: { limit: 0 } })
      },
    })
    await expect(object.call('main', [], 'origin')).rejects.toThrow('no')
    broken = false
    await forked(object, 'origin', 'b')
    expect(ran).toEqual(['a', 'b'])
    await forked(object, 'origin', undefined, 'whole')
    expect(ran).toEqual(['a', 'b', 'a', 'b'])
    expect(object.journal.status('whole').forkedFrom).toEqual({ runId: 'origin' })
  })

  test('does the steps around the one that it begins with anew, and what is done inside of them before it not', async () => {
    const ran: string[] = []
    const note = (name: string) => () => (ran.push(name), name)
    const object = new TestObject({
      main: (run) =>
        run.step(
          async () => {
            ran.push('outer')
            await object.here.step(note('in 1'), { stepId: 'in 1' })
            return object.here.step(note('in 2'), { stepId: 'in 2' })
          },
          { stepId: 'outer' },
        ),
    })
    await object.call('main', [], 'origin')
    ran.length = 0
    await forked(object, 'origin', 'in 2')
    expect(ran).toEqual(['outer', 'in 2'])
  })

  test('takes streams, large values, sleeps, events and child runs over, and gives a stream of its origin as its own result', async () => {
    const object = new TestObject({
      main: async (run) => {
        const large = await run.step(() => 'x'.repeat(100_000), { stepId: 'large' })
        const stream = await run.step(
          async function* () {
            yield [1, 2]
            yield [3]
          },
          { stepId: 'stream' },
        )
        await run.sleep(5, { stepId: 'sleep' })
        const event = await run.waitFor<number>('A.b', { stepId: 'wait' })
        const child = await run.callRun(method('child'), [2], { stepId: 'child' })
        const last = await run.step(() => [large.length, event?.payload, child], { stepId: 'last' })
        expect(last).toEqual([100_000, 7, 4])
        return stream
      },
      child: (run, n: never) => run.step(() => Number(n) * 2, { stepId: 'double' }),
    })
    const origin = object.call('main', [], 'origin')
    await object.advance(10)
    object.receive('A.b', 7)
    await object.advance(0)
    await origin
    const result = (await forked(object, 'origin', 'last')) as AsyncIterable<number[]>
    expect(await collect(result)).toEqual([[1, 2], [3]])
    expect(await collect(object.journal.result('fork') as AsyncIterable<number[]>)).toEqual([[1, 2], [3]])
    expect(rows(object, 'fork').filter((row) => row.endsWith('taken'))).toHaveLength(5)
  })

  test('has keys of its own from its first own step on, and before it those of whoever came there first', async () => {
    const keys: string[] = []
    const object = new TestObject({
      main: async (run) => {
        keys.push(run.nextKey('send'))
        await run.step(() => 1, { stepId: 'a' })
        keys.push(run.nextKey('send'))
        await run.step(({ idempotencyKey }) => keys.push(idempotencyKey), { stepId: 'b' })
        keys.push(run.nextKey('send'))
        await run.step(() => 1, { stepId: 'c' })
        keys.push(run.nextKey('send'))
      },
    })
    const of = async (work: Promise<unknown>) => (await work, keys.splice(0))
    expect(await of(object.call('main', [], 'r0'))).toEqual(['r0#send#0', 'r0#send#1', 'r0/b', 'r0#send#2', 'r0#send#3'])
    expect(await of(forked(object, 'r0', 'b', 'r1'))).toEqual(['r0#send#0', 'r0#send#1', 'r1/b', 'r1#send#2', 'r1#send#3'])
    expect(await of(forked(object, 'r1', 'c', 'r2'))).toEqual(['r0#send#0', 'r0#send#1', 'r1#send#2', 'r2#send#3'])
  })

  test('never undoes what its origin has done, and does anew what its origin has undone', async () => {
    const done: string[] = []
    let fails = false
    const object = new TestObject({
      main: async (run) => {
        for (const name of ['a', 'b']) await run.step(() => done.push(name), { stepId: name, undo: () => done.push(`undo ${name}`) })
        if (fails) throw new Error('no')
      },
    })
    await object.call('main', [], 'origin')
    fails = true
    await expect(forked(object, 'origin', 'b')).rejects.toThrow('no')
    expect(done).toEqual(['a', 'b', 'b', 'undo b'])
    fails = false
    await forked(object, 'fork', 'b', 'second')
    expect(done.slice(4)).toEqual(['b'])
    expect(rows(object, 'second')).toEqual(['a done taken', 'b done'])
  })

  test('goes on after a crash like any other run', async () => {
    const ran: string[] = []
    const object = new TestObject({ main: chain(ran) })
    await object.call('main', [], 'origin')
    object.store.flush()
    ran.length = 0
    object.journal.fork('origin', { runId: 'fork', from: 'b' })
    object.store.flush()
    object.crash()
    await Promise.all(object.journal.resumeDue())
    expect(object.journal.status('fork').status).toBe('done')
    expect(ran).toEqual(['fork b', 'fork c', 'fork d'])
  })

  test('is one for an id and for a key', async () => {
    const object = new TestObject({ main: chain([]) })
    await object.call('main', [], 'origin')
    const first = object.journal.fork('origin', { key: 'k', from: 'b' })
    expect(object.journal.fork('origin', { key: 'k', from: 'c' })).toEqual(first)
    expect(object.journal.fork('origin', { runId: first.runId })).toEqual(first)
  })

  test('keeps its origin, and the runs that that began, until it goes itself', async () => {
    const object = new TestObject({
      main: async (run) => {
        const big = await run.callRun(method('child'), [], { stepId: 'child' })
        return run.step(() => String(big).length, { stepId: 'length' })
      },
      child: (run) => run.step(() => 'x'.repeat(50_000), { stepId: 'big' }),
    })
    await object.call('main', [], 'origin')
    await object.advance(1000)
    expect(await forked(object, 'origin', 'length')).toBe(50_000)
    const cut = object.clock.now() - 500
    while (object.journal.prune(cut).more);
    expect(object.journal.runs().map(({ runId }) => runId)).toEqual(['fork', 'origin/child', 'origin'])
    expect(await forked(object, 'fork', 'length', 'again')).toBe(50_000)
    for (let i = 0; i < 4; i++) object.journal.prune(object.clock.now() + 1)
    expect(
      object.store.sql('SELECT run_id FROM dotdo_runs UNION ALL SELECT step_id FROM dotdo_steps UNION ALL SELECT id FROM dotdo_values'),
    ).toEqual([])
  })

  test('of any run that came to its end comes to the same, whichever step it begins with, and does no step before', async () => {
    const shape = fc.array(fc.record({ together: fc.integer({ min: 1, max: 3 }), nested: fc.boolean() }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(shape, fc.nat(), async (stages, pick) => {
        const ran: string[] = []
        const object = new TestObject({
          main: async (run) => {
            const sums: unknown[] = []
            for (const [i, { together, nested }] of stages.entries()) {
              const one = (id: string) =>
                run.step(
                  async () => {
                    ran.push(id)
                    if (nested) await object.here.step(() => ran.push(`${id} inner`), { stepId: `${id} inner` })
                    await settle()
                    return `${id}:${sums.length}`
                  },
                  { stepId: id },
                )
              sums.push(await Promise.all(Array.from({ length: together }, (_, n) => one(`${i}.${n}`))))
            }
            return sums
          },
        })
        const result = await object.call('main', [], 'origin')
        const all = ran.splice(0)
        const from = all[pick % all.length]!
        expect(await forked(object, 'origin', from)).toEqual(result)
        expect(ran).toContain(from)
        const stage = Number(from.split('.')[0])
        expect(ran.filter((id) => Number(id.split('.')[0]) < stage)).toEqual([])
        const behind = (ids: string[]) => ids.filter((id) => Number(id.split('.')[0]) > stage).toSorted()
        expect(behind(ran)).toEqual(behind(all))
      }),
      { numRuns: 60 },
    )
  })
})

describe('what cannot be forked is refused', () => {
  const world = async () => {
    const object = new TestObject({ main: chain([]), slow: () => new Promise(() => {}) })
    await object.call('main', [], 'origin')
    return object
  }
  const code = (work: () => unknown): unknown => {
    try {
      return work()
    } catch (error) {
      return error
    }
  }

  test('a run that there is not, one under way, and a step that it has not begun', async () => {
    const object = await world()
    object.begin('slow', [], 'slow')
    expect(code(() => object.journal.fork('none'))).toMatchObject({ code: 'RUN_UNKNOWN' })
    expect(code(() => object.journal.fork('slow'))).toMatchObject({ code: 'RUN_NOT_ENDED', retryable: true, data: { status: 'running' } })
    expect(code(() => object.journal.fork('origin', { from: 'z' }))).toMatchObject({
      code: 'STEP_UNKNOWN',
      message: expect.stringContaining(`'a', 'b', 'c', 'd'.`) as string,
      data: { steps: ['a', 'b', 'c', 'd'] },
    })
    for (let i = 0; i < 3; i++) object.journal.prune(object.clock.now() + 1)
    expect(code(() => object.journal.fork('origin'))).toMatchObject({
      code: 'RUN_UNKNOWN',
      message: expect.stringContaining('retention') as string,
    })
  })

  test('options that are none', async () => {
    const object = await world()
    for (const options of [null, 'load', { form: 'a' }, { from: 5 }])
      expect(code(() => object.journal.fork('origin', options as never))).toMatchObject({ code: 'INVALID_FORK' })
    expect(code(() => object.journal.fork('origin', { runId: '' }))).toMatchObject({ code: 'INVALID_RUN_ID' })
    expect(code(() => object.journal.fork('origin', { tags: [''] }))).toMatchObject({ code: 'INVALID_RUN_TAGS' })
    expect(object.journal.runs()).toHaveLength(1)
  })

  test('arguments that were not stored', async () => {
    const object = new TestObject({})
    const execution = object.journal.adopt({ target: method('main'), args: [() => 1] })
    await execution.settle(Promise.resolve(1))
    expect(code(() => object.journal.fork(execution.runId))).toMatchObject({ code: 'RUN_NOT_RESUMABLE' })
  })

  test.each(['pin', 'ask'] as const)(
    'results of another version of the code under the policy %s, until they are accepted',
    async (deployPolicy) => {
      const object = new TestObject({ main: chain([]) })
      object.deploy = { codeVersion: 'v1', deployPolicy }
      object.crash()
      await object.call('main', [], 'origin')
      object.store.flush()
      object.deploy = { codeVersion: 'v2', deployPolicy }
      object.crash()
      expect(code(() => object.journal.fork('origin', { from: 'b' }))).toMatchObject({
        code: 'RUN_VERSION_CHANGED',
        data: { version: 'v1', codeVersion: 'v2', policy: deployPolicy },
      })
      object.journal.fork('origin', { from: 'b', runId: 'fork', accept: true })
      expect(await object.journal.launch('fork')).toBe('abcd')
      expect(object.journal.status('fork').version).toBe('v2')
    },
  )
})
