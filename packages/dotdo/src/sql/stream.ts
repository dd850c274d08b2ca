import { codeOf, DotdoError } from '../base/errors.ts'
import { Cancellation } from './cancellation.ts'
import type { MissingShard } from './shards.ts'
import type { Row } from './values.ts'

/**
 * The batches of one query, read once. It starts when the first batch is asked for.
 *
 * An async generator alone would not do: its `return()` waits for a pending `next()`, and a shard that hangs would hold the caller who wants to
 * leave. Here leaving ends the wait first.
 */
export class QueryStream implements AsyncIterable<Row[]> {
  #missing: MissingShard[] = []
  #cancellation: Cancellation
  #rows: AsyncGenerator<Row[]>
  #taken = false
  #left = false

  constructor(
    signal: AbortSignal | undefined,
    start: (cancellation: Cancellation, onMissing: (missing: MissingShard) => void) => AsyncGenerator<Row[]>,
  ) {
    this.#cancellation = new Cancellation(signal)
    this.#rows = start(this.#cancellation, (it) => this.#missing.push(it))
  }

  /** Shards that the answer is without, known when the iteration has ended; empty unless `onShardError` is `partial`. */
  get missing(): readonly MissingShard[] {
    return this.#missing.toSorted((a, b) => a.shard - b.shard)
  }

  /** Ends the query: a pending batch rejects with `QUERY_CANCELLED`, and the shards are told. */
  cancel(): void {
    this.#cancellation.cancel()
  }

  /** @throws `STREAM_USED` the second time */
  [Symbol.asyncIterator](): AsyncIterator<Row[], undefined> {
    if (this.#taken) throw new DotdoError('STREAM_USED', 'The batches of a query can be read once. Call queryStream again.')
    this.#taken = true
    return {
      next: async () => {
        try {
          const { done, value } = await this.#rows.next()
          if (done) this.#cancellation.release()
          return done ? { done, value: undefined } : { done: false, value }
        } catch (thrown) {
          if (this.#left && codeOf(thrown) === 'QUERY_CANCELLED') return { done: true, value: undefined }
          throw thrown
        }
      },
      return: async () => {
        // Whoever leaves is told of no error that leaving itself has made.
        this.#left = true
        this.#cancellation.cancel()
        await this.#rows.return(undefined)
        return { done: true, value: undefined }
      },
    }
  }
}
