import type { Aggregate, Expr } from './ast.ts'
import type { BoundSelect } from './bind.ts'
import { GroupsPlanner } from './plan-groups.ts'
import { requireBinary, sharedPlan } from './plan-shared.ts'
import type { ColumnDescription } from './scanner.ts'
import { ScanColumns, type ScanPlan } from './scan-columns.ts'
import type { Source } from './source.ts'

/** What both kinds of plan have. A plan is plain data: it can be shown, compared and kept. */
export interface PlanBase {
  /** What every shard runs. */
  scan: ScanPlan
  /** The names of the result columns. */
  names: string[]
  /** What the table must look like for the plan to hold. */
  needs: { table: string; columns: ColumnDescription[] }
  /** Rows of the answer, at most; absent for all. */
  limit?: number
  /** Rows of the answer that are left out first. */
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
  /** In the order of their slots. */
  accumulators: AccumulatorPlan[]
  /** The result columns, over slots. */
  outputs: Expr[]
  /** What a group must fulfil to be in the answer, over slots. */
  having?: Expr
  order: { expr: Expr; descending: boolean; nullsFirst: boolean }[]
  /** Whether result rows that are equal become one. */
  distinct: boolean
}

/** How a query is split: what each shard runs, and what the coordinator does with the answers. */
export type Plan = RowsPlan | GroupsPlan

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

/** Rows are sorted and cut by each shard; the order's values come along as columns of their own where they are not selected. */
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
  return { kind: 'rows', scan: columns.scan(tail, false), order, ...sharedPlan(select) }
}
