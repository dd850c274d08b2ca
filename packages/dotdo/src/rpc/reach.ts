/**
 * What of an object can be reached over a link: the methods and getters that the user defined, and nothing else.
 *
 * capnweb and native RPC hand out whatever stands on the prototype of an `RpcTarget`. So the target that is exported is not the user's
 * object but one made for it, whose prototype holds a forwarder for each public name.
 */
import { RpcPromise, RpcTarget } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { onceMethod } from './conversation.ts'
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

/** Makes the class of capabilities that lead to an object with these public names. One is made for each class, one instance for each conversation. */
export function reachClass(noun: string, names: PublicNames): new (options: ReachOptions) => RpcTarget {
  class Reach extends RpcTarget {
    readonly #options: ReachOptions

    constructor(options: ReachOptions) {
      super()
      this.#options = options
    }

    static options(reach: object): ReachOptions {
      return (reach as Reach).#options
    }
  }
  forward(Reach.prototype, (reach) => Reach.options(reach), noun, names)
  return Reach
}

/**
 * The same for what a call without a session is made on, and nobody gets: it is no capability of the platform, whose every instance costs as much as all
 * else of such a call at the receiver. What steps call is made on it too.
 * @param once makes a call of a step: what {@link onceMethod} is called with
 */
export function directClass(
  noun: string,
  names: PublicNames,
  once: (origin: Origin, ...call: unknown[]) => unknown,
): new (options: ReachOptions) => object {
  class Direct {
    readonly #options: ReachOptions

    constructor(options: ReachOptions) {
      this.#options = options
    }

    static options(direct: object): ReachOptions {
      return (direct as Direct).#options
    }

    /** A call that a step makes. */
    [onceMethod](...call: unknown[]): unknown {
      return once(this.#options.origin ?? fromWorker, ...call)
    }
  }
  forward(Direct.prototype, (direct) => Direct.options(direct), noun, names)
  return Direct
}

/** Gives a prototype a forwarder for each public name. */
function forward(prototype: object, optionsOf: (it: object) => ReachOptions, noun: string, names: PublicNames): void {
  for (const name of names.methods) {
    Object.defineProperty(prototype, name, {
      value(this: object, ...args: unknown[]) {
        const { self, enter, origin = fromWorker } = optionsOf(this)
        const work = () => (self as Record<string, (...args: unknown[]) => unknown>)[name]!(...args)
        return withStreamsOf(args, enter(name, args, work, origin))
      },
    })
  }
  for (const name of names.getters) {
    Object.defineProperty(prototype, name, {
      get(this: object) {
        const { self, enter, origin = fromWorker } = optionsOf(this)
        const value = enter(name, [], () => (self as Record<string, unknown>)[name], origin)
        // capnweb takes a promise as the result of a call, and not as what a getter gives.
        return value instanceof Promise ? new RpcPromise(value) : value
      },
    })
  }
  // A name that does not exist answers with what does, instead of "not a function" or `undefined`.
  Object.setPrototypeOf(prototype, missing(noun, names))
}

const fromWorker: Origin = { depth: 1 }

/** A prototype that has every unknown name throw `METHOD_UNKNOWN`: what is called, and what is read, is told that it is not there. */
function missing(noun: string, names: PublicNames): object {
  return new Proxy(Object.create(RpcTarget.prototype) as object, {
    get(target, property, receiver) {
      if (typeof property !== 'string' || Reflect.has(target, property) || (!isPublicName(property) && !isPrivate(property)))
        return Reflect.get(target, property, receiver) as unknown
      throw methodUnknown(noun, property, names)
    },
  })
}

/** Whether a definition may have the name, and keeps it to itself. */
const isPrivate = (name: string): boolean => /^_(?!_proto__$)|^init$/.test(name)

/** The error for a method that an object does not have. */
export function methodUnknown(noun: string, method: string, names: PublicNames): DotdoError {
  const known = [...names.methods, ...names.getters].sort()
  const why = isPrivate(method) ? ': names that begin with _, and init, are private' : ''
  return new DotdoError(
    'METHOD_UNKNOWN',
    `${noun} has no method ${JSON.stringify(method)}${why}. It has: ${known.join(', ') || 'none'}. Call one of these, or add it to the definition.`,
    {
      data: { noun, method, known },
    },
  )
}
