/**
 * One HTTP POST as the carrier of a capnweb session: what a turn has to say, and the answers to it. It can be told when to leave.
 *
 * Owns the messages of one turn. Invariants: (1) what is said before it leaves goes in one request, in its order; (2) what is said later
 * (releases) goes nowhere: the server's end of the session is over by then.
 */
import { linkLost } from '../rpc/errors.ts'
import { reasonOf, type ClientPorts } from './ports.ts'
import { ClientTransport, type Tell } from './transport.ts'

/** The batch of one turn. An HTTP request tells by itself that it is lost. */
export class BatchTransport extends ClientTransport {
  #hasLeft = false

  /** Leaves with its turn, or after `delayMs`: a batch that repeats calls waits longer. */
  constructor(address: string, ports: ClientPorts, tell: Tell, delayMs: number) {
    super(address, ports, tell)
    this.isOpen = delayMs === 0
    if (delayMs > 0) this.cancel = ports.timer(delayMs, () => void this.#leave())
  }

  override endOfTurn(): boolean {
    if (!this.cancel && !this.#hasLeft) void this.#leave()
    return this.#hasLeft
  }

  async #leave(): Promise<void> {
    this.cancel = undefined
    this.#hasLeft = true
    this.openedAt = this.ports.now()
    this.tell('connecting')
    try {
      const response = await this.ports.post(this.address, this.waiting.join('\n'))
      const { status } = response
      const body = await response.text()
      // A request that is at fault itself would fare no better again, nor what has no answer in a good one.
      this.mayResend = status >= 500
      if (status !== 200) throw new Error(`the server answered ${status}`)
      this.tell('open')
      this.isOver = true
      if (body) this.received = body.split('\n')
      this.fail(linkLost('a batch ends with its turn'))
    } catch (error) {
      this.lose(reasonOf(error))
    }
  }
}
