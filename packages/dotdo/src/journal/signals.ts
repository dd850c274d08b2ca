import { decodeValue, encodeValue } from '../base/codec.ts'
import type { Store } from '../base/ports.ts'
import type { JournalLimits } from './ports.ts'
import type { ValueStore } from './values.ts'

/** An event as a run waits for it: what `waitFor` resolves with. */
export interface ReceivedEvent<Payload = unknown> {
  /** The event's own id: the same event is taken in once. */
  readonly id: string
  /** `Noun.verb`. */
  readonly type: string
  readonly payload: Payload
  /** When it was sent, epoch milliseconds. */
  readonly sentAt: number
  /** The object that sent it, such as `Pipeline/main`. */
  readonly source?: string
}

type SignalRow = { seq: number; id: string; event: string }

/**
 * Owns the table `dotdo_signals`: the events that the object has received lately, so that a wait which begins late finds the one that came
 * before it.
 *
 * Invariants: 1. An event is kept once. 2. Numbers only grow: the newest is never removed. 3. At most `signalsKept` are kept, each as long as
 * `signalWindowMs`.
 */
export class SignalTable {
  readonly #store: Store
  readonly #values: ValueStore
  readonly #limits: JournalLimits
  #last: number | undefined

  constructor(store: Store, values: ValueStore, limits: JournalLimits) {
    this.#store = store
    this.#values = values
    this.#limits = limits
  }

  /** The number of the newest. */
  get last(): number {
    return (this.#last ??= Number(this.#store.sql('SELECT MAX(seq) AS seq FROM dotdo_signals')[0]?.seq ?? 0))
  }

  has(id: string): boolean {
    return this.#store.sql('SELECT 1 FROM dotdo_signals WHERE id = ?', id).length > 0
  }

  /** Keeps one. In the transaction of whoever takes it in. @throws `NOT_STORABLE`, `RESULT_TOO_LARGE` */
  add(event: ReceivedEvent, now: number): void {
    const seq = this.last + 1
    this.#values.put(event, `The event '${event.type}'`, ({ text, valueId }) =>
      this.#store.sql(
        'INSERT INTO dotdo_signals (seq, id, type, at, event, event_value) VALUES (?, ?, ?, ?, ?, ?)',
        seq,
        event.id,
        event.type,
        now,
        text,
        valueId,
      ),
    )
    this.#last = seq
    this.#remove('seq <= ?', seq - this.#limits.signalsKept, 10)
  }

  /** Says that what was added is undone with its transaction. */
  forgetLast(): void {
    this.#last = undefined
  }

  /** The first event that a wait of a run may take: of its type, behind `after`, kept, and not taken by another wait of that run, or of those that it was forked from. */
  find(run: number, type: string, after: number, match: unknown, now: number): ReceivedEvent | undefined {
    const rows = this.#store.sql<SignalRow>(
      `WITH RECURSIVE line (seq) AS
          (SELECT ? UNION ALL SELECT forked_from FROM dotdo_runs JOIN line USING (seq) WHERE forked_from IS NOT NULL)
        SELECT seq, id, event FROM dotdo_signals WHERE type = ? AND seq > ? AND at >= ?
        AND NOT EXISTS (SELECT 1 FROM line JOIN dotdo_steps ON run = line.seq WHERE signal = dotdo_signals.id) ORDER BY seq`,
      run,
      type,
      after,
      now - this.#limits.signalWindowMs,
    )
    for (const row of rows) {
      // This room put an event there.
      const event = this.#values.get(row.event) as ReceivedEvent
      if (matches(match, event.payload)) return event
    }
    return undefined
  }

  /** Removes what is older than the window, at most `limit` of it. Returns how many. */
  prune(now: number, limit: number): number {
    return this.#remove('at < ?', now - this.#limits.signalWindowMs, limit)
  }

  #remove(condition: 'seq <= ?' | 'at < ?', bound: number, limit: number): number {
    const removed = this.#store.sql<{ event_value: number | null }>(
      `DELETE FROM dotdo_signals WHERE seq IN (SELECT seq FROM dotdo_signals WHERE ${condition} AND seq < ? ORDER BY seq LIMIT (? + 0)) RETURNING event_value`,
      bound,
      this.last,
      limit,
    )
    for (const { event_value: valueId } of removed) if (valueId !== null) this.#values.remove(valueId)
    return removed.length
  }
}

/** What a wait compares events with, as its step keeps it. @throws `NOT_STORABLE` */
export function encodeMatch(match: unknown): string {
  return encodeValue(match, `The match of a wait`)
}

/** Reads what {@link encodeMatch} gave. */
export function decodeMatch(text: string): unknown {
  return decodeValue(text)
}

/**
 * Whether a payload has everything that `match` names: plain objects are compared name by name, and may have more than is named; arrays element by
 * element and at the same length; everything else by its value. `undefined` matches everything. A circle is what it is compared with where it comes back to
 * itself and has not differed until then.
 */
export function matches(match: unknown, payload: unknown, above: readonly (readonly [object, object])[] = []): boolean {
  if (match === undefined || Object.is(match, payload)) return true
  if (typeof match !== 'object' || typeof payload !== 'object' || match === null || payload === null) return false
  const isList = Array.isArray(match)
  if (!isList && Object.getPrototypeOf(match) !== Object.prototype && Object.getPrototypeOf(match) !== null) {
    return Object.getPrototypeOf(match) === Object.getPrototypeOf(payload) && encodeValue(match) === encodeValue(payload)
  }
  if (above.some(([one, other]) => one === match && other === payload)) return true
  const within: typeof above = [...above, [match, payload]]
  if (isList) return Array.isArray(payload) && match.length === payload.length && match.every((it, i) => matches(it, payload[i], within))
  return Object.entries(match).every(([name, it]) => Object.hasOwn(payload, name) && matches(it, Reflect.get(payload, name), within))
}
