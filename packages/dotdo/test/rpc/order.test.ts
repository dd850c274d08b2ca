/** Calls on one reference are made in the order in which they were written, whatever their arguments wait for. Random ones are in programs.property.test.ts. */
import { RpcSession, RpcTarget, type RpcStub } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { linkVersion, type Frame } from '../../src/rpc/frames.ts'
import { defaultClientLimits } from '../../src/rpc/limits.ts'
import { countedHere, readGuard, restrict, type NarrowPorts } from '../../src/rpc/narrow.ts'
import { Reached } from '../../src/rpc/reached.ts'
import { ServedClient } from '../../src/rpc/served-client.ts'
import { OrderGates, OrderSource } from '../../src/rpc/order.ts'
import { pair, turns, type Carry } from './pair.ts'

class Source extends RpcTarget {
  async slow(ms: number, value: unknown) {
    await turns(ms)
    return value
  }
  now(value: unknown) {
    return value
  }
  async fail(ms: number) {
    await turns(ms)
    throw new Error('the source failed')
  }
}

class Box extends RpcTarget {
  readonly #n: number
  constructor(n: number) {
    super()
    this.#n = n
  }
  get() {
    return this.#n
  }
  get n() {
    return this.#n
  }
}

class Log extends RpcTarget {
  entries: unknown[] = []
  note(value: unknown) {
    this.entries.push(value)
    return value
  }
  boxes() {
    return [new Box(0), new Box(1)]
  }
  get count() {
    return this.entries.length
  }
  list() {
    return [1, 2]
  }
  keep(box: RpcStub<Box>) {
    return box.dup()
  }
  async later(ms: number, value: unknown) {
    await turns(ms)
    return value
  }
}

function open(carry?: Carry) {
  const log = new Log()
  const source = pair(new Source(), carry ? { carry } : {})
  const sink = pair(log, carry ? { carry } : {})
  const L = sink.link.root() as unknown as RpcStub<Log> & { later(ms: number, value: unknown): never; keep(box: unknown): RpcStub<Box> }
  const S = source.link.root() as unknown as {
    slow(ms: number, value: unknown): never
    now(value: unknown): never
    fail(ms: number): never
  }
  return { log, L, S, source, sink, leaks: () => source.server.openHandoffs + sink.server.openHandoffs }
}

