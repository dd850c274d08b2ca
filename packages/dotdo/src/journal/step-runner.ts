import { isThenable } from '../base/thenable.ts'
import { fromErrorRecord, isRetryable } from '../base/errors.ts'
import { retryAfterOf } from '../base/overload.ts'
import { redactText } from '../base/redact.ts'
import type { Spent } from '../base/price.ts'
import type { Progress } from '../base/views.ts'
import type { ActiveRun, UsingScope } from './active-run.ts'
import { withAttempt } from './attempts.ts'
import { Cancellation } from './cancellation.ts'
import { concurrencyCircle, rebuiltError, runEnded, stepCrashed, stepTimeout, storableError } from './failures.ts'
import { encodeEdges } from './lineage.ts'
import { Place, Places, Rates } from './limiter.ts'
import type { JournalLimits, JournalPorts } from './ports.ts'
import type { RestRunner } from './rest-runner.ts'
import type { Rests } from './rests.ts'
import { idempotencyKey, Scope, type Looked, type StepDriver } from './scope.ts'
import {
  retryDelayMs,
  undoPrefix,
  type Checkpoint,
  type ConcurrencyLimit,
  type StepContext,
  type StepFunction,
  type StepPlan,
} from './step-options.ts'
import { isDone, isPlain, newStep, type DoneStep, type Step, type StepEnd, type StepTable } from './steps.ts'
import { assertUnchanged } from './unchanged.ts'
import type { Stored, ValueStore } from './values.ts'
import type { RestPlan } from './wait-options.ts'

/** What steps share: those of one object. */
export interface StepRooms {
  steps: StepTable
  values: ValueStore
  rests: Rests
  restRunner: RestRunner
  /** The id of a run. */
  runIdOf: (seq: number) => string | undefined
  /** Where the step stands that waits for a run. */
  around: (run: ActiveRun) => UsingScope | undefined
}

/**
 * The life of a step: running -> done | failed | waiting -> running ...
 *
 * Invariants: 1. A row says `done` together with its result, in one transaction, and is then never written again, but that it was undone. 2. A function
 * runs only under a row that says `running` with its attempt's number; in an execution that resumes, that row is on disk before. 3. A row found
 * `running` by a later execution is an attempt that crashed. 4. An attempt that ended (timeout, cancel, failure) writes nothing more,
 * however long its function goes on. 5. No more attempts than the plan allows begin, crashed ones included. 6. A place under a key is held by an
 * attempt, from before it begins until it has ended, and given back whatever happens.
 */
export class StepRunner implements StepDriver {
  readonly #ports: JournalPorts
  readonly #limits: JournalLimits
  readonly #steps: StepTable
  readonly #values: ValueStore
  readonly #rests: Rests
  readonly #restRunner: RestRunner
  readonly #places = new Places()
  readonly #rates: Rates
  readonly runIdOf: (seq: number) => string | undefined
  readonly around: (run: ActiveRun) => UsingScope | undefined

  constructor(ports: JournalPorts, limits: JournalLimits, { steps, values, rests, restRunner, runIdOf, around }: StepRooms) {
    this.runIdOf = runIdOf
    this.around = around
    this.#ports = ports
    this.#limits = limits
    this.#steps = steps
    this.#values = values
    this.#rests = rests
    this.#restRunner = restRunner
    this.#rates = new Rates(ports.store)
  }

