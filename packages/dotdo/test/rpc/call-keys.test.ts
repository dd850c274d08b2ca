/** Calls by key: once each, whatever is repeated, lost, forgotten or crashed in between. */
import { RpcTarget } from 'capnweb'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import { CallKeys, type CallKeyLimits } from '../../src/rpc/call-keys.ts'
import { readChain, runChain } from '../../src/rpc/chain.ts'
import { weigh } from '../../src/rpc/weight.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

class Capability extends RpcTarget {}

/** An object with call keys, whose incarnations can be ended. */
function object(limits: Partial<CallKeyLimits> = {}) {
  let store = new SqliteStore()
  const clock = { ms: 1_000_000, now: () => clock.ms }
  store.sql('CREATE TABLE effects (key TEXT)')
  let keys = new CallKeys(store, clock, limits)
  store.flush()
  return {
    clock,
    get store() {
      return store
    },
    /** Sends a call that writes one row of its own and answers with what `outcome` gives. */
    send: (key: string, outcome: () => unknown = () => `answer of ${key}`, ageMs?: number) =>
      keys.run(key, ageMs, async () => {
        store.sql('INSERT INTO effects (key) VALUES (?)', key)
        return await outcome()
      }),
    effects: (key: string) => Number(store.sql('SELECT count(*) AS n FROM effects WHERE key = ?', key)[0]!['n']),
    rows: () => Number(store.sql('SELECT count(*) AS n FROM dotdo_calls')[0]!['n']),
    restart() {
      store.crash()
      store = store.reopen()
      keys = new CallKeys(store, clock, limits)
    },
  }
}

const code = (call: PromiseLike<unknown>) =>
  Promise.resolve(call).then(
    (value) => ({ answered: value }),
    (error: unknown) => (error as DotdoError).code,
  )

describe('a call that is sent again', () => {
  test('is answered from what was kept, and its work does not run again', async () => {
    const it = object()
    const value = { at: new Date(5), bytes: Uint8Array.of(1), list: [undefined, 2n, NaN] }
    expect(await it.send('a', () => value)).toBe(value)
    expect(await it.send('a', () => 'another', 10)).toEqual(value)
    expect(it.effects('a')).toBe(1)
  })

  test('fails as it failed, with code, message and data', async () => {
    const it = object()
    const fail = () => Promise.reject(new DotdoError('BROKE', 'It broke. Mend it.', { data: { n: 1 }, retryable: true }))
    await expect(it.send('a', fail)).rejects.toMatchObject({ code: 'BROKE' })
    await expect(it.send('a', () => 'fine', 1)).rejects.toMatchObject({
      code: 'BROKE',
      message: 'It broke. Mend it.',
      data: { n: 1 },
      retryable: true,
    })
    expect(it.effects('a')).toBe(1)
  })

  test.each([1, 100])('and does not say that it was, is answered from what was kept as well, with room for %i', async (keys) => {
    const it = object({ keys })
    await it.send('a')
    expect(await it.send('a', () => 'another')).toBe('answer of a')
    expect(it.effects('a')).toBe(1)
    expect(it.rows()).toBe(1)
  })

  test('while it is under way joins it', async () => {
    const it = object()
    const end = Promise.withResolvers<string>()
    const calls = [it.send('a', () => end.promise), it.send('a', () => 'again', 1), it.send('a', () => 'and again', 2)]
    end.resolve('once')
    expect(await Promise.all(calls)).toEqual(['once', 'once', 'once'])
    expect(it.effects('a')).toBe(1)
  })

  test('after a restart is answered from what was kept', async () => {
    const it = object()
    await it.send('a')
    it.store.flush()
    it.restart()
    expect(await it.send('a', () => 'another', 5)).toBe('answer of a')
    expect(it.effects('a')).toBe(1)
  })

  test('whose turn was not committed runs, for the first time', async () => {
    const it = object()
    void it.send('a').catch(() => {})
    it.restart()
    expect(await it.send('a', undefined, 5)).toBe('answer of a')
    expect(it.effects('a')).toBe(1)
  })

  test('after a restart in its middle is refused for good', async () => {
    const it = object()
    void it.send('a', () => new Promise(() => {}))
    it.store.flush()
    it.restart()
    expect(await code(it.send('a', undefined, 5))).toBe('CALL_INTERRUPTED')
    expect(await code(it.send('a', undefined, 6))).toBe('CALL_INTERRUPTED')
    expect(it.effects('a')).toBe(1)
  })

  test.each([
    ['is too large', () => 'x'.repeat(300_000), 'size'],
    ['holds capabilities', () => ({ stage: new Capability() }), 'form'],
    ['is a function', () => () => 1, 'form'],
  ])('and whose result %s is told that it took effect, and not run', async (_, value, reason) => {
    const it = object()
    const first = await it.send('a', value)
    expect(typeof first).toBe(typeof value())
    await expect(it.send('a', value, 1)).rejects.toMatchObject({ code: 'RESULT_NOT_KEPT', retryable: false, data: { reason } })
    expect(it.effects('a')).toBe(1)
  })

  test('keeps what it can of an error that cannot be stored as it is', async () => {
    const it = object()
    for (const data of [{ big: 'x'.repeat(3_000_000) }, { fn: () => 1 }]) {
      const key = `of ${Object.keys(data)[0]}`
      await code(it.send(key, () => Promise.reject(new DotdoError('BROKE', 'y'.repeat(10), { data }))))
      await expect(it.send(key, undefined, 1)).rejects.toMatchObject({ code: 'BROKE', message: 'y'.repeat(10) })
    }
  })
})

