/** Waiting for what promises that are ready set going, without the event loop: a turn of it costs more than a call. */

/** Steps of promises for which what is awaited alone waits for company: about a microsecond. */
export const stepsToJoin = 32

/** Steps in which the calls of a message have ended that wait for nothing: some microseconds. */
export const stepsToDrain = 128

/** Awaited: one step. */
export const step = Promise.resolve()
