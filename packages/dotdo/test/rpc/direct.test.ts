/** Whether a call goes by a session or natively, nobody can tell but by counting. */
import { RpcTarget, type RpcStub } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { linkVersion } from '../../src/rpc/frames.ts'
import { DotdoError } from '../../src/base/errors.ts'
import { Departures } from '../../src/rpc/departures.ts'
import { Link } from '../../src/rpc/link-client.ts'
import { describeRef } from '../../src/rpc/ref.ts'
import { newLinkStats } from '../../src/rpc/stats.ts'
import { bytePipe } from './byte-pipe.ts'
import { pair, turns, type Carry } from './pair.ts'

class Door extends RpcTarget {
  opened = 0
  open() {
    return ++this.opened
  }
}

class Counter extends RpcTarget {
  log: unknown[] = []
  #n = 0
  #door = new Door()
  add(n: number, ...more: unknown[]) {
    this.log.push(n, ...more)
    return (this.#n += n)
  }
  get total() {
    this.log.push('total')
    return this.#n
  }
  get door() {
    return this.#door
  }
  getDoor() {
    return this.#door
  }
  box() {
    return { door: this.#door, n: 7 }
  }
  echo(value: unknown) {
    return value
  }
  async later(ms: number) {
    for (let i = 0; i < ms; i++) await new Promise((resolve) => setImmediate(resolve))
    this.log.push(`later ${ms}`)
    return ms
  }
  fail(): never {
    throw new DotdoError('BROKEN', 'it broke', { data: { part: 7 }, retryable: true })
  }
  typeError(): never {
    throw new TypeError('not so')
  }
  say(callback: (text: string) => string) {
    return callback('said')
  }
}

function open(carry?: Carry) {
  const main = new Counter()
  const kinds: string[] = []
  const ends = pair(main, {
    carry: (message, send) => {
      kinds.push('frames' in message ? 'session' : 'direct')
      return carry ? carry(message, send) : send()
    },
  })
  return { main, kinds, root: ends.link.root() as unknown as RpcStub<Counter>, ...ends }
}

describe('a lone plain call', () => {
  test('is one native call, and leaves nothing behind', async () => {
    const { root, kinds, stats, server } = open()
    expect(await root.add(5)).toBe(5)
    expect(kinds).toEqual(['direct'])
    expect(stats).toMatchObject({ messages: 1, calls: 1, polls: 0 })
    expect(server.openSessions).toBe(0)
  })
  test('may be a read of a getter', async () => {
    const { root, kinds } = open()
    expect(await root.total).toBe(0)
    expect(kinds).toEqual(['direct'])
  })
  test('runs once, however often it is awaited', async () => {
    const { root, main } = open()
    const answer = root.add(5)
    expect([await answer, await answer, await answer]).toEqual([5, 5, 5])
    const total = root.total
    expect([await total, await total]).toEqual([5, 5])
    expect(main.log).toEqual([5, 'total'])
  })
  test('sends what its arguments were when it was made', async () => {
    const { root } = open()
    const value = { list: [1], bytes: new Uint8Array([1]) }
    const answer = root.echo(value)
    value.list.push(2)
    value.bytes[0] = 2
    expect(await answer).toEqual({ list: [1], bytes: new Uint8Array([1]) })
  })
  test('gives results that can be disposed', async () => {
    const { root } = open()
    using result = (await root.echo({ a: 1 })) as { a: number } & Disposable
    expect(result).toEqual({ a: 1 })
    expect(typeof result[Symbol.dispose]).toBe('function')
  })
})

describe('several plain calls of a turn', () => {
  test('are one native call, made in their order', async () => {
    const { root, kinds, main, stats, server } = open()
    // A property is read when it is asked for: here after the calls were made.
    expect(await Promise.all([root.add(1), root.add(2), root.total, root.add(3)])).toEqual([1, 3, 6, 6])
    expect(kinds).toEqual(['direct'])
    expect(main.log).toEqual([1, 2, 3, 'total'])
    expect(stats).toMatchObject({ messages: 1, calls: 4, polls: 0 })
    expect(server.openSessions).toBe(0)
  })
  test('are answered apart: a quick one does not wait for a slow one, nor for one that fails', async () => {
    const { root, kinds } = open()
    const slow = root.later(300)
    const failed = Promise.resolve(root.fail()).catch((error: { code: string }) => error.code)
    expect(await root.add(1)).toBe(1)
    expect(await failed).toBe('BROKEN')
    expect(await slow).toBe(300)
    expect(kinds[0]).toBe('direct')
  })
  test('are answered at once with what they give, whatever kind each is of', async () => {
    const { root, stats } = open()
    const [five, door, box, failed] = await Promise.allSettled([root.add(5), root.getDoor(), root.box(), Promise.resolve(root.fail())])
    expect(five).toMatchObject({ value: 5 })
    expect(await (door as PromiseFulfilledResult<RpcStub<Door>>).value.open()).toBe(1)
    expect((box as PromiseFulfilledResult<{ n: number }>).value.n).toBe(7)
    expect(failed).toMatchObject({ status: 'rejected', reason: { code: 'BROKEN' } })
    expect(stats.messages - stats.polls).toBe(2)
  })
})

describe('a call becomes one of a session', () => {
  const cases: [string, (root: RpcStub<Counter>) => PromiseLike<unknown>, unknown][] = [
    ['when another of its turn needs one', (root) => Promise.all([root.add(1), root.getDoor().open()]), [1, 1]],
    ['when its result is called', (root) => root.getDoor().open(), 1],
    ['when a property of its result is read', (root) => (root.box() as never as { n: Promise<number> }).n, 7],
    ['when an argument is a callback', (root) => root.say((text) => `${text}!`), 'said!'],
    ['when an argument is a promise', (root) => root.add(root.add(2) as never), 4],
    ['when an argument is no plain data', (root) => root.echo(new URL('http://a/b')), new URL('http://a/b')],
  ]
  test.each(cases)('%s', async (_, use, expected) => {
    const { root, kinds, stats } = open()
    expect(await use(root)).toEqual(expected)
    expect(kinds[0]).toBe('session')
    // What a callback answers is a message of its own.
    expect(stats.messages - stats.polls).toBeLessThanOrEqual(kinds.length === 1 ? 1 : 2)
  })
})

describe('an answer that only a session can carry', () => {
  test('opens one: a capability comes in the same round trip and works on', async () => {
    const { root, kinds, stats, main } = open()
    const door = await root.getDoor()
    expect(stats.messages).toBe(1)
    expect(kinds).toEqual(['direct'])
    expect(await door.open()).toBe(1)
    expect(await door.open()).toBe(2)
    expect(main.getDoor().opened).toBe(2)
  })
  test('may be a value with a capability inside', async () => {
    const { root } = open()
    const box = await root.box()
    expect(box.n).toBe(7)
    expect(await box.door.open()).toBe(1)
  })
  test('may be a getter with a capability', async () => {
    const { root } = open()
    const door = await root.door
    expect(await door.open()).toBe(1)
  })
  test('keeps errors as a session keeps them', async () => {
    const { root, stats } = open()
    const failure = await Promise.resolve(root.fail()).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'BROKEN', message: 'it broke', retryable: true, data: { part: 7 } })
    expect((failure as Error).stack).not.toContain('Counter')
    expect(await Promise.resolve(root.typeError()).catch((error: unknown) => error)).toBeInstanceOf(TypeError)
    expect(stats.messages).toBe(2)
  })
  test('is asked for in the words of capnweb where there is no such method', async () => {
    const { root, link } = open()
    const alone = await Promise.resolve((root as never as { nothing(): Promise<unknown> }).nothing()).catch((error: unknown) => error)
    const other = link.root() as never as { nothing(): Promise<unknown>; add(n: number): Promise<number> }
    const [together] = await Promise.allSettled([other.nothing(), other.add(1)])
    expect(alone).toEqual((together as PromiseRejectedResult).reason)
  })
  test('is refused for what every object has', async () => {
    const { server } = open()
    for (const method of ['constructor', '__proto__', 'hasOwnProperty', 'toString', 'dotdo:nothing', 'log']) {
      const answer = await server.call({
        version: linkVersion,
        link: method,
        number: 0,
        calls: [{ method, args: [] }],
        origin: { depth: 1 },
      })
      expect(answer.answers).toEqual([null])
      expect(JSON.stringify(answer)).toContain('reject')
    }
  })
})