  look(run: ActiveRun, plan: StepPlan): Looked {
    const found = run.write(() => this.#steps.look(run.seq, plan.stepId, run.ahead))
    if (found) assertUnchanged(run.runId, found, { kind: kindOf(plan), version: plan.version, input: plan.input })
    return { found }
  }

  memo(run: ActiveRun, found: DoneStep, plan: StepPlan): unknown {
    if (plan.undo) this.#undoable(run, found, plan)
    return this.#values.get(found.result ?? '')
  }

  async perform(
    run: ActiveRun,
    scope: Scope,
    fn: StepFunction<unknown>,
    plan: StepPlan,
    again: boolean,
    looked?: Looked,
  ): Promise<unknown> {
    const kind = kindOf(plan)
    const { found } = looked ?? (again || !run.fresh ? this.look(run, plan) : { found: undefined })
    if (found && isDone(found)) return this.memo(run, found, plan)
    if (found?.status === 'failed') throw fromErrorRecord(found.error ?? storableError(undefined))
    requireOpen(run, kind)
    const step = found ?? this.#newStep(run, scope, plan, kind)
    run.steps.set(plan.stepId, step)
    try {
      if (found) await this.#takeUp(run, scope, found, plan)
      for (let isNew = !found; ; isNew = false) {
        let begun = false
        try {
          const place = plan.concurrency || plan.rate ? await this.#place(run, scope, step, plan) : undefined
          try {
            // Whatever it waited for, its run may have ended meanwhile, and has closed this step's row with the others.
            requireOpen(run, kind)
            this.#begin(run, step, isNew)
            begun = true
            if (!run.fresh) await this.#sync(run, scope)
            const value = await this.#attempt(run, scope, fn, plan, step, place)
            if (plan.undo) run.canUndo(plan)
            return value
          } finally {
            if (place !== undefined) this.#places.free(place)
          }
        } catch (thrown) {
          this.writeRow(run, step)
          // Stopped while it waited for its place: there is no attempt to write of.
          if (!begun) throw thrown
          this.#fail(run, scope, plan, step, thrown)
        }
        await this.#pause(run, scope, step, plan)
      }
    } finally {
      // One that its run's end has stopped writes nothing more of itself.
      if (step.price && step.status === 'running' && !run.broken && !run.letGo) this.#steps.putPrice(step)
      run.steps.delete(plan.stepId)
      run.toldAt.delete(plan.stepId)
    }
  }

  rest(run: ActiveRun, scope: Scope, plan: RestPlan, again: boolean): Promise<unknown> {
    return this.#restRunner.rest(run, scope, plan, again)
  }

  takenFrom(run: ActiveRun, stepId: string): number | undefined {
    return run.write(() => this.#steps.takenFrom(run.seq, stepId))
  }

  begins(run: ActiveRun): void {
    this.#rests.goesOn(run)
  }

  opened(run: ActiveRun): void {
    if (run.resting.size > 0) this.#rests.consider(run)
  }

  ends(run: ActiveRun): void {
    run.activity++
    if (run.resting.size > 0) this.#rests.consider(run)
  }

  /** Merges, tells at most every `progressMs`, and leaves a step alone that is not under way: its attempt is over. */
  progress(run: ActiveRun, stepId: string, progress: Progress): void {
    const step = run.steps.get(stepId)
    if (!step || step.status !== 'running') return
    step.progress = { ...step.progress, ...cleanProgress(progress) }
    const now = this.#ports.clock.now()
    const told = run.toldAt.get(stepId)
    // A clock that was set back must not silence a step for as long.
    if (told !== undefined && now >= told && now - told < this.#limits.progressMs) return
    run.toldAt.set(stepId, now)
    this.#tell('step.progress', run, step)
  }

  /** Counts what is used. Of a run that undoes itself nothing is refused: what was done by halves would stay. */
  spend(run: ActiveRun, stepId: string | undefined, spent: Spent): Error | undefined {
    if (run.ended || run.letGo || run.broken) return undefined
    const error = run.meter.spend(run.runId, stepId === undefined ? undefined : run.steps.get(stepId), spent)
    if (!error || run.undoing) return undefined
    run.cancellation.abort(error)
    return error
  }

  /** Writes the row of a step that has begun, where it has none yet: before anything else can see it, or happen to it. */
  writeRow(run: ActiveRun, step: Step): void {
    if (run.unwritten.delete(step) && !run.ended && !run.broken) run.write(() => this.#steps.insert(step))
  }

  /** What an attempt has stored last. */
  checkpoint(step: Step): unknown {
    return step.checkpoint === null ? undefined : this.#values.get(step.checkpoint)
  }

  /** Stores where an attempt would go on from, in the place of what was stored before. */
  putCheckpoint(run: ActiveRun, step: Step, value: unknown): void {
    this.writeRow(run, step)
    this.#ports.store.transaction(() => {
      const before = step.checkpointValue
      this.#values.put(value, `The checkpoint of step '${step.stepId}'`, ({ text, valueId }) => {
        this.#steps.putCheckpoint({ ...step, checkpoint: text, checkpointValue: valueId })
        if (before !== null) this.#values.remove(before)
        step.checkpoint = text
        step.checkpointValue = valueId
      })
    })
  }

  #newStep(run: ActiveRun, scope: Scope, plan: StepPlan, kind: 'undo' | null): Step {
    const step = newStep(run.seq, plan.stepId, run.nextOrdinal++, this.#ports.clock.now(), scope.stepId, kind)
    step.version = plan.version
    step.input = plan.input
    if (plan.undo) step.undo = 1
    return step
  }

