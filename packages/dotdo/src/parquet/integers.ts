import { noBounds, numberBefore, widen, type Bounds } from './bounds.ts'
import type { ByteWriter } from './bytes.ts'
import { MAX_SPREAD_INT32, MAX_SPREAD_INT64, writeDelta } from './delta.ts'
import { Encoding } from './format.ts'
import { grown, grownCapacity, PAGE_VALUES, type ColumnValues, type GroupValues } from './values.ts'

/**
 * 32-bit integers, and dates as days. Packed differences while they fit into 32 bits each, PLAIN in a page that spreads wider.
 *
 * @param coerce answers a whole number within 32 bits, or `undefined` to refuse
 */
export class Int32Values implements ColumnValues<number> {
  readonly #coerce: (value: unknown) => number | undefined
  #values = new Int32Array(1024)
  #bounds: Bounds<number> = noBounds()
  count = 0

  constructor(coerce: (value: unknown) => number | undefined) {
    this.#coerce = coerce
  }

  get due(): boolean {
    return this.count >= PAGE_VALUES
  }

  get waitingBytes(): number {
    return this.count * 4
  }

  get heldBytes(): number {
    return this.#values.byteLength
  }

  push(value: unknown): boolean {
    const number = this.#coerce(value)
    if (number === undefined) return false
    if (this.count === this.#values.length) this.#values = grown(this.#values, new Int32Array(grownCapacity(this.count, this.count + 1)))
    this.#values[this.count++] = number
    return true
  }

  pop(): void {
    this.count--
  }

  page(out: ByteWriter): number {
    const { count } = this
    // The bounds decide on the encoding, so they are found first and not while values are written.
    const bounds = numericBounds(this.#values, count)
    widen(this.#bounds, bounds, numberBefore)
    this.count = 0
    if (count > 0 && bounds.upper! - bounds.lower! <= MAX_SPREAD_INT32) {
      writeDelta(out, this.#values, count)
      return Encoding.DELTA_BINARY_PACKED
    }
    out.reserve(count * 4)
    for (let i = 0; i < count; i++) out.view.setInt32(out.length + 4 * i, this.#values[i]!, true)
    out.length += count * 4
    return Encoding.PLAIN
  }

  endGroup(): GroupValues<number> {
    const bounds = this.#bounds
    this.#bounds = noBounds()
    return { bounds }
  }
}

/**
 * 64-bit integers, and times as microseconds. It owns the values of a page, in one of two forms:
 *
 * - narrow: as doubles, which hold whole numbers up to 2^53 exactly and need no allocation each. Written as packed differences.
 * - wide: as bigints, from the first value beyond 2^53 to the end of its page. Written PLAIN: bigint arithmetic on differences would
 *   cost more than they save.
 *
 * 1. `#wide`, where it is set, holds all `count` values; the doubles then hold the first of them at most.
 * 2. A page that only a refused row made wide is narrow again after {@link pop}: what was refused leaves no trace in the file.
 */
export class Int64Values implements ColumnValues<number | bigint> {
  readonly #coerce: (value: unknown) => number | bigint | undefined
  #values = new Float64Array(1024)
  /** All that waits, once one of it is beyond 2^53; `undefined` before. */
  #wide: bigint[] | undefined
  /** Whether the last push is what made the page wide. */
  #lastWidened = false
  #bounds: Bounds<number | bigint> = noBounds()
  count = 0

  constructor(coerce: (value: unknown) => number | bigint | undefined) {
    this.#coerce = coerce
  }

  get due(): boolean {
    return this.count >= PAGE_VALUES
  }

  get waitingBytes(): number {
    return this.count * 8
  }

  get heldBytes(): number {
    return this.#values.byteLength + (this.#wide === undefined ? 0 : this.#wide.length * 32)
  }

  push(value: unknown): boolean {
    const number = this.#coerce(value)
    if (number === undefined) return false
    if (typeof number === 'bigint' || this.#wide !== undefined) {
      this.#lastWidened = this.#wide === undefined
      this.#wide ??= Array.from(this.#values.subarray(0, this.count), BigInt)
      this.#wide.push(BigInt(number))
      this.count++
      return true
    }
    if (this.count === this.#values.length) this.#values = grown(this.#values, new Float64Array(grownCapacity(this.count, this.count + 1)))
    this.#values[this.count++] = number
    return true
  }

  pop(): void {
    this.count--
    this.#wide?.pop()
    // The doubles are still there from before, so a page that only the refused row made wide is narrow again.
    if (this.#lastWidened) this.#wide = undefined
  }

  page(out: ByteWriter): number {
    const { count } = this
    this.count = 0
    if (this.#wide !== undefined) return this.#widePage(out, this.#wide)
    const bounds = numericBounds(this.#values, count)
    widen(this.#bounds, bounds, numberBefore)
    if (count > 0 && bounds.upper! - bounds.lower! <= MAX_SPREAD_INT64) {
      writeDelta(out, this.#values, count)
      return Encoding.DELTA_BINARY_PACKED
    }
    out.reserve(count * 8)
    for (let i = 0; i < count; i++) writeInt64(out.view, out.length + 8 * i, this.#values[i]!)
    out.length += count * 8
    return Encoding.PLAIN
  }

  /** Writes bigints as they are. Rare, so that bounds are widened value by value. */
  #widePage(out: ByteWriter, values: bigint[]): number {
    this.#wide = undefined
    this.#lastWidened = false
    out.reserve(values.length * 8)
    for (const value of values) {
      widen(this.#bounds, { lower: value, upper: value }, numberBefore)
      out.view.setBigInt64(out.length, value, true)
      out.length += 8
    }
    return Encoding.PLAIN
  }

  endGroup(): GroupValues<number | bigint> {
    const { lower, upper } = this.#bounds
    this.#bounds = noBounds()
    return { bounds: { lower: narrow(lower), upper: narrow(upper) } }
  }
}

/** A whole number within 32 bits. */
export function toInt32(value: unknown): number | undefined {
  return typeof value === 'number' && value === (value | 0) ? value | 0 : undefined
}

/** A safe integer, or a bigint within 64 bits; one that is small enough comes back as a number. */
export function toInt64(value: unknown): number | bigint | undefined {
  // Adding zero turns -0 into 0.
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value + 0 : undefined
  if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value) return undefined
  return narrow(value)
}

/** Writes a whole number of magnitude up to 2^53, or a bigint, as 8 bytes in two's complement. */
export function writeInt64(view: DataView, offset: number, value: number | bigint): void {
  if (typeof value === 'bigint') return view.setBigInt64(offset, value, true)
  view.setInt32(offset, value | 0, true)
  view.setInt32(offset + 4, Math.floor(value / 0x1_0000_0000) | 0, true)
}

/** A bigint as a number where that is the same, so that one value has one form. */
function narrow<T extends number | bigint | undefined>(value: T): T | number {
  return typeof value === 'bigint' && value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
}

/** The bounds of the first `count` values, none of which is NaN. */
function numericBounds(values: Float64Array | Int32Array, count: number): Bounds<number> {
  if (count === 0) return noBounds()
  let lower = values[0]!
  let upper = lower
  for (let i = 1; i < count; i++) {
    const value = values[i]!
    if (value < lower) lower = value
    if (value > upper) upper = value
  }
  return { lower, upper }
}
