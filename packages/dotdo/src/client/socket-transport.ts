/**
 * A WebSocket as the carrier of a capnweb session: the first that opens, of as many as it takes.
 *
 * Owns the socket, and the timer until the next attempt. Invariants: (1) a socket that has been open is the only one: when it breaks, so does the
 * session; (2) after the first failure there is no socket: nothing that one still tells is heard.
 */
import { backoffMs, type ClientPorts } from './ports.ts'
import { ClientTransport, type Tell } from './transport.ts'

/** How long one attempt to open a socket may take, and the longest wait between two. */
const attemptMs = 10_000

/** The socket of one session. */
export class SocketTransport extends ClientTransport {
  #giveUpAt: number
  #attempt = 0
  #socket: WebSocket | undefined

  /** Begins to dial after `delayMs`, and gives up `giveUpMs` later. */
  constructor(address: string, ports: ClientPorts, tell: Tell, delayMs: number, giveUpMs: number) {
    super(address, ports, tell)
    this.#giveUpAt = ports.now() + giveUpMs
    if (delayMs > 0) this.cancel = ports.timer(delayMs, () => this.#dial())
    else this.#dial()
  }

  override send(message: string): void {
    if (this.isOpen) this.#socket!.send(message)
    else super.send(message)
  }

  #dial(): void {
    this.tell('connecting')
    const socket = (this.#socket = this.ports.socket(this.address))
    this.cancel = this.ports.timer(attemptMs, () => broken(`no answer in ${attemptMs} ms`))
    const broken = (reason: string) => {
      // A socket tells its end twice, by `error` and by `close`.
      if (this.#socket !== socket) return
      this.cancel?.()
      if (this.isOpen) return this.lose(reason)
      this.#close()
      const retryMs = backoffMs(this.#attempt++, this.ports.random(), attemptMs)
      if (this.ports.now() + retryMs > this.#giveUpAt) {
        this.mayResend = false
        return this.lose(`${reason}; attempts: ${this.#attempt}`)
      }
      this.tell('lost', { reason, retryMs })
      this.cancel = this.ports.timer(retryMs, () => this.#dial())
    }
    socket.addEventListener('open', () => {
      if (this.#socket !== socket) return socket.close()
      this.cancel?.()
      this.isOpen = true
      this.openedAt = this.heardAt = this.ports.now()
      for (const message of this.waiting.splice(0)) socket.send(message)
      this.waitingChars = 0
      this.tell('open')
    })
    socket.addEventListener('message', ({ data }) => {
      if (this.#socket !== socket) return
      this.heardAt = this.ports.now()
      if (typeof data !== 'string') return broken('the server sent bytes')
      this.received.push(data)
      this.wake?.()
    })
    socket.addEventListener('close', ({ code, reason }) => {
      // The server will not take these messages: the same again would fare no better.
      if (/100[23789]/.test(String(code))) this.mayResend = false
      broken(reason || `closed with ${code}`)
    })
    socket.addEventListener('error', () => broken(`no connection to ${this.address}`))
  }

  protected override fail(reason: unknown): void {
    this.isOpen = false
    this.#close()
    super.fail(reason)
  }

  #close(): void {
    const socket = this.#socket
    this.#socket = undefined
    // Closing before it is open makes a browser complain in its console; the socket is closed as soon as it stands.
    if (socket?.readyState) socket.close()
  }
}
