import { DotdoError } from '../base/errors.ts'

/** The bounds of one extraction. All are whole numbers of at least 1. */
export interface ExtractLimits {
  /** Rows in one batch, at most. */
  batchRows: number
  /** A batch is given out once the text of its rows has so many bytes (decompressed); it is longer by at most one record and one chunk. */
  batchBytes: number
  /** The longest single record: a line, a CSV row, an element of a top-level array, or a whole document that is one object. */
  maxRecordBytes: number
  /** The text (decompressed) that `await` takes into memory as rows. Batches have no such limit. */
  maxAwaitedBytes: number
}

/**
 * The defaults. An isolate has 128 MB: row objects take about twice the bytes of their text, so awaited rows stay within about half of it.
 */
export const DEFAULT_LIMITS: Readonly<ExtractLimits> = {
  batchRows: 4096,
  batchBytes: 1024 * 1024,
  maxRecordBytes: 16 * 1024 * 1024,
  maxAwaitedBytes: 32 * 1024 * 1024,
}

/** The limits in force. @throws `OPTION_INVALID` (terminal) for one that is not a whole number of at least 1. */
export function readLimits(options: Partial<ExtractLimits>): ExtractLimits {
  const limits = { ...DEFAULT_LIMITS }
  for (const name of ['batchRows', 'batchBytes', 'maxRecordBytes', 'maxAwaitedBytes'] as const) {
    const value = options[name]
    if (value === undefined) continue
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new DotdoError('OPTION_INVALID', `{ ${name}: ${String(value)} } is not a whole number of at least 1.`, {
        data: { option: name, value },
      })
    }
    limits[name] = value
  }
  return limits
}
