import type { EventHandler, HandlerOptions, OnHandle } from './handlers.ts'
import { assertPattern } from './pattern.ts'

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
export type DeclareHandler = <Payload = unknown>(fn: EventHandler<Payload>, options?: HandlerOptions) => OnHandle

/**
 * What `this.on` is built on: declares a handler under a pattern.
 *
 * Throws `INVALID_EVENT_TYPE`, `INVALID_HANDLER`, `HANDLER_ID_TAKEN`, `INVALID_RETRIES`, `INVALID_DURATION`.
 */
export type Subscribe = (pattern: string, fn: EventHandler, options?: HandlerOptions) => OnHandle

/**
 * Makes `this.on` over `subscribe`. A name that can be no noun or verb is refused where it is written, with `INVALID_EVENT_TYPE`.
 *
 * `then` and symbols read as `undefined`: a proxy that answers to `then` is taken for a promise by `await`, and one that throws for
 * symbols cannot be printed.
 */
export function createOn(subscribe: Subscribe): On {
  return names<OnNoun>((noun) => {
    assertPattern(`${noun}.*`)
    return names<DeclareHandler>((verb) => {
      const pattern = `${noun}.${verb}`
      assertPattern(pattern)
      // A stored payload is unknown to the compiler; the type is what the writer of the handler says it is.
      return (fn, options) => subscribe(pattern, fn as EventHandler, options)
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
