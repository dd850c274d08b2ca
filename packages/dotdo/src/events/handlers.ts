/**
 * Owns: the handlers that the code of this incarnation has declared. Nothing of it is stored: the code declares them again at every start.
 *
 * H1. An id names one handler at a time.
 * H2. The same declarations in the same order give the same ids in every incarnation. Stored deliveries go by id, so this is what leads
 *     an event that was sent before a restart to its handler after it.
 */
import { DotdoError } from '../base/errors.ts'
import type { SentEvent } from './event.ts'
import { assertPattern, matches } from './pattern.ts'
import { toRetryPolicy, type RetryOptions, type RetryPolicy } from './retry.ts'
import { isSink, nameOfSink, type Sink } from './sinks.ts'

/** What takes an event. What it returns is awaited and then ignored; when it throws or rejects, it gets the same event again. */
export type EventHandler<Payload = unknown> = (payload: Payload, event: SentEvent<Payload>) => unknown

/** Options of a handler. */
export interface HandlerOptions {
  /**
   * Its id, unique within the object: letters, digits, `_`, `-`, `.`, `:` and `/`, at most 128. Default: the pattern, and the function's
   * name or, where it has none, its ordinal among the handlers of that pattern (`Order.paid#notify`, `Order.paid#1`). Give one when
   * handlers without names may be added or moved: what waits for a handler is found by its id.
   */
  id?: string
  /** `true` (default): takes events one at a time in the order they were sent, and one that fails holds the rest. `false`: neither. */
  ordered?: boolean
  /** What happens when it fails. */
  retries?: RetryOptions
}

/** A handler that is declared in this incarnation. */
export interface DeclaredHandler {
  readonly id: string
  readonly pattern: string
  readonly fn: EventHandler
  /** Where events go instead: the function is none then. */
  readonly sink?: Sink
  readonly ordered: boolean
  readonly retries: RetryPolicy
}

/** What `this.on.Noun.verb(fn)` returns. */
export interface OnHandle {
  /** The handler's id. */
  readonly id: string
  /**
   * Ends it, for this incarnation: events sent from now on pass it by. Those that were waiting for it become dead letters with the
   * code `HANDLER_GONE`, because an event that was promised to a handler is never dropped in silence. A second call does nothing.
   */
  unsubscribe(): void
}

const noHandler: EventHandler = () => undefined

/** @throws `INVALID_HANDLER` for options that there are not: one that is misspelt would be ignored in silence */
export function assertOptions(pattern: string, options: object): void {
  const strange = Object.keys(options).find((name) => !optionNames.has(name))
  if (strange === undefined) return
  throw new DotdoError(
    'INVALID_HANDLER',
    `A handler of ${pattern} has no option ${JSON.stringify(strange)}. There are: ${[...optionNames].join(', ')}.`,
    { data: { pattern, option: strange } },
  )
}

const optionNames: ReadonlySet<string> = new Set(['id', 'ordered', 'retries'])

const givenIdForm = /^[\w.:/-]{1,128}$/

/** The declared handlers of one object. */
export class Handlers {
  readonly #byId = new Map<string, DeclaredHandler>()
  /** How often each default id was given out. Only grows, so an id never passes from one handler to another (H2). */
  readonly #ordinals = new Map<string, number>()

  /**
   * @throws `INVALID_EVENT_TYPE` for a pattern that is none
   * @throws `INVALID_HANDLER` when `fn` is no function, or the id cannot be one
   * @throws `HANDLER_ID_TAKEN` when another handler has this id
   * @throws `INVALID_RETRIES`, `INVALID_DURATION` for retries that cannot be kept
   */
  declare(pattern: string, given: EventHandler | Sink, options: HandlerOptions = {}): OnHandle {
    assertPattern(pattern)
    const sink = isSink(given, pattern) ? given : undefined
    const fn: unknown = sink ? noHandler : given
    if (typeof fn !== 'function') {
      throw new DotdoError(
        'INVALID_HANDLER',
        `The handler of ${pattern} is no function but ${fn === null ? 'null' : `a value of type ${typeof fn}`}. Write this.on.Noun.verb(async (payload, event) => { … }).`,
        {
          data: { pattern },
        },
      )
    }
    assertOptions(pattern, options)
    const retries = toRetryPolicy(options.retries)
    const name = sink ? nameOfSink(sink) : fn.name
    const id = options.id === undefined ? this.#defaultId(pattern, name) : this.#givenId(pattern, options.id)
    const handler: DeclaredHandler = {
      id,
      pattern,
      fn: fn as EventHandler,
      ...(sink && { sink }),
      ordered: options.ordered ?? true,
      retries,
    }
    this.#byId.set(id, handler)
    return {
      id,
      unsubscribe: () => {
        // Another handler may have taken the id since: that one stays.
        if (this.#byId.get(id) === handler) this.#byId.delete(id)
      },
    }
  }

  get(id: string): DeclaredHandler | undefined {
    return this.#byId.get(id)
  }

  /** The ids of the handlers that an event of this type goes to, in the order they were declared. */
  idsFor(type: string): string[] {
    const ids: string[] = []
    for (const handler of this.#byId.values()) if (matches(handler.pattern, type)) ids.push(handler.id)
    return ids
  }

  ids(): string[] {
    return [...this.#byId.keys()]
  }

  #defaultId(pattern: string, name: string): string {
    // A name that began with a digit could be taken for an ordinal.
    const named = /^[A-Za-z_$][\w$]{0,63}$/.test(name) ? `${pattern}#${name}` : `${pattern}#`
    const ordinal = (this.#ordinals.get(named) ?? 0) + 1
    this.#ordinals.set(named, ordinal)
    if (named.endsWith('#')) return `${named}${ordinal}`
    return ordinal === 1 ? named : `${named}#${ordinal}`
  }

  #givenId(pattern: string, id: string): string {
    // '#' is not allowed, so a given id never meets one of the default ones.
    if (typeof id !== 'string' || !givenIdForm.test(id)) {
      throw new DotdoError(
        'INVALID_HANDLER',
        `${JSON.stringify(id)} cannot be the id of a handler of ${pattern}. Use 1 to 128 letters, digits, '_', '-', '.', ':' and '/'.`,
        {
          data: { pattern },
        },
      )
    }
    const other = this.#byId.get(id)
    if (other) {
      throw new DotdoError(
        'HANDLER_ID_TAKEN',
        `Two handlers are declared with the id '${id}', for ${other.pattern} and for ${pattern}. Give each its own: what waits for a handler is found by its id.`,
        {
          data: { id, patterns: [other.pattern, pattern] },
        },
      )
    }
    return id
  }
}
