import { DotdoError } from '../base/errors.ts'
import { cancellable } from './cancellable.ts'
import { readLimits } from './limits.ts'
import type { ExtractLimits } from './limits.ts'

/** What an extraction itself looks at: its limits, and who may cancel it. */
export interface ExtractionOptions extends Partial<ExtractLimits> {
  /** Cancels the reading: what is pending rejects with the signal's reason. */
  signal?: AbortSignal
}

/** A batch with the bytes of text that were read for it, and the object that the last of them came from. */
export interface SizedBatch<Row> {
  rows: Row[]
  sizeBytes: number
  at: string
}

/**
 * Rows that are on their way: a lazy value. Nothing is opened until it is awaited or iterated.
 *
 * - `await extraction` gives all rows as one array, of at most `maxAwaitedBytes` of text. It reads once: awaiting again gives the same array, or
 *   the same error. To try again, call `extract` again.
 * - `for await (const batch of extraction)` gives arrays of rows in bounded memory (see {@link ExtractLimits}; besides the batch, one
 *   record and two chunks are held). Each iteration reads from the beginning. Leaving the loop cancels the transfer.
 * - `extraction.batches()` is the same iteration as a plain value that is no promise: what an `async` function, or a step, can return.
 *
 * @throws What addresses, formats, stores and readers throw: `SOURCE_UNKNOWN`, `SCHEME_UNKNOWN`, `BUCKET_UNKNOWN`, `ADDRESS_INVALID`,
 * `SOURCE_DECLARATION_INVALID`, `OPTION_INVALID`, `FORMAT_UNKNOWN`, `SOURCE_NOT_FOUND`, `SOURCE_FORBIDDEN`, `SOURCE_REFUSED`, `SOURCE_MALFORMED`,
 * `SOURCE_TOO_LARGE` (terminal), `SOURCE_UNAVAILABLE`, `SOURCE_CHANGED` (retryable). All come when the rows are asked for, none from `extract` itself.
 */
export class Extraction<Row> implements Promise<Row[]>, AsyncIterable<Row[]> {
  readonly [Symbol.toStringTag] = 'Extraction'
  readonly #open: (signal: AbortSignal) => AsyncGenerator<SizedBatch<Row>, void, undefined>
  readonly #options: ExtractionOptions
  #all: Promise<Row[]> | undefined

  constructor(open: (signal: AbortSignal) => AsyncGenerator<SizedBatch<Row>, void, undefined>, options: ExtractionOptions) {
    this.#open = open
    this.#options = options
  }

  /** The batches, for passing on: an async iterable that no `await` swallows. */
  batches(): AsyncIterable<Row[]> {
    return { [Symbol.asyncIterator]: () => this[Symbol.asyncIterator]() }
  }

  [Symbol.asyncIterator](): AsyncIterator<Row[], void, undefined> {
    const open = this.#open
    return cancellable(async function* (signal) {
      for await (const batch of open(signal)) yield batch.rows
    }, this.#options.signal)
  }

  // Being awaited is what this value is for, so it has a `then`; `batches` is the way to hand it on without starting it.
  then<Result = Row[], Failure = never>(
    onRows?: ((rows: Row[]) => Result | PromiseLike<Result>) | null,
    onFailure?: ((failure: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<Result | Failure> {
    this.#all ??= this.#readAll()
    return this.#all.then(onRows, onFailure)
  }

  catch<Failure = never>(onFailure?: ((failure: unknown) => Failure | PromiseLike<Failure>) | null): Promise<Row[] | Failure> {
    return this.then(undefined, onFailure)
  }

  finally(onEnd?: (() => void) | null): Promise<Row[]> {
    return this.then().finally(onEnd)
  }

  async #readAll(): Promise<Row[]> {
    const { maxAwaitedBytes } = readLimits(this.#options)
    const rows: Row[] = []
    let sizeBytes = 0
    const iterator = cancellable(this.#open, this.#options.signal)
    for await (const batch of { [Symbol.asyncIterator]: () => iterator }) {
      sizeBytes += batch.sizeBytes
      if (sizeBytes > maxAwaitedBytes) throw awaitedTooLarge(batch.at, maxAwaitedBytes)
      for (const row of batch.rows) rows.push(row)
    }
    return rows
  }
}

function awaitedTooLarge(at: string, limitBytes: number): DotdoError {
  const message = `${at}: more than ${limitBytes} bytes of rows would be held in memory. Iterate over extract(…).batches(), or raise { maxAwaitedBytes }.`
  return new DotdoError('SOURCE_TOO_LARGE', message, { data: { source: at, limit: 'maxAwaitedBytes', limitBytes } })
}
