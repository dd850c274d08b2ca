/**
 * A cause to stop that is handed down: run, attempt of a step, nested attempt. It makes its `AbortSignal` only when somebody asks for
 * one, because most steps never do and a signal costs as much as the rest of a small step.
 *
 * Invariants: 1. The first reason stays. 2. A listener is called at most once. 3. A race that lost leaves no listener behind.
 */
export class Cancellation {
  #aborted = false
  #reason: unknown
  #controller: AbortController | undefined
  #listeners: Set<(reason: unknown) => void> | undefined

  get aborted(): boolean {
    return this.#aborted
  }

  /** Why it stopped; `undefined` before that. */
  get reason(): unknown {
    return this.#reason
  }

  /** The same as a signal of the platform, made on first use. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#aborted) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** Stops whoever listens, in the order in which they began to. Later calls change nothing. */
  abort(reason: unknown): void {
    if (this.#aborted) return
    this.#aborted = true
    this.#reason = reason
    this.#controller?.abort(reason)
    const listeners = this.#listeners
    this.#listeners = undefined
    for (const listener of listeners ?? []) listener(reason)
  }

  /** Calls `listener` when it stops, at once where it has. Returns the way to stop listening. */
  onAbort(listener: (reason: unknown) => void): () => void {
    if (this.#aborted) {
      listener(this.#reason)
      return () => {}
    }
    this.#listeners ??= new Set()
    this.#listeners.add(listener)
    return () => this.#listeners?.delete(listener)
  }

  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason
  }

  /**
   * The outcome of `work`, or the reason, whichever is first. Work that lost goes on unseen: nothing in JavaScript can stop it, so
   * whoever races must ignore what comes late.
   */
  race<T>(work: PromiseLike<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const stop = this.onAbort(reject)
      work.then(
        (value) => {
          stop()
          resolve(value)
        },
        (thrown: unknown) => {
          stop()
          reject(thrown)
        },
      )
    })
  }
}
