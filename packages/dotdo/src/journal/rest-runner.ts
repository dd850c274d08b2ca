import { fromErrorRecord } from '../base/errors.ts'
import type { ActiveRun } from './active-run.ts'
import { rebuiltError, runCancelled, runEnded, storableError } from './failures.ts'
import type { JournalPorts } from './ports.ts'
import type { Rests } from './rests.ts'
import type { RunRow } from './runs.ts'
import { idempotencyKey, type Scope } from './scope.ts'
import { decodeMatch, type ReceivedEvent, type SignalTable } from './signals.ts'
import { newStep, type Step, type StepTable } from './steps.ts'
import { assertUnchanged } from './unchanged.ts'
import type { ValueStore } from './values.ts'
import type { RestPlan } from './wait-options.ts'

/** The runs that steps begin, as their rests need them. */
export interface Children {
  /** Starts the run, once, and lets it be executed; one that failed with the run that waits for it, and is waited for again, is taken up again. */
  start(runId: string, parent: { seq: number; stepId: string }, plan: RestPlan & { kind: 'run' }, again: boolean): RunRow
  find(runId: string): RunRow | undefined
  resultOf(row: RunRow): unknown
}

/**
 * The life of a step without a function: waiting -> done | failed.
 *
 * Invariants: 1. When a sleep ends and a wait gives up is stored as it begins, and stays. 2. Whatever ends a rest is in its row before the rest ends:
 * an execution that is replayed finds it there. 3. A run that waits for another ends with what stands in the other's row, which is kept as long.
 */
export class RestRunner {
  readonly #ports: JournalPorts
  readonly #steps: StepTable
  readonly #values: ValueStore
  readonly #signals: SignalTable
  readonly #rests: Rests
  readonly #children: Children

  constructor(ports: JournalPorts, steps: StepTable, values: ValueStore, signals: SignalTable, rests: Rests, children: Children) {
    this.#ports = ports
    this.#steps = steps
    this.#values = values
    this.#signals = signals
    this.#rests = rests
    this.#children = children
  }

  async rest(run: ActiveRun, scope: Scope, plan: RestPlan, again: boolean): Promise<unknown> {
    const found = again || !run.fresh ? run.write(() => this.#steps.find(run.seq, plan.stepId)) : undefined
    if (found) assertUnchanged(run.runId, found, { kind: plan.kind, version: null, input: inputOf(plan) })
    if (found?.status === 'done') return this.#outcome(run, plan, found)
    if (found?.status === 'failed') throw fromErrorRecord(found.error ?? storableError(undefined))
    if (run.undoing) throw runEnded(run.runId)
    const step = found ?? this.#insert(run, scope, plan)
    const reopened = step.attempt === 0
    if (reopened) this.#reopen(run, step, plan)
    run.steps.set(plan.stepId, step)
    try {
      if (plan.kind === 'sleep') return await this.#sleep(run, scope, plan, step)
      if (plan.kind === 'wait') return await this.#wait(run, scope, plan, step)
      return await this.#child(run, scope, plan, step, reopened)
    } finally {
      run.steps.delete(plan.stepId)
    }
  }

  /** Gives an event to a wait that is open. Its commit point; in the transaction that keeps the event. */
  take(step: Step, event: ReceivedEvent): void {
    this.#values.put(event, `The event '${event.type}'`, ({ text, valueId }) => {
      Object.assign(step, { status: 'done', endedAt: this.#ports.clock.now(), result: text, valueId, signal: event.id })
      step.waitsFor = step.nextAttemptAt = null
      this.#steps.update(step)
    })
  }

  #insert(run: ActiveRun, scope: Scope, plan: RestPlan): Step {
    const now = this.#ports.clock.now()
    const step = newStep(run.seq, plan.stepId, run.nextOrdinal++, now, scope.stepId, plan.kind)
    step.attempt = 1
    step.input = inputOf(plan)
    this.#due(step, plan, now)
    run.write(() => this.#steps.insert(step))
    this.#tell('step.started', run, step)
    return step
  }

  /** A retry of the run has taken it back: it goes on until the instant that it had. */
  #reopen(run: ActiveRun, step: Step, plan: RestPlan): void {
    step.attempt = 1
    if (plan.kind === 'wait') step.waitsFor = plan.type
    run.write(() => this.#steps.update(step))
  }

  #due(step: Step, plan: RestPlan, now: number): void {
    if (plan.kind === 'sleep') step.dueAt = plan.until ?? now + (plan.ms ?? 0)
    if (plan.kind === 'wait') {
      step.waitsFor = plan.type
      step.dueAt = plan.timeoutMs === undefined ? null : now + plan.timeoutMs
    }
    step.nextAttemptAt = step.dueAt
  }

