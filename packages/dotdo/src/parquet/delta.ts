import type { ByteWriter } from './bytes.ts'
import { malformed, unsupported } from './format.ts'

// DELTA_BINARY_PACKED (https://parquet.apache.org/docs/file-format/data-pages/encodings/#DELTAENC): blocks of 128 differences, each less the
// smallest of its block, in four miniblocks of 32 that are packed with the fewest bits. All arithmetic is on doubles, which are
// exact up to 2^53; who calls keeps its values within the ranges below and writes PLAIN otherwise.

const BLOCK = 128
const MINIBLOCKS = 4
const MINIBLOCK = BLOCK / MINIBLOCKS

/** The widest spread (largest less smallest) of a page of INT64: a difference less the smallest difference then stays within 2^53. */
export const MAX_SPREAD_INT64 = 2 ** 52

/** The widest spread of a page of INT32: some readers refuse packed values of more than 32 bits there. */
export const MAX_SPREAD_INT32 = 2 ** 31 - 1

/**
 * Writes the first `count` of `values`, whole numbers of magnitude up to 2^53 with a spread within the limit of their type. An
 * empty page is a header alone.
 */
export function writeDelta(out: ByteWriter, values: Float64Array | Int32Array | Uint32Array, count: number): void {
  out.varint(BLOCK)
  out.varint(MINIBLOCKS)
  out.varint(count)
  out.zigzag(count === 0 ? 0 : values[0]!)
  const deltas = new Float64Array(BLOCK)
  for (let start = 1; start < count; start += BLOCK) {
    const filled = Math.min(BLOCK, count - start)
    let previous = values[start - 1]!
    let smallest = Infinity
    for (let i = 0; i < filled; i++) {
      const value = values[start + i]!
      const delta = value - previous
      deltas[i] = delta
      if (delta < smallest) smallest = delta
      previous = value
    }
    writeBlock(out, deltas, filled, smallest)
  }
}

/**
 * One block: its smallest difference, the width of each miniblock, and the miniblocks. The differences are replaced by what is packed:
 * each less the smallest, so that all are zero or more.
 */
function writeBlock(out: ByteWriter, deltas: Float64Array, filled: number, smallest: number): void {
  // Values past the end count as the smallest difference, which packs as zero.
  deltas.fill(smallest, filled)
  out.zigzag(smallest)
  out.reserve(MINIBLOCKS + BLOCK * 8)
  const widths = out.length
  // The widths stand in front of the miniblocks, and are known one by one.
  out.length += MINIBLOCKS
  for (let mini = 0; mini < MINIBLOCKS; mini++) {
    const start = mini * MINIBLOCK
    let largest = 0
    for (let i = start; i < start + MINIBLOCK; i++) {
      const packed = deltas[i]! - smallest
      deltas[i] = packed
      if (packed > largest) largest = packed
    }
    const width = bitsOf(largest)
    out.bytes[widths + mini] = width
    if (width > 0) packMiniblock(out, deltas, start, width)
  }
}

/** 32 values of any width fill whole 32-bit words, so the packer writes words and ends even. Room is reserved by the caller. */
function packMiniblock(out: ByteWriter, values: Float64Array, start: number, width: number): void {
  const view = out.view
  let at = out.length
  let held = 0
  let bits = 0
  const lowWidth = Math.min(width, 32)
  for (let i = start; i < start + MINIBLOCK; i++) {
    const value = values[i]!
    const low = value >>> 0
    held |= low << bits
    bits += lowWidth
    if (bits >= 32) {
      view.setInt32(at, held, true)
      at += 4
      bits -= 32
      // A shift by 32 is a shift by 0 here, so the case of nothing left over is its own.
      held = bits === 0 ? 0 : low >>> (lowWidth - bits)
    }
    if (width <= 32) continue
    const high = (value - low) / 0x1_0000_0000
    held |= high << bits
    bits += width - 32
    if (bits >= 32) {
      view.setInt32(at, held, true)
      at += 4
      bits -= 32
      held = bits === 0 ? 0 : high >>> (width - 32 - bits)
    }
  }
  out.length = at
}

