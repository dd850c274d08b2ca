import { anyNode, mapChildren, type Expr, type OrderTerm, type SelectStatement } from './ast.ts'
import { isTruthWord } from './literals.ts'
import type { Affinity, ColumnDescription, TableDescription } from './scanner.ts'
import type { Position, Source } from './source.ts'

/** A query whose every name is a column of the table, spelled as declared: aliases and positions are gone. */
export interface BoundSelect {
  table: TableDescription
  distinct: boolean
  items: { expr: Expr; name: string }[]
  where?: Expr
  groupBy: Expr[]
  having?: Expr
  orderBy: OrderTerm[]
  limit?: number
  offset: number
  /** The columns that the answer depends on, in the order of the table. */
  columns: ColumnDescription[]
  /** Whether rows are folded into groups. */
  grouped: boolean
}

/**
 * Gives every name of a query its meaning, by SQLite's rules:
 * - WHERE, GROUP BY and HAVING see columns first, aliases after; result columns do not see aliases.
 * - An ORDER BY term that is one bare name sees aliases first; inside an expression it sees columns first.
 * - A number alone in GROUP BY or ORDER BY is the position of a result column.
 *
 * Source: https://sqlite.org/lang_select.html and `resolveOrderGroupBy` in resolve.c.
 *
 * @throws `COLUMN_UNKNOWN`, `SQL_INVALID`, `SQL_UNSUPPORTED`, with the place
 */
export function bindSelect(statement: SelectStatement, table: TableDescription, source: Source): BoundSelect {
  return new Binder(statement, table, source).bind()
}

/** The affinity that comparisons take from an expression; `undefined` where it has none. Source: https://sqlite.org/datatype3.html, 3.2. */
export function affinityOf(expr: Expr, table: TableDescription): Affinity | undefined {
  if (expr.kind === 'column') return table.columns.find((column) => column.name === expr.name)?.affinity
  if (expr.kind === 'slot') return expr.affinity
  if (expr.kind === 'cast') return expr.to
  return expr.kind === 'collate' ? affinityOf(expr.operand, table) : undefined
}

class Binder {
  #statement: SelectStatement
  #table: TableDescription
  #source: Source
  /** Columns that any clause reads. */
  #used = new Set<string>()
  /** Result columns by the alias they were given, in small letters. Filled before any clause that may use one is read. */
  #aliases = new Map<string, Expr>()

  constructor(statement: SelectStatement, table: TableDescription, source: Source) {
    this.#statement = statement
    this.#table = table
    this.#source = source
  }

