import { Link, type LinkClientPorts } from '../../src/rpc/link-client.ts'
import { LinkServer, type LinkServerPorts } from '../../src/rpc/link-server.ts'
import type { LinkMessage, LinkPeer, LinkReply } from '../../src/rpc/frames.ts'
import type { LinkLimits } from '../../src/rpc/limits.ts'
import type { MapMeter } from '../../src/rpc/map-meter.ts'
import { newLinkStats } from '../../src/rpc/stats.ts'

const timer = (delayMs: number, then: () => void) => {
  const id = setTimeout(then, delayMs)
  return () => clearTimeout(id)
}

/** Two ends of a link in one process. Messages are structured-cloned as native RPC does, and can be watched, delayed, lost or refused by `carry`. */
export function pair(
  main: unknown,
  options: {
    limits?: Partial<LinkLimits>
    mapMeter?: MapMeter
    carry?: (message: LinkMessage, send: () => Promise<LinkReply>) => Promise<LinkReply>
  } = {},
) {
  const serverPorts: LinkServerPorts = {
    endOfTurn: (then) => void setImmediate(then),
    timer,
    ...(options.mapMeter && { mapMeter: options.mapMeter }),
  }
  const server = new LinkServer(() => main, serverPorts, options.limits)
  const failures: Error[] = []
  const stats = newLinkStats()
  let sessions = 0
  const clientPorts: LinkClientPorts = {
    endOfTurn: (then) => void setImmediate(then),
    keepAlive: () => {},
    timer,
    caller: () => ({ context: undefined, origin: { depth: 1 } }),
    newSession: () => `s${sessions++}`,
    detached: (work) => work(),
    unawaitedFailure: (error) => failures.push(error),
  }
  const peer: LinkPeer = {
    send(message) {
      const copy = structuredClone(message)
      const send = async () => structuredClone(await server.accept(copy))
      return options.carry ? options.carry(copy, send) : send()
    },
  }
  const link = new Link(() => peer, clientPorts, stats, options.limits)
  return { link, server, stats, failures }
}

/** The end of a turn, and of a few more. */
export const turns = async (count = 5): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}
