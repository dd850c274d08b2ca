/** Where capabilities live: a call of a step is made once by whoever has the object's storage before it. */
import { RpcStub, RpcTarget } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { onceMethod } from './conversation.ts'
import { noFunction } from './lacking.ts'
import { callMember, leadsOn } from './members.ts'
import { leadsAway } from './narrow.ts'
import type { Caller, CallName } from './origin.ts'
import { madeApart } from './passing-on.ts'
import { bindOnce } from './ref.ts'
import { capabilityBehindStub, linkBehindStub, sessionBehindStub } from './shortcuts.ts'

/** A call of a step on what an object has given, as that was asked to make it. */
export interface CallOfStep {
  /** The capability, or data in which it stands. */
  target: unknown
  name: CallName
  /** By which way the capability came to be. */
  way: string | null
  /** `null` for a function. */
  method: string | null
  args: unknown[]
  /** Whose step it is. */
  caller: string
}

/**
 * Passes a call of a step on to where its capability lives, under the same name: its home has the same key for the call whichever way it comes.
 * @param whose on whose behalf
 * @returns what it gives; `undefined` where it can be passed on to nobody
 */
export function passedOnce({ target, name, way, method, args, caller }: CallOfStep, whose: Caller): PromiseLike<unknown> | undefined {
  const link = method === null ? undefined : linkBehindStub(target)
  if (link) return link.record([onceMethod], [...name, method, args], whose).value()
  const session = sessionBehindStub(target)
  // What this object calls there by itself may wait for what this call does.
  return session && madeApart(() => bindOnce(session, target, name, way, method, args, caller)).value()
}

/**
 * A method of a capability of this isolate, or a function that it has handed out; nothing is called by asking.
 * @param from as it came with a call: a stub of it, or data in which it stands
 * @param name of the method; `null` where `from` itself is called
 * @returns `undefined` for what lives elsewhere
 * @throws `METHOD_UNKNOWN` for what is here and cannot be called
 */
export function methodAtHome(from: unknown, name: string | null): ((...args: unknown[]) => unknown) | undefined {
  const here = from instanceof RpcStub ? capabilityBehindStub(from) : from
  if (here === undefined || leadsAway(here)) return from === undefined ? refuse(name) : undefined
  if (name === null) return typeof here === 'function' ? (here as (...args: unknown[]) => unknown) : refuse(name)
  if (here instanceof RpcTarget || typeof here === 'function') return (...args) => callMember(here, name, args)
  return leadsOn(here, name) ? methodAtHome((here as Record<string, unknown>)[name], null) : refuse(name)
}

function refuse(name: string | null): never {
  throw noFunction(name ?? 'it')
}

/** The error for a call of a step on a capability that the object has given and that lives in another. */
export function capabilityElsewhere(object: string, caller: string, method: string | null): DotdoError {
  const what = method === null ? 'a function' : `${JSON.stringify(method)} of a capability`
  return new DotdoError(
    'CAPABILITY_ELSEWHERE',
    `A step of ${caller} calls ${what} that ${object} has given and that lives elsewhere, where nobody could tell whether a repeated call has taken effect already. The call was not made. In a step, call the object that has it: this.Noun(id); or let a method of ${object} call it; or call it outside of this.do, at most once.`,
    { data: { object, caller, method } },
  )
}
