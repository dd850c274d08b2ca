/** A client's way to an app, in browsers and in Node. */
import { newHttpBatchRpcSession } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import type { NounOptions, Remote } from '../rpc/remote.ts'
import { rpcAddress } from './address.ts'
import { connection } from './connection.ts'
import type { OperatorStub } from './operator.ts'
import type { ConnectOptions } from './options.ts'
import { webPorts, type ClientPorts } from './ports.ts'
import { recorder } from './recorder.ts'
import { watch, type LiveListener, type LiveSubscription } from './watch.ts'

/**
 * An app as a client holds it: a method for each noun, and beside them what every app has. `App` is the type of the Worker's module, or any type
 * with a class for each noun. A noun that nobody has typed is `any`: a method from an index signature would be "possibly undefined" where the
 * compiler checks indexed access.
 */
export type AppStub<App> = {
  readonly [Noun in Exclude<keyof App & Capitalize<string>, `Dotdo${string}`>]: 0 extends 1 & App[Noun]
    ? Untyped
    : (name: string, options?: NounOptions) => Remote<App[Noun]>
} & Connection

/** What nobody has typed. */
// oxlint-disable-next-line typescript/no-explicit-any
type Untyped = any

/** What every connection has, whatever the app. */
export interface Connection {
  /** The operator's view: runs, schedules, events of each object. */
  readonly dotdo: OperatorStub
  /**
   * Live events of one object, until the subscription is closed. What is missed while the connection is lost is made up for.
   * @param listener told of each event; an object, where it is to know of what was missed and of the connection too
   * @example
   * const watching = app.watch('Pipeline', 'main', (event) => console.log(event.type))
   */
  watch(noun: string, name: string, listener: LiveListener | LiveListener['event']): LiveSubscription
  /** Ends the connection. What has no answer rejects with `LINK_LOST`. */
  close(): void
}

/** An app whose nouns nobody has typed. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyApp = Record<Capitalize<string>, any>

interface DoorStub {
  redeem(token: string): Promise<{ token: string; expiresAt: number }>
}

/**
 * Connects to an app. Nothing is sent before the first call; calls that are made together leave together, and a chain of calls is one
 * round trip: `await connect<App>(url, { token }).Pipeline('main').getStage(0).run(batch)`.
 *
 * A connection that breaks is opened again. Calls on objects that had no answer are sent again and take effect once: the object knows them by
 * their keys. Others that were under way reject with `LINK_LOST`: those whose arguments hold functions, stubs or promises, those on something
 * that another call answered with, and the operator's.
 *
 * A chain of calls leaves as one. What stood in its middle is not here after it, and refuses later calls with `REFERENCE_GONE`: what is used in more
 * than one turn is awaited first, `const stage = await app.Pipeline('main').getStage(0)`.
 *
 * @param url the app's address, `http:`, `https:`, `ws:` or `wss:`; the path is `/rpc` where it says none
 * @throws `INVALID_URL`, `INVALID_OPTIONS`; each call rejects with `TOKEN_INVALID` or `TOKEN_EXPIRED` where the token opens nothing, with `LINK_LOST` where no
 * connection came about, and with `CALL_INTERRUPTED` or `RESULT_NOT_KEPT` where it was sent again and its answer is lost
 * @example
 * const app = connect<{ Pipeline: typeof Pipeline }>('http://127.0.0.1:8787', { token })
 * console.log(await app.Pipeline('main').status())
 */
export function connect<App = AnyApp>(url: string | URL, options: ConnectOptions): AppStub<App> {
  return connectOver(url, options, webPorts())
}

/** {@link connect} over ports of one's own. */
export function connectOver<App = AnyApp>(url: string | URL, options: ConnectOptions, ports: ClientPorts): AppStub<App> {
  // JavaScript may leave them out.
  if (!(options as ConnectOptions | undefined)) throw new DotdoError('INVALID_OPTIONS', 'A token is missing: connect(url, { token }).')
  const sessions = connection(url, options, (door) => door['authenticate']!(options.token), ports)
  const rootOf = recorder(sessions, ports, options.onFailure)
  const subscriptions = new Set<LiveSubscription>()
  const inspector = (noun: string, name: string) =>
    rootOf({ key: JSON.stringify(['dotdo', noun, name]), take: (app) => app['dotdo']!['object']!(noun, name) })
  const operator = rootOf({ key: 'dotdo', take: (app) => app['dotdo']!, own: { object: inspector } }) as OperatorStub

  const app: Connection = {
    dotdo: operator,
    watch(noun, name, listener) {
      const address = (path: string) => new URL(path, rpcAddress(url, 'ws')).href
      const subscription = watch(
        { ...ports, address, ticket: () => operator.watch(noun, name) },
        typeof listener === 'function' ? { event: listener } : listener,
      )
      const owned = { close: () => (subscriptions.delete(owned), subscription.close()) }
      subscriptions.add(owned)
      return owned
    },
    close() {
      for (const subscription of subscriptions) subscription.close()
      sessions.close()
    },
  }
  return new Proxy(app, {
    get(target, noun) {
      if (typeof noun !== 'string' || !/^[A-Z]/.test(noun)) return Reflect.get(target, noun) as unknown
      return (name: string, options?: NounOptions) => {
        const isName = typeof name === 'string'
        const placed = options?.jurisdiction ? `${options.jurisdiction}:${noun}` : noun
        return rootOf({
          key: JSON.stringify([placed, isName ? name : typeof name]),
          take: (app) => app[placed]!(name),
          // What is no name is refused by the app.
          object: isName ? [placed, name] : undefined,
        })
      }
    },
  }) as AppStub<App>
}

/**
 * Exchanges the token of a one-time link for a session's.
 * @throws `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_USED`
 */
export async function redeem(url: string | URL, oneTimeToken: string): Promise<{ token: string; expiresAt: number }> {
  const door = newHttpBatchRpcSession(rpcAddress(url, 'http')) as unknown as DoorStub
  return await door.redeem(oneTimeToken)
}
