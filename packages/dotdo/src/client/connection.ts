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
import { codeOf, DotdoError } from '../base/errors.ts'
import type { ChainLink } from '../rpc/chain.ts'
import { asUnsendable, linkLost } from '../rpc/errors.ts'
import { BatchTransport } from './batch-transport.ts'
import { rpcAddress } from './address.ts'
import type { ConnectOptions } from './options.ts'
import { backoffMs, reasonOf, type ClientPorts } from './ports.ts'
import { SocketTransport } from './socket-transport.ts'
import type { ClientTransport, Tell } from './transport.ts'

/** A stub of capnweb, as far as a client uses one. */
export type AnyStub = { readonly [member: string | symbol]: AnyStub } & ((...args: unknown[]) => AnyStub) & Disposable & Promise<unknown>

/** A call on an object, from when it leaves until it is answered. */
export interface KeyedCall {
  readonly settle: PromiseWithResolvers<unknown>
  /** The promise of the session that it left by last: what later calls can be made on. */
  readonly stub: AnyStub
}

interface OpenCall extends KeyedCall {
  noun: string
  name: string
  key: string | null
  chain: ChainLink[]
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

/** One app's sessions; see the head of this file for what it owns. */
export class Connection {
  #address: string
  #options: Omit<ConnectOptions, 'token'>
  #giveUpMs: number
  #enter: (door: AnyStub) => AnyStub
  #ports: ClientPorts
  #session: Session | undefined
  /** In the order in which they were made. */
  #unanswered = new Set<OpenCall>()
  /** Calls that wait for the session to open. */
  #waiting = 0
  /** Sessions that were lost since one was open. */
  #losses = 0
  #downSince: number | undefined
  #closed = false
  #keys: string
  #nextKey = 0

  /**
   * @param enter what a session begins with: takes from the app's door what all calls are made on
   * @throws `INVALID_URL`
   */
  constructor(url: string | URL, options: Omit<ConnectOptions, 'token'>, enter: (door: AnyStub) => AnyStub, ports: ClientPorts) {
    this.#address = rpcAddress(url, options.transport === 'batch' ? 'http' : 'ws')
    this.#options = options
    this.#giveUpMs = options.giveUpMs ?? 30_000
    this.#enter = enter
    this.#ports = ports
    this.#keys = ports.newKey()
  }

