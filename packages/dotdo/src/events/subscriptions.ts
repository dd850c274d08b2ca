/**
 * Who, elsewhere, gets the events of this object: the sender's end of subscriptions.
 *
 * Owns the table `dotdo_subscriptions`. Invariants:
 * S1. A subscription has one id for ever, chosen by whoever asked for it, who alone may change it.
 * S2. A lane of the outbox belongs to each: its id behind `>`, which no handler's id begins with.
 * S3. One whose receiver cannot be reached, or refuses, is tried again ever more rarely, and is suspended in the end: its state says so, what waits
 *     stays, and nothing of it is dropped without being counted. Whoever subscribed can take it up again by subscribing again.
 */
import { decodeValue, encodeValue } from '../base/codec.ts'
import { DotdoError, type ErrorRecord } from '../base/errors.ts'
import type { Clock, Random } from '../base/ports.ts'
import type { LiveEventBody, SubscriptionView } from '../base/views.ts'
import { assertBatchVersion, printTarget, type SubscriptionRequest, type SubscriptionTarget } from './batch.ts'
import { storableError } from './error-record.ts'
import type { OutboxLimits } from './limits.ts'
import { assertPattern, matches } from './pattern.ts'
import { longestDelayMs, retryDelayMs, toRetryPolicy, type RetryPolicy } from './retry.ts'
import type { SubscriptionStore } from './subscription-tables.ts'

/** One subscription, as deliveries need it. */
export interface Subscription {
  readonly id: string
  readonly pattern: string
  readonly target: SubscriptionTarget
  readonly ordered: boolean
  readonly retries: RetryPolicy
  readonly suspended: boolean
  /** Batches in a row that did not get through, and when the next may be sent. */
  readonly failures: number
  readonly dueAt: number
}

/** How the wait after a batch that did not get through grows: a second, doubled each time, up to an hour. */
const unreachable: RetryPolicy = { limit: 0, delayMs: 1000, backoff: 'exponential' }

/**
 * What suspends a subscription at once: its authority is gone, and does not come back. Everything else may be a deploy, and is tried again for a day.
 */
const refusals: ReadonlySet<string> = new Set([
  'CAPABILITY_DENIED',
  'CAPABILITY_EXPIRED',
  'CAPABILITY_REVOKED',
  'CAPABILITY_USED_UP',
  'HOLDER_REFUSED',
  'INVALID_SUBSCRIPTION',
  'TOKEN_INVALID',
])

const idForm = /^sub_[0-9a-z]{26}$/

type Row = {
  id: string
  owner: string | null
  pattern: string
  target: string
  ordered: number
  retries: string
  created_at: number
  suspended_at: number | null
  failures: number
  failing_since: number | null
  due_at: number
  error: string | null
  missed: number
}

/** The lane of a subscription. */
export const laneOf = (id: string): string => `>${id}`

/** The subscription of a lane, or `undefined` for a handler's. */
export const subscriptionOf = (lane: string): string | undefined => (lane.startsWith('>') ? lane.slice(1) : undefined)

/** The subscriptions to one object's events; see the head of this file for what it owns. */
export class Subscriptions {
  readonly #tables: SubscriptionStore
  readonly #limits: OutboxLimits
  readonly #ports: { clock: Clock; random: Random; observe?(event: LiveEventBody): void }
  /** What the table says, read once and again after each change: it is asked at every `send`. */
  #known: Map<string, Subscription> | undefined
  #byType = new Map<string, readonly string[]>()

  constructor(
    tables: SubscriptionStore,
    limits: OutboxLimits,
    ports: { clock: Clock; random: Random; observe?(event: LiveEventBody): void },
  ) {
    this.#tables = tables
    this.#limits = limits
    this.#ports = ports
  }

