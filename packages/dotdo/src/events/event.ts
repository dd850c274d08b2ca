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
