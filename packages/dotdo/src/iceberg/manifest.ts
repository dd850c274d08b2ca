/**
 * Manifests: the files of a snapshot, each with what is known of it without opening it.
 *
 * Readers find fields by their ids, so names and order are the reference implementation's and the
 * ids are the specification's (a test pins them). A manifest is of one partition spec, whose types
 * decide those of its `partition` tuple; the spec and the schema stand in its header.
 */
import { DotdoError } from '../base/errors.ts'
import { avroName, intMap, optional, required, type AvroField, type AvroRecord, type AvroType, type AvroValue } from './avro-schema.ts'
import { readAvro, writeAvro } from './avro.ts'
import { transformResult } from './transforms.ts'
import type { ColumnType } from '../parquet/schema.ts'
import type { DataFile, PartitionSpec, PartitionValue, Schema } from './types.ts'

/** Whether a manifest's entry was there before its snapshot, was added or deleted by it (field 0). */
export const entryStatus = { existing: 0, added: 1, deleted: 2 } as const

/** A file as a manifest lists it. */
export interface ManifestEntry {
  status: 0 | 1 | 2
  /** The snapshot that added or deleted the file; null inherits the manifest's. */
  snapshotId: number | bigint | null
  /**
   * The data sequence number, and below it the file's: null when added (inherited from the manifest
   * list, so that a manifest survives a retry), else explicit.
   */
  sequenceNumber: number | bigint | null
  fileSequenceNumber: number | bigint | null
  file: DataFile
}

/** What a manifest stands on: it holds files of one partition spec, and says which columns there were. */
export interface ManifestContext {
  schema: Schema
  spec: PartitionSpec
  /** 16 random bytes. */
  sync: Uint8Array
}

/**
 * A manifest of data files, format version 2 (specification, "Manifests").
 *
 * @throws `MANIFEST_INVALID` for an added entry with sequence numbers, or another one without
 */
export function writeManifest(entries: readonly ManifestEntry[], context: ManifestContext): Uint8Array {
  const partition = partitionFields(context.spec, context.schema)
  const records = entries.map((entry) => {
    // A reader gives null the number of the manifest itself: right for files that it adds, wrong for older ones.
    const inherits = entry.sequenceNumber === null && entry.fileSequenceNumber === null
    const explicit = entry.sequenceNumber !== null && entry.fileSequenceNumber !== null
    if (entry.status === entryStatus.added ? !inherits : !explicit) {
      throw new DotdoError(
        'MANIFEST_INVALID',
        `The entry of ${entry.file.path} has status ${entry.status} and sequence numbers ${entry.sequenceNumber} and ${entry.fileSequenceNumber}. Added entries inherit theirs; others carry both.`,
        { data: { path: entry.file.path } },
      )
    }
    return entryRecord(entry, partition)
  })
  return writeAvro(manifestSchema(partition), records, {
    sync: context.sync,
    metadata: {
      schema: JSON.stringify(context.schema),
      'schema-id': String(context.schema['schema-id']),
      'partition-spec': JSON.stringify(context.spec.fields),
      'partition-spec-id': String(context.spec['spec-id']),
      'format-version': '2',
      content: 'data',
    },
  })
}

/** Reads a manifest of data files. Partition values come in the order of the spec that it was written by. */
export function readManifest(bytes: Uint8Array): ManifestEntry[] {
  return readAvro(bytes).records.map((record) => toEntry(record as Fields))
}

/** The Avro schema of a manifest's entries. Ids and names are the specification's. */
export function manifestSchema(partition: readonly AvroField[]): AvroRecord {
  const dataFile: AvroRecord = {
    type: 'record',
    name: 'r2',
    fields: [
      // In the order that the reference implementation writes. Readers go by ids, some by names, none by place.
      required(134, 'content', 'int'),
      required(100, 'file_path', 'string'),
      required(101, 'file_format', 'string'),
      required(102, 'partition', { type: 'record', name: 'r102', fields: [...partition] }),
      required(103, 'record_count', 'long'),
      required(104, 'file_size_in_bytes', 'long'),
      optional(108, 'column_sizes', intMap(117, 118, 'long')),
      optional(109, 'value_counts', intMap(119, 120, 'long')),
      optional(110, 'null_value_counts', intMap(121, 122, 'long')),
      optional(137, 'nan_value_counts', intMap(138, 139, 'long')),
      optional(125, 'lower_bounds', intMap(126, 127, 'bytes')),
      optional(128, 'upper_bounds', intMap(129, 130, 'bytes')),
      optional(131, 'key_metadata', 'bytes'),
      optional(132, 'split_offsets', { type: 'array', items: 'long', 'element-id': 133 }),
      optional(135, 'equality_ids', { type: 'array', items: 'int', 'element-id': 136 }),
      optional(140, 'sort_order_id', 'int'),
      optional(143, 'referenced_data_file', 'string'),
    ],
  }
  return {
    type: 'record',
    name: 'manifest_entry',
    fields: [
      required(0, 'status', 'int'),
      optional(1, 'snapshot_id', 'long'),
      optional(3, 'sequence_number', 'long'),
      optional(4, 'file_sequence_number', 'long'),
      required(2, 'data_file', dataFile),
    ],
  }
}

