/**
 * Numbers of calls on the wire. capnweb numbers calls by counting the frames that make one, at both ends. Frames that an end answers itself, or
 * makes up, count at that end alone; on the wire they do not exist. So each end keeps, for each direction, which numbers are its own.
 */
import { overLimit } from './limits.ts'

/** Changes between numbers that travel and numbers that do not, in one direction of one session: 24 bytes each. */
const mostRuns = 100_000

/**
 * How one session's numbers and the wire's lie to each other. Invariant: both grow by one with each call that travels, and only the session's
 * with each that does not.
 */
export class CallNumbers {
  #next: number
  /** Runs of the session's numbers that do not travel: first, end, and how many such there are before. */
  #starts: number[] = []
  #ends: number[] = []
  #before: number[] = []

  /** @param travelled calls of the session before now, all of which did */
  constructor(travelled = 0) {
    this.#next = 1 + travelled
  }

  /** Whether the wire's numbers are the session's. */
  get same(): boolean {
    return this.#starts.length === 0
  }

  /** The session's number of the next call, which travels. */
  travels(): number {
    return this.#next++
  }

  /** The session's number of the next call, which does not travel. @throws `LINK_LIMIT` */
  stays(): number {
    const number = this.#next++
    const last = this.#ends.length - 1
    if (last >= 0 && this.#ends[last] === number) {
      this.#ends[last] = number + 1
      return number
    }
    if (this.#starts.length >= mostRuns) throw overLimit('streams between calls of one session', this.#starts.length + 1, mostRuns)
    this.#before.push(this.#skippedUpTo(last))
    this.#starts.push(number)
    this.#ends.push(number + 1)
    return number
  }

  /** Whether a number of the session does not travel. */
  stayed(number: number): boolean {
    return number > 0 && number < (this.#ends[this.#lastRun((run) => this.#starts[run]! <= number)] ?? 0)
  }

  /** The wire's number for one of the session's that travels. Numbers below 1 are capabilities and the same everywhere. */
  toWire = (number: number): number => {
    if (number < 1 || this.same) return number
    return number - this.#skippedUpTo(this.#lastRun((run) => this.#starts[run]! <= number))
  }

  /** The session's number for one of the wire's. */
  toSession = (number: number): number => {
    if (number < 1 || this.same) return number
    return number + this.#skippedUpTo(this.#lastRun((run) => this.#starts[run]! - this.#before[run]! <= number))
  }

  #skippedUpTo(run: number): number {
    return run < 0 ? 0 : this.#before[run]! + this.#ends[run]! - this.#starts[run]!
  }

  /** The last run of which `holds` is true, or -1. It is true of the first ones only. */
  #lastRun(holds: (run: number) => boolean): number {
    let low = 0
    let high = this.#starts.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (holds(middle)) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}

/** Replaces the numbers of calls in an expression of capnweb, in place. What a user wrote is left alone: it stands where no form can be. */
export function renumber(expression: unknown, to: (number: number) => number): void {
  if (typeof expression !== 'object' || expression === null) return
  if (!Array.isArray(expression)) {
    for (const part of Object.values(expression)) renumber(part, to)
    return
  }
  const form = expression as unknown[]
  const all = (parts: unknown) => {
    if (Array.isArray(parts)) for (const part of parts as unknown[]) renumber(part, to)
  }
  switch (form[0]) {
    case 'import':
    case 'pipeline':
      form[1] = to(form[1] as number)
      return all(form[3])
    case 'readable':
      form[1] = to(form[1] as number)
      return
    case 'remap':
      // Its instructions number what they make themselves.
      form[1] = to(form[1] as number)
      return all(form[3])
    case 'error':
      return renumber(form[4], to)
    case 'response':
      return renumber(form[1], to)
    case 'blob':
      return renumber(form[2], to)
    case 'request':
      return renumber((form[2] as { body?: unknown } | undefined)?.body, to)
    default:
      if (form.length === 1) all(form[0])
  }
}
