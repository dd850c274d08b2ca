/**
 * Makes the platform's own stubs ready to be arguments: a service binding, the stub of any Durable Object, and the promise of a native call
 * can be given to an object's method. The caller relays: the callee's calls come back to it and go on natively from there, and a promise
 * is awaited here and its value sent.
 *
 * capnweb takes a copy of each stub among the arguments by its `dup()`. These have none, and answer to every name as if it were a remote
 * method's: the copy would be a failed call. So they are given one. No remote method can have that name: the platform refuses to call it.
 */
import { workers } from '#platform'

/** The platform's classes of stubs; not all of them are in its types. */
const classes = workers as Record<'ServiceStub' | 'RpcPromise' | 'RpcProperty', { prototype: object } | undefined>

/** Gives the platform's stubs their `dup()`, once in an isolate. */
export function patchNativeStubs(): void {
  // Bindings live as long as the Worker, so the copy is the same and nobody disposes of it.
  define(classes.ServiceStub?.prototype, function (this: object) {
    return this
  })
  // The value is one, however many wait for it; the user may still await the promise.
  const settled = function (this: PromiseLike<unknown>) {
    return Promise.resolve(this)
  }
  define(classes.RpcPromise?.prototype, settled)
  define(classes.RpcProperty?.prototype, settled)
}

function define(prototype: object | undefined, dup: () => unknown): void {
  if (prototype && !Object.hasOwn(prototype, 'dup'))
    Object.defineProperty(prototype, 'dup', { value: dup, configurable: true, writable: true, enumerable: false })
}
