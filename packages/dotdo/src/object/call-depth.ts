/**
 * How far calls go on from object to object.
 *
 * The platform refuses deep chains of requests, also without recursion. So each `callDepth`th object of a chain does not work in the request that
 * called it but in its next alarm, which begins a chain of its own for the platform; the request waits for the answer. A chain that is longer than
 * `callDepthEnd` is refused, because it is a circle.
 *
 * Owns the calls that wait for the alarm. Invariants:
 * 1. Calls that wait run in the order they came, each once, in the alarm that comes next.
 * 2. They are in memory alone: when the object dies, their callers learn it as callers of any call do, and nothing runs later.
 */
import type { Clock } from '../base/ports.ts'
import { overLimit, type DepthLimits } from '../rpc/limits.ts'
import type { Origin } from '../rpc/origin.ts'

/** The depth gate of one object; see the head of this file. */
export class CallDepth {
  #limits: DepthLimits
  #clock: Clock
  #changed: () => void
  #waiting: (() => void)[] = []
  #since: number | null = null

  /** @param changed told when the object wants to be woken at another time */
  constructor(limits: DepthLimits, clock: Clock, changed: () => void) {
    this.#limits = limits
    this.#clock = clock
    this.#changed = changed
  }

  /** When the object wants its alarm for this, epoch milliseconds; `null` for never. */
  nextWakeMs(): number | null {
    return this.#since
  }

  /**
   * Lets a call in: does its work now and returns what it returns, or has it done by the next alarm and returns a promise.
   * @throws `LINK_LIMIT` (`callDepthEnd`)
   */
  enter(origin: Origin, work: () => unknown): unknown {
    const { callDepth, callDepthEnd } = this.#limits
    if (origin.depth > callDepthEnd) throw overLimit('callDepthEnd', origin.depth, callDepthEnd, origin.caller ?? 'a Worker')
    if (origin.depth % callDepth !== 0) return work()
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(work())
        } catch (error) {
          reject(error as Error)
        }
      })
      this.#since ??= this.#clock.now()
      this.#changed()
    })
  }

  /** The alarm has fired: what waits begins now. */
  fired(): void {
    this.#since = null
    for (const work of this.#waiting.splice(0)) work()
  }
}
