import { DotdoError } from '../base/errors.ts'
import type { Expr } from './ast.ts'
import { affinityOf, type BoundSelect } from './bind.ts'
import { identityOf, printExpr, printName, type Bound } from './print.ts'
import type { Source } from './source.ts'

/** What every shard runs: the part of a `ScanRequest` that is the same for all of them. */
export interface ScanPlan {
  /** The one table that is read. */
  table: string
  /** The statement, printed by us. */
  sql: string
  /** The values of its `?`, in order. */
  parameters: Bound[]
  /** Its result columns: `c0`, `c1`, and so on. */
  columns: string[]
  /** Whether INTEGER and REAL must be told apart: always for groups, whose values are computed with; never for rows, which are shown. */
  typed: boolean
  /** Columns that may hold integers which are no exact numbers. */
  wide: string[]
}

/** Limits of the platform on one statement: https://developers.cloudflare.com/durable-objects/platform/limits. */
const MAX_STATEMENT_BYTES = 100_000
const MAX_PARAMETERS = 100

/** What a scanner's wrapping adds for each column, at most; see `sqlite-scanner.ts`. */
const WRAP_BYTES = 250

/**
 * The result columns of the statement that shards run, each printed once, and the statement itself.
 *
 * Owns the printed texts and the values bound in them. Invariants:
 * 1. Column `n` is named `cn`, and its number never changes.
 * 2. The bound values stand in the order of their `?`: those of the columns first, those of WHERE after.
 */
export class ScanColumns {
  #select: BoundSelect
  #source: Source
  #texts: string[] = []
  #wide: string[] = []
  #parameters: Bound[] = []
  #index = new Map<string, number>()

  constructor(select: BoundSelect, source: Source) {
    this.#select = select
    this.#source = source
  }

  /** How many columns there are so far. */
  get length(): number {
    return this.#texts.length
  }

  /** The column that holds the expression; a new one when there is none yet. */
  find(expr: Expr): number {
    return this.#index.get(identityOf(expr)) ?? this.append(expr)
  }

  /** A new column for the expression, also when there is one: result columns are taken by their place. */
  append(expr: Expr): number {
    const index = this.#texts.push(printExpr(expr, (value) => this.#parameters.push(value))) - 1
    if (this.#isWide(expr)) this.#wide.push(`c${index}`)
    if (!this.#index.has(identityOf(expr))) this.#index.set(identityOf(expr), index)
    return index
  }

  /**
   * The statement over all columns so far.
   * @param tail GROUP BY, ORDER BY and LIMIT, which name columns by position: a name could be taken by a column of the table
   * @throws `QUERY_TOO_LARGE`
   */
  scan(tail: string, typed: boolean): ScanPlan {
    const parameters = [...this.#parameters]
    const columns = this.#texts.map((_, i) => `c${i}`)
    const where = this.#select.where ? ` WHERE ${printExpr(this.#select.where, (value) => parameters.push(value))}` : ''
    const list = this.#texts.map((text, i) => `${text} AS c${i}`).join(', ')
    const sql = `SELECT ${list} FROM ${printName(this.#select.table.name)}${where}${tail}`
    const sizeBytes = new TextEncoder().encode(sql).length
    // A scanner wraps each column to keep large integers exact; see `sqlite-scanner.ts`.
    if (sizeBytes + columns.length * WRAP_BYTES > MAX_STATEMENT_BYTES || parameters.length > MAX_PARAMETERS) {
      throw new DotdoError(
        'QUERY_TOO_LARGE',
        `The statement for the shards has ${sizeBytes} bytes, ${columns.length} columns and ${parameters.length} parameters; the platform takes ${MAX_STATEMENT_BYTES} bytes and ${MAX_PARAMETERS} parameters. Split the query.`,
        {
          data: { sizeBytes, parameters: parameters.length, sql: this.#source.sql },
        },
      )
    }
    return { table: this.#select.table.name, sql, parameters, columns, typed, wide: this.#wide }
  }

  /** Keeping an integer exact costs the shard some time a row, so it is left out where none can be too large. */
  #isWide(expr: Expr): boolean {
    if (expr.kind === 'aggregate') return expr.name !== 'count' && expr.name !== 'total'
    const affinity = expr.kind === 'column' && this.#select.table.kind === 'table' ? affinityOf(expr, this.#select.table) : undefined
    return affinity !== 'TEXT' && affinity !== 'REAL'
  }
}
