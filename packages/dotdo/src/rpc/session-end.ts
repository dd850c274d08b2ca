/** The end that every session between objects has: there is one for each turn with a session, so it has to be light. */
import { linkLost } from './errors.ts'
import type { DotdoError } from '../base/errors.ts'

/**
 * {@link linkLost} for an end that every session has, of which mostly nobody hears: without a stack, which would tell of nothing but the link, and costs
 * more than all else of an end.
 */
export function linkEnded(reason: string): DotdoError {
  const stacks = Error as { stackTraceLimit?: number }
  const { stackTraceLimit } = stacks
  stacks.stackTraceLimit = 0
  try {
    return linkLost(reason)
  } finally {
    if (stackTraceLimit !== undefined) stacks.stackTraceLimit = stackTraceLimit
  }
}

/** What capnweb is given to write down when a session that is over here says so: that goes nowhere. */
export const saidToNobody: Error = new Error('The session is over.')
