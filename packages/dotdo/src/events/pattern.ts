import { DotdoError } from '../base/errors.ts'
import { isEventType } from '../base/event-types.ts'

/**
 * An event type is `Noun.verb`: a noun that starts with a capital, one dot, a verb that starts with a small letter; letters, digits and `_`,
 * at most 64 characters each. The two cases keep `'completed.Pipeline'` from being sent and never heard.
 *
 * The verb `then` is reserved: `this.on.Order` has to be no thenable, or awaiting it by mistake would hang.
 *
 * @throws `INVALID_EVENT_TYPE` when it is anything else, patterns with `*` included
 */
export function assertEventType(type: string): void {
  if (!isEventType(type)) {
    throw new DotdoError(
      'INVALID_EVENT_TYPE',
      `${shown(type)} is no event type. Write a noun and a verb such as 'Pipeline.completed': capital first, one dot, small letter first; letters, digits and _, at most 64 each; not the verb 'then'.`,
      {
        data: { type: shown(type) },
      },
    )
  }
}

/**
 * A pattern is an event type in which either side, or both, may be `*`: `Pipeline.completed`, `*.failed`, `Pipeline.*`, `*.*`. A `*` stands
 * for the whole side; `Pipe*.failed` is refused.
 *
 * @throws `INVALID_EVENT_TYPE` when it is anything else
 */
export function assertPattern(pattern: string): void {
  if (!isEventType(pattern, true)) {
    throw new DotdoError(
      'INVALID_EVENT_TYPE',
      `${shown(pattern)} is no event pattern. Write this.on.Pipeline.completed(fn), or '*' for a whole side: this.on['*'].failed(fn), this.on.Pipeline['*'](fn).`,
      {
        data: { type: shown(pattern) },
      },
    )
  }
}

/**
 * Whether an event of this type is meant by this pattern. Both have passed {@link assertPattern} and {@link assertEventType}: this one is
 * called once a handler for each event, and checks nothing.
 */
export function matches(pattern: string, type: string): boolean {
  if (pattern === type) return true
  const patternDot = pattern.indexOf('.')
  const typeDot = type.indexOf('.')
  const noun = pattern.slice(0, patternDot)
  const verb = pattern.slice(patternDot + 1)
  return (noun === '*' || noun === type.slice(0, typeDot)) && (verb === '*' || verb === type.slice(typeDot + 1))
}

/** What was given, in quotes and of bounded length: it comes from outside and stands in a message. */
function shown(text: unknown): string {
  return typeof text === 'string' ? JSON.stringify(text.length > 150 ? `${text.slice(0, 150)}…` : text) : `a ${typeof text}`
}
