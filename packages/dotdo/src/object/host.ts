/**
 * One living object: the rooms over its storage, and every way into the user's code.
 *
 * Owns the instance's rooms, its links and the user's `this`. Invariants:
 * 1. User code runs only after `init()` has ended, and only inside a context that {@link ObjectHost.enter}, a run, an event or `init` opened.
 * 2. A schedule's firing and its run's row are one transaction; so are a step's effects in this object's SQLite and its result.
 * 3. Whatever changes when the object wants to be woken ends in `wake.changed()`.
 */
import { endOfTurn, randomUUID, timer } from '#platform'
import type { RpcTarget } from 'capnweb'
import { codeOf, DotdoError, toErrorRecord } from '../base/errors.ts'
import type { Store } from '../base/ports.ts'
import type { Budget } from '../base/price.ts'
import { redactText } from '../base/redact.ts'
import { isThenable } from '../base/thenable.ts'
import type { Sweeper } from '../base/sweeper.ts'
import type { LiveEventBody, RunTarget } from '../base/views.ts'
import { Outbox } from '../events/outbox.ts'
import type { Attempt, SentEvent } from '../events/event.ts'
import type { DeclaredHandler } from '../events/handlers.ts'
import { watchdogAt } from '../events/limits.ts'
import type { AdoptedExecution, Execution } from '../journal/execution.ts'
import type { Feed } from '../fleet/feed.ts'
import { Journal } from '../journal/journal.ts'
import type { RunChange, RunInvocation } from '../journal/ports.ts'
import { Rehearsal } from '../journal/rehearsal.ts'
import { CallKeys } from '../rpc/call-keys.ts'
import { Gathering } from '../rpc/gathering.ts'
import type { LinkMessage, LinkReply } from '../rpc/frames.ts'
import { defaultDepthLimits, defaultObjectLimits } from '../rpc/limits.ts'
import { LinkServer } from '../rpc/link-server.ts'
import { objectLabel, type Origin } from '../rpc/origin.ts'
import type { PackedCall } from '../rpc/packed-call.ts'
import { directClass, methodUnknown, reachClass, type Enter } from '../rpc/reach.ts'
import type { ObjectName } from '../rpc/ref.ts'
import { StepCalls, type StepCall } from '../rpc/step-calls.ts'
import { Scheduler } from '../schedule/scheduler.ts'
import type { Firing } from '../schedule/firing.ts'
import { Alerts } from './alerts.ts'
import { appOptions, appRenames, appRetention, deployPolicyOf } from './app.ts'
import { bucketBindings } from './buckets.ts'
import { CallDepth } from './call-depth.ts'
import { currentContext, detached, inContext, isLetGo, letGoOfBulk, noteIn, type CallContext, type OpenContext } from './context.ts'
import { cloneFields, type Shape } from './definition.ts'
import { dryRunIn, recorderIn } from './dry-run.ts'
import { Exchange } from './exchange.ts'
import { feedOf } from './fleet-feed.ts'
import { callOnce, frameworkOf } from './framework.ts'
import { Gate } from './gate.ts'
import { housekeepingOf } from './housekeeping.ts'
import { heldBack } from './held-back.ts'
import { Inspector } from './inspector.ts'
import { Issuer } from './issuer.ts'
import { Live } from './live.ts'
import { meterBuckets, meterSql } from './metering.ts'
import { Links, linkServerPorts, requireSoundNouns } from './nouns.ts'
import { clock, codeVersionOf, linkPorts, livesByItself, random, sha256, sleep, sqlStore, zstd, type OwnerPorts } from './platform.ts'
import { scratchOf } from './rehearse.ts'
import { resultsBucket, valueBucket } from './results.ts'
import { RunEvents } from './runs.ts'
import { makeSelf } from './self.ts'
import { openSink } from './sinks.ts'
import type { ObjectLinks } from './stats.ts'
import { AlarmReport } from './singletons.ts'
import { tracingOf, type Tracing } from './tracing.ts'
import { Transactions } from './transactions.ts'
import { Wake } from './wake.ts'
import { Writes } from './writes.ts'

