/** Which members a capability has for others: whichever way one comes to it, the same. */
import { RpcStub, RpcTarget } from 'capnweb'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runChain } from '../../src/rpc/chain.ts'
import { replayGraph } from '../../src/rpc/graph-replay.ts'
import { graphVersion } from '../../src/rpc/graph-data.ts'
import { callMember, isReachable, leadsOn } from '../../src/rpc/members.ts'
import { countedHere, readGuard, restrict, type NarrowPorts } from '../../src/rpc/narrow.ts'
import { isPublicName } from '../../src/rpc/reach.ts'
import { world } from './grants-world.ts'
import { pair } from './pair.ts'

const ports: NarrowPorts = { now: () => 1000, counter: countedHere }
const narrowed = (cap: unknown, caveats: unknown) => restrict(cap, readGuard(caveats, ports), ports) as object

/** Where a member stands, and what it is. */
const places = ['own', 'prototype', 'inherited', 'static'] as const
const natures = ['method', 'getter', 'value', 'promised'] as const
/** Names that are anybody's, those that mean something to JavaScript, to stubs or to the framework, and private ones. */
const names = ['a', 'b', 'c', 'length', 'name', 'target', 'constructor', '__proto__', 'toString', 'isPrototypeOf', 'toLocaleString']
names.push('prototype', '_private', 'init', 'dup', 'call', '0')
const members = fc.array(
  fc.record({ place: fc.constantFrom(...places), nature: fc.constantFrom(...natures), name: fc.constantFrom(...names) }),
  { maxLength: 10 },
)
type Member = { place: (typeof places)[number]; nature: (typeof natures)[number]; name: string }

const secret = Symbol('secret')

/** A capability of a class with these members. What each of them gives says which one it is. */
function capabilityOf(all: readonly Member[]): RpcTarget {
  class Base extends RpcTarget {}
  class Made extends Base {
    [secret] = () => 'a symbol'
  }
  const made = new Made()
  const on = { own: made, prototype: Made.prototype, inherited: Base.prototype, static: Made }
  for (const { place, nature, name } of all) {
    const value = `${place} ${nature} ${name}`
    const give = () => (nature === 'promised' ? Promise.resolve(value) : value)
    const what = nature === 'getter' ? { get: () => value } : { value: nature === 'value' ? value : give, writable: true }
    // What is never to be replaced (`prototype` of a class) is not.
    if (Object.getOwnPropertyDescriptor(on[place], name)?.configurable !== false)
      Object.defineProperty(on[place], name, { ...what, configurable: true })
  }
  return made
}

class Root extends RpcTarget {
  readonly #part: RpcTarget
  constructor(part: RpcTarget) {
    super()
    this.#part = part
  }
  part() {
    return this.#part
  }
}

/** What comes of it, as data: a capability that a read gives is told from a value, and a failure is a failure. */
const outcome = async (make: () => unknown): Promise<unknown> => {
  try {
    const value = await (make() as PromiseLike<unknown>)
    return typeof value === 'function' ? 'a capability' : value === undefined ? 'nothing' : value
  } catch {
    return 'nothing'
  }
}

const callable = function () {}

/** Calls and reads of every name of one capability, by a way to it. */
async function reached(open: () => any): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {}
  // Those that a stub, or a function, has itself do not leave.
  for (const name of names.filter((it) => isPublicName(it) && !(it in callable) && !(it in RpcStub.prototype))) {
    found[`${name}()`] = await outcome(() => open()[name]())
    found[name] = await outcome(() => open()[name])
  }
  return found
}

