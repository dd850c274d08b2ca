import { DotdoError } from '../base/errors.ts'
import { HALF } from './plan-groups.ts'
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

/** The accumulator of an aggregate, for all groups of a query. */
export function createAccumulator(plan: AccumulatorPlan): Accumulator {
  const [first, second, third] = plan.columns as [number, number, number]
  switch (plan.kind) {
    case 'count':
      return new CountAccumulator(first)
    case 'sum':
      return new SumAccumulator(first, second)
    case 'avg':
      return new AverageAccumulator(first, second)
    case 'total':
      return new TotalAccumulator(first, second, third)
    case 'min':
      return new ExtremeAccumulator(first, -1)
    case 'max':
      return new ExtremeAccumulator(first, 1)
  }
}

/** COUNT: the sum of the shards' counts. A count is far below 2^53, so a number holds it. */
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
 * compensated (Neumaier), as SQLite's are. They depend on the order as any sum of floating point does: each shard rounds its own sum once, so the
 * error is up to the last digit of the largest of these sums, which matters where values of very different size cancel.
 */
class SumAccumulator implements Accumulator {
  #sums = new MixedSums()
  #sumColumn: number
  #countColumn: number

  constructor(sumColumn: number, countColumn: number) {
    this.#sumColumn = sumColumn
    this.#countColumn = countColumn
  }

  merge(group: number, reply: ScanReply, row: number, letter: (column: number) => string): void {
    // No value at all is NULL too, and must not be taken for a sum that was no number.
    if (reply.values[this.#countColumn]![row] !== 0) this.#sums.add(group, reply.values[this.#sumColumn]![row]!, letter(this.#sumColumn))
  }

  scalar(group: number): Cell {
    // The sum over all shards may pass 64 bits where no shard's own does.
    const sum = this.#sums.value(group)
    if (typeof sum === 'bigint' && !fitsInt64(sum)) {
      throw new DotdoError('SQL_OVERFLOW', `A SUM of integers is ${sum}, which does not fit 64 bits. Use TOTAL(x), or SUM of a REAL.`, {
        data: { sum: sum.toString() },
      })
    }
    return sum
  }
}

/** AVG: the sum, which is exact while all values are integers, as a REAL, divided by the count. */
class AverageAccumulator implements Accumulator {
  #sums = new MixedSums()
  #counts: number[] = []
  #sumColumn: number
  #countColumn: number

  constructor(sumColumn: number, countColumn: number) {
    this.#sumColumn = sumColumn
    this.#countColumn = countColumn
  }

  merge(group: number, reply: ScanReply, row: number, letter: (column: number) => string): void {
    const count = Number(reply.values[this.#countColumn]![row])
    if (count === 0) return
    this.#counts[group] = (this.#counts[group] ?? 0) + count
    this.#sums.add(group, reply.values[this.#sumColumn]![row]!, letter(this.#sumColumn))
  }

  scalar(group: number): Cell {
    const sum = this.#sums.value(group)
    return sum === null ? null : Number(sum) / this.#counts[group]!
  }
}

/** TOTAL: integers exactly, from their two halves, and the rest as a compensated sum; always REAL, 0.0 without values. */
class TotalAccumulator implements Accumulator {
  #quotients: number
  #rests: number
  #others: number
  #sums = new MixedSums()

  constructor(quotients: number, rests: number, others: number) {
    this.#quotients = quotients
    this.#rests = rests
    this.#others = others
  }

  merge(group: number, reply: ScanReply, row: number): void {
    const quotient = reply.values[this.#quotients]![row]
    const rest = reply.values[this.#rests]![row]
    // Without an integer among its values a shard has neither quotient nor rest.
    if (quotient !== null) this.#sums.add(group, BigInt(quotient as number | bigint) * HALF + BigInt(rest as number | bigint), 'i')
    this.#sums.add(group, reply.values[this.#others]![row]!, 'r')
  }

  scalar(group: number): Cell {
    return this.#sums.value(group)
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

/** Sums of integers and reals, one a group: the integers exactly, the reals compensated. */
class MixedSums {
  #integers: (number | bigint)[] = []
  #reals = new RealSums()
  #real: boolean[] = []

  /** @param letter `i` for an INTEGER; a value that is NULL was no number: infinity met minus infinity */
  add(group: number, value: Cell, letter: string): void {
    if (letter === 'i') {
      this.#integers[group] = addIntegers(this.#integers[group] ?? 0, value as number | bigint)
      return
    }
    this.#real[group] = true
    this.#reals.add(group, value === null ? NaN : (value as number))
  }

  /** An integer of any size, a real, or `null` where nothing was added or the sum is no number. */
  value(group: number): bigint | number | null {
    const integers = this.#integers[group]
    if (this.#real[group]) return this.#reals.valueWith(group, Number(integers ?? 0))
    return integers === undefined ? null : BigInt(integers)
  }
}

/** Compensated sums, one a group. Source: Neumaier 1974; SQLite's `kahanBabuskaStep` in func.c. */
class RealSums {
  #sums: number[] = []
  /** What the sums lost to rounding so far. */
  #errors: number[] = []

  add(group: number, value: number): void {
    const sum = this.#sums[group] ?? 0
    const next = sum + value
    this.#errors[group] = (this.#errors[group] ?? 0) + lost(sum, value, next)
    this.#sums[group] = next
  }

  /** The sum with one more value, or `null` (NaN in SQLite) where infinities cancelled. */
  valueWith(group: number, more: number): number | null {
    const before = this.#sums[group]!
    const sum = before + more
    const error = this.#errors[group]! + lost(before, more, sum)
    const value = Number.isFinite(error) ? sum + error : sum
    return Number.isNaN(value) ? null : value
  }
}

/** What the sum of `a` and `b` lost to rounding. */
function lost(a: number, b: number, sum: number): number {
  return Math.abs(a) > Math.abs(b) ? a - sum + b : b - sum + a
}

/** Exact: numbers while they are safe, which is fast, `bigint` from there on. */
function addIntegers(a: number | bigint, b: number | bigint): number | bigint {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b
    if (Number.isSafeInteger(sum)) return sum
  }
  return BigInt(a) + BigInt(b)
}
