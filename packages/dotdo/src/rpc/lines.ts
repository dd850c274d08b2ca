/**
 * The order of calls on what calls have given, where some of them wait for results that are under way.
 *
 * capnweb makes a call when its arguments are there, so one that waits is overtaken by those that were made after it. Calls on an object itself have numbers
 * (`order.ts`), because they come over many sessions. A capability lives in one session, whose frames come in their order: so it is the receiver that has
 * later calls on the same reference wait, and the caller only says which calls those are, because it knows what it has given. A reference that each turn
 * asks for anew lives in many sessions: its calls have numbers as those on an object have, and stand in one line at the object (invariant 6).
 *
 * Invariants of the receiver's lines:
 * 1. A call is made after those whose frames came before it, on the same reference: whatever else leads to the same capability has a line of its own. So a
 *    call waits for nothing but what was called before it, and no two wait for each other.
 * 2. A line stands only while a call of it has not begun: where all arguments are here, frames go on as they came.
 * 3. A capability is the same reference as the place at which it stood in an answer, and what a read gives the same as what it reads.
 * 4. A call is made on what its frame names, in place: what that is of is not released before. It is made when that has come, and on what has come: a call on a promise
 *    would be steps of promises later than one on the capability that it has given.
 * 5. Calls of a `.map`, and what is passed on for others, have no place: what a call waits for may be they. And no call waits for one whose argument the caller itself has to keep: a later
 *    call may be what gives it that.
 * 6. A call on what its turn has asked for anew is made when that is there, and after those with smaller numbers under the same unguessable name: so no peer holds up what others
 *    call, and no longer than its session lasts.
 */
import { RpcPromise, RpcStub } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { frameworkPrefix, inTurnMethod, onceOfMethod } from './conversation.ts'
import { goneWords } from './errors.ts'
import type { Frame } from './frames.ts'
import { OrderGate, type CallOrder, type OrderSource } from './order.ts'
import { isApart, isResult, madeApart, neverMade, rawOf, type Hook, type Session } from './passing-on.ts'
import { callIn, type Name, type PushedCall } from './pushed-call.ts'
import { applyNow, type Stub } from './ref.ts'
import { frameInvalid } from './value-guard.ts'

/** Why a call on what a call has given is marked: its arguments are results under way, or promises of the caller's own, or it is one of a `.map`. */
export type Mark = 'results' | 'own' | 'others'

/** The positions of marked calls among the frames of a message. */
export type Marks = Partial<Record<Mark, number[]>>

/**
 * The places of calls on references that each turn asks for anew, a reference each: the `position` of a call among the frames of its message, its number among
 * the calls of that reference over all turns, and whether it is given promises of the caller's own, so that none waits for it.
 */
export type Places = { gate: string; calls: [position: number, number: number, own?: true][] }[]

/** The place of one call. */
interface Place {
  gate: string
  number: number
  own: boolean
}

/** What a call is given that is not there when it is made. */
export interface Given {
  /** Results of calls on others. */
  results: boolean
  /** Results of calls on the far end. */
  there: boolean
  /** Promises that only the program itself can keep. */
  own: boolean
}

/** The caller's side: which of the frames that a session says are marked. */
export class Marking {
  #marks: WeakMap<Frame, Mark> | undefined
  /** By the number of what a turn was given: the reference that it has asked for, whose calls of all turns stand in one line. */
  #references: Map<number, OrderSource> | undefined
  #places: WeakMap<Frame, Place> | undefined
  /** What the call that is being made now is given. */
  #given: Given = nothingGiven()
  /** Whether calls find their places without a mark. */
  #areApart = false

