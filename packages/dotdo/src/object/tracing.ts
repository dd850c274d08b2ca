/**
 * Traces of one owner: an object's instance, or one request of a Worker. Where the app keeps none, there is no tracer, and a context that came
 * with a call is passed on as it came.
 */
import { timer } from '#platform'
import { isThenable } from '../base/thenable.ts'
import type { Execution } from '../journal/execution.ts'
import type { RunInvocation } from '../journal/ports.ts'
import type { Origin } from '../rpc/origin.ts'
import type { SentSpan, TraceSent } from '../rpc/metered-peer.ts'
import { Tracer, type Attributes, type SpanKind } from '../rpc/spans.ts'
import type { OtlpTraces } from '../rpc/otlp.ts'
import { formatTrace, parseTrace } from '../rpc/trace.ts'
import { appOptions } from './app.ts'
import { detached } from './context.ts'
import { clock, random } from './platform.ts'

/** What `serve({ traces })` takes. */
export interface TraceOptions {
  /**
   * Takes a batch of spans as OTLP/JSON: POST it to a collector's `/v1/traces`. A rejection loses the batch, which is logged; nothing else fails.
   * `env` are the Worker's bindings.
   */
  export(batch: OtlpTraces, env: unknown): unknown
  /** The share of the traces that begin here and are kept, 0 to 1. Default 1. A caller's decision, where it made one, holds instead. */
  sample?: number
  /** `service.name` of the spans. Default `dotdo`. */
  service?: string
}

/** Begins spans for one owner; made by {@link tracingOf} where the app keeps traces. */
export class Tracing {
  #tracer: Tracer

  constructor(tracer: Tracer) {
    this.#tracer = tracer
  }

  /** A span below the one that `origin` names, or the root of a new trace where it names none. */
  start(name: string, kind: SpanKind, origin: Origin, attributes: Attributes): SentSpan {
    const parent = parseTrace(origin)
    // A trace that is not kept goes on as it came. One that would begin here, where none is kept, need not begin.
    if (parent ? !parent.sampled : this.#tracer.keepsNone) return { origin, end: () => {} }
    const span = this.#tracer.start({ name, kind, parent, attributes })
    return { origin: { ...origin, ...formatTrace(span.trace) }, end: (outcome) => span.end(outcome) }
  }

  /** The span of a call of a method of the owner, an object. */
  called(noun: string, object: string, method: string, origin: Origin): SentSpan {
    return this.start(`${noun}/${method}`, 'server', origin, { ...system, 'rpc.method': `${noun}/${method}`, 'dotdo.object': object })
  }

  /** Makes the spans of what is sent to one object: of a message with a turn's calls, or of one call alone. */
  sentTo(noun: string, name: string): TraceSent {
    const object = `${noun}/${name}`
    return (origin, method) => {
      const attributes: Attributes = { ...system, 'dotdo.object': object }
      if (method === undefined) return this.start(noun, 'client', origin, attributes)
      return this.start(`${noun}/${method}`, 'client', origin, { ...attributes, 'rpc.method': `${noun}/${method}` })
    }
  }

  /**
   * Serves a client's request in a span of its own, which is the root of a trace where the client brought none. A socket's request has no span: it
   * lasts as long as the client does, and each of its turns is a trace, unless the client names one for it.
   */
  async served(request: Request, origin: Origin, serve: (origin: Origin) => Promise<Response>): Promise<Response> {
    if (request.headers.get('upgrade') === 'websocket') return serve(origin)
    const { pathname, protocol } = new URL(request.url)
    const attributes = { 'http.request.method': request.method, 'url.path': pathname, 'url.scheme': protocol.slice(0, -1) }
    const span = this.start(`${request.method} ${pathname}`, 'server', origin, attributes)
    try {
      const response = await serve(span.origin)
      span.end({ attributes: { 'http.response.status_code': response.status } })
      return response
    } catch (error) {
      span.end({ error })
      throw error
    }
  }

  /** The span of an execution of a run: the root of a trace. */
  run(object: string, { runId, target }: RunInvocation): SentSpan {
    const name = target.kind === 'schedule' ? target.id : target.kind === 'event' ? target.type : target.name
    const attributes = { 'dotdo.object': object, 'dotdo.run.id': runId, 'dotdo.run.kind': target.kind }
    return this.start(`run ${name}`, 'internal', { depth: 0 }, attributes)
  }

  /** The span of one attempt of a step. */
  step({ runId, stepId = '' }: Execution, origin: Origin): SentSpan {
    return this.start(`step ${stepId}`, 'internal', origin, { 'dotdo.run.id': runId, 'dotdo.step.id': stepId })
  }

  /**
   * Runs `work` in a span that ends with it. What `work` returns is handed back as it is: a promise of the language is watched. A stub or another
   * lazy promise ends the span at once, because watching would send it; unless `awaited` says that it is awaited anyway.
   */
  around<T>(span: SentSpan, work: () => T, awaited = false): T {
    try {
      const returned = work()
      const result = awaited && isThenable(returned) ? (Promise.resolve(returned) as T) : returned
      if (result instanceof Promise)
        result.then(
          () => span.end(),
          (error: unknown) => span.end({ error }),
        )
      else span.end()
      return result
    } catch (error) {
      span.end({ error })
      throw error
    }
  }
}

/** On whose behalf a request calls: within the trace that its headers name, where they name one. */
export function originOf(request: Request): Origin {
  const trace = parseTrace({ traceparent: request.headers.get('traceparent'), tracestate: request.headers.get('tracestate') })
  return { depth: 1, ...(trace && formatTrace(trace)) }
}

/** The names are OpenTelemetry's conventions for calls between programs. */
const system: Attributes = { 'rpc.system.name': 'dotdo' }

/**
 * The tracing of an owner, or `undefined` where the app keeps no traces.
 * @param owner as logs name it
 * @param keepAlive `waitUntil` of the owner
 */
export function tracingOf(owner: string, env: unknown, keepAlive: (work: Promise<unknown>) => void): Tracing | undefined {
  const { traces } = appOptions()
  if (!traces) return undefined
  return new Tracing(
    new Tracer(
      {
        clock,
        random,
        timer,
        keepAlive,
        // An export is nobody's call: what it does must not become spans that are exported.
        export: (batch) => detached(() => traces.export(batch, env)),
        lost: (count, reason) => console.warn(`${owner}: ${count} spans were lost: ${reason}`),
      },
      { 'service.name': traces.service ?? 'dotdo' },
      traces.sample ?? 1,
    ),
  )
}
