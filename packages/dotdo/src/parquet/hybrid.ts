import type { ByteWriter } from './bytes.ts'
import { malformed } from './format.ts'

// Parquet's hybrid of run-length and bit-packed runs (https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE). Levels
// and dictionary codes are stored in it.

/** The widest value that is written here, in bits. With at most 7 bits held over, a value then fits the 32 bits of the packer. */
const MAX_WIDTH = 24

/** A run pays for its header from this many equal values on, which is also the size of a bit-packed group. */
const RUN = 8

/**
 * Writes `values[start..end)` as hybrid runs of `width` bits a value (1 to 24). Equal neighbours become runs; what lies between
 * goes bit-packed in groups of eight.
 */
export function writeHybrid(out: ByteWriter, values: Uint8Array | Uint16Array, start: number, end: number, width: number): void {
  if (width < 1 || width > MAX_WIDTH) throw new RangeError(`hybrid runs are written with 1 to ${MAX_WIDTH} bits, not ${width}`)
  let literals = start
  let at = start
  while (at < end) {
    const value = values[at]!
    let runEnd = at + 1
    while (runEnd < end && values[runEnd] === value) runEnd++
    // Only the last bit-packed group may be padded, so a run first fills up the group that stands open before it.
    const filler = (RUN - ((at - literals) % RUN)) % RUN
    if (runEnd - at - filler >= RUN) {
      writePacked(out, values, literals, at + filler, width)
      writeRun(out, value, runEnd - at - filler, width)
      literals = runEnd
    }
    at = runEnd
  }
  writePacked(out, values, literals, end, width)
}

/** Writes `count` times the one `value` (of at most 24 bits). */
export function writeRun(out: ByteWriter, value: number, count: number, width: number): void {
  out.varint(count * 2)
  for (let shift = 0; shift < width; shift += 8) out.u8((value >>> shift) & 0xff)
}

/** Values in groups of eight, lowest bits first. The last group of a page may hold fewer and is filled up with zeros. */
function writePacked(out: ByteWriter, values: Uint8Array | Uint16Array, start: number, end: number, width: number): void {
  if (start === end) return
  const groups = Math.ceil((end - start) / RUN)
  out.varint(groups * 2 + 1)
  out.reserve(groups * width + 1)
  const bytes = out.bytes
  let at = out.length
  let held = 0
  let bits = 0
  for (let i = start; i < end; i++) {
    held |= values[i]! << bits
    bits += width
    while (bits >= 8) {
      bytes[at++] = held
      held >>>= 8
      bits -= 8
    }
  }
  if (bits > 0) bytes[at++] = held
  bytes.fill(0, at, out.length + groups * width)
  out.length += groups * width
}

/**
 * Reads `count` values of `width` bits (0 to 24) into `into`, from `bytes[offset..end)`.
 *
 * @returns the offset behind the last run
 * @throws `PARQUET_MALFORMED` where the bytes end too early or a run is empty; every turn of the loop consumes a byte at least
 */
export function readHybrid(
  bytes: Uint8Array,
  offset: number,
  end: number,
  width: number,
  count: number,
  into: Uint8Array | Uint32Array,
): number {
  if (width > MAX_WIDTH) throw malformed(`runs claim ${width} bits a value`, { width })
  let at = offset
  let filled = 0
  while (filled < count) {
    let header = 0
    let shift = 1
    for (;;) {
      if (at >= end || shift > 2 ** 35) throw malformed(`runs end after ${filled} of ${count} values`, { filled, count })
      const byte = bytes[at++]!
      header += (byte & 0x7f) * shift
      if (byte < 0x80) break
      shift *= 128
    }
    // The lowest bit tells the kind of run; the rest is its number of values, or of groups of eight.
    if (header % 2 === 0) {
      const size = Math.ceil(width / 8)
      if (header === 0 || at + size > end) throw malformed(`a run of ${header / 2} values has no room for its value`)
      let value = 0
      for (let i = 0; i < size; i++) value |= bytes[at++]! << (8 * i)
      const runEnd = Math.min(count, filled + header / 2)
      into.fill(value, filled, runEnd)
      filled = runEnd
      continue
    }
    const groups = (header - 1) / 2
    if (groups === 0 || at + groups * width > end)
      throw malformed(`${groups} groups of packed values do not fit in the ${end - at} bytes that are left`)
    unpack(bytes, at, width, into, filled, Math.min(count, filled + groups * RUN))
    at += groups * width
    filled = Math.min(count, filled + groups * RUN)
  }
  return at
}

/** Unpacks values of one width, with at most 31 bits held at a time. The caller has checked that the bytes are there. */
function unpack(bytes: Uint8Array, offset: number, width: number, into: Uint8Array | Uint32Array, start: number, end: number): void {
  const mask = 2 ** width - 1
  let at = offset
  let held = 0
  let bits = 0
  for (let i = start; i < end; i++) {
    while (bits < width) {
      held |= bytes[at++]! << bits
      bits += 8
    }
    into[i] = held & mask
    held >>>= width
    bits -= width
  }
}