test('a call that comes for the first time costs its row and how it ended, and now and then a look for what is too old', async () => {
  const it = object({ keepMs: 1000 })
  await it.send('first')
  const sql = vi.spyOn(it.store, 'sql')
  let sent = 0
  const costs = async () => {
    sql.mockClear()
    await it.send(`call ${sent++}`)
    return sql.mock.calls.map(([text]) => /\w+/.exec(text)![0]).join(' ')
  }
  // The effect itself stands between them.
  expect([await costs(), await costs()]).toEqual(['INSERT INSERT UPDATE', 'INSERT INSERT UPDATE'])
  it.clock.ms += 1100
  expect(await costs()).toContain('DELETE')
})

describe('what is kept', () => {
  test('goes after its time, and a repeat that comes later than that is refused, not run', async () => {
    const it = object({ keepMs: 1000, transitMs: 100 })
    await it.send('old')
    it.clock.ms += 2000
    await it.send('new')
    expect(it.rows()).toBe(1)
    expect(await code(it.send('old', undefined, 2000))).toBe('CALL_INTERRUPTED')
    expect(it.effects('old')).toBe(1)
    // Another of that age, which never arrived: nobody can tell it apart.
    expect(await code(it.send('never arrived', undefined, 2000))).toBe('CALL_INTERRUPTED')
    // One that was sent after the last row that went.
    expect(await it.send('lost on its way', undefined, 500)).toBe('answer of lost on its way')
  })

  test('is bounded in number: what ended first goes first', async () => {
    const it = object({ keys: 10, transitMs: 0 })
    for (let i = 0; i < 100; i++) {
      it.clock.ms++
      await it.send(`k${i}`)
      expect(it.rows()).toBeLessThanOrEqual(10)
    }
    expect(await it.send('k99', undefined, 1)).toBe('answer of k99')
    expect(await code(it.send('k1', undefined, 98))).toBe('CALL_INTERRUPTED')
  })

  test('is bounded in size: the results that were stored first are let go, and that their calls took effect is known', async () => {
    const it = object({ allResultChars: 1000 })
    for (let i = 0; i < 10; i++) await it.send(`k${i}`, () => 'x'.repeat(300))
    expect(await it.send('k9', undefined, 1)).toBe('x'.repeat(300))
    expect(await code(it.send('k0', undefined, 1))).toBe('RESULT_NOT_KEPT')
    expect(Number(it.store.sql('SELECT sum(chars) AS n FROM dotdo_calls')[0]!['n'])).toBeLessThanOrEqual(1000)
    expect(it.effects('k0')).toBe(1)
  })

  test('never loses a call that is under way, and refuses one more than can be kept', async () => {
    const it = object({ keys: 3, keepMs: 10 })
    const ends = [1, 2, 3].map((i) => {
      const end = Promise.withResolvers<string>()
      return { end, call: it.send(`k${i}`, () => end.promise) }
    })
    it.clock.ms += 1000
    await expect(it.send('k4')).rejects.toMatchObject({ code: 'LINK_LIMIT', data: { limit: 'keyedCalls', value: 4, bound: 3 } })
    expect(it.effects('k4')).toBe(0)
    for (const { end } of ends) end.resolve('done')
    expect(await Promise.all(ends.map((it) => it.call))).toEqual(['done', 'done', 'done'])
    expect(await it.send('k1', undefined, 1000)).toBe('done')
  })

  test('counts a call that a restart has interrupted from the restart on', async () => {
    const it = object({ keepMs: 1000 })
    void it.send('a', () => new Promise(() => {}))
    it.store.flush()
    it.clock.ms += 5000
    it.restart()
    await it.send('b')
    expect(it.rows()).toBe(2)
    expect(await code(it.send('a', undefined, 5000))).toBe('CALL_INTERRUPTED')
  })
})

