/** Calls of steps: once each in effect, over any crashes, lost answers and attempts. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { codeOf, type DotdoError } from '../../src/base/errors.ts'
import { isThenable } from '../../src/base/thenable.ts'
import type { AdoptedExecution } from '../../src/journal/execution.ts'
import { StepCalls, type StepCall, type StepCallLimits } from '../../src/rpc/step-calls.ts'
import { weigh } from '../../src/rpc/weight.ts'
import { settle, TestObject } from '../journal/harness.ts'

const day = 86_400_000

/** How a method of the receiver answers. */
type Kind = 'plain' | 'reads' | 'capability' | 'throws after writing' | 'steps' | 'waits' | 'gives a stream'

/** An object whose methods other objects' steps call. It has a journal, as every object has, and can die at any time. */
class Receiver {
  readonly object = new TestObject({ steps: (execution, key: never) => this.#steps(execution as AdoptedExecution, key) })
  readonly limits: Partial<StepCallLimits>
  calls: StepCalls
  digest = (text: string): string => `${text.length}:${text}`
  /** Holds the second step of `steps`, and what `waits` waits for, until it is let go. */
  gate = Promise.resolve()

  constructor(limits: Partial<StepCallLimits> = {}) {
    this.limits = limits
    this.object.store.sql('CREATE TABLE effects (key TEXT)')
    this.calls = this.#boot()
    this.object.store.flush()
  }

  #boot(): StepCalls {
    return new StepCalls(
      {
        store: this.object.store,
        clock: this.object.clock,
        digest: (text) => this.digest(text),
        outcomeOf: (key) => this.object.journal.outcomeOf(key),
        written: () => Number(this.object.store.sql('SELECT total_changes() AS n')[0]!['n']),
      },
      this.limits,
    )
  }

  crash(): void {
    this.object.crash()
    // Ids of runs hold the time.
    this.object.clock.advance(1)
    this.calls = this.#boot()
  }

  /** @param store of the incarnation whose code it is: that of one that died writes nothing */
  effect(key: string, store = this.object.store): void {
    store.sql('INSERT INTO effects (key) VALUES (?)', key)
  }

  effects(key: string): number {
    return Number(this.object.store.sql('SELECT count(*) AS n FROM effects WHERE key = ?', key)[0]!['n'])
  }

  rows(): number {
    return Number(this.object.store.sql('SELECT count(*) AS n FROM dotdo_step_calls')[0]!['n'])
  }

  /** What the platform does with a call: makes it, and answers when what it wrote is on disk. */
  async call(call: StepCall, kind: Kind, args: unknown[] = [call.key]): Promise<unknown> {
    const { store, journal } = this.object
    let execution: AdoptedExecution | undefined
    const adopt = () => (execution ??= journal.adopt({ target: { kind: 'method', name: 'steps' }, args, key: call.key }))
    const given = this.calls.make(
      call,
      args,
      () => this.#method(kind, call.key, adopt),
      (outcome) => {
        void adopt()
          .settle(outcome)
          .catch(() => {})
        return adopt().outcome
      },
    )
    const value = isThenable(given) ? await given : given
    store.flush()
    return value
  }

  #method(kind: Kind, key: string, adopt: () => AdoptedExecution): unknown {
    if (kind === 'reads') return this.effects(key)
    this.effect(key)
    if (kind === 'plain') return { key }
    if (kind === 'capability') return { act: () => 1 }
    if (kind === 'throws after writing') throw new Error('no')
    // Its own writes are not what such a method is to rely on; its steps are.
    this.object.store.sql('DELETE FROM effects WHERE key = ?', key)
    if (kind === 'steps') return this.#steps(adopt(), key)
    const { store } = this.object
    const waits = async () => {
      await this.gate
      if (kind === 'gives a stream') return { async *[Symbol.asyncIterator]() {} }
      this.effect(key, store)
      return { key }
    }
    return waits()
  }

  async #steps(execution: AdoptedExecution, key: string): Promise<unknown> {
    const { store } = this.object
    const first = await execution.step(() => (this.effect(`${key} first`, store), 1), { stepId: 'first' })
    await this.gate
    const second = await execution.step(() => (this.effect(`${key} second`, store), 2), { stepId: 'second' })
    return [first, second]
  }
}

const since = Date.UTC(2026, 0, 1)
const named = (key: string, caller = 'Pipeline/main'): StepCall => ({ key, since, oldest: since, caller })

