import { encodeValue } from '../base/codec.ts'
import { toMs, type Duration } from '../base/durations.ts'
import { DotdoError, type ErrorData } from '../base/errors.ts'
import { refuseSecrets } from '../base/secrets.ts'
import type { Progress } from '../base/views.ts'
import { fingerprint } from '../base/fingerprint.ts'
import { printBounded } from './previews.ts'

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
  /** Stores where to go on from, and has what the attempts before have stored last. */
  readonly checkpoint: Checkpoint
}

/**
 * `checkpoint(value)` stores a value with what this turn writes, before any message leaves; `checkpoint.value` is the one that was stored last,
 * in this attempt or one before it, and `undefined` before the first. A retried run has it too.
 */
export interface Checkpoint {
  /** @throws `NOT_STORABLE`, `RESULT_TOO_LARGE`. Ignored in an attempt that is over */
  (value: unknown): void
  readonly value: unknown
}

/** The work of a step. */
export type StepFunction<T> = (context: StepContext) => T

/** How many may be under way at once among the steps of this object that name the same key. */
export interface ConcurrencyLimit {
  /** 1 to 256 characters. */
  key: string
  /** 1 or more. */
  limit: number
}

/** How many may begin within a time among the steps of this object that name the same key. Attempts count, restarts do not reset it. */
export interface RateLimit {
  /** 1 to 256 characters. */
  key: string
  /** 1 to 10,000. */
  limit: number
  /** Any stretch of time of this length sees at most `limit` begin. */
  per: Duration
}

/** How a step is retried. */
export interface RetryOptions {
  /** How many attempts may follow the first. Default 5; at most 1,000. Crashes use up attempts too. */
  limit?: number
  /** The pause before the second attempt. Default 1 s. */
  delay?: Duration
  /** How the pause grows: not, by one delay each time, or twofold each time. Default exponential; at most an hour. */
  backoff?: 'constant' | 'linear' | 'exponential'
  /** By which part a pause may be longer, drawn anew each time: 0 to 1, default 0.1. Steps that failed together do not come back together. */
  jitter?: number
}

/** How a step is named, retried and bounded in time. */
export interface StepOptions<T = unknown> {
  /** Names the step within its run: 1 to 256 characters. An item's key belongs into it: `load-${day}`. */
  stepId: string
  retries?: RetryOptions
  /** How long one attempt may take. Default: as long as it likes. */
  timeout?: Duration
  /** An attempt waits until fewer than `limit` of its key are under way. A step inside of one with the same key does not wait. */
  concurrency?: ConcurrencyLimit
  /** An attempt waits for its place. */
  rateLimit?: RateLimit
  /** What the step means. A run in flight that has stored another one fails with `STEP_CHANGED` instead of using what it means no more. */
  version?: string | number
  /** What the step works on, as plain data. Compared like `version`. */
  input?: unknown
  /**
   * Takes the step back: called with its result when the run fails or is cancelled, after the undoing of all steps that began later, with the
   * retries and the timeout of the step itself.
   */
  undo?: (result: T, context: StepContext) => unknown
}

