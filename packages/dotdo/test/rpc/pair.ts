import { Departures } from '../../src/rpc/departures.ts'
import type { Conversation, FrameworkMethods } from '../../src/rpc/conversation.ts'
import type { LinkAnswer, LinkCall, LinkMessage, LinkPeer, LinkReply } from '../../src/rpc/frames.ts'
import { Link, type LinkClientPorts } from '../../src/rpc/link-client.ts'
import { LinkServer, type LinkServerPorts } from '../../src/rpc/link-server.ts'
import type { LinkLimits } from '../../src/rpc/limits.ts'
import type { MapMeter } from '../../src/rpc/map-meter.ts'
import type { ObjectName } from '../../src/rpc/ref.ts'
import { bytePipe } from './byte-pipe.ts'
import { newLinkStats } from '../../src/rpc/stats.ts'

const realTimer = (delayMs: number, then: () => void) => {
  const id = setTimeout(then, delayMs)
  return () => clearTimeout(id)
}

const forgotten = new FinalizationRegistry<() => void>((then) => then())

/** Watches, delays, loses or refuses what goes over a link: a message of a session, or a call without one (which has no `seq`). */
export type Carry = <Reply extends LinkReply | LinkAnswer>(message: LinkMessage | LinkCall, send: () => Promise<Reply>) => Promise<Reply>

/** Two ends of a link in one process. Messages are structured-cloned as native RPC does; addresses of objects go over as they are. */
export function pair(
  main: object,
  options: {
    limits?: Partial<LinkLimits>
    mapMeter?: MapMeter
    carry?: Carry
    framework?: FrameworkMethods | ((conversation: Conversation) => FrameworkMethods)
    /** What calls without a session are made on. */
    direct?: object
    /** What the object is called. */
    at?: ObjectName
    /** What waits to leave of the same owner, where it calls several objects. */
    departures?: Departures
    /** Time, where it is not the clock's. */
    timer?: LinkClientPorts['timer']
    /** Whose code calls. */
    caller?: LinkClientPorts['caller']
    /** Whether the calls are those of a client. */
    isRelay?: true
  } = {},
) {
  const timer = options.timer ?? realTimer
  const failures: Error[] = []
  const stats = newLinkStats()
  let sessions = 0
  const clientPorts: LinkClientPorts = {
    endOfTurn: (then) => void setImmediate(then),
    departures: options.departures ?? new Departures(),
    keepAlive: () => {},
    timer,
    bytePipe,
    caller: options.caller ?? (() => ({ context: undefined, origin: { depth: 1 } })),
    newSession: () => `s${sessions++}-${Math.random()}`,
    detached: (work) => work(),
    whenForgotten: (target, then) => forgotten.register(target, then),
    unawaitedFailure: (error) => failures.push(error),
    peerAt: (address) => address as LinkPeer,
    ...(options.isRelay && { isRelay: true }),
  }
  const serverPorts: LinkServerPorts = {
    endOfTurn: (then) => void setImmediate(then),
    timer,
    bytePipe,
    ...(options.mapMeter && { mapMeter: options.mapMeter }),
    linkAt: (address) => new Link(() => address as LinkPeer, clientPorts, newLinkStats()),
  }
  const server = new LinkServer(
    () => main,
    serverPorts,
    options.limits,
    (conversation) => (typeof options.framework === 'function' ? options.framework(conversation) : (options.framework ?? {})),
    () => options.direct ?? main,
  )
  const carry: Carry = options.carry ?? ((_, send) => send())
  const peer: LinkPeer = {
    send(message) {
      const copy = carried(message)
      return carry(copy, async () => carried(await server.accept(copy)))
    },
    call(call) {
      const copy = structuredClone(call)
      return carry(copy, async () => carried(await server.call(copy)))
    },
    get address() {
      return peer
    },
  }
  const link = new Link(() => peer, clientPorts, stats, options.limits, options.at)
  return { link, server, stats, failures, peer, ports: clientPorts }
}

/** A message or an answer as the far end gets it: data is copied, native streams and addresses of objects go over as they are. */
export function carried<T extends LinkMessage | LinkReply | LinkAnswer>(message: T): T {
  if ('answers' in message) {
    const { reply, ...answers } = message
    return { ...structuredClone(answers), ...(reply && { reply: carried(reply) }) } as T
  }
  const { streams, targets, objects, ...plain } = message as Partial<LinkMessage & LinkReply>
  return { ...structuredClone(plain), ...(streams && { streams }), ...(targets && { targets }), ...(objects && { objects }) } as T
}

/** The end of a turn, and of a few more. */
export const turns = async (count = 5): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}