describe('calls on one reference', () => {
  test('keep their places behind one that waits for another object', async () => {
    const { L, S, log, sink } = open()
    const all = [L.note('before'), L.note(S.slow(20, 'late')), L.note('after')]
    expect(await Promise.all(all)).toEqual(['before', 'late', 'after'])
    expect(log.entries).toEqual(['before', 'late', 'after'])
    expect(sink.stats.messages - sink.stats.polls).toBe(1)
  })
  test('are made behind one whose argument fails here, while another of its arguments is handed off', async () => {
    const { L, S, leaks } = open()
    const failed = Promise.reject(new Error('not here'))
    failed.catch(() => {})
    const [bad, after] = [L.note([failed, S.slow(1, 'handed')]), L.note('after')]
    await expect(Promise.resolve(bad)).rejects.toThrow('not here')
    expect(await after).toBe('after')
    await turns(20)
    expect(leaks()).toBe(0)
  })
  test('have their arguments’ capabilities still when it is their turn', async () => {
    const { L } = open()
    const [boxes, waits] = [L.boxes(), L.note(L.later(5, 'late'))]
    const kept = L.keep(boxes[1]!)
    expect(await kept.get()).toBe(1)
    expect(await waits).toBe('late')
  })
  test('keep their places behind one that waits for the same object', async () => {
    const { L, log } = open()
    await Promise.all([L.note(L.later(20, 'late')), L.note('after')])
    expect(log.entries).toEqual(['late', 'after'])
  })
  test('keep their places over turns, and alone in them', async () => {
    const { L, S, log } = open()
    const late = L.note(S.slow(50, 'late'))
    await turns(3)
    const after = L.note('after')
    await turns(3)
    const last = L.note('last')
    await Promise.all([late, after, last])
    expect(log.entries).toEqual(['late', 'after', 'last'])
  })
  test('keep their places behind one that is given what is under way without a session', async () => {
    const { L, S, log, leaks } = open()
    const [late, failing] = [S.slow(5, 'late'), S.fail(6)]
    const asked = Promise.allSettled([late, failing].map((it) => Promise.resolve(it)))
    await turns(1)
    await Promise.allSettled([L.note(late), L.note(failing), L.note('after'), asked])
    expect(log.entries).toEqual(['late', 'after'])
    expect(leaks()).toBe(0)
  })
  test('keep their places behind one that is given what has to be asked of a capability that is here', async () => {
    const { L, log } = open()
    const boxes = L.boxes()
    await boxes
    await Promise.all([L.note(boxes[1]!.n as never), L.note('after')])
    expect(log.entries).toEqual([1, 'after'])
  })
  test.each(['here', 'on its way'])('keep their places behind one that is given a part of a map whose list is %s', async (where) => {
    const { L, log } = open()
    const list = L.list() as any
    if (where === 'here') await list
    const mapped = list.map((n: number) => [L.later(3, n)])
    await Promise.all([L.note(mapped[1][0] as never), L.note('after')])
    expect(log.entries).toEqual([2, 'after'])
  })
  test('do not wait for one that is given a promise of the program’s own: it may be one of them that keeps it', async () => {
    const { L, S, log, leaks } = open()
    const { promise, resolve } = Promise.withResolvers<unknown>()
    const [first, own, count] = [L.note(S.slow(5, 'late')), L.note(promise as never), L.note('after')]
    resolve(await count)
    await Promise.all([first, own])
    expect(log.entries).toEqual(['late', 'after', 'after'])
    expect(leaks()).toBe(0)
  })
  test('and reads have places among them', async () => {
    const { L, S } = open()
    const [note, count] = [L.note(S.slow(5, 'late')), Promise.resolve(L.count)]
    expect(await count).toBe(1)
    await note
  })
  test('are given a read that is here as what it is', async () => {
    const { L, log } = open()
    const count = L.count
    await count
    await Promise.all([L.note(count as never), L.note('after')])
    expect(log.entries).toEqual([0, 'after'])
  })
  test('go on when what one waits for never comes', async () => {
    const { L, S, log, leaks } = open()
    const [failed, after] = await Promise.allSettled([L.note(S.fail(10)), L.note('after')])
    expect(failed).toMatchObject({ status: 'rejected', reason: { message: 'the source failed' } })
    expect(after).toMatchObject({ value: 'after' })
    expect(log.entries).toEqual(['after'])
    await turns(10)
    expect(leaks()).toBe(0)
  })
  test('go on when the one before was lost with its message', async () => {
    let lost = false
    const { L, S, log } = open((message, send) => {
      if (lost || !('order' in message)) return send()
      lost = true
      return Promise.reject(new Error('Network connection lost.'))
    })
    await Promise.allSettled([L.note(S.slow(5, 'lost')), L.note('lost too')])
    expect(await L.note(S.slow(5, 'late'))).toBe('late')
    expect(await L.note('after')).toBe('after')
    expect(log.entries.slice(-2)).toEqual(['late', 'after'])
  })
  test('are answered apart: a quick one behind a slow one does not wait for its answer', async () => {
    const { L, S } = open()
    const slow = L.later(200, S.now('slow'))
    expect(await L.note('quick')).toBe('quick')
    expect(await slow).toBe('slow')
  })
})

class Sum extends RpcTarget {
  readonly #log: unknown[]
  constructor(log: unknown[]) {
    super()
    this.#log = log
  }
  add(value: unknown) {
    return this.#log.push(value)
  }
  get count() {
    return this.#log.length
  }
  self() {
    return this
  }
}

/** Answers that take their time. */
const slowly =
  (lag: number): Carry =>
  async (_, send) => {
    const reply = await send()
    await turns(lag)
    return reply
  }

/** One that gives a capability, and takes some. */
class Giver extends Log {
  sum() {
    return new Sum(this.entries)
  }
  same(value: unknown) {
    return value
  }
  async laterSame(sum: RpcStub<Sum>) {
    const kept = sum.dup()
    await turns(3)
    return kept
  }
  readonly #shared = new Sum(this.entries)
  shared() {
    return this.#shared
  }
}

function given() {
  const giver = new Giver()
  const source = pair(new Source())
  const other = pair(new Log())
  const here = pair(giver)
  const G = here.link.root() as any
  return {
    log: giver.entries,
    G,
    S: source.link.root() as any,
    O: other.link.root() as any,
    here,
    leaks: () => [source, other, here].reduce((sum, { server }) => sum + server.openHandoffs, 0),
  }
}

