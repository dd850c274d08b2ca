import { DotdoError } from '../base/errors.ts'
import { Source } from './source.ts'

/** Longest query text in UTF-16 units: what one statement of a Durable Object may be, less what the printer adds. */
export const MAX_SQL_LENGTH = 50_000

/** What turns text into the parser's tree. A port: the parser is WebAssembly, which every platform loads in its own way. */
export interface SqlParser {
  /**
   * One tree a statement, as the JSON of sqlparser-rs 0.62 in its SQLite dialect; `read.ts` narrows it.
   * @throws `SQL_SYNTAX` with the place; `QUERY_TOO_LARGE` for text that is too long or too deeply nested
   */
  parse(sql: string): unknown[]
}

/** The one function that is used of `sqlparser_rs_wasm.js`, after its `initSync({ module })` was called. */
export interface SqlParserGlue {
  parse_sql(dialect: string, sql: string): unknown
  /** Makes a fresh instance of the WebAssembly: one that has trapped is broken for good. */
  restart?(): void
}

/**
 * The parser over an initialised WebAssembly module.
 *
 * @example
 * ```ts
 * import * as glue from '../vendor/sqlparser/sqlparser_rs_wasm.js'
 * import module from '../vendor/sqlparser/sqlparser_rs_wasm_bg.wasm'
 * glue.initSync({ module })
 * const parser = createSqlParser(glue)
 * ```
 */
export function createSqlParser(glue: SqlParserGlue): SqlParser {
  return {
    parse(sql) {
      if (sql.length > MAX_SQL_LENGTH) {
        throw new DotdoError(
          'QUERY_TOO_LARGE',
          `The query has ${sql.length} characters; at most ${MAX_SQL_LENGTH} are read. Pass large values as parameters.`,
          {
            data: { length: sql.length, limit: MAX_SQL_LENGTH },
          },
        )
      }
      let statements: unknown
      try {
        statements = glue.parse_sql('sqlite', sql)
      } catch (thrown) {
        if (!isTrap(thrown)) throw syntaxError(sql, thrown)
        glue.restart?.()
        throw new DotdoError(
          'QUERY_TOO_LARGE',
          `The query, of ${sql.length} characters, is too much for the parser: long chains of operators, such as hundreds of ORs, are nested as deeply as they are long. Use IN with a list, or split it.`,
          { data: { length: sql.length }, cause: thrown },
        )
      }
      if (!Array.isArray(statements))
        throw new DotdoError('SQL_SYNTAX', 'The SQL parser answered no list of statements. Check that the vendored parser is version 0.62.')
      return statements
    },
  }
}

/** Whether the WebAssembly itself gave up (its stack or memory ran out), instead of saying what is wrong with the text. */
function isTrap(thrown: unknown): boolean {
  return thrown instanceof RangeError || (thrown instanceof Error && thrown.constructor.name === 'RuntimeError')
}

/** The parser's own message, with its place moved out of the text into line, column and picture. */
function syntaxError(sql: string, thrown: unknown): DotdoError {
  const message = typeof thrown === 'object' && thrown !== null && 'message' in thrown ? String(thrown.message) : String(thrown)
  const source = new Source(sql)
  if (/recursion/i.test(message)) {
    return new DotdoError('QUERY_TOO_LARGE', 'The query is nested too deeply for the parser. Use fewer parentheses or split it.', {
      data: { sql },
    })
  }
  const place = /\s+at Line: (\d+), Column: (\d+)/.exec(message)
  const at = place ? { line: Number(place[1]), column: Number(place[2]) } : source.end()
  const text = message.replace(/^sql parser error:\s*/, '').replace(/\s+at Line: \d+, Column: \d+/, '')
  return source.error('SQL_SYNTAX', `The query does not parse: ${text}`, at)
}
