/**
 * How a {@link LinkCall} and its answer go through a native call.
 *
 * The platform takes its time for each object that it carries: one as the argument and one as the result cost a third of what the call costs.
 * So what there is in every call are arguments of their own, what is rare is in one object that mostly is not there, and a result that is alone
 * goes as it is.
 */
import type { DirectCall, LinkAnswer, LinkCall } from './frames.ts'

/** What of a {@link LinkCall} is not always there. */
export interface RareOfCall {
  to?: 'inspector'
  traceparent?: string
  tracestate?: string
  dryRun?: true
  together?: true
  /** `what` is a property that is read. */
  read?: true
}

/** The arguments of `dotdoCall`. */
export type PackedCall = [
  version: number,
  link: string,
  number: number,
  depth: number,
  caller: string | null,
  rare: RareOfCall | null,
  /** One method, whose arguments follow, or one property; or all calls, where there are more. */
  what: string | DirectCall[],
  ...args: unknown[],
]

/** The key by which an answer is told from a result that goes as it is. */
const answerKey = 'dotdo:answer'

/** A call as arguments of the native one. */
export function packCall({ version, link, number, calls, to, origin, together }: LinkCall): PackedCall {
  const { depth, caller = null, traceparent, tracestate, dryRun } = origin
  const only = calls.length === 1 ? calls[0]! : undefined
  let rare: RareOfCall | null = null
  if (to) (rare ??= {}).to = to
  if (traceparent !== undefined) (rare ??= {}).traceparent = traceparent
  if (tracestate !== undefined) (rare ??= {}).tracestate = tracestate
  if (dryRun) (rare ??= {}).dryRun = dryRun
  if (together) (rare ??= {}).together = together
  if (!only) return [version, link, number, depth, caller, rare, calls]
  if (only.args) return [version, link, number, depth, caller, rare, only.method, ...only.args]
  return [version, link, number, depth, caller, { ...rare, read: true }, only.method]
}

/** A call as its receiver looks at it. What is of another version or no call at all is given as it came, to be refused. */
export function unpackCall(packed: readonly unknown[]): LinkCall {
  // Every call comes by here, and most have nothing rare: taking it apart by index costs a fraction of doing so by patterns.
  const [version, link, number, depth] = packed as unknown as [LinkCall['version'], string, number, number]
  // Until version 1 a call was one object.
  if (typeof version !== 'number') return version as unknown as LinkCall
  const [caller, rare, what] = [packed[4], packed[5], packed[6]] as [string | null, RareOfCall | null, PackedCall[6]]
  const calls = typeof what === 'string' ? [rare?.read ? { method: what } : { method: what, args: packed.slice(7) }] : what
  const origin = caller === null ? { depth } : { depth, caller }
  if (!rare) return { version, link, number, origin, calls }
  const { to, together, read: _, ...more } = rare
  return { version, link, number, ...(to && { to }), ...(together && { together }), origin: { ...origin, ...more }, calls }
}

/** An answer as the result of the native call: the plain result of a call that is alone goes as it is. */
export function packAnswer(call: LinkCall, answer: LinkAnswer): unknown {
  const only = call.calls.length === 1 && !answer.reply && !answer.records ? answer.answers[0] : undefined
  return only ? packPlain(only.value) : { [answerKey]: answer }
}

/** The plain result of a call that is alone, as that of the native call. */
export function packPlain(value: unknown): unknown {
  return isAnswer(value) ? { [answerKey]: { answers: [{ value }] } } : value
}

/** An answer as its caller looks at it. */
export function unpackAnswer(packed: unknown): LinkAnswer {
  return isAnswer(packed) ? packed[answerKey] : { answers: [{ value: packed }] }
}

function isAnswer(value: unknown): value is { [answerKey]: LinkAnswer } {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, answerKey)
}
