import { afterEach, describe, expect, test, vi } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import { QueryCoordinator, type CoordinatorOptions } from '../../src/sql/coordinator.ts'
import type { Scanner, ScanReply } from '../../src/sql/scanner.ts'
import { SqliteScanner } from '../../src/sql/sqlite-scanner.ts'
import { deferred, settle, SpyScanner } from './support/fakes.ts'
import { parser } from './support/parser.ts'
import { World, type Stored } from './support/shards.ts'

const rows: Stored[][] = Array.from({ length: 60 }, (_, i) => [BigInt(i), i % 2 ? 'odd' : 'even'])
const sqls = [
  'SELECT a FROM t',
  'SELECT a FROM t ORDER BY a',
  'SELECT a FROM t LIMIT 50',
  'SELECT b, COUNT(*) AS n FROM t GROUP BY b ORDER BY b',
  'SELECT SUM(a) AS s FROM t',
]

let spies: SpyScanner[] = []

/** A world whose shards answer in batches of a few rows, so that cursors are in play. */
function setUp(
  options: Partial<CoordinatorOptions> = {},
  batchRows = 7,
): { world: World; spies: SpyScanner[]; coordinator: QueryCoordinator } {
  const world = new World('CREATE TABLE t (a INT, b TEXT)', 't', rows, 3)
  spies = world.scanners.map(
    (scanner) => new SpyScanner({ describe: () => scanner.describe(), scan: (request) => scanner.scan({ ...request, batchRows }) }),
  )
  return {
    world,
    spies,
    coordinator: new QueryCoordinator(
      spies.map(({ stub }) => stub),
      { parser, ...options },
    ),
  }
}

// After every test: what was handed out is disposed, and no statement is left open.
const unhandled = vi.fn()
process.on('unhandledRejection', unhandled)
afterEach(async () => {
  await settle()
  for (const spy of spies) expect(spy.disposed).toBe(spy.handed)
  expect(unhandled).not.toHaveBeenCalled()
  spies = []
})

describe('a shard that fails', () => {
  test.each(sqls)('fails %s, and is named', async (sql) => {
    const { coordinator } = setUp()
    spies[1]!.beforeScan = () => Promise.reject(new DotdoError('DISK_FULL', 'The disk is full.', { retryable: true }))
    await expect(coordinator.query(sql)).rejects.toMatchObject({
      code: 'SHARD_FAILED',
      retryable: true,
      message: expect.stringContaining('Shard 1 did not answer: The disk is full.'),
      data: { shard: 1, error: { code: 'DISK_FULL' } },
    })
  })

  test.each(sqls.slice(0, 3))('in the middle of its rows fails %s', async (sql) => {
    const { coordinator } = setUp()
    spies[2]!.beforeNext = (count) => (count === 1 ? Promise.reject(new Error('gone')) : undefined)
    await expect(coordinator.query(sql)).rejects.toMatchObject({
      code: 'SHARD_FAILED',
      retryable: true,
      data: { shard: 2, error: { message: 'gone' } },
    })
  })

  test('terminally makes a terminal failure', async () => {
    const { coordinator } = setUp()
    spies[0]!.beforeScan = () => Promise.reject(new DotdoError('SCAN_REFUSED', 'No.'))
    await expect(coordinator.query('SELECT a FROM t')).rejects.toMatchObject({ code: 'SHARD_FAILED', retryable: false })
  })

  test('by throwing at once is a failed shard all the same', async () => {
    const { world } = setUp()
    const throwing: Scanner = {
      describe: () => world.scanners[0]!.describe(),
      scan: () => {
        throw new TypeError('stub is broken')
      },
    }
    const coordinator = new QueryCoordinator([world.scanners[0]!, throwing], { parser })
    await expect(coordinator.query('SELECT a FROM t')).rejects.toMatchObject({ code: 'SHARD_FAILED', data: { shard: 1 } })
  })

  test('while it is described fails the query, and the next one asks again', async () => {
    const { coordinator } = setUp()
    const describe = vi.spyOn(spies[0]!, 'describe').mockRejectedValueOnce(new Error('starting'))
    await expect(coordinator.query('SELECT a FROM t')).rejects.toMatchObject({ code: 'SHARD_FAILED', data: { shard: 0 } })
    expect((await coordinator.query('SELECT COUNT(*) AS n FROM t'))[0]).toEqual({ n: 60 })
    expect(describe).toHaveBeenCalledTimes(2)
  })

  test('an overflow of a sum is no failure of a shard but a fact', async () => {
    const { world, coordinator } = setUp()
    world.stores[1]!.database.exec('INSERT INTO t VALUES (9223372036854775807, NULL), (9223372036854775807, NULL)')
    await expect(coordinator.query('SELECT SUM(a) FROM t')).rejects.toMatchObject({ code: 'SQL_OVERFLOW', retryable: false })
  })

  test('an overflow that only the sum over all shards has is found too', async () => {
    const { world, coordinator } = setUp()
    for (const { database } of world.stores.slice(1)) database.exec('INSERT INTO t VALUES (9223372036854770000, NULL)')
    await expect(coordinator.query('SELECT SUM(a) FROM t')).rejects.toMatchObject({ code: 'SQL_OVERFLOW' })
    expect(await coordinator.query('SELECT MAX(a) AS m FROM t')).toEqual([{ m: 9223372036854770000n }])
  })
})

