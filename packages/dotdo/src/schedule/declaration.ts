import type { Duration } from '../base/durations.ts'
import type { GapPolicy, OverlapPolicy } from './cron-instants.ts'
import type { SchedulePolicies } from './policies.ts'
import type { Recurrence } from './recurrence.ts'

/** What a handler of a schedule receives. All times are epoch milliseconds. */
export interface ScheduleEvent {
  /** The instant this run stands for, however late it started; for a run by hand, when it was asked for. */
  scheduledAt: number
  /**
   * The span of data that this run answers for: from (inclusive) where the window before it ended, up to (exclusive) `scheduledAt`. Loading
   * what falls into `window` covers everything once, also after instants were missed. A run by hand covers what the next one will again.
   */
  window: { start: number; end: number }
}

/** A function that a schedule runs. What it returns is the result of the run. */
export type ScheduleHandler = (event: ScheduleEvent) => unknown

/** What can be sent: a recorded graph of calls. */
export interface Sendable {
  send(): unknown
  /** Throws where it cannot be sent with no values. */
  checkInputs?(): void
}

/** What may follow the handler: `this.every.day.at('2am')(runETL, { id: 'etl', catchUp: 'all' })`. */
export interface ScheduleOptions {
  /**
   * What the schedule is known by across restarts and deploys. Default: the handler's name, else the pattern in words. Give one when
   * the bundle is minified: names of functions change there, and a schedule under a new id has forgotten what it missed.
   */
  id?: string
  /** The same as `.in(zone)`: an IANA name. Default `'UTC'`. Not for intervals, which are real time. */
  timeZone?: string
  /**
   * What happens to instants that passed while nothing could run. `'latest'` (default): one run, for the last of them, whose window
   * covers all. `'all'`: one run each, for the newest `catchUpLimit`. `'skip'`: none that is more than a minute late.
   */
  catchUp?: 'latest' | 'all' | 'skip'
  /** With `'all'`: how many missed instants are made up at most, 1 to 1,000; the window of the first covers the older ones. Default 100. */
  catchUpLimit?: number
  /** How late an instant may be and still run. Default: however late; with `'skip'`, one minute. */
  catchUpWithin?: Duration
  /** What happens when the run before is still going. Default `'skip'`. */
  overlapRuns?: OverlapRunsPolicy
  /** A wall time that daylight saving skips. Default `'fire-after'`; `every.hour` and `every.minute` follow real time: `'skip'`. */
  gap?: GapPolicy
  /** A wall time that daylight saving repeats. Default `'first'`; `every.hour` and `every.minute` follow real time: `'both'`. */
  overlap?: OverlapPolicy
  /** Starts up to this much later than the instant, always by the same amount for one id and instant. Never past the next instant. */
  jitter?: Duration
}

/** What a scheduler's owner does when a run of the same schedule is still going. This room stores it; whoever starts runs acts on it. */
export type OverlapRunsPolicy = 'skip' | 'queue' | 'allow' | 'cancel-previous'

/** A single instant that is told by its distance from the first declaration: its clock starts once, not on every wake. */
export interface AfterRecurrence {
  kind: 'after'
  delayMs: number
}

/** One schedule, as the code states it: plain data, all of it checked. */
export interface Declaration {
  recurrence: Recurrence | AfterRecurrence
  /** The recurrence in words. */
  pattern: string
  id?: string
  policies: SchedulePolicies
}

/** A schedule as its owner holds it. Once cancelled it has no next instants, cannot be triggered, and the rest does nothing. */
export interface ScheduleHandle {
  readonly id: string
  /** The next `count` (at most 1,000) instants, epoch ms, soonest first; fewer where it ends. An overdue one comes first. */
  next(count: number): number[]
  /** No firing until {@link resume}. Lasts across restarts and deploys. */
  pause(): void
  /** Goes on with the next instant from now. Those that passed while paused do not fire; the next window covers them. */
  resume(): void
  /** Runs it now, beside its instants, also while paused. Gives the id of the run, which is stored by then. */
  trigger(): Promise<string>
  /** Ends it. Lasts across restarts, until the code declares it with another recurrence. */
  cancel(): void
}

/** The port that the grammar speaks to: takes one schedule and its handler. */
export type Declare = (declaration: Declaration, handler: ScheduleHandler) => ScheduleHandle
