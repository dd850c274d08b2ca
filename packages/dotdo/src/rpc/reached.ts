/**
 * References that begin with a method of the framework: a restored capability, an object that is narrowed. They never wear out: each turn that
 * uses one asks for it anew, in the same message, so that one trip is enough and what was revoked in between is seen. Calls of all turns stand in one line.
 */
import { RpcStub } from 'capnweb'
import { calledOn } from './call-names.ts'
import type { ClientSession } from './client-session.ts'
import { frameworkPrefix } from './conversation.ts'
import type { Link } from './link-client.ts'
import type { OrderSources } from './order.ts'
import type { Caller } from './origin.ts'
import { isMapping } from './mapper.ts'
import { copyPlain, notPlain } from './plain.ts'
import {
  applyNow,
  bindCall,
  bindOnce,
  mappedOn,
  rootRef,
  type Answer,
  type CameBy,
  type Refused,
  type Start,
  type Step,
  type Stub,
} from './ref.ts'
import { Forwarder } from './shortcuts.ts'

/** What a framework method of an object, or of what another such method gave, answers with. */
export class Reached implements Start {
  readonly at: Link['at']
  readonly steps: readonly Step[]
  readonly cameBy: CameBy | undefined
  /** Less than the object is meant: no other object is given a link of its own. */
  readonly whole = undefined
  readonly #from: Link | Reached
  readonly #method: string
  readonly #args: readonly unknown[]
  /** The order of its calls, whichever turn they are made in. */
  readonly #order: OrderSources
  /** What was asked for in the sessions of turns: once in each. */
  readonly #stubs = new WeakMap<ClientSession, Stub>()

  /**
   * @param method of the framework, without its prefix
   * @param given plain data: what it is now is sent again in each turn
   */
  constructor(from: Link | Reached, method: string, given: unknown[]) {
    const plain = copyPlain(given, true)
    const args = plain === notPlain ? given : (plain as unknown[])
    this.at = from.at
    this.cameBy = from.cameBy
    this.steps = [...from.steps, [frameworkPrefix + method, args]]
    this.#from = from
    this.#order = from.newOrder()
    this.#method = frameworkPrefix + method
    this.#args = args
  }

  /** The reference to it, for whoever calls now. */
  root(): Stub {
    return rootRef(this, this.caller())
  }

  caller(): Caller {
    return this.#from.caller()
  }

  newOrder(): OrderSources {
    return this.#from.newOrder()
  }

  session(caller?: Caller): ClientSession {
    return this.#from.session(caller)
  }

  record(path: string[], args: unknown[] | undefined, caller?: Caller): Answer {
    // What stands here is no instruction, so it is called from here.
    if (isMapping()) return mappedOn(this, path, args, caller)
    const session = this.session(caller)
    const stub = this.stubIn(session)
    const method = path.at(-1)
    const { once } = args && !method?.startsWith(frameworkPrefix) ? this.caller() : {}
    const name = once?.(calledOn({ answer: { link: this }, path }))
    if (!name) return bindCall(session, stub, path, args)
    // Itself, and no copy: it is one reference for all calls of the turn.
    const target = path.length > 1 ? applyNow(stub, path.slice(0, -1), undefined) : stub
    return bindOnce(session, target, name, null, method ?? null, args!)
  }

  refused(call: Refused, error: unknown): void {
    this.#from.refused(call, error)
  }

  /** It, as the session of a turn has it until the turn ends. */
  stubIn(session: ClientSession): Stub {
    let stub = this.#stubs.get(session)
    if (!stub) {
      const from = this.#from instanceof Reached ? this.#from.stubIn(session) : session.main
      stub = session.askAnew(from, this.#method, [...this.#args], this.#order.of(session.context))
      this.#stubs.set(session, stub)
    }
    return stub
  }

  forwarder(caller?: Caller): Stub {
    const target = new Proxy(new Forwarder(), {
      get: (forwarder, property) => {
        if (typeof property !== 'string') return Reflect.get(forwarder, property)
        // The framework's own names are not for whoever holds a stub.
        return property.startsWith(frameworkPrefix) ? undefined : Reflect.get(this.stubIn(this.session(caller)), property)
      },
    })
    return new RpcStub(target) as unknown as Stub
  }
}