  /**
   * To be made before anything that lets go of what a call was given: the call is then what was said last.
   * @param inside of the session whose calls are marked
   * @param said the frames that wait to leave
   * @param onMain told of a call on the far end's main capability that was said: it has another order
   */
  constructor(inside: Session, said: { readonly queued: readonly Frame[] }, onMain?: (given: Given) => void) {
    const { sendCall, exportPromise, getImport } = inside
    inside.sendCall = (id, path, args) => {
      const send = () => Reflect.apply(sendCall, inside, [id, path, args])
      const isOfStep = path[0] === onceOfMethod
      const reference = this.#references && path.length > 0 ? this.#references.get(id) : undefined
      if ((this.#areApart && !reference) || (isOfFramework(path) && !isOfStep)) return send()
      const before = said.queued.length
      const { made, given } = this.noting(send)
      const frame = said.queued.at(-1)
      // What could not be sent has said nothing.
      if (said.queued.length === before || frame![0] !== 'push') return made
      const isOthers = isApart(args)
      if (id === 0 && onMain && !isOfStep) {
        if (!isOthers) onMain(given)
        return made
      }
      if (reference && !isOthers) {
        this.#places!.set(frame!, { ...reference.next(), own: given.own })
        return made
      }
      const mark = isOthers ? 'others' : given.own ? 'own' : given.results || given.there ? 'results' : undefined
      if (mark) this.set(frame!, mark)
      return made
    }
    inside.exportPromise = (hook) => {
      if (isResult(hook)) this.#given.results = true
      else this.#given.own = true
      return Reflect.apply(exportPromise, inside, [hook])
    }
    inside.getImport = (hook) => {
      const id = Reflect.apply(getImport, inside, [hook])
      if (id !== undefined && id > 0) this.#given.there = true
      return id
    }
  }

  /** Makes calls that find their places by themselves. */
  apart<T>(work: () => T): T {
    const before = this.#areApart
    this.#areApart = true
    try {
      return work()
    } finally {
      this.#areApart = before
    }
  }

  /** Makes a call, and notes what it is given. */
  noting<T>(work: () => T): { made: T; given: Given } {
    const before = this.#given
    const given = (this.#given = nothingGiven())
    try {
      return { made: work(), given }
    } finally {
      this.#given = before
    }
  }

  /** The calls on what the far end gives for this number have places among those of other turns. */
  follow(id: number, source: OrderSource): void {
    this.#references ??= new Map()
    this.#places ??= new WeakMap()
    this.#references.set(id, source)
  }

  set(frame: Frame, mark: Mark): void {
    this.#marks ??= new WeakMap()
    this.#marks.set(frame, mark)
  }

  /** What a message of these frames says of them. */
  of(frames: readonly Frame[]): Marks | undefined {
    const known = this.#marks
    if (!known) return undefined
    const marks: Marks = {}
    frames.forEach((frame, i) => {
      const mark = known.get(frame)
      if (mark) (marks[mark] ??= []).push(i)
    })
    return Object.keys(marks).length > 0 ? marks : undefined
  }

  /** What a message of these frames says of calls that have places over all turns. */
  placesOf(frames: readonly Frame[]): Places | undefined {
    if (!this.#places) return undefined
    const places = new Map<string, Places[number]>()
    frames.forEach((frame, i) => {
      const place = this.#places!.get(frame)
      if (!place) return
      const { gate, number, own } = place
      let known = places.get(gate)
      if (!known) places.set(gate, (known = { gate, calls: [] }))
      known.calls.push(own ? [i, number, true] : [i, number])
    })
    return places.size > 0 ? [...places.values()] : undefined
  }
}

const nothingGiven = (): Given => ({ results: false, there: false, own: false })

/** Whether a path leads to a method of the framework. */
const isOfFramework = ([name]: readonly unknown[]): boolean => typeof name === 'string' && name.startsWith(frameworkPrefix)

/** The calls of an envelope that are marked or have places over all turns, by their frames. @throws `FRAME_INVALID` */
export function marked(envelope: { marks?: Marks; places?: Places; frames: readonly Frame[] }): ReadonlyMap<Frame, Mark | Place> {
  const { marks, places, frames } = envelope
  const found = new Map<Frame, Mark | Place>()
  for (const mark of ['results', 'own', 'others'] as const) {
    const positions: unknown = marks?.[mark]
    if (Array.isArray(positions)) for (const at of positions as number[]) if (frames[at]) found.set(frames[at], mark)
  }
  if (places === undefined) return found
  if (!Array.isArray(places) || !places.every(arePlaces)) throw frameInvalid('its places name no calls', places)
  for (const { gate, calls } of places)
    for (const [at, number, own] of calls) if (frames[at]) found.set(frames[at], { gate, number, own: own === true })
  return found
}

const arePlaces = (it: Places[number] | null): boolean =>
  typeof it?.gate === 'string' && Array.isArray(it.calls) && it.calls.every((call) => Array.isArray(call) && Number.isSafeInteger(call[1]))

/** The name under which a receiver calls itself for a call that has a place in a line. */
const behindMethod = `${frameworkPrefix}behind`

/** What a receiver's lines need of their session. */
export interface LinesPorts {
  /** What a number stands for. */
  exported(id: number): Hook | undefined
  /** Has the session take frames later. */
  deliver(frames: Frame[]): void
  /** Takes up calls that have places among those of other sessions. Absent where all come over one. */
  expect?(order: CallOrder): void
}

/** The receiver's side: the lines of one session; see the head of this file. */
export class Lines {
  #ports: LinesPorts
  #lines = new Map<string, OrderGate>()
  #next = 0
  /** The number that the other end gives to its next call. */
  #nextCall = 1
  /** Which references numbers are the same as: capabilities, where they stood in answers, and reads. Forgotten with their release. */
  #sameAs = new Map<number, Name[]>()
  /** Whether a capability was given since a frame was said last. */
  #hasGiven = false
  /** Releases of what calls in lines are made on: they wait for these. */
  #releases: { root: number; frame: Frame }[] = []

  constructor(ports: LinesPorts) {
    this.#ports = ports
  }

  /** Watches what a session gives away. */
  watch(inside: Session): void {
    const { exportStub } = inside
    inside.exportStub = (hook) => {
      this.#hasGiven = true
      return Reflect.apply(exportStub, inside, [hook])
    }
  }

  /** Lines that stand: what a test for leaks looks at. */
  get open(): number {
    return this.#lines.size
  }

  /** The frames of a message as this end takes them: a call that has a place in a line is one of {@link Lines.behind}. */
  placed(frames: readonly Frame[], marked: ReadonlyMap<Frame, Mark | Place>): readonly Frame[] {
    let taken: Frame[] | undefined
    const orders = new Map<string, CallOrder>()
    for (const [i, frame] of frames.entries()) {
      const placed = this.#taken(frame, marked.get(frame), orders)
      if (placed !== frame) taken ??= frames.slice(0, i)
      if (placed) taken?.push(placed)
    }
    for (const order of orders.values()) this.#ports.expect!(order)
    return taken ?? frames
  }

  #taken(frame: Frame, mark: Mark | Place | undefined, orders: Map<string, CallOrder>): Frame | undefined {
    const [kind, id] = frame
    if (kind === 'release') return this.#released(frame, id as number)
    if (kind === 'stream' || kind === 'pipe') this.#nextCall++
    if (kind !== 'push') return frame
    const number = this.#nextCall++
    const call = callIn(frame)
    if (!call) return frame
    if (!call.args) this.#sameAs.set(number, [...this.#of(call.id), ...call.path.map(String)])
    if (typeof mark === 'object') return this.#ports.expect && call.id !== 0 ? inTurn(call, mark, orders) : frame
    // Most calls: nothing waits.
    if (this.#lines.size === 0 && mark !== 'results') return frame
    return mark === 'others' ? frame : this.#placed(frame, call, mark)
  }

  #placed(frame: Frame, { on, id, path, args }: PushedCall, mark: Mark | undefined): Frame {
    const key = JSON.stringify([...this.#of(on.id), ...on.path.map(String)])
    let line = this.#lines.get(key)
    if (!line) {
      if (mark !== 'results') return frame
      this.#lines.set(key, (line = new OrderGate()))
    }
    const number = this.#next++
    if (mark !== 'own') line.expect(number, [])
    return ['push', ['pipeline', 0, [behindMethod], [key, number, id, [path], args ? [args] : null]]]
  }

  #released(frame: Frame, id: number): Frame | undefined {
    if (this.#lines.size > 0) {
      const root = this.#of(id)[0] as number
      if ([...this.#lines.keys()].some((key) => key.startsWith(`[${root},`) || key === `[${root}]`)) {
        this.#releases.push({ root, frame })
        return undefined
      }
    }
    this.#sameAs.delete(id)
    return frame
  }

  /** Takes note of a frame that this end says: invariant 3. */
  said([kind, id, value]: Frame): void {
    if (kind !== 'resolve' || !this.#hasGiven) return
    this.#hasGiven = false
    const look = (part: unknown, at: Name[]): void => {
      if (typeof part !== 'object' || part === null) return
      if (!Array.isArray(part)) {
        if (Object.getPrototypeOf(part) === Object.prototype)
          for (const name in part) look((part as Record<string, unknown>)[name], [...at, name])
      } else if (part.length === 1 && Array.isArray(part[0])) (part[0] as unknown[]).forEach((it, i) => look(it, [...at, String(i)]))
      else if (part[0] === 'export') this.#sameAs.set(part[1] as number, at)
    }
    look(value, this.#of(id as number))
  }

  /** Makes a call that has a place in a line, or a read where there are no `args`, on what a number stands for. */
  readonly behind = Object.assign(
    (key: string, number: number, id: number, path: Name[], args: unknown[] | null): unknown => {
      const make = () => {
        const hook = this.#ports.exported(id)
        if (!hook) throw new DotdoError('REFERENCE_GONE', goneWords)
        return madeApart(() => applyNow(new RpcStub(come(hook) as never) as unknown as Stub, path.map(String), args ?? undefined))
      }
      const inLine = () => {
        const line = this.#lines.get(key)
        return line ? line.inTurn(number, make, () => this.#forget(key)) : make()
      }
      const whenCome = (): unknown => {
        const on = this.#ports.exported(id)
        const due = on && come(on).promise
        // What it gives may be a promise again. Its failure is told by the call itself.
        return due ? due.then(whenCome, inLine) : inLine()
      }
      return whenCome()
    },
    {
      [neverMade]: ([key, number]: [string, number]) => {
        this.#lines.get(key)?.passed(number)
        this.#forget(key)
      },
    },
  )

  #forget(key: string): void {
    if (!this.#lines.get(key)?.isIdle) return
    this.#lines.delete(key)
    if (this.#releases.length === 0) return
    // What is called on a promise waits for that by itself, from now on.
    const releases = this.#releases
      .splice(0)
      .map(({ frame }) => this.#released(frame, frame[1] as number))
      .filter((frame) => frame !== undefined)
    if (releases.length > 0) this.#ports.deliver(releases)
  }

  /** The reference that a number is the same as. */
  #of(id: number): Name[] {
    return this.#sameAs.get(id) ?? [id]
  }
}

/** What a promise stands for as far as it has been kept: one of another promise, where a method has given that. */
function come(from: Hook): Hook {
  let hook = from
  for (;;) {
    const value = hook.payload?.value
    const next = hook.resolution ?? (value instanceof RpcPromise ? rawOf(value).hook : undefined)
    if (!next) return hook
    hook = next
  }
}

/**
 * A call that has its place among those of other turns. It is given what it is made on, so it waits for that as for its arguments, and holds it until then:
 * what a turn has asked for is released with the turn.
 */
function inTurn({ id, path, args }: PushedCall, { gate, number, own }: Place, orders: Map<string, CallOrder>): Frame {
  let order = orders.get(gate)
  if (!order) orders.set(gate, (order = { gate, calls: [] }))
  if (!own) order.calls.push([number, []])
  return ['push', ['pipeline', 0, [inTurnMethod], [gate, number, ['pipeline', id], [path], args ? [args] : null]]]
}