/** What stands behind the facade of one object; see the head of this file for what it owns. */
export class ObjectHost {
  readonly noun: string
  readonly name: string
  /** What other objects call it: by the first noun that it had. */
  readonly known: ObjectName
  /** {@link label} by that noun: what stands in other objects, and in what this one sends them. See `renamed.ts`. */
  readonly knownAs: string
  /** Where the object has to stay, if anywhere. */
  readonly jurisdiction?: string
  readonly env: unknown
  readonly ctx: DurableObjectState
  readonly shape: Shape
  readonly store: Store
  readonly journal: Journal
  readonly scheduler: Scheduler
  readonly outbox: Outbox
  /** Events from and to other objects. */
  readonly exchange: Exchange
  readonly live: Live
  /** Who is told of its failures. */
  readonly alerts: Alerts
  /** What it tells the index of the fleet; absent where there is none. */
  readonly feed: Feed | undefined
  /** Who looks at its runs, live. */
  readonly runEvents: RunEvents
  readonly links: Links
  readonly linkPorts: OwnerPorts
  /** What comes to it at the same time, and shares a flush. */
  readonly gathering = new Gathering(endOfTurn, clock)
  readonly wake: Wake
  /** Those of its storage that stay open over turns. */
  readonly transactions = new Transactions(() => this.wake.arm())
  /** Takes away what has been kept for long enough. */
  readonly sweeper: Sweeper
  /** Bounds what is under way. */
  readonly gate: Gate
  /** Absent where the app keeps no traces. */
  readonly tracing: Tracing | undefined
  /** The user's `this`. */
  readonly self: object
  /** Makes what a caller can reach of this object. `key`: under which a run begins that a call of it begins, where that is an event's. */
  readonly reachFor: (origin: Origin, key?: string) => RpcTarget
  /** The same for the framework alone, which calls on it and gives it to nobody. */
  readonly directFor: (origin: Origin, once?: StepCall) => object
  /** What it hands out. */
  readonly issuer: Issuer
  readonly #writes: Writes
  #userLink: LinkServer
  #inspectLink: LinkServer
  #depth: CallDepth
  #ready: Promise<void>
  #isReady = false
  #isStarted = false

