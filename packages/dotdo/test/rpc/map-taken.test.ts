/** What the function of a `.map` takes along from outside of it is the program's, before and after. */
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { Link } from '../../src/rpc/link-client.ts'
import { pair, turns } from './pair.ts'

class Maker extends RpcTarget {
  num(n: number) {
    return n
  }
  list(n: number) {
    return Array.from({ length: n }, (_, i) => i + 1)
  }
  async slow(n: number) {
    await turns(3)
    return n
  }
  part() {
    return new Part()
  }
  parts() {
    return [new Part(), new Part()]
  }
  both(a: unknown, b: unknown) {
    return [a, b]
  }
  keep(part: any) {
    return part.dup()
  }
  fail() {
    throw Object.assign(new Error('it fails'), { code: 'FAILED' })
  }
  record() {
    return { 'a.b': 'dotted', a: { b: 'nested' } }
  }
}
class Part extends RpcTarget {
  get(n: number) {
    return n * 10
  }
}

/** Two objects over links of their own. */
function two() {
  return [0, 1].map((i) => {
    const made = pair(new Maker())
    return new Link(() => made.peer, made.ports, made.stats, {}, { noun: 'Maker', name: String(i) }).root() as any
  })
}
const all = (...calls: PromiseLike<unknown>[]) => Promise.all(calls.map((it) => Promise.resolve(it)))

// The first of this file: there has been no session in this isolate, and no map.
test('the first map of an isolate over a list that is here leaves what it takes along', async () => {
  const [a, b] = two()
  const list = a.list(2)
  await list
  const before = b.num(5)
  expect(
    await all(
      before,
      list.map(() => a.num(before)),
    ),
  ).toEqual([5, [5, 5]])
})

describe('a result of before that the function of a map returns', () => {
  test.each([0, 1])('is there for each element, and after it: of object %i', async (which) => {
    const of = two()
    const other = of[0].num(7)
    const before = of[which].num(4)
    const mapped = of[0].list(2).map((n: unknown) => [n, before])
    expect(await all(other, before, mapped)).toEqual([
      7,
      4,
      [
        [1, 4],
        [2, 4],
      ],
    ])
  })

  test('may be returned alone, twice, as a part, and by two maps', async () => {
    const [a] = two()
    const before = a.num(4)
    const record = a.record()
    const list = a.list(2)
    const alone = list.map(() => before)
    const twice = list.map(() => [before, { again: before }])
    const part = list.map((n: unknown) => [n, record.a.b])
    expect(await all(alone, twice, part, before, record)).toEqual([
      [4, 4],
      [
        [4, { again: 4 }],
        [4, { again: 4 }],
      ],
      [
        [1, 'nested'],
        [2, 'nested'],
      ],
      4,
      { 'a.b': 'dotted', a: { b: 'nested' } },
    ])
  })

  test('may come out of a map within the map', async () => {
    const [a] = two()
    const before = a.num(4)
    const lists = a.list(2)
    const mapped = lists.map((n: unknown) => lists.map((k: unknown) => [n, k, before]))
    expect(await all(mapped, before)).toEqual([
      [
        [
          [1, 1, 4],
          [1, 2, 4],
        ],
        [
          [2, 1, 4],
          [2, 2, 4],
        ],
      ],
      4,
    ])
  })

  test('may be a capability, which is called after that', async () => {
    const [a] = two()
    const part = a.part()
    const mapped = a.list(2).map((n: unknown) => [part.get(n), n])
    expect(await all(mapped, part.get(3))).toEqual([
      [
        [10, 1],
        [20, 2],
      ],
      30,
    ])
  })
})

describe('a map over a list that is here', () => {
  test('leaves a result on its way that it takes along', async () => {
    const [a, b] = two()
    const list = a.list(2)
    await list
    const before = b.slow(5)
    const mapped = list.map(() => b.num(before))
    expect(await all(mapped, before, b.num(before))).toEqual([[5, 5], 5, 5])
  })

  test('does so twice', async () => {
    const [a, b] = two()
    const list = a.list(2)
    await list
    const before = b.slow(5)
    expect(
      await all(
        list.map(() => a.num(before)),
        list.map(() => b.num(before)),
      ),
    ).toEqual([
      [5, 5],
      [5, 5],
    ])
  })
})

test('a capability that comes home in the function of a map is called with what was there before it', async () => {
  const [a, b] = two()
  const [list, part] = [a.list(2), b.part()]
  expect(await list.map(() => b.keep(part).get(list[1]))).toEqual([20, 20])
})

test('a map within a map goes over a list that has come by the same session', async () => {
  const [a, b] = two()
  const [list, parts] = [a.list(2), a.parts()]
  const outer = a.list(a.slow(1))
  await Promise.all([list, parts])
  expect(await outer.map(() => [list.map((n: unknown) => b.num(n)), parts.map((part: any) => part.get(3))])).toEqual([
    [
      [1, 2],
      [30, 30],
    ],
  ])
})

test('what a map has taken along of a call that failed is told to those who ask, and to nobody else', async () => {
  const [a] = two()
  const unhandled: unknown[] = []
  const note = (error: unknown) => void unhandled.push(error)
  process.on('unhandledRejection', note)
  const failed = a.fail()
  const [list, number] = [a.list(failed), a.num(failed)]
  const told = (call: PromiseLike<unknown>) => Promise.resolve(call).then(undefined, (error: { code: string }) => error.code)
  expect(await told(a.both(list, failed))).toBe('FAILED')
  const later = a.num(list[1])
  expect(await told(list.map(() => [a.both(number, later), list[2]]))).toBe('FAILED')
  await turns(20)
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
})

test('parts of one result go to another object by their own names, with dots in them or without', async () => {
  const [a, b] = two()
  const record = a.record()
  expect(await b.both(record['a.b'], record.a.b)).toEqual(['dotted', 'nested'])
})
