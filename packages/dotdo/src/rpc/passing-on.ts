/**
 * What comes over one session of capnweb and goes on over another: the arguments that a client's call brings to the Worker and the Worker takes to
 * an object, and the results on their way back.
 *
 * capnweb 0.12 passes on plain values, stubs and promises. What it does not do is mended here, on its own objects, because it has no place to do it from
 * outside. Each part has a case in the conformance suite:
 *
 * 1. A capability that comes home (`['import', id]`) is a stub, wherever it is used next. capnweb makes a promise of it that nothing can pull.
 * 2. A stream goes on, both ways; capnweb refuses it. A writable goes over to whom it is passed, so that it outlives the call that brought it.
 * 3. What arguments have brought is let go of when they have been passed on: the next session holds what it needs. capnweb keeps it for good.
 * 4. Arguments that cannot be passed on fail their call. In capnweb they end the session that they came by.
 * 5. A promise among the arguments of a call that cannot be made is let go of. In capnweb its end is a rejection that nobody handles.
 * 6. What a `.map` takes along that goes on to where it came from is let go of (`mapper.ts`). capnweb keeps the copy for good.
 * 7. A value whose parts stand in so many places that no message can hold them is refused. capnweb writes them all down.
 * 8. An element of a list is found by its place. In capnweb it is `undefined`, silently. What is not there is told of (`lacking.ts`).
 * 9. A method is told of a call of it whose arguments failed, where it asks for that. In capnweb only the caller hears of it.
 * 10. What a method gives is what it was then. capnweb looks at it later, when others may have written to it.
 * 11. An error has the name that it left with. capnweb keeps those of JavaScript's own classes.
 * 12. A promise that the other end has answered goes on as its value. capnweb goes on naming it by its number, which is given back by then.
 * 13. A stream goes to one reader: whoever else is given it is told (`given-streams.ts`). In capnweb it looks empty there.
 * 14. A copy or a part of a promise that fails, of which nobody asks, is no rejection that nobody handles.
 */
import { RpcPromise, RpcStub, type RpcSession, type RpcTarget } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { named } from './errors.ts'
import { deliverOnce, sendOnce } from './given-streams.ts'
import { insideOfStub } from './inside-of-stub.ts'
import { firstOnPath, isLacking, lacks, notCallable, ofListOnPath, privateOnPath, standsBefore } from './lacking.ts'
import { afterDisposal, sendMapped } from './mapper.ts'
import { isGetter, isReachable } from './members.ts'
import { asGiven, givesItsOwn } from './own-bytes.ts'
import { refuseOverweight } from './shared-parts.ts'

/** What capnweb keeps behind a stub: only what is touched here, in `shortcuts.ts` and in `client-session.ts`. */
export interface Hook {
  dup(): Hook
  dispose(): void
  ignoreUnhandledRejections(): void
  call(path: Path, args: Payload): Hook
  get(path: Path): Hook
  map(path: Path, captures: Hook[], instructions: unknown[]): Hook
  /** Of what has failed. */
  error?: unknown
  /** Of what is not there yet, here. */
  promise?: Promise<unknown>
  /** Of a stream: what is read from, or the writer of what is written to. */
  state?: { stream?: ReadableStream; writer?: unknown }
  /** Of something at the other end of a session: where it is listed, and how many hooks here stand on that. */
  entry?: {
    session: Session
    importId: number
    localRefcount: number
    activePull?: { promise: Promise<unknown> }
    resolution?: Hook
    [isKeptThere]?: true
  }
  /** Of a promise that is here, once it is kept. */
  resolution?: Hook
  /** Of a value that is here. */
  payload?: Payload
  /** Of a capability that is here. */
  target?: object
  /** Of an element of a list over which the function of a `.map` goes, and of what is made of it. */
  mapper?: object
  [isGiven]?: true
}

/** A value of capnweb's with what it holds. One that came over a session, or was copied, owns that. */
interface Payload {
  value: unknown
  source: 'params' | 'return' | 'owned'
  hooks: Hook[]
  promises: { promise: object }[]
  /** What a returned value holds of the program's own. */
  rpcTargets?: Map<object, Hook>
  dispose(): void
  ignoreUnhandledRejections(): void
  /** Whether it is given to a call that was made on behalf of others. */
  isGivenApart?: true
  deliverTo: (this: Payload, parent: unknown, property: unknown, promises: unknown[]) => void
  deliverCall: (this: Payload, method: (...args: unknown[]) => unknown, on: unknown) => Promise<Payload>
  getHookForReadableStream: HookOf<ReadableStream>
  getHookForWritableStream: HookOf<WritableStream>
}

