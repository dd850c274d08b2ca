import { describe, expect, test } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import { Bench, gate, settled, thrown } from './harness.ts'

describe('send', () => {
  test('returns an id at once, and the event reaches its handler with all that it carries', async () => {
    const bench = new Bench()
    const got: unknown[] = []
    bench.outbox.subscribe('Pipeline.completed', (payload, event) => got.push([payload, event]))
    bench.outbox.settle()
    const id = bench.outbox.send('Pipeline.completed', { records: 3, at: new Date(5) }, { key: 'night-1' })
    expect(id).toMatch(/^evt_[0-9a-z]{26}$/)
    expect(got).toEqual([])
    await bench.drain()
    const payload = { records: 3, at: new Date(5) }
    expect(got).toEqual([
      [payload, { id, type: 'Pipeline.completed', payload, sentAt: Date.UTC(2026, 0, 1), key: 'night-1', source: 'Pipeline/main' }],
    ])
    expect(bench.attempts).toEqual([{ runId: `event:${id}:Pipeline.completed#1`, number: 1 }])
  })
  test('each handler gets a payload of its own', async () => {
    const bench = new Bench()
    const got: unknown[] = []
    const greedy = (payload: unknown): void => {
      got.push((payload as string[]).splice(0))
    }
    bench.outbox.subscribe('A.b', greedy)
    bench.outbox.subscribe('A.*', greedy)
    bench.outbox.settle()
    bench.outbox.send('A.b', ['x'])
    await bench.drain()
    expect(got).toEqual([['x'], ['x']])
  })
  test('a second send with the same key returns the first id and sends nothing, while the first is kept', async () => {
    const bench = new Bench()
    const got: unknown[] = []
    bench.outbox.subscribe('A.b', (payload) => got.push(payload))
    bench.outbox.settle()
    const first = bench.outbox.send('A.b', 1, { key: 'k' })
    await bench.drain()
    expect(bench.outbox.send('A.b', 2, { key: 'k' })).toBe(first)
    const next = bench.restart()
    next.outbox.settle()
    expect(next.outbox.send('A.b', 3, { key: 'k' })).toBe(first)
    expect(got).toEqual([1])
    expect(next.outbox.nextWakeMs()).toBeUndefined()
  })
  test('a key that another type of event has is refused: returning its id would lose this event', () => {
    const bench = new Bench()
    bench.outbox.settle()
    bench.outbox.send('A.b', 1, { key: 'k' })
    expect(thrown(() => bench.outbox.send('A.c', 1, { key: 'k' }))).toMatchObject({ code: 'EVENT_KEY_REUSED', retryable: false })
    expect(thrown(() => bench.outbox.send('A.c', 1, { key: '' }))).toMatchObject({ code: 'INVALID_EVENT_KEY' })
    expect(thrown(() => bench.outbox.send('A.c', 1, { key: 'x'.repeat(257) }))).toMatchObject({ code: 'INVALID_EVENT_KEY' })
  })
  test('an event whose sender rolls back was never sent', async () => {
    const bench = new Bench()
    const got: unknown[] = []
    bench.outbox.subscribe('A.b', (payload) => got.push(payload))
    bench.outbox.settle()
    expect(() =>
      bench.store.transaction(() => {
        bench.outbox.send('A.b', 'lost', { key: 'k' })
        throw new Error('no')
      }),
    ).toThrow('no')
    bench.outbox.send('A.b', 'kept', { key: 'k' })
    await bench.drain()
    expect(got).toEqual(['kept'])
  })
  test('an event without a handler has ended at once', () => {
    const bench = new Bench()
    bench.outbox.settle()
    bench.outbox.send('A.b')
    expect(bench.outbox.nextWakeMs()).toBeUndefined()
    expect(bench.outbox.events()).toMatchObject([{ eventType: 'A.b', waiting: 0, dead: 0, endedAt: bench.clock.ms }])
  })
  test('sending is seen by an observer, with the payload as text', () => {
    const bench = new Bench()
    bench.outbox.settle()
    const eventId = bench.outbox.send('A.b', { city: 'Zürich' })
    expect(bench.seen).toEqual([{ type: 'event.sent', eventId, eventType: 'A.b', payload: { text: '{"city":"Zürich"}', sizeBytes: 18 } }])
    expect(bench.outbox.events()[0]!.payload).toEqual({ text: '{"city":"Zürich"}', sizeBytes: 18 })
    expect(bench.outbox.event(eventId)).toMatchObject({ id: eventId, payload: { city: 'Zürich' } })
    expect(bench.outbox.event('evt_none')).toBeUndefined()
  })
  test.each(['pipeline.completed', 'Pipeline', 'Pipeline.*', '*.failed', 'A.b.c', '', 'A.', '.b', 'A b.c'])(
    '%j is refused as a type',
    (type) => {
      const bench = new Bench()
      bench.outbox.settle()
      expect(thrown(() => bench.outbox.send(type))).toMatchObject({
        code: 'INVALID_EVENT_TYPE',
        message: expect.stringContaining('Pipeline.completed'),
      })
      expect(bench.outbox.events()).toEqual([])
    },
  )
})

