/** Live events of one object, to whoever watches over a WebSocket that the object owns and that lets it sleep. */
import { redactText } from '../base/redact.ts'
import type { LiveEvent, LiveEventBody } from '../base/views.ts'

/** Watchers of one object, at most. */
const maxWatchers = 256

/**
 * Owns the numbering of an object's live events. Numbers count up without gaps within one incarnation and jump ahead at the next one, so a
 * watcher that sees a gap knows to look again.
 */
export class Live {
  #ctx: DurableObjectState
  #seq: number

  constructor(ctx: DurableObjectState, now: number) {
    this.#ctx = ctx
    this.#seq = now * 1000
    // Answered by the platform without waking the object.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong'))
  }

  /** Tells everybody who watches. Best effort: a watcher that is gone is dropped. */
  emit(event: LiveEventBody): void {
    const seq = ++this.#seq
    const sockets = this.#ctx.getWebSockets('live')
    if (sockets.length === 0) return
    const message: LiveEvent = { seq, at: Date.now(), ...event }
    // Addresses in a step's progress are the user's text: what they carry as a token is shown to nobody.
    const text = redactText(JSON.stringify(message))
    for (const socket of sockets) {
      try {
        socket.send(text)
      } catch {
        // The peer is gone; the platform's close event takes the socket off the list.
        socket.close(1011, 'not writable')
      }
    }
  }

  /** Accepts a watcher. The first message tells where the numbering stands. */
  accept(): Response {
    if (this.#ctx.getWebSockets('live').length >= maxWatchers)
      return new Response(`More than ${maxWatchers} watchers of one object.`, { status: 503 })
    const { 0: client, 1: server } = new WebSocketPair()
    this.#ctx.acceptWebSocket(server, ['live'])
    server.send(JSON.stringify({ type: 'watching', seq: this.#seq }))
    return new Response(null, { status: 101, webSocket: client })
  }
}
