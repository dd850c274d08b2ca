/**
 * The tables of subscriptions, at both ends, and when they are made: by the first that needs one, because most objects have none.
 *
 * `dotdo_subscriptions` stands with the sender: who gets its events. `dotdo_subscribed` stands with whoever subscribes: what it wants of others.
 * `dotdo_inbox` and `dotdo_inbox_events` stand with the receiver: what it has handled. `dotdo_sink_batches` stands with a sender that gives events
 * to a table.
 */
import { migrate, type Migrations } from '../base/migrations.ts'
import type { SqlRow, SqlValue, Store } from '../base/ports.ts'

/** The definitions, version by version. Entries are only ever added. */
export const subscriptionMigrations: Migrations = [
  [
    // `owner` asked for it and alone may change it. `due_at`, `failures` and `failing_since` speak of batches that did not get through.
    `CREATE TABLE dotdo_subscriptions (
      id TEXT PRIMARY KEY, owner TEXT, pattern TEXT NOT NULL, target TEXT NOT NULL, ordered INTEGER NOT NULL, retries TEXT NOT NULL,
      created_at INTEGER NOT NULL, suspended_at INTEGER, failures INTEGER NOT NULL DEFAULT 0, failing_since INTEGER,
      due_at INTEGER NOT NULL DEFAULT 0, error TEXT, missed INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID`,
    // `request` is what the source is asked for; `declared`: by init(), which says so again at every start.
    `CREATE TABLE dotdo_subscribed (
      id TEXT PRIMARY KEY, noun TEXT NOT NULL, name TEXT NOT NULL, handler TEXT NOT NULL, request TEXT NOT NULL, declared INTEGER NOT NULL,
      state TEXT NOT NULL, failures INTEGER NOT NULL DEFAULT 0, due_at INTEGER NOT NULL, error TEXT, created_at INTEGER NOT NULL,
      ending_at INTEGER, UNIQUE (noun, name, handler)) WITHOUT ROWID`,
    // Every event of a subscription below `floor` has been handled, but for those that are `skipped`.
    'CREATE TABLE dotdo_inbox (subscription TEXT PRIMARY KEY, floor INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID',
    'CREATE INDEX dotdo_inbox_at ON dotdo_inbox (at)',
    `CREATE TABLE dotdo_inbox_events (
      subscription TEXT NOT NULL, seq INTEGER NOT NULL, handled INTEGER NOT NULL DEFAULT 0, skipped INTEGER, begun INTEGER NOT NULL DEFAULT 0,
      PRIMARY KEY (subscription, seq)) WITHOUT ROWID`,
    // The batch that a sink is being given: it comes again as it was.
    'CREATE TABLE dotdo_sink_batches (lane TEXT PRIMARY KEY, seqs TEXT NOT NULL) WITHOUT ROWID',
  ],
  [
    // When it was told that an event is passed over; null of one that was told to an earlier release.
    'ALTER TABLE dotdo_inbox_events ADD COLUMN skipped_at INTEGER',
    'CREATE INDEX dotdo_inbox_events_skipped ON dotdo_inbox_events (coalesce(skipped_at, 0)) WHERE skipped IS NOT NULL',
  ],
  // What is asked for or ended, in its order: looked at after each turn, among as many as there are.
  [`CREATE INDEX dotdo_subscribed_due ON dotdo_subscribed (due_at) WHERE state IN ('asking', 'ending')`],
  // Those that will be over.
  ['CREATE INDEX dotdo_subscriptions_suspended ON dotdo_subscriptions (suspended_at) WHERE suspended_at IS NOT NULL'],
]

/** The tables over one store: reading where there are none gives nothing, and writing makes them. */
export class SubscriptionStore {
  readonly store: Store
  #exists: boolean

  constructor(store: Store) {
    this.store = store
    // Asked once: an object without subscriptions pays one look-up a life.
    const hasVersions = store.sql("SELECT 1 FROM sqlite_master WHERE name = 'dotdo_versions'").length > 0
    this.#exists = hasVersions && store.sql("SELECT 1 FROM dotdo_versions WHERE room = 'subscriptions'").length > 0
    if (this.#exists) migrate(store, 'subscriptions', subscriptionMigrations)
  }

  read<Row extends SqlRow = SqlRow>(statement: string, ...parameters: SqlValue[]): Row[] {
    if (!this.#exists) return []
    try {
      return this.store.sql<Row>(statement, ...parameters)
    } catch (thrown) {
      if (!wereUndone(thrown)) throw thrown
      this.#exists = false
      return []
    }
  }

  write<Row extends SqlRow = SqlRow>(statement: string, ...parameters: SqlValue[]): Row[] {
    if (!this.#exists) this.#make()
    try {
      return this.store.sql<Row>(statement, ...parameters)
    } catch (thrown) {
      if (!wereUndone(thrown)) throw thrown
      this.#make()
      return this.store.sql<Row>(statement, ...parameters)
    }
  }

  /** Removes, where there are tables. */
  prune(statement: string, ...parameters: SqlValue[]): SqlRow[] {
    return this.read(statement, ...parameters)
  }

  #make(): void {
    migrate(this.store, 'subscriptions', subscriptionMigrations)
    this.#exists = true
  }
}

/** The tables were made in a transaction of the user's that was undone. */
function wereUndone(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.message.includes('no such table: dotdo_')
}
