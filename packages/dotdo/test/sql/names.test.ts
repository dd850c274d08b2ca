import { describe, expect, test } from 'vitest'
import { QueryCoordinator } from '../../src/sql/coordinator.ts'
import { sameRows } from './support/compare.ts'
import { parser } from './support/parser.ts'
import { World, type Stored } from './support/shards.ts'

const rows: Stored[][] = [
  [1n, 10n, 'x', 0.5],
  [2n, 10n, 'y', 1.5],
  [3n, 20n, 'x', null],
  [4n, 20n, null, 2.5],
  [5n, 30n, 'z', -1],
  [6n, null, 'x', 4],
]
const world = new World('CREATE TABLE t (a INT, b INT, C TEXT, "d e" REAL)', 't', rows, 3)
const coordinator = new QueryCoordinator(world.scanners, { parser })

describe('aliases, positions and names mean what they mean in SQLite', () => {
  test.each([
    // ORDER BY: a bare alias first, columns first inside of expressions.
    'SELECT -a AS a FROM t ORDER BY a',
    'SELECT -a AS a FROM t ORDER BY a + 0',
    'SELECT -a AS a FROM t ORDER BY -a',
    'SELECT a AS b, b AS a FROM t WHERE b IS NOT NULL ORDER BY b DESC',
    'SELECT a AS x, -a AS y FROM t ORDER BY y, x',
    'SELECT a AS x FROM t ORDER BY x + 1 DESC',
    'SELECT a AS x FROM t ORDER BY t.a DESC',
    'SELECT a AS "X y" FROM t ORDER BY "x Y" DESC',
    'SELECT a, b FROM t ORDER BY 2 DESC, 1',
    'SELECT *, -a AS neg FROM t ORDER BY 5',
    'SELECT a FROM t ORDER BY b DESC, a DESC',
    'SELECT a FROM t ORDER BY TRUE, a',
    "SELECT a FROM t ORDER BY 'a', a",
    'SELECT a FROM t ORDER BY a % 3, a',
    'SELECT a FROM t ORDER BY "d e" NULLS LAST',
    'SELECT a FROM t ORDER BY "d e" DESC NULLS FIRST',
    'SELECT a FROM t ORDER BY C NULLS LAST, a DESC',
    // WHERE sees columns first, then aliases.
    'SELECT -a AS a FROM t WHERE a > 2 ORDER BY a',
    'SELECT a AS x FROM t WHERE x > 2 ORDER BY x',
    'SELECT a + b AS x, a FROM t WHERE x BETWEEN 12 AND 24 ORDER BY a',
    // GROUP BY sees columns first, then aliases; positions too.
    'SELECT b AS k, COUNT(*) FROM t GROUP BY k ORDER BY k',
    'SELECT a % 2 AS b, COUNT(*) FROM t GROUP BY 1 ORDER BY 1',
    'SELECT a % 2 AS par, b / 10 AS ten, COUNT(*) FROM t GROUP BY par, 2 ORDER BY 1, 2',
    'SELECT a + 1 AS a, COUNT(*) FROM t GROUP BY a ORDER BY 1',
    'SELECT (b), COUNT(*) FROM t GROUP BY b ORDER BY (b)',
    'SELECT T.B, COUNT(*) FROM t GROUP BY b ORDER BY t.b',
    'SELECT x.b, COUNT(*) FROM t AS x GROUP BY x.b ORDER BY x.b',
    'SELECT b, b + 1, b || C AS bc FROM t GROUP BY b, C ORDER BY b, C',
    'SELECT COUNT(*) FROM t GROUP BY b ORDER BY b',
    'SELECT b FROM t GROUP BY b ORDER BY COUNT(*) DESC, b',
    // HAVING sees columns first, then aliases.
    'SELECT b, SUM(a) AS s FROM t GROUP BY b HAVING s > 3 ORDER BY b',
    'SELECT b AS k, COUNT(*) AS n FROM t GROUP BY b HAVING k IS NOT NULL AND n > 1 ORDER BY k',
    "SELECT C, COUNT(*) FROM t GROUP BY C HAVING C = 'x'",
    "SELECT b, COUNT(*) FROM t GROUP BY b HAVING b = '10'",
    'SELECT b, COUNT(*) FROM t GROUP BY b HAVING b > MIN(a) * 8 ORDER BY b',
    "SELECT nullif('6', CAST(COUNT(*) AS INTEGER)) AS x, nullif(6, COUNT(*)) AS y FROM t",
    "SELECT b, COUNT(*) FROM t GROUP BY b HAVING b IN ('10', COUNT(*) * 10) ORDER BY b",
    "SELECT b, COUNT(*) FROM t GROUP BY b HAVING b BETWEEN '10' AND COUNT(*) * 10 ORDER BY b",
    'SELECT C, COUNT(*) FROM t GROUP BY C HAVING CASE C WHEN COUNT(*) THEN 0 ELSE 1 END ORDER BY C',
    "SELECT C, COUNT(*) FROM t GROUP BY C HAVING C < COUNT(*) || 'z' ORDER BY C",
    'SELECT COUNT(*) AS n FROM t HAVING n > 100',
    'SELECT SUM(a) AS s, MAX("d e") FROM t HAVING COUNT(*) = 6',
    // Names of result columns.
    'SELECT a, T.b, "c", [d e] FROM t ORDER BY 1',
    'SELECT COUNT(*), count( * ), Sum(A), SUM( a ) FROM t',
    'SELECT a+1, a  +  1, (a + 1), -a, +a, (a) AS p FROM t ORDER BY a',
    "SELECT 'it''s', 1, 1.50, NULL, x'0F', TRUE FROM t WHERE a = 1",
    'SELECT CASE a WHEN 1 THEN 2 END, CAST(a AS TEXT), a IS NULL FROM t ORDER BY a',
    'SELECT a/*note*/+/**/1 FROM t ORDER BY a',
    'SELECT t.*, a AS z FROM t ORDER BY z',
    'SELECT max(a, b), MAX(a) FROM t GROUP BY a, b ORDER BY a, b',
    // No groups at all.
    'SELECT COUNT(*), SUM(a), MIN(a), AVG(a), TOTAL(a) FROM t WHERE 0',
    'SELECT b, COUNT(*) FROM t WHERE 0 GROUP BY b',
    'SELECT 1, COUNT(*) FROM t WHERE 0',
    "SELECT upper('x'), COUNT(*) FROM t WHERE 0",
    'SELECT COUNT(*) FROM t LIMIT 0',
    'SELECT COUNT(*) FROM t LIMIT 1 OFFSET 1',
    // DISTINCT.
    'SELECT DISTINCT b FROM t ORDER BY b DESC LIMIT 2 OFFSET 1',
    'SELECT DISTINCT b, b / 20 AS h FROM t ORDER BY h, b',
    'SELECT DISTINCT COUNT(*) AS n FROM t GROUP BY b ORDER BY n',
    'SELECT DISTINCT 1 FROM t',
    'SELECT DISTINCT b FROM t WHERE b > 10 ORDER BY 1',
  ])('%s', async (sql) => {
    const expected = world.oracle(sql)
    const ours = await coordinator.query(sql)
    expect(typeof expected).not.toBe('string')
    expect(sameRows(ours, expected as never, true), `${JSON.stringify(ours)} against ${JSON.stringify(expected)}`).toBe(true)
  })
})

describe('odd names', () => {
  const odd = new World(
    'CREATE TABLE "my ta`ble" ("select" INT, "c0" INT, "a""b" TEXT, "types" TEXT)',
    '"my ta`ble"',
    [
      [1n, 2n, 'x', 'y'],
      [3n, 4n, 'z', 'w'],
    ],
    1,
  )
  const scanners = odd.stores

  test('of tables and columns are quoted on the way', async () => {
    const { SqliteScanner } = await import('../../src/sql/sqlite-scanner.ts')
    const over = new QueryCoordinator(
      scanners.map((store) => new SqliteScanner(store, { tables: ['my ta`ble'] })),
      { parser },
    )
    for (const sql of [
      'SELECT * FROM "my ta`ble" ORDER BY "select"',
      'SELECT "select" AS c1, c0 FROM "my ta`ble" ORDER BY c0 DESC',
      'SELECT c0, "a""b", types FROM "my ta`ble" WHERE "select" = 1',
      'SELECT c0 AS c1, SUM("select") AS types FROM "my ta`ble" GROUP BY c0 ORDER BY c0',
    ]) {
      expect(await over.query(sql)).toEqual(odd.oracle(sql))
    }
  })
})
