/**
 * What the page asks of an app. One connection for as long as the session lasts.
 *
 * Stubs that stand between two calls are given back as soon as the call is answered: held ones would keep objects awake for as long as the page
 * is open.
 */
import {
  connect,
  type AppDescription,
  type BackfillView,
  type CodeChange,
  type FleetAlert,
  type FleetLetter,
  type FleetPage,
  type FleetRun,
  type FleetSchedule,
  type FleetSummary,
  type FleetTimeQuery,
  type ForkDiff,
  type InspectorStub,
  type Lineage,
  type LiveListener,
  type LiveSubscription,
  type ObjectDescription,
  type PartitionView,
  type RunView,
  type ScheduleView,
  type TableOverview,
} from 'dotdo/client'
import type { Row } from './chart.ts'
import { pageSize } from './live-runs.ts'
import type { SnapshotPlace } from './route.ts'
import { endsSession } from './session.ts'

/** Windows of a schedule that are read at once: the most that an object gives. */
const windowsSize = 1000

/** One object of the app, by what the page needs of it. */
export interface ObjectApi {
  describe(): Promise<ObjectDescription>
  /** The newest runs, the schedules, and one run with its steps where `runId` is given: one round trip. An unknown run is an error of `open` alone. */
  read(runId: string | undefined): Promise<{ runs: RunView[]; schedules: ScheduleView[]; open: RunView | undefined; openError: unknown }>
  /** The page of runs before this one. */
  older(before: string): Promise<RunView[]>
  cancel(runId: string): Promise<void>
  /** Takes up a run that failed or was cancelled. */
  retry(runId: string): Promise<void>
  /** Lets a run that is held go on with the code that runs now; any other stays as it is. */
  accept(runId: string): Promise<void>
  /** What the code that runs now changes for a run that is held: nothing is done. */
  whatChanged(runId: string): Promise<CodeChange>
  /** Forks a run that has ended, from a step on or from the beginning; `accept`: also where other code has run. Gives the id of the fork. */
  fork(runId: string, from: string | undefined, accept: boolean): Promise<string>
  /** What such a fork would write, against what the run wrote: nothing is done. */
  rehearse(runId: string, from: string | undefined): Promise<ForkDiff>
  /** Where a run comes from, and what its steps called, read and wrote. */
  lineage(runId: string): Promise<Lineage>
  /** Gives a dead letter to its handler again, or throws it away. */
  replay(letterId: string): Promise<void>
  discard(letterId: string): Promise<void>
  /** The windows of a schedule that end in a time, oldest first, 500 at most. */
  partitions(scheduleId: string, from: number, to: number): Promise<{ windows: PartitionView[]; hasMore: boolean }>
  /** Runs those of them that are missing, failed or stale. */
  backfill(scheduleId: string, from: number, to: number): Promise<void>
  /** Backfills of a schedule that are known, newest first. */
  backfills(scheduleId: string): Promise<BackfillView[]>
  /** Begins no more windows, and cancels those that run. */
  cancelBackfill(scheduleId: string, backfillId: string): Promise<void>
  /** Gives the id of the run. */
  trigger(scheduleId: string): Promise<string>
  pause(scheduleId: string): Promise<void>
  resume(scheduleId: string): Promise<void>
  /** Calls the object's own `query(sql)`. */
  query(sql: string): Promise<Row[]>
  /** What the object's own `exampleQueries` answers. */
  exampleQueries(isGetter: boolean): Promise<unknown>
  watch(listener: LiveListener): LiveSubscription
}

/** The app, as the page sees it. Every call ends the session where the app does not know it any more. */
export interface Api {
  describe(): Promise<AppDescription>
  tables(): Promise<TableOverview[]>
  /** Where a snapshot of a table comes from. */
  lineage(of: SnapshotPlace): Promise<Lineage>
  object(noun: string, name: string): ObjectApi
  fleet: FleetApi
  close(): void
}

/** What a list of all objects may be asked for. */
export type Ask = FleetTimeQuery & { state?: string; tag?: string }

/** All objects, as they have told the index of the app. */
export interface FleetApi {
  summary(): Promise<FleetSummary>
  runs(ask: Ask): Promise<FleetPage<FleetRun>>
  schedules(ask: Ask): Promise<FleetPage<FleetSchedule>>
  alerts(ask: Ask): Promise<FleetPage<FleetAlert>>
  letters(ask: Ask): Promise<FleetPage<FleetLetter>>
}

