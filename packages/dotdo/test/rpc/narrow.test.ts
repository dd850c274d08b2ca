/** Narrowed capabilities as a peer meets them: over a link, with promises, chains and hand-made frames. */
import { RpcStub, RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { linkVersion } from '../../src/rpc/frames.ts'
import { codeOf } from '../../src/base/errors.ts'
import { guardOf, writtenCaveats } from '../../src/rpc/caveats.ts'
import { countedHere, isCapability, readGuard, requireMembers, restrict, type NarrowPorts } from '../../src/rpc/narrow.ts'
import { frameworkOn, narrowedRef } from '../../src/rpc/ref.ts'
import { reachClass } from '../../src/rpc/reach.ts'
import { pair, turns } from './pair.ts'
import { Thing } from './grants-world.ts'

const ports: NarrowPorts = { now: () => 1000, counter: countedHere }
const narrowed = (cap: unknown, caveats: unknown) => restrict(cap, readGuard(caveats, ports), ports)
const codeOfFailure = (promise: PromiseLike<unknown>) =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => codeOf(error) ?? String(error),
  )
/** A guard that is revoked by hand. */
function switched() {
  let on = true
  const own = guardOf({}, () => 0)
  const alive = () => {
    if (!on) throw Object.assign(new Error('off'), { code: 'OFF' })
  }
  return { guard: { ...own, ends: true, alive, check: alive }, off: () => void (on = false) }
}

