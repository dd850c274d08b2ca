import type { Duration } from '../base/durations.ts'
import type { Spent } from '../base/price.ts'
import type { Progress, RunTarget } from '../base/views.ts'
import type { LineageNote } from './lineage.ts'
import type { MapOptions } from './map-items.ts'
import type { ReceivedEvent } from './signals.ts'
import type { StepContext, StepFunction, StepOptions } from './step-options.ts'
import type { StoredStream } from './stored-stream.ts'
import type { WaitOptions } from './wait-options.ts'

/**
 * What a step resolves with: the awaited result of its function. A stream (an async iterable that is not a promise) comes back as the
 * {@link StoredStream} of its batches. The first arm must be the stream: an async iterable is an object like any other.
 */
export type StepResult<T> = Awaited<T> extends AsyncIterable<infer Batch> ? StoredStream<Batch> : Awaited<T>

/**
 * One execution of a run, as the code inside of it sees it: the whole run, or the scope of one attempt of one step. The adapter keeps
 * it in its async context; the journal itself knows no context.
 */
export interface Execution {
  readonly runId: string
  /** The step in whose function this scope is; `undefined` in the run's own scope. */
  readonly stepId: string | undefined
  /** When that step was begun for the first time, epoch milliseconds, and no earlier than its run; `undefined` in the run's own scope. */
  readonly stepStartedAt: number | undefined
  /** Aborts when the run is cancelled or fails, and, in a step's scope, when that attempt times out or fails. */
  readonly signal: AbortSignal

  /**
   * Does `fn` once in this run: the result is stored under `options.stepId`, and later executions of the run get it back without
   * calling `fn`. Retries with backoff; see {@link StepOptions} for the bounds.
   *
   * @returns the result; a decoded copy of it on replay
   * @throws the step's error, rebuilt from what is stored (name, code, data), on the first execution as on replay
   * @throws `STEP_ID_MISSING`, `INVALID_STEP_ID`, `INVALID_STEP_OPTIONS`, `STEP_ID_REUSED`: the call is wrong, nothing ran
   * @throws `STEP_TIMEOUT`, `STEP_CRASHED`, `NOT_STORABLE`, `RESULT_TOO_LARGE`: what happened to the step
   * @throws `STEP_CHANGED`: the run has stored another version or input of it
   * @throws `RUN_CANCELLED`, `RUN_ENDED`: the run is over, nothing ran
   *
   * One that fails and whose outcome nobody has asked for when the run's function returns fails the run.
   */
  step<T>(fn: StepFunction<T>, options: StepOptions<NoInfer<Awaited<T>>>): Promise<StepResult<T>>

  /**
   * Rests for as long, counted from when the run first came here, whatever happens to the object meanwhile. While a run only rests, nothing of it need be
   * in memory.
   *
   * @throws as {@link step}
   */
  sleep(duration: Duration, options: { stepId: string }): Promise<void>

  /** Rests until an instant: a `Date`, epoch milliseconds or a text with its zone; one that has passed is there at once. @throws as {@link step} */
  sleepUntil(instant: number | Date | string, options: { stepId: string }): Promise<void>

  /**
   * Rests until the object receives an event of this type whose payload has what `match` names. One that came after the run began and before the wait
   * did counts, while it is kept (a day, and the newest 1,000). One event ends one wait of a run, the one that began first.
   *
   * @returns the event; `null` when `timeout` has passed
   * @throws as {@link step}
   */
  waitFor<Payload>(type: string, options: WaitOptions): Promise<ReceivedEvent<Payload> | null>

  /**
   * Starts a run of the same object, once, and rests until it ends: its id is `<run id>/<step id>`. It is cancelled with this run, and retried with it.
   *
   * @returns its result
   * @throws its error, and as {@link step}
   */
  callRun(target: RunTarget, args: unknown[], options: { stepId: string }): Promise<unknown>

  /** One step for each item, a bounded number at a time: see `mapItems`. */
  map<Item, T>(
    items: Iterable<Item> | AsyncIterable<Item>,
    fn: (item: Item, context: StepContext) => T,
    options: MapOptions<Item, NoInfer<Awaited<T>>>,
  ): Promise<StepResult<T>[]>

  /**
   * Counts 0, 1, 2, ... for each label within this scope, from 0 again in every execution of the run and every attempt of the step. A
   * step's scope counts for itself because a memoised step does not run again and so must not shift the numbers behind it.
   */
  nextOrdinal(label?: string): number

  /** A key for one effect (an event sent, a call made), unique among all runs and the same on replay: scope, label and ordinal. */
  nextKey(label?: string): string

  /** Notes what the code of this scope has called, read or written: stored with what it comes to. */
  note(note: LineageNote): void

  /** Merges into the progress of a step that is under way: told live, throttled, and kept in the step's row when it ends. */
  progress(stepId: string, progress: Progress): void

  /**
   * Adds to what this scope has used. What comes when the attempt or the run is over is the run's, or is not counted.
   * @returns `BUDGET_EXCEEDED` when it is the first that passes the run's budget: the run ends with it, and whatever costs more is not to be done
   */
  spend(spent: Spent): Error | undefined
}

/** The execution of a call from outside that became a run when its first step began. */
export interface AdoptedExecution extends Execution {
  /** How the run ends: with what {@link settle} was given, or as cancelled. There when its row is written. */
  readonly outcome: Promise<unknown>
  /** Resolves when the run has ended or is parked: until then the object is to be kept alive for it. */
  readonly atRest: Promise<void>
  /**
   * Ends the run with the outcome of the call. Must be called, once. Does not consume the result: a stream or stub in it goes to the
   * caller and is not stored.
   *
   * @returns resolves when the run's row is written, whatever the outcome; rejects only when it cannot be written
   */
  settle(outcome: PromiseLike<unknown>): Promise<void>
}