describe('an answer without some shards', () => {
  test.each(sqls)('is given by queryResult for %s, with the missing named', async (sql) => {
    const { coordinator, world } = setUp({ onShardError: 'partial' })
    spies[1]!.beforeScan = () => Promise.reject(new Error('down'))
    const { rows: got, missing } = await coordinator.queryResult(sql)
    const rest = new QueryCoordinator([world.scanners[0]!, world.scanners[2]!], { parser })
    expect(got).toEqual(await rest.query(sql))
    expect(missing).toEqual([{ shard: 1, error: { name: 'Error', message: 'down' } }])
  })

  test('is never given by query, whose rows could not say so', async () => {
    const { coordinator } = setUp({ onShardError: 'partial' })
    spies[1]!.beforeScan = () => Promise.reject(new Error('down'))
    await expect(coordinator.query('SELECT a FROM t')).rejects.toMatchObject({ code: 'SHARD_FAILED', data: { shard: 1 } })
  })

  test('is given by queryStream, which names the missing at its end', async () => {
    const { coordinator } = setUp({ onShardError: 'partial' })
    spies[0]!.beforeScan = () => Promise.reject(new Error('down'))
    const stream = coordinator.queryStream('SELECT a FROM t')
    let count = 0
    for await (const batch of stream) count += batch.length
    expect(count).toBe(40)
    expect(stream.missing).toEqual([{ shard: 0, error: { name: 'Error', message: 'down' } }])
  })

  test('needs one shard at least', async () => {
    const { coordinator } = setUp({ onShardError: 'partial' })
    await coordinator.query('SELECT a FROM t')
    for (const spy of spies) spy.beforeScan = () => Promise.reject(new Error('down'))
    await expect(coordinator.queryResult('SELECT a FROM t')).rejects.toMatchObject({ code: 'SHARD_FAILED' })
  })

  test('is not given when a shard fails after some of its rows were used', async () => {
    const { coordinator } = setUp({ onShardError: 'partial' })
    spies[2]!.beforeNext = () => Promise.reject(new Error('gone'))
    await expect(coordinator.queryResult('SELECT a FROM t')).rejects.toMatchObject({ code: 'SHARD_FAILED', data: { shard: 2 } })
  })

  test('is described by the first shard that answers', async () => {
    const { coordinator } = setUp({ onShardError: 'partial' })
    vi.spyOn(spies[0]!, 'describe').mockRejectedValue(new Error('down'))
    spies[0]!.beforeScan = () => Promise.reject(new Error('down'))
    expect((await coordinator.queryResult('SELECT COUNT(*) AS n FROM t')).rows).toEqual([{ n: 40 }])
  })

  test('a complete answer misses nothing', async () => {
    const { coordinator } = setUp({ onShardError: 'partial' })
    expect(await coordinator.queryResult('SELECT COUNT(*) AS n FROM t')).toEqual({ columns: ['n'], rows: [{ n: 60 }], missing: [] })
    expect((await coordinator.queryResult('SELECT a FROM t WHERE 0')).columns).toEqual(['a'])
  })
})