describe('a narrowed capability over a link', () => {
  const log: unknown[] = []
  const over = (cap: object) => pair(cap).link.root() as any

  test('calls what it may and reads what it may, and says what it may', async () => {
    const root = over(narrowed(new Thing('t', log), { only: ['read', 'size'], where: { read: [{ max: 5 }] } }))
    expect(await root.read(5)).toBe('t 5')
    expect(await root.size).toBe(3)
    await expect(Promise.resolve(root.write(1))).rejects.toMatchObject({
      code: 'CAPABILITY_DENIED',
      data: { method: 'write', caveat: 'only', only: ['read', 'size'] },
    })
    await expect(Promise.resolve(root.read(6))).rejects.toMatchObject({
      code: 'CAPABILITY_DENIED',
      data: { method: 'read', caveat: 'where', argument: 0 },
      message: expect.stringContaining('as argument 1') as string,
    })
    await expect(Promise.resolve(root.read(6))).rejects.not.toThrow(/6/)
  })

  test('is a link in a chain, and what it answers with can be called before it is there', async () => {
    const { link, stats } = pair(narrowed(new Thing('t', log), { only: ['part'] }))
    expect(await (link.root() as any).part('a').part('b').read(1)).toBe('t.a.b 1')
    expect(stats.messages).toBe(1)
  })

  test('counts what was admitted, once each, however it is called', async () => {
    const root = over(narrowed(new Thing('t', log), { uses: 3, only: ['read', 'size', 'fail'] }))
    expect(await codeOfFailure(root.write(1))).toBe('CAPABILITY_DENIED')
    const answers: unknown[] = []
    for (const call of [() => root.read(1), () => root.size, () => root.fail(), () => root.read(4)])
      answers.push(await codeOfFailure(call()))
    expect(answers).toEqual([{ value: 't 1' }, { value: 3 }, 'Error: no', 'CAPABILITY_USED_UP'])
  })

  test.each([
    ['constructor', ['constructor']],
    ['the constructor of a method', ['read', 'constructor']],
    ['a prototype', ['__proto__']],
    ['a prototype’s prototype', ['__proto__', '__proto__']],
    ['what it keeps for itself', ['target']],
    ['the framework', ['dotdo:restore']],
    ['private members of what is behind', ['#name']],
  ])('frames made by hand do not walk through it to %s', async (_, path) => {
    const { server } = pair(narrowed(new Thing('t', log), { only: ['read', 'part'] }))
    const frames = [['push', ['pipeline', 0, path, []]] as never, ['pull', 1] as never]
    const reply = await server.accept({ version: linkVersion, session: 's', seq: 0, frames })
    expect(reply.frames[0]![0]).toBe('reject')
  })

  test('is narrowed further by whoever holds it, and never widened', async () => {
    class Giver extends RpcTarget {
      give() {
        return narrowed(new Thing('t', log), { only: ['read', 'size'], where: { read: [{ max: 5 }] } })
      }
    }
    const root = await over(new Giver()).give()
    const less = frameworkOn(root, 'narrow', [{ only: ['read', 'write'], where: { read: [{ min: 5 }] } }]) as any
    expect(await less.read(5)).toBe('t 5')
    for (const call of [less.read(4), less.read(6), less.write(1), less.size]) expect(await codeOfFailure(call)).toBe('CAPABILITY_DENIED')
    expect(await codeOfFailure(frameworkOn(root, 'narrow', [{ nothing: 1 }]) as any)).toBe('INVALID_CAVEAT')
    expect(await root.read(1)).toBe('t 1')
  })

  test('of an object refuses a name that it does not have as the object does', async () => {
    const Reach = reachClass('Counter', { methods: ['add'], getters: [] })
    const reach = new Reach({ self: { add: (n: number) => n + 1 }, enter: (_, __, work) => work() })
    const root = over(narrowed(reach, { uses: 9 }))
    expect(await root.add(1)).toBe(2)
    expect(await codeOfFailure(root.subtract(1))).toBe('METHOD_UNKNOWN')
  })

  test('has what is `undefined`, and tells of what is not there, as what it stands before', async () => {
    class Maybe extends RpcTarget {
      get absent(): unknown {
        return undefined
      }
      get _own() {
        return 'not for you'
      }
    }
    for (const caveats of [{}, { only: ['absent', 'nope'] }, { until: 2000 }]) {
      const root = over(narrowed(new Maybe(), caveats))
      expect(await root.absent).toBeUndefined()
      expect(await root.absent.map((it: unknown) => it)).toBeUndefined()
      for (const missing of [root.nope, root.nope(), root.nope.map((it: unknown) => it), root.nope.deep])
        await expect(Promise.resolve(missing)).rejects.toMatchObject({
          code: 'METHOD_UNKNOWN',
          message: expect.stringContaining('Maybe has no method "nope". It has: absent.') as string,
        })
      for (const hidden of [root._own, root._own(), root._own.map((it: unknown) => it)])
        expect(await codeOfFailure(hidden)).toBe('METHOD_UNKNOWN')
    }
  })

  test('has its uses still when what was called or read is not there', async () => {
    const Reach = reachClass('Counter', { methods: ['add'], getters: [] })
    const reach = new Reach({ self: { add: (n: number) => n + 1 }, enter: (_, __, work) => work() })
    class Adder extends RpcTarget {
      add(n: number) {
        return n + 1
      }
    }
    for (const cap of [reach, new Adder()]) {
      const root = over(narrowed(cap, { uses: 1 }))
      for (const missing of [root.ad(1), root.adding, root.ad.deep(1), root.adds.map((it: unknown) => it)])
        expect(await codeOfFailure(missing)).toBe('METHOD_UNKNOWN')
      expect(await codeOfFailure(root.add(1))).toEqual({ value: 2 })
      expect(await codeOfFailure(root.add(1))).toBe('CAPABILITY_USED_UP')
    }
    // Whether there is such a name is nobody's business who may not reach it.
    expect(await codeOfFailure(over(narrowed(reach, { only: ['add'] })).adds(1))).toBe('CAPABILITY_DENIED')
  })

  test('lets go of what it owns, and of nothing else', async () => {
    let disposed = 0
    class Held extends RpcTarget {
      ping() {
        return 'pong'
      }
      [Symbol.dispose]() {
        disposed++
      }
    }
    class Giver extends RpcTarget {
      give() {
        return new Held()
      }
    }
    const { guard } = switched()
    const held = await over(restrict(new Giver(), guard, ports)).give()
    expect(await held.ping()).toBe('pong')
    held[Symbol.dispose]()
    await turns()
    const before = disposed
    const { link } = pair(narrowed(new Held(), { uses: 9 }))
    const root = link.root() as any
    expect(await root.ping()).toBe('pong')
    expect(disposed).toBe(before)
  })
})

