import { dayMs } from '../base/durations.ts'

/** The bounds of one object's outbox. Each can be overridden by name. */
export interface OutboxLimits {
  /** Largest payload, in bytes of its stored form. Far below the 2 MB that SQLite takes as one value, because 64 of them may be in memory at once. */
  payloadBytes: number
  /**
   * How many deliveries may wait in one object before `send` refuses with `OUTBOX_FULL`. Looked at every 1,024 sends, so that many more may
   * slip in.
   */
  waitingDeliveries: number
  /** How many deliveries are under way at once, over all handlers. */
  atOnce: number
  /** How many of them may belong to one handler that is not ordered. */
  atOnceUnordered: number
  /** How many deliveries one `pump` takes from one lane. */
  batch: number
  /** How long an ended event without a key is kept, for people to look at. */
  keepEventsMs: number
  /** How many of them are kept: the newest. */
  keepEvents: number
  /** How long an ended event with a key is kept: so long does the key hold off a second send. */
  keepKeysMs: number
  /** How long a dead letter is kept, with its event. */
  keepDeadLettersMs: number
  /** How many of them are kept: the newest. */
  keepDeadLetters: number
  /** Events of one batch to another object, or to a sink. */
  batchEvents: number
  /** Characters of the payloads of one batch; one event may have more. */
  batchChars: number
  /** How many batches are under way at once, over all subscriptions and sinks; of one without order, four. */
  batchesAtOnce: number
  /** Without order, how many events may be handled ahead of the oldest that is not. */
  ahead: number
  /** How many subscriptions one object has, and how many it holds elsewhere. */
  subscriptions: number
  /**
   * Events that may wait for one subscription whose receiver does not answer. From then on it is suspended, and what is sent passes it by and is
   * counted.
   */
  waitingPerSubscription: number
  /** How long a receiver may fail to answer before its subscription is suspended. */
  suspendAfterMs: number
  /** How long a suspended subscription is kept. Then it ends, and what waits for it becomes dead letters. */
  keepSuspendedMs: number
}

/** 1 MiB a payload, 100,000 waiting deliveries, 64 at once; events are kept for a day, keys for 7, dead letters for 30. */
export const defaultLimits: OutboxLimits = {
  payloadBytes: 1_048_576,
  waitingDeliveries: 100_000,
  atOnce: 64,
  atOnceUnordered: 16,
  batch: 64,
  keepEventsMs: dayMs,
  keepEvents: 10_000,
  keepKeysMs: 7 * dayMs,
  keepDeadLettersMs: 30 * dayMs,
  keepDeadLetters: 100_000,
  batchEvents: 256,
  batchChars: 1_048_576,
  batchesAtOnce: 16,
  ahead: 4096,
  subscriptions: 1000,
  waitingPerSubscription: 50_000,
  suspendAfterMs: dayMs,
  keepSuspendedMs: 30 * dayMs,
}

/** How long a batch may be without an answer before it counts as lost. Its receiver answers within {@link answerWithinMs}. */
export const patienceMs = 60_000

/** How long a receiver works on a batch before it says how far it is. Handlers that take longer go on, and are waited for by later batches. */
export const answerWithinMs = 20_000

/** How often a receiver may die during one event before that event is refused. */
export const mostBegun = 5

/** How many rows of each kind one `prune` takes away: bounds the time it holds the object. */
export const pruneBatch = 500

/** How often waiting deliveries are counted, in sends. */
export const countEvery = 1024

/** The grid of {@link watchdogAt}, in milliseconds. */
const watchdogMs = 60_000

/**
 * When the object is woken to look after a delivery that is under way: one to two minutes from now. Nothing happens then while it still
 * runs; when the object was lost in the meantime, this is what takes the delivery up again.
 *
 * On a grid of whole minutes, so that an adapter which sets an alarm only when its time has changed sets this one once a minute, and not in every
 * turn.
 */
export function watchdogAt(now: number): number {
  return (Math.ceil(now / watchdogMs) + 1) * watchdogMs
}
