/** What crosses a link is what it was when it was given: an argument at its call, a result at its return, whatever is written to it afterwards. */
import { RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import { linkVersion } from '../../src/rpc/frames.ts'
import { Reached } from '../../src/rpc/reached.ts'
import { describeRef, narrowedRef } from '../../src/rpc/ref.ts'
import { recordGraph } from '../../src/rpc/graph-recorder.ts'
import { refuseOverweight } from '../../src/rpc/shared-parts.ts'
import { sharedParts } from '../conformance/world.ts'
import { pair, turns } from './pair.ts'

class Notes extends RpcTarget {
  log: unknown[] = []
  write(value: unknown) {
    this.log.push(structuredClone(value))
    return this.log.length
  }
}

class Holder extends RpcTarget {
  log: string[] = []
  notes = new Notes()
  #buffer = new Uint8Array(4)
  #big = new Uint8Array(1024 * 1024)
  #state = { n: 0, list: [] as number[] }
  #at = new Date(0)
  #fills = 0
  fill() {
    return this.#buffer.fill(++this.#fills)
  }
  async fillLater() {
    return this.#buffer.fill(++this.#fills)
  }
  fillBig() {
    return this.#big.fill(++this.#fills)
  }
  /** Those that wait fill the same bytes, one after the other when it is opened. */
  open = () => {}
  #line: Promise<unknown> = new Promise<void>((resolve) => (this.open = resolve))
  fillBigInLine() {
    return (this.#line = this.#line.then(() => this.fillBig()))
  }
  add() {
    this.#state.list.push(++this.#state.n)
    return this.#state
  }
  async addLater() {
    return this.add()
  }
  tick() {
    this.#at.setTime(this.#at.getTime() + 1)
    return this.#at
  }
  get broken(): never {
    throw new Error('broken')
  }
  say(text: string) {
    this.log.push(text)
    return text
  }
  part(_query: unknown) {
    return this.notes
  }
  async getNotes() {
    await turns(10)
    return this.notes
  }
}

type Call = (...args: unknown[]) => Promise<unknown> & { write(value: unknown): Promise<number>; list(): unknown }

function open() {
  const main = new Holder()
  const ends = pair(main, { at: { noun: 'Thing', name: 's' } })
  return { main, root: ends.link.root() as unknown as Record<keyof Holder, Call>, ...ends }
}

describe.each(['without a session', 'in a session'])('a result that the next call of its message writes to, %s', (kind) => {
  const opened = () => {
    const ends = open()
    if (kind === 'in a session') ends.link.session()
    return ends.root
  }
  test.each(['fill', 'fillLater'] as const)('bytes of %s()', async (method) => {
    const root = opened()
    expect(await Promise.all([root[method](), root[method]()])).toEqual([Uint8Array.of(1, 1, 1, 1), Uint8Array.of(2, 2, 2, 2)])
  })
  test.each(['add', 'addLater'] as const)('state of %s()', async (method) => {
    const root = opened()
    expect(await Promise.all([root[method](), root[method]()])).toEqual([
      { n: 1, list: [1] },
      { n: 2, list: [1, 2] },
    ])
  })
  test('a date', async () => {
    const root = opened()
    expect(await Promise.all([root.tick(), root.tick()])).toEqual([new Date(1), new Date(2)])
  })
})

test('bulk that the next call of its message writes to, without a session', async () => {
  const { root } = open()
  const answers = (await Promise.all([root.fillBig(), root.fillBig()])) as Uint8Array[]
  expect(answers.map((bytes) => bytes[0])).toEqual([1, 2])
})

describe('bulk that a call of another message writes to', () => {
  const firstBytes = async (...answers: unknown[]) => ((await Promise.all(answers)) as Uint8Array[]).map((bytes) => bytes[0])
  const push = (method: string) => ['push', ['pipeline', 0, [method], []]] as [string, ...unknown[]]
  const pull = (id: number) => ['pull', id] as [string, ...unknown[]]
  const session = ({ server }: ReturnType<typeof open>) => {
    let seq = 0
    return (...frames: [string, ...unknown[]][]) => server.accept({ version: linkVersion, session: 's', seq: seq++, frames })
  }
  const filledWith = (frames: readonly (readonly unknown[])[]) =>
    frames.flatMap(([kind, , value]) => (kind === 'resolve' ? [(value as [string, Uint8Array])[1][0]] : []))

  test('before it is asked for', async () => {
    const send = session(open())
    await send(push('fillBig'))
    await send(push('fillBig'), pull(2))
    expect(filledWith((await send(pull(1))).frames)).toEqual([1])
  })

  test('that had come before those before it', async () => {
    const { server } = open()
    const message = (seq: number) => server.accept({ version: linkVersion, session: 's', seq, frames: [push('fillBig'), pull(seq + 1)] })
    await message(0)
    const replies = await Promise.all([message(2), message(1)])
    expect(replies.flatMap(({ frames }) => filledWith(frames)).toSorted((a, b) => a! - b!)).toEqual([2, 3])
  })

  test.each(['without a session', 'in a session'])('that waits for its end, %s', async (kind) => {
    const { root, link, main } = open()
    if (kind === 'in a session') link.session()
    const one = root.fillBigInLine()
    await turns(2)
    const two = root.fillBigInLine()
    await turns(2)
    main.open()
    expect(await firstBytes(one, two)).toEqual([1, 2])
  })

  test('when it has waited for its turn behind it', async () => {
    const { root, main } = open()
    const late = root.fillBig(root.fillBigInLine())
    await turns(2)
    const behind = root.fillBig()
    await turns(2)
    main.open()
    expect(await firstBytes(late, behind)).toEqual([2, 3])
  })
})

test('bytes and dates of a call on what is not there yet', async () => {
  const { root, main } = open()
  const notes = root.getNotes()
  // Awaited alone, so it has left when its result is called.
  const there = notes.then(() => {})
  for (let step = 0; step < 60; step++) await Promise.resolve()
  const value = { bytes: Uint8Array.of(1), at: new Date(1), list: [1] }
  const written = notes.write(value)
  value.bytes[0] = 2
  value.at.setTime(2)
  value.list.push(2)
  await Promise.all([written, there])
  expect(main.notes.log).toEqual([{ bytes: Uint8Array.of(1), at: new Date(1), list: [1] }])
})

test('a getter that throws fails its own call alone', async () => {
  const { root } = open()
  const failed = (error: Error) => error.message
  expect(await Promise.all([root.say('a'), root.broken(1).catch(failed), root.say('b')])).toEqual(['a', 'broken', 'b'])
})

test('a call does not come before a session’s message that arrived before it', async () => {
  const { server, main } = open()
  const said = [
    ['push', ['pipeline', 0, ['say'], ['session']]],
    ['pull', 1],
  ] as [string, ...unknown[]][]
  await Promise.all([
    server.accept({ version: linkVersion, session: 's', seq: 0, frames: said }),
    server.call({ version: linkVersion, link: 'l', number: 0, origin: { depth: 1 }, calls: [{ method: 'say', args: ['call'] }] }),
  ])
  expect(main.log).toEqual(['session', 'call'])
})

test('a graph of a reference takes no object’s name from the data that the reference was made with', () => {
  const { root } = open()
  const part = root.part({ 'dotdo:ref': [{ noun: 'Vault', name: 'x' }, 'key'] }) as unknown as ReturnType<Call>
  expect(() => recordGraph(() => part.list())).toThrow(expect.objectContaining({ code: 'GRAPH_NOT_DATA' }))
})

describe('how a reference came to be is told with the arguments that were sent', () => {
  const given = () => ({ bytes: Uint8Array.of(1), at: new Date(1), list: [1] })
  /** Writes to all of it. */
  const change = (value: ReturnType<typeof given>) => {
    value.bytes[0] = 2
    value.at.setTime(2)
    value.list.push(2)
    Object.assign(value, { more: true })
  }
  const steps = (ref: unknown) => describeRef(ref)?.path
  test.each(['alone', 'in a session', 'on what a call gives'] as const)('of a call %s', async (kind) => {
    const { root, link } = open()
    if (kind === 'in a session') link.session()
    const value = given()
    const on = kind === 'on what a call gives' ? (root.part({ of: 1 }) as unknown as typeof root) : root
    const part = on.part(value)
    change(value)
    expect(steps(part)!.at(-1)).toEqual(['part', [given()]])
    await turns()
    expect(steps(part)!.at(-1)).toEqual(['part', [given()]])
    // And who is told may write to it as well.
    change(steps(part)!.at(-1)![1]![0] as ReturnType<typeof given>)
    expect(steps(part)!.at(-1)).toEqual(['part', [given()]])
    await Promise.allSettled([part])
  })
  test('of a narrowed and of a restored one, which send them again in each turn', () => {
    const { root, link } = open()
    const only = ['list']
    const restored = new Reached(link, 'narrow', [{ only }]).root()
    const narrowed = narrowedRef(root.part(1), [{ only }])
    only.push('write')
    expect(steps(restored)).toEqual([['dotdo:narrow', [{ only: ['list'] }]]])
    expect(steps(narrowed)!.at(-1)).toEqual(['dotdo:narrow', [{ only: ['list'] }]])
  })
  test('of a call whose arguments were no data, whatever became of them: it is not told', async () => {
    const { root } = open()
    const value: { f?: unknown } = { f: () => 1 }
    const part = root.part(value)
    delete value.f
    expect(steps(part)).toBeUndefined()
    await Promise.allSettled([part])
  })
  test('of a narrowed and of a restored one, which no graph takes without what they are narrowed by', () => {
    const { root, link } = open()
    const narrowed = new Reached(link, 'narrow', [{ only: ['say'] }]).root() as unknown as typeof root
    const restored = new Reached(link, 'restore', ['token']).root() as unknown as typeof root
    const part = narrowedRef(root.part(1), [{ only: ['list'] }]) as unknown as ReturnType<Call>
    const graphs = [
      () => narrowed.add(),
      () => restored.part(1),
      () => root.say(narrowed.add()),
      () => root.say(restored),
      () => part.list(),
    ]
    for (const calls of graphs)
      expect(() => recordGraph(calls)).toThrow(
        expect.objectContaining({ code: 'GRAPH_NOT_DATA', data: { what: 'a narrowed or restored reference' } }),
      )
  })
  test('of a graph that goes on from there', () => {
    const { root } = open()
    const value = given()
    const part = root.part(value) as unknown as ReturnType<Call>
    change(value)
    expect(recordGraph(() => part.list()).nodes[0]!.args).toEqual([given()])
  })
})

test.each(['without a session', 'in a session', 'on what is not there yet'])(
  'arguments that no message can hold are refused at once, %s',
  async (kind) => {
    const { root, link } = open()
    if (kind === 'in a session') link.session()
    const say = (value: unknown) =>
      kind === 'on what is not there yet' ? (root.getNotes() as unknown as ReturnType<Call>).write(value) : root.say(value)
    const refused = (value: unknown) =>
      expect((async () => await say(value))()).rejects.toMatchObject({ code: 'LINK_LIMIT', data: { limit: 'messageBytes' } })
    await refused(sharedParts(60))
    await refused([sharedParts(60), () => 1])
    expect(await root.say('a')).toBe('a')
  },
)

test('a graph of arguments that no message can hold is refused at once', () => {
  const { root } = open()
  expect(() => recordGraph(() => root.say(sharedParts(60)))).toThrow(expect.objectContaining({ code: 'LINK_LIMIT' }))
})

test('a value is weighed at every place in which its parts stand, and each part is looked at once', () => {
  const mebibyte = 'x'.repeat(1024 * 1024)
  const part = { text: mebibyte, rows: Array.from({ length: 260_000 }, () => 0) }
  expect(() => refuseOverweight([part, part, { part }])).not.toThrow()
  expect(() => refuseOverweight(Array.from({ length: 30 }, () => part))).toThrow(expect.objectContaining({ code: 'LINK_LIMIT' }))
  const circle: unknown[] = [part]
  circle.push(circle)
  // That it is a circle, capnweb says.
  expect(() => refuseOverweight(circle)).not.toThrow()
})
