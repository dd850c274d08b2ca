import type { Expr, OrderTerm, SelectItem, SelectStatement } from './ast.ts'
import { reservedWords } from './functions.ts'
import { ParameterReader, type Parameters } from './parameters.ts'
import type { SqlParser } from './parser.ts'
import { ExprReader } from './read-expr.ts'
import { isEmpty, jsonOf, listOf, placeOf, variantOf, type Json } from './read-json.ts'
import { Source } from './source.ts'
import { tokenize, type Token } from './tokens.ts'

/**
 * Reads the text of a query: one SELECT over one table. Every field of the parser's tree is either read or refused, so that a clause that
 * nobody thought of is an error and never left out.
 *
 * @throws `SQL_SYNTAX`, `SQL_UNSUPPORTED`, `SQL_INVALID`, `SQL_PARAMETER`, `QUERY_TOO_LARGE`, all with the place in the text
 */
export function readSelect(parser: SqlParser, sql: string, given: Parameters): SelectStatement {
  const source = new Source(sql)
  const statements = parser.parse(sql)
  if (statements.length !== 1) {
    throw source.error(
      statements.length ? 'SQL_UNSUPPORTED' : 'SQL_SYNTAX',
      `A query is one statement; this text has ${statements.length}. Run them one by one`,
      undefined,
      { part: 'several statements' },
    )
  }
  const [kind, body] = variantOf(statements[0])
  if (kind !== 'Query')
    throw source.unsupported(`The statement ${kind}`, placeOf(body), 'Only SELECT reads over shards; write through the objects themselves.')
  const tokens = tokenize(sql)
  const parameters = new ParameterReader(source, tokens, given)
  const statement = new SelectReader(source, tokens, parameters).query(jsonOf(body))
  parameters.checkAllUsed()
  return statement
}

/** What to say of clauses that are known and have no right answer here yet. */
const clauseNames: Readonly<Record<string, readonly [part: string, advice: string]>> = {
  with: ['WITH (a common table expression)', 'Run it as a query of its own first.'],
  fetch: ['FETCH FIRST', 'Write LIMIT.'],
  locks: ['FOR UPDATE', 'Leave it out; a query never locks.'],
  qualify: ['QUALIFY', 'Filter in your program.'],
  named_window: ['WINDOW', 'Select the rows in order and compute it in your program.'],
  top: ['TOP', 'Write LIMIT.'],
  into: ['SELECT INTO', 'Write the rows where they belong in your program.'],
  prewhere: ['PREWHERE', 'Write WHERE.'],
}

/** Reads the clauses of one SELECT. Each method takes what the parser says of one clause, and refuses what it does not know of it. */
class SelectReader {
  #source: Source
  #tokens: readonly Token[]
  #exprs: ExprReader

  constructor(source: Source, tokens: readonly Token[], parameters: ParameterReader) {
    this.#source = source
    this.#tokens = tokens
    this.#exprs = new ExprReader(source, parameters)
  }

