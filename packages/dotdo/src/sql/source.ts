import { DotdoError, type ErrorData } from '../base/errors.ts'

/** A place in the text of a query: line and column count from 1; a column is a code point. */
export interface Position {
  line: number
  column: number
}

/** Codes of the errors that point into the text of a query. All are terminal: the text or its parameters have to change. */
export type SqlErrorCode = 'SQL_SYNTAX' | 'SQL_UNSUPPORTED' | 'SQL_INVALID' | 'SQL_PARAMETER' | 'COLUMN_UNKNOWN' | 'TABLE_UNKNOWN'

/** The text of a query, and the errors that point into it. */
export class Source {
  readonly sql: string

  constructor(sql: string) {
    this.sql = sql
  }

  /**
   * An error whose message ends with the line of the query and a caret under the place.
   * @param message what is wrong and what to do instead, without a full stop at its end
   */
  error(code: SqlErrorCode, message: string, at: Position | undefined, data: ErrorData = {}): DotdoError {
    const where = at ? ` (line ${at.line}, column ${at.column})` : ''
    return new DotdoError(code, `${message}${where}.${at ? this.picture(at) : ''}`, {
      data: { ...data, sql: this.sql, ...(at && { line: at.line, column: at.column }) },
    })
  }

  /**
   * A part of SQL that has no right answer here yet. `data.part` names it.
   * @param advice what to do instead, starting with a verb
   */
  unsupported(part: string, at: Position | undefined, advice: string): DotdoError {
    return this.error('SQL_UNSUPPORTED', `${part} is not supported over shards. ${advice}`, at, { part })
  }

  /** The line that `at` is in, cut to what a terminal shows, and a caret below the column. */
  picture(at: Position): string {
    const line = Array.from(this.sql.split('\n')[at.line - 1] ?? '')
    const from = Math.max(0, Math.min(at.column - 41, line.length - 80))
    const shown = line
      .slice(from, from + 80)
      .join('')
      .replaceAll('\t', ' ')
    return `\n  ${shown}\n  ${' '.repeat(Math.max(0, at.column - 1 - from))}^`
  }

  /** The place after the last character. */
  end(): Position {
    const lines = this.sql.trimEnd().split('\n')
    return { line: lines.length, column: Array.from(lines.at(-1)!).length + 1 }
  }
}
