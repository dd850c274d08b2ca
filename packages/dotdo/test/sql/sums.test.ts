import { describe, expect, test } from 'vitest'
import { QueryCoordinator } from '../../src/sql/coordinator.ts'
import { parser } from './support/parser.ts'
import { World, type Stored } from './support/shards.ts'

function over(values: readonly Stored[], shards = 3): { world: World; coordinator: QueryCoordinator } {
  const world = new World(
    'CREATE TABLE t (x)',
    't',
    values.map((value) => [value]),
    shards,
  )
  return { world, coordinator: new QueryCoordinator(world.scanners, { parser }) }
}

const most = 2n ** 63n - 1n
const all =
  'SELECT COUNT(*) AS n, COUNT(x) AS c, SUM(x) AS s, TOTAL(x) AS t, AVG(x) AS a, MIN(x) AS lo, MAX(x) AS hi, typeof(SUM(x)) AS ts, typeof(AVG(x)) AS ta FROM t'

describe('sums over shards are those of SQLite', () => {
  test.each<[string, Stored[]]>([
    ['no rows', []],
    ['only NULL', [null, null, null]],
    ['integers', [1n, 2n, 3n, 4n, -5n]],
    ['one integer among NULLs', [null, 7n, null, null]],
    ['whole reals stay REAL', [1, 2, 3]],
    ['one real makes it REAL', [1n, 2n, 3n, 0.5]],
    ['text that is a number counts as one', ['1', '2', 3n, '4abc']],
    ['text that is a real', ['1.5', 2n]],
    ['text that is none counts as 0.0', ['abc', 2n, 'x']],
    ['blobs count as what their text is', [new Uint8Array([49]), 2n]],
    ['integers whose sums are beyond 2^53 on each shard', [2n ** 53n, 2n ** 53n + 1n, 2n ** 60n + 1n, -(2n ** 53n) - 1n]],
    ['integers that cancel across shards', [2n ** 53n, -(2n ** 53n) - 1n, 0n]],
    ['large integers that cancel to one', [2n ** 62n + 1n, -(2n ** 62n), 0n]],
    ['the greatest integer alone', [most]],
    ['the least integer alone', [-(2n ** 63n)]],
    ['the greatest and the least', [most, -(2n ** 63n)]],
    ['a large integer and a real', [2n ** 60n, 0.5, -(2n ** 60n)]],
    ['reals that cancel', [1e16, 1, -1e16]],
    ['infinity', [Infinity, 1n]],
    ['minus infinity and reals', [-Infinity, 1.5, 2.5]],
    ['infinities that cancel between shards', [Infinity, -Infinity, 1n]],
    ['infinities that cancel on one shard', [Infinity, 1n, 2n, -Infinity, 5n]],
    ['reals near the end of their range', [1e308, -1e307, 5]],
    ['zeros', [0n, 0, -0]],
  ])('%s', async (_, values) => {
    for (const shards of [1, 2, 3, 7]) {
      const { world, coordinator } = over(values, shards)
      const [expected] = world.oracle(all) as [Record<string, unknown>]
      const [ours] = await coordinator.query(all)
      expect(ours).toEqual(expected)
    }
  })

  test('of 0.1, ten thousand times, are within the last digits of SQLite', async () => {
    const { world, coordinator } = over(
      Array.from({ length: 10_000 }, () => 0.1),
      7,
    )
    const [expected] = world.oracle(all) as [Record<string, number>]
    const [ours] = (await coordinator.query(all)) as [Record<string, number>]
    for (const name of ['s', 't', 'a'])
      expect(Math.abs(ours[name]! - expected[name]!)).toBeLessThanOrEqual(Math.abs(expected[name]!) * 2 ** -52)
  })

  test('that pass 64 bits are an error in SUM and AVG, and a REAL in TOTAL', async () => {
    for (const shards of [1, 2]) {
      const { world, coordinator } = over([most, most, 2n], shards)
      await expect(coordinator.query('SELECT SUM(x) FROM t')).rejects.toMatchObject({ code: 'SQL_OVERFLOW', retryable: false })
      expect(world.oracle('SELECT SUM(x) FROM t')).toMatch(/overflow/)
      expect(await coordinator.query('SELECT TOTAL(x) AS t FROM t')).toEqual([{ t: Number(most) * 2 }])
    }
    // Each shard's own sum fits: the average is exact where SQLite's own falls back to REAL.
    const { coordinator } = over([most, most], 2)
    expect(await coordinator.query('SELECT AVG(x) AS a FROM t')).toEqual([{ a: Number(most) }])
  })

  test('grouped, with a filter, and above them an expression that tells INTEGER from REAL', async () => {
    const world = new World(
      'CREATE TABLE t (k INT, i INT, r REAL)',
      't',
      Array.from({ length: 50 }, (_, n): Stored[] => [BigInt(n % 3), BigInt(n), n]),
      4,
    )
    const coordinator = new QueryCoordinator(world.scanners, { parser })
    for (const sql of [
      'SELECT k, SUM(i) / 7 AS a, SUM(r) / 7 AS b, SUM(i) / 7.0 AS c, SUM(i) % 7 AS d, AVG(i) / 2 AS e FROM t GROUP BY k ORDER BY k',
      'SELECT k, SUM(i) FILTER (WHERE i > 20) AS a, TOTAL(i) FILTER (WHERE i < 5) AS b, AVG(r) FILTER (WHERE i > 1000) AS c FROM t GROUP BY k ORDER BY k',
      'SELECT k, COUNT(*) FILTER (WHERE i % 2) AS odd, 100 * COUNT(*) FILTER (WHERE i % 2) / COUNT(*) AS share FROM t GROUP BY k ORDER BY k',
      'SELECT SUM(i) / COUNT(*) AS a, SUM(r) / COUNT(*) AS b, SUM(i) / 0 AS c, -SUM(i) AS d, SUM(i) * 1.0 AS e, MAX(r) / 2 AS f, MAX(i) / 2 AS g FROM t',
      'SELECT k / 2 AS h, k * 1.0 / 2 AS i, COUNT(*) FROM t GROUP BY k ORDER BY k',
      'SELECT k, k / 2 + COUNT(*) / 3 AS x FROM t GROUP BY k ORDER BY k',
    ]) {
      expect(await coordinator.query(sql)).toEqual(world.oracle(sql))
    }
  })
})

test('a column that is called true is not the word', async () => {
  const world = new World('CREATE TABLE t (x INT, "true" INT)', 't', [[1n, 5n]], 2)
  const coordinator = new QueryCoordinator(world.scanners, { parser })
  await expect(coordinator.query('SELECT x = TRUE AS y FROM t')).rejects.toMatchObject({ code: 'SQL_UNSUPPORTED' })
  expect(await coordinator.query('SELECT x = FALSE AS y, "true" FROM t')).toEqual(world.oracle('SELECT x = FALSE AS y, "true" FROM t'))
})
