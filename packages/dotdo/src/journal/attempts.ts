import { decodeValue, encodeValue } from '../base/codec.ts'
import type { ErrorRecord } from '../base/errors.ts'
import type { AttemptView } from '../base/views.ts'

/** How many attempts of a step are kept, the newest. */
const kept = 10

/** Of the error of an attempt that was not the last this many characters are kept, and no data. */
const messageChars = 500

/** The attempts of a step that ended badly, as its row keeps them; null before the first. */
export type AttemptHistory = AttemptView[] | null

/** The history with one more attempt; what is over the bound goes, the oldest first. */
export function withAttempt(history: AttemptHistory, attempt: AttemptView): AttemptView[] {
  const { error, ...rest } = attempt
  const brief: AttemptView = { ...rest, ...(error && { error: briefError(error) }) }
  return [...(history ?? []), brief].slice(-kept)
}

/** The text of the column. */
export function encodeAttempts(history: AttemptHistory): string | null {
  return history && encodeValue(history, 'the attempts of a step')
}

/** Reads the column. This room wrote it, and migrations guard its version. */
export function decodeAttempts(text: string | null): AttemptHistory {
  return text === null ? null : (decodeValue(text) as AttemptView[])
}

function briefError({ name, message, code, retryable }: ErrorRecord): ErrorRecord {
  return {
    name: name.slice(0, messageChars),
    message: message.length > messageChars ? `${message.slice(0, messageChars - 1)}…` : message,
    ...(code !== undefined && { code }),
    ...(retryable !== undefined && { retryable }),
  }
}
