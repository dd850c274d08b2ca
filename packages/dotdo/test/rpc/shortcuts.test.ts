/** References to other objects in results: whoever gets one calls the object itself, and not through whoever gave it. */
import fc from 'fast-check'
import { RpcTarget, type RpcStub } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { countedHere, readGuard, restrict } from '../../src/rpc/narrow.ts'
import { describeRef } from '../../src/rpc/ref.ts'
import { pair, turns, type Carry } from './pair.ts'

type Far = any

/** Objects by name, each of which gives the others; every message to one is written down, polls and ends of sessions apart. */
function world(late: (to: string) => number = () => 0) {
  const messages: string[] = []
  const objects = new Map<string, ReturnType<typeof pair> & { self: Person }>()

  class Person extends RpcTarget {
    readonly #name: string
    notes: unknown[] = []
    constructor(name: string) {
      super()
      this.#name = name
    }
    called() {
      return this.#name
    }
    note(value: unknown) {
      this.notes.push(value)
      return this.notes.length
    }
    knows(name: string) {
      return root(name)
    }
    async asks(name: string, whom: string) {
      return await root(name).knows(whom)
    }
    passes(name: string, whom: string) {
      return root(name).knows(whom)
    }
    all(...names: string[]) {
      return { list: names.map((name) => root(name)), first: { friend: root(names[0]!) } }
    }
    get friend() {
      return root('friend')
    }
    same(value: RpcStub<Person>) {
      return (value as unknown as { dup(): unknown }).dup()
    }
    /** Calls somebody without waiting, and gives the reference to whoever asks. */
    prepares(name: string) {
      void root(name).note('prepared')
      return root(name)
    }
    less(name: string) {
      const ports = { now: () => 0, counter: (uses: number) => countedHere(uses) }
      return restrict((root(name) as Far).dup(), readGuard({ only: ['called'] }, ports), ports, true)
    }
    async tells(name: string, back: (person: RpcStub<Person>) => unknown) {
      return await back(root(name))
    }
    async meets(person: Far) {
      return await person.called()
    }
    async slowly(ms: number, value: unknown) {
      await turns(ms)
      return value
    }
  }

  function root(name: string): Far {
    let object = objects.get(name)
    if (!object) {
      const self = new Person(name)
      const carry: Carry = async (message, send) => {
        const isSaid = 'calls' in message || message.frames.some(([kind]) => kind !== 'release')
        if (isSaid) messages.push(name)
        await turns(late(name))
        return await send()
      }
      objects.set(name, (object = { ...pair(self, { carry, at: { noun: 'Person', name } }), self }))
    }
    return object.link.root()
  }
  const leaks = () => [...objects.values()].reduce((sum, { server }) => sum + server.openHandoffs, 0)
  return { root, messages, objects, leaks, notes: (name: string) => objects.get(name)!.self.notes }
}

