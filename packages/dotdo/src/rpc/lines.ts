/**
 * The order of calls on what calls have given, where some of them wait for results that are under way.
 *
 * capnweb makes a call when its arguments are there, so one that waits is overtaken by those that were made after it. Calls on an object itself have numbers
 * (`order.ts`), because they come over many sessions. A capability lives in one session, whose frames come in their order: so it is the receiver that has
 * later calls on the same reference wait, and the caller only says which calls those are, because it knows what it has given.
 *
 * Invariants of the receiver's lines:
 * 1. A call is made after those whose frames came before it, on the same reference: whatever else leads to the same capability has a line of its own. So a
 *    call waits for nothing but what was called before it, and no two wait for each other.
 * 2. A line stands only while a call of it has not begun: where all arguments are here, frames go on as they came.
 * 3. Where the answer of a call is told, a reference to a capability in it is the same reference as that to its place in the answer.
 * 4. Calls of a `.map` have no place: what a call waits for may be the map. And no call waits for one whose argument the caller itself has to keep: a later
 *    call may be what gives it that.
 */
import { RpcStub } from 'capnweb'
import { frameworkPrefix } from './conversation.ts'
import type { Frame } from './frames.ts'
import { OrderGate } from './order.ts'
import { madeApart, neverMade } from './passing-on.ts'
import { applyNow, type Stub } from './ref.ts'

/** Why a call on what a call has given is marked: its arguments are results under way, or promises of the caller's own, or it is one of a `.map`. */
export type Mark = 'results' | 'own' | 'others'

/** The positions of marked calls among the frames of a message. */
export type Marks = Partial<Record<Mark, number[]>>

/** The caller's side: which of the frames that wait to leave are marked. */
export class MarkedFrames {
  #marks = new WeakMap<Frame, Mark>()
  #any = false

  set(frame: Frame, mark: Mark): void {
    this.#marks.set(frame, mark)
    this.#any = true
  }

  /** What a message of these frames says of them. */
  of(frames: readonly Frame[]): Marks | undefined {
    if (!this.#any) return undefined
    const marks: Marks = {}
    frames.forEach((frame, i) => {
      const mark = this.#marks.get(frame)
      if (mark) (marks[mark] ??= []).push(i)
    })
    return Object.keys(marks).length > 0 ? marks : undefined
  }
}

type Name = string | number

/** The name under which a receiver calls itself for a call that has a place in a line. No other end can. */
const behindMethod = `${frameworkPrefix}behind`

/** The receiver's side: the lines of one session; see the head of this file. */
export class Lines {
  #lines = new Map<string, OrderGate>()
  #next = 0
  /** Where capabilities stood in answers on which lines stand. */
  #stoodAt = new Map<number, Name[]>()

  /** Lines that stand: what a test for leaks looks at. */
  get open(): number {
    return this.#lines.size
  }

  /** The frames of a message as this end takes them: a call that has a place in a line is one of {@link Lines.behind}. */
  placed(frames: readonly Frame[], marked: ReadonlyMap<Frame, Mark>): readonly Frame[] {
    if (marked.size === 0 && this.#lines.size === 0) return frames
    return frames.map((frame) => this.#placed(frame, marked.get(frame)))
  }

  #placed(frame: Frame, mark: Mark | undefined): Frame {
    const call = callIn(frame)
    if (!call || mark === 'others') return frame
    const key = this.#keyOf(call.id, call.path.slice(0, -1))
    let line = this.#lines.get(key)
    if (!line) {
      if (mark !== 'results') return frame
      this.#lines.set(key, (line = new OrderGate()))
    }
    const number = this.#next++
    if (mark !== 'own') line.expect(number, [])
    const { id, path, args } = call
    const to = path.slice(0, -1)
    // capnweb puts what this is, when it is there, in its place. A capability of this end's is there.
    const on = to.length > 0 ? ['pipeline', id, to] : [id < 0 ? 'import' : 'pipeline', id]
    return ['push', ['pipeline', 0, [behindMethod], [key, number, path.at(-1) ?? null, args ? [args] : null, on]]]
  }

  /** Takes note of a frame that this end says: invariant 3. */
  said([kind, id, value]: Frame): void {
    if (kind !== 'resolve' || this.#lines.size === 0) return
    const from = this.#stoodAt.get(id as number) ?? [id as number]
    const look = (part: unknown, at: Name[]): void => {
      if (typeof part !== 'object' || part === null) return
      if (!Array.isArray(part)) {
        if (Object.getPrototypeOf(part) === Object.prototype)
          for (const name in part) look((part as Record<string, unknown>)[name], [...at, name])
      } else if (part.length === 1 && Array.isArray(part[0])) (part[0] as unknown[]).forEach((it, i) => look(it, [...at, String(i)]))
      else if (part[0] === 'export' || part[0] === 'promise') this.#stoodAt.set(part[1] as number, at)
    }
    const start = JSON.stringify(from).slice(0, -1)
    for (const key of this.#lines.keys()) if (key.startsWith(start)) return look(value, from)
  }

  /** Makes a call that has a place in a line, or a read where there are no `args`, on what `on` is by now. */
  readonly behind = Object.assign(
    (key: string, number: number, name: Name | null, args: unknown[] | null, on: unknown): unknown =>
      this.#pass(key, () => {
        const path = name === null ? [] : [String(name)]
        const make = () =>
          madeApart(() => (on instanceof RpcStub ? applyNow(on as unknown as Stub, path, args ?? undefined) : callPart(on, path, args)))
        const line = this.#lines.get(key)
        return line ? line.inTurn(number, make, () => this.#forget(key)) : make()
      }),
    {
      [neverMade]: ([key, number]: [string, number]) => {
        this.#lines.get(key)?.passed(number)
        this.#forget(key)
      },
    },
  )

  #pass<T>(key: string, make: () => T): T {
    try {
      return make()
    } finally {
      this.#forget(key)
    }
  }

  #forget(key: string): void {
    if (!this.#lines.get(key)?.isIdle) return
    this.#lines.delete(key)
    if (this.#lines.size === 0) this.#stoodAt.clear()
  }

  #keyOf(id: number, to: readonly Name[]): string {
    return JSON.stringify([...(this.#stoodAt.get(id) ?? [id]), ...to.map(String)])
  }
}

/** The call, or the read, that a frame makes on what a call has given. */
function callIn([kind, expression]: Frame): { id: number; path: Name[]; args: unknown[] | undefined } | undefined {
  if (kind !== 'push' || !Array.isArray(expression)) return undefined
  const [what, id, path = [], args] = expression as [unknown, unknown, unknown?, unknown[]?]
  if (what !== 'pipeline' || typeof id !== 'number' || id === 0 || !Array.isArray(path)) return undefined
  return { id, path: path as Name[], args }
}

/** What is called on data may be a capability in it, and is not there otherwise: capnweb says so. */
function callPart(on: unknown, path: string[], args: unknown[] | null): unknown {
  const data = new RpcStub({ on } as never) as unknown as Stub
  const result = applyNow(data, ['on', ...path], args ?? undefined)
  const letGo = () => data[Symbol.dispose]()
  ;(result as unknown as PromiseLike<unknown>).then(letGo, letGo)
  return result
}
