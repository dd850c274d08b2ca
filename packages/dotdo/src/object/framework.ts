/** What links call on an object beside the user's methods: each name is reached as `dotdo:<name>`, and never by a client of the door. */
import type { Origin } from '../rpc/origin.ts'
import type { FrameworkMethods } from '../rpc/reach.ts'
import type { ObjectHost } from './host.ts'

/** The names that exist, for the class that an object's links start from. */
export const frameworkNames: readonly string[] = []

/** The framework's methods of one object, for one caller. */
export function frameworkOf(_host: ObjectHost, _origin: Origin): FrameworkMethods {
  return {}
}
