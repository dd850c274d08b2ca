/**
 * Live events of one object over a WebSocket that the object owns: it sleeps while nothing happens.
 *
 * Owns the socket, and the number of the last event that was seen. Invariants: (1) events are handed over once and in the order of their
 * numbers; (2) where some are missing and cannot be had, `refresh` is called before the next one; (3) after `close`, or `ended`, nothing is called.
 */
import type { DotdoError } from '../base/errors.ts'
import type { LiveEvent } from '../base/views.ts'
import { backoffMs, reasonOf, type ClientPorts } from './ports.ts'

/** Who is told. */
export interface LiveListener {
  /** Something happened. */
  event(event: LiveEvent): void
  /**
   * The subscription stands for the first time, or something was missed that the object does not remember: read the state now. Not called after
   * a lost connection whose events came later.
   */
  refresh?(): void
  /** The connection was lost and will be tried again after `retryMs`. */
  lost?(reason: string, retryMs: number): void
  /** The connection stands again after it was lost. What was missed follows as events, where `refresh` was not called. */
  resumed?(): void
  /** The subscription is over, because trying again cannot help: the session's token has expired, or there is no such noun. */
  ended?(error: unknown): void
}

/** A subscription that lasts until it is closed, or has ended. */
export interface LiveSubscription {
  close(): void
}

/** Where a subscription gets its tickets and its socket's address. */
export interface WatchPorts extends Pick<ClientPorts, 'socket' | 'timer' | 'random'> {
  /** A path with a ticket that is good for one connection. */
  ticket(): PromiseLike<string>
  address(path: string): string
}

const longestRetryMs = 30_000
/** Below the minute after which proxies drop a silent socket. The platform answers without waking the object. */
const pingMs = 30_000

/** What the server says first: the number after which events follow. */
interface Greeting {
  type: 'watching'
  seq: number
}

/**
 * Watches until closed. A lost connection is tried again for as long as that can help, each time later, up to every 30 seconds. It counts as lost,
 * too, when a ping has no answer by the time of the next.
 */
export function watch(ports: WatchPorts, listener: LiveListener): LiveSubscription {
  let over = false
  let socket: WebSocket | undefined
  let attempt = 0
  let cancel: (() => void) | undefined
  let lastSeq: number | undefined
  let wasLost = false

  const close = () => {
    over = true
    cancel?.()
    socket?.close()
  }

  const again = (reason: string) => {
    cancel?.()
    if (over) return
    wasLost = true
    const retryMs = Math.round(backoffMs(attempt++, ports.random(), longestRetryMs))
    cancel = ports.timer(retryMs, () => void open())
    listener.lost?.(reason, retryMs)
  }

  const take = (message: LiveEvent | Greeting) => {
    const isGreeting = message.type === 'watching'
    // A greeting says what has been seen; the number after it follows.
    const missed = message.seq !== (isGreeting ? lastSeq : lastSeq! + 1)
    lastSeq = message.seq
    if (missed) listener.refresh?.()
    if (isGreeting) {
      if (wasLost && !over) listener.resumed?.()
      wasLost = false
    } else if (!over) listener.event(message)
  }

  const open = async (): Promise<void> => {
    let opened: WebSocket
    try {
      const path = await ports.ticket()
      if (over) return
      opened = ports.socket(ports.address(lastSeq === undefined ? path : `${path}&after=${lastSeq}`))
    } catch (error) {
      if (over) return
      // What says nothing of it counts as retryable. All that a ticket fails by is an error.
      if ((error as Partial<DotdoError>).retryable !== false) return again(reasonOf(error))
      close()
      return listener.ended?.(error)
    }
    socket = opened
    let answered = true
    const ping = () => {
      if (!answered) return lose('a ping had no answer')
      answered = false
      opened.send('ping')
      cancel = ports.timer(pingMs, ping)
    }
    const lose = (reason: string) => {
      // Once for each socket: it tells its end twice, by `error` and by `close`.
      if (socket !== opened) return
      socket = undefined
      opened.close()
      again(reason)
    }
    opened.addEventListener('message', ({ data }) => {
      answered = true
      if (data !== 'pong' && !over && socket === opened) take(JSON.parse(String(data)) as LiveEvent | Greeting)
    })
    opened.addEventListener('open', () => {
      attempt = 0
      cancel = ports.timer(pingMs, ping)
    })
    opened.addEventListener('close', (event) => lose(event.reason || `closed with ${event.code}`))
  }

  void open()
  return { close }
}
