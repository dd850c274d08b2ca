/** The same nouns in one Worker: what the two of them are compared with. */
import { DotdoSystem as System, serve } from 'dotdo'
import * as pipeline from '../pipeline/nouns.ts'
import * as stages from '../stages/nouns.ts'
import { counted, withTally } from '../tally.ts'

export const Pipeline = counted('Pipeline', pipeline.Pipeline)
export const Warehouse = counted('Warehouse', pipeline.Warehouse)
export const Source = counted('Source', stages.Source)
export const Stage = counted('Stage', stages.Stage)
export const Shard = counted('Shard', stages.Shard)
export const DotdoSystem = counted('DotdoSystem', System)
export { Rates } from '../stages/nouns.ts'

export default withTally(serve())
