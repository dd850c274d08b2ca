import { DotdoError } from '../base/errors.ts'
import type { AccumulatorPlan } from './plan.ts'
import type { ScanReply } from './scanner.ts'
import { compareCells, fitsInt64, type Cell } from './values.ts'

/**
 * One aggregate over all groups, merged from the partial results of the shards. State is one array a field, so that a group costs a few numbers.
 *
 * `letter` reads the type of a cell of the batch, because a REAL 4.0 arrives as the number 4.
 */
export interface Accumulator {
  /** Adds row `row` of the batch to the group. */
  merge(group: number, reply: ScanReply, row: number, letter: (column: number) => string): void
  /** The finished value as a scalar. @throws `SQL_OVERFLOW` */
  scalar(group: number): Cell
}

export function createAccumulator(plan: AccumulatorPlan): Accumulator {
  const [first, second] = plan.columns as [number, number]
  switch (plan.kind) {
    case 'count':
      return new CountAccumulator(first)
    case 'sum':
      return new SumAccumulator(first, second)
    case 'total':
      return new RealAccumulator(first, undefined)
    case 'avg':
      return new RealAccumulator(first, second)
    case 'min':
      return new ExtremeAccumulator(first, -1)
    case 'max':
      return new ExtremeAccumulator(first, 1)
  }
}

class CountAccumulator implements Accumulator {
  #column: number
  #counts: number[] = []

  constructor(column: number) {
    this.#column = column
  }

  merge(group: number, reply: ScanReply, row: number): void {
    this.#counts[group] = (this.#counts[group] ?? 0) + Number(reply.values[this.#column]![row])
  }

  scalar(group: number): Cell {
    return BigInt(this.#counts[group]!)
  }
}

/**
 * SUM: an INTEGER while every value was one, exact to 64 bits and an error beyond; REAL as soon as any value was. Sums of REAL values are
 * compensated (Neumaier), as SQLite's are, and depend on the order in the last digit as any sum of floating point does.
 */
class SumAccumulator implements Accumulator {
  #sumColumn: number
  #countColumn: number
  #seen: boolean[] = []
  #integers: (number | bigint)[] = []
  #reals = new RealSums()
  #real: boolean[] = []

  constructor(sumColumn: number, countColumn: number) {
    this.#sumColumn = sumColumn
    this.#countColumn = countColumn
  }

  merge(group: number, reply: ScanReply, row: number, letter: (column: number) => string): void {
    if (reply.values[this.#countColumn]![row] === 0) return
    this.#seen[group] = true
    const value = reply.values[this.#sumColumn]![row]!
    if (letter(this.#sumColumn) === 'i') {
      this.#integers[group] = addIntegers(this.#integers[group] ?? 0, value as number | bigint)
      return
    }
    this.#real[group] = true
    // A sum of values that is NULL was no number: infinity met minus infinity.
    this.#reals.add(group, value === null ? NaN : (value as number))
  }

  scalar(group: number): Cell {
    if (!this.#seen[group]) return null
    const integers = this.#integers[group] ?? 0
    if (this.#real[group]) {
      this.#reals.add(group, Number(integers))
      this.#integers[group] = 0
      return this.#reals.value(group)
    }
    const sum = BigInt(integers)
    if (!fitsInt64(sum))
      throw new DotdoError('SQL_OVERFLOW', `A SUM of integers is ${sum}, which does not fit 64 bits. Use TOTAL(x), or SUM of a REAL.`, {
        data: { sum: sum.toString() },
      })
    return sum
  }
}

/**
 * TOTAL, and AVG as TOTAL divided by COUNT. Exact while the sums of the shards are whole numbers within 2^53; SQLite sums integers exactly up
 * to 2^63, so beyond that the last digit can differ.
 */
class RealAccumulator implements Accumulator {
  #totalColumn: number
  #countColumn: number | undefined
  #sums = new RealSums()
  #counts: number[] = []

  constructor(totalColumn: number, countColumn: number | undefined) {
    this.#totalColumn = totalColumn
    this.#countColumn = countColumn
  }

  merge(group: number, reply: ScanReply, row: number): void {
    const total = reply.values[this.#totalColumn]![row]
    this.#sums.add(group, total === null ? NaN : Number(total))
    if (this.#countColumn !== undefined) this.#counts[group] = (this.#counts[group] ?? 0) + Number(reply.values[this.#countColumn]![row])
  }

  scalar(group: number): Cell {
    const sum = this.#sums.value(group)
    if (this.#countColumn === undefined || sum === null) return sum
    const count = this.#counts[group]!
    return count === 0 ? null : sum / count
  }
}

/** MIN and MAX in SQLite's order; of equal values (1 and 1.0) the one of the shard that answered first. NULL is passed over. */
class ExtremeAccumulator implements Accumulator {
  #column: number
  #sign: number
  #values: Cell[] = []
  #letters: string[] = []

  constructor(column: number, sign: number) {
    this.#column = column
    this.#sign = sign
  }

  merge(group: number, reply: ScanReply, row: number, letter: (column: number) => string): void {
    const value = reply.values[this.#column]![row]!
    const best = this.#values[group] ?? null
    if (best !== null && (value === null || compareCells(value, best) * this.#sign <= 0)) return
    this.#values[group] = value
    this.#letters[group] = letter(this.#column)
  }

  scalar(group: number): Cell {
    const value = this.#values[group]!
    return this.#letters[group] === 'i' ? BigInt(value as number | bigint) : value
  }
}

/** Compensated sums, one a group. Source: Neumaier 1974; SQLite's `kahanBabuskaStep` in func.c. */
class RealSums {
  #sums: number[] = []
  #errors: number[] = []

  add(group: number, value: number): void {
    const sum = this.#sums[group] ?? 0
    const next = sum + value
    this.#errors[group] = (this.#errors[group] ?? 0) + (Math.abs(sum) > Math.abs(value) ? sum - next + value : value - next + sum)
    this.#sums[group] = next
  }

  /** The sum, or `null` (NaN in SQLite) where infinities cancelled. */
  value(group: number): number | null {
    const sum = this.#sums[group] ?? 0
    const error = this.#errors[group] ?? 0
    const value = Number.isFinite(error) ? sum + error : sum
    return Number.isNaN(value) ? null : value
  }
}

function addIntegers(a: number | bigint, b: number | bigint): number | bigint {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b
    if (Number.isSafeInteger(sum)) return sum
  }
  return BigInt(a) + BigInt(b)
}