  /** The whole of the query: the SELECT, and ORDER BY and LIMIT around it. */
  query(query: Json): SelectStatement {
    this.#refuseRest(query, ['body', 'order_by', 'limit_clause'])
    const [kind, body] = variantOf(query.body)
    // Combining two answers needs both whole, which is the program's to decide.
    if (kind === 'SetOperation')
      throw this.#refuse('UNION, INTERSECT and EXCEPT', body, 'Run the queries one by one and combine the rows in your program.')
    if (kind !== 'Select') throw this.#refuse(`A query of the form ${kind}`, body, 'Write SELECT … FROM a table.')
    const select = jsonOf(body)
    this.#refuseRest(select, ['select_token', 'projection', 'from', 'selection', 'group_by', 'having', 'distinct', 'flavor'])
    if (!isEmpty(select.distinct) && variantOf(select.distinct)[0] !== 'Distinct' && variantOf(select.distinct)[0] !== 'All') {
      throw this.#refuse('DISTINCT ON', select.distinct, 'Write GROUP BY.')
    }
    return {
      distinct: variantOf(select.distinct)[0] === 'Distinct',
      items: this.#items(listOf(select.projection), placeOf(select.select_token)),
      table: this.#table(listOf(select.from), select),
      ...(!isEmpty(select.selection) && { where: this.#exprs.read(select.selection) }),
      groupBy: this.#groupBy(select.group_by),
      ...(!isEmpty(select.having) && { having: this.#exprs.read(select.having) }),
      orderBy: this.#orderBy(query.order_by),
      ...this.#limit(query.limit_clause),
    }
  }

  /** The list of result columns. */
  #items(projection: unknown[], selectAt: { line: number; column: number } | undefined): SelectItem[] {
    // The parser keeps no text of expressions, so it is cut out of the source by the commas of the list.
    const texts = this.#itemTexts(selectAt)
    return projection.map((item, i): SelectItem => {
      const [kind, body] = variantOf(item)
      const at = placeOf(body)
      if (kind === 'Wildcard') {
        this.#refuseRest(jsonOf(body), ['wildcard_token'])
        return { kind: 'all', at }
      }
      if (kind === 'QualifiedWildcard') {
        const [name, options] = listOf(body)
        this.#refuseRest(jsonOf(options), ['wildcard_token'])
        const parts = listOf(jsonOf(name).ObjectName).map((part) => jsonOf(jsonOf(part).Identifier ?? part).value)
        if (parts.length !== 1 || typeof parts[0] !== 'string') throw this.#refuse('This form of *', body, 'Write table.*')
        return { kind: 'all', table: parts[0], at }
      }
      const text = texts[i]
      if (text === undefined || texts.length !== projection.length)
        throw this.#refuse('This list of result columns', item, 'Separate the columns by commas.')
      if (kind === 'UnnamedExpr') return { kind: 'expr', expr: this.#exprs.read(body), text }
      if (kind !== 'ExprWithAlias')
        throw this.#refuse(`A result column of the form ${kind}`, item, 'Write an expression, or expression AS name.')
      const fields = jsonOf(body)
      return { kind: 'expr', expr: this.#exprs.read(fields.expr), alias: this.#alias(fields.alias), text }
    })
  }

  /**
   * An alias. The parser takes for one what SQLite reads as an operator (`x isnull`) or as the rest of a number (`1_000`); both are refused.
   */
  #alias(node: unknown): string {
    const { value, quote_style: quote } = jsonOf(node)
    const at = placeOf(node)
    const index = this.#tokens.findIndex((token) => token.line === at?.line && token.column === at.column)
    const token = this.#tokens[index]
    const before = this.#tokens[index - 1]
    const glued = token !== undefined && before !== undefined && before.end === token.start && /[\w]$/.test(before.text)
    if (typeof value !== 'string' || !token || glued || (isEmpty(quote) && reservedWords.has(value.toLowerCase()))) {
      throw this.#refuse(
        `${String(value)} as the name of a column`,
        node,
        'Write AS "name", or put spaces and parentheses where the operator is meant.',
      )
    }
    return value
  }

  /** The text of each result column as written, from its first to its last token: the name SQLite gives to an expression without alias. */
  #itemTexts(selectAt: { line: number; column: number } | undefined): string[] {
    const first = this.#tokens.findIndex((token) => token.line === selectAt?.line && token.column === selectAt.column) + 1
    const texts: string[] = []
    let start: Token | undefined
    let last: Token | undefined
    let depth = 0
    const close = () => {
      if (start && last) texts.push(this.#source.sql.slice(start.start, last.end))
      start = undefined
    }
    for (const token of this.#tokens.slice(first)) {
      const word = token.kind === 'word' ? token.text.toUpperCase() : ''
      if (depth === 0 && (word === 'FROM' || token.text === ';')) break
      if (!texts.length && !start && (word === 'DISTINCT' || word === 'ALL')) continue
      if (token.text === '(' || word === 'CASE') depth++
      if (token.text === ')' || word === 'END') depth--
      if (depth === 0 && token.text === ',') {
        close()
        continue
      }
      start ??= token
      last = token
    }
    close()
    return texts
  }

  /** FROM: one table, with or without an alias. */
  #table(from: unknown[], select: Json): SelectStatement['table'] {
    if (from.length === 0)
      throw this.#source.error('SQL_INVALID', 'The query has no FROM. Name the table that the shards hold', placeOf(select))
    const { relation, joins, ...rest } = jsonOf(from[0])
    // A join needs rows that stand on different shards side by side.
    if (from.length > 1 || !isEmpty(joins)) {
      throw this.#refuse(
        'A join',
        from.length > 1 ? from[1] : listOf(joins)[0],
        'Query the tables one by one and join the rows in your program, or store the joined columns with the rows.',
      )
    }
    this.#refuseRest(rest, [])
    const [kind, body] = variantOf(relation)
    // The answer of a subquery is not on the shards.
    if (kind === 'Derived') throw this.#refuse('A subquery in FROM', body, 'Run it as a query of its own first.')
    if (kind !== 'Table') throw this.#refuse(`FROM ${kind}`, body, 'Name one table.')
    const fields = jsonOf(body)
    this.#refuseRest(fields, ['name', 'alias'])
    const parts = listOf(fields.name).map((part) => jsonOf(part).Identifier)
    if (parts.length !== 1) {
      const plain = JSON.stringify(this.#exprs.name(parts.at(-1)))
      throw this.#refuse(
        'A qualified table name',
        body,
        `Write ${plain}, if that is a table of the scanners that are asked: they have plain names. A table of the catalog is not queried from here, but by an engine that reads Iceberg.`,
      )
    }
    const alias = jsonOf(fields.alias)
    if (!isEmpty(alias.columns)) throw this.#refuse('Names for the columns of a table', body, 'Use AS in the list of result columns.')
    return {
      name: this.#exprs.name(parts[0]),
      at: placeOf(parts[0]),
      ...(alias.name !== undefined && { alias: this.#exprs.name(alias.name) }),
    }
  }

  /** GROUP BY: expressions, aliases and positions; the binder tells them apart. */
  #groupBy(node: unknown): Expr[] {
    // ROLLUP and CUBE are several groupings at once, and SQLite has neither.
    const [kind, body] = variantOf(node)
    const [terms, modifiers] = listOf(body)
    if (isEmpty(node)) return []
    if (kind !== 'Expressions' || !isEmpty(modifiers))
      throw this.#refuse('GROUP BY ALL, ROLLUP and CUBE', node, 'Write the columns to group by.')
    return listOf(terms).map((term) => this.#exprs.read(term))
  }

  /** ORDER BY: NULLs come first ascending and last descending, unless the term says otherwise. */
  #orderBy(node: unknown): OrderTerm[] {
    if (isEmpty(node)) return []
    const order = jsonOf(node)
    this.#refuseRest(order, ['kind'])
    const [kind, body] = variantOf(order.kind)
    if (kind !== 'Expressions') throw this.#refuse('ORDER BY ALL', node, 'Write the columns to order by.')
    return listOf(body).map((term) => {
      const fields = jsonOf(term)
      const options = jsonOf(fields.options)
      this.#refuseRest(fields, ['expr', 'options'])
      this.#refuseRest(options, ['asc', 'nulls_first'])
      const descending = options.asc === false
      return {
        expr: this.#exprs.read(fields.expr),
        descending,
        nullsFirst: typeof options.nulls_first === 'boolean' ? options.nulls_first : !descending,
      }
    })
  }

  /** LIMIT and OFFSET, in either of SQLite's two forms: `LIMIT n OFFSET m` and `LIMIT m, n`. */
  #limit(node: unknown): { limit?: number; offset: number } {
    if (isEmpty(node)) return { offset: 0 }
    const [kind, body] = variantOf(node)
    const fields = jsonOf(body)
    this.#refuseRest(fields, ['limit', 'offset'])
    if (kind !== 'LimitOffset' && kind !== 'OffsetCommaLimit') throw this.#refuse(`The clause ${kind}`, node, 'Write LIMIT n OFFSET m.')
    const offsetNode = kind === 'LimitOffset' ? jsonOf(fields.offset).value : fields.offset
    // SQLite: a negative limit is no limit, a negative offset is none.
    const limit = isEmpty(fields.limit) ? -1 : this.#count(fields.limit, 'LIMIT')
    const offset = isEmpty(offsetNode) ? 0 : Math.max(0, this.#count(offsetNode, 'OFFSET'))
    return limit < 0 ? { offset } : { limit, offset }
  }

  /** A whole number that stands in the text or came as a parameter. */
  #count(node: unknown, clause: string): number {
    // SQLite would compute an expression here; a constant is all that is ever meant.
    const expr = this.#exprs.read(node)
    if (expr.kind !== 'literal' || typeof expr.value !== 'bigint' || !Number.isSafeInteger(Number(expr.value))) {
      throw this.#source.error('SQL_INVALID', `${clause} takes a whole number or a parameter that is one`, placeOf(node))
    }
    return Number(expr.value)
  }

  /** Refuses every field that says something and is not in the list of those that are read. */
  #refuseRest(fields: Json, known: readonly string[]): void {
    for (const [key, value] of Object.entries(fields)) {
      // A field that says nothing is a clause that is not there.
      if (known.includes(key) || isEmpty(value)) continue
      const [part, advice] = clauseNames[key] ?? [`The clause ${key.replaceAll('_', ' ').toUpperCase()}`, 'Leave it out.']
      throw this.#refuse(part, value, advice)
    }
  }

  #refuse(part: string, node: unknown, advice: string) {
    return this.#source.unsupported(part, placeOf(node), advice)
  }
}
