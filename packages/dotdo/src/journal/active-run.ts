import { Cancellation } from './cancellation.ts'
import type { Step } from './steps.ts'

/** What a use of a step id needs to know of the scope it was made in. */
export interface UsingScope {
  /** The step whose attempt the scope is; `undefined` for the run's own. */
  readonly stepId: string | undefined
  readonly cancellation: Cancellation
}

/** The last use of one step id in an execution. */
export interface StepUse {
  /** Weak, because a function holds what it closes over. One that was collected can be passed by nobody, so it equals no other. */
  fn: WeakRef<object>
  /** Its name or the beginning of its text, for people. */
  text: string
  scope: UsingScope
  /** While it is under way. */
  promise: Promise<unknown> | undefined
}

/**
 * One execution of a run in this incarnation: owns what of it is only in memory.
 *
 * Invariants: 1. There is at most one for a run at any time. 2. `ended` is set in the turn that writes the run's end into its row;
 * from then on nothing of the run is written. 3. Once `broken`, the store's state is unknown: the row is left as it is, for the watchdog.
 */
export class ActiveRun {
  readonly seq: number
  readonly runId: string
  /** Nothing of this run was there before this execution: steps need no look-up, and no flush of their own. */
  readonly fresh: boolean
  readonly cancellation = new Cancellation()
  readonly uses = new Map<string, StepUse>()
  /** The steps under way, their pauses between attempts included. */
  readonly open = new Set<Promise<unknown>>()
  /** The steps whose rows are open, by id. */
  readonly steps = new Map<string, Step>()
  /** When the progress of a step was told last. */
  readonly toldAt = new Map<string, number>()
  /** The place of the next new step in the order of first starts. */
  nextOrdinal: number
  ended = false
  /** What a write or flush failed with. */
  broken: { thrown: unknown } | undefined
  /** Resolves or rejects as the run ends. */
  readonly outcome: Promise<unknown>
  /** Settles {@link outcome}. */
  readonly resolve: (outcome: unknown) => void

  constructor(seq: number, runId: string, fresh: boolean, nextOrdinal: number) {
    this.seq = seq
    this.runId = runId
    this.fresh = fresh
    this.nextOrdinal = nextOrdinal
    const { promise, resolve } = Promise.withResolvers<unknown>()
    this.outcome = promise
    this.resolve = resolve
    // Whoever launches the run handles the outcome; a run that was adopted or resumed may have nobody, and its row has it all the same.
    promise.catch(() => undefined)
  }

  /** Does a write without which the run must not go on. */
  write<T>(work: () => T): T {
    try {
      return work()
    } catch (thrown) {
      this.broken ??= { thrown }
      throw thrown
    }
  }

  /** Resolves when no step is under way. A step that nobody awaits is part of its run all the same. */
  async quiet(): Promise<void> {
    while (this.open.size > 0) await Promise.allSettled(this.open)
  }
}
