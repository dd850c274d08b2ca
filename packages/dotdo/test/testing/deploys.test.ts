/** Deploys as objects live through them: one whose `init()` fails, and policies for runs that nobody has called. */
import { afterEach, expect, test } from 'vitest'
import { DO, serve } from '../../src/index.ts'
import type { ScheduleHandle } from '../../src/schedule/declaration.ts'
import { testApp } from '../../src/testing.ts'

let app: Awaited<ReturnType<typeof testApp>> | undefined
afterEach(() => app?.close())

/** An app whose `init()` fails, at once, later or never. */
const sleepers = (init: 'ends' | 'throws' | 'rejects' | 'hangs') => ({
  Sleeper: DO.extend({
    async init() {
      if (init === 'throws') throw new Error('a bad deploy')
      await Promise.resolve()
      if (init === 'rejects') throw new Error('a bad deploy')
      if (init === 'hangs') await new Promise(() => {})
      this.every.hour(() => 'done', { id: 'hourly' })
    },
    async rest() {
      await this.sleep('2h', { stepId: 'rest' })
      return 'rested'
    },
    begin() {
      return this.runs.start('rest').runId
    },
    nothing() {},
  }),
})

test.each(['throws', 'rejects', 'hangs'] as const)(
  'an object whose init() %s for hours goes on by itself when a deploy has put that right: no run sleeps for ever, no schedule stops',
  async (init) => {
    app = await testApp(sleepers('ends'), { at: '2026-01-01T00:30Z' })
    await app.Sleeper('main').begin()
    await app.advance('10m')
    await app.deploy(sleepers(init), { version: 'v2' })
    await app.advance('5h')
    expect(app.runs().map(({ status }) => status)).toEqual(['running'])
    await app.deploy(sleepers('ends'), { version: 'v3' })
    // As long again as it was overdue, at most an hour.
    await app.advance('1h')
    const [rested, ...hourly] = app.runs()
    expect(rested).toMatchObject({ status: 'done', result: 'rested' })
    expect(hourly.length).toBeGreaterThan(0)
    expect(hourly.every(({ status }) => status === 'done')).toBe(true)
  },
)

test('an object that cannot begin is woken the more rarely the longer that lasts, and one with nothing to do not at all', async () => {
  app = await testApp(sleepers('ends'), { at: '2026-01-01T00:30Z' })
  await app.Sleeper('main').begin()
  await app.advance('15m')
  let begun = 0
  await app.deploy({ Sleeper: DO.extend({ init: () => void (begun++, JSON.parse('no')) }) }, { version: 'v2' })
  await app.advance('1d')
  expect(begun).toBeGreaterThan(24)
  expect(begun).toBeLessThan(50)
  const before = begun
  await expect(app.Sleeper('idle').nothing()).rejects.toMatchObject({ code: 'INIT_FAILED' })
  await app.advance('1d')
  expect(begun - before).toBeLessThanOrEqual(26)
})

/** A handler of an object's own events, and one of another object's, each with a pause between two steps. */
const shops = (version: string, options: { policy?: 'ask' | 'pin'; broken?: boolean } = {}) => ({
  Shop: DO.extend({
    init() {
      this.on.Order.paid((order: string) => this.handle(order), { id: 'own' })
    },
    pay(order: string) {
      this.send('Order.paid', order)
    },
    async handle(order: string) {
      await this.do(() => version, { stepId: 'pay' })
      await this.sleep('1h', { stepId: 'rest' })
      return await this.do(
        () => {
          if (options.broken) throw new Error(`${order} cannot be shipped`)
          return version
        },
        { stepId: 'ship', retries: { limit: 0 } },
      )
    },
    accept() {
      for (const { runId, status } of this.runs.list()) if (status === 'held') this.runs.get(runId).accept()
    },
    letters() {
      return this.events.deadLetters().map(({ error }) => error.code ?? error.message)
    },
  }),
  Bills: DO.extend({
    init() {
      this.Shop('main').on.Order.paid((order: string) => this._bill(order), { id: 'far' })
    },
    async _bill(order: string) {
      await this.do(() => `${version} ${order}`, { stepId: 'write' })
      await this.sleep('1h', { stepId: 'rest' })
      return await this.do(() => version, { stepId: 'send' })
    },
    accept() {
      for (const { runId, status } of this.runs.list()) if (status === 'held') this.runs.get(runId).accept()
    },
    nothing() {},
  }),
  default: serve({ deploys: options.policy ?? 'ask' }),
})

const standing = (object: string) => app!.runs(object).map(({ status, steps }) => [status, ...steps].join('; '))

