import { DotdoError } from '../base/errors.ts'
import { mergedAggregates, scalarFunctions } from './functions.ts'
import type { ScanRequest } from './scanner.ts'
import { tokenize, type Token } from './tokens.ts'

/**
 * Checks that a statement is one that `plan.ts` prints: one SELECT over the one table of the request. A scanner is a capability to read
 * certain tables, and whoever holds it could send any text.
 *
 * What is let through is a list, never what is kept out: the words below, functions of `functions.ts`, names in backticks, literals, operators.
 * SELECT and FROM occur once, so there is no subquery, join, union or second statement; no word that writes is among them.
 *
 * @throws `SCAN_REFUSED`
 */
export function checkStatement({ sql, table, columns, parameters, version }: ScanRequest): void {
  if (version !== 1) throw refused(`The request has version ${String(version)}; this scanner knows 1`, sql)
  columns.forEach((name, i) => {
    if (name !== `c${i}`) throw refused(`Result columns are named c0, c1, …, not ${name}`, sql)
  })
  const tokens = tokenize(sql)
  // SQLite ends a text at a NUL, and reads an open comment to the end: what stands there must not be read otherwise here.
  if (sql.includes('\0') || /\/\*/.test(sql.replace(/'(?:[^']|'')*'|`(?:[^`]|``)*`/g, '')))
    throw refused('A plan contains no comments', sql)
  tokens.forEach(({ start }, i) => {
    if (sql.slice(tokens[i - 1]?.end ?? 0, start).trim()) throw refused('A plan contains no comments', sql)
  })
  let selects = 0
  let froms = 0
  tokens.forEach((token, i) => {
    const next = tokens[i + 1]
    switch (token.kind) {
      case 'word': {
        const word = token.text.toUpperCase()
        if (word === 'SELECT') selects++
        if (word === 'FROM') {
          froms++
          checkFrom(tokens, i, table, sql)
        }
        // IN may also be followed by the name of a table.
        if (word === 'IN' && next?.text !== '(') throw refused('IN is followed by a list', sql)
        const known =
          next?.text === '(' && !words.has(word)
            ? isFunction(token.text)
            : words.has(word) || (tokens[i - 1]?.text === 'AS' && columns.includes(token.text))
        if (!known) throw refused(`${token.text} is nothing that a plan contains`, sql)
        return
      }
      case 'quoted':
        if (!token.text.startsWith('`')) throw refused('Names stand in backticks', sql)
        return
      case 'parameter':
        if (token.text !== '?') throw refused('Parameters are plain ?', sql)
        return
      case 'symbol':
        if (!symbols.has(token.text)) throw refused(`${token.text} is nothing that a plan contains`, sql)
        return
      default:
        return
    }
  })
  if (selects !== 1 || froms !== 1 || tokens[0]?.text !== 'SELECT') throw refused('A scan is one SELECT over one table', sql)
  const places = tokens.filter(({ kind }) => kind === 'parameter').length
  if (places !== parameters.length) throw refused(`${places} parameters stand in the statement and ${parameters.length} came with it`, sql)
}

/** FROM is followed by the table of the request, and that by the end or a clause: no comma, no join, no function. */
function checkFrom(tokens: readonly Token[], from: number, table: string, sql: string): void {
  const [name, after] = [tokens[from + 1], tokens[from + 2]]
  const stands = name?.kind === 'quoted' && name.text.slice(1, -1).replaceAll('``', '`') === table
  if (!stands || (after && !['WHERE', 'GROUP', 'ORDER', 'LIMIT'].includes(after.text)))
    throw refused(`FROM names the table ${table} and nothing else`, sql)
}

/** A function that queries may use, before an opening parenthesis. */
function isFunction(name: string): boolean {
  return scalarFunctions.has(name) || mergedAggregates.has(name)
}

function refused(message: string, sql: string): DotdoError {
  return new DotdoError('SCAN_REFUSED', `${message}. A scanner runs only statements that a QueryCoordinator made: query through one.`, {
    data: { sql },
  })
}

/** The keywords that `print.ts` and `plan.ts` write, and no others. */
const words = new Set(
  (
    'SELECT FROM WHERE GROUP ORDER BY LIMIT ASC DESC NULLS FIRST LAST AS AND OR NOT IS NULL TRUE FALSE BETWEEN IN LIKE ESCAPE CASE WHEN THEN ELSE END ' +
    'CAST COLLATE BINARY NOCASE RTRIM FILTER INTEGER REAL NUMERIC TEXT BLOB'
  ).split(' '),
)

/** The operators and punctuation that they write. Neither `;` nor `.` is among them. */
const symbols = new Set(['(', ')', ',', '+', '-', '*', '/', '%', '&', '|', '~', '||', '->', '->>', '=', '<>', '<', '<=', '>', '>='])
