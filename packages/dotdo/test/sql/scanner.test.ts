import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { describeTable, affinityOfType } from '../../src/sql/describe.ts'
import { checkStatement } from '../../src/sql/guard.ts'
import { MAX_BATCH_BYTES, MAX_BATCH_ROWS, type ScanReply, type ScanRequest } from '../../src/sql/scanner.ts'
import { SqliteScanner } from '../../src/sql/sqlite-scanner.ts'
import type { Cell } from '../../src/sql/values.ts'
import { ShardStore } from './support/shards.ts'

function request(sql: string, columns: number, more: Partial<ScanRequest> = {}): ScanRequest {
  const names = Array.from({ length: columns }, (_, i) => `c${i}`)
  return { version: 1, table: 't', sql, parameters: [], columns: names, typed: false, wide: names, ...more }
}

function scannerOver(
  ddl: string,
  options: { tables?: string[]; onWrite?: 'fail' | 'read-on' } = {},
): { store: ShardStore; scanner: SqliteScanner } {
  const store = new ShardStore()
  store.database.exec(ddl)
  return {
    store,
    scanner: new SqliteScanner(store, { tables: options.tables ?? ['t'], ...(options.onWrite && { onWrite: options.onWrite }) }),
  }
}

async function readAll(first: ScanReply): Promise<ScanReply[]> {
  const batches = [first]
  for (let next = await first.cursor?.next(); next; next = await first.cursor!.next()) batches.push(next)
  return batches
}

const thousand = 'WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999) INSERT INTO t SELECT i FROM n'

describe('values leave SQLite as they are', () => {
  const value = fc.oneof(
    fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
    fc.constantFrom(2n ** 53n, 2n ** 53n - 1n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, -(2n ** 63n), 2n ** 63n - 1n),
    fc.double({ noNaN: true }),
    fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0')),
    fc.constantFrom('9007199254740993', 'i', '-1', 'r'),
    fc.uint8Array({ maxLength: 8 }),
    fc.constant(null),
  )

  test('any value, of any type, in any column, typed or not', async () => {
    const { store, scanner } = scannerOver('CREATE TABLE t (a, b)')
    const insert = store.database.prepare('INSERT INTO t VALUES (?, ?)')
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(value, value), { maxLength: 6 }), fc.boolean(), async (rows, typed) => {
        store.database.exec('DELETE FROM t')
        for (const row of rows) insert.run(...row)
        const reply = await scanner.scan(request('SELECT `a` AS c0, `b` AS c1 FROM `t`', 2, { typed }))
        expect(reply.rows).toBe(rows.length)
        rows.forEach((row, i) => {
          row.forEach((stored, column) => {
            const got = reply.values[column]![i]!
            expect(sameStored(got, stored), `${String(stored)} came back as ${String(got)}`).toBe(true)
            if (!typed) return
            const letters = typeof reply.types === 'string' ? reply.types : reply.types![i]!
            expect(letters[column]).toBe(letterOf(stored))
          })
        })
      }),
      { numRuns: 500 },
    )
  })

  test('a column that is not wide is read as it is', async () => {
    const { scanner } = scannerOver('CREATE TABLE t (a TEXT, b REAL); INSERT INTO t VALUES (12345678901234567890, 9007199254740993)')
    const reply = await scanner.scan(request('SELECT `a` AS c0, `b` AS c1 FROM `t`', 2, { wide: [] }))
    expect(reply.values).toEqual([['1.2345678901234567e+19'], [9007199254740992]])
  })

  test('one letter string stands for all rows that agree', async () => {
    const { scanner } = scannerOver('CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)')
    expect((await scanner.scan(request('SELECT `a` AS c0, 2.0 AS c1 FROM `t`', 2, { typed: true }))).types).toBe('ir')
    const mixed = scannerOver("CREATE TABLE t (a); INSERT INTO t VALUES (1), ('x'), (NULL), (x'00'), (1.0)")
    expect((await mixed.scanner.scan(request('SELECT `a` AS c0 FROM `t`', 1, { typed: true }))).types).toEqual(['i', 't', 'n', 'b', 'r'])
  })
})

