/** Live events of one object, to whoever watches over a WebSocket that the object owns and that lets it sleep. */
import { autoResponse } from '#platform'
import type { Clock, Store } from '../base/ports.ts'
import { redactText } from '../base/redact.ts'
import type { LiveEvent, LiveEventBody } from '../base/views.ts'
import { LiveLog } from '../events/live-log.ts'
import type { Transactions } from './transactions.ts'

/** Watchers of one object, at most. */
const maxWatchers = 256

/** The watchers of one object. What they are told, and in which numbers, is the {@link LiveLog}'s. */
export class Live {
  #ctx: DurableObjectState
  #clock: Clock
  #log: LiveLog

  constructor(ctx: DurableObjectState, store: Store, clock: Clock, transactions: Transactions) {
    this.#ctx = ctx
    this.#clock = clock
    // Sockets outlive the incarnation that accepted them.
    this.#log = new LiveLog(store, clock, ctx.getWebSockets('live').length > 0, (then) => queueMicrotask(() => transactions.whenNone(then)))
    // Answered by the platform without waking the object.
    ctx.setWebSocketAutoResponse(autoResponse('ping', 'pong'))
  }

  /** Whether anybody watches, or has lately. */
  get isWanted(): boolean {
    return this.#log.isWanted
  }

  /** Tells everybody who watches. Best effort: a watcher that is gone is dropped, and asks for what it has missed when it is back. */
  emit(event: LiveEventBody): void {
    // Addresses in a step's progress are the user's text: what they carry as a token is shown to nobody.
    const text = this.#log.add((seq) => redactText(JSON.stringify({ seq, at: this.#clock.now(), ...event } satisfies LiveEvent)))
    if (text === undefined) return
    for (const socket of this.#ctx.getWebSockets('live')) {
      try {
        socket.send(text)
      } catch {
        // The peer is gone; the platform's close event takes the socket off the list.
        socket.close(1011, 'not writable')
      }
    }
  }

  /**
   * Accepts a watcher. The first message tells the number after which events follow: the last one that the watcher has seen, where everything
   * since is remembered, and else where the numbering stands, which tells it that it has missed something.
   * @param after the number that the watcher has seen last, as text
   */
  accept(after: string | null): Response {
    const watchers = this.#ctx.getWebSockets('live').length
    if (watchers >= maxWatchers) return new Response(`More than ${maxWatchers} watchers of one object.`, { status: 503 })
    this.#log.watched(true)
    const { seq, missed } = this.#log.since(after === null ? undefined : Number(after))
    const { 0: client, 1: server } = new WebSocketPair()
    this.#ctx.acceptWebSocket(server, ['live'])
    server.send(JSON.stringify({ type: 'watching', seq }))
    for (const text of missed) server.send(text)
    return new Response(null, { status: 101, webSocket: client })
  }

  /** A watcher is gone. */
  left(): void {
    if (this.#ctx.getWebSockets('live').every(({ readyState }) => readyState !== WebSocket.OPEN)) this.#log.watched(false)
  }
}