test.each(['ask', 'pin'] as const)(
  'the run of an event that %s holds is not let go on by the next delivery: it waits for an answer, keeps its place, and is delivered then',
  async (policy) => {
    app = await testApp(shops('v1', { policy }), { version: 'v1' })
    await app.Bills('eu').nothing()
    await app.Shop('main').pay('a')
    await app.advance('10m')
    await app.deploy(shops('v2', { policy }), { version: 'v2' })
    await app.Shop('main').pay('b')
    await app.advance('2d')
    // Neither ran with the new code, neither used up its attempts, and what came later did not pass it.
    expect(standing('Shop/main')).toEqual(['held; pay: done, "v1"; rest: sleep, waiting'])
    expect(standing('Bills/eu')).toEqual(['held; write: done, "v1 a"; rest: sleep, waiting'])
    expect(await app.Shop('main').letters()).toEqual([])

    await app.Shop('main').accept()
    await app.Bills('eu').accept()
    await app.advance('1d')
    expect(standing('Shop/main')).toEqual(['v1', 'v2'].map((first) => `done; pay: done, "${first}"; rest: sleep, done; ship: done, "v2"`))
    expect(standing('Bills/eu')).toEqual(
      ['v1 a', 'v2 b'].map((first) => `done; write: done, "${first}"; rest: sleep, done; send: done, "v2"`),
    )
    expect(await app.Shop('main').letters()).toEqual([])
  },
)

test('a handler that has failed with one version is not taken up by another that nobody has accepted', async () => {
  app = await testApp(shops('v1', { broken: true }), { version: 'v1' })
  await app.Shop('main').pay('a')
  await app.advance('61m')
  expect(app.runs('Shop/main')[0]).toMatchObject({
    steps: ['pay: done, "v1"', 'rest: sleep, done', expect.stringContaining('ship: ') as string],
  })
  await app.deploy(shops('v2'), { version: 'v2' })
  await app.advance('1d')
  expect(standing('Shop/main')).toEqual([expect.stringMatching(/^held; pay: done, "v1"; rest: sleep, done; ship/) as string])
  await app.Shop('main').accept()
  await app.advance('1d')
  expect(standing('Shop/main')).toEqual(['done; pay: done, "v1"; rest: sleep, done; ship: done, "v2"'])
})

/** Runs of a schedule, a handler and a method, each between two steps; without them, a version that has none of the three. */
const flights = (version: string, isThere: boolean, policy: 'latest' | 'ask' = 'latest') => {
  const undone: string[] = []
  const two = async (flight: { do: DO['do']; sleep: DO['sleep'] }) => {
    await flight.do(() => 'booked', { stepId: 'book', undo: () => void undone.push(`by ${version}`) })
    await flight.sleep('3h', { stepId: 'rest' })
    return await flight.do(() => version, { stepId: 'fly' })
  }
  const Flights = DO.extend({
    init() {
      if (!isThere) return
      this.every.day(() => two(this as never), { id: 'daily' })
      this.on.Flight.asked(() => two(this as never), { id: 'asked' })
    },
    ask() {
      this.send('Flight.asked')
      return this.runs.start('fly' as never).runId
    },
    ...(isThere && {
      fly() {
        return two(this as never)
      },
    }),
    cancel(runId: string) {
      return this.runs.get(runId).cancel().status
    },
  })
  return { app: { Flights, default: serve({ deploys: policy }) }, undone }
}
type DO = { do(work: () => unknown, options: object): Promise<unknown>; sleep(length: string, options: object): Promise<void> }

const flightsOf = () =>
  app!.runs('Flights/main').map(({ status, error, steps }) => [status, error?.code ?? '', ...steps.slice(0, 1)].join(' '))

test('a run whose schedule, handler or method a deploy has taken away is held, and goes on when a rollback or a later version has it again', async () => {
  app = await testApp(flights('v1', true).app, { version: 'v1', at: '2026-01-01T23:59Z' })
  await app.Flights('main').ask()
  await app.advance('1h')
  await app.deploy(flights('v2', false).app, { version: 'v2' })
  await app.advance('12h')
  // Nothing that was done is taken back: a rollback needs it.
  expect(flightsOf()).toEqual(Array.from({ length: 3 }, () => 'held RUN_HELD book: done, "booked"'))
  expect(app.runs()[0]!.error?.message).toMatch(
    /^Run '.+' is in flight, and .+ has nothing .+ Deploy a version that has it, or cancel the run\.$/,
  )
  await app.deploy(flights('v3', true).app, { version: 'v3' })
  await app.advance('1h')
  expect(flightsOf()).toEqual(Array.from({ length: 3 }, () => 'done  book: done, "booked"'))
  expect(app.runs().map(({ result }) => result)).toEqual(['v3', 'v3', 'v3'])
})

