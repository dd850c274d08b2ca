import type { RpcTransport } from 'capnweb'
import type { ConnectionStatus, StatusDetail } from './options.ts'

/** What carries the messages of one session, and what a connection asks of it. */
export interface ClientTransport extends RpcTransport {
  send(message: string): void
  abort(reason: unknown): void
  /** Whether messages leave at once; before that they wait. */
  readonly isOpen: boolean
  /** When messages began to leave: epoch milliseconds, `Infinity` before. */
  readonly openedAt: number
  /** Once it is broken: whether calls without an answer may be sent again elsewhere. Not when the server refused them, and not when nobody is there. */
  readonly mayResend: boolean
  /** When something came last, or it was opened: epoch milliseconds. */
  readonly heardAt: number
  /** Ends it as a connection that was lost. */
  lose(reason: string): void
  /** Characters that wait to be sent. */
  readonly waitingChars: number
  /** Whether it has come to its end, and nothing is lost by it: that of a batch is the end of its turn. */
  readonly isOver?: boolean
  /** The turn has ended. `true` where the next turn needs a session of its own, as one does that goes by a batch. */
  endOfTurn?(): boolean
}

/** What a connection is told: `connecting`, `open`, and `lost` where it could not be opened and is tried again after `retryMs`. */
export type Tell = (status: ConnectionStatus, detail?: StatusDetail) => void
