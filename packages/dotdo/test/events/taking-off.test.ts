import { expect, test } from 'vitest'
import { batchVersion, eventOf, type EventBatch, type Receipt } from '../../src/events/batch.ts'
import { Outbox } from '../../src/events/outbox.ts'
import { newId } from '../../src/base/ids.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'
import { settled } from './harness.ts'

/** An object whose events go to another one, in order; what was handled is taken off a little later. */
class Sending {
  readonly clock = new ManualClock()
  readonly random = new SeededRandom(3)
  readonly store: SqliteStore
  readonly outbox: Outbox
  readonly subscription: string
  /** The payloads of each batch that was carried. */
  readonly carried: number[][] = []
  receipt: (batch: EventBatch) => Receipt | Promise<Receipt> = () => ({})
  timers: (() => void)[] = []
  wakes = 0
  readonly delivered: string[] = []

  constructor(store = new SqliteStore(), subscription?: string) {
    this.store = store
    this.outbox = new Outbox({
      store,
      clock: this.clock,
      random: this.random,
      source: 'Orders/eu',
      deliver: () => Promise.resolve(),
      sync: () => Promise.resolve(),
      timer: (_delayMs, then) => {
        this.timers.push(then)
        return () => undefined
      },
      wake: () => this.wakes++,
      observe: (event) => event.type === 'event.delivered' && this.delivered.push(event.eventId),
      carry: async (_target, batch) => {
        this.carried.push(batch.events.map((row) => eventOf(row).payload as number))
        return await this.receipt(batch)
      },
    })
    this.subscription = subscription ?? newId('sub', this.clock, this.random)
    if (subscription === undefined) this.subscribe()
    this.outbox.settle()
  }

  subscribe(): void {
    const to = { noun: 'Bills', name: 'x', handler: 'h' }
    const retries = { limit: 0, delayMs: 1000, backoff: 'exponential' } as const
    const request = { version: batchVersion, id: this.subscription, pattern: '*.*', to, ordered: true, retries } as const
    this.outbox.put(request, 'Bills/x')
  }

  async send(...numbers: number[]): Promise<void> {
    for (const n of numbers) this.outbox.send('Order.paid', n)
    await settled()
    await this.outbox.pump()
  }

  /** How many deliveries stand in the table. */
  get stored(): number {
    return this.store.sql('SELECT 1 AS it FROM dotdo_deliveries').length
  }

  async timesOut(): Promise<void> {
    for (const then of this.timers.splice(0)) then()
    await this.outbox.pump()
  }
}

test('what was handled is taken off when its time has come, and is neither sent again nor counted until then', async () => {
  const it = new Sending()
  await it.send(1, 2)
  expect([it.stored, it.delivered.length]).toEqual([2, 0])
  expect(it.outbox.subscriptions()[0]).toMatchObject({ waiting: 0 })
  // The object is woken for it, should it be lost.
  expect(it.outbox.nextWakeMs()).toBeGreaterThan(it.clock.ms)
  await it.outbox.pump()
  const wakes = it.wakes
  await it.timesOut()
  expect(it.wakes).toBeGreaterThan(wakes)
  expect([it.stored, it.delivered.length, it.carried]).toEqual([0, 2, [[1, 2]]])
  expect(it.outbox.nextWakeMs()).toBeUndefined()
})

test('it goes with what is sent next, in the same turn', async () => {
  const it = new Sending()
  await it.send(1)
  it.outbox.send('Order.paid', 2)
  expect(it.stored).toBe(2)
  await settled()
  expect([it.stored, it.delivered.length, it.carried]).toEqual([1, 1, [[1]]])
  await it.outbox.pump()
  expect(it.carried).toEqual([[1], [2]])
})

test('what goes with a transaction that is undone is not undone with it', async () => {
  const it = new Sending()
  await it.send(1)
  const undone = () => {
    it.outbox.send('Order.paid', 2)
    throw new Error('undone')
  }
  expect(() => it.store.transaction(undone)).toThrow('undone')
  await settled()
  await it.outbox.pump()
  expect([it.stored, it.carried]).toEqual([0, [[1]]])
})

test('an object that is lost before sends it again', async () => {
  const it = new Sending()
  it.store.flush()
  await it.send(1, 2)
  it.store.flush()
  it.store.crash()
  const next = new Sending(it.store.reopen(), it.subscription)
  await next.outbox.pump()
  await next.timesOut()
  expect([next.carried, next.stored]).toEqual([[[1, 2]], 0])
})

test('a dead letter that is replayed meanwhile goes before what waits, and nothing goes twice', async () => {
  const it = new Sending()
  it.receipt = ({ events }) => ({
    failed: [[0, { name: 'Error', message: 'no', code: 'NEVER', retryable: false }]],
    open: events.slice(1).map((_, i) => i + 1),
  })
  await it.send(1)
  expect(it.outbox.deadLetters()).toHaveLength(1)
  it.receipt = () => ({})
  await it.send(2)
  it.outbox.replay(it.outbox.deadLetters()[0]!.id)
  it.outbox.send('Order.paid', 3)
  await it.outbox.pump()
  await it.outbox.pump()
  await it.timesOut()
  expect([it.carried, it.stored]).toEqual([[[1], [2], [1, 3]], 0])
})

test('a subscription that ends meanwhile leaves no dead letter of what was handled', async () => {
  const it = new Sending()
  it.receipt = ({ events }) => (events.length === 256 ? {} : { gone: true })
  await it.send(...Array.from({ length: 258 }, (_, i) => i))
  await it.outbox.pump()
  expect(it.stored).toBe(258)
  await it.outbox.pump()
  expect([it.delivered.length, it.stored]).toEqual([256, 0])
  expect(it.outbox.deadLetters().map(({ payload }) => payload.text)).toEqual(['257', '256'])
})

test('where storage fails it is taken off another time, and the pump says why', async () => {
  const it = new Sending()
  await it.send(1)
  it.store.sql("CREATE TRIGGER full BEFORE DELETE ON dotdo_deliveries BEGIN SELECT RAISE(ABORT, 'full'); END")
  it.outbox.send('Order.paid', 2)
  await settled()
  await expect(it.timesOut()).rejects.toThrow('full')
  it.store.sql('DROP TRIGGER full')
  await it.outbox.pump()
  await it.timesOut()
  expect([it.stored, it.carried]).toEqual([0, [[1], [2]]])
})

test('a backlog is carried without a write between its batches', async () => {
  const it = new Sending()
  const numbers = Array.from({ length: 600 }, (_, i) => i)
  await it.send(...numbers)
  await it.outbox.pump()
  await it.outbox.pump()
  expect(it.carried.map((batch) => batch.length)).toEqual([256, 256, 88])
  expect([it.stored, it.carried.flat()]).toEqual([600, numbers])
  await it.timesOut()
  expect(it.stored).toBe(0)
})