  constructor(noun: string, shape: Shape, ctx: DurableObjectState, env: unknown) {
    this.noun = noun
    this.name = ctx.id.name ?? ctx.id.toString()
    const { jurisdiction } = ctx.id as { jurisdiction?: string }
    if (jurisdiction !== undefined) this.jurisdiction = jurisdiction
    this.known = { noun: appRenames().firstNoun(noun), name: this.name, ...(jurisdiction !== undefined && { jurisdiction }) }
    this.knownAs = objectLabel(this.known)
    this.env = env
    this.ctx = ctx
    this.shape = shape
    const writes = (this.#writes = new Writes())
    this.store = sqlStore(ctx.storage, writes)
    meterSql(ctx.storage.sql, writes)
    writes.watch(ctx.storage)
    this.transactions.watch(ctx.storage)
    const results = resultsBucket()
    meterBuckets([...Object.values(bucketBindings()), ...(results ? [results] : [])])
    this.live = new Live(ctx, this.store, clock, this.transactions)
    const keepAlive = (work: Promise<unknown>) => ctx.waitUntil(work)
    this.tracing = tracingOf(this.label, env, keepAlive)
    this.linkPorts = linkPorts(this.label, livesByItself, this)
    this.links = new Links(this.linkPorts, this.tracing)
    const sync = () => ctx.storage.sync()
    this.runEvents = new RunEvents(this)
    const observe = (event: LiveEventBody): void => {
      this.live.emit(event)
      this.runEvents.tell(event)
      if (event.type === 'event.dead') this.feed?.mark('letters', '')
    }
    const codeVersion = codeVersionOf(env)
    const keep = appRetention()
    const bounds = { ...defaultObjectLimits, ...appOptions().limits?.object }
    this.journal = new Journal(
      {
        store: this.store,
        clock,
        random,
        sleep,
        sync,
        observe,
        isObserved: () => this.live.isWanted || this.runEvents.isWanted,
        changed: (change) => this.#runChanged(change),
        compression: zstd,
        ...(results && { bucket: { of: valueBucket(results), prefix: `results/${noun}/${ctx.id.toString()}/` } }),
        ...(codeVersion !== undefined && { codeVersion }),
        deployPolicy: deployPolicyOf(noun),
        wake: () => this.#resumeSoon(),
        // What is declared is known when init() has ended.
        lacks: (target) => (this.#isStarted ? this.#lacks(target) : undefined),
        execute: (run, execution) => this.#execute(run, execution),
        enter: (execution, work) => this.#enterStep(execution, work),
      },
      {
        signalWindowMs: keep.waits,
        runsUnderWay: bounds.runsUnderWay,
        runsWaiting: bounds.runsWaiting,
        streamRowsBytes: bounds.streamRowsBytes,
        resultRowsBytes: bounds.resultRowsBytes,
      },
    )
    this.scheduler = new Scheduler({
      store: this.store,
      clock,
      random,
      runs: {
        start: (firing) => this.#storeRun(firing),
        statuses: (runIds) => this.journal.statuses(runIds),
        cancel: (runId) => void this.journal.cancel(runId),
        list: (id, page) => this.journal.runsNamed(`${id}@`, page).filter(({ target }) => target.kind === 'schedule' && target.id === id),
      },
      // Should it fail, all of it is told still: the next firing writes it.
      soon: (work) => ctx.waitUntil(new Promise<void>((ended) => void endOfTurn(ended)).then(work)),
      changed: (scheduleId) => {
        this.feed?.mark('schedule', scheduleId)
        this.wake?.changed()
      },
      observe: (schedule) => this.live.emit({ type: 'schedule.changed', schedule }),
    })
    this.outbox = new Outbox({
      store: this.store,
      clock,
      random,
      sync,
      observe,
      isObserved: () => this.live.isWanted,
      source: this.knownAs,
      wake: () => this.pumpSoon(),
      timer,
      isHeld: () => this.transactions.isOpen,
      deliver: (event, handler, attempt) => this.#deliver(event, handler, attempt),
      carry: (target, batch) => this.exchange.carry(target, batch),
      limits: {
        keepEventsMs: keep.events,
        keepKeysMs: keep.eventKeys,
        keepDeadLettersMs: keep.deadLetters,
        keepSuspendedMs: keep.suspended,
      },
      open: (sink) => openSink(sink, env, (...args) => this.exchange.hand(...args)),
      lettersLeft: () => this.feed?.mark('letters', ''),
    })
    this.exchange = new Exchange(this, this.outbox)
    this.alerts = new Alerts(this.label, this.knownAs, this.outbox)
    this.feed = feedOf(this)
    const report = new AlarmReport(this, this.links, clock)
    this.wake = new Wake(
      ctx.storage,
      [
        () => this.scheduler.nextWakeMs(),
        () => this.journal.nextWakeMs(),
        () => this.#unlessPumping(this.outbox.nextWakeMs()),
        () => this.#unlessPumping(this.exchange.subscribed.nextWakeMs()),
        () => this.#depth.nextWakeMs(),
        () => this.sweeper.nextWakeMs(),
        () => this.feed?.nextWakeMs(),
      ],
      (at) => {
        const told = report.armed(at)
        if (told) ctx.waitUntil(told)
      },
      this.transactions,
    )
    this.gate = new Gate(this.label, bounds.callsUnderWay, random)
    this.#depth = new CallDepth({ ...defaultDepthLimits, ...appOptions().limits?.depth }, clock, () => this.wake.changed())
    this.self = makeSelf(this, cloneFields(shape))
    this.issuer = new Issuer(this)
    this.sweeper = housekeepingOf(this, clock, keep)
    const Reach = reachClass(noun, shape.names)
    const Direct = directClass(noun, shape.names, (origin, ...call) => callOnce(this, origin, ...call))
    const limits = appOptions().limits?.link
    const serverPorts = linkServerPorts(this.linkPorts)
    const enter = this.enter.bind(this)
    const enterBy = (once?: StepCall, key?: string): Enter => {
      if (key !== undefined) return (method, args, work, origin) => this.#enter(method, args, work, origin, undefined, key)
      return once ? (method, args, work, origin) => this.enter(method, args, work, origin, once) : enter
    }
    // What a dry run writes to its object's fields is nobody's.
    const selfFor = (origin: Origin) => (origin.dryRun ? scratchOf(this.self) : this.self)
    this.reachFor = (origin, key) => new Reach({ self: selfFor(origin), enter: enterBy(undefined, key), origin })
    this.directFor = (origin, once) => new Direct({ self: selfFor(origin), enter: enterBy(once), origin })
    this.#userLink = new LinkServer(
      ({ origin }) => this.reachFor(origin),
      serverPorts,
      limits,
      (conversation) => frameworkOf(this, conversation),
      ({ origin }) => this.directFor(origin),
    )
    this.#inspectLink = new LinkServer(() => new Inspector(this), serverPorts, limits)
    this.#ready = ctx.blockConcurrencyWhile(() => this.#start())
    // The platform resets an object whose start failed; here the failure is only kept for those who wait for it.
    this.#ready.then(
      () => (this.#isReady = true),
      () => {},
    )
  }

  /** A run has changed: it is kept, the index is to be told, and its schedule answers for its window. */
  #runChanged(change: RunChange): void {
    const { type, runId, status } = change
    this.kept()
    // A run that is parked or being undone is running for those outside.
    if (type !== 'run.parked' && type !== 'run.undoing') this.feed?.mark('run', runId)
    // A fork answers for no window of its schedule.
    if (type === 'run.started' || change.isFork) return
    const { target } = change
    if (target.kind === 'schedule') this.scheduler.ran(target.id, target.scheduledAt, runId, status)
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
    // Where there is no room, a write may end the object before it has begun; the platform gives its alarm up when that has happened for two minutes.
    const isFull = !this.journal.hasRoom(roomBytes)
    if (isFull) await this.wake.again()
    try {
      requireSoundNouns()
      const begun = inContext({ host: this, target: { kind: 'method', name: 'init' }, args: [] }, () => this.shape.init?.call(this.self))
      if (isThenable(begun)) await withinInit(begun)
      this.alerts.requireKnown(this.scheduler)
    } catch (cause) {
      // The platform drops what this object has in memory, and gives its alarm up when two minutes of attempts have failed.
      this.sweeper.settle()
      await this.wake.again()
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
    this.#isStarted = true
    this.scheduler.settle()
    this.outbox.settle()
    this.exchange.subscribed.settle()
    this.journal.recover()
    this.sweeper.settle()
    this.alerts.settle()
    this.feed?.start()
    this.wake.arm()
    this.ctx.waitUntil(this.#work(isFull))
  }

  /** A call from outside of a public method. Returns what the method returns, as it is: a stub stays a stub. */
  enter(method: string, args: unknown[], work: () => unknown, origin: Origin = { depth: 1 }, once?: StepCall): unknown {
    const around = currentContext()
    if (around?.isOfCapability && around.host === this) return work()
    const span = this.tracing?.called(this.noun, this.label, method, origin)
    if (!span) return this.#enter(method, args, work, origin, once)
    return this.tracing!.around(span, () => this.#enter(method, args, work, span.origin, once))
  }

  /**
   * A call that a step makes of a capability of this object. As a run it is taken up by the repeated call alone: a capability is in no row.
   * @param of the capability
   * @param way what is compared with the arguments; see `call-names.ts`
   */
  enterOf(of: unknown, way: string | null, method: string, args: unknown[], work: () => unknown, origin: Origin, once: StepCall): unknown {
    const target = { kind: 'method', name: `….${method}` } as const
    const context: OpenContext = { host: this, target, args: [of], origin, once, isOfCapability: true }
    const make = () => this.#make(context, origin, work, way === null ? args : [way, ...args])
    const span = this.tracing?.called(this.noun, this.label, method, origin)
    return span ? this.tracing!.around(span, make) : make()
  }

  #enter(method: string, args: unknown[], work: () => unknown, origin: Origin, once: StepCall | undefined, key?: string): unknown {
    const target = { kind: 'method', name: method } as const
    const context: OpenContext = { host: this, target, args, origin }
    if (once) context.once = once
    if (key !== undefined) context.key = key
    if (!origin.dryRun) return this.#make(context, origin, work, args)
    const held = () => {
      const record = recorderIn(context)
      return record ? heldBack(this.store, `${method}()`, record, work) : work()
    }
    return this.#make(context, origin, held, args)
  }

  /** @param said what another attempt of a step has to say as well */
  #make(context: OpenContext, origin: Origin, work: () => unknown, said: readonly unknown[]): unknown {
    const { once } = context
    const call = () => {
      const result = inContext(context, work)
      if (isThenable(result)) context.outcome = result
      letGoOfBulk(context, result)
      return result
    }
    if (once) this.kept()
    const made = once ? () => this.stepCalls.make(once, said, call, (outcome) => this.#asRun(context, outcome)) : call
    return this.gate.enter(() => this.#depth.enter(origin, made))
  }

  /** A call that a step of another object makes, and that goes on: a run under the call's key. Gives its outcome when that is stored. */
  #asRun(context: CallContext, outcome: PromiseLike<unknown>): Promise<unknown> {
    const { target, args, once } = context
    const execution = (context.adopted ??= this.journal.adopt({ target, args, key: once!.key, calledBy: once }))
    context.execution ??= execution
    context.isSettling = true
    this.#settle(execution, outcome)
    this.wake.by(this.journal.watchedBy())
    return execution.outcome
  }

  /** Ends the run that a call became when the call ends. The platform evicts no object that something is waited for, so nothing is while the run rests. */
  #settle(execution: AdoptedExecution, outcome: PromiseLike<unknown>): void {
    // Nothing wants to be woken sooner because a run has ended. One that could not is in its row as far as it could be written.
    const settled = execution.settle(outcome).then(
      () => this.wake.eased(this.journal.watchedAt),
      () => this.wake.changed(),
    )
    this.ctx.waitUntil(Promise.race([settled, execution.atRest]))
  }

  #stepCalls: StepCalls | undefined
  /** The calls that steps of other objects make. Their table is made by the first of them. */
  get stepCalls(): StepCalls {
    return (this.#stepCalls ??= new StepCalls(
      {
        store: this.store,
        clock,
        digest: sha256,
        outcomeOf: (key) => this.journal.outcomeOf(key),
        written: () => this.#writes.count,
      },
      { keepMs: appRetention().stepCalls },
    ))
  }

