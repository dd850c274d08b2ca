/**
 * Owns: which batches are under way in the lanes that take whole batches (subscriptions of other objects, sinks). All of it is memory, and so is which of
 * them may have work (`lane-set.ts`): a new incarnation reads the lanes from the tables and starts with nothing under way.
 *
 * C1. With order one batch of a lane is under way at a time, and begins with the oldest event that has not ended. One that waits for another
 *     attempt holds the lane.
 * C2. What a receipt says is the commit point: handled events are taken off, failed ones wait for another attempt or die. A batch without a
 *     receipt is sent again; its receiver knows what it has handled.
 * C3. What does not get through is no attempt of its events: the route decides when to try again, and when to give up.
 * C4. Later events pass a dead letter by only in batches that say so, so a receiver can tell what it has never handled from what it has.
 * C5. A lane with events and without a route is emptied into the dead letters.
 * C6. A batch that fails as a whole, nobody knows by which event, is no attempt of its events: it is tried in halves, so that what fails alone in the end
 *     is held to account alone. A route that knows a batch by its key gets the same batch first, as often as an event would be tried.
 * C7. Where the receiver knows what it has handled, a batch that it has handled whole is taken off a little later, with what the object writes next: a flush
 *     of its own would stand before whatever waits for the handler. Until then no other batch takes its events, and an object that is lost sends them again.
 */
import { DotdoError, fromErrorRecord, isRetryable, type ErrorRecord } from '../base/errors.ts'
import type { Clock, Random } from '../base/ports.ts'
import type { LiveEventBody } from '../base/views.ts'
import type { EventRow, Receipt } from './batch.ts'
import { storableError } from './error-record.ts'
import { LaneSet } from './lane-set.ts'
import { patienceMs, watchdogAt, type OutboxLimits } from './limits.ts'
import { heldDelayMs, isHeld, longestDelayMs, retryDelayMs, type RetryPolicy } from './retry.ts'
import type { Loaded, Look, OutboxTables } from './tables.ts'

/** A batch as a route is given it. */
export interface Parcel {
  readonly events: readonly EventRow[]
  readonly skipped: readonly (readonly [seq: number, revived: number])[]
  readonly floor: number
  readonly again: boolean
  readonly tried: boolean
}

/** A batch of more than one event was not taken, and by which of them it failed is not known. */
export interface Refusal {
  readonly refused: ErrorRecord
}

/** Where the events of a lane go. */
export interface Route {
  readonly ordered: boolean
  readonly retries: RetryPolicy
  /** Not before this instant, epoch milliseconds. `undefined`: not until something changes. */
  readonly dueAt: number | undefined
  /** Events of one batch, where fewer are taken than the limits say. */
  readonly most?: number
  /** Whether the receiver has to be told of dead letters. */
  readonly tells: boolean
  /** Keeps which events a batch has, so that it comes again as it was; of routes that know a batch by its key. With order only. */
  readonly fixed?: { read(): readonly number[] | undefined; write(seqs: readonly number[] | undefined): void }
  /** Whether the receiver takes an event that comes again for what it is, so that C7 holds. */
  readonly knows?: boolean
  /** Gives a batch to its receiver. Rejects when it did not get through as a whole. */
  deliver(parcel: Parcel): Promise<Receipt | Refusal>
  /** A batch got through. */
  reached(): void
  /** A batch did not get through, as {@link Route.deliver} said or because no answer came. */
  unreached(thrown: unknown): void
  /** The receiver says that it knows of no such subscription. */
  gone(): void
}

/** What a courier needs of its surroundings. */
export interface CourierPorts {
  readonly clock: Clock
  readonly random: Random
  /** The route of a lane, `undefined` where it has none any more. */
  route(lane: string): Route | undefined
  /** The error of events whose lane has no route. */
  ended(lane: string): DotdoError
  /** Runs `then` after `delayMs`; the result cancels it. Absent: nothing is put off, and C7 does not apply. */
  timer?(delayMs: number, then: () => void): () => void
  /** Whether what is written now may be taken back over turns to come. Absent: never. */
  isHeld?(): boolean
  observe?(event: LiveEventBody): void
  wake?(): void
}

interface Under {
  readonly seqs: readonly number[]
  readonly since: number
  /** Gives up waiting for the answer. */
  abandon(): void
}

interface Lane {
  readonly id: string
  readonly underWay: Set<Under>
  /** The last batch did not come back. */
  again: boolean
  /** An event of the last batch failed: the next has one alone, so that one cannot hold up others for longer than it must. */
  careful: boolean
  /** Events of the next batch at most, while some that failed together are told apart; C6. Lost with the instance, and found again. */
  most: number
  /** How often the very same batch was refused. */
  refusals: number
  /** C7: handled, and not taken off yet. With order it is the oldest of the lane. */
  handled: Pick<Loaded, 'seq' | 'id' | 'type'>[]
  /** With order: a look has taken all that there was, and nothing has come since. */
  isDrained: boolean
  /** Something has come back to it, maybe before what was handled. */
  isRevived: boolean
}

