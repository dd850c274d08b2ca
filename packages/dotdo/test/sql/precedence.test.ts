import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { codeOf } from '../../src/base/errors.ts'
import { QueryCoordinator } from '../../src/sql/coordinator.ts'
import { sameRows } from './support/compare.ts'
import { parser } from './support/parser.ts'
import { World, type Stored } from './support/shards.ts'

const rows: Stored[][] = [
  [1n, 2n, 3n],
  [0n, 5n, -1n],
  [7n, 0n, null],
  [null, 1n, 1n],
  [-2n, 2n, 2n],
  [10n, 3n, 0n],
]
const world = new World('CREATE TABLE t (a INT, b INT, c INT)', 't', rows, 3)
const coordinator = new QueryCoordinator(world.scanners, { parser })

/** Operators without any parentheses: the parser's precedence is not SQLite's, and must never show. */
const operand = fc.constantFrom(
  'a',
  'b',
  'c',
  '1',
  '2',
  '-a',
  '- b',
  '~c',
  'NOT a',
  'NOT b',
  '+c',
  'a IS NULL',
  'b NOTNULL',
  'c IN (1, 2)',
  'a BETWEEN 0 AND b',
  "b LIKE '1'",
  'CASE a WHEN 1 THEN b END',
)
const operator = fc.constantFrom(
  '+',
  '-',
  '*',
  '/',
  '%',
  '||',
  '&',
  '|',
  '=',
  '==',
  '<>',
  '!=',
  '<',
  '<=',
  '>',
  '>=',
  'AND',
  'OR',
  'IS DISTINCT FROM',
  'IS NOT DISTINCT FROM',
)
const flat = fc
  .tuple(
    operand,
    fc.array(fc.tuple(operator, operand), { minLength: 1, maxLength: 4 }),
    fc.constantFrom('', ' IS NULL', ' NOT IN (0, 1)', ' BETWEEN 1 AND 2', ' COLLATE BINARY'),
  )
  .map(([first, rest, tail]) => [first, ...rest.flat()].join(' ') + tail)

async function answerOf(expr: string): Promise<'answered' | 'refused'> {
  const sql = `SELECT ${expr} AS x FROM t`
  const expected = world.oracle(sql)
  try {
    const ours = await coordinator.query(sql)
    if (typeof expected === 'string' || !sameRows(ours, expected, false))
      throw new Error(`${sql}: ours ${JSON.stringify(ours)}, SQLite ${JSON.stringify(expected)}`)
    return 'answered'
  } catch (thrown) {
    if (codeOf(thrown) !== 'SQL_UNSUPPORTED' && codeOf(thrown) !== 'SQL_SYNTAX') throw thrown
    return 'refused'
  }
}

describe('operators without parentheses', () => {
  test('are grouped as SQLite groups them, or refused', async () => {
    let answered = 0
    await fc.assert(
      fc.asyncProperty(flat, async (expr) => {
        if ((await answerOf(expr)) === 'answered') answered++
      }),
      { numRuns: 1500 },
    )
    expect(answered).toBeGreaterThan(300)
  }, 60_000)

  test.each([
    'a + b * c',
    'a * b + c',
    'a - b - c',
    'a / b / c',
    'a % b * c',
    'a || b || c',
    '-a + b',
    '- a * b',
    'a * -b',
    'NOT a = b',
    'NOT a AND b',
    'a AND NOT b OR c',
    'a OR b AND c',
    'a = b AND b = c OR c = a',
    'a < b AND b < c',
    'a + 1 > b * 2',
    'a + 1 BETWEEN b AND c + 5',
    'a BETWEEN 1 AND 2 AND b BETWEEN 0 AND 3',
    'a IN (1, 2) AND b NOT IN (3)',
    'a IS NULL OR b IS NOT NULL',
    'a & b > 0',
    'a = b = c',
    'a < b < c',
    '~a & b',
  ])('%s is answered', async (expr) => {
    expect(await answerOf(expr)).toBe('answered')
  })

  test.each(['a | b & c', 'a = NOT b', 'a = b < c', 'a COLLATE BINARY || b = c IN (1)'])(
    '%s is answered rightly or refused with the advice to write parentheses',
    async (expr) => {
      if ((await answerOf(expr)) === 'answered') return
      await expect(coordinator.query(`SELECT ${expr} AS x FROM t`)).rejects.toMatchObject({
        code: 'SQL_UNSUPPORTED',
        message: expect.stringContaining('parentheses'),
      })
    },
  )

  test('parentheses make a refused order right', async () => {
    expect(await answerOf('a | b & c')).toBe('refused')
    expect(await answerOf('a | (b & c)')).toBe('answered')
    expect(await answerOf('(a | b) & c')).toBe('answered')
  })
})

describe('what the parser reads otherwise than SQLite', () => {
  test.each([
    ['SELECT a isnull FROM t', 'isnull'],
    ['SELECT 1_000 FROM t', '_000'],
    ['SELECT 0x1f FROM t', 'hexadecimal'],
    ['SELECT a FROM t WHERE b = 0x1f', 'hexadecimal'],
    ['SELECT CAST(a AS DATE) FROM t', 'DATE'],
    ["SELECT DATE '2001-01-01' FROM t", 'typed literal'],
    ['SELECT a::int FROM t', 'cast'],
    ['SELECT substring(a FROM 1 FOR 2) FROM t', 'SUBSTRING'],
  ])('%s is refused', async (sql, part) => {
    await expect(coordinator.query(sql)).rejects.toMatchObject({ code: 'SQL_UNSUPPORTED', message: expect.stringContaining(part) })
  })

  test.each([
    'SELECT -9223372036854775808 AS x, 9223372036854775807 AS y, 9223372036854775808 AS z FROM t',
    'SELECT 9007199254740993 AS x, -9007199254740993 AS y FROM t',
    'SELECT .5 AS a1, 5. AS a2, 1e3 AS a3, 1.50 AS a4, 1E-2 AS a5 FROM t',
    "SELECT 'it''s' AS x, 'a\\nb' AS y, '' AS z, '😀é' AS w, 'a\"b`c' AS v FROM t",
    "SELECT x'' AS x, X'00fF' AS y FROM t",
    'SELECT TRUE AS x, false AS y, NULL AS z FROM t',
    'SELECT "a", [b], `c`, t.a AS d, t."b" AS e FROM t',
    'SELECT /* a comment, with FROM */ a, -- and another\n b FROM t',
    'SELECT A, T.B FROM T',
    'select count ( * ) , sum( a )/2 ,  max(a)  from t',
    'SELECT (a), (a+1), +a, -a FROM t',
    'SELECT a b, b AS "c d" FROM t',
    'SELECT ALL a FROM t',
    'SELECT CASE WHEN a > 1 THEN b ELSE c END, coalesce(a, b, 1), max(a, b) FROM t;',
  ])('%s has the values and the names of SQLite', async (sql) => {
    const expected = world.oracle(sql)
    const ours = await coordinator.query(sql)
    expect(typeof expected).not.toBe('string')
    expect(sameRows(ours, expected as never, false), `${JSON.stringify(ours, big)} against ${JSON.stringify(expected, big)}`).toBe(true)
  })
})

function big(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value
}
