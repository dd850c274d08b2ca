/**
 * What a user holds: a reference to an object, to what a call of it will give, or to a property of either.
 *
 * A reference is light: a call on it is recorded, and only when capnweb is needed does a real stub stand behind it. It is taken for a stub
 * everywhere all the same: its prototype is that of capnweb's own, and the one private symbol by which capnweb looks inside a stub is
 * answered with the inside of the real one. So capnweb's own rules for arguments, results, ownership and `.map` hold for it unchanged.
 */
import { RpcPromise, RpcStub } from 'capnweb'
import type { CallPlace, ClientSession } from './client-session.ts'
import { asGone, notAValue } from './errors.ts'
import type { Link } from './link-client.ts'
import { kept } from './handoffs.ts'
import { insideOfStub } from './inside-of-stub.ts'
import { isMapping } from './mapper.ts'
import type { Caller, CallName } from './origin.ts'
import { ownParts } from './own-bytes.ts'
import { copyPlain, notPlain } from './plain.ts'
import { calledOn, localName, wayTo } from './call-names.ts'
import { frameworkPrefix, ofUsers, onceMethod, onceOfMethod } from './conversation.ts'
import { asArguments, asResult, failing, rawOf } from './passing-on.ts'
import { comeBy, followed, settledArgs, type Come } from './settled-args.ts'
import { capabilityBehindStub, linkBehindStub, sessionBehindStub } from './shortcuts.ts'
import { asUnsendableIn } from './unsendable.ts'

/** A stub or a promise of capnweb, of anything. */
export type Stub = RpcStub<Record<string, never>>

/** What a reference leads to: an answer that is there or will be. */
export interface Answer {
  /** How it came to be; set by whoever makes a reference of it. */
  made?: Made | undefined
  /** Other objects in its value, once that has come. */
  objects?: Objects | undefined
  /** Of a call: the arguments that were sent, which were read once; absent where no data can stand for them. */
  readonly sent?: readonly unknown[] | undefined
  /** Whether it stands in a record and was never made. */
  readonly isRecorded?: true
  /** Of a call that a step has made: its name within the step. */
  named?: string | undefined
  /** Whether it can be awaited. */
  readonly isPromise: boolean
  /** The session that it lives in, where there is one by now. */
  readonly session: ClientSession | undefined
  /** Whether its value has come: the far end has forgotten its number by then. */
  readonly isHere: boolean
  /** Its value, where that is here and was no failure. */
  readonly came?: { value: unknown } | undefined
  /** The value, asked for once however often it is awaited. */
  value(): Promise<unknown>
  /** The stub to call on. */
  stub(): Stub
  /**
   * Of a call that went without a session, while its answer is due or calls wait for that: resolves when it is there, behind what was called on it before
   * and before anybody gets it. Rejects as the call does.
   */
  arrival?(): Promise<unknown> | undefined
  /** The stub to put into a value. */
  carry(): Stub
  dispose(): void
}

/** Who is sending arguments now: references of other objects among them are handed off to it. */
export interface Consumer {
  handOff(answer: Answer, path: readonly string[]): Stub | undefined
  introduce(link: Link): Stub | undefined
}

/** Other objects that stand in a value, by the key of their paths. */
export type Objects = Map<string, Root>

/** A key for each path: names may hold whatever could stand between them. */
export function pathKey(path: readonly string[]): string {
  return JSON.stringify(path)
}

/** Where in which result something stood. */
export type CameBy = Core

/** What a reference is made of. */
interface Core {
  answer: Answer | Root
  path: readonly string[]
  /** The value of a property, once it was asked for. */
  read?: Answer | undefined
}

/** What an object is called. Names in different jurisdictions are different objects. */
export interface ObjectName {
  noun: string
  name: string
  /** Where its data has to stay: `'eu'`. Absent where no place is prescribed. */
  jurisdiction?: string
}

/** Where references begin that never wear out: an object's link, or what a method of the framework gives anew in each turn. */
export interface Start {
  /** What the object is called, where it has a name. */
  readonly at: ObjectName | undefined
  /** What leads to it from the object itself. */
  readonly steps: readonly Step[]
  /** Of an object that has no name here: the result that it stood in. */
  readonly cameBy: CameBy | undefined
  /** What `on` is of a reference to an object whose events whoever holds it can subscribe to. */
  readonly on?: (() => object) | undefined
  /** The link, where all of the object is meant: it can be given to another object as it is. */
  readonly whole: Link | undefined
  /** Records a call (`args` given) or a read. */
  record(path: string[], args: unknown[] | undefined, caller?: Caller): Answer
  /** The stub that capnweb is given when it goes into a value. */
  forwarder(caller?: Caller): Stub
  /** Who calls now. */
  caller(): Caller
  /** A call could not be made. Whether somebody has asked for its answer shows when the turn ends. */
  refused(call: Refused, error: unknown): void
}

