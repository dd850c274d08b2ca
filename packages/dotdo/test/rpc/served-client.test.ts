/** The end of a client's session in the Worker: capnweb on the other side of a wire of texts, and texts that no capnweb sends. */
import { RpcSession, RpcTarget, type RpcStub } from 'capnweb'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { FairShares } from '../../src/rpc/fair-share.ts'
import type { Frame } from '../../src/rpc/frames.ts'
import { defaultClientLimits, type ClientLimits } from '../../src/rpc/limits.ts'
import { MapMeter } from '../../src/rpc/map-meter.ts'
import { ServedClient, type ServedClientPorts } from '../../src/rpc/served-client.ts'
import { turns } from './pair.ts'

class Main extends RpcTarget {
  disposed = 0
  log: unknown[] = []
  gates: (() => void)[] = []
  add(a: number, b: number) {
    return a + b
  }
  note(value: unknown) {
    this.log.push(value)
    return value
  }
  self() {
    return this
  }
  child() {
    return new Child(this)
  }
  wait() {
    return new Promise<string>((resolve) => this.gates.push(() => resolve('opened')))
  }
  list() {
    return new Promise<number[]>((resolve) => this.gates.push(() => resolve(Array.from({ length: 100 }, (_, i) => i))))
  }
  fill(length: number) {
    return 'x'.repeat(length)
  }
  async ask(callback: (n: number) => Promise<number>) {
    return callback(20)
  }
  async read(stream: ReadableStream<number>) {
    let sum = 0
    for await (const n of stream) sum += n
    return sum
  }
}
class Child extends RpcTarget {
  #main: Main
  constructor(main: Main) {
    super()
    this.#main = main
  }
  name() {
    return 'child'
  }
  [Symbol.dispose]() {
    this.#main.disposed++
  }
}

const timer = (delayMs: number, then: () => void) => {
  const id = setTimeout(then, delayMs)
  return () => clearTimeout(id)
}

/** One served client, and what it has said so far. */
function serve(limits: Partial<ClientLimits> = {}, ports: Partial<ServedClientPorts> = {}) {
  const main = new Main()
  const said: Frame[] = []
  const ended: Error[] = []
  const served = new ServedClient(
    main,
    { ...defaultClientLimits, ...limits },
    {
      send: (text) => void said.push(JSON.parse(text) as Frame),
      ended: (reason) => void ended.push(reason),
      endOfTurn: (then) => void setImmediate(then),
      timer,
      ...ports,
    },
  )
  const tell = (...frames: unknown[]) => {
    for (const frame of frames) served.received(typeof frame === 'string' ? frame : JSON.stringify(frame))
  }
  return { main, served, said, ended, tell }
}
const push = (method: string, ...args: unknown[]): Frame => ['push', ['pipeline', 0, [method], args]]

