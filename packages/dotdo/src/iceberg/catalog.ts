/**
 * Owns the names of tables and the commit point of each: the row of `dotdo_catalog_tables` that names its metadata file.
 *
 * 1. A metadata file is in the bucket, whole, before a row names it; a file is never written twice.
 * 2. A row moves only from the file that the commit was checked against (compare and swap in one synchronous transaction), so commits to a
 *    table are linearizable however their awaits interleave.
 * 3. The commit key of a snapshot is stored in the transaction that moves the row. A key that is stored adds nothing again.
 * 4. What a failed or losing commit leaves is at most an unnamed file.
 *
 * Bounds: a commit key is kept for {@link COMMIT_KEY_RETENTION_MS}, an intent for
 * {@link INTENT_RETENTION_MS}; metadata grows by about 700 bytes a snapshot until snapshots are
 * expired, and is read and written whole: 10,000 snapshots are 7 MB a commit.
 */
import { DotdoError } from '../base/errors.ts'
import { migrate } from '../base/migrations.ts'
import type { Clock, Random, SqlRow, Store } from '../base/ports.ts'
import { catalogTables } from './catalog-tables.ts'
import { applyUpdates, checkRequirements, newTableMetadata, parseMetadata, serializeMetadata } from './metadata.ts'
import { newUuid } from './numbers.ts'
import { keyOf, type CatalogClient, type ObjectStore } from './ports.ts'
import {
  COMMIT_KEY,
  type CommitRequest,
  type CommitResult,
  type CreateTableRequest,
  type LoadedTable,
  type Snapshot,
  type TableIdent,
  type TableMetadata,
  type WriteIntent,
  type WriteStart,
} from './types.ts'

/** How long a commit key answers a repeated write: 400 days. A later one would load again. */
export const COMMIT_KEY_RETENTION_MS = 400 * 86_400_000

/** How long an unfinished write is remembered: 30 days. */
export const INTENT_RETENTION_MS = 30 * 86_400_000

/** Rows that one commit, or the beginning of one write, drops at most: more than it adds. */
const PRUNED_AT_ONCE = 100

/** The longest metadata, as text, that is kept in memory between two commits: about 1,400 snapshots. */
const KEPT_METADATA_CHARS = 1024 * 1024

/** What a catalog works with. */
export interface CatalogPorts {
  store: Store
  bucket: ObjectStore
  clock: Clock
  random: Random
  /** Where new tables go: `s3://<bucket>` or `s3://<bucket>/<prefix>`, without a slash at the end. */
  warehouse: string
}

/** A table's row: its commit point. */
interface TableRow extends SqlRow {
  uuid: string
  metadata_location: string
  version: number
}

/** A commit as its key finds it. The snapshot is kept as text: expiring it in the metadata changes nothing here. */
interface CommitRow extends SqlRow {
  snapshot: string
  metadata_location: string
}

/** The catalog of a warehouse. Its methods are what {@link CatalogClient} says; the errors are named there. */
export class Catalog implements CatalogClient {
  readonly #store: Store
  readonly #bucket: ObjectStore
  readonly #clock: Clock
  readonly #random: Random
  readonly #warehouse: string
  readonly #encoder = new TextEncoder()
  readonly #decoder = new TextDecoder()
  /** The metadata file that was read or written last. It never changes (invariant 1), so what was read once is right for ever. */
  #last: { location: string; text: string } | undefined

