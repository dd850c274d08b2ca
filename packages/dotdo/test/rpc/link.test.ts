import { RpcTarget, type RpcStub } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { linkVersion } from '../../src/rpc/frames.ts'
import { DotdoError } from '../../src/base/errors.ts'
import { pair, turns } from './pair.ts'

class Stage extends RpcTarget {
  #name: string
  log: unknown[]
  constructor(name: string, log: unknown[]) {
    super()
    this.#name = name
    this.log = log
  }
  get name() {
    return this.#name
  }
  run(batch: number[]) {
    this.log.push(['run', this.#name, batch])
    return batch.map((n) => n * 2)
  }
}

class Pipeline extends RpcTarget {
  log: unknown[] = []
  release = Promise.withResolvers<void>()
  getStage(n: number) {
    this.log.push(['getStage', n])
    return new Stage(`stage ${n}`, this.log)
  }
  stages(count: number) {
    return Array.from({ length: count }, (_, i) => new Stage(`stage ${i}`, this.log))
  }
  echo<T>(value: T): T {
    this.log.push(['echo', value])
    return value
  }
  async slow() {
    await this.release.promise
    return 'slow'
  }
  fail(): never {
    throw new DotdoError('BROKEN', 'it broke', { data: { part: 7 }, retryable: true, cause: new Error('secret cause') })
  }
  sum(numbers: number[]) {
    return numbers.reduce((a, b) => a + b, 0)
  }
  async each(count: number, callback: (n: number) => Promise<number>) {
    let total = 0
    for (let i = 0; i < count; i++) total += await callback(i)
    return total
  }
}

function open(options?: Parameters<typeof pair>[1]) {
  const main = new Pipeline()
  const ends = pair(main, options)
  const root = () => ends.link.root() as unknown as RpcStub<Pipeline>
  return { main, ...ends, root }
}

describe('one turn is one message', () => {
  test('a chain of calls takes one round trip', async () => {
    const { root, stats } = open()
    expect(await root().getStage(0).run([1, 2])).toEqual([2, 4])
    expect(stats.messages).toBe(1)
  })

  test('a chain through a getter takes one round trip', async () => {
    const { root, stats } = open()
    expect(await root().getStage(3).name).toBe('stage 3')
    expect(stats.messages).toBe(1)
  })

  test('all calls of a turn leave together, in the order they were made', async () => {
    const { root, stats, main } = open()
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => root().echo(i)))
    expect(answers).toEqual(Array.from({ length: 100 }, (_, i) => i))
    expect(main.log).toEqual(answers.map((i) => ['echo', i]))
    expect(stats).toMatchObject({ messages: 1, calls: 100 })
  })

  test('a result of the same object as an argument costs no trip of its own', async () => {
    const { root, stats } = open()
    const numbers = root().echo([1, 2, 3])
    expect(await root().sum(numbers as unknown as number[])).toBe(6)
    expect(stats.messages).toBe(1)
  })

  test('a root stub works again in a later turn, and the order holds', async () => {
    const { root, stats, main } = open()
    const stub = root()
    await stub.echo(1)
    await turns()
    await stub.echo(2)
    expect(main.log).toEqual([
      ['echo', 1],
      ['echo', 2],
    ])
    expect(stats.messages).toBe(2)
  })

  test('a stage that was taken in one turn is called in another', async () => {
    const { root, main } = open()
    const stage = root().getStage(1)
    await root().echo('in between')
    await turns()
    expect(await stage.run([5])).toEqual([10])
    expect(main.log.filter((entry) => (entry as string[])[0] === 'getStage')).toHaveLength(1)
  })
})

