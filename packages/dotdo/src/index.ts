/** `dotdo`: what an app imports. */
import { patchNativeStubs } from './object/natives.ts'
import { patchFetch } from './object/sources.ts'

patchFetch()
patchNativeStubs()

export { DO } from './object/do.ts'
export { RpcTarget } from './rpc/rpc-target.ts'
export type { DurableObjectClass, ObjectOf, Public, Reachable, Refused, Unreserved } from './object/do.ts'
export type { Env } from './object/env.ts'
export type { BoundNouns, Exported, Nouns, NounsOf, TypedNouns } from './object/noun-types.ts'
export type { Done, DotdoObject } from './object/self.ts'
export type { Argument, Element, MemberOf, Narrowed, Noun, Pending, Received, Recordable, Remote, Settled, Stub } from './rpc/remote.ts'
export { graph } from './object/graph.ts'
export type { GraphInputs, GraphResult } from './object/graph.ts'
export type { DryRun, Graph, GraphExplanation, IntendedWrite } from './rpc/graph.ts'
export type { GraphPlan, GraphPrice } from './rpc/graph-plan.ts'
export { extract } from './object/sources.ts'
export { IcebergWriter } from './object/iceberg.ts'
export { lineage } from './object/lineage.ts'
export type { SnapshotName } from './object/lineage-walk.ts'
export type { Lineage, LineageLink, LineageNode, SnapshotLineage, WrittenBy } from './base/lineage-views.ts'
export type { OpenLineageDataset, OpenLineageEvent } from './base/lineage-views.ts'
export { grants, narrow, restore, revoke, save } from './object/authority.ts'
export type { SaveOptions } from './object/authority.ts'
export type { CapabilityLimits, Caveats } from './rpc/caveats.ts'
export type { Holder } from './rpc/holder.ts'
export type { Pattern, PatternRules, PatternValue, PatternBound } from './rpc/patterns.ts'
export { serve } from './object/serve.ts'
export { stats } from './object/stats.ts'
export type { ObjectAlerts, AlertOptions, AlertTo } from './object/alerts.ts'
export type { FleetOptions } from './object/app.ts'
export type { AlertPayload } from './fleet/alerts.ts'
export type { AlertTarget, AppAlertRule } from './fleet/rules.ts'
export type { LinkStats } from './rpc/stats.ts'
export type { TraceOptions } from './object/tracing.ts'
export type { OtlpTraces } from './rpc/otlp.ts'
export type { AppHandler, ServeEnv } from './object/serve.ts'
export type { AppOptions } from './object/app.ts'
export { DotdoEntrypoint } from './object/entrypoint.ts'
export { DotdoSystem } from './object/system.ts'
export { DotdoError, codeOf } from './base/errors.ts'
export { Secret, secret } from './base/secrets.ts'
export { LimitError } from './rpc/limits.ts'
export type { ErrorData, ErrorDetails, ErrorRecord } from './base/errors.ts'
export type { AlertSubject } from './base/fleet-views.ts'
export type {
  AttemptView,
  BackfillView,
  DeadLetter,
  EventView,
  GrantView,
  LineageEdge,
  LineageKind,
  LiveEvent,
  PartitionPage,
  PartitionState,
  PartitionView,
  Progress,
  RunLineage,
  RunTarget,
  RunView,
  ScheduleView,
  StepView,
  ValuePreview,
} from './base/views.ts'
export type { Duration } from './base/durations.ts'
export type { Budget, Price, RunPrice } from './base/price.ts'
export type { CodeChange } from './base/code-change.ts'
export type { ElsewhereWrite, ForkDiff, ForkedStep } from './base/fork-views.ts'
export type { ForkOptions } from './journal/forks.ts'
export { NonRetryableError } from './journal/step-options.ts'
export type { Checkpoint, ConcurrencyLimit, RateLimit, RetryOptions, StepContext, StepOptions } from './journal/step-options.ts'
export type { MapOptions } from './journal/map-items.ts'
export type { DeployPolicy } from './journal/ports.ts'
export type { ReceivedEvent } from './journal/signals.ts'
export type { WaitOptions } from './journal/wait-options.ts'
export { RunHandle } from './object/runs.ts'
export type { RunEvent, Runs, StartOptions } from './object/runs.ts'
export type { StoredStream } from './journal/stored-stream.ts'
export type { SendOptions, SentEvent } from './events/event.ts'
export type { HasEvents, OnOther } from './events/on.ts'
export type {
  BackfillHandle,
  BackfillOptions,
  InstantLike,
  ScheduleEvent,
  ScheduleHandle,
  ScheduleOptions,
  TriggerOptions,
} from './schedule/declaration.ts'
export type { Every } from './schedule/every.ts'
export type { IcebergWriterOptions, Row, Rows, TableStatus, WriteReceipt } from './iceberg/writer.ts'
export type { AnyRow, ExtractOptions } from './sources/extract.ts'
export type { Extraction } from './sources/extraction.ts'
export { QueryCoordinator, SqliteScanner } from './object/query.ts'
export type { Scanner } from './sql/scanner.ts'
export type { Row as QueryRow } from './sql/values.ts'
export type { CoordinatorOptions, QueryResult } from './sql/coordinator.ts'
