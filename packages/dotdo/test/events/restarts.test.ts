import { describe, expect, test } from 'vitest'
import { Bench, gate, settled, thrown } from './harness.ts'

describe('over restarts and deploys', () => {
  test('an event goes to those who were declared when it was sent, not to those of a later deploy', async () => {
    const bench = new Bench()
    const log: string[] = []
    bench.outbox.subscribe('A.b', () => log.push('old'), { id: 'old' })
    bench.outbox.settle()
    bench.outbox.send('A.b', 1)
    const next = bench.restart()
    next.outbox.subscribe('A.*', () => log.push('new'), { id: 'new' })
    next.outbox.subscribe('A.b', () => log.push('old'), { id: 'old' })
    next.outbox.settle()
    await next.drain()
    expect(log).toEqual(['old'])
    next.outbox.send('A.b', 2)
    await next.drain()
    expect(log.toSorted()).toEqual(['new', 'old', 'old'])
  })
  test('what waits for a handler that a deploy took away is a dead letter, and a rollback can replay it', async () => {
    const bench = new Bench()
    const log: unknown[] = []
    bench.outbox.subscribe('A.b', (payload) => log.push(payload), { id: 'sink' })
    bench.outbox.settle()
    for (let i = 0; i < 3; i++) bench.outbox.send('A.b', i)
    const without = bench.restart({ batch: 2 })
    without.outbox.settle()
    expect(without.outbox.nextWakeMs()).toBe(bench.clock.ms)
    await without.outbox.pump()
    expect(without.outbox.nextWakeMs()).toBe(bench.clock.ms)
    await without.drain()
    const letters = without.outbox.deadLetters()
    expect(letters).toHaveLength(3)
    expect(letters[0]).toMatchObject({
      handler: 'sink',
      attempts: 0,
      error: { code: 'HANDLER_GONE', message: expect.stringContaining("'sink'") },
    })
    expect(thrown(() => without.outbox.replay(letters[0]!.id))).toMatchObject({ code: 'HANDLER_GONE' })
    const back = without.restart()
    back.outbox.subscribe('A.b', (payload) => log.push(payload), { id: 'sink' })
    back.outbox.settle()
    for (const letter of letters) back.outbox.replay(letter.id)
    await back.drain()
    expect(new Set(log)).toEqual(new Set([0, 1, 2]))
    expect(log).toHaveLength(3)
  })
  test('a handler that is unsubscribed gets nothing more; what waited for it is not dropped in silence', async () => {
    const bench = new Bench()
    const log: unknown[] = []
    const handle = bench.outbox.subscribe('A.b', (payload) => log.push(payload), { id: 'sink' })
    bench.outbox.settle()
    bench.outbox.send('A.b', 1)
    await bench.drain()
    bench.outbox.send('A.b', 2)
    handle.unsubscribe()
    handle.unsubscribe()
    bench.outbox.send('A.b', 3)
    await bench.drain()
    expect(log).toEqual([1])
    expect(bench.outbox.deadLetters()).toMatchObject([{ error: { code: 'HANDLER_GONE' }, payload: { text: '2' } }])
  })
  test('a delivery under way ends although its handler is unsubscribed meanwhile', async () => {
    const bench = new Bench()
    const it = gate()
    const handle = bench.outbox.subscribe('A.b', () => it.opened, { id: 'sink' })
    bench.outbox.settle()
    bench.outbox.send('A.b', 1)
    bench.outbox.send('A.b', 2)
    const pumped = bench.outbox.pump()
    handle.unsubscribe()
    await bench.outbox.pump()
    expect(bench.outbox.deadLetters()).toEqual([])
    it.open()
    await pumped
    await bench.drain()
    expect(bench.outbox.deadLetters()).toMatchObject([{ payload: { text: '2' } }])
    expect(bench.attempts).toHaveLength(1)
  })
  test('a handler declared late gets what is sent from then on', async () => {
    const bench = new Bench()
    const log: unknown[] = []
    bench.outbox.settle()
    bench.outbox.send('A.b', 1)
    bench.outbox.subscribe('A.b', (payload) => log.push(payload))
    bench.outbox.send('A.b', 2)
    await bench.drain()
    expect(log).toEqual([2])
  })
  test('a handler that stops the whole object is given up, and each try is on disk before it begins', async () => {
    let bench = new Bench()
    let begun = 0
    const declare = (): void => {
      bench.outbox.subscribe(
        'A.b',
        () => {
          begun++
          bench.store.crash()
          return new Promise(() => {})
        },
        { id: 'bomb', retries: { limit: 3 } },
      )
      bench.outbox.settle()
    }
    declare()
    bench.outbox.send('A.b', 1)
    bench.store.flush()
    for (let i = 0; i < 20 && bench.outbox.deadLetters().length === 0; i++) {
      void bench.outbox.pump()
      await settled()
      if (begun > 10) break
      bench = bench.restart()
      declare()
    }
    // One try that was not counted, in the incarnation that sent it; then limit + 1 that were.
    expect(begun).toBe(5)
    expect(bench.outbox.deadLetters()).toMatchObject([{ attempts: 4, error: { code: 'DELIVERY_INTERRUPTED' } }])
  })
  test('an event of this incarnation pays no sync of its own; one that was left by an earlier does', async () => {
    const bench = new Bench()
    bench.outbox.subscribe('A.b', () => 0)
    bench.outbox.settle()
    bench.outbox.send('A.b', 1)
    await bench.drain()
    expect(bench.syncs).toBe(0)
    bench.outbox.send('A.b', 2)
    const next = bench.restart()
    next.outbox.subscribe('A.b', () => 0)
    next.outbox.settle()
    next.outbox.send('A.b', 3)
    await next.drain()
    expect(next.syncs).toBe(1)
  })
  test('a payload that a later release wrote is a dead letter, not a lane that stands still', async () => {
    const bench = new Bench()
    const log: unknown[] = []
    bench.outbox.subscribe('A.b', (payload) => log.push(payload))
    bench.outbox.settle()
    bench.outbox.send('A.b', 1)
    bench.store.sql("UPDATE dotdo_outbox SET payload = 'z1'")
    bench.outbox.send('A.b', 2)
    await bench.drain()
    expect(log).toEqual([2])
    expect(bench.outbox.deadLetters()).toMatchObject([{ error: { code: 'STATE_TOO_NEW' } }])
  })
  test('a store that fails after the handler has worked fails the pump, and the delivery is made again', async () => {
    for (const ordered of [true, false]) {
      const bench = new Bench()
      const log: unknown[] = []
      const real = bench.store.sql.bind(bench.store)
      let broken = true
      bench.outbox.subscribe(
        'A.b',
        (payload) => {
          log.push(payload)
          if (broken)
            bench.store.sql = () => {
              throw new Error('disk full')
            }
        },
        { ordered },
      )
      bench.outbox.settle()
      bench.outbox.send('A.b', 1)
      await expect(bench.outbox.pump()).rejects.toThrow('disk full')
      bench.store.sql = real
      broken = false
      await bench.drain()
      expect(log).toEqual([1, 1])
    }
  })
  test('a clock that jumps back does not put a retry off by the jump', async () => {
    for (const ordered of [true, false]) {
      const bench = new Bench()
      let calls = 0
      bench.outbox.subscribe(
        'A.b',
        () => {
          if (calls++ === 0) throw new Error('not yet')
        },
        { ordered },
      )
      bench.outbox.settle()
      bench.outbox.send('A.b', 1)
      await bench.outbox.pump()
      bench.clock.ms -= 30 * 86_400_000
      expect(bench.outbox.nextWakeMs()! - bench.clock.ms).toBeLessThanOrEqual(3_600_000)
      await bench.outbox.pump()
      expect(calls).toBe(2)
    }
  })
})