describe('calls on a capability', () => {
  const waits: [string, (at: ReturnType<typeof given>) => unknown][] = [
    ['another object', ({ S }) => S.slow(9, 'late')],
    ['the same object', ({ G }) => G.later(9, 'late')],
    ['the same object, which has it at once', ({ G }) => G.same('late')],
  ]
  test.each(waits)('keep their places behind one that waits for %s', async (_, late) => {
    const at = given()
    const sum = at.G.sum()
    await Promise.all([sum.add('before'), sum.add(late(at)), sum.add('after')])
    expect(at.log).toEqual(['before', 'late', 'after'])
    expect(at.leaks()).toBe(0)
  })
  test('go on when what one waits for fails, and reads have places among them', async () => {
    const { G, S, log } = given()
    const sum = G.sum()
    const bad = sum.add(S.fail(5))
    const [late, count] = [sum.add(S.slow(9, 'late')), Promise.resolve(sum.count)]
    await expect(Promise.resolve(bad)).rejects.toThrow('the source failed')
    expect(await count).toBe(1)
    expect(await late).toBe(1)
    expect(log).toEqual(['late'])
  })
  test('do not wait for one that is given a promise of the program’s own', async () => {
    const { G, log } = given()
    const sum = G.sum()
    const { promise, resolve } = Promise.withResolvers<unknown>()
    const own = sum.add(promise)
    resolve(await sum.add('first'))
    await own
    expect(log).toEqual(['first', 1])
  })
  test('do not wait for what was written after them, where another reference turns out late to be the same capability', async () => {
    const { G, log } = given()
    const sum = G.sum()
    const again = G.laterSame(sum)
    await sum.add(again.add('inner'))
    const mapped = G.list().map(() => again.add('mapped'))
    await sum.add(mapped[1])
    expect(log).toEqual(['inner', 1, 'mapped', 'mapped', 4])
  })
  test('of the caller’s own, at whom it was given to, keep their places too', async () => {
    const { S } = given()
    const [log, named]: unknown[][] = [[], []]
    const callback = (value: unknown) => log!.push(value)
    const target = new Sum(named!)
    const other = pair(
      new (class extends RpcTarget {
        async use(call: any, sum: any, source: any) {
          const calls = [call(source.slow(9, 'late')), call('after'), sum.add(source.slow(9, 'late')), sum.add('after'), sum.count]
          return await Promise.all(calls)
        }
      })(),
    )
    expect(await (other.link.root() as any).use(callback, target, S)).toEqual([1, 2, 1, 2, 2])
    expect([log, named]).toEqual([
      ['late', 'after'],
      ['late', 'after'],
    ])
  })
  test('of another caller do not wait', async () => {
    const { G, log } = given()
    const mine = G.shared()
    const late = mine.add(G.later(30, 'late'))
    await turns(3)
    const other = await G.shared()
    expect(await other.add('quick')).toBe(1)
    await late
    expect(log).toEqual(['quick', 'late'])
  })
})

/** An object as an unmodified capnweb client reaches it, each of whose frames comes in a turn of its own or not. */
function served(frameLater: boolean) {
  const at = given()
  class Main extends RpcTarget {
    async open() {
      return this
    }
    world() {
      return at.here.link.root()
    }
  }
  let toClient: ((text: string) => void) | undefined
  const inbox: string[] = []
  const client = new ServedClient(new Main(), defaultClientLimits, {
    send: (text) => {
      if (toClient) toClient(text)
      else inbox.push(text)
      toClient = undefined
    },
    ended: () => {},
    endOfTurn: (then) => void setImmediate(then),
    timer: (delayMs, then) => {
      const id = setTimeout(then, delayMs)
      return () => clearTimeout(id)
    },
  })
  const session = new RpcSession({
    send: async (text: string) => {
      if (frameLater) await turns(1)
      client.received(text)
    },
    receive: () => (inbox.length > 0 ? Promise.resolve(inbox.shift()!) : new Promise<string>((resolve) => (toClient = resolve))),
    abort: () => client.gone(),
  })
  return { ...at, root: session.getRemoteMain() as any }
}

