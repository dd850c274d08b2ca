/**
 * The short way to an object that another object names: a reference of `this.Noun(id)` in a result or in the arguments of a callback is told together with
 * the object's address, so that whoever gets it calls the object itself. Without it each object of a chain would be called through all before it.
 *
 * Only plain references of a whole object are told. What is narrowed, restored or otherwise less than that is a capability of whoever gave it, and leads
 * through there. Order is kept at both ends:
 * 1. The giver tells no address while calls of its own on that object are under way: the receiver's could come before them.
 * 2. The receiver takes the long way for a result that it has called before it was there: those calls go through the giver.
 */
import { RpcStub, RpcTarget, type RpcSession } from 'capnweb'
import type { Frame } from './frames.ts'
import type { ClientSession } from './client-session.ts'
import type { Link } from './link-client.ts'
import { standsBefore } from './lacking.ts'
import { insideOf, rawOf, type Hook } from './passing-on.ts'
import { callIn } from './pushed-call.ts'
import { insideOfStub } from './inside-of-stub.ts'
import type { Stub } from './ref.ts'

/** By which the stub that stands for an object in a value tells its link. No peer can name it, because it is no text. */
export const leadsTo = Symbol('leads to')

/** Exports of a message that are other objects, by the address at which each is reached. */
export interface ToldObject {
  /** As in `LinkMessage.targets`. */
  address: unknown
  /** Numbers of the sender's exports, below zero. */
  exports: number[]
}

/** What stands in this isolate for something elsewhere: each call on it leads there. */
export class Forwarder extends RpcTarget {
  get [standsBefore](): true {
    return true
  }
}

/** The link of a stub that stands for a whole object; `undefined` for every other stub, and for what is none. */
export function linkBehindStub(value: unknown): Link | undefined {
  const target = targetBehindStub(value)
  return target && (Reflect.get(target, leadsTo) as Link | undefined)
}

/** The capability of this isolate, a function too, that a stub is of; `undefined` for one of what is elsewhere or not there yet, and for what is no stub. */
export function capabilityBehindStub(value: unknown): object | undefined {
  const target = targetBehindStub(value)
  return (target instanceof RpcTarget && !(target instanceof Forwarder)) || target instanceof Function ? target : undefined
}

function targetBehindStub(value: unknown): object | undefined {
  if (!(value instanceof RpcStub)) return undefined
  const { hook, pathIfPromise } = Reflect.get(value, insideOfStub) as { hook: Hook; pathIfPromise?: unknown }
  return pathIfPromise ? undefined : targetBehind(hook)
}

/** By which the inside of a session of capnweb's tells whose it is, at the calling end. */
export const callingEnd = Symbol('calling end')

/** The session by which a stub leads to a capability elsewhere, where this isolate called for it; `undefined` for every other value. */
export function sessionBehindStub(value: unknown): ClientSession | undefined {
  const session = value instanceof RpcStub ? lastBehind(rawOf(value).hook)?.entry?.session : undefined
  return session && (Reflect.get(session, callingEnd) as ClientSession | undefined)
}

function linkBehind(hook: Hook): Link | undefined {
  const target = targetBehind(hook)
  return target && (Reflect.get(target, leadsTo) as Link | undefined)
}

function targetBehind(hook: Hook): object | undefined {
  return lastBehind(hook)?.target
}

/** Answers that have come are looked through: what they hold is what they are. */
function lastBehind(hook: Hook): Hook | undefined {
  let at: Hook | undefined = hook
  for (let steps = 0; at && steps < mostSteps; steps++) {
    if (at.target) return at
    const value = at.payload?.value
    const last: Hook = at
    if (value instanceof RpcStub) {
      const inner: { hook: Hook; pathIfPromise?: unknown[] } = rawOf(value)
      at = inner.pathIfPromise?.length ? undefined : inner.hook
    } else {
      at = at.resolution ?? at.entry?.resolution
      if (!at) return last
    }
  }
  return undefined
}

/** An answer that is an answer that is an answer: capnweb makes few of these. */
const mostSteps = 8

/** The giver's side: what of its session's exports can be reached without it. */
export class Shortcuts {
  #told = new Map<Link, ToldObject>()

  constructor(session: RpcSession) {
    const inside = insideOf(session)
    const { exportStub } = inside
    inside.exportStub = (hook) => {
      const id = Reflect.apply(exportStub, inside, [hook])
      const link = linkBehind(hook)
      if (link) this.#tell(link, id)
      return id
    }
  }

  #tell(link: Link, id: number): void {
    const { address } = link
    // A receiver would overtake what this object has said before.
    if (address === undefined || !link.isQuiet) return
    const told = this.#told.get(link)
    if (told) told.exports.push(id)
    else this.#told.set(link, { address, exports: [id] })
  }

  /** What belongs to the frames that leave now. */
  take(): { objects: ToldObject[] } | undefined {
    if (this.#told.size === 0) return undefined
    const objects = [...this.#told.values()]
    this.#told.clear()
    return { objects }
  }
}

/** What the receiver's side needs of its session. */
export interface ShortWayPorts {
  linkAt(address: unknown): Link
  /** The stub that stands for the object, for whoever opened the session. */
  forwarder(link: Link): Stub
  /** Lets the other end have a link of its own to an object: see `ClientSession.introduce`. */
  introduce(link: Link): Stub | undefined
  /** The frame that the session takes in now. */
  current(): Frame | undefined
}

/** The receiver's side: stubs of objects that were told, in the place of stubs that lead through whoever told of them. */
export class ShortWays {
  #ports: ShortWayPorts
  #links = new Map<number, Link>()
  /** Calls that are not answered and that something was called on. */
  #calledOn = new Set<number>()
  /** Whether any was ever told. */
  any = false

  constructor(session: RpcSession, ports: ShortWayPorts) {
    this.#ports = ports
    const inside = insideOf(session)
    const { importStub, getImport } = inside
    inside.importStub = (id) => {
      const long = Reflect.apply(importStub, inside, [id])
      const link = this.#take(id)
      if (!link) return long
      long.dispose()
      return rawOf(ports.forwarder(link)).hook
    }
    // What came by the short way goes on by a link of the other end's own.
    inside.getImport = (hook) => {
      const id = Reflect.apply(getImport, inside, [hook])
      if (id !== undefined) return id
      const link = linkBehind(hook)
      const met = link && ports.introduce(link)
      return met && Reflect.apply(getImport, inside, [rawOf(met).hook])
    }
  }

  /** A reply has come with these. */
  told(objects: readonly ToldObject[]): void {
    for (const { address, exports } of objects) {
      const link = this.#ports.linkAt(address)
      for (const id of exports) this.#links.set(id, link)
      this.any = true
    }
  }

  /** A frame leaves. */
  said(frame: Frame): void {
    const [kind, what] = frame
    if (kind === 'release') this.#calledOn.delete(what as number)
    if (kind !== 'push' || !Array.isArray(what)) return
    const on = what[1] === 0 ? callIn(frame)?.on.id : (what[1] as number)
    if (on !== undefined && on > 0) this.#calledOn.add(on)
  }

  #take(id: number): Link | undefined {
    const link = this.#links.get(id)
    this.#links.delete(id)
    const [kind, call] = this.#ports.current() ?? []
    return kind === 'resolve' && this.#calledOn.has(call as number) ? undefined : link
  }
}
