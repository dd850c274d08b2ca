/**
 * The order of calls on one object, where some of them wait for arguments that are on their way.
 *
 * capnweb makes a call when its arguments are there, so one that waits for a promise is overtaken by those that were made after it. A
 * caller that gives a promise numbers its calls from then on, until nothing is on its way any more; the receiver makes numbered calls in
 * the order of their numbers. Calls without a number are made before any of them, because native calls arrive in order.
 */
import type { Frame } from './frames.ts'
import { orderedMethod } from './conversation.ts'
import { asGiven } from './own-bytes.ts'

/** Numbered calls of one message: which wait for which hand-offs. */
export interface CallOrder {
  /** The caller's link, by a name of its own that nobody can guess. */
  gate: string
  calls: [number: number, tickets: string[]][]
}

/** The caller's side, for all programs that call over one link: one does not wait for what another's calls wait for. */
export class OrderSources {
  #newName: () => string
  #sources = new WeakMap<object, OrderSource>()
  #ofNobody: OrderSource | undefined
  #open = 0

  constructor(newName: () => string) {
    this.#newName = newName
  }

  /** The order of the calls of one context. */
  of(context: object | undefined): OrderSource {
    const known = context ? this.#sources.get(context) : this.#ofNobody
    if (known) return known
    const made = new OrderSource(this.#newName, (change) => void (this.#open += change))
    if (context) this.#sources.set(context, made)
    else this.#ofNobody = made
    return made
  }

  /** Whether some call waits, whoever's. */
  get isOpen(): boolean {
    return this.#open > 0
  }
}

/** The calls of one program on the object of one link: numbers them while promises are on their way there. */
export class OrderSource {
  #newName: () => string
  #counted: (change: 1 | -1) => void
  #gate: string | undefined
  #next = 0
  #onTheirWay = 0

  /** @param counted told when one more call waits, or one less */
  constructor(newName: () => string, counted: (change: 1 | -1) => void = () => {}) {
    this.#newName = newName
    this.#counted = counted
  }

  /** The number of a call; `undefined` for one that needs none. @param waits whether it gives what is on its way */
  number(waits: boolean): { gate: string; number: number } | undefined {
    return waits || this.#onTheirWay > 0 ? this.next() : undefined
  }

  /** The number of a call that needs one in any case. */
  next(): { gate: string; number: number } {
    return { gate: (this.#gate ??= this.#newName()), number: this.#next++ }
  }

  /** Whether something is on its way: every call has to have a number then. */
  get isOpen(): boolean {
    return this.#onTheirWay > 0
  }

  /** A call waits for what is on its way; the result is called when it has begun, or never will. */
  setOut(): () => void {
    this.#onTheirWay++
    this.#counted(1)
    return () => {
      this.#onTheirWay--
      this.#counted(-1)
    }
  }
}

/** A pushed call on the object itself, or on a property of it, as one that has its turn. Reads have no arguments. */
export function numbered(frame: Frame, number: number): Frame {
  const [kind, [, target, path, args]] = frame as unknown as [string, [string, number, string[], unknown[] | undefined]]
  const given = args ? [args] : null
  return [kind, ['pipeline', target, [orderedMethod], path.length === 1 ? [number, path[0], given] : [number, null, given, [path]]]]
}

/** The receiver's side: whose turn it is among the calls of one caller. */
export class OrderGate {
  /** Numbers that were announced and neither made nor given up, with what they wait for. */
  #expected = new Map<number, string[]>()
  /** Those that wait, in the order of their numbers. */
  #waiting: { number: number; begin: () => void }[] = []

  get isIdle(): boolean {
    return this.#expected.size === 0
  }

  expect(number: number, tickets: string[]): void {
    this.#expected.set(number, tickets)
  }

  /** Resolves when all calls before this one have been made; `undefined` when that is so. */
  turn(number: number): Promise<void> | undefined {
    if (this.#first() >= number) return undefined
    const { promise, resolve } = Promise.withResolvers<void>()
    const at = this.#waiting.findIndex((it) => it.number > number)
    this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, { number, begin: resolve })
    return promise
  }

  /**
   * Makes a call when it has its turn. What it gives is given as it is where that is now.
   * @param passed told when it was made
   */
  inTurn(number: number, make: () => unknown, passed: () => void): unknown {
    const made = () => {
      try {
        // Those behind it run before what it gives is looked at.
        return this.#waiting.length > 0 ? asGiven(make(), true) : make()
      } finally {
        this.passed(number)
        passed()
      }
    }
    const turn = this.turn(number)
    // No promise of capnweb's, which would let go of the arguments before the call is made.
    return turn ? turn.then(made) : made()
  }

  /** A call was made, or will not be. Those that were not announced begin with those after them: nobody waits for them. */
  passed(number: number): void {
    this.#expected.delete(number)
    const first = this.#first()
    while (this.#waiting.length > 0 && this.#waiting[0]!.number <= first) this.#waiting.shift()!.begin()
  }

  /** A hand-off will not come: the calls that wait for it will not be made. */
  failed(ticket: string): void {
    for (const [number, tickets] of this.#expected) if (tickets.includes(ticket)) this.passed(number)
  }

  #first(): number {
    // Numbers are announced in their order.
    for (const number of this.#expected.keys()) return number
    return Infinity
  }
}

/** All callers' gates at one object. A gate is kept while calls of its caller are expected. */
export class OrderGates {
  #gates = new Map<string, OrderGate>()

  /** Takes up what a message announces. The result gives up what of it was not made, when its session is over. */
  expect({ gate, calls }: CallOrder): () => void {
    let known = this.#gates.get(gate)
    if (!known) this.#gates.set(gate, (known = new OrderGate()))
    for (const [number, tickets] of calls) known.expect(number, tickets)
    return () => {
      for (const [number] of calls) known.passed(number)
      this.#forget(gate)
    }
  }

  /** See {@link OrderGate.inTurn}. */
  inTurn(gate: string | undefined, number: number, make: () => unknown): unknown {
    const known = gate === undefined ? undefined : this.#gates.get(gate)
    return known ? known.inTurn(number, make, () => this.#forget(gate!)) : make()
  }

  /** Resolves when a call has been made, and all before it. */
  begun(gate: string | undefined, number: number): Promise<void> | undefined {
    return gate === undefined ? undefined : this.#gates.get(gate)?.turn(number + 1)
  }

  /** A call will not be made. */
  passed(gate: string | undefined, number: number): void {
    if (gate === undefined) return
    this.#gates.get(gate)?.passed(number)
    this.#forget(gate)
  }

  /** See {@link OrderGate.failed}. */
  failed(ticket: string): void {
    for (const [name, gate] of this.#gates) {
      gate.failed(ticket)
      this.#forget(name)
    }
  }

  /** Gates with calls that are expected: what a test for leaks looks at. */
  get open(): number {
    return this.#gates.size
  }

  #forget(gate: string): void {
    if (this.#gates.get(gate)?.isIdle) this.#gates.delete(gate)
  }
}
