/**
 * What an observer sees of an object: plain, structured-clonable data that crosses RPC and reaches the page. The rooms that own the state
 * (journal, schedule, events) produce these; the client and the console read them.
 */
import type { ErrorRecord } from './errors.ts'
import type { Budget, Spent } from './price.ts'

/** Where a run stands. `held`: its policy keeps it from going on with other code than it began with; the error says what it waits for. */
export type RunStatus = 'running' | 'done' | 'failed' | 'cancelled' | 'held'
/** Where a step stands. `waiting`: between two attempts, asleep, or until an event or another run. */
export type StepStatus = 'running' | 'waiting' | 'done' | 'failed'

/** How far a step is, as its source or sink tells: what is known is there, the rest is absent. */
export interface Progress {
  rows?: number
  bytes?: number
  /** What is being read or written, such as `s3://data-lake/flights/2001-01-01.ndjson`. */
  at?: string
}

/** What started a run: a method called from outside, a schedule that fired, an event that was handled. */
export type RunTarget =
  | { kind: 'method'; name: string }
  | { kind: 'schedule'; id: string; scheduledAt: number }
  | { kind: 'event'; type: string; handler: string }

/** A value shown to people: its JSON-like text, cut at a length that the producer states. */
export interface ValuePreview {
  text: string
  /** Length of the whole stored value in bytes; more than `text` where that was cut. */
  sizeBytes: number
  /** Number of elements, where the value is an array or a stream of rows. */
  rows?: number
}

/** One attempt of a step that did not end well, or the one after such. Instants are epoch milliseconds. */
export interface AttemptView {
  /** 1 for the first. Counts over the attempts of each retry of the run. */
  attempt: number
  startedAt: number
  /** Absent while it is under way, and where the object died during it. */
  endedAt?: number
  error?: ErrorRecord
}

/** One step of a run. Instants are epoch milliseconds. */
export interface StepView {
  stepId: string
  status: StepStatus
  attempt: number
  /** Epoch milliseconds. */
  startedAt: number
  endedAt?: number
  /** When the next attempt starts, while `waiting`. */
  nextAttemptAt?: number
  progress?: Progress
  result?: ValuePreview
  error?: ErrorRecord
  /** What it is, where it is no function: a sleep, a wait for an event, another run, or the undoing of a step. */
  kind?: 'sleep' | 'wait' | 'run' | 'undo'
  /** The type of the event that it waits for; of one that is a run: the run that a deploy holds, in words, where it waits for that. */
  waitsFor?: string
  /** The newest attempts that failed or died, oldest first, ten at most. */
  attempts?: AttemptView[]
  /** What the attempt that is under way, or the last, has stored to go on from. */
  checkpoint?: ValuePreview
  /** The version that the code stated for it. */
  version?: string
  /** It has an `undo` that would run if the run failed; `undone` when it has. */
  undo?: 'ready' | 'undone'
  /** It was not done in this run: its result is that of the run that this one was forked from. */
  taken?: true
  /** What it has used, over all attempts; absent where that is nothing that is counted. */
  price?: Spent
}

/** One run: what started it, where it stands, and what came of it. Instants are epoch milliseconds. */
export interface RunView {
  runId: string
  target: RunTarget
  status: RunStatus
  /** How often the run was started or taken up again: 1 for a run that was never interrupted. */
  attempt: number
  startedAt: number
  endedAt?: number
  input?: ValuePreview
  result?: ValuePreview
  error?: ErrorRecord
  /** Words to find it by. */
  tags?: string[]
  /** The version of the code that it began with, or that was accepted for it, where the platform tells. */
  version?: string
  /** It only sleeps or waits, and nothing of it need be in memory; `until` is when it goes on at the latest. */
  parked?: { until?: number }
  /** It has failed or was cancelled, and its steps are being undone; its status is still `running`. */
  undoing?: true
  /** The run that waits for it. */
  parent?: { runId: string; stepId: string }
  /** The run whose results it began with, and the first step that it did itself; without one it did all of them. */
  forkedFrom?: { runId: string; stepId?: string }
  /** The most that it may use. */
  budget?: Budget
  /** What it has used so far, its steps included; absent where that is nothing that is counted, and in lists. */
  price?: Spent
  /** In order of their first start. Absent in lists. */
  steps?: StepView[]
}

/**
 * What a piece of code did. `call`: a method of another object. `write`: a snapshot of a table. `read`: a source. `send`: an event. `http`: a request to the outside
 * that may write. `run`: a run that it began. `by`: who called. `more`: what there was beyond what is kept.
 */
export type LineageKind = 'call' | 'write' | 'read' | 'send' | 'http' | 'run' | 'by' | 'more'

