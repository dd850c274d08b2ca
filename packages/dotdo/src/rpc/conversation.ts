/** One caller's dealings with one object: a session, or a call without one. */
import { RpcStub } from 'capnweb'
import type { Origin } from './origin.ts'
import type { Lines } from './lines.ts'
import { asGiven } from './own-bytes.ts'

/** A conversation, as the capability at its start sees it. */
export interface Conversation {
  /** Who opened it. */
  readonly origin: Origin
  /** Rejects when it is over. */
  gone(): Promise<never>
  /** The gate of its caller's numbered calls, once a message has named it. */
  readonly gate?: () => string | undefined
  /** Its calls on what calls have given, where it is a session. */
  readonly lines?: Lines
  /** The address that its caller has sent for the ticket of a hand-off, once: `null` for the receiver itself. */
  target(ticket: string): unknown
}

/** What of the framework a link can call, by name: reached as `dotdo:<name>`, which no definition can have. */
export type FrameworkMethods = Record<string, (...args: never[]) => unknown>

/** What the names of framework methods begin with on the wire. */
export const frameworkPrefix = 'dotdo:'

/** Makes a call of the user's in its place among the caller's others. */
export const orderedMethod = `${frameworkPrefix}ordered`

/** The name under which a receiver calls itself for a call that has its place among those of other turns. */
export const inTurnMethod = `${frameworkPrefix}inTurn`

/** Makes a call that a step makes, once: the step's names for it stand before the method and its arguments. */
export const onceMethod = `${frameworkPrefix}once`

/** The same of a call on a capability of the object: that stands before the names, and behind them by which way it came to be. */
export const onceOfMethod = `${frameworkPrefix}onceOf`

/** Makes a chain of calls of a client's, once for each key. */
export const keyedMethod = `${frameworkPrefix}keyed`

/** Methods of the framework that make calls of the user's, by which these have their places. */
export const ofUsers: ReadonlySet<string> = new Set([onceMethod, onceOfMethod, keyedMethod])

/** A call that has been made before its session was there: asked for again, it gives what it gave. */
export interface MadeCall {
  method: string
  /** What stands in the member's place: a function for a call, the value for a read. */
  member: unknown
}

/**
 * The start of a conversation: an object's capability with the framework's methods beside its own, and the calls that have been made already, in
 * the order in which they will be asked for.
 */
export function startOf(main: object, framework: () => FrameworkMethods, made: readonly MadeCall[] = []): object {
  let asked = 0
  let methods: FrameworkMethods | undefined
  return new Proxy(main, {
    get(target, property) {
      const call = made[asked]
      if (call && property === call.method) {
        asked++
        return call.member
      }
      if (typeof property === 'string' && property.startsWith(frameworkPrefix)) {
        const name = property.slice(frameworkPrefix.length)
        methods ??= framework()
        return Object.hasOwn(methods, name) ? methods[name] : undefined
      }
      const member: unknown = Reflect.get(target, property, target)
      // The target's private fields are on itself and not on what stands before it. What a getter gives may be a stub, which has no such.
      return typeof member === 'function' && !(member instanceof RpcStub)
        ? (...args: unknown[]) => Reflect.apply(member, target, args)
        : asGiven(member)
    },
  })
}
