/**
 * A buffer that grows as it is written. It owns one allocation that is kept across {@link ByteWriter.clear}, so that encoding page
 * after page makes no garbage.
 *
 * 1. `length` bytes of `bytes` are written; the rest is capacity with unknown contents.
 * 2. `view` always covers the whole of `bytes`.
 */
export class ByteWriter {
  bytes: Uint8Array<ArrayBuffer>
  view: DataView<ArrayBuffer>
  length = 0

  /** @param capacity bytes to begin with */
  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Forgets what was written and keeps the memory. */
  clear(): void {
    this.length = 0
  }

  /** Makes room for `extra` more bytes: after it, `bytes` and `view` may be written directly up to `length + extra`. */
  reserve(extra: number): void {
    const needed = this.length + extra
    if (needed <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
    this.view = new DataView(grown.buffer)
  }

  /** One byte. */
  u8(value: number): void {
    this.reserve(1)
    this.bytes[this.length++] = value
  }

  /** Four bytes, little-endian. */
  u32(value: number): void {
    this.reserve(4)
    this.view.setUint32(this.length, value, true)
    this.length += 4
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.bytes.set(bytes, this.length)
    this.length += bytes.length
  }

  /** A non-negative integer below 2^53 as a ULEB128 varint. */
  varint(value: number): void {
    this.reserve(8)
    let rest = value
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.bytes[this.length++] = rest
  }

  /**
   * A whole number of magnitude up to 2^53 as a zigzag varint of 64 bits. Done on two 32-bit halves, because doubling a number of
   * this size would round it.
   */
  zigzag(value: number): void {
    this.reserve(10)
    const low = value | 0
    const high = Math.floor(value / 0x1_0000_0000) | 0
    const sign = high >> 31
    let lowZigzag = ((low << 1) ^ sign) >>> 0
    let highZigzag = (((high << 1) | (low >>> 31)) ^ sign) >>> 0
    while (highZigzag !== 0 || lowZigzag >= 0x80) {
      this.bytes[this.length++] = (lowZigzag & 0x7f) | 0x80
      lowZigzag = ((lowZigzag >>> 7) | (highZigzag << 25)) >>> 0
      highZigzag >>>= 7
    }
    this.bytes[this.length++] = lowZigzag
  }

  /** What was written, as a view into the scratch memory: good until the next write or {@link ByteWriter.clear}. */
  written(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length)
  }

  /** What was written, as a copy that its caller owns. */
  copy(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length)
  }
}