const code = (call: Promise<unknown>) =>
  call.then(
    (value) => ({ answered: value }),
    (error: unknown) => codeOf(error) ?? (error as Error).message,
  )

describe('a call that a step makes again', () => {
  test('is answered by what it gave, also after a restart', async () => {
    const it = new Receiver()
    expect(await it.call(named('a'), 'plain')).toEqual({ key: 'a' })
    it.crash()
    expect(await it.call(named('a'), 'plain')).toEqual({ key: 'a' })
    expect(it.effects('a')).toBe(1)
  })

  test('is made when the first was lost with all that it wrote', async () => {
    const it = new Receiver()
    it.calls.make(
      named('a'),
      [],
      () => it.effect('a'),
      () => Promise.reject(new Error('no run')),
    )
    it.crash()
    expect(it.effects('a')).toBe(0)
    await it.call(named('a'), 'plain', [])
    expect(it.effects('a')).toBe(1)
  })

  test('is made anew where it has written nothing, and leaves no row', async () => {
    const it = new Receiver()
    expect(await it.call(named('a'), 'reads')).toBe(0)
    it.effect('a')
    expect(await it.call(named('a'), 'reads')).toBe(1)
    expect(it.rows()).toBe(0)
  })

  test('that throws has undone what it wrote', async () => {
    const it = new Receiver()
    expect(await code(it.call(named('a'), 'throws after writing'))).toBe('no')
    expect([it.effects('a'), it.rows()]).toEqual([0, 0])
  })

  test('that writes and gives a capability is refused, and has undone what it wrote', async () => {
    const it = new Receiver()
    expect(await code(it.call(named('a'), 'capability'))).toBe('RESULT_NOT_KEPT')
    expect([it.effects('a'), it.rows()]).toEqual([0, 0])
  })

  test('that writes and gives more than is kept is refused, however it is written down', async () => {
    const it = new Receiver({ resultChars: 20 })
    for (const result of ['x'.repeat(21), Array.from({ length: 9 }, () => true)]) {
      const make = () =>
        it.calls.make(
          named('a'),
          [],
          () => (it.effect('a'), result),
          () => Promise.reject(new Error('no run')),
        )
      expect(make).toThrowError(expect.objectContaining({ code: 'RESULT_NOT_KEPT' }) as DotdoError)
    }
    expect(it.effects('a')).toBe(0)
  })

  test('with other arguments is refused; with large ones their number is compared', async () => {
    const it = new Receiver()
    await it.call(named('a'), 'plain', [1])
    expect(await code(it.call(named('a'), 'plain', [2]))).toBe('CALL_CHANGED')
    await it.call(named('b'), 'plain', ['x'.repeat(100_000)])
    expect(await it.call(named('b'), 'plain', ['y'.repeat(100_000)])).toEqual({ key: 'b' })
    expect(await it.call(named('c'), 'plain', [() => 1])).toEqual({ key: 'c' })
    expect(await it.call(named('c'), 'plain', [() => 2])).toEqual({ key: 'c' })
  })

  test('of another caller is another call', async () => {
    const it = new Receiver()
    await it.call(named('a', 'Pipeline/one'), 'plain')
    await it.call(named('a', 'Pipeline/two'), 'plain')
    expect(it.effects('a')).toBe(2)
  })
})

