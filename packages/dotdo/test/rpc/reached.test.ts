/** References that begin with a method of the framework, and what a reference tells of how it came to be. */
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import { readGuard, restrict } from '../../src/rpc/narrow.ts'
import { Reached } from '../../src/rpc/reached.ts'
import { describeRef, narrowedRef, startOfRef } from '../../src/rpc/ref.ts'
import { Thing, world as grantsWorld } from './grants-world.ts'
import { pair, turns } from './pair.ts'

const codeOfFailure = (call: PromiseLike<unknown>) =>
  Promise.resolve(call).then(
    (value) => ({ value }),
    (error: unknown) => codeOf(error) ?? String(error),
  )

/** An object with grants at the end of a link, as its host has them. */
function world() {
  const grants = grantsWorld()
  const { ports, root } = grants
  const limits = { graceMs: 5, idleMs: 20_000 }
  const there = pair(root, {
    limits,
    at: { noun: 'Shelf', name: 'a' },
    framework: {
      restore: (token: unknown, holder?: unknown) => grants.grants.restore(token, root, holder),
      narrow: (caveats: unknown) => restrict(root, readGuard(caveats, ports), ports),
      narrowed: (cap: any, caveats: unknown) => restrict(cap.dup(), readGuard(caveats, ports), ports, true),
    },
  })
  const restored = (token: string) => new Reached(there.link, 'restore', [token]).root() as any
  return { ...grants, ...there, restored, object: there.link.root() as any }
}

describe('a restored reference', () => {
  test('is asked for once in each turn that uses it, in the message of its calls', async () => {
    const { grants, restored, stats } = world()
    const cap = restored(grants.issue({ path: [['part', ['p']]] }))
    expect(stats.messages).toBe(0)
    expect(await cap.read(1)).toBe('root.p 1')
    expect(stats.messages).toBe(1)
    expect(await Promise.all([cap.read(2), cap.size, cap.part('q').read(3)])).toEqual(['root.p 2', 3, 'root.p.q 3'])
    expect(stats.messages).toBe(2)
  })

  test('leaves no session behind that nobody refers to', async () => {
    const { grants, restored, server } = world()
    const cap = restored(grants.issue({ path: [] }))
    for (let i = 0; i < 20; i++) await cap.read(i)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(server.openSessions).toBe(0)
  })

  test('works again after its session is gone, and sees what was revoked in between', async () => {
    const { grants, restored } = world()
    const token = grants.issue({ path: [] })
    const cap = restored(token)
    expect(await cap.read(1)).toBe('root 1')
    await turns()
    grants.revoke(token)
    expect(await codeOfFailure(cap.read(1))).toBe('CAPABILITY_REVOKED')
  })

  test('counts and narrows with what it was narrowed with, further and further', async () => {
    const { grants, link } = world()
    const restored = new Reached(link, 'restore', [grants.issue({ path: [], caveats: { only: ['read', 'write'] } })])
    const narrowed = new Reached(restored, 'narrow', [{ only: ['read', 'size'] }]).root() as any
    expect(await narrowed.read(1)).toBe('root 1')
    for (const call of [() => narrowed.write(1), () => narrowed.size]) expect(await codeOfFailure(call())).toBe('CAPABILITY_DENIED')
  })

  test('is an argument like any other, and gives the receiver no more than itself', async () => {
    const { grants, restored } = world()
    const cap = restored(grants.issue({ path: [], caveats: { only: ['read'] } }))
    class Receiver extends RpcTarget {
      async use(given: any) {
        return [
          await given.read(1),
          await codeOfFailure(given.write(1)),
          await codeOfFailure(Promise.resolve().then(() => given['dotdo:narrow']({}))),
        ]
      }
    }
    const [read, write, framework] = (await (pair(new Receiver()).link.root() as any).use(cap)) as unknown[]
    expect([read, write]).toEqual(['root 1', 'CAPABILITY_DENIED'])
    expect(framework).toEqual(expect.any(String))
  })

  test('can be called for each element of a map, and its results are handed to another object', async () => {
    const { grants, restored } = world()
    const cap = restored(grants.issue({ path: [], caveats: { only: ['read'] } }))
    class Numbers extends RpcTarget {
      list() {
        return [1, 2, 3]
      }
      echo(value: unknown) {
        return value
      }
    }
    const numbers = pair(new Numbers()).link.root() as any
    expect(await numbers.list().map((n: number) => cap.read(n))).toEqual(['root 1', 'root 2', 'root 3'])
    expect(await numbers.echo(cap.read(7))).toBe('root 7')
  })

  test('that is refused refuses each call on it, and is no unhandled failure of its own', async () => {
    const { restored, failures } = world()
    const cap = restored('dotdo1.no.token')
    expect(await Promise.all([codeOfFailure(cap.read(1)), codeOfFailure(cap.part('x').read(1))])).toEqual([
      'TOKEN_INVALID',
      'TOKEN_INVALID',
    ])
    expect(failures).toEqual([])
  })
})

describe('how a reference came to be', () => {
  const at = { noun: 'Shelf', name: 'a' }
  test('is told of calls, properties, what was awaited, and what stood in a result', async () => {
    const { object } = world()
    expect(describeRef(object.part('p'))).toEqual({ ...at, path: [['part', ['p']]] })
    const part = await object.part('p')
    expect(describeRef(part)).toEqual({ ...at, path: [['part', ['p']]] })
    expect(describeRef(part.part('q'))).toEqual({
      ...at,
      path: [
        ['part', ['p']],
        ['part', ['q']],
      ],
    })
    const { list } = await object.parts()
    expect(describeRef(list[0])).toEqual({ ...at, path: [['parts', []], ['list'], ['0']] })
    expect(describeRef(object.parts().list)).toEqual({ ...at, path: [['parts', []], ['list']] })
  })

  test('is told of what was restored and narrowed, at the start and on the way', async () => {
    const { link, object } = world()
    const restored = new Reached(link, 'restore', ['a token']).root() as any
    expect(describeRef(restored)).toEqual({ ...at, path: [['dotdo:restore', ['a token']]] })
    const narrowed = narrowedRef(object.part('p'), [{ only: ['part'] }]) as any
    expect(describeRef(narrowed.part('q'))).toEqual({
      ...at,
      path: [
        ['part', ['p']],
        ['dotdo:narrow', [{ only: ['part'] }]],
        ['part', ['q']],
      ],
    })
    expect(await narrowed.part('q').read(1)).toBe('root.p.q 1')
    expect(await codeOfFailure(narrowed.read(1))).toBe('CAPABILITY_DENIED')
  })

  test('is told of no other value, nor where a step has no name or no plain arguments', async () => {
    const { object, link } = world()
    for (const value of [{}, null, 'x', () => 1, new Thing('x', []), object.reader()(1), object.part(() => 1)])
      expect(describeRef(value)).toBeUndefined()
    expect(startOfRef(object)).toBe(link)
    expect(startOfRef(object.part('p'))).toBeUndefined()
    expect(narrowedRef({}, [])).toBeUndefined()
    await turns()
  })
})
