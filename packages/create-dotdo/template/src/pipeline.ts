import { DO, extract, IcebergWriter, QueryCoordinator } from 'dotdo'
import { byDay, byShard, enrich, type Airport, type Flight } from './flights.ts'

/** How many objects share the flights that queries run over. */
const shards = 4

/** Every night: read what is in the data lake, join it, load it into an Iceberg table, and share it out for queries. */
export const Pipeline = DO.extend({
  iceberg: null as IcebergWriter | null,
  completed: null as { records: number; at: string } | null,

  init() {
    this.iceberg = new IcebergWriter({
      bucket: this.env.R2_BUCKET,
      namespace: 'analytics',
      tableName: 'flights',
      schema: { date: { type: 'timestamp', required: true }, delay: 'int', distance: 'int', origin: 'string', originState: 'string', destination: 'string', destinationState: 'string' },
      partitionBy: ['day(date)'],
    })

    this.every.day.at('2am')(() => this.dailyPipeline(), { id: 'daily' })

    this.on.Pipeline.completed((event: { records: number }) => {
      this.completed = { records: event.records, at: new Date().toISOString() }
    })
  },

  async dailyPipeline() {
    // Extract: both sources at once. A step that is done is not done again, however often the run is interrupted.
    const [flights, airports] = await Promise.all([
      this.do(() => extract<Flight>('flights'), { stepId: 'extract-flights' }),
      this.do(() => extract<Airport>('airports', { types: true }), { stepId: 'extract-airports' }),
    ])

    // Transform: depends on both.
    const enriched = await this.do(() => enrich(flights, airports), { stepId: 'enrich-flights' })

    // Load: one snapshot a day of flights. The day is the commit key, so a later run adds only days that are new.
    for (const [day, rows] of byDay(enriched)) {
      await this.do(() => this.iceberg!.write(rows, { commitKey: `flights of ${day}` }), { stepId: `load-${day}` })
    }

    // Share the rows out over objects, all at once.
    await this.do(
      () => Promise.all(byShard(enriched, shards).map((rows, shard) => this.FlightShard(`shard-${shard}`).replace(rows))),
      { stepId: 'share-out' },
    )

    // Notify: handled once, whatever happens.
    this.send('Pipeline.completed', { records: enriched.length })
    return { records: enriched.length }
  },

  /** SQL over all shards: `SELECT origin, COUNT(*) FROM flights GROUP BY origin`. */
  async query(sql: string) {
    const scanners = Array.from({ length: shards }, (_, shard) => this.FlightShard(`shard-${shard}`).scanner())
    return await new QueryCoordinator(scanners).query(sql)
  },

  /** The table as it stands now. */
  async table() {
    return await this.iceberg!.snapshot()
  },

  lastCompleted() {
    return this.completed
  },
})
