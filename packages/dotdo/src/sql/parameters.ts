import type { Literal } from './ast.ts'
import type { Position, Source } from './source.ts'
import type { Token } from './tokens.ts'
import { fitsInt64, type Cell } from './values.ts'

/** A value for a place in a query: `?` and `?1` by position, `:name`, `@name` and `$name` by name. */
export type Parameter = null | boolean | number | bigint | string | Uint8Array

/** Values by position (a list) or by name (an object, with or without the leading `:`, `@` or `$`). */
export type Parameters = readonly Parameter[] | Readonly<Record<string, Parameter>>

/**
 * Puts the given values in the place of the placeholders.
 *
 * A whole number within 2^53 and a `bigint` are INTEGER, another number is REAL, a boolean is 1 or 0: what a person means by 7 in
 * `x / 7`, where binding the number as the platform does would make it 7.0.
 */
export class ParameterReader {
  #source: Source
  #given: Parameters
  #tokens: Map<string, Token>
  /** Which parameter each `?` is, by place: the parser's tree is not in the order of the text. */
  #positions = new Map<string, number>()
  /** Positions that some placeholder has taken. */
  #used = new Set<number>()

  constructor(source: Source, tokens: readonly Token[], given: Parameters) {
    this.#source = source
    this.#given = given
    this.#tokens = new Map(tokens.map((token) => [placeKey(token), token]))
    let highest = 0
    for (const token of tokens) {
      if (token.kind !== 'parameter' || token.text[0] !== '?') continue
      // SQLite: a bare ? is one more than the highest so far.
      const position = token.text === '?' ? highest + 1 : Number(token.text.slice(1))
      highest = Math.max(highest, position)
      this.#positions.set(placeKey(token), position)
    }
  }

  /** The text of the token at a place. */
  textAt(at: Position | undefined): string | undefined {
    return at && this.#tokens.get(placeKey(at))?.text
  }

  /** @throws `SQL_PARAMETER` when the value is missing or of a type that SQLite does not have */
  valueAt(name: string, at: Position | undefined): Literal {
    return { kind: 'literal', value: this.#scalar(this.#find(name, at), name, at) }
  }

  /** @throws `SQL_PARAMETER` when a value in a list was given that no placeholder takes */
  checkAllUsed(): void {
    if (!Array.isArray(this.#given)) return
    const unused = this.#given.findIndex((_, i) => !this.#used.has(i + 1))
    if (unused >= 0)
      throw this.#source.error(
        'SQL_PARAMETER',
        `Parameter ${unused + 1} of ${this.#given.length} is used nowhere in the query. Give one value a placeholder`,
        undefined,
        { parameter: unused + 1 },
      )
  }

  /** The given value for a placeholder, before its type is looked at. */
  #find(name: string, at: Position | undefined): unknown {
    // By position: the list must reach as far.
    const position = at && this.#positions.get(placeKey(at))
    if (position !== undefined) {
      this.#used.add(position)
      if (!Array.isArray(this.#given) || position < 1 || position > this.#given.length) {
        throw this.#source.error(
          'SQL_PARAMETER',
          `The placeholder ${name} wants parameter ${position}, and ${Array.isArray(this.#given) ? this.#given.length : 'no list'} was given`,
          at,
          { parameter: position },
        )
      }
      return this.#given[position - 1]
    }
    // By name: own properties only, so that :toString finds nothing.
    const given = this.#given as Readonly<Record<string, unknown>>
    const key = [name, name.slice(1)].find((it) => Object.hasOwn(given, it))
    if (Array.isArray(given) || key === undefined)
      throw this.#source.error(
        'SQL_PARAMETER',
        `The placeholder ${name} has no value. Give { ${name.slice(1)}: … } as the parameters`,
        at,
        { parameter: name },
      )
    return given[key]
  }

  /** The value as SQLite holds it. */
  #scalar(value: unknown, name: string, at: Position | undefined): Cell {
    if (value === null || typeof value === 'string' || value instanceof Uint8Array) return value
    if (typeof value === 'boolean') return value ? 1n : 0n
    if (typeof value === 'number' && !Number.isNaN(value)) return Number.isSafeInteger(value) ? BigInt(value) : value
    if (typeof value === 'bigint' && fitsInt64(value)) return value
    const what =
      value instanceof Date
        ? 'a Date: pass its text or its milliseconds'
        : `of type ${typeof value}: pass null, a number, a bigint of 64 bits, a text, a boolean or a Uint8Array`
    throw this.#source.error('SQL_PARAMETER', `The value for ${name} is ${what}`, at, { parameter: name })
  }
}

/** Places as keys of a map. */
function placeKey(at: Position): string {
  return `${at.line}:${at.column}`
}
