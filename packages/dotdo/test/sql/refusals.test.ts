import { describe, expect, test } from 'vitest'
import type { DotdoError } from '../../src/base/errors.ts'
import { QueryCoordinator } from '../../src/sql/coordinator.ts'
import { createSqlParser, MAX_SQL_LENGTH } from '../../src/sql/parser.ts'
import { parser } from './support/parser.ts'
import { World } from './support/shards.ts'

const world = new World('CREATE TABLE t (a INT, b TEXT, c REAL, n TEXT COLLATE NOCASE)', 't', [[1n, 'x', 1.5, 'N']], 2)
const coordinator = new QueryCoordinator(world.scanners, { parser })

async function failure(sql: string, params: readonly never[] = []): Promise<DotdoError> {
  try {
    await coordinator.query(sql, params)
  } catch (thrown) {
    return thrown as DotdoError
  }
  throw new Error(`${sql} was answered`)
}

describe('what has no right answer over shards is refused by name, with its place and what to do instead', () => {
  test.each([
    // statements
    ['INSERT INTO t VALUES (1)', 'The statement Insert'],
    ['DELETE FROM t', 'The statement Delete'],
    ['UPDATE t SET a = 1', 'The statement Update'],
    ['CREATE TABLE u (a)', 'The statement CreateTable'],
    ['DROP TABLE t', 'The statement Drop'],
    ['EXPLAIN SELECT a FROM t', 'The statement Explain'],
    ['BEGIN', 'The statement StartTransaction'],
    ['VALUES (1)', 'A query of the form Values'],
    ['SELECT a FROM t; SELECT b FROM t', 'several statements'],
    // sources
    ['SELECT t.a FROM t, t AS u', 'A join'],
    ['SELECT t.a FROM t JOIN t AS u ON t.a = u.a', 'A join'],
    ['SELECT t.a FROM t LEFT JOIN t AS u USING (a)', 'A join'],
    ['SELECT a FROM (SELECT a FROM t)', 'A subquery in FROM'],
    ['SELECT a FROM main.t', 'A qualified table name'],
    ['SELECT a FROM t AS u (x, y)', 'Names for the columns of a table'],
    ['WITH q AS (SELECT 1) SELECT a FROM t', 'WITH (a common table expression)'],
    ['SELECT a FROM t UNION SELECT a FROM t', 'UNION, INTERSECT and EXCEPT'],
    ['SELECT a FROM t UNION ALL SELECT a FROM t', 'UNION, INTERSECT and EXCEPT'],
    ['SELECT a FROM t EXCEPT SELECT a FROM t', 'UNION, INTERSECT and EXCEPT'],
    ['SELECT a FROM t INTERSECT SELECT a FROM t', 'UNION, INTERSECT and EXCEPT'],
    // subqueries
    ['SELECT (SELECT 1) FROM t', 'A subquery'],
    ['SELECT a FROM t WHERE a IN (SELECT 1)', 'A subquery'],
    ['SELECT a FROM t WHERE EXISTS (SELECT 1)', 'A subquery'],
    ['SELECT a FROM t WHERE (a, b) = (1, 2)', 'A row value'],
    // aggregates and windows
    ['SELECT COUNT(DISTINCT a) FROM t', 'COUNT(DISTINCT …)'],
    ['SELECT SUM(DISTINCT a) FROM t', 'SUM(DISTINCT …)'],
    ['SELECT group_concat(b) FROM t', 'GROUP_CONCAT'],
    ["SELECT string_agg(b, ',') FROM t", 'STRING_AGG'],
    ['SELECT json_group_array(a) FROM t', 'JSON_GROUP_ARRAY'],
    ['SELECT median(a) FROM t', 'MEDIAN'],
    ['SELECT SUM(a) OVER () FROM t', 'A window function (OVER)'],
    ['SELECT row_number() OVER (ORDER BY a) FROM t', 'A window function (OVER)'],
    ['SELECT a, COUNT(*) FROM t', 'The column a beside aggregates and outside of GROUP BY'],
    ['SELECT a, MAX(c) FROM t', 'The column a beside aggregates and outside of GROUP BY'],
    ['SELECT a + 1, b FROM t GROUP BY a + 2, b', 'The column a beside aggregates and outside of GROUP BY'],
    ['SELECT COUNT(*) FROM t GROUP BY b HAVING a > 1', 'The column a beside aggregates and outside of GROUP BY'],
    ['SELECT COUNT(*) FROM t GROUP BY b ORDER BY a', 'The column a beside aggregates and outside of GROUP BY'],
    ['SELECT upper(MIN(b)) FROM t', 'upper over an aggregate'],
    ['SELECT ~SUM(a) FROM t', '~ over an aggregate'],
    ["SELECT MIN(b) LIKE 'x' FROM t", 'LIKE over an aggregate'],
    ['SELECT SUM(a) & 1 FROM t', '& over an aggregate'],
    ['SELECT CAST(SUM(a) AS BLOB) FROM t', 'CAST over an aggregate'],
    ["SELECT a FROM t GROUP BY a HAVING COUNT(*) || c = 'x'", 'The column c beside aggregates and outside of GROUP BY'],
    ['SELECT DISTINCT a FROM t ORDER BY b', 'ORDER BY of something that SELECT DISTINCT leaves out'],
    // functions
    ['SELECT random() FROM t', 'RANDOM'],
    ['SELECT a FROM t ORDER BY random()', 'RANDOM'],
    ['SELECT CURRENT_TIMESTAMP FROM t', 'CURRENT_TIMESTAMP'],
    ["SELECT datetime('now') FROM t", "'now' in datetime"],
    ["SELECT strftime('%s', ' NOW ') FROM t", "'now' in strftime"],
    ["SELECT unixepoch('subsec') FROM t", "'now' in unixepoch"],
    ['SELECT total_changes() FROM t', 'TOTAL_CHANGES'],
    ['SELECT sqlite_version() FROM t', 'SQLITE_VERSION'],
    ['SELECT load_extension(b) FROM t', 'The function load_extension'],
    ['SELECT my_function(a) FROM t', 'The function my_function'],
    ['SELECT randomblob(1000000000) FROM t', 'RANDOMBLOB'],
    ['SELECT zeroblob(1000000000) FROM t', 'The function zeroblob'],
    ['SELECT EXTRACT(YEAR FROM b) FROM t', 'The expression Extract'],
    ["SELECT position('a' IN b) FROM t", 'The expression Position'],
    ["SELECT trim(BOTH 'x' FROM b) FROM t", 'TRIM(x FROM y)'],
    ['SELECT a REGEXP b FROM t', 'The operator REGEXP'],
    ['SELECT a MATCH b FROM t', 'The operator MATCH'],
    ["SELECT INTERVAL '1' DAY FROM t", 'The expression Interval'],
    // collations
    ['SELECT n, COUNT(*) FROM t GROUP BY n', 'The collation NOCASE in GROUP BY'],
    ['SELECT n FROM t ORDER BY n', 'The collation NOCASE in ORDER BY'],
    ['SELECT DISTINCT n FROM t', 'The collation NOCASE in DISTINCT'],
    ['SELECT MIN(n) FROM t', 'The collation NOCASE in MIN'],
    ['SELECT MAX(n) FROM t', 'The collation NOCASE in MAX'],
    ['SELECT b FROM t ORDER BY b COLLATE NOCASE', 'The collation NOCASE in ORDER BY'],
    ['SELECT b, COUNT(*) FROM t GROUP BY b COLLATE RTRIM', 'The collation RTRIM in GROUP BY'],
    ['SELECT MAX(b COLLATE NOCASE) FROM t', 'The collation NOCASE in MAX'],
    ["SELECT b FROM t WHERE b = 'x' COLLATE UNICODE", 'The collation UNICODE'],
    // clauses
    ['SELECT DISTINCT ON (a) a FROM t', 'DISTINCT ON'],
    ['SELECT a FROM t GROUP BY ALL', 'GROUP BY ALL, ROLLUP and CUBE'],
    ['SELECT a, COUNT(*) FROM t GROUP BY ROLLUP (a)', 'The function rollup'],
    ['SELECT a FROM t FETCH FIRST 3 ROWS ONLY', 'FETCH FIRST'],
    ['SELECT a FROM t FOR UPDATE', 'FOR UPDATE'],
    ['SELECT a AS x, b AS x FROM t', 'Two result columns with the name x'],
    ['SELECT *, a FROM t', 'Two result columns with the name a'],
    ['SELECT a AS __proto__ FROM t', 'Two result columns with the name __proto__'],
    ['SELECT t.b.c FROM t AS t', 'more than two parts'],
    ["SELECT CAST('2001-01-01' AS DATE) FROM t", 'A cast to DATE'],
    ["SELECT a FROM t WHERE a = N'x'", 'The literal NationalStringLiteral'],
  ])('%s', async (sql, part) => {
    const error = await failure(sql)
    expect(error.code).toBe('SQL_UNSUPPORTED')
    expect(error.retryable).toBe(false)
    expect(`${error.message} ${String(error.data.part)}`).toContain(part)
    // After what is wrong comes what to do instead.
    expect(error.message.split('\n')[0]!.length).toBeGreaterThan(part.length + 20)
  })

  test('the place is a line, a column and a caret below it', async () => {
    const error = await failure('SELECT a,\n  COUNT(DISTINCT b)\nFROM t')
    expect(error.data).toMatchObject({ line: 2, column: 3, part: 'COUNT(DISTINCT …)' })
    expect(error.message.split('\n').slice(-2)).toEqual(['    COUNT(DISTINCT b)', '    ^'])
  })

  test('a table with its namespace is told by which name it may be asked for here, and that a catalog has others', async () => {
    const { message } = await failure('SELECT COUNT(*) FROM analytics.flights')
    expect(message).toContain('Write "flights", if that is a table of the scanners')
    expect(message).toContain('A table of the catalog is not queried from here')
  })

  test('a refused query reaches no shard', async () => {
    const before = world.stores.map(({ statements }) => statements)
    await failure('SELECT COUNT(DISTINCT a) FROM t')
    expect(world.stores.map(({ statements }) => statements)).toEqual(before)
  })
})

