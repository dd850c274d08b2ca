import type { Expr, Literal } from './ast.ts'
import { castAffinity, isNow, isTruthWord, numberOf } from './literals.ts'
import { mergedAggregates, refusedFunctions, reservedWords, scalarFunctions, dateFunctions } from './functions.ts'
import type { ParameterReader } from './parameters.ts'
import { isEmpty, jsonOf, listOf, placeOf, variantOf, type Json } from './read-json.ts'
import { binaryOperators, precedence, precedenceOf } from './precedence.ts'
import type { Affinity } from './scanner.ts'
import type { Source } from './source.ts'

/**
 * Reads expressions of the parser's tree.
 *
 * Two things are checked beside the shape. The parser's precedence is not SQLite's everywhere, so an operand without parentheses must bind at
 * least as tightly in SQLite as the tree says, else the query is refused with the advice to write parentheses. And what the parser takes
 * for something else than SQLite does (`0x1f` for a blob, `isnull` for a name) is refused.
 */
export class ExprReader {
  #source: Source
  #parameters: ParameterReader

  constructor(source: Source, parameters: ParameterReader) {
    this.#source = source
    this.#parameters = parameters
  }

  /** @throws `SQL_UNSUPPORTED` with the part and its place, `SQL_PARAMETER` */
  read(node: unknown): Expr {
    const [kind, body] = variantOf(node)
    const at = placeOf(node)
    const fields = jsonOf(body)
    switch (kind) {
      // Parentheses: what is inside stands alone, and the printer writes its own.
      case 'Nested':
        return this.read(body)
      case 'Identifier':
        return { kind: 'column', name: this.name(body), at }
      case 'CompoundIdentifier': {
        const names = listOf(body).map((part) => this.name(part))
        if (names.length !== 2) throw this.#refuse('A name of more than two parts', node, 'Write table.column.')
        return { kind: 'column', table: names[0]!, name: names[1]!, at }
      }
      // Literals and placeholders.
      case 'Value':
        return { ...this.#literal(fields, node), at }
      // Operators, and tests that are written as words.
      case 'UnaryOp':
        return this.#unary(fields, node)
      case 'BinaryOp':
        return this.#binary(fields, node)
      case 'IsNull':
      case 'IsNotNull':
        return { kind: 'isNull', operand: this.#operand(body, precedence.equality), negated: kind === 'IsNotNull', at }
      case 'IsTrue':
      case 'IsNotTrue':
        return { kind: 'isTrue', operand: this.#operand(body, precedence.equality), value: true, negated: kind === 'IsNotTrue', at }
      case 'IsFalse':
      case 'IsNotFalse':
        return { kind: 'isTrue', operand: this.#operand(body, precedence.equality), value: false, negated: kind === 'IsNotFalse', at }
      case 'IsDistinctFrom':
      case 'IsNotDistinctFrom': {
        const [leftNode, rightNode] = listOf(body)
        const negated = kind === 'IsDistinctFrom'
        const [left, right] = [this.#operand(leftNode, precedence.equality), this.#operand(rightNode, precedence.equality + 1)]
        // Before the words TRUE and FALSE, SQLite asks whether the left side counts as true; it does not compare it with 1.
        if (isTruthWord(right)) return { kind: 'isTrue', operand: left, value: right.value === 1n, negated, at }
        return { kind: 'binary', op: negated ? 'IS NOT' : 'IS', left, right, at }
      }
      case 'Between':
        return {
          kind: 'between',
          operand: this.#operand(fields.expr, precedence.equality),
          low: this.#operand(fields.low, precedence.equality + 1),
          high: this.#operand(fields.high, precedence.equality + 1),
          negated: fields.negated === true,
          at,
        }
      // Items of the list stand between commas, so their precedence does not matter.
      case 'InList':
        return {
          kind: 'in',
          operand: this.#operand(fields.expr, precedence.equality),
          list: listOf(fields.list).map((item) => this.read(item)),
          negated: fields.negated === true,
          at,
        }
      case 'Like':
        if (!isEmpty(fields.any)) throw this.#refuse('LIKE ANY', node, 'Write the patterns with OR.')
        return {
          kind: 'like',
          operand: this.#operand(fields.expr, precedence.equality),
          pattern: this.#operand(fields.pattern, precedence.equality + 1),
          negated: fields.negated === true,
          at,
          ...(!isEmpty(fields.escape_char) && { escape: this.read({ Value: fields.escape_char }) }),
        }
      // The keywords of CASE and the parentheses of CAST set their parts apart.
      case 'Case':
        return {
          kind: 'case',
          at,
          ...(!isEmpty(fields.operand) && { operand: this.read(fields.operand) }),
          branches: listOf(fields.conditions).map((branch) => ({
            when: this.read(jsonOf(branch).condition),
            then: this.read(jsonOf(branch).result),
          })),
          ...(!isEmpty(fields.else_result) && { otherwise: this.read(fields.else_result) }),
        }
      case 'Cast':
        if (fields.kind !== 'Cast' || !isEmpty(fields.format) || !isEmpty(fields.array))
          throw this.#refuse('This form of a cast', node, 'Write CAST(x AS INTEGER).')
        return { kind: 'cast', operand: this.read(fields.expr), to: this.#castType(fields.data_type, node), at }
      // A collation of SQLite's own; an application can register others, which no shard has.
      case 'Collate': {
        const collation = this.#simpleName(fields.collation, node).toUpperCase()
        if (!['BINARY', 'NOCASE', 'RTRIM'].includes(collation))
          throw this.#refuse(`The collation ${collation}`, node, 'Use BINARY, NOCASE or RTRIM.')
        return { kind: 'collate', operand: this.#operand(fields.expr, precedence.collate), collation, at }
      }
      case 'Function':
        return this.#function(fields, node)
      // The parser has nodes of its own for some functions; SQLite has not.
      case 'Substring':
        if (fields.special !== true) throw this.#refuse('SUBSTRING(x FROM y)', node, 'Write substr(x, y, z).')
        return this.#call('substr', [fields.expr, fields.substring_from, fields.substring_for], node)
      case 'Trim':
        if (!isEmpty(fields.trim_where) || !isEmpty(fields.trim_what)) throw this.#refuse('TRIM(x FROM y)', node, 'Write trim(y, x).')
        return this.#call('trim', [fields.expr, ...listOf(fields.trim_characters)], node)
      case 'Ceil':
      case 'Floor':
        if (jsonOf(fields.field).DateTimeField !== 'NoDateTime')
          throw this.#refuse(`${kind} to a unit`, node, `Write ${kind.toLowerCase()}(x).`)
        return this.#call(kind.toLowerCase(), [fields.expr], node)
      // What would need rows of another table, or of this one from all shards, before the scan begins.
      case 'Subquery':
      case 'Exists':
      case 'InSubquery':
        throw this.#refuse('A subquery', node, 'Run it first and pass its result as a parameter or an IN list.')
      case 'Tuple':
        throw this.#refuse('A row value', node, 'Compare its columns one by one.')
      case 'TypedString':
        throw this.#refuse('A typed literal', node, 'Write the text alone; SQLite compares dates as text.')
      // Everything that the parser reads for other dialects: arrays, structs, intervals, EXTRACT, and what later versions add.
      default:
        throw this.#refuse(`The expression ${kind}`, node, 'Compute it in your program from the columns.')
    }
  }

  /** An identifier's name. A bare word that is a keyword in SQLite is refused: the parser took it for a name. */
  name(node: unknown): string {
    const { value, quote_style: quote } = jsonOf(node)
    if (typeof value !== 'string') throw this.#refuse('This name', node, 'Write a plain name.')
    if (isEmpty(quote) && reservedWords.has(value.toLowerCase()))
      throw this.#refuse(
        `${value.toUpperCase()} in this place`,
        node,
        `Put the name into double quotes, or write another form (x IS NULL for x ISNULL).`,
      )
    return value
  }

  /** `NOT`, `-`, `+`, `~`. */
  #unary(fields: Json, node: unknown): Expr {
    const at = placeOf(node)
    if (fields.op === 'Not') return { kind: 'unary', op: 'NOT', operand: this.#operand(fields.expr, precedence.not), at }
    // Other signs belong to other dialects.
    const op = ({ Minus: '-', Plus: '+', BitwiseNot: '~' } as const)[String(fields.op)]
    if (!op) throw this.#refuse(`The operator ${String(fields.op)}`, node, 'Compute it in your program.')
    const operand = this.#operand(fields.expr, precedence.sign)
    // A negative number is one literal: the least integer exists in no other way.
    if (op === '-' && operand.kind === 'literal' && /^[\d.]/.test(operand.text ?? '')) return { ...numberOf(`-${operand.text}`), at }
    return { kind: 'unary', op, operand, at }
  }

  /** Operators of two operands. SQLite groups all of them from the left, so the right one must bind more tightly. */
  #binary(fields: Json, node: unknown): Expr {
    // REGEXP and MATCH call functions that SQLite does not define; shifts and GLOB the parser does not know.
    const found = binaryOperators.get(String(fields.op))
    if (!found) throw this.#refuse(`The operator ${variantOf(fields.op)[0].toUpperCase()}`, node, 'Compute it in your program.')
    const [op, level] = found
    return {
      kind: 'binary',
      op,
      left: this.#operand(fields.left, level),
      right: this.#operand(fields.right, level + 1),
      at: placeOf(node),
    }
  }

  /** Reads an operand, which SQLite must bind at least as tightly as `least`. */
  #operand(node: unknown, least: number): Expr {
    if (precedenceOf(node) < least) {
      throw this.#source.unsupported(
        'This order of operators without parentheses',
        placeOf(node),
        'Write parentheses around the operands: SQLite and the SQL standard group them differently.',
      )
    }
    return this.read(node)
  }

  /** A value that stands in the text, or the one that was given for a placeholder. */
  #literal(fields: Json, node: unknown): Literal {
    const [kind, body] = variantOf(fields.value)
    // National, escaped and dollar-quoted strings are other dialects' and mean other bytes.
    switch (kind) {
      case 'Number':
        return numberOf(String(listOf(body)[0]))
      case 'SingleQuotedString':
        return { kind: 'literal', value: String(body) }
      case 'HexStringLiteral': {
        // The parser reads 0x1f, an integer in SQLite, as the blob x'1f'.
        const hex = String(body)
        if (this.#parameters.textAt(placeOf(node))?.startsWith('0'))
          throw this.#refuse('A number in hexadecimal', node, 'Write it in decimal.')
        return { kind: 'literal', value: Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16)) }
      }
      case 'Boolean':
        return { kind: 'literal', value: body === true ? 1n : 0n, text: body === true ? 'TRUE' : 'FALSE' }
      case 'Null':
        return { kind: 'literal', value: null }
      case 'Placeholder':
        return this.#parameters.valueAt(String(body), placeOf(node))
      default:
        throw this.#refuse(`The literal ${kind}`, node, "Write text in single quotes, a number, or x'00' for bytes.")
    }
  }

  /** The affinity that a cast converts to. */
  #castType(type: unknown, node: unknown): Affinity {
    const affinity = castAffinity(variantOf(type)[0])
    if (affinity) return affinity
    throw this.#refuse(
      `A cast to ${variantOf(type)[0].toUpperCase()}`,
      node,
      'Cast to INTEGER, REAL, TEXT, NUMERIC or BLOB; for dates use date(x).',
    )
  }

  /** A call: refused by name, an aggregate, or a scalar function of the list. */
  #function(fields: Json, node: unknown): Expr {
    const name = this.#simpleName(fields.name, node).toLowerCase()
    const refused = refusedFunctions.get(name)
    if (refused) throw this.#refuse(name.toUpperCase(), node, refused)
    if (!isEmpty(fields.over))
      throw this.#refuse('A window function (OVER)', node, 'Select the rows in order and compute it in your program.')
    // ORDER BY inside of the call, WITHIN GROUP, IGNORE NULLS: each would change the answer, so none is skipped.
    const [listKind, listBody] = variantOf(fields.args)
    const list = jsonOf(listBody)
    if (
      listKind !== 'List' ||
      !isEmpty(fields.within_group) ||
      !isEmpty(fields.parameters) ||
      !isEmpty(fields.null_treatment) ||
      !isEmpty(fields.uses_odbc_syntax) ||
      !isEmpty(list.clauses)
    ) {
      throw this.#refuse(`This form of ${name.toUpperCase()}`, node, 'Write the function with plain arguments.')
    }
    const args = listOf(list.args).map((arg) => {
      const [kind, body] = variantOf(arg)
      if (kind !== 'Unnamed') throw this.#refuse('A named argument', node, 'Give arguments by position.')
      return body
    })
    // min(a, b) with two arguments is the lesser of two values, not an aggregate.
    if (mergedAggregates.has(name) && (args.length < 2 || name === 'count')) return this.#aggregate(name, args, list, fields, node)
    if (!isEmpty(fields.filter) || !isEmpty(list.duplicate_treatment))
      throw this.#refuse(`DISTINCT or FILTER in ${name.toUpperCase()}`, node, 'They belong to aggregate functions.')
    const exprs = args.map((arg) => {
      const [kind, body] = variantOf(arg)
      if (kind !== 'Expr') throw this.#refuse(`* as an argument of ${name.toUpperCase()}`, node, 'Name the columns.')
      return body
    })
    return this.#call(name, exprs, node)
  }

  /** COUNT, SUM, TOTAL, AVG, MIN or MAX of at most one expression, with an optional FILTER. */
  #aggregate(name: string, args: unknown[], list: Json, fields: Json, node: unknown): Expr {
    if (list.duplicate_treatment === 'Distinct') {
      throw this.#refuse(
        `${name.toUpperCase()}(DISTINCT …)`,
        node,
        'Select DISTINCT values and count them in your program, or group by the column first.',
      )
    }
    // SQLite takes COUNT() for COUNT(*).
    const star = args.length === 0 || variantOf(args[0])[0] === 'Wildcard'
    if (args.length > 1 || (star && name !== 'count'))
      throw this.#refuse(`${name.toUpperCase()} with these arguments`, node, 'Give it one expression.')
    return {
      kind: 'aggregate',
      name: name as 'count',
      at: placeOf(node),
      ...(!star && { arg: this.read(jsonOf(args[0]).Expr) }),
      ...(!isEmpty(fields.filter) && { filter: this.read(fields.filter) }),
    }
  }

  /** A scalar function, with as many arguments as it takes. */
  #call(name: string, args: unknown[], node: unknown): Expr {
    const arity = scalarFunctions.get(name)
    if (!arity) throw this.#refuse(`The function ${name}`, node, 'Compute it in your program, or store it as a column.')
    const read = args.filter((arg) => arg !== undefined && arg !== null).map((arg) => this.read(arg))
    if (read.length < arity[0] || read.length > arity[1])
      throw this.#source.error(
        'SQL_INVALID',
        `${name} takes ${arity[0] === arity[1] ? arity[0] : `${arity[0]} to ${arity[1]}`} arguments, not ${read.length}`,
        placeOf(node),
        { function: name },
      )
    // Shards have clocks of their own; `date('now')` would be several days at midnight.
    if (dateFunctions.has(name) && read.some(isNow))
      throw this.#refuse(`'now' in ${name}`, node, 'Pass the time as a parameter, so that all shards see the same.')
    return { kind: 'call', name, args: read, at: placeOf(node) }
  }

  /** A name without qualification, of a function or a collation. */
  #simpleName(node: unknown, whole: unknown): string {
    const parts = listOf(node).map((part) => jsonOf(jsonOf(part).Identifier ?? part).value)
    if (parts.length !== 1 || typeof parts[0] !== 'string') throw this.#refuse('A qualified name', whole, 'Write the plain name.')
    return parts[0]
  }

  #refuse(part: string, node: unknown, advice: string) {
    return this.#source.unsupported(part, placeOf(node), advice)
  }
}