test('what can be reached of a capability is the same, whichever way one comes to it', async () => {
  await fc.assert(
    fc.asyncProperty(members, async (all) => {
      const part = capabilityOf(all)
      const raw = await reached(() => pair(part).link.root())
      const { grants } = world()
      const token = grants.issue({ path: [['part', []]], caveats: { uses: 1_000 } })
      const restored = await grants.restore(token, new Root(part))
      const ended = narrowed(new Root(part), { until: 5_000 })
      const chain = (on: object, path: [string, []?][]) => () => runChain(on, path)
      const graph = (on: object) => (name: string, args?: []) => {
        const node = { id: 2, on: { node: 1 }, path: [name], ...(args && { args }) }
        const nodes = [{ id: 1, on: { noun: 'Root', name: '' }, path: ['part'], args: [] }, node]
        const data = { version: graphVersion, inputs: [], nodes, result: { 'dotdo:ref': [{ node: 2 }] } }
        return replayGraph(data as never, () => pair(on).link.root() as never, [])
      }
      const ways: Record<string, () => unknown> = {
        'a result': () => (pair(new Root(part)).link.root() as any).part(),
        narrowed: () => pair(narrowed(part, { uses: 1_000 })).link.root(),
        'narrowed twice, with a look at arguments': () =>
          pair(narrowed(narrowed(part, { until: 5_000 }), { limits: { argumentBytes: 9_000 } })).link.root(),
        'a result of what can end': () => (pair(ended).link.root() as any).part(),
        'a stub that is narrowed': () => pair(narrowed(new RpcStub(part), { until: 5_000 })).link.root(),
        restored: () => pair(restored).link.root(),
        'a chain under a key': () => asked((name, args) => chain(new Root(part), [['part', []], args ? [name, args] : [name]])()),
        'a graph': () => asked(graph(new Root(part))),
        'a graph of what can end': () => asked(graph(ended)),
      }
      for (const [way, open] of Object.entries(ways)) expect({ way, found: await reached(open) }).toEqual({ way, found: raw })
      // The oracle is the class alone: no state of an instance is there for others.
      for (const { place, name } of all) {
        const of = [raw[name], raw[`${name}()`]]
        if (place === 'own' && raw[name] !== undefined) for (const it of of) expect(String(it)).not.toMatch(/^own /)
        for (const it of of) expect(String(it)).not.toMatch(/^static /)
      }
    }),
    { numRuns: 40 },
  )
})

/** What a way answers for a name that is called or read, in the shape of a stub. */
const asked = (ask: (name: string, args?: []) => unknown): unknown =>
  new Proxy(
    {},
    {
      get: (_, name: string) =>
        Object.assign(() => ask(name, []), { then: (...then: never[]) => (ask(name) as Promise<unknown>).then(...then) }),
    },
  )

class Part extends RpcTarget {
  wipe = () => 'wiped'
  store = { secret: 'kept' }
  inner = new Root(this)
  get() {
    return 'got'
  }
}

describe('what an instance keeps for itself', () => {
  const { grants } = world()
  const issued = grants.issue({ path: [['part', []]] })
  test.each<[string, () => Promise<object> | object]>([
    ['as it is', () => new Part()],
    ['narrowed', () => narrowed(new Part(), { until: 5_000 })],
    ['narrowed by its uses', () => narrowed(new Part(), { uses: 9 })],
    ['restored from a token', () => grants.restore(issued, new Root(new Part()))],
  ])('is reached by no name: %s', async (_, cap) => {
    const part = pair(await cap()).link.root() as any
    expect(await part.get()).toBe('got')
    for (const call of [() => part.wipe(), () => part.store.secret, () => part.inner.part().get()])
      expect(await outcome(call)).toBe('nothing')
    // Nor by asking for the member first, and then doing something with it.
    const held = await outcome(() => part.wipe)
    expect(held).toBe('nothing')
  })

  test('leads to nothing that could be saved', async () => {
    for (const path of [[['inner']], [['inner'], ['part', []]], [['wipe', []]], [['isPrototypeOf', [1]]]] as const)
      await expect(grants.restore(grants.issue({ path }), new Part())).rejects.toMatchObject({ code: 'NOT_SAVABLE' })
  })
})

describe('a member that is called without a session', () => {
  test('is one of the class, and no other', () => {
    expect(callMember(new Part(), 'get', [])).toBe('got')
    for (const name of ['wipe', 'store', 'nothing', 'constructor', 'toString', '__proto__', 'isPrototypeOf'])
      expect(() => callMember(new Part(), name, []), name).toThrow(`'${name}' is not a function.`)
  })

  test('of a function is one of its own: not what every function has', () => {
    const fn = Object.assign(() => 1, { twice: () => 2 })
    expect(callMember(fn, 'twice', [])).toBe(2)
    for (const name of ['call', 'apply', 'bind']) expect(() => callMember(fn, name, [null])).toThrow('is not a function')
    expect([isReachable(fn, 'twice'), isReachable(fn, 'call')]).toEqual([true, false])
  })

  test('of data is one of its own', () => {
    expect(['a', 'b', 'toString'].map((name) => leadsOn({ a: 1 }, name))).toEqual([true, false, false])
    expect(['0', '1', 'push'].map((name) => leadsOn([1], name))).toEqual([true, false, false])
    for (const nothing of [null, undefined, 'text', 5, new Date(), new Map()]) expect(leadsOn(nothing, 'length')).toBe(false)
  })
})
