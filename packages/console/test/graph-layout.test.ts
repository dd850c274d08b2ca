import fc from 'fast-check'
import { expect, test } from 'vitest'
import { layOutGraph, type Arrow, type Box } from '../src/graph-layout.ts'

const box = (id: string): Box => ({ id, width: 100, height: 40 })

test('what leads to something stands left of it, and a long way keeps its end behind all of it', () => {
  const { boxes, width, height } = layOutGraph(['run', 'extract', 'load', 'source', 'table'].map(box), [
    { from: 'run', to: 'extract' },
    { from: 'run', to: 'load' },
    { from: 'source', to: 'extract' },
    { from: 'load', to: 'table' },
    { from: 'run', to: 'table' },
    { from: 'nowhere', to: 'run' },
  ])
  const x = (id: string) => boxes.get(id)!.x
  expect([x('run'), x('source')]).toEqual([0, 0])
  expect(x('extract')).toBe(x('load'))
  expect(x('table')).toBeGreaterThan(x('load'))
  expect([width, height]).toEqual([x('table') + 100, 94])
})

test('a beginning stands beside what it leads to, however long the way is that others take to it', () => {
  const { boxes } = layOutGraph(['a', 'b', 'c', 'source'].map(box), [
    { from: 'a', to: 'b' },
    { from: 'b', to: 'c' },
    { from: 'source', to: 'c' },
  ])
  expect(boxes.get('source')!.x).toBe(boxes.get('b')!.x)
})

test('rows follow what they are joined to: parallel ways do not cross', () => {
  const ids = Array.from({ length: 8 }, (_, index) => index)
  const { boxes } = layOutGraph(
    ['run', ...ids.map((n) => `step ${n}`), ...ids.toReversed().map((n) => `snapshot ${n}`)].map(box),
    ids.flatMap((n) => [
      { from: 'run', to: `step ${n}` },
      { from: `step ${n}`, to: `snapshot ${n}` },
    ]),
  )
  for (const n of ids) expect(boxes.get(`snapshot ${n}`)!.y).toBe(boxes.get(`step ${n}`)!.y)
})

test('whatever leads to whatever, in circles too: each thing has one place, none lies on another, and arrows go right where no circle is', () => {
  const graph = fc
    .integer({ min: 1, max: 24 })
    .chain((size) =>
      fc.tuple(fc.constant(size), fc.array(fc.tuple(fc.nat({ max: size - 1 }), fc.nat({ max: size - 1 })), { maxLength: 60 })),
    )
  fc.assert(
    fc.property(graph, fc.boolean(), ([size, pairs], isAcyclic) => {
      const things = Array.from({ length: size }, (_, index) => ({ id: String(index), width: 60 + index, height: 30 }))
      const arrows: Arrow[] = pairs
        .filter(([from, to]) => !isAcyclic || from < to)
        .map(([from, to]) => ({ from: String(from), to: String(to) }))
      const { boxes, width, height } = layOutGraph(things, arrows)
      const all = [...boxes.values()]
      expect(all).toHaveLength(size)
      for (const [index, a] of all.entries()) {
        expect(a.x >= 0 && a.y >= 0 && a.x + a.width <= width && a.y + a.height <= height).toBe(true)
        for (const b of all.slice(index + 1)) {
          const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y
          expect(apart).toBe(true)
        }
      }
      if (isAcyclic) for (const { from, to } of arrows) expect(boxes.get(from)!.x).toBeLessThan(boxes.get(to)!.x)
    }),
  )
})

test('nothing is no drawing, and a long chain is laid out', () => {
  expect(layOutGraph([], [])).toMatchObject({ width: 0, height: 0 })
  const chain = Array.from({ length: 2000 }, (_, index) => box(String(index)))
  const { boxes } = layOutGraph(
    chain,
    chain.slice(1).map((_, index) => ({ from: String(index), to: String(index + 1) })),
  )
  expect(boxes.get('1999')!.x).toBe(1999 * 192)
})
