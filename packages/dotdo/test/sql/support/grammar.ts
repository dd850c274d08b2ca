import fc from 'fast-check'
import type { Stored } from './shards.ts'

/** The table of the differential tests: every type that SQLite has, and a column without one. */
export const ddl = 'CREATE TABLE t (id INTEGER, i INT, big INTEGER, r REAL, s TEXT, v, b BLOB)'

// Sums of these reals are exact in any order, so that answers are compared to the last bit.
const reals = [0, 1, 4, -4, 0.25, -2.75, 1048576.5, 2 ** 60]
// Accents, a letter outside of the basic plane, one above the surrogates, numbers as text.
const texts = ['', 'a', 'A', 'ab', 'é', 'e\u0301', '😀', '\uff5e', '10', '2.5', 'abc%']
const integers = [0n, 1n, 2n, 3n, 5n, -4n, 10n]
const large = [2n ** 53n, 2n ** 53n + 1n, 2n ** 53n - 1n, -(2n ** 53n) - 1n, 2n ** 56n + 3n, 2n ** 60n / 8n]
const blobs = [new Uint8Array([]), new Uint8Array([0]), new Uint8Array([97]), new Uint8Array([255, 0])]

/** Rows of {@link ddl} without the id, which is the index. */
export const rows = fc
  .array(
    fc.tuple(
      nullable<Stored>(integers),
      nullable<Stored>(large),
      nullable<Stored>(reals),
      nullable<Stored>(texts),
      nullable<Stored>([1n, 1, 2n, 2.5, '1', 'x', '10', ...blobs, 2n ** 53n + 1n, 2 ** 60]),
      nullable<Stored>(blobs),
    ),
    { maxLength: 40 },
  )
  .map((list) => list.map((row, index): Stored[] => [BigInt(index), ...row]))

const literal = fc.constantFrom('0', '1', '2', '-3', '2.5', '4.0', "'a'", "'10'", "'é'", 'NULL', "x'61'", '9007199254740993', 'TRUE')
const column = fc.constantFrom('id', 'i', 'big', 'r', 's', 'v', 'b')
const number = fc.constantFrom('id', 'i', 'big', 'r', 'i + 1', 'r * 2', 'i / 2', 'i % 3', '(i - id)', '-i', 'abs(i)', 'coalesce(i, 7)')

/** An expression over one row, in parentheses wherever one operator stands in another. */
export const scalar: fc.Arbitrary<string> = fc.letrec<{ expr: string; condition: string }>((tie) => ({
  expr: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    column,
    literal,
    fc.tuple(tie('expr'), fc.constantFrom('+', '-', '*', '/', '%', '||', '&', '|'), tie('expr')).map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc.tuple(tie('condition'), tie('expr'), tie('expr')).map(([when, a, b]) => `CASE WHEN ${when} THEN ${a} ELSE ${b} END`),
    fc.tuple(tie('expr'), tie('expr'), tie('expr')).map(([on, a, b]) => `CASE ${on} WHEN ${a} THEN ${b} END`),
    fc.tuple(fc.constantFrom('length', 'upper', 'typeof', 'hex', 'quote', 'abs', 'trim', 'round'), column).map(([f, a]) => `${f}(${a})`),
    fc
      .tuple(fc.constantFrom('coalesce', 'ifnull', 'nullif', 'max', 'min', 'instr'), tie('expr'), tie('expr'))
      .map(([f, a, b]) => `${f}(${a}, ${b})`),
    fc.tuple(tie('expr'), fc.constantFrom('INTEGER', 'REAL', 'TEXT', 'NUMERIC', 'BLOB')).map(([a, type]) => `CAST(${a} AS ${type})`),
    fc.tuple(fc.constantFrom('-', '+', '~'), column).map(([op, a]) => `(${op} ${a})`),
  ),
  condition: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc
      .tuple(tie('expr'), fc.constantFrom('=', '<>', '<', '<=', '>', '>=', '==', '!='), tie('expr'))
      .map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc
      .tuple(tie('expr'), fc.constantFrom('IS NULL', 'IS NOT NULL', 'NOTNULL', 'IS TRUE', 'IS NOT FALSE'))
      .map(([a, test]) => `(${a} ${test})`),
    fc
      .tuple(tie('expr'), fc.constantFrom('', 'NOT '), fc.array(tie('expr'), { maxLength: 3 }))
      .map(([a, not, list]) => `(${a} ${not}IN (${list.join(', ')}))`),
    fc
      .tuple(tie('expr'), fc.constantFrom('', 'NOT '), tie('expr'), tie('expr'))
      .map(([a, not, b, c]) => `(${a} ${not}BETWEEN ${b} AND ${c})`),
    fc
      .tuple(column, fc.constantFrom('', 'NOT '), fc.constantFrom("'a%'", "'_'", "'%b%'", "'ABC\\%' ESCAPE '\\'"))
      .map(([a, not, b]) => `(${a} ${not}LIKE ${b})`),
    fc
      .tuple(tie('expr'), fc.constantFrom('IS DISTINCT FROM', 'IS NOT DISTINCT FROM'), tie('expr'))
      .map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc.tuple(tie('condition'), fc.constantFrom('AND', 'OR'), tie('condition')).map(([a, op, b]) => `(${a} ${op} ${b})`),
    tie('condition').map((a) => `(NOT ${a})`),
    fc.tuple(column, fc.constantFrom('NOCASE', 'RTRIM')).map(([a, collation]) => `(${a} = 'A' COLLATE ${collation})`),
  ),
})).expr

