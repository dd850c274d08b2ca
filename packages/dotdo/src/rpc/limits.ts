/** The limits of calls, by name. Each is part of the contract: over it, the caller gets a {@link LimitError} that names it. */
import { DotdoError } from '../base/errors.ts'

/** What one end of a session allows the other, whatever carries it: a link between objects, a client's socket or its batch. */
export interface SessionLimits {
  /** Bytes of one message, before anything of it is read. Between objects the platform holds to 32 MiB and this is not looked at. */
  messageBytes: number
  /** Frames in one message. A frame is one call, pull, result or release. */
  framesPerMessage: number
  /** Calls on one session that nobody has released. */
  callsPerSession: number
  /** How deep one chain of calls may be: its cost at the receiver is quadratic. */
  chainDepth: number
  /** The depths of all calls of one message together: many chains cost what one long chain costs. */
  chainWork: number
  /** Capabilities of the other end (callbacks, streams, promises) that one session holds and has not released. */
  exportsPerSession: number
  /** How deep lists and objects stand in one another in one value. */
  nesting: number
  /** Elements that the `.map`s of one message are applied to. */
  mapFanOut: number
  /** Values that the `.map`s of one message make, over all elements, those of `.map` in `.map` too. Counted while they are made. */
  mapSteps: number
  /** Instructions of one recorded `.map`, those of the `.map`s in it too. */
  mapInstructions: number
  /** How deep `.map` may stand in `.map`. 1 is a `.map` without another in it. */
  mapNesting: number
  /** How long the answer of a call that was asked for may take. Its caller gets the error then; the method goes on, and its answer is dropped. */
  graphMs: number
}

/** The limits of a link between objects: those of its sessions, and how long they are kept. */
export interface LinkLimits extends SessionLimits {
  /** Sessions of all callers that one object keeps at once. At the bound those end first to which nothing refers; then no other is opened. */
  sessionsPerObject: number
  /** How long a session that is retained (a capability in a result, a callback, an intermediate promise) lives without traffic. */
  idleMs: number
  /** How long a session to which nothing refers is kept all the same: a message of its caller may be on its way. */
  graceMs: number
  /** How long a poll for late answers hangs before it is renewed. */
  pollMs: number
  /** One chunk of a stream, in bytes. Plain bytes above it become several chunks. */
  streamChunkBytes: number
  /** How long a stream waits for its reader to take a chunk, before it ends at both sides: a result that nobody reads must not hold two objects. */
  streamStallMs: number
}

/** The limits of a client: of its session, and of how much of the isolate one client may have. */
export interface ClientLimits extends SessionLimits {
  /** Calls under way at once. A chain weighs more, with the square of its depth: one of 100 as much as 626 calls. Over it, the next frames wait. */
  workAtOnce: number
  /** Frames that wait, at most. Over it the session ends: the client sends faster than it is served, and does not wait for answers. */
  framesWaiting: number
  /** Bytes of the frames that wait, at most. */
  bytesWaiting: number
  /** Bytes of one answer. Over it, the call that asked for it gets the error in its place. */
  answerBytes: number
  /** What one client may do at once: a frame weighs 1, and 1 more for each 8 KiB of it and for each 4 steps of the chain it ends. */
  workAhead: number
  /** What it may do again after each rest, once that is used up and while other clients are at work too. */
  workPerTurn: number
  /** How long one rest is. */
  restMs: number
  /** Frames that are still read when a session has ended, so that the client learns of it: 1 each, and 1 more for each 8 KiB. Over it the socket is dropped. */
  framesAfterEnd: number
  /**
   * How long the network of a client that was cut off waits for its next socket: twice as long with each session that is cut off. A socket that waits is held up
   * and then served, up to `comebackEndMs`. 0 lets all in at once: for apps behind a proxy that does not tell the client's address.
   */
  comebackMs: number
  /** How long it waits at most; sockets that would wait longer are refused. After six times its last wait without another cut all is forgotten. */
  comebackEndMs: number
}

/** The limits of how far calls go on from object to object. */
export interface DepthLimits {
  /** Objects that one chain of calls may go through before the next of them goes on from an alarm: the platform refuses deep chains of requests. */
  callDepth: number
  /** Objects that one chain of calls may go through at all. */
  callDepthEnd: number
}

/** How much one object takes on at once. More is refused with `OVERLOADED`, or waits. */
export interface ObjectLimits {
  /** Calls from outside, and batches of events, that are under way. More are refused. */
  callsUnderWay: number
  /** Runs that were started and are executing; those that only rest do not count. More wait, in their rows. */
  runsUnderWay: number
  /** Runs that wait to begin. More are refused to whoever starts them; firings of schedules are not. */
  runsWaiting: number
  /** Bytes of one stored stream that lie in SQLite; what follows goes to the bucket of results, where one is bound. */
  streamRowsBytes: number
  /** A result of a step or a run that takes more bytes of SQLite is moved to the bucket of results, where one is bound. */
  resultRowsBytes: number
}

