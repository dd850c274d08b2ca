/**
 * Apache Iceberg's table metadata as it stands in JSON, format version 2 (https://iceberg.apache.org/spec/, appendix C), and what goes
 * between a writer and the catalog. Keys keep the specification's spelling, so that a value is its JSON.
 *
 * Snapshot ids are 63-bit by the specification. Ours are random and below 2^53, which it allows: a reader that parses JSON numbers as
 * doubles (every JavaScript one) has them exactly. Metadata with larger ids is refused rather than rounded.
 */

/** A table's name: the levels of its namespace, and its own. */
export interface TableIdent {
  namespace: readonly string[]
  name: string
}

/** One column. `type` is a primitive of the specification, such as `long` or `timestamptz`. */
export interface SchemaField {
  id: number
  name: string
  required: boolean
  type: string
  doc?: string
}

/** A table's columns at one time. Ids are given once and never again, so that a dropped name that returns is another column. */
export interface Schema {
  type: 'struct'
  'schema-id': number
  fields: SchemaField[]
}

/** One partition column. `transform` is `identity`, `day`, `bucket[16]`, … */
export interface PartitionField {
  'source-id': number
  /** From 1000 up, unique in the table over all specs. */
  'field-id': number
  name: string
  transform: string
}

/** How files are parted. A table may have had several; each manifest is of one. */
export interface PartitionSpec {
  'spec-id': number
  fields: PartitionField[]
}

/** How rows are sorted within files. Tables written here have the order 0: none. */
export interface SortOrder {
  'order-id': number
  fields: unknown[]
}

/** What a snapshot did, as text values: `operation`, counts, and the commit key. */
export type SnapshotSummary = { operation: string } & Record<string, string>

/** A state of the table: all files that its manifest list names, and nothing else. */
export interface Snapshot {
  'snapshot-id': number
  'parent-snapshot-id'?: number
  /** Counts up with every snapshot: which deletes apply to which files is decided by it. */
  'sequence-number': number
  'timestamp-ms': number
  /** Where the list of its manifests stands. */
  'manifest-list': string
  summary: SnapshotSummary
  'schema-id'?: number
}

/** A name for a snapshot: a branch moves, a tag stays. */
export interface SnapshotRef {
  'snapshot-id': number
  type: 'branch' | 'tag'
}

/** The whole of a table, as one metadata file has it. Each commit writes a new one. */
export interface TableMetadata {
  'format-version': 2
  'table-uuid': string
  location: string
  /** Of the youngest snapshot; 0 before the first. */
  'last-sequence-number': number
  'last-updated-ms': number
  /** The highest field id that was ever given. */
  'last-column-id': number
  schemas: Schema[]
  'current-schema-id': number
  'partition-specs': PartitionSpec[]
  'default-spec-id': number
  /** The highest id of a partition column that was ever given; 999 where there was none. */
  'last-partition-id': number
  'sort-orders': SortOrder[]
  'default-sort-order-id': number
  properties: Record<string, string>
  /** What `main` points at; absent for a table without rows. */
  'current-snapshot-id'?: number
  refs: Record<string, SnapshotRef>
  snapshots: Snapshot[]
  /** When which snapshot was the present: time travel reads it. */
  'snapshot-log': { 'timestamp-ms': number; 'snapshot-id': number }[]
  /** Earlier metadata files, oldest first; bounded. */
  'metadata-log': { 'timestamp-ms': number; 'metadata-file': string }[]
}

/** A condition of a commit, as in the REST protocol's `TableRequirement`. */
export type Requirement =
  | { type: 'assert-create' }
  | { type: 'assert-table-uuid'; uuid: string }
  | { type: 'assert-ref-snapshot-id'; ref: string; 'snapshot-id': number | null }
  | { type: 'assert-last-assigned-field-id'; 'last-assigned-field-id': number }
  | { type: 'assert-current-schema-id'; 'current-schema-id': number }
  | { type: 'assert-last-assigned-partition-id'; 'last-assigned-partition-id': number }
  | { type: 'assert-default-spec-id'; 'default-spec-id': number }
  | { type: 'assert-default-sort-order-id'; 'default-sort-order-id': number }

/** A change of a table, as in the REST protocol's `TableUpdate`; those that this catalog applies. */
export type Update =
  | { action: 'add-snapshot'; snapshot: Snapshot }
  | { action: 'set-snapshot-ref'; 'ref-name': string; type: 'branch' | 'tag'; 'snapshot-id': number }
  | { action: 'add-schema'; schema: Schema }
  | { action: 'set-current-schema'; 'schema-id': number }
  | { action: 'set-properties'; updates: Record<string, string> }
  | { action: 'remove-properties'; removals: string[] }

/** A table and the file that its metadata stands in. */
export interface LoadedTable {
  metadataLocation: string
  metadata: TableMetadata
}

/** What a new table is made of. Field ids and spec are taken as they are. */
export interface CreateTableRequest {
  schema: Schema
  /** Unpartitioned where it is absent. */
  partitionSpec?: PartitionSpec
  properties?: Record<string, string>
}

/** What a commit stands on, and what it does: all of it, or nothing. */
export interface CommitRequest {
  requirements: Requirement[]
  updates: Update[]
}

/** A commit that stands. */
export interface CommitResult {
  /** The snapshot that the commit added; absent for commits that add none. */
  snapshot?: Snapshot
  /** The metadata file that the commit made the table's. */
  metadataLocation: string
  /** Whether it had been made before, under the same commit key: nothing was added this time. */
  duplicate: boolean
}

/** What a writer says before it uploads: enough to find its files should it never come back. */
export interface WriteIntent {
  commitKey: string
  /** One attempt at the key; names of files carry it. */
  attemptId: string
  /** The id that the snapshot will have. */
  snapshotId: number
}

/** What a write begins with: the table as it stands, and whether the commit key has been used. */
export interface WriteStart extends LoadedTable {
  /** What stands under the key already: the writer has nothing left to do. */
  committed: CommitResult | null
}

/** A file of rows, as a manifest tells of it. Bounds are single-value binary by field id. */
export interface DataFile {
  /** Its full address, as readers ask the bucket for it. */
  path: string
  format: 'PARQUET'
  /** One value for each field of the partition spec, in its order, in the domain of `values.ts`. */
  partition: PartitionValue[]
  recordCount: number
  sizeBytes: number
  /** By field id: bytes in the file. */
  columnSizes: Map<number, number>
  /** By field id: values, with nulls and NaN. */
  valueCounts: Map<number, number>
  nullCounts: Map<number, number>
  /** By field id, floating point alone. */
  nanCounts: Map<number, number>
  /** By field id; columns of nulls alone have none, nor do JSON texts. */
  lowerBounds: Map<number, Uint8Array>
  upperBounds: Map<number, Uint8Array>
  /** Where its row groups begin, for readers that share it. */
  splitOffsets: number[]
}

/** A partition value as it is stored: dates are days, timestamps microseconds, 64-bit integers numbers where that is exact. */
export type PartitionValue = null | boolean | number | bigint | string | Uint8Array

/** The key of the commit key in a snapshot's summary. */
export const COMMIT_KEY = 'dotdo.commit-key'

/** The key, in a snapshot's summary, of who wrote it: JSON of the object, and of the run and step that its code was in. */
export const WRITTEN_BY = 'dotdo.written-by'
