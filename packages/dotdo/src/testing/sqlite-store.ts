import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { asStorageError } from '../base/storage-full.ts'
import type { SqlRow, SqlValue, Store } from '../base/ports.ts'

/** What a statement gave: rows as arrays in the order of the columns, whose names may repeat. */
export interface SqlAnswer {
  columns: readonly string[]
  rows: SqlValue[][]
}

/** A statement that was seen before. */
interface Prepared {
  statement: StatementSync
  columns: readonly string[]
  /** How many parameters it takes. */
  places: number
  /** It may change what is stored. */
  writes: boolean
  /** It may need more room than there was. */
  grows: boolean
  /** It makes or changes tables. */
  changesSchema: boolean
}

/** The statements of a database, as long as its tables are the same. */
interface Statements {
  byText: Map<string, Prepared>
  /** SQLite's own number of the schema, and what reads it. */
  schema: unknown
  schemaVersion: StatementSync
  /** What reads how many rows were ever changed. */
  changes: StatementSync
  /** What begins, ends and undoes transactions, by text. It stays what it is whatever the tables are. */
  control: Map<string, StatementSync>
}

/** Statements are prepared once for a database, whatever incarnation asks: preparing costs more than running most of them. */
const known = new WeakMap<DatabaseSync, Statements>()

/**
 * A {@link Store} over `node:sqlite` that keeps and loses state where the platform does: everything since the last `flush()` is one open
 * transaction, and `crash()` undoes it and kills this incarnation (its `sql` throws from then on). `reopen()` gives the next one.
 *
 * It refuses what the platform refuses, where SQLite itself would not: a number of parameters that is not the statement's (`node:sqlite`
 * takes too few for nulls), more than 100 of them, statements above 100 KB, and texts and blobs above 2 MB.
 */
export class SqliteStore implements Store {
  #database: DatabaseSync
  #statements: Statements
  #alive = true
  /** What it has died of, where that was storage. */
  #fault: unknown
  #open = false
  #depth = 0
  /** Statements run so far: what a bound on work is checked against. */
  statements = 0
  /** Told when something is written after a flush. */
  dirtied: () => void = () => {}
  /** Whether there is room for what a statement adds. Where there is none, what happens is what SQLite does when it is full. */
  hasRoom: ((statement: string) => boolean) | undefined
  /** Told when SQLite has taken the turn back, and this incarnation is over by that. */
  broke: (thrown: unknown) => void = () => {}
  #dirty = false
  /** Tables were made or changed since the last flush. */
  #hasNewSchema = false

  constructor(database: DatabaseSync = new DatabaseSync(':memory:')) {
    this.#database = database
    let statements = known.get(database)
    if (!statements) {
      const schemaVersion = database.prepare('PRAGMA schema_version')
      const changes = database.prepare('SELECT total_changes() AS n')
      statements = { byText: new Map(), schema: undefined, schemaVersion, changes, control: new Map() }
      known.set(database, statements)
    }
    this.#statements = statements
  }

  sql<Row extends SqlRow = SqlRow>(statement: string, ...parameters: SqlValue[]): Row[] {
    const { columns, rows } = this.#answer(statement, parameters)
    return rows.map((values) => {
      const row: SqlRow = {}
      for (let i = 0; i < columns.length; i++) row[columns[i]!] = values[i]!
      return row as Row
    })
  }