/** One thing that a step did, or did several times. */
export interface LineageEdge {
  kind: LineageKind
  /** `Noun/name`; `WAREHOUSE/namespace.table`; the address of a source or request without its query; the type of an event; the method of a run. */
  target: string
  /** The method of a call, the id of a snapshot, the method of a request; the key of whoever called. Else empty. */
  what: string
  /** How often. */
  n: number
  /** Stands for what went in, whatever the order: equal for equal inputs up to 2,048 characters each. */
  print: number
  /** What went in the first time, cut at 256 characters. */
  input?: string
  /** Rows written. */
  rows?: number
}

/** One run with what its steps did. Instants are epoch milliseconds. */
export interface RunLineage {
  /** `Noun/name`. */
  object: string
  runId: string
  target: RunTarget
  status: RunStatus
  startedAt: number
  endedAt?: number
  /** The run that waits for it, of the same object. */
  parent?: { runId: string; stepId: string }
  forkedFrom?: { runId: string; stepId?: string }
  /** The step of another object's run that called, and so began it. */
  calledBy?: { object: string; runId: string; stepId: string }
  /** Those that did anything, in order of their first start; the run's own code has no `stepId` and comes last. */
  steps: { stepId?: string; status?: StepStatus; startedAt?: number; endedAt?: number; edges: LineageEdge[] }[]
}

/** One schedule, with the instants that come next. */
export interface ScheduleView {
  scheduleId: string
  /** In words, such as `every day at 02:00`. */
  pattern: string
  timeZone: string
  paused: boolean
  /** The next instants, epoch milliseconds, soonest first; empty when it never fires again. */
  next: number[]
  lastFiredAt?: number
  lastRunId?: string
  /** Where that run stands; absent once it was pruned. */
  lastStatus?: RunStatus
  /**
   * A deploy holds the run that its instants wait for: nothing of it goes on until somebody accepts or cancels that run. `skipped`: how many instants have gone
   * by since without a run, counted up to 1,000; the next run's window covers them.
   */
  held?: { runId: string; skipped: number }
  /** How many of its runs have failed one after the other, up to the newest that ended. Absent where that is none. */
  failures?: number
  /** The most that each of its runs may use. */
  budget?: Budget
}

/**
 * Where a window of a schedule stands. `missing`: no run has covered it, or the one that should was cancelled. `stale`: it was done, and
 * somebody has said since that it is to be done again.
 */
export type PartitionState = 'missing' | 'running' | 'failed' | 'done' | 'stale'

/** One window of a schedule: the span of data, from `start` (inclusive) to `end` (exclusive), that its instant `end` answers for. Epoch milliseconds. */
export interface PartitionView {
  start: number
  end: number
  state: PartitionState
  /** The run that the state is of; absent where there was none, and for what was done so long ago that its runs are forgotten. */
  runId?: string
  /** A deploy holds that run; its state is still `running`. */
  held?: true
}

/** Some windows of a schedule, oldest first. */
export interface PartitionPage {
  partitions: PartitionView[]
  /** Where there are more: what to ask for as `from` to go on. */
  next?: number
}

/** How far a backfill is: windows of one schedule that are run once more, or for the first time. Instants are epoch milliseconds. */
export interface BackfillView {
  backfillId: string
  scheduleId: string
  status: 'running' | 'done' | 'cancelled'
  /** The windows that end after `from` and not after `to`. */
  from: number
  to: number
  /** Windows in which states it runs. */
  takes: PartitionState[]
  /** Windows up to here have been looked at. */
  upTo: number
  /** How many windows there are in all; absent where they are more than 10,000. */
  windows?: number
  /** How many run now, how many may, and how the others ended. */
  running: number
  concurrency: number
  done: number
  failed: number
  cancelled: number
  /** How many were in no state that it takes: done already, or under way. */
  passed: number
  startedAt: number
  endedAt?: number
  /** The most that each of its runs may use, where that is not the schedule's own. */
  budget?: Budget
}

/** What an app is made of. */
export interface AppDescription {
  nouns: string[]
  /** Objects that live without being called, by noun. */
  singletons: Record<string, string[]>
}

/** What one object is: its name, and what of it can be reached. */
export interface ObjectDescription {
  noun: string
  name: string
  /** Public methods and getters. */
  methods: string[]
  getters: string[]
}

/** A table of the app's catalog: where it is, and what its current snapshot holds. */
export interface TableOverview {
  /** Levels joined by dots, such as `analytics.events`. */
  name: string
  location: string
  /** Absent where nothing has been written. */
  snapshotId?: number
  /** Epoch milliseconds of the snapshot. */
  committedAt?: number
  files: number
  rows: number
  /** Bytes of the data files. */
  bytes: number
}