describe('a method that returns a promise', () => {
  test('goes on where it stopped, with its steps done once', async () => {
    const it = new Receiver()
    let open!: () => void
    it.gate = new Promise((resolve) => (open = resolve))
    it.call(named('a'), 'steps').catch(() => {})
    await settle()
    it.object.store.flush()
    it.crash()
    expect([it.effects('a first'), it.effects('a second')]).toEqual([1, 0])
    open()
    expect(await it.call(named('a'), 'steps')).toEqual([1, 2])
    expect([it.effects('a first'), it.effects('a second')]).toEqual([1, 1])
    expect(await it.call(named('a'), 'steps')).toEqual([1, 2])
  })

  test('is joined while it is under way', async () => {
    const it = new Receiver()
    let open!: () => void
    it.gate = new Promise((resolve) => (open = resolve))
    const calls = [it.call(named('a'), 'waits'), it.call(named('a'), 'waits')]
    await settle()
    open()
    expect(await Promise.all(calls)).toEqual([{ key: 'a' }, { key: 'a' }])
    expect(it.effects('a')).toBe(1)
  })

  test('that gave what cannot be stored is called again, and its steps are not', async () => {
    const it = new Receiver()
    await it.call(named('a'), 'gives a stream')
    expect(Symbol.asyncIterator in ((await it.call(named('a'), 'gives a stream')) as object)).toBe(true)
    expect(it.object.journal.runs()).toHaveLength(1)
  })

  test('whose row is lost while its run is there is answered by that, and fails nobody', async () => {
    const it = new Receiver()
    expect(await it.call(named('a'), 'waits')).toEqual({ key: 'a' })
    it.object.store.sql('DELETE FROM dotdo_step_calls')
    expect(await it.call(named('a'), 'waits')).toEqual({ key: 'a' })
    let open!: () => void
    it.gate = new Promise((resolve) => (open = resolve))
    const first = it.call(named('b'), 'waits')
    it.object.store.sql('DELETE FROM dotdo_step_calls')
    const again = it.call(named('b'), 'waits')
    open()
    expect(await Promise.all([first, again])).toEqual([{ key: 'b' }, { key: 'b' }])
    expect(it.object.journal.runs()).toHaveLength(2)
  })

  test('whose run was cancelled stays so', async () => {
    const it = new Receiver()
    it.gate = new Promise(() => {})
    const call = code(it.call(named('a'), 'waits'))
    await settle()
    it.object.journal.cancel(it.object.journal.runs()[0]!.runId)
    expect(await call).toBe('RUN_CANCELLED')
    expect(await code(it.call(named('a'), 'waits'))).toBe('RUN_CANCELLED')
  })
})

describe('what is remembered', () => {
  test('has an end: a call whose step began before it is refused', async () => {
    const it = new Receiver()
    it.object.clock.advance(7 * day)
    expect(await it.call(named('a'), 'plain')).toEqual({ key: 'a' })
    it.object.clock.advance(1)
    expect(await it.call(named('a'), 'plain')).toEqual({ key: 'a' })
    expect(await code(it.call(named('b'), 'plain'))).toBe('CALL_EXPIRED')
    expect(it.effects('b')).toBe(0)
  })

  test('goes when its caller says that it will not ask again, and not that of others', async () => {
    const it = new Receiver()
    for (let n = 0; n < 300; n++) await it.call(named(`mine ${n}`), 'plain')
    await it.call(named('of another', 'Pipeline/two'), 'plain')
    for (let n = 0; n < 600; n++) await it.call({ ...named(`late ${n}`), since: since + 1, oldest: since + 1 }, 'plain')
    expect(it.object.store.sql('SELECT caller, since, count(*) AS n FROM dotdo_step_calls GROUP BY 1, 2 ORDER BY 2, 1')).toEqual([
      { caller: 'Pipeline/two', since, n: 1 },
      { caller: 'Pipeline/main', since: since + 1, n: 600 },
    ])
  })

  test('is bounded: over it a call is refused, with nothing written', async () => {
    const it = new Receiver({ calls: 2 })
    await it.call(named('a'), 'plain')
    await it.call(named('b'), 'plain')
    expect(await code(it.call(named('c'), 'plain'))).toBe('LINK_LIMIT')
    expect(it.effects('c')).toBe(0)
    expect(await it.call(named('a'), 'plain')).toEqual({ key: 'a' })
    it.crash()
    expect(await code(it.call(named('c'), 'plain'))).toBe('LINK_LIMIT')
  })

  test('is counted only where it may be too much, over any number of lives', async () => {
    const it = new Receiver({ calls: 300 })
    const statements: string[] = []
    const size = () => Number(it.object.store.sql('SELECT rows FROM dotdo_step_calls_size')[0]!['rows'])
    for (let life = 0; life < 4; life++) {
      for (let n = 0; n < 10; n++) await it.call(named(`${life} ${n}`), 'plain')
      expect(size()).toBeGreaterThanOrEqual(it.rows())
      it.crash()
    }
    const { store } = it.object
    const sql = store.sql.bind(store)
    store.sql = ((statement: string, ...values: never[]) => (statements.push(statement), sql(statement, ...values))) as typeof sql
    const counts = () => statements.filter((it) => it.includes('count(*) AS n FROM dotdo_step_calls')).length
    await it.call(named('after them'), 'plain')
    expect(counts()).toBe(0)
    for (let n = 41; n < 300; n++) await it.call(named(`more ${n}`), 'plain')
    for (const n of [1, 2]) expect(await code(it.call(named(`too many ${n}`), 'plain'))).toBe('LINK_LIMIT')
    // Nothing was counted but to see that what had been counted ahead is not there, and then that all is.
    expect(counts()).toBe(1)
    expect([it.rows(), it.effects('too many 1')]).toEqual([300, 0])
  })

  test('tells arguments apart as earlier releases did, where they have written the row', async () => {
    const it = new Receiver()
    const insert = 'INSERT INTO dotdo_step_calls (since, caller, key, print, result) VALUES (?, ?, ?, ?, ?)'
    const { caller } = named('a')
    // What is longer than a row's print is told by its digest, and this one's is in hexadecimal.
    it.digest = (text) => (text === 'j["a"]' ? '0123456789abcdef and more' : 'another')
    it.object.store.sql(insert, since, caller, 'a', '0123456789abcdef', 'j"as before"')
    it.object.store.flush()
    it.crash()
    expect(await it.call(named('a'), 'plain', ['a'])).toBe('as before')
    expect(await code(it.call(named('a'), 'plain', ['b']))).toBe('CALL_CHANGED')
    expect(it.effects('a')).toBe(0)
  })

  test('costs a call that writes three statements, and one that reads or is repeated fewer', async () => {
    const it = new Receiver()
    const statements = async (key: string, kind: Kind): Promise<number> => {
      const before = it.object.store.statements
      await it.call(named(key), kind)
      return it.object.store.statements - before
    }
    await statements('first', 'plain')
    // Each but the last with one of the method's own.
    expect([await statements('a', 'plain'), await statements('b', 'reads'), await statements('a', 'plain')]).toEqual([4, 3, 1])
  })

  test('is stored in this form', () => {
    const it = new Receiver()
    const tables = it.object.store.sql(`SELECT sql FROM sqlite_schema WHERE name = 'dotdo_step_calls'`)
    expect(String(tables[0]!['sql']).replace(/\s+/g, ' ')).toBe(
      'CREATE TABLE dotdo_step_calls ( since INTEGER, caller TEXT, key TEXT, print TEXT NOT NULL, result TEXT, PRIMARY KEY (since, caller, key) ) WITHOUT ROWID',
    )
    const size = it.object.store.sql(`SELECT sql FROM sqlite_schema WHERE name = 'dotdo_step_calls_size'`)
    expect(String(size[0]!['sql'])).toBe(
      'CREATE TABLE dotdo_step_calls_size (id INTEGER PRIMARY KEY CHECK (id = 1), rows INTEGER NOT NULL)',
    )
  })
})

