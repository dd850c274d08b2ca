/** What became of a call that was made without a session. */
import { RpcPromise } from 'capnweb'
import { isThenable } from '../base/thenable.ts'
import type { MadeCall } from './conversation.ts'
import type { DirectCall } from './frames.ts'
import { noFunction } from './lacking.ts'
import { isReachable } from './members.ts'
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

  /**
   * @param given what the member gave; absent for one that cannot be reached, which is refused in capnweb's own words
   * @param isAlone whether bytes that are there at once need no copy: no other call of its message can write to them before they leave
   */
  constructor(given?: { value: unknown }, isAlone = true) {
    this.#given = given
    if (!given) return
    if (!isThenable(given.value)) {
      this.plain = isAlone ? copyPlain(given.value, false) : copyPlain(given.value, true, true)
      return
    }
    this.isPending = true
    this.ended = Promise.resolve(given.value).then(
      (value) => {
        this.isPending = false
        given.value = value
        try {
          // Others may have waited for this call to end, and run before its answer leaves.
          this.plain = copyPlain(value, true, true)
        } catch (error) {
          given.value = failed(error)
        }
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

/**
 * Makes one call, or reads one property, on an object's capability. Never throws.
 * @param isAlone whether no other call of its message runs before its answer leaves
 */
export function makeCall(main: Record<string, unknown>, { method, args }: DirectCall, isAlone: boolean): Outcome {
  if (typeof method !== 'string' || (args !== undefined && !Array.isArray(args)) || !isReachable(main, method)) return new Outcome()
  try {
    // A getter runs once, whatever it gives.
    const member = main[method]
    if (args && typeof member !== 'function') throw noFunction(method)
    return new Outcome({ value: args ? (Reflect.apply(member as () => unknown, main, args) as unknown) : member }, isAlone)
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
