// The fake that all pure rooms are tested on, against what the port and the platform say of a store: a fake that forgives more than the
// platform does would make every test above it worth less.
import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

function open(): SqliteStore {
  const store = new SqliteStore()
  store.sql('CREATE TABLE t (x)')
  store.flush()
  return store
}
const xs = (store: SqliteStore): unknown[] => store.sql('SELECT x FROM t ORDER BY rowid').map((row) => row.x)
const add = (store: SqliteStore, x: number): unknown => store.sql('INSERT INTO t VALUES (?)', x)

describe('a turn', () => {
  test('that was flushed is there after a crash, and one that was not is gone as a whole', () => {
    const store = open()
    add(store, 1)
    store.flush()
    add(store, 2)
    add(store, 3)
    store.crash()
    expect(xs(store.reopen())).toEqual([1])
  })

  test('ends the incarnation it crashed in: nothing of it reads, writes or flushes again', () => {
    const store = open()
    add(store, 1)
    store.crash()
    expect(() => store.sql('SELECT 1')).toThrow('crashed')
    expect(() => store.transaction(() => 1)).toThrow('crashed')
    store.flush()
    store.crash()
    expect(xs(store.reopen())).toEqual([])
  })

  test('of an older incarnation cannot touch the newer one', () => {
    const old = open()
    const next = old.reopen()
    add(next, 1)
    expect(() => add(old, 2)).toThrow('crashed')
    old.crash()
    old.flush()
    expect(xs(next)).toEqual([1])
  })

  test('without a crash is kept by reopen, which flushes', () => {
    const store = open()
    add(store, 1)
    expect(xs(store.reopen())).toEqual([1])
  })

  test('undoes tables too, which are rows of the schema', () => {
    const store = open()
    store.sql('CREATE TABLE u (y)')
    store.crash()
    expect(() => store.reopen().sql('SELECT * FROM u')).toThrow(/no such table/)
  })
})

describe('a transaction', () => {
  test('gives the answer of its work, and is kept with its turn alone', () => {
    const store = open()
    expect(store.transaction(() => (add(store, 1), 'answer'))).toBe('answer')
    expect(xs(store)).toEqual([1])
    store.crash()
    expect(xs(store.reopen())).toEqual([])
  })

  test('that throws undoes its own writes, keeps those before it, and passes the error on', () => {
    const store = open()
    add(store, 1)
    const error = new Error('no')
    expect(() =>
      store.transaction(() => {
        add(store, 2)
        throw error
      }),
    ).toThrow(error)
    add(store, 3)
    expect(xs(store)).toEqual([1, 3])
  })

  test('nests: the outer one lives when the inner one is undone, and takes it along when it is undone itself', () => {
    const store = open()
    const failing = (x: number) => (): void => {
      add(store, x)
      throw new Error(`undo ${x}`)
    }
    store.transaction(() => {
      add(store, 1)
      expect(() => store.transaction(failing(2))).toThrow('undo 2')
      store.transaction(() => add(store, 3))
    })
    expect(() =>
      store.transaction(() => {
        store.transaction(() => add(store, 4))
        failing(5)()
      }),
    ).toThrow('undo 5')
    expect(xs(store)).toEqual([1, 3])
  })

  test('is undone when it returns a promise, for what is awaited would run outside of it', () => {
    const store = open()
    expect(() => store.transaction(async () => add(store, 1))).toThrow('promise')
    expect(xs(store)).toEqual([])
  })

  test('that is crashed in the middle throws, whatever its work does then', () => {
    const store = open()
    expect(() => store.transaction(() => (add(store, 1), store.crash()))).toThrow()
    expect(xs(store.reopen())).toEqual([])
  })

  test('does to rows what a model of copies does, for any nesting, failures, flushes and crashes', () => {
    interface Op {
      kind: 'add' | 'fail' | 'ok' | 'flush' | 'crash'
      inner?: Op[]
    }
    const { ops } = fc.letrec<{ op: Op; ops: Op[] }>((tie) => ({
      op: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        fc.record({ kind: fc.constantFrom('add' as const, 'add' as const, 'flush' as const, 'crash' as const) }),
        fc.record({ kind: fc.constantFrom('fail' as const, 'ok' as const), inner: tie('ops') }),
      ),
      ops: fc.array(tie('op'), { maxLength: 5 }),
    }))
    fc.assert(
      fc.property(ops, (list) => {
        let store = open()
        let next = 0
        let rows: unknown[] = []
        let kept: unknown[] = []
        const run = (all: Op[], depth: number): void => {
          for (const { kind, inner } of all) {
            if (kind === 'add') rows.push(add(store, ++next) && next)
            else if (inner !== undefined) {
              const before = [...rows]
              const stop = new Error('stop')
              try {
                store.transaction(() => {
                  run(inner, depth + 1)
                  if (kind === 'fail') throw stop
                })
              } catch (thrown) {
                expect(thrown).toBe(stop)
                rows = before
              }
            } else if (depth > 0) continue
            // Turns end between transactions, never inside of one.
            else if (kind === 'flush') {
              store.flush()
              kept = [...rows]
            } else {
              store.crash()
              store = store.reopen()
              rows = [...kept]
            }
            expect(xs(store)).toEqual(rows)
          }
        }
        run(list, 0)
      }),
      { numRuns: 300 },
    )
  })
})

