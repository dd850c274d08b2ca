import { DotdoError } from '../base/errors.ts'

/**
 * Ends everything that a query waits for. RPC has no way to abort a call from outside, so a wait is left: the promise goes on, and whoever
 * made the call disposes of what it brings.
 *
 * Owns the waits that are under way, and nothing else: a wait that settles is forgotten.
 */
export class Cancellation {
  /** What ends each wait that is under way. */
  #waits = new Set<(reason: unknown) => void>()
  /** Set once: the error that all later waits get. */
  #reason: { error: unknown } | undefined
  #signal: AbortSignal | undefined
  #parent: Cancellation | undefined
  #onAbort = () => this.cancel(this.#signal?.reason)

  constructor(signal?: AbortSignal) {
    this.#signal = signal
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** Rejects all waits, now and later, with `QUERY_CANCELLED`. Only the first call counts. */
  cancel(cause?: unknown): void {
    if (this.#reason) return
    this.#reason = {
      error: new DotdoError(
        'QUERY_CANCELLED',
        'The query was cancelled before it was answered. Run it again if the answer is still wanted.',
        { cause },
      ),
    }
    for (const reject of this.#waits) reject(this.#reason.error)
    this.#waits.clear()
    this.release()
  }

  /** Stops listening to the signal or to the parent. Call it when the query is over. */
  release(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort)
    if (this.#parent) this.#parent.#waits.delete(this.#onAbort)
  }

  /** One that is cancelled with this one, and can be cancelled alone: a query that is planned anew ends its first attempt only. */
  child(): Cancellation {
    const child = new Cancellation()
    if (this.#reason) child.cancel()
    child.#parent = this
    this.#waits.add(child.#onAbort)
    return child
  }

  /** Settles as the promise does, or rejects when the query is cancelled before. */
  wait<T>(promise: Promise<T>): Promise<T> {
    if (this.#reason) {
      // Nobody will look at the promise: its failure must not become an unhandled rejection.
      promise.catch(() => undefined)
      return Promise.reject(this.#reason.error)
    }
    return new Promise<T>((resolve, reject) => {
      this.#waits.add(reject)
      promise.then(resolve, reject).finally(() => this.#waits.delete(reject))
    })
  }
}
