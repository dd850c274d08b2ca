/** A noun in an event type: `Pipeline`. */
const nounForm = /^[A-Z][A-Za-z0-9_]{0,63}$/
/** A verb in an event type: `completed`. */
const verbForm = /^[a-z][A-Za-z0-9_]{0,63}$/

/**
 * Whether a value is an event type, `Noun.verb`: a noun that starts with a capital, one dot, a verb that starts with a small letter; letters, digits and `_`, at most 64
 * characters each, and the verb not `then`.
 * @param stars whether either side may be `*`, as in a pattern
 */
export function isEventType(text: unknown, stars = false): text is string {
  if (typeof text !== 'string') return false
  const parts = text.split('.', 3)
  const [noun, verb] = parts
  if (parts.length !== 2 || noun === undefined || verb === undefined || verb === 'then') return false
  return ((stars && noun === '*') || nounForm.test(noun)) && ((stars && verb === '*') || verbForm.test(verb))
}
