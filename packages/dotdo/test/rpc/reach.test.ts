import { RpcTarget, type RpcStub } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { directClass, isPublicName, reachClass, type Enter } from '../../src/rpc/reach.ts'
import { referredCalls } from '../../src/rpc/references.ts'
import type { Frame } from '../../src/rpc/frames.ts'
import { pair } from './pair.ts'

const self = {
  secret: 'field',
  add(this: { total: number }, n: number) {
    return (this.total += n)
  },
  total: 0,
  get doubled() {
    return this.total * 2
  },
  _private() {
    return 'private'
  },
}

function reach(enter: Enter = (_, __, work) => work()) {
  const names = { methods: ['add'], getters: ['doubled'] }
  const options = { self: Object.create(self, { total: { value: 0, writable: true } }) as object, enter }
  const target = new (reachClass('Counter', names))(options)
  const direct = new (directClass('Counter', names, () => 'once'))(options)
  return {
    target,
    direct,
    root: () =>
      pair(target, { direct }).link.root() as unknown as RpcStub<{
        add(n: number): number
        doubled: number
        subtract(n: number): number
        _private(): string
        init(): void
      }>,
  }
}

describe('what can be reached of an object', () => {
  test('methods and getters that are named', async () => {
    const { root } = reach()
    expect(await root().add(2)).toBe(2)
    expect(await root().doubled).toBe(4)
  })

  test('a getter that gives a promise is answered with what that becomes', async () => {
    const { root } = reach(async (_, __, work) => work())
    expect(await root().doubled).toBe(0)
    const failing = reach(() => Promise.reject(new Error('not today')))
    await expect(Promise.resolve(failing.root().doubled)).rejects.toThrow('not today')
  })

  test('a method that does not exist answers with those that do', async () => {
    await expect(Promise.resolve(reach().root().subtract(1))).rejects.toMatchObject({
      code: 'METHOD_UNKNOWN',
      message: 'Counter has no method "subtract". It has: add, doubled. Call one of these, or add it to the definition.',
      data: { noun: 'Counter', method: 'subtract', known: ['add', 'doubled'] },
    })
  })

  test.each(['_private', 'init'])('%s is not there, whether it is called or read, and it is said why', async (name) => {
    const root = reach().root() as unknown as Record<string, any>
    for (const use of [root[name](), root[name]])
      await expect(Promise.resolve(use)).rejects.toMatchObject({
        code: 'METHOD_UNKNOWN',
        message: expect.stringMatching(
          /Counter has no method .*: names that begin with _, and init, are private\. It has: add, doubled/,
        ) as string,
      })
  })

  test('every call goes through enter, with its name and arguments', async () => {
    const entered: unknown[] = []
    const { root } = reach((method, args, work) => (entered.push([method, args]), work()))
    await root().add(5)
    await root().doubled
    expect(entered).toEqual([
      ['add', [5]],
      ['doubled', []],
    ])
  })

  test('the target is a capability, and has nothing of its own', () => {
    const { target, direct } = reach()
    expect(target).toBeInstanceOf(RpcTarget)
    for (const it of [target, direct]) {
      expect(Object.getOwnPropertyNames(it)).toEqual([])
      expect('secret' in it).toBe(false)
    }
  })

  test.each(['_x', 'constructor', 'init', 'then', '__proto__', 'toString', 'dup', 'map', 'toJSON'])('%s is no public name', (name) => {
    expect(isPublicName(name)).toBe(false)
  })
  test.each(['run', 'getStage', 'x_', 'thenable'])('%s is a public name', (name) => {
    expect(isPublicName(name)).toBe(true)
  })
})

