/** What one owner calls leaves in the order in which it was written, whichever of its messages is due first. */
import fc from 'fast-check'
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { Departures } from '../../src/rpc/departures.ts'
import { pair, turns } from './pair.ts'

describe('what waits', () => {
  const waiting = () => {
    const departures = new Departures()
    const left: string[] = []
    const wait = (key: object, name: string) => departures.wait(key, { leaveNow: () => void left.push(name) })
    return { departures, left, wait }
  }

  test('leaves after all that was begun before it, and not with what comes after', () => {
    const { departures, left, wait } = waiting()
    const [a, b, c] = [{}, {}, {}]
    wait(a, 'a')
    wait(b, 'b')
    wait(c, 'c')
    departures.leave(b)
    expect([left, departures.waiting]).toEqual([['a', 'b'], 1])
    departures.leave(a)
    departures.leave(c)
    expect([left, departures.waiting]).toEqual([['a', 'b', 'c'], 0])
  })
  test('keeps the place of its first call when it becomes something else, and none when it has left', () => {
    const { departures, left, wait } = waiting()
    const [a, b, c] = [{}, {}, {}]
    wait(a, 'a')
    wait(b, 'b')
    wait(a, 'a as a session')
    wait(c, 'c')
    departures.left(b)
    departures.leave(c)
    expect(left).toEqual(['a as a session', 'c'])
    wait(b, 'b')
    wait(a, 'a again')
    departures.leave(a)
    expect(left.slice(2)).toEqual(['b', 'a again'])
  })
  test('may begin while others leave', () => {
    const { departures, left, wait } = waiting()
    const [a, b] = [{}, {}]
    departures.wait(a, { leaveNow: () => wait({}, 'late') })
    wait(b, 'b')
    departures.leave(b)
    expect([left, departures.waiting]).toEqual([['b'], 1])
  })
})

class Stage extends RpcTarget {
  note(value: number): number {
    return value
  }
  hear(value: number, _callback: () => void): number {
    return value
  }
  step(): Stage {
    return this
  }
}

/** Objects that one owner calls; `sent` are their names in the order in which messages leave for them. */
function world(names: readonly string[]) {
  const departures = new Departures()
  const sent: string[] = []
  const stages = names.map((name) => {
    const it = pair(new Stage(), {
      departures,
      carry: (message, send) => {
        // What only asks on, or tells of ends, is no call.
        if ('calls' in message || message.frames.some(([kind]) => kind === 'push')) sent.push(name)
        return send()
      },
    })
    return { name, stats: it.stats, root: it.link.root() as never as Stage }
  })
  return { stages, sent, departures }
}

/** Ways of calling, by whether the call needs a session and is awaited. */
const ways = {
  'a call': (stage: Stage, i: number) => void stage.note(i),
  'a call with a callback': (stage: Stage, i: number) => void stage.hear(i, () => {}),
  'a chain': (stage: Stage, i: number) => void stage.step().note(i),
  'an awaited call': (stage: Stage, i: number) => Promise.resolve(stage.note(i)),
  'an awaited chain': (stage: Stage, i: number) => Promise.resolve(stage.step().note(i)),
  'an awaited call with a callback': (stage: Stage, i: number) => Promise.resolve(stage.hear(i, () => {})),
} as const
type Way = keyof typeof ways
const kinds = Object.keys(ways) as Way[]

describe('what one owner calls', () => {
  test.each(kinds)('%s that nobody waits for has left when an awaited one on another object is answered', async (way) => {
    for (const last of ['an awaited call', 'an awaited chain'] as const) {
      const { stages, sent, departures } = world(['a', 'b'])
      void ways[way](stages[0]!.root, 1)
      expect(await ways[last](stages[1]!.root, 2)).toBe(2)
      expect(sent).toEqual(['a', 'b'])
      await turns()
      expect(departures.waiting).toBe(0)
    }
  })

  test.each(['an awaited call', 'an awaited chain'] as const)('%s alone does not wait for the end of the turn', async (way) => {
    const { stages, sent } = world(['a'])
    const answer = ways[way](stages[0]!.root, 7)
    for (let i = 0; i < 100; i++) await Promise.resolve()
    expect(sent).toEqual(['a'])
    expect(await answer).toBe(7)
  })

  test('asks for no turn of the event loop while chains are awaited, one after the other: where the loop has no rest, those would pile up', async () => {
    const { link, ports, server } = pair(new Stage())
    let asked = 0
    ports.endOfTurn = (then) => {
      asked++
      setImmediate(then)
    }
    const root = link.root() as never as Stage
    for (let i = 0; i < 30; i++) expect(await Promise.resolve(root.step().step().note(i))).toBe(i)
    expect(asked).toBe(0)
    // What goes on from what they gave does so in their sessions, which rest.
    const step = root.step()
    expect(await Promise.resolve(step.note(1))).toBe(1)
    expect(await Promise.resolve(step.note(2))).toBe(2)
    expect(server.openSessions).toBe(31)
  })

  test('an object that is called by its turn twice keeps the place of the first call', async () => {
    const { stages, sent } = world(['a', 'b', 'c'])
    const [a, b, c] = stages.map(({ root }) => root) as [Stage, Stage, Stage]
    void a.note(1)
    void b.note(2)
    // From here on its turn is a session.
    void a.hear(3, () => {})
    await Promise.resolve(c.note(4))
    expect(sent).toEqual(['a', 'b', 'c'])
  })

  test('leaves in the order in which it was begun, one message to each object: any ways, any objects', async () => {
    const call = fc.record({ on: fc.nat(3), way: fc.constantFrom(...kinds) })
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 10 }), async (calls) => {
        const { stages, sent, departures } = world(['a', 'b', 'c', 'd'])
        const answers = calls.map(({ on, way }, i) => Promise.resolve(ways[way](stages[on]!.root, i)))
        const answered = (await Promise.all(answers)).filter((it) => it !== undefined)
        expect(answered).toEqual(calls.flatMap(({ way }, i) => (way.startsWith('an awaited') ? [i] : [])))
        await turns()
        expect(sent).toEqual([...new Set(calls.map(({ on }) => stages[on]!.name))])
        expect(departures.waiting).toBe(0)
      }),
      { numRuns: 150 },
    )
  })
})
