/**
 * What a client meets. The {@link Door} gives nothing but the way in; `authenticate` hands out the {@link App}, from which every noun and the
 * operator's view are reached. An unmodified capnweb client can make all of these calls.
 */
import { RpcTarget, type RpcStub } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import type { AppDescription, TableOverview } from '../base/views.ts'
import type { Lineage } from '../base/lineage-views.ts'
import type { Stub } from '../rpc/ref.ts'
import { appOptions } from './app.ts'
import { checked, restoreBy } from './authority.ts'
import { bucketBindings } from './buckets.ts'
import { FleetView } from './fleet-view.ts'
import { lineageBy, type SnapshotName } from './lineage-walk.ts'
import { livePath } from './live-path.ts'
import { nounNames, requireAppNoun, type Links } from './nouns.ts'
import { clock } from './platform.ts'
import { wakeSingletons } from './singletons.ts'
import { signToken, verifyToken } from '../rpc/tokens.ts'

/** How long a session token, a one-time link and a ticket to watch are good for. */
export const sessionMs = 12 * 3_600_000
const ticketMs = 60_000

/** The part of the Worker's bindings that the framework reads. */
export interface DoorEnv {
  DOTDO_SECRET?: string
}

/**
 * The one check of who may enter, by whichever way: the app's own where it brings one, else a session token signed with its secret.
 * @throws `TOKEN_INVALID`, `TOKEN_EXPIRED`, `SECRET_MISSING`
 */
export async function requireSession(token: string, env: DoorEnv): Promise<void> {
  const { authenticate } = appOptions()
  if (!authenticate) await requireGenuine(token, env.DOTDO_SECRET)
  else if (!(await authenticate(token, env)))
    throw new DotdoError('TOKEN_INVALID', 'The token is not valid: the app refused it. Ask the app for a new one.')
}

/** Tokens of sessions that this isolate has found genuine, the newest last: each batch brings one, and to verify it costs as much as its calls. */
const genuine = new Map<string, { by: string; expiresAt: number }>()
const mostGenuine = 1000

/** @throws `TOKEN_INVALID`, `TOKEN_EXPIRED`, `SECRET_MISSING` */
async function requireGenuine(token: string, secret: string | undefined): Promise<void> {
  const now = clock.now()
  const known = genuine.get(token)
  if (known && known.by === secret && known.expiresAt > now) return
  const { expiresAt } = await verifyToken(token, 'session', secret, now)
  genuine.delete(token)
  genuine.set(token, { by: secret!, expiresAt })
  if (genuine.size > mostGenuine) genuine.delete(genuine.keys().next().value!)
}

/** The way in: all that a client without a token can reach. */
export class Door extends RpcTarget {
  readonly #env: DoorEnv
  readonly #links: Links

  constructor(env: DoorEnv, links: Links) {
    super()
    this.#env = env
    this.#links = links
  }

  /** A sign of life. */
  ping(): void {}

