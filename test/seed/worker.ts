/** The app of the seed's fragments: each block lives in the file that its class comes from. */
import { serve } from 'dotdo'

export { DotdoSystem } from 'dotdo'
export { Dag } from './dag.ts'
export { Doubler, Line as Pipeline, Stage, Stages } from './pipelining.ts'
export { Scheduling } from './scheduling.ts'
export { Shard } from './shard.ts'
export { default as Solution } from './solution.ts'

export default serve({
  sources: { 'data-lake': 'R2_BUCKET', users: 's3://data-lake/users.json', events: 's3://data-lake/events.ndjson', products: 's3://data-lake/products.csv' },
})
