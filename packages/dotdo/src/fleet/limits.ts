import { dayMs } from '../base/durations.ts'

/** The bounds of the fleet's index. Each can be overridden by name. */
export interface FleetLimits {
  /** Facts of one message, of an object to its shard. */
  batchFacts: number
  /** How long an object gathers facts before it tells them, milliseconds. */
  gatherMs: number
  /** Facts that wait in an object whose shard does not answer. Over it they are dropped, and all is told anew when the shard is back. */
  waitingFacts: number
  /** Runs that are told when all is told anew: those that are running, and the newest of the others. */
  retoldRuns: number
  /** How long a run that has ended, and an alert that is over, stays in the index. Milliseconds. */
  keepMs: number
  /** Runs of one shard. Over it the oldest that have ended go first. */
  runs: number
  /** Schedules of one shard; what is told of more is refused. */
  schedules: number
  /** Alerts of one shard; the oldest that are over go first. */
  alerts: number
  /** How much later than a deadline the shard looks, so that facts which are on their way arrive. Milliseconds. */
  graceMs: number
  /** How long an object may take to answer when it is asked whether it is late. Milliseconds. */
  askMs: number
  /** Objects that are asked at the same time, by a rebuild or because they are late. */
  asksAtOnce: number
  /** An alert that stays open is told again after so long, when it is seen again. Milliseconds. */
  remindMs: number
}

/** 256 facts a message, gathered for half a second; runs and alerts for 30 days; 100,000 runs, schedules and 10,000 alerts a shard. */
export const defaultFleetLimits: FleetLimits = {
  batchFacts: 256,
  gatherMs: 500,
  waitingFacts: 30_000,
  retoldRuns: 10_000,
  keepMs: 30 * dayMs,
  runs: 100_000,
  schedules: 100_000,
  alerts: 10_000,
  graceMs: 15_000,
  askMs: 10_000,
  asksAtOnce: 16,
  remindMs: dayMs,
}

/** Rows that one turn takes away: bounds how long it holds the shard. */
export const pruneBatch = 500

/** Dead letters of one object that are in the index: the newest. */
export const lettersTold = 50
