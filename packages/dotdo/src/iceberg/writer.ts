/**
 * Owns one write at a time per commit key: rows become files, files a manifest, the manifest a snapshot.
 *
 * 1. Nothing of a write is visible before its commit, and all of it is after: the catalog's row is the commit point.
 * 2. A commit key adds its rows once. The intent is stored before the first upload, and the key in the transaction of the commit.
 * 3. Files are deleted only while it is certain that no commit names them. After an unknown outcome they stay.
 * 4. A conflict makes the manifest list again and nothing else.
 */
import { codeOf, DotdoError } from '../base/errors.ts'
import type { Clock, Random } from '../base/ports.ts'
import type { Progress } from '../base/views.ts'
import type { Column } from '../parquet/schema.ts'
import { stageAppend, stageManifest } from './append.ts'
import { DataFiles, writeLimits, type WriteLimits } from './data-files.ts'
import { readManifestList, type ManifestListEntry } from './manifest-list.ts'
import { currentSnapshot } from './metadata.ts'
import { hex, newSnapshotId } from './numbers.ts'
import { catalogFailures, keyOf, type CatalogClient, type ObjectStore } from './ports.ts'
import {
  columnsOf,
  currentSchema,
  currentSpec,
  eventPartitionBy,
  eventSchema,
  matchTable,
  partitionSpecOf,
  schemaOf,
  type SchemaSpec,
} from './schema.ts'
import type { CommitResult, DataFile, LoadedTable, PartitionSpec, Snapshot, TableIdent, WriteStart } from './types.ts'
import { preview } from './values.ts'

/** What an `IcebergWriter` writes, and where. */
export interface IcebergWriterOptions {
  /** The bucket of the table's files: an R2 binding. */
  bucket: ObjectStore
  /** A namespace such as `'analytics'`; levels are parted by dots. */
  namespace: string
  tableName: string
  /** The columns; the event table (`type`, `entityId`, `payload`, `ts`) where it is absent. */
  schema?: SchemaSpec
  /** Partition columns such as `['day(ts)', 'origin']`; `['day(ts)']` for the event table, none for another schema. */
  partitionBy?: readonly string[]
  /**
   * Which warehouse's catalog holds the table; the one of the app where it is absent. Whoever
   * constructs the writer resolves it to a catalog.
   */
  warehouse?: string
  /** Overrides of {@link writeLimits}, by name. */
  limits?: Partial<WriteLimits>
}

/** What a writer works with. */
export interface WriterPorts {
  catalog: CatalogClient
  clock: Clock
  random: Random
  /** zstd. */
  compress(bytes: Uint8Array): Uint8Array
  /**
   * The idempotency key of this call: the same on every attempt of the step that makes it, and another one for every other call, also
   * for a second `write` of the same step (step key and ordinal). Without one, a write is at most once.
   */
  commitKey?(): string | undefined
  /** Who writes, for the snapshot's summary: one line of text. */
  writtenBy?(): string | undefined
  /** Told now and then, and after each file. */
  progress?(progress: Progress): void
  /** One turn of the event loop: garbage of a long synchronous stretch is collected only between turns. */
  breathe?(): Promise<void>
  /** Shared by writers of one table that follow one another. */
  memory?: WriterMemory
}

/** What a write leaves for the next one: the manifest list of its commit, which that one follows as a rule. A list never changes. */
export interface WriterMemory {
  lastList?: { path: string; manifests: ManifestListEntry[] }
}

/** What a write did. */
export interface WriteReceipt {
  /** The snapshot that holds the rows; `null` when there were none. */
  snapshotId: number | null
  files: number
  rows: number
  /** Bytes of the data files. */
  bytes: number
  partitions: number
  /** The rows were committed before, under the same key: nothing was added, and the counts are those of then. */
  duplicate?: true
}

