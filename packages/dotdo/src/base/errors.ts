import { redactData, redactText } from './redact.ts'

/** Plain, structured-clonable facts of an error: the values that its message speaks of. */
export type ErrorData = Record<string, unknown>

/** What {@link DotdoError} is made of beside its code and message. */
export interface ErrorDetails {
  /** The values that the message speaks of, for programs. Must be structured-clonable: it crosses RPC and is stored. */
  data?: ErrorData
  /** Whether the same call may succeed later without a change of input or code. Default `false`: terminal. */
  retryable?: boolean
  /** What caused it. Kept at home: a cause does not cross RPC. */
  cause?: unknown
}

/**
 * The one error type of dotdo. Test `code`, never `instanceof`: an error that has crossed RPC or storage keeps its name,
 * `code`, `retryable` and `data`, but not its class.
 *
 * A message says what failed, with which values, and what to do next.
 */
export class DotdoError extends Error {
  override readonly name: string = 'DotdoError'
  /** A stable name in capitals, such as `NOUN_UNKNOWN`. */
  declare readonly code: string
  /** `true` when the same call may succeed later as it is; `false` when something has to change first. */
  declare readonly retryable: boolean
  /** The values that the message speaks of. */
  declare readonly data: ErrorData

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details)
    this.code = code
    this.retryable = !!details.retryable
    this.data = details.data ?? {}
  }
}

/** An error as it is stored and sent: what survives a wire or a disk. */
export interface ErrorRecord {
  name: string
  message: string
  code?: string
  retryable?: boolean
  data?: ErrorData
}

/**
 * Reads any thrown value into the form that is stored and sent. Stacks and causes stay at home. Never throws: what cannot be read (no
 * text, accessors that throw) becomes an error that says so, because recording a failure must not fail. Tokens and secrets in it are redacted.
 */
export function toErrorRecord(thrown: unknown): ErrorRecord {
  try {
    return readError(thrown)
  } catch {
    return { name: 'Error', message: 'A value was thrown that cannot be read as text. Throw an Error.' }
  }
}

function readError(thrown: unknown): ErrorRecord {
  if (!isErrorLike(thrown)) return { name: 'Error', message: redactText(String(thrown)) }
  const record: ErrorRecord = { name: redactText(String(thrown.name)), message: redactText(String(thrown.message)) }
  if (typeof thrown.code === 'string') record.code = redactText(thrown.code)
  if (typeof thrown.retryable === 'boolean') record.retryable = thrown.retryable
  if (isPlainObject(thrown.data)) record.data = redactData(thrown.data)
  return record
}

/** Makes a stored or received error throwable again, with the `code`, `retryable` and `data` it had. */
export function fromErrorRecord(record: ErrorRecord): Error {
  if (record.code !== undefined) {
    const error = new DotdoError(record.code, record.message, {
      ...(record.data && { data: record.data }),
      ...(record.retryable !== undefined && { retryable: record.retryable }),
    })
    return Object.defineProperty(error, 'name', { value: record.name, configurable: true })
  }
  const error = new Error(record.message)
  error.name = record.name
  // Without a code it may still say whether trying again helps.
  return Object.assign(error, record.retryable !== undefined && { retryable: record.retryable }, record.data && { data: record.data })
}

/** The `code` of a thrown value, or `undefined` where it has none. */
export function codeOf(thrown: unknown): string | undefined {
  const code = (thrown as Partial<ErrorLike> | null | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

/**
 * Whether trying again can help. An error says so itself by `retryable`; one that says nothing (a network failure, a bug in a
 * user's function) counts as retryable, because the number of attempts is bounded anyway.
 */
export function isRetryable(thrown: unknown): boolean {
  return !(isErrorLike(thrown) && thrown.retryable === false)
}

interface ErrorLike {
  name: unknown
  message: unknown
  code?: unknown
  retryable?: unknown
  data?: unknown
}

function isErrorLike(value: unknown): value is ErrorLike {
  return typeof value === 'object' && value !== null && 'message' in value && 'name' in value
}

function isPlainObject(value: unknown): value is ErrorData {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