/** How many bits a whole number from 0 to 2^53 takes. */
export function bitsOf(value: number): number {
  return value < 0x1_0000_0000 ? 32 - Math.clz32(value) : 64 - Math.clz32(Math.floor(value / 0x1_0000_0000))
}

/**
 * Reads a page of `count` values at `bytes[offset..end)`.
 *
 * @returns the values and the offset behind them
 * @throws `PARQUET_MALFORMED` where the page contradicts itself, `PARQUET_UNSUPPORTED` for values beyond 2^53 (which are never written so
 *   here) and for block shapes that no known writer uses
 */
export function readDelta(bytes: Uint8Array, offset: number, end: number, count: number): { values: Float64Array; end: number } {
  const input = new DeltaInput(bytes, offset, end)
  const block = input.varint()
  const miniblocks = input.varint()
  const total = input.varint()
  const perMini = block / miniblocks
  if (block === 0 || block > 65_536 || !Number.isInteger(perMini) || perMini % 32 !== 0) {
    throw unsupported(`blocks of ${block} differences in ${miniblocks} parts`, { block, miniblocks })
  }
  if (total !== count) throw malformed(`a page of ${count} values holds ${total} differences`, { count, total })
  const values = new Float64Array(count)
  let value = input.zigzag()
  let filled = 0
  if (count > 0) values[filled++] = value
  while (filled < count) {
    const smallest = input.zigzag()
    const widths = input.take(miniblocks)
    for (let mini = 0; mini < miniblocks && filled < count; mini++) {
      const width = widths[mini]!
      if (width > 54) throw unsupported(`differences of ${width} bits`, { width })
      const packed = input.take((perMini / 8) * width)
      const stop = Math.min(count, filled + perMini)
      if (width <= 24) {
        // The common case, in 32-bit arithmetic.
        const mask = 2 ** width - 1
        for (let at = 0, held = 0, bits = 0; filled < stop; bits -= width, held >>>= width) {
          for (; bits < width; bits += 8) held |= packed[at++]! << bits
          value += smallest + (held & mask)
          values[filled++] = value
        }
      }
      for (let bit = 0; filled < stop; bit += width) {
        value += smallest + unpackAt(packed, bit, width)
        values[filled++] = value
      }
      if (!(Math.abs(value) <= Number.MAX_SAFE_INTEGER)) throw unsupported('differences that lead beyond 2^53')
    }
  }
  return { values, end: input.at }
}

/** The `width` bits (0 to 54) at a bit offset. A byte is the step: a width has no fixed place in a word. */
function unpackAt(packed: Uint8Array, bit: number, width: number): number {
  let at = bit >>> 3
  const skip = bit & 7
  let taken = 8 - skip
  if (width <= taken) return (packed[at]! >>> skip) & (2 ** width - 1)
  let value = packed[at++]! >>> skip
  while (taken + 8 <= width) {
    value += packed[at++]! * 2 ** taken
    taken += 8
  }
  return taken < width ? value + (packed[at]! & (2 ** (width - taken) - 1)) * 2 ** taken : value
}

/** Reads the numbers and the miniblocks of a page, and never beyond its end. */
class DeltaInput {
  readonly #bytes: Uint8Array
  readonly #end: number
  at: number

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes
    this.at = at
    this.#end = end
  }

  varint(): number {
    const value = this.#long()
    // What is counted here fits 32 bits; the bound keeps a forged count from becoming an allocation.
    if (value > 0xffff_ffffn) throw malformed(`a page header claims ${value} values`)
    return Number(value)
  }

  zigzag(): number {
    const value = this.#long()
    const number = Number(BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n)))
    if (!Number.isSafeInteger(number)) throw unsupported('differences beyond 2^53')
    return number
  }

  take(size: number): Uint8Array {
    if (this.at + size > this.#end)
      throw malformed(`a block of ${size} bytes begins ${this.#end - this.at} bytes before the end of its page`, { size })
    this.at += size
    return this.#bytes.subarray(this.at - size, this.at)
  }

  // Once or twice a block of 128, so a bigint costs little here.
  #long(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.take(1)[0]!
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw malformed('a number in a page is longer than 10 bytes')
  }
}
