import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import { env, exports } from 'cloudflare:workers'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { shardName, shardOf } from '../../src/fleet/facts.ts'
import { configureApp } from '../../src/object/app.ts'
import { FleetView } from '../../src/object/fleet-view.ts'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import { openSink } from '../../src/object/sinks.ts'
import type { SentEvent } from '../../src/events/event.ts'

const open = () => new Links(linkPorts('test', () => {}))
// oxlint-disable-next-line typescript/no-explicit-any
const watched = (name: string): any => open().user('Watched', name)
// oxlint-disable-next-line typescript/no-explicit-any
const inspector = (name: string): any => open().inspector('Watched', name)
const fleet = () => new FleetView(open())
const told = (name: string) => open().link('Watched', name).framework('fleetTell', [])

/** Reads again until it is as it should be. */
async function until<T>(read: () => PromiseLike<T>, done: (value: T) => boolean): Promise<T> {
  for (let i = 0; ; i++) {
    const value = await read()
    if (done(value) || i > 1000) return value
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Runs a schedule of an object now, and gives the run when it has ended and the index knows. */
async function fire(name: string) {
  const runId = (await inspector(name).trigger('nightly')) as string
  await until(
    () => inspector(name).run(runId) as Promise<{ status: string }>,
    ({ status }) => status !== 'running',
  )
  await told(name)
  return runId
}

describe('the index of all objects', () => {
  test('has runs, schedules and objects by pages, whatever shard they are in, and finds them by what they are', async () => {
    for (const name of ['a', 'b', 'c']) await fire(name)
    const tagged = (await watched('a').tag('blue')) as string
    await told('a')
    // What the functions of alerts do is a run of theirs.
    const own = { noun: 'Watched' }
    const query = { ...own, subject: 'nightly', limit: 2 }
    const first = await fleet().runs(query)
    const rest = await fleet().runs({ ...query, after: first.next! })
    const all = [...first.items, ...rest.items]
    expect(all.map(({ object }) => object).sort()).toEqual(['Watched/a', 'Watched/b', 'Watched/c'])
    expect(all.map(({ run }) => run.startedAt)).toEqual(all.map(({ run }) => run.startedAt).sort((a, b) => b - a))
    expect(rest.next).toBeUndefined()
    const ids = async (more: object) => (await fleet().runs({ ...own, ...more })).items.map(({ object }) => object).sort()
    expect(await ids({ tag: 'blue' })).toEqual(['Watched/a'])
    expect(await ids({ subject: 'nightly', object: 'Watched/b' })).toEqual(['Watched/b'])
    expect(await ids({ state: 'done', kind: 'schedule' })).toEqual([])
    expect(await ids({ since: Date.now() + 1000 })).toEqual([])
    const [run] = (await fleet().runs({ tag: 'blue' })).items
    expect(run).toMatchObject({ object: 'Watched/a', run: { runId: tagged, tags: ['blue'], error: { message: 'the source is gone' } } })
    const schedules = (await fleet().schedules({ noun: 'Watched' })).items
    expect(schedules).toHaveLength(3)
    expect(schedules[0]).toMatchObject({ schedule: { scheduleId: 'nightly', lastStatus: 'failed' }, dueAt: expect.any(Number) as number })
    expect((await fleet().objects({ noun: 'Watched' })).items.map(({ object }) => object)).toEqual(['Watched/a', 'Watched/b', 'Watched/c'])
    expect(await fleet().summary()).toMatchObject({ schedules: expect.any(Number) as number, failed: expect.any(Number) as number })
  })

  test.each([[{ limit: 0 }], [{ stat: 'done' }], [{ state: 'dead' }], [{ after: 'x' }], [{ noun: 7 }]])('refuses %j', async (query) => {
    await expect(fleet().runs(query as never)).rejects.toMatchObject({ code: 'FLEET_QUERY_INVALID' })
  })

  test('takes facts of an object from nobody else', async () => {
    const shard = open().user('DotdoSystem', shardName(shardOf('Watched/a', 8), 8)) as unknown as { receive(batch: object): Promise<void> }
    const batch = { version: 1, object: 'Watched/a', facts: [] }
    await expect(shard.receive(batch)).rejects.toMatchObject({ code: 'FLEET_FACTS_INVALID' })
  })

  test('is made again from its objects, which may have been evicted meanwhile', async () => {
    const runId = await fire('rebuilt')
    // oxlint-disable-next-line typescript/no-explicit-any
    await evictDurableObject((exports as any).Watched.getByName('rebuilt'))
    expect(await fleet().rebuild({ objects: ['Watched/rebuilt'] })).toMatchObject({ status: 'running' })
    expect(
      await until(
        () => fleet().rebuilding(),
        (it) => it?.status === 'done',
      ),
    ).toMatchObject({ status: 'done', failed: 0 })
    await told('rebuilt')
    expect((await fleet().runs({ object: 'Watched/rebuilt', kind: 'schedule' })).items.map(({ run }) => run.runId)).toEqual([runId])
  })

  test('loses nothing when an object is evicted before it has told: its alarm tells', async () => {
    const runId = (await inspector('alarmed').trigger('nightly')) as string
    await until(
      () => inspector('alarmed').run(runId) as Promise<{ status: string }>,
      ({ status }) => status !== 'running',
    )
    // oxlint-disable-next-line typescript/no-explicit-any
    const native = (exports as any).Watched.getByName('alarmed')
    await evictDurableObject(native)
    await runDurableObjectAlarm(native)
    const { items } = await until(
      () => fleet().runs({ object: 'Watched/alarmed', kind: 'schedule' }),
      ({ items }) => items.length > 0,
    )
    expect(items).toMatchObject([{ run: { runId, status: 'failed' } }])
  })

  test('is there unless the app says otherwise', async () => {
    configureApp({ fleet: false })
    await expect(fleet().runs()).rejects.toMatchObject({ code: 'FLEET_OFF' })
    expect(() => configureApp({ fleet: { shards: 0 } })).toThrow(expect.objectContaining({ code: 'FLEET_INVALID' }))
    expect(() => configureApp({ fleet: { alerts: [{ on: 'late', to: { chat: 'X' } }] } })).toThrow(
      expect.objectContaining({ code: 'ALERT_INVALID' }),
    )
    configureApp({})
  })
})

describe('alerts', () => {
  test('of a run that passed its budget say so by the error, and are over when one stays within', async () => {
    await watched('dear').mend()
    const runId = (await inspector('dear').trigger('nightly', { budget: { rowsWritten: 0 } })) as string
    const run = (await until(
      () => inspector('dear').run(runId) as Promise<{ status: string }>,
      ({ status }) => status !== 'running',
    )) as unknown
    expect(run).toMatchObject({
      status: 'failed',
      budget: { rowsWritten: 0 },
      error: { code: 'BUDGET_EXCEEDED', retryable: false, data: { name: 'rowsWritten', limit: 0, stepId: 'work' } },
    })
    await told('dear')
    const of = { object: 'Watched/dear' }
    expect((await fleet().alerts({ ...of, state: 'open' })).items).toMatchObject([
      { kind: 'failed', subject: { kind: 'schedule', id: 'nightly' }, runId, error: { code: 'BUDGET_EXCEEDED' } },
    ])
    await fire('dear')
    expect((await fleet().alerts({ ...of, state: 'open' })).items).toEqual([])
  })

  test('of a schedule that fails reach another object once, and once more when it is well', async () => {
    await fire('flaky')
    await fire('flaky')
    await watched('flaky').mend()
    await fire('flaky')
    const alerted = await until(
      () => watched('ops').alerted() as Promise<string[][]>,
      (all) => all.filter(([, object]) => object === 'Watched/flaky').length >= 2,
    )
    expect(alerted.filter(([, object]) => object === 'Watched/flaky')).toEqual([
      ['Alert.failed', 'Watched/flaky', 'nightly', "The schedule 'nightly' of Watched/flaky failed. the source is gone"],
      ['Alert.recovered', 'Watched/flaky', 'nightly', expect.stringContaining('is well again') as string],
    ])
    expect((await fleet().alerts({ object: 'Watched/flaky' })).items).toMatchObject([
      { kind: 'failed', count: 2, closedAt: expect.any(Number) as number },
    ])
  })

  test('of a dead letter reach a function of the object itself, and are over when it is discarded', async () => {
    await watched('letters').lose()
    const { items } = await until(
      async () => (await told('letters'), await fleet().deadLetters({ object: 'Watched/letters' })),
      ({ items }) => items.length > 0,
    )
    expect(items).toMatchObject([{ object: 'Watched/letters', letter: { handler: 'lost', payload: { text: '{"n":1}' } } }])
    expect(
      await until(
        () => watched('letters').ownAlerts() as Promise<string[]>,
        (own) => own.length > 0,
      ),
    ).toEqual(['failed lost'])
    await inspector('letters').discard({})
    await told('letters')
    expect((await fleet().deadLetters({ object: 'Watched/letters' })).items).toEqual([])
    expect((await fleet().alerts({ object: 'Watched/letters', state: 'open' })).items).toEqual([])
  })

  test('are declared in init() alone', async () => {
    await expect(Promise.resolve(watched('late').tooLate())).rejects.toMatchObject({ code: 'ALERT_INVALID' })
  })
})

describe('a chat', () => {
  afterEach(() => vi.unstubAllGlobals())
  const event: SentEvent = { id: 'evt_1', type: 'Alert.failed', payload: { text: 'It failed.' }, sentAt: 0, source: 'Shop/a' }
  const sent = async (one: SentEvent, status = 200) => {
    const requests: [string, RequestInit][] = []
    vi.stubGlobal(
      'fetch',
      (address: string, init: RequestInit) => (requests.push([address, init]), Promise.resolve(new Response('', { status }))),
    )
    await openSink({ chat: 'OPS' }, { ...env, OPS: 'https://chat.example.com/hook/secret' }, () => Promise.resolve()).put([one], 'k')
    return requests.map(([address, { body }]) => [address, JSON.parse(body as string) as object])
  }

  test('gets the text of a payload, or the event in words', async () => {
    expect(await sent(event)).toEqual([['https://chat.example.com/hook/secret', { text: 'It failed.' }]])
    expect(await sent({ ...event, payload: { n: 1 } })).toMatchObject([
      [{}, { text: 'Alert.failed of Shop/a: {"n":1}' }].with(0, expect.anything()),
    ])
  })

  test('that refuses is told without its address, and one without an address is missing', async () => {
    const refused = await sent(event, 500).catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: 'WEBHOOK_REFUSED', retryable: true })
    expect(JSON.stringify([refused, String(refused)])).not.toContain('secret')
    expect(() => openSink({ chat: 'NONE' }, env, () => Promise.resolve())).toThrow(expect.objectContaining({ code: 'BINDING_MISSING' }))
  })
})
