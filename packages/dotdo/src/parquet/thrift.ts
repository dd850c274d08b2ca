import type { ByteWriter } from './bytes.ts'

/** The types of Thrift's compact protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md). */
export const Compact = { TRUE: 1, FALSE: 2, I8: 3, I16: 4, I32: 5, I64: 6, DOUBLE: 7, BINARY: 8, LIST: 9, SET: 10, STRUCT: 12 } as const

/** Writes one struct. Fields must be written in the order of their ids. Numbers are whole, of magnitude up to 2^53. */
export class StructWriter {
  readonly #out: ByteWriter
  readonly #text = new TextEncoder()
  #last = 0

  constructor(out: ByteWriter) {
    this.#out = out
  }

  /** A boolean: its value is the type of its field, and it has no bytes of its own. */
  bool(id: number, value: boolean): void {
    this.#field(id, value ? Compact.TRUE : Compact.FALSE)
  }

  /** A number of 8 bits: the one that is no varint. */
  i8(id: number, value: number): void {
    this.#field(id, Compact.I8)
    this.#out.u8(value)
  }

  /** A number of 16 bits. */
  i16(id: number, value: number): void {
    this.#field(id, Compact.I16)
    this.#out.zigzag(value)
  }

  /** A number of 32 bits, and enums. */
  i32(id: number, value: number): void {
    this.#field(id, Compact.I32)
    this.#out.zigzag(value)
  }

  /** A number of 64 bits, of which 2^53 can be given. */
  i64(id: number, value: number): void {
    this.#field(id, Compact.I64)
    this.#out.zigzag(value)
  }

  /** Bytes behind their length. */
  binary(id: number, bytes: Uint8Array): void {
    this.#field(id, Compact.BINARY)
    this.#bytes(bytes)
  }

  /** Text, as the bytes of its UTF-8. */
  text(id: number, text: string): void {
    this.binary(id, this.#text.encode(text))
  }

  /** A struct; `write` gives its fields. */
  struct(id: number, write: (fields: StructWriter) => void): void {
    this.#field(id, Compact.STRUCT)
    this.#nested(write)
  }

  /** A list of structs, one for each item. */
  structs<T>(id: number, items: readonly T[], write: (fields: StructWriter, item: T, index: number) => void): void {
    this.#list(id, Compact.STRUCT, items.length)
    items.forEach((item, index) => this.#nested((fields) => write(fields, item, index)))
  }

  /** A list of numbers. */
  i32s(id: number, values: readonly number[]): void {
    this.#list(id, Compact.I32, values.length)
    for (const value of values) this.#out.zigzag(value)
  }

  /** A list of texts. */
  texts(id: number, texts: readonly string[]): void {
    this.#list(id, Compact.BINARY, texts.length)
    for (const text of texts) this.#bytes(this.#text.encode(text))
  }

  /** Ends the outermost struct. Nested ones end by themselves. */
  end(): void {
    this.#out.u8(0)
  }

  /** Field ids are written as steps from the one before, and each struct counts from zero. */
  #nested(write: (fields: StructWriter) => void): void {
    const outer = this.#last
    this.#last = 0
    write(this)
    this.end()
    this.#last = outer
  }

  /** A small step and the type share a byte; a large one is followed by the id itself. */
  #field(id: number, type: number): void {
    const step = id - this.#last
    if (step > 0 && step < 16) this.#out.u8((step << 4) | type)
    else {
      this.#out.u8(type)
      this.#out.zigzag(id)
    }
    this.#last = id
  }

  /** A short size shares a byte with the type of the items. */
  #list(id: number, type: number, size: number): void {
    this.#field(id, Compact.LIST)
    if (size < 15) this.#out.u8((size << 4) | type)
    else {
      this.#out.u8(0xf0 | type)
      this.#out.varint(size)
    }
  }

  #bytes(bytes: Uint8Array): void {
    this.#out.varint(bytes.length)
    this.#out.raw(bytes)
  }
}
