/** Finds objects by noun: the Worker's own exports first, then its bindings. */
import { env, exports } from 'cloudflare:workers'
import type { RpcStub } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import type { LinkMessage, LinkReply } from '../rpc/frames.ts'
import { Link, type LinkClientPorts } from '../rpc/link-client.ts'
import { newLinkStats, type LinkStats } from '../rpc/stats.ts'

/** What every object of dotdo answers to natively: its two link methods. */
export interface LinkedObject {
  dotdoLink(message: LinkMessage): Promise<LinkReply>
  dotdoInspect(message: LinkMessage): Promise<LinkReply>
}

type Namespace = DurableObjectNamespace

/** Classes of the framework itself: not nouns of the app. */
const ownClasses = /^Dotdo[A-Z]/

/** The namespace of a noun, or `undefined`. A binding is found by the noun itself or in capitals: `Stage`, `STAGE`. */
export function namespaceOf(noun: string): Namespace | undefined {
  const own = (exports as unknown as Record<string, unknown>)[noun]
  if (isNamespace(own)) return own
  const bindings = env as unknown as Record<string, unknown>
  for (const name of [noun, noun.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase()]) {
    const bound = bindings[name]
    if (isNamespace(bound)) return bound
  }
  return undefined
}

/** Whether a namespace is that of the framework's own class, whatever the name that it was exported or bound by. */
function isOwn(name: string, namespace: Namespace): boolean {
  if (ownClasses.test(name)) return true
  const system = (exports as unknown as Record<string, unknown>)['DotdoSystem']
  return isNamespace(system) && system.idFromName('x').toString() === namespace.idFromName('x').toString()
}

/** The nouns that exist, sorted. */
export function nounNames(): string[] {
  const own = Object.entries(exports as unknown as Record<string, unknown>)
  const bound = Object.entries(env as unknown as Record<string, unknown>)
  const names = [...own, ...bound].flatMap(([name, value]) => (isNamespace(value) && !isOwn(name, value) ? [name] : []))
  return [...new Set(names)].sort()
}

/** The namespace of a noun. @throws `NOUN_UNKNOWN` with those that exist */
export function requireNamespace(noun: string): Namespace {
  const namespace = namespaceOf(noun)
  if (namespace) return namespace
  const known = nounNames()
  throw new DotdoError(
    'NOUN_UNKNOWN',
    `There is no noun ${JSON.stringify(noun)}. This Worker knows: ${known.join(', ') || 'none'}. Export the class by that name, with a migration in wrangler.toml, or bind it.`,
    {
      data: { noun, known },
    },
  )
}

/** Whether a value is a namespace of objects: the Worker's own exports are callable loopbacks, bindings are not, and both carry the tag. */
export function isNamespace(value: unknown): value is Namespace {
  return Object.prototype.toString.call(value).endsWith('DurableObjectNamespace]')
}

/** How many objects one owner keeps a link to. The one used longest ago is forgotten first; it costs a new native stub to come back. */
const linksPerOwner = 1000

/** The links that one owner (an object's instance, a request) has open, by noun and name. */
export class Links {
  readonly stats: LinkStats = newLinkStats()
  #links = new Map<string, Link>()
  #ports: LinkClientPorts

  constructor(ports: LinkClientPorts) {
    this.#ports = ports
  }

  /** A stub of the user's methods of an object. @throws `NOUN_UNKNOWN`, `INVALID_NAME` */
  user(noun: string, name: string): RpcStub<Record<string, never>> {
    return this.#link('dotdoLink', noun, name).root()
  }

  /** A stub of the object's inspector: its runs, steps and schedules. @throws `NOUN_UNKNOWN`, `INVALID_NAME` */
  inspector(noun: string, name: string): RpcStub<Record<string, never>> {
    return this.#link('dotdoInspect', noun, name).root()
  }

  #link(method: keyof LinkedObject, noun: string, name: string): Link {
    if (typeof name !== 'string' || name.length === 0 || name.length > 1024) {
      throw new DotdoError(
        'INVALID_NAME',
        `The name of a ${noun} is a text of 1 to 1,024 characters, not ${typeof name === 'string' ? `one of ${name.length}` : `a ${typeof name}`}: this.${noun}('main').`,
        {
          data: { noun, name: typeof name === 'string' ? name.slice(0, 100) : String(name) },
        },
      )
    }
    const key = `${method} ${noun} ${name}`
    let link = this.#links.get(key)
    if (link) {
      this.#links.delete(key)
    } else {
      const namespace = requireNamespace(noun)
      link = new Link(
        () => {
          const stub = namespace.getByName(name) as unknown as LinkedObject
          return { send: (message) => stub[method](message) }
        },
        this.#ports,
        this.stats,
      )
      if (this.#links.size >= linksPerOwner) this.#links.delete(this.#links.keys().next().value!)
    }
    this.#links.set(key, link)
    return link
  }
}
