/** What is here already is given as what it is: a call that is given it keeps its place among the others. */
import { RpcPromise, RpcStub, RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { Link } from '../../src/rpc/link-client.ts'
import { settledArgs, type Come } from '../../src/rpc/settled-args.ts'
import type { Far } from '../conformance/kit.ts'
import { pair, turns } from './pair.ts'

class Box extends RpcTarget {
  get() {
    return 1
  }
}
class Log extends RpcTarget {
  entries: unknown[] = []
  note(entry: unknown) {
    return this.entries.push(entry)
  }
  async open(box: RpcStub<Box>) {
    this.entries.push('opened')
    return await box.get()
  }
  async slow(value: unknown) {
    await turns(3)
    return value
  }
  box() {
    return new Box()
  }
  boxes() {
    return { at: [new Box(), new Box()], n: 2 }
  }
  list(n: number) {
    return Array.from({ length: n }, (_, i) => i + 1)
  }
}

function two() {
  const ends = [new Log(), new Log()].map((log, i) => {
    const end = pair(log)
    return { ...end, log, root: new Link(() => end.peer, end.ports, end.stats, {}, { noun: 'Log', name: String(i) }).root() as Far }
  })
  return { a: ends[0]!, b: ends[1]! }
}

describe.each(['its own object', 'another object'])('a result of %s that is here', (whose) => {
  const open = () => {
    const { a, b } = two()
    return { a, of: whose === 'its own object' ? a.root : b.root }
  }
  test.each([
    ['awaited', (result: PromiseLike<unknown>) => result],
    ['not awaited', () => turns(20)],
  ])('lets no later call pass: %s', async (_, wait) => {
    const { a, of } = open()
    const late = of.slow({ n: [7, 8] })
    await wait(late)
    await Promise.all([
      a.root.note(late),
      a.root.note('second'),
      a.root.note({ part: late.n[1] }),
      a.root.note(late.n[5]),
      a.root.note('last'),
    ])
    expect(a.log.entries).toEqual([{ n: [7, 8] }, 'second', { part: 8 }, undefined, 'last'])
  })
  test('goes natively, where it is plain', async () => {
    const { a, of } = open()
    const late = of.slow(new Uint8Array([1, 2]))
    await late
    const before = a.stats.messages
    await a.root.note([late, new Date(5)])
    expect(a.log.entries).toEqual([[new Uint8Array([1, 2]), new Date(5)]])
    expect([a.stats.messages - before, a.stats.openSessions ?? 0]).toEqual([1, 0])
  })
  test('may be a capability, or hold some', async () => {
    const { a, of } = open()
    const [box, boxes] = [of.box(), of.boxes()]
    await Promise.all([box, boxes])
    const calls = [a.root.open(box), a.root.note(1), a.root.open(boxes.at[1]), a.root.note(2), a.root.note(boxes.n)]
    expect(await Promise.all(calls)).toEqual([1, 2, 1, 4, 5])
    expect(a.log.entries).toEqual(['opened', 1, 'opened', 2, 2])
  })
  test('fails its call where the capability was let go of, and no other', async () => {
    const { a, of } = open()
    const boxes = of.boxes()
    const value = await boxes
    value[Symbol.dispose]()
    await expect(Promise.resolve(a.root.open(boxes.at[0]))).rejects.toThrow(/disposed/)
    expect(await a.root.note(1)).toBe(1)
  })
})

test('a call of a .map of the platform’s own is made for each element, whatever it takes along', async () => {
  const { a, b } = two()
  const list = a.root.list(2)
  await list
  // The list is here, and so the result is capnweb's own.
  const mapped = list.map((n: Far) => n)
  const five = b.root.slow(5)
  const twice = mapped.map((n: Far) => [b.root.note([n, mapped[1]]), five])
  expect(await Promise.all([mapped, five, twice])).toEqual([
    [1, 2],
    5,
    [
      [1, 5],
      [2, 5],
    ],
  ])
  expect(b.log.entries).toEqual([
    [1, 2],
    [2, 2],
  ])
})

describe('arguments', () => {
  const come = new Map<unknown, Come | null>()
  const promise = (is?: Come | null) => {
    const made = new RpcPromise(new Promise<never>(() => {}))
    if (is !== undefined) come.set(made, is)
    return made
  }
  const settled = (...args: unknown[]) => settledArgs(args, (value) => come.get(value))
  test('without any that came are the same', () => {
    const args = [1, { a: [promise()] }, new Map(), () => {}]
    expect(settledArgs(args, (value) => come.get(value))).toBe(args)
  })
  test('take the place of promises, wherever those stand, and of promises in what came', () => {
    const inner = promise({ value: { deep: [3] }, path: ['deep', '0'] })
    expect(settled({ a: [promise({ value: { b: inner }, path: [] })] }, 2)).toEqual([{ a: [{ b: 3 }] }, 2])
  })
  test.each<[string, Come]>([
    ['holds what is not there yet', { value: [promise()], path: [] }],
    ['holds a stream', { value: { deep: new ReadableStream() }, path: [] }],
    ['is found by asking a capability', { value: new RpcStub(new Box()), path: ['get'] }],
    ['is a part of nothing', { value: { a: undefined }, path: ['a', 'b'] }],
    ['is no element', { value: [1], path: ['length'] }],
    ['is of everything’s prototype', { value: { a: 1 }, path: ['constructor'] }],
  ])('stay promises where what came %s', (_, is) => {
    const given = promise(is)
    expect(settled(given)[0]).toBe(given)
  })
  test('are not followed without end', () => {
    const circle: unknown[] = []
    circle.push(circle)
    const given = promise({ value: circle, path: [] })
    expect(settled(given)[0]).toBe(given)
    expect(settled(circle)[0]).toBe(circle)
  })
})