/** One capability that an object has handed out as a token. The token itself nobody has but those who were given it. Instants are epoch milliseconds. */
export interface GrantView {
  /** The object that issued it, where it is revoked. */
  noun: string
  name: string
  jurisdiction?: string
  id: string
  /** What its issuer noted of it. */
  label?: string
  /** The calls that lead to the capability from the object, such as `getThing(1)`; empty for the object itself. */
  path: string
  /** What it was narrowed to when it was saved. */
  caveats: { only?: string[]; until?: number; uses?: number; where?: Record<string, unknown[]> }
  /** `revoked`, `expired` and `used up` may be those of the grant that it was made from. */
  status: 'live' | 'revoked' | 'expired' | 'used up'
  /** The fewest that are left, where uses are counted. */
  usesLeft?: number
  /** Who alone may restore it: whoever knows a secret, or one object as `Noun/name`. */
  holder?: 'secret' | { object: string }
  /** The object that asked for it, as `Noun/name`. */
  by?: string
  /** The grant that it was made from, and ends with. */
  parent?: string
  createdAt: number
  /** To the minute. */
  usedAt?: number
  revokedAt?: number
}

/** An event that a handler never took: what is known of it, without the whole payload. */
export interface DeadLetter {
  /** `<eventId>:<handlerId>`: what `replay` and `discard` take. */
  id: string
  eventId: string
  eventType: string
  /** The id of the handler. */
  handler: string
  /** How many attempts were made. */
  attempts: number
  /** The last failure. `HANDLER_GONE`: the code no longer declares the handler. `DELIVERY_INTERRUPTED`: the object stopped during each attempt. */
  error: ErrorRecord
  sentAt: number
  diedAt: number
  payload: ValuePreview
}

/** One event in a list of what was sent. */
export interface EventView {
  eventId: string
  eventType: string
  sentAt: number
  source: string
  key?: string
  /** Handlers that have yet to take it. */
  waiting: number
  /** Handlers that never took it: dead letters. */
  dead: number
  /** When the last handler had taken it. Absent while it waits or has dead letters. */
  endedAt?: number
  payload: ValuePreview
}

/** A subscription to the events of an object, as that object sees it. Instants are epoch milliseconds. */
export interface SubscriptionView {
  subscriptionId: string
  /** Which events: `Order.paid`, `*.failed`. */
  pattern: string
  /** Who gets them, as `Noun/name`: a handler that it has declared, or a method of it. */
  receiver: string
  handler?: string
  method?: string
  /** Who asked for it, as `Noun/name`. Absent: an operator. */
  owner?: string
  ordered: boolean
  /** `failing`: its receiver does not answer, and is tried again at `nextAttemptAt`. `suspended`: it is not tried any more until somebody resumes it. */
  state: 'active' | 'failing' | 'suspended'
  /** Events that wait for it, counted up to 50,000; its dead letters; and events that passed it by while it was suspended and full. */
  waiting: number
  dead: number
  missed: number
  /** Messages in a row that did not get through. */
  failures: number
  failingSince?: number
  nextAttemptAt?: number
  suspendedAt?: number
  error?: ErrorRecord
  createdAt: number
}

/** What an object has subscribed to elsewhere, as it sees it itself. */
export interface SubscribedView {
  subscriptionId: string
  /** Whose events, as `Noun/name`. */
  source: string
  pattern: string
  /** The handler's id, or where the events go instead. */
  handler: string
  /** `asking`: the source has not confirmed it yet. `refused`: it will not, and `error` says why. `ending`: the source does not know yet that it is over. */
  state: 'asking' | 'active' | 'refused' | 'ending'
  error?: ErrorRecord
  createdAt: number
}

/** One thing that happened in an object, as live subscribers receive it. `seq` counts up within one object without gaps. */
export type LiveEvent = { seq: number; at: number } & (
  | {
      type: 'run.started' | 'run.resumed' | 'run.parked' | 'run.held' | 'run.undoing' | 'run.done' | 'run.failed' | 'run.cancelled'
      run: RunView
    }
  | { type: 'step.started' | 'step.progress' | 'step.retrying' | 'step.done' | 'step.failed'; runId: string; step: StepView }
  | { type: 'schedule.changed'; schedule: ScheduleView }
  | { type: 'event.sent'; eventId: string; eventType: string; payload: ValuePreview }
  | { type: 'event.delivered' | 'event.dead'; eventId: string; eventType: string; handler: string; error?: ErrorRecord }
  | { type: 'subscription.suspended'; subscriptionId: string; receiver: string; error: ErrorRecord }
)

/** A {@link LiveEvent} before it got its number. */
export type LiveEventBody = LiveEvent extends infer Event ? (Event extends LiveEvent ? Omit<Event, 'seq' | 'at'> : never) : never
