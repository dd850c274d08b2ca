import { encodeValue } from '../base/codec.ts'
import { codeOf, DotdoError, fromErrorRecord, toErrorRecord, type ErrorRecord } from '../base/errors.ts'
import { dayMs, formatMs } from '../base/durations.ts'

/** A stored error keeps this many characters of its message. */
const messageChars = 8 * 1024

/** A stored error keeps its data up to this many characters of encoded text. */
const dataChars = 32 * 1024

/** Any thrown value as it is stored: bounded, and surely storable. Data that is too long or cannot be stored is replaced by a note. */
export function storableError(thrown: unknown): ErrorRecord {
  const record = toErrorRecord(thrown)
  const message = record.message.length > messageChars ? `${record.message.slice(0, messageChars - 1)}…` : record.message
  if (!record.data) return { ...record, message }
  try {
    if (encodeValue(record.data).length <= dataChars) return { ...record, message }
    return { ...record, message, data: { dropped: `more than ${dataChars} characters of data` } }
  } catch (cause) {
    if (codeOf(cause) !== 'NOT_STORABLE') throw cause
    return { ...record, message, data: { dropped: 'data that cannot be stored' } }
  }
}

/** The text of an error column. */
export function encodeError(record: ErrorRecord): string {
  return encodeValue(record, 'an error')
}

/** The same error that a replay will throw, so that code which tells errors apart does so alike; the original is its cause. */
export function rebuiltError(record: ErrorRecord, cause: unknown): Error {
  return Object.defineProperty(fromErrorRecord(record), 'cause', { value: cause, configurable: true, writable: true, enumerable: false })
}

/** An attempt that took longer than its timeout: `STEP_TIMEOUT`, retryable. */
export function stepTimeout(runId: string, stepId: string, timeoutMs: number, attempt: number): DotdoError {
  return new DotdoError(
    'STEP_TIMEOUT',
    `Attempt ${attempt} of step '${stepId}' took longer than its timeout of ${formatMs(timeoutMs)}. Make the step smaller or its timeout longer, and stop the work when the signal aborts.`,
    {
      data: { runId, stepId, attempt, timeoutMs },
      retryable: true,
    },
  )
}

/** A step whose attempts were used up by deaths of the object: `STEP_CRASHED`, terminal. */
export function stepCrashed(runId: string, stepId: string, attempts: number): DotdoError {
  return new DotdoError(
    'STEP_CRASHED',
    `The object died during attempt ${attempts} of step '${stepId}', the last one that its retries allow. It may need too much memory or time, or more room than the object's storage has: make it smaller, or raise retries.limit if the object was stopped from outside.`,
    {
      data: { runId, stepId, attempts },
    },
  )
}

/** A step that would wait for ever for its place: `CONCURRENCY_CIRCLE`, terminal. `held` are the keys under which the steps around it hold places. */
export function concurrencyCircle(runId: string, stepId: string, key: string, held: string[]): DotdoError {
  const all = held.map((it) => `'${it}'`).join(', ')
  return new DotdoError(
    'CONCURRENCY_CIRCLE',
    `Step '${stepId}' would wait for ever for a place under '${key}': the steps around it hold ${all}, and those that hold '${key}' wait for that. Take such keys in the same order everywhere, or one key for both.`,
    { data: { runId, stepId, key, held } },
  )
}

/** What was still to be undone when somebody said that a run ends without: `UNDO_GIVEN_UP`, terminal. */
export function undoGivenUp(runId: string): DotdoError {
  return new DotdoError(
    'UNDO_GIVEN_UP',
    `Run '${runId}' was ended by cancel({ undo: false }) while this was to be undone. Take back by hand what the step did; a retry of the run takes it up again.`,
    { data: { runId } },
  )
}

/** One step id for two functions: `STEP_ID_REUSED`, terminal. `first` and `second` tell the two apart for people. */
export function stepIdReused(stepId: string, first: string, second: string): DotdoError {
  return new DotdoError(
    'STEP_ID_REUSED',
    `stepId '${stepId}' is used for two functions in one run: first for ${first}, then for ${second}. Only the first would ever run. Give each its own id; in a loop, put the item's key into it.`,
    {
      data: { stepId, first, second },
    },
  )
}

/** What every step of a cancelled run gets: `RUN_CANCELLED`, terminal. */
export function runCancelled(runId: string): DotdoError {
  return new DotdoError('RUN_CANCELLED', `Run '${runId}' was cancelled; nothing more of it runs.`, { data: { runId } })
}

/** A run that nothing but somebody's word could end, and nobody said it: `RUN_EXPIRED`, terminal. */
export function runExpired(runId: string, startedAt: number, waitingMs: number): DotdoError {
  return new DotdoError(
    'RUN_EXPIRED',
    `Run '${runId}' began ${new Date(startedAt).toISOString()}, and waited for longer than ${Math.round(waitingMs / dayMs)} days for an event that has no timeout, or for somebody to accept a version. Give a wait a timeout, or keep such runs longer: serve({ keep: { waitingRuns } }).`,
    { data: { runId, startedAt, waitingMs } },
  )
}