test('whatever is repeated, crashed and forgotten in whatever order, no call takes effect twice, and one that was answered took effect once', async () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('send' as const), call: fc.nat(11), takes: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('end' as const), call: fc.nat(11) }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'flush' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(400) }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const it = object({ keys: 5, keepMs: 500, transitMs: 20, allResultChars: 60 })
      const firstSent = new Map<number, number>()
      let ends = new Map<number, (value: string) => void>()
      const answers = new Map<number, Set<string>>()
      for (const step of steps) {
        if (step.kind === 'send') {
          const key = `key of call ${step.call}`
          const sent = firstSent.get(step.call)
          if (sent === undefined) firstSent.set(step.call, it.clock.ms)
          const outcome = () =>
            step.takes ? new Promise<string>((resolve) => ends.set(step.call, resolve)) : Promise.resolve(`answer ${step.call}`)
          const said = answers.get(step.call) ?? new Set()
          answers.set(step.call, said)
          void it.send(key, outcome, sent === undefined ? undefined : it.clock.ms - sent).then(
            (value) => said.add(`value ${String(value)}`),
            (error: DotdoError) => said.add(error.code ?? error.message),
          )
        } else if (step.kind === 'end') ends.get(step.call)?.(`answer ${step.call}`)
        else if (step.kind === 'wait') it.clock.ms += step.ms
        else if (step.kind === 'flush') it.store.flush()
        else {
          // A reply leaves when its turn is committed: what was answered before is on disk.
          it.store.flush()
          it.restart()
          ends = new Map()
        }
        await new Promise((resolve) => setImmediate(resolve))
      }
      for (const [call, said] of answers) {
        const effects = it.effects(`key of call ${call}`)
        expect(effects).toBeLessThanOrEqual(1)
        for (const answer of said) {
          expect([`value answer ${call}`, 'CALL_INTERRUPTED', 'RESULT_NOT_KEPT', 'LINK_LIMIT', 'this incarnation has crashed']).toContain(
            answer,
          )
          if (answer.startsWith('value') || answer === 'RESULT_NOT_KEPT') expect(effects).toBe(1)
        }
      }
    }),
    { numRuns: 500 },
  )
})

