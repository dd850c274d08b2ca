/** Work that is refused for now, and when to come back with it. */
import { DotdoError } from './errors.ts'
import type { Random } from './ports.ts'

/**
 * `OVERLOADED`, retryable: an object has as much to do as its limit allows. `data.retryAfterMs` says when to come back, drawn so that those who were
 * refused together do not come back together.
 *
 * @param what is refused, as the sentence about it begins: `A call of Orders/eu`
 * @param name of the limit, in `serve({ limits: { object } })`
 */
export function overloaded(what: string, name: string, limit: number, random: Random): DotdoError {
  const retryAfterMs = Math.round(1000 + 1000 * random.next())
  return new DotdoError(
    'OVERLOADED',
    `${what} was refused, and nothing of it was done: its object has ${limit} of them under way or waiting, the most that ${name} allows. Come back in ${retryAfterMs} ms, spread the work over more objects, or raise serve({ limits: { object: { ${name} } } }).`,
    { data: { limit: name, bound: limit, retryAfterMs }, retryable: true },
  )
}

/** The longest that anybody is believed who says when to come back. Milliseconds. */
const longestMs = 3_600_000

/** When to come back at the soonest, as an error says: 0 where it says nothing. At most an hour, whatever it says. Milliseconds. */
export function retryAfterOf(thrown: unknown): number {
  const data = typeof thrown === 'object' && thrown !== null && 'data' in thrown ? thrown.data : undefined
  const after = typeof data === 'object' && data !== null && 'retryAfterMs' in data ? data.retryAfterMs : undefined
  return typeof after === 'number' && after > 0 ? Math.min(after, longestMs) : 0
}
