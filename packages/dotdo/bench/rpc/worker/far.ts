/**
 * Distance. Every native method of a class answers late: half of a round trip passes before it runs and half after it has ended.
 *
 * The delay stands at the object's own entry, so that native calls and ours pay it alike, once for each message that enters the object, and
 * a message between any two objects pays as much as one from a third. What was pipelined behind a call has entered with it.
 */

/** One way, in ms. */
export const oneWayMs = 10

/** Bytes of all messages to far objects and of their answers, as {@link weigh} counts them, by who sent them. */
export const traffic = { fromDriver: 0, fromOthers: 0 }
/** Sessions of the driver's: only the first message of one says who calls. */
const driverSessions = new Set<unknown>()

const handlers = new Set(['constructor', 'fetch', 'alarm', 'webSocketMessage', 'webSocketClose', 'webSocketError'])
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

type Constructor = new (ctx: DurableObjectState, env: never) => object

/** The same class, a round trip away. */
export function far<T>(near: T): T {
  const Near = near as Constructor
  class Far extends Near {}
  const methods = Near.prototype as Record<string, (...args: unknown[]) => unknown>
  for (const name of Object.getOwnPropertyNames(methods)) {
    if (handlers.has(name) || typeof Object.getOwnPropertyDescriptor(methods, name)!.value !== 'function') continue
    Object.defineProperty(Far.prototype, name, {
      async value(...args: unknown[]) {
        const sender = senderOf(args)
        traffic[sender] += weigh(args)
        await wait(oneWayMs)
        const result = await methods[name]!.apply(this, args)
        traffic[sender] += weigh(result)
        await wait(oneWayMs)
        return result
      },
    })
  }
  return Far as T
}

/** Who sent a message: link messages say so in their origin, and calls without a session as their fifth argument. */
function senderOf([message, , , , caller]: unknown[]): keyof typeof traffic {
  if (caller === 'Driver/main') return 'fromDriver'
  const { session, origin } = (message ?? {}) as { session?: unknown; origin?: { caller?: string } }
  if (origin?.caller?.startsWith('Driver/')) driverSessions.add(session)
  return driverSessions.has(session) ? 'fromDriver' : 'fromOthers'
}

/** The bytes of a value's own contents, near enough to tell 4 kB from 16 MiB: what a serialization cannot do without. */
export function weigh(value: unknown): number {
  if (typeof value === 'string') return value.length + 2
  if (ArrayBuffer.isView(value)) return value.byteLength
  if (typeof value !== 'object' || value === null) return 8
  if (Array.isArray(value)) return value.reduce((sum: number, part) => sum + weigh(part), 4)
  if (Object.getPrototypeOf(value) !== Object.prototype) return 16
  return Object.entries(value).reduce((sum, [key, part]) => sum + key.length + weigh(part), 4)
}
