/** The Worker of the pipeline. Where its wrangler.toml binds the nouns of the stages they are found there, else behind the service. */
import { DotdoSystem as System, serve } from 'dotdo'
import { counted, withTally } from '../tally.ts'
import * as nouns from './nouns.ts'

export const Pipeline = counted('Pipeline', nouns.Pipeline)
export const Warehouse = counted('Warehouse', nouns.Warehouse)
export const DotdoSystem = counted('DotdoSystem', System)

export default withTally(serve({ services: { Source: 'STAGES', Stage: 'STAGES', Shard: 'STAGES', Bin: 'STAGES', Vault: 'STAGES' } }))
