import { parseTraceParent, TraceState } from '@opentelemetry/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { childOf, formatTrace, inSample, newTrace, parseTrace } from '../../src/rpc/trace.ts'
import { SeededRandom } from '../support/fakes.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const spanId = 'b7ad6b7169203331'
const valid = `00-${traceId}-${spanId}-01`

describe('traceparent', () => {
  test('the example of the specification is read', () => {
    expect(parseTrace({ traceparent: valid })).toEqual({ traceId, spanId, sampled: true, random: false })
  })
  test.each([
    ['nothing', undefined],
    ['what is no text', 1],
    ['an empty text', ''],
    ['version ff', `ff-${traceId}-${spanId}-01`],
    ['a trace id of zeros', `00-${'0'.repeat(32)}-${spanId}-01`],
    ['a span id of zeros', `00-${traceId}-${'0'.repeat(16)}-01`],
    ['capitals', valid.toUpperCase()],
    ['a trace id that is too short', `00-${traceId.slice(1)}-${spanId}-01`],
    ['a span id that is too long', `00-${traceId}-${spanId}0-01`],
    ['one digit of flags', `00-${traceId}-${spanId}-1`],
    ['no flags', `00-${traceId}-${spanId}`],
    ['version 00 with more than its four fields', `${valid}-more`],
    ['version 00 with a dash at its end', `${valid}-`],
    ['a later version that goes on without a dash', `01-${traceId}-${spanId}-01more`],
    ['a text that is longer than any version needs', `01-${traceId}-${spanId}-01-${'x'.repeat(300)}`],
  ])('%s begins a new trace', (_, traceparent) => {
    expect(parseTrace({ traceparent })).toBeUndefined()
  })
  test('a later version is read as far as it is known, and passed on as version 00', () => {
    const trace = parseTrace({ traceparent: `cc-${traceId}-${spanId}-09-what-the-future-brings` })
    expect(trace).toEqual({ traceId, spanId, sampled: true, random: false })
    expect(formatTrace(trace!).traceparent).toBe(valid)
  })
  test('reads and refuses what the OpenTelemetry implementation does, on texts near the form', () => {
    const digits = fc.constantFrom(...Array.from('0123456789abcdefABCDEFg-'))
    const near = (length: number) =>
      fc.oneof(
        {
          weight: 8,
          arbitrary: fc.string({ unit: fc.constantFrom(...Array.from('0123456789abcdef')), minLength: length, maxLength: length }),
        },
        { weight: 1, arbitrary: fc.constant('0'.repeat(length)) },
        { weight: 1, arbitrary: fc.string({ unit: digits, minLength: length - 1, maxLength: length + 1 }) },
      )
    const version = fc.oneof(fc.constantFrom('00', '01', 'ff', 'cc'), near(2))
    const tail = fc.oneof({ weight: 5, arbitrary: fc.constant('') }, fc.constantFrom('-', '-more', 'x'))
    fc.assert(
      fc.property(version, near(32), near(16), near(2), tail, (v, trace, span, flags, more) => {
        const traceparent = `${v}-${trace}-${span}-${flags}${more}`
        const theirs = parseTraceParent(traceparent)
        const ours = parseTrace({ traceparent })
        expect(ours && { traceId: ours.traceId, spanId: ours.spanId, sampled: ours.sampled }).toEqual(
          theirs ? { traceId: theirs.traceId, spanId: theirs.spanId, sampled: (theirs.traceFlags & 1) === 1 } : undefined,
        )
      }),
      { numRuns: 2000 },
    )
  })
  test('any text at all is read as what OpenTelemetry reads in it, which is nothing', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 80 }), (text) => {
        expect(parseTrace({ traceparent: text }) === undefined).toBe(parseTraceParent(text) === null)
      }),
    )
  })
  test('what is written is read again', () => {
    fc.assert(
      fc.property(fc.integer(), fc.boolean(), fc.boolean(), (seed, sampled, random) => {
        const trace = { ...newTrace(new SeededRandom(seed), () => sampled), random }
        expect(parseTrace(formatTrace(trace))).toEqual(trace)
      }),
    )
  })
})

