import { env, exports } from 'cloudflare:workers'
import { runDurableObjectAlarm } from 'cloudflare:test'
import { newWebSocketRpcSession } from 'capnweb'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { appOptions, configureApp } from '../../src/object/app.ts'
import { Links } from '../../src/object/nouns.ts'
import { linkPorts } from '../../src/object/platform.ts'
import { tracingOf } from '../../src/object/tracing.ts'
import type { OtlpSpan } from '../../src/rpc/otlp.ts'
import { signToken } from '../../src/rpc/tokens.ts'

const spans: OtlpSpan[] = []
const before = { ...appOptions() }
/** What the app keeps of traces from here on. Objects that live already go on as they began. */
const keep = (sample: number) =>
  configureApp({
    ...before,
    traces: {
      sample,
      export: (batch) => void spans.push(...batch.resourceSpans.flatMap((it) => it.scopeSpans.flatMap((scope) => scope.spans))),
    },
  })
beforeAll(() => keep(1))
afterAll(() => configureApp(before))
beforeEach(() => void (spans.length = 0))

const owner = () => {
  const tracing = tracingOf('test', env, () => {})
  return new Links(
    linkPorts('test', () => {}),
    tracing,
  )
}
const stub = (noun: string, name: string, links = owner()): any => links.user(noun, name)
const kinds: Record<string, number> = { called: 2, sent: 3 }
const ofName = (name: string) => {
  const [title, kind] = name.split(': ').reverse() as [string, string?]
  return (span: OtlpSpan) => span.name === title && (kind === undefined || span.kind === kinds[kind])
}
/** Until as many spans as are named have left, by name: `called: Stage/run` is the receiver's end, `sent: Stage/run` the caller's. */
async function spansNamed(...names: string[]): Promise<OtlpSpan[]> {
  for (let i = 0; i < 400; i++) {
    const found = names.map((name) => spans.find(ofName(name)))
    if (found.every((span) => span !== undefined)) return found as OtlpSpan[]
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`of ${names.join(', ')} came only ${spans.map(({ name }) => name).join(', ')}`)
}
const fact = (span: OtlpSpan, key: string): unknown => Object.values(span.attributes.find((it) => it.key === key)?.value ?? {})[0]
const token = async () =>
  await signToken({ kind: 'session', expiresAt: Date.now() + 60_000 }, (env as unknown as { DOTDO_SECRET: string }).DOTDO_SECRET)
const trace = '0af7651916cd43dd8448eb211c80319c'
const traceparent = `00-${trace}-b7ad6b7169203331-01`
const main = () => (exports as any).default as { fetch(url: string, init?: object): Promise<any> }

describe('a call between objects', () => {
  test('is a span at each end, below each other, in one trace', async () => {
    await stub('Pipeline', 'traced').fanOut(1)
    const [sent, called, further, stage] = await spansNamed(
      'sent: Pipeline/fanOut',
      'called: Pipeline/fanOut',
      'sent: Stage/execute',
      'called: Stage/execute',
    )
    expect(new Set([sent, called, further, stage].map((span) => span!.traceId)).size).toBe(1)
    expect(sent).not.toHaveProperty('parentSpanId')
    expect(called!.parentSpanId).toBe(sent!.spanId)
    expect(stage!.parentSpanId).toBe(further!.spanId)
    expect([sent!.kind, called!.kind]).toEqual([3, 2])
    expect(fact(called!, 'rpc.system.name')).toBe('dotdo')
    expect(fact(called!, 'rpc.method')).toBe('Pipeline/fanOut')
    expect(fact(called!, 'dotdo.object')).toBe('Pipeline/traced')
    expect(fact(stage!, 'dotdo.object')).toBe('Stage/fan 0')
  })
  test('that fails says so at its own end', async () => {
    await stub('Stage', 'traced failure')
      .fail()
      .catch(() => {})
    const [called] = await spansNamed('called: Stage/fail')
    expect(called!.status).toEqual({ code: 2, message: 'the stage broke' })
    expect(fact(called!, 'error.type')).toBe('STAGE_BROKE')
  })
  test('two calls of different contexts are two traces', async () => {
    const links = owner()
    await Promise.all([stub('Counter', 'apart 1', links).add(1), stub('Counter', 'apart 2', links).add(1)])
    await spansNamed('called: Counter/add')
    await new Promise((resolve) => setTimeout(resolve, 1200))
    const calls = spans.filter(ofName('called: Counter/add'))
    expect(calls).toHaveLength(2)
    expect(calls[0]!.traceId).not.toBe(calls[1]!.traceId)
  })
})

test('the calls of a turn on one object are one span of the caller, which says how many they are', async () => {
  const counter = stub('Counter', 'traced turn')
  await Promise.all([counter.add(1), counter.add(2), counter.add(3)])
  const [sent] = await spansNamed('sent: Counter')
  const calls = spans.filter(ofName('called: Counter/add'))
  expect(calls).toHaveLength(3)
  expect(calls.every(({ parentSpanId }) => parentSpanId === sent!.spanId)).toBe(true)
  expect(fact(sent!, 'dotdo.calls')).toBe(3)
})

