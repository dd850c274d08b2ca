/**
 * A network between a client and an app, that can be cut.
 *
 * Owns: its port and the connections through it. After `stop()` none is left.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** A proxy on a port of its own. */
export interface TcpProxy {
  /** The app's address, by way of this proxy. */
  url: string
  /** Where the app is; an app that was started anew is elsewhere. */
  target: string
  /** Connections that were made so far. */
  connections: number
  /** Breaks all connections, as a network does: no farewell. */
  cut(): void
  /** Swallows what comes over the connections that stand now, from either side or from one, and closes none. Later ones pass. */
  mute(from?: 'client' | 'app'): void
  /** Whether new connections are taken. */
  isUp: boolean
  /** Called with each chunk before it is passed on; `false` drops it. */
  pass: (from: 'client' | 'app', bytes: Buffer) => boolean
  stop(): Promise<void>
}

/** Starts a proxy in front of the app at `url`. */
export async function tcpProxy(url: string): Promise<TcpProxy> {
  const open = new Set<Socket>()
  const muted = new WeakSet<Socket>()
  const sides = new WeakMap<Socket, 'client' | 'app'>()
  const server = createServer((client) => {
    if (!proxy.isUp) return void client.resetAndDestroy()
    proxy.connections++
    const { hostname, port } = new URL(proxy.target)
    const app = connect(Number(port), hostname)
    for (const [socket, other, from] of [
      [client, app, 'client'],
      [app, client, 'app'],
    ] as const) {
      open.add(socket)
      sides.set(socket, from)
      socket.setNoDelay(true)
      socket.on('data', (bytes: Buffer) => void (proxy.pass(from, bytes) && !muted.has(socket) && other.write(bytes)))
      socket.on('end', () => other.end())
      // What breaks on one side breaks on the other.
      socket.on('error', () => other.destroy())
      socket.on('close', () => (open.delete(socket), other.destroy()))
    }
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const proxy: TcpProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    target: url,
    connections: 0,
    isUp: true,
    pass: () => true,
    mute: (from) => {
      for (const socket of open) if (from === undefined || sides.get(socket) === from) muted.add(socket)
    },
    cut: () => {
      for (const socket of open) socket.destroy()
    },
    stop: () => {
      proxy.cut()
      return new Promise((stopped) => server.close(() => stopped()))
    },
  }
  return proxy
}
