/**
 * What of one owner has been called and waits to leave, on whatever object: in the order in which it was begun.
 *
 * A message mostly leaves when its turn ends. One that is awaited and has no company leaves before that, because a turn of the event loop costs more
 * than the call; and code that has its answer may rely on what it called before, though nobody awaited that.
 *
 * Owns the places of what waits. Invariants:
 * 1. What leaves, leaves after all that was begun before it and still waits, whichever of them is due first.
 * 2. A place is kept from the first call until its message has left: what becomes a session in between keeps the place of its first call.
 */
export class Departures {
  #waiting = new Map<object, Departure>()

  /** Something waits. What waits by this key already keeps its place. @param key by which it is told of again */
  wait(key: object, departure: Departure): void {
    this.#waiting.set(key, departure)
  }

  /** It waits no longer: it leaves now, or never. */
  left(key: object): void {
    this.#waiting.delete(key)
  }

  /** Lets all leave that waits, up to and with this. Nothing happens where it has left. */
  leave(key: object): void {
    if (!this.#waiting.has(key)) return
    for (const [it, departure] of this.#waiting) {
      this.#waiting.delete(it)
      departure.leaveNow()
      if (it === key) return
    }
  }

  /** How many wait: what a test for leaks looks at. */
  get waiting(): number {
    return this.#waiting.size
  }
}

/** One message, or as many as its calls need, that waits to leave. */
export interface Departure {
  /** Leaves. Never throws; what fails is told to whoever awaits its calls. */
  leaveNow(): void
}