describe('a statement', () => {
  test('gives values back in the form that the port says', () => {
    const store = new SqliteStore()
    const given = [null, 0, -1.5, 2 ** 53 - 1, '', "ü'; --\0x", Uint8Array.of(0, 255), new Uint8Array(0)]
    const row = store.sql(`SELECT ${given.map((_, i) => `? AS c${i}`).join(', ')}`, ...given)[0] ?? {}
    expect(Object.values(row)).toEqual(given)
    expect(Object.getPrototypeOf(row)).toBe(Object.prototype)
    expect(row.c6).toBeInstanceOf(Uint8Array)
  })

  test('gives integers beyond 2^53 rounded, as the platform does', () => {
    expect(new SqliteStore().sql('SELECT 9007199254740993 AS n, -9223372036854775808 AS low')).toEqual([{ n: 2 ** 53, low: -(2 ** 63) }])
  })

  test.each<[string, string, number[]]>([
    ['fewer parameters than it has places', 'SELECT ? AS a, ? AS b', [1]],
    ['more parameters than it has places', 'SELECT ? AS a', [1, 2]],
    ['parameters and no place', "SELECT '?' AS a -- ?", [1]],
    ['more than 100 parameters', `SELECT ${Array(101).fill('?').join()}`, Array<number>(101).fill(0)],
  ])('with %s is refused', (_, statement, parameters) => {
    expect(() => new SqliteStore().sql(statement, ...parameters)).toThrow(/parameter|column index/)
  })

  test('takes 100 parameters, and question marks in texts, names and comments that are none', () => {
    const store = new SqliteStore()
    expect(
      Object.keys(
        store.sql(`SELECT ${Array.from({ length: 100 }, (_, i) => `? AS c${i}`).join()}`, ...Array<number>(100).fill(0))[0] ?? {},
      ),
    ).toHaveLength(100)
    expect(store.sql(`SELECT 'it''s ?' AS "why?", ? AS b /* ? */ -- ?`, 1)).toEqual([{ 'why?': "it's ?", b: 1 }])
  })

  test('or a value of more than the platform takes is refused', () => {
    const store = open()
    expect(() => store.sql(`SELECT '${'x'.repeat(100_000)}'`)).toThrow(/100 KB/)
    expect(() => store.sql('INSERT INTO t VALUES (?)', 'x'.repeat(2 * 1024 * 1024 + 1))).toThrow(/2 MB/)
    expect(() => store.sql('INSERT INTO t VALUES (?)', new Uint8Array(2 * 1024 * 1024 + 1))).toThrow(/2 MB/)
    expect(() => store.sql('INSERT INTO t VALUES (?)', 'é'.repeat(1024 * 1024 + 1))).toThrow(/2 MB/)
    store.sql('INSERT INTO t VALUES (?)', 'x'.repeat(2 * 1024 * 1024 - 100))
  })

  test('that fails leaves the turn open and its writes in it', () => {
    const store = open()
    add(store, 1)
    expect(() => store.sql('INSERT INTO nowhere VALUES (1)')).toThrow(/no such table/)
    add(store, 2)
    store.flush()
    expect(xs(store)).toEqual([1, 2])
  })

  test('is counted, which bounds on work are checked by', () => {
    const store = open()
    const before = store.statements
    add(store, 1)
    xs(store)
    expect(store.statements - before).toBe(2)
  })
})

describe('the other fakes', () => {
  test('a clock moves when it is told to, and never else', () => {
    const clock = new ManualClock(5)
    expect([clock.now(), clock.now()]).toEqual([5, 5])
    clock.advance(10)
    expect(clock.now()).toBe(15)
  })

  test('randomness is the same for a seed, another for another, and covers its range', () => {
    const list = (seed: number): number[] =>
      Array.from(
        { length: 1000 },
        (
          (random) => () =>
            random.next()
        )(new SeededRandom(seed)),
      )
    expect(list(7)).toEqual(list(7))
    expect(list(7)).not.toEqual(list(8))
    expect(Math.min(...list(7))).toBeGreaterThanOrEqual(0)
    expect(Math.max(...list(7))).toBeLessThan(1)
    const sum = list(7).reduce((a, b) => a + b, 0)
    expect(sum).toBeGreaterThan(450)
    expect(sum).toBeLessThan(550)
    const random = new SeededRandom(3)
    expect(new Set(Array.from({ length: 200 }, () => random.below(6)))).toEqual(new Set([0, 1, 2, 3, 4, 5]))
    expect(new Set(random.bytes(5000))).toHaveProperty('size', 256)
  })
})
