/**
 * What is known to go wrong with capnweb, with native stubs, and between the two; and what the user of a link sees instead.
 *
 * | hazard | the test that shows what happens here |
 * |---|---|
 * | a batch never ends when a callback is called | a callback is called and the call ends |
 * | a batch never ends when a local promise comes after the flush | a local promise that comes late is waited for |
 * | a batch never ends when a Blob is passed | a Blob is an argument like another |
 * | a batch cuts streams off | a stream arrives to its end |
 * | a batch returns before calls that nobody awaits have ended | a call that nobody awaits ends, and its failure is told |
 * | the cost of a chain is quadratic in its depth | a chain that is too deep is refused by name |
 * | `p[0]` and `p.length` of a list give undefined | an element of a list that is not there yet is there, and so is its length |
 * | `${x}` in a `.map` is "[object RpcPromise]" | no text is made of what is not there yet |
 * | bytes in a `.map` stay base64 | bytes in a recording are bytes |
 * | one failing element rejects a whole `.map` | one failing element fails the whole, by its own error, and nothing else |
 * | a method that returns another's promise costs a round trip more | a method that returns the promise of another object is one message |
 * | one message that is too large ends the session | a message that is too large fails its own turn |
 * | 1,000 chains leave 2,001 exports | a thousand chains that nobody disposes of leave nothing once the link is idle |
 * | flow control never wakes on a coarse clock | a stream flows while the clock stands still |
 * | no limit on exports, chains and calls | each limit is refused by its name |
 * | a native stub costs one trip a step | a chain of ten is one message |
 * | a native promise cannot be an argument | a promise is an argument in the same message |
 * | a promise of capnweb arrives natively as a wrong text | a promise of another object arrives as what it gives |
 * | Map and Set fail as results | a Map is refused with the code NOT_SENDABLE, and the link goes on |
 * | methods named `map`, `dup`, `then` are shadowed | a method by a name that stubs keep for themselves is refused when it is defined (test/object/definition.test.ts) |
 * | two batches whose promises are each other's arguments deadlock | two objects take each other's promises as arguments |
 */
import { RpcPromise, RpcTarget } from 'capnweb'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Far } from '../conformance/kit.ts'
import { ends } from '../conformance/links.ts'
import { collected, newWorld, streamOf } from '../conformance/world.ts'
import { pair, turns } from './pair.ts'

const open = () => ends(newWorld())
const refusal = (of: string) => expect.objectContaining({ code: 'NOT_A_VALUE', data: { of } }) as Error
const failure = (call: PromiseLike<unknown>) =>
  Promise.resolve(call).then(
    (value) => ({ answered: value }),
    (error: unknown) => error as Error & { code?: string },
  )

describe('what never ends in a batch', () => {
  test('a callback is called and the call ends', async () => {
    expect(
      await open()
        .root()
        .call((n: number) => n + 1, 4),
    ).toBe(5)
  })

  test('a local promise that comes late is waited for', async () => {
    const late = new RpcPromise(new Promise((resolve) => setTimeout(resolve, 30, 5)) as Far) as Far
    expect(await open().root().square(late)).toBe(25)
  })

  test('a promise of the program is waited for, wherever it stands, and fails the call where it fails', async () => {
    const root = open().root()
    const late = <T>(value: T) => new Promise<T>((resolve) => setImmediate(() => resolve(value)))
    expect(await root.square(late(5))).toBe(25)
    expect(await root.square((async () => 6)())).toBe(36)
    const failing = Promise.reject(Object.assign(new Error('no'), { code: 'NO' }))
    await expect(Promise.resolve(root.square(failing))).rejects.toMatchObject({ code: 'NO' })
    // Left as they were.
    const given = { at: [late(1), { deep: late(2) }] }
    expect(await root.echo(given)).toEqual({ at: [1, { deep: 2 }] })
    expect(given.at[0]).toBeInstanceOf(Promise)
  })

  test('a Blob is an argument like another', async () => {
    expect(
      await open()
        .root()
        .textOf(new Blob(['hello'], { type: 'text/plain' })),
    ).toBe('text/plain|hello')
  })

  test('a stream arrives to its end', async () => {
    const world = open().root()
    expect(await collected(await world.stream(300))).toHaveLength(300)
    expect(await world.collect(streamOf([1, 2, 3]))).toEqual([1, 2, 3])
  })

  test('a call that nobody awaits ends, and its failure is told', async () => {
    const { root, failures, stats } = open()
    void root().note('heard')
    await turns()
    void root().failLater('coded')
    await turns()
    expect(await root().noted()).toEqual(['heard'])
    expect(failures).toMatchObject([{ code: 'TOO_FAR' }])
    expect(stats.unawaitedFailures).toBe(1)
  })
})

describe('what a chain costs', () => {
  test('a chain that is too deep is refused by name', async () => {
    const { link } = pair(newWorld(), { limits: { chainDepth: 20 } })
    let end = (link.root() as Far).counter(0)
    for (let i = 0; i < 30; i++) end = end.plus(1)
    expect(await failure(end.value)).toMatchObject({ code: 'LINK_LIMIT', data: { limit: 'chainDepth', bound: 20 } })
  })

  test('a chain of ten is one message', async () => {
    const { root, stats } = open()
    let end = root().counter(0)
    for (let i = 0; i < 9; i++) end = end.plus(1)
    expect(await end.value).toBe(9)
    expect(stats.messages).toBe(1)
  })

  test('a promise is an argument in the same message', async () => {
    const { root, stats } = open()
    expect(await root().square(root().square(2))).toBe(16)
    expect(stats.messages).toBe(1)
  })

  test('a method that returns the promise of another object is one message', async () => {
    const far = open()
    class Between extends RpcTarget {
      ask(n: number) {
        return far.root().square(n)
      }
    }
    const { root, stats } = ends(new Between())
    expect(await root().ask(5)).toBe(25)
    expect([stats.messages, far.stats.messages]).toEqual([1, 1])
  })
})

