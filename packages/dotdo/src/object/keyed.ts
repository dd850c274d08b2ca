/** The calls that clients send under a key: a chain of calls that runs as one unit, once. */
import { invalidCall, readChain, runChain } from '../rpc/chain.ts'
import type { Origin } from '../rpc/origin.ts'
import type { ObjectHost } from './host.ts'

/**
 * Makes `dotdo:keyed` of one object, for one caller.
 * @throws `INVALID_CALL`, `CALL_INTERRUPTED`, `RESULT_NOT_KEPT`, `LINK_LIMIT`, and what the calls of the chain throw
 */
export function keyedCalls(host: ObjectHost, origin: Origin) {
  return (key: unknown, chain: unknown, ageMs?: unknown): Promise<unknown> => {
    const links = readChain(chain)
    const work = () => runChain(host.reachFor(origin), links)
    // Reads alone: they may be read again, and need no row.
    if (key === null && links.every(([, args]) => args === undefined)) return work()
    if (typeof key !== 'string' || key.length < 16 || key.length > 128) throw invalidCall('its key is no text of 16 to 128 characters')
    if (ageMs !== undefined && !(typeof ageMs === 'number' && ageMs >= 0)) throw invalidCall('its age is no number of milliseconds')
    return host.callKeys.run(key, ageMs as number | undefined, work)
  }
}
