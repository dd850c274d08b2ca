/**
 * Spans as OTLP/JSON: `ExportTraceServiceRequest` of opentelemetry-proto 1.x in the protocol's own JSON form, in which ids are hex and 64-bit
 * integers are text (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
 */
import type { Attributes, Span, SpanKind } from './spans.ts'

/** Whose spans these are: `service.name` and what else tells services apart. */
export type Resource = Attributes & { 'service.name': string }

/** One batch, ready for `JSON.stringify` and a POST to a collector's `/v1/traces`. */
export interface OtlpTraces {
  resourceSpans: {
    resource: { attributes: OtlpAttribute[]; droppedAttributesCount: 0 }
    scopeSpans: { scope: { name: string }; spans: OtlpSpan[] }[]
  }[]
}

/** One span on the wire. */
export interface OtlpSpan {
  traceId: string
  spanId: string
  parentSpanId?: string
  traceState?: string
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: OtlpAttribute[]
  droppedAttributesCount: 0
  events: []
  droppedEventsCount: 0
  links: []
  droppedLinksCount: 0
  status: { code: number; message?: string }
  flags: number
}

/** A fact on the wire. */
export interface OtlpAttribute {
  key: string
  value: { stringValue: string } | { boolValue: boolean } | { intValue: number } | { doubleValue: number }
}

/** `Span.SpanKind` of the protocol. */
const kinds: Record<SpanKind, number> = { internal: 1, server: 2, client: 3 }
/** `Status.StatusCode` of the protocol. A span that did not fail says nothing: `OK` is for whoever looks at the whole. */
const unset = 0
const failed = 2
/** `SpanFlags` of the protocol: the trace flags, and whether the parent is known to be remote. */
const hasIsRemote = 0x100
const isRemote = 0x200

/** A batch of spans of one resource. */
export function toOtlp(resource: Resource, spans: readonly Span[]): OtlpTraces {
  return {
    resourceSpans: [
      {
        resource: { attributes: toAttributes(resource), droppedAttributesCount: 0 },
        scopeSpans: [{ scope: { name: 'dotdo' }, spans: spans.map(toSpan) }],
      },
    ],
  }
}

function toSpan(span: Span): OtlpSpan {
  const { trace } = span
  return {
    traceId: trace.traceId,
    spanId: trace.spanId,
    ...(span.parentSpanId !== undefined && { parentSpanId: span.parentSpanId }),
    ...(trace.tracestate !== undefined && { traceState: trace.tracestate }),
    name: span.name,
    kind: kinds[span.kind],
    startTimeUnixNano: nanoseconds(span.startMs),
    endTimeUnixNano: nanoseconds(span.endMs),
    attributes: toAttributes(span.attributes),
    droppedAttributesCount: 0,
    events: [],
    droppedEventsCount: 0,
    links: [],
    droppedLinksCount: 0,
    status: span.error === undefined ? { code: unset } : { code: failed, message: span.error },
    flags: (trace.sampled ? 1 : 0) | (trace.random ? 2 : 0) | hasIsRemote | (span.remoteParent ? isRemote : 0),
  }
}

/** Epoch milliseconds as nanoseconds, which are more than a number holds. */
const nanoseconds = (ms: number): string => String(BigInt(Math.floor(ms)) * 1_000_000n + BigInt(Math.round((ms % 1) * 1e6)))

function toAttributes(attributes: Attributes): OtlpAttribute[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: toValue(value) }))
}

function toValue(value: string | number | boolean): OtlpAttribute['value'] {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  return Number.isSafeInteger(value) ? { intValue: value } : { doubleValue: value }
}