describe('a client', () => {
  test('that brings a trace by headers has its batch in it', async () => {
    const body = [
      ['push', ['pipeline', 0, ['authenticate'], [await token()]]],
      ['push', ['pipeline', 1, ['Counter'], ['by headers']]],
      ['push', ['pipeline', 2, ['add'], [1]]],
      ['pull', 3],
    ]
    const response = await main().fetch('https://app/rpc', {
      method: 'POST',
      headers: { traceparent, tracestate: 'vendor=1' },
      body: body.map((frame) => JSON.stringify(frame)).join('\n'),
    })
    expect(await response.text()).toContain('resolve')
    const [request, sent, called] = await spansNamed('POST /rpc', 'sent: Counter', 'called: Counter/add')
    expect(request).toMatchObject({ traceId: trace, parentSpanId: 'b7ad6b7169203331', kind: 2, traceState: 'vendor=1' })
    expect(fact(request!, 'http.response.status_code')).toBe(200)
    expect(sent).toMatchObject({ traceId: trace, parentSpanId: request!.spanId })
    expect(called).toMatchObject({ traceId: trace, parentSpanId: sent!.spanId, traceState: 'vendor=1' })
  })
  test('that names a trace over its socket has those calls in it, and others in their own', async () => {
    const response = await main().fetch('https://app/rpc', { headers: { upgrade: 'websocket' } })
    response.webSocket.accept()
    const door = newWebSocketRpcSession(response.webSocket) as any
    const app = door.authenticate(await token())
    expect(await app.dotdo.traced(traceparent).Counter('by name').add(1)).toBe(1)
    const [called] = await spansNamed('called: Counter/add')
    expect(called!.traceId).toBe(trace)
    spans.length = 0
    expect(await app.Counter('by name').add(1)).toBe(2)
    expect((await spansNamed('called: Counter/add'))[0]!.traceId).not.toBe(trace)
    spans.length = 0
    expect(await app.dotdo.traced('00-not-a-trace').Counter('by name').add(1)).toBe(3)
    expect((await spansNamed('called: Counter/add'))[0]!.traceId).not.toBe(trace)
    door[Symbol.dispose]()
  })
  test('whose trace is not sampled makes no spans', async () => {
    const links = owner().within({ traceparent: `00-${trace}-b7ad6b7169203331-00` })
    expect(await stub('Counter', 'not sampled', links).add(1)).toBe(1)
    expect(await stub('Counter', 'sampled').add(1)).toBe(1)
    await spansNamed('called: Counter/add')
    await new Promise((resolve) => setTimeout(resolve, 1200))
    expect(spans.filter(ofName('called: Counter/add'))).toHaveLength(1)
    expect(spans.every(({ traceId }) => traceId !== trace)).toBe(true)
  })
})

describe('runs', () => {
  test('a schedule begins a trace; each attempt of a step is a span in it, and what a step calls is below it', async () => {
    const inspector = owner().inspector('Pipeline', 'scheduled') as any
    await inspector.trigger('nightly')
    const [run, step] = await spansNamed('run nightly', 'step nightly')
    expect(run).not.toHaveProperty('parentSpanId')
    expect(step).toMatchObject({ traceId: run!.traceId, parentSpanId: run!.spanId, kind: 1 })
    expect(fact(step!, 'dotdo.run.id')).toBe(fact(run!, 'dotdo.run.id'))
    expect(fact(run!, 'dotdo.run.kind')).toBe('schedule')
  })
  test('an attempt that fails is a failed span, and the event that follows is a trace of its own', async () => {
    await stub('Pipeline', 'steps traced').steps(1)
    const [call, first, handler] = await spansNamed('called: Pipeline/steps', 'step first', 'run Pipeline.completed')
    await runDurableObjectAlarm((exports as any).Pipeline.getByName('steps traced'))
    const attempts = spans.filter(({ name }) => name === 'step b')
    expect(attempts.map(({ status }) => status.code)).toEqual([2, 0])
    for (const span of [first!, ...attempts]) expect(span).toMatchObject({ traceId: call!.traceId, parentSpanId: call!.spanId })
    expect(handler!.traceId).not.toBe(call!.traceId)
  })
})

test('an export that fails costs the caller nothing', async () => {
  configureApp({
    ...before,
    traces: {
      export: () => {
        throw new Error('no collector')
      },
    },
  })
  expect(await stub('Counter', 'no collector').add(1)).toBe(1)
  keep(1)
})

test.each([{ export: 'no function' }, { export: () => {}, sample: 2 }, { export: () => {}, sample: Number.NaN }])(
  'serve refuses traces that cannot be: %j',
  (traces) => {
    expect(() => configureApp({ ...before, traces: traces as never })).toThrow(expect.objectContaining({ code: 'TRACES_INVALID' }))
  },
)