  /** The app, for whoever holds a token. @throws `TOKEN_INVALID`, `TOKEN_EXPIRED` */
  async authenticate(token: string): Promise<App> {
    await requireSession(token, this.#env)
    return new AppTarget(this.#env, this.#links)
  }

  /**
   * What a saved capability's token stands for: the token alone is the authority, and opens nothing else. One that this Worker's secret has not signed
   * wakes no object.
   * @throws `TOKEN_INVALID`, `CAPABILITY_EXPIRED`, `SECRET_MISSING`, `NOUN_UNKNOWN`
   */
  restore(token: string, holder?: { secret: string }): Stub {
    const claims = checked(token, () => true)
    requireAppNoun(claims.noun)
    return restoreBy(this.#links, claims, token, typeof holder?.secret === 'string' ? { secret: holder.secret } : undefined)
  }

  /** Exchanges the token of a one-time link for a session's. @throws `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_USED` */
  async redeem(token: string): Promise<{ token: string; expiresAt: number }> {
    const claims = await verifyToken(token, 'once', this.#env.DOTDO_SECRET, clock.now())
    const tokens = this.#links.user('DotdoSystem', 'tokens') as unknown as { redeem(id: string, expiresAt: number): Promise<boolean> }
    if (!(await tokens.redeem(claims.id!, claims.expiresAt))) {
      throw new DotdoError('TOKEN_USED', 'This one-time link has been used. Open a new one: npm start and npx dotdo dev print one.')
    }
    const expiresAt = clock.now() + sessionMs
    return { token: await signToken({ kind: 'session', expiresAt }, this.#env.DOTDO_SECRET), expiresAt }
  }
}

/** The app: each noun is a method that gives the stub of an object. */
export type App = RpcTarget & { readonly dotdo: Operator }

class AppTarget extends RpcTarget {
  readonly #env: DoorEnv
  readonly #links: Links

  constructor(env: DoorEnv, links: Links) {
    super()
    this.#env = env
    this.#links = links
  }

  /** What an app has under a name that a noun could have: whether there is such a noun is asked when it is called. */
  static noun(app: AppTarget, noun: string): (name: string) => unknown {
    return (name) => appNoun(app.#links, noun, name)
  }

  get dotdo(): Operator {
    return new Operator(this.#env, this.#links)
  }

  /**
   * Runs a chain of calls on one object, once however often it is sent under this key: how dotdo's own clients call, so that they can send
   * again what a broken connection has left unanswered.
   *
   * @param key unguessable: whoever has it gets the answer. None for a chain of reads, which may be read again.
   * @param chain `[name, arguments?]` each; a part without arguments is a property
   * @param ageMs of a repeat: how long ago the first sending was
   * @throws `NOUN_UNKNOWN`, `INVALID_NAME`, `INVALID_CALL`, `CALL_INTERRUPTED`, `RESULT_NOT_KEPT`, and what the calls throw
   */
  call(noun: string, name: string, key: string | null, chain: unknown, ageMs?: number): unknown {
    requireAppNoun(noun)
    return this.#links.link(noun, name).framework('keyed', ageMs === undefined ? [key, chain] : [key, chain, ageMs])
  }
}

// One class for all sessions: a prototype that is set for each of them would cost each of them more than all else that it does here.
Object.setPrototypeOf(
  AppTarget.prototype,
  new Proxy(Object.create(RpcTarget.prototype) as object, {
    get(target, property, receiver) {
      if (typeof property !== 'string' || !/^(?:[a-z-]+:)?[A-Z]/.test(property)) return Reflect.get(target, property, receiver) as unknown
      return AppTarget.noun(receiver as AppTarget, property)
    },
  }),
)

function appNoun(links: Links, noun: string, name: string): RpcStub<Record<string, never>> {
  requireAppNoun(noun)
  return links.user(noun, name)
}

/** The operator's view: what the page and the command line work with. */
export class Operator extends RpcTarget {
  readonly #env: DoorEnv
  readonly #links: Links

  constructor(env: DoorEnv, links: Links) {
    super()
    this.#env = env
    this.#links = links
  }

  describe(): AppDescription {
    const singletons = Object.fromEntries(Object.entries(appOptions().singletons ?? {}).map(([noun, names]) => [noun, [...names]]))
    return { nouns: nounNames(), singletons }
  }

  /** The inspector of one object. @throws `NOUN_UNKNOWN` */
  object(noun: string, name: string): RpcStub<Record<string, never>> {
    requireAppNoun(noun)
    return this.#links.inspector(noun, name)
  }

  /**
   * The same app for calls that belong to a trace of the client's: https://www.w3.org/TR/trace-context/. Over HTTP the headers of that name do the same
   * for all calls of a batch; a socket has no headers in a browser, and lasts longer than a trace.
   */
  traced(traceparent: string, tracestate?: string): App {
    return new AppTarget(this.#env, this.#links.within({ traceparent, ...(tracestate !== undefined && { tracestate }) }))
  }

  /** Where a snapshot of a table comes from. @throws `TABLE_NOT_FOUND`, `SNAPSHOT_UNKNOWN`, `INVALID_OPTIONS` */
  lineage(snapshot: SnapshotName): Promise<Lineage> {
    return lineageBy(this.#links, snapshot)
  }

  /** All runs, schedules, dead letters and alerts of the app: what its objects have told. @throws `FLEET_OFF` where the app has no index */
  get fleet(): FleetView {
    return new FleetView(this.#links)
  }

  /** Wakes all singletons: each declares its schedules and does what is due. */
  async wake(): Promise<void> {
    await wakeSingletons(this.#links, this.#env, 'all')
  }

  /** The address, below the Worker's own, of a WebSocket with the live events of one object. Good for a minute. */
  async watch(noun: string, name: string): Promise<string> {
    requireAppNoun(noun)
    const object = `${noun}/${name}`
    const ticket = await signToken({ kind: 'watch', object, expiresAt: clock.now() + ticketMs }, this.#env.DOTDO_SECRET)
    return `${livePath(noun, name)}?ticket=${ticket}`
  }

  /** The tables of the app's catalog with their current snapshots. */
  async tables(): Promise<TableOverview[]> {
    const catalogs = Object.keys(bucketBindings()).map(
      (binding) => this.#links.user('DotdoSystem', `catalog ${binding}`) as unknown as { overview(): Promise<TableOverview[]> },
    )
    return (await Promise.all(catalogs.map((catalog) => catalog.overview()))).flat()
  }
}