/** An object of which a part is asked for anew in each turn, as narrowed and restored references are: each time it takes as long as `lags` says. */
function anew(lags: number[] = [], carry?: Carry) {
  const giver = new Giver()
  const source = pair(new Source())
  let asked = 0
  const restore = async () => {
    const lag = lags[asked++] ?? 0
    if (lag < 0) throw new Error('refused')
    if (lag > 0) await turns(lag)
    return restrict(giver, readGuard({}, ports), ports)
  }
  const narrow = (caveats: unknown) => restrict(giver, readGuard(caveats, ports), ports)
  const here = pair(giver, { framework: { restore, narrow }, ...(carry && { carry }) })
  const reached = (method: string, ...args: unknown[]) => new Reached(here.link, method, args)
  return {
    log: giver.entries,
    G: here.link.root() as any,
    S: source.link.root() as any,
    here,
    reached,
    cap: reached('restore').root() as any,
    leaks: () => source.server.openHandoffs + here.server.openHandoffs,
  }
}
const ports: NarrowPorts = { now: () => 0, counter: countedHere }

describe('calls on a reference that each turn asks for anew', () => {
  const waits: [string, (at: ReturnType<typeof anew>) => unknown][] = [
    ['another object', ({ S }) => S.slow(20, 'late')],
    ['the same object', ({ G }) => G.later(20, 'late')],
    ['what the reference gives', ({ cap }) => cap.later(20, 'late')],
  ]
  test.each(waits)('keep their places over turns behind one that waits for %s', async (_, late) => {
    const at = anew()
    const calls = [at.cap.note('before'), at.cap.note(late(at))]
    for (const after of ['after', 'last']) {
      await turns(3)
      calls.push(at.cap.note(after))
    }
    expect(await Promise.all(calls)).toEqual(['before', 'late', 'after', 'last'])
    expect(at.log).toEqual(['before', 'late', 'after', 'last'])
    expect(at.leaks()).toBe(0)
  })
  test('keep their places where it takes longer to ask for it in an earlier turn', async () => {
    const { cap, log, leaks } = anew([20, 0, 5])
    const calls: unknown[] = []
    for (const entry of [1, 2, 3]) {
      calls.push(cap.note(entry))
      await turns(2)
    }
    await Promise.all(calls)
    expect(log).toEqual([1, 2, 3])
    expect(leaks()).toBe(0)
  })
  test('go on when it is refused in a turn, or what one waits for fails', async () => {
    const { cap, S, log, leaks } = anew([-1])
    const failing = [cap.note('refused')]
    await turns(2)
    failing.push(cap.note(S.fail(9)))
    await turns(2)
    const after = cap.note('after')
    const reasons = (await Promise.allSettled(failing)).map((it) => (it as PromiseRejectedResult).reason.message)
    expect(reasons).toEqual(['refused', 'the source failed'])
    expect(await after).toBe('after')
    expect(log).toEqual(['after'])
    expect(leaks()).toBe(0)
  })
  test('go on when the message of the one before is lost, and when its session ends', async () => {
    const lost = new Set([1])
    let messages = 0
    const { cap, S, log, leaks } = anew([], (_, send) =>
      lost.has(messages++) ? Promise.reject(new Error('Network connection lost.')) : send(),
    )
    await cap.note('first')
    await Promise.allSettled([cap.note(S.slow(5, 'lost'))])
    await cap.note('last')
    expect(log).toEqual(['first', 'last'])
    expect(leaks()).toBe(0)
  })
  test('do not wait for one that is given a promise of the program’s own', async () => {
    const { cap, log } = anew()
    const { promise, resolve } = Promise.withResolvers<unknown>()
    const own = cap.note(promise)
    await turns(2)
    resolve(await cap.note('first'))
    await own
    expect(log).toEqual(['first', 'first'])
  })
  test('do not wait for those on another such reference, nor for those of another program', async () => {
    let context = {}
    const at = anew()
    const other = at.reached('narrow', {}).root() as any
    const late = at.cap.note(at.S.slow(30, 'late'))
    await turns(2)
    expect(await other.note('quick')).toBe('quick')
    const giver = new Giver()
    const programs = pair(giver, {
      caller: () => ({ context, origin: { depth: 1 } }),
      framework: { narrow: () => restrict(giver, readGuard({}, ports), ports) },
    })
    const shared = new Reached(programs.link, 'narrow', [{}])
    const waits = (shared.root() as any).note(at.S.slow(30, 'late'))
    await turns(2)
    context = {}
    await (shared.root() as any).note('quick')
    await Promise.all([late, waits])
    expect([at.log, giver.entries]).toEqual([
      ['quick', 'late'],
      ['quick', 'late'],
    ])
  })
  test('and reads of it have places among them, as have calls on what it is narrowed to', async () => {
    const { reached, S, leaks } = anew()
    const narrowed = new Reached(reached('restore'), 'narrow', [{ only: ['note', 'count'] }]).root() as any
    const late = narrowed.note(S.slow(9, 'late'))
    await turns(2)
    const count = Promise.resolve(narrowed.count)
    expect(await count).toBe(1)
    await late
    expect(leaks()).toBe(0)
  })
  test('are refused in their places by what is over by then, and count their uses once', async () => {
    let over = false
    const giver = new Giver()
    let left = 2
    const guarded: NarrowPorts = { now: () => (over ? 2 : 0), counter: () => ({ left: () => left, take: () => void left-- }) }
    const here = pair(giver, { framework: { narrow: (caveats: unknown) => restrict(giver, readGuard(caveats, guarded), guarded) } })
    const S = pair(new Source()).link.root() as any
    const used = new Reached(here.link, 'narrow', [{ uses: 2 }]).root() as any
    const calls: Promise<unknown>[] = []
    for (const value of [S.slow(9, 'late'), 'second', 'third']) {
      calls.push(Promise.resolve(used.note(value)))
      await turns(2)
    }
    const [, , third] = await Promise.allSettled(calls)
    expect(third).toMatchObject({ reason: { code: 'CAPABILITY_USED_UP' } })
    const mortal = new Reached(here.link, 'narrow', [{ until: 1 }]).root() as any
    const waits = Promise.resolve(mortal.note(S.slow(9, 'too late')))
    await turns(2)
    over = true
    await expect(waits).rejects.toMatchObject({ code: 'CAPABILITY_EXPIRED' })
    expect([giver.entries, left]).toEqual([['late', 'second'], 0])
  })
  test('keep their places where somebody else has the stub of it', async () => {
    const { reached, here, S, log } = anew([9])
    const stub = reached('restore').forwarder() as any
    const calls = [stub.note(1), stub.note(S.slow(9, 2))]
    await turns(3)
    calls.push(stub.note(3))
    await Promise.all(calls)
    expect(log).toEqual([1, 2, 3])
    expect(here.server.openHandoffs).toBe(0)
  })
})

