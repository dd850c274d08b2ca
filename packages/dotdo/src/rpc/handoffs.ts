/**
 * Results on their way from one object to another, at the object that receives them.
 *
 * A ticket names one of them. The caller asks for it here (`accept`), the provider brings it (`deliver`), in whichever order; where it
 * cannot come, the caller says so (`refuse`). Owns what is here of either half. Invariants:
 * 1. A ticket is used once: what came is given to the one who asked, and forgotten.
 * 2. What came and is not asked for within the lease is dropped; whoever asks for it later gets `HANDOFF_LOST`.
 * 3. What comes for somebody who is gone is dropped.
 * 4. At most `waiting` results wait here; more are refused to their providers.
 */
import { RpcStub } from 'capnweb'
import { DotdoError, fromErrorRecord, type ErrorRecord } from '../base/errors.ts'
import { cancelStreams, keptStream } from './kept-streams.ts'
import { overLimit } from './limits.ts'
import { handOffLost } from './lost.ts'

/** What bounds the results that wait. */
export interface HandoffLimits {
  /** How long a result waits for whoever asks for it. */
  handoffMs: number
  /** How many results wait. */
  handoffs: number
}

/** What holds where nothing else is said. */
export const defaultHandoffLimits: HandoffLimits = { handoffMs: 60_000, handoffs: 1_000 }

type Outcome = { value: unknown } | { error: Error }

/** See the head of this file for what it owns. */
export class Handoffs {
  #timer: (delayMs: number, then: () => void) => () => void
  #limits: HandoffLimits
  #here = new Map<string, { outcome: Outcome; cancel: () => void }>()
  #asked = new Map<string, (outcome: Outcome) => void>()
  /** Tickets that are over: their result was given to whoever asked, was dropped, or will be when it comes. Newest last. */
  #over = new Set<string>()

  /** @param timer runs its second argument after so many milliseconds; its result cancels that */
  constructor(timer: (delayMs: number, then: () => void) => () => void, limits: Partial<HandoffLimits> = {}) {
    this.#timer = timer
    this.#limits = { ...defaultHandoffLimits, ...limits }
  }

  /** Results that wait for somebody, and those that somebody waits for: what a test for leaks looks at. */
  get open(): number {
    return this.#here.size + this.#asked.size
  }

  /**
   * The result of a ticket, now or when it comes. `gone` rejects the wait: the caller's session is over.
   * @throws the provider's own error, `HANDOFF_LOST`
   */
  accept(ticket: string, gone: Promise<never>): unknown {
    const here = this.#here.get(ticket)
    if (here) {
      this.#here.delete(ticket)
      this.#forget(ticket)
      here.cancel()
      return resultOf(here.outcome)
    }
    if (this.#over.has(ticket)) throw handOffLost('it was given to whoever asked first, or waited for too long and was dropped.')
    if (this.#asked.has(ticket)) throw handOffLost('another call has asked for it already.')
    const { promise, resolve } = Promise.withResolvers<Outcome>()
    this.#asked.set(ticket, resolve)
    return Promise.race([promise, gone])
      .then(resultOf)
      .finally(() => {
        // Still listed: nothing came, and whoever asked is gone.
        if (this.#asked.delete(ticket)) this.#forget(ticket)
      })
  }

  /** The provider brings the result. @throws `LINK_LIMIT` when too many wait here */
  deliver(ticket: string, value: unknown): void {
    if (this.#over.has(ticket)) cancelStreams(value, handOffLost('whoever asked for it is gone.'))
    else this.#settle(ticket, { value: kept(value) })
  }

  /** The caller says that it will not come, and why. */
  refuse(ticket: string, error: ErrorRecord): void {
    if (!this.#over.has(ticket)) this.#settle(ticket, { error: fromErrorRecord(error) })
  }

  #settle(ticket: string, outcome: Outcome): void {
    const asked = this.#asked.get(ticket)
    if (asked) {
      this.#asked.delete(ticket)
      // A provider that did not hear of it says that it has not come.
      this.#forget(ticket)
      asked(outcome)
      return
    }
    if (typeof ticket !== 'string' || ticket.length > 100)
      throw new DotdoError('HANDOFF_UNKNOWN', 'A ticket of a hand-off is a short text.')
    if (this.#here.size >= this.#limits.handoffs) throw overLimit('handoffs', this.#here.size + 1, this.#limits.handoffs)
    this.#here.get(ticket)?.cancel()
    const cancel = this.#timer(this.#limits.handoffMs, () => this.#drop(ticket))
    this.#here.set(ticket, { outcome, cancel })
  }

  #drop(ticket: string): void {
    const { outcome } = this.#here.get(ticket) ?? {}
    if (outcome && 'value' in outcome) cancelStreams(outcome.value, handOffLost('it waited for too long and was dropped.'))
    this.#here.delete(ticket)
    this.#forget(ticket)
  }

  #forget(ticket: string): void {
    this.#over.add(ticket)
    if (this.#over.size > this.#limits.handoffs) this.#over.delete(this.#over.values().next().value!)
  }
}

/** A value that lives on after the call that brought it: capabilities and streams in it are the call's, and end with it. */
export function kept(value: unknown): unknown {
  if (typeof value === 'function') return value instanceof RpcStub ? (value as unknown as { dup(): unknown }).dup() : value
  if (Array.isArray(value)) return value.map(kept)
  if (typeof value !== 'object' || value === null) return value
  if (Object.getPrototypeOf(value) !== Object.prototype) return keptStream(value)
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, kept(part)]))
}

function resultOf(outcome: Outcome): unknown {
  if ('error' in outcome) throw outcome.error
  return outcome.value
}
