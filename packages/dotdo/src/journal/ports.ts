import type { Clock, Random, Store } from '../base/ports.ts'
import type { LiveEventBody, RunTarget } from '../base/views.ts'
import type { Execution } from './execution.ts'

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

  /** Tells whoever watches, in memory and best effort: nothing depends on it. Must not throw. */
  observe(event: LiveEventBody): void
}

/** zstd (RFC 8878): frames of one object are read by any later one. */
export interface Compression {
  compress(bytes: Uint8Array): Uint8Array
  decompress(bytes: Uint8Array): Uint8Array
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
}

/** The limits that hold where none are given. */
export const defaultLimits: JournalLimits = {
  watchdogMs: 30_000,
  runResumes: 50,
  resumesAtOnce: 100,
  retryDelayMs: 3_600_000,
  progressMs: 250,
}
