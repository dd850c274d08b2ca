/** What SQLite says when an object's storage is full, as an error that has a code. */
import { codeOf, DotdoError } from './errors.ts'

/** As SQLite and the platform word it. */
const full = /\bSQLITE_FULL\b|database or disk is full/

/**
 * `STORAGE_FULL` for what SQLite throws when nothing more fits; anything else as it is. Retryable: what was written before is there, and the same can
 * go well when room was made. A step repeats it with its pauses; a run whose own rows cannot be written is left as it is on disk, and its watchdog comes again.
 */
export function asStorageError(thrown: unknown): unknown {
  if (!(thrown instanceof Error) || codeOf(thrown) === 'STORAGE_FULL' || !full.test(thrown.message)) return thrown
  return new DotdoError(
    'STORAGE_FULL',
    `The object's storage is full (${thrown.message}). What was stored before is there. Delete rows, keep runs for less long (serve({ keep: { runs: '7d' } })), or spread the data over more objects; what is under way goes on then.`,
    { retryable: true, cause: thrown },
  )
}
