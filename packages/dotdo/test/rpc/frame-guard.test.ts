/** The guard before capnweb: what it counts, what it refuses alone, and what ends a session. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FrameGuard } from '../../src/rpc/frame-guard.ts'
import type { Frame } from '../../src/rpc/frames.ts'
import { defaultClientLimits, type SessionLimits } from '../../src/rpc/limits.ts'

const guard = (limits: Partial<SessionLimits> = {}, stranger = true) =>
  new FrameGuard({ limits: { ...defaultClientLimits, ...limits }, caller: 'a client', stranger })
const call = (from: number, method: string, ...args: unknown[]): Frame => ['push', ['pipeline', from, [method], args]]
const reasonOf = (frame: Frame | undefined) => (frame![2] as [string, string, string, null, { code: string; data: { limit: string } }])[4]
const thrown = (work: () => unknown): unknown => {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

describe('what it counts', () => {
  test('a call is there from its frame to its release, and under way from its pull to its answer', () => {
    const it = guard()
    it.look([call(0, 'a'), call(1, 'b')])
    expect([it.calls, it.underWay, it.work, it.hasUnpulled]).toEqual([2, 0, 0, true])
    it.look([
      ['pull', 1],
      ['pull', 2],
      ['pull', 2],
    ])
    expect([it.calls, it.underWay, it.work, it.hasUnpulled]).toEqual([2, 2, 2, false])
    it.sent(['resolve', 2, 1])
    it.sent(['resolve', 2, 1])
    expect([it.underWay, it.work]).toEqual([1, 1])
    it.look([['release', 1, 1]])
    it.look([['release', 2, 1]])
    expect([it.calls, it.underWay, it.work]).toEqual([0, 0, 0])
  })

  test('a chain that is under way weighs with the square of its depth', () => {
    const it = guard()
    it.look(Array.from({ length: 100 }, (_, i) => call(i, 'a')))
    it.look([['pull', 100]])
    expect(it.work).toBe(626)
    it.sent(['resolve', 100, 1])
    expect(it.work).toBe(0)
  })

  test('a chunk of a stream is gone with its answer, a pipe with its release', () => {
    const it = guard()
    it.look([['pipe'], ['stream', ['pipeline', 1, ['write'], [1]]]])
    expect([it.calls, it.underWay]).toEqual([2, 1])
    it.sent(['resolve', 2, undefined])
    expect([it.calls, it.underWay]).toEqual([1, 0])
    it.look([['release', 1, 1]])
    expect(it.calls).toBe(0)
  })

  test('any session of calls, answers and releases counts as a list of calls does', () => {
    const act = fc.constantFrom('push', 'pull', 'answer', 'release')
    fc.assert(
      fc.property(fc.array(fc.tuple(act, fc.nat(10)), { maxLength: 100 }), (acts) => {
        const it = guard()
        const model = new Map<number, 'made' | 'pulled' | 'answered'>()
        let next = 1
        for (const [kind, pick] of acts) {
          const id = [...model.keys()][pick % (model.size || 1)]
          if (kind === 'push') {
            it.look([call(0, 'a')])
            model.set(next++, 'made')
          } else if (id === undefined) continue
          else if (kind === 'pull') {
            it.look([['pull', id]])
            if (model.get(id) === 'made') model.set(id, 'pulled')
          } else if (kind === 'answer') {
            if (model.get(id) !== 'pulled') continue
            it.sent(['resolve', id, 0])
            model.set(id, 'answered')
          } else {
            it.look([['release', id, 1]])
            model.delete(id)
          }
        }
        const states = [...model.values()]
        expect([it.calls, it.underWay, it.hasUnpulled]).toEqual([
          states.length,
          states.filter((state) => state === 'pulled').length,
          states.includes('made'),
        ])
      }),
    )
  })

  test('an answer that takes too long becomes an error, once', () => {
    const it = guard({ graphMs: 1000 })
    it.look([call(0, 'a'), call(0, 'b'), ['pull', 1]], 0)
    it.look([['pull', 2]], 500)
    expect(it.overdue(1000)).toEqual([])
    const [late, ...more] = it.overdue(1001)
    expect(more).toEqual([])
    expect(late!.slice(0, 2)).toEqual(['reject', 1])
    expect(reasonOf(late)).toMatchObject({ code: 'LINK_LIMIT', data: { limit: 'graphMs', value: 1001, bound: 1000, caller: 'a client' } })
    expect([it.overdue(1400).length, it.overdue(1501).length, it.underWay]).toEqual([0, 1, 0])
  })
})

describe('what it refuses alone', () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : { in: nested(depth - 1) })
  const list = (depth: number): unknown => (depth === 0 ? 1 : [[list(depth - 1)]])
  const map = (instructions: unknown[], captures: unknown[] = []): Frame => ['push', ['remap', 0, [], captures, instructions]]
  const inner = (level: number): unknown => (level === 0 ? ['pipeline', 0, ['a']] : ['remap', 0, [], [], [inner(level - 1)]])
  test.each<[string, Partial<SessionLimits>, Frame[], number]>([
    ['chainDepth', { chainDepth: 3 }, [call(0, 'a'), call(1, 'a'), call(2, 'a'), call(3, 'a')], 4],
    ['chainDepth', { chainDepth: 3 }, [['push', ['pipeline', 0, ['a', 'b', 'c', 'd'], []]]], 1],
    ['chainWork', { chainWork: 5 }, [call(0, 'a'), call(1, 'a'), call(2, 'a')], 3],
    ['chainWork', { chainWork: 5 }, [call(0, 'a', ...Array.from({ length: 5 }, () => ['pipeline', 0, ['b'], []]))], 1],
    ['nesting', { nesting: 10 }, [call(0, 'a', nested(11))], 1],
    ['nesting', { nesting: 10 }, [call(0, 'a', list(11))], 1],
    ['mapNesting', { mapNesting: 2 }, [map([inner(2)])], 1],
    ['mapInstructions', { mapInstructions: 3 }, [map([1, 2, 3, 4])], 1],
    ['mapInstructions', { mapInstructions: 3 }, [map([1, ['remap', 0, [], [], [1, 2]]])], 1],
    ['nesting', { nesting: 10 }, [map([nested(11)])], 1],
  ])('a call that passes %s (%j)', (limit, limits, frames, id) => {
    const it = guard(limits)
    const { frames: passed, answers } = it.look([...frames, ['pull', id], call(0, 'next'), ['pull', id + 1]])
    expect(answers).toHaveLength(1)
    expect(answers[0]!.slice(0, 2)).toEqual(['reject', id])
    const { code, data } = reasonOf(answers[0])
    expect({ code, data }).toMatchObject({ code: 'LINK_LIMIT', data: { limit, caller: 'a client' } })
    // Its number is taken, its pull does not reach capnweb, and the next call is served.
    expect(passed).toEqual([...frames.slice(0, id - 1), ['push', ['undefined']], call(0, 'next'), ['pull', id + 1]])
    expect(it.underWay).toBe(1)
  })

  test('a value at the bound is not refused', () => {
    const it = guard({ nesting: 10, chainDepth: 3, mapNesting: 2 })
    const frames = [call(0, 'a', nested(9)), call(1, 'b'), call(2, 'c'), map([inner(1)])]
    expect(it.look(frames)).toMatchObject({ frames, answers: [] })
  })

  test.each([true, false])('what refers to a refused call, with the same error (a stranger: %j)', (stranger) => {
    const it = guard({ chainDepth: 1 }, stranger)
    const { frames, answers } = it.look([
      call(0, 'a'),
      call(1, 'b'),
      call(0, 'c', { deep: ['pipeline', 2] }),
      call(0, 'd', [[['import', 3]]]),
      ['pull', 4],
    ])
    expect(frames).toEqual([call(0, 'a'), ['push', ['undefined']], ['push', ['undefined']], ['push', ['undefined']]])
    expect(answers[0]!.slice(0, 2)).toEqual(['reject', 4])
    expect(reasonOf(answers[0])).toMatchObject({ data: { limit: 'chainDepth' } })
  })

  test('a refused chunk of a stream is answered and released at once', () => {
    const it = guard({ nesting: 3 })
    const { frames, answers } = it.look([['pipe'], ['stream', ['pipeline', 1, ['write'], [nested(5)]]]])
    expect(frames).toEqual([['pipe'], ['push', ['undefined']], ['release', 2, 1]])
    expect(answers[0]!.slice(0, 2)).toEqual(['reject', 2])
    expect(it.calls).toBe(1)
  })

  test('the capabilities of a refused call are given back', () => {
    const it = guard({ chainDepth: 1, exportsPerSession: 2 })
    for (let i = 1; i < 10; i++) {
      const { answers } = it.look([['push', ['pipeline', 0, ['a', 'b'], [['export', -i]]]]])
      expect(answers).toEqual([])
      expect(it.needsMore).toBe(false)
    }
    const late = guard({ nesting: 3, exportsPerSession: 2 })
    const { answers } = late.look([call(0, 'a', ['export', -1], nested(5))])
    expect(answers).toEqual([['release', -1, 1]])
  })

  test('a reference to what was released, because unmodified clients make such', () => {
    const it = guard()
    it.look([call(0, 'a'), ['pull', 1]])
    it.sent(['resolve', 1, 5])
    it.look([['release', 1, 1]])
    const { answers } = it.look([call(0, 'b', ['pipeline', 1]), ['pull', 2]])
    expect(reasonOf(answers[0])).toMatchObject({ code: 'REFERENCE_GONE' })
  })

  test('the names of the framework, wherever a path stands', () => {
    for (const expression of [
      ['pipeline', 0, ['dotdo:accept'], ['t']],
      ['pipeline', 0, ['next', 'dotdo:accept'], ['t']],
      ['pipeline', 0, ['echo'], [['pipeline', 0, ['dotdo:accept'], []]]],
      ['remap', 0, [], [], [['pipeline', 0, ['dotdo:accept'], []]]],
      ['remap', 0, ['dotdo:accept'], [], [1]],
      ['remap', 0, [], [], [['remap', 0, [], [], [{ a: ['pipeline', 0, ['dotdo:accept']] }]]]],
    ]) {
      const { frames, answers } = guard().look([
        ['push', expression],
        ['pull', 1],
      ])
      expect(frames).toEqual([['push', ['undefined']]])
      expect(reasonOf(answers[0])).toMatchObject({ code: 'METHOD_UNKNOWN' })
    }
  })

  test('texts and headers that only look like references are none', () => {
    const frames = [
      call(
        0,
        'a',
        ['headers', [['import', '5']]],
        [
          'request',
          'http://x',
          {
            headers: [
              ['import', '7'],
              ['pipeline', '8'],
            ],
          },
        ],
      ),
      call(0, 'b', [[[['import', 99]]]].length, 'import', { 0: 'import', 1: 99 }),
    ]
    expect(guard().look(frames)).toMatchObject({ frames, answers: [] })
  })
})

describe('what ends the session', () => {
  test.each<[string, Partial<SessionLimits>, Frame[]]>([
    ['framesPerMessage', { framesPerMessage: 1 }, [call(0, 'a'), call(0, 'b')]],
    ['callsPerSession', { callsPerSession: 2 }, [call(0, 'a'), call(0, 'b'), call(0, 'c')]],
    ['exportsPerSession', { exportsPerSession: 2 }, [call(0, 'a', ['export', -1], ['promise', -2], ['writable', -3])]],
    [
      'exportsPerSession',
      { exportsPerSession: 1 },
      [
        [
          'push',
          [
            'remap',
            0,
            [],
            [
              ['export', -1],
              ['export', -2],
            ],
            [1],
          ],
        ],
      ],
    ],
  ])('the limit %s', (limit, limits, frames) => {
    expect(thrown(() => guard(limits).look(frames))).toMatchObject({ code: 'LINK_LIMIT', data: { limit } })
  })

  test.each<[unknown]>([
    ['text'],
    [null],
    [[]],
    [['nonsense', 1]],
    [['push']],
    [['stream']],
    [['abort']],
    [['pull']],
    [['pull', 7]],
    [['pull', 'constructor']],
    [['pull', -1]],
    [['release', 7, 1]],
    [['release', 0, 1]],
    [['release', -1, -5]],
    [['release', -1, 0.5]],
    [['release', '1', 1]],
    [['release', -1]],
    [['resolve', 1, 5]],
    [['resolve', -1, 5]],
    [['reject', 4294967294, ['error', 'Error', 'x']]],
    [['resolve', 0, 1]],
    [['push', ['pipeline', 'x', ['a'], []]]],
    [['push', ['pipeline', 0.5, ['a'], []]]],
    [['push', ['export', 5]]],
    [['push', ['export', 1e99]]],
    [['push', ['readable', 3]]],
    [['push', ['remap', 0, [], [], 'x']]],
    [['push', ['remap', 0, [], [['writable', -1]], []]]],
    [['push', ['remap', 0, [], ['import'], []]]],
  ])('the frame %j', (frame) => {
    expect(thrown(() => guard().look([frame as Frame]))).toMatchObject({ code: 'FRAME_INVALID', data: { reason: expect.any(String) } })
  })

  test('an answer to what was never asked, but not to what was', () => {
    const it = guard()
    it.sent(['push', ['pipeline', -1, [], []]])
    it.look([call(0, 'a', ['promise', -1])])
    expect(
      it.look([
        ['resolve', 1, 1],
        ['resolve', -1, 2],
      ]).frames,
    ).toHaveLength(2)
    expect(thrown(() => it.look([['resolve', 2, 1]]))).toMatchObject({ code: 'FRAME_INVALID' })
    expect(thrown(() => it.look([['resolve', -2, 1]]))).toMatchObject({ code: 'FRAME_INVALID' })
  })

  test('capabilities are counted until they are released', () => {
    const it = guard({ exportsPerSession: 3 })
    for (let i = 1; i < 20; i++) {
      it.look([call(0, 'a', ['export', -i])])
      it.sent(['release', -i, 1])
    }
    it.look([call(0, 'a', ['export', -30], ['export', -31], ['export', -30])])
    expect(it.needsMore).toBe(true)
  })

  test('any JSON is passed on, refused or ends the session: nothing else is thrown, and what is passed on has the numbers capnweb gives', () => {
    const word = fc.constantFrom(
      'push',
      'pull',
      'release',
      'resolve',
      'reject',
      'abort',
      'pipe',
      'stream',
      'pipeline',
      'import',
      'remap',
      'export',
      'promise',
      'readable',
      'x',
    )
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 6, depthSize: 'small' },
        fc.oneof(fc.integer({ min: -3, max: 5 }), word, fc.constant(null), fc.double()),
        fc.array(tie('value'), { maxLength: 5 }),
        fc.tuple(word, fc.integer({ min: -3, max: 5 }), fc.array(word, { maxLength: 3 }), fc.array(tie('value'), { maxLength: 3 })),
        fc.dictionary(word, tie('value'), { maxKeys: 3 }),
      ),
    }))
    let passedOn = 0
    fc.assert(
      fc.property(fc.array(fc.oneof(value, fc.tuple(word, value), fc.tuple(fc.constant('push'), value)), { maxLength: 6 }), (frames) => {
        const it = guard({ chainDepth: 3, nesting: 4, mapNesting: 1, exportsPerSession: 2 })
        try {
          const looked = it.look(frames as Frame[])
          const made = (list: Frame[]) => list.filter(([kind]) => kind === 'push' || kind === 'stream' || kind === 'pipe').length
          expect(made(looked.frames)).toBe(made(frames as Frame[]))
          passedOn++
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^(?:FRAME_INVALID|LINK_LIMIT)$/) })
        }
      }),
      { numRuns: 2000 },
    )
    expect(passedOn).toBeGreaterThan(50)
  })
})
