/** What users and operators see of links. */
import { DotdoError } from '../base/errors.ts'
import { linkOf } from '../rpc/ref.ts'
import type { LinkStats } from '../rpc/stats.ts'

/**
 * What the link to an object has done so far, from this object (or this request of a Worker): messages, round trips, calls, bytes, and what it
 * holds open. All references of one object, and all that its calls have given, share one link.
 *
 * @param reference `this.Noun(id)`, or anything that a call on it has given and that is no plain data
 * @throws `NOT_A_REFERENCE`
 * @example
 * await this.Stage('a').run(batch)
 * console.log(stats(this.Stage('a')).roundTrips) // 1
 */
export function stats(reference: unknown): LinkStats {
  const link = linkOf(reference)
  if (link) return link.stats
  throw new DotdoError(
    'NOT_A_REFERENCE',
    `stats() takes a reference of an object, such as this.Stage('a'), not ${reference === null ? 'null' : `a value of type ${typeof reference}`}.`,
    { data: { type: typeof reference } },
  )
}

/** What an object has to do with others now. */
export interface ObjectLinks {
  /** All links of its own to others, since it came to life. */
  calling: LinkStats
  /** Sessions that others have open with it. */
  calledBy: { openSessions: number }
}
