import { noBounds, numberBefore, widen, type Bounds } from './bounds.ts'
import type { ByteWriter } from './bytes.ts'
import { Encoding } from './format.ts'
import { grown, grownCapacity, PAGE_VALUES, type ColumnValues, type GroupValues } from './values.ts'

/**
 * Booleans, one bit each, the first in the lowest bit. (Runs would be smaller still, but readers that take them for booleans are fewer,
 * and zstd finds the same repetitions in the bits.)
 */
export class BooleanValues implements ColumnValues<boolean> {
  #values = new Uint8Array(1024)
  /** Whether false, and whether true, occurs in the row group: with two values that is all there is to bounds. */
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
    // Scratch memory holds what an earlier page left there, and bits are only ever added.
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

/**
 * Floating point: 8 bytes each, or 4 when `single`. NaN is counted and kept out of the bounds: it is neither less nor greater than
 * anything, so a bound that is NaN would tell a reader nothing, or something false.
 */
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
