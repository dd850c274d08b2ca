/**
 * The app whose state is golden: one of everything that dotdo stores. What earlier releases wrote through it is opened by every later
 * one, so its steps, columns and ids are never changed, only added to.
 */
import { DO, DotdoSystem, extract, IcebergWriter, NonRetryableError, QueryCoordinator, serve, SqliteScanner } from 'dotdo'

interface Flight {
  date: string
  delay: number
  distance: number
  origin: string
  destination: string
}

interface Airport {
  iata: string
  state: string
}

const shards = 2

/** Values of every kind that a step can give and JSON cannot hold. */
function strangeValues() {
  const shared = { city: 'Zürich', sign: '😀' }
  return {
    at: new Date('2001-01-01T00:00:00Z'),
    count: 12345678901234567890n,
    missing: undefined,
    map: new Map([['shared', shared]]),
    set: new Set([1, 2]),
    bytes: new Uint8Array([0, 127, 255]),
    error: new RangeError('too far'),
    nan: NaN,
    shared,
  }
}

export const Pipeline = DO.extend({
  iceberg: null as IcebergWriter | null,

  init() {
    this.iceberg = new IcebergWriter({
      bucket: this.env.R2_BUCKET,
      namespace: 'analytics',
      tableName: 'flights',
      schema: {
        date: { type: 'timestamp', required: true },
        delay: 'int',
        distance: 'int',
        origin: 'string',
        originState: 'string',
        destination: 'string',
        destinationState: 'string',
      },
      partitionBy: ['day(date)'],
    })
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS notices (id TEXT PRIMARY KEY)')
    this.every.day.at('2am')(() => this.dailyPipeline(), { id: 'daily' })
    this.every.Monday.at('9am')(() => this.dailyPipeline(), { id: 'weekly' })
    this.on.Pipeline.completed((event: { days: string[] }) => this.shareOut(event.days), { id: 'share-out' })
    // Fails once and for all: a dead letter.
    this.on.Pipeline.completed(() => this.passGate('refused'), { id: 'refuse', retries: { limit: 0 } })
    // Is still being tried when the state is taken.
    this.on.Pipeline.completed(() => this.passGate('patient'), { id: 'patient', retries: { limit: 100, delay: '1s', backoff: 'constant' } })
  },

  /** While the state is recorded, the gate is shut. */
  passGate(notice: string) {
    if (this.env.GOLDEN_GATE !== 'open') throw new Error('the gate is shut')
    this.ctx.storage.sql.exec('INSERT OR IGNORE INTO notices (id) VALUES (?)', notice)
  },

  async dailyPipeline() {
    const [flights, airports] = await Promise.all([
      this.do(() => extract<Flight>('flights'), { stepId: 'extract-flights' }),
      this.do(() => extract<Airport>('airports'), { stepId: 'extract-airports' }),
    ])
    const states = new Map(airports.map((airport) => [airport.iata, airport.state]))
    const enriched = await this.do(
      () =>
        flights.map((flight) => ({
          ...flight,
          originState: states.get(flight.origin) ?? null,
          destinationState: states.get(flight.destination) ?? null,
        })),
      { stepId: 'enrich-flights' },
    )
    const days = Map.groupBy(enriched, (flight) => flight.date.slice(0, 10))
    for (const [day, rows] of days) {
      await this.do(() => this.iceberg!.write(rows, { commitKey: `flights of ${day}` }), { stepId: `load-${day}` })
    }
    this.send('Pipeline.completed', { records: enriched.length, days: [...days.keys()] }, { key: 'completed' })
    return { records: enriched.length }
  },

  async shareOut(days: string[]) {
    await this.do(
      () => Promise.all(days.map((day, index) => this.FlightShard(`shard-${index % shards}`).load(day))),
      { stepId: 'share-out' },
    )
  },

  /** Stops at the gate with its results stored in every form, and tells at the end what it read of them. */
  async hold(note: { title: string; at: Date }) {
    const rows = await this.do(() => extract<Flight>('flights'), { stepId: 'rows' })
    const batches = await this.do(() => extract<Flight>('flights', { batchRows: 100 }).batches(), { stepId: 'stream' })
    const values = await this.do(strangeValues, { stepId: 'values' })
    const text = await this.do(() => 'äx€😀\n'.repeat(5000), { stepId: 'text' })
    await this.do(() => this.passGate('held'), { stepId: 'gate', retries: { limit: 1000, delay: '1s', backoff: 'constant' } })
    let streamed = 0
    let delay = 0
    for await (const batch of batches) {
      streamed += batch.length
      for (const flight of batch) delay += flight.delay
    }
    return {
      note: `${note.title} ${note.at.toISOString()}`,
      rows: rows.length,
      last: rows.at(-1),
      streamed,
      delay,
      text: text.length,
      values: [
        values.at.toISOString(),
        String(values.count),
        values.missing === undefined,
        values.map.get('shared') === values.shared,
        [...values.set],
        [...values.bytes],
        values.error.message,
        Number.isNaN(values.nan),
        values.shared.city,
      ],
    }
  },

  /** A run that has failed. */
  async fail() {
    await this.do(
      () => {
        throw new NonRetryableError('this never goes well', { code: 'NEVER', data: { because: ['a', 1] } })
      },
      { stepId: 'never' },
    )
  },

  notices() {
    return [...this.ctx.storage.sql.exec('SELECT id FROM notices ORDER BY id')].map((row) => row['id'])
  },

  /** Lays data into the lake. */
  async lay(objects: Record<string, string>) {
    for (const [key, text] of Object.entries(objects)) await this.env.R2_BUCKET.put(key, text)
  },

  async query(sql: string) {
    const scanners = Array.from({ length: shards }, (_, shard) => this.FlightShard(`shard-${shard}`).scanner())
    return await new QueryCoordinator(scanners).query(sql)
  },

  async table() {
    return await this.iceberg!.snapshot()
  },
})

export const FlightShard = DO.extend({
  init() {
    this.ctx.storage.sql.exec(
      'CREATE TABLE IF NOT EXISTS flights (date TEXT, day TEXT, delay INTEGER, distance INTEGER, origin TEXT, destination TEXT)',
    )
  },

  async load(day: string) {
    const flights = await extract<Flight>(`s3://data-lake/flights/${day}.ndjson`)
    this.ctx.storage.sql.exec('DELETE FROM flights WHERE day = ?', day)
    this.ctx.storage.sql.exec(
      `INSERT INTO flights SELECT value ->> 'date', ?, value ->> 'delay', value ->> 'distance', value ->> 'origin', value ->> 'destination' FROM json_each(?)`,
      day,
      JSON.stringify(flights),
    )
    return flights.length
  },

  scanner() {
    return new SqliteScanner(this, ['flights'])
  },
})

export { DotdoSystem }

export default serve({
  sources: { 'data-lake': 'R2_BUCKET', flights: 's3://data-lake/flights/', airports: 's3://data-lake/airports/airports.csv' },
})
