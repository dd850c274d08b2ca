import { DO, extract, SqliteScanner } from 'dotdo'
import { enrich, type Airport, type EnrichedFlight, type Flight } from './flights.ts'

/** Rows that one statement inserts: their JSON stays well below the 2 MB that SQLite takes as one value. */
const rowsPerInsert = 5000

/** Some days of flights, in the object's own SQLite. */
export const FlightShard = DO.extend({
  init() {
    this.ctx.storage.sql.exec(
      'CREATE TABLE IF NOT EXISTS flights (date TEXT, day TEXT, delay INTEGER, distance INTEGER, origin TEXT, originState TEXT, destination TEXT, destinationState TEXT)',
    )
  },

  /** Fetches days from the data lake and puts each in the place of what there was of it: doing it again changes nothing. */
  async load(days: string[]) {
    const airports = await extract<Airport>('airports')
    for (const day of days) {
      const flights = await extract<Flight>(`s3://data-lake/flights/${day}.ndjson`)
      this.replace(day, enrich(flights, airports))
    }
    return days.length
  },

  /** One transaction: nobody sees half a day. */
  replace(day: string, rows: EnrichedFlight[]) {
    const { sql } = this.ctx.storage
    sql.exec('DELETE FROM flights WHERE day = ?', day)
    for (let from = 0; from < rows.length; from += rowsPerInsert) {
      sql.exec(
        `INSERT INTO flights SELECT value ->> 'date', ?, value ->> 'delay', value ->> 'distance', value ->> 'origin', value ->> 'originState', value ->> 'destination', value ->> 'destinationState' FROM json_each(?)`,
        day,
        JSON.stringify(rows.slice(from, from + rowsPerInsert)),
      )
    }
  },

  /** What a query reads: a capability that can read this one table and nothing else. */
  scanner() {
    return new SqliteScanner(this, ['flights'])
  },
})
