/** Lines of calls on what calls have given, frame by frame. What they do for programs is in order.test.ts and programs.property.test.ts. */
import { RpcStub, RpcTarget } from 'capnweb'
import { describe, expect, test } from 'vitest'
import type { Frame } from '../../src/rpc/frames.ts'
import { Lines, MarkedFrames, type Mark } from '../../src/rpc/lines.ts'
import { neverMade } from '../../src/rpc/passing-on.ts'

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

describe('lines', () => {
  test('leave frames as they came while nothing waits', () => {
    const lines = new Lines()
    const frames = [push(-1, ['add'], 1), push(3, ['add'], 2), read(-1, ['count'])]
    expect(placed(lines, ...frames)).toEqual(frames)
    expect(lines.open).toBe(0)
  })

  test('take later calls and reads on the same reference behind one that waits, and none on another', () => {
    const lines = new Lines()
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

  test('give others no place, and have nobody wait for what the caller keeps itself', async () => {
    const lines = new Lines()
    const [, others, own, last] = placed(
      lines,
      ['results', push(-1, ['note'], ['pipeline', 4])],
      ['others', push(-1, ['note'], 1)],
      ['own', push(-1, ['note'], ['promise', -7])],
      push(-1, ['note'], 2),
    )
    expect([others, own, last].map(placeOf)).toEqual([undefined, ['[-1]', 1], ['[-1]', 2]])
    const target = new Noting()
    using on = new RpcStub(target)
    const late = lines.behind('[-1]', 2, 'note', ['last'], on)
    expect(target.notes).toEqual([])
    await lines.behind('[-1]', 0, 'note', ['first'], on)
    await late
    expect(target.notes).toEqual(['first', 'last'])
    // The caller's own is still to come, and no line stands for it.
    expect(lines.open).toBe(0)
    await lines.behind('[-1]', 1, 'note', ['own'], on)
    expect(target.notes).toEqual(['first', 'last', 'own'])
  })

  test('know a capability by where it stood in the answer on which the line stands', () => {
    const lines = new Lines()
    placed(lines, ['results', push(5, ['a', 'add'], ['pipeline', 4])])
    lines.said(['resolve', 5, { a: ['export', -3], list: [[['export', -4]]] }])
    const [same, element, sameElement] = placed(
      lines,
      push(-3, ['add'], 1),
      ['results', push(-4, ['add'], ['pipeline', 6])],
      push(5, ['list', 0, 'add'], 1),
    )
    expect(placeOf(same)![0]).toBe('[5,"a"]')
    expect(placeOf(element)![0]).toBe(placeOf(sameElement)![0])
  })

  test('end when all calls in them have begun, or cannot be made', async () => {
    const lines = new Lines()
    placed(lines, ['results', push(-1, ['note'], ['pipeline', 4])], push(-1, ['note'], 2))
    expect(lines.open).toBe(1)
    const target = new Noting()
    using on = new RpcStub(target)
    const late = lines.behind('[-1]', 1, 'note', [2], on)
    lines.behind[neverMade](['[-1]', 0])
    await late
    expect(target.notes).toEqual([2])
    expect(lines.open).toBe(0)
  })

  test('make calls on parts of data, and tell what is not there', async () => {
    const lines = new Lines()
    const target = new Noting()
    expect(await lines.behind('[5]', 0, 'note', [1], { note: (n: number) => target.note(n) })).toBe(1)
    await expect(Promise.resolve(lines.behind('[5]', 1, 'other', [1], { note: 1 }))).rejects.toThrow()
  })
})

test('a caller tells the positions of its marked frames, and nothing of others', () => {
  const marked = new MarkedFrames()
  const [a, b, c] = [push(-1, ['add'], 1), push(-1, ['add'], 2), push(-1, ['add'], 3)]
  expect(marked.of([a, b])).toBeUndefined()
  marked.set(a, 'results')
  marked.set(c, 'own')
  expect(marked.of([b, a, c])).toEqual({ results: [1], own: [2] })
})
