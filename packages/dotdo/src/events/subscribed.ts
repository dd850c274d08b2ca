/**
 * What this object wants of others: its subscriptions to their events, and the handlers that it has declared for them.
 *
 * Owns the table `dotdo_subscribed`. Invariants:
 * W1. What is wanted is stored in the turn that says so, and asked for until the source has confirmed it: a crash in between loses nothing.
 * W2. A subscription that `init()` declares is the same one at every start, found by source and handler. Declared as it was, nothing is sent;
 *     declared otherwise, it is asked for again under its id; not declared any more, it ends. One that was confirmed longer than ten minutes ago is
 *     asked for again at a start: its source may have suspended it while this object could not be reached.
 * W3. A subscription ends here when its source knows that it has ended, or has not been reached for a week.
 */
import { decodeValue, encodeValue } from '../base/codec.ts'
import { dayMs } from '../base/durations.ts'
import { codeOf, DotdoError, isRetryable, type ErrorRecord } from '../base/errors.ts'
import { newId } from '../base/ids.ts'
import type { Clock, Random, SqlValue } from '../base/ports.ts'
import type { SubscribedView } from '../base/views.ts'
import { batchVersion, printTarget, type EventBatch, type SubscriptionRequest, type SubscriptionTarget } from './batch.ts'
import { storableError } from './error-record.ts'
import { assertOptions, Handlers, type DeclaredHandler, type EventHandler, type HandlerOptions } from './handlers.ts'
import { patienceMs, type OutboxLimits } from './limits.ts'
import { longestDelayMs, retryDelayMs, toRetryPolicy, type RetryPolicy } from './retry.ts'
import { invalidSubscription, subscriptionUnknown } from './subscriptions.ts'
import type { SubscriptionStore } from './subscription-tables.ts'

/** An object whose events are wanted. */
export interface EventSource {
  readonly noun: string
  readonly name: string
}

/** What subscribing needs of its surroundings. */
export interface SubscribedPorts {
  readonly clock: Clock
  readonly random: Random
  /** Asks a source, and resolves when it has stored the answer. */
  ask(source: EventSource, request: SubscriptionRequest): PromiseLike<unknown>
  /** Tells a source that a subscription is over. */
  end(source: EventSource, id: string): PromiseLike<unknown>
  /** A subscription has ended: its receiver's memory of what was handled can go. */
  ended(id: string): void
  /** Is told that `nextWakeMs()` may have become sooner. */
  wake?(): void
}

/** What `this.Orders('eu').on.Order.paid(…)` gives. */
export interface SubscriptionHandle {
  /** `sub_` and 26 characters: by which both ends list it. */
  readonly id: string
  /** Ends it. Events that have not been delivered by then are not delivered any more. A second call does nothing. */
  unsubscribe(): void
}

type Row = {
  id: string
  noun: string
  name: string
  handler: string
  request: string
  declared: number
  state: 'asking' | 'active' | 'refused' | 'ending'
  failures: number
  due_at: number
  error: string | null
  created_at: number
  ending_at: number | null
}

const asking: RetryPolicy = { limit: 0, delayMs: 500, backoff: 'exponential' }
/** How long an answer of a source holds. `due_at` of an active subscription is when it came. */
const confirmMs = 10 * 60_000
const giveUpEndingMs = 7 * dayMs
/** How many sources are asked at once. */
const atOnce = 16

/** The subscriptions that one object holds; see the head of this file for what it owns. */
export class Subscribed {
  readonly #tables: SubscriptionStore
  readonly #ports: SubscribedPorts
  readonly #limits: OutboxLimits
  /** Handlers of other objects' events, by source: their ids are unique within one. */
  readonly #handlers = new Map<string, Handlers>()
  /** Ids that `init()` has declared in this incarnation, until it has run. */
  #declared: Set<string> | undefined = new Set()
  /** Nothing is asked for or ended, by the last look. It is asked after each turn, and most objects have nothing to ask; every write here forgets it. */
  #noneWaits = false
  /** Since when a source has been asked. One that does not answer in a minute is asked again: what it does twice is done once. */
  readonly #underWay = new Map<string, number>()
  /** Rows by id, as they were read: a row is asked for with every batch, and seldom changes. */
  readonly #rows = new Map<string, Row>()
  /** A transaction that is undone takes its changes back: until the code that runs now has run, no row is remembered. */
  #isChanging = false

