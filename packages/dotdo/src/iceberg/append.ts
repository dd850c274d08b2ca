/**
 * The staging of a fast append: from data files to what the catalog is asked for. Pure; no I/O.
 *
 * The order of a commit, as the writer goes through it:
 *
 *     data files -> manifest and manifest list -> the catalog's row (the commit point)
 *
 * Each names what stands before it. The list names the manifest that goes up beside it, and nothing names either before both are there.
 *
 * A manifest is made once: its entries inherit their sequence numbers from the list, so it survives
 * a conflict. What a retry makes again is the manifest list alone, because it names the manifests
 * of the snapshot before. An append always rebases: it holds whatever others have added.
 */
import { entryStatus, partitionType, writeManifest } from './manifest.ts'
import { writeManifestList, type FieldSummary, type ManifestListEntry } from './manifest-list.ts'
import { currentSnapshot } from './metadata.ts'
import { singleValue } from './single-value.ts'
import {
  COMMIT_KEY,
  WRITTEN_BY,
  type CommitRequest,
  type DataFile,
  type PartitionSpec,
  type PartitionValue,
  type Schema,
  type Snapshot,
  type SnapshotSummary,
  type TableMetadata,
} from './types.ts'

/** A manifest that is ready to be put, and what a list says of it. */
export interface StagedManifest {
  bytes: Uint8Array
  files: number
  rows: number
  sizeBytes: number
  partitions: number
  /** All that stands in a list but the sequence numbers, which belong to the commit. */
  entry: Omit<ManifestListEntry, 'sequenceNumber' | 'minSequenceNumber'>
}

/** What the staging of a manifest stands on. */
export interface ManifestPlan {
  schema: Schema
  spec: PartitionSpec
  snapshotId: number
  /** Where the manifest will stand. */
  path: string
  sync: Uint8Array
}

/** A snapshot that is ready: put `listBytes` at `listPath`, then ask the catalog for `request`. */
export interface StagedAppend {
  listPath: string
  listBytes: Uint8Array
  /** What the list holds: the parents of the next append. */
  manifests: ManifestListEntry[]
  snapshot: Snapshot
  request: CommitRequest
}

/** What the staging of an append stands on: the table as it was loaded, and the manifests that its current snapshot lists. */
export interface AppendPlan {
  metadata: TableMetadata
  parents: readonly ManifestListEntry[]
  manifest: StagedManifest
  snapshotId: number
  commitKey: string
  /** Who writes, where that is known: one line of text. */
  writtenBy?: string | undefined
  listPath: string
  sync: Uint8Array
  /** The writer's clock. */
  now: number
}

/** The manifest of files that a snapshot adds. */
export function stageManifest(files: readonly DataFile[], plan: ManifestPlan): StagedManifest {
  const { schema, spec, snapshotId } = plan
  // Null sequence numbers: the list that this manifest ends up in gives them.
  const entries = files.map((file) => ({ status: entryStatus.added, snapshotId, sequenceNumber: null, fileSequenceNumber: null, file }))
  const bytes = writeManifest(entries, { schema, spec, sync: plan.sync })
  const rows = sum(files.map((it) => it.recordCount))
  return {
    bytes,
    files: files.length,
    rows,
    sizeBytes: sum(files.map((it) => it.sizeBytes)),
    partitions: new Set(files.map((it) => JSON.stringify(it.partition, plainPartition))).size,
    entry: {
      path: plan.path,
      sizeBytes: bytes.length,
      specId: spec['spec-id'],
      content: 0,
      addedSnapshotId: snapshotId,
      addedFiles: files.length,
      // A fast append never carries over or deletes a file: older manifests are listed as they are.
      existingFiles: 0,
      deletedFiles: 0,
      addedRows: rows,
      existingRows: 0,
      deletedRows: 0,
      partitions: spec.fields.map((field, i) =>
        summarize(
          partitionType(field['source-id'], field.transform, schema),
          files.map((it) => it.partition[i] ?? null),
        ),
      ),
    },
  }
}

