/**
 * Authority, as users write it: capabilities are narrowed, saved to tokens, restored and revoked. Each of these is carried out by the object that
 * the capability belongs to; what is here finds that object.
 */
import { RpcStub } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import type { GrantView } from '../base/views.ts'
import { readCapability, verifyCapability, type CapabilityClaims } from '../rpc/capability-token.ts'
import { expired, writtenCaveats, type Caveats } from '../rpc/caveats.ts'
import type { GrantRequest } from '../rpc/grants.ts'
import type { Holder } from '../rpc/holder.ts'
import { countedHere, guardFrom, requireMembers, restrict, type NarrowPorts } from '../rpc/narrow.ts'
import type { Link } from '../rpc/link-client.ts'
import { Reached } from '../rpc/reached.ts'
import { describeRef, narrowedRef, startOfRef, type ObjectName, type Stub } from '../rpc/ref.ts'
import type { MemberOf, Narrowed, Remote } from '../rpc/remote.ts'
import { notSavable } from '../rpc/saved-path.ts'
import { ambientLinks } from './ambient.ts'
import { appRenames } from './app.ts'
import { currentContext } from './context.ts'
import { ObjectHost } from './host.ts'
import { isOwnNoun, type Links } from './nouns.ts'
import { clock, macOf, random } from './platform.ts'
import { env } from '#platform'

/** What {@link save} takes beside caveats. */
export interface SaveOptions<Name extends string = string> extends Caveats<Name> {
  /** Who alone may restore it: whoever presents a secret, or one object. */
  holder?: Holder
  /** A note for the list of what was handed out. Nobody who restores the token sees it. */
  label?: string
}

/** Caveats in which names are those of a capability, as an editor offers them. What nobody has typed takes any. */
type CaveatsOf<C, Only extends string> = Omit<Caveats<MemberOf<C>>, 'only'> & { only?: readonly Only[] }

/**
 * Makes a capability that does less: these methods only, until then, so many calls, these arguments. It can be called, passed on, narrowed
 * further and saved like the one it is made from, which stays as it is.
 *
 * A reference to an object, and what its calls give, is narrowed by that object, in the message of this turn; `this` and any other capability
 * (an `RpcTarget`, a stub, a function) by code that stands before it here. Capabilities that a call of it answers with end when it does.
 *
 * @throws `INVALID_CAVEAT`
 * @example
 * const reader = narrow(this.Stage('a'), { only: ['history'], until: '1h' })
 */
export function narrow<C, const Only extends MemberOf<C> = MemberOf<C>>(cap: C, caveats: CaveatsOf<C, Only>): Narrowed<C, Only> {
  return narrowAny(cap, caveats) as Narrowed<C, Only>
}

function narrowAny(cap: unknown, caveats: unknown): unknown {
  const read = writtenCaveats(caveats, clock.now())
  const host = currentHost()
  if (host && cap === host.self) return host.issuer.narrow(host.reachFor(currentContext()?.origin ?? { depth: 1 }), read)
  // A reference is narrowed anew in each turn, and has its uses once all the same.
  const args = [read, ...(read.uses === undefined ? [] : [newKey()])]
  const start = startOfRef(cap)
  if (start) return new Reached(start as Link | Reached, 'narrow', args).root()
  const narrowed = narrowedRef(cap, args)
  if (narrowed) return narrowed
  requireMembers(cap, read)
  // Whoever calls a stub may dispose of it; what is narrowed here is kept.
  const isStub = cap instanceof RpcStub
  const here = restrict(isStub ? cap.dup() : cap, guardFrom(read, local), local, isStub)
  return isStub ? new RpcStub(here) : here
}

/** Narrowing in this isolate: uses are counted by what counts them. */
const local: NarrowPorts = { now: () => clock.now(), counter: (uses) => countedHere(uses) }

/**
 * Saves a capability to a token: a text that can be stored, sent and restored, here, in another Worker and in a browser, until it is revoked. Whoever
 * has the token has the capability, so it is a secret; dotdo keeps only its hash and shows it in no log, error or page.
 *
 * What can be saved is a reference to an object, `this`, and what calls with plain data lead to from either. Those calls are made again at each
 * restore: let them only look things up. The object that the capability belongs to issues the token, lists it and can revoke it.
 *
 * @throws `NOT_SAVABLE`, `INVALID_CAVEAT`, `TOO_MANY_GRANTS`, `SECRET_MISSING`
 * @example
 * const token = await save(this.Stage('a').getPart(1), { only: ['read'], until: '30d', label: 'for the report' })
 */
export async function save<C>(cap: C, options: SaveOptions<MemberOf<C>> = {}): Promise<string> {
  const { holder, label, ...caveats } = options
  const host = currentHost()
  const described = host && (cap as unknown) === host.self ? { ...host.known, path: [] } : describeRef(cap)
  if (!described) throw notSavable('it is no reference to an object, and no calls lead to it from one')
  // Times from now begin here, and not where the message arrives.
  const request: GrantRequest = {
    path: described.path,
    caveats: writtenCaveats(caveats, clock.now()),
    ...(holder && { holder: 'object' in holder ? { object: appRenames().firstLabel(holder.object) } : holder }),
    ...(label !== undefined && { label }),
  }
  return (await call(described, 'grant', [request])) as string
}

