import type { Affinity } from './scanner.ts'
import type { Position } from './source.ts'
import type { Cell } from './values.ts'

/**
 * The part of SQL that queries over shards are made of: a tree of our own, narrow enough that every node has one meaning and a printer.
 * `read.ts` makes it of the parser's tree; a node that is not listed here is refused there.
 */
export type Expr = { at: Position | undefined } & (
  | Literal
  /** A column by name; after binding, spelled as declared and without its table. */
  | { kind: 'column'; name: string; table?: string }
  /** An operator before its operand. */
  | { kind: 'unary'; op: UnaryOp; operand: Expr }
  /** An operator between two operands. */
  | { kind: 'binary'; op: BinaryOp; left: Expr; right: Expr }
  /** `x IS NULL`, `x NOTNULL`. */
  | { kind: 'isNull'; operand: Expr; negated: boolean }
  /** `x IS [NOT] TRUE` and FALSE: whether x counts as such; never NULL. */
  | { kind: 'isTrue'; operand: Expr; value: boolean; negated: boolean }
  /** `x BETWEEN low AND high`, both ends included. */
  | { kind: 'between'; operand: Expr; low: Expr; high: Expr; negated: boolean }
  /** `x IN (…)`: a list of expressions, which may be empty; never a subquery. */
  | { kind: 'in'; operand: Expr; list: Expr[]; negated: boolean }
  /** `x LIKE pattern ESCAPE c`: ASCII letters of either case are equal. */
  | { kind: 'like'; operand: Expr; pattern: Expr; escape?: Expr; negated: boolean }
  /** CASE with an operand that each WHEN is compared with, or without one, where each WHEN is a condition. */
  | { kind: 'case'; operand?: Expr; branches: { when: Expr; then: Expr }[]; otherwise?: Expr }
  /** CAST, by the affinity of the type. */
  | { kind: 'cast'; operand: Expr; to: Affinity }
  /** A collation for comparisons of this operand. */
  | { kind: 'collate'; operand: Expr; collation: string }
  /** A scalar function, its name in small letters. */
  | { kind: 'call'; name: string; args: Expr[] }
  | Aggregate
  | Slot
)

/** Operators before one operand. */
export type UnaryOp = '-' | '+' | '~' | 'NOT'
/** Operators between two operands, as SQLite writes them. `IS` is also IS NOT DISTINCT FROM. */
export type BinaryOp =
  | '+'
  | '-'
  | '*'
  | '/'
  | '%'
  | '&'
  | '|'
  | '||'
  | '->'
  | '->>'
  | '='
  | '<>'
  | '<'
  | '<='
  | '>'
  | '>='
  | 'IS'
  | 'IS NOT'
  | 'AND'
  | 'OR'

/** A value that stands in the query, or was given as a parameter. */
export interface Literal {
  kind: 'literal'
  /** A scalar: INTEGER as `bigint`, REAL as `number`. */
  value: Cell
  /** A number as it was written, so that SQLite reads the same digits that the user wrote. */
  text?: string
}

/** A call of an aggregate function. `arg` is absent in `COUNT(*)`. */
export interface Aggregate {
  kind: 'aggregate'
  name: AggregateName
  arg?: Expr
  filter?: Expr
}

/** The aggregates that can be merged from partial results. */
export type AggregateName = 'count' | 'sum' | 'total' | 'avg' | 'min' | 'max'

/** Made by the planner only: a value that the merged groups hold, by its place among the slots of a group. */
export interface Slot {
  kind: 'slot'
  index: number
  /** As of the column it stands for; absent for expressions and aggregates, which have none. */
  affinity: Affinity | undefined
}

/** One term of ORDER BY. */
export interface OrderTerm {
  expr: Expr
  descending: boolean
  /** SQLite's default: NULLs are least, so they come first ascending and last descending. */
  nullsFirst: boolean
}

/** A result column: everything (`*`), or an expression with the name that SQLite gives it. */
export type SelectItem =
  | { kind: 'all'; table?: string; at: Position | undefined }
  /** `text` is the source as written, which is the name of an expression without alias. */
  | { kind: 'expr'; expr: Expr; alias?: string; text: string }

/** One SELECT over one table. */
export interface SelectStatement {
  distinct: boolean
  items: SelectItem[]
  table: { name: string; alias?: string; at: Position | undefined }
  where?: Expr
  groupBy: Expr[]
  having?: Expr
  orderBy: OrderTerm[]
  /** Absent: no limit. */
  limit?: number
  offset: number
}

/** The parts of an expression, in the order they are written. */
export function childrenOf(expr: Expr): Expr[] {
  switch (expr.kind) {
    case 'literal':
    case 'column':
    case 'slot':
      return []
    case 'unary':
    case 'isNull':
    case 'isTrue':
    case 'cast':
    case 'collate':
      return [expr.operand]
    case 'binary':
      return [expr.left, expr.right]
    case 'between':
      return [expr.operand, expr.low, expr.high]
    case 'in':
      return [expr.operand, ...expr.list]
    case 'like':
      return [expr.operand, expr.pattern, ...(expr.escape ? [expr.escape] : [])]
    case 'case':
      return [
        ...(expr.operand ? [expr.operand] : []),
        ...expr.branches.flatMap(({ when, then }) => [when, then]),
        ...(expr.otherwise ? [expr.otherwise] : []),
      ]
    case 'call':
      return expr.args
    case 'aggregate':
      return [...(expr.arg ? [expr.arg] : []), ...(expr.filter ? [expr.filter] : [])]
  }
}

/** The same node over other parts. */
export function mapChildren(expr: Expr, map: (child: Expr) => Expr): Expr {
  switch (expr.kind) {
    case 'literal':
    case 'column':
    case 'slot':
      return expr
    case 'unary':
    case 'isNull':
    case 'isTrue':
    case 'cast':
    case 'collate':
      return { ...expr, operand: map(expr.operand) }
    case 'binary':
      return { ...expr, left: map(expr.left), right: map(expr.right) }
    case 'between':
      return { ...expr, operand: map(expr.operand), low: map(expr.low), high: map(expr.high) }
    case 'in':
      return { ...expr, operand: map(expr.operand), list: expr.list.map(map) }
    case 'like':
      return { ...expr, operand: map(expr.operand), pattern: map(expr.pattern), ...(expr.escape && { escape: map(expr.escape) }) }
    case 'case':
      return {
        ...expr,
        ...(expr.operand && { operand: map(expr.operand) }),
        branches: expr.branches.map(({ when, then }) => ({ when: map(when), then: map(then) })),
        ...(expr.otherwise && { otherwise: map(expr.otherwise) }),
      }
    case 'call':
      return { ...expr, args: expr.args.map(map) }
    case 'aggregate':
      return { ...expr, ...(expr.arg && { arg: map(expr.arg) }), ...(expr.filter && { filter: map(expr.filter) }) }
  }
}

/** Whether any node of the tree passes the test. */
export function anyNode(expr: Expr, test: (node: Expr) => boolean): boolean {
  return test(expr) || childrenOf(expr).some((child) => anyNode(child, test))
}