/** The snapshot that appends a manifest to the table as it was loaded, and the commit that asks for it. */
export function stageAppend(plan: AppendPlan): StagedAppend {
  const { metadata, manifest, snapshotId } = plan
  const parent = currentSnapshot(metadata)
  const parentId = parent?.['snapshot-id'] ?? null
  const sequenceNumber = metadata['last-sequence-number'] + 1
  // The new manifest comes first: readers that stop early look at the youngest files.
  const manifests = [{ ...manifest.entry, sequenceNumber, minSequenceNumber: sequenceNumber }, ...plan.parents]
  const listBytes = writeManifestList(manifests, {
    snapshotId,
    parentSnapshotId: parentId,
    sequenceNumber,
    sync: plan.sync,
  })
  const snapshot: Snapshot = {
    'snapshot-id': snapshotId,
    ...(parentId !== null && { 'parent-snapshot-id': parentId }),
    'sequence-number': sequenceNumber,
    // Never older than the table: history is read by time.
    'timestamp-ms': Math.max(plan.now, metadata['last-updated-ms']),
    'manifest-list': plan.listPath,
    summary: summaryOf(manifest, plan, parent),
    'schema-id': metadata['current-schema-id'],
  }
  return {
    listPath: plan.listPath,
    listBytes,
    manifests,
    snapshot,
    request: {
      // The uuid guards against a table that was dropped and made again under the name; the ref against
      // another commit since the load, whose manifests this list would leave out.
      requirements: [
        { type: 'assert-table-uuid', uuid: metadata['table-uuid'] },
        { type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': parentId },
      ],
      updates: [
        { action: 'add-snapshot', snapshot },
        { action: 'set-snapshot-ref', 'ref-name': 'main', type: 'branch', 'snapshot-id': snapshotId },
      ],
    },
  }
}

/** Counts as the specification names them. Totals are told only where the parent tells them: a guess would be worse than none. */
function summaryOf(manifest: StagedManifest, { commitKey, writtenBy }: AppendPlan, parent: Snapshot | undefined): SnapshotSummary {
  const summary: SnapshotSummary = {
    operation: 'append',
    'added-data-files': String(manifest.files),
    'added-records': String(manifest.rows),
    'added-files-size': String(manifest.sizeBytes),
    'changed-partition-count': String(manifest.partitions),
    [COMMIT_KEY]: commitKey,
    ...(writtenBy !== undefined && { [WRITTEN_BY]: writtenBy }),
  }
  const added: Record<string, number> = {
    'total-data-files': manifest.files,
    'total-records': manifest.rows,
    'total-files-size': manifest.sizeBytes,
    'total-delete-files': 0,
    'total-position-deletes': 0,
    'total-equality-deletes': 0,
  }
  for (const [name, count] of Object.entries(added)) {
    const before = parent ? parent.summary[name] : '0'
    if (before !== undefined) summary[name] = String(Number(before) + count)
  }
  return summary
}

/** What the files of a manifest span in one partition column. Values of one type compare as Iceberg orders them. */
function summarize(type: string, values: readonly PartitionValue[]): FieldSummary {
  let lower: Exclude<PartitionValue, null> | undefined
  let upper: Exclude<PartitionValue, null> | undefined
  for (const value of values) {
    if (value === null) continue
    if (lower === undefined || compare(type, value, lower) < 0) lower = value
    if (upper === undefined || compare(type, value, upper) > 0) upper = value
  }
  return {
    containsNull: values.includes(null),
    containsNan: false,
    lower: lower === undefined ? null : singleValue(type, lower),
    upper: upper === undefined ? null : singleValue(type, upper),
  }
}

function compare(type: string, a: Exclude<PartitionValue, null>, b: Exclude<PartitionValue, null>): number {
  if (typeof a !== 'string' && !(a instanceof Uint8Array)) return a < b ? -1 : a > b ? 1 : 0
  // Texts order by their UTF-8 bytes, which JavaScript's own order by UTF-16 units is not beyond U+FFFF.
  const left = singleValue(type, a)
  const right = singleValue(type, b)
  const shared = Math.min(left.length, right.length)
  for (let i = 0; i < shared; i++) if (left[i] !== right[i]) return left[i]! - right[i]!
  return left.length - right.length
}

function plainPartition(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value
}

function sum(numbers: readonly number[]): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}
