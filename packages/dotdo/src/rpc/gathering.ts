/**
 * Lets what comes to an object at the same time take effect in one turn of it, so that all that it writes is one commit, and one flush.
 *
 * The platform brings each call, and each answer, in a turn of its own, and commits at the end of each: fifty runs at once flushed as often as fifty runs
 * one after the other. What comes in company waits until everything that is ready has come, some microseconds, and then all of it goes on together; runs that
 * once went on together stay together, because their calls leave in one turn, too. What comes alone waits for nothing.
 *
 * Owns which turn gathers now, and when the object had work last that it shares. Invariants:
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
  /** When a run of the object began, or a call of a step left or was answered. */
  #workedAt = Number.NEGATIVE_INFINITY
  /** When a call of a step of another object came, and by which link. */
  #cameAt = Number.NEGATIVE_INFINITY
  #cameBy: string | undefined

  /** @param endOfTurn runs what it is given when everything that is ready has run */
  constructor(endOfTurn: (then: () => void) => void, clock: Clock) {
    this.#endOfTurn = endOfTurn
    this.#clock = clock
  }

  /** A run of the object has begun. */
  ran(): void {
    this.#workedAt = this.#clock.now()
  }

  /** A call of a step of this object leaves. */
  left(): void {
    this.#due++
    this.ran()
  }

  /** It has failed, or its answer goes on. */
  ended(): void {
    this.#due--
  }

  /** Its answer has come: the turn in which it goes on, where others are due. */
  answered(): Promise<void> | undefined {
    this.ran()
    return this.#turn ?? (this.#due > 1 ? this.#gather() : undefined)
  }

  /** A call of this object has come: the turn in which it is made, where the object is at work. */
  called(): Promise<void> | undefined {
    return this.#turn ?? (this.#isClose(this.#workedAt) ? this.#gather() : undefined)
  }

  /**
   * A call has come that a step of another object makes: the turn in which it is made, where others come at the same time. Those of one run come one after the
   * other, however soon: it says itself when there are more.
   * @param together whether other calls of the link are under way
   */
  calledByStep(link: string, together: boolean): Promise<void> | undefined {
    const others = link !== this.#cameBy && this.#isClose(this.#cameAt)
    this.#cameBy = link
    this.#cameAt = this.#clock.now()
    return this.#turn ?? (together || others ? this.#gather() : undefined)
  }

  #isClose(at: number): boolean {
    return Math.abs(this.#clock.now() - at) <= closeMs
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