describe('a result that came natively', () => {
  test('can be called on in a later turn', async () => {
    const { root } = open()
    const box = root.box() as never as { n: Promise<number>; door: { open(): Promise<number> } }
    await turns()
    expect(await box.n).toBe(7)
    expect(await box.door.open()).toBe(1)
  })
  test('can be an argument of a later call', async () => {
    const { root } = open()
    const five = root.add(5)
    expect(await five).toBe(5)
    expect(await root.add(five as never)).toBe(10)
  })
  test('can be called on while it is under way', async () => {
    const { root } = open()
    const door = root.getDoor()
    // The turn ends, the call leaves; its answer is not there yet.
    await new Promise((resolve) => setImmediate(resolve))
    expect(await door.open()).toBe(1)
  })
  test('is called on while it is under way before it is called on once it is there', async () => {
    const { root } = open(async (_, send) => {
      await turns(3)
      return await send()
    })
    const promise = root.getDoor()
    await turns(1)
    const early = promise.open()
    const door = await promise
    expect(await Promise.all([early, door.open(), promise.open()])).toEqual([1, 2, 3])
  })
  test('that failed fails what is called on it, before and after', async () => {
    const { root } = open()
    const failed = root.fail() as never as { open(): Promise<number> } & Promise<never>
    await turns(1)
    const early = failed.open()
    await expect(Promise.resolve(failed)).rejects.toMatchObject({ code: 'BROKEN' })
    await expect(Promise.resolve(early)).rejects.toMatchObject({ code: 'BROKEN' })
    await expect(Promise.resolve(failed.open())).rejects.toMatchObject({ code: 'BROKEN' })
  })
})

