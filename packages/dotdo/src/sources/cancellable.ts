/**
 * Iterates over what `open` generates, with a `return` that takes effect at once: it aborts the signal that `open` got, which ends a read
 * that is pending. (A plain generator lets `return` wait behind it, for ever on a stream that has gone quiet.)
 *
 * Owns: the generator, and one abort controller that ends with it. Invariants:
 * 1. After `return` no value is given out, and nothing that `open` opened stays open.
 * 2. The listener on `outer` is gone once the iteration has ended, so a long-lived signal gathers none.
 *
 * A `next` that is pending when `return` is called answers `done`. When `outer` is aborted, `next` rejects with its reason.
 */
export function cancellable<T>(
  open: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>,
  outer?: AbortSignal,
): AsyncIterator<T, void, undefined> {
  const controller = new AbortController()
  const generator = open(controller.signal)
  const forward = (): void => controller.abort(outer?.reason)
  let isReturned = false

  if (outer?.aborted) forward()
  else outer?.addEventListener('abort', forward, { once: true })

  return {
    async next() {
      if (isReturned) return { done: true, value: undefined }
      try {
        const result = await generator.next()
        if (result.done) outer?.removeEventListener('abort', forward)
        return isReturned ? { done: true, value: undefined } : result
      } catch (failure) {
        outer?.removeEventListener('abort', forward)
        // What a `return` cut short fails with that cut, which its own caller asked for.
        if (isReturned) return { done: true, value: undefined }
        throw failure
      }
    },
    async return() {
      isReturned = true
      outer?.removeEventListener('abort', forward)
      controller.abort('the iteration was left')
      // Runs the `finally` blocks of a generator that waits at a `yield`; one that was reading has been ended by the abort.
      await generator.return()
      return { done: true, value: undefined }
    },
  }
}
