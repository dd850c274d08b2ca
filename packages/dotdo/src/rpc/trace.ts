/**
 * W3C trace context (https://www.w3.org/TR/trace-context/, level 2): which trace a call belongs to, as it travels in the origin of a message and
 * in the headers of a client's request.
 *
 * What cannot be read is no context: the trace begins anew at the receiver, as the specification asks, and no call fails for it.
 */
import type { Random } from '../base/ports.ts'

/** One place in a trace: the span that is the parent of whatever comes next. */
export interface TraceContext {
  /** 32 lower-case hex digits, not all zero. */
  readonly traceId: string
  /** 16 lower-case hex digits, not all zero. */
  readonly spanId: string
  /** Whether somebody decided, at the start of the trace, that its spans are kept. */
  readonly sampled: boolean
  /** Whether the last 7 bytes of the trace's id are random: the flag of level 2, passed on as it came. */
  readonly random: boolean
  /** What vendors keep with the trace, in the form of the header. Passed on as it came. */
  readonly tracestate?: string
}

/** A context in the form that it travels in. */
export interface TraceHeaders {
  traceparent?: string
  tracestate?: string
}

const sampledFlag = 1
const randomFlag = 2

/**
 * The specification allows later versions to say more after these four fields, and asks to read the fields all the same; version `ff` and
 * ids of zeros are invalid.
 */
const traceparentForm = /^(?!ff)([\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(-.*)?$/

/** Reads a context. `undefined` where there is none, or none that is valid: the receiver then starts a trace of its own. */
export function parseTrace({ traceparent, tracestate }: { traceparent?: unknown; tracestate?: unknown }): TraceContext | undefined {
  // No valid one of a version that exists is longer; a later one may be, within reason.
  if (typeof traceparent !== 'string' || traceparent.length > 256) return undefined
  const match = traceparentForm.exec(traceparent)
  if (!match) return undefined
  const [, version, traceId, spanId, flagDigits, more] = match
  if (version === '00' && more !== undefined) return undefined
  const flags = parseInt(flagDigits!, 16)
  const state = parseTracestate(tracestate)
  return {
    traceId: traceId!,
    spanId: spanId!,
    sampled: (flags & sampledFlag) !== 0,
    random: (flags & randomFlag) !== 0,
    ...(state !== undefined && { tracestate: state }),
  }
}

/** A context in the form that it travels in. Always version 00, whatever version it came in: flags that are not known are not passed on. */
export function formatTrace(trace: TraceContext): TraceHeaders & { traceparent: string } {
  const flags = (trace.sampled ? sampledFlag : 0) | (trace.random ? randomFlag : 0)
  return {
    traceparent: `00-${trace.traceId}-${trace.spanId}-0${flags}`,
    ...(trace.tracestate !== undefined && { tracestate: trace.tracestate }),
  }
}

/** The start of a trace. */
export function newTrace(random: Random, sampled: (traceId: string) => boolean): TraceContext {
  const traceId = newId(random, 16)
  return { traceId, spanId: newId(random, 8), sampled: sampled(traceId), random: true }
}

/** A place below another in the same trace. */
export function childOf(parent: TraceContext, random: Random): TraceContext {
  return { ...parent, spanId: newId(random, 8) }
}

/**
 * Whether a trace is among the share `ratio` (0 to 1) that is kept. Decided by its id, so that everybody who asks with the same ratio says the
 * same, and whoever keeps more keeps all that others keep.
 */
export function inSample(traceId: string, ratio: number): boolean {
  return parseInt(traceId.slice(-12), 16) < ratio * 2 ** 48
}

const maxMembers = 32
/** A list that is longer is given up: the specification asks to pass on at least this much, and an envelope has to end somewhere. */
const maxStateLength = 512
const memberForm = /^[a-z\d][a-z\d_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/

/** The list as it is passed on, empty members taken out. `undefined` when any part of it is invalid: the trace goes on without. */
function parseTracestate(tracestate: unknown): string | undefined {
  if (typeof tracestate !== 'string' || tracestate.length > 2 * maxStateLength) return undefined
  const members = tracestate
    .split(',')
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((member) => member !== '')
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf('='))))
  const valid = members.length > 0 && members.length <= maxMembers && keys.size === members.length
  const list = members.join(',')
  return valid && list.length <= maxStateLength && members.every((member) => memberForm.test(member)) ? list : undefined
}

/** An id that is not zero: the chance of drawing that is nil, and a source of randomness that is broken is not looped on. */
function newId(random: Random, length: number): string {
  const bytes = random.bytes(length)
  if (bytes.every((byte) => byte === 0)) bytes[length - 1] = 1
  let text = ''
  for (const byte of bytes) text += hex[byte]!
  return text
}

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
