import { describe, expect, test } from 'vitest'
import { createHash } from 'node:crypto'
import { DotdoError } from '../../src/base/errors.ts'
import { outboxMigrations } from '../../src/events/tables.ts'
import { subscriptionMigrations } from '../../src/events/subscription-tables.ts'
import { Outbox } from '../../src/events/outbox.ts'
import { Bench } from './harness.ts'

const dayMs = 86_400_000

describe('the tables', () => {
  test('the definitions are those that were released: a change is a new version', () => {
    const hashes = outboxMigrations.map((statements) => createHash('sha256').update(JSON.stringify(statements)).digest('hex'))
    expect(hashes).toEqual([
      '5a9e011b5c6d9ec7349eb85bbdf2823f47fd4b13b3d4c4c1c07fa579a1f045a4',
      '642f25f5191cdc2ead1e0a4e2a268bbf32aa61a269e07439d58b6796c1e1e086',
      '050cf7e4028f71c646ae349fee6477a98575eb95624420ed3f12257e9367f731',
    ])
    const others = subscriptionMigrations.map((statements) => createHash('sha256').update(JSON.stringify(statements)).digest('hex'))
    expect(others).toEqual([
      'cd1648cca9e12ddfc92016930572a127c2486157aa18a1d445848f3d0e557230',
      'a09bd61291926d7e15d41ed5c837818bfcae597e1ca89c8ba7895a52f11fabfe',
      '434357193c1a89f03e4ab407fe2aaf540b17e8d95e9828635b04cd078377d404',
      '712bd9a7d13dc6198b76eebd0e257625f05d30bb330f9af79955a8bfdd3b63bb',
    ])
  })
  test('tables of a later release are refused', () => {
    const bench = new Bench()
    bench.store.sql("UPDATE dotdo_versions SET version = 99 WHERE room = 'events'")
    expect(() => bench.restart()).toThrow(expect.objectContaining({ code: 'STATE_TOO_NEW' }))
  })
  test('a send with one handler is one insert, and its delivery one delete and one update', async () => {
    const bench = new Bench()
    bench.outbox.subscribe('A.b', () => 0)
    bench.outbox.settle()
    const writes: string[] = []
    const real = bench.store.sql.bind(bench.store)
    bench.store.sql = (statement, ...parameters) => {
      if (/^(INSERT|UPDATE dotdo_outbox|DELETE FROM dotdo_deliveries)/.test(statement)) writes.push(statement.split(' ', 3).join(' '))
      return real(statement, ...parameters)
    }
    bench.outbox.send('A.b', 1)
    await bench.drain()
    expect(writes).toEqual(['INSERT INTO dotdo_sends', 'DELETE FROM dotdo_deliveries', 'UPDATE dotdo_outbox SET'])
  })
  test('a backlog of retries in a lane without order is not walked through for each event', async () => {
    const bench = new Bench({ limits: { batch: 1000, waitingDeliveries: 1e6 } })
    let calls = 0
    bench.outbox.subscribe(
      'A.b',
      () => {
        calls++
        throw new Error('down')
      },
      { ordered: false },
    )
    bench.outbox.settle()
    for (let i = 0; i < 500; i++) bench.outbox.send('A.b', i)
    await bench.outbox.pump()
    expect(calls).toBe(500)
    const plan = bench.store
      .sql("EXPLAIN QUERY PLAN SELECT seq FROM dotdo_deliveries WHERE handler = 'x' AND seq > 7 AND due_at = 0 ORDER BY seq LIMIT 1")
      .map((row) => row.detail)
    expect(plan.join()).toContain('PRIMARY KEY (handler=? AND seq>?)')
    const waits = bench.store
      .sql("EXPLAIN QUERY PLAN SELECT seq FROM dotdo_deliveries WHERE handler = 'x' AND due_at > 0 ORDER BY due_at LIMIT 1")
      .map((row) => row.detail)
    expect(waits.join()).toContain('dotdo_deliveries_due')
  })
})