describe('a reply that breaks the contract is noticed', () => {
  const broken: [string, (reply: ScanReply) => ScanReply, string][] = [
    ['another number of columns', (reply) => ({ ...reply, columns: [...reply.columns, 'x'] }), 'SCHEMA_MISMATCH'],
    ['columns of other names', (reply) => ({ ...reply, columns: reply.columns.map((name) => `${name}x`) }), 'SCHEMA_MISMATCH'],
    [
      'no description of the table',
      ({ batch, columns, values, rows: count }) => ({ batch, columns, values, rows: count }),
      'SCHEMA_MISMATCH',
    ],
    [
      'a column missing from the table',
      (reply) => ({ ...reply, table: { name: 't', kind: 'table', columns: reply.table?.columns.slice(1) ?? [] } }),
      'SCHEMA_MISMATCH',
    ],
    [
      'a column of another affinity',
      (reply) => ({
        ...reply,
        table: { name: 't', kind: 'table', columns: reply.table?.columns.map((it) => ({ ...it, affinity: 'BLOB' as const })) ?? [] },
      }),
      'SCHEMA_MISMATCH',
    ],
    ['fewer rows than stated', (reply) => ({ ...reply, rows: reply.rows + 1 }), 'SHARD_FAILED'],
    ['fewer columns of values than stated', (reply) => ({ ...reply, values: reply.values.slice(1) }), 'SHARD_FAILED'],
    ['a batch out of sequence', (reply) => ({ ...reply, batch: reply.batch + 1 }), 'SHARD_FAILED'],
  ]
  for (const sql of ['SELECT a, b FROM t', 'SELECT a, b FROM t ORDER BY a', 'SELECT a, COUNT(b) AS n FROM t GROUP BY a']) {
    test.each(broken)(`${sql}: %s`, async (_, change, code) => {
      const { coordinator } = setUp()
      spies[1]!.change = (reply) => (reply.batch === 0 ? change(reply) : reply)
      await expect(coordinator.query(sql)).rejects.toMatchObject({ code, data: { shard: 1 } })
    })
  }

  test('a batch that is delivered twice', async () => {
    for (const sql of ['SELECT a FROM t', 'SELECT a FROM t ORDER BY a', 'SELECT a, COUNT(*) AS n FROM t GROUP BY a']) {
      const { coordinator } = setUp()
      let first: ScanReply | undefined
      spies[0]!.change = (reply) => (first ??= { ...reply })
      await expect(coordinator.query(sql)).rejects.toMatchObject({
        code: 'SHARD_FAILED',
        data: { shard: 0, error: { code: 'SCAN_MALFORMED' } },
      })
    }
  })

  test('rows out of order, within a batch and between batches', async () => {
    for (const at of [0, 1]) {
      const { coordinator } = setUp()
      spies[1]!.change = (reply) => (reply.batch === at ? { ...reply, values: reply.values.map((column) => column.toReversed()) } : reply)
      await expect(coordinator.query('SELECT a FROM t ORDER BY a')).rejects.toMatchObject({
        code: 'SHARD_FAILED',
        data: { shard: 1, error: { code: 'SCAN_MALFORMED' } },
      })
    }
  })

  test('types that are missing or too short', async () => {
    for (const types of [undefined, 'i', ['it']]) {
      const { coordinator } = setUp()
      spies[1]!.change = (reply) => {
        const changed = { ...reply }
        if (types) changed.types = types
        else delete changed.types
        return changed
      }
      await expect(coordinator.query('SELECT a, SUM(a) AS s FROM t GROUP BY a')).rejects.toMatchObject({
        code: 'SHARD_FAILED',
        data: { shard: 1 },
      })
    }
  })

  test('shards with different tables are a mismatch that names the column', async () => {
    const { world } = setUp()
    const other = new World('CREATE TABLE t (a TEXT, b TEXT)', 't', [['1', 'x']], 1)
    const coordinator = new QueryCoordinator([...world.scanners, ...other.scanners], { parser })
    await expect(coordinator.query('SELECT a FROM t')).rejects.toMatchObject({
      code: 'SCHEMA_MISMATCH',
      data: { shard: 3, column: 'a', table: 't' },
    })
    // A column that the query does not read may differ.
    expect(await coordinator.query('SELECT COUNT(b) AS n FROM t')).toEqual([{ n: 61 }])
  })
})

