import { DotdoError } from '../base/errors.ts'
import { createAccumulator, type Accumulator } from './accumulators.ts'
import { evaluate } from './evaluate.ts'
import type { GroupsPlan } from './plan.ts'
import type { ScanReply } from './scanner.ts'
import { truthOf } from './arithmetic.ts'
import { cellBytes, compareCells, groupKey, toCell, toScalar, type Cell } from './values.ts'

/** How much a coordinator keeps in memory. */
export interface GroupLimits {
  /** Groups, at most. */
  groups: number
  /** Estimated bytes of all groups, at most. */
  sizeBytes: number
}

/** What an isolate of 128 MB can keep beside the batches that are under way. */
export const defaultGroupLimits: GroupLimits = { groups: 1_000_000, sizeBytes: 48 * 1024 * 1024 }

/** Rough cost of a group beside its values: an entry of the index. */
const GROUP_BYTES = 64

/**
 * The groups of a query while the shards answer, and the answer after.
 *
 * Owns: the index from key to group number, the carried values, the accumulators. Invariants:
 * 1. A group's number never changes; its carried values are those of the first row that named it.
 * 2. The estimated size never passes the limits: the merge fails before.
 * 3. Merging is commutative but for ties between 1 and 1.0 and the last digit of sums of REAL.
 */
export class Groups {
  #plan: GroupsPlan
  #limits: GroupLimits
  #index = new Map<Cell, number>()
  /** Carried values, column by column, with a string of type letters a group. */
  #carried: Cell[][]
  #letters: string[] = []
  /** One for each aggregate of the query; each holds its state of all groups. */
  #accumulators: Accumulator[]
  #sizeBytes = 0

  constructor(plan: GroupsPlan, limits: GroupLimits) {
    this.#plan = plan
    this.#limits = limits
    this.#carried = Array.from({ length: plan.carriedCount }, () => [])
    this.#accumulators = plan.accumulators.map(createAccumulator)
  }

  /** Takes one batch of partial results. @throws `QUERY_TOO_LARGE` */
  merge(reply: ScanReply): void {
    const { values, types } = reply
    const keys = values.slice(0, this.#plan.keyCount)
    for (let row = 0; row < reply.rows; row++) {
      const letters = typeof types === 'string' ? types : types![row]!
      const key = keys.length === 1 ? simpleKey(keys[0]![row]!) : groupKey(keys.map((column) => column[row]!))
      let group = this.#index.get(key)
      if (group === undefined) {
        group = this.#letters.length
        this.#index.set(key, group)
        this.#add(reply, row, letters, key)
      }
      const letter = (column: number) => letters[column]!
      for (const accumulator of this.#accumulators) accumulator.merge(group, reply, row, letter)
    }
  }

  /** The rows of the answer: HAVING, DISTINCT, ORDER BY, OFFSET and LIMIT are done. */
  *rows(): Generator<Cell[]> {
    const { having, outputs, order, distinct, limit, offset } = this.#plan
    // Sort keys are computed with the rows: an order may be by what is not selected.
    let groups: { row: Cell[]; sort: Cell[] }[] = []
    const seen = new Set<string>()
    for (let group = 0; group < this.#letters.length; group++) {
      const slots = this.#slots(group)
      if (having && !truthOf(evaluate(having, slots))) continue
      const row = outputs.map((expr) => toCell(evaluate(expr, slots)))
      if (distinct) {
        const key = groupKey(row)
        if (seen.has(key)) continue
        seen.add(key)
      }
      groups.push({ row, sort: order.map(({ expr }) => evaluate(expr, slots)) })
    }
    if (order.length) {
      groups.sort((a, b) => {
        for (let i = 0; i < order.length; i++) {
          const result = compareOrdered(a.sort[i]!, b.sort[i]!, order[i]!)
          if (result) return result
        }
        return 0
      })
    }
    // LIMIT comes last of all: this is why it is never pushed to the shards of a query with groups.
    groups = groups.slice(offset, limit === undefined ? undefined : offset + limit)
    for (const { row } of groups) yield row
  }

  /** Reads the slots of a group as scalars: carried columns first, accumulators after. */
  #slots(group: number): (index: number) => Cell {
    const letters = this.#letters[group]!
    const { carriedCount } = this.#plan
    return (index) =>
      index < carriedCount
        ? toScalar(this.#carried[index]![group]!, letters[index]!)
        : this.#accumulators[index - carriedCount]!.scalar(group)
  }

  /** Makes a new group of a row that names one, within the limits. */
  #add(reply: ScanReply, row: number, letters: string, key: Cell): void {
    let sizeBytes = GROUP_BYTES + 32 * this.#accumulators.length + (typeof key === 'string' ? key.length * 2 : 0)
    for (let column = 0; column < this.#plan.carriedCount; column++) {
      const cell = reply.values[column]![row]!
      this.#carried[column]!.push(cell)
      sizeBytes += cellBytes(cell)
    }
    this.#letters.push(this.#plan.carriedCount === reply.columns.length ? letters : letters.slice(0, this.#plan.carriedCount))
    this.#sizeBytes += sizeBytes
    const { groups, sizeBytes: most } = this.#limits
    if (this.#letters.length > groups || this.#sizeBytes > most) {
      throw new DotdoError(
        'QUERY_TOO_LARGE',
        `The query has more groups than a coordinator keeps: ${this.#letters.length} groups of about ${this.#sizeBytes} bytes, with limits of ${groups} and ${most}. Narrow it by WHERE, group by fewer columns, or raise the limits (maxGroups, maxGroupBytes).`,
        {
          data: { groups: this.#letters.length, sizeBytes: this.#sizeBytes, maxGroups: groups, maxGroupBytes: most },
        },
      )
    }
  }
}

/** Compares two values as one term of ORDER BY says. */
export function compareOrdered(a: Cell, b: Cell, term: { descending: boolean; nullsFirst: boolean }): number {
  if (a === null || b === null) return a === b ? 0 : (a === null) === term.nullsFirst ? -1 : 1
  return term.descending ? compareCells(b, a) : compareCells(a, b)
}

/** The key of a group with one column: numbers and NULL as they are, the rest encoded. Encoded keys are text, numbers are not. */
function simpleKey(cell: Cell): Cell {
  if (cell === null || (typeof cell === 'number' && (Number.isSafeInteger(cell) || !Number.isInteger(cell)))) return cell
  return typeof cell === 'string' ? `t${cell}` : groupKey([cell])
}
