/**
 * Finds objects by noun: the Worker's own exports first, then its bindings to classes of other Workers, then the services of other Workers
 * that `serve({ services })` names.
 */
import { env, exports } from '#platform'
import type { RpcStub } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import type { LinkMessage, LinkPeer, LinkReply } from '../rpc/frames.ts'
import { Link, type LinkClientPorts } from '../rpc/link-client.ts'
import type { LinkServerPorts } from '../rpc/link-server.ts'
import { meteredPeer } from '../rpc/metered-peer.ts'
import { packCall, unpackAnswer, type PackedCall } from '../rpc/packed-call.ts'
import { placedNoun, readPlacedNoun, type Caller } from '../rpc/origin.ts'
import { formatTrace, parseTrace, type TraceHeaders } from '../rpc/trace.ts'
import { newLinkStats, sumStats, type LinkStats } from '../rpc/stats.ts'
import { appOptions, appRenames, fleetOf } from './app.ts'
import { livePath } from './live-path.ts'
import { receivingPorts, type OwnerPorts } from './platform.ts'
import { renamedInvalid } from './renamed.ts'
import type { Tracing } from './tracing.ts'

/** What every object of dotdo answers to natively: its two link methods, one for sessions and one for calls without, and requests for its live events. */
export interface LinkedObject {
  dotdoLink(message: LinkMessage): Promise<LinkReply>
  dotdoCall(...call: PackedCall): Promise<unknown>
  fetch(request: Request): Promise<Response>
}

/** What a service of another Worker answers to natively: the same, for each of the objects behind it. See `entrypoint.ts`. */
export interface LinkedService {
  dotdoLink(noun: string, name: string, message: LinkMessage): Promise<LinkReply>
  dotdoCall(noun: string, name: string, ...call: PackedCall): Promise<unknown>
  fetch(request: Request): Promise<Response>
}

/**
 * The way to one object, as plain data around a native stub: it can be an argument of a native call, also to another Worker, and leads to
 * the object after that call has ended. `at` says which of its objects, where the stub is a service.
 */
export interface ObjectAddress {
  stub: unknown
  at?: readonly [noun: string, name: string]
}

type Namespace = DurableObjectNamespace

/** Classes of the framework itself: not nouns of the app. */
const ownClasses = /^Dotdo[A-Z]/

/** What the Worker itself exports, by name. */
const own = (): Record<string, unknown> => exports as unknown as Record<string, unknown>
const bindings = (): Record<string, unknown> => env as unknown as Record<string, unknown>

/** Whether a value is a namespace of objects: the Worker's own exports are callable loopbacks, bindings are not, and both carry the tag. */
export function isNamespace(value: unknown): value is Namespace {
  return Object.prototype.toString.call(value).endsWith('DurableObjectNamespace]')
}

/** Whether a value is a service binding. */
const isService = (value: unknown): value is LinkedService => Object.prototype.toString.call(value) === '[object Fetcher]'

/** The namespace of a noun, or `undefined`. A binding is found by the noun itself or in capitals: `Stage`, `STAGE`. */
function namespaceOf(noun: string): Namespace | undefined {
  const found = [own()[noun], bindings()[noun], bindings()[noun.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase()]]
  return found.find(isNamespace)
}