  async #sleep(run: ActiveRun, scope: Scope, plan: RestPlan & { kind: 'sleep' }, step: Step): Promise<void> {
    await this.#rests.until(run, this.#bounded(step, plan.ms), scope.cancellation)
    this.#done(run, step)
  }

  async #wait(run: ActiveRun, scope: Scope, plan: RestPlan & { kind: 'wait' }, step: Step): Promise<unknown> {
    // One that came before the wait began, or between two executions of it.
    const early = this.#signals.find(run.seq, plan.type, run.signalsFrom, decodeMatch(plan.match), this.#ports.clock.now())
    if (early) run.write(() => this.#ports.store.transaction(() => this.take(step, early)))
    else await this.#rests.until(run, this.#bounded(step, plan.timeoutMs), scope.cancellation, plan.stepId)
    if (step.signal === null) {
      this.#values.put(null, 'no event', ({ text }) => (step.result = text))
      this.#done(run, step)
    } else this.#tell('step.done', run, step)
    return this.#values.get(step.result ?? '')
  }

  async #child(run: ActiveRun, scope: Scope, plan: RestPlan & { kind: 'run' }, step: Step, again: boolean): Promise<unknown> {
    const runId = idempotencyKey(run.runId, plan.stepId)
    run.write(() => this.#children.start(runId, { seq: run.seq, stepId: plan.stepId }, plan, again))
    for (;;) {
      const child = run.write(() => this.#children.find(runId))
      if (child?.status === 'done') {
        this.#done(run, step)
        return this.#outcome(run, plan, step)
      }
      if (!child || child.status === 'failed' || child.status === 'cancelled') {
        const thrown = child ? fromErrorRecord(errorRecordOf(() => this.#children.resultOf(child))) : runCancelled(runId)
        this.#fail(run, step, thrown)
        throw rebuiltError(storableError(thrown), thrown)
      }
      await this.#rests.until(run, null, scope.cancellation, plan.stepId)
    }
  }

  #outcome(run: ActiveRun, plan: RestPlan, step: Step): unknown {
    if (plan.kind === 'sleep') return undefined
    // The result of a run that was taken over stands in the step itself.
    if (plan.kind === 'wait' || step.result !== null) return this.#values.get(step.result ?? '')
    const child = this.#children.find(idempotencyKey(run.runId, plan.stepId))
    if (!child) throw runCancelled(idempotencyKey(run.runId, plan.stepId))
    return this.#children.resultOf(child)
  }

  /** A clock that was set back does not make a rest longer than it was asked to be. */
  #bounded(step: Step, ms: number | undefined): number | null {
    return step.dueAt === null || ms === undefined ? step.dueAt : Math.min(step.dueAt, this.#ports.clock.now() + ms)
  }

  #done(run: ActiveRun, step: Step): void {
    step.status = 'done'
    step.endedAt = this.#ports.clock.now()
    step.nextAttemptAt = step.waitsFor = null
    run.write(() => this.#steps.update(step))
    this.#tell('step.done', run, step)
  }

  #fail(run: ActiveRun, step: Step, thrown: unknown): void {
    step.status = 'failed'
    step.error = storableError(thrown)
    step.endedAt = this.#ports.clock.now()
    run.write(() => this.#steps.update(step))
    this.#tell('step.failed', run, step)
  }

  #tell(type: 'step.started' | 'step.done' | 'step.failed', run: ActiveRun, step: Step): void {
    if (this.#ports.isObserved?.() ?? true) this.#ports.observe({ type, runId: run.runId, step: this.#steps.view(step) })
  }
}

/** What a stored rest is compared by: what it waits for. When is its own. */
export function inputOf(plan: RestPlan): string | null {
  if (plan.kind === 'sleep') return null
  return plan.kind === 'wait' ? waitInput(plan.type, plan.match) : plan.input
}

/** The whole of it, since an event that comes later is compared with it. */
function waitInput(type: string, match: string): string {
  return `=${type} ${match}`
}

/** What an open wait compares events with. */
export function matchOf(step: Step): unknown {
  return decodeMatch((step.input ?? '').slice(`=${step.waitsFor} `.length))
}

function errorRecordOf(read: () => unknown): ReturnType<typeof storableError> {
  try {
    read()
  } catch (thrown) {
    return storableError(thrown)
  }
  return storableError(undefined)
}
