import { Logical, type ChunkMeta, type ChunkStatistics, type FileMeta, type RowGroupMeta } from './footer.ts'
import { malformed, MAGIC, Physical, unsupported } from './format.ts'
import { MAX_COLUMNS, type Column, type ColumnType } from './schema.ts'
import { readStruct, type Struct } from './thrift-reader.ts'

/** Random access to a file, such as a range read of an object in a bucket. */
export interface ParquetSource {
  sizeBytes: number
  /** Exactly `length` bytes from `offset` on. Never asked for more than the file has. */
  read(offset: number, length: number): Promise<Uint8Array>
}

/** The largest footer that is read: 16 MiB, some hundred row groups of a thousand columns. */
export const MAX_FOOTER_BYTES = 16 << 20

/** Read at the end of a file in one go: the footer of most files fits. */
const TAIL_BYTES = 1 << 16

/** The length of the footer and the magic behind it. */
const TRAILER_BYTES = 8

/**
 * Reads the footer of a file, in one range read or two, and checks that what it says can be: sizes and offsets within the file, counts
 * that add up.
 *
 * @throws `PARQUET_MALFORMED` for bytes that are no sound Parquet file, `PARQUET_UNSUPPORTED` for nested columns and for types that dotdo
 *   does not write. Errors of `read` pass through.
 */
export async function readFooter(source: ParquetSource): Promise<FileMeta> {
  const { sizeBytes } = source
  if (sizeBytes < MAGIC.length + TRAILER_BYTES) throw malformed(`it has ${sizeBytes} bytes`, { sizeBytes })
  let tail = await readExactly(source, Math.max(0, sizeBytes - TAIL_BYTES), Math.min(sizeBytes, TAIL_BYTES))
  const trailer = new DataView(tail.buffer, tail.byteOffset + tail.length - TRAILER_BYTES, TRAILER_BYTES)
  if (MAGIC.some((byte, i) => trailer.getUint8(4 + i) !== byte)) throw malformed('it does not end with PAR1', { sizeBytes })
  const footerBytes = trailer.getUint32(0, true)
  const footerStart = sizeBytes - TRAILER_BYTES - footerBytes
  if (footerStart < MAGIC.length)
    throw malformed(`a footer of ${footerBytes} bytes does not fit into ${sizeBytes}`, { footerBytes, sizeBytes })
  if (footerBytes > MAX_FOOTER_BYTES)
    throw unsupported(`its footer has ${footerBytes} bytes, more than ${MAX_FOOTER_BYTES}`, { footerBytes })
  if (footerBytes + TRAILER_BYTES > tail.length) tail = await readExactly(source, footerStart, footerBytes + TRAILER_BYTES)
  return decodeFooter(tail.subarray(tail.length - TRAILER_BYTES - footerBytes, tail.length - TRAILER_BYTES), footerStart)
}

/** Reads a range and refuses an answer of another length, which would shift everything behind it. */
export async function readExactly(source: ParquetSource, offset: number, length: number): Promise<Uint8Array> {
  const bytes = await source.read(offset, length)
  if (bytes.length !== length)
    throw malformed(`a read of ${length} bytes at ${offset} gave ${bytes.length}`, { offset, length, given: bytes.length })
  return plainBytes(bytes)
}

/** The same bytes as no more than a Uint8Array: the `slice` of Node's Buffer is a view, where we count on a copy. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

/**
 * Decodes the bytes of a footer.
 *
 * @param dataEnd where the footer begins in the file: no page reaches beyond it
 */
