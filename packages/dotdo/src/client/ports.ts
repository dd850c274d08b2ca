/** What a client needs of the web platform: browsers, Workers and Node 22 have all of it. */
import { DotdoError } from '../base/errors.ts'

/** Where a connection gets its sockets, its time and its randomness. A test gives others. */
export interface ClientPorts {
  /** A new socket, on its way to be opened. */
  socket(address: string): WebSocket
  /** Sends a batch and gives its answer. Rejects where there is none. */
  post(address: string, body: string): Promise<Pick<Response, 'status' | 'text'>>
  /** Runs `then` when the code that runs now, and all promises that are ready, have run: where a turn ends. */
  endOfTurn(then: () => void): void
  /** Runs `then` after `delayMs`; the result cancels it. */
  timer(delayMs: number, then: () => void): () => void
  /** Epoch milliseconds. */
  now(): number
  /** A number in [0, 1). */
  random(): number
  /** An unguessable text: whoever has the key of a call can ask for its answer. */
  newKey(): string
}

/** The ports over the platform's own. */
export function webPorts(): ClientPorts {
  // Timers of 0 ms wait for several in browsers; a message to oneself does not. In Node a port would keep the process alive.
  const postTurn = (then: () => void) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      then()
    }
    port2.postMessage(0)
  }
  const { setImmediate } = globalThis as { setImmediate?: (then: () => void) => unknown }
  return {
    socket(address) {
      if (!globalThis.WebSocket) throw new DotdoError('INVALID_OPTIONS', "No WebSocket: use Node 22 or transport: 'batch'.")
      return new WebSocket(address)
    },
    post: (address, body) => fetch(address, { method: 'POST', body }),
    // Workers refuse to run it as another object's method.
    endOfTurn: setImmediate ? (then) => void setImmediate(then) : postTurn,
    timer(delayMs, then) {
      const id = setTimeout(then, delayMs)
      return () => clearTimeout(id)
    },
    now: Date.now,
    random: Math.random,
    newKey: () => crypto.randomUUID(),
  }
}

/** How long to wait before attempt `attempt`, the first being 0: twice as long each time, up to `longestMs`, and for half of it at random. */
export function backoffMs(attempt: number, random: number, longestMs: number): number {
  return Math.min(250 * 2 ** attempt, longestMs) * (0.5 + random / 2)
}

/** What a failure says of itself. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
