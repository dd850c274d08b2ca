import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const src = fileURLToPath(new URL('../../src', import.meta.url))

test('no statement binds a bare limit: SQLite would prepare it anew each time', () => {
  const bare = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && name !== join('base', 'ports.ts'))
    .filter((name) => /\bLIMIT \?/.test(readFileSync(join(src, name), 'utf8')))
  expect(bare).toEqual([])
})

test('a limit that is an expression is prepared once, and one that is bound each time: if this is so no more, write them as you like', () => {
  const database = new DatabaseSync(':memory:')
  database.exec('CREATE TABLE t (a INTEGER)')
  const preparedAnew = (statement: string): number => {
    const prepared = database.prepare(statement)
    for (let i = 0; i < 10; i++) prepared.all(i)
    return (prepared as unknown as { stat(counter: string): number }).stat('reprepare')
  }
  expect(preparedAnew('SELECT a FROM t LIMIT (? + 0)')).toBe(0)
  expect(preparedAnew('SELECT a FROM t LIMIT ?')).toBeGreaterThanOrEqual(9)
})
