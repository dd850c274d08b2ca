/**
 * The receiving end of the session link.
 *
 * Owns the sessions that callers have open with one object. Invariants:
 * 1. Messages of a session take effect in the order of their `seq`, whatever order they arrive in.
 * 2. A reply leaves as soon as there is anything to say, and never waits for a slower sibling in the same message.
 * 3. At most one exchange of a session hangs; a newer message releases the older one with what there is.
 * 4. A session to which nothing can refer is dropped when its caller says so, or after a moment of grace, because a message of the caller may
 *    be on its way; one that is retained is dropped when idle.
 */
import { DotdoError } from '../base/errors.ts'
import { linkLost } from './errors.ts'
import { linkVersion, type LinkMessage, type LinkReply } from './frames.ts'
import type { MapMeter } from './map-meter.ts'
import { defaultLinkLimits, type LinkLimits } from './limits.ts'
import type { Origin } from './origin.ts'
import { ServerSession } from './server-session.ts'

/** What the receiving end needs of its surroundings. */
export interface LinkServerPorts {
  /** Runs `then` when everything that is ready has run: where one batch of answers ends. */
  endOfTurn(then: () => void): void
  /** Runs `then` after `delayMs`; the result cancels it. */
  timer(delayMs: number, then: () => void): () => void
  /** Counts what `.map`s cost: the isolate's one. */
  mapMeter?: MapMeter
}

/** The receiving end of all links to one object; see the head of this file for what it owns. */
export class LinkServer {
  #sessions = new Map<string, ServerSession>()
  #main: (origin: Origin) => unknown
  #ports: LinkServerPorts
  #limits: LinkLimits
  #sweep: (() => void) | undefined

  /** @param main makes the capability that a new session starts from, for whoever opens it */
  constructor(main: (origin: Origin) => unknown, ports: LinkServerPorts, limits: Partial<LinkLimits> = {}) {
    this.#main = main
    this.#ports = ports
    this.#limits = { ...defaultLinkLimits, ...limits }
  }

  /** Sessions that are open: what a test for leaks looks at. */
  get openSessions(): number {
    return this.#sessions.size
  }

  /**
   * Takes one message and answers with what its session has to say.
   * @throws `LINK_VERSION`, `LINK_LOST` (the message belongs to a session that is not here any more), `LINK_LIMIT`
   */
  async accept(message: LinkMessage): Promise<LinkReply> {
    if (message?.version !== linkVersion || !Array.isArray(message.frames) || typeof message.session !== 'string') {
      throw new DotdoError(
        'LINK_VERSION',
        `This object speaks link version ${linkVersion}, the caller ${String(message?.version)}. Deploy both Workers with the same release of dotdo.`,
        { data: { version: message?.version } },
      )
    }
    for (const ended of message.ended ?? []) this.#drop(ended)
    let session = this.#sessions.get(message.session)
    if (!session) {
      if (message.seq !== 0) throw linkLost('the object was restarted, or the session was idle for too long')
      const origin = message.origin ?? { depth: 1 }
      session = new ServerSession(this.#main(origin), this.#ports, this.#limits, origin.caller ?? 'a Worker')
      this.#sessions.set(message.session, session)
    }
    try {
      return await session.exchange(message)
    } finally {
      this.#scheduleSweep()
    }
  }

  #drop(id: string): void {
    this.#sessions.get(id)?.close()
    this.#sessions.delete(id)
  }

  /** Drops sessions that nobody uses any more, so that an object with no live conversation can be evicted. */
  #scheduleSweep(): void {
    if (this.#sweep || this.#sessions.size === 0) return
    const { graceMs, idleMs } = this.#limits
    this.#sweep = this.#ports.timer(graceMs, () => {
      this.#sweep = undefined
      for (const [id, session] of this.#sessions) {
        session.sweep(graceMs)
        // One sweep more than the time: the first may come right after the traffic.
        if (session.idleSweeps > (session.isRetained ? idleMs / graceMs : 1)) this.#drop(id)
      }
      this.#scheduleSweep()
    })
  }
}