describe('what can end takes along what was reached through it', () => {
  test('in lists, fields, promises, functions, and further down', async () => {
    const { guard, off } = switched()
    const cap = restrict(new Thing('t', []), guard, ports) as unknown as Thing
    const { list } = await cap.parts()
    const reached = [() => cap.part('a').read(1), () => list[0]!.read(1), () => list[0]!.part('x').read(1), () => cap.reader()(1)]
    const kept = [cap.part('a'), cap.reader()] as const
    for (const call of reached) expect(call()).toMatch(/^t/)
    off()
    for (const call of [...reached, () => kept[0].read(1), () => kept[1](1)]) expect(call).toThrow(expect.objectContaining({ code: 'OFF' }))
  })

  test('and leaves data as it is: not copied, not written to', () => {
    const { guard } = switched()
    const data = { rows: [1, { at: new Date(5), bytes: new Uint8Array(2) }], shared: [] as unknown[] }
    data.shared.push(data.shared)
    const state = { list: [new Thing('x', [])], data }
    class Holder extends RpcTarget {
      data() {
        return data
      }
      both() {
        return state
      }
    }
    const cap = restrict(new Holder(), guard, ports) as unknown as Holder
    expect(cap.data()).toBe(data)
    const both = cap.both()
    expect(both).not.toBe(state)
    expect(both.data).toBe(data)
    expect(state.list[0]).toBeInstanceOf(Thing)
    expect(both.list[0]).not.toBe(state.list[0])
  })

  test('a capability that cannot end gives what it gives as it is', () => {
    const thing = new Thing('t', [])
    expect((narrowed(thing, { only: ['part'] }) as unknown as Thing).part('x')).toBeInstanceOf(Thing)
  })
})

describe('a stub of another place', () => {
  const remote = () => pair(new Thing('far', [])).link.root() as unknown as RpcStub<never>
  test('is narrowed here: methods and getters, by name, uses and arguments', async () => {
    const cap = new RpcStub(narrowed(remote(), { only: ['read', 'size', 'part'], uses: 4, where: { read: [1] } })) as any
    expect(await cap.read(1)).toBe('far 1')
    expect(await cap.size).toBe(3)
    expect(await cap.part('a').read(7)).toBe('far.a 7')
    expect(await codeOfFailure(cap.write(1))).toBe('CAPABILITY_DENIED')
    expect(await codeOfFailure(cap.read(2))).toBe('CAPABILITY_DENIED')
    expect(await cap.read(1)).toBe('far 1')
    expect(await codeOfFailure(cap.read(1))).toBe('CAPABILITY_USED_UP')
  })

  test('that is answered by what can end ends with it', async () => {
    const { guard, off } = switched()
    const stub = remote()
    class Giver extends RpcTarget {
      give() {
        return stub
      }
    }
    const cap = new RpcStub(restrict(new Giver(), guard, ports)) as any
    const given = cap.give()
    expect(await given.read(1)).toBe('far 1')
    off()
    expect(await codeOfFailure(given.read(1))).toBe('OFF')
  })
})

describe('what is no capability', () => {
  test.each([null, undefined, 1, 'x', {}, [], new Date()])('%o is not narrowed', (value) => {
    expect(isCapability(value)).toBe(false)
    expect(() => narrowed(value, {})).toThrow(expect.objectContaining({ code: 'INVALID_CAVEAT' }))
  })

  test('a function is, by uses and time, and not by names that it does not have', () => {
    const twice = narrowed((n: number) => n + 1, { uses: 2, until: 2000 }) as (n: number) => number
    expect([twice(1), twice(2)]).toEqual([2, 3])
    expect(() => twice(3)).toThrow(expect.objectContaining({ code: 'CAPABILITY_USED_UP' }))
    expect(() => (narrowed(() => 1, { until: 1000 }) as () => number)()).toThrow(expect.objectContaining({ code: 'CAPABILITY_EXPIRED' }))
    for (const caveats of [{ only: ['x'] }, { where: { x: [] } }])
      expect(() => narrowed(() => 1, caveats)).toThrow(expect.objectContaining({ code: 'INVALID_CAVEAT' }))
  })
})

