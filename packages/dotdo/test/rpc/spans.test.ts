import { SpanKind, SpanStatusCode, TraceFlags, type SpanContext } from '@opentelemetry/api'
import { TraceState } from '@opentelemetry/core'
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import { toOtlp, type OtlpSpan, type OtlpTraces } from '../../src/rpc/otlp.ts'
import { Tracer, type Span, type TracerLimits } from '../../src/rpc/spans.ts'
import { parseTrace } from '../../src/rpc/trace.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'

const resource = { 'service.name': 'tests' }

/** A tracer whose timers run when they are told to. */
function setUp(options: { ratio?: number; limits?: Partial<TracerLimits>; export?: (batch: OtlpTraces) => unknown } = {}) {
  const clock = new ManualClock()
  const batches: OtlpTraces[] = []
  const lost: { count: number; reason: string }[] = []
  const timers: { delayMs: number; then: () => void }[] = []
  const kept: Promise<unknown>[] = []
  const tracer = new Tracer(
    {
      clock,
      random: new SeededRandom(1),
      timer: (delayMs, then) => {
        const entry = { delayMs, then }
        timers.push(entry)
        return () => void (timers.includes(entry) && timers.splice(timers.indexOf(entry), 1))
      },
      keepAlive: (work) => kept.push(work),
      export: options.export ?? ((batch) => void batches.push(batch)),
      lost: (count, reason) => lost.push({ count, reason }),
    },
    resource,
    options.ratio ?? 1,
    options.limits,
  )
  const spans = () => batches.flatMap((batch) => batch.resourceSpans[0]!.scopeSpans[0]!.spans)
  return { clock, tracer, batches, lost, timers, kept, spans }
}

const fact = (span: OtlpSpan, key: string) => span.attributes.find((attribute) => attribute.key === key)?.value

describe('spans', () => {
  test('a call in a call is a tree in one trace', async () => {
    const { clock, tracer, spans } = setUp()
    const outer = tracer.start({ name: 'POST /rpc', kind: 'server' })
    clock.advance(5)
    const inner = tracer.start({ name: 'Stage', kind: 'client', parent: outer.trace, attributes: { 'rpc.system.name': 'dotdo', calls: 2 } })
    clock.advance(20)
    inner.end({ attributes: { bytes: 1.5, cached: true } })
    clock.advance(1)
    outer.end()
    await tracer.flush()
    const [child, root] = spans() as [OtlpSpan, OtlpSpan]
    expect(root).toMatchObject({ name: 'POST /rpc', kind: 2, status: { code: 0 } })
    expect(root).not.toHaveProperty('parentSpanId')
    expect(child).toMatchObject({ name: 'Stage', kind: 3, traceId: root.traceId, parentSpanId: root.spanId })
    expect(BigInt(child.endTimeUnixNano) - BigInt(child.startTimeUnixNano)).toBe(20_000_000n)
    expect(BigInt(root.endTimeUnixNano) - BigInt(root.startTimeUnixNano)).toBe(26_000_000n)
    expect(fact(child, 'calls')).toEqual({ intValue: 2 })
    expect(fact(child, 'bytes')).toEqual({ doubleValue: 1.5 })
    expect(fact(child, 'cached')).toEqual({ boolValue: true })
  })
  test('a failure says why, and by which code', async () => {
    const { tracer, spans } = setUp()
    tracer.start({ name: 'a', kind: 'server' }).end({ error: new DotdoError('STAGE_BROKE', 'the stage broke') })
    tracer.start({ name: 'b', kind: 'server' }).end({ error: new TypeError('no') })
    tracer.start({ name: 'c', kind: 'server' }).end({ error: 'a text' })
    await tracer.flush()
    expect(spans().map(({ status }) => status)).toEqual([
      { code: 2, message: 'the stage broke' },
      { code: 2, message: 'no' },
      { code: 2, message: 'a text' },
    ])
    expect(spans().map((span) => fact(span, 'error.type'))).toEqual([
      { stringValue: 'STAGE_BROKE' },
      { stringValue: 'TypeError' },
      { stringValue: 'Error' },
    ])
  })
  test('a span ends once', async () => {
    const { tracer, spans } = setUp()
    const span = tracer.start({ name: 'a', kind: 'internal' })
    span.end()
    span.end({ error: new Error('late') })
    await tracer.flush()
    expect(spans()).toHaveLength(1)
    expect(spans()[0]!.status).toEqual({ code: 0 })
  })
  test('a clock that is set back makes no span that ends before it began', async () => {
    const { clock, tracer, spans } = setUp()
    const span = tracer.start({ name: 'a', kind: 'internal' })
    clock.advance(-1000)
    span.end()
    await tracer.flush()
    expect(spans()[0]!.endTimeUnixNano).toBe(spans()[0]!.startTimeUnixNano)
  })
})