export const condition = fc
  .tuple(scalar, fc.constantFrom('=', '<>', '<', '>=', 'IS DISTINCT FROM'), scalar)
  .map(([a, op, b]) => `(${a} ${op} ${b})`)
const where = fc.option(
  condition.map((text) => ` WHERE ${text}`),
  { nil: '', freq: 2 },
)
const direction = fc.constantFrom('', ' DESC', ' ASC', ' NULLS LAST', ' DESC NULLS FIRST')
const limit = fc.constantFrom('', ' LIMIT 0', ' LIMIT 1', ' LIMIT 5', ' LIMIT 5 OFFSET 3', ' LIMIT 2, 4', ' LIMIT -1 OFFSET 4')

/** A query, and whether its order is total, so that the answer is one list and not only one bag. */
export interface Query {
  sql: string
  total: boolean
}

/** SELECT of rows. `id` at the end of ORDER BY makes the order total. */
export const rowsQuery: fc.Arbitrary<Query> = fc
  .tuple(
    fc.array(scalar, { minLength: 1, maxLength: 3 }),
    fc.boolean(),
    where,
    fc.array(fc.tuple(fc.oneof(scalar, fc.constantFrom('x0', '1')), direction), { maxLength: 2 }),
    fc.boolean(),
    limit,
  )
  .map(([exprs, star, filter, order, total, cut]) => {
    const items = [...exprs.map((expr, n) => `${expr} AS x${n}`), ...(star ? ['t.*'] : [])]
    const terms = [
      ...order.filter(([expr]) => !/^-?\d+$|^'|^NULL|^x'/.test(expr) || expr === '1').map(([expr, dir]) => expr + dir),
      ...(total ? ['id'] : []),
    ]
    // Without a total order a limit may take any of the equal rows.
    return {
      sql: `SELECT ${items.join(', ')} FROM t${filter}${terms.length ? ` ORDER BY ${terms.join(', ')}` : ''}${total ? cut : ''}`,
      total,
    }
  })

const keys = ['i', 's', 'r', 'big', 'v', 'b', 'i % 3', 'substr(s, 1, 1)', 'i > 2', 'typeof(v)', 'r IS NULL']
const aggregate = fc.oneof(
  fc.constantFrom('COUNT(*)', 'count()'),
  fc.tuple(fc.constantFrom('COUNT', 'SUM', 'TOTAL', 'AVG', 'MIN', 'MAX'), number).map(([f, a]) => `${f}(${a})`),
  fc.tuple(fc.constantFrom('COUNT', 'SUM', 'MIN', 'MAX'), fc.constantFrom('v', 's', 'b')).map(([f, a]) => `${f}(${a})`),
  fc.tuple(fc.constantFrom('COUNT', 'SUM', 'AVG'), number, condition).map(([f, a, test]) => `${f}(${a}) FILTER (WHERE ${test})`),
)
// Over values whose type does not depend on which of equal rows came first.
const numericAggregate = fc
  .tuple(fc.constantFrom('COUNT', 'SUM', 'MIN', 'MAX', 'TOTAL'), fc.constantFrom('i', 'r', 'big', 'id', 'i / 2'))
  .map(([f, a]) => `${f}(${a})`)

