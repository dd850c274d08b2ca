/**
 * Events between objects, over links: the adapter of the two ends of subscriptions, and of sinks.
 *
 * Owns nothing that is stored: it finds what a handler is (a function of `init()`, a method of this object, a capability), carries batches, and calls
 * user code for what they bring.
 */
import { randomUUID, timer } from '#platform'
import type { SubscribedView, SubscriptionView } from '../base/views.ts'
import type { EventBatch, Receipt, SubscriptionRequest, SubscriptionTarget } from '../events/batch.ts'
import type { SentEvent } from '../events/event.ts'
import type { EventHandler, HandlerOptions } from '../events/handlers.ts'
import { Inbox, type Receive } from '../events/inbox.ts'
import { defaultLimits } from '../events/limits.ts'
import { createOnOther } from '../events/on.ts'
import type { Outbox } from '../events/outbox.ts'
import { Subscribed, type EventSource, type SubscriptionHandle } from '../events/subscribed.ts'
import { invalidSubscription } from '../events/subscriptions.ts'
import { restoreName } from '../rpc/grants.ts'
import { callMember } from '../rpc/members.ts'
import { placedNoun, type Origin } from '../rpc/origin.ts'
import { methodUnknown } from '../rpc/reach.ts'
import { describeRef, type Stub } from '../rpc/ref.ts'
import { notSavable } from '../rpc/saved-path.ts'
import { appRenames } from './app.ts'
import { detached, inContext, type CallContext } from './context.ts'
import { dryRunIn } from './dry-run.ts'
import type { ObjectHost } from './host.ts'
import { clock, random } from './platform.ts'

/** The exchange of one object; see the head of this file. */
export class Exchange {
  readonly subscribed: Subscribed
  readonly inbox: Inbox
  readonly #host: ObjectHost
  readonly #outbox: Outbox

  constructor(host: ObjectHost, outbox: Outbox) {
    this.#host = host
    this.#outbox = outbox
    const tables = outbox.subscriptionTables
    this.subscribed = new Subscribed(tables, defaultLimits, {
      clock,
      random,
      ask: (source, request) => this.#framework(source, 'subscribe', [request]),
      end: (source, id) => this.#framework(source, 'unsubscribe', [id]),
      ended: (id) => this.inbox.forget(id),
      wake: () => host.pumpSoon(),
    })
    this.inbox = new Inbox(tables, {
      clock,
      timer,
      sync: () => host.ctx.storage.sync(),
      open: (batch, from) => this.#open(batch, from),
      received: (event) => host.received(event),
    })
  }

  /** What links call, by the names that they have behind the framework's prefix, for one caller. */
  methods(origin: Origin) {
    const { outbox } = this.#host
    return {
      /** Another object wants this one's events. */
      subscribe: (request: SubscriptionRequest): void => outbox.put(request, origin.caller),
      /** It wants them no more. */
      unsubscribe: (id: string): boolean => outbox.end(id, origin.caller),
      /** An event that a Queue has brought, for this object's handlers. Its key makes it one event however often it is brought. */
      enqueue: (type: string, payload: unknown, key: string, source: string): string => outbox.accept(type, payload, { key }, source),
      /** Events of another object. */
      receive: (batch: EventBatch): Promise<Receipt> => this.#host.gate.enter(() => this.inbox.receive(batch, origin.caller)),
    }
  }