  constructor(tables: SubscriptionStore, limits: OutboxLimits, ports: SubscribedPorts) {
    this.#tables = tables
    this.#limits = limits
    this.#ports = ports
  }

  /** Says that `init()` has run: what it has not declared again ends (W2). */
  settle(): void {
    const declared = this.#declared
    this.#declared = undefined
    if (!declared) return
    const rows = this.#tables.read<{ id: string }>("SELECT id FROM dotdo_subscribed WHERE declared = 1 AND state <> 'ending'")
    for (const { id } of rows) if (!declared.has(id)) this.#end(id)
  }

  /**
   * Subscribes a handler that this object declares, now and at every start: only `init()` can.
   *
   * @param self this object
   * @throws `SUBSCRIPTION_NOT_DURABLE` outside of `init()`; `INVALID_EVENT_TYPE`, `INVALID_HANDLER`, `HANDLER_ID_TAKEN`, `INVALID_RETRIES`,
   *   `TOO_MANY_SUBSCRIPTIONS`
   */
  declare(source: EventSource, pattern: string, self: EventSource, fn: EventHandler, options: HandlerOptions = {}): SubscriptionHandle {
    if (typeof fn !== 'function') {
      throw new DotdoError(
        'INVALID_HANDLER',
        `What gets ${pattern} of ${sourceKey(source)} is a function or a method, not ${fn === null ? 'null' : `a value of type ${typeof fn}`}. A sink is declared by the object that sends.`,
        { data: { pattern } },
      )
    }
    if (!this.#declared) throw notDurable(pattern)
    const key = sourceKey(source)
    let handlers = this.#handlers.get(key)
    if (!handlers) this.#handlers.set(key, (handlers = new Handlers()))
    const handle = handlers.declare(pattern, fn, options)
    const { ordered, retries } = handlers.get(handle.id)!
    const subscribed = this.#want(source, { noun: self.noun, name: self.name, handler: handle.id }, { pattern, ordered, retries }, true)
    return {
      id: subscribed.id,
      unsubscribe: () => {
        handle.unsubscribe()
        subscribed.unsubscribe()
      },
    }
  }

  /**
   * Subscribes a method, of this object or of another: by its name, so it holds until it is ended.
   * @throws `INVALID_EVENT_TYPE`, `INVALID_RETRIES`, `TOO_MANY_SUBSCRIPTIONS`
   */
  bind(source: EventSource, pattern: string, target: SubscriptionTarget, options: HandlerOptions = {}): SubscriptionHandle {
    assertOptions(pattern, options)
    const retries = toRetryPolicy(options.retries)
    if (options.id !== undefined) throw invalidSubscription('a method has its name for an id')
    return this.#want(source, target, { pattern, ordered: options.ordered ?? true, retries }, this.#declared !== undefined)
  }

  /**
   * The handler of a batch, where it is one that this incarnation has declared.
   * @param from the object that sends it
   * @returns `undefined` where this object has no such subscription; `null` where it is ending
   * @throws `HANDLER_GONE` (retryable) where its handler is not declared; `INVALID_SUBSCRIPTION` where it has the subscription of another
   */
  handlerOf({ subscription, to }: EventBatch, from: string | undefined): DeclaredHandler | null | undefined {
    const row = this.#row(subscription)
    if (!row) return undefined
    // To answer that there is none would end it at the sender, and what waits there would be lost without a word.
    if (sourceKey(row) !== from) throw otherSource(row, from)
    if (row.state === 'ending') return null
    const handler = this.#handlers.get(sourceKey(row))?.get(to.handler ?? '')
    if (handler) return handler
    throw new DotdoError(
      'HANDLER_GONE',
      `The handler '${to.handler}' of events of ${row.noun}/${row.name} is not declared. Declare it in init(): this.${row.noun}(${JSON.stringify(row.name)}).on.Noun.verb(fn).`,
      { data: { handler: to.handler }, retryable: true },
    )
  }

  /** A handler by its source and id: what takes up a run that a crash interrupted. */
  handlerById(subscription: string): DeclaredHandler | undefined {
    const row = this.#row(subscription)
    return row && this.#handlers.get(sourceKey(row))?.get((decodeValue(row.request) as SubscriptionRequest).to.handler ?? '')
  }

  /** Whether this object has asked for a subscription, from this source. */
  has(id: string, from: string | undefined): boolean {
    const row = this.#row(id)
    return row !== undefined && sourceKey(row) === from
  }

  /** Ends a subscription. @throws `SUBSCRIPTION_UNKNOWN` */
  unsubscribe(id: string): void {
    if (!this.#row(id)) throw subscriptionUnknown(id)
    this.#end(id)
  }

  /** For people, oldest first. */
  views(): SubscribedView[] {
    return this.#tables.read<Row>('SELECT * FROM dotdo_subscribed ORDER BY created_at, id').map((row) => {
      const { pattern, to } = decodeValue(row.request) as SubscriptionRequest
      return {
        subscriptionId: row.id,
        source: sourceKey(row),
        pattern,
        handler: to.handler ?? printTarget(to),
        state: row.state,
        createdAt: row.created_at,
        ...(row.error !== null && row.state !== 'active' && { error: decodeValue(row.error) as ErrorRecord }),
      }
    })
  }

