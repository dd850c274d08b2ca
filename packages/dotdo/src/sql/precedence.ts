import type { BinaryOp } from './ast.ts'
import { jsonOf, variantOf } from './read-json.ts'

/**
 * How tightly SQLite binds its operators; a greater number binds more tightly. The parser has a table of its own that differs: it reads `a = b < c`
 * as `(a = b) < c`, where SQLite reads `a = (b < c)`. Both read the same where every operand without parentheses binds at least as tightly as
 * this table asks for, and only such queries are answered.
 *
 * Source: https://sqlite.org/lang_expr.html, section 2.
 */
export const precedence = {
  or: 1,
  and: 2,
  not: 3,
  /** `=`, `<>`, `IS`, `IN`, `LIKE`, `BETWEEN`, `IS NULL`: one level, grouped from the left. */
  equality: 4,
  comparison: 5,
  bits: 7,
  sum: 8,
  product: 9,
  concatenation: 10,
  collate: 11,
  /** `-x`, `+x`, `~x`. */
  sign: 12,
  /** What has parentheses or brackets of its own: names, literals, calls, CASE, CAST. */
  atom: 99,
} as const

/** The parser's names of binary operators: how SQLite writes each, and how tightly it binds. An operator that is not here is refused. */
export const binaryOperators = new Map<string, readonly [BinaryOp, number]>([
  ['Or', ['OR', precedence.or]],
  ['And', ['AND', precedence.and]],
  ['Eq', ['=', precedence.equality]],
  ['NotEq', ['<>', precedence.equality]],
  ['Lt', ['<', precedence.comparison]],
  ['LtEq', ['<=', precedence.comparison]],
  ['Gt', ['>', precedence.comparison]],
  ['GtEq', ['>=', precedence.comparison]],
  ['BitwiseAnd', ['&', precedence.bits]],
  ['BitwiseOr', ['|', precedence.bits]],
  ['Plus', ['+', precedence.sum]],
  ['Minus', ['-', precedence.sum]],
  ['Multiply', ['*', precedence.product]],
  ['Divide', ['/', precedence.product]],
  ['Modulo', ['%', precedence.product]],
  ['StringConcat', ['||', precedence.concatenation]],
  ['Arrow', ['->', precedence.concatenation]],
  ['LongArrow', ['->>', precedence.concatenation]],
])

/** How tightly SQLite binds the outermost operator of a node of the parser's tree. An operator that is unknown binds least, and is refused when it is read. */
export function precedenceOf(node: unknown): number {
  const [kind, body] = variantOf(node)
  switch (kind) {
    case 'BinaryOp':
      return binaryOperators.get(String(jsonOf(body).op))?.[1] ?? 0
    case 'UnaryOp':
      return jsonOf(body).op === 'Not' ? precedence.not : precedence.sign
    case 'Collate':
      return precedence.collate
    case 'IsNull':
    case 'IsNotNull':
    case 'IsTrue':
    case 'IsNotTrue':
    case 'IsFalse':
    case 'IsNotFalse':
    case 'IsDistinctFrom':
    case 'IsNotDistinctFrom':
    case 'Between':
    case 'InList':
    case 'InSubquery':
    case 'Like':
      return precedence.equality
    default:
      return precedence.atom
  }
}
