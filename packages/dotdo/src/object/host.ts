/**
 * One living object: the rooms over its storage, and every way into the user's code.
 *
 * Owns the instance's rooms, its links and the user's `this`. Invariants:
 * 1. User code runs only after `init()` has ended, and only inside a context that {@link ObjectHost.enter}, a run, an event or `init` opened.
 * 2. A schedule's firing and its run's row are one transaction; so are a step's effects in this object's SQLite and its result.
 * 3. Whatever changes when the object wants to be woken ends in `wake.changed()`.
 */
import type { RpcTarget } from 'capnweb'
import { DotdoError, toErrorRecord } from '../base/errors.ts'
import type { Store } from '../base/ports.ts'
import { isThenable } from '../base/thenable.ts'
import type { RunTarget } from '../base/views.ts'
import { Outbox } from '../events/outbox.ts'
import type { Attempt, SentEvent } from '../events/event.ts'
import type { DeclaredHandler } from '../events/handlers.ts'
import type { Execution, StepResult } from '../journal/execution.ts'
import { Journal } from '../journal/journal.ts'
import type { RunInvocation } from '../journal/ports.ts'
import type { StepFunction, StepOptions } from '../journal/step-options.ts'
import { CallKeys } from '../rpc/call-keys.ts'
import type { LinkMessage, LinkReply } from '../rpc/frames.ts'
import { defaultDepthLimits } from '../rpc/limits.ts'
import { LinkServer } from '../rpc/link-server.ts'
import { objectLabel, type Origin } from '../rpc/origin.ts'
import type { PackedCall } from '../rpc/packed-call.ts'
import { methodUnknown, reachClass } from '../rpc/reach.ts'
import { Scheduler } from '../schedule/scheduler.ts'
import type { Firing } from '../schedule/firing.ts'
import { appOptions } from './app.ts'
import { CallDepth } from './call-depth.ts'
import { currentContext, inContext, type CallContext } from './context.ts'
import { cloneFields, type Shape } from './definition.ts'
import { dryRunOf } from './dry-run.ts'
import { frameworkOf } from './framework.ts'
import { Inspector } from './inspector.ts'
import { Issuer } from './issuer.ts'
import { Live } from './live.ts'
import { Links, linkServerPorts } from './nouns.ts'
import { clock, endOfTurn, linkPorts, random, sleep, sqlStore, zstd, type OwnerPorts } from './platform.ts'
import { makeSelf } from './self.ts'
import type { ObjectLinks } from './stats.ts'
import { tracingOf, type Tracing } from './tracing.ts'
import { Wake } from './wake.ts'

/** How long runs that have ended are kept. */
const keepRunsMs = 30 * 86_400_000

/** What stands behind the facade of one object; see the head of this file for what it owns. */
export class ObjectHost {
  readonly noun: string
  readonly name: string
  /** Where the object has to stay, if anywhere. */
  readonly jurisdiction?: string
  readonly env: unknown
  readonly ctx: DurableObjectState
  readonly shape: Shape
  readonly store: Store
  readonly journal: Journal
  readonly scheduler: Scheduler
  readonly outbox: Outbox
  readonly live: Live
  readonly links: Links
  readonly linkPorts: OwnerPorts
  readonly wake: Wake
  /** Absent where the app keeps no traces. */
  readonly tracing: Tracing | undefined
  /** The user's `this`. */
  readonly self: object
  /** Makes what a caller can reach of this object. */
  readonly reachFor: (origin: Origin) => RpcTarget
  /** What it hands out. */
  readonly issuer: Issuer
  #userLink: LinkServer
  #inspectLink: LinkServer
  #depth: CallDepth
  #ready: Promise<void>
  #isReady = false
  /** The newest run of each schedule that is under way in this incarnation. */
  #underWay = new Map<string, { runId: string; ended: Promise<void> }>()

