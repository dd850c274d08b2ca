/**
 * The objects that are called: each once as dotdo's and once as a class that a user of the platform writes by hand, with the same methods.
 */
import { DurableObject, RpcTarget } from 'cloudflare:workers'
import { DO } from '../../../src/object/do.ts'

/** A capability that leads on to itself: what a chain of calls walks along. */
class Step extends RpcTarget {
  #count: number

  constructor(count: number) {
    super()
    this.#count = count
  }

  next(): Step {
    return new Step(this.#count + 1)
  }

  value(): number {
    return this.#count + 1
  }
}

/** 16 MiB of bytes that no compression and no shared page makes small. Made once: making them is not what is measured. */
let bytes: Uint8Array | undefined
const bulkBytes = (): Uint8Array => {
  if (bytes) return bytes
  const made = new Uint8Array(16 * 1024 * 1024)
  for (let i = 0, x = 1; i < made.length; i++) made[i] = (x = (x * 1_103_515_245 + 12_345) & 0x7fffffff) >>> 16
  return (bytes = made)
}

/** The methods, once for both. */
const methods = {
  ping: () => 'pong',
  step: () => new Step(1),
  get: (n: number) => n,
  add: (a: number, b: number) => a + b,
  put: (value: Uint8Array) => value.byteLength,
  take: () => bulkBytes(),
}

/** A value of 16 MiB on the caller's side. */
export const bulk = bulkBytes

/** dotdo's: made anew for each noun, because a class learns its noun once. */
export const makeStage = () =>
  DO.extend({
    ping() {
      return methods.ping()
    },
    step() {
      return methods.step()
    },
    get(n: number) {
      return methods.get(n)
    },
    add(a: number, b: number) {
      return methods.add(a, b)
    },
    put(value: Uint8Array) {
      return methods.put(value)
    },
    take() {
      return methods.take()
    },
  })

/** As users of the platform write it. */
export class NativeStage extends DurableObject {
  ping(): string {
    return methods.ping()
  }
  step(): Step {
    return methods.step()
  }
  get(n: number): number {
    return methods.get(n)
  }
  add(a: number, b: number): number {
    return methods.add(a, b)
  }
  put(value: Uint8Array): number {
    return methods.put(value)
  }
  take(): Uint8Array {
    return methods.take()
  }
}
