/** Records what WebSockets of this process send and receive, and lets a test break them. */

/** What {@link recordSockets} gives. Disposing gives the platform's own WebSocket back. */
export interface Recorder extends Disposable {
  /** All sockets since the start, in the order of their opening. */
  readonly sockets: WebSocket[]
  /** The sockets whose path begins so. */
  of(path: string): WebSocket[]
  /**
   * Round trips since the last `clear`, of the sockets whose path begins so: how often something was received after something had been sent. All that is
   * sent before an answer comes is one trip, in however many frames.
   */
  trips(path: string): number
  /** Messages that were sent since the last `clear`, counted as trips are: those that only tell what is no longer held are none. */
  sent(path: string): number
  clear(): void
  /** The next message of these sockets is lost on its way. */
  dropNext(path: string): void
}

/** Puts a recording WebSocket in the place of the platform's. */
export function recordSockets(): Recorder {
  const Original = globalThis.WebSocket
  const sockets: WebSocket[] = []
  let traffic: { path: string; way: 'out' | 'in' }[] = []
  let dropping: string | undefined

  class Recording extends Original {
    constructor(url: string | URL, protocols?: ConstructorParameters<typeof WebSocket>[1]) {
      super(url, protocols)
      sockets.push(this)
      // The first listener of all: it may keep a message from the others.
      super.addEventListener('message', (event) => {
        const path = pathOf(this)
        if (dropping !== undefined && path.startsWith(dropping)) {
          dropping = undefined
          event.stopImmediatePropagation()
          return
        }
        traffic.push({ path, way: 'in' })
      })
    }

    override send(data: Parameters<WebSocket['send']>[0]): void {
      // Telling the other side what is no longer held asks for no answer.
      if (typeof data !== 'string' || !data.startsWith('["release"')) traffic.push({ path: pathOf(this), way: 'out' })
      super.send(data)
    }
  }
  globalThis.WebSocket = Recording
  const below = (path: string) => (it: { path: string }) => it.path.startsWith(path)
  return {
    sockets,
    of: (path) => sockets.filter((it) => pathOf(it).startsWith(path)),
    trips: (path) => traffic.filter(below(path)).filter(({ way }, i, all) => way === 'in' && all[i - 1]?.way === 'out').length,
    sent: (path) => traffic.filter(below(path)).filter(({ way }) => way === 'out').length,
    clear: () => {
      traffic = []
    },
    dropNext: (path) => {
      dropping = path
    },
    [Symbol.dispose]: () => {
      globalThis.WebSocket = Original
    },
  }
}

const pathOf = (socket: WebSocket): string => new URL(socket.url).pathname
