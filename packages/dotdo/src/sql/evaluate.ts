import { DotdoError } from '../base/errors.ts'
import { type BinaryOp, type Expr } from './ast.ts'
import type { Affinity } from './scanner.ts'
import { arithmetic, numericOf, roundReal, toInteger, toReal, truthOf } from './arithmetic.ts'
import { compareCells, fitsInt64, type Cell } from './values.ts'

/**
 * Computes what stands above aggregates, by SQLite's rules, over scalars: INTEGER is `bigint`, REAL is `number`.
 *
 * What this cannot do as SQLite does is refused, either when the query is planned ({@link canEvaluate}) or, where it depends on the value (a REAL
 * written as text), when it is met.
 *
 * @param slots the scalars of one group
 * @throws `SQL_UNSUPPORTED`, `SQL_OVERFLOW`
 */
export function evaluate(expr: Expr, slots: (index: number) => Cell): Cell {
  const value = (child: Expr) => evaluate(child, slots)
  switch (expr.kind) {
    case 'literal':
      return expr.value
    case 'slot':
      return slots(expr.index)
    case 'unary':
      return unary(expr.op, value(expr.operand))
    case 'binary':
      return binary(expr.op, expr.left, expr.right, value)
    case 'isNull':
      return truth((value(expr.operand) === null) !== expr.negated)
    // Never NULL: what is unknown does not count as true, nor as false.
    case 'isTrue':
      return truth((truthOf(value(expr.operand)) === expr.value) !== expr.negated)
    // Both comparisons have their own affinities: x BETWEEN 1 AND '2' compares with a number and with a text.
    case 'between': {
      const operand = value(expr.operand)
      const result = and(
        compare('>=', operand, value(expr.low), expr.operand, expr.low),
        compare('<=', operand, value(expr.high), expr.operand, expr.high),
      )
      return truth(expr.negated ? not(result) : result)
    }
    case 'in': {
      const operand = value(expr.operand)
      let result: boolean | null = false
      // The items of a list have no affinity, whatever they are.
      for (const item of expr.list) result = or(result, compareWith('=', operand, value(item), affinityFor(expr.operand), undefined))
      return truth(expr.negated ? not(result) : result)
    }
    // The first branch that matches; a WHEN that is unknown does not.
    case 'case': {
      const operand = expr.operand && value(expr.operand)
      for (const { when, then } of expr.branches) {
        const matches = expr.operand ? compare('=', operand!, value(when), expr.operand, when) : truthOf(value(when))
        if (matches) return value(then)
      }
      return expr.otherwise ? value(expr.otherwise) : null
    }
    case 'cast':
      return cast(value(expr.operand), expr.to)
    case 'call':
      return finalFunctions[expr.name]!(expr.args, value)
    default:
      throw new DotdoError(
        'SQL_INTERNAL',
        `${expr.kind} reached the evaluation of groups. This is a fault of the query planner: report the query.`,
      )
  }
}

/** Whether {@link evaluate} knows the outermost operation of an expression. */
export function canEvaluate(expr: Expr): boolean {
  switch (expr.kind) {
    case 'unary':
      return expr.op !== '~'
    case 'binary':
      return !['&', '|', '->', '->>'].includes(expr.op)
    case 'call':
      return Object.hasOwn(finalFunctions, expr.name)
    case 'isNull':
    case 'isTrue':
    case 'between':
    case 'in':
    case 'case':
      return true
    case 'cast':
      return expr.to !== 'BLOB'
    default:
      return false
  }
}

/** Computes a part of the expression under way. */
type Evaluate = (expr: Expr) => Cell

/**
 * The functions that may stand above an aggregate: those whose result does not hang on how SQLite writes a REAL as text. Arguments are
 * computed on demand, because `coalesce` and `iif` must not compute what they do not return (it could overflow).
 */
const finalFunctions: Readonly<Record<string, (args: readonly Expr[], value: Evaluate) => Cell>> = {
  abs: ([arg], value) => abs(value(arg!)),
  coalesce: firstOf,
  ifnull: firstOf,
  iif: ([test, then, otherwise], value) => (truthOf(value(test!)) ? value(then!) : value(otherwise!)),
  nullif: ([a, b], value) => {
    const [first, second] = [value(a!), value(b!)]
    // A function sees values and not expressions, so no affinity converts them.
    return first !== null && second !== null && compareCells(first, second) === 0 ? null : first
  },
  round: ([arg, digits], value) => round(value(arg!), digits ? value(digits) : 0n),
  max: (args, value) => extreme(args, value, 1),
  min: (args, value) => extreme(args, value, -1),
  typeof: ([arg], value) => typeName(value(arg!)),
}

/** The first value that is not NULL; later ones are not computed. */
function firstOf(args: readonly Expr[], value: Evaluate): Cell {
  for (const arg of args) {
    const result = value(arg)
    if (result !== null) return result
  }
  return null
}

/** Of equal values (1 and 1.0) MIN takes the last and MAX the first, as SQLite does. */
function extreme(args: readonly Expr[], value: Evaluate, sign: number): Cell {
  const values = args.map(value)
  if (values.includes(null)) return null
  return values.reduce((best, it) => {
    const order = compareCells(it, best) * sign
    return order > 0 || (order === 0 && sign < 0) ? it : best
  })
}

