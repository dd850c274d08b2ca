import { DatabaseSync, type SQLOutputValue } from 'node:sqlite'
import type { SqlValue } from '../../../src/base/ports.ts'
import type { Scanner } from '../../../src/sql/scanner.ts'
import { SqliteScanner, type ScanStore, type SqliteScannerOptions } from '../../../src/sql/sqlite-scanner.ts'
import type { Cell, Row } from '../../../src/sql/values.ts'
import { SqliteStore } from '../../support/sqlite-store.ts'

/** A value to store: a `bigint` is an INTEGER, a number a REAL. */
export type Stored = null | bigint | number | string | Uint8Array

/** A {@link ScanStore} over `node:sqlite`, which throws where the platform would round an integer, so that a lost one is seen. */
export class ShardStore extends SqliteStore implements ScanStore {
  readonly database: DatabaseSync
  /** Statements that are being read. */
  open = 0

  constructor(database = new DatabaseSync(':memory:')) {
    super(database)
    this.database = database
  }

  *iterate(statement: string, ...parameters: SqlValue[]): Generator<SqlValue[]> {
    this.open++
    try {
      const prepared = this.database.prepare(statement)
      prepared.setReturnArrays(true)
      for (const row of prepared.iterate(...parameters)) yield row as unknown as SqlValue[]
    } finally {
      this.open--
    }
  }
}

/** How rows are dealt to shards. */
export type Split = (row: readonly Stored[], index: number, shards: number) => number

export const splits: Record<string, Split> = {
  'round robin': (_, index, shards) => index % shards,
  'by hash': (row, _, shards) => Array.from(String(row[0])).reduce((hash, char) => (hash * 31 + char.codePointAt(0)!) >>> 0, 7) % shards,
  'by range': (_, index, shards) => Math.floor(index / 8) % shards,
  'one empty': (_, index, shards) => (shards === 1 ? 0 : 1 + (index % (shards - 1))),
  'one with everything': (_, __, shards) => shards - 1,
}

/** One database with all rows, and the same rows over shards. */
export class World {
  readonly whole = new DatabaseSync(':memory:')
  readonly stores: ShardStore[]
  readonly scanners: SqliteScanner[]

  constructor(
    ddl: string,
    table: string,
    rows: readonly (readonly Stored[])[],
    shards: number,
    split: Split = splits['round robin']!,
    options: Partial<SqliteScannerOptions> = {},
  ) {
    this.stores = Array.from({ length: shards }, () => new ShardStore())
    for (const { database } of this.stores) database.exec(ddl)
    this.whole.exec(ddl)
    const dealt: (readonly Stored[])[][] = this.stores.map(() => [])
    rows.forEach((row, index) => dealt[split(row, index, shards)]!.push(row))
    insert(this.whole, table, rows)
    this.stores.forEach(({ database }, i) => insert(database, table, dealt[i]!))
    this.scanners = this.stores.map((store) => new SqliteScanner(store, { tables: [table], ...options }))
  }

  /** What SQLite answers over all rows; an error as a text. */
  oracle(sql: string, parameters: readonly Stored[] = []): Row[] | string {
    try {
      const statement = this.whole.prepare(sql)
      statement.setReadBigInts(true)
      return statement
        .all(...parameters)
        .map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, cellOf(value)])))
    } catch (thrown) {
      return (thrown as Error).message
    }
  }
}

/** A value of `node:sqlite` in the form of an answer: safe integers are numbers, -0 is 0. */
export function cellOf(value: SQLOutputValue): Cell {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  return value === 0 ? 0 : value
}

/** A scanner that does something else than the one it stands for. */
export function wrapped(scanner: Scanner, changes: Partial<Scanner>): Scanner {
  return { describe: () => scanner.describe(), scan: (request) => scanner.scan(request), ...changes }
}

function insert(database: DatabaseSync, table: string, rows: readonly (readonly Stored[])[]): void {
  if (!rows.length) return
  const statement = database.prepare(`INSERT INTO ${table} VALUES (${rows[0]!.map(() => '?').join(', ')})`)
  database.exec('BEGIN')
  for (const row of rows) statement.run(...row)
  database.exec('COMMIT')
}
