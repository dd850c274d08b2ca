/**
 * Looks into the expressions of a session's frames: how deep they are, what they refer to, which capabilities they give, and what the `.map`s
 * recorded in them may cost. Expressions are capnweb's: a reference is `['import' | 'pipeline' | 'remap', id, …]`, and a list of the user stands
 * in a list of its own.
 *
 * Owns the count of the other end's capabilities. Invariant: one is held from the value that gave it until this end releases it.
 */
import { DotdoError } from '../base/errors.ts'
import { keepName } from './errors.ts'
import { overLimit, type SessionLimits } from './limits.ts'
import { MapBudget, type MapMeter, type MapSpent } from './map-meter.ts'
import { frameworkPrefix } from './conversation.ts'

/** What one message has cost so far. */
export interface MessageCost {
  budget: MapBudget | undefined
  /** Depths of its calls, and instructions of its `.map`s. */
  work: number
  /** Whether there was a `.map`. */
  maps: boolean
}

/** A reason to refuse one call, and not the session. */
export class Refusal extends Error {
  readonly reason: Error

  constructor(reason: Error) {
    super(reason.message)
    this.reason = reason
  }
}

/** What the guard of values needs to know. */
export interface ValueGuardOptions {
  limits: SessionLimits
  meter?: MapMeter | undefined
  caller?: string | undefined
  /** Whether the other end is a stranger: the names of the framework are not for it. */
  stranger?: boolean
  oneWay?: { answers: ReadonlySet<number> }
  /** Whether there is a call with this number. */
  isHere(id: number): boolean
  /** Why the call with this number was refused, if it was. */
  refusalOf(id: number): Error | undefined
}

/** See the head of this file. */
export class ValueGuard {
  /** What the `.map`s of the session have cost so far. */
  readonly spent: MapSpent = { steps: 0 }
  #options: ValueGuardOptions
  #limits: SessionLimits
  #held = new Set<number>()
  #lowest = 0
  /** What the call that is looked at has given. */
  #given: number[] = []

  constructor(options: ValueGuardOptions) {
    this.#options = options
    this.#limits = options.limits
  }

  /** Capabilities of the other end that this end holds. */
  get capabilities(): number {
    return this.#held.size
  }

  /** Whether the other end has ever given a capability (or a promise) of this number. */
  wasGiven(id: number): boolean {
    return id < 0 && id >= this.#lowest
  }

  /** This end has released a capability. */
  released(id: number): void {
    this.#held.delete(id)
  }

  /** Begins to note what one call gives. */
  beginCall(): void {
    this.#given = []
  }