  constructor(noun: string, shape: Shape, ctx: DurableObjectState, env: unknown) {
    this.noun = noun
    this.name = ctx.id.name ?? ctx.id.toString()
    const { jurisdiction } = ctx.id as { jurisdiction?: string }
    if (jurisdiction !== undefined) this.jurisdiction = jurisdiction
    this.env = env
    this.ctx = ctx
    this.shape = shape
    this.store = sqlStore(ctx.storage)
    this.live = new Live(ctx, this.store, clock)
    const keepAlive = (work: Promise<unknown>) => ctx.waitUntil(work)
    this.tracing = tracingOf(this.label, env, keepAlive)
    // An object lives on by itself while a call of it is under way; asking for that costs more than all the rest of a call at this end.
    this.linkPorts = linkPorts(this.label, () => {}, this)
    this.links = new Links(this.linkPorts, this.tracing)
    const sync = () => ctx.storage.sync()
    const observe = this.live.emit.bind(this.live)
    this.journal = new Journal({
      store: this.store,
      clock,
      random,
      sleep,
      sync,
      observe,
      compression: zstd,
      execute: (run, execution) => this.#execute(run, execution),
      enter: (execution, work) => this.#enterStep(execution, work),
    })
    this.scheduler = new Scheduler({
      store: this.store,
      clock,
      random,
      start: (firing) => this.#storeRun(firing),
      changed: () => this.wake?.changed(),
    })
    this.outbox = new Outbox({
      store: this.store,
      clock,
      random,
      sync,
      observe,
      source: this.label,
      wake: () => this.#pumpSoon(),
      deliver: (event, handler, attempt) => this.#deliver(event, handler, attempt),
    })
    this.wake = new Wake(ctx.storage, [
      () => this.scheduler.nextWakeMs(),
      () => this.journal.nextWakeMs(),
      () => this.outbox.nextWakeMs(),
      () => this.#depth.nextWakeMs(),
    ])
    this.#depth = new CallDepth({ ...defaultDepthLimits, ...appOptions().limits?.depth }, clock, () => this.wake.changed())
    this.self = makeSelf(this, cloneFields(shape))
    this.issuer = new Issuer(this)
    const Reach = reachClass(noun, shape.names)
    const enter = this.enter.bind(this)
    const limits = appOptions().limits?.link
    const serverPorts = linkServerPorts(this.linkPorts)
    this.reachFor = (origin) => new Reach({ self: this.self, enter, origin })
    this.#userLink = new LinkServer(
      ({ origin }) => this.reachFor(origin),
      serverPorts,
      limits,
      (conversation) => frameworkOf(this, conversation),
    )
    this.#inspectLink = new LinkServer(() => new Inspector(this), serverPorts, limits)
    this.#ready = ctx.blockConcurrencyWhile(() => this.#start())
    // The platform resets an object whose start failed; here the failure is only kept for those who wait for it.
    this.#ready.then(
      () => (this.#isReady = true),
      () => {},
    )
  }

  /** What this object has to do with others now. */
  get linkStats(): ObjectLinks {
    return { calling: this.links.stats, calledBy: { openSessions: this.#userLink.openSessions } }
  }

  /** Noun and name, as people write it: `Pipeline/main`, and in a jurisdiction `eu:Pipeline/main`. */
  get label(): string {
    return objectLabel(this)
  }

  async #start(): Promise<void> {
    try {
      await inContext({ host: this, target: { kind: 'method', name: 'init' }, args: [] }, () => this.shape.init?.call(this.self))
    } catch (cause) {
      const error = toErrorRecord(cause)
      throw new DotdoError(
        'INIT_FAILED',
        `init() of ${this.label} failed: ${error.message.replace(/[.!?]$/, '')}. The object answers again when init() ends without an error.`,
        {
          data: { noun: this.noun, name: this.name, error },
          cause,
        },
      )
    }
    this.scheduler.settle()
    this.outbox.settle()
    this.journal.recover()
    this.wake.arm()
    this.ctx.waitUntil(this.#work())
  }

  /** A call from outside of a public method. Returns what the method returns, as it is: a stub stays a stub. */
  enter(method: string, args: unknown[], work: () => unknown, origin: Origin = { depth: 1 }): unknown {
    const span = this.tracing?.called(this.noun, this.label, method, origin)
    if (!span) return this.#enter(method, args, work, origin)
    return this.tracing!.around(span, () => this.#enter(method, args, work, span.origin))
  }

  #enter(method: string, args: unknown[], work: () => unknown, origin: Origin): unknown {
    const context: CallContext = { host: this, target: { kind: 'method', name: method }, args, origin }
    return this.#depth.enter(origin, () => {
      const result = inContext(context, work)
      if (isThenable(result)) context.outcome = result
      return result
    })
  }

  #callKeys: CallKeys | undefined
  /** The calls of clients, by key. Their tables are made by the first of them: most objects never have any. */
  get callKeys(): CallKeys {
    return (this.#callKeys ??= new CallKeys(this.store, clock))
  }

  /** A native call of a public method. @throws `METHOD_UNKNOWN` */
  callNatively(method: string, args: unknown[]): unknown {
    return this.enter(method, args, () => (this.self as Record<string, (...args: unknown[]) => unknown>)[method]!(...args))
  }

  link(message: LinkMessage): Promise<LinkReply> {
    return this.#isReady ? this.#linkTo(message).accept(message) : this.#ready.then(() => this.#linkTo(message).accept(message))
  }

  /** Calls without a session, as they travel. */
  call(call: PackedCall): Promise<unknown> {
    const link = this.#linkTo({ to: call[5]?.to })
    return this.#isReady ? link.called(call) : this.#ready.then(() => link.called(call))
  }

  #linkTo({ to }: { to?: 'inspector' | undefined }): LinkServer {
    return to === 'inspector' ? this.#inspectLink : this.#userLink
  }

  /** `this.do`. @throws `DO_OUTSIDE_RUN`, and what {@link Execution.step} throws */
  step<T>(fn: StepFunction<T>, options: StepOptions): Promise<StepResult<T>> {
    const context = this.#context()
    if (context.target.kind === 'method' && context.target.name === 'init') throw outsideRun(this.label)
    if (!context.execution) {
      const execution = this.journal.adopt({ target: context.target, args: context.args })
      context.execution = execution
      const first = execution.step(fn, options)
      // The method has not returned yet while its synchronous part runs, so its outcome is taken up when that has ended. A method that
      // returns no promise ends with its steps not awaited: then the first of them stands for the run.
      queueMicrotask(() => this.ctx.waitUntil(execution.settle(context.outcome ?? first).finally(() => this.wake.changed())))
      this.wake.changed()
      return first
    }
    return context.execution.step(fn, options)
  }

  /** `this.send`. Inside a run it is keyed by run and ordinal, so that a replay sends nothing twice. */
  send(type: string, payload: unknown, options: { key?: string } = {}): string {
    const record = currentContext()?.host === this ? dryRunOf() : undefined
    if (record) {
      record({ writer: 'event', target: type, rows: 1, sample: [payload] })
      return `dry-run-${crypto.randomUUID()}`
    }
    const execution = currentContext()?.host === this ? currentContext()!.execution : undefined
    const key = options.key ?? execution?.nextKey('send')
    return this.outbox.send(type, payload, key === undefined ? {} : { key })
  }

  /** The platform's alarm. What it starts goes on after it has returned; a run whose object dies is taken up at the next alarm. */
  async alarm(): Promise<void> {
    await this.#ready
    this.wake.fired()
    this.#depth.fired()
    this.ctx.waitUntil(this.#work())
    this.wake.arm()
  }

  /** Everything that is due now. */
  async #work(): Promise<void> {
    this.scheduler.due()
    for (const lane of this.journal.resumeDue()) this.ctx.waitUntil(lane.then(() => this.wake.changed()))
    this.#prune()
    await this.outbox.pump()
    this.wake.arm()
  }

  /** Takes away what ended long ago, a bite in each turn. */
  #prune(): void {
    if (this.journal.prune(clock.now() - keepRunsMs).more) endOfTurn(() => this.#prune())
  }

  #pumping = false
  #pumpSoon(): void {
    this.wake?.changed()
    if (this.#pumping) return
    this.#pumping = true
    endOfTurn(() => {
      this.#pumping = false
      this.ctx.waitUntil(this.outbox.pump().then(() => this.wake.changed()))
    })
  }

  #context(): CallContext {
    const context = currentContext()
    if (context?.host !== this) throw outsideRun(this.label)
    return context
  }

  async #execute(run: RunInvocation, execution: Execution): Promise<unknown> {
    await this.#ready
    // Whatever started it is over: a schedule's firing, an event's delivery and a run that is taken up again begin a trace of their own.
    const span = this.tracing?.run(this.label, run)
    const context: CallContext = { host: this, target: run.target, args: run.args, execution, ...(span && { origin: span.origin }) }
    const work = () => inContext(context, () => this.#find(run.target)(...run.args))
    try {
      return await (span ? this.tracing!.around(span, work, true) : work())
    } finally {
      this.wake.changed()
    }
  }

  /** A step's function, in a context of its own. */
  #enterStep<T>(execution: Execution, work: () => T): T {
    const context = this.#context()
    const span = this.tracing?.step(execution, context.origin ?? { depth: 0 })
    if (!span) return inContext({ ...context, execution }, work)
    return this.tracing!.around(span, () => inContext({ ...context, execution, origin: span.origin }, work), true)
  }

  #find(target: RunTarget): (...args: unknown[]) => unknown {
    if (target.kind === 'schedule') {
      const handler = this.scheduler.handlerOf(target.id)
      if (handler) return handler as (...args: unknown[]) => unknown
      throw new DotdoError(
        'SCHEDULE_GONE',
        `The schedule '${target.id}' of this run is no longer declared by ${this.label}. Declare it again, or cancel the run.`,
        { data: { schedule: target.id } },
      )
    }
    if (target.kind === 'event') {
      const handler = this.outbox.handlerOf(target.handler)
      if (handler) return (event) => handler.fn((event as SentEvent).payload, event as SentEvent)
      throw new DotdoError('HANDLER_GONE', `The handler '${target.handler}' of this run is no longer declared by ${this.label}.`, {
        data: { handler: target.handler },
      })
    }
    const method = this.shape.names.methods.includes(target.name) ? (this.self as Record<string, unknown>)[target.name] : undefined
    if (typeof method !== 'function') throw methodUnknown(this.noun, target.name, this.shape.names)
    return (...args) => (method as (...args: unknown[]) => unknown).apply(this.self, args)
  }

  /** Inside the scheduler's transaction: the run is there when the instant has moved on. */
  #storeRun(firing: Firing): void {
    const { runId, scheduleId, scheduledAt, window } = firing
    this.journal.start({ runId, target: { kind: 'schedule', id: scheduleId, scheduledAt }, args: [{ scheduledAt, window }] })
    // When the transaction is undone, so is the row, and nothing is there to launch.
    queueMicrotask(() => this.ctx.waitUntil(this.#launch(firing)))
  }

  async #launch({ runId, scheduleId, overlapRuns }: Firing): Promise<void> {
    const before = this.#underWay.get(scheduleId)
    if (before && overlapRuns === 'skip') {
      this.journal.cancel(runId)
      return
    }
    if (before && overlapRuns === 'cancel-previous') this.journal.cancel(before.runId)
    if (before && overlapRuns === 'queue') await before.ended
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    this.#underWay.set(scheduleId, { runId, ended })
    try {
      await this.journal.launch(runId)
    } catch {
      // The failure is the run's own: it stands in its row and was told to whoever watches.
    } finally {
      if (this.#underWay.get(scheduleId)?.runId === runId) this.#underWay.delete(scheduleId)
      resolve()
      this.wake.changed()
    }
  }

  async #deliver(event: SentEvent, handler: DeclaredHandler, attempt: Attempt): Promise<void> {
    const target: RunTarget = { kind: 'event', type: event.type, handler: handler.id }
    this.journal.start({ runId: attempt.runId, target, args: [event] })
    await this.journal.retry(attempt.runId)
  }
}

function outsideRun(label: string): DotdoError {
  return new DotdoError(
    'DO_OUTSIDE_RUN',
    `this.do was called in ${label} where no run can be: in init(), or in code that no call, schedule or event of this object started. Call it inside a method or a handler.`,
    { data: { object: label } },
  )
}
