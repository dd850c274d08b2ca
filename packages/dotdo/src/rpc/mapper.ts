/**
 * The function of a `.map`, whoever's: it runs once, here, and what it calls is written down by capnweb, to be made for each element where the list is.
 *
 * What it takes along from outside, and what it returns, is let go of by capnweb when that is written down, or when a list that is here was gone over. But it
 * is the program's own, which uses it after that: here both are copies. And the copies of what went to the far end, which capnweb keeps, are let go of.
 */
import { RpcPromise, RpcStub, type RpcSession } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { asUnsendable, goneWords, notAValue } from './errors.ts'
import { insideOfStub } from './inside-of-stub.ts'

/** What is touched of what capnweb keeps behind stubs. */
interface Hook {
  dup(): Hook
  dispose(): void
  /** Of something at the other end of a session. */
  entry?: { session: Session; resolution?: object }
  /** Of an element, and of what is made of it: what it is written down with. */
  mapper: Recording
  /** Of a value that is here. */
  payload?: Payload
}

/** A value of capnweb's with what it holds, once that was copied or came over a session. */
interface Payload {
  value: unknown
  hooks: Hook[]
  promises: { parent: Record<string, unknown>; property: string; promise: object }[]
}

interface Session {
  sendCall: (this: Session, id: number, path: unknown[], args?: Payload) => Hook
  sendMap: (this: Session, id: number, path: unknown[], captures: Hook[], instructions: unknown[]) => Hook
}

/** What capnweb writes the function of a `.map` down with. */
interface Recording {
  capture(hook: Hook): number
  getImport: (this: Recording, hook: Hook) => number
  makeOutput: (this: Recording, result: { source: string }) => unknown
}

const inside = (stub: object) => Reflect.get(stub, insideOfStub) as { hook: Hook; pathIfPromise?: unknown[] }

/** What is to be said before the function of a `.map` runs: what waits for the end of its turn would else be made for each element. */
export const saidBeforeMaps = new Set<() => void>()

// The element of a `.map`, and what is read of it, are capnweb's own: it asks its prototype for what it does not know.
for (const use of [Symbol.toPrimitive, Symbol.iterator, Symbol.asyncIterator])
  // This module may be there twice, as source and as built, over one capnweb.
  Reflect.set(RpcPromise.prototype, use, () => {
    throw notAValue('the result of a call')
  })

/** Functions of `.map` that run now, one within the other. */
let running = 0

/** Whether the function of a `.map` runs: what is called meanwhile is written down, and made for each element. */
export const isMapping = (): boolean => running > 0

type Mapper = (element: object) => unknown
const stubs = RpcStub.prototype as unknown as { map: (this: object, mapper: Mapper) => unknown }
const { map } = stubs
const Copy = RpcPromise as unknown as new (hook: Hook, path?: unknown[]) => object
stubs.map = function (mapper) {
  // Within another, all is said.
  for (const say of saidBeforeMaps) say()
  const { hook, pathIfPromise } = inside(this)
  const recorded: Mapper = (element) => {
    const result = mapper(element)
    if (!(result instanceof Promise)) return result
    // It fails as soon as it goes on, with nobody to hear of it: that would end a process of Node.
    result.catch(() => {})
    throw new DotdoError('MAP_ASYNC', 'The function of .map cannot be async: it runs once, to record calls.')
  }
  // The list of a function within another is taken along as well.
  const list = running++ > 0 ? new Copy(hook.dup(), pathIfPromise) : this
  try {
    return map.call(list, recorded)
  } catch (error) {
    throw asUnsendable(error)
  } finally {
    running--
  }
}

// capnweb's one class of recordings, which nothing but a recording leads to.
const sample = new RpcStub({})
map.call(sample, (element) => {
  const recordings = Object.getPrototypeOf(inside(element).hook.mapper) as Recording
  // Asked for what stands in a value. What a call is made on is copied by capnweb itself.
  recordings.getImport = function (hook) {
    return this.capture(hook.dup())
  }
  const { makeOutput } = recordings
  recordings.makeOutput = function (result) {
    // capnweb lets go of what is returned, and of what is passed it does not.
    result.source = 'params'
    return makeOutput.call(this, result)
  }
})

sample[Symbol.dispose]()
/** What every stub that was let go of stands on, one for all: capnweb's words have no code. */
export const afterDisposal = Object.assign(inside(sample).hook, { error: new DotdoError('REFERENCE_GONE', goneWords) })

/**
 * Has a session send what maps give as it should be:
 * 1. What is here goes as what it is: the elements of a list that has come. As promises, which capnweb makes of them, they are kept after the call, and two of
 *    them in any order.
 * 2. What maps have taken along is let go of: that was copied for them. What is none of the session's own was given away.
 */
export function sendMapped(session: RpcSession): void {
  const own = inside(session.getRemoteMain()).hook.entry!.session
  const { sendCall, sendMap } = own
  own.sendCall = (id, path, args) => {
    // Those that stand in what has come are looked at as well.
    for (const { parent, property, promise } of args?.promises ?? []) {
      const { payload } = inside(promise).hook
      if (!payload?.hooks) continue
      parent[property] = payload.value
      // What it holds is the call's, which lets go of it or gives it away.
      args!.hooks.push(...payload.hooks.splice(0))
      args!.promises.push(...payload.promises.splice(0))
    }
    return sendCall.call(own, id, path, args)
  }
  own.sendMap = (id, path, captures, instructions) => {
    const sent = sendMap.call(own, id, path, captures, instructions)
    // What has come has no number there any more, and was given away as well.
    for (const taken of captures) if (taken.entry?.session === own && !taken.entry.resolution) taken.dispose()
    return sent
  }
}
