/**
 * A WebSocket as the carrier of a capnweb session: the first that opens, of as many as it takes. capnweb has a transport of its own; this one
 * lets a session wait for its connection, and tells a connection that broke as `LINK_LOST`.
 *
 * Owns the socket, the timer until the next attempt, and the messages that wait in either direction. Invariants: (1) messages leave and are
 * handed over in the order they came; (2) a socket that has been open is the only one: when it breaks, so does the session; (3) after the
 * first failure nothing is sent, every `receive` rejects with that failure, and there is no socket: nothing that one still tells is heard.
 */
import { linkLost } from '../rpc/errors.ts'
import { backoffMs, type ClientPorts } from './ports.ts'
import type { ClientTransport, Tell } from './transport.ts'

/** How long one attempt to open a socket may take, and the longest wait between two. */
const attemptMs = 10_000

/** The socket of one session. */
export class SocketTransport implements ClientTransport {
  isOpen = false
  openedAt = Infinity
  heardAt = Infinity
  mayResend = true
  waitingChars = 0
  #address: string
  #ports: ClientPorts
  #tell: Tell
  #giveUpAt: number
  #attempt = 0
  #socket: WebSocket | undefined
  #cancel: (() => void) | undefined
  #waiting: string[] = []
  #received: string[] = []
  /** Something has come, or nothing more will. */
  #wake: (() => void) | undefined
  #failure: unknown

  /** Begins to dial after `delayMs`, and gives up `giveUpMs` later. */
  constructor(address: string, ports: ClientPorts, tell: Tell, delayMs: number, giveUpMs: number) {
    this.#address = address
    this.#ports = ports
    this.#tell = tell
    this.#giveUpAt = ports.now() + giveUpMs
    if (delayMs > 0) this.#cancel = ports.timer(delayMs, () => this.#dial())
    else this.#dial()
  }

  /** Called by the session. */
  send(message: string): void {
    if (this.#failure !== undefined) return
    if (this.isOpen) this.#socket!.send(message)
    else {
      this.#waiting.push(message)
      this.waitingChars += message.length
    }
  }

  /** Called by the session, one at a time. */
  async receive(): Promise<string> {
    for (;;) {
      const message = this.#received.shift()
      if (message !== undefined) return message
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  /** Called by the session when it ends: on an error of either side, and when nobody holds it any more. */
  abort(reason: unknown): void {
    // What the session itself gave up is not to be sent again.
    if (this.#failure === undefined) this.mayResend = false
    this.#fail(reason)
    this.#cancel?.()
    this.#close()
  }

  #dial(): void {
    this.#tell('connecting')
    const socket = this.#ports.socket(this.#address)
    this.#socket = socket
    this.#cancel = this.#ports.timer(attemptMs, () => broken(`it did not open within ${attemptMs} ms`))
    const broken = (reason: string) => {
      // A socket tells its end twice, by `error` and by `close`.
      if (this.#socket !== socket) return
      this.#cancel?.()
      if (this.isOpen) return this.lose(reason)
      this.#close()
      const retryMs = backoffMs(this.#attempt++, this.#ports.random(), attemptMs)
      if (this.#ports.now() + retryMs > this.#giveUpAt) {
        this.mayResend = false
        return this.lose(`${reason}; attempts: ${this.#attempt}`)
      }
      this.#tell('lost', { reason, retryMs })
      this.#cancel = this.#ports.timer(retryMs, () => this.#dial())
    }
    socket.addEventListener('open', () => {
      if (this.#socket !== socket) return socket.close()
      this.#cancel?.()
      this.isOpen = true
      this.openedAt = this.heardAt = this.#ports.now()
      for (const message of this.#waiting.splice(0)) socket.send(message)
      this.waitingChars = 0
      this.#tell('open')
    })
    socket.addEventListener('message', ({ data }) => {
      if (this.#socket !== socket) return
      this.heardAt = this.#ports.now()
      if (typeof data !== 'string') return broken('the server sent bytes')
      this.#received.push(data)
      this.#wake?.()
    })
    socket.addEventListener('close', ({ code, reason }) => {
      // The server will not take these messages: the same again would fare no better.
      if (/100[23789]/.test(`${code}`)) this.mayResend = false
      broken(reason || `the connection was closed (${code})`)
    })
    socket.addEventListener('error', () =>
      broken(`the connection to ${new URL(this.#address).host} ${this.isOpen ? 'broke' : 'could not be opened'}`),
    )
  }

  lose(reason: string): void {
    this.isOpen = false
    this.#close()
    this.#fail(linkLost(reason))
  }

  #close(): void {
    const socket = this.#socket
    this.#socket = undefined
    // Closing before it is open makes a browser complain in its console; the socket is closed as soon as it stands.
    if (socket && socket.readyState !== 0) socket.close()
  }

  #fail(reason: unknown): void {
    this.#failure ??= reason
    this.#waiting = []
    this.#wake?.()
  }
}
