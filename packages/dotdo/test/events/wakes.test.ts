import { describe, expect, test } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import { Bench, gate, settled } from './harness.ts'

/** How often the adapter was told to look again while `work` ran. */
async function wakes(bench: Bench, work: () => unknown): Promise<number> {
  const before = bench.wakes
  await work()
  return bench.wakes - before
}

describe('wake', () => {
  test('tells of all that can make the next wake sooner, and of nothing else', async () => {
    const bench = new Bench()
    let down = true
    const fn = (): void => {
      if (down) throw new DotdoError('DOWN', 'down')
    }
    const handle = bench.outbox.subscribe('A.b', fn, { id: 'sink' })
    expect(await wakes(bench, () => bench.outbox.send('A.b', 'during init'))).toBe(1)
    expect(await wakes(bench, () => bench.outbox.settle())).toBe(1)
    expect(await wakes(bench, () => bench.outbox.pump())).toBe(1)
    expect(await wakes(bench, () => bench.outbox.send('A.b', 1))).toBe(1)
    expect(await wakes(bench, () => bench.outbox.send('A.heardByNobody', 1))).toBe(0)
    down = false
    await bench.drain()
    expect(await wakes(bench, () => bench.outbox.replay(bench.outbox.deadLetters()[0]!.id))).toBe(1)
    expect(await wakes(bench, () => handle.unsubscribe())).toBe(1)
    expect(bench.outbox.nextWakeMs()).toBe(bench.clock.ms)
    expect(bench.outbox.handlerOf('sink')).toBeUndefined()
    expect(await wakes(bench, () => bench.outbox.subscribe('A.b', fn, { id: 'sink' }))).toBe(1)
    expect(bench.outbox.handlerOf('sink')).toMatchObject({ pattern: 'A.b', fn, ordered: true })
    await bench.drain()
    expect(bench.outbox.deadLetters()).toEqual([])
  })
  test('an object with handlers and nothing waiting asks the store nothing', async () => {
    const bench = new Bench()
    for (let i = 0; i < 20; i++) bench.outbox.subscribe('A.b', () => 0)
    bench.outbox.settle()
    bench.outbox.send('A.b')
    await bench.drain()
    expect(bench.outbox.nextWakeMs()).toBeUndefined()
    const before = bench.store.statements
    expect(bench.outbox.nextWakeMs()).toBeUndefined()
    await bench.outbox.pump()
    expect(bench.store.statements).toBe(before)
  })
})

describe('whose turn it is', () => {
  test('with more lanes than may be served at once, none is served twice before all were served', async () => {
    const bench = new Bench({ limits: { atOnce: 2, batch: 1 } })
    const served: string[] = []
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) bench.outbox.subscribe('A.b', () => served.push(id), { id })
    bench.outbox.settle()
    for (let i = 0; i < 3; i++) bench.outbox.send('A.b', i)
    for (let i = 0; i < 9; i++) await bench.outbox.pump()
    for (let round = 0; round < 3; round++) {
      expect(served.slice(round * 6, round * 6 + 6).toSorted()).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
    }
    expect(served).toHaveLength(18)
  })
  test('in a lane without order a retry that is due is not starved by new events', async () => {
    const bench = new Bench({ limits: { batch: 1, atOnceUnordered: 1 } })
    const log: unknown[] = []
    let failures = 1
    bench.outbox.subscribe(
      'A.b',
      (payload) => {
        log.push(payload)
        if (payload === 'first' && failures-- > 0) throw new Error('not yet')
      },
      { ordered: false },
    )
    bench.outbox.settle()
    bench.outbox.send('A.b', 'first')
    await bench.outbox.pump()
    for (let i = 0; i < 10; i++) bench.outbox.send('A.b', i)
    await bench.outbox.pump()
    bench.clock.advance(2000)
    await bench.outbox.pump()
    expect(log).toEqual(['first', 0, 'first'])
  })
  test('what a handler sends is delivered like everything else, also to itself', async () => {
    const bench = new Bench()
    const log: unknown[] = []
    bench.outbox.subscribe('Count.down', (payload) => {
      log.push(payload)
      if (Number(payload) > 0) bench.outbox.send('Count.down', Number(payload) - 1)
    })
    bench.outbox.settle()
    bench.outbox.send('Count.down', 100)
    await bench.drain()
    expect(log).toEqual(Array.from({ length: 101 }, (_, i) => 100 - i))
  })
  test('a handler that unsubscribes itself takes the event under way and no other', async () => {
    const bench = new Bench()
    const it = gate()
    const log: unknown[] = []
    const handle = bench.outbox.subscribe('A.b', async (payload) => {
      log.push(payload)
      handle.unsubscribe()
      await it.opened
    })
    bench.outbox.settle()
    bench.outbox.send('A.b', 1)
    bench.outbox.send('A.b', 2)
    const pumped = bench.outbox.pump()
    await settled()
    it.open()
    await pumped
    await bench.drain()
    expect(log).toEqual([1])
    expect(bench.outbox.deadLetters()).toMatchObject([{ payload: { text: '2' }, error: { code: 'HANDLER_GONE' } }])
  })
})

test('a dead letter of a handler whose id has colons is found by its id', async () => {
  const bench = new Bench()
  bench.outbox.subscribe(
    'A.b',
    () => {
      throw new DotdoError('DOWN', 'down')
    },
    { id: 'mail:eu:finance' },
  )
  bench.outbox.settle()
  const id = bench.outbox.send('A.b')
  await bench.drain()
  expect(bench.outbox.deadLetters()).toMatchObject([{ id: `${id}:mail:eu:finance` }])
  bench.outbox.discard(`${id}:mail:eu:finance`)
  expect(bench.outbox.deadLetters()).toEqual([])
})

test('what waits is counted once in 1,024 sends, not at each', () => {
  const bench = new Bench()
  bench.outbox.subscribe('A.b', () => 0)
  bench.outbox.settle()
  let counts = 0
  const real = bench.store.sql.bind(bench.store)
  bench.store.sql = (statement, ...parameters) => {
    if (statement.startsWith('SELECT count(*)')) counts++
    return real(statement, ...parameters)
  }
  for (let i = 0; i < 2049; i++) bench.outbox.send('A.b', i)
  expect(counts).toBe(3)
})

test('while a delivery is under way the next wake is one to two minutes away, and moves once a minute', async () => {
  const bench = new Bench()
  const it = gate()
  bench.outbox.subscribe('A.b', () => it.opened)
  bench.outbox.settle()
  bench.outbox.send('A.b')
  const pumped = bench.outbox.pump()
  const asked = new Set<number>()
  for (let i = 0; i < 300; i++) {
    bench.clock.advance(1000)
    const ahead = bench.outbox.nextWakeMs()! - bench.clock.ms
    expect(ahead).toBeGreaterThanOrEqual(60_000)
    expect(ahead).toBeLessThan(120_000)
    asked.add(bench.outbox.nextWakeMs()!)
  }
  expect(asked.size).toBe(5)
  it.open()
  await pumped
})