describe('calls that nobody awaits', () => {
  test('are delivered', async () => {
    const { root, main, stats } = open()
    for (let i = 0; i < 10; i++) void root().echo(i)
    await turns()
    expect(main.log).toHaveLength(10)
    expect(stats.messages).toBe(1)
  })

  test('are not run again when they are awaited later, or twice', async () => {
    const { root, main } = open()
    const answer = root().echo('once')
    await turns()
    expect(await answer).toBe('once')
    expect(await answer).toBe('once')
    expect(main.log).toEqual([['echo', 'once']])
  })

  test('have their failures counted and told, and nothing is left unhandled', async () => {
    const { root, failures, stats } = open()
    void root().fail()
    await turns()
    expect(stats.unawaitedFailures).toBe(1)
    expect(failures[0]).toMatchObject({ code: 'BROKEN' })
  })

  test('of a client are pulled by that, and when the session rests where it has forgotten them', async () => {
    const pulls: unknown[][] = []
    const timers: (() => void)[] = []
    const thing = new (class extends RpcTarget {
      notes = 0
      note(entry: string) {
        return `${entry} ${++this.notes}`
      }
    })()
    const it = pair(thing, {
      isRelay: true,
      timer: (_, then) => {
        timers.push(then)
        return () => {}
      },
      carry: (message, send) => {
        if ('frames' in message) pulls.push(message.frames.filter(([kind]) => kind === 'pull').map(([, id]) => id))
        return send()
      },
    })
    const object = it.link.forwarder() as unknown as { note(entry: string): Promise<string> }
    const kept = object.note('kept')
    const forgotten = object.note('forgotten')
    await turns()
    expect(thing.notes).toBe(2)
    expect(pulls).toEqual([[]])
    expect(await kept).toBe('kept 1')
    await turns()
    expect(pulls).toEqual([[], [1]])
    for (let i = 0; i < 3 && pulls.length < 3; i++) {
      for (const then of timers.splice(0)) then()
      await turns()
    }
    expect(pulls[2]).toEqual([2])
    expect(await forgotten).toBe('forgotten 2')
    expect(it.link.isQuiet).toBe(true)
  })

  test('an intermediate of a chain is not sent back', async () => {
    const replies: unknown[] = []
    const { root } = open({
      carry: async (_, send) => {
        const reply = await send()
        if ('frames' in reply) replies.push(...reply.frames)
        return reply
      },
    })
    const big = 'x'.repeat(10_000)
    await root().sum(root().echo([big.length]) as unknown as number[])
    expect(JSON.stringify(replies)).not.toContain('[[10000]]')
    // The answer, and word that the intermediate has reached its call, and that this has begun.
    expect(replies).toHaveLength(3)
  })
})

describe('answers', () => {
  test('a fast answer does not wait for a slower sibling', async () => {
    const { root, main } = open()
    const slow = root().slow()
    let slowIsThere = false
    const watched = Promise.resolve(slow).then((value) => {
      slowIsThere = true
      return value
    })
    expect(await root().echo('fast')).toBe('fast')
    expect(slowIsThere).toBe(false)
    main.release.resolve()
    expect(await watched).toBe('slow')
  })

  test('errors keep code, retryable and data; stacks and causes stay at home', async () => {
    const { root } = open()
    const error = await Promise.resolve(root().fail()).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'BROKEN', message: 'it broke', retryable: true, data: { part: 7 } })
    expect(error).not.toHaveProperty('cause')
    expect((error as Error).stack).not.toContain('Pipeline.fail')
  })

  test('bytes stay bytes, and dates, undefined and big integers come as they are', async () => {
    const { root } = open()
    const value = { bytes: new Uint8Array([1, 2, 255]), at: new Date(5), nothing: undefined, big: 2n ** 70n, list: [[1], [[2]]] }
    expect(await root().echo(value)).toEqual(value)
  })

  test('a callback is called while the call runs', async () => {
    const { root } = open()
    expect(await root().each(4, async (n) => n * 10)).toBe(60)
  })

  test('a promise of one object is an argument of another', async () => {
    const source = open()
    const sink = open()
    expect(await sink.root().sum(source.root().echo([4, 5]) as unknown as number[])).toBe(9)
    expect(source.main.log).toEqual([['echo', [4, 5]]])
  })

  test('a promise that has been answered is an argument of a later call', async () => {
    const { root } = open()
    const stage = root().getStage(0)
    const numbers = root().echo([1, 2])
    expect(await numbers).toEqual([1, 2])
    await turns()
    expect(await stage.run(numbers as unknown as number[])).toEqual([2, 4])
    expect(await root().sum(numbers as unknown as number[])).toBe(3)
  })

  test('.map runs at the far end in one trip', async () => {
    const { root, stats } = open()
    expect(
      await root()
        .stages(1000)
        .map((stage) => stage.name),
    ).toHaveLength(1000)
    expect(stats.messages).toBe(1)
  })
})