describe('what a capability keeps to itself', () => {
  class Box extends RpcTarget {
    get _own() {
      return 'not for you'
    }
    get list() {
      return [1, 2]
    }
    get row() {
      return { _id: 7, box: new Box() }
    }
    get size() {
      return 1
    }
  }
  class Boxes extends RpcTarget {
    box() {
      return new Box()
    }
    boxes() {
      return [new Box()]
    }
    get label() {
      return 'boxes'
    }
    take(value: unknown) {
      return value
    }
  }
  // oxlint-disable-next-line typescript/no-explicit-any
  type Far = any
  const same = (value: unknown): unknown => value

  test('is not gone over by a .map either, from here or from another object; what it gives is', async () => {
    const [here, there] = [pair(new Boxes()).link.root() as Far, pair(new Boxes()).link.root() as Far]
    const held = await here.box()
    for (const hidden of [
      here.box()._own.map(same),
      here.box().row.box._own.map(same),
      held._own.map(same),
      here.boxes().map((box: Far) => box._own.map(same)),
      there.take(here.box()._own.map(same)),
    ])
      await expect(Promise.resolve(hidden)).rejects.toMatchObject({ code: 'METHOD_UNKNOWN', data: { noun: 'Box', method: '_own' } })
    expect(await here.box().list.map(same)).toEqual([1, 2])
    expect(await here.box().row._id.map(same)).toBe(7)
  })

  test('is told of as what is not there, wherever on the way that is', async () => {
    const root = pair(new Boxes()).link.root() as Far
    for (const missing of [root.box().nope.deep, root.box().nope.deep(), root.box().nope.map(same)])
      await expect(Promise.resolve(missing)).rejects.toMatchObject({ code: 'METHOD_UNKNOWN', data: { noun: 'Box', method: 'nope' } })
  })

  test('and what is no function says so with a code, in a session, without one and in its place', async () => {
    const root = pair(new Boxes()).link.root() as Far
    const refusal = { code: 'METHOD_UNKNOWN', message: expect.stringMatching(/^'(label|size)' is not a function\. Read it/) as string }
    await expect(Promise.resolve(root.label())).rejects.toMatchObject(refusal)
    await expect(Promise.resolve(root.box().size())).rejects.toMatchObject(refusal)
    await expect(Promise.all([root.take(root.box().list), root.label()])).rejects.toMatchObject(refusal)
    await expect(Promise.resolve(root.label(root.take(1)))).rejects.toMatchObject(refusal)
  })
})

describe('what is too deep to be sent', () => {
  test.each(['object', 'list', 'object with a function'])('a circle in an %s is refused by its code', async (kind) => {
    const circle: Record<string, unknown> = kind === 'list' ? ([] as never) : {}
    circle[0] = circle
    if (kind.endsWith('function')) circle['f'] = () => 1
    // oxlint-disable-next-line typescript/no-explicit-any
    await expect(Promise.resolve((reach().root() as any).add(circle))).rejects.toMatchObject({ code: 'NOT_SENDABLE' })
  })
})

describe('which calls are referred to', () => {
  const push = (expression: unknown): Frame => ['push', expression]
  test('the start of a chain, an argument, a captured call of a map', () => {
    expect(referredCalls([push(['pipeline', 1, ['run'], [5]])], [1, 2])).toEqual(new Set([1]))
    expect(referredCalls([push(['pipeline', 0, ['load'], [['pipeline', 2]]])], [1, 2])).toEqual(new Set([2]))
    expect(referredCalls([push(['remap', 1, [], [['import', 2]], []])], [1, 2])).toEqual(new Set([1, 2]))
    expect(referredCalls([push(['pipeline', 0, ['load'], [{ rows: ['import', 1] }]])], [1])).toEqual(new Set([1]))
  })
  test("an array of the user's that looks like a reference stands in an array of its own, and is still found to be data", () => {
    // capnweb escapes arrays by wrapping them; ['pipeline', 1] of a user is [['pipeline', 1]] on the wire, so it is looked at as one.
    // Taking data for a reference only means that an answer is not sent before it is asked for: the call itself is delivered.
    expect(referredCalls([push(['pipeline', 0, ['load'], [[['run', 7]]]])], [7])).toEqual(new Set())
  })
  test('nothing is found where there is nothing', () => {
    expect(referredCalls([push(['pipeline', 0, ['a'], [1, 'two', null, new Uint8Array(3), { n: 3 }]]), ['pull', 1]], [1])).toEqual(
      new Set(),
    )
  })
})
