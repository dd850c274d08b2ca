/** `testApp`: what a user's tests do with it. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { DO, extract, IcebergWriter, QueryCoordinator, RpcTarget, SqliteScanner } from '../../src/index.ts'
import { testApp } from '../../src/testing.ts'

const loads: string[] = []
afterEach(() => void (loads.length = 0))

/** A pipeline as users write it. */
const Pipeline = DO.extend({
  init() {
    this.every.day.at('2am')(() => this.daily(), { id: 'daily' })
    this.on.Pipeline.completed((event: { rows: number }) => this.do(() => event.rows, { stepId: 'noted' }), { id: 'note' })
  },
  async daily() {
    const users = await this.do(() => extract<{ id: number }>('users'), { stepId: 'extract' })
    const sum = await this.do(() => users.reduce((all, { id }) => all + id, 0), { stepId: 'sum' })
    await this.do(
      async ({ idempotencyKey }) => {
        await fetch('https://warehouse.test/load', { method: 'POST', body: JSON.stringify({ sum }) })
        loads.push(idempotencyKey)
        return { sum, at: Date.now() }
      },
      { stepId: 'load', retries: { limit: 3, delay: '1m' } },
    )
    this.send('Pipeline.completed', { rows: users.length })
    return sum
  },
  async rests() {
    await this.sleep('3d', { stepId: 'nap' })
    return new Date().toISOString()
  },
  begins() {
    return this.runs.start('rests')
  },
  async hires(n: number) {
    return (await this.do(() => this.Warehouse('w').load(n), { stepId: 'hire' })) as number
  },
})
const sources = { users: [{ id: 1 }, { id: 2 }] }
const ok = () => new Response('ok')

describe('a night of a pipeline', () => {
  test('is five lines, and readable', async () => {
    const app = await testApp(Pipeline, { sources, fetch: ok, at: '2026-01-01T00:00Z' })
    await app.advance('1d')
    expect(app.runs().map(({ steps, result }) => ({ steps, result }))).toMatchInlineSnapshot(`
      [
        {
          "result": 3,
          "steps": [
            "extract: done, [{"id":1},{"id":2}]",
            "sum: done, 3",
            "load: done, {"sum":3,"at":1767232800000}",
          ],
        },
        {
          "result": 2,
          "steps": [
            "noted: done, 2",
          ],
        },
      ]
    `)
  })

  test('fires once for each day that passes, at its instant', async () => {
    const app = await testApp(Pipeline, { sources, fetch: ok })
    await app.advance('3d')
    const nights = app.runs().filter(({ target }) => target.kind === 'schedule')
    expect(nights.map(({ startedAt }) => new Date(startedAt).toISOString())).toEqual([
      '2026-01-01T02:00:00.000Z',
      '2026-01-02T02:00:00.000Z',
      '2026-01-03T02:00:00.000Z',
    ])
  })

  test('repeats a step that failed after its delay, in virtual time', async () => {
    let fails = 2
    const app = await testApp(Pipeline, { sources, fetch: () => (fails-- > 0 ? Promise.reject(new Error('not now')) : ok()) })
    await app.advance('1d')
    expect(app.runs()[0]!.steps.at(-1)).toMatch(/^load: done after 3 attempts/)
    expect(loads).toHaveLength(1)
  })

  test('does what nobody answers for, and says which address', async () => {
    const app = await testApp(Pipeline, { sources })
    await app.advance('1d')
    expect(app.runs()[0]).toMatchObject({ status: 'failed', error: { message: expect.stringContaining('https://warehouse.test/load') } })
  })
})

