import { describe, expect, test } from 'vitest'
import { QueryCoordinator } from '../../src/sql/coordinator.ts'
import type { Parameters } from '../../src/sql/parameters.ts'
import { parser } from './support/parser.ts'
import { World, type Stored } from './support/shards.ts'

const rows: Stored[][] = [
  [1n, 'x', 1.5, new Uint8Array([1])],
  [7n, 'é😀', 2, null],
  [2n ** 60n, "it's", null, new Uint8Array([0, 255])],
  [null, '', -1, new Uint8Array([])],
]
const world = new World('CREATE TABLE t (a INT, b TEXT, c REAL, d BLOB)', 't', rows, 3)
const coordinator = new QueryCoordinator(world.scanners, { parser })

describe('parameters stand for values', () => {
  test.each<[string, Parameters, string]>([
    ['SELECT b FROM t WHERE a = ?', [7], 'SELECT b FROM t WHERE a = 7'],
    ['SELECT b FROM t WHERE a = ?', [7n], 'SELECT b FROM t WHERE a = 7'],
    ['SELECT b FROM t WHERE a = ?', [2n ** 60n], 'SELECT b FROM t WHERE a = 1152921504606846976'],
    ['SELECT a FROM t WHERE b = ?', ['é😀'], "SELECT a FROM t WHERE b = 'é😀'"],
    ['SELECT a FROM t WHERE b = ?', ["it's"], "SELECT a FROM t WHERE b = 'it''s'"],
    ['SELECT a FROM t WHERE c = ?', [1.5], 'SELECT a FROM t WHERE c = 1.5'],
    ['SELECT a FROM t WHERE d = ?', [new Uint8Array([0, 255])], "SELECT a FROM t WHERE d = x'00ff'"],
    ['SELECT a FROM t WHERE d IS NOT DISTINCT FROM ?', [null], 'SELECT a FROM t WHERE d IS NULL'],
    ['SELECT a FROM t WHERE c > ? AND a < ?', [0, 5], 'SELECT a FROM t WHERE c > 0 AND a < 5'],
    ['SELECT a FROM t WHERE c > ?2 AND a < ?1', [5, 0], 'SELECT a FROM t WHERE c > 0 AND a < 5'],
    ['SELECT a + ?1 AS x, a - ?1 AS y FROM t', [3], 'SELECT a + 3 AS x, a - 3 AS y FROM t'],
    ['SELECT a + ?2 AS x, a - ? AS y FROM t WHERE ?1', [1, 3, 4], 'SELECT a + 3 AS x, a - 4 AS y FROM t'],
    ['SELECT a FROM t WHERE c > :low AND a < :high', { low: 0, high: 5 }, 'SELECT a FROM t WHERE c > 0 AND a < 5'],
    ['SELECT a FROM t WHERE c > @low AND a < $high', { '@low': 0, $high: 5 }, 'SELECT a FROM t WHERE c > 0 AND a < 5'],
    ['SELECT a / ? AS x FROM t', [2], 'SELECT a / 2 AS x FROM t'],
    ['SELECT a / ? AS x FROM t', [2.5], 'SELECT a / 2.5 AS x FROM t'],
    ['SELECT SUM(a) / ? AS x FROM t WHERE a < 100', [2], 'SELECT SUM(a) / 2 AS x FROM t WHERE a < 100'],
    ['SELECT a FROM t WHERE (a > 3) = ?', [true], 'SELECT a FROM t WHERE (a > 3) = 1'],
    ['SELECT a FROM t ORDER BY a LIMIT ? OFFSET ?', [2, 1], 'SELECT a FROM t ORDER BY a LIMIT 2 OFFSET 1'],
    ['SELECT a FROM t ORDER BY a LIMIT :n', { n: 1 }, 'SELECT a FROM t ORDER BY a LIMIT 1'],
    [
      'SELECT a % ? AS k, COUNT(*) AS n FROM t GROUP BY a % ?1 ORDER BY k',
      [2],
      'SELECT a % 2 AS k, COUNT(*) AS n FROM t GROUP BY a % 2 ORDER BY k',
    ],
    ["SELECT ? || b AS x, '?' AS y FROM t -- ?\n", ['z'], "SELECT 'z' || b AS x, '?' AS y FROM t"],
    ['SELECT a FROM t WHERE b = ?', ['x\0y'], 'SELECT a FROM t WHERE 0'],
    ['SELECT a FROM t WHERE b <> ? AND a = 1', ['long '.repeat(100)], 'SELECT a FROM t WHERE a = 1'],
    ['SELECT a FROM t WHERE a < ?', [Infinity], 'SELECT a FROM t WHERE a IS NOT NULL'],
    ['SELECT a FROM t ORDER BY ?, a', [1], "SELECT a FROM t ORDER BY 'constant', a"],
  ])('%s (case %#)', async (sql, params, same) => {
    const sort = (list: unknown) =>
      sql.includes('ORDER BY') ? list : (list as object[]).map((row) => Object.values(row).join()).toSorted()
    expect(sort(await coordinator.query(sql, params))).toEqual(sort(world.oracle(same)))
  })

  test('two hundred texts in a list fit one statement', async () => {
    const list = Array.from({ length: 200 }, (_, i) => `text ${i}`)
    expect(await coordinator.query(`SELECT a FROM t WHERE b IN (${list.map(() => '?').join(', ')}, 'x')`, list)).toEqual([{ a: 1 }])
  })

  test('more blobs than a statement takes parameters are too large', async () => {
    const list = Array.from({ length: 101 }, (_, i) => new Uint8Array([i]))
    await expect(coordinator.query(`SELECT a FROM t WHERE d IN (${list.map(() => '?').join(', ')})`, list)).rejects.toMatchObject({
      code: 'QUERY_TOO_LARGE',
      data: { parameters: 101 },
    })
  })
})