describe('what is not there yet', () => {
  test('an element of a list that is not there yet is there, and so is its length', async () => {
    const world = open().root()
    const numbers = world.numbers(3)
    expect(await Promise.all([numbers[1], numbers.length])).toEqual([1, 3])
    // The list itself has both.
    const list = await numbers
    expect([list[0], list.length]).toEqual([0, 3])
  })

  test('no text is made of what is not there yet', async () => {
    const world = open().root()
    // oxlint-disable-next-line typescript/restrict-template-expressions
    expect(() => world.numbers(2).map((n: Far) => world.greet(`number ${n}`))).toThrow(refusal('the result of a call'))
    // What it says is what was written.
    // oxlint-disable-next-line typescript/restrict-template-expressions, typescript/no-base-to-string
    expect(() => `${world}`).toThrow(refusal('a reference'))
    // oxlint-disable-next-line typescript/restrict-template-expressions
    expect(() => `${world.counter(1).plus(2).value}`).toThrow(refusal('a reference.counter().plus().value'))
    expect(() => JSON.stringify({ counter: world.counter(1) })).toThrow(refusal('a reference.counter()'))
    // Asked for by name it is what it is with capnweb.
    expect([String(world.toString()), world.square(1).toString()]).toEqual(['[object RpcStub]', '[object RpcPromise]'])
    // What is passed on is the value.
    expect(await world.numbers(2).map((n: Far) => world.greet(n))).toEqual(['hello 0', 'hello 1'])
  })

  test('bytes in a recording are bytes', async () => {
    const world = open().root()
    expect(await world.numbers(1).map((n: Far) => world.shown(n, Uint8Array.of(1, 2)))).toEqual(['0; Uint8Array(1 2)'])
  })

  test('one failing element fails the whole, by its own error, and nothing else', async () => {
    const world = open().root()
    const sibling = world.square(3)
    expect(await failure(world.numbers(5).map((n: Far) => world.failAt(n, 3)))).toMatchObject({
      message: 'failed at 3',
      name: 'RangeError',
    })
    expect(await sibling).toBe(9)
  })
})

describe('what becomes too much', () => {
  test('a message that is too large fails its own turn', async () => {
    let large = false
    const { link } = pair(newWorld(), {
      carry: (_, send) =>
        large
          ? Promise.reject(
              new TypeError(
                'Serialized RPC arguments or return values are limited to 32MiB, but the size of this value was: 34000000 bytes.',
              ),
            )
          : send(),
    })
    const world = link.root() as Far
    const counter = await world.counter(1)
    large = true
    expect(await failure(world.square(2))).toMatchObject({ code: 'MESSAGE_TOO_LARGE', retryable: false })
    large = false
    expect(await world.square(2)).toBe(4)
    expect(await counter.increment()).toBe(2)
  })

  test('a thousand chains that nobody disposes of leave nothing once the link is idle', async () => {
    const link = open()
    const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => link.root().counter(i).increment()))
    expect(answers.at(-1)).toBe(1000)
    await link.empty()
  })

  test('each limit is refused by its name', async () => {
    const calls = pair(newWorld(), { limits: { callsPerSession: 10 } })
    const many = Array.from({ length: 20 }, (_, i) => (calls.link.root() as Far).counter(i))
    expect(await failure(many.at(-1))).toMatchObject({ code: 'LINK_LIMIT', data: { limit: 'callsPerSession', bound: 10 } })
  })

  test('a Map is refused with the code NOT_SENDABLE, and the link goes on', async () => {
    const world = open().root()
    for (const refused of [() => world.unsendable(), () => world.echo(new Set([1]))]) {
      const error = await failure((async () => (await refused()) as unknown)())
      expect(error).toMatchObject({
        code: 'NOT_SENDABLE',
        retryable: false,
        message: expect.stringMatching(/ (?:Map|Set)\. Pass plain data.*RpcTarget/),
      })
    }
    expect(await world.square(2)).toBe(4)
  })
})

describe('clocks', () => {
  afterEach(() => void vi.restoreAllMocks())

  test('a stream flows while the clock stands still', async () => {
    vi.spyOn(Date, 'now').mockReturnValue(1_700_000_000_000)
    vi.spyOn(performance, 'now').mockReturnValue(1000)
    const world = open().root()
    // More than capnweb's first window of 256 KiB.
    const chunks = (await collected(await world.bytes(64, 65_536))) as Uint8Array[]
    expect(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0)).toBe(64 * 65_536)
    expect(await world.byteCount(streamOf(Array.from({ length: 64 }, () => new Uint8Array(65_536))))).toBe(64 * 65_536)
  })
})

describe('several objects', () => {
  test('a promise of another object arrives as what it gives', async () => {
    const [one, other] = [open(), open()]
    expect(await other.root().shown(one.root().square(3), one.root().label)).toBe('9; "world"')
  })

  test('two objects take each other’s promises as arguments', async () => {
    const [one, other] = [open().root(), open().root()]
    expect(await Promise.all([other.square(one.square(2)), one.square(other.square(3))])).toEqual([16, 81])
  })
})