type HookOf<S> = (this: Payload, stream: S, parent: unknown, dup?: boolean) => Hook

/** What is touched in a session of capnweb's. */
export interface Session {
  sendCall: (id: number, path: unknown[], args?: Payload) => Hook
  sendStream: (id: number, path: unknown[], args: Payload) => { promise: Promise<unknown>; size: number }
  createPipe: (stream: ReadableStream, hook: Hook) => number
  exportStub: (hook: Hook) => number
  exportPromise: (hook: Hook) => number
  importStub: (id: number) => Hook
  importPromise: (id: number) => Hook
  /** What its other end can name, by numbers of either sign. */
  exports: Record<number, { hook: Hook } | undefined>
  /** What a number stands for, to go on from there. */
  getExport: (id: number) => Followed | undefined
  /** The number of what the other end has given; `undefined` for what is not its. */
  getImport: (hook: Hook) => number | undefined
}

/** The inside of a session. */
export const insideOf = (session: RpcSession): Session => rawOf(session.getRemoteMain()).hook.entry!.session

/** What a number stands for that a session has given. */
export const exportOf = (session: RpcSession, id: number): Hook | undefined => insideOf(session).exports[id]?.hook

/** What a session passes on, and how. */
export interface PassingOn {
  /** Streams cannot leave by this session: what is thrown instead. */
  refuseStreams?: () => Error
  /**
   * Runs `then` a little later than now on the clock of the platform. capnweb measures how fast a stream goes, and where the clock stands still for
   * the length of a round trip it divides nothing by nothing and never wakes a writer again: so no answer comes at the time of its question.
   */
  later?: (then: () => void) => void
  /** Whether all that comes over this session is written by one program, which finds nothing in between: calls of it that go on keep their order. */
  isProgram?: boolean
}

/** Lets a session take what came over others, and give what goes on over others. */
export function passOn(session: RpcSession, { refuseStreams, later, isProgram }: PassingOn = {}): void {
  mendPayloads()
  sendMapped(session)
  const inside = insideOf(session)
  const { sendCall, sendStream, createPipe, exportStub, importPromise, getImport } = inside
  let isArgument = false
  inside.createPipe = (stream, hook) => Reflect.apply(createPipe, inside, [sendOnce(stream, isArgument), hook])
  if (!isProgram)
    inside.getExport = (id) => {
      const entry = inside.exports[id]
      return entry && new GoingOn(entry.hook)
    }
  // A promise that the other end has answered has no number there any more.
  inside.getImport = (hook) => (hook.entry?.resolution ? undefined : Reflect.apply(getImport, inside, [hook]))
  /** Promises of the other end, while calls may be made on them. */
  const theirs = new Map<number, NonNullable<Hook['entry']>>()
  inside.importPromise = (id) => {
    const promised = Reflect.apply(importPromise, inside, [id])
    // One that is let go of before it is kept tells those who wait for it: that may be nobody.
    const kept = () => void theirs.delete(id)
    promised.entry?.activePull?.promise.then(kept, kept)
    promised.entry![isKeptThere] = true
    theirs.set(id, promised.entry!)
    return promised
  }
  inside.sendCall = (id, path, args) => {
    // What cannot be sent is disposed of, and tells nothing any more.
    const isOwned = args?.source === 'owned'
    let sent: Hook
    isArgument = true
    try {
      sent = Reflect.apply(sendCall, inside, [id, path, args])
    } catch (error) {
      if (!isOwned) throw error
      return failed(error)
    } finally {
      isArgument = false
    }
    if (isOwned) args.dispose()
    // What is asked of a promise that the other end keeps comes when that is kept.
    const asked = theirs.get(id)
    if (asked && !asked.resolution && sent.entry) sent.entry[isKeptThere] = true
    return sent
  }
  if (later) {
    inside.sendStream = (id, path, args) => {
      const { promise, size } = Reflect.apply(sendStream, inside, [id, path, args])
      const moment = () => new Promise<void>(later)
      return { size, promise: promise.then(moment, (error: unknown) => moment().then(() => Promise.reject(error as Error))) }
    }
  }
  if (refuseStreams) {
    inside.createPipe = () => {
      throw refuseStreams()
    }
    inside.exportStub = (hook) => {
      if (hook.state?.writer) throw refuseStreams()
      return Reflect.apply(exportStub, inside, [hook])
    }
  }
}