describe('a reference that a call has given', () => {
  test('leads to the object itself: a chain of d steps takes d messages', async () => {
    const { root, messages } = world()
    let at = root('0')
    for (let i = 1; i <= 30; i++) at = await at.knows(String(i))
    expect(await at.called()).toBe('30')
    expect(messages).toEqual(Array.from({ length: 31 }, (_, i) => String(i)))
  })

  test('stands anywhere in a result, or is what a getter gives', async () => {
    const { root, messages } = world()
    const { list, first } = await root('a').all('b', 'c')
    expect(await Promise.all([list[0].called(), list[1].called(), first.friend.called()])).toEqual(['b', 'c', 'b'])
    const friend = await root('a').friend
    expect(await friend.called()).toBe('friend')
    // One result names b twice: that is one reference, and two calls of one turn are one message.
    expect(messages.toSorted()).toEqual(['a', 'a', 'b', 'c', 'friend'])
  })

  test('is an argument of a callback', async () => {
    const { root, messages } = world()
    let met: Far
    await root('a').tells('b', (person: Far) => void (met = person.dup()))
    messages.length = 0
    expect(await met.called()).toBe('b')
    expect(messages).toEqual(['b'])
  })

  test('has come through others, awaited there or not', async () => {
    const { root, messages } = world()
    const asked = await root('a').asks('b', 'c')
    const passed = await root('a').passes('b', 'c')
    messages.length = 0
    expect(await Promise.all([asked.called(), passed.called()])).toEqual(['c', 'c'])
    expect(messages).toEqual(['c', 'c'])
  })

  test('is called before it is there in one trip, through whoever gives it', async () => {
    const { root, messages } = world()
    expect(await root('a').knows('b').knows('c').called()).toBe('c')
    expect(messages).toEqual(['a', 'b', 'c'])
  })

  test('is called there too by the promise of it, and by the promise of a part', async () => {
    const { root, messages } = world()
    const promise = root('a').all('b')
    await promise
    const friend = root('a').knows('c')
    await friend
    messages.length = 0
    expect(await Promise.all([promise.first.friend.called(), promise.first.friend.called(), friend.called()])).toEqual(['b', 'b', 'c'])
    expect(messages.toSorted()).toEqual(['b', 'c'])
  })

  test('is given on: to another object, and back to the one that gave it', async () => {
    const { root, messages, leaks } = world()
    const b = await root('a').knows('b')
    expect(await root('c').meets(b)).toBe('b')
    const again = await root('c').same(b)
    messages.length = 0
    expect(await root('a').meets(again)).toBe('b')
    expect(messages).toEqual(['a', 'b'])
    expect(leaks()).toBe(0)
  })

  test('is handed off: the receiver calls the object itself', async () => {
    const { root, messages, leaks } = world()
    expect(await root('c').meets(root('a').knows('b'))).toBe('b')
    const from = messages.filter((name) => name === 'a').length
    // The giver is asked, and once more only to end.
    expect(from).toBe(1)
    expect(messages.filter((name) => name === 'b')).toHaveLength(1)
    expect(leaks()).toBe(0)
  })

  test('outlives the session that it came by', async () => {
    const { root, objects } = world()
    const b = await root('a').knows('b')
    await turns(10)
    expect(objects.get('a')!.link.stats).toMatchObject({ openSessions: 0, openExports: 0 })
    expect(await b.called()).toBe('b')
    b[Symbol.dispose]()
    expect(await b.called()).toBe('b')
  })

  test('tells how it came to be, as it would on the long way', async () => {
    const { root } = world()
    const b = await root('a').knows('b')
    expect(describeRef(b)).toEqual({ noun: 'Person', name: 'a', path: [['knows', ['b']]] })
    expect(describeRef((await b.all('c')).list[0])).toEqual({
      noun: 'Person',
      name: 'a',
      path: [['knows', ['b']], ['all', ['c']], ['list'], ['0']],
    })
  })

  test('leads through whoever narrowed it', async () => {
    const { root, messages } = world()
    const less = await root('a').less('b')
    messages.length = 0
    expect(await less.called()).toBe('b')
    expect(messages).toEqual(['a', 'b'])
    await expect(Promise.resolve(less.note(1))).rejects.toMatchObject({ code: 'CAPABILITY_DENIED' })
  })
})

describe('the order of calls', () => {
  test('made before and after a reference was there is kept, however late the long way is', async () => {
    const { root, notes } = world()
    const promise = root('a').knows('b')
    const calls = [promise.note(1)]
    const b = await promise
    calls.push(b.note(2), promise.note(3), b.note(4))
    await Promise.all(calls)
    expect(notes('b')).toEqual([1, 2, 3, 4])
  })

  test('of the giver before it gave, and of the receiver after, is kept', async () => {
    // What goes to b is slower than any answer.
    const { root, notes } = world((to) => (to === 'b' ? 10 : 0))
    const b = await root('a').prepares('b')
    await b.note('used')
    expect(notes('b')).toEqual(['prepared', 'used'])
  })

  test('is kept for any calls, any waits and any turns, over a network that delays', async () => {
    const call = fc.record({
      by: fc.constantFrom('promise', 'value' as const),
      wait: fc.constantFrom('no', 'turn', 'value' as const),
      late: fc.nat(4),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 12 }), fc.nat(5), async (calls, late) => {
        const { root, notes, leaks } = world((to) => (to === 'b' ? late : 1))
        const result = root('a').all('b')
        const promise = result.first.friend
        let value: Far
        const answers: Promise<unknown>[] = []
        for (const [i, { by, wait, late: ms }] of calls.entries()) {
          if (wait === 'turn') await turns(ms)
          if (wait === 'value') value = (await result).first.friend
          const on = by === 'value' && value ? value : promise
          answers.push(on.note(i))
        }
        await Promise.all(answers)
        expect(notes('b')).toEqual(calls.map((_, i) => i))
        await turns(10)
        expect(leaks()).toBe(0)
      }),
      { numRuns: 60 },
    )
  })
})
