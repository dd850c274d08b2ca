import { expect, test } from 'vitest'
import type { Lineage } from 'dotdo/client'
import { drawLineage, mostDrawn, placeOfTable } from '../src/lineage-drawing.ts'
import { parseRoute } from '../src/route.ts'
import { lineageOf } from './fake-lineage.ts'

const drawing = drawLineage(lineageOf('daily@done', 1_790_000_000_000))
const node = (text: string) => drawing.nodes.find((it) => it.text === text)!

test('runs, objects and tables lead to their places, and the rest leads nowhere', () => {
  expect(parseRoute(node('schedule daily').href!)).toEqual({ tab: 'runs', noun: 'Pipeline', name: 'main', runId: 'daily@done' })
  expect(parseRoute(node('Geo/eu').href!)).toEqual({ tab: 'runs', noun: 'Geo', name: 'eu' })
  expect(parseRoute(node('R2_BUCKET/analytics.events').href!)).toEqual({
    tab: 'tables',
    of: { table: 'analytics.events', warehouse: 'R2_BUCKET' },
  })
  expect([node('load').href, node('Pipeline.completed').href, node('s3://lake/users.csv').href]).toEqual([undefined, undefined, undefined])
})

test('what something is stands above its name, and what was done beside it, once', () => {
  expect(node('refreshAll()')).toMatchObject({ kind: 'run', caption: 'run of Report/weekly' })
  expect(node('4673773188832083')).toMatchObject({ caption: 'snapshot', title: 'snapshot 4673773188832083' })
  expect(drawing.words.map(({ text }) => text)).toContain('200,000 rows')
  expect(drawing.words.map(({ text }) => text)).toContain('read, read ×3')
})

test('words stand below the arrow that comes down to a thing, and above the one that comes up', () => {
  const sides = drawing.words.map(({ key, y }) => {
    const thing = drawing.nodes.find(({ id }) => id === key)!
    const middle = thing.y + thing.height / 2
    const from = drawing.arrows.flatMap(({ path }) => {
      const [, begins, ends] = /^M\S+ (\S+)C.* (\S+)$/.exec(path)!
      return path.endsWith(` ${thing.x} ${middle}`) && Number(ends) === middle ? [Math.sign(Number(begins) - middle)] : []
    })
    return { from: from.reduce((sum, side) => sum + side, 0), words: Math.sign(y - middle) }
  })
  expect(sides.filter(({ from }) => from < 0).length).toBeGreaterThan(0)
  expect(sides.filter(({ from }) => from > 0).length).toBeGreaterThan(0)
  for (const { from, words } of sides) expect(words).toBe(from < 0 ? 1 : -1)
})

test('a long name is cut to its box and whole in its title', () => {
  const long = 'https://example.com/a/very/long/address/that/goes/on/and/on'
  const lineage = { runs: [], graph: { nodes: [{ id: `source ${long}`, kind: 'source', label: long }], edges: [] } } as unknown as Lineage
  const [only] = drawLineage(lineage).nodes
  expect(only!.text.endsWith('…')).toBe(true)
  expect(only!.title).toBe(`source ${long}`)
  expect(only!.width).toBeLessThanOrEqual(216)
})

test('thousands of things are drawn up to a bound, and the others are counted', () => {
  const nodes = Array.from({ length: 5000 }, (_, index) => ({ id: `step ${index}`, kind: 'step' as const, label: `step ${index}` }))
  const edges = nodes.slice(1).map(({ id }) => ({ from: 'step 0', to: id, kind: 'has' as const, label: '' }))
  const { nodes: drawn, arrows, left } = drawLineage({ runs: [], graph: { nodes, edges } } as unknown as Lineage)
  expect([drawn.length, arrows.length, left]).toEqual([mostDrawn, mostDrawn - 1, 5000 - mostDrawn])
})

test('a table is named with its warehouse or without', () => {
  expect(placeOfTable('R2_BUCKET/a.b')).toEqual({ table: 'a.b', warehouse: 'R2_BUCKET' })
  expect(placeOfTable('a.b')).toEqual({ table: 'a.b' })
})
