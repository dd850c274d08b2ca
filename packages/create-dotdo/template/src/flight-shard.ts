import { DO, SqliteScanner } from 'dotdo'
import type { EnrichedFlight } from './flights.ts'

/** Rows that one statement inserts: their JSON stays well below the 2 MB that SQLite takes as one value. */
const rowsPerInsert = 5000

/** One share of the flights, in the object's own SQLite. */
export const FlightShard = DO.extend({
  init() {
    this.ctx.storage.sql.exec(
      'CREATE TABLE IF NOT EXISTS flights (date TEXT, delay INTEGER, distance INTEGER, origin TEXT, originState TEXT, destination TEXT, destinationState TEXT)',
    )
  },

  /** Puts these rows in the place of all that there were. One transaction: a failure leaves the old ones. */
  replace(rows: EnrichedFlight[]) {
    const { sql } = this.ctx.storage
    sql.exec('DELETE FROM flights')
    for (let from = 0; from < rows.length; from += rowsPerInsert) {
      sql.exec(
        `INSERT INTO flights SELECT value ->> 'date', value ->> 'delay', value ->> 'distance', value ->> 'origin', value ->> 'originState', value ->> 'destination', value ->> 'destinationState' FROM json_each(?)`,
        JSON.stringify(rows.slice(from, from + rowsPerInsert)),
      )
    }
    return rows.length
  },

  /** What a query reads: a capability that can read this one table and nothing else. */
  scanner() {
    return new SqliteScanner(this, ['flights'])
  },
})
