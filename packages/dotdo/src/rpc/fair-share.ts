/**
 * Shares one isolate among its clients: while more than one of them is at work, each may do so much and rests then for a moment, so that a client
 * that sends without end takes no more of the others' time than any other. A client that is alone never rests.
 *
 * Owns who is at work. Invariant: a share calls back only by ports of its own client, because the platform binds timers to the request that set them.
 */
import type { ClientLimits } from './limits.ts'

/** What a share needs of its client's surroundings. */
export interface SharePorts {
  /** Runs `then` in the next turn of the event loop. */
  endOfTurn(then: () => void): void
  /** Runs `then` after `delayMs`; the result cancels it. */
  timer(delayMs: number, then: () => void): () => void
}

/** How long a client counts as being at work after it last was. */
const atWorkMs = 1_000

/** Of one isolate. */
export class FairShares {
  #atWork = new Set<Share>()

  /** A share for one client, to be ended with it. */
  join(limits: Pick<ClientLimits, 'workPerTurn' | 'workAhead' | 'restMs'>, ports: SharePorts): Share {
    return new Share(this.#atWork, limits, ports)
  }

  /** Clients that are at work: what a test for leaks looks at. */
  get size(): number {
    return this.#atWork.size
  }
}

/** What one client may still do; see {@link FairShares}. */
export class Share {
  #atWork: Set<Share>
  #limits: Pick<ClientLimits, 'workPerTurn' | 'workAhead' | 'restMs'>
  #ports: SharePorts
  #left: number
  #refill: (() => void) | undefined
  #leave: (() => void) | undefined
  #moved = false
  #waiting: (() => void) | undefined
  #ended = false

  constructor(atWork: Set<Share>, limits: Pick<ClientLimits, 'workPerTurn' | 'workAhead' | 'restMs'>, ports: SharePorts) {
    this.#atWork = atWork
    this.#limits = limits
    this.#ports = ports
    this.#left = limits.workAhead
  }

  /** Whether the client may go on now. */
  get mayGo(): boolean {
    return this.#left > 0
  }

  /** Charges work that is done now. */
  use(work: number): void {
    this.#left -= work
    this.#moved = true
    this.#atWork.add(this)
    this.#watch()
    this.#rest()
  }

  /** Calls `then` once, when the client may go on: at the end of this turn where it is alone, after its rest where it is not. */
  next(then: () => void): void {
    if (this.#waiting) return
    this.#waiting = then
    if (this.#atWork.size <= 1) {
      this.#ports.endOfTurn(() => {
        this.#left = Math.max(this.#left, this.#limits.workAhead)
        this.#go()
      })
    }
  }

  end(): void {
    this.#ended = true
    this.#atWork.delete(this)
    this.#refill?.()
    this.#leave?.()
    this.#waiting = undefined
  }

  /** One timer for as many rests as the client needs before it may go on: a debt of seconds is not thousands of timers. */
  #rest(): void {
    const { restMs, workPerTurn, workAhead } = this.#limits
    if (this.#refill || this.#ended || this.#left >= workAhead) return
    const rests = Math.max(1, Math.floor(-this.#left / workPerTurn) + 1)
    this.#refill = this.#ports.timer(rests * restMs, () => {
      this.#refill = undefined
      this.#left = Math.min(workAhead, this.#left + rests * workPerTurn)
      this.#rest()
      if (this.mayGo) this.#go()
    })
  }

  #go(): void {
    const then = this.#waiting
    this.#waiting = undefined
    then?.()
  }

  /** Takes the client from the list when it has done nothing for a while. */
  #watch(): void {
    this.#leave ??= this.#ports.timer(atWorkMs, () => {
      this.#leave = undefined
      if (!this.#moved) this.#atWork.delete(this)
      else if (!this.#ended) this.#watch()
      this.#moved = false
    })
  }
}