/** By which a promise tells that the other end of its session keeps it by itself: no call of this end gives it. */
const isKeptThere: unique symbol = Symbol('kept at the other end')

/** By which a promise of this isolate tells that it is what a call has given, or will. A set of them would cost each call more than all else here. */
const isGiven: unique symbol = Symbol('given by a call')

/** Takes note of what a call gives. */
export function asResult(hook: Hook): Hook {
  if (hook.promise) hook[isGiven] = true
  return hook
}

/** Whether a promise is what a call gives that was made before now, over whichever session, or is here: no later call is what keeps it. */
export const isResult = (hook: Hook): boolean =>
  hook.entry ? hook.entry.resolution !== undefined || hook.entry[isKeptThere] !== true : !hook.promise || hook[isGiven] === true

/** Calls that are made now on behalf of others, one within the other. */
let apart = 0

/**
 * Whether a call with these arguments, or a read without any, is one that this program has not written: one of a `.map`, for an element of a list that is here,
 * or one that came over a session and goes on. It has no place among the program's own, one of which may wait for what it gives.
 */
export const isApart = (args?: Payload): boolean => apart > 0 || args?.isGivenApart === true

/** Makes calls on behalf of others. */
export function madeApart<T>(work: () => T): T {
  apart++
  try {
    return work()
  } finally {
    apart--
  }
}

/** Runs what is the program's own again. */
function ofProgram<T>(work: () => T): T {
  const before = apart
  apart = 0
  try {
    return work()
  } finally {
    apart = before
  }
}

/** What is done to what a session has given, when its other end names it. */
export type Followed = Pick<Hook, 'call' | 'get' | 'map' | 'dup'>

/**
 * What a session finds where a call of its other end is made: what goes on from here goes on apart. There is one for each call, used at once, so it is of one shape
 * and leaves what it stands for as that is: an object that has another behind it is slow wherever it is used after that.
 */
class GoingOn implements Followed {
  #hook: Hook

  constructor(hook: Hook) {
    this.#hook = hook
  }

  call(path: Path, args: Payload): Hook {
    apart++
    try {
      return this.#hook.call(path, args)
    } finally {
      apart--
    }
  }

  get(path: Path): Hook {
    apart++
    try {
      return this.#hook.get(path)
    } finally {
      apart--
    }
  }

  map(path: Path, captures: Hook[], instructions: unknown[]): Hook {
    apart++
    try {
      return this.#hook.map(path, captures, instructions)
    } finally {
      apart--
    }
  }

  /** Nothing is done by that. */
  dup(): Hook {
    return this.#hook.dup()
  }
}

/** What stands behind a stub. */
export const rawOf = (stub: unknown) => Reflect.get(stub as object, insideOfStub) as { hook: Hook; pathIfPromise?: unknown[] }

/** capnweb's class of values, once it was asked for. */
let values: { fromAppParams: (args: unknown) => Payload } | undefined

/** Arguments as a call of capnweb's takes them: they stay the program's own. */
export function asArguments(args: unknown[]): Payload {
  values ??= rawOf(new RpcStub({} as never)).hook.payload!.constructor as unknown as NonNullable<typeof values>
  return values.fromAppParams(args)
}

/**
 * The promise of what has failed: whatever is called on it fails by the same error, and nobody has to ask. It stands on capnweb's own hook for that, on which
 * every stub stands that was let go of.
 */
export function failing(error: unknown): object {
  return Reflect.construct(RpcPromise, [failed(error), []]) as object
}

function failed(error: unknown): Hook {
  const Failed = afterDisposal.constructor as new (error: unknown) => Hook
  return new Failed(error)
}

/** What a method has under this name is told of its calls that cannot be made because an argument failed: by what else was given. */
export const neverMade: unique symbol = Symbol('never made')

/** By which capnweb's class tells that it is mended, and whether this module has seen that. */
const mended = Symbol('mended')
let isMended = false

