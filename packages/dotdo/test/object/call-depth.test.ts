/** Calls that go on from object to object: past the depth that the platform allows, they go on from alarms; past the app's end, they are refused. */
import { describe, expect, test } from 'vitest'
import { CallDepth } from '../../src/object/call-depth.ts'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'

// oxlint-disable-next-line typescript/no-explicit-any
const deep = (name: string): any => new Links(linkPorts('test', () => {})).user('Abyss', name)
const failure = (promise: PromiseLike<unknown>) =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error: unknown) => error,
  )

describe('a chain of objects', () => {
  test('is answered through several alarms (here each sixth object goes on from one)', async () => {
    const names = Array.from({ length: 30 }, (_, i) => `d${29 - i}`)
    expect(await deep('d30').go(30)).toBe(['d30', ...names.slice(0, -1)].join(' ') + ' end')
  })

  test('that is a circle ends with the name of the limit and of the caller, and both objects go on', async () => {
    const error = await failure(deep('a').circle())
    expect(error).toMatchObject({
      code: 'LINK_LIMIT',
      data: { limit: 'callDepthEnd', value: 41, bound: 40, caller: expect.stringMatching(/^Abyss\/[ab]$/) },
    })
    expect(await deep('a').go(0)).toBe('end')
  })

  test('keeps the order of calls that wait for an alarm', async () => {
    // The calls on the last one are at depth 6.
    expect(await deep('start').order(4, 50)).toEqual(Array.from({ length: 50 }, (_, i) => i))
  })
})

describe('the gate', () => {
  function gate(callDepth: number, callDepthEnd = 1000) {
    let changes = 0
    const depth = new CallDepth({ callDepth, callDepthEnd }, { now: () => 7 }, () => void changes++)
    return { depth, changes: () => changes }
  }

  test('lets a call in at once, and each callDepth-th at the alarm', () => {
    const { depth, changes } = gate(3)
    const log: number[] = []
    for (const at of [1, 2, 3, 4, 5, 6, 7]) depth.enter({ depth: at }, () => log.push(at))
    expect(log).toEqual([1, 2, 4, 5, 7])
    expect([depth.nextWakeMs(), changes()]).toEqual([7, 2])
    depth.fired()
    expect(log).toEqual([1, 2, 4, 5, 7, 3, 6])
    expect(depth.nextWakeMs()).toBe(null)
    depth.fired()
    expect(log).toHaveLength(7)
  })

  test('gives a waiting caller what the work gives: a value, a promise’s value, a failure', async () => {
    const { depth } = gate(1)
    const answers = [
      depth.enter({ depth: 1 }, () => 5),
      depth.enter({ depth: 1 }, async () => 6),
      failure(
        depth.enter({ depth: 1 }, () => {
          throw new Error('no')
        }) as PromiseLike<unknown>,
      ),
    ]
    depth.fired()
    expect(await Promise.all(answers)).toEqual([5, 6, new Error('no')])
  })

  test('refuses what is past the end', () => {
    expect(() => gate(3, 10).depth.enter({ depth: 11, caller: 'A/b' }, () => 1)).toThrow(
      expect.objectContaining({ code: 'LINK_LIMIT', data: { limit: 'callDepthEnd', value: 11, bound: 10, caller: 'A/b' } }),
    )
    expect(gate(3, 10).depth.enter({ depth: 10 }, () => 1)).toBe(1)
  })
})