/** Connects. `onEnd` is told when the app does not know the session any more. */
export function openApi(url: string, token: string, onEnd: () => void): Api {
  const app = connect(url, { token })

  const guard = async <T>(call: () => PromiseLike<T>): Promise<T> => {
    try {
      return await call()
    } catch (error) {
      if (endsSession(error)) onEnd()
      throw error
    }
  }
  const object = (noun: string, name: string): ObjectApi => {
    const inspect = <T>(use: (inspector: InspectorStub) => PromiseLike<T>) => guard(() => lend(app.dotdo.object(noun, name), use))
    const call = <T>(use: (stub: UserStub) => PromiseLike<T>) =>
      guard(() => lend((app as unknown as Record<string, (name: string) => UserStub>)[noun]!(name), use))
    return {
      describe: () => inspect((inspector) => inspector.describe()),
      read: (runId) =>
        inspect(async (inspector) => {
          let openError: unknown
          const [runs, schedules, open] = await Promise.all([
            inspector.runs({ limit: pageSize }),
            inspector.schedules(),
            runId === undefined ? undefined : inspector.run(runId).catch((error: unknown) => void (openError = error)),
          ])
          return { runs, schedules, open: open ?? undefined, openError }
        }),
      older: (before) => inspect((inspector) => inspector.runs({ limit: pageSize, before })),
      cancel: (runId) => inspect((inspector) => inspector.cancelRun(runId)),
      retry: (runId) => inspect((inspector) => inspector.retryRun(runId)),
      accept: (runId) => inspect((inspector) => inspector.acceptRun(runId)),
      whatChanged: (runId) => inspect((inspector) => inspector.whatChanged(runId)),
      fork: (runId, from, accept) =>
        inspect((inspector) => inspector.forkRun(runId, { ...(from !== undefined && { from }), ...(accept && { accept }) })),
      rehearse: (runId, from) => inspect((inspector) => inspector.rehearseFork(runId, from === undefined ? {} : { from })),
      lineage: (runId) => inspect((inspector) => inspector.lineage(runId)),
      replay: async (id) => void (await inspect((inspector) => inspector.replay(id))),
      discard: async (id) => void (await inspect((inspector) => inspector.discard(id))),
      partitions: (scheduleId, from, to) =>
        inspect(async (inspector) => {
          const { partitions, next } = await inspector.schedule(scheduleId).partitions(from, to, { limit: windowsSize })
          return { windows: partitions, hasMore: next !== undefined }
        }),
      backfill: async (scheduleId, from, to) =>
        void (await inspect((inspector) => inspector.schedule(scheduleId).backfill(from, to, { concurrency: 4 }).progress())),
      backfills: (scheduleId) => inspect((inspector) => inspector.schedule(scheduleId).backfills()),
      cancelBackfill: (scheduleId, id) => inspect((inspector) => inspector.schedule(scheduleId).openBackfill(id).cancel()),
      trigger: (scheduleId) => inspect((inspector) => inspector.trigger(scheduleId)),
      pause: (scheduleId) => inspect((inspector) => inspector.pause(scheduleId)),
      resume: (scheduleId) => inspect((inspector) => inspector.resume(scheduleId)),
      query: (sql) => call((stub) => stub.query(sql)),
      exampleQueries: (isGetter) =>
        call((stub) => {
          // A stub of anything is called and awaited alike: the object knows which of the two it has.
          const { exampleQueries } = stub as unknown as { exampleQueries: PromiseLike<unknown> & (() => PromiseLike<unknown>) }
          return isGetter ? exampleQueries : exampleQueries()
        }),
      watch: (listener) =>
        app.watch(noun, name, {
          ...listener,
          ended: (error) => {
            listener.ended?.(error)
            if (endsSession(error)) onEnd()
          },
        }),
    }
  }
  return {
    describe: () => guard(() => app.dotdo.describe()),
    tables: () => guard(() => app.dotdo.tables()),
    lineage: (of) => guard(() => app.dotdo.lineage(of)),
    object,
    fleet: {
      summary: () => guard(() => app.dotdo.fleet.summary()),
      // The states of a list are those that its view offers.
      runs: (ask) => guard(() => app.dotdo.fleet.runs(ask as never)),
      schedules: (ask) => guard(() => app.dotdo.fleet.schedules(ask as never)),
      alerts: (ask) => guard(() => app.dotdo.fleet.alerts(ask as never)),
      letters: (ask) => guard(() => app.dotdo.fleet.deadLetters(ask)),
    },
    close: () => app.close(),
  }
}

/** The methods of a user's object that the page calls where they are there. */
interface UserStub {
  query(sql: string): PromiseLike<Row[]>
}

/** Uses a stub and gives it back. */
async function lend<Stub extends object, T>(stub: Stub, use: (stub: Stub) => PromiseLike<T>): Promise<T> {
  try {
    return await use(stub)
  } finally {
    ;(stub as Partial<Disposable>)[Symbol.dispose]?.()
  }
}
