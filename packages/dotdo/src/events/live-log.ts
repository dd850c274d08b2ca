/**
 * The newest live events of one object, and their numbers.
 *
 * Owns the table `dotdo_live`. Invariants:
 * 1. Numbers count up, over all incarnations. While somebody watches, and for {@link keepMs} after, they have no gaps: the number of a turn's
 *    last event is stored with what the turn writes. Otherwise nothing is stored, and the numbers of the next incarnation jump ahead.
 * 2. What is remembered is the newest events without a gap, bounded in number and in size, in memory: an eviction forgets the events, not
 *    that there were some.
 */
import { migrate, type Migrations } from '../base/migrations.ts'
import type { Clock, Store } from '../base/ports.ts'

/** How long after its last watcher has left an object numbers its events for it, should it come back. */
export const keepMs = 10 * 60_000
/** Events that are remembered, and characters of their texts. */
const most = { events: 256, chars: 512 * 1024 }

/** The table of the numbers of live events. Entries are never edited after a release, only added to; a test pins them. */
export const liveMigrations: Migrations = [
  ['CREATE TABLE dotdo_live (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, until INTEGER)'],
]

/** See the head of this file for what it owns. */
export class LiveLog {
  #store: Store
  #clock: Clock
  #afterTurn: (then: () => void) => void
  #seq: number
  /** Until when events are numbered without gaps: `Infinity` while somebody watches. */
  #until: number
  #texts: string[] = []
  #chars = 0
  #storing = false

  /**
   * @param isWatched whether somebody has been watching since an earlier incarnation
   * @param afterTurn runs `then` when the code that runs now has run, and within what commits with it
   */
  constructor(store: Store, clock: Clock, isWatched: boolean, afterTurn: (then: () => void) => void) {
    this.#store = store
    this.#clock = clock
    this.#afterTurn = afterTurn
    const now = clock.now()
    // An object that nobody has ever watched has no table.
    const exists = store.sql(`SELECT 1 FROM sqlite_master WHERE name = 'dotdo_live'`).length > 0
    const row = exists ? store.sql('SELECT seq, until FROM dotdo_live WHERE id = 1')[0] : undefined
    const stored = Number(row?.['seq'] ?? 0)
    // Watched when its last incarnation ended, and by nobody now: they were cut off together, and will be back.
    this.#until = isWatched ? Infinity : row ? Number(row['until'] ?? now + keepMs) : 0
    // Fewer than a thousand events a millisecond: a number of an earlier incarnation is passed.
    this.#seq = now < this.#until && row ? stored : Math.max(stored, now * 1000)
  }

  /** Whether what is added is wanted by anybody. What is not need not be added: numbers jump ahead all the same when somebody comes. */
  get isWanted(): boolean {
    return this.#clock.now() < this.#until
  }

  /** Numbers an event and remembers it. Gives its text, or `undefined` where nobody may want it. */
  add(text: (seq: number) => string): string | undefined {
    const seq = ++this.#seq
    if (this.#clock.now() >= this.#until) {
      this.#forget()
      return undefined
    }
    const made = text(seq)
    this.#texts.push(made)
    this.#chars += made.length
    while (this.#texts.length > most.events || this.#chars > most.chars) this.#chars -= this.#texts.shift()!.length
    if (!this.#storing) {
      this.#storing = true
      this.#afterTurn(() => {
        this.#storing = false
        this.#write()
      })
    }
    return made
  }

  /** What comes after the event `seen`, and the number that it comes after: `seen`, or where the numbering stands when that is not remembered. */
  since(seen: number | undefined): { seq: number; missed: string[] } {
    const behind = seen === undefined ? -1 : this.#seq - seen
    if (seen === undefined || !Number.isSafeInteger(behind) || behind < 0 || behind > this.#texts.length)
      return { seq: this.#seq, missed: [] }
    return { seq: seen, missed: behind === 0 ? [] : this.#texts.slice(-behind) }
  }

  /** Somebody watches from now on, or nobody any more. */
  watched(isWatched: boolean): void {
    if (isWatched && this.#until === Infinity) return
    // The number stands before the first event that has to follow it without a gap.
    if (isWatched) migrate(this.#store, 'live', liveMigrations)
    this.#until = isWatched ? Infinity : this.#clock.now() + keepMs
    this.#write()
  }

  #write(): void {
    const until = this.#until === Infinity ? null : this.#until
    this.#store.sql('INSERT OR REPLACE INTO dotdo_live (id, seq, until) VALUES (1, ?, ?)', this.#seq, until)
  }

  #forget(): void {
    this.#texts = []
    this.#chars = 0
  }
}
