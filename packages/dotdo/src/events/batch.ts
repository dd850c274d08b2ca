/**
 * What travels between the outbox of one object and the inbox of another: plain data, one message a batch.
 *
 * A payload travels in its stored form, so the sender neither reads nor writes it again.
 */
import { decodeValue } from '../base/codec.ts'
import { DotdoError, type ErrorRecord } from '../base/errors.ts'
import type { SentEvent } from './event.ts'
import type { RetryPolicy } from './retry.ts'

/** Version of these shapes. A peer refuses another one with `LINK_VERSION`. */
export const batchVersion = 1

/**
 * Who gets the events of a subscription. `handler`: one that the receiver itself has declared, by its id. `method`: a public method of the
 * receiver, or of what `token` gives, which is asked anew for each batch.
 */
export interface SubscriptionTarget {
  readonly noun: string
  readonly name: string
  readonly handler?: string
  readonly method?: string
  readonly token?: string
}

/** Asks a sender for its events. The same id again changes or resumes the subscription. */
export interface SubscriptionRequest {
  readonly version: typeof batchVersion
  /** `sub_` and 26 characters, chosen by whoever subscribes. Never used for another subscription. */
  readonly id: string
  readonly pattern: string
  readonly to: SubscriptionTarget
  readonly ordered: boolean
  readonly retries: RetryPolicy
}

/** One event on its way: seq, id, type, stored payload, key, source, sentAt, and how often it was revived from the dead letters. */
export type EventRow = readonly [
  seq: number,
  id: string,
  type: string,
  payload: string,
  key: string | null,
  source: string,
  sentAt: number,
  revived: number,
]

/** Events of one subscription, in the order of sending. */
export interface EventBatch {
  readonly version: typeof batchVersion
  readonly subscription: string
  readonly to: SubscriptionTarget
  readonly ordered: boolean
  /** Without order: every event of the subscription below this seq has ended, or stands in `skipped` of this batch or an earlier one. */
  readonly floor: number
  /** The batch before did not come back: what it may have begun is counted before it is begun again. */
  readonly again?: true
  /** An event of it has failed before, so a run of it may be there. */
  readonly tried?: true
  /** Dead letters that the receiver has not been told of: `[seq, revived]`. Later events pass them by. */
  readonly skipped?: readonly (readonly [seq: number, revived: number])[]
  readonly events: readonly EventRow[]
}

/** What became of a batch. Every event that is named nowhere in it has been handled, now or before. */
export interface Receipt {
  /** Those whose handler failed, by index. */
  readonly failed?: readonly (readonly [index: number, error: ErrorRecord])[]
  /** Those that were not tried, or whose handler is still at work: to be sent again soon, which is no attempt. */
  readonly open?: readonly number[]
  /** Of the skipped, the seqs of those that had been handled after all. */
  readonly handled?: readonly number[]
  /** The receiver knows of no such subscription: it has ended, without a word, because its state is gone. */
  readonly gone?: true
}

/** The event of a row, as its handler sees it. Throws `STATE_TOO_NEW` for a payload that a later release wrote. */
export function eventOf([, id, type, payload, key, source, sentAt]: EventRow): SentEvent {
  return { id, type, payload: decodeValue(payload), sentAt, source, ...(key !== null && { key }) }
}

/** @throws `LINK_VERSION` for what another release of dotdo has sent */
export function assertBatchVersion(message: { version?: unknown } | null | undefined): void {
  if (message?.version === batchVersion) return
  throw new DotdoError(
    'LINK_VERSION',
    `This object speaks version ${batchVersion} of events, the sender ${String(message?.version)}. Deploy both Workers with the same release of dotdo.`,
    { data: { version: message?.version } },
  )
}

/** A receiver as people write it: `Billing/main paid`. */
export function printTarget({ noun, name, handler, method }: SubscriptionTarget): string {
  return `${noun}/${name} ${handler ?? `.${method}`}`
}
