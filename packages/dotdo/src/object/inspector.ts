/** What an operator may see and do of one object. A capability of its own: holding a stub of the object's methods does not give it. */
import { RpcTarget } from 'capnweb'
import { newId } from '../base/ids.ts'
import { pageSize } from '../base/pages.ts'
import type { Budget, RunPrice } from '../base/price.ts'
import type {
  DeadLetter,
  EventView,
  GrantView,
  ObjectDescription,
  RunLineage,
  RunView,
  ScheduleView,
  StepView,
  SubscribedView,
  SubscriptionView,
} from '../base/views.ts'
import { batchVersion } from '../events/batch.ts'
import { assertOptions, type HandlerOptions } from '../events/handlers.ts'
import { toRetryPolicy } from '../events/retry.ts'
import type { CodeChange } from '../base/code-change.ts'
import type { ForkDiff } from '../base/fork-views.ts'
import type { ForkOptions } from '../journal/forks.ts'
import type { Lineage } from '../base/lineage-views.ts'
import type { DeadLetterFilter } from '../events/shelf.ts'
import type { TriggerOptions } from '../schedule/declaration.ts'
import { appRenames } from './app.ts'
import type { ObjectHost } from './host.ts'
import { lineageIn } from './lineage-walk.ts'
import { requireAppNoun } from './nouns.ts'
import { clock, random } from './platform.ts'
import { RunHandle } from './runs.ts'
import { Schedule } from './schedules.ts'
import { withLetters } from './self.ts'
import type { ObjectLinks } from './stats.ts'

/** How many instants a schedule's view tells ahead. */
const instantsAhead = 5

/** The operator's capability on one object. Its methods answer with plain views. */
export class Inspector extends RpcTarget {
  readonly #host: ObjectHost

  constructor(host: ObjectHost) {
    super()
    this.#host = host
  }

  describe(): ObjectDescription {
    const { noun, name, shape } = this.#host
    return { noun, name, methods: [...shape.names.methods], getters: [...shape.names.getters] }
  }

  /** Does what is due, as the alarm of the object would. Gives when the alarm is due next, epoch milliseconds; `null`: never. */
  async wake(): Promise<number | null> {
    await this.#host.alarm()
    return this.#host.wake.at
  }

  /** What the object has to do with others: its own links, and the sessions that others have open with it. */
  links(): ObjectLinks {
    return this.#host.linkStats
  }