  /** Brings a batch to its receiver. */
  carry(target: SubscriptionTarget, batch: EventBatch): Promise<Receipt> {
    return Promise.resolve(this.#framework(target, 'receive', [batch])) as Promise<Receipt>
  }

  /** Makes an event one of another object's own. */
  hand(noun: string, name: string, args: [type: string, payload: unknown, key: string, source: string]): PromiseLike<unknown> {
    return this.#framework({ noun, name }, 'enqueue', args)
  }

  /** A reference of another object, with its events. @throws `NOUN_UNKNOWN`, `INVALID_NAME`, `JURISDICTION_UNAVAILABLE` */
  reference(noun: string, name: string, jurisdiction?: string): Stub {
    const link = this.#host.links.link(noun, name, undefined, jurisdiction)
    link.on ??= () => {
      const source = { noun: placedNoun(link.at!), name }
      return createOnOther((pattern, handler, options) => this.#subscribe(source, pattern, handler, options))
    }
    return link.root()
  }

  /** Who has subscribed here, by the names that objects have today. */
  subscriptions(): SubscriptionView[] {
    const renames = appRenames()
    return this.#outbox.subscriptions().map(({ receiver, owner, ...view }) => ({
      ...view,
      receiver: renames.labelNow(receiver),
      ...(owner !== undefined && { owner: renames.labelNow(owner) }),
    }))
  }

  /** What this object has subscribed to elsewhere, by the names of today. */
  subscribedViews(): SubscribedView[] {
    return this.subscribed.views().map((view) => ({ ...view, source: appRenames().labelNow(view.source) }))
  }

  /** What takes up a run of an event of another object, by the subscription's id. */
  handlerOf(subscription: string): EventHandler | undefined {
    return this.subscribed.handlerById(subscription)?.fn
  }

  /** Messages of the framework belong to no call: a link begins a conversation of their own. */
  #framework({ noun, name }: EventSource, method: string, args: unknown[]): PromiseLike<unknown> {
    return detached(() => this.#host.links.link(noun, name).framework(method, args))
  }

  /** `this.Orders('eu').on.Order.paid(handler)`. */
  #subscribe(source: EventSource, pattern: string, handler: unknown, options: HandlerOptions = {}): SubscriptionHandle {
    const host = this.#host
    const record = dryRunIn(host)
    if (record) {
      record({ writer: 'subscription', target: `${source.noun}/${source.name} ${pattern}`, rows: 1, sample: [] })
      return { id: `dry-run-${randomUUID()}`, unsubscribe: () => undefined }
    }
    const self = { noun: placedNoun(host.known), name: host.name }
    const far = targetOf(handler)
    if (far) return this.subscribed.bind(source, pattern, far, options)
    const method = Object.entries(host.shape.shared).find(([, { value }]) => value === handler)?.[0]
    if (method !== undefined) return this.subscribed.bind(source, pattern, { ...self, method }, options)
    return this.subscribed.declare(source, pattern, self, handler as EventHandler, options)
  }

  #open(batch: EventBatch, from: string | undefined): Receive | null | undefined | Promise<Receive | undefined> {
    const { to, subscription } = batch
    if (appRenames().firstNoun(to.noun) !== placedNoun(this.#host.known) || to.name !== this.#host.name)
      throw invalidSubscription('its events are for another object')
    if (to.handler !== undefined) {
      const handler = this.subscribed.handlerOf(batch, from)
      return handler && ((event, key, tried) => this.#handle(handler.fn, subscription, event, key, tried))
    }
    const method = to.method!
    if (to.token !== undefined) return this.#restored(to.token, method, from)
    // What the object has subscribed for itself may be for a method that nobody else reaches.
    const isOwn = this.subscribed.has(subscription, from)
    const { names, shared } = this.#host.shape
    if (!names.methods.includes(method) && !(isOwn && typeof shared[method]?.value === 'function'))
      throw methodUnknown(to.noun, method, names)
    return (event, key, tried) => this.#call(method, event, key, tried)
  }

  #handle(fn: EventHandler, subscription: string, event: SentEvent, key: string, tried: boolean): unknown {
    const target = { kind: 'event', type: event.type, handler: subscription } as const
    return this.#under({ host: this.#host, target, args: [event], key }, tried, () => fn(event.payload, event))
  }

  #call(method: string, event: SentEvent, key: string, tried: boolean): unknown {
    const args = [event.payload, event]
    const self = this.#host.self as Record<string, (...args: unknown[]) => unknown>
    return this.#under({ host: this.#host, target: { kind: 'method', name: method }, args, key }, tried, () => self[method]!(...args))
  }

  /** Calls user code as a call from outside is made, but that a run of it is that of the event: it is taken up where it is there already. */
  #under(context: CallContext & { key: string }, tried: boolean, work: () => unknown): unknown {
    const { journal } = this.#host
    const run = tried ? journal.findByKey(context.key) : undefined
    if (run) return journal.repeat(run.runId)
    const result = inContext(context, work)
    if (result instanceof Promise) context.outcome = result
    return result
  }

  /** What a token stands for is asked anew for each event, so that it is narrowed, counted and revoked as for any caller. */
  async #restored(token: string, method: string, caller: string | undefined): Promise<Receive> {
    const { issuer } = this.#host
    const origin: Origin = { depth: 1, ...(caller !== undefined && { caller }) }
    const restore = (key?: string): Promise<object> => issuer.grants.restore(token, this.#host.reachFor(origin, key), undefined, caller)
    // A batch that is refused as a whole is refused before anything of it is done.
    await restore()
    return async (event, key) => await callMember(await restore(key), method, [event.payload, event])
  }
}

/** Where events go that are for a capability. `undefined` for what is none. @throws `NOT_SAVABLE` */
function targetOf(handler: unknown): SubscriptionTarget | undefined {
  const described = typeof handler === 'function' ? describeRef(handler) : undefined
  if (!described) return undefined
  const { name, path } = described
  const noun = placedNoun(described)
  const [first, second, ...rest] = path
  const isMethod = (step: typeof first): step is [string] => step !== undefined && step.length === 1 && !step[0].includes(':')
  if (isMethod(first) && !second) return { noun, name, method: first[0] }
  if (first?.[0] === restoreName && first[1]?.length === 1 && isMethod(second) && rest.length === 0)
    return { noun, name, method: second[0], token: first[1][0] as string }
  throw notSavable(
    'events go to a method of an object, or of what a token without a holder stands for: save it and give restore(token).method',
  )
}