/** How many batches of one lane without order are under way at once. */
const atOnceUnordered = 4
/** Dead letters that one batch tells of. */
const mostSkipped = 500
/** How long a receiver that is at work is left alone before it is asked again. */
const openDelayMs = 1000
/** C7: how long what was handled waits to be taken off, and how much of one lane. */
const handledWaitsMs = 5
const mostHandled = 1024

/** Delivery by batches; see the head of this file for what it owns. */
export class Courier extends LaneSet<Lane> {
  readonly #tables: OutboxTables
  readonly #ports: CourierPorts
  readonly #limits: OutboxLimits
  #atOnce = 0
  /** C7: something is handled, and taken off when its time has come. */
  #isTimed = false
  #isWriting = false

  constructor(tables: OutboxTables, ports: CourierPorts, limits: OutboxLimits) {
    super(ports.clock)
    this.#tables = tables
    this.#ports = ports
    this.#limits = limits
  }

  protected override newLane(id: string): Lane {
    return {
      id,
      underWay: new Set(),
      again: false,
      careful: false,
      most: Infinity,
      refusals: 0,
      handled: [],
      isDrained: false,
      isRevived: false,
    }
  }

  /** Says that a lane may have something waiting that no look has seen. */
  override touch(id: string): Lane {
    const lane = super.touch(id)
    lane.isDrained = false
    return lane
  }

  /** Says that something has come back to a lane, maybe before what is taken off later. */
  revived(id: string): void {
    this.touch(id).isRevived = true
  }

  /** How many events of a lane are handled, and still to be taken off. */
  handledOf(id: string): number {
    return this.known(id)?.handled.length ?? 0
  }

  /** Says that the code that runs now writes: what is to be taken off goes with that. Not at once: the writes of a transaction may be undone. */
  writing(): void {
    if (!this.#isTimed || this.#isWriting || this.#ports.isHeld?.()) return
    this.#isWriting = true
    void Promise.resolve().then(() => {
      this.#isWriting = false
      try {
        for (const lane of this.everyLane()) this.#takeOff(lane)
      } catch {
        // All of it is there still, and the pump that comes when its time is over tells why.
      }
    })
  }

  protected override nextOf(lane: Lane, now: number): number | undefined {
    const route = this.#ports.route(lane.id)
    if (route === undefined) return this.#tables.oldest(lane.id) && (lane.underWay.size > 0 ? watchdogAt(now) : now)
    const watch = lane.underWay.size + lane.handled.length > 0 ? watchdogAt(now) : undefined
    if (route.dueAt === undefined || lane.isDrained) return watch
    if (!this.#hasRoom(lane, route)) return watch ?? watchdogAt(now)
    const due = this.#tables.dueAt(lane.id, this.#look(lane, route))
    if (due === undefined) return watch
    const at = Math.min(Math.max(due, route.dueAt), now + longestDelayMs)
    return Math.min(at, watch ?? at)
  }

  /** What of a lane may be sent now. */
  #look(lane: Lane, { ordered }: Route): Look {
    if (ordered) return { ordered, passed: none, above: lane.handled.at(-1)?.seq ?? 0, below: Number.MAX_SAFE_INTEGER }
    const oldest = this.#tables.oldest(lane.id)?.seq ?? 0
    return { ordered, passed: passed(lane), above: 0, below: oldest + this.#limits.ahead }
  }

  #hasRoom(lane: Lane, route: Route): boolean {
    return this.#atOnce < this.#limits.batchesAtOnce && lane.underWay.size < (route.ordered ? 1 : atOnceUnordered)
  }

  /** No answer is coming any more: the receiver answers long before. */
  #giveUp(lane: Lane): void {
    const now = this.#ports.clock.now()
    for (const under of lane.underWay) if (Math.abs(now - under.since) >= patienceMs) under.abandon()
  }

