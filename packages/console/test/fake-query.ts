/** Answers of the fake app's `query(sql)`, by what the text contains. */
import { DotdoError } from 'dotdo/client'

/** @throws `SQL_SYNTAX` with the picture that the parser gives */
export function answerOf(sql: string): Record<string, unknown>[] {
  if (sql.startsWith('SELEC ')) {
    throw new DotdoError(
      'SQL_SYNTAX',
      `The query does not parse: Expected: an SQL statement, found: SELEC (line 1, column 1).\n  ${sql}\n  ^`,
      { data: { sql, line: 1, column: 1 } },
    )
  }
  if (sql.includes('nothing')) return []
  if (sql.includes('many')) return Array.from({ length: 2500 }, (_, index) => ({ id: index, name: `row ${index}` }))
  if (sql.includes('day'))
    return Array.from({ length: 14 }, (_, index) => ({
      day: `2026-11-${String(index + 1).padStart(2, '0')}`,
      n: 15_000 + Math.round(4000 * Math.sin(index)),
    }))
  return ['CA', 'TX', 'IL', 'FL', 'GA', 'NY', 'CO', 'AZ', null].map((state, index) => ({
    state,
    n: 24_000 - index * 2600,
    meanDelay: 12.3456789 - index * 2,
  }))
}
