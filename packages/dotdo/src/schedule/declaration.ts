import type { Duration } from '../base/durations.ts'
import type { Budget } from '../base/price.ts'
import type { BackfillView, PartitionPage, PartitionState, RunView, ScheduleView } from '../base/views.ts'
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
  /**
   * What happens to an instant that comes while the run of the one before is still going. `'skip'` (default): it does not fire, and the next
   * window covers it. `'queue'` (default with `catchUp: 'all'`): it waits for that run's end, and is made up then as `catchUp` says. `'allow'`:
   * both go on. `'cancel-previous'`: that run is cancelled, and the new one covers its window too.
   *
   * Runs by hand and of backfills neither wait nor hold up an instant.
   */
  overlapRuns?: OverlapRunsPolicy
  /** A wall time that daylight saving skips. Default `'fire-after'`; `every.hour` and `every.minute` follow real time: `'skip'`. */
  gap?: GapPolicy
  /** A wall time that daylight saving repeats. Default `'first'`; `every.hour` and `every.minute` follow real time: `'both'`. */
  overlap?: OverlapPolicy
  /** Starts up to this much later than the instant, always by the same amount for one id and instant. Never past the next instant. */
  jitter?: Duration
  /**
   * The most that each run of it may use, by name: `{ requests: 1_000, wallMs: 3_600_000 }`. A run that passes it ends with `BUDGET_EXCEEDED`, which
   * counts as a failure like any other: its window is failed, and alerts are told.
   */
  budget?: Budget
}

/** What becomes of an instant while the run of the one before is still going. */
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

/** An instant, as people write it: epoch milliseconds, a `Date`, a text with its zone, or a date, which is its midnight in UTC. */
export type InstantLike = number | Date | string

/** What a backfill may be told. */
export interface BackfillOptions {
  /** How many windows run at the same time, 1 to 100. Default 1: one after the other, oldest first. */
  concurrency?: number
  /** Windows in which states are run. Default `['missing', 'failed', 'stale']`. With `'done'` as well, everything is run again. */
  take?: Exclude<PartitionState, 'running'>[]
  /** The most that each of its runs may use, in the place of the schedule's own. */
  budget?: Budget
}

/** What a run by hand may be told. */
export interface TriggerOptions {
  /** The most that it may use, in the place of the schedule's own. */
  budget?: Budget
}

/** What crosses a link as a reference: the types of stubs tell it by this mark, which no value has. */
export interface ByReference {
  readonly __RPC_TARGET_BRAND: never
}

/** A backfill that is under way, or was. It outlives the object's sleep, crashes and deploys. */
export interface BackfillHandle extends ByReference {
  readonly id: string
  /** How far it is. @throws `BACKFILL_UNKNOWN` once it is forgotten: 30 days after its end */
  progress(): BackfillView
  /** Begins no more windows, and cancels the runs of those that are under way. Nothing, where it has ended. */
  cancel(): void
}

/**
 * A schedule as its owner holds it: a capability, which can be handed to a client or another object, and narrowed. Once cancelled it has no
 * next instants and cannot be triggered or filled; pausing and resuming then do nothing.
 */
export interface ScheduleHandle extends ByReference {
  readonly id: string
  /** The next `count` (at most 1,000) instants, epoch ms, soonest first; fewer where it ends. An overdue one comes first. */
  next(count?: number): number[]
  /** What an observer sees of it. @throws `SCHEDULE_UNKNOWN` */
  view(): ScheduleView
  /** No firing until {@link resume}. Lasts across restarts and deploys. */
  pause(): void
  /** Goes on with the next instant from now. Those that passed while paused do not fire; the next window covers them. */
  resume(): void
  /**
   * Runs it now, beside its instants, also while paused or while a run of it is under way. Gives the id of the run, which is stored by then.
   * @throws `SCHEDULE_UNKNOWN`, `INVALID_BUDGET`
   */
  trigger(options?: TriggerOptions): Promise<string>
  /** Ends it, and its backfills. Lasts across restarts, until the code declares it with another recurrence. */
  cancel(): void
  /** Its runs, newest instant first. */
  runs(page?: { limit?: number; before?: string }): RunView[]
  /**
   * Its windows that end after `from` and not after `to`, and are over, oldest first, each with its state: at most `limit` (1 to 1,000,
   * default 100) at once. A single instant has none.
   * @throws `INVALID_INSTANT`
   */
  partitions(from: InstantLike, to: InstantLike, page?: { limit?: number }): PartitionPage
  /** Says that the windows that end after `from` and not after `to` are to be done again: those that are done, and those under way once they are. */
  markStale(from: InstantLike, to: InstantLike): void
  /**
   * Runs the windows that end after `from` and not after `to`, and that are missing, failed or stale, beside its instants. Stored
   * when it returns: what a crash interrupts goes on. Windows that are still to fire by themselves are left to that.
   * @throws `INVALID_BACKFILL`, `INVALID_BUDGET`, `TOO_MANY_BACKFILLS`, `INVALID_INSTANT`, `SCHEDULE_UNKNOWN`
   */
  backfill(from: InstantLike, to: InstantLike, options?: BackfillOptions): BackfillHandle
  /** Its backfills that are known, newest first. */
  backfills(): BackfillView[]
  /** One of its backfills. @throws `BACKFILL_UNKNOWN` */
  openBackfill(id: string): BackfillHandle
}

/** The port that the grammar speaks to: takes one schedule and its handler. */
export type Declare = (declaration: Declaration, handler: ScheduleHandler) => ScheduleHandle
