/** Lines of calls on what calls have given, frame by frame. What they do for programs is in order.test.ts and programs.property.test.ts. */
import { RpcPromise, RpcSession, RpcStub, RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import type { Frame } from '../../src/rpc/frames.ts'
import { Lines, marked, Marking, type Mark } from '../../src/rpc/lines.ts'
import { insideOf, neverMade, rawOf } from '../../src/rpc/passing-on.ts'

const push = (id: number, path: (string | number)[], ...args: unknown[]): Frame => ['push', ['pipeline', id, path, args]]
const read = (id: number, path: string[]): Frame => ['push', ['pipeline', id, path]]

/** Has a receiver take frames of one message, some of them marked. */
const placed = (lines: Lines, ...frames: (Frame | [Mark, Frame])[]): readonly Frame[] => {
  const marks = new Map<Frame, Mark>()
  const all = frames.map((it) => {
    if (!Array.isArray(it[1]) || it[0] === 'push') return it as Frame
    const [mark, frame] = it as [Mark, Frame]
    marks.set(frame, mark)
    return frame
  })
  return lines.placed(all, marks)
}
/** The line and number that a frame has got; `undefined` where it is as it came. */
const placeOf = (frame: Frame | undefined): [string, number] | undefined => {
  const [, , [name], args] = (frame as unknown as [string, [string, number, [string], unknown[]]])[1]
  return name === 'dotdo:behind' ? (args.slice(0, 2) as [string, number]) : undefined
}

class Noting extends RpcTarget {
  readonly notes: unknown[] = []
  note(value: unknown) {
    return this.notes.push(value)
  }
}

/** The lines of a session whose capabilities these are. */
const linesOf = (capabilities: Record<number, object> = {}) => {
  const stubs = Object.fromEntries(
    Object.entries(capabilities).map(([id, it]) => [id, it instanceof Promise ? new RpcPromise(it as never) : new RpcStub(it as never)]),
  )
  const delivered: Frame[] = []
  const lines = new Lines({
    exported: (id) => stubs[id] && rawOf(stubs[id]).hook,
    deliver: (frames) => void delivered.push(...frames),
  })
  const session = new RpcSession({ send: async () => {}, receive: () => new Promise(() => {}), abort: () => {} })
  lines.watch(insideOf(session))
  return { lines, delivered, gives: () => void insideOf(session).exportStub(rawOf(new RpcStub(new Noting())).hook) }
}

describe('lines', () => {
  test('leave frames as they came while nothing waits', () => {
    const { lines } = linesOf()
    const frames = [push(-1, ['add'], 1), push(3, ['add'], 2), read(-1, ['count'])]
    expect(placed(lines, ...frames)).toEqual(frames)
    expect(lines.open).toBe(0)
  })

  test('take later calls and reads on the same reference behind one that waits, and none on another', () => {
    const { lines } = linesOf()
    const [first, other, second, count] = placed(
      lines,
      ['results', push(-1, ['add'], ['pipeline', 4])],
      push(-2, ['add'], 1),
      push(-1, ['add'], 2),
      read(-1, ['count']),
    )
    expect([first, other, second, count].map(placeOf)).toEqual([['[-1]', 0], undefined, ['[-1]', 1], ['[-1]', 2]])
    // Another message finds the line that stands.
    expect(placeOf(placed(lines, push(-1, ['add'], 3))[0])).toEqual(['[-1]', 3])
  })

  test('know a call that a step makes by what it is made on, and a function by the data in which it stands', () => {
    const once = (target: unknown, method: string | null = 'add', ...args: unknown[]): Frame =>
      push(0, ['dotdo:onceOf'], target, 'key', 0, 0, null, method, [args])
    const { lines } = linesOf()
    const frames = placed(
      lines,
      ['results', once(['import', -1])],
      push(-1, ['add'], 2),
      once(['pipeline', -1]),
      once({ add: ['import', -1] }),
      once([[1, ['import', -1]]], '1'),
      once(['import', -2]),
      once(['promise', -1]),
      once({ other: ['import', -1] }),
      push(0, ['dotdo:once'], 'key'),
    )
    const first = [0, 1, 2, 3, 4].map((n) => ['[-1]', n])
    expect(frames.map(placeOf)).toEqual([...first, undefined, undefined, undefined, undefined])
    // What is read of a promise is the same as its place in it.
    const [waits, behind] = placed(lines, ['results', once(['pipeline', 20, ['a']])], push(20, ['a', 'add'], 1))
    expect([waits, behind].map(placeOf)).toEqual([
      ['[20,"a"]', 5],
      ['[20,"a"]', 6],
    ])
  })

  test('give others no place, and have nobody wait for what the caller keeps itself', async () => {
    const target = new Noting()
    const { lines } = linesOf({ [-1]: target })
    const [, others, own, last] = placed(
      lines,
      ['results', push(-1, ['note'], ['pipeline', 4])],
      ['others', push(-1, ['note'], 1)],
      ['own', push(-1, ['note'], ['promise', -7])],
      push(-1, ['note'], 2),
    )
    expect([others, own, last].map(placeOf)).toEqual([undefined, ['[-1]', 1], ['[-1]', 2]])
    const late = lines.behind('[-1]', 2, -1, ['note'], ['last'])
    expect(target.notes).toEqual([])
    await lines.behind('[-1]', 0, -1, ['note'], ['first'])
    await late
    expect(target.notes).toEqual(['first', 'last'])
    // The caller's own is still to come, and no line stands for it.
    expect(lines.open).toBe(0)
    await lines.behind('[-1]', 1, -1, ['note'], ['own'])
    expect(target.notes).toEqual(['first', 'last', 'own'])
  })

  test('know a capability by where it stood in an answer, whether or not a line stood then, and a read by what it reads', () => {
    const { lines, gives } = linesOf()
    gives()
    lines.said(['resolve', 5, { a: ['export', -3], list: [[['export', -4]]] }])
    const [part, , same, element, sameElement] = placed(
      lines,
      ['results', push(5, ['a', 'add'], ['pipeline', 4])],
      read(5, ['a']),
      push(-3, ['add'], 1),
      ['results', push(-4, ['add'], ['pipeline', 6])],
      push(5, ['list', 0, 'add'], 1),
    )
    expect(placeOf(part)![0]).toBe('[5,"a"]')
    expect(placeOf(same)![0]).toBe('[5,"a"]')
    expect(placeOf(element)![0]).toBe(placeOf(sameElement)![0])
    // The read was call number 2, and its answer is the same reference.
    gives()
    lines.said(['resolve', 2, ['export', -7]])
    expect(placeOf(placed(lines, push(-7, ['add'], 1))[0])![0]).toBe('[5,"a"]')
  })

  test('end when all calls in them have begun, or cannot be made, and keep until then what these are made on', async () => {
    const target = new Noting()
    const { lines, delivered } = linesOf({ [-1]: target })
    placed(lines, ['results', push(-1, ['note'], ['pipeline', 4])], push(-1, ['note'], 2))
    const [other] = placed(lines, ['release', -1, 1], ['release', -2, 1])
    expect(other).toEqual(['release', -2, 1])
    expect(lines.open).toBe(1)
    const late = lines.behind('[-1]', 1, -1, ['note'], [2])
    lines.behind[neverMade](['[-1]', 0])
    await late
    expect(target.notes).toEqual([2])
    expect(lines.open).toBe(0)
    expect(delivered).toEqual([['release', -1, 1]])
  })

  test.each<[string, (target: Noting) => Promise<unknown>]>([
    ['has come', (target) => Promise.resolve(target)],
    ['comes later', (target) => new Promise((resolve) => setImmediate(() => resolve(target)))],
    ['has failed', () => Promise.reject(new Error('no'))],
  ])('make a call on a promise before one on the capability that it gives, where that %s', async (_, keeps) => {
    const target = new Noting()
    const promise = keeps(target)
    promise.catch(() => {})
    const { lines, gives } = linesOf({ [-1]: target, 4: promise })
    gives()
    lines.said(['resolve', 4, ['export', -1]])
    placed(lines, ['results', push(4, ['note'], ['pipeline', 7])], ['results', push(-1, ['note'], ['pipeline', 8])])
    await new Promise(setImmediate)
    // Both arguments come at once.
    const first = lines.behind('[4]', 0, 4, ['note'], ['first']) as Promise<unknown>
    const second = lines.behind('[4]', 1, -1, ['note'], ['second'])
    const hasFailed = await Promise.resolve(first).then(
      () => false,
      () => true,
    )
    await second
    expect(target.notes).toEqual(hasFailed ? ['second'] : ['first', 'second'])
    expect(lines.open).toBe(0)
  })

  test('make calls where they are made: on data itself, and not on a copy', async () => {
    const data = {
      count: 0,
      inc(by: number) {
        return (this.count += by)
      },
    }
    const { lines } = linesOf({ 5: data })
    expect(await lines.behind('[5]', 0, 5, ['inc'], [2])).toBe(2)
    await expect(Promise.resolve(lines.behind('[5]', 1, 5, ['nope'], []))).rejects.toThrow("'nope'")
    expect(() => lines.behind('[6]', 2, 6, ['nope'], [])).toThrow('disposed')
  })
})

test('a caller tells the positions of its marked frames, and nothing of others', () => {
  const session = new RpcSession({ send: async () => {}, receive: () => new Promise(() => {}), abort: () => {} })
  const marking = new Marking(insideOf(session), { queued: [] })
  const [a, b, c] = [push(-1, ['add'], 1), push(-1, ['add'], 2), push(-1, ['add'], 3)]
  expect(marking.of([a, b])).toBeUndefined()
  marking.set(a, 'results')
  marking.set(c, 'own')
  expect(marking.of([b, a, c])).toEqual({ results: [1], own: [2] })
  expect(marking.of([b])).toBeUndefined()
  // What is marked that is not there is nothing.
  expect(marked({ frames: [a, b], marks: { results: [1, 7, -1] } })).toEqual(new Map([[b, 'results']]))
})
