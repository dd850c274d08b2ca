import { codeOf, DotdoError } from '../base/errors.ts'
import type { SelectStatement } from './ast.ts'
import { bindSelect } from './bind.ts'
import { Cancellation } from './cancellation.ts'
import { execute, type OutputBatch } from './execute.ts'
import { explainPlan, explainRefusal, type Explanation } from './explain.ts'
import { defaultGroupLimits, type GroupLimits } from './groups.ts'
import type { Parameters } from './parameters.ts'
import type { SqlParser } from './parser.ts'
import { planSelect, type Plan } from './plan.ts'
import { readSelect } from './read-select.ts'
import type { Scanner, TableDescription } from './scanner.ts'
import { MAX_SHARDS, shardFailed, type MissingShard } from './shards.ts'
import { Source } from './source.ts'
import { QueryStream } from './stream.ts'
import { cellBytes, type Cell, type Row } from './values.ts'

/** How a coordinator reads, fails and bounds itself. */
export interface CoordinatorOptions {
  /** Reads the text of queries; see `createSqlParser`. It is asked for by the first query, so a getter may load it then. */
  parser: SqlParser
  /**
   * `fail` (default): a query is answered by all shards or not at all. `partial`: `queryResult` and `queryStream` answer without shards whose
   * first batch failed, and name them in `missing`; `query`, whose answer is rows alone, still fails.
   */
  onShardError?: 'fail' | 'partial'
  /** Groups in memory, at most. Default 1,000,000. */
  maxGroups?: number
  /** Estimated bytes of groups in memory, at most. Default 48 MiB. */
  maxGroupBytes?: number
  /** Estimated bytes of the rows that `query` and `queryResult` return, at most. Default 48 MiB. `queryStream` has no such bound. */
  maxResultBytes?: number
}

/** What one call may add. */
export interface QueryOptions {
  /** Ends the query with `QUERY_CANCELLED` and tells the shards. */
  signal?: AbortSignal
}

/** A whole answer. */
export interface QueryResult {
  /** Names of the result columns, in order. */
  columns: string[]
  rows: Row[]
  /** Shards that the answer is without; always empty unless `onShardError` is `partial`. */
  missing: MissingShard[]
}

/**
 * SQL over shards: one SELECT in SQLite's dialect, asked of every scanner at once, and merged into the one answer that SQLite would give had it all rows.
 *
 * A query is answered rightly or refused with a typed error that names the part (`SQL_UNSUPPORTED`); there is no third way.
 *
 * Owns the description of the tables, read from the first scanner that answers and kept. Invariants:
 * 1. Each scanner is called once a query, all in one turn, once the tables are known.
 * 2. Every answer states the table it was read from; one that differs from what the plan was made for is never merged.
 * 3. A description that turned out old is read again once a query, never more.
 *
 * @example
 * ```ts
 * const coordinator = new QueryCoordinator(scanners, { parser })
 * const rows = await coordinator.query('SELECT user_id, COUNT(*) FROM events GROUP BY user_id')
 * for await (const batch of coordinator.queryStream('SELECT * FROM events WHERE kind = ?', ['click'])) await processBatch(batch)
 * ```
 */
export class QueryCoordinator {
  #scanners: readonly (Scanner | Promise<Scanner>)[]
  #options: CoordinatorOptions
  #onShardError: 'fail' | 'partial'
  #limits: GroupLimits
  #maxResultBytes: number
  #tables: readonly TableDescription[] | undefined

