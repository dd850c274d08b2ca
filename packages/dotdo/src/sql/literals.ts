import type { Expr, Literal } from './ast.ts'
import type { Affinity } from './scanner.ts'
import { fitsInt64 } from './values.ts'

/**
 * A number as SQLite reads it: digits alone are an INTEGER while they fit 64 bits, everything else is a REAL.
 *
 * The text is kept and goes to the shards as it is, because reading it here and printing it again could end at a neighbour.
 */
export function numberOf(text: string): Literal {
  if (/^-?\d+$/.test(text) && fitsInt64(BigInt(text))) return { kind: 'literal', value: BigInt(text), text }
  return { kind: 'literal', value: Number(text), text }
}

/**
 * What a cast to a type does in SQLite, for the types whose affinity is what their name says; `undefined` for others.
 *
 * `CAST('1998-09-02' AS DATE)` is the number 1998, because DATE has the affinity NUMERIC. Nobody means that, so it has no answer here.
 *
 * @param type the parser's name of the type, such as `Integer` or `Varchar`
 */
export function castAffinity(type: string): Affinity | undefined {
  const name = type.toUpperCase()
  if (['INT', 'INTEGER', 'BIGINT', 'SMALLINT', 'TINYINT'].includes(name)) return 'INTEGER'
  if (['REAL', 'DOUBLE', 'FLOAT'].includes(name)) return 'REAL'
  if (['TEXT', 'VARCHAR', 'CHAR'].includes(name)) return 'TEXT'
  if (['NUMERIC', 'DECIMAL'].includes(name)) return 'NUMERIC'
  return name === 'BLOB' ? 'BLOB' : undefined
}

/** Whether an expression is the word TRUE or FALSE, which `IS` treats unlike 1 and 0. */
export function isTruthWord(expr: Expr): expr is Expr & Literal {
  return expr.kind === 'literal' && (expr.text === 'TRUE' || expr.text === 'FALSE')
}

/** Whether an argument of a date function makes it read the clock. `subsec` alone does so too, as if `now` stood before it. */
export function isNow(arg: Expr): boolean {
  return arg.kind === 'literal' && typeof arg.value === 'string' && /^\s*(now|subsec|subsecond)\s*$/i.test(arg.value)
}