/** The least integer has no positive counterpart in 64 bits, and SQLite fails there too. */
function abs(value: Cell): Cell {
  if (value === null) return null
  if (typeof value !== 'bigint') return Math.abs(toReal(value))
  if (value === -(2n ** 63n))
    throw new DotdoError('SQL_OVERFLOW', 'abs(-9223372036854775808) does not fit an integer of 64 bits. Cast it to REAL first.')
  return value < 0n ? -value : value
}

/** As SQLite's: half away from zero. The result is REAL. */
function round(value: Cell, digits: Cell): Cell {
  if (value === null || digits === null) return null
  return roundReal(toReal(value), Number(toInteger(digits)))
}

/** `+x` does nothing, not even to text. `-x` is 0 - x, which makes the least integer a REAL, as SQLite does. */
function unary(op: string, value: Cell): Cell {
  if (op === '+') return value
  if (op === 'NOT') return truth(not(truthOf(value)))
  if (value === null) return null
  return arithmetic('-', 0n, value)
}

/** Both sides are computed always: without functions of the clock or of chance nobody can tell. */
function binary(op: BinaryOp, left: Expr, right: Expr, value: Evaluate): Cell {
  switch (op) {
    case 'AND':
      return truth(and(truthOf(value(left)), truthOf(value(right))))
    case 'OR':
      return truth(or(truthOf(value(left)), truthOf(value(right))))
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return arithmetic(op, value(left), value(right))
    case '||': {
      const [a, b] = [value(left), value(right)]
      return a === null || b === null ? null : asText(a) + asText(b)
    }
    default:
      return truth(compare(op, value(left), value(right), left, right))
  }
}

/** Compares two expressions' values with the affinities that the expressions have. */
function compare(op: string, a: Cell, b: Cell, left: Expr, right: Expr): boolean | null {
  return compareWith(op, a, b, affinityFor(left), affinityFor(right))
}

/** Compares after SQLite's conversions. Source: https://sqlite.org/datatype3.html, 4.2. */
function compareWith(op: string, a: Cell, b: Cell, left: Affinity | undefined, right: Affinity | undefined): boolean | null {
  const numeric = (affinity: Affinity | undefined) => affinity !== undefined && affinity !== 'TEXT' && affinity !== 'BLOB'
  if (numeric(left) || numeric(right)) {
    a = asNumber(a)
    b = asNumber(b)
  } else if ((left === 'TEXT' && right === undefined) || (left === undefined && right === 'TEXT')) {
    a = typeof a === 'number' || typeof a === 'bigint' ? asText(a) : a
    b = typeof b === 'number' || typeof b === 'bigint' ? asText(b) : b
  }
  // IS takes NULL for a value like others.
  if (op === 'IS') return compareCells(a, b) === 0
  if (op === 'IS NOT') return compareCells(a, b) !== 0
  // Any other comparison with NULL is unknown.
  if (a === null || b === null) return null
  const order = compareCells(a, b)
  switch (op) {
    case '=':
      return order === 0
    case '<>':
      return order !== 0
    case '<':
      return order < 0
    case '<=':
      return order <= 0
    case '>':
      return order > 0
    default:
      return order >= 0
  }
}

/** A slot has the affinity of the column it stands for, a cast that of its type, everything else none. */
function affinityFor(expr: Expr): Affinity | undefined {
  return expr.kind === 'slot' ? expr.affinity : expr.kind === 'cast' ? expr.to : undefined
}

/** NUMERIC affinity: a text that is a number from end to end becomes it, everything else stays. */
function asNumber(value: Cell): Cell {
  return typeof value === 'string' && /^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$/.test(value) ? numericOf(value) : value
}

/** Integers and text have one text; how a REAL is written differs between releases of SQLite, so it is not guessed. */
function asText(value: Exclude<Cell, null>): string {
  if (typeof value === 'string') return value
  if (typeof value === 'bigint') return value.toString()
  throw new DotdoError(
    'SQL_UNSUPPORTED',
    `${value instanceof Uint8Array ? 'A blob' : `The REAL ${value}`} above an aggregate cannot be made text here. Select the aggregate and format it in your program.`,
    {
      data: { part: 'text of a REAL or blob over an aggregate' },
    },
  )
}

/** CAST converts by force, where an affinity only converts what loses nothing. */
function cast(value: Cell, to: Affinity): Cell {
  if (value === null) return null
  if (to === 'INTEGER') return toInteger(value)
  if (to === 'REAL') return toReal(value)
  if (to === 'TEXT') return asText(value)
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) return value
  const number = numericOf(value)
  // A text such as 1e3 is a whole number, and NUMERIC keeps it as an INTEGER; a REAL stays what it is.
  return typeof number === 'number' && Number.isInteger(number) && fitsInt64(BigInt(number)) ? BigInt(number) : number
}

function typeName(value: Cell): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return 'text'
  return typeof value === 'bigint' ? 'integer' : typeof value === 'number' ? 'real' : 'blob'
}

/** SQLite has no booleans: true is 1, false is 0, unknown is NULL. */
function truth(value: boolean | null): Cell {
  return value === null ? null : value ? 1n : 0n
}

// Logic of three values: NULL is unknown, and stays so unless the other side decides.
function not(value: boolean | null): boolean | null {
  return value === null ? null : !value
}

function and(a: boolean | null, b: boolean | null): boolean | null {
  return a === false || b === false ? false : a === null || b === null ? null : true
}

function or(a: boolean | null, b: boolean | null): boolean | null {
  return a === true || b === true ? true : a === null || b === null ? null : false
}