describe('parameters that do not fit are errors', () => {
  test.each<[string, unknown, string]>([
    ['SELECT a FROM t WHERE a = ?', [], 'wants parameter 1, and 0 was given'],
    ['SELECT a FROM t WHERE a = ? AND a = ?', [1], 'wants parameter 2'],
    ['SELECT a FROM t WHERE a = ?', [1, 2], 'Parameter 2 of 2 is used nowhere'],
    ['SELECT a FROM t', [1], 'Parameter 1 of 1 is used nowhere'],
    ['SELECT a FROM t WHERE a = ?0', [1], 'wants parameter 0'],
    ['SELECT a FROM t WHERE a = :x', { y: 1 }, 'The placeholder :x has no value'],
    ['SELECT a FROM t WHERE a = :x', [1], 'The placeholder :x has no value'],
    ['SELECT a FROM t WHERE a = :toString', {}, 'The placeholder :toString has no value'],
    ['SELECT a FROM t WHERE a = ?', { a: 1 }, 'no list was given'],
    ['SELECT a FROM t WHERE a = ?', [new Date(0)], 'a Date'],
    ['SELECT a FROM t WHERE a = ?', [undefined], 'type undefined'],
    ['SELECT a FROM t WHERE a = ?', [{}], 'type object'],
    ['SELECT a FROM t WHERE a = ?', [NaN], 'type number'],
    ['SELECT a FROM t WHERE a = ?', [2n ** 64n], 'type bigint'],
  ])('%s (case %#)', async (sql, params, message) => {
    await expect(coordinator.query(sql, params as Parameters)).rejects.toMatchObject({
      code: 'SQL_PARAMETER',
      message: expect.stringContaining(message),
    })
  })

  test("'now' as a parameter of a date function is refused as it is in the text", async () => {
    await expect(coordinator.query('SELECT date(?) FROM t', ['now'])).rejects.toMatchObject({ code: 'SQL_UNSUPPORTED' })
  })
})