  /** Code that was deployed since the step was done may be the first that can undo it. */
  #undoable(run: ActiveRun, { stepId, undo }: Pick<Step, 'stepId' | 'undo'>, plan: StepPlan): void {
    // What another run has done is that run's to take back.
    if (run.isFork && this.takenFrom(run, stepId) !== undefined) return
    if (undo === 0) this.#steps.putUndo(run, stepId, 1)
    if (undo >= 0) run.canUndo(plan)
  }

  /** Goes on from what an earlier execution, or an attempt of the step around, has left. */
  async #takeUp(run: ActiveRun, scope: Scope, step: Step, plan: StepPlan): Promise<void> {
    if (plan.undo && step.undo === 0) step.undo = 1
    if (step.status === 'running') step.attempts = withAttempt(step.attempts, { attempt: step.attempt, startedAt: step.attemptAt })
    if (step.attempt >= plan.maxAttempts) {
      const crashed = step.status === 'running' || step.error === null
      const error = crashed ? stepCrashed(run.runId, step.stepId, step.attempt) : fromErrorRecord(step.error ?? storableError(undefined))
      this.#close(run, step, 'failed', error, null)
      throw error
    }
    if (step.status === 'waiting') await this.#pause(run, scope, step, plan)
  }

  /** Waits for a place under the step's key, and for its turn. Gives the place, which is to be given back. @throws `CONCURRENCY_CIRCLE` */
  async #place(run: ActiveRun, scope: Scope, step: Step, plan: StepPlan): Promise<Place | undefined> {
    const { concurrency, rate } = plan
    const { cancellation } = scope
    let held: Place | undefined
    if (concurrency) held = await this.#under(concurrency, run, scope, step)
    if (!rate) return held
    try {
      const at = run.write(() => this.#rates.reserve(rate, this.#ports.clock.now()))
      await this.#rests.until(run, at, cancellation)
    } catch (thrown) {
      if (held) this.#places.free(held)
      throw thrown
    }
    return held
  }

  /** A place under a key; none, where a step around has one. @throws `CONCURRENCY_CIRCLE` */
  async #under(concurrency: ConcurrencyLimit, run: ActiveRun, scope: Scope, step: Step): Promise<Place | undefined> {
    const { key } = concurrency
    const { cancellation } = scope
    const above = scope.held()
    if (above.some((it) => it.key === key)) return undefined
    const place = this.#places.take(concurrency, (stop) => cancellation.onAbort(stop), above)
    if (place === undefined) throw concurrencyCircle(run.runId, step.stepId, key, [...new Set(above.map((it) => it.key))])
    if (place instanceof Place) return place
    let granted: Place | undefined
    const wait = place.then((it) => (granted = it))
    try {
      return await cancellation.race(wait)
    } catch (thrown) {
      if (granted) this.#places.free(granted)
      throw thrown
    }
  }

  /** Writes that the next attempt is under way. What a crashed attempt had stored of a stream goes. */
  #begin(run: ActiveRun, step: Step, isNew: boolean): void {
    step.attempt++
    step.attemptAt = isNew ? step.startedAt : this.#ports.clock.now()
    step.status = 'running'
    step.nextAttemptAt = null
    step.progress = null
    step.error = null
    // What an attempt that failed has done, this one does again; calls have the same keys.
    if (step.attempt > 1) run.notes?.take(step.stepId)
    run.write(() => {
      // An execution that nothing came before is on disk as a whole or not at all, so a row that is written later in the same turn is as good.
      if (isNew && run.fresh && isPlain(step)) return void run.unwritten.add(step)
      if (isNew) return this.#steps.insert(step)
      this.#ports.store.transaction(() => {
        this.#dropPartial(step)
        this.#steps.update(step)
      })
    })
    this.#tell('step.started', run, step)
  }

  /** Until the attempt's row is on disk: a function that kills the object would else be begun without end. */
  async #sync(run: ActiveRun, scope: Scope): Promise<void> {
    try {
      await this.#ports.sync()
    } catch (thrown) {
      run.broken ??= { thrown }
      throw thrown
    }
    scope.cancellation.throwIfAborted()
  }

  async #attempt(
    run: ActiveRun,
    parent: Scope,
    fn: StepFunction<unknown>,
    plan: StepPlan,
    step: Step,
    place: Place | undefined,
  ): Promise<unknown> {
    const scope = new Scope(run, this, { parent, stepId: plan.stepId, startedAt: step.startedAt, round: step.undo })
    scope.holds = place
    const { cancellation } = scope
    const detach = parent.cancellation.onAbort((reason) => cancellation.abort(reason))
    const timer = plan.timeoutMs === undefined ? undefined : this.#timer(run, plan, step.attempt, cancellation)
    const context = new AttemptContext(this, run, step, scope)
    const call = (): unknown => fn(context)
    try {
      const returned = this.#ports.enter ? this.#ports.enter(scope, call) : call()
      // Work that goes on is handled from here on, whatever becomes of its row.
      const racing = isThenable(returned) ? cancellation.race(returned) : undefined
      racing?.catch(() => undefined)
      if (racing || isStream(returned)) this.writeRow(run, step)
      // What is there at once is stored at once: the function's own writes and its result are then in one turn, and so in one commit.
      const value = racing ? await racing : returned
      cancellation.throwIfAborted()
      return isStream(value) ? await this.#storeStream(run, step, value, cancellation) : this.#storeResult(run, step, value)
    } catch (thrown) {
      // Steps begun inside of this attempt stop with it; the next attempt begins them anew.
      cancellation.abort(thrown)
      throw thrown
    } finally {
      timer?.abort()
      if (!scope.nested || cancellation.aborted) detach()
    }
  }

  #timer(run: ActiveRun, plan: StepPlan, attempt: number, cancellation: Cancellation): AbortController {
    const timer = new AbortController()
    const timeoutMs = plan.timeoutMs ?? 0
    this.#ports.sleep(timeoutMs, timer.signal).then(
      () => cancellation.abort(stepTimeout(run.runId, plan.stepId, timeoutMs, attempt)),
      // The timer was stopped because the attempt has ended: there is nothing left to time.
      () => undefined,
    )
    return timer
  }

  #storeResult(run: ActiveRun, step: Step, value: unknown): unknown {
    this.#values.putResult(value, `The result of step '${step.stepId}'`, (stored) => this.#done(run, step, stored))
    this.#tell('step.done', run, step)
    return value
  }

  async #storeStream(run: ActiveRun, step: Step, stream: AsyncIterable<unknown>, cancellation: Cancellation): Promise<unknown> {
    step.valueId = this.#values.newId()
    this.#steps.update(step)
    const writer = this.#values.openStream(step.valueId, `A batch of step '${step.stepId}'`)
    const batches = stream[Symbol.asyncIterator]()
    try {
      for (;;) {
        const next = await cancellation.race(batches.next())
        // A cancel may have come between the batch and this line.
        cancellation.throwIfAborted()
        if (next.done) break
        writer.add(next.value)
        if (writer.isFull) await cancellation.race(writer.drain())
      }
      const closed = writer.close()
      await cancellation.race(closed)
      cancellation.throwIfAborted()
    } catch (thrown) {
      // The source may let go of what it holds. It is not waited for, and what it says changes nothing: the attempt has failed already.
      void Promise.resolve()
        .then(() => batches.return?.())
        .catch(() => undefined)
      throw thrown
    }
    const stored = this.#ports.store.transaction(() => {
      const end = writer.end()
      this.#done(run, step, end)
      return end
    })
    this.#tell('step.done', run, step)
    return this.#values.get(stored.text)
  }

  /** The commit point of a step: its result and its status in one row. */
  #done(run: ActiveRun, step: Step, stored: Stored): void {
    const end: StepEnd = { endedAt: this.#ports.clock.now(), result: stored.text, valueId: stored.valueId }
    const lineage = run.notes ? encodeEdges(run.notes.take(step.stepId)) : null
    // A write that fails leaves it among those that have no row, whose failure is written then.
    if (run.unwritten.has(step)) this.#steps.insertDone(step, end, lineage)
    else this.#steps.finish(step, end, lineage)
    run.unwritten.delete(step)
    step.status = 'done'
    step.endedAt = end.endedAt
    step.result = end.result
    step.valueId = end.valueId
    step.error = null
  }

  /** Writes how an attempt failed. Returns when another one may follow, else throws what the user's function gets. */
  #fail(run: ActiveRun, scope: Scope, plan: StepPlan, step: Step, thrown: unknown): void {
    // The run's own end has closed the row already, or nothing can be written any more.
    if (run.ended || run.broken) throw run.cancellation.aborted ? run.cancellation.reason : thrown
    const stopped = scope.cancellation.aborted
    const again = step.attempt < plan.maxAttempts && (stopped || isRetryable(thrown))
    const endedAt = this.#ports.clock.now()
    step.attempts = withAttempt(step.attempts, { attempt: step.attempt, startedAt: step.attemptAt, endedAt, error: storableError(thrown) })
    if (!again) {
      const error = storableError(thrown)
      this.#close(run, step, 'failed', error, null)
      throw rebuiltError(error, thrown)
    }
    const delayMs = stopped
      ? 0
      : Math.max(retryAfterOf(thrown), retryDelayMs(plan, step.attempt, this.#limits.retryDelayMs, this.#ports.random.next()))
    this.#close(run, step, 'waiting', thrown, this.#ports.clock.now() + delayMs)
    scope.cancellation.throwIfAborted()
  }

  #close(run: ActiveRun, step: Step, status: 'failed' | 'waiting', thrown: unknown, nextAttemptAt: number | null): void {
    step.status = status
    step.error = storableError(thrown)
    step.nextAttemptAt = nextAttemptAt
    step.endedAt = status === 'failed' ? this.#ports.clock.now() : null
    run.write(() =>
      this.#ports.store.transaction(() => {
        this.#dropPartial(step)
        this.#steps.update(step)
      }),
    )
    this.#tell(status === 'failed' ? 'step.failed' : 'step.retrying', run, step)
  }

  /** Waits for the next attempt's time; never longer than the longest pause, whatever the clock did meanwhile. */
  async #pause(run: ActiveRun, scope: Scope, step: Step, plan: StepPlan): Promise<void> {
    const longest = this.#ports.clock.now() + this.#limits.retryDelayMs * (1 + plan.jitter)
    await this.#rests.until(run, Math.min(step.nextAttemptAt ?? 0, longest), scope.cancellation)
    scope.cancellation.throwIfAborted()
  }

  #dropPartial(step: Step): void {
    if (step.valueId !== null) this.#values.remove(step.valueId)
    step.valueId = null
    step.result = null
  }

  #tell(type: 'step.started' | 'step.progress' | 'step.retrying' | 'step.done' | 'step.failed', run: ActiveRun, step: Step): void {
    if (this.#ports.isObserved?.() ?? true) this.#ports.observe({ type, runId: run.runId, step: this.#steps.view(step) })
  }
}

