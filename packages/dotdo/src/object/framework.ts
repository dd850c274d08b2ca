/** What links call on an object beside the user's methods: each name is reached as `dotdo:<name>`, and never by a client of the door. */
import type { Conversation, FrameworkMethods } from '../rpc/conversation.ts'
import type { ObjectHost } from './host.ts'
import { keyedCalls } from './keyed.ts'

/** The framework's methods of one object, in one conversation; those of hand-off are `rpc/`'s own. */
export function frameworkOf(host: ObjectHost, { origin }: Conversation): FrameworkMethods {
  return { ...host.issuer.methods(origin), keyed: keyedCalls(host, origin) }
}
