/**
 * Spans: what happened in a trace, from when to when, and how it ended. They leave in batches as OTLP/JSON, which every collector reads
 * (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
 *
 * A {@link Tracer} owns the spans that have ended and not left yet. Invariants:
 * 1. A trace that is not sampled makes no span: its context is passed on as it came.
 * 2. No more than `maxQueued` spans wait; those over it are counted and dropped. A batch that could not be exported is dropped and told: spans
 *    never hold up what they describe.
 * 3. At most one export of a tracer is under way, and none for longer than `exportMs`.
 */
import { toErrorRecord } from '../base/errors.ts'
import { redactData, redactText } from '../base/redact.ts'
import type { Clock, Random } from '../base/ports.ts'
import { toOtlp, type OtlpTraces, type Resource } from './otlp.ts'
import { childOf, inSample, newTrace, type TraceContext } from './trace.ts'

/** What a span stands for, by OpenTelemetry's words: the work of this side alone, or the one or other end of a call. */
export type SpanKind = 'internal' | 'server' | 'client'

/** Facts of a span, by name: https://opentelemetry.io/docs/specs/semconv/ */
export type Attributes = Record<string, string | number | boolean>

/** A span that has ended. Instants are epoch milliseconds. */
export interface Span {
  readonly trace: TraceContext
  readonly parentSpanId?: string
  /** Whether the parent is another object's or a client's. */
  readonly remoteParent: boolean
  readonly name: string
  readonly kind: SpanKind
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Attributes
  /** Why it failed, where it did. */
  readonly error?: string
}

/** What begins with a span. */
export interface SpanStart {
  name: string
  kind: SpanKind
  /** Where it hangs. Absent: it is the root of a new trace. */
  parent?: TraceContext | undefined
  /** Whether the parent's span was made elsewhere. Default: so for a server's. */
  remoteParent?: boolean
  attributes?: Attributes
}

/** A span under way. */
export interface ActiveSpan {
  /** The context for what happens inside it. */
  readonly trace: TraceContext
  /** Ends it, once; later calls change nothing. */
  end(outcome?: SpanOutcome): void
}

/** How a span ended. */
export interface SpanOutcome {
  /** What was thrown. Absent: it succeeded. */
  error?: unknown
  /** Facts that were not known when it began. */
  attributes?: Attributes
}

/** What a tracer needs of its surroundings. */
export interface TracerPorts {
  clock: Clock
  random: Random
  /** Runs `then` after `delayMs`; the result cancels it. */
  timer(delayMs: number, then: () => void): () => void
  /** Keeps the owner alive until `work` has settled. */
  keepAlive(work: Promise<unknown>): void
  /** Takes a batch. A rejection drops it. */
  export(batch: OtlpTraces): unknown
  /** Spans were lost, and why. */
  lost(count: number, reason: string): void
}

/** The bounds of a tracer, each overridable by name. */
export interface TracerLimits {
  /** Spans that wait for their export, at most. */
  maxQueued: number
  /** Spans in one batch, at most. */
  maxBatch: number
  /** How long a span waits for others to leave with it. Milliseconds. */
  delayMs: number
  /** How long an export may take until its batch counts as lost. Milliseconds. */
  exportMs: number
}

/** What holds where nothing else is said. */
export const defaultTracerLimits: TracerLimits = { maxQueued: 2_048, maxBatch: 512, delayMs: 1_000, exportMs: 10_000 }

/** Makes spans and sends them off; see the head of this file for what it owns. */
export class Tracer {
  #ports: TracerPorts
  #resource: Resource
  #ratio: number
  #limits: TracerLimits
  #queue: Span[] = []
  #dropped = 0
  #waiting = false
  #exporting: Promise<void> | undefined

  /**
   * @param resource whose spans these are
   * @param ratio the share of traces that are kept, of those that begin here: 0 to 1
   */
  constructor(ports: TracerPorts, resource: Resource, ratio: number, limits: Partial<TracerLimits> = {}) {
    this.#ports = ports
    this.#resource = resource
    this.#ratio = ratio
    this.#limits = { ...defaultTracerLimits, ...limits }
  }

  /** Whether no trace that begins here is kept. */
  get keepsNone(): boolean {
    return this.#ratio === 0
  }

  /** Begins a span. In a trace that keeps none, what it gives is the context to go on with, and ending it does nothing. */
  start({ name, kind, parent, remoteParent = kind === 'server', attributes = {} }: SpanStart): ActiveSpan {
    // The decision of a trace's beginning holds for all that follows from it, wherever that is.
    if (parent && !parent.sampled) return { trace: parent, end: () => {} }
    const trace = parent ? childOf(parent, this.#ports.random) : newTrace(this.#ports.random, (traceId) => inSample(traceId, this.#ratio))
    if (!trace.sampled) return { trace, end: () => {} }
    const startMs = this.#ports.clock.now()
    let ended = false
    return {
      trace,
      end: ({ error, attributes: more } = {}) => {
        if (ended) return
        ended = true
        const failure = error === undefined ? undefined : toErrorRecord(error)
        this.#add({
          trace,
          ...(parent && { parentSpanId: parent.spanId }),
          remoteParent: parent !== undefined && remoteParent,
          name: redactText(name),
          kind,
          startMs,
          // A clock that was set back must not make a span that ends before it began.
          endMs: Math.max(startMs, this.#ports.clock.now()),
          attributes: redactData({ ...attributes, ...more, ...(failure && { 'error.type': failure.code ?? failure.name }) }),
          ...(failure && { error: failure.message }),
        })
      },
    }
  }

  /** Sends what waits, now. Resolves when it is gone or lost; never rejects. */
  async flush(): Promise<void> {
    while (this.#exporting) await this.#exporting
    if (this.#queue.length === 0) return
    this.#exporting = this.#export(this.#queue.splice(0, this.#limits.maxBatch))
    await this.#exporting
    this.#exporting = undefined
    if (this.#queue.length > 0) await this.flush()
  }

  #add(span: Span): void {
    if (this.#queue.length >= this.#limits.maxQueued) {
      this.#dropped++
      return
    }
    this.#queue.push(span)
    if (this.#waiting) return
    this.#waiting = true
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#ports.keepAlive(promise)
    this.#ports.timer(this.#limits.delayMs, () => {
      this.#waiting = false
      void this.flush().then(resolve)
    })
  }

  async #export(spans: Span[]): Promise<void> {
    const dropped = this.#dropped
    this.#dropped = 0
    if (dropped > 0) this.#ports.lost(dropped, `more than ${this.#limits.maxQueued} waited`)
    const late = Promise.withResolvers<never>()
    const { exportMs } = this.#limits
    const cancel = this.#ports.timer(exportMs, () => late.reject(new Error(`it took more than ${exportMs} ms`)))
    try {
      await Promise.race([this.#ports.export(toOtlp(this.#resource, spans)), late.promise])
    } catch (error) {
      this.#ports.lost(spans.length, `their export failed: ${toErrorRecord(error).message}`)
    } finally {
      cancel()
    }
  }
}