test('one that is cancelled instead ends, and names what it could not take back', async () => {
  app = await testApp(flights('v1', true).app, { version: 'v1' })
  const runId = await app.Flights('main').ask()
  await app.advance('1h')
  await app.deploy(flights('v2', false).app, { version: 'v2' })
  await app.advance('12h')
  await app.Flights('main').cancel(runId)
  await app.advance('1h')
  expect(app.runs().find((run) => run.runId === runId)).toMatchObject({
    status: 'failed',
    error: { code: 'UNDO_FAILED', message: expect.stringContaining('book') as string },
  })
})

test.each(['12h', '1h'])(
  'a cancel answers for a run that began with another version, held or still asleep: it is undone by the code that runs (after %s)',
  async (after) => {
    app = await testApp(flights('v1', true, 'ask').app, { version: 'v1' })
    const runId = await app.Flights('main').ask()
    const next = flights('v2', true, 'ask')
    await app.advance('1h')
    await app.deploy(next.app, { version: 'v2' })
    await app.advance(after)
    expect(await app.Flights('main').cancel(runId)).toBe('running')
    await app.advance('1h')
    expect(app.runs().find((run) => run.runId === runId)).toMatchObject({ status: 'cancelled', error: { code: 'RUN_CANCELLED' } })
    expect(next.undone).toEqual(['by v2'])
  },
)

/** Loads in steps; the second version checks before it cleans, does not count any more, and stores what it has in another way. */
const loads = (version: 'v1' | 'v2') => {
  const done: string[] = []
  const sent: unknown[] = []
  const Load = DO.extend({
    init() {
      this.on.Load.done((wait: unknown) => void sent.push(wait))
    },
    begin(wait: string) {
      return this.runs.start('load', [wait]).runId
    },
    async load(wait: string) {
      const step = (stepId: string, more: object = {}) => this.do(() => void done.push(stepId), { stepId, ...more })
      await step('extract')
      if (version === 'v2') await step('check')
      await step('clean')
      if (version === 'v1') await step('count')
      await this.sleep(wait, { stepId: 'rest' })
      await step('store')
      if (version === 'v2') {
        this.send('Load.done', wait)
        await step('mail')
      }
    },
    async changes(runId: string) {
      const { text, ...change } = await this.runs.get(runId).whatChanged()
      return {
        text,
        added: change.added,
        removed: change.removed,
        next: change.next,
        missing: change.missing,
        outcome: change.dryRun.outcome,
      }
    },
    accept(runId: string) {
      return this.runs.get(runId).accept().status
    },
  })
  return { done, sent, app: { Load, default: serve({ deploys: 'ask' }) } }
}

test('what a deploy changes for a run that it holds is told in words before anybody accepts it, and nothing is done for that', async () => {
  app = await testApp(loads('v1').app, { version: 'v1' })
  await app.Load('main').begin('1m')
  await app.advance('10m')
  const runId = await app.Load('main').begin('2h')
  await app.advance('10m')
  await expect(app.Load('main').changes(runId)).rejects.toMatchObject({ code: 'RUN_NOT_HELD' })
  const next = loads('v2')
  await app.deploy(next.app, { version: 'v2' })
  await app.advance('3h')
  const [, held] = app.runs()
  expect(held).toMatchObject({ status: 'held', error: { message: expect.stringContaining('whatChanged()') as string } })
  const change = await app.Load('main').changes(runId)
  const before = app.runs()[0]!.runId
  expect(change.text).toBe(
    [
      `${runId} began with version 'v1', and version 'v2' runs now`,
      '  2 steps that are done stay so',
      `  + check, mail: new, as run ${before} of the former version shows`,
      '  - count: done, and the new code does without',
      '  · rest, store: to come',
      '  it would come to its end',
    ].join('\n'),
  )
  expect(change).toMatchObject({ added: ['check', 'mail'], removed: ['count'], next: ['rest', 'store'], missing: [], outcome: 'done' })
  expect(app.runs()[1]).toMatchObject({ status: 'held', steps: held!.steps })
  await app.advance('10m')
  expect(next.sent).toEqual([])
  next.done.length = 0
  await app.Load('main').accept(runId)
  await app.advance('1h')
  expect(next.done).toEqual(['check', 'store', 'mail'])
  expect(next.sent).toEqual(['2h'])
  await expect(app.Load('main').changes(runId)).rejects.toMatchObject({ code: 'RUN_NOT_HELD' })
})

test('what a deploy has taken away is told as why the run could not go on', async () => {
  app = await testApp({ ...loads('v1').app, default: serve({}) }, { version: 'v1' })
  const runId = await app.Load('main').begin('2h')
  await app.advance('10m')
  await app.deploy(
    {
      Load: DO.extend({
        async changes(id: string) {
          const { text, dryRun } = await this.runs.get(id).whatChanged()
          return { text, outcome: dryRun.outcome }
        },
      }),
    },
    { version: 'v2' },
  )
  await app.advance('3h')
  const { text, outcome } = (await app.Load('main').changes(runId)) as { text: string; outcome: string }
  expect(outcome).toBe('failed')
  expect(text).toContain('it would fail: METHOD_UNKNOWN')
})

