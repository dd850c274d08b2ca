import type { Budget } from '../base/price.ts'
import type { RunStatus, RunView } from '../base/views.ts'
import type { ScheduleEvent, ScheduleHandler } from './declaration.ts'
import { startOf } from './instants.ts'
import type { Instants } from './recurrence.ts'
import type { ScheduleRow } from './schedule-table.ts'

/** One run that a schedule asks for. Its `runId` is the same however often the same instant is worked out. */
export interface Firing extends ScheduleEvent {
  scheduleId: string
  /**
   * `<schedule id>@<ISO instant>`; by hand, `<schedule id>@<ISO instant>!<id>`, so that it never collides with the nominal run;
   * a window that is run again, `<schedule id>@<ISO instant>#2` and so on.
   */
  runId: string
  handler: ScheduleHandler
  /** The most that the run may use. */
  budget?: Budget
}

/** What the scheduler asks of whoever keeps runs: the journal, in an object. */
export interface ScheduleRuns {
  /**
   * Writes the row of a run, inside the transaction that takes its window, and sees to it that it is executed after that. Must not return a
   * promise. When it throws, nothing was taken.
   */
  start(firing: Firing): void
  /** Where runs stand, by their rows. Absent: there is none of that id, or not any more. */
  statuses(runIds: readonly string[]): Map<string, RunStatus>
  /** Ends a run that is under way; nothing, where it has ended. */
  cancel(runId: string): void
  /** The runs of one schedule, newest instant first. */
  list(scheduleId: string, page: { limit?: number; before?: string }): RunView[]
}

/** What is due of one schedule, and where it stands afterwards. */
export interface Taken {
  /** The instants that fire, oldest first, each with its window; empty when all were too late for the policy. */
  events: ScheduleEvent[]
  /** The last instant that is over, fired or given up. */
  lastScheduledAt: number
  nextAt: number | null
}

/** Where one run stands. */
export function statusOf(runs: ScheduleRuns, runId: string): RunStatus | undefined {
  return runs.statuses([runId]).get(runId)
}

/** Whether a run has yet to end. One that a deploy holds does: its window is neither done nor free. */
export function isOpen(status: RunStatus | undefined): boolean {
  return status === 'running' || status === 'held'
}

/** A firing's budget, where there is one. */
export function withBudget(budget: Budget | undefined): { budget?: Budget } {
  return budget === undefined ? {} : { budget }
}

/** The name of the run of one instant. */
export function runIdOf(scheduleId: string, instant: number): string {
  return scheduleId + runSuffix(instant)
}

/** What stands behind the schedule's id in the name of the run of one instant: the same for all that fire at it. */
export function runSuffix(instant: number): string {
  return `@${new Date(instant).toISOString()}`
}

/**
 * Works out what a schedule that is due fires at `now`. Pure; looks at no more than `catchUpLimit` instants however long the outage was.
 *
 * `row.nextAt` has come, with its jitter: that is the caller's check. Where runs queue, one is taken at a time, the oldest: the others stay due.
 */
export function takeDue(row: Pick<ScheduleRow, 'id' | 'policies' | 'coveredTo'>, instants: Instants, nextAt: number, now: number): Taken {
  const { catchUp, catchUpLimit, catchUpWithinMs, jitterMs } = row.policies
  const startsAt = (instant: number) => startOf(row.id, instant, jitterMs, instants)

  const due = [latestDue(instants, nextAt, now, startsAt)]
  while (due.length < catchUpLimit && due[0]! > nextAt) {
    const before = instants.previous(due[0]! - 1)
    if (before === null || before < nextAt) break
    due.unshift(before)
  }
  const lastScheduledAt = due.at(-1)!

  const punctual = catchUpWithinMs === null ? due : due.filter((instant) => now - startsAt(instant) <= catchUpWithinMs)
  const events: ScheduleEvent[] = []
  // 'skip' gives up what was missed, so its windows are single steps. The others answer for everything since the last window.
  let start = catchUp === 'skip' ? null : (row.coveredTo ?? nextAt)
  for (const scheduledAt of punctual) {
    start ??= instants.previous(scheduledAt - 1) ?? scheduledAt
    events.push({ scheduledAt, window: { start: Math.min(start, scheduledAt), end: scheduledAt } })
    start = scheduledAt
  }
  const over = (row.policies.overlapRuns === 'queue' && events.splice(1).length > 0 && events[0]?.scheduledAt) || lastScheduledAt
  return { events, lastScheduledAt: over, nextAt: instants.next(over) }
}

/** The newest instant that has started. With jitter, the newest that has come may still wait; the one before it cannot. */
function latestDue(instants: Instants, nextAt: number, now: number, startsAt: (instant: number) => number): number {
  let latest = instants.previous(now) ?? nextAt
  if (latest > nextAt && startsAt(latest) > now) latest = instants.previous(latest - 1) ?? nextAt
  // A stored instant may be none of the recurrence any more, when the runtime's tables of zones were renewed in between. It still counts.
  return Math.max(latest, nextAt)
}
