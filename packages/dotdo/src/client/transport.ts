import type { RpcTransport } from 'capnweb'
import { linkLost } from '../rpc/errors.ts'
import type { ConnectionStatus, StatusDetail } from './options.ts'
import type { ClientPorts } from './ports.ts'

/**
 * What carries the messages of one session, and what a connection asks of it. capnweb has transports of its own; these let a session wait for its
 * connection, and tell one that broke as `LINK_LOST`.
 *
 * Owns the messages that wait in either direction. Invariants: (1) messages leave and are handed over in the order they came; (2) after the first failure
 * nothing is sent, and when what came before it was handed over, every `receive` rejects with that failure.
 */
export abstract class ClientTransport implements RpcTransport {
  /** Whether messages leave at once; before that they wait. */
  isOpen = false
  /** When messages began to leave: epoch milliseconds, `Infinity` before. */
  openedAt = Infinity
  /** When something came last, or it was opened: epoch milliseconds. `Infinity` where a loss is told without that. */
  heardAt = Infinity
  /** Once it is broken: whether calls without an answer may be sent again elsewhere. Not when the server refused them, and not when nobody is there. */
  mayResend = true
  /** Characters that wait to be sent. */
  waitingChars = 0
  /** Whether it has come to its end, and nothing is lost by it: that of a batch is the end of its turn. */
  isOver = false
  protected waiting: string[] = []
  protected received: string[] = []
  declare protected failure: unknown
  /** Something has come, or nothing more will. */
  declare protected wake: (() => void) | undefined
  /** Cancels the timer that runs. */
  declare protected cancel: (() => void) | undefined
  declare protected readonly address: string
  declare protected readonly ports: ClientPorts
  declare protected readonly tell: Tell

  constructor(address: string, ports: ClientPorts, tell: Tell) {
    this.address = address
    this.ports = ports
    this.tell = tell
  }

  /** Called by the session. */
  send(message: string): void {
    if (this.failure !== undefined) return
    this.waiting.push(message)
    this.waitingChars += message.length
  }

  /** Called by the session, one at a time. */
  async receive(): Promise<string> {
    for (;;) {
      const message = this.received.shift()
      if (message !== undefined) return message
      if (this.failure !== undefined) throw this.failure
      await new Promise<void>((resolve) => (this.wake = resolve))
    }
  }

  /** Called by the session when it ends: on an error of either side, and when nobody holds it any more. */
  abort(reason: unknown): void {
    // What the session itself gave up is not to be sent again.
    if (this.failure === undefined) this.mayResend = false
    this.cancel?.()
    this.fail(reason)
  }

  /** Ends it as a connection that was lost. */
  lose(reason: string): void {
    this.fail(linkLost(reason))
  }

  protected fail(reason: unknown): void {
    this.failure ??= reason
    this.waiting = []
    this.wake?.()
  }

  /** The turn has ended. `true` where the next turn needs a session of its own, as one does that goes by a batch. */
  endOfTurn(): boolean {
    return false
  }
}

/** What a connection is told: `connecting`, `open`, and `lost` where it could not be opened and is tried again after `retryMs`. */
export type Tell = (status: ConnectionStatus, detail?: StatusDetail) => void
