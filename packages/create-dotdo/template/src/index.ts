import { serve } from 'dotdo'

// Objects, by their nouns: this.Pipeline('main'), this.FlightShard('shard-0').
export { Pipeline } from './pipeline.ts'
export { FlightShard } from './flight-shard.ts'
// The framework's own object: it holds the catalog of the tables.
export { DotdoSystem } from 'dotdo'

export default serve({
  // Lives without being called, so that its schedule runs from the first deploy on.
  singletons: { Pipeline: ['main'] },
  sources: {
    'data-lake': 'R2_BUCKET',
    flights: 's3://data-lake/flights/',
    airports: 's3://data-lake/airports/airports.csv',
  },
})
