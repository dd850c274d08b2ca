/** A saved capability, as a client without a session holds it: the token is all the authority there is. */
import type { Remote } from '../rpc/remote.ts'
import { connection, type AnyStub } from './connection.ts'
import type { ConnectOptions } from './options.ts'
import { webPorts, type ClientPorts } from './ports.ts'
import { recorder } from './recorder.ts'

/** Options of {@link restore}. */
export interface RestoreOptions extends Omit<ConnectOptions, 'token'> {
  /** The secret of a capability that is bound to a holder. */
  holder?: { secret: string }
}

/**
 * The capability that a token stands for. Nothing is sent before the first call; a chain of calls is one round trip, and what the token does not
 * give cannot be reached by it. A connection that breaks is opened again by the next call; calls that were under way reject with `LINK_LOST`. `using`, or
 * `[Symbol.dispose]()`, ends the connection.
 *
 * @param url the app that issued it, as `connect` takes it
 * @throws `INVALID_URL`; each call rejects with `TOKEN_INVALID`, `CAPABILITY_EXPIRED`, `CAPABILITY_REVOKED`, `CAPABILITY_USED_UP`,
 * `CAPABILITY_DENIED` or `HOLDER_REFUSED` where the token does not give it, and with `LINK_LOST` where no connection came about
 * @example
 * using report = restore<typeof Report>('https://my-pipeline.example', token)
 * console.log(await report.latest())
 */
export function restore<T>(url: string | URL, token: string, options: RestoreOptions = {}): Remote<T> {
  return restoreOver<T>(url, token, options, webPorts())
}

/** {@link restore} over ports of one's own. */
export function restoreOver<T>(url: string | URL, token: string, { holder, ...options }: RestoreOptions, ports: ClientPorts): Remote<T> {
  const enter = (door: AnyStub) => door['restore']!(token, holder)
  const sessions = connection(url, options, enter, ports)
  const rootOf = recorder(sessions, ports, options.onFailure)
  return rootOf({
    key: 'restored',
    // The capability itself, and not a method of an app.
    take: (capability) => capability,
    own: { [Symbol.dispose]: () => sessions.close() },
  }) as Remote<T>
}
