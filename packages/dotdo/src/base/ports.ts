/** Where the pure rooms get the time from. Epoch milliseconds. */
export interface Clock {
  now(): number
}

/** Where the pure rooms get randomness from. */
export interface Random {
  /** A number in [0, 1), as `Math.random`. */
  next(): number
  /** `length` unguessable bytes, where the platform has them. */
  bytes(length: number): Uint8Array
}

/** A value that SQLite stores as it is. */
export type SqlValue = null | number | string | Uint8Array

/** One row of an answer, by column name. Blobs come back as `Uint8Array`. Integers above 2^53 come back rounded: store those as text. */
export type SqlRow = Record<string, SqlValue>

/**
 * The object's own SQLite, as the rooms see it: synchronous, inside the transaction that the platform holds open for the turn.
 *
 * Everything written in one turn commits together when the turn ends, and no message leaves before that (the platform's output
 * gate). A crash therefore loses whole turns, never halves; what a simulation crashes is the suffix since the last flush.
 *
 * A bound limit is written `LIMIT (? + 0)`: SQLite plans by the value of a bare `LIMIT ?`, and so prepares the statement anew each time that it is bound, which
 * costs more than most of them take to run.
 */
export interface Store {
  /** Runs one statement with `?` parameters (at most 100) and returns all of its rows. */
  sql<Row extends SqlRow = SqlRow>(statement: string, ...parameters: SqlValue[]): Row[]
  /** Runs `work` as one transaction: when it throws, its writes are undone. `work` must not return a promise. */
  transaction<T>(work: () => T): T
}
