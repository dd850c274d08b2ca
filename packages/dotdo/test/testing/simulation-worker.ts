/** The app of the simulation as a Worker, for real workerd: the version that its bindings say, at the pace of real time. */
import { env } from 'cloudflare:workers'
import { patchNativeStubs } from '../../src/object/natives.ts'
import { serve } from '../../src/object/serve.ts'
import { patchFetch } from '../../src/object/sources.ts'
import { actorIn, fast, renamedIn } from '../support/scenario.ts'
import { appOf } from './simulation-app.ts'

// As the package does when it is imported; it would bring the parser's WebAssembly, too, which a plain bundle cannot hold.
patchFetch()
patchNativeStubs()

const { VERSION, POLICY } = env as { VERSION?: string; POLICY?: 'latest' | 'pin' }

const classes = appOf(Number(VERSION), fast)

export const { Listener, DotdoSystem } = classes
/** The one class, by the names that it has in one version or another. Which of them there is, the configuration says: the other has no objects. */
export const Actor = classes[actorIn(Number(VERSION))]
export { Actor as Player }

export default serve({ deploys: POLICY ?? 'latest', renamed: renamedIn(Number(VERSION)) })
