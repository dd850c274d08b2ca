import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { SqlRow, SqlValue, Store } from '../../src/base/ports.ts'

/**
 * A {@link Store} over `node:sqlite` that keeps and loses state where the platform does: everything since the last `flush()` is one open
 * transaction, and `crash()` undoes it and kills this incarnation (its `sql` throws from then on). `reopen()` gives the next one.
 *
 * It refuses what the platform refuses, where SQLite itself would not: a number of parameters that is not the statement's (`node:sqlite`
 * takes too few for nulls), more than 100 of them, statements above 100 KB, and texts and blobs above 2 MB.
 */
export class SqliteStore implements Store {
  #database: DatabaseSync
  #alive = true
  #open = false
  #depth = 0
  /** How many parameters each statement seen so far takes. */
  readonly #places = new Map<string, number>()
  /** Statements run so far: what a bound on work is checked against. */
  statements = 0

  constructor(database: DatabaseSync = new CachingDatabase(':memory:')) {
    this.#database = database
  }

  sql<Row extends SqlRow = SqlRow>(statement: string, ...parameters: SqlValue[]): Row[] {
    if (!this.#alive) throw new Error('this incarnation has crashed')
    this.#check(statement, parameters)
    if (!this.#open) {
      this.#database.exec('BEGIN')
      this.#open = true
    }
    this.statements++
    const prepared = this.#database.prepare(statement)
    // Without it an integer beyond 2^53 throws; the platform rounds it.
    prepared.setReadBigInts(true)
    return prepared.all(...parameters).map(asRow) as Row[]
  }

  #check(statement: string, parameters: SqlValue[]): void {
    if (parameters.length > 100) throw new Error('too many bound parameters: the platform allows 100')
    if (statement.length > 100_000) throw new Error('the statement is longer than the 100 KB that the platform takes')
    let places = this.#places.get(statement)
    if (places === undefined) this.#places.set(statement, (places = placesOf(statement)))
    if (places !== parameters.length) throw new Error(`wrong number of parameters: ${parameters.length} for ${places} places`)
    for (const value of parameters) {
      const mayBeLong = typeof value === 'string' ? value.length > MAX_VALUE_BYTES / 3 : value instanceof Uint8Array
      if (mayBeLong && Buffer.byteLength(value as string | Uint8Array) > MAX_VALUE_BYTES)
        throw new Error('a value is larger than the 2 MB that the platform takes')
    }
  }

  transaction<T>(work: () => T): T {
    this.sql('SELECT 1')
    const name = `t${this.#depth++}`
    this.#database.exec(`SAVEPOINT ${name}`)
    try {
      const result = work()
      if (typeof result === 'object' && result !== null && 'then' in result) throw new Error('a transaction must not return a promise')
      this.#database.exec(`RELEASE ${name}`)
      return result
    } catch (thrown) {
      if (this.#alive) this.#database.exec(`ROLLBACK TO ${name}; RELEASE ${name}`)
      throw thrown
    } finally {
      this.#depth--
    }
  }

  /** The end of a turn: what was written is on disk. */
  flush(): void {
    if (this.#alive && this.#open) this.#database.exec('COMMIT')
    this.#open = false
  }

  /** The process dies: what was not flushed is gone, and nothing of this incarnation writes again. */
  crash(): void {
    if (this.#alive && this.#open) this.#database.exec('ROLLBACK')
    this.#open = false
    this.#alive = false
  }

  /** The next incarnation, over what was flushed. */
  reopen(): SqliteStore {
    return new SqliteStore(this.release())
  }

  /** Ends this incarnation in peace and gives its database away. */
  release(): DatabaseSync {
    if (this.#alive) this.flush()
    this.#alive = false
    return this.#database
  }
}

/** Statements are prepared once: that takes most of the time of a test that runs thousands. */
class CachingDatabase extends DatabaseSync {
  readonly #statements = new Map<string, StatementSync>()

  override prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (!statement) this.#statements.set(sql, (statement = super.prepare(sql)))
    return statement
  }
}

const MAX_VALUE_BYTES = 2 * 1024 * 1024

/** The `?` of a statement outside of texts, names and comments. */
function placesOf(statement: string): number {
  const bare = statement.replace(/'[^']*'|"[^"]*"|--[^\n]*|\/\*[^]*?\*\//g, '')
  return bare.split('?').length - 1
}

function asRow(row: Record<string, unknown>): SqlRow {
  const plain: Record<string, unknown> = {}
  for (const name in row) plain[name] = typeof row[name] === 'bigint' ? Number(row[name]) : row[name]
  return plain as SqlRow
}
