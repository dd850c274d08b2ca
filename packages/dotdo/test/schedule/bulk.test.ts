import fc from 'fast-check'
import { expect, it } from 'vitest'
import { forRows, groupsOf, groupsTable } from '../../src/schedule/bulk.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

it('writes every row once and in order, whatever their number and width, within what one statement may bind', () => {
  const width = fc.integer({ min: 1, max: 100 })
  fc.assert(
    fc.property(width, fc.nat(250), (columns, count) => {
      const store = new SqliteStore()
      store.sql(`CREATE TABLE t (${Array.from({ length: columns }, (_, index) => `c${index}`).join(', ')})`)
      const rows = Array.from({ length: count }, (_, row) => Array.from({ length: columns }, (_, column) => row * 1000 + column))
      forRows(store, rows, (values) => `INSERT INTO t VALUES ${values}`)
      expect(store.sql('SELECT * FROM t ORDER BY rowid').map((row) => Object.values(row))).toEqual(rows)
    }),
    { numRuns: 30 },
  )
})

it('takes what is the same in all rows from the places', () => {
  const store = new SqliteStore()
  store.sql('CREATE TABLE t (a, b)')
  forRows(store, [[1], [2]], (values) => `INSERT INTO t VALUES ${values}`, `(?, 'x')`)
  expect(store.sql('SELECT * FROM t')).toEqual([
    { a: 1, b: 'x' },
    { a: 2, b: 'x' },
  ])
})

it('gives SQLite every entry of groups once, with what it says, however many say the same', () => {
  const entry = fc.record({
    id: fc.string(),
    n: fc.option(fc.integer({ min: 0, max: 2 })),
    text: fc.option(fc.constantFrom('', '"', 'a,b]', '[]')),
  })
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 40 }), (entries) => {
      const groups = groupsOf(
        entries,
        ({ id }) => id,
        ({ n, text }) => [n, text],
      )
      const rows = new SqliteStore().sql(
        `WITH ${groupsTable('given', ['n', 'text'])} SELECT it.value AS id, n, text FROM given JOIN json_each(given.ids) AS it`,
        groups,
      )
      const sorted = (all: object[]) => all.map((one) => JSON.stringify(one)).toSorted()
      expect(sorted(rows)).toEqual(sorted(entries))
      expect(JSON.parse(groups)).toHaveLength(new Set(entries.map(({ n, text }) => JSON.stringify([n, text]))).size)
    }),
    { numRuns: 50 },
  )
})