/** What begins there: not awaited, never worn out. */
class Root {
  readonly isPromise = false
  readonly session = undefined
  readonly link: Start
  readonly caller: Caller

  constructor(link: Start, caller: Caller) {
    this.link = link
    this.caller = caller
  }
}

/**
 * How an answer came to be: by calling (`args` given) or reading what `of` leads to, or by narrowing it. Kept with it and not in references: what an answer
 * has brought is described by it as well. Arguments are what was sent, whatever their owner writes to them since; `notPlain` are those that no data can
 * stand for.
 */
type Made =
  | { of: Core; args: readonly unknown[] | typeof notPlain | undefined }
  | { of: Core; narrow: readonly unknown[] | typeof notPlain }

/** Arguments as they are now. */
function snapshot(args: readonly unknown[]): readonly unknown[] | typeof notPlain {
  return copyPlain(args, true) as unknown[] | typeof notPlain
}

/** Something of a session: the promise of a call, or a capability that a result carried. */
class Bound implements Answer {
  made?: Answer['made']
  sent?: Answer['sent']
  named?: string
  readonly isPromise: boolean
  readonly session: ClientSession
  #stub: Stub
  #value: Promise<unknown> | undefined
  #came: { value: unknown } | undefined

  constructor(session: ClientSession, stub: Stub, isPromise: boolean) {
    this.session = session
    this.#stub = stub
    this.isPromise = isPromise
    session.releaseForgotten(this, stub)
  }

