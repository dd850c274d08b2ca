import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import { exports } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'
import { linkVersion } from '../../src/rpc/frames.ts'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'

const open = () => new Links(linkPorts('test', () => {}))
// Stubs are as free as JSON here: the types of remote objects have tests of their own.
// oxlint-disable-next-line typescript/no-explicit-any
const stub = (noun: string, name: string, links = open()): any => links.user(noun, name)
// oxlint-disable-next-line typescript/no-explicit-any
const inspector = (noun: string, name: string): any => open().inspector(noun, name)
// oxlint-disable-next-line typescript/no-explicit-any
const namespace = (noun: string): any => (exports as never)[noun]
const failure = (promise: PromiseLike<unknown>) =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => error,
  )

async function until<T>(read: () => Promise<T>, done: (value: T) => boolean): Promise<T> {
  for (let i = 0; ; i++) {
    const value = await read()
    if (done(value) || i > 400) return value
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

describe('an object', () => {
  test('has fields of its own: what one writes no other sees', async () => {
    expect(await stub('Counter', 'one').add(1)).toBe(1)
    expect(await stub('Counter', 'one').add(2)).toBe(2)
    expect(await stub('Counter', 'two').add(3)).toBe(1)
  })
  test('knows its name, its bindings and the platform', async () => {
    expect(await stub('Counter', 'me').whoami()).toEqual({ id: 'me', hasEnv: true, hasCtx: 'object' })
  })
  test('shows getters', async () => {
    await stub('Counter', 'sized').add(1)
    expect(await stub('Counter', 'sized').size).toBe(1)
  })
})

describe('what can be reached', () => {
  const unreachable = ['_hidden', 'init', 'do', 'send', 'every', 'on', 'env', 'ctx', 'Stage', 'items']
  test.each(unreachable)('%s is not reachable by a stub', async (name) => {
    const answer = await failure(stub('Pipeline', 'closed')[name]?.('x') ?? Promise.resolve(undefined))
    if (answer instanceof Error) expect(answer.message).toBeTruthy()
    // What a stub itself answers locally (toString) never leaves the caller.
    else expect(JSON.stringify(answer)).not.toContain('not for you')
  })
  test.each([
    [['constructor', 'constructor']],
    [['constructor']],
    [['__proto__', 'constructor']],
    [['add', 'constructor']],
    [['toString']],
    [['hasOwnProperty']],
    [['dotdoLink']],
    [['self']],
  ])('frames made by hand do not walk to %j', async (path) => {
    const native = namespace('Counter').getByName('walked')
    const reply = await native.dotdoLink({
      version: linkVersion,
      session: crypto.randomUUID(),
      seq: 0,
      frames: [
        ['push', ['pipeline', 0, path, ['return 1']]],
        ['pull', 1],
      ],
    })
    expect(reply.frames[0][0]).toBe('reject')
  })
  test.each(['_hidden', 'init', 'do', 'send', 'every', 'on', 'Stage', 'items'])(
    '%s is not reachable by a raw native stub',
    async (name) => {
      const native = namespace('Counter').getByName('raw')
      await expect(Promise.resolve(native[name]('x'))).rejects.toThrow(/implement|method|function/i)
    },
  )
  test("a raw native stub calls the user's methods", async () => {
    expect(await namespace('Counter').getByName('raw').add(5)).toBe(1)
  })
  test('a method that does not exist says which do', async () => {
    const error = await failure(stub('Pipeline', 'p').missingMethod())
    expect(error).toMatchObject({ code: 'METHOD_UNKNOWN', data: { noun: 'Stage', method: 'explode' } })
    expect((error as Error).message).toContain('execute')
  })
  test('a noun that does not exist says which do', async () => {
    const error = await failure(stub('Pipeline', 'p').missingNoun())
    expect(error).toMatchObject({ code: 'NOUN_UNKNOWN', data: { noun: 'Nowhere' } })
    expect((error as Error).message).toMatch(/Counter, DataStage, .*Pipeline, .*Stage/)
  })
  test('a failing init is told with its reason', async () => {
    const error = await failure(stub('Broken', 'b').ping())
    expect(String((error as Error).message)).toContain('no init today')
  })
})

describe('calls between objects', () => {
  test('a chain over two objects is one round trip for the caller', async () => {
    const links = open()
    expect(await stub('Pipeline', 'p', links).getStage(0).run([1, 2])).toEqual([2, 3])
    expect(links.stats).toMatchObject({ messages: 1 })
  })
  test('calls that nobody awaits are delivered', async () => {
    await stub('Pipeline', 'fan').fanOut(10)
    for (let i = 0; i < 10; i++) {
      const history = await until(
        () => stub('Stage', `fan ${i}`).history() as Promise<unknown[]>,
        (it) => it.length > 0,
      )
      expect(history).toEqual(['sent'])
    }
  })
  test('a promise of one object is an argument of another', async () => {
    expect(await stub('Pipeline', 'p').sequence()).toEqual([3])
  })
  test('errors keep their code across two hops', async () => {
    expect(await failure(stub('Stage', 's').fail())).toMatchObject({ code: 'STAGE_BROKE', data: { id: 's' } })
  })
  test('a capability in a result can be called', async () => {
    expect(await stub('Stage', 's').door().open()).toBe('opened')
  })
})

describe('runs', () => {
  /** The runs that calls from outside began: events are handled in runs of their own. */
  const called = async (name: string): Promise<{ runId: string; target: { kind: string } }[]> =>
    (await inspector('Pipeline', name).runs()).filter((run: { target: { kind: string } }) => run.target.kind === 'method')
  test('steps are done once, retried, and seen', async () => {
    expect(await stub('Pipeline', 'runs').steps(2)).toEqual({ a: 20, b: 3 })
    const [run] = await called('runs')
    expect(run).toMatchObject({ status: 'done', target: { kind: 'method', name: 'steps' } })
    const { steps } = await inspector('Pipeline', 'runs').run(run!.runId)
    expect(steps.map((step: { stepId: string; status: string; attempt: number }) => [step.stepId, step.status, step.attempt])).toEqual([
      ['first', 'done', 1],
      ['a', 'done', 1],
      ['b', 'done', 3],
    ])
  })
  test('two calls are two runs: the second does its work again', async () => {
    await stub('Pipeline', 'twice').steps(0)
    await stub('Pipeline', 'twice').steps(0)
    expect(await called('twice')).toHaveLength(2)
  })
  test('one step id for two pieces of work is refused', async () => {
    expect(await failure(stub('Pipeline', 'r').reused())).toMatchObject({ code: 'STEP_ID_REUSED' })
  })
  test('an event that a run sends is handled once', async () => {
    await stub('Pipeline', 'events').steps(0)
    const { handled } = await until(
      () => stub('Pipeline', 'events').seen() as Promise<{ handled: unknown[] }>,
      (it) => it.handled.length > 0,
    )
    expect(handled).toEqual([{ a: 20, b: 1 }])
  })
  test('an event whose handler fails is delivered again', async () => {
    await stub('Pipeline', 'flaky').flaky()
    const { handled } = await until(
      () => stub('Pipeline', 'flaky').seen() as Promise<{ handled: unknown[] }>,
      (it) => it.handled.length >= 3,
    )
    expect(handled).toEqual(['try', 'try', 'try'])
  })
})

describe('schedules', () => {
  test('two schedules with one pattern are two', async () => {
    const schedules = await inspector('Pipeline', 's').schedules()
    expect(schedules.map((it: { scheduleId: string }) => it.scheduleId)).toEqual(['nightly', 'graph', 'every hour', 'every hour#2'])
    expect(schedules[0].next).toHaveLength(5)
  })
  test('Run now runs it as a run of its own', async () => {
    const runId = await inspector('Pipeline', 'now').trigger('nightly')
    const run = await until(
      () => inspector('Pipeline', 'now').run(runId) as Promise<{ status: string; result?: { text: string } }>,
      (it) => it.status !== 'running',
    )
    expect(run).toMatchObject({ status: 'done', target: { kind: 'schedule', id: 'nightly' }, result: { text: '"nightly"' } })
  })
  test('an unknown schedule says which exist', async () => {
    const error = await failure(inspector('Pipeline', 'now').trigger('weekly'))
    expect(error).toMatchObject({ code: 'SCHEDULE_UNKNOWN' })
    expect((error as Error).message).toContain('nightly')
  })
  test("the alarm is set, and survives the object's eviction", async () => {
    await stub('Pipeline', 'alarm').seen()
    const native = namespace('Pipeline').getByName('alarm')
    await evictDurableObject(native)
    expect(await runDurableObjectAlarm(native)).toBe(true)
  })
})

describe('tables and sources', () => {
  const bucket = (env as unknown as { R2_BUCKET: R2Bucket }).R2_BUCKET
  test('a load stands in the table, once', async () => {
    const receipt = await stub('Pipeline', 'load').load(1000)
    expect(receipt).toMatchObject({ rows: 1000, files: 1 })
    expect(await stub('Pipeline', 'load').table()).toMatchObject({ rows: 1000, files: 1, table: 'analytics.events' })
  })
  test('a record whose ts is no time is refused, and nothing is written', async () => {
    const before = await stub('Pipeline', 'bad').table()
    expect(await failure(stub('Pipeline', 'bad').load(3, 'yesterday'))).toMatchObject({ code: 'INVALID_RECORD' })
    expect(await stub('Pipeline', 'bad').table()).toEqual(before)
  })
  test('extract and fetch read buckets', async () => {
    await bucket.put('users/1.json', JSON.stringify([{ id: 1 }, { id: 2 }]))
    await bucket.put('users/2.ndjson', '{"id":3}\n{"id":4}\n')
    const ids = [{ id: 1 }, { id: 2 }, { id: 3 }, { id: 4 }]
    expect(await stub('Pipeline', 'x').read('s3://data-lake/users/')).toEqual(ids)
    expect(await stub('Pipeline', 'x').read('users')).toEqual(ids)
    expect(await stub('Pipeline', 'x').fetched('s3://data-lake/users/')).toEqual({ status: 200, body: ids })
    expect(await stub('Pipeline', 'x').fetched('s3://data-lake/users/1.json')).toEqual({ status: 200, body: ids.slice(0, 2) })
    expect(await stub('Pipeline', 'x').fetched('s3://data-lake/none')).toMatchObject({ status: 404 })
  })
  test('the progress of a read stands in its step', async () => {
    await stub('Pipeline', 'progress').read('users')
    const [run] = await inspector('Pipeline', 'progress').runs()
    const { steps } = await inspector('Pipeline', 'progress').run(run.runId)
    expect(steps[0].progress).toMatchObject({ rows: 4 })
  })
})