  #oldestOpen = { at: 0, asked: Number.NEGATIVE_INFINITY }
  /** See {@link CallingHost}. Asked for once a minute: an older answer is an earlier instant, and as true, unless the clock was put back meanwhile. */
  oldestOpenStep(): number {
    const now = clock.now()
    const { asked } = this.#oldestOpen
    if (now < asked || now - asked > 60_000) this.#oldestOpen = { at: this.journal.oldestOpen(appRetention().runs), asked: now }
    return this.#oldestOpen.at
  }

  #callKeys: CallKeys | undefined
  /** The calls of clients, by key. Their tables are made by the first of them: most objects never have any. */
  get callKeys(): CallKeys {
    this.kept()
    return (this.#callKeys ??= new CallKeys(this.store, clock, { keepMs: appRetention().calls }))
  }

  /** A native call of a public method. @throws `METHOD_UNKNOWN` */
  callNatively(method: string, args: unknown[]): unknown {
    const make = () => this.enter(method, args, () => (this.self as Record<string, (...args: unknown[]) => unknown>)[method]!(...args))
    const turn = this.gathering.called()
    return turn ? turn.then(make) : make()
  }

  link(message: LinkMessage): Promise<LinkReply> {
    return this.#isReady ? this.#linkTo(message).accept(message) : this.#ready.then(() => this.#linkTo(message).accept(message))
  }

  /** Calls without a session, as they travel. What is there at once is given at once. */
  call(call: PackedCall): unknown {
    const link = this.#linkTo({ to: call[5]?.to })
    return this.#isReady ? link.called(call) : this.#ready.then(() => link.called(call))
  }

  #linkTo({ to }: { to?: 'inspector' | undefined }): LinkServer {
    return to === 'inspector' ? this.#inspectLink : this.#userLink
  }