/** What stands in a step that was under way when its run failed. */
export function runFailedElsewhere({ code, name }: ErrorRecord): DotdoError {
  return new DotdoError(
    'RUN_FAILED',
    `The run failed (${code ?? name}) while this step was under way, so it was given up. Mend what the run names; when the run is taken up, this step begins anew.`,
  )
}

/** A step that began, or went on, after its run had ended: `RUN_ENDED`, terminal. */
export function runEnded(runId: string): DotdoError {
  return new DotdoError(
    'RUN_ENDED',
    `Run '${runId}' has ended, so no step of it can begin or go on. Await every this.do before the run's function returns.`,
    { data: { runId } },
  )
}

/** A run that was taken up too often without an end: `RUN_CRASHED`, terminal. */
export function runCrashed(runId: string, resumes: number): DotdoError {
  return new DotdoError(
    'RUN_CRASHED',
    `Run '${runId}' was taken up again ${resumes} times and the object died or was stopped each time. Look for what needs too much memory, split it into smaller steps, and start it anew.`,
    {
      data: { runId, resumes },
    },
  )
}

/** A run whose arguments could not be stored, after a crash: `RUN_NOT_RESUMABLE`, terminal. */
export function runNotResumable(runId: string, reason: string): DotdoError {
  return new DotdoError(
    'RUN_NOT_RESUMABLE',
    `The object died during run '${runId}', and the run cannot be taken up again because its arguments were not stored: ${reason}. Call it with plain data, or call it again.`,
    {
      data: { runId },
    },
  )
}

/** The result of a run that has none yet: `RUN_NOT_ENDED`, retryable. */
export function runUnderWay(runId: string): DotdoError {
  return new DotdoError('RUN_NOT_ENDED', `Run '${runId}' has no result yet: it is still running. Await it, or ask again later.`, {
    data: { runId },
    retryable: true,
  })
}

/** A run that no deploy has held: `RUN_NOT_HELD`. */
export function runNotHeld(runId: string, status: string): DotdoError {
  return new DotdoError(
    'RUN_NOT_HELD',
    `Run '${runId}' is ${status}: no deploy holds it, so there is no change of the code to be answered for. What a fork of a run that has ended would do, rehearse() tells.`,
    { data: { runId, status } },
  )
}

/** A run that its policy keeps from going on: `RUN_HELD`, retryable. */
export function runHeld(runId: string, policy: 'pin' | 'ask', began: string, now: string): DotdoError {
  const next =
    policy === 'pin'
      ? `Deploy version '${began}' again, or accept the new one for this run.`
      : `Accept the new version for this run, cancel the run, or deploy version '${began}' again.`
  return new DotdoError(
    'RUN_HELD',
    `Run '${runId}' began with version '${began}' of the code, and version '${now}' runs now; its policy is '${policy}'. What that changes for it, whatChanged() of its handle tells. ${next}`,
    { data: { runId, policy, began, now }, retryable: true },
  )
}

/** A run of which the code that runs now has nothing any more: `RUN_HELD`, retryable. @param lack what says so */
export function runLacking(runId: string, lack: Error): DotdoError {
  const gone = codeOf(lack)
  return new DotdoError(
    'RUN_HELD',
    `Run '${runId}' is in flight, and the code that was deployed since has nothing that could go on with it. ${lack.message} Deploy a version that has it, or cancel the run.`,
    { data: { runId, ...(gone !== undefined && { gone }) }, retryable: true },
  )
}

/** A step that is not the one that was stored under its id: `STEP_CHANGED`, terminal. `changes` says in words what differs. */
export function stepChanged(runId: string, stepId: string, changes: string): DotdoError {
  return new DotdoError(
    'STEP_CHANGED',
    `Step '${stepId}' of run '${runId}' has changed since the run began: ${changes}. What is stored belongs to the old meaning. Give the new one another stepId, deploy the version that the run began with and retry it, or start the run anew.`,
    { data: { runId, stepId, changes } },
  )
}

/** A run some of whose steps could not be undone: `UNDO_FAILED`, terminal. */
export function undoFailed(runId: string, ending: ErrorRecord, failed: string[], unknown: string[]): DotdoError {
  const parts = [
    ...(failed.length > 0 ? [`the undo of ${failed.map((id) => `'${id}'`).join(', ')} failed (see its step)`] : []),
    ...(unknown.length > 0 ? [`the code has no undo any more for ${unknown.map((id) => `'${id}'`).join(', ')}`] : []),
  ]
  return new DotdoError(
    'UNDO_FAILED',
    `Run '${runId}' ended (${ending.code ?? ending.name}: ${ending.message}) and not all of its steps could be taken back: ${parts.join('; ')}. Take back by hand what they did.`,
    { data: { runId, failed, unknown, error: ending } },
  )
}
