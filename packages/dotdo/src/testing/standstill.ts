/**
 * Tells a test that it waits for what only time can bring, and time stands still: a call that is awaited where `until` or `advance` was meant.
 *
 * Owns the timer that looks. Invariants: 1. It looks only while a call of the test is without an answer. 2. A call is given up only after several looks in a
 * row at which nothing was ready in the world, Node had nothing to do for it, and the test did not move time: one that was slow to come is none.
 */
import { DotdoError } from '../base/errors.ts'
import type { World } from './world.ts'

/** Looks in a row that find nothing before a call is given up. */
const looks = 4
const patienceMs = 2000

// Those of Node: a test may put others in their place.
const { setTimeout, clearTimeout } = globalThis

/** How much Node has to do: files, sockets, compression. Resources that come and go by themselves are no work. */
export const working = (): number => process.getActiveResourcesInfo().filter((name) => !idle.has(name)).length
const idle = new Set(['Immediate', 'Timeout', 'MessagePort', 'PipeWrap', 'TTYWrap', 'ProcessWrap'])

/** See the head of this file. */
export class Standstill {
  readonly #world: World
  readonly #everyMs: number
  #timer: ReturnType<typeof setTimeout> | undefined
  #still = 0
  #moving = 0
  /** What Node has to do beside the app. */
  readonly #own = working()

  /** @param patience how long a call may be without an answer, milliseconds of real time */
  constructor(world: World, patience: number = patienceMs) {
    this.#world = world
    this.#everyMs = patience / looks
    world.asks = () => this.#arm()
  }

  /** Time moves, or something is waited for by the means for it. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#moving++
    try {
      return await work()
    } finally {
      this.#moving--
      this.#still = 0
    }
  }

  /** Nobody is told anything any more. */
  end(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer)
    this.#timer = undefined
    this.#world.asks = undefined
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => this.#look(), this.#everyMs)
  }

  #look(): void {
    this.#timer = undefined
    const { asked } = this.#world
    if (asked.size === 0) return void (this.#still = 0)
    const isBusy = this.#moving > 0 || !this.#world.isStill || working() > this.#own
    this.#still = isBusy ? 0 : this.#still + 1
    if (this.#still < looks) return this.#arm()
    this.#still = 0
    const given = [...asked.values()]
    asked.clear()
    for (const { label, reject } of given) reject(standsStill(label, this.#world.now))
  }
}

function standsStill(label: string, now: number): DotdoError {
  return new DotdoError(
    'TEST_WAITS',
    `A call of ${label} has no answer, and nothing happens any more at ${new Date(now).toISOString()}: time stands still until the test moves it. Await app.until(promise) in the place of the promise, or app.advance('1d') before it. What waits for an event has to be sent it.`,
    { data: { object: label, now } },
  )
}

/** What `until` was given has not settled in a day of the test, or never will: `TEST_WAITS`. */
export function neverSettles(since: number, next: number | undefined): DotdoError {
  const why = next === undefined ? 'and nothing is due at any time' : `and nothing is due before ${new Date(next).toISOString()}`
  return new DotdoError(
    'TEST_WAITS',
    `What is waited for has not settled in the day from ${new Date(since).toISOString()}, ${why}. It may wait for an event, or for another object.`,
    { data: { since } },
  )
}