  get isHere(): boolean {
    return this.isPromise && isAnswered(this.#stub)
  }
  get came(): { value: unknown } | undefined {
    const come = this.isPromise ? comeBy(this.#stub) : undefined
    return come && this.#wrapped(come.value)
  }
  /** Once: a capability has one reference, which lets go of it when it is forgotten. */
  #wrapped(value: unknown): { value: unknown } {
    return (this.#came ??= { value: wrapped(this.session, value, this) })
  }
  value(): Promise<unknown> {
    return (this.#value ??= (this.#stub as unknown as Promise<unknown>).then(
      (it) => this.#wrapped(it).value,
      (error: unknown) => Promise.reject(asGone(error) as Error),
    ))
  }
  stub(): Stub {
    return captured(this.#stub)
  }
  carry(): Stub {
    return this.isHere ? here(this.value()) : this.#stub
  }
  dispose(): void {
    this.#stub[Symbol.dispose]()
  }
}

/** A value that has come, as a promise of it that capnweb sends from here. */
export function here(value: Promise<unknown>): Stub {
  const promise = new RpcPromise(value.then(kept) as Promise<never>)
  asResult(rawOf(promise).hook)
  return promise as unknown as Stub
}

/**
 * What the function of a `.map` takes along of a call whose answer has come: the capability that it is. The number of the call is given back by then,
 * and capnweb would name it.
 */
export function captured(promise: Stub): Stub {
  if (!isMapping()) return promise
  const { hook } = Reflect.get(promise, insideOfStub) as { hook: { entry?: { resolution?: { payload?: { value: unknown } } } } }
  const value = hook.entry?.resolution?.payload?.value
  return value instanceof RpcStub ? (value as unknown as Stub) : promise
}

/**
 * Whether the answer of a call has come. capnweb has released the call's number then, and yet goes on naming the promise by it: the far end
 * would find nothing there.
 */
function isAnswered(promise: Stub): boolean {
  const { hook } = Reflect.get(promise, insideOfStub) as { hook: { entry?: { resolution?: unknown } } }
  return hook.entry?.resolution !== undefined
}

/** Where calls are written down instead of being made. */
export interface Recorder {
  /** A call (`args` given) or a read of what `path` leads to. */
  call(on: Place, path: readonly string[], args: unknown[] | undefined): Answer
  /** `mapper` for each element of what `path` leads to. */
  map(on: Place, path: readonly string[], mapper: (value: unknown) => unknown): Answer
}

/** What a recorded call is made on: an object, an earlier answer of the same record, or, as data, what a live reference came to be by. */
export type Place = ObjectName | { answer: Answer } | { description: RefDescription | undefined }

let recorder: Recorder | undefined

/** Runs `work` with every call of a reference written down by `into`. */
export function recording<T>(into: Recorder, work: (input: (answer: Answer) => Stub) => T): T {
  const before = recorder
  recorder = into
  try {
    return work((answer) => refOf({ answer, path: [] }))
  } finally {
    recorder = before
  }
}

/** What a reference leads to: an answer, and the way from it. `undefined` for any other value. */
export function placeOfRef(value: unknown): { on: Place; path: readonly string[] } | undefined {
  const core = typeof value === 'function' ? (Reflect.get(value, insideOfRef) as Core | undefined) : undefined
  return core && { on: placeOf(core), path: core.path }
}

function placeOf(core: Core): Place {
  const { answer } = core
  if (answer instanceof Root && answer.link.at && answer.link.steps.length === 0) return answer.link.at
  if (answer instanceof Root) return { description: describeFrom({ answer, path: [] }) }
  return answer.isRecorded ? { answer } : { description: describeFrom({ answer, path: [] }) }
}

let consumer: Consumer | undefined
let mapping: ClientSession | undefined

/** A call (`args` given) or a read on the object that a link leads to, as an instruction of the `.map` whose function runs. */
export function mappedOn(link: Start, path: readonly string[], args: unknown[] | undefined, caller?: Caller): Answer {
  // Where the list is here, its elements' calls are made from here, whenever it is gone over: no session of this turn may be in between.
  return mapped((link.whole && mapping?.introduce(link.whole)) ?? link.forwarder(caller), path, args)
}

/** An instruction of the `.map` whose function runs: what it gives belongs to no session, and what it is given goes to where the list is. */
function mapped(stub: Stub, path: readonly string[], args: unknown[] | undefined): Answer {
  return new Local(consumedBy(mapping, () => applyPath(stub, path, args), args))
}

/** Runs `call` with references of other objects among its arguments handed off to `session`. */
function consumedBy<T>(session: ClientSession | undefined, call: () => T, args?: readonly unknown[]): T {
  const before = consumer
  consumer = session
  try {
    return call()
  } catch (error) {
    throw asUnsendableIn(error, args)
  } finally {
    consumer = before
  }
}

/** The reference of an object, for whoever calls now. */
export function rootRef(link: Start, caller: Caller): Stub {
  return refOf({ answer: new Root(link, caller), path: [] })
}

/**
 * Calls (`args` given) or reads what `path` leads to on a stub of `session`; while the function of a `.map` runs, as an instruction of it.
 * @param isMade it was called before now: it is no part of a `.map` whose function runs
 * @param place where it has one among the calls on the object itself
 */
export function bindCall(
  session: ClientSession,
  stub: Stub,
  path: readonly string[],
  args: unknown[] | undefined,
  isMade = false,
  place = placeOfCall(session, stub, path),
): Answer {
  if (isMapping() && !isMade) return mapped(stub, path, args)
  let plain = args && (isMade ? args : snapshot(args))
  if (args && plain === notPlain) {
    const settled = withWhatIsHere(args)
    if (settled !== args) plain = snapshot((args = settled))
  }
  const given = plain === notPlain ? args : (plain as unknown[] | undefined)
  const call = () => session.make(() => applyNow(stub, path, given), args !== undefined, place)
  const answer = new Bound(session, consumedBy(session, call, args), true)
  // Of a call that a step names, what stands behind the names.
  if (plain !== notPlain) answer.sent = path[0] === onceMethod ? (plain!.at(-1) as unknown[]) : plain
  return answer
}

/** The framework's own calls have their own order, but for those that make calls of the user's. One on what a call has given is in the line of that. */
function placeOfCall(session: ClientSession, stub: Stub, [name]: readonly string[]): CallPlace | undefined {
  if (stub !== session.main || name === onceOfMethod) return undefined
  return !name!.startsWith(frameworkPrefix) || ofUsers.has(name!) ? 'on it' : undefined
}

/**
 * A call that a step makes of what another call has given: the object that has the capability makes it once, so it is asked to.
 * @param target what it is made on; `method` is `null` for a function
 * @param caller the object whose step it is, where that is another
 */
export function bindOnce(
  session: ClientSession,
  target: unknown,
  name: CallName,
  way: string | null,
  method: string | null,
  args: unknown[],
  ...caller: string[]
): Answer {
  return boundOnce(session, target, name, way, method, args, caller)
}

/** The same of a property of the object itself, among whose calls it has its place. @param path of the method */
export function bindOnceOfProperty(session: ClientSession, path: readonly string[], name: CallName, args: unknown[]): Answer {
  const target = applyNow(session.main, path.slice(0, -1), undefined)
  return boundOnce(session, target, name, null, path.at(-1)!, args, [], 'on a property')
}

function boundOnce(
  session: ClientSession,
  target: unknown,
  name: CallName,
  way: string | null,
  method: string | null,
  args: unknown[],
  caller: readonly string[],
  place?: CallPlace,
): Answer {
  const sent = snapshot(args)
  const call = [target, ...name, way, method, sent === notPlain ? args : sent, ...caller]
  const answer = bindCall(session, session.main, [onceOfMethod], call, false, place) as Bound
  if (sent !== notPlain) answer.sent = sent
  answer.named = localName(name)
  return answer
}

/** Arguments with the values of references whose values are here, and promises as ones that travel; `args` itself where there are none. */
export function withWhatIsHere(args: unknown[]): unknown[] {
  return settledArgs(args, (value) => {
    const given = coreOf(value)
    if (!given) return value instanceof RpcPromise ? comeOf(comeBy(value), rawOf(value).pathIfPromise as string[]) : undefined
    if (given.read?.came) return comeOf(given.read.came, [])
    const { answer, path } = shortest(given)
    if (answer instanceof Root) return path.length === 0 ? null : undefined
    return comeOf(answer.came, path)
  })
}

function comeOf(came: { value: unknown } | undefined, path: readonly string[]): Come | undefined {
  return came && { value: came.value, path }
}

/** Follows a path from a stub, and calls what is there where `args` are given. */
export function applyPath(stub: Stub, path: readonly string[], args: unknown[] | undefined): Stub {
  let at = stub
  for (const name of path) at = Reflect.get(at, name) as unknown as Stub
  return args ? (at as unknown as (...args: unknown[]) => Stub)(...args) : at
}

/**
 * The same as a call of the session, made now: whether or not the function of a `.map` runs, and also where it is a read, which capnweb makes when it is
 * asked for, and then once for each who asks. It makes no stub on its way, each of which costs as much as an object of the platform.
 * @param stub is no part of that function
 */
export function applyNow(stub: Stub, path: readonly string[], args: unknown[] | undefined): Stub {
  const { hook, pathIfPromise } = rawOf(stub)
  const whole = pathIfPromise ? [...(pathIfPromise as string[]), ...path] : [...path]
  return new RpcPromise((args ? hook.call(whole, asArguments(args)) : hook.get(whole)) as never) as unknown as Stub
}

/** A result as its user gets it: capabilities in it come as references, so that what is called on them can be handed off. */
export function wrapped(session: ClientSession, value: unknown, from: Answer): unknown {
  // Most results hold none, and need not be looked through.
  return session.holdsCapabilities ? wrappedDeep(session, value, from, []) : value
}

/** @param path where the value stands in the result of `from`; lent */
function wrappedDeep(session: ClientSession, value: unknown, from: Answer, path: string[]): unknown {
  if (typeof value === 'function') {
    if (Object.getPrototypeOf(value) !== RpcStub.prototype || coreOf(value)) return value
    const link = linkBehindStub(value)
    if (link) return objectIn(link, from, path)
    const answer = new Bound(session, value as unknown as Stub, false)
    answer.made = { of: { answer: from, path: [...path] }, args: undefined }
    return refOf({ answer, path: [] })
  }
  if (typeof value !== 'object' || value === null) return value
  const prototype = Object.getPrototypeOf(value) as unknown
  if (prototype !== Object.prototype && prototype !== Array.prototype) return value
  const parts = value as Record<string, unknown>
  for (const key in parts) {
    path.push(key)
    const part = wrappedDeep(session, parts[key], from, path)
    path.pop()
    if (part !== parts[key]) parts[key] = part
  }
  return value
}

/** Another object that stands in a result, as the reference that `this.Noun(id)` gives: what is called on it goes to the object itself. */
function objectIn(link: Link, from: Answer, path: readonly string[]): Stub {
  link.cameBy ??= { answer: from, path: [...path] }
  const root = new Root(link, link.caller())
  ;(from.objects ??= new Map()).set(pathKey(path), root)
  return refOf({ answer: root, path: [] })
}

/** A reference as its user wrote it, without the arguments: `Stage/a.getPart().size`. */
function shown({ answer, path }: Core): string {
  const names = path.map((name) => `.${name}`).join('')
  if (answer instanceof Root) {
    const { at } = answer.link
    return (at ? `${at.noun}/${at.name}` : 'a reference') + names
  }
  const { made } = answer
  return (made ? shown(made.of) + ('args' in made && made.args ? '()' : '') : 'a result') + names
}

/** The way to what a reference leads to: where that is another object by now, or lies behind one, from there. */
function shortest(core: Core): Core {
  const { answer, path } = core
  if (answer instanceof Root || !answer.objects) return core
  for (let length = 0; length <= path.length; length++) {
    const root = answer.objects.get(pathKey(path.slice(0, length)))
    if (root) return { answer: root, path: path.slice(length) }
  }
  return core
}

/** One step of the way from an object to what a call of it gave: a name, and the arguments where it is a call. */
export type Step = [name: string, args?: unknown[]]

/** Where a reference leads, as data: an object, and the calls and properties from there on. */
export interface RefDescription extends ObjectName {
  path: Step[]
}

/** How a reference came to be. `undefined` for any other value, and where an argument on the way is no plain data. */
export function describeRef(value: unknown): RefDescription | undefined {
  return describeFrom(coreOf(value))
}

function describeFrom(start: ReturnType<typeof coreOf>): RefDescription | undefined {
  let at = start
  const steps: Step[] = []
  let args: readonly unknown[] | typeof notPlain | undefined
  while (at) {
    const names = [...at.path]
    if (args) {
      const method = names.pop()
      // What was called may be itself a function that a call gave: it has no name.
      if (method === undefined || args === notPlain) return undefined
      steps.push([method, snapshot(args) as unknown[]])
    }
    while (names.length > 0) steps.push([names.pop()!])
    if (at.answer instanceof Root) {
      const { at: object, steps: first, cameBy } = at.answer.link
      if (object || !cameBy) return object && { ...object, path: [...first, ...steps.reverse()] }
      steps.push(...first.toReversed())
      args = undefined
      at = cameBy
      continue
    }
    const how: Made | undefined = at.answer.made
    if (how && 'narrow' in how) {
      if (how.narrow === notPlain) return undefined
      steps.push([`${frameworkPrefix}narrow`, [...how.narrow]])
    }
    args = how && 'args' in how ? how.args : undefined
    at = how?.of
  }
  return undefined
}

/** Where a reference begins, for one that leads to just that. */
export function startOfRef(value: unknown): Start | undefined {
  const core = coreOf(value)
  return core?.path.length === 0 && core.answer instanceof Root ? core.answer.link : undefined
}

/**
 * Narrows what a call has given, at the object that gave it and in the message of this turn.
 * @param args of the framework's method beside the capability: caveats, and under which key uses are counted
 * @returns `undefined` for what no session leads to
 */
export function narrowedRef(value: unknown, args: unknown[]): Stub | undefined {
  const core = coreOf(value)
  if (!core) return undefined
  const answer = answerOf(core)
  // A call that was recorded alone gets its session now.
  answer.stub()
  const { session } = answer
  if (!session) return undefined
  const narrowed = bindCall(session, session.main, [`${frameworkPrefix}narrowed`], [value, ...args])
  narrowed.made = { of: core, narrow: snapshot(args) }
  return refOf({ answer: narrowed, path: [] })
}

/** What stands behind a reference, or `undefined` for any other value. */
function coreOf(value: unknown): Core | undefined {
  return typeof value === 'function' ? (Reflect.get(value, insideOfRef) as Core | undefined) : undefined
}

/** The link that a reference leads over. `undefined` for any other value, for a narrowed one, and for a result that came as plain data. */
export function linkOf(value: unknown): Link | undefined {
  const core = typeof value === 'function' ? (Reflect.get(value, insideOfRef) as Core | undefined) : undefined
  return core && (core.answer instanceof Root ? core.answer.link.whole : (core.answer.session?.link as Link | undefined))
}

/**
 * Calls a method of the framework on what a reference leads to.
 * @param name without the prefix that it has on the wire
 * @returns a reference of what it gives; `undefined` where `value` is no reference
 */
export function frameworkOn(value: unknown, name: string, args: unknown[]): Stub | undefined {
  const core = coreOf(value)
  if (!core) return undefined
  const { answer, path } = core
  const called = [...path, frameworkPrefix + name]
  if (answer instanceof Root) return refOf({ answer: answer.link.record(called, args, answer.caller), path: [] })
  return refOf({
    answer: answer.session ? bindCall(answer.session, answer.stub(), called, args) : new Local(applyPath(answer.stub(), called, args)),
    path: [],
  })
}

/** By which a reference tells what stands behind it. Nothing else has it, and no name of the far end can be it. */
const insideOfRef = Symbol('reference')

function refOf({ answer, path }: Core): Stub {
  return new Proxy(callable, new Ref(answer, path)) as unknown as Stub
}

/** What every reference is a proxy of, so that it can be called. Nothing is ever asked of it. */
const callable = (): void => {}

/** A reference is a proxy whose handler is what it is made of: there is one for each step of a call, so it has to be light. */
class Ref implements Core, ProxyHandler<() => void> {
  readonly answer: Answer | Root
  readonly path: readonly string[]
  read: Answer | undefined

  constructor(answer: Answer | Root, path: readonly string[]) {
    this.answer = answer
    this.path = path
    this.read = undefined
  }

  get(_: unknown, property: string | symbol): unknown {
    if (typeof property === 'string') {
      if (Object.hasOwn(members, property)) return members[property]!(this)
      if (property in RpcPromise.prototype) return Reflect.get(prototypeOf(this), property) as unknown
      // The framework's own names are not for whoever holds a stub.
      if (property.startsWith(frameworkPrefix)) return undefined
      // No definition can have a member of that name.
      if (property === 'on' && this.path.length === 0 && this.answer instanceof Root && this.answer.link.on) return this.answer.link.on()
      return refOf({ answer: this.answer, path: [...this.path, property] })
    }
    if (property === insideOfRef) return this
    if (property === insideOfStub) return Reflect.get(inside(this), insideOfStub) as unknown
    if (property === Symbol.dispose && this.path.length === 0) return () => dispose(this)
    // `ref.toString()` says what it is, as capnweb's stubs do; a text made in passing would hold that, and nobody would see it. What is not here cannot be gone over.
    if (property === Symbol.toPrimitive || property === Symbol.iterator || property === Symbol.asyncIterator)
      return () => {
        throw notAValue(shown(this))
      }
    return undefined
  }

  apply(_: unknown, __: unknown, args: unknown[]): Stub {
    if (recorder) return refOf({ answer: recorder.call(placeOf(this), this.path, args), path: [] })
    const answer = callOrRefused(this, args)
    answer.made = { of: this, args: answer.sent ?? notPlain }
    return refOf({ answer, path: [] })
  }

  getPrototypeOf(): object {
    return prototypeOf(this)
  }

  has(_: unknown, property: string | symbol): boolean {
    return typeof property === 'string' || property === insideOfStub || property === Symbol.dispose
  }

  ownKeys(): [] {
    return []
  }

  getOwnPropertyDescriptor(): undefined {
    return undefined
  }

  construct(): never {
    throw new TypeError('A stub cannot be used as a constructor.')
  }

  set(): never {
    throw new TypeError('Properties of a stub cannot be assigned: call a method that sets it.')
  }

  defineProperty(): never {
    throw new TypeError('Properties of a stub cannot be assigned: call a method that sets it.')
  }

  deleteProperty(): never {
    throw new TypeError('Properties of a stub cannot be deleted: call a method that does.')
  }
}

/** What a stub answers itself. */
const members: Readonly<Record<string, (core: Core) => unknown>> = {
  then: (core) =>
    isPromise(core)
      ? (...handlers: Parameters<Promise<unknown>['then']>) =>
          answerOf(core)
            .value()
            .then(...handlers)
      : undefined,
  catch: (core) => (isPromise(core) ? (onRejected: () => unknown) => answerOf(core).value().catch(onRejected) : undefined),
  finally: (core) => (isPromise(core) ? (onFinally: () => void) => answerOf(core).value().finally(onFinally) : undefined),
  dup: (core) => () => (core.answer instanceof Root && core.path.length === 0 ? refOf(core) : stubOf(core).dup()),
  onRpcBroken: (core) => (callback: (error: unknown) => void) => stubOf(core).onRpcBroken(callback),
  map: (core: Core) => (mapper: (value: unknown) => unknown) => {
    if (recorder) return refOf({ answer: recorder.map(placeOf(core), core.path, mapper), path: [] })
    const stub = stubOf(core) as unknown as { map(mapper: (value: unknown) => unknown): Stub }
    const list = core.answer instanceof Root ? answerOf(core) : core.answer
    // One that is here is gone over here, and one of a function that runs, where that one's list is.
    const session = list.isHere || isMapping() ? undefined : list.session
    const before = mapping
    if (!isMapping()) mapping = session
    try {
      // What the function gives goes to where the list is as well.
      const result = consumedBy(mapping, () => stub.map(mapper))
      return refOf({ answer: session ? new Bound(session, result, true) : new Local(result), path: [] })
    } finally {
      mapping = before
    }
  },
  // `JSON.stringify` asks for it by name, and leaves out what gives nothing.
  toJSON: (core: Core) => () => {
    throw notAValue(shown(core))
  },
  toString: (core: Core) => () => (isPromise(core) ? '[object RpcPromise]' : '[object RpcStub]'),
}

function isPromise({ answer, path }: Core): boolean {
  return path.length > 0 || answer.isPromise
}

function prototypeOf(core: Core): object {
  return isPromise(core) ? RpcPromise.prototype : RpcStub.prototype
}

/** A call; where it cannot be made, one that fails. In the function of a `.map` it throws, because that one cannot be recorded. */
function callOrRefused(core: Core, args: unknown[]): Answer {
  try {
    return call(core, args)
  } catch (error) {
    if (isMapping()) throw error
    const { answer } = core
    const reason = asGone(error)
    const refused = new Refused(reason)
    const link = answer instanceof Root ? answer.link : answer.session?.link
    link?.refused(refused, reason)
    return refused
  }
}

function call(core: Core, args: unknown[]): Answer {
  const { answer, path } = shortest(core)
  if (answer instanceof Root) {
    if (path.length === 0) throw new TypeError('An object is no function: call a method of it.')
    return answer.link.record([...path], args, answer.caller)
  }
  const stub = answer.stub()
  if (isMapping()) return mapped(stub, path, args)
  const name = nameOf(core, stub)
  if (name) return callOnce({ answer, path }, stub, name, wayTo(core), args)
  // A result that came natively is called where it is.
  if (answer.session) return bindCall(sessionOf(answer.session, answer, path), stub, path, args)
  const own = ownParts(args)
  const local = new Local(applyPath(stub, path, own))
  const sent = snapshot(own)
  if (sent !== notPlain) local.sent = sent
  return local
}

/** What a call of a step is known by, where it is made on what a call has given. What has come home is called here, as any function is. */
function nameOf(core: Core, stub: Stub): CallName | undefined {
  const { once } = startingFrom(core)?.caller() ?? {}
  return once && !capabilityBehindStub(stub) ? once(calledOn(core)) : undefined
}

/** Where the calls begin that led to what a reference leads to. */
function startingFrom({ answer }: Core): Start | undefined {
  let at = answer
  while (!(at instanceof Root)) {
    if (!at.made) return at.session?.link
    at = at.made.of.answer
  }
  return at.link
}

function callOnce({ answer, path }: Exclude<Core, 'read'>, stub: Stub, name: CallName, way: string, args: unknown[]): Answer {
  const target = refOf({ answer, path: path.slice(0, -1) })
  const bound = (session: ClientSession, given: unknown[]) => bindOnce(session, target, name, way, path.at(-1) ?? null, given)
  const from = answer as Answer
  const arrived = from.arrival?.()
  // On what has failed nothing is called, and its session may be over.
  if (!arrived && from.session && (!from.isHere || from.came)) return bound(sessionOf(from.session, from, path), args)
  // Only when its answer comes will it be known whether a session leads to it. What it is given is read now: what is called meanwhile may wait for it.
  const own = settledArgs(ownParts(args), readNow)
  const called = () => {
    const { session } = from
    return session ? bound(session, own).value() : (applyPath(stub, path, own) as unknown as Promise<unknown>)
  }
  const local = new Local(arrived ? here(arrived.then(called)) : applyPath(stub, path, own))
  const sent = snapshot(own)
  if (sent !== notPlain) local.sent = sent
  local.named = localName(name)
  return local
}

/** By which session a call is made on what `path` leads to: where that of the answer is over, the one in which the capability lives that had come home by it. */
function sessionOf(session: ClientSession, { came }: Answer, path: readonly string[]): ClientSession {
  const home = session.isOver && came ? followed({ value: came.value, path: path.slice(0, -1) }) : undefined
  return (home && sessionBehindStub(home.value)) ?? session
}

/** For {@link settledArgs}: what a property gives, asked for now. */
function readNow(value: unknown): Come | null {
  const core = coreOf(value)
  return core && core.path.length > 0 ? { value: refOf({ answer: answerOf(core), path: [] }), path: [] } : null
}

/** The answer that a reference's value comes from: a property is read once. */
function answerOf(core: Core): Answer {
  if (core.path.length === 0) return core.answer as Answer
  if (core.read) return core.read
  const read = reading(core)
  // What the function of a `.map` reads is an instruction of that one, and nothing to anybody after it.
  if (!isMapping()) core.read = read
  return read
}

function reading(core: Core): Answer {
  const short = recorder ? core : shortest(core)
  // What is an object itself is read where it came.
  const { answer, path } = short.path.length > 0 ? short : core
  let read: Answer
  if (recorder) read = recorder.call(placeOf(core), path, undefined)
  else if (answer instanceof Root) read = answer.link.record([...path], undefined, answer.caller)
  else {
    const stub = (isMapping() ? applyPath : applyNow)(answer.stub(), path, undefined)
    read = answer.session ? new Bound(answer.session, stub, true) : new Local(stub)
  }
  read.made = { of: { answer, path }, args: undefined }
  return read
}

/** The real stub behind a reference. */
function stubOf(core: Core): Stub {
  if (core.answer instanceof Root) return core.path.length === 0 ? core.answer.link.forwarder(core.answer.caller) : answerOf(core).stub()
  return applyPath(core.answer.stub(), core.path, undefined)
}

/** The real stub that goes into a value in place of a reference. */
function inside(given: Core): Stub {
  const core = consumer ? shortest(given) : given
  if (consumer && isPromise(core)) {
    const isRead = core.answer instanceof Root || isAskedOfWhatIsHere(core)
    const answer = isRead ? answerOf(core) : (core.answer as Answer)
    const handed = consumer.handOff(answer, isRead ? [] : core.path)
    if (handed) return handed
    if (isRead && !(core.answer instanceof Root)) return answer.carry()
  }
  if (core.answer instanceof Root && core.path.length === 0) {
    const { whole } = core.answer.link
    return (whole && (consumer ?? mapping)?.introduce(whole)) ?? stubOf(core)
  }
  if (core.answer instanceof Root) return answerOf(core).carry()
  return applyPath(core.answer.carry(), core.path, undefined)
}

/** Whether a reference is to a property of a capability that has come: it is read now, before the call is made that is given it, and not when that asks for it. */
function isAskedOfWhatIsHere({ answer, path }: Core): boolean {
  if (path.length === 0 || answer instanceof Root || !answer.session) return false
  let at: unknown = answer.came?.value
  for (const name of path) {
    if (typeof at === 'function') return true
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return false
    at = (at as Record<string, unknown>)[name]
  }
  return false
}

function dispose(core: Core): void {
  // The object's own reference is shared by all who ask for it.
  if (!(core.answer instanceof Root)) core.answer.dispose()
}

/** What is called on a value that is here, or will be: no session leads to it. */
class Local implements Answer {
  made?: Answer['made']
  sent?: Answer['sent']
  named?: string
  readonly isPromise = true
  readonly session = undefined
  #stub: Stub
  #value: Promise<unknown> | undefined

  get isHere(): boolean {
    // What the function of a `.map` works with is where that runs.
    return rawOf(this.#stub).hook.mapper !== undefined || this.came !== undefined
  }
  get came(): { value: unknown } | undefined {
    return comeBy(this.#stub)
  }

  constructor(stub: Stub) {
    this.#stub = stub
  }

  value(): Promise<unknown> {
    return (this.#value ??= (this.#stub as unknown as Promise<unknown>).then((it) => it))
  }
  stub(): Stub {
    return this.#stub
  }
  carry(): Stub {
    // capnweb lets go of all that a value holds when its user is told that a part of it has failed.
    return this.#value ? here(this.#value) : this.#stub
  }
  dispose(): void {
    this.#stub[Symbol.dispose]()
  }
}

/** A call that could not be made: it is nowhere, and whatever is done with it fails as it does. */
export class Refused extends Local {
  /** Whether somebody has asked for its answer, or for what it gives. */
  isAsked = false

  constructor(error: unknown) {
    super(failing(error) as Stub)
  }

  override get isHere(): boolean {
    return true
  }
  override value(): Promise<unknown> {
    this.isAsked = true
    return super.value()
  }
  override stub(): Stub {
    this.isAsked = true
    return super.stub()
  }
  override carry(): Stub {
    return this.stub()
  }
}
