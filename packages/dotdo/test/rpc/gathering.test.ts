/** What comes to an object at the same time goes on in one turn of it, and what comes alone waits for nothing. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { packCall } from '../../src/rpc/packed-call.ts'
import { linkVersion, type DirectCall } from '../../src/rpc/frames.ts'
import { Gathering } from '../../src/rpc/gathering.ts'
import { LinkServer } from '../../src/rpc/link-server.ts'
import { bytePipe } from './byte-pipe.ts'

/** A gathering whose turns end when that is said, at an instant that is said. */
function gathering() {
  let ends: (() => void)[] = []
  const time = { now: 1000 }
  const it = new Gathering((then) => void ends.push(then), { now: () => time.now })
  const endTurn = async () => {
    const now = ends
    ends = []
    for (const end of now) end()
    await Promise.resolve()
  }
  return { it, time, endTurn, turns: () => ends.length }
}

describe('an answer that comes to a step', () => {
  test('goes on at once where no other is due', () => {
    const { it, turns } = gathering()
    it.left()
    expect(it.answered()).toBeUndefined()
    expect(turns()).toBe(0)
  })
  test('goes on with those that are due and come in the same turn, and the last of them with them', async () => {
    const { it, endTurn, turns } = gathering()
    const wentOn: number[] = []
    for (let i = 0; i < 3; i++) it.left()
    for (let i = 0; i < 3; i++)
      void it.answered()!.then(() => {
        wentOn.push(i)
        it.ended()
      })
    await Promise.resolve()
    expect([wentOn, turns()]).toEqual([[], 1])
    await endTurn()
    expect(wentOn).toEqual([0, 1, 2])
    it.left()
    expect(it.answered()).toBeUndefined()
  })
})

describe('a call', () => {
  test('is made at once in an object that has no work, however many come', () => {
    const { it } = gathering()
    for (let i = 0; i < 3; i++) expect(it.called()).toBeUndefined()
  })
  test('is made with others until the turn has ended in which two runs have begun one upon the other, and no later', async () => {
    const { it, time, endTurn } = gathering()
    it.ran()
    expect(it.called()).toBeUndefined()
    it.ran()
    const turn = it.called()
    expect(turn).toBeInstanceOf(Promise)
    it.ran()
    expect(it.called()).toBe(turn)
    await endTurn()
    expect(it.called()).toBeUndefined()
    time.now += 3
    it.ran()
    // A clock that was put back says nothing of what is close.
    time.now -= 1000
    it.ran()
    expect(it.called()).toBeUndefined()
  })
  test('of a step is made at once where it comes alone, and those of one run come alone however close', () => {
    const { it } = gathering()
    for (let i = 0; i < 3; i++) expect(it.calledByStep('a', false)).toBeUndefined()
  })
  test('of a step is made with others where it says so, or where another object’s came just before', async () => {
    const { it, time, endTurn } = gathering()
    expect(it.calledByStep('a', true)).toBeInstanceOf(Promise)
    await endTurn()
    expect(it.calledByStep('a', false)).toBeUndefined()
    expect(it.calledByStep('b', false)).toBeInstanceOf(Promise)
    await endTurn()
    time.now += 3
    expect(it.calledByStep('c', false)).toBeUndefined()
  })
  test('waits for a turn that gathers, whatever it is', () => {
    const { it } = gathering()
    const turn = it.calledByStep('a', true)
    it.left()
    expect([it.calledByStep('a', false), it.called(), it.answered()]).toEqual([turn, turn, turn])
  })
})

describe('calls of many links', () => {
  /** An object that notes what is called on it: at once, or before some steps of promises. */
  class Noting {
    readonly made: number[] = []
    'dotdo:once'(_key: string, _since: number, _oldest: number, _method: string, [n]: [number]) {
      this.made.push(n)
    }
    now(n: number) {
      this.made.push(n)
    }
    async later(n: number) {
      this.made.push(n)
      for (let i = 0; i < n % 3; i++) await Promise.resolve()
    }
  }

  test('take effect in the order in which they came, in company or alone', async () => {
    const kinds = fc.record({
      link: fc.constantFrom('a', 'b', 'c'),
      method: fc.constantFrom('dotdo:once', 'now', 'later'),
      together: fc.boolean(),
      calls: fc.integer({ min: 1, max: 3 }),
      /** Whether everything that is ready runs before the next one comes, and whether time passes. */
      after: fc.constantFrom('nothing', 'a step', 'a turn', 'time'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(kinds, { maxLength: 12 }), async (messages) => {
        const time = { now: 0 }
        const endOfTurn = (then: () => void) => void setImmediate(then)
        const noting = new Noting()
        const own = new Gathering(endOfTurn, { now: () => time.now })
        const ports = { endOfTurn, timer: () => () => {}, bytePipe, gathering: own }
        const server = new LinkServer(() => noting, ports)
        const numbers = new Map<string, number>()
        const answers: unknown[] = []
        let n = 0
        for (const { link, method, together, calls: count, after } of messages) {
          const number = numbers.get(link) ?? 0
          numbers.set(link, number + 1)
          const calls: DirectCall[] = Array.from({ length: count }, () => {
            const args = [n++]
            return { method, args: method === 'dotdo:once' ? ['key', 0, 0, 'now', args] : args }
          })
          const origin = { depth: 1, caller: `Noun/${link}` }
          answers.push(server.called(packCall({ version: linkVersion, link, number, origin, calls, ...(together && { together }) })))
          if (after === 'a step') await Promise.resolve()
          if (after === 'a turn') await new Promise((resolve) => setImmediate(resolve))
          if (after === 'time') time.now += 10
        }
        await Promise.all(answers)
        expect(noting.made).toEqual(Array.from({ length: n }, (_, i) => i))
      }),
    )
  })
})
