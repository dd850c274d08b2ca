import { RpcTarget } from 'capnweb'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { linkVersion, type LinkAnswer, type LinkCall } from '../../src/rpc/frames.ts'
import { LinkServer } from '../../src/rpc/link-server.ts'
import { packAnswer, packCall, unpackAnswer, unpackCall } from '../../src/rpc/packed-call.ts'
import { bytePipe } from './byte-pipe.ts'

/** As a native call carries values. */
const carried = <T>(value: T): T => structuredClone(value)

const text = fc.string({ maxLength: 8 })
const values = fc.anything({ maxDepth: 2, withBigInt: true, withDate: true, withNullPrototype: false, withMap: false, withSet: false })
/** Where there is nothing to say, there is no field. */
const fields = { requiredKeys: [] as never[] }
const calls: fc.Arbitrary<LinkCall> = fc
  .record({
    calls: fc.array(
      fc
        .tuple(text, fc.option(fc.array(values, { maxLength: 3 }), { nil: undefined }))
        .map(([method, args]) => (args ? { method, args } : { method })),
      { minLength: 1, maxLength: 3 },
    ),
    rare: fc.record({ to: fc.constant('inspector' as const), together: fc.constant(true as const) }, fields),
    origin: fc.tuple(
      fc.nat(100),
      fc.record({ caller: text, traceparent: text, tracestate: text, dryRun: fc.constant(true as const) }, fields),
    ),
    link: text,
    number: fc.nat(),
  })
  .map(({ rare, origin: [depth, rest], ...call }) => ({ version: linkVersion, ...call, ...rare, origin: { depth, ...rest } }) as LinkCall)

describe('a call', () => {
  test('is at its receiver what it was at its caller', () => {
    fc.assert(
      fc.property(calls, (call) => {
        expect(unpackCall(carried(packCall(call)))).toEqual(call)
      }),
    )
  })
  test('that is alone and comes from a plain turn carries no object but its arguments', () => {
    const call: LinkCall = { version: linkVersion, link: 'l', number: 3, calls: [{ method: 'add', args: [1, 'a'] }], origin: { depth: 1 } }
    expect(packCall(call)).toEqual([linkVersion, 'l', 3, 1, null, null, 'add', 1, 'a'])
  })
  test('never says what a dry run has written so far', () => {
    const origin = { depth: 1, dryRun: true as const, records: [] }
    const packed = packCall({ version: linkVersion, link: 'l', number: 0, calls: [{ method: 'a', args: [] }], origin })
    expect(JSON.stringify(packed)).not.toContain('records')
  })
})

describe('an answer', () => {
  const call = (count: number): LinkCall => ({
    version: linkVersion,
    link: 'l',
    number: 0,
    calls: Array.from({ length: count }, () => ({ method: 'a', args: [] })),
    origin: { depth: 1 },
  })
  const answers: fc.Arbitrary<LinkAnswer> = fc.record(
    {
      answers: fc.array(fc.option(fc.record({ value: values })), { minLength: 1, maxLength: 3 }),
      reply: fc.constant({ seq: 0, frames: [], pending: false, open: true }),
      records: fc.constant([]),
    },
    { requiredKeys: ['answers'] },
  )
  test('is at its caller what it was at its receiver', () => {
    fc.assert(
      fc.property(answers, (answer) => {
        expect(unpackAnswer(carried(packAnswer(call(answer.answers.length), answer)))).toEqual(answer)
      }),
    )
  })
  test.each([['text'], [undefined], [null], [{ a: 1 }], [[1]]])('that is the plain result %j alone goes as it is', (value) => {
    expect(packAnswer(call(1), { answers: [{ value }] })).toBe(value)
  })
  test('is not mistaken for a result that looks like one', () => {
    const value = { 'dotdo:answer': { answers: [{ value: 'forged' }] } }
    expect(unpackAnswer(carried(packAnswer(call(1), { answers: [{ value }] })))).toEqual({ answers: [{ value }] })
  })
})

describe('what is called', () => {
  class Target extends RpcTarget {
    now = () => 'an own property'
    said(word: string) {
      return word
    }
    async later(word: string) {
      await Promise.resolve()
      return word
    }
  }
  const open = () => {
    const server = new LinkServer(() => new Target(), { endOfTurn: (then) => void setImmediate(then), timer: () => () => {}, bytePipe })
    let number = 0
    return (...what: unknown[]) => server.called([linkVersion, 'l', number++, 1, null, null, ...what])
  }

  test('is answered at once where its answer is there at once, and else by a promise', async () => {
    const called = open()
    expect(called('said', 'a')).toBe('a')
    const later = called('later', 'b')
    expect(later).toBeInstanceOf(Promise)
    expect(await later).toBe('b')
  })
  test('with others comes after those, though it is alone and they wait', async () => {
    const called = open()
    const both = called([
      { method: 'later', args: ['c'] },
      { method: 'said', args: ['d'] },
    ])
    const alone = called('said', 'e')
    expect([both, alone].every((it) => it instanceof Promise)).toBe(true)
    expect(unpackAnswer(await both)).toEqual({ answers: [{ value: 'c' }, { value: 'd' }] })
    expect(await alone).toBe('e')
  })
  test('fails by its session, and what cannot be reached is not there', async () => {
    const called = open()
    const { reply } = unpackAnswer(await called('now'))
    expect(JSON.stringify(reply!.frames)).toContain('instance property')
  })
})

describe('what is no call', () => {
  const server = new LinkServer(() => new RpcTarget(), { endOfTurn: (then) => void setImmediate(then), timer: () => () => {}, bytePipe })
  test.each([
    [[]],
    [[null]],
    [[{ version: 1, session: 's', calls: [], origin: { depth: 1 } }]],
    [[linkVersion + 1, 'l', 0, 1, null, null, 'a']],
    [[linkVersion, 7, 0, 1, null, null, 'a']],
    [[linkVersion, 'l', 0, 1, null, null, 7]],
    [['text']],
  ])('%j is refused', (packed) => {
    expect(() => server.called(packed)).toThrow(expect.objectContaining({ code: 'LINK_VERSION' }) as Error)
  })
})
