/** A name in a jurisdiction is another object than the same name without, wherever it is written down. */
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { loadGraph, makeGraph, type GraphPorts } from '../../src/rpc/graph.ts'
import { replayGraph } from '../../src/rpc/graph-replay.ts'
import { objectLabel, placedNoun, readPlacedNoun } from '../../src/rpc/origin.ts'
import { describeRef } from '../../src/rpc/ref.ts'
import { pair } from './pair.ts'

class Counter extends RpcTarget {
  total = 0
  add(n: number) {
    return (this.total += n)
  }
}

/** The same name in the European Union and anywhere. */
function world() {
  const counters = { home: new Counter(), eu: new Counter() }
  const at = { noun: 'Counter', name: 'a' }
  const home: any = pair(counters.home, { at }).link.root()
  const eu: any = pair(counters.eu, { at: { ...at, jurisdiction: 'eu' } }).link.root()
  const ports: GraphPorts = {
    send: (data, inputs) => replayGraph(data, (_noun, _name, jurisdiction) => (jurisdiction === 'eu' ? eu : home), inputs),
    dryRun: () => Promise.reject(new Error('not here')),
  }
  return { counters, home, eu, ports }
}

describe('the jurisdiction of an object', () => {
  test('stands before its noun wherever an address is a noun and a name, and is read from there', () => {
    for (const object of [{ noun: 'Counter' }, { noun: 'Counter', jurisdiction: 'eu' }, { noun: 'Counter', jurisdiction: 'fedramp-high' }])
      expect(readPlacedNoun(placedNoun(object))).toEqual(object)
    expect(placedNoun({ noun: 'Counter', jurisdiction: 'eu' })).toBe('eu:Counter')
  })

  test('stands in what describes a reference, and what calls lead to', () => {
    const { home, eu } = world()
    expect(describeRef(eu)).toEqual({ noun: 'Counter', name: 'a', jurisdiction: 'eu', path: [] })
    expect(describeRef(home)).toEqual({ noun: 'Counter', name: 'a', path: [] })
  })

  test('stands in a graph, also when it was stored and loaded', async () => {
    const { home, eu, counters, ports } = world()
    const both = makeGraph(() => [eu.add(1), home.add(10)], ports)
    expect(await both.send()).toEqual([1, 10])
    expect(await loadGraph(both.save(), ports).send()).toEqual([2, 20])
    expect([counters.eu.total, counters.home.total]).toEqual([2, 20])
    expect(both.explain().text).toContain('eu:Counter/a')
  })

  test('that is no text is no graph', () => {
    const { eu, ports } = world()
    const text = makeGraph(() => eu.add(1), ports).save()
    expect(text).toContain('"jurisdiction":"eu"')
    expect(() => loadGraph(text.replace('"jurisdiction":"eu"', '"jurisdiction":7'), ports)).toThrow(
      expect.objectContaining({ code: 'GRAPH_INVALID' }),
    )
  })

  test('makes a label that no other object has', () => {
    expect(objectLabel({ noun: 'Counter', name: 'a' })).toBe('Counter/a')
    expect(objectLabel({ noun: 'Counter', name: 'a', jurisdiction: 'eu' })).toBe('eu:Counter/a')
  })
})
