import { noBounds, numberBefore, widen, type Bounds } from './bounds.ts'
import type { ByteWriter } from './bytes.ts'
import { MAX_SPREAD_INT32, MAX_SPREAD_INT64, writeDelta } from './delta.ts'
import { Encoding } from './format.ts'
import { grownCapacity, PAGE_VALUES, type ColumnValues, type GroupValues } from './values.ts'

/** Booleans, one bit each. */
export class BooleanValues implements ColumnValues<boolean> {
  #values = new Uint8Array(1024)
  #seen = [false, false]
  count = 0

  get due(): boolean {
    return this.count >= PAGE_VALUES
  }

  get waitingBytes(): number {
    return this.count
  }

  get heldBytes(): number {
    return this.#values.length
  }

  push(value: unknown): boolean {
    if (typeof value !== 'boolean') return false
    if (this.count === this.#values.length) this.#values = grown(this.#values, new Uint8Array(grownCapacity(this.count, this.count + 1)))
    this.#values[this.count++] = value ? 1 : 0
    return true
  }

  pop(): void {
    this.count--
  }

  page(out: ByteWriter): number {
    const size = Math.ceil(this.count / 8)
    out.reserve(size)
    const bytes = out.bytes
    bytes.fill(0, out.length, out.length + size)
    for (let i = 0; i < this.count; i++) {
      const value = this.#values[i]!
      this.#seen[value] = true
      bytes[out.length + (i >> 3)]! |= value << (i & 7)
    }
    out.length += size
    this.count = 0
    return Encoding.PLAIN
  }

  endGroup(): GroupValues<boolean> {
    const [no, yes] = this.#seen
    this.#seen = [false, false]
    return { bounds: no || yes ? { lower: !no, upper: yes === true } : noBounds() }
  }
}

/** 32-bit integers, and dates as days. `coerce` answers a whole number within 32 bits, or `undefined` to refuse. */
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
 * 64-bit integers, and times as microseconds. They are kept as doubles, which hold whole numbers up to 2^53 exactly and need no
 * allocation; a page in which one is larger is kept and written as bigints.
 */
export class Int64Values implements ColumnValues<number | bigint> {
  readonly #coerce: (value: unknown) => number | bigint | undefined
  #values = new Float64Array(1024)
  /** All that waits, once one of it is beyond 2^53; `undefined` before. */
  #wide: bigint[] | undefined
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

  #widePage(out: ByteWriter, values: bigint[]): number {
    this.#wide = undefined
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

/** Floating point: 8 bytes each, or 4 when `single`. */
export class FloatValues implements ColumnValues<number> {
  readonly #single: boolean
  #values = new Float64Array(1024)
  #bounds: Bounds<number> = noBounds()
  #nanCount = 0
  count = 0

  constructor(single: boolean) {
    this.#single = single
  }

  get due(): boolean {
    return this.count >= PAGE_VALUES
  }

  get waitingBytes(): number {
    return this.count * (this.#single ? 4 : 8)
  }

  get heldBytes(): number {
    return this.#values.byteLength
  }

  push(value: unknown): boolean {
    if (typeof value !== 'number') return false
    const number = this.#single ? Math.fround(value) : value
    // Rounding is what a float is; turning a finite number into infinity is not.
    if (Math.abs(number) === Infinity && Math.abs(value) !== Infinity) return false
    if (this.count === this.#values.length) this.#values = grown(this.#values, new Float64Array(grownCapacity(this.count, this.count + 1)))
    this.#values[this.count++] = number
    return true
  }

  pop(): void {
    this.count--
  }

  page(out: ByteWriter): number {
    const { count } = this
    const size = this.#single ? 4 : 8
    let lower = Infinity
    let upper = -Infinity
    let at = out.length
    out.reserve(count * size)
    for (let i = 0; i < count; i++, at += size) {
      const value = this.#values[i]!
      if (this.#single) out.view.setFloat32(at, value, true)
      else out.view.setFloat64(at, value, true)
      if (value !== value) this.#nanCount++
      if (value < lower) lower = value
      if (value > upper) upper = value
    }
    out.length = at
    // Nothing but NaN leaves the search where it began. Infinities need no case of their own: they equal their start.
    if (lower <= upper) widen(this.#bounds, { lower, upper }, numberBefore)
    this.count = 0
    return Encoding.PLAIN
  }

  endGroup(): GroupValues<number> {
    const { lower, upper } = this.#bounds
    const nanCount = this.#nanCount
    this.#bounds = noBounds()
    this.#nanCount = 0
    // Both zeros are one to the comparison and two to a reader, so a zero bound takes the sign that includes both.
    return { bounds: { lower: lower === 0 ? -0 : lower, upper: upper === 0 ? 0 : upper }, nanCount }
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

function narrow<T extends number | bigint | undefined>(value: T): T | number {
  return typeof value === 'bigint' && value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
}

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

function grown<T extends { set(values: T): void }>(from: T, into: T): T {
  into.set(from)
  return into
}
