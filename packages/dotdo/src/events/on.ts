import type { EventHandler, HandlerOptions, OnHandle } from './handlers.ts'
import type { SubscriptionHandle } from './subscribed.ts'
import { assertPattern } from './pattern.ts'
import type { Sink } from './sinks.ts'

/** `this.on.Noun`, of which each property is a verb, or `'*'` for all of them. */
export interface OnNoun {
  readonly [verb: string]: DeclareHandler
}

/**
 * `this.on`: a property is a noun or `'*'`, a property of that a verb or `'*'`, and calling it declares a handler. Declare handlers in `init()`,
 * so that they are there again after every restart.
 *
 * @example
 * ```ts
 * this.on.Pipeline.completed(async (result: { count: number }) => { await report(result.count) })
 * this.on['*'].failed(async (failure, event) => { console.warn(event.type, failure) })
 * ```
 */
export interface On {
  readonly [noun: string]: OnNoun
}

/** Declares a handler for one pattern. Errors are those of {@link Subscribe}. */
export type DeclareHandler = <Payload = unknown>(fn: EventHandler<Payload> | Sink, options?: HandlerOptions) => OnHandle

/** What a reference of an object has beside the object's members: `this.Orders('eu').on`. */
export interface HasEvents {
  /** The object's events: subscribes a handler, durably. Each property is a noun or `'*'`, each of that a verb or `'*'`. */
  readonly on: OnOther
}

/**
 * `this.Orders('eu').on`: as `this.on`, for the events of another object. In `init()` it takes functions, which are declared at every start; anywhere it
 * takes a method, of this object (`this.paid`) or of another (`this.Billing('main').paid`, `restore(token).paid`).
 *
 * @example
 * ```ts
 * init() {
 *   this.Orders('eu').on.Order.paid(async (order: Order) => { await this.do(() => bill(order), { stepId: 'bill' }) })
 *   this.Orders('eu').on.Order['*'](this.note)
 * }
 * ```
 */
export interface OnOther {
  readonly [noun: string]: { readonly [verb: string]: SubscribeTo }
}

/**
 * Subscribes to one pattern of another object's events. Throws `SUBSCRIPTION_NOT_DURABLE` for a function outside of `init()`, `NOT_SAVABLE` for a
 * capability that cannot be saved, `TOO_MANY_SUBSCRIPTIONS`, and what {@link Subscribe} throws.
 */
export type SubscribeTo = <Payload = unknown>(
  handler: EventHandler<Payload> | ((payload: never, event: never) => unknown),
  options?: HandlerOptions,
) => SubscriptionHandle

/**
 * What `this.on` is built on: declares a handler under a pattern.
 *
 * Throws `INVALID_EVENT_TYPE`, `INVALID_HANDLER`, `HANDLER_ID_TAKEN`, `INVALID_RETRIES`, `INVALID_DURATION`.
 */
export type Subscribe = (pattern: string, fn: EventHandler | Sink, options?: HandlerOptions) => OnHandle

/**
 * Makes `this.on` over `subscribe`. A name that can be no noun or verb is refused where it is written, with `INVALID_EVENT_TYPE`.
 *
 * `then` and symbols read as `undefined`: a proxy that answers to `then` is taken for a promise by `await`, and one that throws for
 * symbols cannot be printed.
 */
export function createOn(subscribe: Subscribe): On {
  // A stored payload is unknown to the compiler; the type is what the writer of the handler says it is.
  return patterns<DeclareHandler>((pattern) => (fn, options) => subscribe(pattern, fn as EventHandler | Sink, options))
}

/** Makes `this.Orders('eu').on` over `subscribe`, as {@link createOn} makes `this.on`. */
export function createOnOther(subscribe: (pattern: string, handler: unknown, options?: HandlerOptions) => SubscriptionHandle): OnOther {
  return patterns<SubscribeTo>((pattern) => (handler, options) => subscribe(pattern, handler, options))
}

/** `Noun.verb`, each side a property. */
function patterns<Value>(of: (pattern: string) => Value): { readonly [noun: string]: { readonly [verb: string]: Value } } {
  return names((noun) => {
    assertPattern(`${noun}.*`)
    return names((verb) => {
      const pattern = `${noun}.${verb}`
      assertPattern(pattern)
      return of(pattern)
    })
  })
}

/** An object whose every property is made by `of`. Nothing can be set on it. */
function names<Value>(of: (name: string) => Value): { readonly [name: string]: Value } {
  const empty: { readonly [name: string]: Value } = Object.freeze(Object.create(null))
  return new Proxy(empty, {
    get: (_, name) => (typeof name === 'symbol' || name === 'then' ? undefined : of(name)),
  })
}