  /**
   * Sends a chain of calls on an object, again if need be.
   * @param isRead nothing but properties: may be read again, and needs no key
   * @param chars how large its arguments are
   * @throws `OFFLINE_QUEUE_FULL`, `LINK_LOST`; synchronously, and what capnweb throws for values that it cannot send
   */
  call(noun: string, name: string, chain: ChainLink[], isRead: boolean, chars: number): KeyedCall {
    const key = isRead ? null : `${this.#keys}.${this.#nextKey++}`
    const made = { noun, name, key, chain, chars, settle: Promise.withResolvers(), issuedAt: this.#ports.now(), sends: 0 }
    const call = made as unknown as OpenCall
    this.#send(call)
    this.#unanswered.add(call)
    return call
  }

  /**
   * The stub that calls on an object are made on, which are sent once.
   * @param key names what it leads to; @param take takes it from the app's stub
   * @param isOnce it is not kept: within the function of a `.map` taking it is part of what is written down
   * @throws `OFFLINE_QUEUE_FULL`, `LINK_LOST`
   */
  root(key: string, take: (app: AnyStub) => AnyStub, isOnce = false): AnyStub {
    const { app, roots } = this.#admit(0)
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

  /** Opens a session where there is none. @throws `LINK_LOST` */
  open(): void {
    if (this.#closed) throw closed()
    this.#session ??= this.#open(0)
  }

  /** Asks for the answer of a plain call, now. */
  ask(stub: Promise<unknown>): Promise<unknown> {
    const session = this.#session
    if (!session) return stub
    session.due++
    this.#listen(session)
    return stub.finally(() => session.due--)
  }

  /** What was recorded in this turn has been sent. */
  endOfTurn(): void {
    if (this.#session?.transport.endOfTurn?.()) this.#session = undefined
  }

  /** @throws nothing; a second one does nothing */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    const session = this.#session
    this.#session = undefined
    session?.door[Symbol.dispose]()
    for (const call of this.#unanswered) this.#end(call).reject(closed())
    this.#tell('closed')
  }

  #tell: Tell = (status, detail = {}) => {
    if (status === 'open') {
      this.#waiting = this.#losses = 0
      this.#downSince = undefined
    }
    this.#options.onStatus?.(status, detail)
  }

  /** The session for one more call, where there is room for it. */
  #admit(chars: number): Session {
    this.open()
    const session = this.#session!
    const { transport } = session
    if (!transport.isOpen) {
      const { maxCalls = 1000, maxBytes = 8 * 1024 * 1024 } = this.#options.offline ?? {}
      if (this.#waiting >= maxCalls || transport.waitingChars + chars > maxBytes)
        throw new DotdoError(
          'OFFLINE_QUEUE_FULL',
          `Not sent: no connection, and no room to wait (${maxCalls} calls, ${maxBytes} bytes). Wait for onStatus('open'), or raise offline.`,
          { retryable: true, data: { maxCalls, maxBytes } },
        )
      this.#waiting++
    }
    return session
  }

  #open(delayMs: number): Session {
    this.#waiting = 0
    const resent = this.#unanswered.size > 0
    const transport =
      this.#options.transport === 'batch'
        ? new BatchTransport(this.#address, this.#ports, this.#tell, delayMs)
        : new SocketTransport(this.#address, this.#ports, this.#tell, delayMs, resent ? Math.min(this.#giveUpMs, resendMs) : this.#giveUpMs)
    const door = new RpcSession(transport).getRemoteMain() as unknown as RpcStub<Record<string, never>>
    const app = this.#enter(door as unknown as AnyStub)
    const session: Session = { transport, door, app, roots: new Map(), due: 0 }
    door.onRpcBroken((error: unknown) => this.#lose(session, error))
    return session
  }

  #send(call: OpenCall): void {
    const session = this.#admit(call.chars)
    const { noun, name, key, chain, firstSentAt } = call
    const age = firstSentAt === undefined ? [] : [this.#ports.now() - firstSentAt]
    const stub = session.app['call']!(noun, name, key, chain, ...age)
    call.session = session
    call.stub = stub
    call.sends++
    this.#listen(session)
    stub.then(
      (value) => this.#end(call).resolve(value),
      // Of a session that broke: the call is on its way again, or was told already.
      (error: unknown) => call.session === session && this.#end(call).reject(error),
    )
  }

  /** Invariant 3. A network may take a connection away and tell neither side. */
  #listen(session: Session): void {
    session.unwatch ??= this.#ports.timer(silentMs, () => {
      session.unwatch = undefined
      if (this.#session !== session || this.#unanswered.size + session.due === 0) return
      const silence = this.#ports.now() - session.transport.heardAt
      if (silence >= 2 * silentMs) return session.transport.lose(`the server was silent for ${silence} ms`)
      // Whatever it answers is a sign.
      if (silence >= silentMs) (session.door as unknown as AnyStub)['ping']!().catch(() => {})
      this.#listen(session)
    })
  }

  #end(call: OpenCall): PromiseWithResolvers<unknown> {
    this.#unanswered.delete(call)
    return call.settle
  }

  /** A session has ended: what it left unanswered goes on the next one. */
  #lose(session: Session, cause: unknown): void {
    const error = this.#closed ? closed() : asCoded(cause)
    if (this.#session === session) this.#session = undefined
    session.unwatch?.()
    const { transport } = session
    const now = this.#ports.now()
    this.#downSince ??= now
    const goesOn = transport.mayResend && !this.#closed && now - this.#downSince < Math.min(this.#giveUpMs, resendMs)
    const again: OpenCall[] = []
    for (const call of this.#unanswered) {
      if (call.session !== session) continue
      if (transport.openedAt < Infinity) call.firstSentAt ??= Math.max(call.issuedAt, transport.openedAt)
      // The others are told by their stubs, which have the error by now, or an answer that came just before.
      if (goesOn && call.sends < mostSends) again.push(call)
    }
    if (!goesOn) this.#downSince = undefined
    const retryMs = again.length > 0 ? backoffMs(this.#losses++, this.#ports.random(), 10_000) : undefined
    // Calls that a batch has answered may not have heard of it yet.
    if (!this.#closed && !transport.isOver) this.#tell('lost', { reason: reasonOf(error), ...(retryMs !== undefined && { retryMs }) })
    // A status listener may have closed it.
    if (retryMs === undefined || this.#closed) return
    this.#session ??= this.#open(retryMs)
    for (const call of again) {
      try {
        this.#send(call)
      } catch (full) {
        this.#end(call).reject(full)
      }
    }
  }
}

const closed = (): DotdoError => linkLost('close() was called on this connection')

/**
 * What an error of capnweb's own words means to the call that it ends: a connection that was lost, or a value that cannot be sent. Others are as they are.
 */
export function asCoded(error: unknown): unknown {
  const words = reasonOf(error)
  // The last is what capnweb ends a stream with whose session is over.
  return codeOf(error) === undefined && /^(?:RPC session was|bad RPC message|WritableStream RPC)/.test(words)
    ? linkLost(words)
    : asUnsendable(error)
}
