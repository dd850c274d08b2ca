/**
 * The transactions of one object's storage that stay open over turns: `await this.ctx.storage.transaction(async () => …)`. What is written meanwhile may be
 * taken back, so nothing that comes of it leaves, begins or is remembered before that is known.
 *
 * Owns how many are open, what waits for their end, and what is to be done in them last. Invariants:
 * 1. Where none is open, work is done at once: a look at one number.
 * 2. Work that waits for the end is done when the outermost has ended, whichever way, in the order in which it came.
 * 3. Work for the last moment is done in the outermost transaction itself, when its code has come to its end, and so is there exactly when that is there.
 *    What was left for it in a transaction that is taken back, or within one, is dropped.
 *
 * The platform lets no call, answer or alarm into the object while one is open, and resets an object whose transaction takes longer than 30 seconds. So code
 * in a transaction that waits for a handler or a run that it has begun there does not hang for ever.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { DotdoError } from '../base/errors.ts'

/** One transaction, as the async context of its code knows it. */
interface Open {
  readonly of: Transactions
  /** The one that it was opened in. */
  readonly within: Open | undefined
  /** What is to be done in the outermost at its end. */
  readonly last: (() => void)[]
  /** Its code has not come to its end. */
  isRunning: boolean
}

const around = new AsyncLocalStorage<Open>()

type Work<T> = (transaction: DurableObjectTransaction) => T | PromiseLike<T>

/** The open transactions of one object; see the head of this file for what it owns. */
export class Transactions {
  readonly #ending: () => void
  #open = 0
  readonly #waiting: (() => void)[] = []

  /** @param ending what each outermost transaction whose code has not thrown ends with */
  constructor(ending: () => void) {
    this.#ending = ending
  }

  /** Whether one is open. */
  get isOpen(): boolean {
    return this.#open > 0
  }

  /** Does `work` when no transaction is open: at once, or when the outermost has ended. */
  whenNone(work: () => void): void {
    if (this.#open === 0) work()
    else this.#waiting.push(work)
  }

  /** Does `work` at once, or as the last of the transaction that the code that runs now stands in, if that is not taken back. */
  atLast(work: () => void): void {
    const open = this.#current()
    if (open) open.last.push(work)
    else work()
  }

  /**
   * To be called by what cannot be taken back.
   * @param what was called
   * @param object in which
   * @throws `IN_TRANSACTION` where the code that runs now stands in an open transaction of this object
   */
  refuse(what: string, object: string): void {
    if (!this.#current()) return
    throw new DotdoError(
      'IN_TRANSACTION',
      `${what} was begun in ${object} inside of ctx.storage.transaction(): when that is taken back, what was done would count as not done. Begin it before or after the transaction; a transaction within a step is fine.`,
      { data: { what, object } },
    )
  }

  /** Learns of the transactions of a storage from now on. */
  watch(storage: DurableObjectStorage): void {
    const own = Reflect.get(storage, 'transaction') as <T>(work: Work<T>) => Promise<T>
    const value = async <T>(work: Work<T>): Promise<T> => {
      let hasBegun = false
      const begin = (transaction: DurableObjectTransaction): Promise<T> => {
        hasBegun = true
        this.#open++
        return this.#run(transaction, work)
      }
      try {
        return (await Reflect.apply(own, storage, [begin])) as T
      } finally {
        // Before whoever awaits it goes on: what that does next stands in no transaction.
        if (hasBegun && --this.#open === 0) for (const it of this.#waiting.splice(0)) it()
      }
    }
    Object.defineProperty(storage, 'transaction', { value, configurable: true, writable: true })
  }

  async #run<T>(transaction: DurableObjectTransaction, work: Work<T>): Promise<T> {
    const open: Open = { of: this, within: this.#current(), last: [], isRunning: true }
    try {
      const given = await around.run(open, () => work(forgetting(transaction, open)))
      open.isRunning = false
      if (open.within) open.within.last.push(...open.last)
      else {
        for (const it of open.last) it()
        this.#ending()
      }
      return given
    } finally {
      open.isRunning = false
    }
  }

  /** The transaction that the code that runs now stands in. Nothing is asked for where none is open. */
  #current(): Open | undefined {
    if (this.#open === 0) return undefined
    const open = around.getStore()
    return open?.of === this && open.isRunning ? open : undefined
  }
}

/** A transaction whose `rollback()` drops what was left for its end. Its own methods are called on itself: the platform knows no proxies. */
function forgetting(transaction: DurableObjectTransaction, { last }: Open): DurableObjectTransaction {
  const rollback = (): void => {
    transaction.rollback()
    // What its code does from here on stands in no transaction any more, and stays.
    last.length = 0
  }
  return new Proxy(transaction, {
    get(target, name) {
      if (name === 'rollback') return rollback
      const found: unknown = Reflect.get(target, name)
      return typeof found === 'function' ? (found.bind(target) as unknown) : found
    },
  })
}
