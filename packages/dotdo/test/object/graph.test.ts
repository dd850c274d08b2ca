import { describe, expect, test } from 'vitest'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'

// Stubs are as free as JSON here: the types of remote objects have tests of their own.
// oxlint-disable-next-line typescript/no-explicit-any
const stub = (noun: string, name: string): any => new Links(linkPorts('test', () => {})).user(noun, name)

describe('a graph in an object', () => {
  test('is sent, loaded, done as a step, and explained', async () => {
    expect(await stub('Pipeline', 'graphs').graphs()).toEqual({
      sent: [3, 4],
      loaded: [3, 4],
      step: [3, 4],
      text: expect.stringContaining('2 messages, 1 hand-off, 1.5 trips') as string,
    })
  })

  test('maps over one object’s list with calls of others, as plain code and a step do', async () => {
    const each = [
      { size: 0, run: [3] },
      { size: 0, run: [4] },
    ]
    expect(await stub('Pipeline', 'mapped over').mappedOver()).toEqual([each, each, each, each])
  })

  test('is what a schedule runs', async () => {
    const inspector = new Links(linkPorts('test', () => {})).inspector('Pipeline', 'graph schedule') as never as {
      trigger(id: string): Promise<string>
    }
    await inspector.trigger('graph')
    let history: unknown[] = []
    for (let i = 0; i < 200 && history.length === 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10))
      history = (await stub('Stage', 'graph scheduled').history()) as unknown[]
    }
    expect(history).toEqual(['from a graph'])
  })

  test('is rehearsed: writers in the objects that it reaches write down what they would have done', async () => {
    const { result, writes } = await stub('Pipeline', 'rehearser').rehearse(7)
    expect(result[0]).toMatchObject({ snapshotId: null, rows: 7 })
    expect(writes).toHaveLength(2)
    expect(writes).toContainEqual({ object: 'Pipeline/rehearsed', writer: 'event', target: 'Order.flaky', rows: 1, sample: [undefined] })
    const load = (writes as { writer: string; sample: unknown[] }[]).find(({ writer }) => writer === 'iceberg')!
    expect(load).toMatchObject({ object: 'Pipeline/rehearsed', target: 'analytics.events', rows: 7 })
    expect(load.sample).toHaveLength(5)
    expect(load.sample[0]).toEqual({ type: 'event', entityId: 'e0', payload: { i: 0 }, ts: Date.UTC(2026, 0, 2) })
    expect(await stub('Pipeline', 'rehearsed').table()).toBeNull()
  })

  test('is rehearsed on a copy of the fields of its objects, whichever way a call comes', async () => {
    await stub('Counter', 'scratched').add(7)
    const [one, several, given, size] = (await stub('Pipeline', 'main').rehearseFields('scratched')) as unknown[]
    expect(one).toBe(2)
    expect(several).toHaveLength(3)
    expect(given).toBeGreaterThan(1)
    expect(size).toBe(1)
    expect(await stub('Counter', 'scratched').size).toBe(1)
  })
})
