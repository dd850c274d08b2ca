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

export interface PartitionSpec {
  'spec-id': number
  fields: PartitionField[]
}

export interface SortOrder {
  'order-id': number
  fields: unknown[]
}

/** What a snapshot did, as text values: `operation`, counts, and the commit key. */
export type SnapshotSummary = { operation: string } & Record<string, string>

export interface Snapshot {
  'snapshot-id': number
  'parent-snapshot-id'?: number
  'sequence-number': number
  'timestamp-ms': number
  'manifest-list': string
  summary: SnapshotSummary
  'schema-id'?: number
}

export interface SnapshotRef {
  'snapshot-id': number
  type: 'branch' | 'tag'
}

export interface TableMetadata {
  'format-version': 2
  'table-uuid': string
  location: string
  'last-sequence-number': number
  'last-updated-ms': number
  'last-column-id': number
  schemas: Schema[]
  'current-schema-id': number
  'partition-specs': PartitionSpec[]
  'default-spec-id': number
  'last-partition-id': number
  'sort-orders': SortOrder[]
  'default-sort-order-id': number
  properties: Record<string, string>
  'current-snapshot-id'?: number
  refs: Record<string, SnapshotRef>
  snapshots: Snapshot[]
  'snapshot-log': { 'timestamp-ms': number; 'snapshot-id': number }[]
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

export interface CreateTableRequest {
  schema: Schema
  /** Unpartitioned where it is absent. */
  partitionSpec?: PartitionSpec
  properties?: Record<string, string>
}

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

export interface WriteStart extends LoadedTable {
  /** What stands under the key already: the writer has nothing left to do. */
  committed: CommitResult | null
}

/** A file of rows, as a manifest tells of it. Bounds are single-value binary by field id. */
export interface DataFile {
  path: string
  format: 'PARQUET'
  /** One value for each field of the partition spec, in its order, in the domain of `values.ts`. */
  partition: PartitionValue[]
  recordCount: number
  sizeBytes: number
  columnSizes: Map<number, number>
  valueCounts: Map<number, number>
  nullCounts: Map<number, number>
  nanCounts: Map<number, number>
  lowerBounds: Map<number, Uint8Array>
  upperBounds: Map<number, Uint8Array>
  splitOffsets: number[]
}

/** A partition value as it is stored: dates are days, timestamps microseconds, 64-bit integers numbers where that is exact. */
export type PartitionValue = null | boolean | number | bigint | string | Uint8Array

/** The key of the commit key in a snapshot's summary. */
export const COMMIT_KEY = 'dotdo.commit-key'
