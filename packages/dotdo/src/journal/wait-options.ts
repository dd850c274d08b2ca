import type { Duration } from '../base/durations.ts'
import type { RunTarget } from '../base/views.ts'
import { encodeValue } from '../base/codec.ts'
import { isEventType } from '../base/event-types.ts'
import { fingerprint } from '../base/fingerprint.ts'
import { parseInstant } from '../base/instants.ts'
import { encodeMatch } from './signals.ts'
import { checkNames, checkStepId, duration, invalid } from './step-options.ts'

/** How a wait for an event is named, narrowed and bounded. */
export interface WaitOptions {
  /** Names the wait within its run, like a step. */
  stepId: string
  /** What the event's payload must have: `{ orderId: 7 }`. Plain data, up to 8 Ki characters. Default: any will do. */
  match?: unknown
  /** When to give up: the wait then gives `null`. Default: never. */
  timeout?: Duration
}

/** A step that needs no function: what it waits for, checked. */
export type RestPlan =
  | { kind: 'sleep'; stepId: string; ms: number | undefined; until: number | undefined }
  | { kind: 'wait'; stepId: string; type: string; match: string; timeoutMs: number | undefined }
  | { kind: 'run'; stepId: string; target: RunTarget; args: unknown[]; input: string }

/** The longest a sleep or a wait may take: ten years. Milliseconds. */
const longestMs = 3650 * 86_400_000

/** The longest stored form of a match, characters. */
const matchChars = 8 * 1024

const sleepNames = new Set(['stepId'])
const waitNames = new Set(['stepId', 'match', 'timeout'])

/** @throws `STEP_ID_MISSING`, `INVALID_STEP_ID`, `INVALID_STEP_OPTIONS`, `INVALID_DURATION` */
export function planSleep(length: unknown, options: unknown): RestPlan {
  const stepId = checkStepId(options)
  checkNames(stepId, '', options, sleepNames)
  return { kind: 'sleep', stepId, ms: bounded(stepId, 'a duration', duration(stepId, 'duration', length)), until: undefined }
}

/** @throws as {@link planSleep}; `INVALID_STEP_OPTIONS` for what is no instant */
export function planSleepUntil(instant: unknown, options: unknown): RestPlan {
  const stepId = checkStepId(options)
  checkNames(stepId, '', options, sleepNames)
  const until =
    typeof instant === 'number'
      ? instant
      : typeof instant === 'string'
        ? parseInstant(instant)
        : instant instanceof Date
          ? instant.getTime()
          : NaN
  if (!(Math.abs(until) <= 8.64e15))
    throw invalid(stepId, 'the instant', instant, `a Date, milliseconds since 1970, or a text with its zone such as '2026-12-24T18:00:00Z'`)
  return { kind: 'sleep', stepId, ms: undefined, until }
}

/** @throws as {@link planSleep}; `NOT_STORABLE` for a match that is no plain data */
export function planWait(type: unknown, options: unknown): RestPlan {
  const stepId = checkStepId(options)
  checkNames(stepId, '', options, waitNames)
  const { match, timeout } = options as WaitOptions
  // Handlers take patterns; a wait takes one type, so that an event finds those who wait for it by one look. One that no event can have would wait for ever.
  if (!isEventType(type))
    throw invalid(stepId, 'the event type', type, `a noun and a verb such as 'Order.approved': capital first, one dot, small letter first`)
  const encoded = encodeMatch(match)
  if (encoded.length > matchChars) throw invalid(stepId, 'match', '…', `plain data of at most ${matchChars} characters`)
  const timeoutMs = timeout === undefined ? undefined : bounded(stepId, 'timeout', duration(stepId, 'timeout', timeout))
  return { kind: 'wait', stepId, type, match: encoded, timeoutMs }
}

/** @throws `STEP_ID_MISSING`, `INVALID_STEP_ID`, `INVALID_STEP_OPTIONS`; `NOT_STORABLE` for the arguments */
export function planChild(target: RunTarget, args: unknown[], options: unknown): RestPlan {
  const stepId = checkStepId(options)
  checkNames(stepId, '', options, sleepNames)
  if (!Array.isArray(args)) throw invalid(stepId, 'the arguments', args, 'a list')
  const input = fingerprint(`${JSON.stringify(target)} ${encodeValue(args, `The arguments of '${stepId}'`)}`)
  return { kind: 'run', stepId, target, args, input }
}

function bounded(stepId: string, name: string, ms: number): number {
  if (ms <= longestMs) return ms
  throw invalid(stepId, name, ms, 'at most ten years')
}
