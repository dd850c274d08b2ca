import fc from 'fast-check'
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { graphVersion, readGraph } from '../../src/rpc/graph-data.ts'
import { loadGraph, makeGraph, type Graph, type GraphPorts } from '../../src/rpc/graph.ts'
import { replayGraph } from '../../src/rpc/graph-replay.ts'
import { Link } from '../../src/rpc/link-client.ts'
import type { Stub } from '../../src/rpc/ref.ts'
import { pair } from './pair.ts'

class Thing extends RpcTarget {
  name: string
  log: string[]
  #n = 0
  constructor(name: string, log: string[]) {
    super()
    this.name = name
    this.log = log
  }
  add(n: number) {
    this.log.push(`${this.name}.add(${n})`)
    return (this.#n += n)
  }
  get total() {
    return this.#n
  }
  list(n: number) {
    return Array.from({ length: n }, (_, i) => i)
  }
  part(id: string) {
    return new Thing(`${this.name}/${id}`, this.log)
  }
  echo(value: unknown) {
    return value
  }
  square(n: number) {
    return n * n
  }
  async use(other: { add(n: number): Promise<number> }) {
    return await other.add(7)
  }
}

/** A few objects of one process, by noun and name, and how many messages each was sent. */
function world() {
  const log: string[] = []
  const known = new Map<string, ReturnType<typeof pair> & { root: Stub }>()
  const at = (noun: string, name: string) => {
    const key = `${noun}/${name}`
    let there = known.get(key)
    if (!there) {
      const ends = pair(new Thing(key, log))
      // Messages are counted where they arrive.
      const link = new Link(() => ends.peer, ends.ports, ends.stats, {}, { noun, name })
      known.set(key, (there = { ...ends, root: link.root() }))
    }
    return there
  }
  const ports: GraphPorts = {
    send: (data, inputs) => replayGraph(data, (noun, name) => at(noun, name).root, inputs),
    dryRun: () => Promise.reject(new Error('not here')),
  }
  // oxlint-disable-next-line typescript/no-explicit-any
  const T = (name: string): any => at('Thing', name).root
  const graph = (work: (...inputs: never[]) => unknown) => makeGraph(work, ports)
  const messages = () => Object.fromEntries([...known].map(([key, { stats }]) => [key, stats.messages - stats.polls]))
  return { T, graph, log, ports, messages }
}

describe('a graph', () => {
  test('is recorded and not sent, and sent as often as one likes', async () => {
    const { T, graph, log, messages } = world()
    const twice = graph(() => T('a').add(T('a').add(1)))
    expect(log).toEqual([])
    expect(await twice.send()).toBe(2)
    expect(await twice.send()).toBe(6)
    expect(log).toEqual(['Thing/a.add(1)', 'Thing/a.add(1)', 'Thing/a.add(1)', 'Thing/a.add(3)'])
    expect(messages()).toEqual({ 'Thing/a': 2 })
  })

  test('gives what the function returned, with answers wherever they stand', async () => {
    const { T, graph } = world()
    const shaped = graph(() => ({ sum: T('a').add(2), both: [T('b').add(3), 4], total: T('a').total, at: new Date(5), none: null }))
    expect(await shaped.send()).toEqual({ sum: 2, both: [3, 4], total: 2, at: new Date(5), none: null })
  })

  test('hands results from one object to another, in one message to each', async () => {
    const { T, graph, messages } = world()
    const across = graph(() => T('a').add(T('b').add(T('c').add(5))))
    expect(await across.send()).toBe(5)
    expect(messages()).toEqual({ 'Thing/a': 1, 'Thing/b': 1, 'Thing/c': 1 })
  })

  test('takes the values that it is sent with', async () => {
    const { T, graph } = world()
    const added = graph((n: number, name: string) => [T('a').add(n), T('a').echo({ name })]) as unknown as Graph<unknown, [number, string]>
    expect(await added.send(3, 'x')).toEqual([3, { name: 'x' }])
    expect(await added.send(4, 'y')).toEqual([7, { name: 'y' }])
  })

  test.each([[[]], [[1, 2]], [[1, undefined]]])(
    'refuses to be sent or rehearsed with %j where it takes one value, also after it was stored',
    async (given) => {
      const { T, graph, log, ports } = world()
      const one = graph((n: number) => T('a').add(n))
      for (const it of [one, loadGraph(one.save(), ports)]) {
        const refused = {
          code: 'GRAPH_INPUTS',
          message: expect.stringContaining(`takes 1 value, got ${given.length}`) as string,
          data: { takes: 1, got: given.length },
        }
        await expect(it.send(...given)).rejects.toMatchObject(refused)
        await expect(it.dryRun(...given)).rejects.toMatchObject(refused)
        expect(() => it.checkInputs(...given)).toThrow(expect.objectContaining({ code: 'GRAPH_INPUTS' }))
      }
      expect(log).toEqual([])
      // `undefined` that is given is a value.
      await expect(one.send(undefined)).resolves.toBeNaN()
    },
  )

  test('refuses values where it takes none', async () => {
    const { T, graph, log } = world()
    await expect(graph(() => T('a').add(1)).send(1)).rejects.toMatchObject({ code: 'GRAPH_INPUTS', data: { takes: 0, got: 1 } })
    expect(log).toEqual([])
  })

  test('maps, with calls on the object, on what surrounds it, and on the element', async () => {
    const { T, graph, messages } = world()
    const squares = graph(() =>
      T('a')
        .list(4)
        .map((n: never) => ({ n, square: T('a').square(n) })),
    )
    expect(await squares.send()).toEqual([0, 1, 2, 3].map((n) => ({ n, square: n * n })))
    expect(messages()).toEqual({ 'Thing/a': 1 })
  })

  test('makes calls that the result does not need, too', async () => {
    const { T, graph, log } = world()
    const noted = graph(() => {
      T('b').add(9)
      return T('a').add(1)
    })
    await noted.send()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(log.toSorted()).toEqual(['Thing/a.add(1)', 'Thing/b.add(9)'])
  })

  test('can hold objects themselves, and references from before it as the calls that made them', async () => {
    const { T, graph, log } = world()
    const part = T('a').part('x')
    expect(await graph(() => T('b').use(T('c'))).send()).toBe(7)
    expect(await graph(() => part.add(3)).send()).toBe(3)
    expect(log).toEqual(['Thing/c.add(7)', 'Thing/a/x.add(3)'])
  })

  test('is stored, and the text of this release is read by all later ones', async () => {
    const { T, graph, ports } = world()
    const saved = graph((n: number) =>
      T('a')
        .list(n)
        .map((it: never) => T('a').square(it)),
    ).save()
    expect(saved).toBe(
      'j{"version":1,"inputs":[0],"nodes":[{"id":1,"on":{"noun":"Thing","name":"a"},"path":["list"],"args":[{"dotdo:ref":[{"node":0}]}]},{"id":4,"on":{"node":1},"path":[],"each":{"input":2,"nodes":[{"id":3,"on":{"noun":"Thing","name":"a"},"path":["square"],"args":[{"dotdo:ref":[{"node":2}]}]}],"result":{"dotdo:ref":[{"node":3}]}}}],"result":{"dotdo:ref":[{"node":4}]}}',
    )
    const loaded = loadGraph(saved, ports)
    expect(await loaded.send(3)).toEqual([0, 1, 4])
  })

  test.each([
    ['', 'GRAPH_INVALID'],
    ['no graph', 'GRAPH_INVALID'],
    ['j[]', 'GRAPH_INVALID'],
    ['j{"version":1}', 'GRAPH_INVALID'],
    ['j{"version":1,"inputs":[],"nodes":[{"id":1,"on":{"node":7},"path":[]}],"result":1}', 'GRAPH_INVALID'],
    [`j{"version":${graphVersion + 1},"inputs":[],"nodes":[],"result":1}`, 'STATE_TOO_NEW'],
  ])('%j is refused', (text, code) => {
    expect(() => readGraph(text)).toThrow(expect.objectContaining({ code }))
  })

  test('refuses what is no data, when it is recorded', () => {
    const { T, graph } = world()
    const cycle: Record<string, unknown> = {}
    cycle['self'] = cycle
    for (const value of [() => 1, Symbol('s'), new (class Own {})(), cycle, { 'dotdo:ref': 1 }])
      expect(() => graph(() => T('a').echo(value))).toThrow(expect.objectContaining({ code: 'GRAPH_NOT_DATA' }))
    expect(() => graph(() => T('a').echo(Promise.resolve(1)))).toThrow(expect.objectContaining({ code: 'GRAPH_AWAITED' }))
  })

  test('refuses a function that awaits', async () => {
    const { T, graph } = world()
    expect(() => graph(async () => await T('a').add(1))).toThrow(expect.objectContaining({ code: 'GRAPH_AWAITED' }))
    let kept: Promise<unknown> | undefined
    graph(() => (kept = T('a').add(1)))
    await expect(Promise.resolve(kept)).rejects.toMatchObject({ code: 'GRAPH_AWAITED' })
  })

  test('keeps what its arguments were', async () => {
    const { T, graph } = world()
    const value = { list: [1] }
    const echoed = graph(() => T('a').echo(value))
    value.list.push(2)
    expect(await echoed.send()).toEqual({ list: [1] })
  })
})

describe('a graph explains', () => {
  test('what it would send, in words, as data and as a drawing', () => {
    const { T, graph, log } = world()
    const plan = graph(() => T('w').echo(T('s').part('x').list(3), { at: T('s').total })).explain()
    expect(plan.data).toEqual({
      messages: [
        { object: 'Thing/s', calls: ['Thing/s.part("x")', 'Thing/s.part("x").list(3)'], bytes: expect.any(Number) as number },
        {
          object: 'Thing/w',
          calls: ['Thing/w.echo(Thing/s.part("x").list(3), { at: Thing/s.total })'],
          bytes: expect.any(Number) as number,
        },
      ],
      handOffs: [{ from: 'Thing/s', to: 'Thing/w', result: 'Thing/s.part("x").list(3)' }],
      trips: 1.5,
    })
    expect(plan.text.split('\n')[0]).toBe('2 messages, 1 hand-off, 1.5 trips')
    expect(plan.drawing).toMatch(/^flowchart LR\n[^]*n1 == ".*" ==> n2$/)
    expect(log).toEqual([])
  })

  test('what sending it costs, as far as it is known before', () => {
    const { T, graph } = world()
    const price = graph((n: number) => [
      T('a').add(n),
      T('b')
        .list(3)
        .map((it: never) => T('b').square(it)),
    ]).price()
    expect(price).toMatchObject({ calls: 4, messages: 2, handOffs: 0, trips: 1 })
    expect(price.unknown).toHaveLength(3)
  })
})

describe('any graph', () => {
  const step = fc.record({
    on: fc.nat(3),
    argument: fc.oneof(
      fc.nat(9).map((literal) => ({ literal })),
      fc.nat(20).map((answer) => ({ answer })),
    ),
  })

  test('gives what the same calls give when they are made at once, also after it was stored', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 15 }), async (steps) => {
        const work = (T: (name: string) => { square(n: unknown): unknown }) => {
          const answers: unknown[] = []
          for (const { on, argument } of steps) {
            const value = 'literal' in argument ? argument.literal % 2 : answers.length > 0 ? answers[argument.answer % answers.length] : 1
            answers.push(T(`t${on}`).square(value))
          }
          return answers
        }
        const live = world()
        const expected = await Promise.all(work(live.T) as Promise<number>[])
        const recorded = world()
        const graph = recorded.graph(() => work(recorded.T))
        expect(await graph.send()).toEqual(expected)
        expect(await loadGraph(graph.save(), recorded.ports).send()).toEqual(expected)
        // As many messages as its plan says.
        const sent = Object.values(recorded.messages()).reduce((a, b) => a + b, 0)
        expect(sent).toBe(2 * graph.explain().data.messages.length)
      }),
      { numRuns: 60 },
    )
  })
})
