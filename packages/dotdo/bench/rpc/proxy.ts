/**
 * A network between a client and the Worker: a TCP proxy on loopback that carries every byte `oneWayMs` later, in its order, in both
 * directions. The handshake of a connection costs nothing, so what is measured begins on connections that stand.
 *
 * Owns its sockets. After `stop()` none is left.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** A proxy that listens. */
export interface DelayingProxy {
  url: string
  stop(): Promise<void>
}

export async function startProxy(targetPort: number, oneWayMs: number): Promise<DelayingProxy> {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(targetPort, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.setNoDelay(true)
      // Timers of equal length fire in the order in which they were set.
      from.on('data', (bytes) => setTimeout(() => to.writable && to.write(bytes), oneWayMs))
      from.on('close', () => (sockets.delete(from), setTimeout(() => to.destroy(), oneWayMs)))
      // 'close' follows; a socket that breaks without a listener would end the bench.
      from.on('error', () => from.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async stop() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
