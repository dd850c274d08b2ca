/** The operator's view of an app, as a client holds it. */
import type { Budget, RunPrice } from '../base/price.ts'
import type {
  FleetAlert,
  FleetAlertQuery,
  FleetLetter,
  FleetObject,
  FleetPage,
  FleetQuery,
  FleetRebuild,
  FleetRun,
  FleetRunQuery,
  FleetSchedule,
  FleetScheduleQuery,
  FleetSummary,
  FleetTimeQuery,
} from '../base/fleet-views.ts'
import type { CodeChange } from '../base/code-change.ts'
import type { ForkDiff } from '../base/fork-views.ts'
import type { Lineage } from '../base/lineage-views.ts'
import type {
  AppDescription,
  BackfillView,
  DeadLetter,
  EventView,
  GrantView,
  ObjectDescription,
  PartitionPage,
  PartitionState,
  RunView,
  ScheduleView,
  SubscribedView,
  SubscriptionView,
  StepView,
  TableOverview,
} from '../base/views.ts'
import type { LinkStats } from '../rpc/stats.ts'
import type { Pending } from '../rpc/remote.ts'

/** Everything that an operator may see and do. Each call answers with what the server's class of the same name documents. */
export interface OperatorStub {
  describe(): Pending<AppDescription>
  /** All objects together: what they have told the app's index. */
  readonly fleet: FleetStub
  /** The inspector of one object. */
  object(noun: string, name: string): InspectorStub
  /** Makes sure that the singletons live. */
  wake(): Pending<void>
  /** The path of a WebSocket with live events; {@link Connection.watch} uses it. */
  watch(noun: string, name: string): Pending<string>
  tables(): Pending<TableOverview[]>
  /** Where a snapshot of a table comes from. */
  lineage(snapshot: { table: string; snapshotId?: number; warehouse?: string }): Pending<Lineage>
  /** The same app for calls within a trace of the caller's: https://www.w3.org/TR/trace-context/ */
  traced(traceparent: string, tracestate?: string): unknown
}

/** All runs, schedules, dead letters and alerts of an app, by pages: `next` of one is `after` of the following. */
export interface FleetStub {
  runs(query?: FleetRunQuery): Pending<FleetPage<FleetRun>>
  schedules(query?: FleetScheduleQuery): Pending<FleetPage<FleetSchedule>>
  deadLetters(query?: FleetTimeQuery): Pending<FleetPage<FleetLetter>>
  alerts(query?: FleetAlertQuery): Pending<FleetPage<FleetAlert>>
  objects(query?: FleetQuery): Pending<FleetPage<FleetObject>>
  summary(): Pending<FleetSummary>
  /** Resolves when the app's singletons have told what they have done; it wakes them. */
  settle(): Pending<void>
  /** Makes the index again from its objects, and from these. */
  rebuild(options?: { objects?: readonly string[]; from?: number }): Pending<FleetRebuild>
  rebuilding(): Pending<FleetRebuild | null>
}

/** Which dead letters: a page of them, of one handler or subscription, of types that a pattern means. */
export interface LetterFilter {
  limit?: number
  before?: string
  handler?: string
  type?: string
}

/** One object, as an operator sees it. */
export interface InspectorStub {
  describe(): Pending<ObjectDescription>
  /** What the object has to do with others. */
  links(): Pending<{ calling: LinkStats; calledBy: { openSessions: number } }>
  runs(options?: { limit?: number; before?: string; tag?: string }): Pending<RunView[]>
  run(runId: string): Pending<RunView>
  steps(runId: string, options?: { from?: number; limit?: number }): Pending<StepView[]>
  cancelRun(runId: string, options?: { undo?: boolean }): Pending<void>
  retryRun(runId: string, options?: { budget?: Budget }): Pending<void>
  price(runId: string): Pending<RunPrice>
  acceptRun(runId: string): Pending<void>
  /** Where a run comes from, and what its steps called, read and wrote. */
  lineage(runId: string): Pending<Lineage>
  /** What a fork would write, against what the run wrote. */
  rehearseFork(runId: string, options?: { from?: string }): Pending<ForkDiff>
  /** What the code that runs now changes for a run that is held. */
  whatChanged(runId: string): Pending<CodeChange>
  /** Gives the fork's id. */
  forkRun(
    runId: string,
    options?: { from?: string; runId?: string; accept?: boolean; tags?: readonly string[]; budget?: Budget },
  ): Pending<string>
  schedules(): Pending<ScheduleView[]>
  /** One schedule, as its owner holds it. */
  schedule(scheduleId: string): ScheduleStub
  trigger(scheduleId: string, options?: { budget?: Budget }): Pending<string>
  pause(scheduleId: string): Pending<void>
  resume(scheduleId: string): Pending<void>
  /** Events that were sent and are still kept, newest first. */
  events(options?: { limit?: number }): Pending<EventView[]>
  /** Events that a handler or a subscriber never took, the latest first; `before` is the last of the page before. */
  deadLetters(filter?: LetterFilter): Pending<DeadLetter[]>
  /** Gives a dead letter to its handler again, or a page of those that a filter means. Answers how many. */
  replay(which: string | LetterFilter): Pending<number>
  /** Takes a dead letter off the list for good, or a page of them. Answers how many. */
  discard(which: string | LetterFilter): Pending<number>
  /** Who has subscribed to the object's events. */
  subscriptions(): Pending<SubscriptionView[]>
  /** What the object has subscribed to elsewhere. */
  subscribed(): Pending<SubscribedView[]>
  /** Subscribes a method of an object to this one's events. Answers with the subscription's id. */
  subscribe(
    pattern: string,
    to: { noun: string; name: string; method: string; token?: string },
    options?: { ordered?: boolean; retries?: { limit?: number; delay?: number | string; backoff?: 'constant' | 'linear' | 'exponential' } },
  ): Pending<string>
  resumeSubscription(subscriptionId: string): Pending<void>
  /** Ends a subscription; what waits for it is dropped. Answers whether it was there. */
  endSubscription(subscriptionId: string): Pending<boolean>
  grants(options?: { limit?: number }): Pending<GrantView[]>
  revoke(grantId: string): Pending<boolean>
}

/** Epoch milliseconds, a `Date`, a text with its zone, or a date, which is its midnight in UTC. */
type Instant = number | Date | string

/** A schedule from afar. Each call answers with what the server's `ScheduleHandle` documents. */
export interface ScheduleStub {
  next(count?: number): Pending<number[]>
  view(): Pending<ScheduleView>
  pause(): Pending<void>
  resume(): Pending<void>
  trigger(options?: { budget?: Budget }): Pending<string>
  cancel(): Pending<void>
  runs(page?: { limit?: number; before?: string }): Pending<RunView[]>
  partitions(from: Instant, to: Instant, page?: { limit?: number }): Pending<PartitionPage>
  markStale(from: Instant, to: Instant): Pending<void>
  backfill(
    from: Instant,
    to: Instant,
    options?: { concurrency?: number; take?: Exclude<PartitionState, 'running'>[]; budget?: Budget },
  ): BackfillStub
  backfills(): Pending<BackfillView[]>
  openBackfill(id: string): BackfillStub
}

/** A backfill from afar. */
export interface BackfillStub {
  readonly id: Pending<string>
  progress(): Pending<BackfillView>
  cancel(): Pending<void>
}
