import { DotdoError } from './errors.ts'
import { newTables } from './new-tables.ts'
import type { Store } from './ports.ts'

/** The statements that lead from one version of a room's tables to the next. The first entry makes version 1. */
export type Migrations = readonly (readonly string[])[]

/**
 * Brings a room's tables to the newest version that this code knows, in one transaction. Entries of `migrations` are never edited
 * after a release, only added to: state outlives code.
 *
 * @throws `STATE_TOO_NEW` when the tables were written by a later release. Nothing is touched then.
 */
export function migrate(store: Store, room: string, migrations: Migrations): void {
  const found = versionOf(store, room)
  if (found === migrations.length) return
  if (found > migrations.length) {
    throw new DotdoError(
      'STATE_TOO_NEW',
      `The ${room} tables of this object have version ${found}; this code knows up to ${migrations.length}. Deploy the release that wrote them, or a later one.`,
      {
        data: { room, found, known: migrations.length },
      },
    )
  }
  store.transaction(() => {
    for (const statement of found === 0 ? newTables(migrations) : migrations.slice(found).flat()) store.sql(statement)
    store.sql('INSERT OR REPLACE INTO dotdo_versions (room, version) VALUES (?, ?)', room, migrations.length)
  })
}

/** Each room of each object asks when it is opened: one statement, but for the first room of a new object. */
function versionOf(store: Store, room: string): number {
  const read = () => Number(store.sql('SELECT version FROM dotdo_versions WHERE room = ?', room)[0]?.version ?? 0)
  try {
    return read()
  } catch (thrown) {
    if (!(thrown instanceof Error && thrown.message.includes('no such table: dotdo_versions'))) throw thrown
    store.sql('CREATE TABLE dotdo_versions (room TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID')
    return 0
  }
}