describe('ends of sessions', () => {
  test('a plain call leaves no session behind at either end', async () => {
    const { root, server } = open({ limits: { graceMs: 5 } })
    await root().echo(1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(server.openSessions).toBe(0)
  })

  test('the next message ends the sessions before it: turns of several calls keep one', async () => {
    const { root, server } = open()
    for (let i = 0; i < 20; i++) await Promise.all([root().echo(i), root().echo(new URL('http://a/'))])
    expect(server.openSessions).toBe(1)
  })

  test('a retained session is dropped when idle, and says so when it is used again', async () => {
    const { root, server } = open({ limits: { idleMs: 20, graceMs: 5 } })
    const stage = root().getStage(1)
    await stage.run([1])
    for (let i = 0; i < 1000 && server.openSessions > 0; i++) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(server.openSessions).toBe(0)
    await expect(Promise.resolve(stage.run([1]))).rejects.toMatchObject({ code: 'LINK_LOST', retryable: true })
  })

  test('an object keeps so many sessions: no other is opened while each of them is held', async () => {
    const { root, server } = open({ limits: { sessionsPerObject: 2, graceMs: 5 } })
    const [first, second] = [await root().getStage(1), await root().getStage(2)]
    await expect(Promise.resolve(root().getStage(3).name)).rejects.toMatchObject({
      code: 'LINK_LIMIT',
      retryable: false,
      data: { limit: 'sessionsPerObject', value: 3, bound: 2 },
    })
    // What needs no session goes on, and so do those that are there.
    expect([await root().echo(1), await first.name, await second.name]).toEqual([1, 'stage 1', 'stage 2'])
    expect(server.openSessions).toBe(2)
    first[Symbol.dispose]()
    for (let i = 0; i < 1000 && server.openSessions > 1; i++) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(await root().getStage(3).name).toBe('stage 3')
    second[Symbol.dispose]()
  })

  test('sessions to which nothing refers make room for others at once, however many there are', async () => {
    const { server } = open({ limits: { sessionsPerObject: 2, graceMs: 60_000 } })
    const send = (session: string) =>
      server.accept({
        version: linkVersion,
        session,
        seq: 0,
        frames: [
          ['push', ['pipeline', 0, ['echo'], [1]]],
          ['pull', 1],
          ['release', 1, 1],
        ],
      })
    for (let i = 0; i < 5; i++) await send(`s${i}`)
    expect(server.openSessions).toBe(2)
    for (let i = 3; i < 5; i++) await server.accept({ version: linkVersion, session: 'end', seq: 0, frames: [], ended: ['end', `s${i}`] })
    expect(server.openSessions).toBe(0)
  })

  test('a lost call rejects with what it means', async () => {
    const { root } = open({ carry: () => Promise.reject(new Error('Network connection lost.')) })
    await expect(Promise.resolve(root().echo(1))).rejects.toMatchObject({ code: 'OBJECT_UNREACHABLE', retryable: true })
  })

  test.each([
    [
      'Serialized RPC arguments or return values are limited to 32MiB, but the size of this value was: 34000000 bytes.',
      'MESSAGE_TOO_LARGE',
    ],
    ['Could not serialize object of type "Object".', 'NOT_SENDABLE'],
    ['The RPC receiver does not implement the method "dotdoLink".', 'LINK_VERSION'],
  ])('%s: trying again cannot help', async (words, code) => {
    const { root } = open({ carry: () => Promise.reject(new TypeError(words)) })
    await expect(Promise.resolve(root().echo(1))).rejects.toMatchObject({ code, retryable: false })
  })

  test('a message that is lost with calls that nobody awaited is told of, once, with their number', async () => {
    const { root, failures, stats } = open({ carry: () => Promise.reject(new Error('Network connection lost.')) })
    for (let i = 0; i < 7; i++) void root().echo(i)
    await turns()
    expect(failures).toHaveLength(1)
    expect(failures[0]).toMatchObject({ code: 'OBJECT_UNREACHABLE', message: expect.stringContaining('7 calls') })
    expect(stats.unawaitedFailures).toBe(7)
  })

  test('more calls than a message holds leave in several, in their order', async () => {
    const { root, main, stats } = open({ limits: { framesPerMessage: 100 } })
    for (let i = 0; i < 250; i++) void root().echo(i)
    await turns(20)
    expect(main.log).toEqual(Array.from({ length: 250 }, (_, i) => ['echo', i]))
    expect(stats.messages - stats.polls).toBe(3)
  })

  test('the link goes on after a lost call', async () => {
    let lost = false
    const { root } = open({ carry: (_, send) => (lost ? send() : ((lost = true), Promise.reject(new Error('lost')))) })
    await expect(Promise.resolve(root().echo(1))).rejects.toThrow()
    expect(await root().echo(2)).toBe(2)
  })
})

describe('what is not a message', () => {
  test.each([
    [{ version: linkVersion + 1, session: 's', seq: 0, frames: [] }, 'LINK_VERSION'],
    [null, 'LINK_VERSION'],
    [{ version: linkVersion, session: 'gone', seq: 4, frames: [] }, 'LINK_LOST'],
  ])('%j is refused', async (message, code) => {
    const { server } = open()
    await expect(server.accept(message as never)).rejects.toMatchObject({ code })
  })

  test('frames that are not frames end their session and no other', async () => {
    const { server, root } = open()
    await expect(server.accept({ version: linkVersion, session: 'hostile', seq: 0, frames: [['nonsense', 1]] })).rejects.toMatchObject({
      code: 'FRAME_INVALID',
      message: expect.stringContaining('nonsense 1'),
    })
    expect(await root().echo('still here')).toBe('still here')
  })

  test('too many frames are refused by the name of the limit', async () => {
    const { server } = open({ limits: { framesPerMessage: 2 } })
    const frames = Array.from({ length: 3 }, () => ['pull', 0] as ['pull', number])
    await expect(server.accept({ version: linkVersion, session: 's', seq: 0, frames })).rejects.toMatchObject({
      code: 'LINK_LIMIT',
      data: { limit: 'framesPerMessage', value: 3, bound: 2 },
    })
  })
})

describe('sessions that were let go', () => {
  class Kept extends RpcTarget {
    onDispose: () => void
    constructor(onDispose: () => void) {
      super()
      this.onDispose = onDispose
    }
    ping() {
      return 'pong'
    }
    [Symbol.dispose]() {
      this.onDispose()
    }
  }
  class Keeper extends RpcTarget {
    disposed = 0
    callback: (() => unknown) | undefined
    get() {
      return new Kept(() => this.disposed++)
    }
    numbers() {
      return [1, 2, 3]
    }
    square(n: number) {
      return n * n
    }
    keep(callback: (() => unknown) & { dup(): () => unknown }) {
      this.callback = callback.dup()
    }
  }

  test('go on where the object said that nothing was left, and has said since that something is', async () => {
    let callMore: (() => void) | undefined
    const { root } = open({
      carry: async (_message, send) => {
        const reply = await send()
        if (!callMore || !('open' in reply)) return reply
        callMore()
        callMore = undefined
        return { ...reply, open: false }
      },
    })
    const stage = root().getStage(1)
    let more: Promise<unknown> | undefined
    callMore = () => void (more = stage.run([2]).then((it) => it))
    expect(await stage.run([1])).toEqual([2])
    expect(await more).toEqual([4])
    await turns()
    expect(await stage.run([3])).toEqual([6])
  })

  test('end when the last capability of theirs is disposed of, without another call', async () => {
    const keeper = new Keeper()
    const { link, server } = pair(keeper, { limits: { graceMs: 5, idleMs: 600_000 } })
    const root = link.root() as unknown as RpcStub<Keeper>
    {
      using kept = await root.get()
      expect(await kept.ping()).toBe('pong')
      expect(keeper.disposed).toBe(0)
    }
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(server.openSessions).toBe(0)
    expect(keeper.disposed).toBe(1)
  })

  test('do not ask again and again while only a callback is kept', async () => {
    const keeper = new Keeper()
    const { link, stats } = pair(keeper)
    const root = link.root() as unknown as RpcStub<Keeper>
    await root.keep((() => 'called') as never)
    await turns(200)
    expect(stats.messages).toBeLessThan(5)
    expect(await keeper.callback!()).toBe('called')
  })

  test('a map that uses its own object is one message, and one that uses a thousand values too', async () => {
    const { link, stats } = pair(new Keeper())
    const root = link.root() as unknown as {
      numbers(): { map(mapper: (n: never) => unknown): Promise<number[]> }
      square(n: never): unknown
    }
    expect(await root.numbers().map((n) => root.square(n))).toEqual([1, 4, 9])
    expect(stats.messages).toBe(1)
  })

  test('an answer that comes while its pull is queued is not asked for again', async () => {
    const { link, stats } = pair(new Keeper(), { limits: { idleMs: 20 } })
    const root = link.root() as unknown as RpcStub<Keeper>
    const both = [root.square(2), root.square(3)]
    await new Promise((resolve) => setImmediate(resolve))
    expect(await Promise.all(both)).toEqual([4, 9])
    await turns(5)
    expect(stats.messages).toBe(1)
  })
})
