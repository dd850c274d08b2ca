import type { ActiveRun, Rest } from './active-run.ts'
import type { Cancellation } from './cancellation.ts'
import type { JournalLimits, JournalPorts } from './ports.ts'
import type { RunTable } from './runs.ts'
import { tellRun } from './telling.ts'

/**
 * Owns what only waits: sleeps, waits and pauses of the executions in memory, and the parking of runs in which nothing else is left.
 *
 * A short rest is a timer. A long one holds none: the object's alarm ends it. A run that has only rested for `parkAfterMs` is parked: its row says
 * until when, no watchdog looks after it, and the object may be evicted. Where it was not, the alarm wakes the execution that is still in memory;
 * where it was, the run is replayed from its steps.
 *
 * Invariants: 1. A rest ends once, by its time, by {@link Rest.wake} or with its scope. 2. A run is unparked, in its row, in the turn in which
 * anything of it goes on, and before that. 3. At most `parkedInMemory` parked executions are kept, beside those that somebody waits for: the one that
 * has been parked longest is let go of, and is replayed.
 */
export class Rests {
  readonly #ports: JournalPorts
  readonly #limits: JournalLimits
  readonly #runs: RunTable
  readonly #released: (run: ActiveRun) => void
  /** The rests that have no timer. */
  readonly #long = new Set<Rest>()
  /** Parked executions that may be let go of, in the order in which they were parked. */
  readonly #parked = new Set<ActiveRun>()
  /** Runs for which a timer decides whether they park, and what stops it. */
  readonly #watched = new Map<ActiveRun, AbortController>()
  /** The soonest of the long ones; `undefined` while it is not known. */
  #soonest: number | null | undefined = null

  /** @param released is told of an execution that is let go of */
  constructor(ports: JournalPorts, limits: JournalLimits, runs: RunTable, released: (run: ActiveRun) => void) {
    this.#ports = ports
    this.#limits = limits
    this.#runs = runs
    this.#released = released
  }

  /**
   * Resolves at an instant, or when what waits for `stepId` is woken; rejects when the scope stops.
   * @param stepId the step that something else than time may wake
   */
  async until(run: ActiveRun, until: number | null, cancellation: Cancellation, stepId?: string): Promise<void> {
    const ms = until === null ? Infinity : until - this.#ports.clock.now()
    if (ms <= 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    let timer: AbortController | undefined
    const end = (): boolean => {
      if (!run.resting.delete(rest)) return false
      timer?.abort()
      if (this.#long.delete(rest)) this.#soonest = undefined
      if (stepId !== undefined) run.awaited.delete(stepId)
      return true
    }
    const rest: Rest = {
      until,
      wake: () => {
        if (end() && !run.letGo && !run.ended && this.#dare(run, () => this.goesOn(run))) resolve()
      },
    }
    run.resting.add(rest)
    if (stepId !== undefined) run.awaited.set(stepId, rest)
    if (ms <= this.#limits.parkAfterMs) {
      timer = new AbortController()
      // The timer that is stopped was one of a rest that has ended otherwise.
      this.#ports.sleep(ms, timer.signal).then(
        () => rest.wake(),
        () => undefined,
      )
    } else {
      this.#long.add(rest)
      this.#soonest = undefined
      this.#ports.wake?.()
    }
    this.consider(run)
    try {
      await cancellation.race(promise)
    } finally {
      end()
    }
  }

  /** Says that something of a run goes on: its row must not say that it is parked. */
  goesOn(run: ActiveRun): void {
    run.activity++
    if (!run.parked) return
    run.parked = false
    this.#parked.delete(run)
    run.write(() => this.#runs.unpark(run.seq))
    this.#ports.wake?.()
  }

  /** Looks whether a run only rests, not all of it shortly; where it still does after `parkAfterMs` in which nothing happened, it is parked. */
  consider(run: ActiveRun): void {
    if (this.#watched.has(run) || !this.#onlyRests(run)) return
    const stopped = new AbortController()
    this.#watched.set(run, stopped)
    const before = run.activity
    this.#ports.sleep(this.#limits.parkAfterMs, stopped.signal).then(
      () => {
        this.#watched.delete(run)
        if (before !== run.activity) this.consider(run)
        else if (this.#onlyRests(run)) this.#dare(run, () => this.#park(run))
      },
      // The run has ended.
      () => undefined,
    )
  }

  /** Forgets an execution that has ended. */
  ended(run: ActiveRun): void {
    this.#parked.delete(run)
    this.#watched.get(run)?.abort()
    this.#watched.delete(run)
    for (const rest of run.resting) if (this.#long.delete(rest)) this.#soonest = undefined
    run.rested()
  }

  /** Wakes the long rests whose time has come. */
  wakeDue(): void {
    const now = this.#ports.clock.now()
    // One that ends is taken out of the set that is gone through, which a set allows.
    for (const rest of this.#long) if (rest.until !== null && rest.until <= now) rest.wake()
  }

  /** When the soonest long rest ends. `null`: none has an instant. */
  nextMs(): number | null {
    if (this.#soonest === undefined) {
      this.#soonest = null
      for (const { until } of this.#long) if (until !== null && (this.#soonest === null || until < this.#soonest)) this.#soonest = until
    }
    return this.#soonest
  }

  /** Does what no caller hears the failure of: a store that fails stops the execution, and the row is as it was. */
  #dare(run: ActiveRun, work: () => void): boolean {
    try {
      run.write(work)
      return true
    } catch (thrown) {
      run.cancellation.abort(thrown)
      return false
    }
  }

  #onlyRests(run: ActiveRun): boolean {
    if (run.ended || run.broken || run.letGo || run.parked || run.undoing) return false
    if (run.resting.size !== run.open.size) return false
    for (const rest of run.resting) if (this.#long.has(rest)) return true
    return false
  }

  /** Executions that are parked and still in memory, those of calls not counted. */
  get parkedInMemory(): number {
    return this.#parked.size
  }

  #park(run: ActiveRun): void {
    let wakeAt: number | null = null
    for (const { until } of run.resting) if (until !== null && (wakeAt === null || until < wakeAt)) wakeAt = until
    this.#runs.park(run.seq, wakeAt, run.attempt)
    if (run.meter.dirty) this.#runs.putPrice(run.seq, run.meter.own)
    run.meter.dirty = false
    run.parked = true
    run.rested()
    tellRun(this.#ports, this.#runs, 'run.parked', this.#runs.get(run.runId))
    this.#ports.wake?.()
    if (run.adopted) return
    this.#parked.add(run)
    if (this.#parked.size > this.#limits.parkedInMemory) this.#letGo()
  }

  #letGo(): void {
    const [oldest] = this.#parked
    if (!oldest) return
    this.#parked.delete(oldest)
    oldest.letGo = true
    for (const rest of oldest.resting) if (this.#long.delete(rest)) this.#soonest = undefined
    this.#released(oldest)
  }
}