describe('an object that dies', () => {
  test('after a step was stored does not do it again, and ends its run', async () => {
    const app = await testApp(Pipeline, { sources, fetch: ok })
    app.crashAfter('extract')
    await app.advance('1d')
    expect(app.runs()[0]).toMatchObject({ status: 'done', attempt: 2, result: 3 })
    expect(loads).toHaveLength(1)
  })

  test('before a step was stored does it again, under the same key', async () => {
    const app = await testApp(Pipeline, { sources, fetch: ok })
    app.crashAfter('load', { stored: false })
    await app.advance('1d')
    expect(app.runs()[0]).toMatchObject({ status: 'done', attempt: 2 })
    expect(loads).toHaveLength(2)
    expect(new Set(loads).size).toBe(1)
  })

  test('gives up a request in the time of the test, by a signal of its own or by that of its step', async () => {
    const Asks = DO.extend({
      async own() {
        const given = () => fetch('https://slow.example.com', { signal: AbortSignal.timeout(60_000) })
        return await this.do(given, { stepId: 'ask', retries: { limit: 0 } })
      },
      async step() {
        return await this.do(({ signal }) => fetch('https://slow.example.com', { signal }), {
          stepId: 'ask',
          timeout: '2m',
          retries: { limit: 0 },
        })
      },
    })
    const app = await testApp({ Asks }, { fetch: () => new Promise(() => {}) })
    const began = app.now
    await expect(app.until(app.Asks('a').own())).rejects.toMatchObject({ name: 'TimeoutError' })
    expect(app.now - began).toBe(60_000)
    await expect(app.until(app.Asks('b').step())).rejects.toMatchObject({ code: 'STEP_TIMEOUT' })
    app.close()
  })

  test('dies of the step that it finishes next, whatever it has done before, and whatever a fork takes over', async () => {
    const keys: string[] = []
    const Twice = DO.extend({
      async go() {
        // In turns of their own: who starts the run has his answer by then.
        const later = () => new Promise((resolve) => setTimeout(resolve, 10))
        await this.do(later, { stepId: 'first' })
        await this.do(({ idempotencyKey }) => later().then(() => keys.push(idempotencyKey)), { stepId: 'second' })
        return 'gone'
      },
      begin: (): unknown => undefined,
      start() {
        return this.runs.start('go').runId
      },
      fork(runId: string) {
        return this.runs.get(runId).fork({ from: 'second' }).runId
      },
    })
    const app = await testApp({ Twice })
    const first = await app.Twice('a').start()
    await app.advance('1s')
    app.crashAfter('second', { stored: false })
    app.crashAfter('first')
    await app.Twice('a').begin()
    // The fork has the first step from the other, and does the second itself: it dies of that, and then does it again.
    await app.until(app.Twice('a').fork(first))
    await app.advance('1h')
    expect(keys).toHaveLength(3)
    expect(keys[2]).toBe(keys[1])
    expect(app.runs().map(({ status, attempt }) => [status, attempt])).toEqual([
      ['done', 1],
      ['done', 2],
    ])
    await app.until(app.Twice('a').start())
    await app.advance('1h')
    expect(app.runs().at(-1)).toMatchObject({ status: 'done', attempt: 2 })
    app.close()
  })

  test('of its own accord, asleep or by a deploy goes on where it was', async () => {
    const app = await testApp(Pipeline, { sources, fetch: ok })
    const rested = app.runs().length
    // Its caller learns that the object is gone; the run does not need a caller.
    const called = app.Pipeline('main').rests()
    called.catch(() => undefined)
    await app.advance('1d')
    await app.evict()
    await app.advance('1d')
    await app.crash()
    await app.deploy(Pipeline, { version: 'v2' })
    await app.advance('2d')
    const run = app.runs().find(({ target }) => target.kind === 'method')
    expect(rested).toBe(0)
    expect(run).toMatchObject({ status: 'done', result: '2026-01-04T00:00:00.000Z' })
  })
})

test('a class that is another one under the same noun has the objects of the one before, with their runs and what they stored', async () => {
  class Order extends DO.extend({
    async place() {
      this.ctx.storage.kv.put('by', 'Order')
      await this.do(() => 'paid', { stepId: 'pay' })
      await this.sleep('2d', { stepId: 'rest' })
      return 'not to be'
    },
  }) {}
  const Parcel = DO.extend({
    async place() {
      const paid = await this.do(() => 'not again', { stepId: 'pay' })
      await this.sleep('2d', { stepId: 'rest' })
      return [paid, this.ctx.storage.kv.get('by')]
    },
    label: () => 'of a parcel',
  })
  const app = await testApp({ Order })
  const called = app.Order('1').place()
  called.catch(() => undefined)
  await app.advance('1d')
  await app.deploy({ Order: Parcel }, { version: 'v2' })
  await app.advance('2d')
  expect(app.runs('Order/1')).toMatchObject([{ status: 'done', result: ['paid', 'Order'] }])
  expect(await app.Order('1').label()).toBe('of a parcel')
  // What has no class any more is told by name, with those that there are.
  await app.deploy({ Parcel }, { version: 'v3' })
  expect(() => app.Order('1')).toThrow(expect.objectContaining({ code: 'NOUN_UNKNOWN', data: { noun: 'Order', known: ['Parcel'] } }))
  // And is there again with its class.
  await app.deploy({ Order: Parcel }, { version: 'v4' })
  expect(app.runs('Order/1')).toHaveLength(1)
  expect(await app.Order('1').label()).toBe('of a parcel')
})

