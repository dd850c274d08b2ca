/**
 * How many calls of an object may be under way at once. One more is refused at once, by name and with the time to come back: a call that waits holds its
 * arguments in memory, and its caller's.
 *
 * Owns the count. Invariant: a call counts from when its method has returned a promise until that is settled; one that returns a value never does.
 */
import type { Random } from '../base/ports.ts'
import { overloaded } from '../base/overload.ts'

/** The gate of one object; see the head of this file. */
export class Gate {
  readonly #label: string
  readonly #most: number
  readonly #random: Random
  #underWay = 0

  /** @param label the object's, `Noun/name` */
  constructor(label: string, most: number, random: Random) {
    this.#label = label
    this.#most = most
    this.#random = random
  }

  /** Calls that are under way. */
  get underWay(): number {
    return this.#underWay
  }

  /** Lets a call in, and returns what it returns. @throws `OVERLOADED`, before any of it is done */
  enter<T>(work: () => T): T {
    if (this.#underWay >= this.#most) throw overloaded(`A call of ${this.#label}`, 'callsUnderWay', this.#most, this.#random)
    const given = work()
    // A stub is a promise of its own kind, and is sent when it is asked for: that is for whoever gets it.
    if (given instanceof Promise) {
      this.#underWay++
      given.then(this.#left, this.#left)
    }
    return given
  }

  readonly #left = (): void => {
    this.#underWay--
  }
}
