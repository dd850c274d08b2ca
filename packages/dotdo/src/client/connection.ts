/**
 * What stands behind {@link connect}: capnweb sessions, one after the other, and the calls that outlive them.
 *
 * Owns the current session and the calls on objects that have no answer. Invariants:
 * 1. A session is opened by the first call, and again by the first call after it broke; at once where calls are without an answer.
 * 2. A call on an object leaves under one key, however often: what a broken session has left unanswered goes first on the next one, in the order
 *    of the calls, at most {@link mostSends} times. Everything else that was under way rejects with `LINK_LOST`.
 * 3. While an answer is due, a connection that has been silent is asked for a sign of life; without one it counts as broken.
 * 4. What waits for a connection is bounded by `offline`, and by `giveUpMs`.
 * 5. After `close()` every call is refused, and nothing is left to run.
 */
import { RpcSession, type RpcStub } from 'capnweb'
import { DotdoError } from '../base/errors.ts'
import type { ChainLink } from '../rpc/chain.ts'
import { asUnsendable, linkLost } from '../rpc/errors.ts'
import { sendMapped } from '../rpc/mapper.ts'
import { BatchTransport } from './batch-transport.ts'
import { rpcAddress } from './address.ts'
import type { ConnectOptions } from './options.ts'
import { backoffMs, reasonOf, type ClientPorts } from './ports.ts'
import { SocketTransport } from './socket-transport.ts'
import type { ClientTransport, Tell } from './transport.ts'

/** A stub of capnweb, as far as a client uses one. */
export type AnyStub = { readonly [member: string | symbol]: AnyStub } & ((...args: unknown[]) => AnyStub) & Disposable & Promise<unknown>

/** An object of the app. */
export type ObjectAt = readonly [noun: string, name: string]

/** A call on an object, from when it leaves until it is answered. */
export interface KeyedCall {
  readonly settle: PromiseWithResolvers<unknown>
  /** The promise of the session that it left by last: what later calls can be made on. */
  readonly stub: AnyStub
}

interface OpenCall extends KeyedCall {
  /** What is sent, whenever it is. */
  readonly said: [...ObjectAt, key: string | null, chain: ChainLink[]]
  chars: number
  stub: AnyStub
  session?: Session
  issuedAt: number
  /** When it may have left for the first time; epoch milliseconds. */
  firstSentAt?: number
  sends: number
}

interface Session {
  transport: ClientTransport
  door: RpcStub<Record<string, never>>
  app: AnyStub
  /** Stubs of objects that calls were made on, by what they lead to. */
  roots: Map<string, AnyStub>
  /** Answers that are due beside those of calls on objects. */
  due: number
  /** Ends the listening for a connection that is gone without a word. */
  unwatch?: (() => void) | undefined
}

/** How often one call is sent, at most. What breaks each session that it is in is not tried for ever. */
const mostSends = 5
/** How long a call that may have arrived is sent again: well within the time for which objects remember their calls. */
const resendMs = 5 * 60_000
/** How long a connection may be silent while something is expected of it: then it is asked, and as long again later it is lost. */
const silentMs = 15_000
/** Stubs of objects that one session keeps at the server. The one taken first goes first. */
const mostRoots = 1000

/** What a recorder needs of the sessions of an app. */
export interface Connection {
  /**
   * Sends a chain of calls on an object, again if need be.
   * @param chars how large its arguments are
   * @throws `OFFLINE_QUEUE_FULL`, `LINK_LOST`; synchronously, and what capnweb throws for values that it cannot send
   */
  call(object: ObjectAt, chain: ChainLink[], chars: number): KeyedCall
  /**
   * The stub that calls on an object are made on, which are sent once.
   * @param key names what it leads to; @param take takes it from the app's stub
   * @param isOnce it is not kept: within the function of a `.map` taking it is part of what is written down
   * @throws `OFFLINE_QUEUE_FULL`, `LINK_LOST`
   */
  root(key: string, take: (app: AnyStub) => AnyStub, isOnce?: boolean): AnyStub
  /** Opens a session where there is none. @throws `LINK_LOST` */
  open(): void
  /** Asks for the answer of a plain call, now. */
  ask(stub: Promise<unknown>): Promise<unknown>
  /** What was recorded in this turn has been sent. */
  endOfTurn(): void
  /** @throws nothing; a second one does nothing */
  close(): void
}

/**
 * One app's sessions; see the head of this file for what it owns.
 *
 * @param enter what a session begins with: takes from the app's door what all calls are made on
 * @throws `INVALID_URL`
 */
