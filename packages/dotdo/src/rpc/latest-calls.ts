/**
 * Which calls of steps have no row for sure, told from memory: steps begin one after the other, so a call of a step that began after all whose calls
 * have rows is a first attempt. Most calls are, and need no look then.
 *
 * Owns, for the callers that wrote last, the newest beginning of a step that has a row, and the keys of that instant. Invariants:
 * 1. A call that has a row is never told to be new. What is here and has no row (its transaction was undone, it was dropped) costs a look and no more.
 * 2. What is kept is bounded: {@link callersKnown} callers, {@link keysKnown} keys of each.
 */
import type { StepCall } from './step-calls.ts'

/** So many callers are known apart; of the others that they are no later than the latest that was forgotten. */
export const callersKnown = 128

/** So many calls of one caller at one instant are known apart: the clock stands still while a turn begins many steps. */
export const keysKnown = 16

type Latest = { since: number; keys: Set<string> }

/** See the head of this file for what it owns. */
export class LatestCalls {
  /** No row of a caller that is not known is later. */
  #floor: number
  readonly #callers = new Map<string, Latest>()

  /** @param latest the newest beginning of a step among all rows that there are, epoch milliseconds */
  constructor(latest: number) {
    this.#floor = latest
  }

  /** Whether a call has no row for sure. */
  isNew({ since, caller, key }: Pick<StepCall, 'since' | 'caller' | 'key'>): boolean {
    const latest = this.#callers.get(caller)
    if (!latest) return since > this.#floor
    if (since !== latest.since) return since > latest.since
    // Where there are as many as are kept there may have been more.
    return latest.keys.size < keysKnown && !latest.keys.has(key)
  }

  /** A call has a row from now on. */
  add({ since, caller, key }: Pick<StepCall, 'since' | 'caller' | 'key'>): void {
    const latest = this.#callers.get(caller)
    if (!latest) this.#remember(caller, since, key)
    else if (since > latest.since) {
      latest.since = since
      latest.keys = new Set([key])
    } else if (since === latest.since && latest.keys.size < keysKnown) latest.keys.add(key)
  }

  #remember(caller: string, since: number, key: string): void {
    // Earlier rows of it may be as late as the floor: up to there nothing is known of it.
    if (!(since > this.#floor)) return
    if (this.#callers.size >= callersKnown) {
      const [oldest, { since: forgotten }] = this.#callers.entries().next().value!
      this.#callers.delete(oldest)
      this.#floor = Math.max(this.#floor, forgotten)
    }
    // What was forgotten just now may have been later.
    if (since > this.#floor) this.#callers.set(caller, { since, keys: new Set([key]) })
  }
}
