/** What became of a call that was made without a session. */
import { RpcPromise } from 'capnweb'
import { isThenable } from '../base/thenable.ts'
import type { MadeCall } from './conversation.ts'
import type { DirectCall } from './frames.ts'
import { copyPlain, notPlain } from './plain.ts'

/** One call that was made, or that cannot be. Its value is known at once, or when it has ended. */
export class Outcome {
  /** The plain value; `notPlain` where there is none, or none yet. */
  plain: unknown = notPlain
  isPending = false
  /** Resolves when it has ended, either way. Absent for one that had at once. */
  ended: Promise<void> | undefined
  /** What the member gave: a promise where it gave one, or failed. Absent for a member that cannot be reached. */
  #given: { value: unknown } | undefined

  /** @param given what the member gave; absent for one that cannot be reached, which is refused in capnweb's own words */
  constructor(given?: { value: unknown }) {
    this.#given = given
    if (!given) return
    if (!isThenable(given.value)) {
      this.plain = copyPlain(given.value, false)
      return
    }
    this.isPending = true
    this.ended = Promise.resolve(given.value).then(
      (value) => {
        this.isPending = false
        this.plain = copyPlain(value, false)
        given.value = value
      },
      (error: unknown) => {
        this.isPending = false
        given.value = failed(error)
      },
    )
  }

  /** How a session finds it made. */
  asMade({ method, args }: DirectCall): MadeCall[] {
    if (!this.#given) return []
    const { value } = this.#given
    // As what a property is, capnweb takes promises of its own alone.
    return [{ method, member: args ? () => value : value instanceof Promise ? new RpcPromise(value as Promise<never>) : value }]
  }
}

/** Makes one call, or reads one property, on an object's capability. Never throws. */
export function makeCall(main: Record<string, unknown>, { method, args }: DirectCall): Outcome {
  if (typeof method !== 'string' || (args !== undefined && !Array.isArray(args)) || !isReachable(main, method, args !== undefined))
    return new Outcome()
  try {
    const member = main[method]
    return new Outcome({ value: args ? (Reflect.apply(member as () => unknown, main, args) as unknown) : member })
  } catch (error) {
    return new Outcome({ value: failed(error) })
  }
}

/** A failure that the session tells; here nobody waits for it. */
function failed(error: unknown): Promise<never> {
  const failure: Promise<never> = Promise.reject(error as Error)
  failure.catch(() => {})
  return failure
}

/** Whether capnweb would let a session come to this member: one of the prototype, that is no member of every object. */
export function isReachable(main: object, name: string, isCall: boolean): boolean {
  if (name in Object.prototype || Object.hasOwn(main, name)) return false
  return !isCall || typeof (main as Record<string, unknown>)[name] === 'function'
}
