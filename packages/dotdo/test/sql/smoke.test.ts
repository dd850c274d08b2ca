import { expect, test } from 'vitest'
import { QueryCoordinator } from '../../src/sql/coordinator.ts'
import { parser } from './support/parser.ts'
import { World } from './support/shards.ts'

const rows = Array.from({ length: 50 }, (_, i) => [BigInt(i), i / 7, ['a', 'b', null, 'ü'][i % 4]!, BigInt(i % 5)] as const)
const w = new World('CREATE TABLE t (id INTEGER, x REAL, s TEXT, k INT)', 't', rows, 3)
const c = new QueryCoordinator(w.scanners, { parser })
test.each([
  'SELECT COUNT(*) FROM t',
  'SELECT s, COUNT(*), SUM(id), AVG(x), MIN(s), max(x) FROM t GROUP BY s ORDER BY 1',
  'SELECT * FROM t ORDER BY id DESC LIMIT 5 OFFSET 3',
  'SELECT k, SUM(id) / COUNT( * ), 7/2 FROM t WHERE id > 3 GROUP BY k HAVING COUNT(*) > 2 ORDER BY SUM(x) DESC LIMIT 3',
  'SELECT DISTINCT s FROM t ORDER BY s',
  "SELECT id FROM t WHERE s IN ('a', 'ü') ORDER BY x, id",
])('%s', async (sql) => {
  console.log((await c.explain(sql)).text)
  expect(await c.query(sql)).toEqual(w.oracle(sql))
})
