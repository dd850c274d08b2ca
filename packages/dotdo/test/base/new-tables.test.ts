/** Tables of a new object: the same as those of one that has come through every release. */
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Migrations } from '../../src/base/migrations.ts'
import { newTables } from '../../src/base/new-tables.ts'
import { outboxMigrations } from '../../src/events/tables.ts'
import { subscriptionMigrations } from '../../src/events/subscription-tables.ts'
import { feedMigrations } from '../../src/fleet/feed.ts'
import { shardMigrations } from '../../src/fleet/tables.ts'
import { catalogTables } from '../../src/iceberg/catalog-tables.ts'
import { journalMigrations } from '../../src/journal/tables.ts'
import { grantMigrations } from '../../src/rpc/grants.ts'
import { migrations as scheduleMigrations } from '../../src/schedule/tables.ts'

/** What stands in a database after these statements: each definition to the letter, and each row. */
function left(statements: readonly string[]): unknown {
  const database = new DatabaseSync(':memory:')
  try {
    for (const statement of statements) database.exec(statement)
    const schema = database.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name').all()
    const tables = schema.filter(({ type, name }) => type === 'table' && !String(name).startsWith('sqlite_'))
    return [schema, tables.map(({ name }) => database.prepare(`SELECT * FROM ${String(name)}`).all())]
  } finally {
    database.close()
  }
}

const alters = (statements: readonly string[]) => statements.filter((it) => it.includes('ALTER TABLE')).length

test.each<[string, Migrations]>([
  ['journal', journalMigrations],
  ['events', outboxMigrations],
  ['subscriptions', subscriptionMigrations],
  ['schedule', scheduleMigrations],
  ['grants', grantMigrations],
  ['fleet-feed', feedMigrations],
  ['fleet-shard', shardMigrations],
  ['catalog', catalogTables],
])('the tables of %s are those of its migrations, and no column is added to any', (_, migrations) => {
  const statements = newTables(migrations)
  expect(left(statements)).toEqual(left(migrations.flat()))
  expect(alters(statements)).toBe(0)
})

describe('a column that was added', () => {
  test.each([
    ['stands behind the others', 'CREATE TABLE t (a TEXT, b)'],
    ['stands before what is said of the table', 'CREATE TABLE t (a TEXT, b,\n  PRIMARY KEY (a, b), CHECK (a IN (1, 2))\n) WITHOUT ROWID'],
    ['is not misled by texts and bounds', `CREATE TABLE t (a TEXT DEFAULT ', unique ) it''s (', b CHECK (b IN (1, 2)), "c, unique" TEXT)`],
    ['stands where SQLite writes it, whatever the spaces', 'create table t(a,b  ,  constraint c unique(a) )'],
  ])('%s', (_, create) => {
    const migrations = [[create], ["ALTER TABLE t ADD COLUMN added TEXT NOT NULL DEFAULT 'x, y)'", 'ALTER TABLE t ADD COLUMN other  ']]
    expect(alters(newTables(migrations))).toBe(0)
    expect(left(newTables(migrations))).toEqual(left(migrations.flat()))
  })

  test.each([
    ['has been written to without it', `INSERT INTO t VALUES (1)`],
    ['has been copied without it', 'CREATE TABLE copy AS SELECT * FROM t'],
    ['is seen by a view without it', 'CREATE VIEW seen AS SELECT * FROM t'],
    ['was given another name', 'ALTER TABLE t RENAME TO u'],
    ['was made anew', 'DROP TABLE t'],
  ])('is added as before to a table that %s', (_, between) => {
    const name = between.includes('RENAME') ? 'u' : 't'
    const again = between.startsWith('DROP') ? ['CREATE TABLE t AS SELECT 1 AS a'] : []
    const migrations = [['CREATE TABLE t (a)', between, ...again], [`ALTER TABLE ${name} ADD COLUMN b DEFAULT 7`]]
    expect(alters(newTables(migrations))).toBe(alters(migrations.flat()))
    expect(left(newTables(migrations))).toEqual(left(migrations.flat()))
  })
})

test('any migrations leave what they would leave one after the other', () => {
  const table = fc.constantFrom('t', 'u')
  const step = fc.oneof(
    fc.tuple(table, fc.nat()).map(([t, n]) => `ALTER TABLE ${t} ADD COLUMN c${n} INTEGER DEFAULT ${n}`),
    fc.tuple(table, fc.nat()).map(([t, n]) => `CREATE INDEX i${n} ON ${t} (a) WHERE a > ${n}`),
    table.map((t) => `INSERT INTO ${t} (a) VALUES (1)`),
    fc.nat().map((n) => `CREATE TABLE x${n} AS SELECT * FROM t`),
    table.map((t) => `ALTER TABLE ${t} RENAME COLUMN b TO d`),
    table.map((t) => `DELETE FROM ${t}`),
  )
  const ends = fc.constantFrom(')', ', UNIQUE (a, b))', ', PRIMARY KEY (b, a))')
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), ends, ends, (steps, t, u) => {
      const all = [`CREATE TABLE t (a, b ${t}`, `CREATE TABLE u (a, b ${u}`, ...steps]
      // What SQLite refuses is no migration.
      const works = all.filter((_, i) => runs(all.slice(0, i + 1)))
      fc.pre(works.length === all.length)
      expect(left(newTables([all]))).toEqual(left(all))
    }),
    { numRuns: 100 },
  )
})

function runs(statements: readonly string[]): boolean {
  try {
    left(statements)
    return true
  } catch {
    return false
  }
}