describe('sampling', () => {
  test('a trace that is not kept makes no span anywhere, and its context is passed on as it came', async () => {
    const { tracer, spans } = setUp({ ratio: 0 })
    const root = tracer.start({ name: 'root', kind: 'server' })
    const child = tracer.start({ name: 'child', kind: 'client', parent: root.trace })
    expect(root.trace.sampled).toBe(false)
    expect(child.trace).toBe(root.trace)
    child.end()
    root.end({ error: new Error('no matter') })
    await tracer.flush()
    expect(spans()).toHaveLength(0)
  })
  test('what the caller has decided holds, whatever the share that is kept here', async () => {
    const { tracer, spans } = setUp({ ratio: 0 })
    const parent = parseTrace({ traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: 'vendor=1' })
    tracer.start({ name: 'kept', kind: 'server', parent }).end()
    await tracer.flush()
    expect(spans()).toMatchObject([{ traceId: 'a'.repeat(32), parentSpanId: 'b'.repeat(16), traceState: 'vendor=1' }])
  })
})

describe('export', () => {
  test('spans of a moment leave together, under the owner’s protection', async () => {
    const { tracer, batches, timers, kept, spans } = setUp()
    tracer.start({ name: 'a', kind: 'internal' }).end()
    tracer.start({ name: 'b', kind: 'internal' }).end()
    expect(timers).toHaveLength(1)
    expect(timers[0]!.delayMs).toBe(1000)
    timers[0]!.then()
    await Promise.all(kept)
    expect(batches).toHaveLength(1)
    expect(spans().map(({ name }) => name)).toEqual(['a', 'b'])
  })
  test('a batch holds no more than its limit, and every span leaves once', async () => {
    const { tracer, batches, spans } = setUp({ limits: { maxBatch: 3 } })
    for (let i = 0; i < 8; i++) tracer.start({ name: `${i}`, kind: 'internal' }).end()
    await Promise.all([tracer.flush(), tracer.flush()])
    expect(batches.map((batch) => batch.resourceSpans[0]!.scopeSpans[0]!.spans.length)).toEqual([3, 3, 2])
    expect(spans().map(({ name }) => name)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7'])
  })
  test('what waits is bounded: the rest is counted and told', async () => {
    const { tracer, lost, spans } = setUp({ limits: { maxQueued: 4 } })
    for (let i = 0; i < 10; i++) tracer.start({ name: `${i}`, kind: 'internal' }).end()
    await tracer.flush()
    expect(spans()).toHaveLength(4)
    expect(lost).toEqual([{ count: 6, reason: 'more than 4 waited' }])
  })
  test('a batch that cannot be exported is dropped and told, and the next one leaves', async () => {
    let fail = true
    const taken: OtlpTraces[] = []
    const { tracer, lost } = setUp({
      export: (batch) => {
        if (fail) throw new Error('503')
        taken.push(batch)
      },
    })
    tracer.start({ name: 'a', kind: 'internal' }).end()
    await tracer.flush()
    fail = false
    tracer.start({ name: 'b', kind: 'internal' }).end()
    await tracer.flush()
    expect(lost).toEqual([{ count: 1, reason: 'their export failed: 503' }])
    expect(taken).toHaveLength(1)
  })
  test('an export that never ends is given up', async () => {
    const { tracer, lost, timers } = setUp({ export: () => new Promise(() => {}) })
    tracer.start({ name: 'a', kind: 'internal' }).end()
    const flushed = tracer.flush()
    timers.find(({ delayMs }) => delayMs === 10_000)!.then()
    await flushed
    expect(lost).toEqual([{ count: 1, reason: 'their export failed: it took more than 10000 ms' }])
  })
})

/** What OpenTelemetry's own exporter puts on the wire for the same span. */
function officially(spans: readonly Span[]): unknown {
  const state = (text: string | undefined) => (text === undefined ? {} : { traceState: new TraceState(text) })
  const time = (ms: number): [number, number] => [Math.floor(ms / 1000), Math.floor(ms % 1000) * 1_000_000]
  const kinds = { internal: SpanKind.INTERNAL, server: SpanKind.SERVER, client: SpanKind.CLIENT }
  const shared = { attributes: resource, asyncAttributesPending: false }
  const readable = spans.map((span) => ({
    name: span.name,
    kind: kinds[span.kind],
    spanContext: (): SpanContext => ({
      traceId: span.trace.traceId,
      spanId: span.trace.spanId,
      traceFlags: (span.trace.sampled ? TraceFlags.SAMPLED : 0) | (span.trace.random ? 2 : 0),
      ...state(span.trace.tracestate),
    }),
    ...(span.parentSpanId !== undefined && {
      parentSpanContext: { traceId: span.trace.traceId, spanId: span.parentSpanId, traceFlags: 1, isRemote: span.remoteParent },
    }),
    startTime: time(span.startMs),
    endTime: time(span.endMs),
    duration: time(span.endMs - span.startMs),
    ended: true,
    status: span.error === undefined ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR, message: span.error },
    attributes: span.attributes,
    links: [],
    events: [],
    resource: shared,
    instrumentationScope: { name: 'dotdo' },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  }))
  return JSON.parse(new TextDecoder().decode(JsonTraceSerializer.serializeRequest(readable as never)))
}

