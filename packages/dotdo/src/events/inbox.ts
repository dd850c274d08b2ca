/**
 * The receiver's end of subscriptions: takes batches of other objects' events and calls what they are for.
 *
 * Owns the tables `dotdo_inbox` and `dotdo_inbox_events`, and which events are being handled now. Invariants:
 * I1. An event is handled once in effect: that it was handled is written in the turn in which its handler ended, with everything that a handler
 *     without a promise wrote. One that does not know that it was handled is called again, under the same key, so its finished steps stay finished.
 * I2. With order, an event is begun when the one before has been handled, has failed for good at its sender, or is one that the sender skips.
 * I3. An answer comes within 20 seconds. What takes longer goes on, is never begun a second time beside itself, and a later batch learns how it ended.
 * I4. An event during which the object died is counted on disk before it is begun again.
 * I5. How far a subscription with order has come is remembered as the table says it, and looked up only for what may stand there otherwise: what comes again,
 *     what was begun before, what its sender took back from its dead letters.
 */
import { toErrorRecord, DotdoError, type ErrorRecord } from '../base/errors.ts'
import type { Clock } from '../base/ports.ts'
import { isThenable } from '../base/thenable.ts'
import { assertBatchVersion, eventOf, type EventBatch, type EventRow, type Receipt } from './batch.ts'
import { storableError } from './error-record.ts'
import type { SentEvent } from './event.ts'
import { answerWithinMs, mostBegun, pruneBatch } from './limits.ts'
import type { SubscriptionStore } from './subscription-tables.ts'

/**
 * Calls what an event is for. `key` is the same for every call with this event: `event:<event>:<subscription>`. `tried`: it may have been called before,
 * so a run under that key may be there.
 */
export type Receive = (event: SentEvent, key: string, tried: boolean) => unknown

/** What an inbox needs of its surroundings. */
export interface InboxPorts {
  readonly clock: Clock
  /**
   * What a batch is for, in this incarnation. `undefined`: this object has no such subscription. `null`: it had, and wants nothing of it any more.
   * @throws why it cannot be reached: revoked, no such method
   */
  open(batch: EventBatch, from: string | undefined): Receive | null | undefined | PromiseLike<Receive | null | undefined>
  /** Runs `then` after `delayMs`; the result cancels it. */
  timer(delayMs: number, then: () => void): () => void
  /** Resolves when everything written so far is on disk. */
  sync(): Promise<void>
  /** Is told of each event that was handled, in the transaction that says so. */
  received?(event: SentEvent): void
}

/** What the tables say of some events. */
interface Known {
  readonly floor: number
  readonly rows: ReadonlyMap<number, { handled: number; skipped: number | null }>
}

const noRows: Known['rows'] = new Map()
const unknown: Known = { floor: 0, rows: noRows }

/** How one event ended: handled, failed, or not in time. */
type End = ErrorRecord | 'handled' | 'open'

interface Conversation {
  readonly batch: EventBatch
  readonly receive: Receive
  /** What the tables said when its events began to be handled: nobody else changes that for these events meanwhile. */
  known: Known
  /** With order: up to here events have been handled that the tables do not know of yet. They do before anything is waited for. */
  reached: number
  /** Rejects never; resolves when this batch has to be answered. */
  readonly late: Promise<'open'>
}

/** Events of others, handled once; see the head of this file for what it owns. */
export class Inbox {
  readonly #tables: SubscriptionStore
  readonly #ports: InboxPorts
  /** By subscription and seq: those whose handler has not ended. */
  readonly #running = new Map<string, Promise<End>>()
  /** How those ended that nobody waited for any more. Told once. */
  readonly #told = new Map<string, ErrorRecord>()
  /** With order: the last batch of each subscription that is at work. */
  readonly #lines = new Map<string, Promise<unknown>>()
  /** With order: up to where the table says that the events of a subscription have been handled, of at most `mostFloors`. */
  readonly #floors = new Map<string, number>()

  constructor(tables: SubscriptionStore, ports: InboxPorts) {
    this.#tables = tables
    this.#ports = ports
  }

