/**
 * Bytes that grow: the buffer doubles, so that writing n bytes copies less than 2n, and `take` gives
 * what was written. One sink makes one value or one block of a file.
 */
export class ByteSink {
  #bytes = new Uint8Array(1024)
  #view = new DataView(this.#bytes.buffer)
  #at = 0

  /** One byte, 0 to 255. */
  byte(byte: number): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = byte
  }

  /** Bytes as they are, without a length before them. They are copied. */
  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** Four bytes, little endian, as all of Avro and Iceberg. */
  float32(value: number): void {
    this.#reserve(4)
    this.#view.setFloat32(this.#at, value, true)
    this.#at += 4
  }

  /** Eight bytes, little endian. */
  float64(value: number): void {
    this.#reserve(8)
    this.#view.setFloat64(this.#at, value, true)
    this.#at += 8
  }

  /** A zigzag varint, as Avro writes `int` and `long`. */
  varint(value: number | bigint): void {
    this.#reserve(10)
    // Nearly every number of a manifest is short; the rest goes by bigint, which is exact to 64 bits.
    if (typeof value === 'number' && value >= -0x40000000 && value < 0x40000000) {
      let small = ((value << 1) ^ (value >> 31)) >>> 0
      while (small > 0x7f) {
        this.#bytes[this.#at++] = (small & 0x7f) | 0x80
        small >>>= 7
      }
      this.#bytes[this.#at++] = small
      return
    }
    const wide = BigInt(value)
    let rest = BigInt.asUintN(64, (wide << 1n) ^ (wide >> 63n))
    while (rest > 0x7fn) {
      this.#bytes[this.#at++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.#bytes[this.#at++] = Number(rest)
  }

  /** What was written, as a view of the buffer. The sink is not used after. */
  take(): Uint8Array {
    return this.#bytes.subarray(0, this.#at)
  }

  /** Makes room for `count` more bytes. What was given out by `take` keeps the old buffer. */
  #reserve(count: number): void {
    if (this.#at + count <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + count))
    grown.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = grown
    this.#view = new DataView(grown.buffer)
  }
}