describe('limits of one capability', () => {
  class Worker extends RpcTarget {
    open: (() => void)[] = []
    take(value: unknown) {
      return typeof value
    }
    wait() {
      return new Promise<string>((resolve) => this.open.push(() => resolve('done')))
    }
    fail() {
      throw new Error('no')
    }
  }
  const limit = async (promise: unknown) => {
    const error = (await Promise.resolve(promise as PromiseLike<unknown>).catch((thrown: unknown) => thrown)) as {
      code?: string
      data?: { limit?: string; bound?: number }
    }
    return [error.code, error.data?.limit, error.data?.bound]
  }

  test('refuse arguments that are larger, and admit the others', async () => {
    const root = pair(narrowed(new Worker(), { limits: { argumentBytes: 1_000 } })).link.root() as any
    expect(await root.take('x'.repeat(500))).toBe('string')
    expect(await limit(root.take('x'.repeat(5_000)))).toEqual(['LINK_LIMIT', 'argumentBytes', 1_000])
    expect(await limit(root.take({ rows: Array.from({ length: 500 }, (_, i) => i) }))).toEqual(['LINK_LIMIT', 'argumentBytes', 1_000])
  })

  test('refuse more calls at once, and admit the next when one has ended, either way', async () => {
    const worker = new Worker()
    const root = pair(narrowed(worker, { limits: { callsAtOnce: 2 } })).link.root() as any
    const waiting = [root.wait(), root.wait()]
    expect(await limit(root.wait())).toEqual(['LINK_LIMIT', 'callsAtOnce', 2])
    for (const end of worker.open) end()
    expect(await Promise.all(waiting)).toEqual(['done', 'done'])
    for (let i = 0; i < 5; i++) await Promise.resolve(root.fail()).catch(() => {})
    expect(await root.take(1)).toBe('number')
  })

  test('only narrow: the smaller of two holds', async () => {
    const root = pair(
      narrowed(narrowed(new Worker(), { limits: { argumentBytes: 100 } }) as never, { limits: { argumentBytes: 10_000 } }),
    ).link.root() as any
    expect(await limit(root.take('x'.repeat(500)))).toEqual(['LINK_LIMIT', 'argumentBytes', 100])
  })

  test.each([{ limits: 1 }, { limits: { chainDepth: 1 } }, { limits: { callsAtOnce: 0 } }, { limits: { argumentBytes: '1' } }])(
    '%j is refused',
    (caveats) => {
      expect(() => readGuard(caveats, { now: () => 0, counter: () => countedHere(1) })).toThrow(
        expect.objectContaining({ code: 'INVALID_CAVEAT' }),
      )
    },
  )
})

describe('what is reached of a capability', () => {
  class Inner extends RpcTarget {
    get() {
      return 'inner'
    }
    child() {
      return new Inner()
    }
  }
  class Base extends RpcTarget {
    inherited() {
      return 'inherited'
    }
  }
  class Whole extends Base {
    arrow = () => 'an instance property'
    field = { secret: 1 }
    inner = new Inner()
    static made = () => 'of the class'
    get size() {
      return 3
    }
    read() {
      return 'read'
    }
    _own() {
      return 'private by its name'
    }
    child() {
      return new Inner()
    }
    whole() {
      return new Whole()
    }
  }
  const names = [
    'arrow',
    'field',
    'inner',
    'made',
    'size',
    'read',
    'inherited',
    'child',
    'whole',
    'toString',
    'constructor',
    'hasOwnProperty',
    '__proto__',
    'isPrototypeOf',
    'nothing',
  ]
  const tried = async (cap: any, name: string) => {
    const say = async (work: () => PromiseLike<unknown>) => {
      try {
        const value = await work()
        return typeof value === 'object' || typeof value === 'function' ? 'a capability or data' : JSON.stringify(value)
      } catch {
        return 'refused'
      }
    }
    const read = await say(() => Promise.resolve(cap[name]))
    // Raw, capnweb refuses to read an instance property, and narrowed it is not there.
    return [read ?? 'refused', await say(() => cap[name]())]
  }
  const ways: [string, (cap: RpcTarget) => any][] = [
    ['narrowed', (cap) => pair(narrowed(cap, { until: 5000 }) as object).link.root()],
    ['narrowed twice', (cap) => pair(narrowed(narrowed(cap, { until: 5000 }), { uses: 100 }) as object).link.root()],
    ['narrowed by its stub', (cap) => pair(narrowed(new RpcStub(cap), { until: 5000 }) as object).link.root()],
  ]

  test.each(ways)('is no more when it is %s', async (_, way) => {
    const raw = pair(new Whole()).link.root() as any
    for (const name of names) expect([name, ...(await tried(way(new Whole()), name))]).toEqual([name, ...(await tried(raw, name))])
    expect(await codeOfFailure(way(new Whole())._own())).not.toEqual({ value: 'private by its name' })
  })

  test.each(ways)('is no more of what it gives, when it is %s', async (_, way) => {
    const [raw, less] = [pair(new Whole()).link.root() as any, way(new Whole())]
    for (const name of names) expect([name, ...(await tried(less.whole(), name))]).toEqual([name, ...(await tried(raw.whole(), name))])
  })

  test('ends with it where it is what a call gave', async () => {
    const { guard, off } = switched()
    const framework = { framework: { narrowed: (cap: any) => restrict(cap.dup(), guard, ports, true) } } as any
    const { link } = pair(new Whole(), framework)
    const whole = narrowedRef((link.root() as any).whole(), [{}]) as any
    const child = await whole.child()
    const further = await child.child()
    expect(await further.get()).toBe('inner')
    off()
    for (const cap of [whole.child(), child, further, child.child()]) expect(await codeOfFailure(cap.get())).toBe('OFF')
  })
})