/** The fields of a spec's partition tuple, each of its transform's type; all may be null. */
export function partitionFields(spec: PartitionSpec, schema: Schema): AvroField[] {
  return spec.fields.map((field) =>
    optional(field['field-id'], avroName(field.name), avroType(partitionType(field['source-id'], field.transform, schema))),
  )
}

/** The Iceberg type of one partition column. */
export function partitionType(sourceId: number, transform: string, schema: Schema): string {
  const source = schema.fields.find((it) => it.id === sourceId)
  const type = source && transformResult(transform, source.type as ColumnType)
  if (type === undefined)
    throw new DotdoError(
      'ICEBERG_UNSUPPORTED',
      `A partition column is ${transform} of field ${sourceId} (${source?.type ?? 'absent'}), which is not written here. Write to another table, or partition it by another transform.`,
      { data: { transform, sourceId } },
    )
  return type
}

/** The Avro type of an Iceberg primitive (specification, appendix A). */
function avroType(type: string): AvroType {
  switch (type) {
    case 'date':
      return { type: 'int', logicalType: 'date' }
    case 'timestamp':
    case 'timestamptz':
      return { type: 'long', logicalType: 'timestamp-micros', 'adjust-to-utc': type === 'timestamptz' }
    case 'uuid':
      return { type: 'fixed', name: 'uuid_fixed', size: 16, logicalType: 'uuid' }
    case 'binary':
      return 'bytes'
    default:
      return type as 'boolean' | 'int' | 'long' | 'string'
  }
}

/** A record of Avro, before it is narrowed. */
type Fields = Record<string, AvroValue>

/** An entry as its Avro record. What this release does not write is null: encryption, deletes, sort orders. */
function entryRecord(entry: ManifestEntry, partition: readonly AvroField[]): Fields {
  const { file } = entry
  return {
    status: entry.status,
    snapshot_id: entry.snapshotId,
    sequence_number: entry.sequenceNumber,
    file_sequence_number: entry.fileSequenceNumber,
    data_file: {
      content: 0,
      file_path: file.path,
      file_format: file.format,
      partition: Object.fromEntries(partition.map((field, i) => [field.name, file.partition[i] ?? null])),
      record_count: file.recordCount,
      file_size_in_bytes: file.sizeBytes,
      column_sizes: pairs(file.columnSizes),
      value_counts: pairs(file.valueCounts),
      null_value_counts: pairs(file.nullCounts),
      // Only floating point has them; an empty map would say that they were counted.
      nan_value_counts: file.nanCounts.size > 0 ? pairs(file.nanCounts) : null,
      lower_bounds: pairs(file.lowerBounds),
      upper_bounds: pairs(file.upperBounds),
      key_metadata: null,
      split_offsets: file.splitOffsets,
      equality_ids: null,
      sort_order_id: 0,
      referenced_data_file: null,
    },
  }
}

/**
 * An Avro record as an entry.
 * @throws `MANIFEST_INVALID` for other records, `ICEBERG_UNSUPPORTED` for files of deletes
 */
function toEntry(record: Fields): ManifestEntry {
  const file = record.data_file as Fields | undefined
  if (typeof file?.file_path !== 'string' || typeof file.record_count !== 'number' || typeof file.partition !== 'object') {
    throw new DotdoError(
      'MANIFEST_INVALID',
      'A file that a snapshot lists as a manifest holds records of another kind. Restore it, or roll the table back to an earlier snapshot.',
    )
  }
  if (file.content !== undefined && file.content !== 0)
    throw new DotdoError(
      'ICEBERG_UNSUPPORTED',
      'The table holds row-level deletes, which are not read here. Rewrite its data files with an engine that applies them.',
      { data: { content: file.content } },
    )
  return {
    status: record.status as ManifestEntry['status'],
    snapshotId: (record.snapshot_id ?? null) as number | bigint | null,
    sequenceNumber: (record.sequence_number ?? null) as number | bigint | null,
    fileSequenceNumber: (record.file_sequence_number ?? null) as number | bigint | null,
    file: {
      path: file.file_path,
      format: file.file_format as 'PARQUET',
      partition: Object.values(file.partition as Record<string, PartitionValue>),
      recordCount: file.record_count,
      sizeBytes: file.file_size_in_bytes as number,
      columnSizes: unpair(file.column_sizes),
      valueCounts: unpair(file.value_counts),
      nullCounts: unpair(file.null_value_counts),
      nanCounts: unpair(file.nan_value_counts),
      lowerBounds: unpair(file.lower_bounds),
      upperBounds: unpair(file.upper_bounds),
      splitOffsets: (file.split_offsets ?? []) as number[],
    },
  }
}

/** A map as Avro's array of pairs. */
function pairs(map: ReadonlyMap<number, number | Uint8Array>): AvroValue[] {
  return Array.from(map, ([key, value]) => ({ key, value }))
}

/** The way back; a map that is absent is empty. */
function unpair<Value extends number | Uint8Array>(value: AvroValue | undefined): Map<number, Value> {
  return new Map(((value ?? []) as { key: number; value: Value }[]).map((pair) => [pair.key, pair.value]))
}