  /** Runs, newest first, without their steps. */
  runs(options: { limit?: number; before?: string; tag?: string } = {}): RunView[] {
    return this.#host.journal.runs({
      limit: pageSize(options?.limit, 50, 500),
      ...(typeof options?.before === 'string' && { before: options.before }),
      ...(typeof options?.tag === 'string' && { tag: options.tag }),
    })
  }

  /** One run with its steps. @throws `RUN_UNKNOWN` */
  run(runId: string): RunView {
    return this.#host.journal.run(runId)
  }

  /** The steps of a run in order of their first start, 2,000 from number `from` on. @throws `RUN_UNKNOWN` */
  steps(runId: string, options: { from?: number; limit?: number } = {}): StepView[] {
    return this.#host.journal.steps(runId, options ?? {})
  }

  /** What a run has used so far, by step and in sum. @throws `RUN_UNKNOWN` */
  price(runId: string): RunPrice {
    return this.#host.journal.price(runId)
  }

  /** The capability on one run. @throws `RUN_UNKNOWN` */
  handle(runId: string): RunHandle {
    this.#host.journal.status(runId)
    return new RunHandle(this.#host, runId)
  }

  /** Takes up a run that failed, was cancelled or is held; what of it is done stays done. @throws `RUN_UNKNOWN` */
  retryRun(runId: string, options: { budget?: Budget } = {}): void {
    this.#host.takeUp(runId, options ?? {})
  }

  /** Lets a run that is held go on with the code that runs now. @throws `RUN_UNKNOWN` */
  acceptRun(runId: string): void {
    this.#host.takeUp(runId, 'accept')
  }

  /** Forks a run that has ended: gives the id of the fork, which is stored by then. @throws as {@link RunHandle.fork} */
  forkRun(runId: string, options: ForkOptions = {}): string {
    return new RunHandle(this.#host, runId).fork({ ...options, dryRun: false }).runId
  }

  /** What a fork would do, and how that differs from what its run did. @throws as {@link RunHandle.fork} */
  rehearseFork(runId: string, options: ForkOptions = {}): Promise<ForkDiff> {
    return new RunHandle(this.#host, runId).rehearse(options)
  }

  /** What the code that runs now changes for a run that is held. @throws as {@link RunHandle.whatChanged} */
  whatChanged(runId: string): Promise<CodeChange> {
    return new RunHandle(this.#host, runId).whatChanged()
  }

  /** What a run of this object and its steps called, read and wrote. @throws `RUN_UNKNOWN` */
  lineageOf(runId: string): RunLineage {
    return lineageIn(this.#host, runId)
  }

  /** The same with the runs of all objects that led to it. @throws `RUN_UNKNOWN` */
  lineage(runId: string): Promise<Lineage> {
    return new RunHandle(this.#host, runId).lineage()
  }

  /** Ends a run: what waits is aborted, later steps are refused, what can be undone is. @throws `RUN_UNKNOWN` */
  cancelRun(runId: string, options: { undo?: boolean } = {}): void {
    this.#host.journal.cancel(runId, { undo: options?.undo !== false })
    this.#host.wake.changed()
  }

  /** The schedules with their next instants. */
  schedules(): ScheduleView[] {
    return this.#host.scheduler.views(instantsAhead)
  }

  /** One schedule as a capability: its windows, its backfills, and all that its owner can do with it. @throws `SCHEDULE_UNKNOWN` */
  schedule(scheduleId: string): Schedule {
    return new Schedule(this.#host.scheduler.handle(scheduleId))
  }

  /** Runs a schedule now. Gives the id of the run, which is stored by then. @throws `SCHEDULE_UNKNOWN`, `INVALID_BUDGET` */
  trigger(scheduleId: string, options: TriggerOptions = {}): string {
    const runId = this.#host.scheduler.trigger(scheduleId, options)
    this.#host.wake.changed()
    return runId
  }

  /** @throws `SCHEDULE_UNKNOWN` */
  pause(scheduleId: string): void {
    this.#host.scheduler.pause(scheduleId)
    this.#host.wake.changed()
  }

  /** @throws `SCHEDULE_UNKNOWN` */
  resume(scheduleId: string): void {
    this.#host.scheduler.resume(scheduleId)
    this.#host.wake.changed()
  }

  /** Events that were sent and are still kept, newest first. */
  events(options: { limit?: number } = {}): EventView[] {
    return this.#host.outbox.events({ limit: pageSize(options?.limit, 50, 500) })
  }

  /** Events that a handler or a subscriber never took, the latest first; `before` goes on behind the last of a page. */
  deadLetters(filter: DeadLetterFilter = {}): DeadLetter[] {
    return this.#host.outbox.deadLetters(pageOf(filter))
  }

  /** Who has subscribed to the object's events. */
  subscriptions(): SubscriptionView[] {
    return this.#host.exchange.subscriptions()
  }

  /** What the object has subscribed to elsewhere. */
  subscribed(): SubscribedView[] {
    return this.#host.exchange.subscribedViews()
  }

  /**
   * Subscribes a method of an object to this one's events: what an operator can do from outside. Answers with the subscription's id.
   * @param to the receiver, and a public method of it; a token of a saved capability narrows what is reached of it
   * @throws `INVALID_SUBSCRIPTION`, `INVALID_EVENT_TYPE`, `INVALID_RETRIES`, `TOO_MANY_SUBSCRIPTIONS`
   */
  subscribe(pattern: string, to: { noun: string; name: string; method: string; token?: string }, options: HandlerOptions = {}): string {
    const { noun, name, method, token } = to
    requireAppNoun(noun)
    assertOptions(pattern, options)
    const id = newId('sub', clock, random)
    const target = { noun: appRenames().firstNoun(noun), name, method, ...(token !== undefined && { token }) }
    const retries = toRetryPolicy(options.retries)
    this.#host.outbox.put({ version: batchVersion, id, pattern, to: target, ordered: options.ordered ?? true, retries }, undefined)
    return id
  }

  /** Takes a suspended subscription up again. @throws `SUBSCRIPTION_UNKNOWN` */
  resumeSubscription(subscriptionId: string): void {
    this.#host.outbox.resume(subscriptionId)
  }

  /** Ends a subscription, whoever asked for it; what waits for it is dropped. Answers whether it was there. */
  endSubscription(subscriptionId: string): boolean {
    return this.#host.outbox.end(subscriptionId, null)
  }

  /** Capabilities that the object has handed out as tokens, newest first. */
  grants(options: { limit?: number } = {}): GrantView[] {
    return this.#host.issuer.list(pageSize(options?.limit, 50, 500))
  }

  /** Takes back what was handed out, by its id, and all that was made from it. Answers whether it was there and not over. @throws `GRANT_UNKNOWN` */
  revoke(grantId: string): boolean {
    return this.#host.issuer.grants.revoke(grantId)
  }

  /** Gives a dead letter to its handler again, or a page of those that a filter means. Answers how many. @throws `DEAD_LETTER_UNKNOWN`, `HANDLER_GONE`, `SUBSCRIPTION_UNKNOWN` */
  replay(which: string | DeadLetterFilter): number {
    const { outbox } = this.#host
    return withLetters(
      which,
      (id) => outbox.replay(id),
      (filter) => outbox.replayAll(pageOf(filter)),
    )
  }

  /** Takes a dead letter off the list for good, or a page of them. Answers how many. @throws `DEAD_LETTER_UNKNOWN` */
  discard(which: string | DeadLetterFilter): number {
    const { outbox } = this.#host
    return withLetters(
      which,
      (id) => outbox.discard(id),
      (filter) => outbox.discardAll(pageOf(filter)),
    )
  }
}

/** A filter from outside: only what it may have, as texts. */
function pageOf(filter: DeadLetterFilter | null | undefined): DeadLetterFilter {
  const { before, handler, type } = filter ?? {}
  return {
    limit: pageSize(filter?.limit, 50, 500),
    ...(typeof before === 'string' && { before }),
    ...(typeof handler === 'string' && { handler }),
    ...(typeof type === 'string' && { type }),
  }
}