  #answer(statement: string, parameters: readonly SqlValue[]): SqlAnswer {
    try {
      return this.run(statement, parameters)
    } catch (thrown) {
      // As the adapter does.
      throw asStorageError(thrown)
    }
  }

  /** Runs a statement; see {@link SqlAnswer}. Integers beyond 2^53 are rounded, as the platform rounds them. */
  run(statement: string, parameters: readonly SqlValue[]): SqlAnswer {
    if (!this.#alive) throw this.#fault ?? new Error('this incarnation has crashed')
    let prepared = this.#statements.byText.get(statement)
    if (!prepared && statement.length > 100_000) throw new Error('the statement is longer than the 100 KB that the platform takes')
    const places = prepared?.places ?? placesOf(statement)
    check(places, parameters)
    this.#begin()
    this.statements++
    if (!prepared) this.#statements.byText.set(statement, (prepared = this.#prepare(statement, places)))
    if (prepared.writes) this.touch()
    const rows = this.#rowsOf(prepared, statement, parameters)
    if (prepared.changesSchema) this.#lookAtSchema()
    return { columns: prepared.columns, rows }
  }

  #rowsOf(prepared: Prepared, statement: string, parameters: readonly SqlValue[]): SqlValue[][] {
    try {
      if (prepared.grows && this.hasRoom?.(statement) === false) this.#full(statement)
      return rowsOf(prepared, parameters)
    } catch (cause) {
      // The platform's words.
      const thrown = asStorageError(cause) === cause ? cause : new Error(fullWords, { cause })
      // SQLite may take the whole turn back when it is full. The platform's object cannot go on then, and neither can this incarnation.
      const { isTransaction } = this.#database as { isTransaction?: boolean }
      if (this.#open && isTransaction === false) {
        this.#open = this.#alive = false
        this.#fault = asStorageError(thrown)
        this.broke(thrown)
      }
      throw thrown
    }
  }

  /** A statement that inserts what it selects is undone by itself; any other one takes back its turn. */
  #full(statement: string): never {
    if (!/^\s*INSERT\b[^]*\bSELECT\b/i.test(statement)) this.#control('ROLLBACK')
    throw new Error(fullWords)
  }

  /** What a statement's columns are may be another thing now. */
  #lookAtSchema(): void {
    const version = this.#statements.schemaVersion.get()!['schema_version']
    if (version === this.#statements.schema) return
    this.#statements.schema = version
    this.#hasNewSchema = true
    this.#statements.byText.clear()
  }

  #prepare(text: string, places: number): Prepared {
    const statement = this.#database.prepare(text)
    const writes = !onlyReads.test(text)
    // Without it an integer beyond 2^53 throws: one that writes would have written by then.
    statement.setReadBigInts(writes)
    statement.setReturnArrays(true)
    const columns = statement.columns().map(({ name }) => name)
    return { statement, columns, places, writes, grows: grows.test(text), changesSchema: changesSchema.test(text) }
  }

  /** Something that is kept beside the tables changes with them. */
  touch(): void {
    if (this.#dirty || !this.#alive) return
    this.#dirty = true
    this.dirtied()
  }

  /** Something was written since the last flush. */
  get isDirty(): boolean {
    return this.#dirty
  }

  /** How many rows were ever changed in this database. */
  get changes(): number {
    return Number(this.#statements.changes.get()!['n'])
  }

  #begin(): void {
    if (this.#open) return
    this.#control('BEGIN')
    this.#open = true
  }

  #control(text: string): void {
    const { control } = this.#statements
    let statement = control.get(text)
    if (!statement) control.set(text, (statement = this.#database.prepare(text)))
    statement.run()
  }

  transaction<T>(work: () => T): T {
    if (!this.#alive) throw this.#fault ?? new Error('this incarnation has crashed')
    this.#begin()
    const name = `t${this.#depth++}`
    this.#control(`SAVEPOINT ${name}`)
    try {
      const result = work()
      if (typeof result === 'object' && result !== null && 'then' in result) throw new Error('a transaction must not return a promise')
      this.#control(`RELEASE ${name}`)
      return result
    } catch (thrown) {
      if (this.#alive) {
        this.#control(`ROLLBACK TO ${name}`)
        this.#control(`RELEASE ${name}`)
        this.#forgetSchema()
      }
      throw thrown
    } finally {
      this.#depth--
    }
  }

  /** The end of a turn: what was written is on disk. */
  flush(): void {
    if (this.#alive && this.#open) this.#control('COMMIT')
    this.#open = false
    this.#dirty = false
    this.#hasNewSchema = false
  }

  /** The process dies: what was not flushed is gone, and nothing of this incarnation writes again. */
  crash(): void {
    if (this.#alive && this.#open) this.#control('ROLLBACK')
    this.#open = false
    this.#alive = false
    this.#dirty = false
    this.#forgetSchema()
  }

  /** Tables that were made in what is undone are gone. */
  #forgetSchema(): void {
    if (this.#hasNewSchema) this.#statements.byText.clear()
    this.#hasNewSchema = false
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

function rowsOf({ statement, writes }: Prepared, parameters: readonly SqlValue[]): SqlValue[][] {
  let rows: unknown[][]
  try {
    rows = statement.all(...parameters) as unknown as unknown[][]
    if (!writes) return rows as SqlValue[][]
  } catch (thrown) {
    if (writes || (thrown as { code?: string }).code !== 'ERR_OUT_OF_RANGE') throw thrown
    // It reads an integer beyond 2^53: once more, and with care.
    statement.setReadBigInts(true)
    rows = statement.all(...parameters) as unknown as unknown[][]
    statement.setReadBigInts(false)
  }
  for (const row of rows) for (let i = 0; i < row.length; i++) if (typeof row[i] === 'bigint') row[i] = Number(row[i])
  return rows as SqlValue[][]
}

const fullWords = 'database or disk is full: SQLITE_FULL'
const maxValueBytes = 2 * 1024 * 1024
const onlyReads = /^\s*(?:SELECT|EXPLAIN|VALUES|PRAGMA)\b/i
const grows = /^\s*(?:INSERT|REPLACE|UPDATE)\b/i
const changesSchema = /^\s*(?:CREATE|ALTER|DROP)\b/i

function check(places: number, parameters: readonly SqlValue[]): void {
  if (parameters.length > 100) throw new Error('too many bound parameters: the platform allows 100')
  if (places !== parameters.length) throw new Error(`wrong number of parameters: ${parameters.length} for ${places} places`)
  for (const value of parameters) {
    if (sizeOf(value) > maxValueBytes) throw new Error('a value is larger than the 2 MB that the platform takes')
  }
}

/** Bytes of a value, as far as it may be too large. */
function sizeOf(value: SqlValue): number {
  if (typeof value === 'string') return value.length > maxValueBytes / 3 ? new TextEncoder().encode(value).length : 0
  return value instanceof Uint8Array ? value.byteLength : 0
}

/** The `?` of a statement outside of texts, names and comments. */
function placesOf(statement: string): number {
  const bare = statement.replace(/'[^']*'|"[^"]*"|--[^\n]*|\/\*[^]*?\*\//g, '')
  return bare.split('?').length - 1
}