describe('batches', () => {
  test('a small result is one reply without a cursor', async () => {
    const { scanner, store } = scannerOver('CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2)')
    const reply = await scanner.scan(request('SELECT `a` AS c0 FROM `t`', 1))
    expect(reply).toMatchObject({ batch: 0, columns: ['c0'], values: [[1, 2]], rows: 2, table: { name: 't', kind: 'table' } })
    expect(reply.cursor).toBeUndefined()
    expect(store.open).toBe(0)
  })

  test('no rows at all are one empty reply', async () => {
    const { scanner } = scannerOver('CREATE TABLE t (a INT)')
    expect(await scanner.scan(request('SELECT `a` AS c0 FROM `t`', 1, { typed: true }))).toMatchObject({ rows: 0, values: [[]], types: '' })
  })

  test.each([1, 7, 100, 250, 999, 1000, 1001])('batches of %i rows hold all rows, numbered without gaps', async (batchRows) => {
    const { scanner, store } = scannerOver(`CREATE TABLE t (a INT); ${thousand}`)
    const batches = await readAll(await scanner.scan(request('SELECT `a` AS c0 FROM `t` ORDER BY 1', 1, { batchRows })))
    expect(batches.flatMap(({ values }) => values[0])).toEqual(Array.from({ length: 1000 }, (_, i) => i))
    expect(batches.map(({ batch }) => batch)).toEqual(batches.map((_, i) => i))
    expect(Math.max(...batches.map(({ rows }) => rows))).toBeLessThanOrEqual(batchRows)
    expect(store.open).toBe(0)
  })

  test('a batch is bounded by its bytes, except that one row always fits', async () => {
    const { scanner } = scannerOver(
      "CREATE TABLE t (a TEXT); INSERT INTO t SELECT printf('%.*c', 1000, 'x') FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8))",
    )
    const batches = await readAll(await scanner.scan(request('SELECT `a` AS c0 FROM `t`', 1, { batchBytes: 5000 })))
    expect(batches.map(({ rows }) => rows)).toEqual([3, 3, 2])
    const single = await readAll(await scanner.scan(request('SELECT `a` AS c0 FROM `t`', 1, { batchBytes: 1 })))
    expect(single.map(({ rows }) => rows)).toEqual([1, 1, 1, 1, 1, 1, 1, 1])
  })

  test('a request cannot raise the bounds', async () => {
    const { scanner } = scannerOver(
      'CREATE TABLE t (a TEXT); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT 1 FROM n',
    )
    const reply = await scanner.scan(request('SELECT `a` AS c0 FROM `t`', 1, { batchRows: 1e9, batchBytes: 1e12 }))
    expect(reply.rows).toBe(MAX_BATCH_ROWS)
    expect(MAX_BATCH_BYTES).toBeLessThanOrEqual(4 * 1024 * 1024)
    reply.cursor![Symbol.dispose]!()
  })

  test('disposing the cursor ends the statement, once', async () => {
    const { scanner, store } = scannerOver(`CREATE TABLE t (a INT); ${thousand}`)
    const { cursor } = await scanner.scan(request('SELECT `a` AS c0 FROM `t`', 1, { batchRows: 10 }))
    expect(store.open).toBe(1)
    cursor![Symbol.dispose]!()
    cursor![Symbol.dispose]!()
    expect(store.open).toBe(0)
    expect(await cursor!.next()).toBeNull()
  })
})

describe('a write while a result is read', () => {
  test('fails the rest, because it would be of another moment', async () => {
    const { scanner, store } = scannerOver(`CREATE TABLE t (a INT); ${thousand}`)
    const { cursor } = await scanner.scan(request('SELECT `a` AS c0 FROM `t`', 1, { batchRows: 10 }))
    store.database.exec('UPDATE t SET a = a + 1 WHERE a > 990')
    await expect(cursor!.next()).rejects.toMatchObject({ code: 'SCAN_STALE', retryable: true })
    expect(store.open).toBe(0)
  })

  test('is read over where that is asked for', async () => {
    const { scanner, store } = scannerOver(`CREATE TABLE t (a INT); ${thousand}`, { onWrite: 'read-on' })
    const first = await scanner.scan(request('SELECT `a` AS c0 FROM `t`', 1, { batchRows: 10 }))
    store.database.exec('UPDATE t SET a = -1 WHERE a = 990')
    const all = (await readAll(first)).flatMap(({ values }) => values[0])
    expect(all.length).toBe(1000)
  })

  test('a result of one batch does not mind', async () => {
    const { scanner, store } = scannerOver('CREATE TABLE t (a INT); INSERT INTO t VALUES (1)')
    const reply = await scanner.scan(request('SELECT `a` AS c0 FROM `t`', 1))
    store.database.exec('DELETE FROM t')
    expect(reply.values).toEqual([[1]])
  })

  test('an overflow of SUM has a code of its own, another failure of SQLite names the table', async () => {
    const { scanner } = scannerOver('CREATE TABLE t (a INT); INSERT INTO t VALUES (9223372036854775807), (1)')
    await expect(scanner.scan(request('SELECT sum(`a`) AS c0 FROM `t`', 1, { typed: true }))).rejects.toMatchObject({
      code: 'SQL_OVERFLOW',
      retryable: false,
    })
    await expect(scanner.scan(request('SELECT `nope` AS c0 FROM `t`', 1))).rejects.toMatchObject({
      code: 'SCAN_FAILED',
      data: { table: 't' },
    })
  })
})

