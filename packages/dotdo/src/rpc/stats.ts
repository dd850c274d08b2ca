/** What a link has done so far. */
export interface LinkStats {
  /** Native calls: each is one round trip. */
  messages: number
  /** Of these, polls for answers that came late. */
  polls: number
  /** Method calls (and property reads) that were sent. */
  calls: number
  /** Calls that failed before anybody awaited them. */
  unawaitedFailures: number
}

/** Counters at zero. */
export function newLinkStats(): LinkStats {
  return { messages: 0, polls: 0, calls: 0, unawaitedFailures: 0 }
}
