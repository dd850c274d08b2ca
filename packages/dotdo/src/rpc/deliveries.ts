/**
 * Which of the callers' numbered messages have come, so that one that is delivered twice takes effect once.
 *
 * Owns the newest number of each caller, and the numbers below it that are missing. Invariants:
 * 1. A number of a caller is new once.
 * 2. What is kept is bounded: callers beyond the newest {@link callersRemembered} are forgotten, and numbers that are more than
 *    {@link numbersMissed} older than the newest are taken for ones that have come.
 */
export class Deliveries {
  #callers = new Map<string, { newest: number; missing: Set<number> | undefined }>()
  #callersBefore = new Map<string, { newest: number; missing: Set<number> | undefined }>()

  /** Whether a message has not come before; from then on it has. Messages mostly come in the order of their numbers. */
  isNew(caller: string, number: number): boolean {
    const known = this.#callers.get(caller) ?? this.#remember(caller)
    if (number === known.newest + 1) {
      known.newest = number
      return true
    }
    if (!Number.isSafeInteger(number) || number <= known.newest) return known.missing?.delete(number) ?? false
    const missing = (known.missing ??= new Set())
    for (let missed = Math.max(known.newest + 1, number - numbersMissed); missed < number; missed++) missing.add(missed)
    for (const oldest of missing) if (missing.size > numbersMissed) missing.delete(oldest)
    known.newest = number
    return true
  }

  /** A caller that is not among the newest: it is now, with what is known of it. */
  #remember(caller: string): { newest: number; missing: Set<number> | undefined } {
    const known = this.#callersBefore.get(caller) ?? { newest: -1, missing: undefined }
    if (this.#callers.size >= callersRemembered) {
      this.#callersBefore = this.#callers
      this.#callers = new Map()
    }
    this.#callers.set(caller, known)
    return known
  }
}

/** A repeated delivery follows the first one closely. Up to twice as many are known. */
export const callersRemembered = 500

/** Native calls arrive in their order, unless the carrier fails in between. */
export const numbersMissed = 100
