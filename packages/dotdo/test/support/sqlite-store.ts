import { DatabaseSync } from 'node:sqlite'
import type { SqlRow, SqlValue, Store } from '../../src/base/ports.ts'

/**
 * A {@link Store} over `node:sqlite` that keeps and loses state where the platform does: everything since the last `flush()` is one open
 * transaction, and `crash()` undoes it and kills this incarnation (its `sql` throws from then on). `reopen()` gives the next one.
 */
export class SqliteStore implements Store {
  #database: DatabaseSync
  #alive = true
  #open = false
  #depth = 0
  /** Statements run so far: what a bound on work is checked against. */
  statements = 0

  constructor(database = new DatabaseSync(':memory:')) {
    this.#database = database
  }

  sql<Row extends SqlRow = SqlRow>(statement: string, ...parameters: SqlValue[]): Row[] {
    if (!this.#alive) throw new Error('this incarnation has crashed')
    if (parameters.length > 100) throw new Error('too many bound parameters: the platform allows 100')
    if (!this.#open) {
      this.#database.exec('BEGIN')
      this.#open = true
    }
    this.statements++
    return this.#database.prepare(statement).all(...parameters).map((row) => ({ ...row })) as Row[]
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
    if (this.#alive) this.flush()
    this.#alive = false
    return new SqliteStore(this.#database)
  }
}
