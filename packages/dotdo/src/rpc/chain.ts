/** A chain of calls as data: what a client records of `app.Pipeline(id).getStage(0).run(batch)`, and what runs as one unit in the object. */
import { RpcPromise, RpcStub } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { overLimit } from './limits.ts'
import { mendPayloads } from './passing-on.ts'
import { isPublicName } from './reach.ts'

/** One link of a chain: a call where arguments stand, a property where none do. */
export type ChainLink = readonly [name: string, args?: readonly unknown[]]

/** Links of one chain, at most. Longer ones are no single unit: a client sends them as calls of their own. */
export const chainLinks = 64

/**
 * Runs a chain from an object's reach, as one message with these calls would: each call on the result of the one before, before it is
 * there. What stood between is given back when the last answer is there.
 *
 * The first call is begun before this returns.
 *
 * @param reach what can be reached of the object: an RpcTarget
 * @throws what the calls throw
 */
export async function runChain(reach: object, chain: readonly ChainLink[]): Promise<unknown> {
  mendPayloads()
  const held: Disposable[] = []
  const root = new RpcStub(reach as never) as unknown as Pipelined
  let at = root
  try {
    for (const [name, args] of chain) {
      const member = at[name]!
      at = args ? member(...args) : member
      // A property belongs to what it is read of.
      if (args) held.push(at)
    }
    return await (at as unknown as PromiseLike<unknown>)
  } finally {
    // The last answer belongs to the caller now, and with it whatever it holds.
    for (const between of held) if (between !== at) between[Symbol.dispose]()
    root[Symbol.dispose]()
  }
}

/** A capnweb stub, as far as a chain uses one. */
type Pipelined = { [name: string]: Pipelined } & ((...args: readonly unknown[]) => Pipelined) & Disposable

/**
 * Reads a chain that came from a client: names that can be reached from outside, and lists of arguments.
 * @throws `INVALID_CALL`, `LINK_LIMIT`
 */
export function readChain(value: unknown): ChainLink[] {
  if (!Array.isArray(value) || value.length === 0) throw invalidCall('a chain is a list of [name, arguments?], one or more')
  if (value.length > chainLinks) throw overLimit('chainLinks', value.length, chainLinks)
  return value.map((link: unknown) => {
    if (!Array.isArray(link) || typeof link[0] !== 'string') throw invalidCall('each part of a chain is [name, arguments?]')
    const [name, args] = link as [string, unknown]
    if (args !== undefined && !Array.isArray(args)) throw invalidCall(`the arguments of ${JSON.stringify(name.slice(0, 100))} are no list`)
    // Names that a stub keeps for itself would be called here instead of there. A private one may be that of data: where it is not, it is refused on the way.
    const isPrivate = name.startsWith('_') && !(name in Object.prototype)
    if (name.includes(':') || !(isPrivate || isPublicName(name)) || Reflect.has(RpcPromise.prototype, name))
      throw invalidCall(`${JSON.stringify(name.slice(0, 100))} cannot be called`)
    return args ? [name, args] : [name]
  })
}

/** The error for a keyed call that no client of ours sends. */
export function invalidCall(reason: string): DotdoError {
  return new DotdoError(
    'INVALID_CALL',
    `This call cannot be read: ${reason}. Clients make it by themselves: call app.Noun(name).method(…).`,
    {
      data: { reason },
    },
  )
}
