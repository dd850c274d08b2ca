import { toMs, type Duration } from '../base/durations.ts'
import { DotdoError, type ErrorData } from '../base/errors.ts'
import type { Progress } from '../base/views.ts'

/** What a step's function gets. */
export interface StepContext {
  /** 1 for the first attempt. Attempts that ended in a crash count. */
  readonly attempt: number
  /** Aborts when this attempt times out and when the run is cancelled. Hand it to `fetch`. */
  readonly signal: AbortSignal
  /** The same for all attempts of this step in this run, and for no other step: `<run id>/<step id>`. For effects outside of dotdo. */
  readonly idempotencyKey: string
  /** Tells how far the step is. Cheap: call it for every batch. */
  readonly progress: (progress: Progress) => void
}

/** The work of a step. */
export type StepFunction<T> = (context: StepContext) => T

/** How a step is named, retried and bounded in time. */
export interface StepOptions {
  /** Names the step within its run: 1 to 256 characters. An item's key belongs into it: `load-${day}`. */
  stepId: string
  retries?: {
    /** How many attempts may follow the first. Default 5; at most 1,000. Crashes use up attempts too. */
    limit?: number
    /** The pause before the second attempt. Default 1 s. */
    delay?: Duration
    /** How the pause grows: not, by one delay each time, or twofold each time. Default exponential; at most an hour. */
    backoff?: 'constant' | 'linear' | 'exponential'
  }
  /** How long one attempt may take. Default: as long as it likes. */
  timeout?: Duration
}

/** {@link StepOptions}, checked, with every default in its place. */
export interface StepPlan {
  stepId: string
  maxAttempts: number
  delayMs: number
  backoff: 'constant' | 'linear' | 'exponential'
  timeoutMs: number | undefined
}

/** An error that ends its step at once: no attempt follows, because none could go better. */
export class NonRetryableError extends DotdoError {
  override readonly name: string = 'NonRetryableError'
  /** @param details.code a name of your own in capitals; default `NON_RETRYABLE` */
  constructor(message: string, details: { code?: string; data?: ErrorData; cause?: unknown } = {}) {
    super(details.code ?? 'NON_RETRYABLE', message, { retryable: false, ...(details.data && { data: details.data }), cause: details.cause })
  }
}

const maxIdLength = 256
const maxRetries = 1000

/**
 * Checks the options of a step and fills in the defaults.
 * @throws `STEP_ID_MISSING`, `INVALID_STEP_ID`, `INVALID_STEP_OPTIONS`, `INVALID_DURATION`
 */
export function planStep(options: unknown): StepPlan {
  const { stepId, retries = {}, timeout } = isObject(options) ? options : {}
  if (stepId === undefined) {
    throw new DotdoError(
      'STEP_ID_MISSING',
      `A step was begun without a stepId. Name it, so that a replay of the run finds its result: this.do(fn, { stepId: 'extract-users' }).`,
    )
  }
  if (typeof stepId !== 'string' || stepId.length === 0 || stepId.length > maxIdLength) {
    const shown =
      typeof stepId === 'string' ? JSON.stringify(stepId.length > 40 ? `${stepId.slice(0, 40)}…` : stepId) : `a ${typeof stepId}`
    throw new DotdoError(
      'INVALID_STEP_ID',
      `A stepId is text of 1 to ${maxIdLength} characters, not ${shown}. Use a short name and, in a loop, the item's key.`,
      {
        data: { stepId: typeof stepId === 'string' ? stepId.slice(0, maxIdLength) : typeof stepId },
      },
    )
  }
  if (!isObject(retries)) throw invalid(stepId, 'retries', retries, 'an object { limit, delay, backoff }')
  const { limit = 5, delay = 1000, backoff = 'exponential' } = retries
  if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 0 || limit > maxRetries) {
    throw invalid(stepId, 'retries.limit', limit, `a whole number from 0 to ${maxRetries}`)
  }
  if (backoff !== 'constant' && backoff !== 'linear' && backoff !== 'exponential') {
    throw invalid(stepId, 'retries.backoff', backoff, `'constant', 'linear' or 'exponential'`)
  }
  return {
    stepId,
    maxAttempts: limit + 1,
    delayMs: duration(stepId, 'retries.delay', delay),
    backoff,
    timeoutMs: timeout === undefined ? undefined : duration(stepId, 'timeout', timeout),
  }
}

/**
 * The pause after attempt number `attempt` failed: grows as the plan says up to `longestMs`, and then up to a tenth longer by `random`
 * (only ever later), so that steps which failed together do not come back together.
 */
export function retryDelayMs(plan: StepPlan, attempt: number, longestMs: number, random: number): number {
  const factor = plan.backoff === 'constant' ? 1 : plan.backoff === 'linear' ? attempt : 2 ** (attempt - 1)
  return Math.round(Math.min(plan.delayMs * factor, longestMs) * (1 + random / 10))
}

function duration(stepId: string, name: string, value: unknown): number {
  if (typeof value !== 'number' && typeof value !== 'string') throw invalid(stepId, name, value, `milliseconds or a text such as '10s'`)
  return toMs(value)
}

function invalid(stepId: string, name: string, value: unknown, wanted: string): DotdoError {
  return new DotdoError('INVALID_STEP_OPTIONS', `Step '${stepId}' has ${name} ${JSON.stringify(value)}; it must be ${wanted}.`, {
    data: { stepId, option: name },
  })
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
