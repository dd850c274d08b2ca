/** `dotdo/client`: connect to an app from a browser or from Node. */
export { connect, redeem } from './client/connect.ts'
export { RpcTarget } from './rpc/rpc-target.ts'
export { restore } from './client/restore.ts'
export type { RestoreOptions } from './client/restore.ts'
export type { AnyApp, AppStub, Connection } from './client/connect.ts'
export type { ConnectionStatus, ConnectOptions, StatusDetail } from './client/options.ts'
export type { BackfillStub, FleetStub, InspectorStub, OperatorStub, ScheduleStub } from './client/operator.ts'
export type { LiveListener, LiveSubscription } from './client/watch.ts'
export { codeOf, DotdoError } from './base/errors.ts'
export type { ErrorRecord } from './base/errors.ts'
export type {
  AlertSubject,
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
  RunHead,
} from './base/fleet-views.ts'
export type {
  AppDescription,
  AttemptView,
  BackfillView,
  DeadLetter,
  EventView,
  GrantView,
  LineageEdge,
  LiveEvent,
  ObjectDescription,
  PartitionPage,
  PartitionState,
  PartitionView,
  Progress,
  RunLineage,
  RunStatus,
  RunTarget,
  RunView,
  ScheduleView,
  StepStatus,
  StepView,
  TableOverview,
  ValuePreview,
} from './base/views.ts'
export type { CodeChange } from './base/code-change.ts'
export type { ElsewhereWrite, ForkDiff, ForkedStep } from './base/fork-views.ts'
export type {
  Lineage,
  LineageLink,
  LineageNode,
  OpenLineageDataset,
  OpenLineageEvent,
  SnapshotLineage,
  WrittenBy,
} from './base/lineage-views.ts'
export type { Argument, Element, Pending, Received, Remote, Stub } from './rpc/remote.ts'