  /**
   * Takes a batch.
   * @param from the object that sends, as the framework knows it
   * @throws what {@link InboxPorts.open} throws; `LINK_VERSION`
   */
  async receive(batch: EventBatch, from: string | undefined): Promise<Receipt> {
    assertBatchVersion(batch)
    const opened = this.#ports.open(batch, from)
    const receive = isThenable(opened) ? await opened : opened
    if (receive === undefined) return { gone: true }
    if (receive === null) return {}
    let cancel = (): void => undefined
    // Made when something is waited for: most handlers are done at once.
    let late: Promise<'open'> | undefined
    const ports = this.#ports
    const conversation: Conversation = {
      batch,
      receive,
      known: unknown,
      reached: 0,
      get late() {
        return (late ??= new Promise((resolve) => (cancel = ports.timer(answerWithinMs, () => resolve('open')))))
      },
    }
    try {
      return batch.ordered ? await this.#inLine(conversation) : this.#answer(conversation, await this.#together(conversation))
    } finally {
      cancel()
    }
  }

  /** Forgets a subscription that has ended. */
  forget(subscription: string): void {
    this.#floors.delete(subscription)
    this.#tables.write('DELETE FROM dotdo_inbox_events WHERE subscription = ?', subscription)
    this.#tables.write('DELETE FROM dotdo_inbox WHERE subscription = ?', subscription)
  }