export function decodeFooter(bytes: Uint8Array, dataEnd: number): FileMeta {
  const { struct } = readStruct(bytes, 0)
  const columns = decodeSchema(struct.structs(2, 'the schema'))
  const rowGroups = struct.structs(4, 'the list of row groups').map((group) => decodeRowGroup(group, columns, dataEnd))
  const rows = struct.count(3, 'the number of rows')
  const counted = rowGroups.reduce((sum, group) => sum + group.rows, 0)
  if (counted !== rows) throw malformed(`its row groups have ${counted} rows and the file says ${rows}`, { counted, rows })
  const metadata: Record<string, string> = {}
  if (struct.has(5)) {
    for (const pair of struct.structs(5, 'the metadata')) {
      const value = pair.has(2) ? pair.text(2, 'a metadata value') : ''
      Object.defineProperty(metadata, pair.text(1, 'a metadata key'), { value, enumerable: true, writable: true, configurable: true })
    }
  }
  return { columns, rows, rowGroups, metadata, createdBy: struct.has(6) ? struct.text(6, 'created_by') : '' }
}

/**
 * The columns. The schema is a tree in the order of a walk through it; in a flat file that is the root and then all leaves, and a leaf
 * with children tells that the file is not flat.
 */
function decodeSchema(elements: Struct[]): Column[] {
  const [root, ...leaves] = elements
  if (root === undefined || leaves.length === 0) throw malformed('its schema is empty')
  if (leaves.length > MAX_COLUMNS)
    throw unsupported(`it has ${leaves.length} columns, more than ${MAX_COLUMNS}`, { columns: leaves.length })
  const names = new Set<string>()
  const columns = leaves.map((leaf): Column => {
    const name = leaf.text(4, "a column's name")
    if (leaf.has(5)) throw unsupported(`column ${JSON.stringify(name)} is nested`, { column: name })
    // Neither can be a key of a row that holds data.
    if (names.has(name) || name === '__proto__') throw unsupported(`a column has the name ${JSON.stringify(name)}`, { column: name })
    names.add(name)
    const repetition = leaf.number(3, `the repetition of ${name}`)
    if (repetition !== 0 && repetition !== 1) throw unsupported(`column ${JSON.stringify(name)} is repeated`, { column: name })
    return {
      name,
      type: typeOf(leaf, name),
      required: repetition === 0,
      fieldId: leaf.has(9) ? leaf.number(9, `the field id of ${name}`) : -1,
    }
  })
  if (root.number(5, 'the number of columns') !== columns.length) throw malformed('its schema does not have the columns that it claims')
  return columns
}

/**
 * What a leaf holds. Its physical type says how values lie there, its logical type (or, in older files, its converted type) what they
 * mean. A meaning that is not known is refused: the bare number of a decimal would be a wrong value.
 */
function typeOf(leaf: Struct, name: string): ColumnType {
  const physical = leaf.number(1, `the type of ${name}`)
  const converted = leaf.has(6) ? leaf.number(6, `the converted type of ${name}`) : -1
  const logical = leaf.has(10) ? leaf.struct(10, `the logical type of ${name}`) : undefined
  const plain = logical === undefined && converted === -1
  switch (physical) {
    case Physical.BOOLEAN:
      return 'boolean'
    case Physical.FLOAT:
      return 'float'
    case Physical.DOUBLE:
      return 'double'
    case Physical.INT32:
      if (plain || isSigned(logical, converted, name)) return 'int'
      if (logical?.has(Logical.DATE) || converted === 6) return 'date'
      break
    case Physical.INT64:
      if (plain || isSigned(logical, converted, name)) return 'long'
      if (logical?.has(Logical.TIMESTAMP)) {
        const time = logical.struct(Logical.TIMESTAMP, `the time type of ${name}`)
        if (time.struct(2, `the time unit of ${name}`).has(2)) return time.flag(1, `the time zone of ${name}`) ? 'timestamptz' : 'timestamp'
      }
      break
    case Physical.BYTE_ARRAY:
      if (plain) return 'binary'
      if (logical?.has(Logical.JSON) || converted === 19) return 'json'
      if (logical?.has(Logical.STRING) || converted === 0) return 'string'
      break
    case Physical.FIXED:
      if (logical?.has(Logical.UUID) && leaf.number(2, `the size of ${name}`) === 16) return 'uuid'
  }
  throw unsupported(`column ${JSON.stringify(name)} has physical type ${physical} with a meaning that is unknown here`, {
    column: name,
    physical,
    converted,
  })
}