  /**
   * Begins a step of any kind in the run of the code that runs now; a call from outside becomes a run by that.
   * @throws `DO_OUTSIDE_RUN`, `IN_TRANSACTION`, and what {@link Execution.step} throws
   */
  inRun<T>(begin: (execution: Execution) => Promise<T>): Promise<T> {
    // Its row could be taken back, and the run would know of it still.
    this.transactions.refuse('A step', this.label)
    const context = this.#context()
    if (context.target.kind === 'method' && context.target.name === 'init') throw outsideRun(this.label)
    // What a dry run comes to is in no journal.
    if (!context.execution && context.origin?.dryRun)
      context.execution = new Rehearsal({ name: `dry run in ${this.label}`, enter: (execution, work) => this.#enterStep(execution, work) })
    if (!context.execution) {
      const { target, args, once } = context
      if (isLetGo(context) && target.kind === 'method') throw runTooLate(this.label, target.name)
      const key = once?.key ?? context.key
      const execution = this.journal.adopt({ target, args, ...(key !== undefined && { key }), calledBy: once })
      context.execution = context.adopted = execution
      this.gathering.ran()
      const first = begin(execution)
      // The method has not returned yet while its synchronous part runs, so its outcome is taken up when that has ended. A method that
      // returns no promise ends with its steps not awaited: then the first of them stands for the run.
      queueMicrotask(() => {
        if (!context.isSettling) this.#settle(execution, context.outcome ?? first)
      })
      this.wake.by(this.journal.watchedBy())
      return first
    }
    return begin(context.execution)
  }

  /** Lets a run that was started execute, when this turn's promises have run. */
  launchSoon(runId: string): void {
    this.wake.changed()
    // When the transaction that started it is undone, so is its row, and nothing is there to launch. How it ends is in its row.
    const launch = () => this.ctx.waitUntil(this.journal.work(runId).finally(() => this.wake.changed()))
    queueMicrotask(() => this.transactions.whenNone(launch))
  }

  /** Somebody takes a run up: retries it, or accepts that it goes on. @throws `RUN_UNKNOWN`, `INVALID_BUDGET`, `INVALID_RUN_OPTIONS` */
  takeUp(runId: string, how: 'accept' | { budget?: Budget }): void {
    const strange = how === 'accept' ? undefined : Object.keys(how).find((name) => name !== 'budget')
    if (strange !== undefined)
      throw new DotdoError('INVALID_RUN_OPTIONS', `A retry has no option '${strange}'. There is one: budget.`, {
        data: { option: strange },
      })
    const { target } = how === 'accept' ? this.journal.accept(runId) : this.journal.reopen(runId, how)
    // What brought the event may wait for just this.
    if (target.kind === 'event') this.outbox.released(target.handler)
  }

  #resuming = false
  /** Runs may have become due, or the next instant sooner. */
  #resumeSoon(): void {
    this.wake?.changed()
    if (this.#resuming || !this.#isReady) return
    this.#resuming = true
    const resume = () => {
      this.#resuming = false
      if (!this.wake.isOff) this.#resume()
    }
    endOfTurn(() => this.transactions.whenNone(resume))
  }

  #resume(): void {
    for (const lane of this.journal.resumeDue()) this.ctx.waitUntil(lane.then(() => this.wake.changed()))
    if (this.journal.hasToMove) this.ctx.waitUntil(this.#sweepBucket().then(() => this.wake.changed()))
  }

  /** `this.send`. Inside a run it is keyed by run and ordinal, so that a replay sends nothing twice. */
  send(type: string, payload: unknown, options: { key?: string } = {}): string {
    const record = dryRunIn(this)
    if (record) {
      noteIn(currentContext(), { kind: 'send', target: type, input: payload })
      record({ writer: 'event', target: type, rows: 1, sample: [payload] })
      return `dry-run-${randomUUID()}`
    }
    const execution = currentContext()?.host === this ? currentContext()!.execution : undefined
    const key = options.key ?? execution?.nextKey('send')
    execution?.note({ kind: 'send', target: type, input: payload })
    const id = this.outbox.send(type, payload, key === undefined ? options : { ...options, key })
    const sentAt = clock.now()
    // A run that waits for it goes on at once: not before it is there for good.
    this.transactions.atLast(() => this.journal.signal({ id, type, payload, sentAt, source: this.knownAs }))
    return id
  }

  /**
   * The platform's alarm. What it starts goes on after it has returned; a run whose object dies is taken up at the next alarm.
   * @param told by the platform, which gives an alarm up whose handler has failed for some two minutes
   */
  async alarm({ isRetry = false }: Partial<AlarmInvocationInfo> = {}): Promise<void> {
    await this.#ready
    this.wake.fired()
    // What has ended the object once may do it again: another alarm is on disk before.
    if (isRetry) await this.wake.again()
    this.#depth.fired()
    this.ctx.waitUntil(this.#work(isRetry))
    this.wake.arm()
  }

  /** Whether storage was full when it was looked at last. */
  #wasFull = false

  /**
   * Everything that is due now. A write for which there is no room ends the object on the platform, so where that may be, room is looked for first: what was
   * kept for long enough makes some, or all that is due waits.
   * @param isCareful something may have ended the object while it did this
   */
  async #work(isCareful: boolean): Promise<void> {
    if ((isCareful || this.#wasFull) && !this.#makeRoom()) {
      // Results that are moved make room, too.
      this.ctx.waitUntil(this.#sweepBucket())
      return this.wake.putOff()
    }
    try {
      this.sweeper.run()
      this.scheduler.due()
    } catch (thrown) {
      if (codeOf(thrown) !== 'STORAGE_FULL') throw thrown
      // It has taken back no more than what it was in the middle of.
      this.#wasFull = true
      return this.wake.putOff()
    }
    this.#resume()
    this.ctx.waitUntil(this.#sweepBucket())
    this.feed?.due()
    this.ctx.waitUntil(this.exchange.subscribed.pump())
    await this.outbox.pump()
    this.wake.arm()
  }

  /** Takes away what has been kept for long enough until there is room for what is due. Gives whether there is. */
  #makeRoom(): boolean {
    let isFull = !this.journal.hasRoom(roomBytes)
    // Each is a bounded slice of all that is kept.
    for (let more = true, slices = 0; isFull && more && slices < 20; slices++) {
      more = this.sweeper.runNow()
      isFull = !this.journal.hasRoom(roomBytes)
    }
    if (isFull && !this.#wasFull)
      console.error(`${this.label}: its storage is full, and nothing that is due can begin. Delete rows, or keep runs for less long.`)
    this.#wasFull = isFull
    return !isFull
  }

  /** What the bucket refuses now is put and deleted another time. */
  async #sweepBucket(): Promise<void> {
    try {
      await this.journal.sweepBucket()
    } catch (thrown) {
      console.warn(
        redactText(`${this.label}: results wait to be put into the bucket, or to be deleted there: ${toErrorRecord(thrown).message}`),
      )
    }
  }

  /** An event of another object has been handled: in the transaction that says so, runs that wait for it learn of it. */
  received(event: SentEvent): void {
    this.journal.signal(event)
  }

  /** What waits leaves when this turn has ended: an alarm is for the case that the object does not live that long. */
  #unlessPumping(at: number | undefined): number | undefined {
    return at !== undefined && this.#pumping ? Math.max(at, watchdogAt(clock.now())) : at
  }

  /** Something is kept from now on, and is to be taken away one day. */
  kept(): void {
    // Rooms tell of what they find while they are being opened, too: that is looked at when all of them are.
    if (this.sweeper?.kept()) this.wake.changed()
  }

  #pumping = false
  /** Something waits to be delivered, or to be told to another object: it leaves when this turn has ended, in nobody's context. */
  pumpSoon(): void {
    // All that it may want of the alarm until then: see #unlessPumping.
    this.wake?.by(watchdogAt(clock.now()))
    this.kept()
    if (this.#pumping) return
    this.#pumping = true
    const pump = () => {
      this.#pumping = false
      if (this.wake.isOff) return
      this.ctx.waitUntil(this.exchange.subscribed.pump())
      this.ctx.waitUntil(this.outbox.pump().then(() => this.#pumped()))
    }
    endOfTurn(() => this.transactions.whenNone(() => detached(pump)))
  }

  /** Most of what was delivered leaves nothing to wake for: then the alarm is left as it is, and no room is asked. */
  #pumped(): void {
    // The next pump asks.
    if (this.#pumping) return
    for (const at of [this.outbox.nextWakeMs(), this.exchange.subscribed.nextWakeMs()]) if (at !== undefined) this.wake.by(at)
    this.wake.eased(this.wake.at)
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
    const work = () => inContext(context, () => this.targetOf(run.target)(...run.args))
    try {
      return await (span ? this.tracing!.around(span, work, true) : work())
    } finally {
      this.wake.changed()
    }
  }

  /** A step's function, in a context of its own. */
  #enterStep<T>(execution: Execution, work: () => T): T {
    const current = currentContext()
    // The undo of a step runs when its run's code has ended: in the context of whoever took the run up, or in none.
    const context = current?.host === this ? current : { host: this, target: this.journal.status(execution.runId).target, args: [] }
    const span = this.tracing?.step(execution, context.origin ?? { depth: 0 })
    if (!span) return inContext({ ...context, execution }, work)
    return this.tracing!.around(span, () => inContext({ ...context, execution, origin: span.origin }, work), true)
  }

  /**
   * The code that a run executes.
   * @param self what a method has as its `this`
   * @throws `SCHEDULE_GONE`, `HANDLER_GONE`, `METHOD_UNKNOWN`
   */
  targetOf(target: RunTarget, self: object = this.self): (...args: unknown[]) => unknown {
    const found = this.#find(target, self)
    if (typeof found !== 'function') throw found
    return found
  }

  #lacks(target: RunTarget): Error | undefined {
    const found = this.#find(target, this.self)
    return typeof found === 'function' ? undefined : found
  }

  #find(target: RunTarget, self: object): ((...args: unknown[]) => unknown) | DotdoError {
    if (target.kind === 'schedule') {
      const handler = this.scheduler.handlerOf(target.id)
      if (handler) return handler as (...args: unknown[]) => unknown
      return new DotdoError(
        'SCHEDULE_GONE',
        `The schedule '${target.id}' of this run is no longer declared by ${this.label}. Declare it again, or cancel the run.`,
        { data: { schedule: target.id } },
      )
    }
    if (target.kind === 'event') {
      const handler = this.outbox.handlerOf(target.handler)?.fn ?? this.exchange.handlerOf(target.handler)
      if (handler) return (event) => handler((event as SentEvent).payload, event as SentEvent)
      return new DotdoError('HANDLER_GONE', `The handler '${target.handler}' of this run is no longer declared by ${this.label}.`, {
        data: { handler: target.handler },
      })
    }
    // One that is not public has been called by an event that the object subscribed it to.
    const method = Object.hasOwn(this.shape.shared, target.name) ? (self as Record<string, unknown>)[target.name] : undefined
    if (typeof method !== 'function') return methodUnknown(this.noun, target.name, this.shape.names)
    return (...args) => (method as (...args: unknown[]) => unknown).apply(self, args)
  }

  /** Inside the scheduler's transaction: the run is there when the instant has moved on. */
  #storeRun(firing: Firing): void {
    const { runId, scheduleId, scheduledAt, window, budget } = firing
    const target: RunTarget = { kind: 'schedule', id: scheduleId, scheduledAt }
    this.journal.start({ runId, target, args: [{ scheduledAt, window }], ...(budget && { budget }) })
    this.launchSoon(runId)
  }

  async #deliver(event: SentEvent, handler: DeclaredHandler, attempt: Attempt): Promise<void> {
    const target: RunTarget = { kind: 'event', type: event.type, handler: handler.id }
    this.journal.start({ runId: attempt.runId, target, args: [event] })
    await this.journal.repeat(attempt.runId)
  }
}

/** So much has to fit into storage where something that is due is to begin by itself: rows of some hundred runs. Bytes. */
const roomBytes = 64 * 1024

/** The platform ends an `init()` that takes 30 seconds, and nothing can be done any more then. Milliseconds. */
const initMs = 25_000

/** @throws what `init()` rejects with; an error that says that it does not end */
function withinInit(begun: PromiseLike<unknown>): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>()
  begun.then(resolve, reject)
  const stop = timer(initMs, () => reject(new Error(`it has not ended after ${initMs / 1000} seconds`)))
  return promise.finally(stop)
}

function runTooLate(label: string, name: string): DotdoError {
  return new DotdoError(
    'DO_OUTSIDE_RUN',
    `this.do began a run in ${label} when ${name}() had ended, and calls that were given or give a megabyte of bytes are not kept that long. Await it in ${name}().`,
    { data: { object: label, method: name } },
  )
}

function outsideRun(label: string): DotdoError {
  return new DotdoError(
    'DO_OUTSIDE_RUN',
    `this.do was called in ${label} where no run can be: in init(), or in code that no call, schedule or event of this object started. Call it inside a method or a handler.`,
    { data: { object: label } },
  )
}