/** All limits of an app: `serve({ limits: { client: { chainDepth: 50 } } })`. */
export interface AppLimits {
  link?: Partial<LinkLimits>
  client?: Partial<ClientLimits>
  depth?: Partial<DepthLimits>
  object?: Partial<ObjectLimits>
}

const mebibyte = 1024 * 1024
const hour = 3_600_000

/** What holds between objects where nothing else is said. They are one app's own, so these are wide: they stop accidents. */
export const defaultLinkLimits: LinkLimits = {
  messageBytes: 32 * mebibyte,
  framesPerMessage: 50_000,
  callsPerSession: 100_000,
  chainDepth: 1_000,
  chainWork: 1_000_000,
  exportsPerSession: 10_000,
  nesting: 256,
  mapFanOut: 10_000,
  mapSteps: 100_000,
  mapInstructions: 1_000,
  mapNesting: 3,
  graphMs: hour,
  sessionsPerObject: 10_000,
  idleMs: 20_000,
  graceMs: 1_000,
  pollMs: 10_000,
  streamChunkBytes: 32 * mebibyte,
  streamStallMs: 300_000,
}

/** What holds for clients where nothing else is said: anybody can send anything, and none may take the others' time. */
export const defaultClientLimits: ClientLimits = {
  messageBytes: 16 * mebibyte,
  framesPerMessage: 10_000,
  callsPerSession: 10_000,
  chainDepth: 128,
  chainWork: 20_000,
  exportsPerSession: 1_000,
  nesting: 128,
  mapFanOut: 5_000,
  mapSteps: 25_000,
  mapInstructions: 250,
  mapNesting: 2,
  graphMs: hour,
  workAtOnce: 2_000,
  framesWaiting: 20_000,
  bytesWaiting: 64 * mebibyte,
  answerBytes: 32 * mebibyte,
  workAhead: 200,
  workPerTurn: 4,
  restMs: 1,
  framesAfterEnd: 1_000,
  comebackMs: 2_000,
  comebackEndMs: 10_000,
}

/** What holds for depth where nothing else is said. */
export const defaultDepthLimits: DepthLimits = { callDepth: 16, callDepthEnd: 1_000 }

/** What holds for objects where nothing else is said. */
export const defaultObjectLimits: ObjectLimits = {
  callsUnderWay: 10_000,
  runsUnderWay: 1_000,
  runsWaiting: 100_000,
  streamRowsBytes: 64 * mebibyte,
  resultRowsBytes: 8 * mebibyte,
}

/** What a {@link LimitError} tells programs. */
export interface LimitData extends Record<string, unknown> {
  /** The limit's name, as it stands in {@link AppLimits}. */
  limit: string
  /** What was found. For what is counted while it happens, the first number over the bound. */
  value: number
  bound: number
  /** Who passed it: an object as `Noun/name`, or `a client`. Absent where that is not known. */
  caller?: string
}

/** A limit was passed. `code` is `LINK_LIMIT`; `data` names the limit, the value, the bound and the caller. Never retryable as it is. */
export class LimitError extends DotdoError {
  override readonly name = 'LimitError'
  declare readonly data: LimitData

  constructor({ limit, value, bound, caller }: LimitData) {
    super(
      'LINK_LIMIT',
      `${caller === undefined ? 'A caller' : caller[0]!.toUpperCase() + caller.slice(1)} passed the limit ${limit}: ${value} is more than ${bound}. ${advice(limit)}`,
      { data: { limit, value, bound, ...(caller !== undefined && { caller }) } },
    )
  }
}

/** The error for a limit that was passed. */
export function overLimit(limit: string, value: number, bound: number, caller?: string): LimitError {
  return new LimitError({ limit, value, bound, ...(caller !== undefined && { caller }) })
}

function advice(limit: string): string {
  // Those of one capability are set by whoever handed it out, and by nobody else.
  if (limit === 'argumentBytes') return 'Pass less in one call, or ask whoever handed the capability out for one with a wider limit.'
  if (limit === 'callsAtOnce')
    return 'Await answers before calling again, or ask whoever handed the capability out for one with a wider limit.'
  const raise = 'or let the app raise it by serve({ limits }).'
  if (limit.startsWith('map')) return `Map over fewer elements, or do the work in a method of the object, ${raise}`
  if (limit.startsWith('chain')) return `Await a result in between, ${raise}`
  if (limit.startsWith('callDepth')) return `Objects call each other in a circle, or need a shorter way, ${raise}`
  if (limit === 'comebackEndMs') return `Sessions from its network were cut off: mend what they sent, and connect again later, ${raise}`
  if (limit === 'sessionsPerObject')
    return `Its callers hold too many of its capabilities at once: dispose of what is no longer used, and call again later, ${raise}`
  if (limit === 'graphMs') return `The method still runs; let it answer at once and tell of its end by an event, ${raise}`
  if (/exports|calls|Waiting/.test(limit)) return `Dispose of what is no longer used and await answers before sending more, ${raise}`
  return `Split the work into more turns or smaller calls, ${raise}`
}
