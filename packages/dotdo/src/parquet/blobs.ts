import { bytesBefore, noBounds, widen, type Bounds } from './bounds.ts'
import type { ByteWriter } from './bytes.ts'
import { uuidText, writeUuid } from './coerce.ts'
import { writeDelta } from './delta.ts'
import { Encoding } from './format.ts'
import { grown, grownCapacity, PAGE_BYTES, PAGE_VALUES, type ColumnValues, type GroupValues } from './values.ts'

/** The longest binary value that a column takes, in bytes. */
export const MAX_BINARY_BYTES = 1 << 24

/** The bytes of a UUID. */
const UUID_BYTES = 16

/**
 * Bytes of any length. It owns the bytes of a page, one value behind the other, and their lengths.
 *
 * 1. A value is copied when it is pushed: whoever gave it may write over it the moment after.
 * 2. The first `#used` bytes are those of the first `count` lengths.
 * 3. Bounds are copies too, because the next page writes over this one.
 */
export class BinaryValues implements ColumnValues<Uint8Array> {
  #bytes = new Uint8Array(1024)
  #used = 0
  #lengths = new Uint32Array(1024)
  #bounds: Bounds<Uint8Array> = noBounds()
  count = 0

  get due(): boolean {
    return this.#used >= PAGE_BYTES || this.count >= PAGE_VALUES
  }

  get waitingBytes(): number {
    return this.#used + 4 * this.count
  }

  get heldBytes(): number {
    return this.#bytes.length + this.#lengths.byteLength
  }

  push(value: unknown): boolean {
    if (!(value instanceof Uint8Array) || value.length > MAX_BINARY_BYTES) return false
    // Room first: were the allocation to fail, nothing has changed yet.
    this.#bytes = roomFor(this.#bytes, this.#used, value.length)
    this.#bytes.set(value, this.#used)
    this.#used += value.length
    if (this.count === this.#lengths.length)
      this.#lengths = grown(this.#lengths, new Uint32Array(grownCapacity(this.count, this.count + 1)))
    this.#lengths[this.count++] = value.length
    return true
  }

  /** The bytes stay where they are: the next value is written over them. */
  pop(): void {
    this.#used -= this.#lengths[--this.count]!
  }

  page(out: ByteWriter): number {
    // All lengths come first, so that a reader finds any value without a walk over the others.
    writeDelta(out, this.#lengths, this.count)
    out.raw(this.#bytes.subarray(0, this.#used))
    widenByBytes(this.#bounds, this.#bytes, this.#lengths, this.count)
    this.#used = 0
    this.count = 0
    return Encoding.DELTA_LENGTH_BYTE_ARRAY
  }

  endGroup(): GroupValues<Uint8Array> {
    const bounds = this.#bounds
    this.#bounds = noBounds()
    return { bounds }
  }
}

/**
 * UUIDs: 16 bytes each, without lengths. Their order as bytes is the order of their lower-case text, so bounds are found on the bytes
 * and shown as text.
 */
export class UuidValues implements ColumnValues<string> {
  #bytes = new Uint8Array(1024)
  #bounds: Bounds<Uint8Array> = noBounds()
  count = 0

  get due(): boolean {
    return this.count >= PAGE_VALUES
  }

  get waitingBytes(): number {
    return UUID_BYTES * this.count
  }

  get heldBytes(): number {
    return this.#bytes.length
  }

  push(value: unknown): boolean {
    const at = this.count * UUID_BYTES
    this.#bytes = roomFor(this.#bytes, at, UUID_BYTES)
    if (!writeUuid(value, this.#bytes, at)) return false
    this.count++
    return true
  }

  pop(): void {
    this.count--
  }

  page(out: ByteWriter): number {
    out.raw(this.#bytes.subarray(0, this.count * UUID_BYTES))
    widenByBytes(this.#bounds, this.#bytes, UUID_BYTES, this.count)
    this.count = 0
    return Encoding.PLAIN
  }

  endGroup(): GroupValues<string> {
    const { lower, upper } = this.#bounds
    this.#bounds = noBounds()
    return { bounds: { lower: lower && uuidText(lower), upper: upper && uuidText(upper) } }
  }
}

/** Takes `count` values that lie one behind the other into the bounds. `sizes` is the length of each, or one for all. */
function widenByBytes(bounds: Bounds<Uint8Array>, bytes: Uint8Array, sizes: Uint32Array | number, count: number): void {
  const part: Bounds<Uint8Array> = noBounds()
  let at = 0
  for (let i = 0; i < count; i++) {
    const size = typeof sizes === 'number' ? sizes : sizes[i]!
    const value = bytes.subarray(at, at + size)
    widen(part, { lower: value, upper: value }, bytesBefore)
    at += size
  }
  // The page's memory is written over by the next one, so what outlives the page is a copy.
  if (part.lower && part.upper) widen(bounds, { lower: part.lower.slice(), upper: part.upper.slice() }, bytesBefore)
}

/** The same bytes with room for `extra` more behind the `used` ones, in larger memory where that is needed. */
function roomFor(bytes: Uint8Array<ArrayBuffer>, used: number, extra: number): Uint8Array<ArrayBuffer> {
  if (used + extra <= bytes.length) return bytes
  const grown = new Uint8Array(grownCapacity(bytes.length, used + extra))
  grown.set(bytes.subarray(0, used))
  return grown
}