/** Mends capnweb's classes of values: once in an isolate, however many sessions there are. What is followed without a session calls it itself. */
export function mendPayloads(): void {
  if (isMended) return
  const sample = typeof insideOfStub === 'symbol' && rawOf(new RpcStub({} as never)).hook.payload
  if (!sample)
    throw new DotdoError(
      'INTERNAL',
      'This release of capnweb keeps its values in another way than dotdo knows. Install the release that dotdo names.',
    )
  const payloads = Object.getPrototypeOf(sample) as Payload & {
    [mended]?: true
    constructor: {
      forEvaluate: (hooks: Hook[], promises: Payload['promises']) => Payload
      fromAppParams: (args: unknown) => Payload
      fromAppReturn: (value: unknown) => Payload
    }
  }
  isMended = true
  if (payloads[mended]) return
  payloads[mended] = true
  mendPromises(Object.getPrototypeOf(rawOf(new RpcPromise(Promise.resolve() as never)).hook) as Promises)
  mendPaths(Object.getPrototypeOf(Object.getPrototypeOf(rawOf(new RpcStub({} as never)).hook)) as Paths)
  const { getHookForReadableStream, getHookForWritableStream } = payloads
  const writableHooks = new WeakMap<WritableStream, Hook>()
  payloads.getHookForReadableStream = function (stream, parent, dup) {
    if (this.source !== 'owned') return Reflect.apply(getHookForReadableStream, this, [stream, parent, dup])
    const known = this.hooks.find(({ state }) => state?.stream === stream)
    return known ? known.dup() : fromHere(this, () => Reflect.apply(getHookForReadableStream, this, [stream, parent, dup]))
  }
  payloads.getHookForWritableStream = function (stream, parent, dup) {
    if (this.source !== 'owned') {
      // One that capnweb has delivered here is locked by the hook that it was delivered with.
      const before = stream.locked && !this.rpcTargets?.has(stream) ? writableHooks.get(stream) : undefined
      if (!before?.state) {
        const made = Reflect.apply(getHookForWritableStream, this, [stream, parent, dup])
        writableHooks.set(stream, made)
        return made
      }
      const again = before.dup()
      if (this.source === 'params') return again
      // What is returned belongs to whom it is returned to; a second end of what it was before does nothing.
      before.dispose()
      if (dup === false) return again
      this.rpcTargets ??= new Map()
      this.rpcTargets.set(stream, again)
      return again.dup()
    }
    const taken = takeWritable(this)
    // One that was copied here is locked by its hook; one that came is written to by a new one, which closes what it stands on.
    return taken?.state?.writer ? taken : fromHere(this, () => Reflect.apply(getHookForWritableStream, this, [stream, parent, dup]))
  }
  const { deliverTo, deliverCall } = payloads
  payloads.deliverTo = function (parent, property, promises) {
    Reflect.apply(deliverTo, this, [parent, property, promises])
    // What a promise gives, in its place in something else.
    if (parent !== this) for (const { state } of this.hooks) if (state?.stream) deliverOnce(state.stream)
  }
  payloads.deliverCall = function (method, on) {
    let isMade = false
    const made = function (this: unknown, ...args: unknown[]): unknown {
      isMade = true
      return ofProgram(() => (isItsOwn ? Reflect.apply(method, this, args) : asGiven(Reflect.apply(method, this, args))))
    }
    const { [neverMade]: never, [givesItsOwn]: isItsOwn } = method as { [neverMade]?: (args: unknown) => void; [givesItsOwn]?: true }
    if (!never) return Reflect.apply(deliverCall, this, [made, on])
    const { value } = this
    const delivered = Reflect.apply(deliverCall, this, [made, on])
    delivered.catch(() => {
      if (!isMade) never(value)
    })
    return delivered
  }
  const ignore = Reflect.get(payloads, 'ignoreUnhandledRejections') as () => void
  payloads.ignoreUnhandledRejections = function () {
    try {
      Reflect.apply(ignore, this, [])
    } catch (thrown) {
      // It looks for promises in all of a result, and a circle has no end. Whoever asks for that is told so.
      if (!(thrown instanceof RangeError)) throw thrown
    }
  }
  const { fromAppParams, fromAppReturn } = payloads.constructor
  payloads.constructor.fromAppParams = function (args) {
    refuseOverweight(args)
    return Reflect.apply(fromAppParams, this, [args])
  }
  payloads.constructor.fromAppReturn = function (value) {
    refuseOverweight(value)
    return Reflect.apply(fromAppReturn, this, [value])
  }
  Object.setPrototypeOf(ReadPayload.prototype, payloads)
  payloads.constructor.forEvaluate = (hooks, promises) => new ReadPayload(hooks, promises) as unknown as Payload
}

/**
 * A value that a frame brings, of capnweb's class: what stands in it is looked at when it is set first, which is when all of it is there and its hooks are known.
 * It has that of its own, because each message has many: one that is made as capnweb makes it, and changed then, costs more than it is read for.
 */
