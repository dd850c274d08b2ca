/**
 * Owns: which lanes may have work, in memory. The loop that both kinds of lanes are served by: those of an object's own handlers (`lanes.ts`) and those that take
 * whole batches (`courier.ts`).
 *
 * 1. A lane that may have work is known here. One too many costs a look-up; a missing one would keep its events for ever.
 * 2. A lane is forgotten only when nothing of it is due and nothing under way.
 * 3. What one pump has begun is waited for, also where the store fails at another lane: a rejection that nobody awaits ends the process.
 */
import type { Clock } from '../base/ports.ts'

/** What is known of every lane. */
export interface AnyLane {
  readonly id: string
  readonly underWay: { readonly size: number }
}

/** Lanes that are served in turn. */
export abstract class LaneSet<Lane extends AnyLane> {
  /** The one served longest ago first. */
  readonly #lanes = new Map<string, Lane>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A lane of which nothing is known yet. */
  protected abstract newLane(id: string): Lane
  /** Begins what is due in a lane; what goes on is added to `work`. May throw when the store fails. */
  protected abstract serve(lane: Lane, work: Promise<void>[]): void
  /** When a lane has something to do next, epoch milliseconds. `undefined`: not until something changes. */
  protected abstract nextOf(lane: Lane, now: number): number | undefined

  /** Says that a lane may have something waiting. */
  touch(id: string): Lane {
    let lane = this.#lanes.get(id)
    if (!lane) this.#lanes.set(id, (lane = this.newLane(id)))
    return lane
  }

  /** A lane of which something is known. */
  protected known(id: string): Lane | undefined {
    return this.#lanes.get(id)
  }

  protected everyLane(): Iterable<Lane> {
    return this.#lanes.values()
  }

  /**
   * Serves what is due in each lane, and resolves when that has ended. May be called while another call has not resolved: it takes what that one left.
   * Rejects when the store fails, after all the others have ended.
   */
  async pump(): Promise<void> {
    const work: Promise<void>[] = []
    // A copy: a lane may be moved to the end while it is served, where a live iteration would find it again.
    for (const lane of Array.from(this.#lanes.values())) {
      try {
        this.serve(lane, work)
      } catch (thrown) {
        work.push(Promise.reject(thrown))
      }
    }
    for (const outcome of await Promise.allSettled(work)) if (outcome.status === 'rejected') throw outcome.reason
  }

  /** When `pump` has something to do next, epoch milliseconds; a time that has passed means now. `undefined`: nothing waits. */
  nextWakeMs(): number | undefined {
    const now = this.#clock.now()
    let soonest: number | undefined
    for (const lane of this.#lanes.values()) {
      const due = this.nextOf(lane, now)
      if (due !== undefined) soonest = Math.min(soonest ?? due, due)
      // One that is suspended is touched again when it is resumed.
      else if (lane.underWay.size === 0) this.#lanes.delete(lane.id)
    }
    return soonest
  }

  /** To the end of the line: when there are more lanes than workers, each gets its turn. */
  protected toEnd(lane: Lane): void {
    this.#lanes.delete(lane.id)
    this.#lanes.set(lane.id, lane)
  }
}
