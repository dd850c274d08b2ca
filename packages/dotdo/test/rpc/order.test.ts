/** Calls on one reference are made in the order in which they were written, whatever their arguments wait for. */
import fc from 'fast-check'
import { RpcTarget, type RpcStub } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { OrderGates, OrderSource } from '../../src/rpc/order.ts'
import { SeededRandom } from '../support/fakes.ts'
import { pair, turns, type Carry } from './pair.ts'

class Source extends RpcTarget {
  async slow(ms: number, value: unknown) {
    await turns(ms)
    return value
  }
  now(value: unknown) {
    return value
  }
  async fail(ms: number) {
    await turns(ms)
    throw new Error('the source failed')
  }
}

class Box extends RpcTarget {
  readonly #n: number
  constructor(n: number) {
    super()
    this.#n = n
  }
  get() {
    return this.#n
  }
}

class Log extends RpcTarget {
  entries: unknown[] = []
  note(value: unknown) {
    this.entries.push(value)
    return value
  }
  boxes() {
    return [new Box(0), new Box(1)]
  }
  keep(box: RpcStub<Box>) {
    return box.dup()
  }
  async later(ms: number, value: unknown) {
    await turns(ms)
    return value
  }
}

function open(carry?: Carry) {
  const log = new Log()
  const source = pair(new Source(), carry ? { carry } : {})
  const sink = pair(log, carry ? { carry } : {})
  const L = sink.link.root() as unknown as RpcStub<Log> & { later(ms: number, value: unknown): never; keep(box: unknown): RpcStub<Box> }
  const S = source.link.root() as unknown as {
    slow(ms: number, value: unknown): never
    now(value: unknown): never
    fail(ms: number): never
  }
  return { log, L, S, source, sink, leaks: () => source.server.openHandoffs + sink.server.openHandoffs }
}

describe('calls on one reference', () => {
  test('keep their places behind one that waits for another object', async () => {
    const { L, S, log, sink } = open()
    const all = [L.note('before'), L.note(S.slow(20, 'late')), L.note('after')]
    expect(await Promise.all(all)).toEqual(['before', 'late', 'after'])
    expect(log.entries).toEqual(['before', 'late', 'after'])
    expect(sink.stats.messages - sink.stats.polls).toBe(1)
  })
  test('are made behind one whose argument fails here, while another of its arguments is handed off', async () => {
    const { L, S, leaks } = open()
    const failed = Promise.reject(new Error('not here'))
    failed.catch(() => {})
    const [bad, after] = [L.note([failed, S.slow(1, 'handed')]), L.note('after')]
    await expect(Promise.resolve(bad)).rejects.toThrow('not here')
    expect(await after).toBe('after')
    await turns(20)
    expect(leaks()).toBe(0)
  })
  test('have their arguments’ capabilities still when it is their turn', async () => {
    const { L } = open()
    const [boxes, waits] = [L.boxes(), L.note(L.later(5, 'late'))]
    const kept = L.keep(boxes[1]!)
    expect(await kept.get()).toBe(1)
    expect(await waits).toBe('late')
  })
  test('keep their places behind one that waits for the same object', async () => {
    const { L, log } = open()
    await Promise.all([L.note(L.later(20, 'late')), L.note('after')])
    expect(log.entries).toEqual(['late', 'after'])
  })
  test('keep their places over turns, and alone in them', async () => {
    const { L, S, log } = open()
    const late = L.note(S.slow(50, 'late'))
    await turns(3)
    const after = L.note('after')
    await turns(3)
    const last = L.note('last')
    await Promise.all([late, after, last])
    expect(log.entries).toEqual(['late', 'after', 'last'])
  })
  test('go on when what one waits for never comes', async () => {
    const { L, S, log, leaks } = open()
    const [failed, after] = await Promise.allSettled([L.note(S.fail(10)), L.note('after')])
    expect(failed).toMatchObject({ status: 'rejected', reason: { message: 'the source failed' } })
    expect(after).toMatchObject({ value: 'after' })
    expect(log.entries).toEqual(['after'])
    await turns(10)
    expect(leaks()).toBe(0)
  })
  test('go on when the one before was lost with its message', async () => {
    let lost = false
    const { L, S, log } = open((message, send) => {
      if (lost || !('order' in message)) return send()
      lost = true
      return Promise.reject(new Error('Network connection lost.'))
    })
    await Promise.allSettled([L.note(S.slow(5, 'lost')), L.note('lost too')])
    expect(await L.note(S.slow(5, 'late'))).toBe('late')
    expect(await L.note('after')).toBe('after')
    expect(log.entries.slice(-2)).toEqual(['late', 'after'])
  })
  test('are answered apart: a quick one behind a slow one does not wait for its answer', async () => {
    const { L, S } = open()
    const slow = L.later(200, S.now('slow'))
    expect(await L.note('quick')).toBe('quick')
    expect(await slow).toBe('slow')
  })

  test('are made as they were written: any calls, any waits, any turns, over a network that delays', async () => {
    const call = fc.record({
      kind: fc.constantFrom('plain', 'handed', 'own', 'failing'),
      ms: fc.nat(6),
      newTurn: fc.boolean(),
      awaited: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 2, maxLength: 14 }), fc.integer(), async (calls, seed) => {
        const random = new SeededRandom(seed)
        const { L, S, log, leaks } = open(async (_, send) => {
          const reply = await send()
          await turns(random.below(4))
          return reply
        })
        const open_: Promise<unknown>[] = []
        for (const [i, { kind, ms, newTurn, awaited }] of calls.entries()) {
          if (newTurn) await turns(1)
          const argument = kind === 'plain' ? i : kind === 'handed' ? S.slow(ms, i) : kind === 'own' ? L.later(ms, i) : S.fail(ms)
          const made = Promise.resolve(L.note(argument as never)).then(
            () => {},
            () => {},
          )
          open_.push(made)
          if (awaited) await made
        }
        await Promise.all(open_)
        expect(log.entries).toEqual(calls.flatMap(({ kind }, i) => (kind === 'failing' ? [] : [i])))
        await turns(12)
        expect(leaks()).toBe(0)
      }),
      { numRuns: 120 },
    )
  })
})

describe('a gate', () => {
  test('gives turns by number, skips what was given up, and is forgotten when idle', async () => {
    const gates = new OrderGates()
    const made: number[] = []
    const giveUp = gates.expect({
      gate: 'g',
      calls: [
        [4, ['t']],
        [5, []],
        [6, []],
      ],
    })
    const make = (n: number) => Promise.resolve(gates.inTurn('g', n, () => made.push(n)))
    const six = make(6)
    const five = make(5)
    await turns(1)
    expect(made).toEqual([])
    gates.failed('t')
    await Promise.all([five, six])
    await turns(1)
    expect(made).toEqual([5, 6])
    giveUp()
    expect(gates.open).toBe(0)
  })
  test('numbers calls only while something is on its way', () => {
    const source = new OrderSource(() => 'g')
    expect(source.number([])).toBeUndefined()
    const arrived = source.setOut()
    expect(source.number(['t'])).toEqual({ gate: 'g', number: 0 })
    expect(source.number([])).toEqual({ gate: 'g', number: 1 })
    arrived()
    expect(source.number([])).toBeUndefined()
  })
})
