/** A `.map` over the result of one object whose function calls others: they are introduced to it, and each element's call goes there directly. */
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { linkVersion, type LinkMessage } from '../../src/rpc/frames.ts'
import { makeGraph } from '../../src/rpc/graph.ts'
import { replayGraph } from '../../src/rpc/graph-replay.ts'
import { Link } from '../../src/rpc/link-client.ts'
import { pair, turns } from './pair.ts'

class Tally extends RpcTarget {
  count = 0
  add(n: number) {
    return (this.count += n)
  }
}

class Thing extends RpcTarget {
  readonly #factor: number
  readonly tally = new Tally()
  calls = 0
  constructor(factor: number) {
    super()
    this.#factor = factor
  }
  nums(n: number) {
    return Array.from({ length: n }, (_, i) => i + 1)
  }
  times(n: number) {
    this.calls++
    return n * this.#factor
  }
  get factor() {
    return this.#factor
  }
  count() {
    return ++this.calls
  }
  fail(n: number): never {
    throw new Error(`no ${n}`)
  }
  sum(...parts: number[]) {
    return parts.reduce((sum, part) => sum + part, 0)
  }
  tallied() {
    return this.tally
  }
  async each(n: number, tell: (n: number) => PromiseLike<number>) {
    return await tell(n)
  }
}

/** Objects by name, what each is sent by the caller, and what reaches each in all. */
function world() {
  const ends = new Map<string, ReturnType<typeof pair> & { thing: Thing; reached: string[] }>()
  const at = (name: string, factor: number) => {
    let there = ends.get(name)
    if (!there) {
      const thing = new Thing(factor)
      const reached: string[] = []
      const it = pair(thing, {
        carry: (message, send) => {
          if ('calls' in message || message.frames.some(([kind]) => kind === 'push'))
            reached.push(JSON.stringify({ ...message, targets: undefined }))
          return send()
        },
      })
      const link = new Link(() => it.peer, it.ports, it.stats, {}, { noun: 'Thing', name })
      ends.set(name, (there = { ...it, link, thing, reached }))
    }
    return there
  }
  // oxlint-disable-next-line typescript/no-explicit-any
  const root = (name: string): any => at(name, { oven: 1, pan: 2, pot: 10 }[name] ?? 1).link.root()
  const said = (name: string) => at(name, 1).stats.messages - at(name, 1).stats.polls
  return { at: (name: string) => at(name, 1), root, said }
}

