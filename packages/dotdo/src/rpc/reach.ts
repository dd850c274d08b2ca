/**
 * What of an object can be reached over a link: the methods and getters that the user defined, and nothing else.
 *
 * capnweb and native RPC hand out whatever stands on the prototype of an `RpcTarget`. So the target that is exported is not the user's
 * object but one made for it, whose prototype holds a forwarder for each public name.
 */
import { RpcPromise, RpcTarget } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { withStreamsOf } from './kept-streams.ts'
import type { Origin } from './origin.ts'

/** How a call reaches the user's code: the adapter enters the call's context here. Must return what `work` returns, as it is. */
export type Enter = (method: string, args: unknown[], work: () => unknown, origin: Origin) => unknown

/** The public names of a definition, sorted, and which of them are getters. */
export interface PublicNames {
  methods: string[]
  getters: string[]
}

const unreachable = /^_|:|^(?:constructor|init|then|catch|finally|dup|map|onRpcBroken|toString|toJSON|valueOf|hasOwnProperty|__proto__)$/

/** Whether a name of a definition may be called from outside. `_private` names, `init` and names that stubs keep for themselves may not. */
export function isPublicName(name: string): boolean {
  return !unreachable.test(name)
}

/** What one capability of an object is made of. */
export interface ReachOptions {
  /** The user's object. */
  self: object
  enter: Enter
  /** Who called, for every call that comes by this capability. */
  origin?: Origin
}

/** Makes the class of capabilities that lead to an object with these public names. One is made for each class, one instance for each object. */
export function reachClass(noun: string, names: PublicNames): new (options: ReachOptions) => RpcTarget {
  class Reach extends RpcTarget {
    readonly #self: Record<string, unknown>
    readonly #enter: Enter
    readonly #origin: Origin

    constructor({ self, enter, origin }: ReachOptions) {
      super()
      this.#self = self as Record<string, unknown>
      this.#enter = enter
      this.#origin = origin ?? { depth: 1 }
    }

    static invoke(reach: Reach, name: string, args: unknown[]): unknown {
      const work = () => (reach.#self[name] as (...args: unknown[]) => unknown)(...args)
      return withStreamsOf(args, reach.#enter(name, args, work, reach.#origin))
    }

    static read(reach: Reach, name: string): unknown {
      const value = reach.#enter(name, [], () => reach.#self[name], reach.#origin)
      // capnweb takes a promise as the result of a call, and not as what a getter gives.
      return value instanceof Promise ? new RpcPromise(value) : value
    }
  }

  for (const name of names.methods) {
    Object.defineProperty(Reach.prototype, name, {
      value(this: Reach, ...args: unknown[]) {
        return Reach.invoke(this, name, args)
      },
    })
  }
  for (const name of names.getters) {
    Object.defineProperty(Reach.prototype, name, {
      get(this: Reach) {
        return Reach.read(this, name)
      },
    })
  }
  // A name that does not exist answers with what does, instead of "not a function".
  Object.setPrototypeOf(Reach.prototype, missing(noun, names))
  return Reach
}

/** A prototype on which every unknown name is a method that throws `METHOD_UNKNOWN`. */
function missing(noun: string, names: PublicNames): object {
  return new Proxy(Object.create(RpcTarget.prototype) as object, {
    get(target, property, receiver) {
      if (typeof property !== 'string' || Reflect.has(target, property) || !isPublicName(property))
        return Reflect.get(target, property, receiver) as unknown
      return () => {
        throw methodUnknown(noun, property, names)
      }
    },
  })
}

/** The error for a method that an object does not have. */
export function methodUnknown(noun: string, method: string, names: PublicNames): DotdoError {
  const known = [...names.methods, ...names.getters].sort()
  return new DotdoError(
    'METHOD_UNKNOWN',
    `${noun} has no method ${JSON.stringify(method)}. It has: ${known.join(', ') || 'none'}. Call one of these, or add it to the definition.`,
    {
      data: { noun, method, known },
    },
  )
}