  protected override serve(lane: Lane, work: Promise<void>[]): void {
    this.#giveUp(lane)
    const route = this.#ports.route(lane.id)
    if (!this.#isTimed || lane.isRevived || route === undefined) this.#takeOff(lane)
    if (route === undefined) return this.#empty(lane)
    // The clock may have been put back since something was to wait: looked at only where nothing else is due.
    let isClose = false
    while (this.#hasRoom(lane, route)) {
      const begun = this.#begin(lane, route)
      if (begun) {
        work.push(begun)
        continue
      }
      const now = this.#ports.clock.now()
      if (isClose || lane.isDrained || !this.#tables.notLaterThan(lane.id, now + longestDelayMs, now)) return
      isClose = true
    }
  }

  /** Sends the next batch of a lane, where there is one. Taking it and marking it as under way is one synchronous step. */
  #begin(lane: Lane, route: Route): Promise<void> | undefined {
    const now = this.#ports.clock.now()
    if (lane.isDrained || route.dueAt === undefined || Math.min(route.dueAt, now + longestDelayMs) > now) return undefined
    const most = lane.again || lane.careful ? 1 : Math.min(route.most ?? Infinity, this.#limits.batchEvents, lane.most)
    const untold = route.tells ? this.#tables.untold(lane.id, mostSkipped + 1) : []
    const skipped = untold.slice(0, mostSkipped).map(({ seq, revived }) => [seq, revived] as const)
    // Until the receiver has been told of all, no event may pass them.
    const isTelling = untold.length > mostSkipped
    const fixed = isTelling ? [] : this.#fixed(lane, route, now)
    const { rows, isAll } = fixed
      ? { rows: fixed, isAll: false }
      : this.#tables.batch(lane.id, this.#look(lane, route), now, most, this.#limits.batchChars)
    lane.isDrained = route.ordered && isAll && !isTelling
    if (rows.length === 0 && !isTelling) return undefined
    route.fixed?.write(rows.map(({ seq }) => seq))
    const { promise: abandoned, resolve: abandon } = Promise.withResolvers<void>()
    const under: Under = { seqs: rows.map(({ seq }) => seq), since: now, abandon: () => abandon() }
    lane.underWay.add(under)
    this.#atOnce++
    // With order a batch begins with it: C1.
    const first = route.ordered && !fixed ? rows[0]?.seq : undefined
    const oldest = first ?? this.#tables.oldest(lane.id)?.seq ?? (skipped.at(-1)?.[0] ?? 0) + 1
    const floor = isTelling ? Math.min(oldest, untold[mostSkipped]!.seq) : oldest
    const parcel: Parcel = {
      events: rows.map(rowOf),
      skipped,
      floor,
      again: lane.again,
      tried: rows.some(({ attempts, revived }) => attempts + revived > 0),
    }
    return this.#work(lane, route, rows, parcel, abandoned).finally(() => {
      const wasFull = this.#atOnce === this.#limits.batchesAtOnce
      lane.underWay.delete(under)
      this.#atOnce--
      // Nothing has changed for anybody where the lane is empty, but that there is room.
      if (!lane.isDrained || wasFull) this.#ports.wake?.()
    })
  }

  /** The batch that was under way, of a route that has it again as it was, unless an event of it is not there any more. */
  #fixed(lane: Lane, route: Route, now: number): Loaded[] | undefined {
    const seqs = route.fixed?.read()
    if (!seqs) return undefined
    const rows = this.#tables.load(lane.id, seqs)
    if (rows.length < seqs.length) return undefined
    return (this.#tables.oldest(lane.id)?.due_at ?? 0) > now ? [] : rows
  }

