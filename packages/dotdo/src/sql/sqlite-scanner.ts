import { DotdoError } from '../base/errors.ts'
import type { SqlValue, Store } from '../base/ports.ts'
import { describeTable } from './describe.ts'
import { checkStatement } from './guard.ts'
import {
  MAX_BATCH_BYTES,
  MAX_BATCH_ROWS,
  type ScanCursor,
  type Scanner,
  type ScanReply,
  type ScanRequest,
  type TableDescription,
} from './scanner.ts'
import { cellBytes, type Cell } from './values.ts'

/** A store that can also read rows one by one, so that a large result is never in memory whole. */
export interface ScanStore extends Store {
  /**
   * Runs one SELECT lazily: each step computes one row, its values in the order of the columns. `return` ends the statement early. In a
   * Durable Object this is `storage.sql.exec(…).raw()` with blobs as `Uint8Array`, in `node:sqlite` `statement.iterate` with `setReturnArrays`.
   */
  iterate(statement: string, ...parameters: SqlValue[]): Iterator<SqlValue[]>
}

/** Which tables a {@link SqliteScanner} shows, and what it does about writes. */
export interface SqliteScannerOptions {
  /** The tables and views that may be read. Those of dotdo itself (`dotdo_…`) and of SQLite (`sqlite_…`) never are. */
  tables: Iterable<string>
  /**
   * What a cursor does when the object's SQLite was written to since its scan began. `fail` (default): `SCAN_STALE`, which is retryable, because
   * the rest of the rows would be of another moment than the first. `read-on`: it goes on, and rows written in between may or may not be seen.
   * A result that fits the first batch is of one moment in any case, and so are groups and sorted rows that no index gives in order.
   */
  onWrite?: 'fail' | 'read-on'
}

/** Integers up to this size are exact as numbers. */
const MAX_EXACT = Number.MAX_SAFE_INTEGER

/**
 * Reads SQLite's rows for a coordinator.
 *
 * Integers beyond 2^53 would come back rounded without an error, so every statement is wrapped: such an integer leaves SQLite as text, and one more
 * column tells the types of the row, from which it is made a `bigint` again. The same column tells REAL 4.0 from INTEGER 4 where that is asked.
 *
 * Invariants:
 * 1. Only statements that pass {@link checkStatement} over a table of the list are run.
 * 2. At most one batch is in memory, within its bounds unless a single row passes them.
 * 3. An iterator is ended when its rows are read, when the cursor is disposed, and when reading fails.
 */
export class SqliteScanner implements Scanner {
  #store: ScanStore
  #tables: Map<string, string>
  #onWrite: 'fail' | 'read-on'

  constructor(store: ScanStore, options: SqliteScannerOptions) {
    this.#store = store
    this.#tables = new Map()
    for (const name of options.tables) {
      if (/^(dotdo_|sqlite_|_cf_)/i.test(name))
        throw new DotdoError('SCAN_REFUSED', `The table ${name} belongs to the system and cannot be queried. Leave it out of tables.`, {
          data: { table: name },
        })
      this.#tables.set(name.toLowerCase(), name)
    }
    this.#onWrite = options.onWrite ?? 'fail'
  }

