/** Where in the arguments of a call something stands that cannot be sent: capnweb tells what it is, and not where. */
import { DotdoError } from '../base/errors.ts'
import { hasParts } from './changed-parts.ts'
import { asUnsendable } from './errors.ts'

/**
 * capnweb's refusal of a value as `NOT_SENDABLE`, with the place of it where that can be told: `args[0].rows[3].when`. Any other error as it is.
 * @param args what was refused; absent where nobody knows
 */
export function asUnsendableIn(error: unknown, args: readonly unknown[] | undefined): unknown {
  const coded = asUnsendable(error)
  // What is too deep, or a circle, has no place that could be come to.
  if (!(error instanceof Error && coded instanceof DotdoError && error.message.startsWith(words))) return coded
  const at = placeOf(args, error.message, 'args')
  if (at === undefined) return coded
  const { value } = coded.data
  return new DotdoError(coded.code, `${at} cannot be sent: ${String(value)}. Pass plain data, a function or an RpcTarget.`, {
    data: { value, at },
    cause: error,
  })
}

/** The first part that capnweb tells of in these words: parts are looked at in its order, so there is no circle before it. */
function placeOf(value: unknown, told: string, at: string): string | undefined {
  if (!hasParts(value)) return isToldOf(value, told) ? at : undefined
  for (const key in value) {
    const name = Array.isArray(value) || !/^[a-z_$][\w$]*$/i.test(key) ? `[${Array.isArray(value) ? key : JSON.stringify(key)}]` : `.${key}`
    const found = placeOf(value[key], told, at + name)
    if (found !== undefined) return found
  }
  return undefined
}

/** Whether these are capnweb's words for a value: a text is made of it, and where none can be made, that is said. */
function isToldOf(value: unknown, told: string): boolean {
  if (typeof value === 'symbol') return told === `${words}${noText}`
  // A function goes by reference, and so does a stub, of which no text can be made.
  if (typeof value !== 'object' || value === null) return false
  try {
    return told === words + (value as { toString(): string }).toString()
  } catch {
    return told === words + noText
  }
}

const words = 'Cannot serialize value: '
const noText = "(couldn't stringify value)"