/** A table as it stands now. */
export interface TableStatus {
  table: string
  location: string
  metadataLocation: string
  /** `null` for a table without rows. */
  snapshotId: number | null
  sequenceNumber: number
  /** Epoch milliseconds of the last change. */
  updatedAt: number
  files: number
  rows: number
  /** Bytes of the data files. */
  bytes: number
}

/** A record to write: one value a column. */
export type Row = Record<string, unknown>

/**
 * What `write` takes: rows, or arrays of rows, at once or as they come. A row is any object: the type of an interface has no index
 * signature, and would be refused as a {@link Row}.
 */
export type Rows = Iterable<object> | AsyncIterable<object>

/** How often a commit is staged anew after a conflict. Every conflict means that another commit went through. */
const MAX_CONFLICTS = 100

/** Manifests of a list that is kept in memory between two writes: a few hundred bytes each. */
const KEPT_MANIFESTS = 1000

/** Rows between two reports of progress, and between two breaths. */
const REPORT_ROWS = 10_000

/**
 * Writes rows to an Iceberg table, each `write` as one snapshot, exactly once per commit key.
 *
 * @example
 * const writer = new IcebergWriter({ bucket: env.R2_BUCKET, namespace: 'analytics', tableName: 'events' }, ports)
 * await writer.write([{ type: 'click', entityId: 'u1', payload: { page: '/' }, ts: Date.now() }])
 */
export class IcebergWriter {
  readonly ident: TableIdent
  readonly #bucket: ObjectStore
  readonly #ports: WriterPorts
  readonly #columns: readonly Column[]
  readonly #spec: PartitionSpec
  readonly #limits: WriteLimits
  readonly #memory: WriterMemory
  readonly #busyKeys = new Set<string>()

  /** @throws `INVALID_SCHEMA`, `INVALID_PARTITION`, `INVALID_OPTIONS` for a bucket that is none */
  constructor(options: IcebergWriterOptions, ports: WriterPorts) {
    if (typeof options.bucket?.put !== 'function')
      throw new DotdoError(
        'INVALID_OPTIONS',
        `IcebergWriter needs a bucket and was given ${preview(options.bucket)}. Give an R2 binding, such as this.env.R2_BUCKET, and see that wrangler.toml declares it.`,
      )
    this.ident = { namespace: options.namespace.split('.'), name: options.tableName }
    this.#bucket = options.bucket
    this.#ports = ports
    this.#memory = ports.memory ?? {}
    this.#columns = columnsOf(options.schema ?? eventSchema)
    this.#spec = partitionSpecOf(options.partitionBy ?? (options.schema ? [] : eventPartitionBy), this.#columns)
    this.#limits = { ...writeLimits, ...options.limits }
  }

  /**
   * Adds rows to the table, which is made where it is missing, in one snapshot.
   *
   * @param options `commitKey` in place of the port's: give the one that `COMMIT_UNKNOWN` carries to settle a write by repeating it
   * @throws `INVALID_RECORD` (terminal, with record, column, value and what is accepted), `SCHEMA_MISMATCH`, `TOO_MANY_FILES`,
   *   `COMMIT_KEY_IN_USE`; retryable: `STORAGE_WRITE_FAILED`, `COMMIT_CONFLICT` after 100 conflicts,
   *   `COMMIT_UNKNOWN` where the catalog did not answer
   */
  async write(rows: Rows, options: { commitKey?: string } = {}): Promise<WriteReceipt> {
    const { random } = this.#ports
    // Asked for now, while the code that writes is the one that runs.
    const writtenBy = this.#ports.writtenBy?.()
    const commitKey = options.commitKey ?? this.#ports.commitKey?.() ?? `once-${hex(random.bytes(16))}`
    if (this.#busyKeys.has(commitKey)) {
      throw new DotdoError(
        'COMMIT_KEY_IN_USE',
        `A write to ${this.#name} with the commit key ${commitKey} is under way. Await it, or give each write of a step its own key.`,
        { data: { commitKey } },
      )
    }
    // Two writes of one key in one object are a mistake of the caller: the second would be taken for a repetition.
    this.#busyKeys.add(commitKey)
    try {
      // New for every attempt, so that no object is ever written twice, by whichever attempt.
      const attemptId = hex(random.bytes(8))
      const snapshotId = newSnapshotId(random)
      const start = await this.#begin({ commitKey, attemptId, snapshotId })
      if (start.committed?.snapshot) return receiptOf(start.committed.snapshot, true)
      return await this.#append(rows, start, { commitKey, attemptId, snapshotId, writtenBy })
    } finally {
      this.#busyKeys.delete(commitKey)
    }
  }

