import type { Store } from '../base/ports.ts'
import type { ConcurrencyLimit } from './step-options.ts'

/** A place that a step holds under a key. */
export class Place {
  readonly key: string
  /** How many steps inside of the one that holds it wait for places under other keys. */
  waitingInside = 0

  constructor(key: string) {
    this.key = key
  }
}

interface Waiter {
  readonly limit: number
  /** What the steps around it hold while it waits. */
  readonly above: readonly Place[]
  readonly go: (place: Place) => void
}

interface Key {
  readonly held: Set<Place>
  readonly waiting: Waiter[]
}

/**
 * Owns the places of steps that bound how many of them are under way at once, by key, over all runs of this object.
 *
 * Invariants: 1. No more steps of a key hold a place than the limit of the one that got the last. 2. Those that wait get theirs in the order in
 * which they came. 3. It is memory: steps that an earlier incarnation had under way are not under way any more. 4. Nobody waits for a place that
 * waits for him: such a circle is closed by the last one that begins to wait, and that one is refused.
 */
export class Places {
  readonly #keys = new Map<string, Key>()

  /**
   * A place, or a promise of one where there is none now.
   * @param onStop takes what takes the waiting one off the list when it stops, and gives what takes that back
   * @param above the places that the steps around hold
   * @returns `undefined` where it would be waited for for ever: whoever holds one waits for what is held above
   */
  take(
    { key, limit }: ConcurrencyLimit,
    onStop: (stop: () => void) => () => void,
    above: readonly Place[] = [],
  ): Place | Promise<Place> | undefined {
    const its = this.#keys.get(key) ?? { held: new Set(), waiting: [] }
    this.#keys.set(key, its)
    if (its.held.size < limit && its.waiting.length === 0) return this.#hold(key, its)
    const { promise, resolve } = Promise.withResolvers<Place>()
    const ended = (): void => {
      for (const place of above) place.waitingInside--
    }
    const waiter: Waiter = {
      limit,
      above,
      go: (place) => {
        ended()
        forget()
        resolve(place)
      },
    }
    its.waiting.push(waiter)
    for (const place of above) place.waitingInside++
    if (above.length > 0 && this.#isStuck(waiter, its)) {
      its.waiting.pop()
      ended()
      return undefined
    }
    const forget = onStop(() => {
      const at = its.waiting.indexOf(waiter)
      if (at >= 0) {
        its.waiting.splice(at, 1)
        ended()
      }
      this.#next(key)
    })
    return promise
  }

  /** Gives a place back. */
  free(place: Place): void {
    this.#keys.get(place.key)?.held.delete(place)
    this.#next(place.key)
  }

  #hold(key: string, { held }: Key): Place {
    const place = new Place(key)
    held.add(place)
    return place
  }

  #next(key: string): void {
    const its = this.#keys.get(key)
    if (!its) return
    for (let first = its.waiting[0]; first && its.held.size < first.limit; first = its.waiting[0]) {
      its.waiting.shift()
      first.go(this.#hold(key, its))
    }
    if (its.held.size === 0 && its.waiting.length === 0) this.#keys.delete(key)
  }

  /**
   * Whether one that has just begun to wait would wait for ever. A place goes free unless a step inside of it waits for ever, and a waiter gets one unless as
   * many as its limit do not go free, or one before it does not get one.
   */
  #isStuck(waiter: Waiter, its: Key): boolean {
    // Nothing waited for ever before this one came: so it does only where whoever holds a place of its key waits, too.
    if (![...its.held].some(({ waitingInside }) => waitingInside > 0)) return false
    const stuck = new Set([...this.#keys.values()].flatMap(({ waiting }) => waiting))
    for (let before = 0; before !== stuck.size;) {
      before = stuck.size
      const kept = new Set([...stuck].flatMap(({ above }) => above))
      for (const { held, waiting } of this.#keys.values()) {
        const staying = [...held].filter((place) => kept.has(place)).length
        for (const it of waiting) {
          if (it.limit <= staying) break
          stuck.delete(it)
        }
      }
    }
    return stuck.has(waiter)
  }
}

/**
 * Owns the table `dotdo_rates`: when the last `limit` steps of each key were to begin.
 *
 * Invariants: 1. The step that is `limit` places behind another begins at least `perMs` later, so any stretch of that length sees at most
 * `limit` of them. A place that was given out is used up, whatever becomes of the step. 2. A clock that was set back puts nothing off: all places of a key
 * move back with it, by what it is known to have gone back since the last of them was given out.
 */
export class Rates {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** Gives out the next place of a key. @returns when it is, epoch milliseconds, `now` at the soonest */
  reserve({ key, limit, perMs }: { key: string; limit: number; perMs: number }, now: number): number {
    return this.#store.transaction(() => {
      const last = this.#store.sql<{ n: number; at: number; given: number }>(
        'SELECT n, at, given FROM dotdo_rates WHERE key = ? ORDER BY n DESC LIMIT 1',
        key,
      )[0]
      const n = (last?.n ?? 0) + 1
      const back = Math.max(0, (last?.given ?? 0) - now)
      if (back > 0) this.#store.sql('UPDATE dotdo_rates SET at = at - ?, given = given - ? WHERE key = ?', back, back, key)
      const before = this.#store.sql<{ at: number }>('SELECT at FROM dotdo_rates WHERE key = ? AND n = ?', key, n - limit)[0]
      const at = Math.max(now, last ? last.at - back : 0, before ? before.at + perMs : 0)
      this.#store.sql('INSERT INTO dotdo_rates (key, n, at, given) VALUES (?, ?, ?, ?)', key, n, at, now)
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