describe('order holds', () => {
  test('between native calls and sessions, turn by turn', async () => {
    const { root, main, kinds } = open()
    for (let turn = 0; turn < 30; turn++) {
      void root.add(turn)
      if (turn % 3 === 0) void root.add(turn + 0.5)
      if (turn % 4 === 0) void root.getDoor().open()
      await turns(1)
    }
    await turns()
    expect(main.log).toEqual(main.log.toSorted((a, b) => (a as number) - (b as number)))
    expect(new Set(kinds)).toEqual(new Set(['direct', 'session']))
  })
})

describe('a native call that nobody awaits', () => {
  test('is delivered, and its failure is told and counted', async () => {
    const { root, failures, stats } = open()
    void root.fail()
    await turns()
    expect(stats.unawaitedFailures).toBe(1)
    expect(failures[0]).toMatchObject({ code: 'BROKEN' })
  })
  test('and is lost is told of', async () => {
    const { root, failures } = open(() => Promise.reject(new Error('Network connection lost.')))
    void root.add(1)
    await turns()
    expect(failures[0]).toMatchObject({ code: 'OBJECT_UNREACHABLE' })
  })
})

describe('a reference', () => {
  test('tells how it came to be, as data', () => {
    const { peer } = pair(new Counter())
    const ports = {
      endOfTurn: () => {},
      departures: new Departures(),
      keepAlive: () => {},
      timer: () => () => {},
      bytePipe,
      newSession: () => 's',
      detached: <T>(work: () => T) => work(),
    }
    const link = new Link(
      () => peer,
      { ...ports, caller: () => ({ context: undefined, origin: { depth: 1 } }), unawaitedFailure: () => {}, peerAt: () => peer },
      newLinkStats(),
      {},
      { noun: 'Counter', name: 'a' },
    )
    const root = link.root() as never as { box(n: number): { door: { open(): unknown } }; say(callback: () => void): object }
    expect(describeRef(root)).toEqual({ noun: 'Counter', name: 'a', path: [] })
    expect(describeRef(root.box(1).door.open())).toEqual({ noun: 'Counter', name: 'a', path: [['box', [1]], ['door'], ['open', []]] })
    expect(describeRef(root.say(() => {}))).toBeUndefined()
    expect(describeRef({})).toBeUndefined()
  })
})

describe('a call that is awaited', () => {
  test('while it is alone leaves without waiting for a turn of the event loop', async () => {
    const { root, kinds } = open()
    let turned = false
    setImmediate(() => (turned = true))
    await root.add(1)
    expect(turned).toBe(false)
    expect(kinds).toEqual(['direct'])
  })
  test('leaves with what is called beside it, a few steps of promises later', async () => {
    const { root, kinds, stats } = open()
    const later = async (steps: number) => {
      for (let step = 0; step < steps; step++) await Promise.resolve()
      return (await root.add(steps)) as number
    }
    await Promise.all([later(0), later(5), later(20)])
    expect(kinds).toEqual(['direct'])
    expect(stats.messages).toBe(1)
  })
})