describe('tracestate', () => {
  const key = fc
    .tuple(
      fc.constantFrom(...Array.from('abcdefghijklmnopqrstuvwxyz')),
      fc.string({ unit: fc.constantFrom(...Array.from('abcxyz0189_-*/')), maxLength: 10 }),
      fc.constantFrom('', '@vendor'),
    )
    .map((parts) => parts.join(''))
  const value = fc
    .string({ unit: fc.constantFrom(...Array.from('aZ09 !~{}:;"')), minLength: 1, maxLength: 12 })
    .filter((it) => !it.endsWith(' '))

  test('a valid list is passed on as OpenTelemetry does', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(key, value), { selector: ([name]) => name, minLength: 1, maxLength: 12 }), (members) => {
        const tracestate = members.map(([name, text]) => `${name}=${text}`).join(' ,\t')
        const ours = parseTrace({ traceparent: valid, tracestate })?.tracestate
        // Leading spaces of a value are its own; those around a member are not.
        expect(ours).toBe(members.map(([name, text]) => `${name}=${text}`.trim()).join(','))
        expect(ours).toBe(new TraceState(tracestate).serialize())
      }),
    )
  })
  test.each([
    ['a key in capitals', 'Vendor=1'],
    ['no value', 'vendor='],
    ['no key', '=1'],
    ['neither', 'vendor'],
    ['an equals sign in a value', 'vendor=a=b'],
    ['a character that is no printable ASCII', 'vendor=ä'],
    ['a line break', 'vendor=a\r\nset-cookie: b'],
    ['a key twice', 'a=1,a=2'],
    ['33 members', Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(',')],
    ['more than 512 characters', Array.from({ length: 5 }, (_, i) => `k${i}=${'x'.repeat(120)}`).join(',')],
    ['nothing but commas', ',,,'],
    ['what is no text', 7],
  ])('%s gives the whole list up, and not the trace', (_, tracestate) => {
    expect(parseTrace({ traceparent: valid, tracestate })).toEqual({ traceId, spanId, sampled: true, random: false })
  })
  test('empty members are allowed and taken out', () => {
    expect(parseTrace({ traceparent: valid, tracestate: 'a=1,,b=2, ' })?.tracestate).toBe('a=1,b=2')
  })
  test('a trace that cannot be read leaves its list unread', () => {
    expect(parseTrace({ traceparent: 'x', tracestate: 'a=1' })).toBeUndefined()
  })
})

describe('a new trace', () => {
  test('a child has an id of its own, and all else of its parent', () => {
    const random = new SeededRandom(1)
    const parent = { ...newTrace(random, () => true), tracestate: 'a=1' }
    const child = childOf(parent, random)
    expect(child).toEqual({ ...parent, spanId: child.spanId })
    expect(child.spanId).toMatch(/^[\da-f]{16}$/)
    expect(child.spanId).not.toBe(parent.spanId)
  })
  test('a source of zeros makes no invalid id', () => {
    const trace = newTrace({ next: () => 0, bytes: (length) => new Uint8Array(length) }, () => true)
    expect(parseTrace(formatTrace(trace))).toEqual(trace)
  })
  test('a ratio keeps about its share, all at 1, none at 0, and a larger one keeps all that a smaller one does', () => {
    const random = new SeededRandom(7)
    const ids = Array.from({ length: 4000 }, () => newTrace(random, () => true).traceId)
    expect(ids.filter((id) => inSample(id, 1))).toHaveLength(4000)
    expect(ids.filter((id) => inSample(id, 0))).toHaveLength(0)
    const tenth = ids.filter((id) => inSample(id, 0.1))
    expect(tenth.length).toBeGreaterThan(300)
    expect(tenth.length).toBeLessThan(500)
    expect(tenth.every((id) => inSample(id, 0.2))).toBe(true)
  })
})
