/**
 * The calling end of the session link.
 *
 * A {@link Link} leads to one object; a turn's calls on it share one capnweb session, whose frames leave together when the turn ends.
 *
 * Owns the sessions of the turn that runs now. Invariants:
 * 1. Calls of one context share a session, and calls of two never do: the receiver knows on whose behalf it works.
 * 2. A session is entered only in the turn that opened it, except through what its calls have given.
 */
import { RpcStub, RpcTarget } from 'capnweb'
import type { DotdoError } from '../base/errors.ts'
import { ClientSession } from './client-session.ts'
import type { LinkPeer } from './frames.ts'
import { defaultLinkLimits, type LinkLimits } from './limits.ts'
import type { Caller } from './origin.ts'
import { frameworkPrefix } from './reach.ts'
import type { LinkStats } from './stats.ts'

/** What the calling end needs of its surroundings. */
export interface LinkClientPorts {
  /** Runs `then` when the code that runs now, and all promises that are ready, have run: where a turn ends and its message leaves. */
  endOfTurn(then: () => void): void
  /** Keeps the caller's own request alive until `work` has settled. */
  keepAlive(work: Promise<unknown>): void
  /** Runs `then` after `delayMs`; the result cancels it. */
  timer(delayMs: number, then: () => void): () => void
  /** Whose code calls now. Messages are split by it. */
  caller(): Caller
  /** A new session's name, unguessable. */
  newSession(): string
  /** Runs `work` outside of whatever context the caller is in, so that a session carries nobody's. */
  detached<T>(work: () => T): T
  /** A call failed that nobody had awaited when its answer came. */
  unawaitedFailure(error: DotdoError): void
}

/** Where a link counts what it does. */
export class Link {
  #peer: () => LinkPeer
  #ports: LinkClientPorts
  #limits: LinkLimits
  #stats: LinkStats
  /** The sessions of the turn that runs now, by whose code calls. */
  #current = new Map<object | undefined, ClientSession>()
  /** Sessions that are over at this end and may be kept at the other: told with the next message. */
  #ended: string[] = []

  /** @param peer gives the far end; asked once for each session, so that a broken one is replaced */
  constructor(peer: () => LinkPeer, ports: LinkClientPorts, stats: LinkStats, limits: Partial<LinkLimits> = {}) {
    this.#peer = peer
    this.#ports = ports
    this.#stats = stats
    this.#limits = { ...defaultLinkLimits, ...limits }
  }

  /**
   * A stub of the far object that never wears out: used in a later turn, it opens that turn's session.
   *
   * It behaves as a capnweb stub in every way: calls and properties are recorded and leave when the turn ends, a result can be called
   * before it is there, and a promise can be an argument.
   */
  root(): RpcStub<Record<string, never>> {
    const link = this
    const target = new Proxy(new Forwarder(), {
      get(forwarder, property) {
        if (typeof property !== 'string') return Reflect.get(forwarder, property)
        // The framework's own names are not for whoever holds a stub.
        if (property.startsWith(frameworkPrefix)) return undefined
        return Reflect.get(link.#main(), property)
      },
    })
    return new RpcStub(target) as unknown as RpcStub<Record<string, never>>
  }

  #main(): object {
    const { context, origin } = this.#ports.caller()
    let session = this.#current.get(context)
    if (!session) {
      const opened = this.#ports.detached(() => {
        const turnEnded = () => {
          if (this.#current.get(context) === opened) this.#current.delete(context)
        }
        return new ClientSession({
          peer: this.#peer(),
          ports: this.#ports,
          stats: this.#stats,
          limits: this.#limits,
          ended: this.#ended,
          origin,
          turnEnded,
        })
      })
      this.#current.set(context, (session = opened))
    }
    return session.main
  }
}

class Forwarder extends RpcTarget {}