/** What happens to one delivery of a call, in order of how far it comes. */
const fates = ['dies before anything', 'dies at once', 'dies on the way', 'answer is lost', 'answered'] as const

test('whatever is lost and whenever the object dies, the call takes effect once', { timeout: 60_000 }, async () => {
  const delivery = fc.record({ fate: fc.constantFrom(...fates), flushes: fc.boolean() })
  const made = fc.record({ kind: fc.constantFrom<Kind>('plain', 'steps'), deliveries: fc.array(delivery, { maxLength: 6 }) })
  await fc.assert(
    fc.asyncProperty(fc.array(made, { minLength: 1, maxLength: 4 }), async (calls) => {
      const it = new Receiver()
      for (const [n, { kind, deliveries }] of calls.entries()) {
        const key = `call ${n}`
        // Some begin at the instant of the one before, some later.
        const call = { ...named(key), since: since + (n >> 1) }
        for (const { fate, flushes } of deliveries) {
          if (fate === 'dies before anything') {
            it.crash()
            continue
          }
          const answer = code(it.call(call, kind))
          if (fate === 'dies at once' || fate === 'dies on the way') {
            if (fate === 'dies on the way') for (let step = 0; step < 6; step++) await Promise.resolve()
            if (flushes) it.object.store.flush()
            it.crash()
          } else expect(await answer).toMatchObject({ answered: expect.anything() as unknown })
        }
        // The attempt that is not disturbed.
        const expected = kind === 'plain' ? { key } : [1, 2]
        expect(await it.call(call, kind)).toEqual(expected)
        expect(await it.call(call, kind)).toEqual(expected)
        const effects = kind === 'plain' ? [it.effects(key)] : [it.effects(`${key} first`), it.effects(`${key} second`)]
        expect(effects).toEqual(effects.map(() => 1))
      }
    }),
    { numRuns: 300 },
  )
})

test('a list of small values weighs what it weighs within another', () => {
  const small = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.constant(null), fc.bigInt())
  fc.assert(
    fc.property(fc.array(small, { maxLength: 20 }), (list) => {
      expect(weigh([list], Infinity)).toBe(2 + weigh(list, Infinity))
    }),
  )
})