describe('the function of a .map', () => {
  test('calls an object that it captures, from the list’s object and in one message', async () => {
    const { root, at, said } = world()
    const pan = root('pan')
    expect(
      await root('oven')
        .nums(3)
        .map((n: number) => pan.times(n)),
    ).toEqual([2, 4, 6])
    expect(at('pan').thing.calls).toBe(3)
    // The caller has said one thing to the list's object, and nothing to the other: that heard all in one message.
    expect([said('oven'), said('pan'), at('pan').reached.length]).toEqual([1, 0, 1])
  })
  test('calls an object that it makes itself', async () => {
    const { root, at } = world()
    expect(
      await root('oven')
        .nums(2)
        .map((n: number) => root('pan').times(n)),
    ).toEqual([2, 4])
    expect(at('pan').reached).toHaveLength(1)
  })
  test('calls two objects, the one with what the other gives', async () => {
    const { root, said } = world()
    const [pan, pot] = [root('pan'), root('pot')]
    expect(
      await root('oven')
        .nums(2)
        .map((n: number) => [pan.times(n), pot.sum(pan.times(n), pot.times(n), pan.factor)]),
    ).toEqual([
      [2, 14],
      [4, 26],
    ])
    // The caller asks once more, for what the answer holds that was not there yet.
    expect([said('oven'), said('pan'), said('pot')]).toEqual([1, 0, 0])
  })
  test('calls the list’s own object beside another', async () => {
    const { root } = world()
    const [oven, pan] = [root('oven'), root('pan')]
    expect(await oven.nums(2).map((n: number) => oven.sum(n, pan.times(n)))).toEqual([3, 6])
  })
  test('calls an object without arguments once for each element', async () => {
    const { root, at } = world()
    const pan = root('pan')
    expect(
      await root('oven')
        .nums(3)
        .map(() => pan.count()),
    ).toEqual([1, 2, 3])
    expect(at('pan').thing.calls).toBe(3)
  })
  test('takes along a result of another object that is on its way: its bytes never come to the caller', async () => {
    const { root, at, said } = world()
    const [pan, pot] = [root('pan'), root('pot')]
    const twenty = pot.times(2)
    expect(
      await root('oven')
        .nums(2)
        .map((n: number) => pan.sum(n, twenty)),
    ).toEqual([21, 22])
    expect(at('pot').thing.calls).toBe(1)
    expect([said('oven'), said('pan'), said('pot')]).toEqual([1, 0, 1])
    expect(at('oven').server.openHandoffs).toBe(0)
  })
  test('calls a capability that another object gives', async () => {
    const { root, at } = world()
    const tally = root('pan').tallied()
    expect(
      await root('oven')
        .nums(3)
        .map((n: number) => tally.add(n)),
    ).toEqual([1, 3, 6])
    expect(at('pan').thing.tally.count).toBe(6)
  })
  test('goes beside calls with capabilities, and the object is introduced once for both', async () => {
    const { root, at } = world()
    const [oven, pan] = [root('oven'), root('pan')]
    const told = oven.each(5, (n: number) => n + 1)
    const mapped = oven.nums(2).map((n: number) => pan.times(n))
    const direct = oven.sum(pan.times(1), 1)
    const again = oven.nums(1).map((n: number) => pan.times(n))
    expect(await Promise.all([told, mapped, direct, again])).toEqual([6, [2, 4], 3, [2]])
    expect(at('oven').reached.join('').split('dotdo:meet').length - 1).toBe(1)
  })
  test('leaves nothing at either end', async () => {
    const { root, at } = world()
    const pan = root('pan')
    {
      using numbers = root('oven').nums(2)
      await numbers.map((n: number) => pan.times(n))
    }
    await turns(20)
    expect(at('oven').link.stats).toMatchObject({ openSessions: 0, openExports: 0 })
  })
  test('fails by the element’s own error', async () => {
    const { root } = world()
    const pan = root('pan')
    await expect(
      Promise.resolve(
        root('oven')
          .nums(2)
          .map((n: number) => pan.fail(n)),
      ),
    ).rejects.toThrow('no 1')
  })
  test('is sent with a graph', async () => {
    const { root, at, said } = world()
    const graph = makeGraph(
      () => {
        const pan = root('pan')
        return root('oven')
          .nums(2)
          .map((n: number) => ({ twice: pan.times(n), sum: root('pot').sum(pan.times(n), n) }))
      },
      { send: (data, inputs) => replayGraph(data, (_, name) => root(name), inputs), dryRun: () => Promise.reject(new Error('not here')) },
    )
    const both = [
      { twice: 2, sum: 3 },
      { twice: 4, sum: 6 },
    ]
    expect(await graph.send()).toEqual(both)
    expect(await graph.send()).toEqual(both)
    expect([said('oven'), said('pan'), at('pan').thing.calls]).toEqual([2, 0, 8])
  })
})