/** What may stand above aggregates. */
const final: fc.Arbitrary<string> = fc.letrec<{ expr: string; condition: string }>((tie) => ({
  expr: fc.oneof(
    { maxDepth: 2, depthSize: 'small' },
    numericAggregate,
    fc.constantFrom('1', '2.5', '0', 'NULL', "'3'", "'x'"),
    fc.tuple(tie('expr'), fc.constantFrom('+', '-', '*', '/', '%'), tie('expr')).map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc.tuple(tie('condition'), tie('expr'), tie('expr')).map(([when, a, b]) => `CASE WHEN ${when} THEN ${a} ELSE ${b} END`),
    fc
      .tuple(fc.constantFrom('coalesce', 'nullif', 'max', 'min', 'ifnull'), tie('expr'), tie('expr'))
      .map(([f, a, b]) => `${f}(${a}, ${b})`),
    fc.tuple(fc.constantFrom('abs', 'typeof'), tie('expr')).map(([f, a]) => `${f}(${a})`),
    fc.tuple(tie('expr'), fc.constantFrom('INTEGER', 'REAL', 'NUMERIC')).map(([a, type]) => `CAST(${a} AS ${type})`),
    tie('expr').map((a) => `(- ${a})`),
  ),
  condition: fc.oneof(
    { maxDepth: 2, depthSize: 'small' },
    fc.tuple(tie('expr'), fc.constantFrom('=', '<>', '<', '>='), tie('expr')).map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc.tuple(tie('expr'), fc.constantFrom('IS NULL', 'IS NOT NULL', 'IS TRUE', 'IS NOT FALSE')).map(([a, test]) => `(${a} ${test})`),
    fc
      .tuple(tie('expr'), fc.constantFrom('', 'NOT '), fc.array(tie('expr'), { maxLength: 3 }))
      .map(([a, not, list]) => `(${a} ${not}IN (${list.join(', ')}))`),
    fc.tuple(tie('expr'), tie('expr'), tie('expr')).map(([a, b, c]) => `(${a} NOT BETWEEN ${b} AND ${c})`),
    fc.tuple(tie('condition'), fc.constantFrom('AND', 'OR'), tie('condition')).map(([a, op, b]) => `(${a} ${op} ${b})`),
    tie('condition').map((a) => `(NOT ${a})`),
  ),
})).expr

/** SELECT of groups. The order is total when every key is in it. */
export const groupsQuery: fc.Arbitrary<Query> = fc
  .tuple(
    fc.subarray(keys, { maxLength: 3 }),
    fc.array(fc.oneof(aggregate, aggregate, final), { minLength: 1, maxLength: 3 }),
    where,
    fc.option(final, { nil: undefined }),
    fc.boolean(),
    fc.array(fc.tuple(fc.oneof(aggregate, final), direction), { maxLength: 1 }),
    fc.boolean(),
    limit,
  )
  .map(([by, aggregates, filter, having, distinct, order, total, cut]) => {
    const terms = total ? [...order.map(([expr, dir]) => (/^('|NULL|[\d.]+$)/.test(expr) ? 'COUNT(*)' : expr) + dir), ...by] : []
    const items = [...by.map((key, n) => `${key} AS k${n}`), ...aggregates.map((text, n) => `${text} AS a${n}`)]
    const all = by.length > 0 || aggregates.some((text) => /[A-Z]+\(/.test(text))
    return {
      sql:
        `SELECT ${distinct && !order.length && !total ? 'DISTINCT ' : ''}${items.join(', ')}${all ? '' : ', COUNT(*)'} FROM t${filter}${by.length ? ` GROUP BY ${by.join(', ')}` : ''}` +
        `${having ? ` HAVING ${having}` : ''}${terms.length ? ` ORDER BY ${terms.join(', ')}` : ''}${total && by.length ? cut : ''}`,
      total: total || by.length === 0,
    }
  })

/** SELECT DISTINCT of rows. */
export const distinctQuery: fc.Arbitrary<Query> = fc
  .tuple(
    fc.uniqueArray(fc.constantFrom('i', 's', 'v', 'r', 'i % 3', 'b', 'big'), { minLength: 1, maxLength: 3 }),
    where,
    fc.boolean(),
    limit,
  )
  .map(([exprs, filter, total, cut]) => ({
    sql: `SELECT DISTINCT ${exprs.join(', ')} FROM t${filter}${total ? ` ORDER BY ${exprs.map((_, n) => n + 1).join(', ')}${cut}` : ''}`,
    total,
  }))

function nullable<T>(values: readonly T[]): fc.Arbitrary<T | null> {
  return fc.option(fc.constantFrom(...values), { nil: null, freq: 5 })
}
