/**
 * One HTTP POST as the carrier of a capnweb session: what a turn has to say, and the answers to it. capnweb has a transport of its own; this one
 * can be told when to leave, and tells a failure as `LINK_LOST`.
 *
 * Owns the messages of one turn. Invariants: (1) what is said before it leaves goes in one request, in its order; (2) what is said later
 * (releases) goes nowhere: the server's end of the session is over by then.
 */
import { linkLost } from '../rpc/errors.ts'
import { reasonOf, type ClientPorts } from './ports.ts'
import type { ClientTransport, Tell } from './transport.ts'

/** The batch of one turn. */
export class BatchTransport implements ClientTransport {
  /** It leaves with its turn, unless it repeats calls. */
  isOpen: boolean
  openedAt = Infinity
  /** An HTTP request tells by itself that it is lost. */
  heardAt = Infinity
  mayResend = true
  waitingChars = 0
  /** Every answer of its turn has been read: this is its end, and nothing is lost. */
  isOver = false
  #address: string
  #ports: ClientPorts
  #tell: Tell
  #waiting: string[] = []
  #answer = Promise.withResolvers<string[]>()
  /** Runs until the batch leaves: a batch that repeats calls waits longer than its turn. */
  #cancel: (() => void) | undefined
  #hasLeft = false
  #isLost = false

  constructor(address: string, ports: ClientPorts, tell: Tell, delayMs: number) {
    this.#address = address
    this.#ports = ports
    this.#tell = tell
    this.isOpen = delayMs === 0
    // Read when the session asks for it, which it may never do.
    this.#answer.promise.catch(() => {})
    if (delayMs > 0) this.#cancel = ports.timer(delayMs, () => void this.#leave())
  }

  send(message: string): void {
    if (this.#hasLeft) return
    this.#waiting.push(message)
    this.waitingChars += message.length
  }

  async receive(): Promise<string> {
    const messages = await this.#answer.promise
    const message = messages.shift()
    if (message !== undefined) return message
    // Whatever has no answer by now gets none.
    this.mayResend = false
    this.isOver = true
    throw linkLost('a batch ends with its turn')
  }

  abort(reason: unknown): void {
    this.#cancel?.()
    // What the session itself gave up is not to be sent again.
    if (!this.#isLost) this.mayResend = false
    this.#answer.reject(reason)
  }

  endOfTurn(): boolean {
    if (!this.#cancel && !this.#hasLeft) void this.#leave()
    return this.#hasLeft
  }

  async #leave(): Promise<void> {
    this.#cancel = undefined
    this.#hasLeft = true
    this.openedAt = this.#ports.now()
    this.#tell('connecting')
    try {
      const { status, body } = await this.#ports.post(this.#address, this.#waiting.join('\n'))
      if (status !== 200) {
        // A request that is at fault itself would fare no better again.
        this.mayResend = status >= 500
        throw new Error(`the server answered ${status}`)
      }
      this.#tell('open')
      this.#answer.resolve(body === '' ? [] : body.split('\n'))
    } catch (error) {
      this.lose(reasonOf(error))
    }
  }

  lose(reason: string): void {
    this.#isLost = true
    this.#answer.reject(linkLost(reason))
  }
}