describe('a chain', () => {
  class Stage extends RpcTarget {
    disposed = 0
    run(n: number) {
      return n * 2
    }
    get label() {
      return 'a stage'
    }
    fail() {
      throw new DotdoError('STAGE_BROKE', 'The stage broke. Take another.')
    }
    [Symbol.dispose]() {
      this.disposed++
    }
  }
  class Root extends RpcTarget {
    calls: string[] = []
    stages: Stage[] = []
    getStage(index: number) {
      this.calls.push(`getStage ${index}`)
      const stage = new Stage()
      this.stages.push(stage)
      return stage
    }
    plain() {
      return { deep: { value: 7 } }
    }
  }

  test('is begun at once, gives the last answer, and gives back what stood between', async () => {
    const root = new Root()
    const answer = runChain(root, [
      ['getStage', [3]],
      ['run', [21]],
    ])
    expect(root.calls).toEqual(['getStage 3'])
    expect(await answer).toBe(42)
    expect(root.stages.map((it) => it.disposed)).toEqual([1])
  })

  test('reads properties, of a capability and of a value', async () => {
    expect(await runChain(new Root(), [['getStage', [0]], ['label']])).toBe('a stage')
    expect(await runChain(new Root(), [['plain', []], ['deep'], ['value']])).toBe(7)
  })

  test('that ends in a capability hands it over alive', async () => {
    const root = new Root()
    const stage = (await runChain(root, [['getStage', [0]]])) as unknown as { run(n: number): Promise<number> } & Disposable
    expect(await stage.run(4)).toBe(8)
    expect(root.stages[0]!.disposed).toBe(0)
    stage[Symbol.dispose]()
    expect(root.stages[0]!.disposed).toBe(1)
  })

  test('fails as its first call that fails, and gives back what stood between', async () => {
    const root = new Root()
    await expect(
      runChain(root, [
        ['getStage', [0]],
        ['fail', []],
        ['more', []],
      ]),
    ).rejects.toMatchObject({ code: 'STAGE_BROKE' })
    expect(root.stages.map((it) => it.disposed)).toEqual([1])
  })

  test.each([
    [undefined],
    [[]],
    ['x'],
    [[['run', 'x']]],
    [[[7, []]]],
    [['run']],
    ...[
      'constructor',
      '__proto__',
      'dup',
      'map',
      'then',
      'onRpcBroken',
      'toString',
      'isPrototypeOf',
      '__defineGetter__',
      'dotdo:keyed',
      'init',
    ].map((name) => [[[name, []]]] as [unknown]),
  ])('that is %j is refused', (chain) => {
    expect(() => readChain(chain)).toThrow(expect.objectContaining({ code: 'INVALID_CALL' }) as Error)
  })

  test('may read what data calls `_x`, and nothing that a class does', async () => {
    class Row extends RpcTarget {
      get data() {
        return { _id: 7, _list: [{ _n: 1 }] }
      }
      _hidden() {
        return 'not for you'
      }
    }
    class Rows extends RpcTarget {
      row() {
        return new Row()
      }
    }
    const read = (...chain: [string, []?][]) => runChain(new Rows(), readChain(chain))
    expect(await read(['row', []], ['data'], ['_id'])).toBe(7)
    expect(await read(['row', []], ['data'], ['_list'], ['0'], ['_n'])).toBe(1)
    for (const chain of [
      [
        ['row', []],
        ['_hidden', []],
      ],
      [['row', []], ['_hidden']],
      [['_row', []]],
    ] as [string, []?][][])
      await expect(read(...chain)).rejects.toMatchObject({ code: 'METHOD_UNKNOWN' })
  })

  test('of more parts than a chain has is refused', () => {
    expect(() => readChain(Array.from({ length: 65 }, () => ['run', []]))).toThrow(expect.objectContaining({ code: 'LINK_LIMIT' }) as Error)
  })
})

describe('the weight of a value', () => {
  test('is within a small factor of its text', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value).length
        expect(weigh(value, Infinity)).toBeLessThanOrEqual(text * 4 + 16)
        expect(text).toBeLessThanOrEqual(weigh(value, Infinity) * 6 + 16)
      }),
    )
  })

  test('is told as soon as it is enough, and of circles too', () => {
    const circle: unknown[] = ['x'.repeat(100)]
    circle.push(circle)
    expect(weigh(circle, Infinity)).toBeGreaterThan(100)
    const lines = Array.from({ length: 1000 }, () => 'x'.repeat(1000))
    expect(weigh(lines, 5000)).toBeLessThan(7000)
    expect(weigh(new Uint8Array(9000), 5000)).toBe(9000)
  })
})