describe('descriptions', () => {
  test('tell names, types, affinities and collations', () => {
    const store = new ShardStore()
    store.database.exec(
      'CREATE TABLE t (i INT, b BIGINT, r REAL, d DOUBLE, s VARCHAR(9), n NUMERIC, dt DATETIME, x, bl BLOB, "q `q" TEXT COLLATE NOCASE, k TEXT COLLATE RTRIM, g AS (i + 1))',
    )
    const { name, kind, columns } = describeTable(store, 't')!
    expect({ name, kind }).toEqual({ name: 't', kind: 'table' })
    expect(columns.map((column) => [column.name, column.affinity, column.collation])).toEqual([
      ['i', 'INTEGER', 'BINARY'],
      ['b', 'INTEGER', 'BINARY'],
      ['r', 'REAL', 'BINARY'],
      ['d', 'REAL', 'BINARY'],
      ['s', 'TEXT', 'BINARY'],
      ['n', 'NUMERIC', 'BINARY'],
      ['dt', 'NUMERIC', 'BINARY'],
      ['x', 'BLOB', 'BINARY'],
      ['bl', 'BLOB', 'BINARY'],
      ['q `q', 'TEXT', 'NOCASE'],
      ['k', 'TEXT', 'RTRIM'],
      ['g', 'BLOB', 'BINARY'],
    ])
  })

  test('a collation is found whatever the rows are, and through a view', () => {
    const store = new ShardStore()
    store.database.exec(
      "CREATE TABLE t (a TEXT COLLATE NOCASE, b INT COLLATE NOCASE); INSERT INTO t VALUES ('zzz', 5); CREATE VIEW v AS SELECT a, b + 1 AS c FROM t",
    )
    expect(describeTable(store, 't')!.columns.map(({ collation }) => collation)).toEqual(['NOCASE', 'NOCASE'])
    expect(describeTable(store, 'v')).toMatchObject({
      kind: 'view',
      columns: [
        { name: 'a', collation: 'NOCASE' },
        { name: 'c', collation: 'BINARY' },
      ],
    })
  })

  test('a table that is not there has none', () => {
    expect(describeTable(new ShardStore(), 't')).toBeUndefined()
  })

  test('ANY keeps values as they are in a STRICT table only', () => {
    expect([
      affinityOfType('ANY', true),
      affinityOfType('ANY'),
      affinityOfType('CHARINT'),
      affinityOfType('FLOATING POINT'),
      affinityOfType('STRING'),
    ]).toEqual(['BLOB', 'NUMERIC', 'INTEGER', 'INTEGER', 'NUMERIC'])
    const store = new ShardStore()
    store.database.exec('CREATE TABLE t (a ANY, b INT) STRICT')
    expect(describeTable(store, 't')!.columns.map(({ affinity }) => affinity)).toEqual(['BLOB', 'INTEGER'])
  })

  test('only tables of the list are shown, and those that are there', async () => {
    const { scanner } = scannerOver('CREATE TABLE t (a); CREATE TABLE u (b); CREATE TABLE dotdo_x (c)', { tables: ['t', 'gone'] })
    expect((await scanner.describe()).map(({ name }) => name)).toEqual(['t'])
    await expect(scanner.scan(request('SELECT `b` AS c0 FROM `u`', 1, { table: 'u' }))).rejects.toMatchObject({
      code: 'TABLE_UNKNOWN',
      message: expect.stringContaining('There are: t, gone'),
    })
    await expect(scanner.scan(request('SELECT `b` AS c0 FROM `gone`', 1, { table: 'gone' }))).rejects.toMatchObject({
      code: 'TABLE_UNKNOWN',
    })
  })

  test.each(['dotdo_outbox', 'DOTDO_versions', 'sqlite_master', 'sqlite_schema', '_cf_KV'])('%s cannot be put on the list', (table) => {
    expect(() => new SqliteScanner(new ShardStore(), { tables: [table] })).toThrow(expect.objectContaining({ code: 'SCAN_REFUSED' }))
  })
})

