/** A result of one object as an argument of another: it goes from the one to the other, and never through the caller. */
import { RpcTarget, type RpcStub } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import { Handoffs } from '../../src/rpc/handoffs.ts'
import { pair, turns, type Carry } from './pair.ts'

class Ticker extends RpcTarget {
  ticks = 0
  tick() {
    return ++this.ticks
  }
}

class Source extends RpcTarget {
  extracts = 0
  ticker = new Ticker()
  async extract(rows: number) {
    this.extracts++
    await turns(2)
    return Array.from({ length: rows }, (_, n) => ({ n, text: 'x'.repeat(100) }))
  }
  async slow() {
    this.extracts++
    await new Promise(() => {})
    return [{ n: 1 }]
  }
  get size() {
    return 7
  }
  parts() {
    return { rows: [1, 2, 3], ticker: this.ticker }
  }
  capability() {
    return this.ticker
  }
  fail(): never {
    throw new DotdoError('SOURCE_BROKE', 'the source broke', { data: { part: 1 } })
  }
}

class Warehouse extends RpcTarget {
  log: string[] = []
  load(rows: { n: number }[]) {
    this.log.push(`load ${rows.length}`)
    return rows.length
  }
  sum(rows: { n: number }[], more: { n: number }[] = []) {
    return [...rows, ...more].reduce((sum, row) => sum + row.n, 0)
  }
  note(text: string) {
    this.log.push(text)
  }
  async use(ticker: RpcStub<Ticker>) {
    return [await ticker.tick(), await ticker.tick()]
  }
  values(values: unknown[]) {
    return values
  }
  twice(rows: { n: number }[]) {
    return rows.flatMap((row) => [row, row])
  }
}

interface World {
  sent: Record<'source' | 'warehouse', string[]>
}

function world(carry?: { source?: Carry; warehouse?: Carry }) {
  const sent: World['sent'] = { source: [], warehouse: [] }
  const watch =
    (name: 'source' | 'warehouse', inner?: Carry): Carry =>
    async (message, send) => {
      sent[name].push(JSON.stringify({ ...message, targets: undefined }))
      const reply = await (inner ? inner(message, send) : send())
      sent[name].push(JSON.stringify(reply))
      return reply
    }
  const source = new Source()
  const warehouse = new Warehouse()
  const at = {
    source: pair(source, { carry: watch('source', carry?.source) }),
    warehouse: pair(warehouse, { carry: watch('warehouse', carry?.warehouse) }),
  }
  // What the provider pushes goes by the same addresses; it is not the caller's link.
  return {
    source,
    warehouse,
    at,
    sent,
    S: at.source.link.root() as unknown as RpcStub<Source>,
    W: at.warehouse.link.root() as unknown as RpcStub<Warehouse>,
    leaks: () => at.source.server.openHandoffs + at.warehouse.server.openHandoffs,
  }
}
const failure = (promise: PromiseLike<unknown>) =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => error,
  )

describe('a result handed from one object to another', () => {
  test('arrives whole, in one message to each, and its bytes never come to the caller', async () => {
    const { S, W, at, source, leaks, sent } = world()
    expect(await W.load(S.extract(500) as never)).toBe(500)
    expect(source.extracts).toBe(1)
    expect(at.source.stats.messages - at.source.stats.polls).toBe(1)
    expect(at.warehouse.stats.messages - at.warehouse.stats.polls).toBe(1)
    expect(sent.source.join('').length).toBeLessThan(1500)
    expect(leaks()).toBe(0)
  })
  test('is made once, however many take it', async () => {
    const { S, W, source } = world()
    const other = world()
    const rows = S.extract(10)
    expect(await Promise.all([W.sum(rows as never), W.sum(rows as never, rows as never), other.W.load(rows as never)])).toEqual([
      45, 90, 10,
    ])
    expect(source.extracts).toBe(1)
  })
  test('can be a part of a result, stand deep in an argument, and be awaited too', async () => {
    const { S, W } = world()
    const parts = S.parts()
    expect(await W.values([{ a: [(parts as never as { rows: unknown }).rows] }, 2])).toEqual([{ a: [[1, 2, 3]] }, 2])
    expect((await parts).rows).toEqual([1, 2, 3])
  })
  test('can be a capability of the provider', async () => {
    const { S, W, source } = world()
    expect(await W.use(S.capability() as never)).toEqual([1, 2])
    expect(source.ticker.ticks).toBe(2)
  })
  test('that has come to the caller already is carried from there', async () => {
    const { S, W, source } = world()
    const rows = S.extract(2)
    await rows
    expect(await W.load(rows as never)).toBe(2)
    expect(source.extracts).toBe(1)
  })
  test('can be handed on in a chain', async () => {
    const a = world()
    const b = world()
    expect(await b.W.load(a.W.twice(a.S.extract(4) as never) as never)).toBe(8)
    expect(a.source.extracts).toBe(1)
  })
  test('can be a property, which is read once and can be awaited long after', async () => {
    const { S, W, at } = world()
    const size = S.size
    expect(await W.values([size as never, size as never])).toEqual([7, 7])
    await turns(20)
    expect(await size).toBe(7)
    expect(JSON.stringify(at.source.stats.calls)).toBe('2')
  })
  test('can be of an earlier turn, and of the same object', async () => {
    const { S, W } = world()
    const rows = S.extract(3)
    const kept = W.twice(rows as never)
    await turns(10)
    expect(await W.sum(kept as never)).toBe(6)
    expect(await W.sum(rows as never)).toBe(3)
  })
})