  /** @throws `STATE_TOO_NEW` when the tables were written by a later release, `INVALID_NAME` for a warehouse that is no address */
  constructor(ports: CatalogPorts) {
    this.#store = ports.store
    this.#bucket = ports.bucket
    this.#clock = ports.clock
    this.#random = ports.random
    this.#warehouse = ports.warehouse.replace(/\/+$/, '')
    if (!/^[a-z][a-z0-9+.-]*:\/\/[^/\s]+(\/[^/\s]+)*$/.test(this.#warehouse))
      throw new DotdoError(
        'INVALID_NAME',
        `${JSON.stringify(ports.warehouse)} is no address of a warehouse. Write s3://bucket or s3://bucket/prefix.`,
        { data: { warehouse: ports.warehouse } },
      )
    migrate(this.#store, 'catalog', catalogTables)
  }

  async loadTable(ident: TableIdent): Promise<LoadedTable | null> {
    // A read needs no transaction: the file that a row names never changes.
    const row = this.#row(ident)
    return row ? this.#read(row.metadata_location) : null
  }

  async createTable(ident: TableIdent, request: CreateTableRequest): Promise<LoadedTable> {
    const namespace = checkNames([...ident.namespace, ident.name]).slice(0, -1)
    if (namespace.length === 0) throw invalidName('', 'A table needs a namespace')
    if (this.#row(ident)) throw tableExists(ident)
    const uuid = newUuid(this.#random)
    // Every table has a folder of its own: a name that is dropped and made again must not find the files of the first.
    const location = [this.#warehouse, ...namespace, `${ident.name}-${uuid.slice(0, 8)}`].join('/')
    const metadata = newTableMetadata(uuid, location, request, this.#clock.now())
    const metadataLocation = await this.#put(metadata, 0)
    return this.#store.transaction(() => {
      // The commit point: after the await, another creation may have come first.
      if (this.#row(ident)) throw tableExists(ident)
      this.#store.sql('INSERT OR IGNORE INTO dotdo_catalog_namespaces (namespace, properties) VALUES (?, ?)', joined(namespace), '{}')
      this.#store.sql(
        'INSERT INTO dotdo_catalog_tables (namespace, name, uuid, metadata_location, version) VALUES (?, ?, ?, ?, 0)',
        joined(namespace),
        ident.name,
        uuid,
        metadataLocation,
      )
      return { metadataLocation, metadata }
    })
  }

  async beginWrite(ident: TableIdent, intent: WriteIntent): Promise<WriteStart> {
    // The key is looked up before anything is stored: a write that is done leaves no intent behind.
    const row = this.#require(ident)
    const committed = this.#committed(row.uuid, intent.commitKey)
    if (!committed) {
      const now = this.#clock.now()
      this.#store.sql(
        `DELETE FROM dotdo_catalog_intents WHERE (table_uuid, commit_key, attempt_id) IN
          (SELECT table_uuid, commit_key, attempt_id FROM dotdo_catalog_intents WHERE begun_at < ? ORDER BY begun_at LIMIT (? + 0))`,
        now - INTENT_RETENTION_MS,
        PRUNED_AT_ONCE,
      )
      this.#store.sql(
        'INSERT OR REPLACE INTO dotdo_catalog_intents (table_uuid, commit_key, attempt_id, snapshot_id, begun_at) VALUES (?, ?, ?, ?, ?)',
        row.uuid,
        intent.commitKey,
        intent.attemptId,
        intent.snapshotId,
        now,
      )
    }
    return { ...(await this.#load(row.metadata_location)), committed }
  }

  async findCommit(ident: TableIdent, commitKey: string): Promise<CommitResult | null> {
    return this.#committed(this.#require(ident).uuid, commitKey)
  }

  async commit(ident: TableIdent, request: CommitRequest): Promise<CommitResult> {
    const row = this.#require(ident)
    // Looked up twice: here, so that a repetition costs no file, and in the transaction, where it counts.
    const key = commitKeyOf(request)
    const before = key === undefined ? null : this.#committed(row.uuid, key)
    if (before) return before
    // What follows awaits, so everything read so far may be old by the time of the swap, which checks it again.
    const { metadata: base } = await this.#load(row.metadata_location)
    checkRequirements(base, request.requirements)
    const metadata = applyUpdates(base, request.updates, this.#clock.now(), row.metadata_location)
    const metadataLocation = await this.#put(metadata, row.version + 1)
    const result = this.#store.transaction(() => this.#swap(ident, row, metadata, metadataLocation, key, request))
    if (result) return result
    // The file has no name anywhere, and best effort is enough: an orphan costs space, never truth.
    await this.#bucket.delete([keyOf(metadataLocation)]).catch(leaveOrphan)
    throw new DotdoError(
      'COMMIT_CONFLICT',
      `Another commit to ${shown(ident)} came first. Load the table again and stage the commit on it.`,
      { retryable: true, data: { table: shown(ident) } },
    )
  }

  async dropTable(ident: TableIdent): Promise<boolean> {
    const row = this.#row(ident)
    if (!row) return false
    // Keys and intents go with the table: its name, made again, is another table.
    this.#store.transaction(() => {
      this.#store.sql('DELETE FROM dotdo_catalog_tables WHERE uuid = ?', row.uuid)
      this.#store.sql('DELETE FROM dotdo_catalog_commits WHERE table_uuid = ?', row.uuid)
      this.#store.sql('DELETE FROM dotdo_catalog_intents WHERE table_uuid = ?', row.uuid)
    })
    return true
  }

  async createNamespace(namespace: readonly string[], properties: Record<string, string> = {}): Promise<void> {
    if (namespace.length === 0) throw invalidName('', 'A namespace needs at least one level')
    this.#store.sql(
      'INSERT OR IGNORE INTO dotdo_catalog_namespaces (namespace, properties) VALUES (?, ?)',
      joined(checkNames(namespace)),
      JSON.stringify(properties),
    )
  }

  async loadNamespace(namespace: readonly string[]): Promise<Record<string, string> | null> {
    const [row] = this.#store.sql<{ properties: string }>(
      'SELECT properties FROM dotdo_catalog_namespaces WHERE namespace = ?',
      joined(namespace),
    )
    if (row) return JSON.parse(row.properties) as Record<string, string>
    // A namespace with levels below it is there, too, although nobody made it by itself.
    return namespace.length > 0 && this.#below(namespace).length > 0 ? {} : null
  }

  async listNamespaces(parent: readonly string[] = []): Promise<string[][]> {
    const found = new Set(this.#below(parent).map((levels) => joined(levels.slice(0, parent.length + 1))))
    return [...found].toSorted().map((it) => it.split('\x1f'))
  }

  async listTables(namespace: readonly string[]): Promise<TableIdent[]> {
    const rows = this.#store.sql<{ name: string }>(
      'SELECT name FROM dotdo_catalog_tables WHERE namespace = ? ORDER BY name',
      joined(namespace),
    )
    return rows.map((row) => ({ namespace: [...namespace], name: row.name }))
  }

  /** Moves the row, if it still stands where the commit was checked. Synchronous: the commit point. */
  #swap(
    ident: TableIdent,
    row: TableRow,
    metadata: TableMetadata,
    metadataLocation: string,
    key: string | undefined,
    request: CommitRequest,
  ): CommitResult | null {
    const before = key === undefined ? null : this.#committed(row.uuid, key)
    if (before) return before
    const now = this.#row(ident)
    // Compare: the same table (not one made anew under the name), still at the file that was checked against.
    if (now?.uuid !== row.uuid || now.metadata_location !== row.metadata_location) return null
    this.#store.sql(
      'UPDATE dotdo_catalog_tables SET metadata_location = ?, version = ? WHERE uuid = ?',
      metadataLocation,
      row.version + 1,
      row.uuid,
    )
    // As it stands in the metadata, whose time may differ from what the writer asked for.
    const added = request.updates.find((it) => it.action === 'add-snapshot')?.snapshot['snapshot-id']
    const snapshot = metadata.snapshots.find((it) => it['snapshot-id'] === added)
    // Old keys go when new ones come: no timer, and the table is bounded by the commits of its retention.
    if (key !== undefined && snapshot) {
      const committedAt = this.#clock.now()
      this.#store.sql(
        `DELETE FROM dotdo_catalog_commits WHERE (table_uuid, commit_key) IN
          (SELECT table_uuid, commit_key FROM dotdo_catalog_commits WHERE committed_at < ? ORDER BY committed_at LIMIT (? + 0))`,
        committedAt - COMMIT_KEY_RETENTION_MS,
        PRUNED_AT_ONCE,
      )
      this.#store.sql(
        'INSERT INTO dotdo_catalog_commits (table_uuid, commit_key, snapshot, metadata_location, committed_at) VALUES (?, ?, ?, ?, ?)',
        row.uuid,
        key,
        JSON.stringify(snapshot),
        metadataLocation,
        committedAt,
      )
      this.#store.sql('DELETE FROM dotdo_catalog_intents WHERE table_uuid = ? AND commit_key = ?', row.uuid, key)
    }
    return { ...(snapshot && { snapshot }), metadataLocation, duplicate: false }
  }

  /** What stands under a commit key. */
  #committed(uuid: string, key: string): CommitResult | null {
    const [row] = this.#store.sql<CommitRow>(
      'SELECT snapshot, metadata_location FROM dotdo_catalog_commits WHERE table_uuid = ? AND commit_key = ?',
      uuid,
      key,
    )
    return row ? { snapshot: JSON.parse(row.snapshot) as Snapshot, metadataLocation: row.metadata_location, duplicate: true } : null
  }

  /** The row of a name, if there is one. */
  #row(ident: TableIdent): TableRow | undefined {
    return this.#store.sql<TableRow>(
      'SELECT uuid, metadata_location, version FROM dotdo_catalog_tables WHERE namespace = ? AND name = ?',
      joined(ident.namespace),
      ident.name,
    )[0]
  }

  /** The row of a name. @throws `TABLE_NOT_FOUND` */
  #require(ident: TableIdent): TableRow {
    const row = this.#row(ident)
    if (row) return row
    throw new DotdoError(
      'TABLE_NOT_FOUND',
      `There is no table ${shown(ident)} in this catalog. Create it, or look at listTables for the names that exist.`,
      { data: { table: shown(ident) } },
    )
  }

  /** The levels of every namespace below `parent`. */
  #below(parent: readonly string[]): string[][] {
    const all = this.#store
      .sql<{ namespace: string }>('SELECT namespace FROM dotdo_catalog_namespaces')
      .map((row) => row.namespace.split('\x1f'))
    return all.filter((levels) => levels.length > parent.length && parent.every((level, i) => levels[i] === level))
  }

  /** The metadata that a row names, for a write: a table that is written to again and again costs no read. */
  async #load(metadataLocation: string): Promise<LoadedTable> {
    if (this.#last?.location !== metadataLocation) return this.#read(metadataLocation)
    return { metadataLocation, metadata: parseMetadata(this.#last.text, metadataLocation) }
  }

  /** The same from the bucket. Who asks for the table goes on to read its files, so a file that is gone is told here. */
  async #read(metadataLocation: string): Promise<LoadedTable> {
    const object = await this.#bucket.get(keyOf(metadataLocation))
    if (!object)
      throw new DotdoError(
        'METADATA_MISSING',
        `The bucket has no ${metadataLocation}, which the catalog names. Restore the object, or drop the table.`,
        { data: { metadataLocation } },
      )
    const text = this.#decoder.decode(await object.arrayBuffer())
    this.#keep(metadataLocation, text)
    return { metadataLocation, metadata: parseMetadata(text, metadataLocation) }
  }

  /** Remembers one file, unless it is large: a catalog of many tables must not hold them. */
  #keep(location: string, text: string): void {
    if (text.length <= KEPT_METADATA_CHARS) this.#last = { location, text }
  }

  /**
   * Writes metadata under a name that nothing has had. The number is for people and for readers of
   * folders; what is current, the row alone says.
   */
  async #put(metadata: TableMetadata, version: number): Promise<string> {
    const location = `${metadata.location}/metadata/${String(version).padStart(5, '0')}-${newUuid(this.#random)}.metadata.json`
    const text = serializeMetadata(metadata)
    try {
      await this.#bucket.put(keyOf(location), this.#encoder.encode(text))
    } catch (cause) {
      throw new DotdoError(
        'STORAGE_WRITE_FAILED',
        `Writing ${location} failed: ${cause instanceof Error ? cause.message : String(cause)}. Nothing was committed; try again.`,
        { retryable: true, data: { location }, cause },
      )
    }
    this.#keep(location, text)
    return location
  }
}