describe('calls', () => {
  test('one describe, once, and then one scan a shard for each query', async () => {
    const { coordinator } = setUp({}, 1000)
    for (let i = 1; i <= 3; i++) {
      await coordinator.query('SELECT SUM(a) FROM t')
      expect(spies.map(({ describes, scans, nexts }) => [describes, scans, nexts])).toEqual([
        [1, i, 0],
        [0, i, 0],
        [0, i, 0],
      ])
    }
  })

  test('all scans leave in one turn, before any is answered', async () => {
    const { coordinator } = setUp()
    await coordinator.query('SELECT a FROM t')
    const gate = deferred<void>()
    for (const spy of spies) spy.beforeScan = () => gate.promise
    const answer = coordinator.query('SELECT SUM(a) AS s FROM t')
    await settle()
    expect(spies.map(({ scans }) => scans)).toEqual([2, 2, 2])
    gate.resolve()
    expect(await answer).toEqual([{ s: 1770 }])
  })

  test('scanners may be promises', async () => {
    const { world } = setUp()
    const coordinator = new QueryCoordinator(
      world.scanners.map((scanner) => Promise.resolve(scanner)),
      { parser },
    )
    expect(await coordinator.query('SELECT COUNT(*) AS n FROM t')).toEqual([{ n: 60 }])
  })

  test('a shard that hangs does not stop a stream from giving what the others have', async () => {
    const { coordinator } = setUp({}, 1000)
    spies[0]!.beforeScan = () => new Promise(() => {})
    const iterator = coordinator.queryStream('SELECT a FROM t')[Symbol.asyncIterator]()
    expect((await iterator.next()).value).toHaveLength(20)
    expect((await iterator.next()).value).toHaveLength(20)
    await iterator.return!()
  })

  test('the batches of all shards together stay within the memory of an isolate', async () => {
    const world = new World('CREATE TABLE t (a INT)', 't', [[1n]], 40)
    const seen: number[] = []
    const coordinator = new QueryCoordinator(
      world.scanners.map((scanner) => ({
        describe: () => scanner.describe(),
        scan: (request) => (seen.push(request.batchBytes!), scanner.scan(request)),
      })),
      { parser },
    )
    await coordinator.query('SELECT a FROM t')
    expect(seen.length * seen[0]!).toBeLessThanOrEqual(48 * 1024 * 1024)
  })
})

