/**
 * A client's way to an app, in browsers and in Node.
 *
 * Owns one capnweb session over a WebSocket. Invariants: (1) the session is opened by the first call and again by the first call after it
 * broke; calls that were under way when it broke reject with `LINK_LOST`, and are not sent again; (2) after `close()` every call is refused.
 */
import { newHttpBatchRpcSession, RpcSession, type RpcStub } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import { linkLost } from '../rpc/errors.ts'
import type { Pending, Remote } from '../rpc/remote.ts'
import type { OperatorStub } from './operator.ts'
import { SocketTransport } from './socket-transport.ts'
import { watch, type LiveListener, type LiveSubscription } from './watch.ts'

/** Options of {@link connect}. */
export interface ConnectOptions {
  /** What the app's `authenticate` takes. */
  token: string
  /** Told when the connection opens and when it is lost. */
  onStatus?: (status: ConnectionStatus) => void
}

/** Where a connection stands. `lost`: it broke, and the next call opens it again. `closed`: for good. */
export type ConnectionStatus = 'connecting' | 'open' | 'lost' | 'closed'

/**
 * An app as a client holds it: a method for each noun, and beside them what every app has. `App` is the type of the Worker's module, or any type
 * with a class for each noun. A noun that nobody has typed is `any`: a method from an index signature would be "possibly undefined" where the
 * compiler checks indexed access.
 */
export type AppStub<App> = {
  readonly [Noun in Exclude<keyof App & Capitalize<string>, `Dotdo${string}`>]: 0 extends 1 & App[Noun]
    ? Untyped
    : (name: string) => Remote<App[Noun]>
} & Connection

/** What nobody has typed. */
// oxlint-disable-next-line typescript/no-explicit-any
type Untyped = any

/** What every connection has, whatever the app. */
export interface Connection {
  /** The operator's view: runs, schedules, events of each object. */
  readonly dotdo: OperatorStub
  /** Live events of one object, until the subscription is closed. */
  watch(noun: string, name: string, listener: LiveListener): LiveSubscription
  /** Ends the connection. */
  close(): void
}

/** An app whose nouns nobody has typed. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyApp = Record<Capitalize<string>, any>

interface DoorStub {
  authenticate(token: string): Promise<unknown>
  redeem(token: string): Promise<{ token: string; expiresAt: number }>
}

/**
 * Connects to an app. Nothing is sent before the first call; calls that are made together leave together, and a chain of calls is one
 * round trip: `await connect<App>(url, { token }).Pipeline('main').getStage(0).run(batch)`.
 *
 * @param url the app's address, `http:`, `https:`, `ws:` or `wss:`; the path is `/rpc` where it says none
 * @throws `INVALID_URL`; each call rejects with `TOKEN_INVALID` or `TOKEN_EXPIRED` where the token opens nothing, `LINK_LOST` where the connection broke
 * @example
 * const app = connect<{ Pipeline: typeof Pipeline }>('http://127.0.0.1:8787', { token })
 * console.log(await app.Pipeline('main').status())
 */
export function connect<App = AnyApp>(url: string | URL, options: ConnectOptions): AppStub<App> {
  const address = rpcAddress(url, 'ws')
  let app: RpcStub<Record<string, never>> | undefined
  let door: RpcStub<Record<string, never>> | undefined
  let closed = false
  const subscriptions = new Set<LiveSubscription>()
  const tell = (status: ConnectionStatus) => options.onStatus?.(status)

  const open = (): RpcStub<Record<string, never>> => {
    if (closed) throw linkLost('close() was called on this connection')
    if (app) return app
    tell('connecting')
    const socket = new WebSocket(address)
    socket.addEventListener('open', () => tell('open'))
    door = new RpcSession(new SocketTransport(socket)).getRemoteMain() as unknown as RpcStub<Record<string, never>>
    const opened = (door as unknown as DoorStub).authenticate(options.token) as unknown as RpcStub<Record<string, never>>
    app = opened
    door.onRpcBroken(() => {
      if (app !== opened) return
      app = undefined
      if (!closed) tell('lost')
    })
    return opened
  }

  const connection: Connection = {
    get dotdo() {
      return member(open, 'dotdo') as unknown as OperatorStub
    },
    watch(noun, name, listener) {
      const subscription = watch(
        { address: (path) => new URL(path, address).href, ticket: () => connection.dotdo.watch(noun, name) },
        listener,
      )
      subscriptions.add(subscription)
      return { close: () => (subscriptions.delete(subscription), subscription.close()) }
    },
    close() {
      closed = true
      for (const subscription of subscriptions) subscription.close()
      door?.[Symbol.dispose]()
      tell('closed')
    },
  }
  return new Proxy(connection, {
    get(target, property) {
      if (typeof property === 'string' && /^[A-Z]/.test(property))
        return (name: string) => (member(open, property) as (name: string) => unknown)(name)
      return Reflect.get(target, property) as unknown
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

function member(open: () => RpcStub<Record<string, never>>, name: string): Pending<unknown> | ((...args: never[]) => unknown) {
  return Reflect.get(open(), name) as Pending<unknown>
}

function rpcAddress(url: string | URL, scheme: 'ws' | 'http'): string {
  if (!URL.canParse(url))
    throw new DotdoError(
      'INVALID_URL',
      `${JSON.stringify(String(url))} is no address. Write it whole: connect('https://my-pipeline.example', …).`,
      { data: { url: String(url) } },
    )
  const address = new URL(url)
  const secure = address.protocol === 'https:' || address.protocol === 'wss:'
  if (!secure && address.protocol !== 'http:' && address.protocol !== 'ws:') {
    throw new DotdoError('INVALID_URL', `An app is reached by http, https, ws or wss, not ${address.protocol} (${address.href}).`, {
      data: { url: address.href },
    })
  }
  address.protocol = `${scheme}${secure ? 's' : ''}:`
  if (address.pathname === '/') address.pathname = '/rpc'
  address.hash = ''
  return address.href
}
