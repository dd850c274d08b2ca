/**
 * Lets what comes to an object at the same time take effect in one turn of it, so that all that it writes is one commit, and one flush.
 *
 * The platform brings each call, and each answer, in a turn of its own, and commits at the end of each: fifty runs at once flushed as often as fifty runs
 * one after the other. What comes in company waits until everything that is ready has come, some microseconds, and then all of it goes on together; runs that
 * once went on together stay together, because their calls leave in one turn, too. What comes alone waits for nothing, and asks for no end of a turn: that alone
 * costs as much as a dozen statements.
 *
 * Owns which turn gathers now, and when what may have company came last. Invariants:
 * 1. What comes while a turn gathers goes on with it, in the order in which it came.
 * 2. Nothing waits for longer than the turn of the event loop in which it came.
 */
import type { Clock } from '../base/ports.ts'

/** So close upon each other comes what may come together, in milliseconds: a flush takes a third of one, and clocks tell no less than one. */
const closeMs = 2

/** What gathers for one object; see the head of this file. */
export class Gathering {
  readonly #endOfTurn: (then: () => void) => void
  readonly #clock: Clock
  #turn: Promise<void> | undefined
  /** Calls of steps whose answers are due. */
  #due = 0
  /** When a run of the object began last. */
  #ranAt = Number.NEGATIVE_INFINITY
  /** By which link a call of a step of another object came last, and when the first one by it did. */
  #cameBy: string | undefined
  #cameAt = Number.NEGATIVE_INFINITY

  /** @param endOfTurn runs what it is given when everything that is ready has run */
  constructor(endOfTurn: (then: () => void) => void, clock: Clock) {
    this.#endOfTurn = endOfTurn
    this.#clock = clock
  }

  /** A run of the object has begun. Where another one has just begun, what comes until this turn ends has come at the same time. */
  ran(): void {
    const now = this.#clock.now()
    if (!this.#turn && isClose(now, this.#ranAt)) void this.#gather()
    this.#ranAt = now
  }

  /** A call of a step of this object leaves. */
  left(): void {
    this.#due++
  }

  /** It has failed, or its answer goes on. */
  ended(): void {
    this.#due--
  }

  /** Its answer has come: the turn in which it goes on, where others are due. */
  answered(): Promise<void> | undefined {
    return this.#turn ?? (this.#due > 1 ? this.#gather() : undefined)
  }

  /** A call of this object has come: the turn in which it is made, where one gathers. */
  called(): Promise<void> | undefined {
    return this.#turn
  }

  /**
   * A call has come that a step of another object makes: the turn in which it is made, where others come at the same time. Those of one run come one after the
   * other, however soon: it says itself when there are more.
   * @param together whether other calls of the link are under way
   */
  calledByStep(link: string, together: boolean): Promise<void> | undefined {
    const others = link !== this.#cameBy && this.#alsoBy(link)
    return this.#turn ?? (together || others ? this.#gather() : undefined)
  }

  /** Calls come by another link than before. Whether those came just now. */
  #alsoBy(link: string): boolean {
    const [now, before] = [this.#clock.now(), this.#cameAt]
    this.#cameBy = link
    this.#cameAt = now
    return isClose(now, before)
  }

  #gather(): Promise<void> {
    return (this.#turn = new Promise((goOn) => {
      this.#endOfTurn(() => {
        this.#turn = undefined
        goOn()
      })
    }))
  }
}

const isClose = (now: number, before: number): boolean => Math.abs(now - before) <= closeMs