export function connection(
  url: string | URL,
  options: Omit<ConnectOptions, 'token'>,
  enter: (door: AnyStub) => AnyStub,
  ports: ClientPorts,
): Connection {
  const address = rpcAddress(url, options.transport === 'batch' ? 'http' : 'ws')
  const giveUpMs = options.giveUpMs ?? 30_000
  let current: Session | undefined
  /** In the order in which they were made. */
  const unanswered = new Set<OpenCall>()
  /** Calls that wait for the session to open. */
  let waiting = 0
  /** Sessions that were lost since one was open. */
  let losses = 0
  let downSince: number | undefined
  let isClosed = false
  const keys = ports.newKey()
  let nextKey = 0

  function call(object: ObjectAt, chain: ChainLink[], chars: number): KeyedCall {
    // Nothing but properties may be read again, and needs no key.
    const said = [...object, chain.some(([, args]) => args) ? `${keys}.${nextKey++}` : null, chain]
    const made = { said, chars, settle: Promise.withResolvers(), issuedAt: ports.now(), sends: 0 }
    const call = made as unknown as OpenCall
    send(call)
    unanswered.add(call)
    return call
  }

  function root(key: string, take: (app: AnyStub) => AnyStub, isOnce = false): AnyStub {
    const { app, roots } = admit(0)
    let root = roots.get(key)
    if (!root) {
      if (isOnce) return take(app)
      roots.set(key, (root = take(app)))
      if (roots.size > mostRoots) {
        const [[first, stub]] = roots as unknown as [[string, AnyStub]]
        roots.delete(first)
        stub[Symbol.dispose]?.()
      }
    }
    return root
  }

  function open(): void {
    if (isClosed) throw closed()
    current ??= opened(0)
  }

  function ask(stub: Promise<unknown>): Promise<unknown> {
    const session = current
    if (!session) return stub
    session.due++
    listen(session)
    return stub.finally(() => session.due--)
  }

  function endOfTurn(): void {
    if (current?.transport.endOfTurn()) current = undefined
  }

  function close(): void {
    if (isClosed) return
    isClosed = true
    current?.door[Symbol.dispose]()
    current = undefined
    for (const call of unanswered) ended(call).reject(closed())
    tell('closed')
  }

  const tell: Tell = (status, detail = {}) => {
    if (status === 'open') {
      losses = 0
      downSince = undefined
    }
    options.onStatus?.(status, detail)
  }

  /** The session for one more call, where there is room for it. */
  function admit(chars: number): Session {
    open()
    const session = current!
    const { transport } = session
    if (!transport.isOpen) {
      const { maxCalls = 1000, maxBytes = 8 * 1024 * 1024 } = options.offline ?? {}
      if (waiting >= maxCalls || transport.waitingChars + chars > maxBytes)
        throw new DotdoError(
          'OFFLINE_QUEUE_FULL',
          `Not sent: ${maxCalls} calls or ${maxBytes} bytes wait. Wait for onStatus('open') or raise offline.`,
          { retryable: true, data: { maxCalls, maxBytes } },
        )
      waiting++
    }
    return session
  }

  function opened(delayMs: number): Session {
    waiting = 0
    // A batch gives up with its request.
    const Transport = options.transport === 'batch' ? BatchTransport : SocketTransport
    const transport = new Transport(address, ports, tell, delayMs, unanswered.size ? Math.min(giveUpMs, resendMs) : giveUpMs)
    const opened = new RpcSession(transport)
    sendMapped(opened)
    const door = opened.getRemoteMain() as unknown as RpcStub<Record<string, never>>
    const app = enter(door as unknown as AnyStub)
    const session: Session = { transport, door, app, roots: new Map(), due: 0 }
    door.onRpcBroken((error: unknown) => lose(session, error))
    return session
  }

  function send(call: OpenCall): void {
    const session = admit(call.chars)
    const age = call.firstSentAt === undefined ? [] : [ports.now() - call.firstSentAt]
    const stub = session.app['call']!(...call.said, ...age)
    call.session = session
    call.stub = stub
    call.sends++
    listen(session)
    stub.then(
      (value) => ended(call).resolve(value),
      // Of a session that broke: the call is on its way again, or was told already.
      (error: unknown) => call.session === session && ended(call).reject(error),
    )
  }

  /** Invariant 3. A network may take a connection away and tell neither side. */
  function listen(session: Session): void {
    session.unwatch ??= ports.timer(silentMs, () => {
      session.unwatch = undefined
      if (current !== session || !(unanswered.size + session.due)) return
      const silence = ports.now() - session.transport.heardAt
      if (silence >= 2 * silentMs) return session.transport.lose(`the server was silent for ${silence} ms`)
      // Whatever it answers is a sign.
      if (silence >= silentMs) (session.door as unknown as AnyStub)['ping']!().catch(() => {})
      listen(session)
    })
  }

  function ended(call: OpenCall): PromiseWithResolvers<unknown> {
    unanswered.delete(call)
    return call.settle
  }

  /** A session has ended: what it left unanswered goes on the next one. */
  function lose(session: Session, cause: unknown): void {
    const error = isClosed ? closed() : asCoded(cause)
    if (current === session) current = undefined
    session.unwatch?.()
    const { transport } = session
    const now = ports.now()
    downSince ??= now
    const goesOn = transport.mayResend && !isClosed && now - downSince < Math.min(giveUpMs, resendMs)
    const again = [...unanswered].filter((call) => {
      if (call.session !== session) return false
      if (transport.openedAt < Infinity) call.firstSentAt ??= Math.max(call.issuedAt, transport.openedAt)
      // The others are told by their stubs, which have the error by now, or an answer that came just before.
      return goesOn && call.sends < mostSends
    })
    if (!goesOn) downSince = undefined
    const retryMs = again[0] && backoffMs(losses++, ports.random(), 10_000)
    // Calls that a batch has answered may not have heard of it yet.
    if (!isClosed && !transport.isOver) tell('lost', { reason: reasonOf(error), retryMs })
    // A status listener may have closed it.
    if (retryMs === undefined || isClosed) return
    current ??= opened(retryMs)
    for (const call of again) {
      try {
        send(call)
      } catch (full) {
        ended(call).reject(full)
      }
    }
  }

  return { call, root, open, ask, endOfTurn, close }
}

const closed = (): DotdoError => linkLost('close() was called')

/**
 * What an error of capnweb's own words means to the call that it ends: a connection that was lost, or a value that cannot be sent. Others are as they are.
 */
export function asCoded(error: unknown): unknown {
  const words = reasonOf(error)
  // The last is what capnweb ends a stream with whose session is over.
  return /^(?:RPC session was|bad RPC message|WritableStream RPC)/.test(words) ? linkLost(words) : asUnsendable(error)
}