describe('what stands around an app', () => {
  test('other objects are fakes of a few lines behind real links', async () => {
    const app = await testApp(Pipeline, {
      fakes: {
        Warehouse: {
          rows: 0,
          load(n: number) {
            return (this.rows += n)
          },
        },
      },
    })
    expect(await app.until(app.Pipeline('main').hires(3))).toBe(3)
    expect(await app.Pipeline('main').hires(4)).toBe(7)
  })

  test('a capability is an instance of a class, and is called where it was made', async () => {
    class Meter extends RpcTarget {
      #total = 0
      add(n: number) {
        return (this.#total += n)
      }
    }
    const Stage = DO.extend({ meter: () => new Meter() })
    const Reader = DO.extend({
      async read() {
        using meter = await this.Stage('a').meter()
        return [await meter.add(3), await meter.add(4)]
      },
    })
    const app = await testApp({ Reader, Stage })
    expect(await app.Reader('main').read()).toEqual([3, 7])
  })

  test("users' clocks and timers are the world's, and the test's own are not", async () => {
    const Clock = DO.extend({
      async wait() {
        const before = Date.now()
        await new Promise((resolve) => setTimeout(resolve, 3_600_000))
        return [before, Date.now() - before, new Date().getUTCFullYear()]
      },
    })
    const app = await testApp(Clock, { at: '2031-05-05T00:00Z' })
    expect(await app.until(app.Pipeline('main').wait())).toEqual([Date.UTC(2031, 4, 5), 3_600_000, 2031])
    expect(Date.now()).toBeLessThan(Date.UTC(2031, 0, 1))
  })

  test('a table is written and read, and its files are in the bucket', async () => {
    const Loader = DO.extend({
      table: null as IcebergWriter | null,
      init() {
        this.table = new IcebergWriter({ bucket: this.env.R2_BUCKET, namespace: 'analytics', tableName: 'events' })
      },
      async load(n: number) {
        const rows = Array.from({ length: n }, (_, i) => ({ type: 't', entityId: `${i}`, payload: { i }, ts: Date.now() }))
        return await this.do(() => this.table!.write(rows), { stepId: 'load' })
      },
      total() {
        return this.table!.snapshot()
      },
    })
    const app = await testApp(Loader)
    const receipt = await app.Pipeline('main').load(3)
    expect(receipt).toMatchObject({ rows: 3 })
    expect([...app.bucket().keys()].filter((key) => key.endsWith('.parquet'))).toHaveLength(1)
  })

  test('a query goes over the objects of a module', async () => {
    const Shard = DO.extend({
      init() {
        this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS t (x INTEGER)')
      },
      add(x: number) {
        this.ctx.storage.sql.exec('INSERT INTO t VALUES (?)', x)
      },
      scanner() {
        return new SqliteScanner(this, ['t'])
      },
      async sum() {
        return await new QueryCoordinator(['a', 'b'].map((id) => this.Shard(id).scanner())).query('SELECT SUM(x) AS sum FROM t')
      },
    })
    const app = await testApp({ Shard })
    await Promise.all([app.Shard('a').add(1), app.Shard('b').add(2)])
    expect(await app.Shard('a').sum()).toEqual([{ sum: 3 }])
  })

  test('sources are rows, texts and answers, at names and addresses', async () => {
    const Reader = DO.extend({
      async read() {
        return {
          named: await extract('users'),
          csv: await extract('s3://lake/airports.csv'),
          below: (await fetch('s3://lake/events/').then((it) => it.json())) as unknown,
          http: await extract('https://api.test/users'),
        }
      },
    })
    const app = await testApp(Reader, {
      sources: {
        users: [{ id: 1 }],
        's3://lake/airports.csv': [{ iata: 'DTW', name: 'a "b", c' }],
        's3://lake/events/': { 'a.ndjson': [{ n: 1 }], 'b.json': '[{"n":2}]' },
        'https://api.test/users': [{ id: 9 }],
      },
    })
    expect(await app.Pipeline('main').read()).toEqual({
      named: [{ id: 1 }],
      csv: [{ iata: 'DTW', name: 'a "b", c' }],
      below: [{ n: 1 }, { n: 2 }],
      http: [{ id: 9 }],
    })
  })

  test('an app is closed by the next one, and says so', async () => {
    const first = await testApp(Pipeline)
    await testApp(Pipeline)
    await expect(first.advance('1d')).rejects.toMatchObject({ code: 'TEST_APP_CLOSED' })
  })

  test('a death that was planned and has not come is told when the app is closed, with the steps that there were', async () => {
    const closed = (app: { close(): void }): unknown => {
      try {
        return app.close()
      } catch (error) {
        return error
      }
    }
    const app = await testApp(Pipeline, { sources, fetch: ok })
    app.crashAfter('extract')
    app.crashAfter('lode', { times: 2 })
    await app.advance('1d')
    const error = closed(app)
    expect(error).toMatchObject({ code: 'TEST_CRASH_UNMET', data: { steps: ['lode'], done: ['extract', 'sum', 'load', 'noted'] } })
    expect((error as Error).message).toContain("after 'lode' (2 times more)")
    // Once, and not where all have come, or none was planned.
    expect(closed(app)).toBeUndefined()
    const met = await testApp(Pipeline, { sources, fetch: ok })
    met.crashAfter('sum')
    await met.advance('1d')
    expect(closed(met)).toBeUndefined()
    await expect(
      (async () => {
        using early = await testApp(Pipeline, { sources, fetch: ok })
        early.crashAfter('sum')
      })(),
    ).rejects.toMatchObject({ code: 'TEST_CRASH_UNMET', message: expect.stringContaining('No step was done at all') })
    // A module without singletons brings no object to life, which is another mistake.
    const lifeless = await testApp({ Nightly: Pipeline })
    lifeless.crashAfter('sum')
    await lifeless.advance('1d')
    expect(closed(lifeless)).toMatchObject({ code: 'TEST_CRASH_UNMET', message: expect.stringContaining('No object lives in this test') })
  })

  test('the next app is opened all the same, and warns of it', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    try {
      const app = await testApp(Pipeline, { sources, fetch: ok })
      app.crashAfter('lode')
      await testApp(Pipeline)
      expect(warned.mock.calls).toEqual([[expect.stringContaining("'lode'"), { type: 'DotdoWarning', code: 'TEST_CRASH_UNMET' }]])
    } finally {
      warned.mockRestore()
    }
  })

  test('a call that needs time and is awaited without is told what to do, in the place of hanging', async () => {
    const app = await testApp(Pipeline, { patienceMs: 40 })
    await expect(app.Pipeline('main').rests()).rejects.toMatchObject({
      code: 'TEST_WAITS',
      message: expect.stringContaining('app.until(promise)'),
      data: { object: 'Pipeline/main', now: Date.UTC(2026, 0, 1) },
    })
    // So is one on the handle of a run, and neither run has lost anything by it.
    await expect(app.Pipeline('main').begins().result()).rejects.toMatchObject({ code: 'TEST_WAITS' })
    await app.advance('3d')
    expect(app.runs().filter(({ status }) => status === 'done')).toHaveLength(2)
  })

  test('a call that is not awaited yet waits for the time that the test lets pass', async () => {
    const app = await testApp(Pipeline, { patienceMs: 200 })
    const called = app.Pipeline('main').rests()
    await app.advance('1d')
    await app.advance('3d')
    expect(await called).toBe('2026-01-04T00:00:00.000Z')
  })

  test('what will never settle is told, and not waited for', async () => {
    const Waiter = DO.extend({
      wait() {
        return this.waitFor('Order.paid', { stepId: 'paid' })
      },
    })
    const app = await testApp(Waiter)
    await expect(app.until(app.Pipeline('main').wait())).rejects.toMatchObject({ code: 'TEST_WAITS' })
    expect(app.runs()[0]!.steps).toEqual(['paid: wait, waiting for Order.paid'])
  })
})