describe('text that does not parse', () => {
  test.each([
    ['SELEC a FROM t', 1, 1],
    ['SELECT a FROM t WHERE', 1, 22],
    ['SELECT a FROM t WHERE a = ', 1, 26],
    ['SELECT a\nFROM t\nWHERE a ==== 1', 3, 11],
    ["SELECT 'é😀' FROM t WHERE a ! b", 1, 28],
    ["SELECT 'open FROM t", 1, 8],
    ['SELECT a FROM t LIMIT', 1, 22],
    ['SELECT (a FROM t', 1, 11],
  ])('%j fails at line %i, column %i', async (sql, line, column) => {
    const error = await failure(sql)
    expect(error).toMatchObject({ code: 'SQL_SYNTAX', data: { line, column, sql } })
    const [text, caret] = error.message.split('\n').slice(-2) as [string, string]
    expect(text.trim()).toBe(sql.split('\n')[line - 1]!.trim())
    expect(caret).toBe(`${' '.repeat(column + 1)}^`)
  })

  test('no text at all is a syntax error', async () => {
    expect((await failure('')).code).toBe('SQL_SYNTAX')
    expect((await failure('  ;')).code).toBe('SQL_SYNTAX')
  })

  test('a long line is cut around the place', async () => {
    const error = await failure(`SELECT ${'a + '.repeat(200)} ! FROM t`)
    const [text, caret] = error.message.split('\n').slice(-2) as [string, string]
    expect(text.length).toBeLessThan(90)
    expect(text[caret.length - 1]).toBe('!')
  })

  test('text that is too long or too deep is too large', async () => {
    expect(await failure(`SELECT a FROM t WHERE a IN (${'1, '.repeat(MAX_SQL_LENGTH / 3)}1)`)).toMatchObject({ code: 'QUERY_TOO_LARGE' })
    expect(await failure(`SELECT ${'('.repeat(400)}a${')'.repeat(400)} FROM t`)).toMatchObject({ code: 'QUERY_TOO_LARGE' })
    expect(await failure(`SELECT ${Array.from({ length: 600 }, (_, i) => `a + ${i} AS x${i}`).join(', ')} FROM t`)).toMatchObject({
      code: 'QUERY_TOO_LARGE',
    })
  })

  test.each([null, undefined, 5, {}, ['SELECT 1']])('%j is no query', async (sql) => {
    expect(await failure(sql as never)).toMatchObject({ code: 'SQL_INVALID', message: expect.stringContaining("query('SELECT") })
  })

  test('a trap of the parser is told as too large, and the parser is started again', async () => {
    // WebAssembly's own class, by its name: the lane of pure rooms has no types of it.
    class RuntimeError extends Error {}
    let restarts = 0
    const trapping = createSqlParser({
      parse_sql: () => {
        throw new RuntimeError('memory access out of bounds')
      },
      restart: () => void restarts++,
    })
    await expect(new QueryCoordinator(world.scanners, { parser: trapping }).query('SELECT a FROM t')).rejects.toMatchObject({
      code: 'QUERY_TOO_LARGE',
      data: { length: 15 },
    })
    expect(restarts).toBe(1)
  })

  test('the parser works on after it has failed', async () => {
    await failure('SELECT')
    expect(await coordinator.query('SELECT a FROM t')).toEqual([{ a: 1 }])
  })
})

