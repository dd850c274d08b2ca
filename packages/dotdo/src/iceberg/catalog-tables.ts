import type { Migrations } from '../base/migrations.ts'

/**
 * The catalog's tables. Entries are never edited after a release, only added to. Levels of a namespace are joined by U+001F, the
 * separator of the REST protocol, which no name may hold.
 */
export const catalogTables: Migrations = [
  [
    'CREATE TABLE dotdo_catalog_namespaces (namespace TEXT PRIMARY KEY, properties TEXT NOT NULL) WITHOUT ROWID',
    // The commit point of every table: its metadata is the file that this row names.
    'CREATE TABLE dotdo_catalog_tables (namespace TEXT NOT NULL, name TEXT NOT NULL, uuid TEXT NOT NULL UNIQUE, metadata_location TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (namespace, name)) WITHOUT ROWID',
    // What was committed under which key. Outlives the snapshots that it tells of.
    'CREATE TABLE dotdo_catalog_commits (table_uuid TEXT NOT NULL, commit_key TEXT NOT NULL, snapshot TEXT NOT NULL, metadata_location TEXT NOT NULL, committed_at INTEGER NOT NULL, PRIMARY KEY (table_uuid, commit_key)) WITHOUT ROWID',
    'CREATE INDEX dotdo_catalog_commits_by_time ON dotdo_catalog_commits (committed_at)',
    // Writes that began and have not committed: whose files may lie in the bucket.
    'CREATE TABLE dotdo_catalog_intents (table_uuid TEXT NOT NULL, commit_key TEXT NOT NULL, attempt_id TEXT NOT NULL, snapshot_id INTEGER NOT NULL, begun_at INTEGER NOT NULL, PRIMARY KEY (table_uuid, commit_key, attempt_id)) WITHOUT ROWID',
    'CREATE INDEX dotdo_catalog_intents_by_time ON dotdo_catalog_intents (begun_at)',
  ],
]
