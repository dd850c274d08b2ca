/** The limits of a link, by name. Each is part of the contract: over it, the caller gets a typed error that names it. */
export interface LinkLimits {
  /** Frames in one message. A frame is one call, pull, result or release. */
  framesPerMessage: number
  /** Calls on one session that nobody has released. */
  callsPerSession: number
  /** How deep one chain of calls may be: its cost at the receiver is quadratic. */
  chainDepth: number
  /** Answers of one session that the receiver keeps, newest first, so that their promises can be arguments of later calls. */
  answersKept: number
  /** How long a session that is retained (a capability in a result, a callback, an intermediate promise) lives without traffic. */
  idleMs: number
  /** How long a session to which nothing refers is kept all the same: a message of its caller may be on its way. */
  graceMs: number
  /** How long a poll for late answers hangs before it is renewed. */
  pollMs: number
}

/** What holds where nothing else is said. */
export const defaultLinkLimits: LinkLimits = {
  framesPerMessage: 50_000,
  callsPerSession: 100_000,
  chainDepth: 1_000,
  answersKept: 1_000,
  idleMs: 20_000,
  graceMs: 1_000,
  pollMs: 10_000,
}
