import { dayMs } from '../base/durations.ts'
import type { Clock, Random, Store } from '../base/ports.ts'
import type { LiveEventBody, RunStatus, RunTarget } from '../base/views.ts'
import type { Execution } from './execution.ts'
import type { ValueBucket } from './spill.ts'

/** What the journal asks of the object it lives in. The adapters are in `object/`; the tests have fakes with the same contracts. */
export interface JournalPorts {
  /** The object's SQLite. Writes of one turn commit together, before any message leaves. */
  store: Store
  clock: Clock
  random: Random

  /**
   * A timer of this instance: resolves after `ms`, and rejects (with anything) soon after `signal` aborts. It does not survive the
   * instance and need not: a run that was waiting is taken up again by the watchdog.
   */
  sleep(ms: number, signal: AbortSignal): Promise<void>

  /** Resolves when everything written before the call is on disk. A rejection means that this instance cannot go on. */
  sync(): Promise<void>

  /**
   * Finds the method or handler that `run.target` names and calls it inside an async context that holds `execution`. Rejects with the
   * user's error, or with one that says that the target does not exist any more: either ends the run as failed.
   */
  execute(run: RunInvocation, execution: Execution): Promise<unknown>

  /**
   * Calls `work`, a step's function, inside an async context that holds `execution`: the step's own scope, on which nested steps and
   * keys are taken. Must call `work` once, synchronously, and hand back what it returns. Absent: `work` is just called.
   */
  enter?<T>(execution: Execution, work: () => T): T

  /** Makes large stored values smaller. Absent: they are stored as they are; those that were made smaller can then not be read. */
  compression?: Compression

  /** Where streams go on that are too long for the object's SQLite. Absent: all of them lie in rows; those that went on in one can then not be read. */
  bucket?: { of: ValueBucket; prefix: string }

  /**
   * The version of the code that runs, where the platform tells; the same for the life of an instance. Runs in flight are compared with it.
   */
  codeVersion?: string

  /** What a run does that began with another version than runs now. Absent: `latest`. */
  deployPolicy?: DeployPolicy

  /**
   * Why the code that runs has nothing for a target any more; `undefined` where it has. A run in flight is held then. Absent: it always has, and
   * {@link JournalPorts.execute} rejects.
   */
  lacks?(target: RunTarget): Error | undefined

  /** Is told that `nextWakeMs()` or `resumeDue()` may have something sooner. Called in the middle of things: look at the end of the turn. */
  wake?(): void

  /** Tells whoever watches, in memory and best effort: nothing depends on it. Must not throw. */
  observe(event: LiveEventBody): void

  /** Whether anybody watches: what nobody looks at is not made. Absent: somebody always does. */
  isObserved?(): boolean

  /** Is told of each change of a run, watched or not, in the turn that writes it and behind {@link observe}. Must not throw. */
  changed?(change: RunChange): void
}

/**
 * What a run does when the code is deployed anew while it is in flight. `latest`: it goes on with the new code. `pin`: it is held until its version
 * is back, or somebody accepts the new one for it. `ask`: it is held until somebody accepts or cancels, or its version is back.
 */
export type DeployPolicy = 'latest' | 'pin' | 'ask'

/** zstd (RFC 8878): frames of one object are read by any later one. */
export interface Compression {
  compress(bytes: Uint8Array): Uint8Array
  decompress(bytes: Uint8Array): Uint8Array
}

/** What happens to a run, as live events name it. */
export type RunEventType = Extract<LiveEventBody, { run: unknown }>['type']

/** A change of a run, for those who depend on it: no more than where it stands. */
export interface RunChange {
  type: RunEventType
  runId: string
  status: RunStatus
  isFork: boolean
  /** What it executes: read when it is asked for. */
  readonly target: RunTarget
}

/** What {@link JournalPorts.execute} is asked to call. */
export interface RunInvocation {
  runId: string
  target: RunTarget
  args: unknown[]
}

/** The bounds of a journal, each overridable by name. */
export interface JournalLimits {
  /** While a run is under way, the object wants to be woken this often, so that a run whose object died goes on. Milliseconds. */
  watchdogMs: number
  /** How often a run is taken up again after a crash before it fails with `RUN_CRASHED`. */
  runResumes: number
  /** How many runs are taken up at once after a crash; the others follow as those end. */
  resumesAtOnce: number
  /** The longest pause between two attempts of a step, before jitter. Milliseconds. */
  retryDelayMs: number
  /** Live progress of one step is told at most this often. Milliseconds. */
  progressMs: number
  /** A run in which nothing has happened for as long, and which only sleeps or waits, is parked: the object may then be evicted. Milliseconds. */
  parkAfterMs: number
  /** How many parked runs are kept in memory, so that they need no replay when the object was not evicted. */
  parkedInMemory: number
  /** How long an event that was received is kept for waits that begin after it came. Milliseconds. */
  signalWindowMs: number
  /** How many such events are kept, the newest. */
  signalsKept: number
  /** While a run is held, the object wants to be woken this often, to see whether the run's version of the code is back. Milliseconds. */
  heldLookMs: number
  /** How many runs that were started may execute at once, those that only rest not counted; the others wait. */
  runsUnderWay: number
  /** How many may wait to begin before starting refuses more where it is told to. */
  runsWaiting: number
  /** How long the replay of a run whose steps are to be undone may take until all that can undo is known. Milliseconds. */
  undoReplayMs: number
  /** So many bytes of one stored stream lie in SQLite; what follows goes to the bucket, where there is one. */
  streamRowsBytes: number
  /** A result that takes more bytes in rows is moved to the bucket, where there is one. */
  resultRowsBytes: number
}

/** The limits that hold where none are given. */
export const defaultLimits: JournalLimits = {
  watchdogMs: 30_000,
  runResumes: 50,
  resumesAtOnce: 100,
  retryDelayMs: 3_600_000,
  progressMs: 250,
  parkAfterMs: 10_000,
  parkedInMemory: 1000,
  signalWindowMs: dayMs,
  signalsKept: 1000,
  heldLookMs: 3_600_000,
  runsUnderWay: 1000,
  runsWaiting: 100_000,
  undoReplayMs: 30_000,
  streamRowsBytes: 64 * 1024 * 1024,
  resultRowsBytes: 8 * 1024 * 1024,
}