describe('tables that change', () => {
  test('a column added after the first query is known to the next', async () => {
    const { world, coordinator } = setUp()
    await coordinator.query('SELECT a FROM t')
    for (const { database } of world.stores) database.exec('ALTER TABLE t ADD COLUMN z INT DEFAULT 2')
    expect(await coordinator.query('SELECT SUM(z) AS s FROM t')).toEqual([{ s: 120 }])
    await expect(coordinator.query('SELECT nope FROM t')).rejects.toMatchObject({ code: 'COLUMN_UNKNOWN' })
  })

  test('a column whose type has changed on all shards is read anew, once', async () => {
    const { world, coordinator } = setUp()
    await coordinator.query('SELECT b FROM t')
    for (const { database } of world.stores) database.exec('ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN b REAL DEFAULT 0.5')
    expect(await coordinator.query('SELECT SUM(b) AS s FROM t')).toEqual([{ s: 30 }])
    expect(spies[0]!.describes).toBe(2)
  })

  test('a column whose type has changed on one shard only is a mismatch, after one more look', async () => {
    const { world, coordinator } = setUp()
    await coordinator.query('SELECT b FROM t')
    world.stores[2]!.database.exec('ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN b REAL')
    // Ordered rows wait for all shards; unordered ones may be on their way, and then there is no second look.
    await expect(coordinator.query('SELECT b FROM t ORDER BY b')).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH', data: { shard: 2 } })
    expect(spies[0]!.describes).toBe(2)
  })

  test('a table made after the first query is known to the next', async () => {
    const { world } = setUp()
    const coordinator = new QueryCoordinator(
      world.stores.map((store) => new SqliteScanner(store, { tables: ['t', 'late'] })),
      { parser },
    )
    await coordinator.query('SELECT a FROM t')
    for (const { database } of world.stores) database.exec('CREATE TABLE late (x INT); INSERT INTO late VALUES (1)')
    expect(await coordinator.query('SELECT COUNT(*) AS n FROM late')).toEqual([{ n: 3 }])
  })
})

