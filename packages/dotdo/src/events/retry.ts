import { toMs, type Duration } from '../base/durations.ts'
import { codeOf, DotdoError } from '../base/errors.ts'
import { retryAfterOf } from '../base/overload.ts'
import type { Random } from '../base/ports.ts'

/** How often, and after how long, a handler that failed gets the same event again. */
export interface RetryOptions {
  /** Attempts after the first, 0 to 100. Default 10. */
  limit?: number
  /** Wait before the first of them, at most 1 hour. Default `'1s'`. */
  delay?: Duration
  /** How the wait grows: `delay`, `delay × n`, or `delay × 2ⁿ⁻¹`, never above 1 hour. Default `'exponential'`. */
  backoff?: 'constant' | 'linear' | 'exponential'
}

/** {@link RetryOptions}, checked and complete. */
export interface RetryPolicy {
  limit: number
  delayMs: number
  backoff: 'constant' | 'linear' | 'exponential'
}

/**
 * No wait is longer than this, jitter included. It also tells a wait from a clock that jumped back: a due time further away than this was
 * written under another clock, and counts as due.
 */
export const longestDelayMs = 3_600_000

/** How long after it was found held a delivery is looked at again, where nobody says that its run may go on. Milliseconds. */
export const heldDelayMs = 600_000

/** Whether a policy holds the run of a handler until somebody lets it go on: that is no failure of it, and no attempt. */
export function isHeld(thrown: unknown): boolean {
  return codeOf(thrown) === 'RUN_HELD'
}

/**
 * Reads a handler's retry options. Left alone they mean 11 attempts, spread over 17 to 21 minutes: long enough for a deploy or a short
 * outage, short enough that a lane is not held for a night.
 *
 * @throws `INVALID_RETRIES` for an option that there is not, a limit that is no whole number from 0 to 100, an unknown backoff, or a delay above an hour
 * @throws `INVALID_DURATION` for a delay that is none
 */
export function toRetryPolicy(options: RetryOptions = {}): RetryPolicy {
  const strange = Object.keys(options).find((name) => name !== 'limit' && name !== 'delay' && name !== 'backoff')
  if (strange !== undefined)
    throw new DotdoError('INVALID_RETRIES', `retries has no option '${strange}'. There are limit, delay and backoff.`, {
      data: { option: strange },
    })
  const { limit = 10, delay = 1000, backoff = 'exponential' } = options
  const delayMs = toMs(delay)
  const known = backoff === 'constant' || backoff === 'linear' || backoff === 'exponential'
  if (!Number.isInteger(limit) || limit < 0 || limit > 100 || !known || delayMs > longestDelayMs) {
    throw new DotdoError(
      'INVALID_RETRIES',
      `retries ${JSON.stringify({ limit, delay, backoff })} cannot be kept. Give a limit from 0 to 100, a delay up to '1h', and the backoff 'constant', 'linear' or 'exponential'.`,
      {
        data: { limit, delay, backoff },
      },
    )
  }
  return { limit, delayMs, backoff }
}

/**
 * The wait after the `failures`-th failed attempt (1 for the first), in milliseconds. Up to a fifth is added by chance, so that lanes which
 * failed together do not come back together. What failed may say itself when to come back at the soonest.
 */
export function retryDelayMs(policy: RetryPolicy, failures: number, random: Random, thrown?: unknown): number {
  const grown = {
    constant: policy.delayMs,
    linear: policy.delayMs * failures,
    exponential: policy.delayMs * 2 ** (failures - 1),
  }[policy.backoff]
  return Math.min(longestDelayMs, Math.max(retryAfterOf(thrown), Math.round(grown * (1 + random.next() / 5))))
}
