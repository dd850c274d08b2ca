/**
 * A WebSocket as the carrier of a capnweb session. capnweb has one of its own; this one tells a connection that broke, or never opened, as
 * `LINK_LOST`, which says by `retryable` that the caller may try again.
 *
 * Owns the socket, and the messages that wait in either direction. Invariants: (1) messages leave and are handed over in the order they came;
 * (2) after the first failure nothing is sent, and every `receive` rejects with that failure.
 */
import type { RpcTransport } from 'capnweb'
import { linkLost } from '../rpc/errors.ts'

/** One WebSocket, opened elsewhere, as the transport of a session. */
export class SocketTransport implements RpcTransport {
  #socket: WebSocket
  /** What was said before the socket opened; `undefined` from then on. */
  #waiting: string[] | undefined = []
  #received: string[] = []
  #reader: PromiseWithResolvers<string> | undefined
  #failure: unknown

  /** @param socket a new one: its messages are taken from now on */
  constructor(socket: WebSocket) {
    this.#socket = socket
    socket.addEventListener('open', () => {
      for (const message of this.#waiting ?? []) socket.send(message)
      this.#waiting = undefined
    })
    socket.addEventListener('message', ({ data }) => {
      if (typeof data === 'string') this.#take(data)
      else this.#fail(linkLost('the server sent bytes, which are none of this protocol'))
    })
    socket.addEventListener('close', ({ code, reason }) => this.#fail(linkLost(reason || `the connection was closed (${code})`)))
    socket.addEventListener('error', () =>
      this.#fail(linkLost(`the connection to ${new URL(socket.url).host} ${this.#waiting ? 'could not be opened' : 'broke'}`)),
    )
  }

  /** Called by the session. */
  send(message: string): void {
    if (this.#failure !== undefined) return
    if (this.#waiting) this.#waiting.push(message)
    else this.#socket.send(message)
  }

  /** Called by the session, one at a time. */
  receive(): Promise<string> {
    const message = this.#received.shift()
    if (message !== undefined) return Promise.resolve(message)
    if (this.#failure !== undefined) return Promise.reject(this.#failure as Error)
    this.#reader = Promise.withResolvers()
    return this.#reader.promise
  }

  /** Called by the session when it ends: on an error of either side, and when nobody holds it any more. */
  abort(reason: unknown): void {
    this.#fail(reason)
    // Closing before it is open makes a browser complain in its console; the socket is closed as soon as it stands.
    if (this.#socket.readyState === this.#socket.CONNECTING) this.#socket.addEventListener('open', () => this.#socket.close())
    else this.#socket.close()
  }

  #take(message: string): void {
    if (!this.#reader) {
      this.#received.push(message)
      return
    }
    this.#reader.resolve(message)
    this.#reader = undefined
  }

  #fail(reason: unknown): void {
    this.#failure ??= reason
    this.#reader?.reject(this.#failure)
    this.#reader = undefined
  }
}
