import { anyNode, childrenOf, mapChildren, type Aggregate, type Expr } from './ast.ts'
import { affinityOf, type BoundSelect } from './bind.ts'
import { canEvaluate } from './evaluate.ts'
import { requireBinary, sharedPlan } from './plan-shared.ts'
import type { AccumulatorPlan, GroupsPlan } from './plan.ts'
import { identityOf } from './print.ts'
import { ScanColumns } from './scan-columns.ts'
import type { Source } from './source.ts'

/** What TOTAL divides integers by: sums of quotients and of rests of 2^31 rows stay within 64 bits. */
export const HALF = 2n ** 32n

/**
 * Builds the plan of a query with groups. DISTINCT without aggregates is grouping by all of the result columns.
 *
 * Each expression is cut where an aggregate stands in it. A part without aggregates depends on the keys alone, so any row of the group gives the same
 * value: it is computed by the shards, whatever functions are in it, and carried along. What is above an aggregate is computed after the
 * merge, and only the operations that `evaluate.ts` knows may stand there.
 *
 * Owns the columns of the scan while it is being built. Order matters: keys first, carried values next, partial results last.
 */
export class GroupsPlanner {
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

  /** @throws `SQL_UNSUPPORTED` with the part and its place, `QUERY_TOO_LARGE` */
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
      ...sharedPlan(this.#select),
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

  /** The expression over the slots of a group: what the coordinator computes once all shards have answered. */
  #final(expr: Expr): Expr {
    if (expr.kind === 'literal') return expr
    if (expr.kind === 'aggregate')
      return { kind: 'slot', index: this.#carriedCount + this.#accumulator(expr), affinity: undefined, at: expr.at }
    if (!anyNode(expr, (node) => node.kind === 'aggregate')) {
      return { kind: 'slot', index: this.#columns.find(expr), affinity: affinityOf(expr, this.#select.table), at: expr.at }
    }
    // An aggregate stands below: this operation is computed after the merge.
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

  /** The number of the accumulator for an aggregate; the same aggregate, written twice, is computed once. */
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
    // A key, or part of an expression over keys: the same in every row of the group.
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

  /** DISTINCT keeps one of several rows, and what is not selected may differ between them: there is nothing right to order by. */
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
  // typeof tells what a value is and not what its column is declared as, which in SQLite can differ.
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