  /** Result columns come first: aliases and positions of the other clauses stand for them. */
  bind(): BoundSelect {
    const { where, having, orderBy, groupBy, items: _, table: __, ...rest } = this.#statement
    const items = this.#items()
    const bound = {
      ...rest,
      table: this.#table,
      items,
      ...(where && { where: this.#resolve(where, true) }),
      groupBy: groupBy.map((term) => this.#byPosition(term, items, 'GROUP BY') ?? this.#resolve(term, true)),
      ...(having && { having: this.#resolve(having, true) }),
      orderBy: orderBy.map((term) => ({ ...term, expr: this.#orderExpr(term.expr, items) })),
    }
    for (const term of bound.groupBy) this.#checkNoAggregate(term, 'GROUP BY')
    if (bound.where) this.#checkNoAggregate(bound.where, 'WHERE')
    const all = [...items.map(({ expr }) => expr), ...(bound.having ? [bound.having] : []), ...bound.orderBy.map(({ expr }) => expr)]
    for (const expr of all) this.#checkNesting(expr)
    const grouped = bound.groupBy.length > 0 || items.some(({ expr }) => anyNode(expr, isAggregate))
    if (bound.having && !grouped) {
      throw this.#source.error(
        'SQL_INVALID',
        'HAVING needs GROUP BY or an aggregate among the result columns. Write WHERE',
        bound.having.at,
      )
    }
    for (const { expr } of grouped ? [] : bound.orderBy) this.#checkNoAggregate(expr, 'ORDER BY without groups')
    return { ...bound, grouped, columns: this.#table.columns.filter(({ name }) => this.#used.has(name)) }
  }

  /** The result columns, `*` spelled out, each with the name that SQLite gives it. Collects the aliases on the way. */
  #items(): BoundSelect['items'] {
    const items = this.#statement.items.flatMap((item): BoundSelect['items'] => {
      if (item.kind === 'all') {
        if (item.table !== undefined) this.#checkTable(item.table, item.at)
        return this.#table.columns.map(({ name }) => ({ name, expr: this.#column(name, item.at)! }))
      }
      const expr = this.#resolve(item.expr, false)
      const name = item.alias ?? (expr.kind === 'column' ? expr.name : item.text)
      // Of two items with one alias the first is meant, as in SQLite.
      if (item.alias !== undefined && !this.#aliases.has(fold(item.alias))) this.#aliases.set(fold(item.alias), expr)
      return [{ name, expr }]
    })
    const names = new Set<string>()
    for (const { name, expr } of items) {
      // Rows are objects: of two columns with one name a row would keep only the last.
      if (names.has(name) || name === '__proto__')
        throw this.#source.unsupported(`Two result columns with the name ${name}`, expr.at, 'Give each a name of its own by AS.')
      names.add(name)
    }
    return items
  }

  /** What an ORDER BY term stands for: an alias, a position, or an expression in which columns come before aliases. */
  #orderExpr(term: Expr, items: BoundSelect['items']): Expr {
    const alias = term.kind === 'column' && term.table === undefined ? this.#aliases.get(fold(term.name)) : undefined
    return alias ?? this.#byPosition(term, items, 'ORDER BY') ?? this.#resolve(term, true)
  }

  /** The result column that a number as written stands for. A number that came as a parameter is a constant. */
  #byPosition(term: Expr, items: BoundSelect['items'], clause: string): Expr | undefined {
    if (term.kind !== 'literal' || typeof term.value !== 'bigint' || !/^-?\d+$/.test(term.text ?? '')) return undefined
    const item = items[Number(term.value) - 1]
    if (!item) throw this.#source.error('SQL_INVALID', `${clause} ${term.text} is no result column: there are ${items.length}`, term.at)
    return item.expr
  }

  /**
   * The expression with every name replaced by what it means.
   * @param aliases whether names that are no columns may be aliases: everywhere but among the result columns themselves
   */
  #resolve(expr: Expr, aliases: boolean): Expr {
    // A column that is called true takes precedence over the word in SQLite; the parser has no way to tell.
    if (isTruthWord(expr) && this.#table.columns.some(({ name }) => fold(name) === fold(expr.text!))) {
      throw this.#source.unsupported(
        `${expr.text} beside a column of that name`,
        expr.at,
        'Write 1 or 0, or put the name of the column into double quotes.',
      )
    }
    if (expr.kind !== 'column') return mapChildren(expr, (child) => this.#resolve(child, aliases))
    if (expr.table !== undefined) this.#checkTable(expr.table, expr.at)
    const found = this.#column(expr.name, expr.at) ?? (aliases && expr.table === undefined ? this.#aliases.get(fold(expr.name)) : undefined)
    // A name in double quotes that is no column would be a text in SQLite, which is how misspelled columns go unnoticed.
    if (found) return found
    const known = this.#table.columns.map(({ name }) => name)
    throw this.#source.error(
      'COLUMN_UNKNOWN',
      `The table ${this.#table.name} has no column ${expr.name}. It has: ${known.join(', ')}`,
      expr.at,
      { name: expr.name, table: this.#table.name, columns: known },
    )
  }

  /** The column of that name, spelled as declared; notes that the answer depends on it. */
  #column(name: string, at: Position | undefined): Expr | undefined {
    const folded = fold(name)
    const column = this.#table.columns.find((it) => fold(it.name) === folded)
    if (!column) return undefined
    this.#used.add(column.name)
    return { kind: 'column', name: column.name, at }
  }

  /** `t.a` must name the table of the query: by its alias where it has one, which hides its name. */
  #checkTable(name: string, at: Position | undefined): void {
    const known = this.#statement.table.alias ?? this.#statement.table.name
    if (fold(name) !== fold(known))
      throw this.#source.error('TABLE_UNKNOWN', `${name} is not the table of this query, which is ${known}`, at, { table: name })
  }

  /** An aggregate has no value where rows are still being chosen or grouped. */
  #checkNoAggregate(expr: Expr, clause: string): void {
    if (anyNode(expr, isAggregate))
      throw this.#source.error('SQL_INVALID', `${clause} cannot hold an aggregate. Select it, or write HAVING`, expr.at)
  }

  /** An aggregate of an aggregate would need groups of groups. */
  #checkNesting(expr: Expr): void {
    anyNode(expr, (node) => {
      const inner = node.kind === 'aggregate' && [node.arg, node.filter].find((part) => part && anyNode(part, isAggregate))
      if (inner) throw this.#source.error('SQL_INVALID', 'An aggregate cannot stand inside another', inner.at)
      return false
    })
  }
}

function isAggregate(node: Expr): boolean {
  return node.kind === 'aggregate'
}

/** SQLite compares names without regard to the case of ASCII letters. */
function fold(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}
