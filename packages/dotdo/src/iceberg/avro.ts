/**
 * Avro's object container files, by hand: the libraries for it compile code at run time, which the
 * platform forbids.
 *
 *     file   = "Obj" 1, header, sync, block*
 *     header = a map of text to bytes: avro.schema (JSON), avro.codec, and the file's own keys
 *     block  = number of records, length in bytes, the records, sync
 *
 * Numbers are zigzag varints; a union is the index of a branch and then its value; a record is its
 * fields one after the other, so nothing in a file can be found without its schema.
 *
 * 1. What is written is checked against its schema first: a value of another type would turn all
 *    that follows into other values.
 * 2. What is read is never trusted: lengths are checked against the bytes that are there before
 *    anything is allocated, schemas are narrowed once, nesting is bounded.
 * 3. A long is never rounded: beyond 2^53 it is a bigint.
 *
 * A file is made and read in memory. That is bounded by what it is for: a manifest of 10,000 files,
 * the most of one commit here, is about 5 MB.
 */
import { DotdoError } from '../base/errors.ts'
import type { AvroRecord, AvroType, AvroValue } from './avro-schema.ts'
import { ByteSink } from './byte-sink.ts'

/** What an Avro file is made with. */
export interface AvroWriteOptions {
  /** The file's own key-value metadata, such as Iceberg's `partition-spec`. */
  metadata?: Record<string, string>
  /** 16 random bytes, which part the blocks. */
  sync: Uint8Array
  /** Raw deflate (RFC 1951, no header); without it the blocks stand as they are. */
  deflate?(bytes: Uint8Array): Uint8Array
}

/** What came out of an Avro file. */
export interface AvroFile {
  metadata: Record<string, string>
  schema: AvroType
  records: AvroValue[]
}

/** Records of a block: a reader holds one block at a time. */
const BLOCK_RECORDS = 1_000
/** The deepest schema that is read. */
const MAX_DEPTH = 32
const MAGIC = Uint8Array.of(0x4f, 0x62, 0x6a, 1)
// Stateless: `decode` without `stream` begins anew each time.
const decoder = new TextDecoder('utf-8', { fatal: true })
const encoder = new TextEncoder()

/**
 * An Avro object container file (specification 1.12.0, "Object Container Files").
 *
 * @throws `AVRO_VALUE` for a value that its schema does not hold, with the path to it
 */
export function writeAvro(schema: AvroRecord, records: readonly AvroValue[], options: AvroWriteOptions): Uint8Array {
  const out = new ByteSink()
  out.bytes(MAGIC)
  // The codec is always named: some readers do not know that its absence means null.
  const metadata = { 'avro.schema': JSON.stringify(schema), 'avro.codec': options.deflate ? 'deflate' : 'null', ...options.metadata }
  // The header is a map of text to bytes, in one block, ended by a block of none.
  const entries = Object.entries(metadata)
  out.varint(entries.length)
  for (const [key, value] of entries) {
    writeValue(out, 'string', key, 'metadata')
    // The header's values are bytes by the specification; ours are text.
    writeValue(out, 'string', value, 'metadata')
  }
  out.varint(0)
  out.bytes(options.sync)
  for (let start = 0; start < records.length; start += BLOCK_RECORDS) {
    const end = Math.min(start + BLOCK_RECORDS, records.length)
    const block = new ByteSink()
    for (let i = start; i < end; i++) writeValue(block, schema, records[i]!, `record ${i}`)
    const bytes = options.deflate ? options.deflate(block.take()) : block.take()
    out.varint(end - start)
    out.varint(bytes.length)
    out.bytes(bytes)
    out.bytes(options.sync)
  }
  return out.take()
}

/**
 * Reads an Avro object container file by the schema it carries.
 *
 * @param inflate raw inflate, for files of the deflate codec
 * @throws `AVRO_MALFORMED` for bytes that are none, `AVRO_UNSUPPORTED` for codecs and types outside of what manifests use
 */
export function readAvro(bytes: Uint8Array, inflate?: (bytes: Uint8Array) => Uint8Array): AvroFile {
  const source = new Source(bytes)
  for (const byte of MAGIC) if (source.byte() !== byte) throw malformed('it does not start with Obj and 1')
  const metadata: Record<string, string> = {}
  source.blocks(() => {
    const key = source.text()
    metadata[key] = source.text()
  })
  const schema = parseSchema(metadata['avro.schema'])
  const codec = metadata['avro.codec'] ?? 'null'
  if (codec !== 'null' && !(codec === 'deflate' && inflate)) throw unsupported(`the codec ${codec}`)
  const sync = source.take(16)
  const records: AvroValue[] = []
  while (!source.done) {
    const count = source.length()
    let block = source.take(source.length())
    const mark = source.take(16)
    if (mark.some((byte, i) => byte !== sync[i])) throw malformed('the marker after a block differs')
    if (codec === 'deflate') block = inflate!(block)
    const reader = new Source(block)
    // Even an empty record is refused beyond a block's bytes: a count alone must not make memory.
    if (count > block.length) throw malformed(`a block of ${block.length} bytes claims ${count} records`)
    for (let i = 0; i < count; i++) records.push(readValue(reader, schema))
    if (!reader.done) throw malformed('a block is longer than its records')
  }
  return { metadata, schema, records }
}

