// What merging costs: a query over 16 SQLite shards through the coordinator, against the same query on one SQLite with all 400,000 rows, in one
// process and one thread. Shards in objects of their own work side by side; here they take turns, so the ratio is of work, not of waiting.
// Run by: npm run bench -- sql
import { readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { BenchResult } from '../../../bench/run.ts'
import type { SqlValue } from '../src/base/ports.ts'
import { QueryCoordinator } from '../src/sql/coordinator.ts'
import { createSqlParser, type SqlParserGlue } from '../src/sql/parser.ts'
import { SqliteScanner, type ScanStore } from '../src/sql/sqlite-scanner.ts'

const ROWS = 400_000
const SHARDS = 16
const ROUNDS = 5

// Rows that leave SQLite one by one cost what a row costs; groups cost what a group costs, which is the point of folding them in the shards.
const queries: readonly (readonly [name: string, sql: string, atMost: number])[] = [
  ['filter and count', 'SELECT COUNT(*) AS n FROM t WHERE value > 5000', 3],
  ['10,000 groups: count, sum', 'SELECT user, COUNT(*) AS n, SUM(value) AS s FROM t GROUP BY user', 2],
  ['100 groups: avg, min, max', 'SELECT kind, AVG(value) AS a, MIN(id) AS lo, MAX(id) AS hi FROM t GROUP BY kind ORDER BY kind', 2],
  ['top 10', 'SELECT id, value FROM t ORDER BY value DESC, id LIMIT 10', 2.5],
  ['top 10 of groups', 'SELECT user, SUM(value) AS s FROM t GROUP BY user ORDER BY s DESC, user LIMIT 10', 2],
  ['50,000 rows in order', 'SELECT id, user, value FROM t WHERE value < 1250 ORDER BY id', 6],
]

/** Milliseconds, best of several rounds in turns, over one SQLite with the same rows. */
export default async function* bench(): AsyncGenerator<BenchResult> {
  const shards = Array.from({ length: SHARDS }, (_, shard) => filled(shard, SHARDS))
  const whole = filled(0, 1)
  const coordinator = new QueryCoordinator(
    shards.map((database) => new SqliteScanner(storeOver(database), { tables: ['t'] })),
    { parser: await loadParser() },
  )
  for (const [name, sql, atMost] of queries) {
    let ours = Infinity
    let baseline = Infinity
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now()
      const rows = await coordinator.query(sql)
      const middle = performance.now()
      const expected = whole.prepare(sql).all()
      const end = performance.now()
      if (rows.length !== expected.length) throw new Error(`${name}: ${rows.length} rows where SQLite has ${expected.length}`)
      ours = Math.min(ours, middle - start)
      baseline = Math.min(baseline, end - middle)
    }
    const ratio = ours / baseline
    yield {
      name,
      value: ours,
      unit: 'ms',
      baseline: 'one SQLite, ms',
      baselineValue: baseline,
      ratio,
      bar: `at most ${atMost}`,
      ok: ratio <= atMost,
    }
  }
}

/** The rows of one shard: 10,000 users, 100 kinds, values spread over 0 to 9,999. */
function filled(shard: number, shards: number): DatabaseSync {
  const database = new DatabaseSync(':memory:')
  database.exec(`
    CREATE TABLE t (id INTEGER PRIMARY KEY, user TEXT, kind TEXT, value INTEGER);
    WITH RECURSIVE n(i) AS (SELECT ${shard} UNION ALL SELECT i + ${shards} FROM n WHERE i + ${shards} < ${ROWS})
    INSERT INTO t SELECT i, 'u' || (i * 7919 % 10000), 'k' || (i % 100), i * 7907 % 10000 FROM n;`)
  return database
}

function storeOver(database: DatabaseSync): ScanStore {
  return {
    sql: (statement, ...parameters) => database.prepare(statement).all(...parameters) as never,
    transaction: (work) => work(),
    iterate: (statement, ...parameters) => {
      const prepared = database.prepare(statement)
      prepared.setReturnArrays(true)
      return prepared.iterate(...parameters) as unknown as Iterator<SqlValue[]>
    },
  }
}

async function loadParser() {
  const wasm = new URL('../../../node_modules/@guanmingchiu/sqlparser-ts/wasm/', import.meta.url)
  const glue = (await import(new URL('sqlparser_rs_wasm.js', wasm).href)) as SqlParserGlue & {
    initSync(options: { module: Uint8Array }): unknown
  }
  glue.initSync({ module: readFileSync(new URL('sqlparser_rs_wasm_bg.wasm', wasm)) })
  return createSqlParser(glue)
}
