/** The operator's view of an app, as a client holds it. */
import type { RunView, ScheduleView } from '../base/views.ts'
import type { Pending } from '../rpc/remote.ts'

/** What an app is made of. */
export interface AppDescription {
  nouns: string[]
  /** Objects that live without being called, by noun. */
  singletons: Record<string, string[]>
}

/** What one object is. */
export interface ObjectDescription {
  noun: string
  name: string
  methods: string[]
  getters: string[]
}

/** A table of the app's catalog. */
export interface TableOverview {
  /** Levels joined by dots, such as `analytics.events`. */
  name: string
  location: string
  snapshotId?: number
  /** Epoch milliseconds of the snapshot. */
  committedAt?: number
  files?: number
  rows?: number
  bytes?: number
}

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
}

/** One object, as an operator sees it. */
export interface InspectorStub {
  describe(): Pending<ObjectDescription>
  runs(options?: { limit?: number; before?: string }): Pending<RunView[]>
  run(runId: string): Pending<RunView>
  cancelRun(runId: string): Pending<void>
  schedules(): Pending<ScheduleView[]>
  trigger(scheduleId: string): Pending<string>
  pause(scheduleId: string): Pending<void>
  resume(scheduleId: string): Pending<void>
}