  /** The tables of the list that are there. */
  async describe(): Promise<TableDescription[]> {
    return [...this.#tables.values()].flatMap((name) => describeTable(this.#store, name) ?? [])
  }

  /** Runs a statement and reads its first batch, in one turn and so of one moment. */
  async scan(request: ScanRequest): Promise<ScanReply> {
    const table = this.#describeOne(request.table)
    checkStatement(request)
    // The statement is checked before anything runs, the table before that, so that the error names what is there.
    const batches = new Batches(this.#store, request, this.#onWrite)
    const first = batches.next()!
    if (batches.ended) return { ...first, table }
    return { ...first, table, cursor: cursorOf(batches) }
  }

  /** The table as it is now, or `TABLE_UNKNOWN`. It is looked at for every scan: a pragma takes microseconds. */
  #describeOne(name: string): TableDescription {
    const allowed = this.#tables.get(name.toLowerCase())
    const table = allowed === name ? describeTable(this.#store, allowed) : undefined
    if (table) return table
    const known = [...this.#tables.values()]
    throw new DotdoError(
      'TABLE_UNKNOWN',
      `There is no table ${name} that may be queried here. ${known.length ? `There are: ${known.join(', ')}` : 'None may'}.`,
      { data: { table: name, tables: known } },
    )
  }
}

/** Adapters wrap this in an object of their platform that can cross RPC. */
function cursorOf(batches: Batches): ScanCursor {
  return {
    next: async () => batches.next(),
    [Symbol.dispose]: () => batches.end(),
  }
}

/** One statement under way, in batches. */
class Batches {
  ended = false
  #rows: Iterator<SqlValue[]>
  #request: ScanRequest
  #changes: () => SqlValue | undefined
  #changesAtStart: SqlValue | undefined
  #maxRows: number
  #maxBytes: number
  #batch = 0

  constructor(store: ScanStore, request: ScanRequest, onWrite: 'fail' | 'read-on') {
    this.#request = request
    this.#changes = onWrite === 'fail' ? () => store.sql('SELECT total_changes() AS changes')[0]?.changes : () => undefined
    this.#changesAtStart = this.#changes()
    this.#maxRows = bounded(request.batchRows, MAX_BATCH_ROWS)
    this.#maxBytes = bounded(request.batchBytes, MAX_BATCH_BYTES)
    this.#rows = store.iterate(wrap(request), ...request.parameters)
  }

  /** The next batch; the first one also when it is empty; `null` after the last. */
  next(): ScanReply | null {
    if (this.ended) return null
    try {
      return this.#read()
    } catch (thrown) {
      this.end()
      throw thrown
    }
  }

  /** Ends the statement; SQLite then lets go of what it holds. */
  end(): void {
    if (this.ended) return
    this.ended = true
    this.#rows.return?.()
  }

  /** The next row. SQLite computes it here, so here it fails. */
  #step(): IteratorResult<SqlValue[]> {
    try {
      return this.#rows.next()
    } catch (thrown) {
      const message = thrown instanceof Error ? thrown.message : String(thrown)
      const overflow = /integer overflow/i.test(message)
      throw new DotdoError(
        overflow ? 'SQL_OVERFLOW' : 'SCAN_FAILED',
        overflow ? 'An integer passes 64 bits. Use TOTAL(x), or cast to REAL.' : `SQLite refused the scan: ${message}. Change the query.`,
        {
          data: { table: this.#request.table, sqlite: message },
          cause: thrown,
        },
      )
    }
  }

  /** Reads rows up to the bounds. */
  #read(): ScanReply | null {
    if (this.#changes() !== this.#changesAtStart) {
      throw new DotdoError(
        'SCAN_STALE',
        "The object's SQLite was written to while a result was read from it, so its rest would be of another moment. Run the query again, make its result smaller, or set onWrite: 'read-on'.",
        {
          retryable: true,
          data: { table: this.#request.table },
        },
      )
    }
    const { columns, typed } = this.#request
    const values: Cell[][] = columns.map(() => [])
    const types: string[] = []
    let rows = 0
    let sizeBytes = 0
    while (rows < this.#maxRows && sizeBytes < this.#maxBytes) {
      const { done, value: row } = this.#step()
      if (done) {
        this.ended = true
        break
      }
      // The column of types follows all others.
      const letters = row[columns.length] as string | null
      for (let i = 0; i < columns.length; i++) {
        const raw = row[i]!
        // A text where the types say integer is one of the large ones.
        const cell = letters !== null && letters[i] === 'i' && typeof raw === 'string' ? BigInt(raw) : raw
        values[i]!.push(cell)
        sizeBytes += cellBytes(cell)
      }
      if (typed) types.push(letters!)
      rows++
    }
    if (rows === 0 && this.#batch > 0) return null
    const agreed = types.every((letters) => letters === types[0])
    return { batch: this.#batch++, columns, values, rows, ...(typed && { types: agreed ? (types[0] ?? '') : types }) }
  }
}

/** The statement with large integers as text, and the column of type letters: in every row, or only where a large integer needs it. */
function wrap({ sql, columns, typed, wide }: ScanRequest): string {
  // typeof is looked at first, because a text compares greater than any number.
  const large = (name: string) => `(typeof(${name}) = 'integer' AND (${name} > ${MAX_EXACT} OR ${name} < -${MAX_EXACT}))`
  const cells = columns.map((name) => (wide.includes(name) ? `CASE WHEN ${large(name)} THEN CAST(${name} AS TEXT) ELSE ${name} END` : name))
  const letters = columns.map((name) => `substr(typeof(${name}), 1, 1)`).join(' || ')
  const someLarge = columns
    .filter((name) => wide.includes(name))
    .map(large)
    .join(' OR ')
  const types = typed ? letters : someLarge ? `CASE WHEN ${someLarge} THEN ${letters} END` : 'NULL'
  return `SELECT ${cells.join(', ')}, ${types} FROM (${sql})`
}

/** What was asked for, where it is less than the most that is given. */
function bounded(asked: number | undefined, most: number): number {
  return asked !== undefined && asked >= 1 && asked < most ? asked : most
}