describe('names and clauses that make no sense', () => {
  test.each([
    ['SELECT nope FROM t', 'COLUMN_UNKNOWN', 'It has: a, b, c, n'],
    ['SELECT "nope" FROM t', 'COLUMN_UNKNOWN', 'nope'],
    ['SELECT a FROM t WHERE b = "x"', 'COLUMN_UNKNOWN', 'x'],
    ['SELECT rowid FROM t', 'COLUMN_UNKNOWN', 'rowid'],
    ['SELECT u.a FROM t', 'TABLE_UNKNOWN', 'u is not the table'],
    ['SELECT t.a FROM t AS u', 'TABLE_UNKNOWN', 't is not the table'],
    ['SELECT u.* FROM t', 'TABLE_UNKNOWN', 'u'],
    ['SELECT a FROM nowhere', 'TABLE_UNKNOWN', 'There are: t'],
    ['SELECT a FROM dotdo_versions', 'TABLE_UNKNOWN', 'There are: t'],
    ['SELECT name FROM sqlite_master', 'TABLE_UNKNOWN', 'There are: t'],
    ['SELECT 1', 'SQL_INVALID', 'no FROM'],
    ['SELECT a FROM t WHERE COUNT(*) > 1', 'SQL_INVALID', 'WHERE cannot hold an aggregate'],
    ['SELECT COUNT(*) AS k FROM t WHERE k > 1', 'SQL_INVALID', 'WHERE cannot hold an aggregate'],
    ['SELECT COUNT(*) FROM t GROUP BY SUM(a)', 'SQL_INVALID', 'GROUP BY cannot hold an aggregate'],
    ['SELECT SUM(MAX(a)) FROM t', 'SQL_INVALID', 'inside another'],
    ['SELECT a FROM t HAVING a > 1', 'SQL_INVALID', 'HAVING needs GROUP BY'],
    ['SELECT a FROM t ORDER BY COUNT(*)', 'SQL_INVALID', 'ORDER BY without groups'],
    ['SELECT a FROM t ORDER BY 2', 'SQL_INVALID', 'ORDER BY 2'],
    ['SELECT a FROM t ORDER BY -1', 'SQL_INVALID', 'ORDER BY -1'],
    ['SELECT a, COUNT(*) FROM t GROUP BY 3', 'SQL_INVALID', 'GROUP BY 3'],
    ['SELECT a AS x, x + 1 AS y FROM t', 'COLUMN_UNKNOWN', 'x'],
    ['SELECT a FROM t LIMIT a', 'SQL_INVALID', 'LIMIT takes a whole number'],
    ["SELECT a FROM t LIMIT 'x'", 'SQL_INVALID', 'LIMIT'],
    ['SELECT a FROM t LIMIT 1.5', 'SQL_INVALID', 'LIMIT'],
    ['SELECT a FROM t LIMIT 1 OFFSET NULL', 'SQL_INVALID', 'OFFSET'],
    ['SELECT abs(a, b) FROM t', 'SQL_INVALID', 'abs takes 1 arguments'],
    ['SELECT replace(b) FROM t', 'SQL_INVALID', 'replace takes 3 arguments'],
    ['SELECT a, FROM t', 'SQL_SYNTAX', 'does not parse'],
    ['SELECT FROM t', 'SQL_SYNTAX', 'does not parse'],
  ])('%s is %s', async (sql, code, part) => {
    expect(await failure(sql)).toMatchObject({ code, message: expect.stringContaining(part) })
  })

  test('a coordinator needs at least one scanner, and not more than it can hold', () => {
    expect(() => new QueryCoordinator([], { parser })).toThrow(expect.objectContaining({ code: 'NO_SCANNERS' }))
    expect(
      () =>
        new QueryCoordinator(
          Array.from({ length: 513 }, () => world.scanners[0]!),
          { parser },
        ),
    ).toThrow(expect.objectContaining({ code: 'TOO_MANY_SHARDS' }))
  })
})