describe('leaving early', () => {
  test.each(['SELECT a FROM t', 'SELECT a FROM t ORDER BY a'])('a loop that breaks ends the statements of all shards: %s', async (sql) => {
    const { world, coordinator } = setUp()
    for await (const batch of coordinator.queryStream(sql)) {
      expect(batch.length).toBeGreaterThan(0)
      break
    }
    expect(world.stores.map(({ open }) => open)).toEqual([0, 0, 0])
  })

  test('a limit that is reached does so too', async () => {
    const { world, coordinator } = setUp()
    expect(await coordinator.query('SELECT a FROM t LIMIT 9')).toHaveLength(9)
    expect(await coordinator.query('SELECT a FROM t ORDER BY a LIMIT 2')).toEqual([{ a: 0 }, { a: 1 }])
    expect(world.stores.map(({ open }) => open)).toEqual([0, 0, 0])
  })

  test('return() does not wait for a shard that hangs, and disposes what it brings later', async () => {
    const { coordinator } = setUp()
    const gate = deferred<void>()
    spies[1]!.beforeScan = () => gate.promise
    const iterator = coordinator.queryStream('SELECT a FROM t ORDER BY a')[Symbol.asyncIterator]()
    const pending = iterator.next()
    await settle()
    expect(await iterator.return!()).toEqual({ done: true, value: undefined })
    expect(await pending).toEqual({ done: true, value: undefined })
    gate.resolve()
  })

  test('the same while cursors hang, after the rows that are known were given', async () => {
    const { coordinator } = setUp()
    const gate = deferred<void>()
    for (const spy of spies) spy.beforeNext = () => gate.promise
    const iterator = coordinator.queryStream('SELECT a FROM t ORDER BY a')[Symbol.asyncIterator]()
    expect((await iterator.next()).value).toHaveLength(19)
    const pending = iterator.next()
    await settle()
    await iterator.return!()
    expect((await pending).done).toBe(true)
    gate.resolve()
  })

  test('cancel() rejects a pending batch', async () => {
    const { coordinator } = setUp()
    spies[0]!.beforeScan = () => new Promise(() => {})
    const stream = coordinator.queryStream('SELECT SUM(a) FROM t')
    const pending = stream[Symbol.asyncIterator]().next()
    await settle()
    stream.cancel()
    await expect(pending).rejects.toMatchObject({ code: 'QUERY_CANCELLED' })
  })

  test('a signal ends a query that waits', async () => {
    const { coordinator } = setUp()
    spies[0]!.beforeScan = () => new Promise(() => {})
    for (const sql of sqls) {
      const controller = new AbortController()
      const answer = coordinator.query(sql, [], { signal: controller.signal })
      await settle()
      controller.abort()
      await expect(answer).rejects.toMatchObject({ code: 'QUERY_CANCELLED' })
    }
  })

  test('a signal that is aborted already ends it before it begins', async () => {
    const { coordinator } = setUp()
    await expect(coordinator.query('SELECT a FROM t', [], { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'QUERY_CANCELLED',
    })
    expect(spies.map(({ scans }) => scans)).toEqual([0, 0, 0])
  })

  test('a description that hangs can be left', async () => {
    const { coordinator } = setUp()
    vi.spyOn(spies[0]!, 'describe').mockReturnValue(new Promise(() => {}))
    const iterator = coordinator.queryStream('SELECT a FROM t')[Symbol.asyncIterator]()
    const pending = iterator.next()
    await settle()
    await iterator.return!()
    expect((await pending).done).toBe(true)
  })

  test('a stream is read once', async () => {
    const { coordinator } = setUp()
    const stream = coordinator.queryStream('SELECT a FROM t')
    for await (const _ of stream) break
    expect(() => stream[Symbol.asyncIterator]()).toThrow(expect.objectContaining({ code: 'STREAM_USED' }))
  })

  test('a stream that nobody reads asks nothing', async () => {
    const { coordinator } = setUp()
    coordinator.queryStream('SELECT a FROM t')
    await settle()
    expect(spies.map(({ scans, describes }) => scans + describes)).toEqual([0, 0, 0])
  })

  test('a slow reader slows the shards down: no more than one batch a shard is read ahead', async () => {
    const { coordinator } = setUp({}, 1)
    const iterator = coordinator.queryStream('SELECT a FROM t')[Symbol.asyncIterator]()
    for (let i = 0; i < 5; i++) await iterator.next()
    await settle()
    expect(spies.reduce((sum, { nexts }) => sum + nexts, 0)).toBeLessThanOrEqual(5)
    await iterator.return!()
  })
})

describe('bounds', () => {
  test('more groups than the limit are too many, with the figures', async () => {
    const { coordinator } = setUp({ maxGroups: 59 })
    await expect(coordinator.query('SELECT a, COUNT(*) FROM t GROUP BY a')).rejects.toMatchObject({
      code: 'QUERY_TOO_LARGE',
      retryable: false,
      data: { groups: 60, maxGroups: 59 },
    })
    expect(await coordinator.query('SELECT a, COUNT(*) FROM t WHERE a < 59 GROUP BY a')).toHaveLength(59)
  })

  test('groups that take too many bytes are too many', async () => {
    const { coordinator } = setUp({ maxGroupBytes: 10_000 })
    await expect(
      coordinator.query("SELECT printf('%1000d', a) AS long, COUNT(*) FROM t GROUP BY printf('%1000d', a)"),
    ).rejects.toMatchObject({ code: 'QUERY_TOO_LARGE', data: { maxGroupBytes: 10_000 } })
  })

  test('an answer that is too large is told to be streamed, and can be', async () => {
    const { coordinator } = setUp({ maxResultBytes: 10_000 })
    const sql = "SELECT printf('%1000d', a) AS long FROM t"
    await expect(coordinator.query(sql)).rejects.toMatchObject({ code: 'QUERY_TOO_LARGE', message: expect.stringContaining('queryStream') })
    let count = 0
    for await (const batch of coordinator.queryStream(sql)) count += batch.length
    expect(count).toBe(60)
  })
})
