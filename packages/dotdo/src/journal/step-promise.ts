/**
 * The promise of a step, which knows whether anybody has asked for its outcome. A step that fails while nobody looks fails its run: a platform tells of
 * a rejection that nobody handles in a log, and a run must tell of it in its row.
 */
export class StepPromise<T> extends Promise<T> {
  #taken = false

  /** What is derived from it is a plain promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  /** Follows `work`. @param failed is told of its failure, at which somebody may have asked for it or not */
  static of<T>(work: PromiseLike<T>, failed: (promise: StepPromise<T>, thrown: unknown) => void): StepPromise<T> {
    const promise = new StepPromise<T>((resolve, reject) => void work.then(resolve, reject))
    // Not by its own `then`: this is no one's interest in it. It also keeps the platform from telling what the run tells.
    void Promise.prototype.then.call(promise, undefined, (thrown: unknown) => failed(promise, thrown))
    return promise
  }

  /** Whether it was awaited, or handed to something that does. */
  get taken(): boolean {
    return this.#taken
  }

  // oxlint-disable-next-line unicorn/no-thenable -- a promise has one.
  override then<A = T, B = never>(
    fulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#taken = true
    return super.then(fulfilled, rejected)
  }
}