describe('OTLP/JSON', () => {
  test('any batch is what OpenTelemetry’s own serializer writes for the same spans', () => {
    const id = (length: number) =>
      fc
        .string({ unit: fc.constantFrom(...Array.from('0123456789abcdef')), minLength: length, maxLength: length })
        .filter((text) => /[^0]/.test(text))
    // Theirs writes whole numbers that no 64 bits hold as integers, which a collector refuses: those are left out.
    const span: fc.Arbitrary<Span> = fc
      .record({
        traceId: id(32),
        spanId: id(16),
        parent: fc.option(fc.record({ parentSpanId: id(16), remoteParent: fc.boolean() }), { nil: undefined }),
        random: fc.boolean(),
        tracestate: fc.option(fc.constantFrom('a=1', 'a=1,b=2'), { nil: undefined }),
        name: fc.string(),
        kind: fc.constantFrom('internal', 'server', 'client'),
        startMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
        tookMs: fc.integer({ min: 0, max: 100_000_000 }),
        attributes: fc.dictionary(
          fc.string({ minLength: 1 }).filter((key) => key !== '__proto__'),
          fc.oneof(
            fc.string(),
            fc.boolean(),
            fc.integer(),
            fc
              .double({ noNaN: true, noDefaultInfinity: true })
              .filter((it) => !Object.is(it, -0) && Number.isInteger(it) === Number.isSafeInteger(it)),
          ),
        ),
        error: fc.option(fc.string(), { nil: undefined }),
      })
      .map(({ traceId, spanId, parent, random, tracestate, tookMs, error, startMs, ...rest }) => ({
        ...rest,
        startMs,
        endMs: startMs + tookMs,
        trace: { traceId, spanId, sampled: true, random, ...(tracestate !== undefined && { tracestate }) },
        remoteParent: parent?.remoteParent ?? false,
        ...(parent && { parentSpanId: parent.parentSpanId }),
        ...(error !== undefined && { error }),
      }))
    fc.assert(
      fc.property(fc.array(span, { minLength: 1, maxLength: 4 }), (spans) => {
        expect(JSON.parse(JSON.stringify(toOtlp(resource, spans)))).toEqual(officially(spans))
      }),
      { numRuns: 500 },
    )
  })
  test('half a millisecond is 500,000 nanoseconds', () => {
    const trace = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true, random: true }
    const batch = toOtlp(resource, [
      { trace, remoteParent: false, name: 'a', kind: 'internal', startMs: 1_795_305_600_000.5, endMs: 1_795_305_600_001, attributes: {} },
    ])
    expect(batch.resourceSpans[0]!.scopeSpans[0]!.spans[0]).toMatchObject({
      startTimeUnixNano: '1795305600000500000',
      endTimeUnixNano: '1795305600001000000',
    })
  })
})
