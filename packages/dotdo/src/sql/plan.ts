import { anyNode, childrenOf, mapChildren, type Aggregate, type Expr } from './ast.ts'
import { affinityOf, type BoundSelect } from './bind.ts'
import { DotdoError } from '../base/errors.ts'
import { canEvaluate } from './evaluate.ts'
import { identityOf, printExpr, printName, type Bound } from './print.ts'
import type { ColumnDescription } from './scanner.ts'
import type { Source } from './source.ts'

/** What every shard runs. */
export interface ScanPlan {
  table: string
  sql: string
  parameters: Bound[]
  columns: string[]
  typed: boolean
  /** Columns that may hold integers which are no exact numbers. */
  wide: string[]
}

interface PlanBase {
  scan: ScanPlan
  /** The names of the result columns. */
  names: string[]
  /** What the table must look like for the plan to hold. */
  needs: { table: string; columns: ColumnDescription[] }
  limit?: number
  offset: number
}

/** Rows as they are: filtered, computed, sorted and cut by the shards, merged in order here. */
export interface RowsPlan extends PlanBase {
  kind: 'rows'
  /** Empty: no order was asked for. `column` counts among the scan's columns. */
  order: { column: number; descending: boolean; nullsFirst: boolean }[]
}

/** What a group holds of an aggregate, and which columns of the scan feed it. */
export interface AccumulatorPlan {
  kind: Aggregate['name']
  /** `count` [COUNT], `sum` and `avg` [SUM, COUNT], `total` [SUM of quotients, SUM of rests, TOTAL of what is no integer], `min` [MIN], `max` [MAX]. */
  columns: number[]
}

/**
 * Groups: each shard folds its own rows, the partial results of one group are merged here, and what stands above aggregates is computed after.
 *
 * The first `keyCount` columns of the scan are the keys; up to `carriedCount` follow values that depend on the keys alone, computed by
 * the shards. Slots 0 to `carriedCount - 1` are these columns, slots after that the accumulators.
 */
export interface GroupsPlan extends PlanBase {
  kind: 'groups'
  keyCount: number
  carriedCount: number
  accumulators: AccumulatorPlan[]
  outputs: Expr[]
  having?: Expr
  order: { expr: Expr; descending: boolean; nullsFirst: boolean }[]
  distinct: boolean
}

export type Plan = RowsPlan | GroupsPlan

/** What TOTAL divides integers by: sums of quotients and of rests of 2^31 rows stay within 64 bits. */
export const HALF = 2n ** 32n

/** Limits of the platform on one statement. */
const MAX_STATEMENT_BYTES = 100_000
const MAX_PARAMETERS = 100

/**
 * Splits a query into what the shards run and what is done with their answers.
 *
 * Pushed whole: WHERE, expressions over columns, and for queries without groups ORDER BY and LIMIT (with OFFSET added to it). Partial and
 * final: aggregates. Never pushed: LIMIT, HAVING and ORDER BY over groups, because a group's value is not known before the merge.
 *
 * @throws `SQL_UNSUPPORTED` for what has no right split, `QUERY_TOO_LARGE` when the printed statement passes the platform's limits
 */
export function planSelect(select: BoundSelect, source: Source): Plan {
  return select.grouped || select.distinct ? new GroupsPlanner(select, source).plan() : planRows(select, source)
}

function planRows(select: BoundSelect, source: Source): RowsPlan {
  const columns = new ScanColumns(select, source)
  for (const { expr } of select.items) columns.append(expr)
  const order = select.orderBy.map(({ expr, ...term }) => {
    requireBinary(expr, select, source, 'ORDER BY')
    return { ...term, column: columns.find(expr) }
  })
  const terms = order.map(
    ({ column, descending, nullsFirst }) => `${column + 1} ${descending ? 'DESC' : 'ASC'} NULLS ${nullsFirst ? 'FIRST' : 'LAST'}`,
  )
  // A shard alone may hold all of the first rows, so each gives as many as the offset and the limit take together.
  const most = select.limit === undefined ? undefined : select.limit + select.offset
  const tail =
    (terms.length ? ` ORDER BY ${terms.join(', ')}` : '') + (most === undefined || !Number.isSafeInteger(most) ? '' : ` LIMIT ${most}`)
  return { kind: 'rows', scan: columns.scan(tail, false), order, ...shared(select) }
}

