import { RpcPromise } from 'capnweb'
import { notAValue } from './errors.ts'

// The element of a `.map`, and what is read of it, are capnweb's own: it asks its prototype for what it does not know.
Object.defineProperty(RpcPromise.prototype, Symbol.toPrimitive, {
  // This module may be there twice, as source and as built, over one capnweb.
  configurable: true,
  value: () => {
    throw notAValue('the result of a call')
  },
})

/**
 * The function of a `.map` as capnweb records it: one that waits is refused in words, and leaves nothing behind.
 *
 * Its promise is nobody's: it fails as soon as it goes on, with the recording long over, and unhandled it would end a process of Node.
 *
 * @throws `TypeError` out of the recording, of a function that gives a promise of JavaScript's own
 */
export function recordable(mapper: (value: unknown) => unknown): (value: unknown) => unknown {
  return (value) => {
    const result = mapper(value)
    if (!(result instanceof Promise)) return result
    result.catch(() => {})
    throw new TypeError('The function of .map cannot be async: it runs once, here, to record its calls.')
  }
}