/** The context of one attempt. What most steps never ask for is made when it is asked for. */
class AttemptContext implements StepContext {
  readonly attempt: number
  readonly #round: number
  readonly #runner: StepRunner
  readonly #run: ActiveRun
  readonly #step: Step
  readonly #scope: Scope
  #checkpoint: Checkpoint | undefined
  #progress: StepContext['progress'] | undefined

  constructor(runner: StepRunner, run: ActiveRun, step: Step, scope: Scope) {
    this.attempt = step.attempt
    this.#round = step.undo
    this.#runner = runner
    this.#run = run
    this.#step = step
    this.#scope = scope
  }

  get idempotencyKey(): string {
    return idempotencyKey(this.#run.runId, this.#step.stepId, this.#round)
  }

  get signal(): AbortSignal {
    return this.#scope.signal
  }

  get checkpoint(): Checkpoint {
    return (this.#checkpoint ??= this.#makeCheckpoint())
  }

  // An arrow, so that it can be taken out of the context and handed on.
  get progress(): StepContext['progress'] {
    return (this.#progress ??= (progress) => {
      const { stepId, cancellation } = this.#scope
      if (stepId !== undefined && !cancellation.aborted) this.#scope.progress(stepId, progress)
    })
  }

  #makeCheckpoint(): Checkpoint {
    const put = (value: unknown): void => {
      const isOver = this.#scope.cancellation.aborted || this.#step.status !== 'running' || this.#step.attempt !== this.attempt
      if (!isOver) this.#runner.putCheckpoint(this.#run, this.#step, value)
    }
    return Object.defineProperty(put as Checkpoint, 'value', { get: () => this.#runner.checkpoint(this.#step) })
  }
}

/** No attempt begins in a run that has ended, and in one that is undone only those of what undoes. @throws what a step gets whose run is over */
function requireOpen(run: ActiveRun, kind: 'undo' | null): void {
  if (run.ended || (run.undoing && kind === null)) throw runEnded(run.runId)
}

function kindOf({ stepId }: StepPlan): 'undo' | null {
  return stepId.startsWith(undoPrefix) ? 'undo' : null
}

/** What is kept of a progress: its three facts, and no more of a name than people read. */
function cleanProgress({ rows, bytes, at }: Progress): Progress {
  return {
    ...(typeof rows === 'number' && { rows }),
    ...(typeof bytes === 'number' && { bytes }),
    ...(typeof at === 'string' && { at: redactText(at).slice(0, 1024) }),
  }
}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value && typeof value[Symbol.asyncIterator] === 'function'
}
