/**
 * The contract between a query and the data it reads. A scanner is a capability: an object near the data, or an RPC stub of one.
 *
 * Obligations of a scanner:
 * 1. A reply is of one moment: its rows were all there at once. What later batches do when the table is written to in between is stated by
 *    the implementation (`SqliteScanner`: the cursor fails rather than mix two states).
 * 2. Rows come in the order that the statement asks for.
 * 3. Batches are numbered from 0 without gaps, so that a reply that is delivered twice is noticed.
 * 4. A batch stays within the rows and bytes that the request states, except that one row always fits.
 */
import type { Cell } from './values.ts'

/** Rows in one batch, at most, where a request states no other number. */
export const MAX_BATCH_ROWS = 16_384

/** Approximate bytes of one batch, at most: an eighth of the largest message of the platform. */
export const MAX_BATCH_BYTES = 4 * 1024 * 1024

/** SQLite's column affinities. `BLOB` also stands for columns that are declared without a type. */
export type Affinity = 'INTEGER' | 'REAL' | 'NUMERIC' | 'TEXT' | 'BLOB'

/** A column as a query needs to know it. */
export interface ColumnDescription {
  name: string
  /** The declared type, as written; empty where there is none. */
  type: string
  affinity: Affinity
  /** `BINARY` unless the column is declared with another collation. */
  collation: string
}

/** A table or view that may be read. */
export interface TableDescription {
  name: string
  /** Of a stored table the affinities hold for every value; a view or a virtual table may answer values of any type. */
  kind: 'table' | 'view'
  columns: ColumnDescription[]
}

/** One statement to run near the data. */
export interface ScanRequest {
  /** The format of the request. */
  version: 1
  /** The one table that the statement reads. */
  table: string
  /**
   * One SELECT in SQLite's dialect over that table, printed by `print.ts` from a checked tree and never a user's text. Its result columns are
   * named `c0`, `c1`, and so on.
   */
  sql: string
  /** Values for the `?` of the statement: REAL, TEXT and BLOB. Integers stand in the text, because numbers are bound as REAL. */
  parameters: (number | string | Uint8Array)[]
  /** The names of the result columns. */
  columns: string[]
  /** Whether the reply must tell INTEGER from REAL (`ScanReply.types`). */
  typed: boolean
  /** The columns that may hold integers beyond 2^53, which the scanner keeps exact; the others cannot, by their declared type or function. */
  wide: string[]
  /** Bounds of a batch. Default: {@link MAX_BATCH_ROWS} and {@link MAX_BATCH_BYTES}, which are also the most that is given. */
  batchRows?: number
  batchBytes?: number
}

/** One batch of rows, column by column. The first one comes with the answer to `scan`, so a small result is one round trip. */
export interface ScanReply {
  /** 0 for the first, then counting up. */
  batch: number
  columns: string[]
  /** One array a column, each of `rows` cells: integers beyond 2^53 as `bigint`, blobs as `Uint8Array`. */
  values: Cell[][]
  rows: number
  /** Where the request is `typed`: a letter a column (i, r, t, b, n), one string a row, or one string for all rows when they agree. */
  types?: string | string[]
  /** In the first batch: the table as it was when it was read, so that a plan made for another one is noticed. */
  table?: TableDescription
  /** In the first batch, when there is more. The receiver disposes it, also when it does not read to the end. */
  cursor?: ScanCursor
}

/** The rest of a result. Reading and disposing are the only things to do with one. */
export interface ScanCursor {
  /** The next batch, or `null` after the last. Calls do not overlap. */
  next(): Promise<ScanReply | null>
  [Symbol.dispose]?(): void
}

/** What reads a shard. */
export interface Scanner {
  /** The tables that may be read. */
  describe(): Promise<TableDescription[]>
  /**
   * @throws `TABLE_UNKNOWN` for a table that may not be read or is not there; `SCAN_REFUSED` for a statement that is not one plain SELECT over it
   */
  scan(request: ScanRequest): Promise<ScanReply>
}
