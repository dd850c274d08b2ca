/** How a command ends: the exit codes, and which error means which. */
import { codeOf, DotdoError, toErrorRecord, type ErrorRecord } from '../base/errors.ts'

/** The exit codes of `dotdo`. They are part of its interface: scripts test them. */
export const exit = {
  /** What was asked for was done. */
  fine: 0,
  /** The app answered, and the answer is a failure: a run that failed, a call that threw. */
  failed: 1,
  /** The command line makes no sense. Nothing was asked of any app. */
  usage: 2,
  /** No app was reached, or it did not let the command in. */
  refused: 3,
  /** Added to the number of the signal that ended the command: 130 for Ctrl-C. */
  signal: 128,
} as const

/** A command line that makes no sense. Its message says what was typed and what can be. */
export function usageError(message: string, data: Record<string, unknown> = {}): DotdoError {
  return new DotdoError('USAGE_INVALID', message, { data })
}

/** Errors by which nothing was reached, or nobody was let in. */
const refusals = new Set(['APP_NOT_FOUND', 'LINK_LOST', 'OFFLINE_QUEUE_FULL', 'SECRET_MISSING'])

/** The exit code for an error. */
export function exitCodeOf(error: unknown): number {
  const code = codeOf(error)
  if (code === 'USAGE_INVALID' || code === 'INVALID_URL' || code === 'INVALID_DURATION' || code === 'INVALID_BUDGET') return exit.usage
  if (code !== undefined && (refusals.has(code) || code.startsWith('TOKEN_'))) return exit.refused
  return exit.failed
}

/** An error as `--json` tells it: one line on standard error. */
export function errorLine(error: unknown): { error: ErrorRecord & { exitCode: number } } {
  return { error: { ...toErrorRecord(error), exitCode: exitCodeOf(error) } }
}

/** Errors that the app's own code answered with. */
const answers = new WeakSet<Error>()

/**
 * What the app's own code answers with. An error of that code need not have a code, and is no defect of this program: {@link errorText} gives no stack of it,
 * which would tell where it was read and not where it was thrown.
 * @throws what the app's code threw, as it is
 */
export async function answerOf<T>(asked: PromiseLike<T>): Promise<T> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof Error) answers.add(error)
    throw error
  }
}

/** An error in words: its code where it has one, and its message. What nobody foresaw says where it came from. */
export function errorText(error: unknown): { message: string; stack: string | undefined } {
  const { code, message, name } = toErrorRecord(error)
  const said = code === undefined || code === 'USAGE_INVALID' ? message : `${code}: ${message}`
  // An error that came from the app keeps its stack at home; one of this program without a code is a defect.
  const isOwn = error instanceof Error && code === undefined && name !== 'AbortError' && !answers.has(error)
  return { message: said, stack: isOwn ? error.stack : undefined }
}

const head = 'The app was not reached, or its answer was lost: '

/** An error of a lost connection in words for people: {@link lostReason} in the place of what speaks of references. Said already, it stays as it is. */
export function notReached(reason: string, cause?: unknown): DotdoError {
  if (cause instanceof DotdoError && cause.message.startsWith(head)) return cause
  const data = { reason: lostReason(reason) }
  return new DotdoError('LINK_LOST', `${head}${data.reason}. Is it running, and is the address right?`, { data, retryable: true, cause })
}

/** A reason without what is said to programs around it: a person at a terminal has no references. */
export function lostReason(reason: string): string {
  return /reference is gone: (.+?)\. Take a new one/.exec(reason)?.[1] ?? reason
}