/**
 * Writes one value by its type. The checks are the writer's own proof: a manifest that holds a value of
 * another type would be read as other values, all the way to its end.
 */
function writeValue(out: ByteSink, type: AvroType, value: AvroValue | undefined, path: string): void {
  if (typeof type === 'object' && 'length' in type) return writeUnion(out, type, value, path)
  const kind = typeof type === 'string' ? type : type.type
  if (kind === 'null' && value === null) return
  if (kind === 'boolean' && typeof value === 'boolean') return out.byte(value ? 1 : 0)
  if (kind === 'int' && typeof value === 'number' && (value | 0) === value) return out.varint(value)
  if (kind === 'long' && typeof value === 'number' && Number.isSafeInteger(value)) return out.varint(value)
  if (kind === 'long' && typeof value === 'bigint' && BigInt.asIntN(64, value) === value) return out.varint(value)
  if (kind === 'float' && typeof value === 'number') return out.float32(value)
  if (kind === 'double' && typeof value === 'number') return out.float64(value)
  if (kind === 'bytes' && value instanceof Uint8Array) {
    out.varint(value.length)
    return out.bytes(value)
  }
  if (kind === 'string' && typeof value === 'string') {
    const bytes = encoder.encode(value)
    out.varint(bytes.length)
    return out.bytes(bytes)
  }
  if (typeof type === 'object') {
    if (type.type === 'fixed' && value instanceof Uint8Array && value.length === type.size) return out.bytes(value)
    if (type.type === 'record' && isFields(value)) {
      for (const field of type.fields) writeValue(out, field.type, value[field.name], `${path}.${field.name}`)
      return
    }
    if (type.type === 'array' && Array.isArray(value)) {
      // One block with its count, then the block of none that ends an array.
      if (value.length > 0) out.varint(value.length)
      for (let i = 0; i < value.length; i++) writeValue(out, type.items, value[i]!, `${path}[${i}]`)
      return out.varint(0)
    }
    if (type.type === 'map' && isFields(value)) {
      const entries = Object.entries(value)
      if (entries.length > 0) out.varint(entries.length)
      for (const [key, item] of entries) {
        writeValue(out, 'string', key, path)
        writeValue(out, type.values, item, `${path}.${key}`)
      }
      return out.varint(0)
    }
  }
  throw new DotdoError(
    'AVRO_VALUE',
    `${path} is ${value === undefined ? 'absent' : typeof value}, and its Avro type is ${kind}. This is a fault of the writer, not of the data.`,
    {
      data: { path, type: kind },
    },
  )
}

/** A value goes to the first branch that it can be: null to `null`, anything else to the other one. */
function writeUnion(out: ByteSink, branches: readonly AvroType[], value: AvroValue | undefined, path: string): void {
  const absent = value === null || value === undefined
  const index = branches.findIndex((branch) => (branch === 'null') === absent)
  if (index < 0)
    throw new DotdoError('AVRO_VALUE', `${path} is ${absent ? 'null' : typeof value}, which none of its Avro types holds.`, {
      data: { path },
    })
  out.varint(index)
  writeValue(out, branches[index]!, value ?? null, path)
}

/** `type` has passed {@link checkType}. */
function readValue(source: Source, type: AvroType): AvroValue {
  if (typeof type === 'object' && 'length' in type) {
    const branch = type[source.length()]
    if (branch === undefined) throw malformed('a union has fewer branches than a value says')
    return readValue(source, branch)
  }
  const kind = typeof type === 'string' ? type : type.type
  if (kind === 'null') return null
  if (kind === 'boolean') return source.byte() === 1
  if (kind === 'int' || kind === 'long') return source.varint()
  if (kind === 'float') return source.view(4).getFloat32(0, true)
  if (kind === 'double') return source.view(8).getFloat64(0, true)
  if (kind === 'bytes') return source.take(source.length()).slice()
  if (kind === 'string') return source.text()
  if (typeof type === 'object') {
    if (type.type === 'fixed') return source.take(type.size).slice()
    if (type.type === 'record') {
      const record: Record<string, AvroValue> = {}
      for (const field of type.fields) record[field.name] = readValue(source, field.type)
      return record
    }
    if (type.type === 'array') {
      const items: AvroValue[] = []
      source.blocks(() => items.push(readValue(source, type.items)))
      return items
    }
    if (type.type === 'map') {
      const map: Record<string, AvroValue> = {}
      source.blocks(() => {
        const key = source.text()
        map[key] = readValue(source, type.values)
      })
      return map
    }
  }
  throw unsupported(`the type ${JSON.stringify(kind)}`)
}

