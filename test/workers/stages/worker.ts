/** The Worker of the stages: offers its nouns to other Workers, by binding and by service. */
import { DotdoEntrypoint as Entrypoint, serve } from 'dotdo'
import { counted, withTally } from '../tally.ts'
import * as nouns from './nouns.ts'

export { DotdoSystem } from 'dotdo'
export const Source = counted('Source', nouns.Source)
export const Stage = counted('Stage', nouns.Stage)
export const Shard = counted('Shard', nouns.Shard)
/** A noun that the Worker keeps to itself. */
export const Vault = nouns.Stage
export const DotdoEntrypoint = counted('the service', Entrypoint)
export { Rates } from './nouns.ts'

/** Shards were bins once: whoever calls them so, in another Worker, need not know. */
export default withTally(serve({ offers: ['Source', 'Stage', 'Shard'], renamed: { Bin: 'Shard' } }))