/** Builds the plan of a query with groups. DISTINCT without aggregates is grouping by all of the result columns. */
class GroupsPlanner {
  #select: BoundSelect
  #source: Source
  #columns: ScanColumns
  #keys: ReadonlySet<string>
  #carriedCount = 0
  #accumulators: AccumulatorPlan[] = []
  #accumulatorOf = new Map<string, number>()

  constructor(select: BoundSelect, source: Source) {
    this.#select = select
    this.#source = source
    this.#columns = new ScanColumns(select, source)
    const keys = select.grouped ? select.groupBy : select.items.map(({ expr }) => expr)
    for (const key of keys) {
      requireBinary(key, select, source, select.grouped ? 'GROUP BY' : 'DISTINCT')
      this.#columns.find(key)
    }
    this.#keys = new Set(keys.map(identityOf))
  }

  plan(): GroupsPlan {
    const { items, having, orderBy, distinct } = this.#select
    const keyCount = this.#columns.length
    const exprs = [...items.map(({ expr }) => expr), ...(having ? [having] : []), ...orderBy.map(({ expr }) => expr)]
    if (distinct) this.#checkDistinctOrder()
    // Carried values take the columns right after the keys, so all of them are placed before the first partial result.
    for (const expr of exprs) this.#placeCarried(expr)
    this.#carriedCount = this.#columns.length
    const outputs = items.map(({ expr }) => this.#final(expr))
    const order = orderBy.map((term) => ({ ...term, expr: this.#final(term.expr) }))
    return {
      kind: 'groups',
      keyCount,
      carriedCount: this.#carriedCount,
      outputs,
      order,
      // Groups are distinct by their keys already; only what is computed from them can repeat.
      distinct: distinct && this.#select.grouped,
      ...(having && { having: this.#final(having) }),
      accumulators: this.#accumulators,
      scan: this.#columns.scan(keyCount ? ` GROUP BY ${Array.from({ length: keyCount }, (_, i) => i + 1).join(', ')}` : '', true),
      ...shared(this.#select),
    }
  }

  /** Gives a scan column to each largest part of an expression that has no aggregate in it. */
  #placeCarried(expr: Expr): void {
    if (expr.kind === 'literal' || expr.kind === 'aggregate') return
    if (!anyNode(expr, (node) => node.kind === 'aggregate')) {
      this.#requireKeys(expr)
      requireBinary(expr, this.#select, this.#source, 'GROUP BY')
      this.#columns.find(expr)
      return
    }
    for (const child of childrenOf(expr)) this.#placeCarried(child)
  }

  /** The expression over slots. */
  #final(expr: Expr): Expr {
    if (expr.kind === 'literal') return expr
    if (expr.kind === 'aggregate')
      return { kind: 'slot', index: this.#carriedCount + this.#accumulator(expr), affinity: undefined, at: expr.at }
    if (!anyNode(expr, (node) => node.kind === 'aggregate')) {
      return { kind: 'slot', index: this.#columns.find(expr), affinity: affinityOf(expr, this.#select.table), at: expr.at }
    }
    if (!canEvaluate(expr)) {
      const what = expr.kind === 'call' ? expr.name : expr.kind === 'unary' || expr.kind === 'binary' ? expr.op : expr.kind.toUpperCase()
      throw this.#source.unsupported(
        `${what} over an aggregate`,
        expr.at,
        'Select the aggregate alone and compute the rest in your program.',
      )
    }
    return mapChildren(expr, (child) => this.#final(child))
  }

  #accumulator(aggregate: Expr & Aggregate): number {
    const identity = identityOf(aggregate)
    const known = this.#accumulatorOf.get(identity)
    if (known !== undefined) return known
    if (aggregate.arg && (aggregate.name === 'min' || aggregate.name === 'max'))
      requireBinary(aggregate.arg, this.#select, this.#source, aggregate.name.toUpperCase())
    const columns = partialsOf(aggregate).map((partial) => this.#columns.find(partial))
    const index = this.#accumulators.push({ kind: aggregate.name, columns }) - 1
    this.#accumulatorOf.set(identity, index)
    return index
  }

  /** SQLite answers a bare column with the value of an arbitrary row; over shards there is no right one. */
  #requireKeys(expr: Expr): void {
    if (this.#keys.has(identityOf(expr))) return
    if (expr.kind === 'column') {
      throw this.#source.unsupported(
        `The column ${expr.name} beside aggregates and outside of GROUP BY`,
        expr.at,
        `Add it to GROUP BY, or write MIN(${expr.name}) or MAX(${expr.name}).`,
      )
    }
    for (const child of childrenOf(expr)) this.#requireKeys(child)
  }

  #checkDistinctOrder(): void {
    const selected = new Set(this.#select.items.map(({ expr }) => identityOf(expr)))
    for (const { expr } of this.#select.orderBy) {
      if (!selected.has(identityOf(expr)))
        throw this.#source.unsupported(
          'ORDER BY of something that SELECT DISTINCT leaves out',
          expr.at,
          'Select it too, or leave DISTINCT out.',
        )
    }
  }
}

/**
 * What the shards compute for an aggregate.
 *
 * AVG takes SUM, which is exact for integers where TOTAL is not; a sum that passes 64 bits is an error then, where SQLite alone would
 * go on with a REAL. TOTAL, which is there for such sums, takes its integers in two halves that cannot overflow, and the rest apart.
 */
function partialsOf(aggregate: Expr & Aggregate): Expr[] {
  const { at, arg } = aggregate
  if (aggregate.name === 'avg' || aggregate.name === 'sum')
    return [
      { ...aggregate, name: 'sum' },
      { ...aggregate, name: 'count' },
    ]
  if (aggregate.name !== 'total' || !arg) return [aggregate]
  const integer: Expr = {
    kind: 'binary',
    op: '=',
    left: { kind: 'call', name: 'typeof', args: [arg], at },
    right: { kind: 'literal', value: 'integer', at },
    at,
  }
  const where = (then: Expr, otherwise?: Expr): Expr => ({
    kind: 'case',
    branches: [{ when: integer, then }],
    ...(otherwise && { otherwise }),
    at,
  })
  const half = (op: '/' | '%'): Expr => where({ kind: 'binary', op, left: arg, right: { kind: 'literal', value: HALF, at }, at })
  return [
    { ...aggregate, name: 'sum', arg: half('/') },
    { ...aggregate, name: 'sum', arg: half('%') },
    { ...aggregate, arg: where({ kind: 'literal', value: null, at }, arg) },
  ]
}

/** The result columns of the statement that shards run, each printed once. */
class ScanColumns {
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

  get length(): number {
    return this.#texts.length
  }

  /** The column that holds the expression; a new one when there is none yet. */
  find(expr: Expr): number {
    return this.#index.get(identityOf(expr)) ?? this.append(expr)
  }

  append(expr: Expr): number {
    const index = this.#texts.push(printExpr(expr, (value) => this.#parameters.push(value))) - 1
    if (this.#isWide(expr)) this.#wide.push(`c${index}`)
    if (!this.#index.has(identityOf(expr))) this.#index.set(identityOf(expr), index)
    return index
  }

  /** @param tail GROUP BY, ORDER BY and LIMIT, which name columns by position: a name could be taken by a column of the table */
  scan(tail: string, typed: boolean): ScanPlan {
    const parameters = [...this.#parameters]
    const columns = this.#texts.map((_, i) => `c${i}`)
    const where = this.#select.where ? ` WHERE ${printExpr(this.#select.where, (value) => parameters.push(value))}` : ''
    const list = this.#texts.map((text, i) => `${text} AS c${i}`).join(', ')
    const sql = `SELECT ${list} FROM ${printName(this.#select.table.name)}${where}${tail}`
    const sizeBytes = new TextEncoder().encode(sql).length
    // A scanner wraps each column to keep large integers exact; see `sqlite-scanner.ts`.
    if (sizeBytes + columns.length * 250 > MAX_STATEMENT_BYTES || parameters.length > MAX_PARAMETERS) {
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

function shared(select: BoundSelect): Omit<PlanBase, 'scan'> {
  return {
    names: select.items.map(({ name }) => name),
    needs: { table: select.table.name, columns: select.columns },
    offset: select.offset,
    ...(select.limit !== undefined && { limit: select.limit }),
  }
}

/** Merging compares text by its bytes. What SQLite would compare by another collation is refused. */
function requireBinary(expr: Expr, select: BoundSelect, source: Source, clause: string): void {
  anyNode(expr, (node) => {
    const collation =
      node.kind === 'collate'
        ? node.collation
        : node.kind === 'column'
          ? (select.table.columns.find(({ name }) => name === node.name)?.collation ?? 'BINARY')
          : 'BINARY'
    if (collation !== 'BINARY')
      throw source.unsupported(
        `The collation ${collation} in ${clause}`,
        node.at,
        'Use lower(x) or trim(x) of a BINARY column, or declare the column without COLLATE.',
      )
    return false
  })
}
