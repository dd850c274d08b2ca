import type { DoneStep } from './steps.ts'

/** Rows that one look-up reads at most. Their results are 8 Ki characters at most each, so that what is held stays below 1 Mi characters. */
export const aheadMost = 128

/** A look-up reads one row more than it was asked for, to see whether that is the one that is asked for next. */
const aheadLeast = 2

/**
 * What a replay will look up next, as far as one can tell: the rows behind the one that it looked up last, in the order of their ids. Ids that count, or
 * are days, come in that order, and a statement for many rows costs little more than one for one.
 *
 * Owns the rows that were read and not yet asked for. Invariants: 1. It holds rows of one run that say `done`: those are not written again, but for what
 * concerns their undoing, and who writes that says {@link forget}. 2. It never says that a row is not there. 3. A look-up that finds nothing here
 * drops what is, so at most {@link aheadMost} rows are held; where few of them were asked for, the next one reads fewer.
 */
export class ReadAhead {
  readonly #rows = new Map<string, DoneStep>()
  #limit = 4
  #read = 0
  #taken = 0

  /** Gives a row that was read before, once. */
  take(stepId: string): DoneStep | undefined {
    const row = this.#rows.get(stepId)
    if (row && this.#rows.delete(stepId)) this.#taken++
    return row
  }

  /** How many rows are to be read now, the one that is asked for among them. */
  next(): number {
    this.#limit = 2 * this.#taken >= this.#read ? Math.min(2 * this.#limit, aheadMost) : Math.max(this.#limit >> 1, aheadLeast)
    this.#read = this.#limit - 1
    this.#taken = 0
    this.#rows.clear()
    return this.#limit
  }

  /** Keeps one of them. */
  put(row: DoneStep): void {
    this.#rows.set(row.stepId, row)
  }

  /** Drops what was read: it has been written. */
  forget(): void {
    this.#rows.clear()
  }
}
