import { toMs, type Duration } from '../base/durations.ts'
import { DotdoError } from '../base/errors.ts'
import { readBudget, type Budget } from '../base/price.ts'
import type { OverlapRunsPolicy, ScheduleOptions } from './declaration.ts'
import { checkChoice } from './recurrence.ts'

/** The policies of one schedule that are not part of its recurrence: plain data, every default filled in. */
export interface SchedulePolicies {
  catchUp: 'latest' | 'all' | 'skip'
  /** How many of the instants that are due fire, the newest first to be kept: 1 unless `catchUp` is `'all'`. */
  catchUpLimit: number
  /** How late an instant may be and still fire; `null`: however late. */
  catchUpWithinMs: number | null
  overlapRuns: OverlapRunsPolicy
  /** 0: no jitter. */
  jitterMs: number
  /** The most that each run of it may use. */
  budget?: Budget
}

/** How late a firing may be without counting as missed: an alarm of a busy platform is seldom later. */
export const punctualMs = 60_000

/** The most instants that `catchUp: 'all'` makes up after one outage, whatever the option says. */
export const maxCatchUp = 1000

const optionNames = ['id', 'timeZone', 'catchUp', 'catchUpLimit', 'catchUpWithin', 'overlapRuns', 'gap', 'overlap', 'jitter', 'budget']
const maxIdLength = 200

/** The policies of a schedule that states none. */
export const defaultPolicies: SchedulePolicies = {
  catchUp: 'latest',
  catchUpLimit: 1,
  catchUpWithinMs: null,
  overlapRuns: 'skip',
  jitterMs: 0,
}

/**
 * Reads the options behind a handler.
 * @throws `INVALID_SCHEDULE` for an option that does not exist (a typing error would else be a quiet default) or cannot have its value;
 * `INVALID_DURATION`, `INVALID_BUDGET`
 */
export function readPolicies(options: ScheduleOptions): SchedulePolicies {
  for (const name of Object.keys(options)) checkOptionName(name)
  if (options.id !== undefined) checkId(options.id)
  const catchUp = options.catchUp ?? defaultPolicies.catchUp
  checkChoice('catchUp', catchUp, ['latest', 'all', 'skip'])
  const overlapRuns = options.overlapRuns ?? (catchUp === 'all' ? 'queue' : defaultPolicies.overlapRuns)
  checkChoice('overlapRuns', overlapRuns, ['skip', 'queue', 'allow', 'cancel-previous'])
  // All that is made up comes at once: either would give up all but one of it.
  if (catchUp === 'all') checkChoice("overlapRuns with catchUp 'all'", overlapRuns, ['queue', 'allow'])
  return {
    catchUp,
    catchUpLimit: readLimit(catchUp, options.catchUpLimit),
    catchUpWithinMs: options.catchUpWithin === undefined ? (catchUp === 'skip' ? punctualMs : null) : wholeMs(options.catchUpWithin),
    overlapRuns,
    jitterMs: options.jitter === undefined ? 0 : wholeMs(options.jitter),
    ...(options.budget !== undefined && { budget: readBudget(options.budget) }),
  }
}

/**
 * How much later than its instant a firing starts (ms): the same for the same id and instant in every incarnation, in [0, `jitterMs`],
 * and always before the instant that follows, so that jitter never changes the order or number of firings.
 */
export function jitterOf(scheduleId: string, instant: number, jitterMs: number, following: number | null): number {
  if (jitterMs === 0) return 0
  const room = following === null ? jitterMs + 1 : Math.min(jitterMs + 1, following - instant)
  return Math.floor(fraction(`${scheduleId}@${instant}`) * room)
}

/** A text's place in [0, 1), evenly spread: FNV-1a, then the finaliser of MurmurHash3, because texts here differ in their last digits. */
function fraction(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

function readLimit(catchUp: SchedulePolicies['catchUp'], limit: number | undefined): number {
  if (limit === undefined) return catchUp === 'all' ? 100 : 1
  if (catchUp === 'all' && Number.isInteger(limit) && limit >= 1 && limit <= maxCatchUp) return limit
  throw new DotdoError(
    'INVALID_SCHEDULE',
    `catchUpLimit ${String(limit)} with catchUp '${catchUp}' has no meaning. Give a whole number from 1 to ${maxCatchUp}, together with catchUp 'all'.`,
    {
      data: { option: 'catchUpLimit', value: limit, catchUp },
    },
  )
}

function wholeMs(duration: Duration): number {
  return Math.round(toMs(duration))
}

function checkOptionName(name: string): void {
  if (optionNames.includes(name)) return
  throw new DotdoError('INVALID_SCHEDULE', `A schedule has no option ${JSON.stringify(name)}. There are ${optionNames.join(', ')}.`, {
    data: { option: name, allowed: optionNames },
  })
}

/** An id stands in run ids, log lines and addresses: printable, not endless. */
function checkId(id: string): void {
  if (typeof id === 'string' && id.trim() !== '' && id.length <= maxIdLength && !/\p{Cc}/u.test(id) && id.isWellFormed()) return
  throw new DotdoError(
    'INVALID_SCHEDULE',
    `${JSON.stringify(id) ?? String(id)} cannot be the id of a schedule. Give a well-formed text of 1 to ${maxIdLength} characters without control characters.`,
    {
      data: { option: 'id', value: id },
    },
  )
}
