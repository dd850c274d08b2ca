/** What a connection can be told, and what holds where nothing is said. */
/** Where a connection stands. `lost`: it broke; it is opened again by itself where `retryMs` says when, and else by the next call. `closed`: for good. */
export type ConnectionStatus = 'connecting' | 'open' | 'lost' | 'closed'

/** More about a status. */
export interface StatusDetail {
  /** Why it was lost. */
  reason?: string
  /** How long until it is tried again. */
  retryMs?: number | undefined
}

/** Options of {@link connect}. */
export interface ConnectOptions {
  /** What the app's `authenticate` takes. */
  token: string
  /** Told when the connection opens and when it is lost. */
  onStatus?: (status: ConnectionStatus, detail: StatusDetail) => void
  /** Told of each call that failed and that nobody had awaited. Without it such failures are silent. */
  onFailure?: (error: unknown) => void
  /**
   * What may wait while there is no connection; one call more fails with `OFFLINE_QUEUE_FULL`. 1,000 calls and 8 Mi characters on the wire
   * unless said otherwise.
   */
  offline?: { maxCalls?: number; maxBytes?: number }
  /** How long a connection is tried for, in milliseconds, before what waits for it fails with `LINK_LOST`. 30 s unless said otherwise. */
  giveUpMs?: number
  /** `socket`: one WebSocket for all calls. `batch`: one HTTP request for the calls of each turn; no callbacks, no streams. */
  transport?: 'socket' | 'batch'
}