describe('what the function of a .map takes along', () => {
  const all = (values: PromiseLike<unknown>[]) =>
    Promise.all(
      values.map((value) =>
        Promise.resolve(value).then(
          (it) => it,
          (error: Error) => error.message,
        ),
      ),
    )
  test('goes to the list’s object where the function gives it, and never through the caller', async () => {
    const { root, at } = world()
    const four = root('pan').sum(4)
    expect(
      await root('oven')
        .nums(2)
        .map((n: number) => [n, four]),
    ).toEqual([
      [1, 4],
      [2, 4],
    ])
    expect(at('oven').reached.join('')).toContain('dotdo:accept')
    expect(at('oven').server.openHandoffs).toBe(0)
  })
  test('may be a part of what one within another gives', async () => {
    const { root } = world()
    const oven = root('oven')
    const [four, list] = [oven.sum(4), oven.nums(2)]
    const deep = list.map(() => [list.map((m: number) => [m, four]), list.map(() => list.map(() => four)), four])
    const once = [
      [
        [1, 4],
        [2, 4],
      ],
      [
        [4, 4],
        [4, 4],
      ],
      4,
    ]
    expect(await all([four, list, deep])).toEqual([4, [1, 2], [once, once]])
  })
  test('may be a capability that came before, which works afterwards', async () => {
    const { root } = world()
    const oven = root('oven')
    using tally = await oven.tallied()
    const tallies = await oven.nums(2).map((n: number) => [n, tally])
    expect([await tally.add(1), await tallies[1][1].add(1)]).toEqual([1, 2])
  })
  test.each(['oven', 'pan'])('is on its way still, and the list is here: a result of %s is nobody’s but its own', async (whose) => {
    const { root } = world()
    const oven = root('oven')
    const list = oven.nums(2)
    await list
    const five = root(whose).sum(5)
    const [one, two] = [list.map(() => oven.times(five)), list.map((n: number) => [n, root('pan').times(five), five])]
    const within = list.map(() => list.map(() => oven.sum(five, 1)))
    expect(await all([one, two, within, five, root('pot').times(five)])).toEqual([
      [5, 5],
      [
        [1, 10, 5],
        [2, 10, 5],
      ],
      [
        [6, 6],
        [6, 6],
      ],
      5,
      50,
    ])
  })
  test('fails by its own error where the list is here', async () => {
    const { root } = world()
    const oven = root('oven')
    const list = oven.nums(2)
    await list
    const failed = root('pan').fail(3)
    expect(await all([list.map(() => oven.times(failed)), list.map((n: number) => [n, failed]), failed])).toEqual(['no 3', 'no 3', 'no 3'])
  })
  test('is let go of when the function throws', async () => {
    const { root, at } = world()
    const oven = root('oven')
    const [four, list] = [oven.sum(4), oven.nums(2)]
    expect(() =>
      list.map(() => {
        oven.times(four)
        throw new Error('no function')
      }),
    ).toThrow('no function')
    four[Symbol.dispose]()
    list[Symbol.dispose]()
    await turns(20)
    expect(at('oven').link.stats).toMatchObject({ openSessions: 0, openExports: 0 })
  })
  test('is the same in a graph', async () => {
    const { root } = world()
    const graph = makeGraph(
      () => {
        const [four, other] = [root('oven').sum(4), root('pan').sum(5)]
        return [
          root('oven')
            .nums(2)
            .map((n: number) => [n, four, other]),
          four,
          root('pan').times(other),
        ]
      },
      { send: (data, inputs) => replayGraph(data, (_, name) => root(name), inputs), dryRun: () => Promise.reject(new Error('not here')) },
    )
    expect(await graph.send()).toEqual([
      [
        [1, 4, 5],
        [2, 4, 5],
      ],
      4,
      10,
    ])
  })
})

describe('a mapper from afar', () => {
  const frames = (instructions: unknown[], captures: unknown[] = [['import', 0]]): LinkMessage => ({
    version: linkVersion,
    session: 'hostile',
    seq: 0,
    frames: [
      ['push', ['pipeline', 0, ['nums'], [2]]],
      ['push', ['remap', 1, [], captures, instructions]],
      ['pull', 2],
    ],
  })
  test.each([
    ['as an instruction', [['pipeline', -1, ['dotdo:meet'], ['t']], 1]],
    ['within another .map', [['remap', 0, [], [['import', -1]], [['pipeline', -1, ['dotdo:meet'], ['t']]]], 1]],
    ['as a property', [['pipeline', -1, ['dotdo:meet']], 1]],
  ])('reaches no name of the framework %s', async (_, instructions) => {
    const { root, at } = world()
    root('oven')
    const reply = await at('oven').peer.send(frames(instructions))
    expect(JSON.stringify(reply.frames)).toContain('METHOD_UNKNOWN')
  })
})
