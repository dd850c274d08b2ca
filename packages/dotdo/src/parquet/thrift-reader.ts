import { malformed } from './format.ts'
import { Compact } from './thrift.ts'

/** Structs nest as deep as this and no deeper: a damaged file must not exhaust the stack. Parquet's own depth is 6. */
const MAX_DEPTH = 32

/** What a field can hold once it is read. An integer beyond 2^53 is a bigint: nothing that Parquet counts is that large. */
export type ThriftValue = boolean | number | bigint | Uint8Array | ThriftValue[] | Struct

/**
 * A struct that was read, by field id. Its getters throw `PARQUET_MALFORMED`, naming the field, where a value is missing or of
 * another type; with a default they give that for a missing one.
 */
export class Struct {
  readonly #fields = new Map<number, ThriftValue>()

  /** Used by the reader below. */
  set(id: number, value: ThriftValue): void {
    this.#fields.set(id, value)
  }

  /** Whether the field is there. */
  has(id: number): boolean {
    return this.#fields.has(id)
  }

  /** A whole number of magnitude up to 2^53. */
  number(id: number, name: string, missing?: number): number {
    const value = this.#fields.get(id) ?? missing
    if (typeof value !== 'number') throw malformed(`${name} is not a number that can be`, { field: name })
    return value
  }

  /** A whole number from 0 to `most`. */
  count(id: number, name: string, most: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.number(id, name)
    if (value < 0 || value > most) throw malformed(`${name} is ${value}, outside of 0 to ${most}`, { field: name, value, most })
    return value
  }

  /** A boolean. */
  flag(id: number, name: string, missing?: boolean): boolean {
    const value = this.#fields.get(id) ?? missing
    if (typeof value !== 'boolean') throw malformed(`${name} is not a boolean`, { field: name })
    return value
  }

  /** Bytes: a view into what was read. */
  bytes(id: number, name: string): Uint8Array {
    const value = this.#fields.get(id)
    if (!(value instanceof Uint8Array)) throw malformed(`${name} is not bytes`, { field: name })
    return value
  }

  /** Text of UTF-8. */
  text(id: number, name: string): string {
    return utf8(this.bytes(id, name), name)
  }

  /** A struct. */
  struct(id: number, name: string): Struct {
    return asStruct(this.#fields.get(id), name)
  }

  /** A list of structs. */
  structs(id: number, name: string): Struct[] {
    return this.#list(id, name).map((item) => asStruct(item, name))
  }

  /** A list of texts. */
  texts(id: number, name: string): string[] {
    return this.#list(id, name).map((item) => {
      if (!(item instanceof Uint8Array)) throw malformed(`${name} is not a list of texts`, { field: name })
      return utf8(item, name)
    })
  }

  /** A list of numbers. */
  numbers(id: number, name: string): number[] {
    return this.#list(id, name).map((item) => {
      if (typeof item !== 'number') throw malformed(`${name} is not a list of numbers`, { field: name })
      return item
    })
  }

  #list(id: number, name: string): ThriftValue[] {
    const value = this.#fields.get(id)
    if (!Array.isArray(value)) throw malformed(`${name} is not a list`, { field: name })
    return value
  }
}

/**
 * Reads one struct that begins at `offset`. Every loop consumes at least one byte a turn and every allocation is at most as large as the
 * bytes that are left, so that damaged input ends with an error, in time linear in its length.
 *
 * @returns the struct and the offset behind it
 * @throws `PARQUET_MALFORMED`
 */
export function readStruct(bytes: Uint8Array, offset: number): { struct: Struct; end: number } {
  const input = new Input(bytes, offset)
  return { struct: input.struct(0), end: input.at }
}

/** The bytes of a header and how far they are read. Every method moves forward, or throws. */
class Input {
  readonly #bytes: Uint8Array
  at: number

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  struct(depth: number): Struct {
    if (depth > MAX_DEPTH) throw malformed(`a header nests deeper than ${MAX_DEPTH} structs`)
    const struct = new Struct()
    let last = 0
    for (;;) {
      const head = this.#u8()
      if (head === 0) return struct
      const step = head >> 4
      const id = step === 0 ? Number(this.#zigzag()) : last + step
      last = id
      const type = head & 15
      struct.set(id, type === Compact.TRUE ? true : type === Compact.FALSE ? false : this.#value(type, depth))
    }
  }

  #value(type: number, depth: number): ThriftValue {
    switch (type) {
      // Inside a list a boolean is a byte of its own.
      case Compact.TRUE:
      case Compact.FALSE:
        return this.#u8() === Compact.TRUE
      case Compact.I8:
        return (this.#u8() << 24) >> 24
      case Compact.I16:
      case Compact.I32:
      case Compact.I64:
        return this.#zigzag()
      case Compact.DOUBLE:
        this.#take(8)
        return Number.NaN
      case Compact.BINARY:
        return this.#take(Number(this.#varint()))
      case Compact.LIST:
      case Compact.SET:
        return this.#list(depth)
      case Compact.STRUCT:
        return this.struct(depth + 1)
      default:
        throw malformed(`a header holds the unknown type ${type}`, { type })
    }
  }

  #list(depth: number): ThriftValue[] {
    if (depth > MAX_DEPTH) throw malformed(`a header nests deeper than ${MAX_DEPTH} lists`)
    const head = this.#u8()
    const size = head >> 4 === 15 ? Number(this.#varint()) : head >> 4
    // Each item takes a byte at least, so this bounds what a forged size can make us do.
    if (size > this.#bytes.length - this.at)
      throw malformed(`a list claims ${size} items and ${this.#bytes.length - this.at} bytes are left`, { size })
    const items: ThriftValue[] = []
    for (let i = 0; i < size; i++) items.push(this.#value(head & 15, depth + 1))
    return items
  }

  #zigzag(): number | bigint {
    const value = this.#varint()
    if (typeof value === 'number') return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    const wide = BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n))
    const narrow = Number(wide)
    return Number.isSafeInteger(narrow) ? narrow : wide
  }

  /** An unsigned number of up to 64 bits; what a double does not hold exactly is a bigint. */
  #varint(): number | bigint {
    let value = 0
    let wide = 0n
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#u8()
      if (shift < 49) value += (byte & 0x7f) * 2 ** shift
      else wide |= BigInt(byte & 0x7f) << BigInt(shift)
      if (byte < 0x80) return wide === 0n ? value : BigInt(value) | wide
    }
    throw malformed('a number in a header is longer than 10 bytes')
  }

  #u8(): number {
    const byte = this.#bytes[this.at++]
    if (byte === undefined) throw malformed('a header ends in the middle')
    return byte
  }

  /** The next bytes, as a view. `!` and `<=` in place of `>`: a size that is NaN is refused too. */
  #take(size: number): Uint8Array {
    if (!(size <= this.#bytes.length - this.at))
      throw malformed(`a header claims ${size} bytes and ${this.#bytes.length - this.at} are left`, { size })
    const taken = this.#bytes.subarray(this.at, this.at + size)
    this.at += size
    return taken
  }
}

function asStruct(value: ThriftValue | undefined, name: string): Struct {
  if (!(value instanceof Struct)) throw malformed(`${name} is not a struct`, { field: name })
  return value
}

function utf8(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw malformed(`${name} is not UTF-8`, { field: name }, cause)
  }
}
