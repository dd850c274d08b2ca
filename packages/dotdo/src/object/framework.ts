/** What links call on an object beside the user's methods: each name is reached as `dotdo:<name>`, and never by a client of the door. */
import type { Conversation, FrameworkMethods } from '../rpc/conversation.ts'
import { invalidCall } from '../rpc/chain.ts'
import type { Origin } from '../rpc/origin.ts'
import { callMember } from '../rpc/members.ts'
import { isPublicName } from '../rpc/reach.ts'
import type { ObjectHost } from './host.ts'
import { fleetMethods } from './fleet-feed.ts'
import { keyedCalls } from './keyed.ts'

/** The framework's methods of one object, in one conversation; those of hand-off are `rpc/`'s own. */
export function frameworkOf(host: ObjectHost, { origin }: Conversation): FrameworkMethods {
  return {
    ...host.issuer.methods(origin),
    ...host.exchange.methods(origin),
    keyed: keyedCalls(host, origin),
    ...fleetMethods(host),
    once: (...call: unknown[]) => callOnce(host, origin, ...call),
  }
}

/**
 * `dotdo:once` of one object: makes a call that a step makes.
 * @param call its name, as `rpc/origin.ts` says, the method and the list of its arguments
 * @throws what `StepCalls.make` and the method throw; `INVALID_CALL`
 */
export function callOnce(host: ObjectHost, origin: Origin, ...call: unknown[]): unknown {
  const [key, since, oldest, method, args] = call
  const { caller } = origin
  if (typeof key !== 'string' || typeof since !== 'number' || typeof oldest !== 'number' || caller === undefined)
    throw invalidCall('it has no name of a step')
  if (typeof method !== 'string' || !isPublicName(method) || !Array.isArray(args)) throw invalidCall('it names no method')
  return callMember(host.directFor(origin, { key, since, oldest, caller }), method, args)
}