describe('a message that names places', () => {
  /** A part is asked for and told something, and perhaps a hand-off comes first for which the call waits. */
  const message = (session: string, places: unknown, waits = false) => {
    const frames: Frame[] = [
      ['push', ['pipeline', 0, ['dotdo:restore'], []]],
      ['push', waits ? ['pipeline', 0, ['dotdo:accept'], ['t']] : ['pipeline', 0, ['list'], []]],
      ['push', ['pipeline', 1, ['note'], [waits ? ['pipeline', 2] : 'x']]],
      ['pull', 3],
    ]
    return { version: linkVersion, session, seq: 0, origin: { depth: 1 }, places, frames } as never
  }
  test.each([['places'], [[null]], [[{ gate: 1, calls: [] }]], [[{ gate: 'g', calls: [[2, 'x']] }]], [[{ gate: 'g', calls: 3 }]]])(
    'that are none is refused: %j',
    async (places) => {
      const { here, log } = anew()
      await expect(here.server.accept(message('s', places))).rejects.toMatchObject({ code: 'FRAME_INVALID' })
      expect([log, here.server.openHandoffs]).toEqual([[], 0])
    },
  )
  test('holds up none but calls of its own gate, and those no longer than it lasts', async () => {
    const { here, log } = anew()
    const held = here.server.accept(message('a', [{ gate: 'g', calls: [[2, 0]] }], true)).catch(() => 'ended')
    await turns(2)
    // Of its places one is no call, and one is not there.
    const behind = here.server.accept(
      message('b', [
        {
          gate: 'g',
          calls: [
            [2, 1],
            [9, 2],
            [3, 3],
          ],
        },
      ]),
    )
    await here.server.accept(message('c', [{ gate: 'other', calls: [[2, 5]] }]))
    expect(log).toEqual(['x'])
    await here.server.accept({ version: linkVersion, session: 'a', seq: 0, frames: [], ended: ['a'] } as never)
    expect((await behind).frames).toEqual([['resolve', 3, 'x']])
    await held
    expect([log, here.server.openHandoffs]).toEqual([['x', 'x'], 0])
  })
})

