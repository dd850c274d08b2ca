import type { ErrorRecord } from '../base/errors.ts'
import type { ValuePreview } from '../base/views.ts'

/** An event as its handlers see it. Each handler gets a payload of its own: changing it changes nobody else's. */
export interface SentEvent<Payload = unknown> {
  /** `evt_` and 26 characters, given out by `send`. The same on every attempt: a key by which an outside effect can be made once. */
  readonly id: string
  /** `Noun.verb`. */
  readonly type: string
  readonly payload: Payload
  /** When `send` was called, epoch milliseconds. */
  readonly sentAt: number
  /** The sender's own key, where it gave one. */
  readonly key?: string
  /** The object that sent it, such as `Pipeline/main`. */
  readonly source: string
}

/** Options of `send`. */
export interface SendOptions {
  /**
   * Makes the send happen once: while the first event with this key is kept, a second `send` of the same type with it returns the first
   * one's id and sends nothing. 1 to 256 characters.
   */
  key?: string
}

/** One attempt at giving one event to one handler, as the port that carries it out is told. */
export interface Attempt {
  /** `event:<eventId>:<handlerId>`: the same for all attempts and replays, so that finished steps of the handler stay finished. */
  readonly runId: string
  /** 1 for the first. Counts again from 1 after a replay. */
  readonly number: number
}

/** An event that a handler never took: what is known of it, without the whole payload. */
export interface DeadLetter {
  /** `<eventId>:<handlerId>`: what `replay` and `discard` take. */
  id: string
  eventId: string
  eventType: string
  /** The id of the handler. */
  handler: string
  /** How many attempts were made. */
  attempts: number
  /** The last failure. `HANDLER_GONE`: the code no longer declares the handler. `DELIVERY_INTERRUPTED`: the object stopped during each attempt. */
  error: ErrorRecord
  sentAt: number
  diedAt: number
  payload: ValuePreview
}

/** One event in a list of what was sent. */
export interface EventView {
  eventId: string
  eventType: string
  sentAt: number
  source: string
  key?: string
  /** Handlers that have yet to take it. */
  waiting: number
  /** Handlers that never took it: dead letters. */
  dead: number
  /** When the last handler had taken it. Absent while it waits or has dead letters. */
  endedAt?: number
  payload: ValuePreview
}
