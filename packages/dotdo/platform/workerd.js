// The runtime as it is in Workers: what `platform.d.ts` promises, by the platform's own means.
export { DurableObject, WorkerEntrypoint, env, exports, waitUntil } from 'cloudflare:workers'
export * as workers from 'cloudflare:workers'

const forgotten = new FinalizationRegistry((then) => then())

export const now = () => Date.now()
export const randomBytes = (length) => crypto.getRandomValues(new Uint8Array(length))
export const randomUUID = () => crypto.randomUUID()
export const whenForgotten = (target, then) => forgotten.register(target, then)
export const platformFetch = globalThis.fetch
/** The platform's own pipe, whose bytes do not pass through JavaScript on their way. */
export const bytePipe = () => new IdentityTransformStream()
export const autoResponse = (request, response) => new WebSocketRequestResponsePair(request, response)

export function timer(delayMs, then) {
  const id = setTimeout(() => then(), delayMs)
  return () => clearTimeout(id)
}

export function endOfTurn(then) {
  const immediate = setImmediate(() => then())
  return () => clearImmediate(immediate)
}