  /**
   * Adds a subscription, or changes and takes up again one that there is. Does nothing where it is the same and well.
   * @param owner who asks, as `Noun/name`; nobody: an operator
   * @throws `INVALID_SUBSCRIPTION`, `INVALID_EVENT_TYPE`, `INVALID_RETRIES`, `TOO_MANY_SUBSCRIPTIONS`, `LINK_VERSION`
   */
  put(request: SubscriptionRequest, owner: string | undefined): void {
    assertBatchVersion(request)
    const { id, pattern, to, ordered, retries } = readRequest(request, owner)
    const before = this.#tables.read<Row>('SELECT * FROM dotdo_subscriptions WHERE id = ?', id)[0]
    if (before && before.owner !== null && before.owner !== (owner ?? null)) throw invalidSubscription('its id belongs to another one')
    if (!before && this.#all().size >= this.#limits.subscriptions) {
      throw new DotdoError(
        'TOO_MANY_SUBSCRIPTIONS',
        `${this.#limits.subscriptions} subscriptions to the events of one object is the most. Let one object take the events and share them out, or unsubscribe what is not needed.`,
        { data: { limit: this.#limits.subscriptions } },
      )
    }
    this.#tables.write(
      `INSERT INTO dotdo_subscriptions (id, owner, pattern, target, ordered, retries, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET pattern = excluded.pattern, target = excluded.target, ordered = excluded.ordered,
       retries = excluded.retries, suspended_at = NULL, failures = 0, failing_since = NULL, due_at = 0, error = NULL`,
      id,
      owner ?? null,
      pattern,
      encodeValue(to),
      ordered ? 1 : 0,
      encodeValue(retries),
      this.#ports.clock.now(),
    )
    this.#changed()
  }

  /** Takes a subscription away. Answers whether it was there. @throws `INVALID_SUBSCRIPTION` where another one owns it */
  remove(id: string, owner: string | undefined, mayEnd: 'owner' | 'anybody' = 'owner'): boolean {
    const row = this.#tables.read<Row>('SELECT owner FROM dotdo_subscriptions WHERE id = ?', id)[0]
    if (!row) return false
    if (mayEnd === 'owner' && row.owner !== (owner ?? null)) throw invalidSubscription('it belongs to another one')
    this.#tables.write('DELETE FROM dotdo_subscriptions WHERE id = ?', id)
    this.#changed()
    return true
  }

  get(id: string): Subscription | undefined {
    return this.#all().get(id)
  }

  /** The lanes that an event of this type goes to. */
  lanesFor(type: string): readonly string[] {
    const known = this.#all()
    if (known.size === 0) return none
    let lanes = this.#byType.get(type)
    if (!lanes) {
      lanes = [...known.values()].filter(({ pattern }) => matches(pattern, type)).map(({ id }) => laneOf(id))
      // Types come from code, but also from `this.send(given, …)`.
      if (this.#byType.size >= typesKept) this.#byType.clear()
      if (!this.#isChanging) this.#byType.set(type, lanes)
    }
    return lanes
  }

  /** A batch got through. */
  reached(id: string): void {
    const { failures = 0 } = this.get(id) ?? {}
    if (failures > 0) this.#set(id, 'failures = 0, failing_since = NULL, due_at = 0, error = NULL')
  }

  /** A batch did not get through. @param waiting how many events wait for the subscription */
  unreached(id: string, thrown: unknown, waiting: number): void {
    const row = this.#tables.read<Row>('SELECT * FROM dotdo_subscriptions WHERE id = ?', id)[0]
    if (!row) return
    const now = this.#ports.clock.now()
    const failures = row.failures + 1
    const since = Math.min(row.failing_since ?? now, now)
    const error = storableError(thrown)
    const dueAt = now + retryDelayMs(unreachable, Math.min(failures, 30), this.#ports.random, thrown)
    this.#set(id, 'failures = ?, failing_since = ?, due_at = ?, error = ?', failures, since, dueAt, encodeValue(error))
    const isOver = now - since >= this.#limits.suspendAfterMs || waiting >= this.#limits.waitingPerSubscription
    if (isOver || refusals.has(error.code ?? '')) this.suspend(id, error)
  }

  suspend(id: string, error: ErrorRecord): void {
    const before = this.get(id)
    if (!before || before.suspended) return
    this.#set(id, 'suspended_at = ?, error = ?', this.#ports.clock.now(), encodeValue(error))
    this.#ports.observe?.({ type: 'subscription.suspended', subscriptionId: id, receiver: printTarget(before.target), error })
  }

  /** An operator takes a suspended subscription up again. @throws `SUBSCRIPTION_UNKNOWN` */
  resume(id: string): void {
    if (!this.get(id)) throw subscriptionUnknown(id)
    this.#set(id, 'suspended_at = NULL, failures = 0, failing_since = NULL, due_at = 0, error = NULL')
  }

  /** An event passed a suspended subscription by, because too many wait for it. */
  missed(id: string): void {
    this.#tables.write('UPDATE dotdo_subscriptions SET missed = missed + 1 WHERE id = ?', id)
  }

  /** Ends, one at a time, what has been suspended for too long. Their lanes then empty themselves into the dead letters. */
  prune(): void {
    const before = this.#ports.clock.now() - this.#limits.keepSuspendedMs
    const over = this.#tables.read<{ id: string }>(
      'SELECT id FROM dotdo_subscriptions WHERE suspended_at <= ? ORDER BY suspended_at',
      before,
    )
    for (const { id } of over) this.remove(id, undefined, 'anybody')
  }

  /** When the first of those that are suspended will end. */
  nextPruneMs(): number | null {
    const first = 'SELECT min(suspended_at) AS at FROM dotdo_subscriptions WHERE suspended_at IS NOT NULL'
    const at = this.#tables.read<{ at: number | null }>(first)[0]?.at ?? null
    return at === null ? null : at + this.#limits.keepSuspendedMs
  }

  /** For people, oldest first. @param counts what waits for a lane, and what died of it */
  views(counts: (lane: string) => { waiting: number; dead: number }): SubscriptionView[] {
    return this.#tables
      .read<Row>('SELECT * FROM dotdo_subscriptions ORDER BY created_at, id')
      .map((row) => ({ ...viewOf(row), ...counts(laneOf(row.id)) }))
  }

  #set(id: string, assignments: string, ...values: (string | number | null)[]): void {
    this.#tables.write(`UPDATE dotdo_subscriptions SET ${assignments} WHERE id = ?`, ...values, id)
    this.#changed()
  }

  /** A transaction that is undone takes its changes back: until the code that runs now has run, nothing is remembered. */
  #changed(): void {
    this.#known = undefined
    this.#byType.clear()
    if (this.#isChanging) return
    this.#isChanging = true
    void Promise.resolve().then(() => (this.#isChanging = false))
  }

  #isChanging = false

  #all(): Map<string, Subscription> {
    if (this.#known) return this.#known
    const rows = this.#tables.read<Row>('SELECT * FROM dotdo_subscriptions ORDER BY created_at, id')
    const known = new Map(rows.map((row) => [row.id, read(row)]))
    if (!this.#isChanging) this.#known = known
    return known
  }
}

const none: readonly string[] = []
const typesKept = 1000

function read(row: Row): Subscription {
  return {
    id: row.id,
    pattern: row.pattern,
    target: decodeValue(row.target) as SubscriptionTarget,
    ordered: row.ordered === 1,
    retries: decodeValue(row.retries) as RetryPolicy,
    suspended: row.suspended_at !== null,
    failures: row.failures,
    dueAt: row.due_at,
  }
}

/** Without the token of its receiver, which is a secret. */
function viewOf(row: Row): Omit<SubscriptionView, 'waiting' | 'dead'> {
  const target = decodeValue(row.target) as SubscriptionTarget
  return {
    subscriptionId: row.id,
    pattern: row.pattern,
    receiver: `${target.noun}/${target.name}`,
    ...(target.handler !== undefined && { handler: target.handler }),
    ...(target.method !== undefined && { method: target.method }),
    ordered: row.ordered === 1,
    state: row.suspended_at !== null ? 'suspended' : row.failures > 0 ? 'failing' : 'active',
    createdAt: row.created_at,
    missed: row.missed,
    failures: row.failures,
    ...(row.owner !== null && { owner: row.owner }),
    ...(row.failing_since !== null && { failingSince: row.failing_since }),
    ...(row.failures > 0 && row.suspended_at === null && { nextAttemptAt: row.due_at }),
    ...(row.suspended_at !== null && { suspendedAt: row.suspended_at }),
    ...(row.error !== null && { error: decodeValue(row.error) as ErrorRecord }),
  }
}

/** What a peer sent, looked at whole: it is stored, and called by for years. */
function readRequest(request: SubscriptionRequest, owner: string | undefined): SubscriptionRequest {
  const { id, pattern, to, ordered, retries } = request
  if (typeof id !== 'string' || !idForm.test(id)) throw invalidSubscription('its id is none')
  assertPattern(pattern)
  const { noun, name, handler, method, token } = to ?? {}
  const isText = (it: unknown, most: number): boolean => typeof it === 'string' && it.length > 0 && it.length <= most
  if (!isText(noun, 256) || !isText(name, 1024)) throw invalidSubscription('it does not say which object gets the events')
  if (isText(handler, 2048) === isText(method, 256)) throw invalidSubscription('it needs a handler or a method')
  if (token !== undefined && !isText(token, 8192)) throw invalidSubscription('its token is none')
  if (handler !== undefined && owner !== `${noun}/${name}`)
    throw invalidSubscription('a handler can only be given by the object that has declared it')
  const target: SubscriptionTarget = {
    noun,
    name,
    ...(handler !== undefined && { handler }),
    ...(method !== undefined && { method }),
    ...(token !== undefined && { token }),
  }
  const { limit, delayMs, backoff } = retries ?? {}
  return { ...request, pattern, to: target, ordered: ordered !== false, retries: toRetryPolicy({ limit, delay: delayMs, backoff }) }
}

/** `INVALID_SUBSCRIPTION` */
export function invalidSubscription(reason: string): DotdoError {
  return new DotdoError(
    'INVALID_SUBSCRIPTION',
    `This subscription is refused: ${reason}. Write this.Orders('eu').on.Order.paid(handler).`,
    {
      data: { reason },
    },
  )
}

/** `SUBSCRIPTION_UNKNOWN` */
export function subscriptionUnknown(id: string): DotdoError {
  return new DotdoError(
    'SUBSCRIPTION_UNKNOWN',
    `There is no subscription ${JSON.stringify(String(id).slice(0, 100))}: it has ended, or the id is not one that subscriptions() lists.`,
    { data: { subscriptionId: String(id).slice(0, 100) } },
  )
}

/** No wait is longer than this; a due time further away was written under another clock. */
export const longestWaitMs = longestDelayMs
