/**
 * A client that was cut off waits before it gets another socket, and longer each time: what it can do to others is what one socket may do, once in a
 * while. Without this a client that floods would only have to connect again.
 *
 * Why it waits and is not refused: whoever is refused tries again at once, and a handshake costs more than a frame. One that waits costs nothing.
 *
 * Owns who was cut off lately, by the network they come from. Invariants:
 * 1. A network of which no session was cut off never waits, and is not remembered.
 * 2. Sockets of one network that wait are let in one at a time, as far apart as its delay is long; nobody waits longer than `comebackEndMs`.
 * 3. What is remembered is bounded: `most` networks, the longest forgotten first, and none that has been calm for a while.
 */
import type { Clock } from '../base/ports.ts'
import { overLimit, type ClientLimits } from './limits.ts'

/** Networks that are remembered at once, at most. */
const most = 10_000

/** After how many times of its delay without being cut off a network is forgotten: neighbours of one mistake are held up for seconds. */
const calmTimes = 6

interface Offender {
  delayMs: number
  /** When the next socket is let in. */
  nextAt: number
  cutAt: number
}

type Limits = Pick<ClientLimits, 'comebackMs' | 'comebackEndMs'>

/** Of one isolate; see the head of this file. */
export class Comebacks {
  #clock: Clock
  #offenders = new Map<string, Offender>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Networks that are remembered: what a test for bounds looks at. */
  get size(): number {
    return this.#offenders.size
  }

  /** A session of this network passed a limit that ends it, or sent what is no frame. */
  cutOff(network: string, { comebackMs, comebackEndMs }: Limits): void {
    if (comebackMs <= 0) return
    const now = this.#clock.now()
    const before = this.#find(network)
    const delayMs = Math.min(comebackEndMs, before ? 2 * before.delayMs : comebackMs)
    // Put at the end: the first of a map is the one that was cut off longest ago.
    this.#offenders.delete(network)
    this.#offenders.set(network, { delayMs, nextAt: Math.max(before?.nextAt ?? 0, now + delayMs), cutAt: now })
    if (this.#offenders.size > most) for (const [oldest] of this.#offenders) return void this.#offenders.delete(oldest)
  }

  /**
   * A socket is asked for.
   * @returns how long it has to wait, in ms: 0 for whoever did no harm
   * @throws `LINK_LIMIT` with `comebackEndMs` when so many wait before it that it would wait longer than that
   */
  enter(network: string, { comebackEndMs }: Limits): number {
    const offender = this.#find(network)
    if (!offender) return 0
    const now = this.#clock.now()
    const at = Math.max(now, offender.nextAt)
    if (at - now > comebackEndMs) throw overLimit('comebackEndMs', at - now, comebackEndMs, 'a client')
    offender.nextAt = at + offender.delayMs
    return at - now
  }

  #find(network: string): Offender | undefined {
    const found = this.#offenders.get(network)
    if (!found || this.#clock.now() - found.cutAt <= calmTimes * found.delayMs) return found
    this.#offenders.delete(network)
    return undefined
  }
}

/**
 * The network of an address: an IPv4 address itself, and the first 64 bits of an IPv6 one, all of which are one customer's to choose from.
 * @param address with or without a port: `192.0.2.7:5000`, `[2001:db8::1]:5000`, `2001:db8::1`
 */
export function networkOf(address: string): string {
  const four = /(\d+\.\d+\.\d+\.\d+)(?:\]?:\d+|\])?$/.exec(address)
  if (four) return four[1]!
  const bare = /^\[(.*)\]/.exec(address)?.[1] ?? address
  if (!bare.includes(':')) return bare
  const [head, tail] = bare.split('::').map((part) => part.split(':').filter((group) => group !== ''))
  const zeros = tail ? Array.from({ length: Math.max(0, 8 - head!.length - tail.length) }, () => '0') : []
  return [...head!, ...zeros, ...(tail ?? [])]
    .slice(0, 4)
    .map((group) => parseInt(group, 16).toString(16))
    .join(':')
}