test.each(['tomorrow', '12', 'day 5', '5 apples', ''])(
  'an until of %j is no instant: JavaScript would read a date out of some',
  (until) => {
    expect(() => narrowed(() => 1, { until })).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/INVALID_(?:CAVEAT|DURATION)/) as string }),
    )
  },
)

test('over a limit of its own a capability says whom to ask, and not the app', () => {
  const call = narrowed((text: string) => text, { limits: { argumentBytes: 4 } }) as (text: string) => string
  expect(() => call('far too long for it')).toThrow(/ask whoever handed the capability out/)
})

describe('caveats that nobody could ever make use of are refused where they are written', () => {
  const Reach = reachClass('Shelf', { methods: ['add', 'read'], getters: ['size'] })
  const reach = new Reach({ self: {}, enter: (_, __, work) => work() })
  const thing = new Thing('t', [])
  const refusal = (caveats: object, of: unknown) => () => requireMembers(of, caveats)

  test('names that what is narrowed has not, by whichever way it is reached', () => {
    for (const of of [reach, narrowed(reach, { uses: 1 }), new RpcStub(reach)]) {
      expect(refusal({ only: ['read', 'reed'] }, of)).toThrow(
        expect.objectContaining({
          code: 'INVALID_CAVEAT',
          message: 'only names "reed", which Shelf has not; it has add, read, size. Correct it, or leave it out.',
        }),
      )
      expect(refusal({ where: { ad: ['x'] } }, of)).toThrow('where names "ad"')
      expect(refusal({ only: ['add', 'size'], where: { read: [] } }, of)).not.toThrow()
    }
    // What an instance has of its own is not there for others.
    expect(refusal({ only: ['read', 'size'] }, thing)).not.toThrow()
    expect(refusal({ only: ['own'] }, Object.assign(new Thing('t', []), { own: 1 }))).toThrow('"own"')
    expect(() => readGuard({ only: ['reed'] }, ports, undefined, reach)).toThrow('"reed"')
  })

  test('but for what is elsewhere, is a function, or answers for its names itself', () => {
    const far = pair(reach).link.root()
    class Any extends RpcTarget {}
    Object.setPrototypeOf(
      Any.prototype,
      new Proxy(Object.create(RpcTarget.prototype) as object, {
        get: (on, name, it) => (name === 'anything' ? () => 1 : Reflect.get(on, name, it)),
      }),
    )
    expect(refusal({ only: ['reed'] }, far)).not.toThrow()
    expect(refusal({ uses: 1 }, () => 1)).not.toThrow()
    expect(refusal({ only: ['anything'] }, new Any())).not.toThrow()
    expect(refusal({ only: ['nothing'] }, new Any())).toThrow('Any has not; it has none')
  })

  test('an instant that is over, and one that is no date', () => {
    for (const until of [1000, 999, -1, new Date(5), '1970-01-01T00:00:00Z', '0s'])
      expect(() => writtenCaveats({ until }, 1000)).toThrow(
        expect.objectContaining({ code: 'INVALID_CAVEAT', data: expect.objectContaining({ path: 'until' }) }),
      )
    expect(writtenCaveats({ until: '1ms' }, 1000)).toEqual({ until: 1001 })
    for (const until of [8.7e15, -1e300]) expect(() => readGuard({ until }, ports)).toThrow('must be an instant')
    // One that was written in time and comes late has run out, and is no mistake.
    expect(() => (narrowed(() => 1, { until: 999 }) as () => number)()).toThrow(expect.objectContaining({ code: 'CAPABILITY_EXPIRED' }))
  })
})
