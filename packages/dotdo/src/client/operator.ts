/** The operator's view of an app, as a client holds it. */
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
  StepView,
  TableOverview,
} from '../base/views.ts'
import type { LinkStats } from '../rpc/stats.ts'
import type { Pending } from '../rpc/remote.ts'

/** Everything that an operator may see and do. Each call answers with what the server's class of the same name documents. */
export interface OperatorStub {
  describe(): Pending<AppDescription>
  /** The inspector of one object. */
  object(noun: string, name: string): InspectorStub
  /** Makes sure that the singletons live. */
  wake(): Pending<void>
  /** The path of a WebSocket with live events; {@link Connection.watch} uses it. */
  watch(noun: string, name: string): Pending<string>
  tables(): Pending<TableOverview[]>
  /** The same app for calls within a trace of the caller's: https://www.w3.org/TR/trace-context/ */
  traced(traceparent: string, tracestate?: string): unknown
}

/** One object, as an operator sees it. */
export interface InspectorStub {
  describe(): Pending<ObjectDescription>
  /** What the object has to do with others. */
  links(): Pending<{ calling: LinkStats; calledBy: { openSessions: number } }>
  runs(options?: { limit?: number; before?: string; tag?: string }): Pending<RunView[]>
  run(runId: string): Pending<RunView>
  steps(runId: string, options?: { from?: number; limit?: number }): Pending<StepView[]>
  cancelRun(runId: string): Pending<void>
  retryRun(runId: string): Pending<void>
  acceptRun(runId: string): Pending<void>
  schedules(): Pending<ScheduleView[]>
  /** One schedule, as its owner holds it. */
  schedule(scheduleId: string): ScheduleStub
  trigger(scheduleId: string): Pending<string>
  pause(scheduleId: string): Pending<void>
  resume(scheduleId: string): Pending<void>
  /** Events that were sent and are still kept, newest first. */
  events(options?: { limit?: number }): Pending<EventView[]>
  deadLetters(options?: { limit?: number }): Pending<DeadLetter[]>
  /** Gives a dead letter to its handler again. */
  replay(deadLetterId: string): Pending<void>
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
  trigger(): Pending<string>
  cancel(): Pending<void>
  runs(page?: { limit?: number; before?: string }): Pending<RunView[]>
  partitions(from: Instant, to: Instant, page?: { limit?: number }): Pending<PartitionPage>
  markStale(from: Instant, to: Instant): Pending<void>
  backfill(from: Instant, to: Instant, options?: { concurrency?: number; take?: Exclude<PartitionState, 'running'>[] }): BackfillStub
  backfills(): Pending<BackfillView[]>
  openBackfill(id: string): BackfillStub
}

/** A backfill from afar. */
export interface BackfillStub {
  readonly id: Pending<string>
  progress(): Pending<BackfillView>
  cancel(): Pending<void>
}