/** The noun that a binding stands for: `DATA_STAGE` is `DataStage`, and a name that is a noun already stays. */
function nounOfBinding(name: string): string {
  return /^[A-Z0-9]+(?:_[A-Z0-9]+)*$/.test(name) && name.length > 1
    ? name.toLowerCase().replace(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
    : name
}

/** Whether a namespace is that of the framework's own class, whatever the name that it was exported or bound by. */
function isOwn(name: string, namespace: Namespace): boolean {
  if (ownClasses.test(name)) return true
  let is = systems.get(namespace)
  if (is === undefined) {
    const system = own()['DotdoSystem']
    is = isNamespace(system) && isSame(system, namespace)
    systems.set(namespace, is)
  }
  return is
}

/** Namespaces of which that is known: each call of a client asks, and an id is two hashes. */
const systems = new WeakMap<Namespace, boolean>()

function namespacesIn(values: Record<string, unknown>): string[] {
  return Object.entries(values).flatMap(([name, value]) => (isNamespace(value) && !isOwn(name, value) ? [name] : []))
}

/** The nouns that the Worker exports itself, sorted. */
export function ownNouns(): string[] {
  return namespacesIn(own()).sort()
}

/** Whether a noun is a class of this Worker, so that its objects sign with this Worker's secret. */
export function isOwnNoun(noun: string): boolean {
  return isNamespace(own()[appRenames().nounNow(noun)])
}

/** The nouns that can be called, sorted: exported, bound, and behind services. */
export function nounNames(): string[] {
  const names = [...ownNouns(), ...namespacesIn(bindings()).map(nounOfBinding), ...Object.keys(appOptions().services ?? {})]
  return [...new Set(names)].sort()
}

/** The error for a noun that there is not; `known` are those that there are. */
export function nounUnknown(noun: string, known: readonly string[]): DotdoError {
  const now = appRenames().nounNow(noun)
  const what =
    now === noun
      ? `There is no noun ${JSON.stringify(noun)}.`
      : `serve({ renamed }) says that ${noun} is ${now} now, and there is no noun ${now}.`
  return new DotdoError(
    'NOUN_UNKNOWN',
    `${what} This Worker knows: ${known.join(', ') || 'none'}. Export the class by that name, with a migration in wrangler.toml, bind it, or name the service that has it: serve({ services }).${/^[A-Z]\w*$/.test(now) ? ` If it was renamed, say so: serve({ renamed: { ${now}: 'NewName' } }). If it was deleted, so were its objects, and what still names one ends here.` : ''}`,
    { data: { noun, known } },
  )
}

/**
 * Refuses, before anything is done, what the app says of nouns that cannot be meant. Looked at once, and not when the app is configured: what a Worker
 * exports is known when its module has ended.
 * @throws `RENAMED_INVALID`, `SERVE_INVALID`
 */
export function requireSoundNouns(): void {
  const renames = appRenames()
  if (renames.isSound) return
  requireSoundRenames()
  requireKnownNouns()
  renames.isSound = true
}

/** A noun that is misspelt would be a singleton that nobody wakes, a policy or a rule that holds for nobody, a Queue that is never taken. @throws `SERVE_INVALID` */
function requireKnownNouns(): void {
  const { singletons = {}, deploys, queues = {} } = appOptions()
  const said = {
    singletons: Object.keys(singletons),
    deploys: typeof deploys === 'object' ? Object.keys(deploys) : [],
    queues: Object.values(queues).flatMap(({ to }) => (typeof to === 'string' && to.includes('/') ? [to.slice(0, to.indexOf('/'))] : [])),
    'fleet: { alerts }': (fleetOf()?.rules ?? []).flatMap(({ noun }) => (noun === undefined ? [] : [noun])),
  }
  for (const [option, nouns] of Object.entries(said))
    for (const placed of nouns) {
      const noun = appRenames().nounNow(readPlacedNoun(placed).noun)
      if (namespaceOf(noun) || Object.hasOwn(appOptions().services ?? {}, noun)) continue
      const known = nounNames()
      throw new DotdoError(
        'SERVE_INVALID',
        `serve({ ${option} }) speaks of ${JSON.stringify(placed)}, and there is no such noun. This Worker knows: ${known.join(', ') || 'none'}. Correct the name, or take it away.`,
        { data: { option, noun: placed, known } },
      )
    }
}

/**
 * Refuses that two objects are one to others: one of a noun that there is, and one of a noun that was called so.
 * @throws `RENAMED_INVALID`
 */
function requireSoundRenames(): void {
  for (const [noun, now] of appRenames().later) {
    const [before, after] = [namespaceOf(noun), namespaceOf(now)]
    // A binding may have kept its name, and be of the class all the same.
    if (!before || (after && !isNamespace(own()[noun]) && isSame(before, after))) continue
    throw renamedInvalid(
      `${noun} is ${now} now, and there still is a noun ${noun}, whose objects others would take for those of ${now}. Give one of the two a name that neither ever had`,
      noun,
    )
  }
}

const isSame = (a: Namespace, b: Namespace): boolean => a.idFromName('x').toString() === b.idFromName('x').toString()

/**
 * Finds a noun once; the result gives the way to each of its objects.
 * @param placed `Stage`, or `eu:Stage` for those that stay there
 * @throws `NOUN_UNKNOWN` with the nouns that exist; `SERVICE_INVALID`; `RENAMED_INVALID`; `SERVE_INVALID`; the result `JURISDICTION_UNAVAILABLE`
 */
export function placeOf(placed: string): (name: string) => ObjectAddress {
  requireSoundNouns()
  const { noun: said, jurisdiction } = readPlacedNoun(placed)
  const noun = appRenames().nounNow(said)
  const namespace = namespaceOf(noun)
  if (namespace) return (name) => ({ stub: inJurisdiction(namespace, jurisdiction).getByName(name) })
  const services = appOptions().services ?? {}
  const binding = Object.hasOwn(services, noun) ? services[noun] : undefined
  if (binding === undefined) throw nounUnknown(said, nounNames())
  const service = bindings()[binding]
  // The Worker behind it has the class, and so the say whether there is such a place.
  const there = placedNoun({ noun, ...(jurisdiction !== undefined && { jurisdiction }) })
  if (isService(service)) return (name) => ({ stub: service, at: [there, name] })
  throw new DotdoError(
    'SERVICE_INVALID',
    `serve({ services }) says that the noun ${JSON.stringify(noun)} is behind the binding ${binding}, but ${service === undefined ? 'this Worker has no binding of that name' : 'that binding is no service'}. ${addService(binding)}`,
    { data: { noun, binding } },
  )
}

/** The objects of a namespace that stay in a jurisdiction; all others where none is given. @throws `JURISDICTION_UNAVAILABLE` */
export function inJurisdiction(namespace: Namespace, jurisdiction: string | undefined): Namespace {
  if (jurisdiction === undefined) return namespace
  try {
    return namespace.jurisdiction(jurisdiction as DurableObjectJurisdiction)
  } catch (cause) {
    throw noJurisdiction(
      jurisdiction,
      `this platform says: ${(cause instanceof Error ? cause.message : String(cause)).replace(/[.!?]$/, '')}`,
      cause,
    )
  }
}

/** Whether this platform has jurisdictions at all: workerd on its own has none, and so no object is in one. */
export function hasJurisdictions(): boolean {
  const system = own()['DotdoSystem']
  if (!isNamespace(system)) return false
  try {
    return Boolean(system.jurisdiction('eu'))
  } catch (error) {
    return !(error instanceof Error && error.message.includes('not implemented'))
  }
}

/** What is asked to stay somewhere is never put elsewhere without a word. */
function noJurisdiction(jurisdiction: string, reason: string, cause?: unknown): DotdoError {
  return new DotdoError(
    'JURISDICTION_UNAVAILABLE',
    `No object can be reached in the jurisdiction ${JSON.stringify(String(jurisdiction).slice(0, 100))}: ${reason}. Use one that the platform has ('eu', 'fedramp'), by this.Noun(id, { jurisdiction }).`,
    { data: { jurisdiction: String(jurisdiction).slice(0, 100) }, cause },
  )
}

/** What wrangler.toml has to say for a service to be found. */
export const addService = (binding: string): string =>
  `In its wrangler.toml, [[services]] has binding = "${binding}", service = the other Worker's name, and entrypoint = "DotdoEntrypoint", which that Worker exports.`

/** A noun that clients may name. The framework's own objects are none, whatever they are exported as. @throws `NOUN_UNKNOWN` */
export function requireAppNoun(placed: string): void {
  const { noun } = readPlacedNoun(placed)
  const namespace = namespaceOf(appRenames().nounNow(noun))
  if (ownClasses.test(noun) || (namespace && isOwn(noun, namespace))) throw nounUnknown(`${noun} (reserved)`, nounNames())
  placeOf(noun)
}

/** The object at an address: calls to one behind a service name it. */
export function objectAt({ stub, at }: ObjectAddress): LinkedObject {
  if (!at) return stub as LinkedObject
  const [noun, name] = at
  const service = stub as LinkedService
  return {
    dotdoLink: (message) => service.dotdoLink(noun, name, message),
    dotdoCall: (...call) => service.dotdoCall(noun, name, ...call),
    fetch: (request) => {
      const url = new URL(request.url)
      // The ticket is this Worker's matter; what the watcher has seen is the object's.
      const after = url.searchParams.get('after')
      const path = livePath(noun, name) + (after === null ? '' : `?after=${encodeURIComponent(after)}`)
      return service.fetch(new Request(new URL(path, url), request))
    },
  }
}

/** An object at the end of a link. Other objects reach it by the same address. */
function peerOf(address: ObjectAddress, to?: 'inspector'): LinkPeer {
  const object = objectAt(address)
  return {
    // Whoever were given the address would reach the object itself and not its inspector.
    address: to ? undefined : address,
    send: (message) => object.dotdoLink(to ? { ...message, to } : message),
    call: (call) => object.dotdoCall(...packCall(to ? { ...call, to } : call)).then(unpackAnswer),
  }
}

/** What links need beside the platform: addresses that others have told can be reached. */
const withAddresses = (ports: OwnerPorts): LinkClientPorts => ({ ...ports, peerAt: (address) => peerOf(address as ObjectAddress) })

/** The same for who only looks: in a step too, what is asked of an inspector is no call of the step's. */
function lookingOn(ports: LinkClientPorts): LinkClientPorts {
  const caller = (): Caller => {
    const { context, origin } = ports.caller()
    return { context, origin }
  }
  return { ...ports, caller }
}

/** The receiving end of links to one object; what it hands off leaves by links that `ports` make. */
export function linkServerPorts(ports: OwnerPorts): LinkServerPorts {
  const reaching = withAddresses(ports)
  return {
    ...receivingPorts,
    ...(ports.gathering && { gathering: ports.gathering }),
    // A link that is known by its address alone lasts as long as what was handed over refers to it.
    linkAt: (address) => new Link(() => peerOf(address as ObjectAddress), reaching, newLinkStats()),
  }
}

/** How many objects one owner keeps a link to. The one used longest ago is forgotten first; it costs a new native stub to come back. */
const linksPerOwner = 1000

/** The links that one owner (an object's instance, a request) has open, by noun and name. */
export class Links {
  #links = new Map<string, Link>()
  /** Of links that are forgotten. */
  #before: LinkStats = newLinkStats()
  #ports: LinkClientPorts
  #tracing: Tracing | undefined

  /** @param tracing of the owner, where the app keeps traces */
  constructor(ports: OwnerPorts, tracing?: Tracing) {
    this.#ports = withAddresses(ports)
    this.#tracing = tracing
  }

  /** The same way to objects, within another trace; one that cannot be read begins anew with each message. */
  within(headers: TraceHeaders): Links {
    const trace = parseTrace(headers)
    const ports = this.#ports
    const caller = () => ({ context: undefined, origin: { ...ports.caller().origin, ...(trace && formatTrace(trace)) } })
    return new Links({ ...ports, caller }, this.#tracing)
  }

  /** What all links of this owner have done so far. */
  get stats(): LinkStats {
    return sumStats([this.#before, ...Array.from(this.#links.values(), ({ stats }) => stats)])
  }

  /** A stub of the user's methods of an object. @throws `NOUN_UNKNOWN`, `INVALID_NAME`, `JURISDICTION_UNAVAILABLE` */
  user(noun: string, name: string, jurisdiction?: string): RpcStub<Record<string, never>> {
    return this.link(noun, name, undefined, jurisdiction).root()
  }

  /** A stub of the object's inspector: its runs, steps and schedules. @throws `NOUN_UNKNOWN`, `INVALID_NAME` */
  inspector(noun: string, name: string): RpcStub<Record<string, never>> {
    return this.link(noun, name, 'inspector').root()
  }

  /** The link to an object, by its noun or by `eu:Noun`. @throws `NOUN_UNKNOWN`, `INVALID_NAME`, `JURISDICTION_UNAVAILABLE` */
  link(said: string, name: string, to?: 'inspector', asked?: string): Link {
    const { noun: given, jurisdiction = asked } = readPlacedNoun(said)
    const noun = appRenames().firstNoun(given)
    if (typeof name !== 'string' || name.length === 0 || name.length > 1024) {
      throw new DotdoError(
        'INVALID_NAME',
        `The name of a ${given} is a text of 1 to 1,024 characters, not ${typeof name === 'string' ? `one of ${name.length}` : `a ${typeof name}`}: this.${given}('main').`,
        {
          data: { noun: given, name: typeof name === 'string' ? name.slice(0, 100) : String(name) },
        },
      )
    }
    // No key of the one kind is one of the other.
    const key =
      to === undefined && jurisdiction === undefined ? `=${noun} ${name}` : `${to ?? 'object'} ${jurisdiction ?? ''} ${noun} ${name}`
    let known = this.#links.get(key)
    // Which one was used longest ago is of interest only where one may have to go soon.
    if (known && this.#links.size < linksPerOwner / 2) return known
    if (known) {
      this.#links.delete(key)
    } else {
      const place = placeOf(placedNoun({ noun, ...(jurisdiction !== undefined && { jurisdiction }) }))
      const stats = newLinkStats()
      // What an operator looks at is no part of what the app does.
      const trace = to ? undefined : this.#tracing?.sentTo(appRenames().nounNow(noun), name)
      // One that there is not is told now, and not by the first call.
      if (jurisdiction !== undefined) place(name)
      const peer = () => meteredPeer(peerOf(place(name), to), stats, trace)
      const at = { noun, name, ...(jurisdiction !== undefined && { jurisdiction }) }
      known = new Link(peer, to ? lookingOn(this.#ports) : this.#ports, stats, appOptions().limits?.link, at)
      if (this.#links.size >= linksPerOwner) this.#forgetOldest()
    }
    this.#links.set(key, known)
    return known
  }

  #forgetOldest(): void {
    const [key, { stats }] = this.#links.entries().next().value!
    this.#links.delete(key)
    // What it still holds ends by itself, and nobody could see it end.
    this.#before = sumStats([this.#before, { ...stats, openSessions: 0, openExports: 0 }])
  }
}
