import { codeOf } from '../base/errors.ts'
import { Cancellation } from './cancellation.ts'
import { FunctionTexts } from './function-texts.ts'
import type { Place } from './limiter.ts'
import type { Notes } from './lineage.ts'
import { ReadAhead } from './read-ahead.ts'
import type { RunRow } from './runs.ts'
import type { StepPlan } from './step-options.ts'
import type { StepPromise } from './step-promise.ts'
import type { Meter } from './meter.ts'
import type { Step } from './steps.ts'

/** What a use of a step id needs to know of the scope it was made in. */
export interface UsingScope {
  /** The step whose attempt the scope is; `undefined` for the run's own. */
  readonly stepId: string | undefined
  readonly cancellation: Cancellation
  /** The places that it and those around it hold. */
  held(): Place[]
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

/** Something of a run that needs nothing but an instant, or word from elsewhere, to go on. */
export interface Rest {
  /** Epoch milliseconds; null for as long as it takes. */
  readonly until: number | null
  /** Ends it. Later calls do nothing. */
  wake(): void
}

/** At most this many failures of steps are remembered to see whether anybody asks for them: the first that nobody does fails the run. */
const failuresKept = 100

/**
 * One execution of a run in this incarnation: owns what of it is only in memory.
 *
 * Invariants: 1. There is at most one for a run at any time. 2. `ended` is set in the turn that writes the run's end into its row;
 * from then on nothing of the run is written. 3. Once `broken`, the store's state is unknown: the row is left as it is, for the watchdog.
 * 4. While `parked`, the row says so, and every step that is open is a rest. 5. One that was let go of writes and answers nothing any more.
 */
export class ActiveRun {
  readonly seq: number
  readonly runId: string
  /** When its row was made, epoch milliseconds. */
  readonly startedAt: number
  /** Nothing of this run was there before this execution: steps need no look-up, and no flush of their own. */
  readonly fresh: boolean
  /** The number of this execution. */
  readonly attempt: number
  readonly signalsFrom: number
  readonly parent: { seq: number; stepId: string } | undefined
  /** Whether it began with the results of another run. */
  readonly isFork: boolean
  /**
   * Until a fork comes to its first own step, the run that came there before: what the code sends between steps that were taken over has its keys, and so
   * is not sent twice.
   */
  follows: { seq: number; runId: string } | undefined
  readonly cancellation = new Cancellation()
  /** Stops what undoes its steps: somebody has said that it is to end without. */
  readonly giveUp = new Cancellation()
  readonly uses = new Map<string, StepUse>()
  /** What its functions are called in errors. */
  readonly texts = new FunctionTexts()
  /** The steps under way, their pauses between attempts included. */
  readonly open = new Set<Promise<unknown>>()
  /** Work that begins steps as it goes on. */
  readonly groups = new Set<Promise<unknown>>()
  /** Those of the open steps that only wait. */
  readonly resting = new Set<Rest>()
  /** The rests that something else than time ends, by step. */
  readonly awaited = new Map<string, Rest>()
  /** The steps whose rows are open, by id. */
  readonly steps = new Map<string, Step>()
  /** What was read of its steps and not yet asked for. */
  readonly ahead = new ReadAhead()
  /** The steps that have begun in this turn and have no row yet: one that ends at once is written once. */
  readonly unwritten = new Set<Step>()
  /** What its steps have noted, once any has. */
  notes: Notes | undefined
  /** When the progress of a step was told last. */
  readonly toldAt = new Map<string, number>()
  /** What it uses. */
  readonly meter: Meter
  /** Stops the timer of its budget of time, where it has one. */
  timer: AbortController | undefined
  /** How to undo the steps that are done, by id, as the code of this execution says. */
  readonly undos = new Map<string, StepPlan>()
  /** Is told when one more of them is known. */
  undoKnown: (() => void) | undefined
  /** The place of the next new step in the order of first starts. */
  nextOrdinal: number
  /** Counts what happens in it, so that one can see whether anything did. */
  activity = 0
  parked = false
  /** Somebody outside waits for what the call itself returns, so the execution must not be let go of. */
  adopted = false
  letGo = false
  /** Its steps are being undone: none begins any more but those that undo. */
  undoing = false
  ended = false
  /** What a write or flush failed with. */
  broken: { thrown: unknown } | undefined
  /** Resolves or rejects as the run ends. */
  readonly outcome: Promise<unknown>
  /** Settles {@link outcome}. */
  readonly resolve: (outcome: unknown) => void
  /** Resolves when the run ends, parks or is held. */
  readonly atRest: Promise<void>
  /** Settles {@link atRest}. */
  readonly rested: () => void
  readonly #failures: { promise: StepPromise<unknown>; thrown: unknown }[] = []

  /** @param attempt the number of this execution */
  constructor(row: RunRow, fresh: boolean, attempt: number, nextOrdinal: number, meter: Meter) {
    this.meter = meter
    this.seq = row.seq
    this.runId = row.run_id
    this.startedAt = row.started_at
    this.fresh = fresh
    this.attempt = attempt
    this.signalsFrom = row.signals_from
    this.parent = row.parent === null || row.parent_step === null ? undefined : { seq: row.parent, stepId: row.parent_step }
    this.isFork = row.forked_from !== null
    this.nextOrdinal = nextOrdinal
    const { promise, resolve } = Promise.withResolvers<unknown>()
    this.outcome = promise
    this.resolve = resolve
    const rest = Promise.withResolvers<void>()
    this.atRest = rest.promise
    this.rested = rest.resolve
    // Whoever launches the run handles the outcome; a run that was adopted or resumed may have nobody, and its row has it all the same.
    promise.catch(() => undefined)
  }

  /** Does a write without which the run must not go on. What cannot be stored by its kind (a secret) is no failure of the store: whoever gave it learns it. */
  write<T>(work: () => T): T {
    try {
      return work()
    } catch (thrown) {
      if (codeOf(thrown) !== 'NOT_STORABLE') this.broken ??= { thrown }
      throw thrown
    }
  }

  /** Notes a step that failed. */
  failed(promise: StepPromise<unknown>, thrown: unknown): void {
    if (!promise.taken && this.#failures.length < failuresKept) this.#failures.push({ promise, thrown })
  }

  /** A failure of a step that nobody has asked for. */
  get unseenFailure(): { thrown: unknown } | undefined {
    return this.#failures.find(({ promise }) => !promise.taken)
  }

  /** Says that the code of this execution knows how to undo a step that is done. */
  canUndo(plan: StepPlan): void {
    if (!plan.undo) return
    this.undos.set(plan.stepId, plan)
    this.undoKnown?.()
  }

  /** Resolves when no step is under way. A step that nobody awaits is part of its run all the same. */
  async quiet(): Promise<void> {
    while (this.open.size + this.groups.size > 0) await Promise.allSettled([...this.open, ...this.groups])
  }
}
