/**
 * Manifest lists: the manifests of one snapshot, with what pruning reads before it opens one.
 *
 * The list is where sequence numbers are given: a manifest carries none of its own for files that it
 * adds, so the same manifest can be listed by another snapshot after a conflict.
 */
import { DotdoError } from '../base/errors.ts'
import { optional, required, type AvroRecord, type AvroValue } from './avro-schema.ts'
import { readAvro, writeAvro } from './avro.ts'

/** What a manifest's files span in one partition column. */
export interface FieldSummary {
  containsNull: boolean
  containsNan: boolean | null
  lower: Uint8Array | null
  upper: Uint8Array | null
}

/** A manifest as a snapshot lists it. Numbers of other writers may pass 2^53 and are bigints then: they are carried on as they are. */
export interface ManifestListEntry {
  path: string
  sizeBytes: number
  specId: number
  /** 0 data, 1 deletes. */
  content: 0 | 1
  sequenceNumber: number | bigint
  minSequenceNumber: number | bigint
  addedSnapshotId: number | bigint
  // Counts of files and rows by status: readers skip a manifest that holds nothing alive.
  addedFiles: number
  existingFiles: number
  deletedFiles: number
  addedRows: number | bigint
  existingRows: number | bigint
  deletedRows: number | bigint
  /** One for each field of the spec. */
  partitions: FieldSummary[] | null
}

/** The snapshot that a list belongs to. */
export interface ManifestListContext {
  snapshotId: number
  parentSnapshotId: number | null
  sequenceNumber: number
  /** 16 random bytes. */
  sync: Uint8Array
}

/** A manifest list, format version 2 (specification, "Manifest Lists"). */
export function writeManifestList(entries: readonly ManifestListEntry[], context: ManifestListContext): Uint8Array {
  return writeAvro(manifestListSchema, entries.map(toRecord), {
    sync: context.sync,
    metadata: {
      'snapshot-id': String(context.snapshotId),
      // `null` as text for the first snapshot, as the reference implementation writes it.
      'parent-snapshot-id': String(context.parentSnapshotId),
      'sequence-number': String(context.sequenceNumber),
      'format-version': '2',
    },
  })
}

/** Reads a manifest list of version 2, by the specification's names. */
export function readManifestList(bytes: Uint8Array): ManifestListEntry[] {
  return readAvro(bytes).records.map((record) => toListEntry(record as Fields))
}

/** The Avro schema of a manifest list. Ids and names are the specification's. */
export const manifestListSchema: AvroRecord = {
  type: 'record',
  name: 'manifest_file',
  fields: [
    required(500, 'manifest_path', 'string'),
    required(501, 'manifest_length', 'long'),
    required(502, 'partition_spec_id', 'int'),
    required(517, 'content', 'int'),
    required(515, 'sequence_number', 'long'),
    required(516, 'min_sequence_number', 'long'),
    required(503, 'added_snapshot_id', 'long'),
    required(504, 'added_files_count', 'int'),
    required(505, 'existing_files_count', 'int'),
    required(506, 'deleted_files_count', 'int'),
    required(512, 'added_rows_count', 'long'),
    required(513, 'existing_rows_count', 'long'),
    required(514, 'deleted_rows_count', 'long'),
    optional(507, 'partitions', {
      type: 'array',
      'element-id': 508,
      items: {
        type: 'record',
        name: 'r508',
        fields: [
          required(509, 'contains_null', 'boolean'),
          optional(518, 'contains_nan', 'boolean'),
          optional(510, 'lower_bound', 'bytes'),
          optional(511, 'upper_bound', 'bytes'),
        ],
      },
    }),
  ],
}

/** A record of Avro, before it is narrowed. */
type Fields = Record<string, AvroValue>

/** An entry as its Avro record. */
function toRecord(entry: ManifestListEntry): Fields {
  return {
    manifest_path: entry.path,
    manifest_length: entry.sizeBytes,
    partition_spec_id: entry.specId,
    content: entry.content,
    sequence_number: entry.sequenceNumber,
    min_sequence_number: entry.minSequenceNumber,
    added_snapshot_id: entry.addedSnapshotId,
    added_files_count: entry.addedFiles,
    existing_files_count: entry.existingFiles,
    deleted_files_count: entry.deletedFiles,
    added_rows_count: entry.addedRows,
    existing_rows_count: entry.existingRows,
    deleted_rows_count: entry.deletedRows,
    partitions:
      entry.partitions &&
      entry.partitions.map((it) => ({
        contains_null: it.containsNull,
        contains_nan: it.containsNan,
        lower_bound: it.lower,
        upper_bound: it.upper,
      })),
  }
}

/**
 * An Avro record as an entry. Numbers that writers of other engines gave stay as they are.
 * @throws `MANIFEST_INVALID` for other records
 */
function toListEntry(record: Fields): ManifestListEntry {
  if (typeof record.manifest_path !== 'string' || typeof record.partition_spec_id !== 'number') {
    throw new DotdoError(
      'MANIFEST_INVALID',
      'A file that a snapshot names as its manifest list holds records of another kind. Restore it, or roll the table back to an earlier snapshot.',
    )
  }
  return {
    path: record.manifest_path,
    sizeBytes: record.manifest_length as number,
    specId: record.partition_spec_id,
    content: record.content as 0 | 1,
    sequenceNumber: record.sequence_number as number,
    minSequenceNumber: record.min_sequence_number as number,
    addedSnapshotId: record.added_snapshot_id as number,
    addedFiles: record.added_files_count as number,
    existingFiles: record.existing_files_count as number,
    deletedFiles: record.deleted_files_count as number,
    addedRows: record.added_rows_count as number,
    existingRows: record.existing_rows_count as number,
    deletedRows: record.deleted_rows_count as number,
    partitions:
      (record.partitions as Fields[] | null | undefined)?.map((it) => ({
        containsNull: it.contains_null as boolean,
        containsNan: (it.contains_nan ?? null) as boolean | null,
        lower: (it.lower_bound ?? null) as Uint8Array | null,
        upper: (it.upper_bound ?? null) as Uint8Array | null,
      })) ?? null,
  }
}