describe('calls of an unmodified capnweb client', () => {
  const whens: [string, boolean, boolean][] = [
    ['whose frames come in one turn', false, false],
    ['whose frames come in one turn, on what is here', false, true],
    ['whose frames come one by one', true, false],
    ['whose frames come one by one, on what is here', true, true],
  ]
  test.each(whens)('%s keep their places behind one that waits', async (_, frameLater, isHere) => {
    for (let lag = 0; lag < 5; lag++) {
      const { root, log } = served(frameLater)
      const world = isHere ? await root.open().world() : root.open().world()
      const calls: unknown[] = [world.note(world.later(lag, 'late')), world.note('after')]
      await turns(lag)
      calls.push(world.note(world.same(world.later(lag, 'later'))), world.note('last'))
      await Promise.all(calls)
      expect(log).toEqual(['late', 'after', 'later', 'last'])
    }
  })
})

describe('what is called beside a call that waits', () => {
  test('can still be passed on, as a result and by a map', async () => {
    const { G, log } = given()
    const sum = G.sum()
    const late = sum.add(G.later(3, 'late'))
    const passed = G.laterSame(sum)
    const mapped = G.list().map(() => sum.add('mapped'))
    await Promise.all([late, mapped, passed])
    expect(await passed.add('last')).toBe(4)
    expect(log[0]).not.toBe('last')
  })

  test('is the same reference when its answer has crossed the call on the wire', async () => {
    const { here, log } = { here: pair(new Giver(), { carry: slowly(3) }), log: [] as unknown[] }
    const G = here.link.root() as any
    const x = G.note(G.same('x'))
    const p = G.sum()
    const asked = Promise.resolve(p)
    await turns(2)
    const late = p.add(G.later(40, 'late'))
    const after = (await asked).add('after')
    await Promise.all([x, late, after])
    log.push(await late, await after)
    expect(log).toEqual([2, 3])
  })

  test('by another program does not wait', async () => {
    let context = {}
    const here = pair(new Giver(), { caller: () => ({ context, origin: { depth: 1 } }) })
    const source = pair(new Source())
    const G = here.link.root() as any
    const late = G.note((source.link.root() as any).slow(60, 'late'))
    await turns(3)
    context = {}
    const other = here.link.root() as any
    expect(await other.count).toBe(0)
    await late
  })

  test('goes on when a sibling is refused, and no call of its message keeps a gate open', async () => {
    const { G, here } = given()
    let deep = G.sum()
    for (let i = 0; i < 1001; i++) deep = deep.self()
    const [refused, handed, after] = [Promise.resolve(deep.count), G.note(G.same('handed')), G.note('after')]
    await expect(refused).rejects.toMatchObject({ code: 'LINK_LIMIT' })
    await Promise.all([handed, after])
    expect(await G.note(G.same(1))).toBe(1)
    expect(here.server.openHandoffs).toBe(0)
  })
})

describe('a gate', () => {
  test('gives turns by number, skips what was given up, and is forgotten when idle', async () => {
    const gates = new OrderGates()
    const made: number[] = []
    const giveUp = gates.expect({
      gate: 'g',
      calls: [
        [4, ['t']],
        [5, []],
        [6, []],
      ],
    })
    const make = (n: number) => Promise.resolve(gates.inTurn('g', n, () => made.push(n)))
    const six = make(6)
    const five = make(5)
    await turns(1)
    expect(made).toEqual([])
    gates.failed('t')
    await Promise.all([five, six])
    await turns(1)
    expect(made).toEqual([5, 6])
    giveUp()
    expect(gates.open).toBe(0)
  })
  test('numbers calls only while something is on its way', () => {
    const source = new OrderSource(() => 'g')
    expect(source.number(false)).toBeUndefined()
    const arrived = source.setOut()
    expect(source.number(true)).toEqual({ gate: 'g', number: 0 })
    expect(source.number(false)).toEqual({ gate: 'g', number: 1 })
    arrived()
    expect(source.number(false)).toBeUndefined()
  })
})