describe('before settle', () => {
  test('events sent during init wait until all handlers are declared', async () => {
    const bench = new Bench()
    const got: unknown[] = []
    bench.outbox.send('A.b', 1)
    const before = bench.store.statements
    await bench.outbox.pump()
    expect(bench.store.statements).toBe(before)
    bench.outbox.subscribe('A.b', (payload) => got.push(payload))
    await bench.outbox.pump()
    expect(got).toEqual([])
    bench.outbox.settle()
    bench.outbox.settle()
    await bench.drain()
    expect(got).toEqual([1])
  })
  test('the object stays awake for what waits, even when init fails again and again', async () => {
    const bench = new Bench()
    expect(bench.outbox.nextWakeMs()).toBeUndefined()
    bench.outbox.send('A.b', 1)
    expect(bench.outbox.nextWakeMs()).toBe(bench.clock.ms + 60_000)
    const next = bench.restart()
    expect(next.outbox.nextWakeMs()).toBe(bench.clock.ms + 60_000)
    next.outbox.subscribe('A.b', () => 0)
    next.outbox.settle()
    const third = next.restart()
    expect(third.outbox.nextWakeMs()).toBe(bench.clock.ms + 60_000)
  })
})

describe('order', () => {
  test('a handler gets events in the order they were sent, and one that fails holds the rest', async () => {
    const bench = new Bench()
    const log: string[] = []
    let failures = 2
    bench.outbox.subscribe('A.*', (payload) => {
      log.push(`a${String(payload)}`)
      if (payload === 2 && failures-- > 0) throw new Error('not yet')
    })
    bench.outbox.subscribe('A.b', (payload) => log.push(`b${String(payload)}`))
    bench.outbox.settle()
    for (const n of [1, 2, 3]) bench.outbox.send('A.b', n)
    await bench.outbox.pump()
    expect(log.filter((it) => it.startsWith('a'))).toEqual(['a1', 'a2'])
    expect(log.filter((it) => it.startsWith('b'))).toEqual(['b1', 'b2', 'b3'])
    const wake = bench.outbox.nextWakeMs()!
    expect(wake - bench.clock.ms).toBeGreaterThanOrEqual(1000)
    expect(wake - bench.clock.ms).toBeLessThanOrEqual(1200)
    await bench.drain()
    expect(log.filter((it) => it.startsWith('a'))).toEqual(['a1', 'a2', 'a2', 'a2', 'a3'])
  })
  test('a handler that opts out is held by none, and takes several at once', async () => {
    const bench = new Bench({ limits: { atOnceUnordered: 3 } })
    const log: unknown[] = []
    const gates = [1, 2, 3, 4].map(() => gate())
    let failures = 1
    bench.outbox.subscribe(
      'A.b',
      async (payload) => {
        log.push(payload)
        if (payload === 0 && failures-- > 0) throw new Error('not yet')
        await gates[Number(payload)]?.opened
      },
      { ordered: false },
    )
    bench.outbox.settle()
    for (const n of [0, 1, 2, 3]) bench.outbox.send('A.b', n)
    const pumped = bench.outbox.pump()
    await settled()
    expect(log).toEqual([0, 1, 2, 3])
    bench.clock.advance(2000)
    for (const it of gates) it.open()
    await pumped
    await bench.drain()
    expect(log).toEqual([0, 1, 2, 3, 0])
  })
  test('no more deliveries are under way than the object and the lane may have, and every lane gets its turn', async () => {
    const bench = new Bench({ limits: { atOnce: 4, atOnceUnordered: 3 } })
    const open: { id: string; open: () => void }[] = []
    let most = 0
    let under = 0
    const take = async (_: unknown, event: { id: string }): Promise<void> => {
      most = Math.max(most, ++under)
      const it = gate()
      open.push({ id: event.id, open: it.open })
      await it.opened
      under--
    }
    for (let i = 0; i < 6; i++) bench.outbox.subscribe('A.b', take, { id: `ordered-${i}` })
    bench.outbox.subscribe('A.b', take, { id: 'free', ordered: false })
    bench.outbox.settle()
    for (let i = 0; i < 5; i++) bench.outbox.send('A.b', i)
    const pumps: Promise<void>[] = []
    for (let i = 0; i < 200 && bench.outbox.nextWakeMs() !== undefined; i++) {
      pumps.push(bench.outbox.pump())
      await settled()
      open.shift()?.open()
      await settled()
    }
    await Promise.all(pumps)
    expect(most).toBe(4)
    expect(bench.attempts).toHaveLength(35)
    expect(bench.outbox.events().every((event) => event.endedAt !== undefined)).toBe(true)
  })
  test('a handler that hangs holds its own lane and no other', async () => {
    const bench = new Bench({ limits: { batch: 2 } })
    const hang = gate()
    const got: unknown[] = []
    bench.outbox.subscribe('A.b', () => hang.opened, { id: 'hangs' })
    bench.outbox.subscribe('A.b', (payload) => got.push(payload), { id: 'works' })
    bench.outbox.settle()
    for (let i = 0; i < 5; i++) bench.outbox.send('A.b', i)
    const first = bench.outbox.pump()
    await settled()
    expect(got).toEqual([0, 1])
    expect(bench.outbox.nextWakeMs()).toBe(0)
    await bench.outbox.pump()
    await bench.outbox.pump()
    expect(got).toEqual([0, 1, 2, 3, 4])
    // Nothing to do now, but a look a minute from now, should the object be lost.
    expect(bench.outbox.nextWakeMs()).toBe(bench.clock.ms + 60_000)
    hang.open()
    await first
    await bench.drain()
    expect(bench.outbox.events()[0]).toMatchObject({ waiting: 0, endedAt: expect.any(Number) })
  })
})