class ReadPayload {
  source: Payload['source'] = 'owned'
  hooks: Hook[]
  promises: Payload['promises']
  rpcTargets: Payload['rpcTargets'] = undefined
  #isRead = false
  #value: unknown = null

  constructor(hooks: Hook[], promises: Payload['promises']) {
    this.hooks = hooks
    this.promises = promises
  }

  get value(): unknown {
    return this.#value
  }

  set value(value: unknown) {
    this.#value = this.#isRead ? value : visit(value, this.hooks.length > 0 ? asStub(this.hooks) : same)
    this.#isRead = true
  }
}

/** What is made of a promise that is here. */
type Promises = Paths & { dup: (this: Hook) => Hook; constructor: new (promise: Promise<unknown>) => Hook }

/**
 * A copy or a part of a promise may be asked for by nobody, and the promise may fail: whoever asks is told. What is made of a result is one; and what a `.map`
 * makes of it is the map's, also when it is made later.
 */
function mendPromises(hooks: Promises): void {
  const { dup, get, call, map } = hooks
  const alike = (from: Hook, made: Hook) => (from[isGiven] ? asResult(made) : made)
  hooks.dup = function () {
    const made = dup.call(this)
    made.ignoreUnhandledRejections()
    return alike(this, made)
  }
  hooks.get = function (path) {
    const made = isApart()
      ? new hooks.constructor(this.promise!.then((come) => madeApart(() => (come as Hook).get(path))))
      : get.call(this, path)
    made.ignoreUnhandledRejections()
    return alike(this, made)
  }
  hooks.call = function (path, args) {
    // It is made when what it is made on has come.
    if (isApart()) args.isGivenApart = true
    return alike(this, call.call(this, path, args))
  }
  hooks.map = function (path, captures, instructions) {
    return alike(this, map.call(this, path, captures, instructions))
  }
}

type Path = (string | number)[]

/** What follows a path from a value that is here. */
interface Paths {
  call: (this: Hook, path: Path, args: Payload) => Hook
  get: (this: Hook, path: Path) => Hook
  map: (this: Hook, path: Path, captures: Hook[], instructions: unknown[]) => Hook
}

/**
 * Elements of lists by their place: a stub can only be asked by text, and capnweb finds elements by numbers alone. And what is private, or is not there
 * (`lacking.ts`).
 */
function mendPaths(hooks: Paths): void {
  const { call, get, map } = hooks
  hooks.call = function (written, args) {
    const { path, first, hidden, read } = lookedAt(this, written)
    if (read) return read.call(path.slice(first!.at + 1), args)
    if (hidden !== undefined && hidden > first!.at)
      return beyond(get.call(this, path.slice(0, hidden)), (at) => at.call(path.slice(hidden), args))
    if (hidden !== undefined) {
      args.dispose()
      return failed(lacks(first!.target, String(path[hidden])))
    }
    const called = call.call(this, path, args)
    const error = notCallable(called.error)
    if (!error && !isOfNothing(called.error)) return asResult(called)
    const isIts = first && isLacking(first, path) && (!error || first.at === path.length - 1)
    return isIts ? failed(lacks(first.target, String(path[first.at]))) : error ? failed(error) : called
  }
  hooks.get = function (written) {
    const { path, first, hidden, read } = lookedAt(this, written)
    if (read) return read.get(path.slice(first!.at + 1))
    if (hidden !== undefined && hidden > first!.at) return beyond(get.call(this, path.slice(0, hidden)), (at) => at.get(path.slice(hidden)))
    const known = ofListOnPath(this.payload?.value, path)
    if (known !== undefined) return here(known)
    const got = hidden === undefined ? get.call(this, path) : undefined
    if (got && (!first || !isLacking(first, path))) return asResult(got)
    // What cannot be told by its name alone is told by what came of it.
    const isThere = first?.at === path.length - 1 ? !got?.payload || got.payload.value !== undefined : !isOfNothing(got?.error)
    if (got && isThere) return got
    return failed(lacks(first!.target, String(path[first!.at])))
  }
  hooks.map = function (written, captures, instructions) {
    const { path, first, hidden, read } = lookedAt(this, written)
    if (read) return read.map(path.slice(first!.at + 1), captures, instructions)
    // What cannot be read cannot be gone over: it is read as by anybody, and that is what the function gets.
    if (first && (hidden !== undefined || isLacking(first, path))) return beyond(this.get(path), (at) => at.map([], captures, instructions))
    return asResult(madeApart(() => map.call(this, path, captures, instructions)))
  }
}

