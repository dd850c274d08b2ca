/** The app of the simulation as a Worker, for real workerd: the version that its bindings say, at the pace of real time. */
import { env } from 'cloudflare:workers'
import { patchNativeStubs } from '../../src/object/natives.ts'
import { serve } from '../../src/object/serve.ts'
import { patchFetch } from '../../src/object/sources.ts'
import { fast } from '../support/scenario.ts'
import { appOf } from './simulation-app.ts'

// As the package does when it is imported; it would bring the parser's WebAssembly, too, which a plain bundle cannot hold.
patchFetch()
patchNativeStubs()

const { VERSION, POLICY } = env as { VERSION?: string; POLICY?: 'latest' | 'pin' }

export const { Actor, Listener, DotdoSystem } = appOf(Number(VERSION), fast)

export default serve({ deploys: POLICY ?? 'latest' })
