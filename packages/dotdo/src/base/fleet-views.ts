/**
 * What an observer sees of all objects of an app together. The room `fleet` makes these; the client, the command line and the page read them.
 * Instants are epoch milliseconds, objects are written `Noun/name`.
 */
import type { DeadLetter, RunStatus, RunView, ScheduleView } from './views.ts'

/** A run without what only its object has: its input, its result and its steps. Of its error the message is cut at 500 characters. */
export type RunHead = Pick<
  RunView,
  'runId' | 'target' | 'status' | 'attempt' | 'startedAt' | 'endedAt' | 'error' | 'tags' | 'version' | 'forkedFrom'
>

/** One run of the fleet. */
export interface FleetRun {
  object: string
  run: RunHead
}

/** One schedule of the fleet; of its next instants, the first. */
export interface FleetSchedule {
  object: string
  schedule: ScheduleView
  /** By when the next run of it is to be done, where a rule says so. */
  dueAt?: number
  /** The instant whose run was not done in time, until a later one is. */
  lateSince?: number
}

/** One dead letter of the fleet: the newest 50 of each object are in the index. */
export interface FleetLetter {
  object: string
  letter: DeadLetter
}

/** What an alert is of: all runs of one schedule, one method, or one handler of an object. */
export interface AlertSubject {
  kind: 'schedule' | 'method' | 'event'
  id: string
}

/** Something that went wrong, from when it was noticed until it went well again: what happens meanwhile is counted and told once. */
export interface FleetAlert {
  alertId: number
  object: string
  subject: AlertSubject
  kind: 'failed' | 'late'
  openedAt: number
  /** The last time that it was seen. */
  lastAt: number
  /** How many runs have failed, or which deadlines have passed. */
  count: number
  /** When it went well again, or what it was of ended. Absent while it is open. */
  closedAt?: number
  /** The last run that failed, or that should be done. */
  runId?: string
  /** Of a late one: the instant whose run was not done in time, and how long it had. */
  scheduledAt?: number
  deadlineMs?: number
  /** Why: the error of the run, or why the object could not be asked. */
  error?: { code?: string; message: string }
  /** The last time that somebody could not be told of it, with all attempts: who (`webhook hooks.example.com`), when, and why. */
  untold?: { to: string; at: number; error: { code?: string; message: string } }
}

/** One object that the index knows. */
export interface FleetObject {
  object: string
  /** When it told something last. */
  toldAt: number
  /** How many dead letters it has, all counted. */
  letters: number
}

/** A page of a list. */
export interface FleetPage<Item> {
  items: Item[]
  /** Where there may be more: what to ask for as `after` to go on. */
  next?: string
}

/** Numbers of the whole fleet. */
export interface FleetSummary {
  objects: number
  runs: number
  running: number
  held: number
  /** Runs that are failed now and began within a day. */
  failed: number
  schedules: number
  late: number
  letters: number
  /** Alerts that are open. */
  alerts: number
}

/** How far a rebuild is: each object is asked to tell all of itself anew. */
export interface FleetRebuild {
  status: 'running' | 'done'
  startedAt: number
  endedAt?: number
  asked: number
  failed: number
  /** The last failure. */
  error?: { object: string; message: string }
}

/** What every list may be asked for: `limit` 1 to 500, 50 where it is not said. */
export interface FleetQuery {
  noun?: string
  object?: string
  limit?: number
  after?: string
}

/** What lists of what happened may be asked for as well: what was at or after an instant, and before one. */
export interface FleetTimeQuery extends FleetQuery {
  since?: number
  until?: number
}

/** Which runs: newest first; of a time are those that began in it. */
export interface FleetRunQuery extends FleetTimeQuery {
  state?: RunStatus
  tag?: string
  kind?: AlertSubject['kind']
  /** The schedule, method or handler. */
  subject?: string
}

/** Which schedules: the one that fires next first. */
export interface FleetScheduleQuery extends FleetQuery {
  state?: 'late' | 'failing' | 'paused'
}

/** Which alerts: the newest first; of a time are those that were opened in it. */
export interface FleetAlertQuery extends FleetTimeQuery {
  state?: 'open' | 'closed'
}
