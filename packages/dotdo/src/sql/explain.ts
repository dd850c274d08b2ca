import { DotdoError, toErrorRecord, type ErrorRecord } from '../base/errors.ts'
import type { AccumulatorPlan, Plan } from './plan.ts'

/**
 * Where an operator runs. `push`: by the shards, whole. `partial`: by the shards over their own rows. `final`: by the coordinator over what
 * came back.
 */
export type OperatorPlace = 'push' | 'partial' | 'final'

/** A query's plan. */
export interface Explanation {
  /** The format of this value. */
  version: 1
  /** `push`: rows merged in order. `partial-final`: groups. `refuse`: not answered; see `refusal`. */
  strategy: 'push' | 'partial-final' | 'refuse'
  /** In the order they run. */
  operators: { place: OperatorPlace; operator: string; detail: string }[]
  /** What each shard runs. */
  scan?: { sql: string; parameters: unknown[]; shards: number }
  refusal?: ErrorRecord
  /** All of it for people. */
  text: string
}

/** Describes a plan. */
export function explainPlan(plan: Plan, shards: number): Explanation {
  const operators: Explanation['operators'] = []
  const add = (place: OperatorPlace, operator: string, detail: string) => operators.push({ place, operator, detail })
  add(plan.kind === 'rows' ? 'push' : 'partial', 'SCAN', plan.scan.sql)
  if (plan.kind === 'groups') {
    add(
      'final',
      'MERGE',
      `${plan.keyCount} key${plan.keyCount === 1 ? '' : 's'}${plan.accumulators.length ? `; ${plan.accumulators.map(describe).join(', ')}` : ''}`,
    )
    if (plan.having) add('final', 'HAVING', 'after all shards have answered')
    if (plan.distinct) add('final', 'DISTINCT', 'over the result columns')
  }
  if (plan.order.length) {
    const directions = plan.order
      .map(({ descending, nullsFirst }) => `${descending ? 'DESC' : 'ASC'} NULLS ${nullsFirst ? 'FIRST' : 'LAST'}`)
      .join(', ')
    add('final', plan.kind === 'rows' ? 'MERGE' : 'SORT', plan.kind === 'rows' ? `ordered runs of the shards, ${directions}` : directions)
  }
  if (plan.limit !== undefined || plan.offset) add('final', 'LIMIT', `${plan.limit ?? 'all'} OFFSET ${plan.offset}`)
  const text = operators.map(({ place, operator, detail }) => `${place.padEnd(7)} ${operator.padEnd(8)} ${detail}`)
  return {
    version: 1,
    strategy: plan.kind === 'rows' ? 'push' : 'partial-final',
    operators,
    scan: { sql: plan.scan.sql, parameters: plan.scan.parameters, shards },
    text: [`${shards} shard${shards === 1 ? '' : 's'}, one call each`, ...text].join('\n'),
  }
}

/** Describes why a query is not answered. What is no refusal (a shard that failed) is thrown on. */
export function explainRefusal(thrown: unknown): Explanation {
  const refusal = toErrorRecord(thrown)
  const known = ['SQL_SYNTAX', 'SQL_UNSUPPORTED', 'SQL_INVALID', 'SQL_PARAMETER', 'COLUMN_UNKNOWN', 'TABLE_UNKNOWN', 'QUERY_TOO_LARGE']
  if (!(thrown instanceof DotdoError) || !known.includes(thrown.code)) throw thrown
  return { version: 1, strategy: 'refuse', operators: [], refusal, text: `refused ${thrown.code}: ${thrown.message}` }
}

/** How the partial results of an aggregate become one. */
function describe({ kind }: AccumulatorPlan): string {
  const how = {
    count: 'COUNT by sum of counts',
    sum: 'SUM by sum of sums',
    total: 'TOTAL by sum of totals',
    avg: 'AVG by sum and count',
    min: 'MIN by least',
    max: 'MAX by greatest',
  }
  return how[kind]
}