  /** Forgets what a refused call has given, and tells it: once for each time. What an earlier call gave too is forgotten with it. */
  undoCall(): number[] {
    for (const id of this.#given) this.#held.delete(id)
    return this.#given
  }

  /** Looks at the start of an expression alone. @throws {@link Refusal} */
  lookAtHead(expression: unknown, cost: MessageCost): void {
    if (Array.isArray(expression) && expression[0] === 'remap') this.#lookAtMap(expression, cost)
  }

  /** Looks into an expression, all of it. @throws {@link Refusal}, `LINK_LIMIT`, `FRAME_INVALID` */
  look(value: unknown, cost: MessageCost, depth = 0): void {
    if (typeof value !== 'object' || value === null) return
    if (depth > this.#limits.nesting) throw new Refusal(this.#over('nesting', depth))
    if (!Array.isArray(value)) {
      // Bytes, dates and the like hold nothing that refers to anything.
      if (Object.getPrototypeOf(value) === Object.prototype) for (const key in value) this.look((value as Values)[key], cost, depth + 1)
      return
    }
    if (value.length === 1 && Array.isArray(value[0])) {
      for (const part of value[0] as unknown[]) this.look(part, cost, depth + 1)
      return
    }
    const [kind, id, path, args] = value as unknown[]
    switch (kind) {
      case 'pipeline':
      case 'import':
        this.#lookAtReference(id, path, value, depth === 0)
        if (depth > 0) this.#charge(cost, Array.isArray(path) ? Math.max(1, path.length) : 1)
        if (Array.isArray(args)) for (const part of args as unknown[]) this.look(part, cost, depth + 1)
        return
      case 'remap':
        this.#lookAtReference(id, path, value)
        this.#lookAtMap(value, cost)
        return
      case 'export':
      case 'promise':
      case 'writable':
        this.#take(id, value)
        return
      case 'readable':
        if (!this.#options.isHere(id as number)) throw frameInvalid('there is no such stream', value)
        if (this.#options.oneWay) throw new Refusal(this.#options.refusalOf(id as number) ?? noWayBack('stream'))
        return
      case 'request':
        // Its headers are a list of pairs of texts, and no expression.
        if (isPlain(path)) for (const part of [path['body'], path['signal']]) this.look(part, cost, depth + 1)
        return
      case 'response':
        this.look(id, cost, depth + 1)
        return
      case 'headers':
        return
      default:
        if (kind === 'error') keepName(value)
        for (let i = 1; i < value.length; i++) this.look(value[i], cost, depth + 1)
    }
  }

  #lookAtReference(id: unknown, path: unknown, where: unknown, isCall = false): void {
    if (!isWhole(id)) throw frameInvalid('a reference has no number', where)
    const refused = this.#options.refusalOf(id)
    if (refused) throw new Refusal(refused)
    // An unmodified client names results that it has released: the call is wrong, and the session goes on.
    if (id > 0 && !this.#options.isHere(id)) throw new Refusal(referenceGone(id))
    this.#lookAtPath(path, isCall && !this.#options.stranger)
  }

  /** @param isOfLink whether it may name what the framework calls by itself */
  #lookAtPath(path: unknown, isOfLink = false): void {
    if (!Array.isArray(path)) return
    if (path.length > this.#limits.chainDepth) throw new Refusal(this.#over('chainDepth', path.length))
    if (isOfLink) return
    for (const part of path as unknown[])
      if (typeof part === 'string' && part.startsWith(frameworkPrefix)) throw new Refusal(reserved(part))
  }

  #take(id: unknown, where: unknown): void {
    if (!isWhole(id) || id >= 0) throw frameInvalid('a capability has no number', where)
    if (this.#options.oneWay && !this.#options.oneWay.answers.has(id))
      throw new Refusal(noWayBack((where as [string])[0] === 'promise' ? 'promise' : 'callback'))
    this.#given.push(id)
    this.#held.add(id)
    this.#lowest = Math.min(this.#lowest, id)
    // Too many are held whatever becomes of this call: it ends the session.
    if (this.#held.size > this.#limits.exportsPerSession) throw this.#over('exportsPerSession', this.#held.size)
  }

  /** Looks at `['remap', id, path, captures, instructions]`. */
  #lookAtMap(expression: unknown[], cost: MessageCost): void {
    const [, , , captures, instructions] = expression
    if (!Array.isArray(captures) || !Array.isArray(instructions)) throw frameInvalid('a .map has no instructions', expression)
    for (const capture of captures as unknown[]) {
      const [kind, id] = Array.isArray(capture) ? (capture as unknown[]) : []
      if (kind === 'import') this.#lookAtReference(id, undefined, capture)
      else if (kind === 'export') this.#take(id, capture)
      else throw frameInvalid('a .map takes along what is not there', capture)
    }
    const size = { instructions: 0, nesting: 0 }
    this.#measure(instructions, 1, 0, size)
    this.#charge(cost, size.instructions)
    cost.maps = true
    if (!this.#options.meter) return
    cost.budget ??= new MapBudget(this.#limits, this.#options.caller, this.spent)
    this.#options.meter.meter(instructions, cost.budget, size.nesting > 1)
  }

  /** Counts the instructions of a recording with those of the recordings in it. Its references are to numbers of its own. */
  #measure(instructions: unknown[], level: number, depth: number, size: { instructions: number; nesting: number }): void {
    if (level > this.#limits.mapNesting) throw new Refusal(this.#over('mapNesting', level))
    size.nesting = Math.max(size.nesting, level)
    size.instructions += instructions.length
    if (size.instructions > this.#limits.mapInstructions) throw new Refusal(this.#over('mapInstructions', size.instructions))
    const look = (value: unknown, at: number): void => {
      if (typeof value !== 'object' || value === null) return
      if (at > this.#limits.nesting) throw new Refusal(this.#over('nesting', at))
      if (!Array.isArray(value)) {
        if (isPlain(value)) for (const key in value) look(value[key], at + 1)
      } else if (value[0] === 'remap' && Array.isArray(value[4])) {
        this.#lookAtPath(value[2])
        this.#measure(value[4] as unknown[], level + 1, at, size)
      } else if (value[0] === 'pipeline' || value[0] === 'import') {
        this.#lookAtPath(value[2])
        look(value[3], at + 1)
      } else {
        for (const part of value as unknown[]) look(part, at + 1)
      }
    }
    for (const instruction of instructions) look(instruction, depth + 1)
  }

  #charge(cost: MessageCost, work: number): void {
    cost.work += work
    if (cost.work > this.#limits.chainWork) throw new Refusal(this.#over('chainWork', cost.work))
  }

  #over(limit: keyof SessionLimits, value: number): Error {
    return overLimit(limit, value, this.#limits[limit], this.#options.caller)
  }
}

type Values = Record<string, unknown>

/** Whether a value is a whole number, as the numbers of calls and capabilities are. */
export const isWhole = (value: unknown): value is number => Number.isSafeInteger(value)

const isPlain = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

function referenceGone(id: number): DotdoError {
  return new DotdoError(
    'REFERENCE_GONE',
    `A call refers to the result of call ${id}, which is not there any more. Keep the result until the last call that uses it has been made, or pass its value.`,
    { data: { call: id } },
  )
}

/** The error for what a batch cannot carry, either way. */
export function noWayBack(what: string): DotdoError {
  return new DotdoError(
    'BATCH_ONE_WAY',
    `A batch is one request and one answer: the ${what} in this call or its result could not be asked for anything. Connect by WebSocket for it, or pass a plain value.`,
    { data: { what } },
  )
}

function reserved(name: string): DotdoError {
  return new DotdoError(
    'METHOD_UNKNOWN',
    `There is no method ${JSON.stringify(name.slice(0, 100))}: names with a colon are the framework's own. Call a method of the object.`,
    { data: { method: name.slice(0, 100) } },
  )
}

/** The error for a frame that is none: its session cannot go on, because nobody knows what else the sender means. */
export function frameInvalid(reason: string, frame: unknown): DotdoError {
  // Only its start is told: a frame may be megabytes.
  const [kind, id] = Array.isArray(frame) ? (frame as unknown[]) : [typeof frame]
  const start = [kind, id].map((part) =>
    typeof part === 'string' ? part.slice(0, 40) : typeof part === 'number' ? String(part) : typeof part,
  )
  return new DotdoError(
    'FRAME_INVALID',
    `A frame could not be understood: ${reason} (${start.join(' ')}). The sender has to speak capnweb's protocol.`,
    { data: { reason, frame: start.join(' ') } },
  )
}
