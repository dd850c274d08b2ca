/** Live events of one object over a WebSocket that the object owns: it sleeps while nothing happens. */
import type { LiveEvent } from '../base/views.ts'

/** Who is told. */
export interface LiveListener {
  /** Something happened. */
  event(event: LiveEvent): void
  /**
   * The subscription stands, now or again; what happened before may have been missed, so read the state now. Also called when a gap in the
   * numbers shows that something was missed.
   */
  refresh?(): void
  /** The connection was lost and will be tried again after `retryMs`. */
  lost?(reason: string, retryMs: number): void
}

/** A subscription that lasts until it is closed. */
export interface LiveSubscription {
  close(): void
}

/** Where a subscription gets its tickets and its socket's address. */
export interface WatchPorts {
  /** A path with a ticket that is good for one connection. */
  ticket(): PromiseLike<string>
  address(path: string): string
}

const firstRetryMs = 500
const longestRetryMs = 30_000
/** Below the minute after which proxies drop a silent socket. The platform answers without waking the object. */
const pingMs = 30_000

/** Watches until closed. A lost connection is tried again for as long, each time later, up to every 30 seconds. */
export function watch(ports: WatchPorts, listener: LiveListener): LiveSubscription {
  let closed = false
  let socket: WebSocket | undefined
  let retryMs = firstRetryMs
  let timer: ReturnType<typeof setTimeout> | undefined
  let lastSeq: number | undefined

  const again = (reason: string) => {
    clearInterval(timer)
    if (closed) return
    listener.lost?.(reason, retryMs)
    timer = setTimeout(() => void open(), retryMs)
    retryMs = Math.min(retryMs * 2, longestRetryMs)
  }

  const open = async (): Promise<void> => {
    try {
      const path = await ports.ticket()
      if (closed) return
      socket = new WebSocket(ports.address(path))
    } catch (error) {
      again(error instanceof Error ? error.message : String(error))
      return
    }
    const opened = socket
    opened.addEventListener('message', ({ data }) => {
      if (data === 'pong' || closed) return
      const message = JSON.parse(String(data)) as LiveEvent | { type: 'watching'; seq: number }
      const missed = message.type === 'watching' || (lastSeq !== undefined && message.seq !== lastSeq + 1)
      lastSeq = message.seq
      if (missed) listener.refresh?.()
      if (message.type !== 'watching') listener.event(message)
    })
    opened.addEventListener('open', () => {
      retryMs = firstRetryMs
      timer = setInterval(() => opened.send('ping'), pingMs)
    })
    opened.addEventListener('close', (event) => again(event.reason || `closed with ${event.code}`))
  }

  void open()
  return {
    close() {
      closed = true
      clearTimeout(timer)
      clearInterval(timer)
      socket?.close()
    },
  }
}
