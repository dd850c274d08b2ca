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

/** 64 MiB in pieces of 64 KiB, as they are asked for. Native calls carry streams of bytes alone, so it is one. */
export const flow = (): ReadableStream<Uint8Array> => {
  let left = flowBytes / pieceBytes
  // The libraries of types declare sources of bytes twice, differently.
  const source = {
    type: 'bytes' as const,
    pull(controller: ReadableByteStreamController) {
      if (left-- > 0) return controller.enqueue(new Uint8Array(pieceBytes))
      controller.close()
      controller.byobRequest?.respond(0)
    },
  }
  return new ReadableStream(source as never)
}
const pieceBytes = 65_536

/** What {@link flow} brings. */
export const flowBytes = 64 * 1024 * 1024

/** Reads a stream as users do. */
export async function drained(stream: ReadableStream<Uint8Array>): Promise<number> {
  let size = 0
  for await (const chunk of stream) size += chunk.byteLength
  return size
}

/** The methods, once for both. */
const methods = {
  ping: () => 'pong',
  step: () => new Step(1),
  get: (n: number) => n,
  add: (a: number, b: number) => a + b,
  put: (value: Uint8Array) => value.byteLength,
  take: () => bulkBytes(),
  flow,
  drain: drained,
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
    flow() {
      return methods.flow()
    },
    drain(stream: ReadableStream<Uint8Array>) {
      return methods.drain(stream)
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
  flow(): ReadableStream<Uint8Array> {
    return methods.flow()
  }
  drain(stream: ReadableStream<Uint8Array>): Promise<number> {
    return methods.drain(stream)
  }
}