  /**
   * Forgets, in a bounded batch, what has heard of no event since `before`, and what was passed over before that: longer ago than any sender keeps one.
   * Answers whether there may be more.
   */
  prune(before: number): boolean {
    const skipped = this.#tables.prune(
      `DELETE FROM dotdo_inbox_events WHERE (subscription, seq) IN (SELECT subscription, seq FROM dotdo_inbox_events
        WHERE skipped IS NOT NULL AND coalesce(skipped_at, 0) < ? ORDER BY coalesce(skipped_at, 0) LIMIT (? + 0)) RETURNING seq`,
      before,
      pruneBatch,
    ).length
    const [idle] = this.#tables.read<{ subscription: string }>('SELECT subscription FROM dotdo_inbox WHERE at < ? LIMIT 1', before)
    if (!idle) return skipped === pruneBatch
    const events = this.#tables.prune(
      'DELETE FROM dotdo_inbox_events WHERE (subscription, seq) IN (SELECT subscription, seq FROM dotdo_inbox_events WHERE subscription = ? LIMIT (? + 0)) RETURNING seq',
      idle.subscription,
      pruneBatch,
    )
    if (events.length < pruneBatch) this.forget(idle.subscription)
    return true
  }

  /** When {@link prune} has something to take, if it is kept for so long; null where nothing is kept. */
  nextPruneMs(keepMs: number): number | null {
    const skipped = `SELECT coalesce(skipped_at, 0) AS at FROM dotdo_inbox_events WHERE skipped IS NOT NULL ORDER BY coalesce(skipped_at, 0) LIMIT 1`
    const row = this.#tables.read<{ at: number | null }>(
      `SELECT min(at) AS at FROM (SELECT min(at) AS at FROM dotdo_inbox UNION ALL SELECT at FROM (${skipped}))`,
    )[0]
    return typeof row?.at === 'number' ? row.at + keepMs : null
  }

  /** Batches of one subscription, one after the other: a second one comes where the sender has not heard of the first. */
  async #inLine(conversation: Conversation): Promise<Receipt> {
    const { batch } = conversation
    const { subscription } = batch
    for (let before = this.#lines.get(subscription); before; before = this.#lines.get(subscription)) {
      if ((await Promise.race([before, conversation.late])) === 'open') return { open: batch.events.map((_, i) => i) }
    }
    const work = this.#oneByOne(conversation)
    const line = work.then(nothing, nothing)
    this.#lines.set(subscription, line)
    try {
      return this.#answer(conversation, await work)
    } finally {
      if (this.#lines.get(subscription) === line) this.#lines.delete(subscription)
    }
  }

  async #oneByOne(conversation: Conversation): Promise<Ends> {
    const { batch } = conversation
    const ends = new Ends()
    ends.handled = this.#learn(conversation)
    for (const [index, row] of batch.events.entries()) {
      let end = this.#begin(conversation, row)
      if (isThenable(end)) {
        this.#writeDown(conversation)
        end = await Promise.race([end, conversation.late])
      }
      if (end === 'handled') continue
      ends.put(index, end)
      for (let rest = index + 1; rest < batch.events.length; rest++) ends.put(rest, 'open')
      break
    }
    this.#writeDown(conversation)
    return ends
  }

  async #together(conversation: Conversation): Promise<Ends> {
    const ends = new Ends()
    ends.handled = this.#learn(conversation)
    const begun = conversation.batch.events.map((row) => this.#begin(conversation, row))
    for (const [index, it] of begun.entries()) ends.put(index, isThenable(it) ? await Promise.race([it, conversation.late]) : it)
    return ends
  }

  /** One write for all events that ended at once, in the turn in which they did. */
  #writeDown(conversation: Conversation): void {
    const { reached, known, batch } = conversation
    conversation.reached = 0
    if (reached === 0) return
    this.#raise(batch.subscription, reached)
    this.#remember(batch.subscription, Math.max(reached, this.#floors.get(batch.subscription) ?? known.floor))
  }

  /** What the sender is told. */
  #answer({ batch }: Conversation, { failed, open, handled }: Ends): Receipt {
    for (const [index] of failed) this.#told.delete(keyOf(batch, batch.events[index]![0]))
    return {
      ...(failed.length > 0 && { failed }),
      ...(open.length > 0 && { open }),
      ...(handled.length > 0 && { handled }),
    }
  }

  /** Takes what a batch says of earlier events, and reads what is known of its own. Answers which of the skipped were handled after all. */
  #learn(conversation: Conversation): number[] {
    const { subscription, ordered, floor, skipped = [] } = conversation.batch
    const handled: number[] = []
    if (skipped.length > 0) {
      const known = this.#read(
        subscription,
        skipped.map(([seq]) => seq),
      )
      for (const [seq, revived] of skipped) {
        if (!isHandled(known, seq, revived)) this.#skip(subscription, seq, revived)
        // One that is skipped already is no news.
        else if (typeof known.rows.get(seq)?.skipped !== 'number') handled.push(seq)
      }
    }
    conversation.known = this.#knownOf(conversation.batch)
    if (!ordered && floor > conversation.known.floor) {
      this.#raise(subscription, floor)
      this.#tables.write('DELETE FROM dotdo_inbox_events WHERE subscription = ? AND seq < ? AND skipped IS NULL', subscription, floor)
    }
    return handled
  }

  /** With order nothing but the floor is noted of an event, but where it died, or was begun in vain. */
  #knownOf({ subscription, ordered, again, events }: EventBatch): Known {
    const floor = ordered && !again ? this.#floors.get(subscription) : undefined
    if (floor !== undefined && events.every(([seq, , , , , , , revived]) => seq >= floor && revived === 0)) return { floor, rows: noRows }
    const known = this.#read(
      subscription,
      events.map(([seq]) => seq),
    )
    if (ordered) this.#remember(subscription, known.floor)
    return known
  }

  #remember(subscription: string, floor: number): void {
    if (this.#floors.size >= mostFloors) this.#floors.clear()
    this.#floors.set(subscription, floor)
  }

  #read(subscription: string, seqs: readonly number[]): Known {
    // At least one row, with the floor in each.
    const found = this.#tables.read<{ floor: number | null; seq: number | null; handled: number; skipped: number | null }>(
      `SELECT floor, seq, handled, skipped FROM (SELECT ? AS wanted) LEFT JOIN dotdo_inbox ON dotdo_inbox.subscription = wanted
       LEFT JOIN dotdo_inbox_events AS known ON known.subscription = wanted AND seq BETWEEN ? AND ? AND seq IN (SELECT value FROM json_each(?))`,
      subscription,
      Math.min(...seqs),
      Math.max(...seqs),
      JSON.stringify(seqs),
    )
    const rows = new Map<number, { handled: number; skipped: number | null }>()
    for (const { seq, handled, skipped } of found) if (seq !== null) rows.set(seq, { handled, skipped })
    return { floor: found[0]?.floor ?? 0, rows }
  }

  #skip(subscription: string, seq: number, revived: number): void {
    this.#tables.write(
      `INSERT INTO dotdo_inbox_events (subscription, seq, skipped, skipped_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (subscription, seq) DO UPDATE SET skipped = excluded.skipped, skipped_at = excluded.skipped_at, begun = 0`,
      subscription,
      seq,
      revived,
      this.#ports.clock.now(),
    )
  }

  #raise(subscription: string, floor: number): void {
    this.#tables.write(
      `INSERT INTO dotdo_inbox (subscription, floor, at) VALUES (?, ?, ?)
       ON CONFLICT (subscription) DO UPDATE SET floor = max(floor, excluded.floor), at = excluded.at`,
      subscription,
      floor,
      this.#ports.clock.now(),
    )
  }

  /** Handles an event, unless that has been done or is being done. Ends at once where the handler does. */
  #begin(conversation: Conversation, row: EventRow): End | Promise<End> {
    const { batch } = conversation
    const [seq, , , , , , , revived] = row
    const key = keyOf(batch, seq)
    const running = this.#running.get(key)
    if (running) return running
    const late = this.#told.get(key)
    if (late) return late
    if (isHandled(conversation.known, seq, revived)) return 'handled'
    const begun = batch.again ? this.#beginAgain(conversation, row) : this.#call(conversation, row)
    if (!isThenable(begun)) return begun
    const ended = Promise.resolve(begun)
      .then(undefined, storableError)
      .then((end) => {
        this.#running.delete(key)
        // Whoever waits for it takes it off again.
        if (typeof end === 'object') this.#keepTold(key, end)
        return end
      })
    this.#running.set(key, ended)
    return ended
  }

  #keepTold(key: string, error: ErrorRecord): void {
    this.#told.set(key, error)
    // A sender that never asks again leaves its own behind.
    if (this.#told.size > mostTold) this.#told.delete(this.#told.keys().next().value!)
  }

  /** I4. */
  async #beginAgain(conversation: Conversation, row: EventRow): Promise<End> {
    const { subscription } = conversation.batch
    const begun = Number(
      this.#tables.write(
        `INSERT INTO dotdo_inbox_events (subscription, seq, begun) VALUES (?, ?, 1)
         ON CONFLICT (subscription, seq) DO UPDATE SET begun = begun + 1 RETURNING begun`,
        subscription,
        row[0],
      )[0]?.begun,
    )
    if (begun > mostBegun) return toErrorRecord(interrupted(row[2], begun - 1))
    await this.#ports.sync()
    const end = this.#call(conversation, row)
    // Nobody may be waiting for it any more who would.
    this.#writeDown(conversation)
    return end
  }

  /** A handler that gives no promise shares one transaction with the note that it was called. */
  #call(conversation: Conversation, row: EventRow): End | Promise<End> {
    const { batch, receive } = conversation
    try {
      const event = eventOf(row)
      return this.#tables.store.transaction(() => {
        const result = receive(event, `event:${event.id}:${batch.subscription}`, (batch.again ?? batch.tried) === true)
        if (!isThenable(result)) return { end: this.#note(conversation, row, event) }
        // In a box: a transaction must not give a promise.
        return { end: Promise.resolve(result).then(() => this.#noteLater(conversation, row, event), storableError) }
      }).end
    } catch (thrown) {
      return storableError(thrown)
    }
  }

  #noteLater(conversation: Conversation, row: EventRow, event: SentEvent): 'handled' {
    const end = this.#note(conversation, row, event)
    this.#writeDown(conversation)
    return end
  }

  /** I1: the commit point of an event, with order together with {@link #writeDown}. */
  #note(conversation: Conversation, [seq, , , , , , , revived]: EventRow, event: SentEvent): 'handled' {
    const { subscription, ordered, again } = conversation.batch
    if (again || revived > 0) this.#tables.write('DELETE FROM dotdo_inbox_events WHERE subscription = ? AND seq = ?', subscription, seq)
    if (ordered) conversation.reached = Math.max(conversation.reached, seq + 1)
    else if (seq >= conversation.known.floor)
      this.#tables.write(
        'INSERT INTO dotdo_inbox_events (subscription, seq, handled) VALUES (?, ?, 1) ON CONFLICT (subscription, seq) DO UPDATE SET handled = 1',
        subscription,
        seq,
      )
    this.#ports.received?.(event)
    return 'handled'
  }
}

/** Whether an event is none to handle: it has been, or its sender has given it up, and has not revived it since. */
function isHandled({ floor, rows }: Known, seq: number, revived: number): boolean {
  const row = rows.get(seq)
  if (row && row.skipped !== null) return revived <= row.skipped
  return row?.handled === 1 || seq < floor
}

/** Ends that nobody has been told of, at most. */
const mostTold = 1000

/** Subscriptions whose floor is remembered, at most. */
const mostFloors = 1000

/** How the events of one batch ended. */
class Ends {
  readonly failed: [index: number, error: ErrorRecord][] = []
  readonly open: number[] = []
  handled: number[] = []

  put(index: number, end: End): void {
    if (end === 'open') this.open.push(index)
    else if (end !== 'handled') this.failed.push([index, end])
  }
}

const keyOf = ({ subscription }: EventBatch, seq: number): string => `${subscription} ${seq}`

function nothing(): void {}

function interrupted(type: string, times: number): DotdoError {
  return new DotdoError(
    'DELIVERY_INTERRUPTED',
    `The handler of a '${type}' was begun ${times} times and did not end: the object stopped each time, by a deploy or because the handler took too much memory or CPU. Look at what it does with this event, then replay it.`,
    { data: { type, attempts: times } },
  )
}