  async #work(lane: Lane, route: Route, rows: readonly Loaded[], parcel: Parcel, abandoned: Promise<void>): Promise<void> {
    let receipt: Receipt | Refusal
    try {
      receipt = await Promise.race([route.deliver(parcel), abandoned.then(() => Promise.reject(unanswered(lane.id)))])
    } catch (thrown) {
      lane.again = true
      lane.isDrained = false
      route.unreached(thrown)
      return
    }
    lane.again = false
    if ('refused' in receipt || receipt.gone || receipt.failed || receipt.open) lane.isDrained = false
    if ('refused' in receipt) return this.#refused(lane, route, rows, receipt.refused)
    if (receipt.gone) return route.gone()
    route.reached()
    this.#book(lane, route, rows, parcel, receipt)
  }

  /** C6 */
  #refused(lane: Lane, { ordered, retries, fixed }: Route, rows: readonly Loaded[], error: ErrorRecord): void {
    const now = this.#ports.clock.now()
    const passes = isRetryable(fromErrorRecord(error))
    // What was refused for good was not taken. Of anything else nobody knows, so where a key tells, it comes again under that.
    const isAgain = fixed !== undefined && passes && lane.refusals < retries.limit
    lane.refusals = isAgain ? lane.refusals + 1 : 0
    if (!isAgain) {
      lane.most = Math.ceil(rows.length / 2)
      fixed?.write(undefined)
    }
    const dueAt = passes ? now + retryDelayMs(retries, lane.refusals + (isAgain ? 0 : 1), this.#ports.random, error) : now
    // With order the first holds those after it.
    for (const { seq, attempts } of ordered ? rows.slice(0, 1) : rows) this.#tables.tried(lane.id, seq, attempts, dueAt)
  }

  /** C2. What the receipt names is checked: it comes from elsewhere. */
  #book(lane: Lane, route: Route, rows: readonly Loaded[], { skipped }: Parcel, { failed = [], open = [], handled = [] }: Receipt): void {
    const now = this.#ports.clock.now()
    const failures = new Map<number, ErrorRecord>(failed)
    const waits = new Set(open)
    const done = rows.filter((_, i) => !failures.has(i) && !waits.has(i))
    lane.careful = failures.size > 0 || (lane.careful && done.length === 0)
    if (done.length > 0) {
      lane.refusals = 0
      lane.most = lane.most >= this.#limits.batchEvents ? Infinity : lane.most * 2
    }
    if (skipped.length > 0) {
      const told = skipped.map(([seq]) => seq)
      this.#tables.told(lane.id, told)
      for (const seq of handled) if (told.includes(seq)) this.#tables.discard(lane.id, seq, now)
    }
    // Without their payloads.
    for (const { seq, id, type } of done) lane.handled.push({ seq, id, type })
    if (done.length < rows.length || !this.#putsOff(lane, route)) this.#takeOff(lane)
    // It has ended: what comes next is another.
    if (waits.size === 0 && failures.size === 0) route.fixed?.write(undefined)
    for (const [index, error] of failures) if (rows[index]) this.#failed(lane, route, rows[index], error, now)
    // Without having failed. With order the first holds those after it; behind one that failed, none is held by this.
    if (failures.size > 0 && route.ordered) return
    for (const index of route.ordered ? open.slice(0, 1) : open) {
      const row = rows[index]
      if (row) this.#tables.tried(lane.id, row.seq, row.attempts, now + openDelayMs)
    }
  }

  /** C7 */
  #putsOff({ handled }: Lane, { ordered, knows }: Route): boolean {
    if (!this.#ports.timer || !ordered || !knows || handled.length >= mostHandled) return false
    if (this.#isTimed) return true
    this.#isTimed = true
    this.#ports.timer(handledWaitsMs, () => {
      this.#isTimed = false
      this.#ports.wake?.()
    })
    return true
  }

  #takeOff(lane: Lane): void {
    lane.isRevived = false
    const { id: handler, handled } = lane
    if (handled.length === 0) return
    this.#tables.deliveredAll(
      handler,
      handled.map(({ seq }) => seq),
      this.#ports.clock.now(),
    )
    lane.handled = []
    for (const { id, type } of handled) this.#ports.observe?.({ type: 'event.delivered', eventId: id, eventType: type, handler })
  }

  #failed(lane: Lane, { retries }: Route, row: Loaded, error: ErrorRecord, now: number): void {
    // Tried it is: its receiver has a run of it, which is held.
    if (isHeld(error)) return this.#tables.tried(lane.id, row.seq, Math.max(1, row.attempts), now + heldDelayMs)
    const attempts = row.attempts + 1
    if (isRetryable(fromErrorRecord(error)) && attempts <= retries.limit)
      return this.#tables.tried(lane.id, row.seq, attempts, now + retryDelayMs(retries, attempts, this.#ports.random, error))
    this.#die(lane.id, row, attempts, error)
  }

  #die(lane: string, { seq, id, type }: Pick<Loaded, 'seq' | 'id' | 'type'>, attempts: number, thrown: unknown): void {
    const error = storableError(thrown)
    this.#tables.bury(lane, seq, attempts, error, this.#ports.clock.now())
    this.#ports.observe?.({ type: 'event.dead', eventId: id, eventType: type, handler: lane, error })
  }

  /** C5, a batch of it. What is under way ends first. */
  #empty(lane: Lane): void {
    if (lane.underWay.size > 0) return
    const error = this.#ports.ended(lane.id)
    for (const seq of this.#tables.seqsFor(lane.id, this.#limits.batch)) this.#die(lane.id, { seq, ...this.#tables.head(seq) }, 0, error)
  }
}

const none: ReadonlySet<number> = new Set()

function passed(lane: Lane): ReadonlySet<number> {
  const seqs = new Set<number>()
  for (const under of lane.underWay) for (const seq of under.seqs) seqs.add(seq)
  return seqs
}

function rowOf({ seq, id, type, payload, key, source, sent_at, revived }: Loaded): EventRow {
  return [seq, id, type, payload, key, source, sent_at, revived]
}

function unanswered(lane: string): DotdoError {
  return new DotdoError(
    'DELIVERY_UNANSWERED',
    `No answer came to a batch of ${lane} within ${patienceMs / 1000} seconds. It is sent again; what its receiver has handled by then is not handled twice.`,
    { data: { lane, patienceMs }, retryable: true },
  )
}
