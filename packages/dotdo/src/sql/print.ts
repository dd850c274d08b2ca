import { DotdoError } from '../base/errors.ts'
import type { Expr } from './ast.ts'
import type { Cell } from './values.ts'

/** A value that is bound to a `?`. Integers are never bound: both `node:sqlite` and Durable Objects bind every number as REAL. */
export type Bound = number | string | Uint8Array

/** The longest text, in UTF-16 units, that is printed into the statement; longer ones are bound. */
export const MAX_INLINE_TEXT = 200

/**
 * Prints an expression in SQLite's dialect, with parentheses around every operation, so that precedence is never a question.
 *
 * Identifiers stand in backticks: SQLite reads a name in double quotes that is no column as a text, silently.
 *
 * @param bind receives each value that has to be a parameter, in the order of the `?` that are printed
 */
export function printExpr(expr: Expr, bind: (value: Bound) => void): string {
  const print = (child: Expr) => printExpr(child, bind)
  switch (expr.kind) {
    case 'literal':
      return expr.text ?? printValue(expr.value, bind)
    case 'column':
      return printName(expr.name)
    case 'unary':
      return `(${expr.op} ${print(expr.operand)})`
    case 'binary':
      return `(${print(expr.left)} ${expr.op} ${print(expr.right)})`
    case 'isNull':
      return `(${print(expr.operand)} IS${expr.negated ? ' NOT' : ''} NULL)`
    case 'isTrue':
      return `(${print(expr.operand)} IS${expr.negated ? ' NOT' : ''} ${expr.value ? 'TRUE' : 'FALSE'})`
    case 'between':
      return `(${print(expr.operand)}${expr.negated ? ' NOT' : ''} BETWEEN ${print(expr.low)} AND ${print(expr.high)})`
    case 'in':
      return `(${print(expr.operand)}${expr.negated ? ' NOT' : ''} IN (${expr.list.map(print).join(', ')}))`
    case 'like':
      return `(${print(expr.operand)}${expr.negated ? ' NOT' : ''} LIKE ${print(expr.pattern)}${expr.escape ? ` ESCAPE ${print(expr.escape)}` : ''})`
    case 'case': {
      const operand = expr.operand ? ` ${print(expr.operand)}` : ''
      const branches = expr.branches.map(({ when, then }) => ` WHEN ${print(when)} THEN ${print(then)}`).join('')
      return `CASE${operand}${branches}${expr.otherwise ? ` ELSE ${print(expr.otherwise)}` : ''} END`
    }
    case 'cast':
      return `CAST(${print(expr.operand)} AS ${expr.to})`
    case 'collate':
      return `(${print(expr.operand)} COLLATE ${expr.collation})`
    case 'call':
      return `${expr.name}(${expr.args.map(print).join(', ')})`
    case 'aggregate': {
      const call = `${expr.name}(${expr.arg ? print(expr.arg) : '*'})`
      return expr.filter ? `${call} FILTER (WHERE ${print(expr.filter)})` : call
    }
    case 'slot':
      // Slots exist after the shards have answered; printing one is a mistake of the planner.
      throw new DotdoError(
        'SQL_INTERNAL',
        `Slot ${expr.index} of a merged group cannot be sent to a shard. This is a fault of the query planner: report the query.`,
      )
  }
}

/** A text that is the same for expressions that mean the same text of SQL: how a GROUP BY term is found again in the result columns. */
export function identityOf(expr: Expr): string {
  const bound: Bound[] = []
  const text = printExpr(expr, (value) => bound.push(value))
  return text + bound.map((value) => `\u0000${typeof value}:${String(value)}`).join('')
}

/** An identifier in backticks. */
export function printName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}

/** A value that the query holds: written where it can be, bound where it has to be. */
function printValue(value: Cell, bind: (value: Bound) => void): string {
  if (value === null) return 'NULL'
  if (typeof value === 'bigint') return value.toString()
  // Short texts stand in the statement: a list of 200 of them is fine, 200 parameters are not. A NUL would end the statement.
  if (typeof value === 'string' && value.length <= MAX_INLINE_TEXT && !value.includes('\0')) return `'${value.replaceAll("'", "''")}'`
  bind(value)
  return '?'
}
