/**
 * The caller: an object whose methods do one thing many times, by dotdo's stubs or by native ones, and tell how long it took. Both sides
 * live in one object, so what differs between two figures is the way of calling alone.
 */
import { env } from 'cloudflare:workers'
import { DO } from '../../../src/object/do.ts'
import { bulk, drained, flow, flowBytes } from './objects.ts'

/** Who calls: dotdo's stubs, or the platform's as users write them. */
export type Side = 'ours' | 'native'

// Stubs of both kinds are used alike here; what they are typed by has tests of its own.
type Stub = any
type Find = (noun: string, name: string) => Stub

const native: Find = (noun, name) => (env as Record<string, Stub>)[`NATIVE_Native${noun}`].getByName(name)

/** One thing to do with stubs; `size` is a depth, a count of calls or a count of objects. */
type Work = (find: Find, size: number) => Promise<unknown>

const names = Array.from({ length: 100 }, (_, i) => `object ${i}`)

const chain = (stub: Stub, depth: number): Promise<number> => {
  let at = stub.step()
  for (let i = 2; i < depth; i++) at = at.next()
  return at.value()
}

const check = (is: unknown, expected: unknown) => {
  if (is !== expected) throw new Error(`the answer is ${String(is)}, not ${String(expected)}`)
}

const works: Record<string, Work> = {
  ping: async (find) => check(await find('Stage', 'one').ping(), 'pong'),
  chain: async (find, size) => check(await chain(find('Stage', 'one'), size), size),
  calls: async (find, size) => {
    const stub = find('Stage', 'one')
    const all = await Promise.all(Array.from({ length: size }, (_, i) => stub.get(i) as Promise<number>))
    check(all[size - 1], size - 1)
  },
  objects: async (find, size) => {
    await Promise.all(names.slice(0, size).map((name) => find('Stage', name).ping()))
  },
  put: async (find) => check(await find('Stage', 'one').put(bulk()), bulk().byteLength),
  take: async (find) => check((await find('Stage', 'one').take()).byteLength, bulk().byteLength),
  'stream out': async (find) => check(await drained(await find('Stage', 'one').flow()), flowBytes),
  'stream in': async (find) => check(await find('Stage', 'one').drain(flow()), flowBytes),
  /** Two in one turn: a session carries them. */
  'streams in a session': async (find) => {
    const stub = find('Stage', 'one')
    const [a, b] = await Promise.all([stub.flow(), stub.flow()])
    check((await Promise.all([drained(a), drained(b)]))[0], flowBytes)
  },
  'far ping': async (find) => check(await find('FarStage', 'one').ping(), 'pong'),
  'far chain': async (find, size) => check(await chain(find('FarStage', 'one'), size), size),
  /** A result of an object as an argument to the same object: in one message. */
  'far graph': async (find) => {
    const stub = find('FarStage', 'one')
    check(await stub.add(stub.get(1), 2), 3)
  },
  /** The same as it has to be written where a promise is no argument. */
  'far graph in steps': async (find) => {
    const stub = find('FarStage', 'one')
    check(await stub.add(await stub.get(1), 2), 3)
  },
  'far hand-off': async (find) => check(await find('FarStage', 'consumer').add(find('FarStage', 'provider').get(1), 2), 3),
  'far relay': async (find) => {
    const value = await find('FarStage', 'provider').get(1)
    check(await find('FarStage', 'consumer').add(value, 2), 3)
  },
  /** The direct call from a consumer to a provider: this object is the consumer. */
  'bulk direct': async (find) => check((await find('Stage', 'provider').take()).byteLength, bulk().byteLength),
  'bulk hand-off': async (find) => check(await find('Stage', 'consumer').put(find('Stage', 'provider').take()), bulk().byteLength),
  /** The same between objects whose traffic is counted. */
  'far bulk hand-off': async (find) =>
    check(await find('FarStage', 'consumer').put(find('FarStage', 'provider').take()), bulk().byteLength),
}

export const Driver = DO.extend({
  /** Does a piece of work `count` times, one after another. Gives the time of one in ms. */
  async measure(work: string, side: Side, count: number, size: number): Promise<number> {
    const run = works[work]
    if (!run) throw new Error(`there is no work ${JSON.stringify(work)}`)
    const ours: Find = (noun, name) => (this as unknown as Record<string, (name: string) => Stub>)[noun]!(name)
    const find = side === 'ours' ? ours : native
    const begun = performance.now()
    for (let i = 0; i < count; i++) await run(find, size)
    return (performance.now() - begun) / count
  },
})