  /** Asks for, or ends, what is due. Resolves when that is answered. May be called while another call has not resolved. */
  async pump(): Promise<void> {
    if (this.#declared) return
    const now = this.#ports.clock.now()
    for (const id of this.#underWay.keys()) if (!this.#isAsked(id, now)) this.#underWay.delete(id)
    if (this.#noneWaits) return
    const due = this.#tables.read<Row>(
      `SELECT * FROM dotdo_subscribed WHERE state IN ('asking', 'ending') AND due_at <= ? ORDER BY due_at LIMIT (? + 0)`,
      now,
      atOnce,
    )
    await Promise.all(due.map((row) => this.#talk(row)))
  }

  /** When `pump` has something to do next, epoch milliseconds. */
  nextWakeMs(): number | undefined {
    const now = this.#ports.clock.now()
    let soonest = Math.min(Infinity, ...Array.from(this.#underWay.values(), (since) => Math.min(since, now) + patienceMs))
    const waiting = this.#waiting(this.#underWay.size + 1)
    const next = waiting.find(({ id }) => !this.#isAsked(id, now))
    if (next) soonest = Math.min(soonest, next.due_at, now + longestDelayMs)
    return soonest === Infinity ? undefined : soonest
  }

  /** What is asked for or ended, the soonest first. */
  #waiting(most: number): { id: string; due_at: number }[] {
    if (this.#noneWaits) return []
    const rows = this.#tables.read<{ id: string; due_at: number }>(
      `SELECT id, due_at FROM dotdo_subscribed WHERE state IN ('asking', 'ending') ORDER BY due_at LIMIT (? + 0)`,
      most,
    )
    this.#noneWaits = rows.length === 0
    return rows
  }

  #write(statement: string, ...parameters: SqlValue[]): void {
    this.#noneWaits = false
    this.#rows.clear()
    this.#tables.write(statement, ...parameters)
    if (this.#isChanging) return
    this.#isChanging = true
    void Promise.resolve().then(() => (this.#isChanging = false))
  }

  #isAsked(id: string, now: number): boolean {
    const since = this.#underWay.get(id)
    return since !== undefined && Math.abs(now - since) < patienceMs
  }

  #row(id: string): Row | undefined {
    const known = this.#rows.get(id)
    if (known) return known
    const row = this.#tables.read<Row>('SELECT * FROM dotdo_subscribed WHERE id = ?', id)[0]
    if (row && !this.#isChanging) this.#rows.set(id, row)
    return row
  }

  #want(
    source: EventSource,
    to: SubscriptionTarget,
    how: Pick<SubscriptionRequest, 'pattern' | 'ordered' | 'retries'>,
    declared: boolean,
  ): SubscriptionHandle {
    const handler = to.handler ?? `${how.pattern} > ${printTarget(to)}`
    const before = this.#tables.read<Row>(
      'SELECT * FROM dotdo_subscribed WHERE noun = ? AND name = ? AND handler = ?',
      source.noun,
      source.name,
      handler,
    )[0]
    const now = this.#ports.clock.now()
    // One that is ending is over at its source, or will be: an id is never used for another one.
    if (before?.state === 'ending') this.#write('UPDATE dotdo_subscribed SET handler = id WHERE id = ?', before.id)
    const known = before?.state === 'ending' ? undefined : before
    const id = known?.id ?? newId('sub', this.#ports.clock, this.#ports.random)
    const request = encodeValue({ version: batchVersion, id, to, ...how } satisfies SubscriptionRequest)
    if (!known) this.#makeRoom()
    const isOld = known?.state === 'active' && Math.abs(now - known.due_at) > confirmMs
    if (!known || known.request !== request || known.state === 'refused' || isOld) {
      this.#write(
        `INSERT INTO dotdo_subscribed (id, noun, name, handler, request, declared, state, due_at, created_at) VALUES (?, ?, ?, ?, ?, ?, 'asking', ?, ?)
         ON CONFLICT (id) DO UPDATE SET request = excluded.request, state = 'asking', failures = 0, due_at = excluded.due_at, error = NULL`,
        id,
        source.noun,
        source.name,
        handler,
        request,
        declared ? 1 : 0,
        now,
        now,
      )
      this.#ports.wake?.()
    }
    this.#declared?.add(id)
    return { id, unsubscribe: () => this.#end(id) }
  }

  #makeRoom(): void {
    const count = Number(this.#tables.read('SELECT count(*) AS n FROM dotdo_subscribed')[0]?.['n'] ?? 0)
    if (count < this.#limits.subscriptions) return
    throw new DotdoError(
      'TOO_MANY_SUBSCRIPTIONS',
      `An object holds at most ${this.#limits.subscriptions} subscriptions to the events of others. Unsubscribe what is not needed, or let several objects share them.`,
      { data: { limit: this.#limits.subscriptions } },
    )
  }

  #end(id: string): void {
    const now = this.#ports.clock.now()
    this.#write(
      `UPDATE dotdo_subscribed SET state = 'ending', failures = 0, due_at = ?, ending_at = ?, error = NULL WHERE id = ? AND state <> 'ending'`,
      now,
      now,
      id,
    )
    this.#ports.wake?.()
  }

  async #talk(row: Row): Promise<void> {
    const { id, state, request } = row
    const since = this.#ports.clock.now()
    if (this.#isAsked(id, since)) return
    this.#underWay.set(id, since)
    const isSame = (): boolean => {
      const now = this.#row(id)
      return now?.state === state && now.request === request
    }
    try {
      const answer = state === 'asking' ? this.#ports.ask(row, decodeValue(request) as SubscriptionRequest) : this.#ports.end(row, id)
      await answer
      if (!isSame()) return
      if (state === 'asking') this.#confirmed(id)
      else this.#forget(id)
    } catch (thrown) {
      if (isSame()) this.#failed(row, thrown)
    } finally {
      if (this.#underWay.get(id) === since) this.#underWay.delete(id)
      this.#ports.wake?.()
    }
  }

  #confirmed(id: string): void {
    this.#write(
      "UPDATE dotdo_subscribed SET state = 'active', failures = 0, due_at = ?, error = NULL WHERE id = ?",
      this.#ports.clock.now(),
      id,
    )
  }

  #failed({ id, state, failures, ending_at }: Row, thrown: unknown): void {
    const now = this.#ports.clock.now()
    if (state === 'ending' && (!isRetryable(thrown) || now - (ending_at ?? now) > giveUpEndingMs)) return this.#forget(id)
    // A Worker of another release may be the one that is being deployed.
    const isRefused = state === 'asking' && !isRetryable(thrown) && codeOf(thrown) !== 'LINK_VERSION'
    this.#write(
      'UPDATE dotdo_subscribed SET state = ?, failures = failures + 1, due_at = ?, error = ? WHERE id = ?',
      isRefused ? 'refused' : state,
      now + retryDelayMs(asking, Math.min(failures + 1, 30), this.#ports.random),
      encodeValue(storableError(thrown)),
      id,
    )
  }

  #forget(id: string): void {
    this.#write('DELETE FROM dotdo_subscribed WHERE id = ?', id)
    this.#ports.ended(id)
  }
}

function otherSource(row: Row, from: string | undefined): DotdoError {
  const sender = from ?? 'nobody'
  const noun = sender.split('/')[0]!
  return invalidSubscription(
    `its events are those of ${sourceKey(row)}, and ${sender} sends them. Where the class ${noun} was renamed to ${row.noun}, say so in this Worker: serve({ renamed: { ${noun}: '${row.noun}' } })`,
  )
}

const sourceKey = ({ noun, name }: EventSource): string => `${noun}/${name}`

function notDurable(pattern: string): DotdoError {
  return new DotdoError(
    'SUBSCRIPTION_NOT_DURABLE',
    `A function was subscribed to ${pattern} of another object outside of init(): it would be gone after a restart, and the subscription would not. Subscribe it in init(), or give a method: this.Orders('eu').on.Order.paid(this.paid).`,
    { data: { pattern } },
  )
}