describe('retries and dead letters', () => {
  test('a handler that throws for ever gives up after its bound, and the next event has its turn', async () => {
    const bench = new Bench()
    const log: unknown[] = []
    bench.outbox.subscribe(
      'A.b',
      (payload) => {
        log.push(payload)
        if (payload === 1) throw new DotdoError('SINK_DOWN', 'the sink is down', { retryable: true, data: { sink: 's' } })
      },
      { id: 'sink', retries: { limit: 3, delay: '10s', backoff: 'constant' } },
    )
    bench.outbox.settle()
    const id = bench.outbox.send('A.b', 1)
    bench.outbox.send('A.b', 2)
    const start = bench.clock.ms
    await bench.drain()
    expect(log).toEqual([1, 1, 1, 1, 2])
    expect(bench.attempts.map((it) => it.number)).toEqual([1, 2, 3, 4, 1])
    expect(bench.clock.ms - start).toBeGreaterThanOrEqual(30_000)
    expect(bench.clock.ms - start).toBeLessThanOrEqual(36_000)
    expect(bench.outbox.deadLetters()).toEqual([
      {
        id: `${id}:sink`,
        eventId: id,
        eventType: 'A.b',
        handler: 'sink',
        attempts: 4,
        sentAt: start,
        diedAt: bench.clock.ms,
        error: { name: 'DotdoError', message: 'the sink is down', code: 'SINK_DOWN', retryable: true, data: { sink: 's' } },
        payload: { text: '1', sizeBytes: 1 },
      },
    ])
    expect(bench.seen.filter((it) => it.type !== 'event.sent').map((it) => it.type)).toEqual(['event.dead', 'event.delivered'])
    expect(bench.outbox.events().find((it) => it.eventId === id)).toMatchObject({ waiting: 0, dead: 1 })
    expect(bench.outbox.events().find((it) => it.eventId === id)).not.toHaveProperty('endedAt')
  })
  test('left alone, retries give up after 11 attempts in 17 to 21 minutes', async () => {
    const bench = new Bench()
    bench.outbox.subscribe('A.b', () => Promise.reject(new Error('no')))
    bench.outbox.settle()
    bench.outbox.send('A.b')
    const start = bench.clock.ms
    await bench.drain()
    expect(bench.attempts).toHaveLength(11)
    expect(bench.clock.ms - start).toBeGreaterThanOrEqual(17 * 60_000)
    expect(bench.clock.ms - start).toBeLessThanOrEqual(21 * 60_000)
  })
  test('an error that says it is terminal is not tried again', async () => {
    const bench = new Bench()
    bench.outbox.subscribe('A.b', () => {
      throw new DotdoError('NEVER', 'never')
    })
    bench.outbox.settle()
    bench.outbox.send('A.b')
    await bench.drain()
    expect(bench.outbox.deadLetters()).toMatchObject([{ attempts: 1, error: { code: 'NEVER' } }])
  })
  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['an object without a text', Object.create(null)],
    ['data that cannot be stored', new DotdoError('X', 'x', { data: { f: () => 1 } })],
    ['a book', new DotdoError('X', 'x'.repeat(1e6), { data: { all: 'y'.repeat(1e6) } })],
    [
      'accessors that throw',
      {
        name: 'E',
        get message() {
          throw new Error('gotcha')
        },
      },
    ],
  ])('a handler that throws %s leaves a dead letter of bounded size', async (_, value) => {
    const bench = new Bench()
    bench.outbox.subscribe(
      'A.b',
      () => {
        throw value
      },
      { retries: { limit: 0 } },
    )
    bench.outbox.settle()
    bench.outbox.send('A.b')
    await bench.drain()
    const letters = bench.outbox.deadLetters()
    expect(letters).toHaveLength(1)
    expect(JSON.stringify(letters).length).toBeLessThan(70_000)
  })
  test('a replayed event goes to its handler again, under the same run id, before what waits there', async () => {
    const bench = new Bench()
    const log: unknown[] = []
    let down = true
    bench.outbox.subscribe(
      'A.b',
      (payload) => {
        log.push(payload)
        if (down) throw new DotdoError('DOWN', 'down')
      },
      { id: 'sink' },
    )
    bench.outbox.settle()
    bench.outbox.send('A.b', 1)
    await bench.drain()
    down = false
    bench.outbox.send('A.b', 2)
    const [letter] = bench.outbox.deadLetters()
    bench.outbox.replay(letter!.id)
    expect(bench.outbox.deadLetters()).toEqual([])
    await bench.drain()
    expect(log).toEqual([1, 1, 2])
    expect(bench.attempts[1]).toEqual({ runId: bench.attempts[0]!.runId, number: 1 })
    expect(bench.outbox.events().map((it) => it.endedAt)).toEqual([bench.clock.ms, bench.clock.ms])
    expect(thrown(() => bench.outbox.replay(letter!.id))).toMatchObject({ code: 'DEAD_LETTER_UNKNOWN' })
  })
  test('a discarded dead letter is gone, and its event has ended', async () => {
    const bench = new Bench()
    bench.outbox.subscribe('A.b', () => {
      throw new DotdoError('DOWN', 'down')
    })
    bench.outbox.settle()
    bench.outbox.send('A.b', 1)
    await bench.drain()
    bench.outbox.discard(bench.outbox.deadLetters()[0]!.id)
    expect(bench.outbox.deadLetters()).toEqual([])
    expect(bench.outbox.events()).toMatchObject([{ waiting: 0, dead: 0, endedAt: bench.clock.ms }])
    expect(thrown(() => bench.outbox.discard('evt_x:y'))).toMatchObject({ code: 'DEAD_LETTER_UNKNOWN' })
    expect(thrown(() => bench.outbox.discard('nonsense'))).toMatchObject({ code: 'DEAD_LETTER_UNKNOWN' })
  })
  test('dead letters can be listed for one handler, the latest first, up to a limit', async () => {
    const bench = new Bench()
    for (const id of ['a', 'b'])
      bench.outbox.subscribe(
        'A.b',
        () => {
          throw new DotdoError('DOWN', 'down')
        },
        { id },
      )
    bench.outbox.settle()
    for (const n of [1, 2, 3]) {
      bench.outbox.send('A.b', n)
      await bench.drain()
      bench.clock.advance(1)
    }
    expect(bench.outbox.deadLetters()).toHaveLength(6)
    expect(bench.outbox.deadLetters({ handler: 'b', limit: 2 }).map((it) => [it.handler, it.payload.text])).toEqual([
      ['b', '3'],
      ['b', '2'],
    ])
  })
})