  /** The table as it stands now, or `null` where it has not been made. */
  async snapshot(): Promise<TableStatus | null> {
    const table = await this.#ports.catalog.loadTable(this.ident)
    if (!table) return null
    const { metadata, metadataLocation } = table
    const snapshot = currentSnapshot(metadata)
    const total = (name: string): number => Number(snapshot?.summary[name] ?? 0)
    return {
      table: this.#name,
      location: metadata.location,
      metadataLocation,
      snapshotId: snapshot?.['snapshot-id'] ?? null,
      sequenceNumber: metadata['last-sequence-number'],
      updatedAt: metadata['last-updated-ms'],
      files: total('total-data-files'),
      rows: total('total-records'),
      bytes: total('total-files-size'),
    }
  }

  get #name(): string {
    return [...this.ident.namespace, this.ident.name].join('.')
  }

  /** Stores the intent, making the table first where it is missing. */
  async #begin(intent: WriteIds): Promise<WriteStart> {
    const { catalog } = this.#ports
    try {
      return await catalog.beginWrite(this.ident, intent)
    } catch (thrown) {
      if (codeOf(thrown) !== 'TABLE_NOT_FOUND') throw thrown
    }
    try {
      await catalog.createTable(this.ident, { schema: schemaOf(this.#columns), partitionSpec: this.#spec })
    } catch (thrown) {
      // Another writer made it between the two calls.
      if (codeOf(thrown) !== 'TABLE_EXISTS') throw thrown
    }
    return catalog.beginWrite(this.ident, intent)
  }

  /** Writes the files and commits them, or leaves nothing: rows that were taken before a failure are in no snapshot. */
  async #append(rows: Rows, start: WriteStart, ids: WriteIds): Promise<WriteReceipt> {
    const { metadata } = start
    const columns = matchTable(metadata, this.#columns, this.#spec)
    const namePrefix = `${ids.commitKey.replace(/[^\w-]/g, '-').slice(0, 48)}-${ids.attemptId}`
    const report = { rows: 0, bytes: 0 }
    const files = new DataFiles({
      columns,
      schema: currentSchema(metadata),
      spec: currentSpec(metadata),
      location: metadata.location,
      namePrefix,
      bucket: this.#bucket,
      compress: (bytes) => this.#ports.compress(bytes),
      limits: this.#limits,
      uploaded: (file) => {
        report.bytes += file.sizeBytes
        this.#ports.progress?.({ ...report, at: file.path })
      },
    })
    const keys = files.uploadedKeys
    try {
      await this.#route(rows, files, report)
      const written = await files.finish()
      if (written.length === 0) return { snapshotId: null, files: 0, rows: 0, bytes: 0, partitions: 0 }
      const snapshot = await this.#commit(written, start, ids, namePrefix, keys)
      // Also a commit whose reply was lost and that was found again is ours by its id.
      if (snapshot['snapshot-id'] === ids.snapshotId) return receiptOf(snapshot, false)
      // An earlier attempt's commit stands under this key, and none names our files.
      await this.#forget(keys)
      return receiptOf(snapshot, true)
    } catch (thrown) {
      if (codeOf(thrown) !== 'COMMIT_UNKNOWN') await this.#forget(keys)
      throw thrown
    }
  }

  /** Feeds the rows to the files, whatever form they come in. An iterator that is left early is closed by the loop. */
  async #route(rows: Rows, files: DataFiles, report: { rows: number; bytes: number }): Promise<void> {
    const take = async (batch: Iterable<Row | readonly Row[]>): Promise<void> => {
      for (const item of batch) {
        if (Array.isArray(item)) {
          await take(item as readonly Row[])
          continue
        }
        const room = files.add(item as Row, ++report.rows)
        if (room) await room
        if (report.rows % REPORT_ROWS !== 0) continue
        this.#ports.progress?.({ ...report })
        await this.#ports.breathe?.()
      }
    }
    const kind = rows as Partial<Iterable<Row>> & Partial<AsyncIterable<Row | readonly Row[]>>
    if (typeof rows === 'string' || (typeof kind?.[Symbol.iterator] !== 'function' && typeof kind?.[Symbol.asyncIterator] !== 'function')) {
      throw new DotdoError(
        'INVALID_RECORD',
        `write() was given ${preview(rows)}. It takes rows: an array, or an iterable or async iterable of rows or of arrays of rows.`,
      )
    }
    if (typeof kind[Symbol.asyncIterator] !== 'function') return take(rows as Iterable<Row | readonly Row[]>)
    for await (const item of rows as AsyncIterable<Row | readonly Row[]>) await take([item])
  }

  /**
   * Commits the files; gives the snapshot that stands under the key. Lists that lost to another commit are deleted after.
   * @throws `COMMIT_UNKNOWN`, and whatever the catalog refuses
   */
  async #commit(files: readonly DataFile[], start: WriteStart, ids: WriteIds, namePrefix: string, keys: string[]): Promise<Snapshot> {
    const { catalog, clock, random } = this.#ports
    const folder = `${start.metadata.location}/metadata`
    const manifest = stageManifest(files, {
      schema: currentSchema(start.metadata),
      spec: currentSpec(start.metadata),
      snapshotId: ids.snapshotId,
      path: `${folder}/${namePrefix}-m0.avro`,
      sync: random.bytes(16),
    })
    // Lists of rounds that another commit won. They are deleted once ours stands.
    const lostLists: string[] = []
    let table: LoadedTable = start
    for (let conflicts = 0; ; conflicts++) {
      const staged = stageAppend({
        metadata: table.metadata,
        parents: await this.#manifests(table),
        manifest,
        snapshotId: ids.snapshotId,
        commitKey: ids.commitKey,
        writtenBy: ids.writtenBy,
        listPath: `${folder}/snap-${ids.snapshotId}-${conflicts}-${ids.attemptId}.avro`,
        sync: random.bytes(16),
        now: clock.now(),
      })
      // Nothing names either of the two before the commit, so they go up together: a round trip less for every write.
      await all([
        ...(conflicts === 0 ? [this.#put(manifest.entry.path, manifest.bytes, keys)] : []),
        this.#put(staged.listPath, staged.listBytes, keys),
      ])
      try {
        const result = await this.#settle(ids.commitKey, () => catalog.commit(this.ident, staged.request))
        if (staged.manifests.length <= KEPT_MANIFESTS) this.#memory.lastList = { path: staged.listPath, manifests: staged.manifests }
        await this.#forget(lostLists)
        return result
      } catch (thrown) {
        if (codeOf(thrown) !== 'COMMIT_CONFLICT' || conflicts >= MAX_CONFLICTS) throw thrown
      }
      lostLists.push(keyOf(staged.listPath))
      table = await this.#reload(start)
    }
  }

  /**
   * Asks for a commit and, when it is unknown what became of it, looks by key. The catalog's own
   * refusals pass through: nothing was committed.
   * @throws `COMMIT_UNKNOWN` where the key is not found, for that is no proof
   */
  async #settle(commitKey: string, commit: () => Promise<CommitResult>): Promise<Snapshot> {
    let cause: unknown
    try {
      const { snapshot } = await commit()
      if (snapshot) return snapshot
    } catch (thrown) {
      if (catalogFailures.has(codeOf(thrown) ?? '')) throw thrown
      cause = thrown
    }
    try {
      const found = await this.#ports.catalog.findCommit(this.ident, commitKey)
      if (found?.snapshot) return found.snapshot
    } catch (thrown) {
      cause ??= thrown
    }
    // Not found is no proof: the commit may still be on its way.
    throw new DotdoError(
      'COMMIT_UNKNOWN',
      `The catalog did not say whether the commit to ${this.#name} went through. Write the same rows again with the commit key ${commitKey}: if it did, nothing is added.`,
      {
        retryable: true,
        data: { table: this.#name, commitKey },
        cause,
      },
    )
  }

  /** The table after a conflict. One that was made anew under the name is another table, and our files are in the old one's folder. */
  async #reload(start: WriteStart): Promise<LoadedTable> {
    const table = await this.#ports.catalog.loadTable(this.ident)
    if (table?.metadata['table-uuid'] === start.metadata['table-uuid']) return table
    throw new DotdoError(
      'TABLE_NOT_FOUND',
      `The table ${this.#name} was dropped while this write was under way. Write again to make it anew.`,
      { retryable: true, data: { table: this.#name } },
    )
  }

  /** The manifests of the table's current snapshot, which the new one lists after its own. */
  async #manifests({ metadata }: LoadedTable): Promise<ManifestListEntry[]> {
    const list = currentSnapshot(metadata)?.['manifest-list']
    if (list === undefined) return []
    if (list === this.#memory.lastList?.path) return this.#memory.lastList.manifests
    const object = await this.#bucket.get(keyOf(list))
    if (!object)
      throw new DotdoError(
        'METADATA_MISSING',
        `The bucket of this writer has no ${list}, which the table ${this.#name} names. Give the writer the bucket that the catalog's warehouse is in.`,
        { data: { list } },
      )
    return readManifestList(new Uint8Array(await object.arrayBuffer()))
  }

  /** Puts metadata of this write, and lists its key first for whoever cleans up. */
  async #put(location: string, bytes: Uint8Array, keys: string[]): Promise<void> {
    const key = keyOf(location)
    if (!keys.includes(key)) keys.push(key)
    try {
      await this.#bucket.put(key, bytes)
    } catch (cause) {
      throw new DotdoError(
        'STORAGE_WRITE_FAILED',
        `Uploading ${location} failed: ${cause instanceof Error ? cause.message : String(cause)}. Nothing was committed; try again.`,
        { retryable: true, data: { location }, cause },
      )
    }
  }

  /** Deletes objects that no commit names. Best effort: what is left costs space, never truth. */
  async #forget(keys: readonly string[]): Promise<void> {
    for (let start = 0; start < keys.length; start += 1000) {
      try {
        await this.#bucket.delete(keys.slice(start, start + 1000))
      } catch {
        // The bucket is failing, and the error that led here matters more. The intent in the catalog tells whose files these are.
        return
      }
    }
  }
}

/** Waits for all uploads, then tells the first failure: whoever cleans up must not meet one that is still on its way. */
async function all(uploads: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(uploads)) if (result.status === 'rejected') throw result.reason
}

/** What one attempt goes by. */
interface WriteIds {
  commitKey: string
  attemptId: string
  snapshotId: number
  writtenBy?: string | undefined
}

/** A receipt by the summary of the snapshot, which says the same now and in a year. */
function receiptOf(snapshot: Snapshot, duplicate: boolean): WriteReceipt {
  const count = (name: string): number => Number(snapshot.summary[name] ?? 0)
  return {
    snapshotId: snapshot['snapshot-id'],
    files: count('added-data-files'),
    rows: count('added-records'),
    bytes: count('added-files-size'),
    partitions: count('changed-partition-count'),
    ...(duplicate && { duplicate: true as const }),
  }
}