/** {@link StepOptions}, checked, with every default in its place. */
export interface StepPlan {
  stepId: string
  maxAttempts: number
  delayMs: number
  backoff: 'constant' | 'linear' | 'exponential'
  jitter: number
  timeoutMs: number | undefined
  concurrency: ConcurrencyLimit | undefined
  rate: { key: string; limit: number; perMs: number } | undefined
  version: string | null
  /** A fingerprint of the input. */
  input: string | null
  undo: ((result: never, context: StepContext) => unknown) | undefined
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
const maxRate = 10_000

/** What the ids of steps that undo others begin with. */
export const undoPrefix = 'undo:'

const stepNames = new Set(['stepId', 'retries', 'timeout', 'concurrency', 'rateLimit', 'version', 'input', 'undo'])
const retryNames = new Set(['limit', 'delay', 'backoff', 'jitter'])
const concurrencyNames = new Set(['key', 'limit'])
const rateNames = new Set(['key', 'limit', 'per'])

/** What a step does that says nothing of it. */
const defaultPlan: Omit<StepPlan, 'stepId'> = {
  ...planRetries('', {}),
  timeoutMs: undefined,
  concurrency: undefined,
  rate: undefined,
  version: null,
  input: null,
  undo: undefined,
}

/**
 * Checks the options of a step and fills in the defaults.
 * @throws `STEP_ID_MISSING`, `INVALID_STEP_ID`, `INVALID_STEP_OPTIONS`, `INVALID_DURATION`; `NOT_STORABLE` for its input
 */
export function planStep(options: unknown): StepPlan {
  const stepId = checkStepId(options)
  if (statesNothing(options)) return { stepId, ...defaultPlan }
  const { retries = {}, timeout, concurrency, rateLimit, version, input, undo } = options as Record<string, unknown>
  checkNames(stepId, '', options, stepNames)
  if (undo !== undefined && typeof undo !== 'function') throw invalid(stepId, 'undo', undo, 'a function')
  if (version !== undefined && typeof version !== 'string' && typeof version !== 'number')
    throw invalid(stepId, 'version', version, 'a text or a number')
  if (version !== undefined) refuseSecrets(`The version of step '${stepId}'`, String(version))
  return {
    stepId,
    ...planRetries(stepId, retries),
    timeoutMs: timeout === undefined ? undefined : duration(stepId, 'timeout', timeout),
    concurrency: concurrency === undefined ? undefined : planLimit(stepId, 'concurrency', concurrency, concurrencyNames, Infinity),
    rate: rateLimit === undefined ? undefined : planRate(stepId, rateLimit),
    version: version === undefined ? null : String(version),
    input: input === undefined ? null : fingerprint(encodeValue(input, `The input of step '${stepId}'`)),
    undo: undo as StepPlan['undo'],
  }
}

/** Whether options are an id and nothing else, as those of most steps are. */
function statesNothing(options: unknown): boolean {
  return Object.getPrototypeOf(options) === Object.prototype && Object.keys(options as object).length === 1
}

/**
 * The id of a step, a sleep or a wait.
 * @throws `STEP_ID_MISSING`, `INVALID_STEP_ID`
 */
export function checkStepId(options: unknown): string {
  const { stepId } = isObject(options) ? options : {}
  if (stepId === undefined) {
    throw new DotdoError(
      'STEP_ID_MISSING',
      `A step was begun without a stepId. Name it, so that a replay of the run finds its result: this.do(fn, { stepId: 'extract-users' }).`,
    )
  }
  // Halves of characters are all the same to SQLite: two steps would be one.
  const isText = typeof stepId === 'string' && stepId.length > 0 && stepId.length <= maxIdLength && stepId.isWellFormed()
  if (isText && !stepId.startsWith(undoPrefix)) {
    refuseSecrets('The stepId', stepId)
    return stepId
  }
  const shown = typeof stepId === 'string' ? JSON.stringify(stepId.length > 40 ? `${stepId.slice(0, 40)}…` : stepId) : `a ${typeof stepId}`
  throw new DotdoError(
    'INVALID_STEP_ID',
    `A stepId is well-formed text of 1 to ${maxIdLength} characters that does not begin with '${undoPrefix}', not ${shown}. Use a short name and, in a loop, the item's key.`,
    {
      data: { stepId: typeof stepId === 'string' ? stepId.slice(0, maxIdLength) : typeof stepId },
    },
  )
}

/**
 * Refuses options that nothing reads: a misspelt one would else be ignored in silence.
 * @param within `''`, or the option that the names stand in
 * @throws `INVALID_STEP_OPTIONS`
 */
export function checkNames(stepId: string, within: string, options: unknown, known: ReadonlySet<string>): void {
  if (!isObject(options)) return
  const unknown = Object.keys(options).filter((name) => !known.has(name))
  if (unknown.length === 0) return
  const place = within === '' ? '' : ` in ${within}`
  throw new DotdoError(
    'INVALID_STEP_OPTIONS',
    `Step '${stepId}' has ${unknown.length === 1 ? 'an option' : 'options'}${place} that there is not: ${unknown.join(', ')}. There ${known.size === 1 ? 'is' : 'are'} ${[...known].join(', ')}.`,
    { data: { stepId, unknown, known: [...known] } },
  )
}

/** Reads a length of time of a step's options. @throws `INVALID_STEP_OPTIONS`, `INVALID_DURATION` */
export function duration(stepId: string, name: string, value: unknown): number {
  if (typeof value !== 'number' && typeof value !== 'string') throw invalid(stepId, name, value, `milliseconds or a text such as '10s'`)
  return toMs(value)
}

/** `INVALID_STEP_OPTIONS`: what the option is, and what it must be. */
export function invalid(stepId: string, name: string, value: unknown, wanted: string): DotdoError {
  const shown = typeof value === 'function' ? 'a function' : printBounded(value)
  return new DotdoError('INVALID_STEP_OPTIONS', `Step '${stepId}' has ${name} ${shown}; it must be ${wanted}.`, {
    data: { stepId, option: name },
  })
}

/**
 * The pause after attempt number `attempt` failed: grows as the plan says up to `longestMs`, and is then longer by `random` of the plan's jitter
 * (only ever later).
 */
export function retryDelayMs(plan: StepPlan, attempt: number, longestMs: number, random: number): number {
  const factor = plan.backoff === 'constant' ? 1 : plan.backoff === 'linear' ? attempt : 2 ** (attempt - 1)
  return Math.round(Math.min(plan.delayMs * factor, longestMs) * (1 + random * plan.jitter))
}

function planRetries(stepId: string, retries: unknown): Pick<StepPlan, 'maxAttempts' | 'delayMs' | 'backoff' | 'jitter'> {
  if (!isObject(retries)) throw invalid(stepId, 'retries', retries, 'an object { limit, delay, backoff, jitter }')
  checkNames(stepId, 'retries', retries, retryNames)
  const { limit = 5, delay = 1000, backoff = 'exponential', jitter = 0.1 } = retries
  checkWhole(stepId, 'retries.limit', limit, 0, maxRetries)
  if (backoff !== 'constant' && backoff !== 'linear' && backoff !== 'exponential') {
    throw invalid(stepId, 'retries.backoff', backoff, `'constant', 'linear' or 'exponential'`)
  }
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 1)) throw invalid(stepId, 'retries.jitter', jitter, 'a number from 0 to 1')
  return { maxAttempts: Number(limit) + 1, delayMs: duration(stepId, 'retries.delay', delay), backoff, jitter }
}

