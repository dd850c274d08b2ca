/**
 * How often code of an object has written to its storage: what tells a call that has written from one that has only read.
 *
 * SQLite could be asked how many rows it has changed, before each call and behind it; those two statements cost more than all of what the call reads. In code that does
 * not wait nobody else writes, so it is enough to count where code writes.
 *
 * Owns the count. Invariants: 1. Whatever writes, or may have, counts: a statement that has failed, and one of several in a text, of which the platform tells
 * no numbers. 2. What reads alone does not count, nor does a statement that has changed nothing.
 */

/** The writes to one object's storage. */
export class Writes {
  /** Equal before and behind code that does not wait: it has written nothing. */
  count = 0

  /** A statement has run. */
  ran(statement: string, { rowsWritten }: { rowsWritten: number }): void {
    if (rowsWritten > 0 || isSeveral(statement)) this.count++
  }

  /** Counts what is written by other ways than SQL: keys and values, the alarm. */
  watch(storage: DurableObjectStorage): void {
    this.#watch(storage, ['put', 'delete', 'deleteAll', 'setAlarm', 'deleteAlarm'])
    this.#watch(storage.kv, ['put', 'delete'])
  }

  #watch<Of extends object>(of: Of, names: readonly (keyof Of)[]): void {
    for (const name of names) {
      const own = of[name]
      if (typeof own !== 'function') continue
      const value = (...args: unknown[]): unknown => {
        this.count++
        return Reflect.apply(own, of, args) as unknown
      }
      Object.defineProperty(of, name, { value, configurable: true, writable: true })
    }
  }
}

/** Whether a text may hold more than one statement. One semicolon in a literal is enough: then it counts for nothing, which costs a row. */
function isSeveral(statement: string): boolean {
  const end = statement.indexOf(';')
  return end >= 0 && end < statement.trimEnd().length - 1
}
