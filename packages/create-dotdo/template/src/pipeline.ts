import { DO, extract, IcebergWriter, QueryCoordinator } from 'dotdo'
import { byDay, enrich, type Airport, type Flight } from './flights.ts'

/** How many objects share the flights that queries run over. */
const shards = 4

/** Every night: read what is in the data lake, join it, and load it into an Iceberg table. */
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

    this.every.day.at('2am')(() => this.dailyPipeline(), { id: 'daily' })

    this.on.Pipeline.completed((event: { days: string[] }) => this.shareOut(event.days), { id: 'share-out' })
  },

  async dailyPipeline() {
    // Extract: both sources at once. A step that is done is not done again, however often the run is interrupted.
    const [flights, airports] = await Promise.all([
      this.do(() => extract<Flight>('flights'), { stepId: 'extract-flights' }),
      this.do(() => extract<Airport>('airports'), { stepId: 'extract-airports' }),
    ])

    // Transform: depends on both.
    const enriched = await this.do(() => enrich(flights, airports), { stepId: 'enrich-flights' })

    // Load: one snapshot a day of flights. The day is the commit key, so a later run adds only days that are new.
    const days = byDay(enriched)
    for (const [day, rows] of days) {
      await this.do(() => this.iceberg!.write(rows, { commitKey: `flights of ${day}` }), { stepId: `load-${day}` })
    }

    // Notify: whoever handles it does so once, in a run of its own.
    this.send('Pipeline.completed', { records: enriched.length, days: [...days.keys()] })
    return { records: enriched.length }
  },

  /** Lets each shard fetch its days from the data lake, all shards at once. The rows never pass through here. */
  async shareOut(days: string[]) {
    const shares = Array.from({ length: shards }, (_, shard) => days.filter((_, index) => index % shards === shard))
    await this.do(() => Promise.all(shares.map((share, shard) => this.FlightShard(`shard-${shard}`).load(share))), { stepId: 'share-out' })
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
})
