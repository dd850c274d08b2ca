import { ByteWriter } from './bytes.ts'
import { Physical, physicalOf } from './format.ts'
import type { Column, ColumnType } from './schema.ts'
import { StructWriter } from './thrift.ts'

/** The statistics of a column chunk, as they stand in a file. */
export interface ChunkStatistics {
  nullCount: number
  /** PLAIN, without a length. Absent where there is no value or no short bound. */
  min?: Uint8Array
  max?: Uint8Array
  /** Whether the bound is a value that occurs, rather than one that was cut. */
  minExact?: boolean
  maxExact?: boolean
}

/** One column of one row group. Offsets count from the beginning of the file; sizes include page headers. */
export interface ChunkMeta {
  physical: number
  encodings: number[]
  name: string
  codec: number
  /** Values with nulls. */
  values: number
  uncompressedBytes: number
  compressedBytes: number
  dataPageOffset: number
  dictionaryPageOffset?: number
  statistics?: ChunkStatistics
}

/** One row group. `offset` is where its first page begins. */
export interface RowGroupMeta {
  rows: number
  offset: number
  uncompressedBytes: number
  compressedBytes: number
  chunks: ChunkMeta[]
}

/** What a footer tells of a file. */
export interface FileMeta {
  columns: Column[]
  rows: number
  rowGroups: RowGroupMeta[]
  metadata: Record<string, string>
  createdBy: string
}

/** The bytes of a footer: Parquet's `FileMetaData` (parquet.thrift), without the length and the magic that follow it. */
export function encodeFooter(file: FileMeta): Uint8Array {
  const out = new ByteWriter(4096)
  const fields = new StructWriter(out)
  // Version 2 of the format: pages are encoded with what version 1 did not know.
  fields.i32(1, 2)
  const root: Column | undefined = undefined
  fields.structs<Column | undefined>(2, [root, ...file.columns], (element, column) => {
    if (column === undefined) {
      element.text(4, 'schema')
      element.i32(5, file.columns.length)
    } else writeColumn(element, column)
  })
  fields.i64(3, file.rows)
  fields.structs(4, file.rowGroups, writeRowGroup)
  const pairs = Object.entries(file.metadata)
  if (pairs.length > 0) {
    fields.structs(5, pairs, (pair, [key, value]) => {
      pair.text(1, key)
      pair.text(2, value)
    })
  }
  fields.text(6, file.createdBy)
  // Without an order for each column readers ignore its bounds. There is one order so far: that of the type.
  fields.structs(7, file.columns, (order) => order.struct(1, () => {}))
  fields.end()
  return out.copy()
}

/** One leaf of the schema. The field id is what ties it to the column of an Iceberg table. */
function writeColumn(element: StructWriter, column: Column): void {
  const physical = physicalOf(column.type)
  element.i32(1, physical)
  if (physical === Physical.FIXED) element.i32(2, 16)
  element.i32(3, column.required ? 0 : 1)
  element.text(4, column.name)
  const converted = CONVERTED[column.type]
  if (converted !== undefined) element.i32(6, converted)
  element.i32(9, column.fieldId)
  const logical = LOGICAL[column.type]
  if (logical === undefined) return
  element.struct(10, (union) =>
    union.struct(logical, (type) => {
      if (logical !== Logical.TIMESTAMP) return
      type.bool(1, column.type === 'timestamptz')
      type.struct(2, (unit) => unit.struct(2, () => {}))
    }),
  )
}

/** Fields of the union `LogicalType`. */
export const Logical = { STRING: 1, DATE: 6, TIMESTAMP: 8, INTEGER: 10, JSON: 12, UUID: 14 } as const

/** What is written for each type. Plain numbers and bytes have no meaning beyond themselves. */
const LOGICAL: Partial<Record<ColumnType, number>> = {
  date: Logical.DATE,
  timestamp: Logical.TIMESTAMP,
  timestamptz: Logical.TIMESTAMP,
  string: Logical.STRING,
  json: Logical.STRING,
  uuid: Logical.UUID,
}

/** The older way to say the same, for readers that do not know logical types. It has no time without a zone. */
const CONVERTED: Partial<Record<ColumnType, number>> = { string: 0, json: 0, date: 6, timestamptz: 10 }

/** One row group. Its offset and size let engines share a file among them without reading the chunks. */
function writeRowGroup(fields: StructWriter, group: RowGroupMeta, index: number): void {
  fields.structs(1, group.chunks, writeChunk)
  fields.i64(2, group.uncompressedBytes)
  fields.i64(3, group.rows)
  fields.i64(5, group.offset)
  fields.i64(6, group.compressedBytes)
  // The ordinal is optional and has 16 bits.
  if (index < 0x8000) fields.i16(7, index)
}

/** One chunk. Bounds go into the fields that have an order (5 and 6); the older pair (1 and 2) had none and is left out. */
function writeChunk(fields: StructWriter, chunk: ChunkMeta): void {
  // Unused: the format wants a zero here.
  fields.i64(2, 0)
  fields.struct(3, (meta) => {
    meta.i32(1, chunk.physical)
    meta.i32s(2, chunk.encodings)
    meta.texts(3, [chunk.name])
    meta.i32(4, chunk.codec)
    meta.i64(5, chunk.values)
    meta.i64(6, chunk.uncompressedBytes)
    meta.i64(7, chunk.compressedBytes)
    meta.i64(9, chunk.dataPageOffset)
    if (chunk.dictionaryPageOffset !== undefined) meta.i64(11, chunk.dictionaryPageOffset)
    const { statistics } = chunk
    if (statistics === undefined) return
    meta.struct(12, (bounds) => {
      bounds.i64(3, statistics.nullCount)
      if (statistics.max !== undefined) bounds.binary(5, statistics.max)
      if (statistics.min !== undefined) bounds.binary(6, statistics.min)
      if (statistics.max !== undefined) bounds.bool(7, statistics.maxExact ?? false)
      if (statistics.min !== undefined) bounds.bool(8, statistics.minExact ?? false)
    })
  })
}