describe('a statement that no plan contains is refused, whoever sends it', () => {
  test.each([
    'SELECT `b` AS c0 FROM `u`',
    'SELECT `a` AS c0 FROM `t`, `u`',
    'SELECT `a` AS c0 FROM `t` JOIN `u`',
    'SELECT `a` AS c0 FROM `t` AS `x`',
    'SELECT `a` AS c0 FROM `t`; DELETE FROM `t`',
    'SELECT `a` AS c0 FROM `t` UNION SELECT `b` FROM `u`',
    'SELECT (SELECT `b` FROM `u`) AS c0 FROM `t`',
    'SELECT `a` AS c0 FROM `t` WHERE `a` IN (SELECT `b` FROM `u`)',
    'SELECT `a` AS c0 FROM `t` WHERE `a` IN `u`',
    'SELECT `a` AS c0 FROM pragma_table_list',
    'SELECT `a` AS c0 FROM `t`(1)',
    'SELECT `a` AS c0 FROM "t"',
    'SELECT `a` AS c0 FROM `main`.`t`',
    'SELECT "a" AS c0 FROM `t`',
    'SELECT a AS c0 FROM `t`',
    'SELECT [a] AS c0 FROM `t`',
    'SELECT `a` AS c1 FROM `t`',
    'SELECT load_extension(`a`) AS c0 FROM `t`',
    'SELECT randomblob(1000000) AS c0 FROM `t`',
    'SELECT zeroblob(1000000) AS c0 FROM `t`',
    'SELECT group_concat(`a`) AS c0 FROM `t`',
    'SELECT `a` AS c0 FROM `t` WHERE `a` = ?1',
    'SELECT `a` AS c0 FROM `t` WHERE `a` = ?',
    'SELECT `a` AS c0 FROM `t` WHERE `a` = :x',
    "SELECT 'open AS c0 FROM `t`",
    'SELECT `a` AS c0 FROM `t` /* open',
    'WITH `x` AS (SELECT 1) SELECT `a` AS c0 FROM `t`',
    'SELECT `a` AS c0 FROM `t` WHERE `a` /* = 1',
    'SELECT `a` -- AS c1\n AS c0 FROM `t`',
    'SELECT `a` AS c0 FROM `t` WHERE `a` = 1\0',
    'DELETE FROM `t`',
    'INSERT INTO `t` VALUES (1)',
    'UPDATE `t` SET `a` = 1',
    'DROP TABLE `t`',
    'PRAGMA table_info(`t`)',
    'ATTACH `t` AS c0',
    'VACUUM',
    'EXPLAIN SELECT `a` AS c0 FROM `t`',
    'SELECT `a` AS c0 FROM `t` WHERE EXISTS (SELECT 1)',
    'SELECT `a` AS c0 FROM `t` INDEXED BY `i`',
    'SELECT `a` AS c0 FROM `t` WINDOW w AS (ORDER BY `a`)',
    'SELECT sum(`a`) OVER () AS c0 FROM `t`',
    '',
  ])('%s', async (sql) => {
    const { scanner, store } = scannerOver('CREATE TABLE t (a); CREATE TABLE u (b); INSERT INTO u VALUES (1)')
    await expect(scanner.scan(request(sql, 1))).rejects.toMatchObject({ code: 'SCAN_REFUSED' })
    expect(store.database.prepare('SELECT COUNT(*) AS n FROM u').get()).toEqual({ n: 1 })
  })

  test('names and texts may hold anything', () => {
    for (const sql of [
      "SELECT 'FROM `u`; DROP' AS c0 FROM `t`",
      'SELECT `SELECT` AS c0 FROM `t`',
      "SELECT `a` AS c0 FROM `t` WHERE `x``y` = 'it''s /* -- '",
    ]) {
      expect(() => checkStatement(request(sql, 1))).not.toThrow()
    }
  })

  test('a request of another version, or with other column names, is refused', () => {
    const sql = 'SELECT `a` AS c0 FROM `t`'
    expect(() => checkStatement({ ...request(sql, 1), version: 2 as 1 })).toThrow(expect.objectContaining({ code: 'SCAN_REFUSED' }))
    expect(() => checkStatement({ ...request(sql, 1), columns: ['a) FROM t; --'] })).toThrow(
      expect.objectContaining({ code: 'SCAN_REFUSED' }),
    )
    expect(() => checkStatement({ ...request(sql, 1), table: 'T' })).toThrow(expect.objectContaining({ code: 'SCAN_REFUSED' }))
  })
})

function sameStored(got: Cell, stored: Cell): boolean {
  if (stored instanceof Uint8Array)
    return got instanceof Uint8Array && got.length === stored.length && got.every((byte, i) => byte === stored[i])
  if (typeof stored === 'bigint') return Number.isSafeInteger(Number(stored)) ? got === Number(stored) : got === stored
  return got === stored || (got === 0 && stored === 0)
}

function letterOf(stored: Cell): string {
  if (stored === null) return 'n'
  if (stored instanceof Uint8Array) return 'b'
  return typeof stored === 'bigint' ? 'i' : typeof stored === 'number' ? 'r' : 't'
}