/**
 * The capability that a token stands for. It is there at once: what is called on it leaves with the question for it, in one message. Like any
 * reference it works again in later turns; each turn asks anew, so that what was revoked in between is seen.
 *
 * @param options `holder`: the secret of one that is bound to it
 * @throws `TOKEN_INVALID`, `CAPABILITY_EXPIRED`, `NOUN_UNKNOWN`; its calls reject with `CAPABILITY_REVOKED`, `CAPABILITY_USED_UP`, `CAPABILITY_DENIED`,
 * `HOLDER_REFUSED`, and `TOKEN_INVALID` where only its object can tell
 * @example
 * const history = await restore<typeof Stage>(token).history()
 */
export function restore<T>(token: string, options: { holder?: { secret: string } } = {}): Remote<T> {
  return restoreBy(ambientLinks(), checked(token, isOwnNoun), token, options.holder) as unknown as Remote<T>
}

/** The reference that a token stands for, by the links of whoever presents it. */
export function restoreBy(
  links: Links,
  { noun, name, jurisdiction }: CapabilityClaims,
  token: string,
  holder: { secret: string } | undefined,
): Stub {
  const args = holder === undefined ? [token] : [token, { secret: holder.secret }]
  return new Reached(links.link(noun, name, undefined, jurisdiction), 'restore', args).root()
}

/**
 * What a token says, with its signature checked where this Worker has the secret for it: a forged one wakes no object.
 * @param isOurs whether tokens of this noun are signed with this Worker's secret
 * @throws `TOKEN_INVALID`, `CAPABILITY_EXPIRED`, `SECRET_MISSING`
 */
export function checked(token: unknown, isOurs: (noun: string) => boolean): CapabilityClaims {
  const said = readCapability(token)
  const claims = isOurs(said.noun) ? verifyCapability(token, macOf(env, `${said.noun}/${said.name}`)) : said
  if (claims.expiresAt !== undefined && claims.expiresAt <= clock.now()) throw expired(claims.expiresAt)
  return claims
}

/**
 * Takes back what was handed out, and with it everything that was made from it: the very next call by it is refused, in sessions that are open and
 * in runs that are under way. Answers whether it was there and not over.
 *
 * @param grant a token; an entry of {@link grants}; or the id of one of this object's own
 * @throws `GRANT_UNKNOWN`, `TOKEN_INVALID`, `OUTSIDE_OBJECT`
 */
export async function revoke(grant: string | GrantView): Promise<boolean> {
  if (typeof grant !== 'string' && typeof (grant as GrantView | undefined)?.id !== 'string')
    throw new DotdoError(
      'GRANT_UNKNOWN',
      'What is to be revoked is no grant. Pass the token that save() gave, the id of a grant, or an entry of the list that grants() gives.',
    )
  if (typeof grant !== 'string') return (await call(grant, 'revoke', [grant.id])) as boolean
  if (grant.startsWith('dotdo1.')) return (await call(checkedForRevoke(grant), 'revoke', [grant])) as boolean
  return requireHost('revoke').issuer.grants.revoke(grant)
}

/** Like {@link checked}, but for what has expired: to revoke that is no mistake. */
function checkedForRevoke(token: string): CapabilityClaims {
  const said = readCapability(token)
  return isOwnNoun(said.noun) ? verifyCapability(token, macOf(env, `${said.noun}/${said.name}`)) : said
}

/**
 * What an object has handed out, newest first, those that are over too for 30 days. Without tokens: those have only whoever was given them.
 *
 * @param of `this`, which is also meant where nothing is given, or a reference to another object
 * @throws `OUTSIDE_OBJECT` where there is no `this`
 */
export async function grants(of?: unknown, options: { limit?: number } = {}): Promise<GrantView[]> {
  const described = of === undefined || of === currentHost()?.self ? undefined : describeRef(of)
  if (described) return (await call(described, 'grants', [options.limit ?? defaultLimit])) as GrantView[]
  return requireHost('grants').issuer.list(options.limit ?? defaultLimit)
}

const defaultLimit = 500

/** Calls a framework method of an object: at once where it is the one whose code runs. */
function call({ noun, name, jurisdiction }: ObjectName, method: string, args: unknown[]): PromiseLike<unknown> {
  return ambientLinks().link(noun, name, undefined, jurisdiction).framework(method, args)
}

function currentHost(): ObjectHost | undefined {
  const host = currentContext()?.host
  return host instanceof ObjectHost ? host : undefined
}

function requireHost(what: string): ObjectHost {
  const host = currentHost()
  if (host) return host
  throw new DotdoError(
    'OUTSIDE_OBJECT',
    `${what}() was called where no object's code runs, so there is no object that it could mean. Call it in a method or a handler, or give it a reference or a token.`,
    { data: { what } },
  )
}

/** Under which the uses of one narrowed reference are counted: unguessable, so that nobody else uses them up. */
function newKey(): string {
  return Array.from(random.bytes(16), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