function planRate(stepId: string, rateLimit: unknown): StepPlan['rate'] {
  const { key, limit } = planLimit(stepId, 'rateLimit', rateLimit, rateNames, maxRate)
  const perMs = duration(stepId, 'rateLimit.per', (rateLimit as Record<string, unknown>)['per'])
  return { key, limit, perMs }
}

function planLimit(stepId: string, name: string, value: unknown, names: ReadonlySet<string>, most: number): ConcurrencyLimit {
  if (!isObject(value)) throw invalid(stepId, name, value, `an object { ${[...names].join(', ')} }`)
  checkNames(stepId, name, value, names)
  const { key, limit } = value
  if (typeof key !== 'string' || key.length === 0 || key.length > maxIdLength || !key.isWellFormed())
    throw invalid(stepId, `${name}.key`, key, `a well-formed text of 1 to ${maxIdLength} characters`)
  checkWhole(stepId, `${name}.limit`, limit, 1, most)
  refuseSecrets(`The ${name}.key of step '${stepId}'`, key)
  return { key, limit: Number(limit) }
}

/** @throws `INVALID_STEP_OPTIONS` for what is no whole number in the range */
export function checkWhole(stepId: string, name: string, value: unknown, least: number, most: number): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return
  throw invalid(stepId, name, value, most === Infinity ? `a whole number from ${least} on` : `a whole number from ${least} to ${most}`)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
