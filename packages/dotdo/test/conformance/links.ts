/** The links that the suite runs over in Node. Each proves after a case that nothing of it is left. */
import { RpcStub, RpcTarget } from 'capnweb'
import { Departures } from '../../src/rpc/departures.ts'
import { Link, type LinkClientPorts } from '../../src/rpc/link-client.ts'
import { LinkServer } from '../../src/rpc/link-server.ts'
import { countedHere, readGuard, restrict, type NarrowPorts } from '../../src/rpc/narrow.ts'
import { Reached } from '../../src/rpc/reached.ts'
import { startOfRef } from '../../src/rpc/ref.ts'
import type { LinkPeer } from '../../src/rpc/frames.ts'
import { newLinkStats } from '../../src/rpc/stats.ts'
import { bytePipe } from '../rpc/byte-pipe.ts'
import { carried } from '../rpc/pair.ts'
import { must, type Far, type Kit, type Traits } from './kit.ts'
import { newWorld } from './world.ts'

/** A link as the suite runs over it. */
export interface TestLink {
  traits: Traits
  open: () => Promise<Far>
  settle: () => Promise<void>
  /** Ends what the harness itself holds, and throws where something else is still there. */
  end(): Promise<void>
}

/** The kit of a case over a link. */
export const kitOf = ({ traits, open, settle }: TestLink): Kit => ({ traits, open, settle, anew })

/** Narrowed at the far end, in each turn that uses it. What is no object's own reference stays as it is. */
const anew = (world: Far): Far => {
  const start = startOfRef(world)
  return start ? new Reached(start as Link, 'narrow', [{}]).root() : world
}
const narrowing: NarrowPorts = { now: () => 0, counter: countedHere }

const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** capnweb alone, in one heap: what a stub does without a wire. The reference of all others. */
export function localLink(): TestLink {
  const stubs: Far[] = []
  return {
    traits: { wire: 'memory', lacks: {} },
    async open() {
      const stub = new RpcStub(newWorld()) as Far
      stubs.push(stub)
      return stub
    },
    settle,
    async end() {
      for (const stub of stubs) stub[Symbol.dispose]()
    },
  }
}

/** Timers that go off by the clock, or at once when the harness says that their time has passed: nobody waits for what is idle. */
export class Time {
  #now = 0
  #timers = new Set<{ at: number; then: () => void }>()

  readonly timer = (delayMs: number, then: () => void): (() => void) => {
    const timer = {
      at: this.#now + delayMs,
      then: () => {
        cancel()
        then()
      },
    }
    const id = setTimeout(timer.then, delayMs)
    const cancel = () => {
      clearTimeout(id)
      this.#timers.delete(timer)
    }
    this.#timers.add(timer)
    return cancel
  }

  /** Timers that are set. */
  get waiting(): number {
    return this.#timers.size
  }

  /** Takes `ms` for passed: each timer that is due goes off in its order, and what it sets going runs before the next. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
      if (!next) break
      this.#now = next.at
      next.then()
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#now = end
  }
}

/** What holds on the links of the suite. */
const limits = { graceMs: 50, idleMs: 20_000 }

/** Sessions are named apart in the whole process: objects call one another as well. */
let sessions = 0

/** A link whose calls never stay alone: each turn opens a session. */
export class SessionLink extends Link {
  override record(path: string[], args: unknown[] | undefined): ReturnType<Link['record']> {
    void super.record(['nothing'], [])
    return super.record(path, args)
  }
}

/** Two ends in one process, with structured clones in between as native calls make them. Counts what either end holds. */
export function ends(main: object, Kind: typeof Link = Link) {
  const time = new Time()
  const endOfTurn = (then: () => void) => void setImmediate(then)
  const failures: Error[] = []
  const ports: LinkClientPorts = {
    endOfTurn,
    departures: new Departures(),
    keepAlive: () => {},
    timer: time.timer,
    bytePipe,
    caller: () => ({ context: undefined, origin: { depth: 1 } }),
    newSession: () => `s${sessions++}`,
    detached: (work) => work(),
    unawaitedFailure: (error) => failures.push(error),
    peerAt: (address) => address as LinkPeer,
  }
  const server = new LinkServer(
    () => main,
    {
      endOfTurn,
      timer: time.timer,
      bytePipe,
      linkAt: (address) => new Link(() => address as LinkPeer, ports, newLinkStats(), limits),
    },
    limits,
    () => ({ narrow: (caveats: unknown) => restrict(main, readGuard(caveats, narrowing), narrowing) }),
  )
  const peer: LinkPeer = {
    async send(message) {
      const copy = carried(message)
      return carried(await server.accept(copy))
    },
    async call(call) {
      return carried(await server.call(structuredClone(call)))
    },
    get address() {
      return peer
    },
  }
  const stats = newLinkStats()
  const link = new Kind(() => peer, ports, stats, limits)
  return {
    root: () => link.root() as Far,
    link,
    server,
    stats,
    failures,
    time,
    /** Proves that nothing is left once the link has been idle: no session, and no timer that waits for one. */
    async empty() {
      await settle()
      await time.pass(2 * limits.idleMs + 5 * limits.graceMs)
      await settle()
      must(stats.polls < 200, `${stats.polls} polls went over the link: one follows the other at once`)
      must(server.openSessions === 0, `${server.openSessions} sessions are left at the receiver`)
      must(time.waiting === 0, `${time.waiting} timers are left`)
    },
  }
}

/** A link as objects have it: a lone plain call goes natively, and everything else by a session of its turn. */
export const directLink = (): TestLink => pairLink(Link)

/** Each turn opens a session of its own, whatever is called in it. */
export const sessionLink = (): TestLink => pairLink(SessionLink)

function pairLink(Kind: typeof Link): TestLink {
  const opened: ReturnType<typeof ends>[] = []
  return {
    traits: { wire: 'clone', lacks: {} },
    async open() {
      const pair = ends(newWorld(), Kind)
      opened.push(pair)
      return pair.root()
    },
    settle,
    async end() {
      for (const pair of opened) await pair.empty()
    },
  }
}

/** A world behind another capability, so that a session stays open while its stub is held. */
class Keeper extends RpcTarget {
  #world = newWorld()
  /** A capability that leads to the world. */
  world() {
    return this.#world
  }
}

/** One session, held open by a capability: every call of a case goes over it. */
export function leasedLink(): TestLink {
  const opened: { pair: ReturnType<typeof ends>; world: Far }[] = []
  return {
    traits: { wire: 'clone', lacks: {} },
    async open() {
      const pair = ends(new Keeper())
      const world = await pair.root().world()
      opened.push({ pair, world })
      return world
    },
    settle,
    async end() {
      for (const { pair, world } of opened) {
        must(typeof world[Symbol.dispose] === 'function', 'a stub has a disposer')
        world[Symbol.dispose]()
        await pair.empty()
      }
    },
  }
}