/**
 * A path as it is followed from what is here: the first capability on it, and the place of the first private member behind that. Where the path goes on behind
 * a getter of the capability, `read` is what that gives: it is read here, once, so that what stands in it is looked at as well.
 */
function lookedAt(from: Hook, written: Path) {
  const path = withPlaces(written)
  const first = firstOnPath(from.target ?? from.payload?.value, path)
  const hidden = privateOnPath(first, path)
  const read = first && hidden !== first.at && first.at < path.length - 1 ? readOf(first.target, String(path[first.at])) : undefined
  return { path, first, hidden, read }
}

/** What a getter gives; `undefined` for what is none. */
function readOf(target: RpcTarget, name: string): Hook | undefined {
  if (!isReachable(target, name) || !(isGetter(target, name) || standsBefore in target)) return undefined
  try {
    return here(Reflect.get(target, name))
  } catch (error) {
    return failed(error)
  }
}

/** A value that stays its owner's, as what is here. */
function here(value: unknown): Hook {
  const { constructor: Here, payload } = rawOf(new RpcStub({} as never)).hook as Hook & { constructor: new (payload: Payload) => Hook }
  const { constructor: Payload } = payload as Payload & { constructor: new (value: unknown, source: Payload['source']) => Payload }
  return new Here(new Payload(value, 'params'))
}

/** Whether this is how JavaScript says that a member was asked for of nothing. */
const isOfNothing = (error: unknown): boolean =>
  error instanceof TypeError && error.message.startsWith('Cannot read properties of undefined')

/** Goes on from what stands in the middle of a path, which is held for that alone. */
function beyond(middle: Hook, goOn: (at: Hook) => Hook): Hook {
  const end = goOn(middle)
  const letGo = () => middle.dispose()
  if (end.promise) end.promise.then(letGo, letGo)
  else letGo()
  return end
}

const withPlaces = (path: Path): Path => (path.some(isPlace) ? path.map((name) => (isPlace(name) ? Number(name) : name)) : path)

/** Whether a name is the place of an element as JavaScript writes it. An object's property of that name is found by the number too. */
function isPlace(name: string | number): boolean {
  return typeof name === 'string' && name.length < 16 && /^(?:0|[1-9]\d*)$/.test(name)
}

/** Makes a hook for something in `payload` as if it were a value of the program's own. */
function fromHere(payload: Payload, make: () => Hook): Hook {
  payload.source = 'params'
  try {
    return make()
  } finally {
    payload.source = 'owned'
  }
}

/**
 * Takes the hook that the next writable of a value stands on from what the value owns. Hooks stand in the order of what they are of, and those of stubs
 * are known by the stubs.
 */
function takeWritable(payload: Payload): Hook | undefined {
  const ofStubs = new Set<Hook>()
  visit(payload.value, (stub) => {
    ofStubs.add(rawOf(stub).hook)
    return stub
  })
  const at = payload.hooks.findIndex((hook) => !hook.state?.stream && !ofStubs.has(hook))
  return at < 0 ? undefined : payload.hooks.splice(at, 1)[0]
}

/** Capabilities that came home, as the stubs that they are: promises stand in another list than `hooks`. */
const asStub = (hooks: Hook[]) => (stub: object) => {
  const { hook, pathIfPromise } = rawOf(stub)
  return pathIfPromise?.length === 0 && hooks.includes(hook) ? new RpcStub(hook as never) : stub
}

const same = (stub: object): unknown => stub

/**
 * Puts what `at` gives in the place of each stub and promise of a value that was read from a frame, and gives its errors their names. It has no circles, and
 * its parts are its own.
 */
function visit(value: unknown, at: (stub: object) => unknown): unknown {
  if (typeof value === 'function') return value instanceof RpcStub ? at(value) : value
  if (typeof value !== 'object' || value === null) return value
  const prototype = Object.getPrototypeOf(value) as unknown
  if (prototype !== Object.prototype && prototype !== Array.prototype && !(value instanceof Error && named(value))) return value
  const parts = value as Record<string, unknown>
  for (const key in parts) visitPart(parts, key, at)
  // Not one of those that are listed.
  if (value instanceof AggregateError) visitPart(parts, 'errors', at)
  return value
}

function visitPart(parts: Record<string, unknown>, key: string, at: (stub: object) => unknown): void {
  const part = parts[key]
  if (typeof part !== 'object' && typeof part !== 'function') return
  const visited = visit(part, at)
  if (visited !== part) parts[key] = visited
}