describe('what is kept has an end', () => {
  const limits = { keepEventsMs: dayMs, keepKeysMs: 7 * dayMs, keepDeadLettersMs: 30 * dayMs }
  const life = async (more = {}): Promise<Bench> => {
    const bench = new Bench({ limits: { ...limits, ...more } })
    bench.outbox.subscribe(
      'A.fails',
      () => {
        throw new DotdoError('DOWN', 'down')
      },
      { id: 'sink' },
    )
    bench.outbox.subscribe(
      'A.waits',
      () => {
        throw new Error('later')
      },
      { id: 'later', retries: { limit: 100, delay: '1h', backoff: 'constant' } },
    )
    bench.outbox.settle()
    bench.outbox.send('A.plain', 'plain')
    bench.outbox.send('A.keyed', 'keyed', { key: 'k' })
    bench.outbox.send('A.fails', 'fails')
    bench.outbox.send('A.waits', 'waits')
    await bench.outbox.pump()
    return bench
  }
  const kept = (bench: Bench): string[] =>
    bench.outbox
      .events()
      .map((it) => it.eventType.slice(2))
      .toReversed()

  test('ended events go after a day, keyed ones after seven, dead letters after thirty; what waits never goes', async () => {
    const bench = await life()
    expect(bench.outbox.prune()).toEqual({ events: 0, deadLetters: 0, more: false })
    bench.clock.advance(dayMs)
    expect(bench.outbox.prune()).toEqual({ events: 1, deadLetters: 0, more: false })
    expect(kept(bench)).toEqual(['keyed', 'fails', 'waits'])
    const first = bench.outbox.send('A.keyed', 'again', { key: 'k' })
    bench.clock.advance(6 * dayMs)
    expect(bench.outbox.prune()).toMatchObject({ events: 1 })
    expect(kept(bench)).toEqual(['fails', 'waits'])
    expect(bench.outbox.send('A.keyed', 'new', { key: 'k' })).not.toBe(first)
    bench.clock.advance(23 * dayMs)
    expect(bench.outbox.prune()).toMatchObject({ deadLetters: 1 })
    expect(bench.outbox.deadLetters()).toEqual([])
    bench.clock.advance(100 * dayMs)
    bench.outbox.prune()
    expect(kept(bench)).toEqual(['waits'])
  })
  test('an event is not taken while one of its handlers has it as a dead letter, however old', async () => {
    const bench = await life()
    bench.clock.advance(29 * dayMs)
    bench.outbox.prune()
    const [letter] = bench.outbox.deadLetters()
    expect(letter).toMatchObject({ payload: { text: '"fails"' } })
    bench.outbox.replay(letter!.id)
    bench.outbox.prune()
    await bench.outbox.pump()
    expect(bench.outbox.deadLetters()).toHaveLength(1)
  })
  test('only the newest are kept when there are many, and one prune takes a bounded number', async () => {
    const bench = await life({ keepEvents: 100, keepDeadLetters: 10 })
    for (let i = 0; i < 1200; i++) {
      bench.clock.advance(1)
      bench.outbox.send('A.plain', i)
    }
    expect(bench.outbox.prune()).toEqual({ events: 500, deadLetters: 0, more: true })
    expect(bench.outbox.prune()).toEqual({ events: 500, deadLetters: 0, more: true })
    expect(bench.outbox.prune()).toEqual({ events: 101, deadLetters: 0, more: false })
    expect(bench.outbox.prune()).toEqual({ events: 0, deadLetters: 0, more: false })
    expect(bench.outbox.events({ limit: 2 }).map((it) => it.payload.text)).toEqual(['1199', '1198'])
    for (let i = 0; i < 20; i++) {
      bench.clock.advance(1)
      bench.outbox.send('A.fails', i)
      await bench.outbox.pump()
    }
    expect(bench.outbox.prune()).toMatchObject({ deadLetters: 11 })
    expect(bench.outbox.deadLetters().map((it) => it.payload.text)).toEqual(['19', '18', '17', '16', '15', '14', '13', '12', '11', '10'])
  })
})

describe('a full outbox', () => {
  test('refuses to take more, by name and for now, and loses nothing of what it has', async () => {
    const bench = new Bench({ limits: { waitingDeliveries: 2000 } })
    let down = true
    const got: unknown[] = []
    bench.outbox.subscribe('A.b', (payload) => {
      if (down) throw new Error('down')
      got.push(payload)
    })
    bench.outbox.settle()
    let sent = 0
    const flood = (): void => {
      for (let i = 0; i < 5000; i++) {
        bench.outbox.send('A.b', sent)
        sent++
      }
    }
    expect(flood).toThrow(
      expect.objectContaining({
        code: 'OUTBOX_FULL',
        retryable: true,
        data: { source: 'Pipeline/main', waiting: 2000, retryAfterMs: 1000 },
      }),
    )
    expect(sent).toBeGreaterThanOrEqual(2000)
    expect(sent).toBeLessThanOrEqual(2000 + 1024)
    const before = bench.store.statements
    for (let i = 0; i < 100; i++) expect(flood).toThrow()
    expect(bench.store.statements).toBe(before)
    // A restart does not open the door.
    const next = bench.restart({ waitingDeliveries: 2000 })
    next.outbox.subscribe('A.b', (payload) => got.push(payload))
    next.outbox.settle()
    expect(() => next.outbox.send('A.b', 0)).toThrow(expect.objectContaining({ code: 'OUTBOX_FULL' }))
    down = false
    await next.drain()
    expect(got).toEqual(Array.from({ length: sent }, (_, i) => i))
    next.clock.advance(1000)
    expect(next.outbox.send('A.b', 0)).toMatch(/^evt_/)
  })
})

test('an outbox makes no timer, promise or statement of its own while idle', async () => {
  const bench = new Bench()
  bench.outbox.settle()
  await bench.outbox.pump()
  const before = bench.store.statements
  await bench.outbox.pump()
  expect(bench.outbox.nextWakeMs()).toBeUndefined()
  expect(bench.store.statements).toBe(before)
  expect(bench.outbox).toBeInstanceOf(Outbox)
})
