/** Who calls, and on behalf of what: travels in the envelope of each message, beside the calls. */

/** What a message tells of the code that sent it. Set by the framework alone: a client of the door cannot. */
export interface Origin {
  /** How many objects stand between the outermost caller and the receiver, both counted: 1 for a call from a Worker. */
  depth: number
  /** The object that calls, as `Noun/name`; absent for a Worker's own request. */
  caller?: string
  /** W3C trace context of the call: https://www.w3.org/TR/trace-context/ */
  traceparent?: string
  tracestate?: string
  /** The dry run that the call belongs to: writers are recorders in it. */
  dryRun?: string
}

/** A caller as a link sees it: calls of one context share a session, and those of another never do. */
export interface Caller {
  /** Told apart by identity: one call, run or event of the calling object. */
  readonly context: object | undefined
  readonly origin: Origin
}