/** Whether an integer is said to be a signed one, of any width: that is the meaning of the physical type too. */
function isSigned(logical: Struct | undefined, converted: number, name: string): boolean {
  if (logical?.has(Logical.INTEGER)) return logical.struct(Logical.INTEGER, `the integer type of ${name}`).flag(2, `the sign of ${name}`)
  return logical === undefined && converted >= 15 && converted <= 18
}

/** One row group, with a chunk for each column in the order of the schema. Sums are made here and not taken from the file. */
function decodeRowGroup(group: Struct, columns: Column[], dataEnd: number): RowGroupMeta {
  const rows = group.count(3, "a row group's number of rows")
  const chunks = group.structs(1, "a row group's columns").map((chunk, i) => decodeChunk(chunk, columns[i], rows, dataEnd))
  if (chunks.length !== columns.length) throw malformed(`a row group has ${chunks.length} of ${columns.length} columns`)
  const sum = (size: (chunk: ChunkMeta) => number) => chunks.reduce((total, chunk) => total + size(chunk), 0)
  return {
    rows,
    offset: Math.min(...chunks.map(chunkStart)),
    uncompressedBytes: sum((chunk) => chunk.uncompressedBytes),
    compressedBytes: sum((chunk) => chunk.compressedBytes),
    chunks,
  }
}

/** One chunk, whose place and counts are checked here once so that no later step has to doubt them. */
function decodeChunk(chunk: Struct, column: Column | undefined, rows: number, dataEnd: number): ChunkMeta {
  if (chunk.has(1)) throw unsupported('a column is kept in another file')
  const meta = chunk.struct(3, "a column's metadata")
  const path = meta.texts(3, "a column's path")
  const name = column?.name
  if (name === undefined || path.length !== 1 || path[0] !== name) throw malformed(`column ${path.join('.')} stands where ${name} should`)
  const decoded: ChunkMeta = {
    physical: meta.number(1, `the type of ${name}`),
    encodings: meta.numbers(2, `the encodings of ${name}`),
    name,
    codec: meta.number(4, `the codec of ${name}`),
    values: meta.count(5, `the values of ${name}`),
    uncompressedBytes: meta.count(6, `the uncompressed size of ${name}`),
    compressedBytes: meta.count(7, `the size of ${name}`, dataEnd),
    dataPageOffset: meta.count(9, `the offset of ${name}`, dataEnd),
  }
  if (meta.has(11)) decoded.dictionaryPageOffset = meta.count(11, `the dictionary of ${name}`, dataEnd)
  if (decoded.values !== rows) throw malformed(`column ${name} has ${decoded.values} values in a row group of ${rows} rows`)
  if (chunkStart(decoded) + decoded.compressedBytes > dataEnd) throw malformed(`column ${name} reaches into the footer`)
  if (meta.has(12)) decoded.statistics = decodeStatistics(meta.struct(12, `the statistics of ${name}`))
  return decoded
}

/** Statistics, copied out of the footer so that they do not keep it. The older, unordered fields 1 and 2 are not looked at. */
function decodeStatistics(bounds: Struct): ChunkStatistics {
  const statistics: ChunkStatistics = { nullCount: bounds.has(3) ? bounds.count(3, 'a null count') : 0 }
  if (bounds.has(5)) statistics.max = bounds.bytes(5, 'a maximum').slice()
  if (bounds.has(6)) statistics.min = bounds.bytes(6, 'a minimum').slice()
  if (bounds.has(7)) statistics.maxExact = bounds.flag(7, 'whether a maximum is exact')
  if (bounds.has(8)) statistics.minExact = bounds.flag(8, 'whether a minimum is exact')
  return statistics
}

/** Where the first page of a chunk begins. */
export function chunkStart(chunk: ChunkMeta): number {
  return Math.min(chunk.dictionaryPageOffset ?? chunk.dataPageOffset, chunk.dataPageOffset)
}