/** A schedule whose runs rest in between, and a method whose run waits for one of another that does. */
const nightly = (version: string) => {
  let hourly: ScheduleHandle
  return {
    Night: DO.extend({
      init() {
        hourly = this.every.hour(() => this.sleep('30m', { stepId: 'rest' }), { id: 'hourly' })
      },
      begin() {
        this.runs.start('all', [], { runId: 'all' })
      },
      async all() {
        return await this.runs.call('most', [], { stepId: 'most' })
      },
      async most() {
        return await this.runs.call('copy', [], { stepId: 'copy' })
      },
      async copy() {
        await this.sleep('30m', { stepId: 'rest' })
        return version
      },
      look() {
        const { held, lastStatus } = hourly.view()
        const windows = hourly.partitions('2026-01-01T00:00Z', '2026-01-02T00:00Z').partitions
        return { held, lastStatus, running: windows.flatMap(({ state, held: isHeld }) => (state === 'running' ? [isHeld ?? false] : [])) }
      },
      accept() {
        for (const { runId, status } of this.runs.list()) if (status === 'held') this.runs.get(runId).accept()
      },
    }),
    default: serve({ deploys: { Night: 'ask' } }),
  }
}

test('what a held run stops says so: its schedule by the run and how many instants went by, its window, and the steps of the runs that wait for it', async () => {
  const runId = 'hourly@2026-01-01T01:00:00.000Z'
  app = await testApp(nightly('v1'), { version: 'v1', at: '2026-01-01T00:50Z' })
  await app.Night('main').begin()
  await app.advance('15m')
  expect(await app.Night('main').look()).toEqual({ held: undefined, lastStatus: 'running', running: [false] })
  await app.deploy(nightly('v2'), { version: 'v2' })
  await app.advance('3h')
  expect(await app.Night('main').look()).toEqual({ held: { runId, skipped: 3 }, lastStatus: 'held', running: [true] })
  const waits = standing('Night/main').filter((run) => run.includes('waiting for'))
  expect(waits).toEqual(['most', 'copy'].map((step) => `running; ${step}: waiting for run all%2Fmost/copy, which is held`))
  await app.Night('main').accept()
  await app.advance('1m')
  expect(await app.Night('main').look()).toEqual({ held: undefined, lastStatus: 'done', running: [] })
  await app.advance('1h')
  // One run covers what was skipped.
  expect(await app.Night('main').look()).toEqual({ held: undefined, lastStatus: 'running', running: [false, false, false, false] })
})

test.each<[string, object, string]>([
  ['singletons', { singletons: { Sleper: ['main'] } }, 'singletons'],
  ['deploys', { deploys: { Sleper: 'pin' } }, 'deploys'],
  ['queues', { queues: { orders: { to: 'Sleper/main' } } }, 'queues'],
  ['rules of alerts', { fleet: { alerts: [{ on: 'failed', noun: 'Sleper', to: { object: 'Ops/main' } }] } }, 'fleet: { alerts }'],
])('a noun that there is not is refused in %s, with those that there are', async (_, options, option) => {
  app = await testApp(sleepers('ends'))
  const refused = { code: 'SERVE_INVALID', data: { option, noun: 'Sleper', known: ['Sleeper'] } }
  const misspelt = { ...sleepers('ends'), default: serve(options as never) }
  // Where there are singletons, they are what is asked first.
  const asked = async () => (await app!.deploy(misspelt, { version: 'v2' }), await app!.Sleeper('main').nothing())
  await expect(asked).rejects.toMatchObject(refused)
  // Nothing was touched by that.
  await app.deploy({ ...sleepers('ends'), default: serve({ deploys: { Sleeper: 'pin' }, singletons: { Sleeper: ['main'] } }) })
  await app.Sleeper('main').nothing()
})

test('an alert for a schedule that init() does not declare is refused with those that there are; one that was cancelled by hand counts', async () => {
  let hourly: ScheduleHandle
  const watched = (schedule: string) => ({
    Watched: DO.extend({
      init() {
        hourly = this.every.hour(() => {}, { id: 'hourly' })
        this.alerts.onLate('1h', { chat: 'OPS' }, { schedule })
      },
      cancel() {
        hourly.cancel()
      },
    }),
  })
  app = await testApp(watched('hourly'))
  await app.Watched('main').cancel()
  await app.deploy(watched('hourly'))
  await app.Watched('main').cancel()
  await app.deploy(watched('huorly'))
  await expect(async () => await app!.Watched('other').cancel()).rejects.toMatchObject({
    code: 'INIT_FAILED',
    data: { error: { code: 'ALERT_INVALID', data: { schedule: 'huorly', known: ['hourly'] } } },
  })
})
