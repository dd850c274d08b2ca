/** Runs in a real object: their handles, what they wait for, and evictions in between. */
import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import { env, exports } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'
import { priceNames, type Price } from '../../src/base/price.ts'
import type { RunView, StepView } from '../../src/base/views.ts'
import { appOptions, configureApp } from '../../src/object/app.ts'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import { held, ran } from './runs-app.ts'

const open = () => new Links(linkPorts('test', () => {}))
// Stubs are as free as JSON here: the types of remote objects have tests of their own.
// oxlint-disable-next-line typescript/no-explicit-any
const orders = (name: string): any => open().user('Orders', name)
// oxlint-disable-next-line typescript/no-explicit-any
const inspector = (name: string): any => open().inspector('Orders', name)
// oxlint-disable-next-line typescript/no-explicit-any
const native = (name: string): any => (exports as never as Record<string, { getByName(name: string): unknown }>)['Orders']!.getByName(name)
const failure = (promise: PromiseLike<unknown>) =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => error,
  )

async function until<T>(read: () => PromiseLike<T>, done: (value: T) => boolean): Promise<T> {
  for (let i = 0; ; i++) {
    const value = await read()
    if (done(value) || i > 2000) return value
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe('a call with a megabyte of bytes', () => {
  test.each([false, true])(
    'is let go of when it has ended: a run that begins later is refused, and one of fewer bytes is not (async: %s)',
    async (isAsync) => {
      const [many, few] = [1024 * 1024, 100]
      const came = (length: number) =>
        until(
          async () => ran.find((it) => it.startsWith(`late ${length} ${isAsync}:`)),
          (it) => it !== undefined,
        )
      expect(await orders('late').late(new Uint8Array(many), isAsync)).toBe(many)
      expect(await came(many)).toMatch(
        /DO_OUTSIDE_RUN this\.do began a run in Orders\/late when late\(\) had ended.*Await it in late\(\)\.$/,
      )
      expect(await orders('late').late(new Uint8Array(few), isAsync)).toBe(few)
      expect(await came(few)).toBe(`late ${few} ${isAsync}: done`)
    },
  )
})

describe('a handle', () => {
  test('tells where a run stands, gives its result and its steps, and starting it again gives the same run', async () => {
    const handle = await orders('handle').start('o1')
    const again = await orders('handle').start('o1')
    const runId = await handle.runId
    expect(await again.runId).toBe(runId)
    expect(await handle.status()).toMatchObject({
      runId,
      status: 'running',
      tags: ['orders', 'o1'],
      target: { kind: 'method', name: 'process' },
    })
    const result = handle.result()
    await until(
      () => handle.steps() as Promise<unknown[]>,
      (steps) => steps.length === 2,
    )
    await orders('handle').approve('o2')
    await orders('handle').approve('o1')
    expect(await result).toEqual({ by: 'Ann', lines: ['o1 a', 'o1 b', 'o1 c'], shipped: 'shipped o1' })
    expect((await handle.steps()).map((step: { stepId: string }) => step.stepId)).toEqual([
      'reserve',
      'approval',
      'pause',
      'line a',
      'line b',
      'line c',
      'ship',
    ])
    expect(await inspector('handle').run(`${runId}/ship`)).toMatchObject({ status: 'done', parent: { runId, stepId: 'ship' } })
    expect(await orders('handle').tagged('o1')).toEqual([runId])
    expect(ran.filter((it) => it === 'reserve o1')).toHaveLength(1)
  })

  test('shows what happens live until the end, and cancels and retries', async () => {
    const handle = await orders('slow').startSlow()
    const events = (await handle.progress()) as ReadableStream<{ run?: RunView; step?: { progress?: unknown } }>
    const seen: (string | undefined)[] = []
    for await (const { run, step } of events) {
      if (run) seen.push(run.status)
      if (step?.progress || run?.steps?.[0]?.progress) await handle.cancel()
    }
    expect([seen[0], seen.at(-1)]).toEqual(['running', 'cancelled'])
    expect(await failure(handle.result())).toMatchObject({ code: 'RUN_CANCELLED' })
    expect(await handle.retry()).toMatchObject({ status: 'running' })
    await handle.cancel()
    expect(await handle.status()).toMatchObject({ status: 'cancelled', attempt: expect.any(Number) })
  })

  test('forks: what its run did before a step is not done again, and an operator can do the same', async () => {
    const runId = (await orders('forks').begin('f1')) as string
    await until(
      () => inspector('forks').steps(runId) as Promise<unknown[]>,
      (steps) => steps.length === 2,
    )
    expect(await failure(orders('forks').run(runId).fork({ from: 'ship' }))).toMatchObject({ code: 'RUN_NOT_ENDED' })
    await orders('forks').approve('f1')
    await orders('forks').run(runId).result()
    const fork = await orders('forks').run(runId).fork({ from: 'line b' })
    expect(await fork.result()).toEqual({ by: 'Ann', lines: ['f1 a', 'f1 b', 'f1 c'], shipped: 'shipped f1' })
    expect(await fork.status()).toMatchObject({ forkedFrom: { runId, stepId: 'line b' } })
    expect(ran.filter((it) => it === 'reserve f1')).toHaveLength(1)
    const third = (await inspector('forks').forkRun(runId, { from: 'ship', tags: ['third'] })) as string
    expect(await orders('forks').run(third).result()).toMatchObject({ shipped: 'shipped f1' })
    expect(await orders('forks').tagged('third')).toEqual([third])
  })

  test('of a run that there is not, and a start of a method that there is not, say so', async () => {
    expect(await failure(orders('none').run('nothing'))).toMatchObject({ code: 'RUN_UNKNOWN' })
    expect(await failure(inspector('none').handle('nothing'))).toMatchObject({ code: 'RUN_UNKNOWN' })
  })
})

describe('an object that is evicted', { concurrent: true }, () => {
  test('goes on with the run that waited when its event comes', async () => {
    const runId = (await orders('evicted').begin('o3')) as string
    await until(
      () => inspector('evicted').steps(runId) as Promise<unknown[]>,
      (steps) => steps.length === 2,
    )
    await evictDurableObject(native('evicted'))
    await orders('evicted').approve('o3')
    const run = await until(
      () => inspector('evicted').run(runId) as Promise<RunView>,
      ({ status }) => status !== 'running',
    )
    expect(run).toMatchObject({ status: 'done', attempt: 2 })
    expect(ran.filter((it) => it === 'reserve o3')).toHaveLength(1)
  })

  test('is woken by its alarm for a run that sleeps', async () => {
    const runId = (await orders('sleeper').beginNap(12_000)) as string
    await until(
      () => inspector('sleeper').steps(runId) as Promise<unknown[]>,
      (steps) => steps.length === 1,
    )
    await evictDurableObject(native('sleeper'))
    expect(await runDurableObjectAlarm(native('sleeper'))).toBe(true)
    const run = await until(
      () => inspector('sleeper').run(runId) as Promise<RunView>,
      ({ status }) => status !== 'running',
    )
    expect(run).toMatchObject({ status: 'done', attempt: 2, result: { text: '"rested"' } })
  })
})

describe('a run that fails', () => {
  test('undoes what it did', async () => {
    expect(await failure(orders('book').book())).toMatchObject({ message: 'no room' })
    const [run] = (await until(
      () => inspector('book').runs() as Promise<RunView[]>,
      ([it]) => it?.status !== 'running',
    )) as RunView[]
    expect(run).toMatchObject({ status: 'failed', error: { message: 'no room' } })
    expect(ran).toContain('undo F1')
  })

  test('because of a step that nobody awaited says so in its row, though its caller has its answer', async () => {
    await orders('silent').silent()
    const [run] = (await until(
      () => inspector('silent').runs() as Promise<RunView[]>,
      ([it]) => it?.status !== 'running',
    )) as RunView[]
    expect(run).toMatchObject({ status: 'failed', error: { message: 'nobody looks' } })
  })
})

describe('the price of a run', () => {
  test('counts rows, calls, requests and operations where they are used, by step and in sum', async () => {
    const handle = await orders('price').startCostly(10)
    expect(await handle.result()).toBe('spent')
    const { steps, wallMs, budget, ...sum } = await handle.price()
    expect(steps.map(({ stepId, ...price }: { stepId: string } & Price) => [stepId, ...priceNames.map((name) => price[name])])).toEqual([
      ['write', 0, 0, 0, 0, expect.any(Number), 10, 0],
      ['read', 0, 0, 0, 0, 20, 0, 0],
      ['call', 0, 2, 1, expect.any(Number), 0, 0, 0],
      ['bucket', 0, 0, 0, 0, 0, 0, 3],
      ['ask', 1, 0, 0, 0, 0, 0, 0],
    ])
    // The table was made, and the last rows were counted, outside of steps.
    expect(sum).toMatchObject({ requests: 1, calls: 2, messages: 1, r2: 3 })
    expect(sum.rowsRead).toBeGreaterThanOrEqual(30)
    expect(sum.rowsWritten).toBeGreaterThan(10)
    expect(sum.bytes).toBeGreaterThan(20)
    expect([budget, wallMs >= 0]).toEqual([undefined, true])
  })

  test('stops it where it passes the budget, and a higher one takes it on without doing anything twice', async () => {
    const handle = await orders('budget').startCostly(10, { rowsWritten: 5000, r2: 1 })
    expect(await failure(handle.result())).toMatchObject({
      code: 'BUDGET_EXCEEDED',
      retryable: false,
      data: { name: 'r2', limit: 1, value: 2, stepId: 'bucket' },
    })
    expect((await handle.steps()).map(({ stepId, status }: StepView) => `${stepId} ${status}`)).toEqual([
      'write done',
      'read done',
      'call done',
      'bucket failed',
    ])
    await handle.retry({ budget: { r2: 5 } })
    expect(await handle.result()).toBe('spent')
    // The operation that was refused has been counted, and was not made.
    expect(await handle.price()).toMatchObject({ r2: 5, calls: 2, budget: { r2: 5 } })
  })
})

test('an object that has as many calls under way as it may refuses one more, by name, and lets in others when there is room', async () => {
  // It was there before, and so has the limits of before.
  expect(await orders('latch').letGo()).toBe('latch')
  const before = appOptions()
  configureApp({ ...before, limits: { ...before.limits, object: { callsUnderWay: 2 } } })
  const first = [orders('busy').hold(), orders('busy').hold()].map((it) => Promise.resolve(it))
  const holding = (n: number) =>
    until(
      () => Promise.resolve(held.length),
      (it) => it === n,
    )
  await holding(2)
  configureApp(before)
  expect(await failure(orders('busy').hold())).toMatchObject({
    code: 'OVERLOADED',
    retryable: true,
    data: { limit: 'callsUnderWay', bound: 2, retryAfterMs: expect.any(Number) },
  })
  await orders('latch').letGo()
  expect(await Promise.all(first)).toEqual(['let go', 'let go'])
  const last = Promise.resolve(orders('busy').hold())
  await holding(1)
  await orders('latch').letGo()
  expect(await last).toBe('let go')
})

test('a stream that is longer than its rows may be lies in the bucket of results, is counted there, and is read by a fork', async () => {
  const before = appOptions()
  configureApp({ ...before, limits: { ...before.limits, object: { streamRowsBytes: 1024 * 1024 } } })
  const handle = await orders('long').startLong(12)
  configureApp(before)
  expect(await handle.result()).toBe(12 * 300_000)
  const bucket = (env as unknown as { DOTDO_RESULTS: R2Bucket }).DOTDO_RESULTS
  const keys = async () => (await bucket.list()).objects.map(({ key }) => key)
  expect(await keys()).toEqual([expect.stringMatching(/^results\/Orders\/[0-9a-f]{64}\/val_[^/]+\/0000000$/)])
  // One that puts it, one that reads it.
  expect(await handle.price()).toMatchObject({ r2: 2 })
  const runId = await handle.runId
  const same = await orders('long').handleOf(runId)
  const fork = await same.fork({ from: 'count' })
  expect(await fork.result()).toBe(12 * 300_000)
})

test('a list that takes more rows than it may is moved to the bucket of results by itself, and given to whoever asks later', async () => {
  const before = appOptions()
  configureApp({ ...before, limits: { ...before.limits, object: { resultRowsBytes: 1000 } } })
  const handle = await orders('listed').startList(3000)
  configureApp(before)
  const list = await handle.result()
  expect(list).toHaveLength(3000)
  await expect.poll(() => orders('listed').rowsOfValues()).toBe(0)
  const again = await orders('listed').handleOf(await handle.runId)
  expect(await again.result()).toEqual(list)
})
