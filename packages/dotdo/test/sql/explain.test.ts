import { describe, expect, test } from 'vitest'
import { QueryCoordinator } from '../../src/sql/coordinator.ts'
import { DotdoError } from '../../src/base/errors.ts'
import { parser } from './support/parser.ts'
import { World, wrapped } from './support/shards.ts'

const world = new World('CREATE TABLE t (a INT, s TEXT)', 't', [[1n, 'x']], 4)
const coordinator = new QueryCoordinator(world.scanners, { parser })

describe('a plan tells what runs where', () => {
  test.each([
    ['SELECT a FROM t WHERE a > ?', [3], 'SELECT `a` AS c0 FROM `t` WHERE (`a` > 3)'],
    [
      'SELECT s AS x, a FROM t ORDER BY x DESC, a NULLS LAST LIMIT 10 OFFSET 5',
      [],
      'SELECT `s` AS c0, `a` AS c1 FROM `t` ORDER BY 1 DESC NULLS LAST, 2 ASC NULLS LAST LIMIT 15',
    ],
    ['SELECT a FROM t ORDER BY a + 1', [], 'SELECT `a` AS c0, (`a` + 1) AS c1 FROM `t` ORDER BY 2 ASC NULLS FIRST'],
    ['SELECT a FROM t LIMIT 3', [], 'SELECT `a` AS c0 FROM `t` LIMIT 3'],
    ['SELECT a FROM t LIMIT -1 OFFSET 3', [], 'SELECT `a` AS c0 FROM `t`'],
    ['SELECT AVG(a), SUM(a), COUNT(a) FROM t', [], 'SELECT sum(`a`) AS c0, count(`a`) AS c1 FROM `t`'],
    ['SELECT s, MIN(a) FROM t GROUP BY s ORDER BY 2 LIMIT 3', [], 'SELECT `s` AS c0, min(`a`) AS c1 FROM `t` GROUP BY 1'],
    [
      'SELECT upper(s), COUNT(*) FROM t GROUP BY s HAVING COUNT(*) > 1',
      [],
      'SELECT `s` AS c0, upper(`s`) AS c1, count(*) AS c2 FROM `t` GROUP BY 1',
    ],
    ['SELECT DISTINCT s FROM t', [], 'SELECT `s` AS c0 FROM `t` GROUP BY 1'],
    [
      "SELECT COUNT(*) FILTER (WHERE s LIKE 'a%' ESCAPE '!') FROM t",
      [],
      "SELECT count(*) FILTER (WHERE (`s` LIKE 'a%' ESCAPE '!')) AS c0 FROM `t`",
    ],
    [
      "SELECT CASE a WHEN 1 THEN 'x' ELSE NULL END FROM t WHERE NOT a NOT IN (1, -2) AND s IS NOT NULL",
      [],
      "SELECT CASE `a` WHEN 1 THEN 'x' ELSE NULL END AS c0 FROM `t` WHERE ((NOT (`a` NOT IN (1, -2))) AND (`s` IS NOT NULL))",
    ],
    [
      'SELECT CAST(a AS INT), a IS TRUE FROM t WHERE a BETWEEN 1 AND 2',
      [],
      'SELECT CAST(`a` AS INTEGER) AS c0, (`a` IS TRUE) AS c1 FROM `t` WHERE (`a` BETWEEN 1 AND 2)',
    ],
  ])('%s', async (sql, params, scan) => {
    const explanation = await coordinator.explain(sql, params)
    expect(explanation.scan).toMatchObject({ sql: scan, shards: 4 })
    expect(explanation.text).toContain(scan)
  })

  test('for groups: partial and final, with HAVING, order and limit after the merge', async () => {
    const { strategy, operators, text } = await coordinator.explain(
      'SELECT s, COUNT(*) AS n FROM t GROUP BY s HAVING n > 1 ORDER BY n DESC LIMIT 3',
    )
    expect(strategy).toBe('partial-final')
    expect(operators.map(({ place, operator }) => `${place} ${operator}`)).toEqual([
      'partial SCAN',
      'final MERGE',
      'final HAVING',
      'final SORT',
      'final LIMIT',
    ])
    expect(text.split('\n')[0]).toBe('4 shards, one call each')
  })

  test('for rows: pushed, and merged in order', async () => {
    const { version, strategy, operators } = await coordinator.explain('SELECT a FROM t ORDER BY a LIMIT 3')
    expect({ version, strategy }).toEqual({ version: 1, strategy: 'push' })
    expect(operators.map(({ place, operator }) => `${place} ${operator}`)).toEqual(['push SCAN', 'final MERGE', 'final LIMIT'])
  })

  test('for a query that is refused: why', async () => {
    const { strategy, refusal, text, scan } = await coordinator.explain('SELECT COUNT(DISTINCT a) FROM t')
    expect(strategy).toBe('refuse')
    expect(refusal).toMatchObject({ code: 'SQL_UNSUPPORTED', data: { part: 'COUNT(DISTINCT …)' } })
    expect(text).toMatch(/^refused SQL_UNSUPPORTED/)
    expect(scan).toBeUndefined()
    expect((await coordinator.explain('SELEC')).refusal).toMatchObject({ code: 'SQL_SYNTAX' })
  })

  test('a shard that fails is no refusal', async () => {
    const failing = wrapped(world.scanners[0]!, { describe: () => Promise.reject(new DotdoError('DOWN', 'Down.')) })
    await expect(new QueryCoordinator([failing], { parser }).explain('SELECT a FROM t')).rejects.toMatchObject({ code: 'SHARD_FAILED' })
  })

  test('a plan is plain data that can be sent', async () => {
    const explanation = await coordinator.explain('SELECT s, COUNT(*) FROM t GROUP BY s')
    expect(structuredClone(explanation)).toEqual(explanation)
  })
})