/** The bytes still to be read. Every length is checked against what is there before anything is allocated by it. */
class Source {
  #bytes: Uint8Array
  #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** The next byte. @throws `AVRO_MALFORMED` at the end, as every read here */
  byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw malformed('it ends in the middle of a value')
    return byte
  }

  /** The next bytes, as a view: copied by whoever keeps them. */
  take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw malformed('it ends in the middle of a value')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  /** The next bytes, to be read as a number. */
  view(length: number): DataView {
    const at = this.#view.byteOffset + this.#at
    this.take(length)
    return new DataView(this.#view.buffer, at, length)
  }

  /** A text: its length in bytes, then UTF-8. What is not UTF-8 is refused, never replaced. */
  text(): string {
    const bytes = this.take(this.length())
    try {
      return decoder.decode(bytes)
    } catch (cause) {
      throw malformed('a text is not UTF-8', cause)
    }
  }

  /** A zigzag varint: a number where that is exact, else a bigint. */
  varint(): number | bigint {
    // Four bytes hold 28 bits, which JavaScript's integer operations take. Longer ones go on as a bigint.
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte()
      low |= (byte & 0x7f) << shift
      if (byte < 0x80) return (low >>> 1) ^ -(low & 1)
    }
    let wide = BigInt(low)
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.byte()
      wide |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) {
        const value = BigInt.asIntN(64, (wide >> 1n) ^ -(wide & 1n))
        const number = Number(value)
        return Number.isSafeInteger(number) ? number : value
      }
    }
    throw malformed('a number is longer than 64 bits')
  }

  /** A varint that counts something: whole, not negative. */
  length(): number {
    const value = this.varint()
    if (typeof value !== 'number' || value < 0) throw malformed(`a length is ${value}`)
    return value
  }

  /** Avro's blocks of arrays and maps: counted items until a count of zero; a negative count also tells the bytes. */
  blocks(item: () => void): void {
    for (;;) {
      let count = this.varint()
      if (count === 0) return
      if (typeof count === 'number' && count < 0) {
        count = -count
        this.length()
      }
      if (typeof count !== 'number' || count > this.#bytes.length - this.#at) throw malformed(`a block claims ${count} items`)
      for (let i = 0; i < count; i++) item()
    }
  }
}

/** The schema in a file's header. */
function parseSchema(text: string | undefined): AvroType {
  if (text === undefined) throw malformed('it carries no schema')
  let schema: unknown
  try {
    schema = JSON.parse(text)
  } catch (cause) {
    throw malformed('its schema is no JSON', cause)
  }
  return checkType(schema, 0)
}

const primitives = new Set<unknown>(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'])

/** A schema off the wire, narrowed: what passes is an {@link AvroType} all the way down, so that reading need not look again. */
function checkType(type: unknown, depth: number): AvroType {
  if (depth > MAX_DEPTH) throw unsupported(`a schema nested deeper than ${MAX_DEPTH}`)
  if (primitives.has(type)) return type as AvroType
  if (Array.isArray(type)) {
    for (const branch of type) checkType(branch, depth + 1)
    return type as readonly AvroType[]
  }
  if (typeof type !== 'object' || type === null || !('type' in type))
    throw unsupported(`the type ${String(JSON.stringify(type)).slice(0, 60)}`)
  if (primitives.has(type.type)) return type as AvroType
  if (type.type === 'fixed' && 'size' in type && Number.isSafeInteger(type.size) && Number(type.size) >= 0) return type as AvroType
  if (type.type === 'array' && 'items' in type) checkType(type.items, depth + 1)
  else if (type.type === 'map' && 'values' in type) checkType(type.values, depth + 1)
  else if (type.type === 'record' && 'fields' in type && Array.isArray(type.fields)) {
    for (const field of type.fields as { name?: unknown; type?: unknown }[]) {
      if (typeof field?.name !== 'string') throw malformed('a field of its schema has no name')
      checkType(field.type, depth + 1)
    }
  } else throw unsupported(`the type ${String(JSON.stringify(type)).slice(0, 60)}`)
  return type as AvroType
}

/** Whether a value can be a record or a map. */
function isFields(value: AvroValue | undefined): value is Record<string, AvroValue> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
}

/** Bytes that are no Avro file, or a damaged one. */
function malformed(why: string, cause?: unknown): DotdoError {
  return new DotdoError('AVRO_MALFORMED', `This is no readable Avro file: ${why}. Restore the file from a copy, or roll the table back.`, {
    data: { why },
    cause,
  })
}

/** Sound Avro that manifests do not use. */
function unsupported(what: string): DotdoError {
  return new DotdoError(
    'AVRO_UNSUPPORTED',
    `This Avro file uses ${what}, which is not read here. Rewrite it with null or deflate blocks and plain types.`,
    { data: { what } },
  )
}
