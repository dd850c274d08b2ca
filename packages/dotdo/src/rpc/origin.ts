/** Who calls, and on behalf of what: travels in the envelope of each message, beside the calls. */
import type { IntendedWrite } from './graph.ts'

/** What was sent to other objects, and came back, on behalf of one origin. */
export interface LinkSpent {
  messages?: number
  calls?: number
  bytes?: number
}

/** Under it an origin has who is told what is spent on its behalf. A symbol, because those travel nowhere. */
export const spending: unique symbol = Symbol('spending')

/** What a message tells of the code that sent it. Set by the framework alone: a client of the door cannot. */
export interface Origin {
  /** How many objects stand between the outermost caller and the receiver, both counted: 1 for a call from a Worker. */
  depth: number
  /** The object that calls, as `Noun/name`; absent for a Worker's own request. */
  caller?: string
  /** W3C trace context of the call: https://www.w3.org/TR/trace-context/ */
  traceparent?: string
  tracestate?: string
  /** Whether the call is part of a dry run: writers are recorders in it. */
  dryRun?: true
  /** Of a dry run, what would have been written so far. Never sent: each reply brings what its object adds. */
  records?: IntendedWrite[]
  [spending]?: (spent: LinkSpent) => void
}

/** A caller as a link sees it: calls of one context share a session, and those of another never do. */
export interface Caller {
  /** Told apart by identity: one call, run or event of the calling object. */
  readonly context: object | undefined
  readonly origin: Origin
  /**
   * Of code in a step of a run: names one call of `what` (`Noun/name.method`), the same for every attempt of that step. A call with a name is
   * made by `dotdo:once`, which takes the name before the method and its arguments; see `step-calls.ts`. `undefined` for what has keys of its own.
   */
  readonly once?: (what: string) => CallName | undefined
  /** Is told of each call of an object's own method that the code makes, with its arguments as they are: to look at now, not to keep. */
  readonly noted?: (object: string, method: string, args: readonly unknown[]) => void
}

/** The key of a call of a step, when the step was first begun, and the first instant whose calls may still be repeated by this caller. */
export type CallName = [key: string, since: number, oldest: number]

/** An origin as it travels. */
export function sentOrigin(origin: Origin): Origin {
  const sent = { ...origin }
  delete sent.records
  return sent
}

/** An origin as it arrives: one of a dry run gathers what would have been written. */
export function receivedOrigin(origin: Origin = { depth: 1 }): Origin {
  return origin.dryRun ? { ...origin, records: [] } : origin
}

/**
 * A noun with the place where its objects have to stay: `eu:Noun`, as it stands wherever an address is a noun and a name. It is the noun itself where none is
 * prescribed. A noun has no colon.
 */
export function placedNoun({ noun, jurisdiction }: { noun: string; jurisdiction?: string }): string {
  return jurisdiction === undefined ? noun : `${jurisdiction}:${noun}`
}

/** {@link placedNoun}, taken apart. */
export function readPlacedNoun(placed: string): { noun: string; jurisdiction?: string } {
  const colon = placed.lastIndexOf(':')
  return colon < 0 ? { noun: placed } : { noun: placed.slice(colon + 1), jurisdiction: placed.slice(0, colon) }
}

/** What an object is called in errors, logs and origins: `Noun/name`, and in a jurisdiction `eu:Noun/name`. A noun has no colon, so it is one object. */
export function objectLabel(object: { noun: string; name: string; jurisdiction?: string }): string {
  return `${placedNoun(object)}/${object.name}`
}
