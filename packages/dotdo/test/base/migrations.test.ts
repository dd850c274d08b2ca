import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { migrate, type Migrations } from '../../src/base/migrations.ts'
import type { SqlRow, SqlValue } from '../../src/base/ports.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

/** Three releases of one room: a table, a column with what it holds in older rows, and a table split in two. */
const RELEASES: Migrations = [
  ['CREATE TABLE dotdo_notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)'],
  ["ALTER TABLE dotdo_notes ADD COLUMN state TEXT NOT NULL DEFAULT 'open'", "UPDATE dotdo_notes SET state = 'old'"],
  [
    'CREATE TABLE dotdo_states (id INTEGER PRIMARY KEY, state TEXT NOT NULL)',
    'INSERT INTO dotdo_states SELECT id, state FROM dotdo_notes',
    'ALTER TABLE dotdo_notes DROP COLUMN state',
  ],
]
const release = (version: number): Migrations => RELEASES.slice(0, version)
const versions = (store: SqliteStore): SqlRow[] => store.sql('SELECT room, version FROM dotdo_versions ORDER BY room')
const tables = (store: SqliteStore): unknown[] =>
  store.sql("SELECT name, sql FROM sqlite_schema WHERE name LIKE 'dotdo_%' AND name <> 'dotdo_versions' ORDER BY name")

describe('a room that is brought forward', () => {
  test.each([[[1, 2, 3]], [[1, 3]], [[2, 3]], [[1, 1, 2, 2, 3, 3]]])('by the releases %j has the tables of a new one', (path) => {
    const fresh = new SqliteStore()
    migrate(fresh, 'notes', release(3))
    const store = new SqliteStore()
    for (const version of path) migrate(store, 'notes', release(version))
    expect(tables(store)).toEqual(tables(fresh))
    expect(versions(store)).toEqual([{ room: 'notes', version: 3 }])
  })

  test('keeps its rows, each as the migrations between its release and this one leave it', () => {
    const store = new SqliteStore()
    migrate(store, 'notes', release(1))
    store.sql("INSERT INTO dotdo_notes VALUES (1, 'of the first')")
    migrate(store, 'notes', release(2))
    store.sql("INSERT INTO dotdo_notes (id, text) VALUES (2, 'of the second')")
    migrate(store, 'notes', release(3))
    expect(store.sql('SELECT text, state FROM dotdo_notes NATURAL JOIN dotdo_states ORDER BY id')).toEqual([
      { text: 'of the first', state: 'old' },
      { text: 'of the second', state: 'open' },
    ])
  })

  test('costs one statement where there is nothing to do: it runs at every start of an object', () => {
    const store = new SqliteStore()
    migrate(store, 'notes', release(3))
    const before = store.statements
    migrate(store, 'notes', release(3))
    expect(store.statements - before).toBe(1)
  })

  test('takes all the releases it lacks, or none of them', () => {
    const store = new SqliteStore()
    migrate(store, 'notes', release(1))
    store.sql("INSERT INTO dotdo_notes VALUES (1, 'kept')")
    const before = tables(store)
    const broken: Migrations = [...release(2), [...(RELEASES[2] ?? []), 'INSERT INTO dotdo_nowhere VALUES (1)']]
    expect(() => migrate(store, 'notes', broken)).toThrow(/dotdo_nowhere/)
    expect(tables(store)).toEqual(before)
    expect(versions(store)).toEqual([{ room: 'notes', version: 1 }])
    migrate(store, 'notes', RELEASES)
    expect(store.sql('SELECT state FROM dotdo_states')).toEqual([{ state: 'old' }])
  })

  test('is where it was, and goes on, when the process dies anywhere on the way', () => {
    let store = new SqliteStore()
    migrate(store, 'notes', release(1))
    store.sql("INSERT INTO dotdo_notes VALUES (1, 'kept')")
    let crashes = 0
    // Each life gets one statement further than the one before it.
    for (let killAt = 1; killAt < 20; killAt++) {
      store = new MortalStore(store, killAt)
      try {
        migrate(store, 'notes', RELEASES)
        break
      } catch (thrown) {
        expect(String(thrown)).toContain('crashed')
        crashes++
      }
      store = store.reopen()
      expect(versions(store)).toEqual([{ room: 'notes', version: 1 }])
      expect(store.sql('SELECT * FROM dotdo_notes')).toEqual([{ id: 1, text: 'kept' }])
    }
    expect(versions(store.reopen())).toEqual([{ room: 'notes', version: 3 }])
    expect(crashes).toBeGreaterThanOrEqual(6)
  })
})

/** The next life of a store, which ends before its statement of the given number runs. */
class MortalStore extends SqliteStore {
  readonly #killAt: number

  constructor(before: SqliteStore, killAt: number) {
    super(before.release())
    this.#killAt = killAt
  }

  override sql<Row extends SqlRow = SqlRow>(statement: string, ...parameters: SqlValue[]): Row[] {
    if (this.statements + 1 === this.#killAt) this.crash()
    return super.sql<Row>(statement, ...parameters)
  }
}

describe('rooms beside each other', () => {
  const room = (name: string): Migrations => [
    [`CREATE TABLE dotdo_${name} (x)`],
    [`ALTER TABLE dotdo_${name} ADD COLUMN y`],
    [`ALTER TABLE dotdo_${name} ADD COLUMN z`],
  ]

  test('come to their own versions, in any order of their starts and releases', () => {
    const starts = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 1, max: 3 })), { maxLength: 12 })
    fc.assert(
      fc.property(starts, (list) => {
        const store = new SqliteStore()
        const reached = new Map<string, number>()
        for (const [name, version] of list) {
          const found = reached.get(name) ?? 0
          const start = (): void => migrate(store, name, room(name).slice(0, version))
          if (version < found)
            expect(start).toThrow(expect.objectContaining({ code: 'STATE_TOO_NEW', data: { room: name, found, known: version } }))
          else {
            start()
            reached.set(name, version)
          }
        }
        expect(new Map(list.length === 0 ? [] : versions(store).map((row) => [row.room, row.version]))).toEqual(reached)
      }),
      { numRuns: 100 },
    )
  })

  test('are undone with the transaction they were started in', () => {
    const store = new SqliteStore()
    migrate(store, 'a', room('a'))
    expect(() =>
      store.transaction(() => {
        migrate(store, 'b', room('b'))
        throw new Error('the start of another room failed')
      }),
    ).toThrow('another room')
    expect(versions(store)).toEqual([{ room: 'a', version: 3 }])
    expect(tables(store)).toHaveLength(1)
  })

  test('have no say in how a room is called: its name is a parameter and no SQL', () => {
    const store = new SqliteStore()
    migrate(store, "a'; DROP TABLE dotdo_versions; --", room('a'))
    expect(versions(store)).toEqual([{ room: "a'; DROP TABLE dotdo_versions; --", version: 3 }])
  })

  test('without any migration have no version to speak of', () => {
    const store = new SqliteStore()
    migrate(store, 'empty', [])
    expect(versions(store)).toEqual([])
  })
})
