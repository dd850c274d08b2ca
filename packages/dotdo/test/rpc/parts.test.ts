/** Parts of results, by name and by place: read, given to another object, and gone over by maps within maps over three objects. */
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { pair, turns } from './pair.ts'

class Maker extends RpcTarget {
  #state = { n: 0, seen: [] as number[] }
  record() {
    return { 'a.b': 'dotted', a: { b: 'nested' }, list: [10, 20, [30, { x: 31 }]], at: { 0: 'zero', '01': 'zero-one' } }
  }
  echo(...values: unknown[]) {
    return values
  }
  list(n: number) {
    return Array.from({ length: n }, (_, i) => i + 1)
  }
  lists(n: number) {
    return Array.from({ length: n }, (_, i) => Array.from({ length: i + 1 }, (_, j) => i * 10 + j))
  }
  twice(n: number) {
    return n * 2
  }
  times(n: number, m: number) {
    return n * m
  }
  fails(n: number) {
    if (n === 2) throw Object.assign(new Error('two'), { code: 'TWO' })
    return n
  }
  state() {
    return this.#state
  }
  async stateLater() {
    await turns(1)
    return this.#state
  }
  bump() {
    this.#state.seen.push(++this.#state.n)
    return this.#state.n
  }
}
const three = () => [new Maker(), new Maker(), new Maker()].map((it) => pair(it).link.root() as any)
const all = (...calls: unknown[]) => Promise.all(calls.map((it) => Promise.resolve(it)))
const codeOfFailure = (call: PromiseLike<unknown>) =>
  Promise.resolve(call).then(
    (value) => ({ value }),
    (error: unknown) => codeOf(error),
  )

describe('parts of a result', () => {
  const some = (of: any) => [of.list[0], of.list[2][1].x, of.at[0], of.at['01'], of.list[9], of['a.b'], of.a.b]
  const expected = [10, 31, 'zero', 'zero-one', undefined, 'dotted', 'nested']

  test('are read one by one', async () => {
    const [a] = three()
    expect(await all(...some(a.record()))).toEqual(expected)
  })

  test('are arguments of the same object, and of another', async () => {
    const [a, b] = three()
    expect(await a.echo(...some(a.record()))).toEqual(expected)
    expect(await b.echo(...some(a.record()))).toEqual(expected)
  })

  test('are so also when the whole was asked for before', async () => {
    const [a, b] = three()
    const record = a.record()
    await record
    expect(await all(...some(record))).toEqual(expected)
    expect(await b.echo(...some(record))).toEqual(expected)
  })

  test.each(['-1', '1.5', '1e0', '00', '', ' 0', 'NaN', '9007199254740993', 'push'])(
    'that are no places of a list and no names of its own are not there: %j',
    async (name) => {
      const [a, b] = three()
      expect(await codeOfFailure(b.echo(a.record().list[name]))).toEqual({ value: [undefined] })
    },
  )

  test.each(['state', 'stateLater'])('are what they were when %s() gave them, on their own and handed on', async (way) => {
    const [a, b] = three()
    const [before, , after] = await all(a[way](), a.bump(), a[way]())
    expect(after).toEqual({ n: 1, seen: [1] })
    // What a method gives at once is taken at once; what it gives later, when it comes.
    if (way === 'state') expect(before).toEqual({ n: 0, seen: [] })
    const given = a[way]()
    const handed = b.echo(given)
    await all(given, a.bump())
    expect(await handed).toEqual([await given])
  })
})

describe('a map over parts', () => {
  test('goes over a list in a list, and over each of them', async () => {
    const [a, b, c] = three()
    expect(await a.lists(3)[2].map((n: any) => b.twice(n))).toEqual([40, 42, 44])
    expect(await a.lists(3).map((l: any) => b.twice(l[0]))).toEqual([0, 20, 40])
    expect(await a.lists(3).map((l: any) => l.map((n: any) => b.twice(n)))).toEqual([[0], [20, 22], [40, 42, 44]])
    expect(await a.lists(3).map((l: any) => l.map((n: any) => c.times(b.twice(n), l[0])))).toEqual([[0], [200, 220], [800, 840, 880]])
  })

  test('calls one object with what a map over another gave, and with parts of a third', async () => {
    const [a, b, c] = three()
    expect(
      await a.lists(2).map((l: any) =>
        b.echo(
          l.map((n: any) => c.twice(n)),
          l[0],
        ),
      ),
    ).toEqual([
      [[0], 0],
      [[20, 22], 10],
    ])
    expect(await a.lists(2).map((l: any) => b.list(2).map((m: any) => c.times(m, l[0])))).toEqual([
      [0, 0],
      [10, 20],
    ])
    expect(await a.lists(2).map((l: any) => b.echo(a.record().list[0], c.record().at[0], l))).toEqual([
      [10, 'zero', [0]],
      [10, 'zero', [10, 11]],
    ])
  })

  test('takes along what was asked for, what was not, and parts of both', async () => {
    const [a, b, c] = three()
    const [x, l, p] = [b.twice(5), c.list(3), a.list(2)]
    const here = await b.list(2)
    const rows = (k: number[]) => k.map((n) => [n, 10, 2, [1, 2], 1])
    expect(await a.list(2).map((n: any) => b.echo(n, x, l[1], here, p[0]))).toEqual(rows([1, 2]))
    await x
    expect(await l.map((n: any) => b.echo(n, x, l[1], here, p[0]))).toEqual(rows([1, 2, 3]))
    await turns(20)
    expect(await l.map((n: any) => b.echo(n, x, l[1], here, p[0]))).toEqual(rows([1, 2, 3]))
  })

  test('fails by the error of its element, wherever that came from', async () => {
    const [a, b, c] = three()
    expect(await codeOfFailure(a.list(3).map((n: any) => b.fails(n)))).toBe('TWO')
    expect(await codeOfFailure(a.list(3).map((n: any) => [a.fails(n)]))).toBe('TWO')
    expect(await codeOfFailure(a.list(3).map((n: any) => c.echo(b.fails(n))))).toBe('TWO')
    const failing = b.fails(2)
    expect(await codeOfFailure(a.list(2).map((n: any) => c.echo(n, failing)))).toBe('TWO')
    expect(await codeOfFailure(failing)).toBe('TWO')
  })
})