/** The commit key of a request: it travels in the summary of the snapshot that it adds. */
function commitKeyOf(request: CommitRequest): string | undefined {
  for (const update of request.updates) if (update.action === 'add-snapshot') return update.snapshot.summary[COMMIT_KEY]
  return undefined
}

/** Names as they were given. @throws `INVALID_NAME` */
function checkNames(names: readonly string[]): string[] {
  for (const name of names) {
    // Names become folders of the bucket and segments of addresses.
    if (!/^[\p{L}\p{N}_][\p{L}\p{N}_-]{0,127}$/u.test(name))
      throw invalidName(name, `${JSON.stringify(name)} cannot name a namespace or a table`)
  }
  return [...names]
}

/** A namespace as the tables store it. */
function joined(namespace: readonly string[]): string {
  return namespace.join('\x1f')
}

/** A table's name for people. */
function shown(ident: TableIdent): string {
  return [...ident.namespace, ident.name].join('.')
}

function tableExists(ident: TableIdent): DotdoError {
  return new DotdoError('TABLE_EXISTS', `There is a table ${shown(ident)} already. Load it, or choose another name.`, {
    data: { table: shown(ident) },
  })
}

function invalidName(name: string, why: string): DotdoError {
  return new DotdoError('INVALID_NAME', `${why}. Use 1 to 128 letters, digits, '_' or '-', with a letter, digit or '_' first.`, {
    data: { name },
  })
}

function leaveOrphan(): void {
  // An orphan is found by the cleanup of files that no snapshot names.
}
