/** The counts that cross from the isolate to the test. A file of its own: the two sides have different platforms. */

/** What was counted since the start or the last reset. */
export interface Counts {
  fetches: number
  r2: number
  objectCalls: number
  /** The most connections that were open at once (fetch and R2). */
  peakConnections: number
  /** Connections open at this moment. */
  openConnections: number
}
