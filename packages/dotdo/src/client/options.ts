/** What a connection can be told, and what holds where nothing is said. */

import type { AnyStub } from './connection.ts'

/** Where a connection stands. `lost`: it broke; it is opened again by itself where `retryMs` says when, and else by the next call. `closed`: for good. */
export type ConnectionStatus = 'connecting' | 'open' | 'lost' | 'closed'

/** More about a status. */
export interface StatusDetail {
  /** Why it was lost. */
  reason?: string
  /** How long until it is tried again. */
  retryMs?: number
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

/** The same with nothing left open. */
export interface ConnectionOptions {
  /** What a session begins with: takes from the app's door what all calls are made on. */
  enter: (door: AnyStub) => AnyStub
  onStatus: ConnectOptions['onStatus'] | undefined
  offline: { maxCalls: number; maxBytes: number }
  giveUpMs: number
  transport: 'socket' | 'batch'
}

/** Fills in what was not said. */
export function withDefaults(
  { onStatus, offline, giveUpMs, transport }: Omit<ConnectOptions, 'token'>,
  enter: ConnectionOptions['enter'],
): ConnectionOptions {
  return {
    enter,
    onStatus,
    offline: { maxCalls: offline?.maxCalls ?? 1000, maxBytes: offline?.maxBytes ?? 8 * 1024 * 1024 },
    giveUpMs: giveUpMs ?? 30_000,
    transport: transport ?? 'socket',
  }
}
