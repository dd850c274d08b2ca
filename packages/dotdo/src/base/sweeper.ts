/**
 * Takes away what has been kept for long enough, a bounded slice at a time, whenever the object's alarm comes for it.
 *
 * Owns when the object wants to be woken for that. Invariants:
 * 1. Where anything is kept that will be over one day, there is an instant: nothing stays for ever because nobody calls the object.
 * 2. A slice takes a bounded number of rows of each kind; where there is more, the next one follows at once.
 * 3. An object that keeps nothing is not woken.
 */
import { dayMs } from './durations.ts'
import type { Clock } from './ports.ts'

/** One kind of things that are kept, in the room that keeps it. */
export interface Sweep {
  /** Takes a slice of what is over. Answers whether there may be more. */
  sweep(): boolean
  /** When the first of what is kept will be over, epoch milliseconds; null where nothing is kept. May be sooner than true. */
  nextMs(): number | null
}

/** However much is over a little later than the rest: an object is woken for it no more often. */
const leastMs = 6 * 3_600_000
/** Where something was kept and it is not known for how long, it is looked at after this. */
const lookMs = dayMs

/** The housekeeping of one object; see the head of this file. */
export class Sweeper {
  readonly #clock: Clock
  readonly #sweeps: readonly Sweep[]
  #at: number | null = null

  constructor(clock: Clock, sweeps: readonly Sweep[]) {
    this.#clock = clock
    this.#sweeps = sweeps
  }

  /** When the object wants its alarm for this, epoch milliseconds; null for never. Asked for in every turn: it is kept in memory. */
  nextWakeMs(): number | null {
    return this.#at
  }

  /** Finds out what an earlier incarnation has left. To be called once, when the rooms have been opened. */
  settle(): void {
    this.#at = this.#look(0)
  }

  /** Says that something is kept from now on. Answers whether the instant has changed by that. */
  kept(): boolean {
    if (this.#at !== null) return false
    // On a grid, so that objects which keep something every day move their alarm as rarely.
    this.#at = Math.ceil((this.#clock.now() + lookMs) / leastMs) * leastMs
    return true
  }

  /** Takes a slice, if it is time. */
  run(): void {
    if (this.#at !== null && this.#at <= this.#clock.now()) this.runNow()
  }

  /** Takes a slice, whether it is time or not, for whoever needs the room. Answers whether there may be more. */
  runNow(): boolean {
    let more = false
    for (const it of this.#sweeps) more = it.sweep() || more
    this.#at = more ? this.#clock.now() : this.#look(leastMs)
    return more
  }

  #look(least: number): number | null {
    const now = this.#clock.now()
    let soonest: number | null = null
    for (const it of this.#sweeps) {
      const next = it.nextMs()
      if (next !== null && (soonest === null || next < soonest)) soonest = next
    }
    return soonest === null ? null : Math.max(soonest, now + least)
  }
}
