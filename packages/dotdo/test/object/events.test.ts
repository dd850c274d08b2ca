import { env, exports } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import { describe, expect, test } from 'vitest'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import { openSink } from '../../src/object/sinks.ts'

const open = () => new Links(linkPorts('test', () => {}))
// Stubs are as free as JSON here: the types of remote objects have tests of their own.
// oxlint-disable-next-line typescript/no-explicit-any
const stub = (noun: string, name: string): any => open().user(noun, name)
// oxlint-disable-next-line typescript/no-explicit-any
const inspector = (noun: string, name: string): any => open().inspector(noun, name)
// oxlint-disable-next-line typescript/no-explicit-any
const native = (noun: string, name: string): any => (exports as unknown as Record<string, DurableObjectNamespace>)[noun]!.getByName(name)

async function until<T>(read: () => PromiseLike<T>, done: (value: T) => boolean): Promise<T> {
  for (let i = 0; ; i++) {
    const value = await read()
    if (done(value)) return value
    if (i > 400) throw new Error(`it never came to be: ${JSON.stringify(value)}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** An object that is awake has subscribed; its source knows when it has answered. */
async function subscribed(receiver: string, source: string) {
  await until(
    () => stub('Bills', receiver).look(),
    (it: { subscribed: { state: string }[] }) => it.subscribed.length > 0 && it.subscribed.every(({ state }) => state === 'active'),
  )
  return stub('Shop', source)
}

const handled = (receiver: string, count: number): Promise<number[]> =>
  until(
    async () => ((await stub('Bills', receiver).look()) as { rows: { n: number }[] }).rows.map(({ n }) => n),
    (it) => it.length >= count,
  )

describe('a handler in another object', () => {
  test('gets what is sent, each once, in the order of sending', async () => {
    const orders = await subscribed('declared a1', 'a1')
    for (let n = 0; n < 100; n += 10) await orders.pay(Array.from({ length: 10 }, (_, i) => ({ n: n + i })))
    expect(await handled('declared a1', 100)).toEqual(Array.from({ length: 100 }, (_, n) => n))
    const { subscriptions, dead } = await orders.look()
    expect(subscriptions).toMatchObject([
      {
        pattern: 'Order.paid',
        receiver: 'Bills/declared a1',
        handler: 'bill',
        owner: 'Bills/declared a1',
        state: 'active',
        waiting: 0,
        dead: 0,
      },
    ])
    expect(dead).toEqual([])
  })

  test('is the same subscription after restarts of either end, and gets what was sent meanwhile', async () => {
    const orders = await subscribed('declared a2', 'a2')
    const [{ subscriptionId }] = (await orders.look()).subscriptions
    await evictDurableObject(native('Bills', 'declared a2'))
    await orders.pay([{ n: 1 }])
    await evictDurableObject(native('Shop', 'a2'))
    await runDurableObjectAlarm(native('Shop', 'a2'))
    expect(await handled('declared a2', 1)).toEqual([1])
    const [after] = (await stub('Shop', 'a2').look()).subscriptions
    expect(after.subscriptionId).toBe(subscriptionId)
  })

  test('undoes what a handler without a promise wrote before it threw, and takes the event again in its place', async () => {
    const orders = await subscribed('declared a3', 'a3')
    await orders.pay([{ n: 1, fail: 'once' }, { n: 2 }])
    expect(await handled('declared a3', 2)).toEqual([1, 2])
  })

  test('leaves a dead letter with its sender when it never takes an event, and goes on with the next', async () => {
    const orders = await subscribed('declared a4', 'a4')
    const [id] = await orders.pay([{ n: 1, fail: 'always' }, { n: 2, fail: 'never again' }, { n: 3 }])
    expect(await handled('declared a4', 1)).toEqual([3])
    const { dead, subscriptions } = await orders.look()
    expect(dead).toMatchObject([
      { attempts: 1, error: { code: 'NEVER' }, handler: `>${subscriptions[0].subscriptionId}` },
      { eventId: id, attempts: 3, error: { message: 'not yet' } },
    ])
    expect(await inspector('Shop', 'a4').deadLetters({ limit: 1 })).toHaveLength(1)
    expect(await inspector('Shop', 'a4').deadLetters({ limit: 1, before: dead[0].id })).toMatchObject([{ eventId: id }])
    expect(await inspector('Shop', 'a4').deadLetters({ handler: subscriptions[0].subscriptionId })).toHaveLength(2)
    expect(await inspector('Shop', 'a4').deadLetters({ type: 'Job.*' })).toEqual([])
  })

  test('takes a replayed dead letter, and one that it had taken all the same is not taken twice', async () => {
    const orders = await subscribed('declared a5', 'a5')
    await orders.pay([{ n: 1, fail: 'always' }, { n: 2 }])
    await handled('declared a5', 1)
    const before = (await orders.look()).dead
    expect(await orders.replay({ type: 'Order.*' })).toBe(1)
    const again = await until(
      async () => (await orders.look()).dead,
      (it) => it.length === 1 && it[0].diedAt > before[0].diedAt,
    )
    expect(await orders.drop(again[0].id)).toBe(1)
    expect((await orders.look()).dead).toEqual([])
    expect(await handled('declared a5', 1)).toEqual([2])
  })

  test('may have steps: each is done once, however often the handler fails after it', async () => {
    const orders = await subscribed('steps a6', 'a6')
    await orders.pay([{ n: 1, fail: 'after a step' }, { n: 2 }])
    expect(await handled('steps a6', 4)).toEqual([1, 1001, 2, 1002])
    const runs = await inspector('Bills', 'steps a6').runs()
    expect(runs).toMatchObject([{ status: 'done', target: { kind: 'event', type: 'Order.paid' } }, { status: 'done' }])
  })

  test('without order does not wait for the one before', async () => {
    const orders = await subscribed('slow a7', 'a7')
    await orders.pay([{ n: 1, wait: 100 }, { n: 2 }, { n: 3 }])
    expect(await handled('slow a7', 3)).toEqual([2, 3, 1])
  })

  test('ends when its subscriber says so, at both ends', async () => {
    const orders = await subscribed('declared a8', 'a8')
    const [{ subscriptionId }] = (await orders.look()).subscriptions
    await stub('Bills', 'declared a8').unsubscribe(subscriptionId)
    await until(
      async () => [(await orders.look()).subscriptions, (await stub('Bills', 'declared a8').look()).subscribed],
      ([there, here]) => there.length === 0 && here.length === 0,
    )
    await orders.pay([{ n: 1 }])
    expect((await orders.look()).sent).toMatchObject([{ waiting: 0, dead: 0 }])
  })
})

describe('an asynchronous transaction', () => {
  for (const end of ['throw', 'roll back'] as const)
    test(`that ends by ${end} takes back what was sent and begun in it, and nobody has heard of it`, async () => {
      const name = `within-${end.replace(' ', '-')}`
      const orders = await subscribed(`declared ${name}`, name)
      await orders.begin()
      await orders.payWithin(1, end)
      await orders.payWithin(2, 'commit')
      expect(await handled(`declared ${name}`, 1)).toEqual([2])
      const taken = await until(
        () => orders.taken(),
        (it: unknown[]) => it.length >= 3,
      )
      expect(new Set(taken)).toEqual(new Set([2, 'run 2', 'got 2']))
      expect((await orders.look()).sent).toHaveLength(1)
    })

  test('delivers what was sent in it, and begins what was started, when it has ended', async () => {
    const orders = stub('Shop', 'within commit')
    await orders.payWithin(1, 'commit')
    const taken = await until(
      () => orders.taken(),
      (it: unknown[]) => it.length >= 2,
    )
    expect(new Set(taken)).toEqual(new Set([1, 'run 1']))
  })

  test('refuses steps: what is done could be undone', async () => {
    await expect(Promise.resolve(stub('Shop', 'within step').stepWithin())).rejects.toMatchObject({ code: 'IN_TRANSACTION' })
  })
})

describe('a method as a handler', () => {
  test('of the object itself may be one that nobody else can reach', async () => {
    const orders = await subscribed('method b1', 'b1')
    await orders.pay([{ n: 1 }])
    expect(await handled('method b1', 1)).toEqual([1])
  })

  test('of another object gets the events, although that one has never heard of the source', async () => {
    await stub('Bills', 'broker b2').subscribe('b2', 'target b2')
    const orders = await subscribed('broker b2', 'b2')
    await orders.pay([{ n: 1 }, { n: 2 }])
    expect(await handled('target b2', 2)).toEqual([1, 2])
    expect((await orders.look()).subscriptions).toMatchObject([{ receiver: 'Bills/target b2', method: 'paid', owner: 'Bills/broker b2' }])
  })

  test('of a capability is narrowed as that is, and revoking it suspends the subscription, with what waits for it', async () => {
    const token = await stub('Bills', 'issuer b3').token({ only: ['paid'] })
    await stub('Bills', 'broker b3').subscribeByToken('b3', token)
    const orders = await subscribed('broker b3', 'b3')
    await orders.pay([{ n: 1 }])
    expect(await handled('issuer b3', 1)).toEqual([1])
    const [{ id }] = await inspector('Bills', 'issuer b3').grants()
    await inspector('Bills', 'issuer b3').revoke(id)
    await orders.pay([{ n: 2 }])
    const { subscriptions } = await until(
      () => orders.look(),
      (it: { subscriptions: { state: string }[] }) => it.subscriptions[0]?.state === 'suspended',
    )
    expect(subscriptions).toMatchObject([{ error: { code: 'CAPABILITY_REVOKED' }, waiting: 1 }])
    expect(JSON.stringify(subscriptions)).not.toContain('dotdo1.')
  })

  test('can be subscribed by an operator, is tried again for a method that is not there, and can be ended', async () => {
    const orders = stub('Shop', 'b4')
    const id = await inspector('Shop', 'b4').subscribe('Order.*', { noun: 'Bills', name: 'b4', method: 'missing' })
    await orders.pay([{ n: 1 }])
    await until(
      () => inspector('Shop', 'b4').subscriptions(),
      (it: { state: string; error?: { code: string } }[]) => it[0]?.state === 'failing' && it[0].error?.code === 'METHOD_UNKNOWN',
    )
    expect(await inspector('Shop', 'b4').endSubscription(id)).toBe(true)
    expect(await inspector('Shop', 'b4').subscriptions()).toEqual([])
    expect((await orders.look()).sent).toMatchObject([{ waiting: 0, dead: 0 }])
  })
})

describe('what cannot be', () => {
  test.each([
    ['closure', 'SUBSCRIPTION_NOT_DURABLE'],
    ['path', 'NOT_SAVABLE'],
    ['option', 'INVALID_HANDLER'],
    ['pattern', 'INVALID_EVENT_TYPE'],
    ['value', 'INVALID_HANDLER'],
  ])('a subscription by a %s is refused with %s', async (how, code) => {
    await expect(Promise.resolve(stub('Bills', 'wrong').wrongly('w', how))).rejects.toMatchObject({ code })
  })

  test('a payload over the bound is refused with the bound, and one below it arrives', async () => {
    const orders = await subscribed('declared c1', 'c1')
    await expect(Promise.resolve(orders.payLargest(1_048_577))).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      data: { limitBytes: 1_048_576 },
    })
    await orders.payLargest(1_048_000)
    expect(await handled('declared c1', 1)).toEqual([0])
  })

  test('a batch from an object that was never asked for it is refused, and not handled', async () => {
    await subscribed('declared c2', 'c2')
    const [{ subscriptionId }] = (await stub('Bills', 'declared c2').look()).subscribed
    const to = { noun: 'Bills', name: 'declared c2', handler: 'bill' }
    const events = [[1, 'evt_x', 'Order.paid', 'j{"n":1}', null, 'Shop/c2', 0, 0]]
    const batch = { version: 1, subscription: subscriptionId, to, ordered: true, floor: 0, events }
    const answer = async () => await open().link('Bills', 'declared c2').framework('receive', [batch])
    await expect(answer).rejects.toMatchObject({
      code: 'INVALID_SUBSCRIPTION',
      data: { reason: expect.stringContaining('those of Shop/c2') },
    })
    expect((await stub('Bills', 'declared c2').look()).rows).toEqual([])
  })
})

describe('sinks', () => {
  test('a Queue gets each event as a message, and a consumer hands it to the handlers of its object, once', async () => {
    const orders = stub('Shop', 'to queue 1')
    const ids = await orders.pay([{ n: 1 }, { n: 2 }])
    await until(
      () => orders.look(),
      (it: { sent: { waiting: number }[] }) => it.sent.every(({ waiting }) => waiting === 0),
    )
    const body = { id: ids[0], type: 'Order.paid', payload: { n: 1 }, sentAt: 1, source: 'Shop/to queue 1' }
    const outcomes: string[] = []
    const message = (id: string, given: unknown) => ({
      id,
      body: given,
      timestamp: new Date(),
      attempts: 1,
      ack: () => outcomes.push(`${id} ack`),
      retry: () => outcomes.push(`${id} retry`),
    })
    const { default: worker } = await import('./worker.ts')
    const take = (queue: string, messages: unknown[]) =>
      worker.queue({ queue, messages, ackAll() {}, retryAll() {} } as never, env as never, { waitUntil() {} } as never)
    await take('orders', [message('m1', body), message('m2', body), message('m3', 'no event')])
    await take('raw', [message('r1', { anything: 1 })])
    expect(outcomes.toSorted()).toEqual(['m1 ack', 'm2 ack', 'm3 retry', 'r1 ack'])
    const taken = await until(
      () => stub('Shop', 'queued').taken(),
      (it: unknown[]) => it.length >= 2,
    )
    expect(taken).toEqual([
      { type: 'Order.paid', payload: { n: 1 }, source: 'Shop/to queue 1' },
      { type: 'Order.received', payload: { anything: 1 }, source: 'queue:raw' },
    ])
    await expect(take('unheard of', [])).rejects.toMatchObject({ code: 'QUEUE_UNKNOWN' })
  })

  test('a binding that is not there leaves dead letters that say so', async () => {
    const orders = stub('Shop', 'to nowhere 1')
    await orders.pay([{ n: 1 }])
    const { dead } = await until(
      () => orders.look(),
      (it: { dead: unknown[] }) => it.dead.length > 0,
    )
    expect(dead).toMatchObject([{ error: { code: 'BINDING_MISSING', data: { binding: 'NO_SUCH_QUEUE' } }, attempts: 2 }])
  })

  test('a table gets a row an event', async () => {
    const orders = stub('Shop', 'to table 1')
    await orders.pay([{ n: 1 }, { n: 2 }, { n: 3 }])
    const table = await until(
      () => orders.rows(),
      (it: { rows: number } | null) => it?.rows === 3,
    )
    expect(table).toMatchObject({ table: 'sinks.orders', rows: 3 })
  })

  const events = (payloads: unknown[]) =>
    payloads.map((payload, n) => ({ id: `evt_${n}`, type: 'Order.paid', payload, sentAt: 0, source: 'Shop/a' }))
  const hand = () => Promise.resolve()

  test('a Queue gets no batch above its limits, and an event above them is named', async () => {
    const batches: number[] = []
    const sendBatch = async (batch: { body: unknown }[]) => {
      const sizes = batch.map(({ body }) => JSON.stringify(body).length + 100)
      expect(Math.max(...sizes)).toBeLessThanOrEqual(128_000)
      batches.push(sizes.reduce((sum, size) => sum + size, 0))
    }
    const queue = openSink({ queue: 'Q' }, { Q: { sendBatch } }, hand)
    await queue.put(events(Array.from({ length: 100 }, () => 'x'.repeat(5000))), 'k')
    expect(batches.length).toBe(3)
    expect(Math.max(...batches)).toBeLessThanOrEqual(256_000)
    await expect(queue.put(events(['small', 'x'.repeat(127_850)]), 'k')).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      data: { eventId: 'evt_1' },
    })
    await expect(queue.put(events([1, new Map([['a', 1]])]), 'k')).rejects.toMatchObject({
      code: 'NOT_STORABLE',
      data: { eventId: 'evt_1' },
    })
  })

  test('a table is told nothing when one row cannot be made, and the event of that row is named', async () => {
    let written = 0
    const table = { write: async (rows: readonly object[]) => (written += rows.length) }
    const row = ({ payload }: { payload: unknown }) => ({ cents: (payload as { euros: number }).euros * 100 })
    const sink = openSink({ table, row }, {}, hand)
    await expect(sink.put(events([{ euros: 1 }, null]), 'k')).rejects.toMatchObject({
      code: 'SINK_ROW_FAILED',
      retryable: true,
      data: { eventId: 'evt_1' },
    })
    expect(written).toBe(0)
  })
})
