/**
 * Counts, inside the isolate, what production limits and local workerd does not: outgoing connections and subrequests.
 *
 * The strict lane puts this module in front of the Worker's own entry (see strict-worker.ts), so that it runs before any code of
 * the Worker. It patches prototypes of the runtime in place, and never wraps a binding or a stub: those keep their native
 * identity and can still be sent over RPC.
 *
 * What is counted
 * 1. `fetches`: calls of the global fetch. A connection is open until the response's headers are there, as in production.
 * 2. `r2`: operations on every R2 bucket in `env`. A connection is open until the operation settles.
 * 3. `objectCalls`: calls that arrive at the exported Durable Object classes. Native RPC cannot be seen on the caller's side, but
 *    each arrival is one subrequest of somebody in this Worker (or the test itself, by the Worker's own address). dotdo's own calls
 *    arrive at its link methods; a user's method that is called natively is sealed, and not counted.
 *
 * The counts are of the whole isolate: an upper bound of what one invocation did, exact when one runs at a time. KV, D1 and
 * queues are not counted, since dotdo uses none of them.
 */
import { DurableObject, env } from 'cloudflare:workers'
import type { Counts } from './counts.ts'

type Method = (this: unknown, ...args: unknown[]) => unknown

const counts: Counts = { fetches: 0, r2: 0, objectCalls: 0, peakConnections: 0, openConnections: 0 }

/** Read through the inspector by name: `dotdoStrictCounts`. */
Object.assign(globalThis, { dotdoStrictCounts: counts })

const r2Methods = ['get', 'put', 'head', 'list', 'delete', 'createMultipartUpload', 'uploadPart', 'complete', 'abort']

/** Replaces `name` on `owner` in place. Does nothing where there is no such method, it cannot be replaced, or it is wrapped already. */
function wrap(owner: object, name: string, around: (call: () => unknown) => unknown): void {
  const field = Object.getOwnPropertyDescriptor(owner, name)
  const native = field?.value as (Method & { counted?: true }) | undefined
  if (field === undefined || !field.configurable || typeof native !== 'function' || native.counted) return
  function counted(this: unknown, ...args: unknown[]): unknown {
    return around(() => (native as Method).apply(this, args))
  }
  Object.defineProperty(owner, name, { ...field, value: Object.assign(counted, { counted: true }) })
}

/** Holds a connection open from the call until its promise settles. */
function connection(kind: 'fetches' | 'r2', call: () => unknown): unknown {
  counts[kind]++
  counts.openConnections++
  counts.peakConnections = Math.max(counts.peakConnections, counts.openConnections)
  const close = () => void counts.openConnections--
  let result: unknown
  try {
    result = call()
  } catch (error) {
    close()
    throw error
  }
  Promise.resolve(result).then(close, close)
  return result
}

/** Multipart uploads come out of a call, so their prototype is met at the first one. */
function countUpload(upload: unknown): unknown {
  if (typeof upload !== 'object' || upload === null) return upload
  const prototype = Object.getPrototypeOf(upload) as object
  for (const name of r2Methods) wrap(prototype, name, (call) => connection('r2', call))
  return upload
}

function countBucket(bucket: object): void {
  const prototype = Object.getPrototypeOf(bucket) as object
  for (const name of r2Methods) {
    wrap(prototype, name, (call) => {
      const result = connection('r2', call)
      return name === 'createMultipartUpload' ? (result as Promise<unknown>).then(countUpload) : result
    })
  }
  wrap(prototype, 'resumeMultipartUpload', (call) => countUpload(call()))
}

const nativeFetch = globalThis.fetch
globalThis.fetch = ((...args: Parameters<typeof fetch>) =>
  connection('fetches', () => nativeFetch.apply(globalThis, args))) as typeof globalThis.fetch

for (const binding of Object.values(env)) {
  if (typeof binding === 'object' && binding !== null && 'createMultipartUpload' in binding) countBucket(binding)
}

/** Counts the calls that arrive at each exported Durable Object class. Called by the generated entry with the Worker's exports. */
export function countObjects(exported: Record<string, unknown>): void {
  for (const value of Object.values(exported)) {
    if (typeof value !== 'function' || !(value.prototype instanceof DurableObject)) continue
    let at = value.prototype as object
    for (; at !== DurableObject.prototype; at = Object.getPrototypeOf(at) as object) {
      for (const name of Object.getOwnPropertyNames(at)) {
        // An alarm is an invocation of its own and costs nobody a subrequest.
        if (name === 'constructor' || name === 'alarm') continue
        wrap(at, name, (call) => {
          counts.objectCalls++
          return call()
        })
      }
    }
  }
}
