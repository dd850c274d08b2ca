// Node has no objects. What `object/` asks for is here all the same, so that an app's modules can be imported by plain tests; it comes to life when
// `dotdo/testing` plugs its simulation in.
//
// Owns what is plugged in now: one app, as in a Worker. `env` and `exports` are its bindings and classes, and change with it.

/** What an app has in `cloudflare:workers`; see {@link plug}. */
export const env = {}
export const exports = {}
export const workers = {}

const nodeFetch = globalThis.fetch

/** @type {import('./plugged.d.ts').Plugged | undefined} */
let plugged

/**
 * Puts a simulated platform in the place of the one before.
 * @param {import('./plugged.d.ts').Plugged | undefined} next
 */
export function plug(next) {
  plugged = next
  replace(env, next?.env ?? {})
  replace(exports, next?.exports ?? {})
}

/** @param {Record<string, unknown>} all @param {Record<string, unknown>} by */
function replace(all, by) {
  for (const name of Object.keys(all)) delete all[name]
  Object.assign(all, by)
}

function here() {
  if (plugged) return plugged
  throw new Error('Objects run in Workers. In Node they run under dotdo/testing: await testApp(…).')
}

export class DurableObject {
  constructor(ctx, env) {
    this.ctx = ctx
    this.env = env
  }
}
export class WorkerEntrypoint extends DurableObject {}

export const waitUntil = (work) => here().waitUntil(work)
// Time and randomness are there without objects too: the limits of a graph, a narrowed capability.
export const now = () => (plugged ? plugged.now() : Date.now())
export const randomBytes = (length) => (plugged ? plugged.randomBytes(length) : crypto.getRandomValues(new Uint8Array(length)))
export const randomUUID = () => (plugged ? plugged.randomUUID() : crypto.randomUUID())
export const platformFetch = (input, init) => (plugged ? plugged.fetch(input, init) : nodeFetch(input, init))
export const timer = (delayMs, then) => here().timer(delayMs, then)
export const endOfTurn = (then) => here().endOfTurn(then)
/** When memory is tidied up is nobody's to say, and nothing may depend on it: here it is never told. */
export const whenForgotten = () => {}
export const bytePipe = () => here().bytePipe()
export const autoResponse = (request, response) => ({ request, response })