/** An unmodified capnweb client over a served one. */
function client(limits: Partial<ClientLimits> = {}, ports: Partial<ServedClientPorts> = {}) {
  const inbox: string[] = []
  let reader: PromiseWithResolvers<string> | undefined
  const it = serve(limits, {
    ...ports,
    send: (text) => {
      if (reader) reader.resolve(text)
      else inbox.push(text)
      reader = undefined
    },
  })
  const transport = {
    send: (text: string) => void setImmediate(() => it.served.received(text)),
    receive: () => (inbox.length > 0 ? Promise.resolve(inbox.shift()!) : (reader = Promise.withResolvers<string>()).promise),
    abort: () => it.served.gone(),
  }
  const root = new RpcSession<Main>(transport).getRemoteMain() as RpcStub<Main>
  return { ...it, root }
}
const failure = async (work: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(work).then(
    (value) => ({ answered: value }),
    (error: unknown) => error,
  )

describe('an unmodified client', () => {
  test('calls, chains, passes promises and callbacks, streams and maps', async () => {
    const { root } = client()
    expect(await root.add(1, 2)).toBe(3)
    expect(await root.self().self().child().name()).toBe('child')
    expect(await root.add(root.add(1, 1), 3)).toBe(5)
    expect(await root.ask(async (n: number) => n + 1)).toBe(21)
    expect(await root.read(new Response('x').body!.pipeThrough(new TransformStream({ transform: (_, to) => to.enqueue(7) })))).toBe(7)
    expect(await root.note([1, 2]).map((n) => root.self().add(n as never, 1))).toEqual([2, 3])
  })

  test('gets a limit’s error for the call that passes it, and goes on', async () => {
    const { root, ended } = client({ chainDepth: 2, nesting: 5, answerBytes: 1000 })
    const deep = JSON.parse('[[[[[[[1]]]]]]]') as unknown
    for (const [limit, call] of [
      ['chainDepth', () => root.self().self().self().add(1, 1)],
      ['nesting', () => root.note(deep)],
      ['answerBytes', () => root.fill(2000)],
    ] as const)
      expect(await failure(call())).toMatchObject({ code: 'LINK_LIMIT', data: { limit, caller: 'a client' } })
    expect(await root.add(1, 2)).toBe(3)
    expect(ended).toEqual([])
  })

  test('gets the reason for all its open calls when the session ends', async () => {
    const { root, ended } = client({ messageBytes: 1000 })
    const open = failure(root.wait())
    await turns()
    expect(await failure(root.note('x'.repeat(2000)))).toMatchObject({ code: 'LINK_LIMIT', data: { limit: 'messageBytes' } })
    expect(await open).toMatchObject({ code: 'LINK_LIMIT', data: { limit: 'messageBytes' } })
    expect(ended.map(codeOf)).toEqual(['LINK_LIMIT'])
  })

  test('has an answer that takes too long replaced by an error', async () => {
    const { root, main } = client({ graphMs: 30 })
    expect(await failure(root.wait())).toMatchObject({ code: 'LINK_LIMIT', data: { limit: 'graphMs', bound: 30 } })
    main.gates[0]!()
    expect(await root.add(1, 2)).toBe(3)
  })

  test('that goes away leaves nothing behind: what it held is disposed of', async () => {
    const { root, main, served } = client()
    await Promise.all(Array.from({ length: 50 }, () => root.child()))
    served.gone()
    await turns()
    expect(main.disposed).toBe(50)
  })
})

describe('what waits', () => {
  test('waits while as much is under way as may be, in order, and is taken up with each answer', async () => {
    const { main, tell, said } = serve({ workAtOnce: 2 })
    for (let i = 1; i <= 10; i++) tell(push(i % 2 ? 'wait' : 'note', i), ['pull', i])
    await turns()
    // The frame that passes the bound is held, not refused.
    expect(main.gates.length).toBeLessThanOrEqual(2)
    for (let i = 0; i < 10; i++) {
      for (const open of main.gates.splice(0)) open()
      await turns()
    }
    expect(main.log).toEqual([2, 4, 6, 8, 10])
    expect(said.filter(([kind]) => kind === 'resolve')).toHaveLength(10)
  })

  test('does not wait when a call may need it: a callback is answered though all is busy', async () => {
    const { root } = client({ workAtOnce: 1 })
    expect(await Promise.all([root.ask(async (n: number) => n), root.ask(async (n: number) => 2 * n)])).toEqual([20, 40])
  })

  test.each([
    ['framesWaiting', { workAtOnce: 1, framesWaiting: 10 }, 'x'],
    ['bytesWaiting', { workAtOnce: 1, bytesWaiting: 10_000 }, 'x'.repeat(1000)],
  ] as const)('is bounded: over %s the session ends', async (limit, limits, value) => {
    const { tell, ended, served } = serve(limits)
    tell(push('wait'), ['pull', 1])
    for (let i = 0; i < 100; i++) tell(push('note', value))
    await turns()
    expect(ended).toHaveLength(1)
    expect(ended[0]).toMatchObject({ code: 'LINK_LIMIT', data: { limit } })
    expect(served.waiting).toBe(0)
  })
})

test('who goes on sending when its session is over is read on for a moment, by frames and by bytes, and then no longer', async () => {
  for (const [text, times] of [
    ['x', 9],
    ['x'.repeat(8192 * 4), 2],
  ] as const) {
    const { served, ended } = serve({ framesAfterEnd: 10 })
    expect(served.received('no frame')).toBe(true)
    await turns()
    expect(ended.map(codeOf)).toEqual(['FRAME_INVALID'])
    for (let i = 0; i < times; i++) expect(served.received(text)).toBe(true)
    for (let i = 0; i < 3; i++) served.received(text)
    expect(served.received(text)).toBe(false)
    expect(served.received(new ArrayBuffer(1))).toBe(false)
  }
})

describe('shares', () => {
  /** How many calls of each of two clients are done by when the second one's are all done. */
  async function race(floods: number, politely: number): Promise<number[]> {
    const shares = new FairShares()
    const limits = { workAhead: 20, workPerTurn: 2, restMs: 1, framesWaiting: 1_000_000 }
    const flood = serve(limits, { shares })
    const polite = client(limits, { shares })
    for (let i = 0; i < floods; i++) flood.tell(push('note', i))
    for (let i = 0; i < politely; i++) expect(await polite.root.note(i)).toBe(i)
    return [flood.main.log.length, polite.main.log.length]
  }

  test('a client that floods is held to its share while another is at work', async () => {
    const [flooded, polite] = await race(5_000, 20)
    expect(polite).toBe(20)
    expect(flooded).toBeLessThan(5_000)
  })

  test('a client that is alone is served as fast as it sends, and gives way to the event loop in between', async () => {
    const { main, tell } = serve({ workAhead: 20, workPerTurn: 2, restMs: 1_000 }, { shares: new FairShares() })
    for (let i = 0; i < 1_000; i++) tell(push('note', i))
    const at: number[] = []
    while (main.log.length < 1_000 && at.length < 10_000) {
      at.push(main.log.length)
      await turns(1)
    }
    expect(main.log).toEqual(Array.from({ length: 1_000 }, (_, i) => i))
    expect(at.length).toBeGreaterThan(10)
  })

  test('are charged with the time for which nothing else could run while a .map of the client’s may be under way, and with none without one', async () => {
    const map = ['push', ['remap', 1, [], [], [['import', 0]]]]
    for (const [frames, served] of [
      [[map, ['pull', 2]], false],
      [[push('wait'), ['pull', 2]], true],
    ] as const) {
      let now = 0
      const due: { at: number; then: () => void }[] = []
      const shares = new FairShares()
      const ports = {
        shares,
        now: () => now,
        timer: (delayMs: number, then: () => void) => {
          const it = { at: now + delayMs, then }
          due.push(it)
          return () => void due.splice(due.indexOf(it), 1)
        },
      }
      const pass = (until: number) => {
        now = until
        for (const it of due.filter(({ at }) => at <= now)) if (due.includes(it)) due.splice(due.indexOf(it), 1)[0]!.then()
      }
      const limits = { workAhead: 20, workPerTurn: 2, restMs: 1 }
      // Another client is at work, so nobody goes on without having rested.
      shares.join({ ...defaultClientLimits, ...limits }, { endOfTurn: () => {}, timer: ports.timer }).use(1)
      const { main, tell } = serve(limits, ports)
      tell(push('wait'), ...frames)
      await turns()
      for (let i = 1; i <= 20; i++) pass(i)
      pass(120)
      tell(push('note', 'after'))
      await turns()
      expect(main.log.includes('after')).toBe(served)
      // Each rest gives back a little: what was charged is worked off.
      for (let i = 121; i < 1_400; i++) pass(i)
      await turns()
      expect(main.log).toContain('after')
    }
  })

  test('are charged with what a .map has cost when it has run, though its list came long after its frame', async () => {
    const meter = new MapMeter({ endOfTurn: (then) => void setImmediate(then), now: () => 0 })
    const uninstall = meter.install()
    try {
      const used: number[] = []
      const shares = new FairShares()
      const join = shares.join.bind(shares)
      shares.join = (...parts) => {
        const share = join(...parts)
        const use = share.use.bind(share)
        share.use = (work) => {
          used.push(work)
          use(work)
        }
        return share
      }
      const { main, tell, said } = serve({}, { shares, mapMeter: meter })
      tell(push('list'), ['push', ['remap', 1, [], [], [['pipeline', 0, []]]]], ['pull', 2])
      await turns()
      main.gates[0]!()
      await turns()
      expect(said.map(([kind]) => kind)).toContain('resolve')
      const before = used.reduce((sum, work) => sum + work, 0)
      tell(push('note', 1))
      expect(used.reduce((sum, work) => sum + work, 0) - before).toBeGreaterThan(30)
    } finally {
      uninstall()
    }
  })

  test('are given back when the client goes', async () => {
    const shares = new FairShares()
    const { tell, served } = serve({}, { shares })
    tell(push('note', 1))
    expect(shares.size).toBe(1)
    served.gone()
    await turns()
    expect(shares.size).toBe(0)
  })
})

describe('a batch', () => {
  async function batch(frames: Frame[], limits: Partial<ClientLimits> = {}) {
    const out: Frame[] = []
    const answers = new Set(frames.flatMap(([kind, id]) => (kind === 'resolve' ? [id as number] : [])))
    const served = new ServedClient(
      new Main(),
      { ...defaultClientLimits, ...limits },
      { send: (text) => void out.push(JSON.parse(text) as Frame), ended: () => {}, endOfTurn: (then) => void setImmediate(then), timer },
      { answers },
    )
    await served.batch(frames)
    return out
  }

  test('is answered when all that was asked for is there', async () => {
    expect(await batch([push('add', 1, 2), ['push', ['pipeline', 0, ['note'], [['pipeline', 1]]]], ['pull', 2], ['pull', 1]])).toEqual(
      expect.arrayContaining([
        ['resolve', 1, 3],
        ['resolve', 2, 3],
      ]),
    )
    expect(await batch([])).toEqual([])
  })

  test('ends also when a call never does', async () => {
    const [frame] = await batch([push('wait'), ['pull', 1]], { graphMs: 20 })
    expect(frame!.slice(0, 2)).toEqual(['reject', 1])
  })

  test.each([
    ['callback', ['export', -1]],
    ['stream', ['readable', 1]],
    ['promise', ['promise', -1]],
  ])('refuses a call with a %s, which would never end', async (what, value) => {
    const out = await batch([['pipe'], push('ask', value), ['pull', 2], push('add', 1, 1), ['pull', 3]])
    expect(out).toContainEqual(['resolve', 3, 2])
    const [, , error] = out.find(([kind]) => kind === 'reject')!
    expect((error as unknown[])[4]).toMatchObject({ code: 'BATCH_ONE_WAY', data: { what } })
  })

  test('takes a promise that is answered in it', async () => {
    expect(await batch([push('note', ['promise', -1]), ['resolve', -1, 5], ['pull', 1]])).toContainEqual(['resolve', 1, 5])
  })

  test.each([[['nonsense']], [['pull', 5]], [['push', ['url', 'no address']]], [['abort', ['error', 'Error', 'x']]]])(
    'that is none (%j) is told why',
    async (frame) => {
      await expect(batch([frame as Frame, push('add', 1, 1), ['pull', 1]])).rejects.toBeDefined()
    },
  )
})

describe('anything at all', () => {
  const word = fc.constantFrom(
    ...`push pull release resolve reject abort pipe stream pipeline import remap export promise readable writable error bytes bigint date url
    headers request response blob undefined inf self child name note ask read add fill constructor __proto__ toString dotdo:x x`.split(
      /\s+/,
    ),
  )
  const id = fc.integer({ min: -3, max: 6 })
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5, depthSize: 'small' },
      fc.oneof(id, word, fc.constant(null), fc.double({ noNaN: true }), fc.boolean()),
      fc.array(tie('value'), { maxLength: 4 }).map((list) => [list]),
      fc.tuple(word, id, fc.array(word, { maxLength: 2 }), fc.array(tie('value'), { maxLength: 2 })),
      fc.tuple(word, tie('value'), tie('value')),
      fc.dictionary(word, tie('value'), { maxKeys: 3 }),
    ),
  }))
  const call = fc
    .tuple(id, fc.array(word, { maxLength: 2 }), fc.array(value, { maxLength: 2 }))
    .map((parts) => ['push', ['pipeline', ...parts]])
  const map = fc
    .tuple(
      id,
      fc.array(word, { maxLength: 1 }),
      fc.array(fc.tuple(fc.constantFrom('import', 'export'), id), { maxLength: 2 }),
      fc.array(value, { maxLength: 3 }),
    )
    .map((parts) => ['push', ['remap', ...parts]])
  const frame = fc.oneof(
    { weight: 4, arbitrary: call },
    { weight: 2, arbitrary: map },
    { weight: 3, arbitrary: fc.tuple(fc.constantFrom('pull', 'release', 'resolve', 'reject'), id, fc.oneof(fc.constant(1), value)) },
    { weight: 1, arbitrary: fc.tuple(fc.constantFrom('stream', 'pipe', 'abort', 'push'), value) },
    { weight: 1, arbitrary: value },
  )

  test('gets answers or ends the session with a code: never an unhandled rejection, never a hang, and what was made is disposed of', async () => {
    const outcomes = { ended: 0, lived: 0 }
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 12 }), async (frames) => {
        const { main, tell, ended, served } = serve({ graphMs: 60_000 })
        tell(...frames)
        await turns(3)
        if (ended.length > 0) {
          outcomes.ended++
          expect(codeOf(ended[0])).toBeDefined()
        } else {
          outcomes.lived++
          // A session that lives serves: its next call is answered.
          const made = frames.filter((it) => Array.isArray(it) && ['push', 'stream', 'pipe'].includes(it[0] as string)).length
          tell(push('note', 'still here'), ['pull', made + 1])
          await turns(3)
          expect(main.log).toContain('still here')
        }
        served.gone()
        served.gone()
        await turns(1)
        expect(ended).toHaveLength(1)
      }),
      { numRuns: 500 },
    )
    expect(outcomes.ended).toBeGreaterThan(20)
    expect(outcomes.lived).toBeGreaterThan(20)
  }, 120_000)

  test('that is no JSON, or not even a text, ends the session with a code', async () => {
    for (const text of ['', 'x', '[', '["push"', new ArrayBuffer(4), undefined]) {
      const { served, ended } = serve()
      served.received(text)
      await turns()
      expect(ended.map(codeOf)).toEqual(['FRAME_INVALID'])
    }
  })
})
