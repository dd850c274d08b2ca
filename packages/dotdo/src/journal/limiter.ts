import type { Store } from '../base/ports.ts'
import type { ConcurrencyLimit } from './step-options.ts'

/**
 * Owns the places of steps that bound how many of them are under way at once, by key, over all runs of this object.
 *
 * Invariants: 1. No more steps of a key hold a place than the limit of the one that got the last. 2. Those that wait get theirs in the order in
 * which they came. 3. It is memory: steps that an earlier incarnation had under way are not under way any more.
 */
export class Places {
  readonly #keys = new Map<string, { held: number; waiting: { limit: number; go: () => void }[] }>()

  /** Resolves when there is a place; `undefined` where there is one at once. @param stopped takes what waits off the list */
  take({ key, limit }: ConcurrencyLimit, onStop: (stop: () => void) => () => void): Promise<void> | undefined {
    const place = this.#keys.get(key) ?? { held: 0, waiting: [] }
    this.#keys.set(key, place)
    if (place.held < limit && place.waiting.length === 0) {
      place.held++
      return undefined
    }
    return new Promise((resolve) => {
      const waiter = {
        limit,
        go: () => {
          forget()
          resolve()
        },
      }
      place.waiting.push(waiter)
      const forget = onStop(() => {
        const at = place.waiting.indexOf(waiter)
        if (at >= 0) place.waiting.splice(at, 1)
        this.#next(key)
      })
    })
  }

  /** Gives a place back. */
  free(key: string): void {
    const place = this.#keys.get(key)
    if (!place) return
    place.held--
    this.#next(key)
  }

  #next(key: string): void {
    const place = this.#keys.get(key)
    if (!place) return
    for (let first = place.waiting[0]; first && place.held < first.limit; first = place.waiting[0]) {
      place.waiting.shift()
      place.held++
      first.go()
    }
    if (place.held === 0 && place.waiting.length === 0) this.#keys.delete(key)
  }
}

/**
 * Owns the table `dotdo_rates`: when the last `limit` steps of each key were to begin.
 *
 * Invariant: the step that is `limit` places behind another begins at least `perMs` later, so any stretch of that length sees at most
 * `limit` of them. A place that was given out is used up, whatever becomes of the step.
 */
export class Rates {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** Gives out the next place of a key. @returns when it is, epoch milliseconds, `now` at the soonest */
  reserve({ key, limit, perMs }: { key: string; limit: number; perMs: number }, now: number): number {
    return this.#store.transaction(() => {
      const last = this.#store.sql<{ n: number; at: number }>('SELECT n, at FROM dotdo_rates WHERE key = ? ORDER BY n DESC LIMIT 1', key)[0]
      const n = (last?.n ?? 0) + 1
      const before = this.#store.sql<{ at: number }>('SELECT at FROM dotdo_rates WHERE key = ? AND n = ?', key, n - limit)[0]
      // A clock that was set back does not make the places behind it later than they were given out.
      const at = Math.max(now, last?.at ?? 0, before ? before.at + perMs : 0)
      this.#store.sql('INSERT INTO dotdo_rates (key, n, at) VALUES (?, ?, ?)', key, n, at)
      this.#store.sql('DELETE FROM dotdo_rates WHERE key = ? AND n <= ?', key, n - limit)
      return at
    })
  }

  /** Forgets places from before an instant, at most `limit` of them. Returns how many. */
  prune(beforeMs: number, limit: number): number {
    return this.#store.sql(
      'DELETE FROM dotdo_rates WHERE (key, n) IN (SELECT key, n FROM dotdo_rates WHERE at < ? ORDER BY at LIMIT (? + 0)) RETURNING n',
      beforeMs,
      limit,
    ).length
  }
}
