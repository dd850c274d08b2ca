/**
 * Counts what the `.map`s of capnweb cost while they run, and stops one that costs too much.
 *
 * A `.map` is replayed for each element in one piece, without a pause, and a `.map` in a `.map` multiplies: nothing can be seen of that in the
 * frame, which does not say how long the lists will be. But capnweb asks for two things while it replays, and both are public: it takes a
 * `slice` of the recorded instructions for each element, and it reads `DEFAULT_LIMITS.maxDepth` for each value that it makes. So the slice of
 * a metered recording says whose `.map` runs, and the reading counts.
 *
 * Owns the budget that is being spent now. Invariants:
 * 1. What runs in one go with a metered recording is charged to its budget, however deep the `.map`s in it stand.
 * 2. What cannot be told (a `.map` in a `.map` whose list came later, a `.map` of this isolate's own code on a value that is there) is charged
 *    to a budget that all such share, anew in each turn of the event loop.
 * 3. A budget that is used up ends the `.map` that used it up with a {@link LimitError}; nothing else fails.
 */
import { DEFAULT_LIMITS, type RpcLimits } from 'capnweb'
import { defaultClientLimits, overLimit, type SessionLimits } from './limits.ts'

/** What all `.map`s of one session have made: a client is charged with it. */
export interface MapSpent {
  /** Values. */
  steps: number
}

/** What the `.map`s of one message may cost. */
export class MapBudget {
  #limits: Pick<SessionLimits, 'mapFanOut' | 'mapSteps'>
  #caller: string | undefined
  #spent: MapSpent
  #elements = 0
  #steps = 0

  /** @param spent counted on with each step; a `.map` may run long after its message was looked at, when its list comes */
  constructor(limits: Pick<SessionLimits, 'mapFanOut' | 'mapSteps'>, caller?: string, spent: MapSpent = { steps: 0 }) {
    this.#limits = limits
    this.#caller = caller
    this.#spent = spent
  }

  /** @throws `LINK_LIMIT` */
  element(weight: number): void {
    this.#elements += weight
    if (this.#elements > this.#limits.mapFanOut) throw overLimit('mapFanOut', this.#elements, this.#limits.mapFanOut, this.#caller)
  }

  /** @throws `LINK_LIMIT` */
  step(): void {
    this.#spent.steps++
    if (++this.#steps > this.#limits.mapSteps) throw overLimit('mapSteps', this.#steps, this.#limits.mapSteps, this.#caller)
  }
}

/** What the meter needs of its surroundings. */
export interface MapMeterPorts {
  /** Runs `then` in the next turn of the event loop. May forget it, when the request that asks ends before. */
  endOfTurn(then: () => void): void
  /** Milliseconds. */
  now(): number
}

/** When a turn has ended though nobody told so, because the request that should have is gone. */
const forgottenMs = 10_000

/** What an element weighs whose `.map` has another in it: what that takes along is copied for each. */
const nestedWeight = 10

/** The meter of one isolate; see the head of this file. */
export class MapMeter {
  #ports: MapMeterPorts
  #current: MapBudget | undefined
  #shared: MapBudget | undefined
  #sharedSince = 0
  #limits: Pick<SessionLimits, 'mapFanOut' | 'mapSteps'>

  /** @param limits of what cannot be told whose it is */
  constructor(ports: MapMeterPorts, limits: Pick<SessionLimits, 'mapFanOut' | 'mapSteps'> = defaultClientLimits) {
    this.#ports = ports
    this.#limits = limits
  }

  /** Begins to count. One meter counts at a time; the result gives capnweb its own limits back. */
  install(limits: RpcLimits = DEFAULT_LIMITS): () => void {
    const own = { ...limits }
    let copying = false
    Object.defineProperties(limits, {
      // A session copies the limits when it is made, in the order of their names: that is no step, and must not fail.
      maxBigIntDigits: {
        get: () => {
          copying = true
          return own.maxBigIntDigits
        },
      },
      maxDepth: {
        get: () => {
          if (!copying) this.#step()
          copying = false
          return own.maxDepth
        },
      },
    })
    return () => {
      for (const name of ['maxBigIntDigits', 'maxDepth'] as const)
        Object.defineProperty(limits, name, { value: own[name], writable: true, enumerable: true, configurable: true })
    }
  }

  /** Charges what these instructions do to a budget. The list stays as it is: what is added to it is neither sent nor copied. */
  meter(instructions: unknown[], budget: MapBudget, isNested = false): void {
    const slice = (...range: [number?, number?]) => {
      this.#enter(budget)
      budget.element(isNested ? nestedWeight : 1)
      return Array.prototype.slice.apply(instructions, range) as unknown[]
    }
    Object.defineProperty(instructions, 'slice', { value: slice, enumerable: false, configurable: true })
  }

  #enter(budget: MapBudget): void {
    // One list is mapped in one go, so the next microtask is after it (invariant 1).
    if (this.#current === undefined) queueMicrotask(() => (this.#current = undefined))
    this.#current = budget
  }

  #step(): void {
    if (this.#current) return this.#current.step()
    const now = this.#ports.now()
    if (!this.#shared || now - this.#sharedSince > forgottenMs) {
      const budget = new MapBudget(this.#limits)
      this.#shared = budget
      this.#sharedSince = now
      this.#ports.endOfTurn(() => {
        if (this.#shared === budget) this.#shared = undefined
      })
    }
    this.#shared.step()
  }
}