  /**
   * @param scanners one a shard: local objects, RPC stubs, or promises of them
   * @throws `NO_SCANNERS`, `TOO_MANY_SHARDS`
   */
  constructor(scanners: Iterable<Scanner | Promise<Scanner>>, options: CoordinatorOptions) {
    this.#scanners = [...scanners]
    if (this.#scanners.length === 0)
      throw new DotdoError('NO_SCANNERS', 'A QueryCoordinator needs at least one scanner. Pass the scanners of the shards.')
    // Above that the batches of all shards would not fit an isolate together.
    if (this.#scanners.length > MAX_SHARDS) {
      throw new DotdoError(
        'TOO_MANY_SHARDS',
        `${this.#scanners.length} scanners were given; one coordinator takes ${MAX_SHARDS}. Use fewer, larger shards.`,
        { data: { shards: this.#scanners.length, limit: MAX_SHARDS } },
      )
    }
    this.#options = options
    this.#onShardError = options.onShardError ?? 'fail'
    this.#limits = {
      groups: options.maxGroups ?? defaultGroupLimits.groups,
      sizeBytes: options.maxGroupBytes ?? defaultGroupLimits.sizeBytes,
    }
    this.#maxResultBytes = options.maxResultBytes ?? 48 * 1024 * 1024
  }

  /**
   * All rows of a query, complete or not at all.
   *
   * Without ORDER BY rows come shard by shard. Integers beyond 2^53 are `bigint`, blobs `Uint8Array`. A column without alias has the name
   * that SQLite gives it: the column's own, else the text as written.
   *
   * @throws `SQL_SYNTAX`, `SQL_UNSUPPORTED`, `SQL_INVALID`, `SQL_PARAMETER`, `SQL_OVERFLOW`, `COLUMN_UNKNOWN`, `TABLE_UNKNOWN`, `SHARD_FAILED`,
   * `SCHEMA_MISMATCH`, `QUERY_TOO_LARGE`, `QUERY_CANCELLED`
   */
  async query(sql: string, params: Parameters = [], options: QueryOptions = {}): Promise<Row[]> {
    return (await this.#collect(sql, params, options, 'fail')).rows
  }

  /** As {@link query}, with the names of the columns and, under `onShardError: 'partial'`, the shards that are missing. */
  queryResult(sql: string, params: Parameters = [], options: QueryOptions = {}): Promise<QueryResult> {
    return this.#collect(sql, params, options, this.#onShardError)
  }

  /**
   * The rows in batches. Rows that need no merging come as their shard answers, in no order among shards; ordered rows as they are merged;
   * groups when the last shard has answered. Leaving the loop tells the shards to stop. A slow reader slows them down.
   *
   * @throws from the iteration, as {@link query}
   */
  queryStream(sql: string, params: Parameters = [], options: QueryOptions = {}): QueryStream {
    return new QueryStream(options.signal, (cancellation, onMissing) =>
      this.#rows(this.#run(sql, params, this.#onShardError, cancellation, onMissing)),
    )
  }

  /** How a query would be split between the shards and the coordinator, as data and as text. A query that would be refused is explained too. */
  async explain(sql: string, params: Parameters = []): Promise<Explanation> {
    const cancellation = new Cancellation()
    try {
      const { plan } = await this.#plan(sql, params, cancellation)
      return explainPlan(plan, this.#scanners.length)
    } catch (thrown) {
      return explainRefusal(thrown)
    }
  }

  /** Reads a query to its end, within the bound on what is kept. */
  async #collect(sql: string, params: Parameters, options: QueryOptions, onShardError: 'fail' | 'partial'): Promise<QueryResult> {
    const missing: MissingShard[] = []
    const cancellation = new Cancellation(options.signal)
    let columns: string[] = []
    let sizeBytes = 0
    // Rows by shard: the order in which shards answer must not show.
    const byShard: Row[][] = []
    try {
      for await (const { names, batch } of this.#run(sql, params, onShardError, cancellation, (it) => missing.push(it))) {
        columns = names
        if (!batch) continue
        const rows = (byShard[batch.shard ?? 0] ??= [])
        for (const cells of batch.rows) {
          for (const cell of cells) sizeBytes += cellBytes(cell)
          rows.push(rowOf(names, cells))
        }
        if (sizeBytes > this.#maxResultBytes) {
          throw new DotdoError(
            'QUERY_TOO_LARGE',
            `The answer has more than ${this.#maxResultBytes} bytes. Read it by queryStream, add a LIMIT, or raise maxResultBytes.`,
            { data: { sizeBytes, limit: this.#maxResultBytes } },
          )
        }
      }
    } finally {
      cancellation.cancel()
    }
    return { columns, rows: byShard.flat(), missing: missing.sort((a, b) => a.shard - b.shard) }
  }

  /** Batches of row objects; empty ones are left out. */
  async *#rows(batches: AsyncIterable<{ names: string[]; batch?: OutputBatch }>): AsyncGenerator<Row[]> {
    for await (const { names, batch } of batches) if (batch?.rows.length) yield batch.rows.map((cells) => rowOf(names, cells))
  }

  /** Plans and executes; first says the names of the columns. Plans anew, once, when a kept description of the tables turned out old. */
  async *#run(
    sql: string,
    params: Parameters,
    onShardError: 'fail' | 'partial',
    cancellation: Cancellation,
    onMissing: (missing: MissingShard) => void,
  ) {
    let delivered = false
    for (;;) {
      const { plan, fresh } = await this.#plan(sql, params, cancellation)
      const missing: MissingShard[] = []
      try {
        yield { names: plan.names }
        for await (const batch of execute(plan, this.#scanners, {
          onShardError,
          limits: this.#limits,
          cancellation,
          onMissing: (it) => missing.push(it),
        })) {
          delivered = true
          yield { names: plan.names, batch }
        }
        missing.forEach(onMissing)
        return
      } catch (thrown) {
        if (codeOf(thrown) !== 'SCHEMA_MISMATCH' || fresh || delivered) throw thrown
        this.#tables = undefined
      }
    }
  }

  /** Reads, binds and plans. `fresh` tells that the tables were described for this very query. */
  async #plan(sql: string, params: Parameters, cancellation: Cancellation): Promise<{ plan: Plan; fresh: boolean }> {
    if (typeof sql !== 'string') {
      throw new DotdoError(
        'SQL_INVALID',
        `A query is a text; this one is ${sql === null ? 'null' : `a ${typeof sql}`}. Write query('SELECT …', parameters).`,
      )
    }
    const statement = readSelect(this.#options.parser, sql, params)
    const source = new Source(sql)
    if (this.#tables) {
      try {
        return { plan: planOver(this.#tables, statement, source), fresh: false }
      } catch (thrown) {
        // A name that is unknown may be newer than the description.
        if (codeOf(thrown) !== 'TABLE_UNKNOWN' && codeOf(thrown) !== 'COLUMN_UNKNOWN') throw thrown
      }
    }
    this.#tables = await this.#describe(cancellation)
    return { plan: planOver(this.#tables, statement, source), fresh: true }
  }

  /** The tables of the first scanner that answers. That the others have the same is checked by each of their answers. */
  async #describe(cancellation: Cancellation): Promise<readonly TableDescription[]> {
    let first: unknown
    for (const scanner of this.#scanners) {
      try {
        return await cancellation.wait(
          Promise.resolve(scanner instanceof Promise ? scanner.then((it) => it.describe()) : scanner.describe()),
        )
      } catch (thrown) {
        if (codeOf(thrown) === 'QUERY_CANCELLED' || this.#onShardError === 'fail')
          throw codeOf(thrown) === 'QUERY_CANCELLED' ? thrown : shardFailed(0, thrown)
        first ??= thrown
      }
    }
    throw shardFailed(0, first)
  }
}

/** The plan over the table that the query names. Names are compared as SQLite does. */
function planOver(tables: readonly TableDescription[], statement: SelectStatement, source: Source): Plan {
  const { name, at } = statement.table
  const table = tables.find((it) => it.name.toLowerCase() === name.toLowerCase())
  if (!table) {
    const known = tables.map((it) => it.name)
    throw source.error(
      'TABLE_UNKNOWN',
      `There is no table ${name}. ${known.length ? `There are: ${known.join(', ')}` : 'The scanners show none'}`,
      at,
      { table: name, tables: known },
    )
  }
  return planSelect(bindSelect(statement, table, source), source)
}

/** One row as an object. Names are unique and none is `__proto__`: the binder sees to it. */
function rowOf(names: readonly string[], cells: readonly Cell[]): Row {
  const row: Row = {}
  for (let i = 0; i < names.length; i++) row[names[i]!] = cells[i]!
  return row
}
