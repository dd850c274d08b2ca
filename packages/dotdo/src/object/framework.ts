/** What links call on an object beside the user's methods: each name is reached as `dotdo:<name>`, and never by a client of the door. */
import { invalidCall } from '../rpc/chain.ts'
import type { Conversation, FrameworkMethods } from '../rpc/conversation.ts'
import { capabilityElsewhere, methodAtHome, passedOnce } from '../rpc/home.ts'
import { withStreamsOf } from '../rpc/kept-streams.ts'
import { callMember } from '../rpc/members.ts'
import type { CallName, Origin } from '../rpc/origin.ts'
import { isPublicName } from '../rpc/reach.ts'
import type { StepCall } from '../rpc/step-calls.ts'
import type { ObjectHost } from './host.ts'
import { fleetMethods } from './fleet-feed.ts'
import { keyedCalls } from './keyed.ts'

/** The framework's methods of one object, in one conversation; those of hand-off are `rpc/`'s own. */
export function frameworkOf(host: ObjectHost, conversation: Conversation): FrameworkMethods {
  return {
    ...host.issuer.methods(conversation.origin),
    ...host.exchange.methods(conversation.origin),
    keyed: keyedCalls(host, conversation.origin),
    ...fleetMethods(host),
    once: (...call: unknown[]) => callOnce(host, conversation.origin, ...call),
    onceOf: (target: unknown, ...call: unknown[]) => callOnceOf(host, conversation, target, ...call),
  }
}

/**
 * `dotdo:once` of one object: makes a call that a step makes.
 * @param call its name, as `rpc/origin.ts` says, the method and the list of its arguments
 * @throws what `StepCalls.make` and the method throw; `INVALID_CALL`
 */
export function callOnce(host: ObjectHost, origin: Origin, ...call: unknown[]): unknown {
  // By index: each call of a step comes by here, and to take a list apart by a pattern costs as much as the rest.
  const once = readName(origin, call[0], call[1], call[2])
  const [method, args] = [call[3], call[4]]
  if (typeof method !== 'string' || !isPublicName(method) || !Array.isArray(args)) throw invalidCall('it names no method')
  return callMember(host.directFor(origin, once), method, args)
}

/**
 * `dotdo:onceOf` of one object: makes a call that a step makes on a capability which the object has given. One that leads to another object is called
 * there, under the same name.
 * @param target the capability, or data in which it stands
 * @param call its name, by which way the capability came to be, the method or `null` for a function, the list of its arguments, and whose step it is where
 *   that is not who calls
 * @throws what `StepCalls.make` and the method throw; `CAPABILITY_ELSEWHERE`, `METHOD_UNKNOWN`, `INVALID_CALL`
 */
function callOnceOf(host: ObjectHost, conversation: Conversation, target: unknown, ...call: unknown[]): unknown {
  const [key, since, oldest, way, method, args, caller = conversation.origin.caller] = call
  const origin = { ...conversation.origin, ...(typeof caller === 'string' && { caller }) }
  const once = readName(origin, key, since, oldest)
  if (way !== null && typeof way !== 'string') throw invalidCall('it has no way')
  if ((method !== null && (typeof method !== 'string' || !isPublicName(method))) || !Array.isArray(args))
    throw invalidCall('it names no method')
  const name: CallName = [once.key, once.since, once.oldest]
  const passed = passedOnce({ target, name, way, method, args: args as unknown[], caller: once.caller }, { context: conversation, origin })
  if (passed) return passed
  const work = methodAtHome(target, method)
  if (!work) throw capabilityElsewhere(host.label, once.caller, method)
  return withStreamsOf(
    args,
    host.enterOf(target, way, method ?? 'a function', args, () => work(...(args as unknown[])), origin, once),
  )
}

/** @throws `INVALID_CALL` */
function readName({ caller }: Origin, key: unknown, since: unknown, oldest: unknown): StepCall {
  if (typeof key !== 'string' || typeof since !== 'number' || typeof oldest !== 'number' || caller === undefined)
    throw invalidCall('it has no name of a step')
  return { key, since, oldest, caller }
}
