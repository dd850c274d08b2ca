/**
 * What this room needs from outside: a bucket, and the object that holds the catalog. Both are described by what is used of them.
 */
import type { CommitRequest, CommitResult, CreateTableRequest, LoadedTable, TableIdent, WriteIntent, WriteStart } from './types.ts'

/** What a bucket tells of an object without its bytes. */
export interface ObjectInfo {
  readonly key: string
  /** Length in bytes. */
  readonly size: number
  /** The entity tag without quotes. */
  readonly etag: string
  readonly uploaded: Date
}

/** An object with its bytes. They are read once: by `arrayBuffer()`, or by an adapter that knows what `body` is. */
export interface StoredObject extends ObjectInfo {
  /** The platform's own stream of the bytes. This room only hands it on. */
  readonly body: unknown
  arrayBuffer(): Promise<ArrayBuffer>
}

/** A part of an object: `length` bytes from `offset`, all from `offset`, or the last `suffix` bytes. */
export type ObjectRange = { offset: number; length?: number } | { suffix: number }

/** One page of a listing. */
export type ObjectPage = { objects: ObjectInfo[]; delimitedPrefixes: string[] } & (
  | { truncated: true; cursor: string }
  | { truncated: false }
)

/**
 * A listing's question: at most `limit` (1,000 where it is absent) keys and prefixes that start with
 * `prefix`, in the order of their bytes.
 */
export interface ListQuery {
  prefix?: string
  delimiter?: string
  cursor?: string
  limit?: number
  startAfter?: string
}

/**
 * The subset of R2's bucket that tables need: an R2 binding is one as it is. Reads follow writes (strong consistency), and an object
 * appears whole or not at all.
 */
export interface ObjectStore {
  /** The object, or `null` where there is none. A range past the end may be refused: ask `head` for the size first. */
  get(key: string, options?: { range: ObjectRange }): Promise<StoredObject | null>
  head(key: string): Promise<ObjectInfo | null>
  put(key: string, bytes: Uint8Array): Promise<ObjectInfo>
  list(query?: ListQuery): Promise<ObjectPage>
  /** Removes keys, at most 1,000 a call. A key without an object is no error. */
  delete(keys: string[]): Promise<void>
}

/**
 * What the catalog's object offers, here or across RPC: plain data goes in and comes out. An absent table or namespace is `null`.
 *
 * Rejections with a code that a method names, or with one of {@link catalogFailures}, come from the
 * catalog before its commit point: nothing was changed. Any other one (a lost link, a reset object) leaves the outcome unknown, and {@link CatalogClient.findCommit} tells.
 */
export interface CatalogClient {
  /** The table as of now, or `null`. */
  loadTable(ident: TableIdent): Promise<LoadedTable | null>
  /** Makes a table, and its namespace where that is missing. @throws `TABLE_EXISTS`, `INVALID_NAME` */
  createTable(ident: TableIdent, request: CreateTableRequest): Promise<LoadedTable>
  /**
   * The start of an exactly-once write: stores the intent, and answers with what was committed under its key before, if anything.
   * @throws `TABLE_NOT_FOUND`
   */
  beginWrite(ident: TableIdent, intent: WriteIntent): Promise<WriteStart>
  /** What was committed under a key, or `null`. Found after the snapshot has expired, too. @throws `TABLE_NOT_FOUND` */
  findCommit(ident: TableIdent, commitKey: string): Promise<CommitResult | null>
  /**
   * Checks the requirements and applies the updates, all or nothing.
   * @throws `COMMIT_CONFLICT` (retryable after a reload), `TABLE_NOT_FOUND`, `INVALID_COMMIT`
   */
  commit(ident: TableIdent, request: CommitRequest): Promise<CommitResult>
  /** Takes the table out of the catalog; its files stay. Answers whether there was one. */
  dropTable(ident: TableIdent): Promise<boolean>
  /** Makes a namespace, or leaves the one that is there. @throws `INVALID_NAME` */
  createNamespace(namespace: readonly string[], properties?: Record<string, string>): Promise<void>
  /** Properties of a namespace, or `null`. */
  loadNamespace(namespace: readonly string[]): Promise<Record<string, string> | null>
  /** The namespaces directly below `parent` (at the top where it is absent), sorted. */
  listNamespaces(parent?: readonly string[]): Promise<string[][]>
  /** The tables of a namespace, sorted by name; empty where the namespace is missing. */
  listTables(namespace: readonly string[]): Promise<TableIdent[]>
}

/** The codes by which a catalog says that a commit did not happen, and will not. */
export const catalogFailures: ReadonlySet<string> = new Set([
  'COMMIT_CONFLICT',
  'TABLE_NOT_FOUND',
  'TABLE_EXISTS',
  'INVALID_COMMIT',
  'INVALID_NAME',
  'ICEBERG_UNSUPPORTED',
  'METADATA_MISSING',
  'METADATA_INVALID',
  'STORAGE_WRITE_FAILED',
])

/** The key of an object at an address. Where a bucket stands in addresses: `s3://<bucket>/<key>`. */
export function keyOf(location: string): string {
  const match = /^[a-z][a-z0-9+.-]*:\/\/[^/]+\/(.+)$/i.exec(location)
  return match ? match[1]! : location
}