describe('an object given to another', () => {
  test('is called by it directly, and not through the caller', async () => {
    const { S, W, at } = world()
    const ticker = world()
    expect(await W.use(ticker.S as never).catch((error: Error) => error.message)).toContain('tick')
    class Clock extends RpcTarget {
      n = 0
      tick() {
        return ++this.n
      }
    }
    const clock = pair(new Clock())
    expect(await W.use(clock.link.root() as never)).toEqual([1, 2])
    // Its two calls went by a link of the warehouse's own.
    expect(clock.stats.messages).toBe(0)
    expect(at.warehouse.stats.messages - at.warehouse.stats.polls).toBeLessThanOrEqual(2)
    void S
  })
})

describe('a hand-off that fails', () => {
  test('gives the provider its own failure: the receiver is not called, and the caller is told', async () => {
    const { S, W, warehouse, leaks } = world()
    expect(await failure(W.load(S.fail() as never))).toMatchObject({ code: 'SOURCE_BROKE', data: { part: 1 } })
    expect(warehouse.log).toEqual([])
    expect(leaks()).toBe(0)
  })
  test('before it is given fails its call by its own error, at whichever object', async () => {
    const { S, W, warehouse } = world()
    const failed = S.fail()
    const told = await failure(failed)
    const calls = [W.load(failed as never), S.extract(failed as never), W.values([failed as never])]
    for (const call of calls) expect(await failure(call)).toMatchObject({ code: 'SOURCE_BROKE', message: (told as Error).message })
    expect(warehouse.log).toEqual([])
  })
  test('because the provider cannot be reached is HANDOFF_LOST, and may be tried again', async () => {
    const { S, W, warehouse } = world({ source: () => Promise.reject(new Error('Network connection lost.')) })
    expect(await failure(W.load(S.extract(1) as never))).toMatchObject({ code: 'HANDOFF_LOST', retryable: true })
    expect(warehouse.log).toEqual([])
  })
  test('because the provider is lost while it works is HANDOFF_LOST, and it is not asked again', async () => {
    const lost = Promise.withResolvers<never>()
    const { S, W, source, warehouse } = world({ source: (_, send) => Promise.race([send().then(() => lost.promise), lost.promise]) })
    // A turn that has a session.
    void S.capability().tick()
    const rows = S.slow()
    // Under way since an earlier turn.
    await turns(1)
    const loaded = failure(W.load(rows as never))
    await turns(5)
    lost.reject(new Error('Network connection lost.'))
    expect(await loaded).toMatchObject({ code: 'HANDOFF_LOST', retryable: true })
    expect(source.extracts).toBe(1)
    expect(warehouse.log).toEqual([])
  })
  test('because the receiver is gone fails the call and leaves nothing waiting for ever', async () => {
    const { S, W, source } = world({ warehouse: () => Promise.reject(new Error('Network connection lost.')) })
    expect(await failure(W.load(S.extract(1) as never))).toMatchObject({ code: 'OBJECT_UNREACHABLE' })
    await turns(20)
    expect(source.extracts).toBe(1)
  })
})

describe('results that wait', () => {
  const timers: (() => void)[] = []
  const timer = (_: number, then: () => void) => {
    timers.push(then)
    return () => void timers.splice(timers.indexOf(then), 1)
  }
  const never = new Promise<never>(() => {})

  test('meet whoever asks for them, in either order, once', async () => {
    const handoffs = new Handoffs(timer)
    handoffs.deliver('a', 1)
    expect(handoffs.accept('a', never)).toBe(1)
    const asked = handoffs.accept('b', never)
    handoffs.deliver('b', 2)
    expect(await asked).toBe(2)
    expect(handoffs.open).toBe(0)
    expect(timers).toEqual([])
  })
  test('are dropped when nobody asks within the lease, and say so afterwards', () => {
    const handoffs = new Handoffs(timer)
    handoffs.deliver('a', 1)
    for (const then of timers.splice(0)) then()
    expect(handoffs.open).toBe(0)
    expect(() => handoffs.accept('a', never)).toThrow(expect.objectContaining({ code: 'HANDOFF_LOST' }))
  })
  test('are bounded in number', () => {
    const handoffs = new Handoffs(timer, { handoffs: 2 })
    handoffs.deliver('a', 1)
    handoffs.deliver('b', 1)
    expect(() => handoffs.deliver('c', 1)).toThrow(
      expect.objectContaining({ code: 'LINK_LIMIT', data: expect.objectContaining({ limit: 'handoffs' }) }),
    )
  })
  test('have come once: what a provider says that did not hear of it is nobody’s', async () => {
    const handoffs = new Handoffs(timer)
    handoffs.deliver('a', 1)
    handoffs.accept('a', never)
    const asked = handoffs.accept('b', never)
    handoffs.deliver('b', 2)
    for (const ticket of ['a', 'b']) {
      handoffs.refuse(ticket, { name: 'Error', message: 'no answer came' })
      handoffs.deliver(ticket, 3)
    }
    expect([await asked, handoffs.open]).toEqual([2, 0])
  })
  test('are waited for no longer than the caller lives', async () => {
    const handoffs = new Handoffs(timer)
    const gone = Promise.withResolvers<never>()
    const asked = handoffs.accept('a', gone.promise) as Promise<unknown>
    gone.reject(new Error('the caller is gone'))
    await expect(asked).rejects.toThrow('gone')
    // What comes after that is nobody's, whether it is a result or the news that there is none.
    handoffs.deliver('a', 1)
    handoffs.refuse('a', { code: 'LATE', message: 'late' } as never)
    expect(handoffs.open).toBe(0)
  })
})
