import type { SqlValue, Store } from '../base/ports.ts'

/** The platform binds no more values to one statement. */
const maxParameters = 100

/**
 * Runs a statement over many rows, as many at once as their values can be bound: measured two to three times as fast as a statement a row, and
 * nearly twice as fast as one over their JSON.
 *
 * @param statement gets the text of a list of rows, to stand behind `VALUES`; all full lists have one text, which the platform keeps prepared
 * @param rows all of one width, at most 100 values
 * @param places what one row looks like, where some of it is the same in all
 */
export function forRows(store: Store, rows: readonly SqlValue[][], statement: (values: string) => string, places?: string): void {
  const width = rows[0]?.length ?? 1
  const atOnce = Math.floor(maxParameters / width)
  const row = places ?? `(${Array.from({ length: width }, () => '?').join(', ')})`
  const full = statement(list(row, atOnce))
  for (let from = 0; from < rows.length; from += atOnce) {
    const bite = rows.slice(from, from + atOnce)
    const text = bite.length === atOnce ? full : statement(list(row, bite.length))
    store.sql(text, ...bite.flat())
  }
}

const list = (row: string, length: number) => Array.from({ length }, () => row).join(', ')
