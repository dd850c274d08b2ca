/** What a capability that can end gives ends with it: however one came to it, by whichever way it is given, and further down. */
import { RpcStub, RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { countedHere, readGuard, restrict, type NarrowPorts } from '../../src/rpc/narrow.ts'
import { reachClass } from '../../src/rpc/reach.ts'
import { narrowedRef } from '../../src/rpc/ref.ts'
import { world } from './grants-world.ts'
import { pair, turns } from './pair.ts'

let time = 1_000
const ports: NarrowPorts = { now: () => time, counter: countedHere }
const until = 5_000
const narrowed = (cap: unknown, caveats: unknown) => restrict(cap, readGuard(caveats, ports), ports) as object
/** What an object does for references to what its calls gave: see `Issuer`. */
const framework = { narrowed: (cap: any, caveats: unknown) => restrict(cap.dup(), readGuard(caveats, ports), ports, true) } as any
const rootOf = (cap: object): any => pair(cap, { framework }).link.root()
const outcome = (promise: PromiseLike<unknown>) =>
  Promise.resolve(promise).catch((error: unknown) => codeOf(error) ?? String(error)) as Promise<unknown>

class Node extends RpcTarget {
  get() {
    return 'got'
  }
  child() {
    return new Node()
  }
  later() {
    return Promise.resolve(new Node())
  }
  get first() {
    return new Node()
  }
  list() {
    return [{ node: new Node() }]
  }
  maker() {
    return () => new Node()
  }
  stub() {
    return new RpcStub(new Node())
  }
  piped() {
    return (new RpcStub(new Node()) as any).child()
  }
  get promised() {
    return (new RpcStub(new Node()) as any).child()
  }
  self() {
    return this
  }
  getter() {
    return () => 'got'
  }
}

/** Each way from one node to the next. */
const descents: Record<string, (at: any) => any> = {
  'a call': (at) => at.child(),
  'a call that waits': (at) => at.later(),
  'a getter': (at) => at.first,
  'a getter of a promise': (at) => at.promised,
  'a part of a result': (at) => at.list()[0].node,
  'a function that a call gave': (at) => at.maker()(),
  'a stub': (at) => at.stub(),
  'a promise of a stub': (at) => at.piped(),
  'the same again': (at) => at.self(),
}

/** Each way to a capability that ends, and what ends it. */
const ways: Record<string, () => Promise<{ start: any; end: () => void; code: string }>> = {
  'narrowed where it is': async () => ({
    start: rootOf(narrowed(new Node(), { until })),
    end: () => (time = until),
    code: 'CAPABILITY_EXPIRED',
  }),
  'narrowed as the result of a call': async () => ({
    start: narrowedRef(rootOf(new Node()).child(), [{ until }]),
    end: () => (time = until),
    code: 'CAPABILITY_EXPIRED',
  }),
  'narrowed as the result of a call, with a look at its arguments': async () => ({
    start: narrowedRef(rootOf(new Node()).child(), [{ until, where: { child: [] }, uses: 1_000, limits: { argumentBytes: 1_000 } }]),
    end: () => (time = until),
    code: 'CAPABILITY_EXPIRED',
  }),
  'restored, and revoked': async () => {
    const { grants } = world()
    const token = grants.issue({ path: [['child', []]] })
    const start = rootOf(await grants.restore(token, new Node()))
    return { start, end: () => void grants.revoke(token), code: 'CAPABILITY_REVOKED' }
  },
}

describe.each(Object.entries(ways))('what a capability gives ends with it: one that is %s', (_, open) => {
  test.each(Object.entries(descents))('by %s, and by each way from there', async (__, first) => {
    time = 1_000
    const { start, end, code } = await open()
    const kept: any[] = [start, await start.self(), await first(start)]
    for (const next of Object.values(descents)) kept.push(await next(kept[2]), await next(first(start)))
    for (const at of kept) expect(await outcome(at.get())).toBe('got')
    end()
    for (const at of kept) expect(await outcome(at.get())).toBe(code)
    for (const next of Object.values(descents)) expect(await outcome(next(kept[2]).get())).toBe(code)
  })
})

describe('a function that a call gave', () => {
  test('is narrowed as one: it can be called, for a time, or so many times, and let go of', async () => {
    time = 1_000
    const passing = narrowedRef(rootOf(new Node()).getter(), [{ until }]) as any
    const once = narrowedRef(rootOf(new Node()).getter(), [{ uses: 1 }]) as any
    expect([await outcome(passing()), await outcome(once()), await outcome(once())]).toEqual(['got', 'got', 'CAPABILITY_USED_UP'])
    time = until
    expect(await outcome(passing())).toBe('CAPABILITY_EXPIRED')
    const named = narrowedRef(rootOf(new Node()).getter(), [{ only: ['get'] }]) as any
    expect(await outcome(named())).toBe('INVALID_CAVEAT')
  })

  test('is let go of with what it was narrowed to', async () => {
    time = 1_000
    let disposed = 0
    const fn = Object.assign(() => 'got', { [Symbol.dispose]: () => disposed++ })
    const less = restrict(new RpcStub(fn), readGuard({ until }, ports), ports, true) as any
    expect(less()).toBe('got')
    expect(disposed).toBe(0)
    less[Symbol.dispose]()
    await turns()
    expect(disposed).toBe(1)
  })
})

test('a getter that gives a promise is read through what can end as it is read raw, and fails as it fails', async () => {
  time = 1_000
  let work: () => unknown = () => 5
  const self = {
    get size() {
      return work()
    },
  }
  const reach = new (reachClass('Counter', { methods: [], getters: ['size'] }))({ self, enter: async (_, __, run) => run() })
  const caveats = [{ only: ['size'] }, { until }, { until, limits: { callsAtOnce: 5 } }]
  for (const cap of [reach, ...caveats.map((it) => narrowed(reach, it))]) {
    work = () => 5
    expect(await outcome(rootOf(cap).size)).toBe(5)
    work = () => {
      throw Object.assign(new Error('no'), { code: 'NO' })
    }
    expect(await outcome(rootOf(cap).size)).toBe('NO')
  }
})
