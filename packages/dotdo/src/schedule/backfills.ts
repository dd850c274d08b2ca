import { DotdoError } from '../base/errors.ts'
import { newId } from '../base/ids.ts'
import type { Clock, Random, Store } from '../base/ports.ts'
import { readBudget, type Budget } from '../base/price.ts'
import type { PartitionState } from '../base/views.ts'
import { BackfillTable, maxBackfills, type BackfillRow } from './backfill-table.ts'
import type { BackfillOptions, ScheduleHandler } from './declaration.ts'
import { runIdOf, statusOf, withBudget, type ScheduleRuns } from './firing.ts'
import type { OwnedSpan, PartitionTable } from './partition-table.ts'
import { viewsOf, windowsOf, type Window } from './partitions.ts'
import { checkChoice, type Instants } from './recurrence.ts'
import type { ScheduleRow } from './schedule-table.ts'

/** The most windows of one backfill that run at the same time. */
export const maxConcurrency = 100
/** A backfill with more windows than this does not say how many they are: counting them would take longer than beginning. */
const maxCounted = 10_000
/** How often stretches are folded: every so many runs. */
const foldEvery = 256
/** Windows that one turn looks at; the others are looked at in later ones. */
const lookedAtOnce = 1000

/** A schedule that can be run: what this incarnation has declared, and what is stored of it. */
export interface Runnable {
  row: ScheduleRow
  instants: Instants
  handler: ScheduleHandler
}

/** What {@link Backfills} stand on. */
export interface BackfillPorts {
  store: Store
  clock: Clock
  random: Random
  runs: ScheduleRuns
  partitions: PartitionTable
  /** `undefined`: this incarnation does not declare it, or it was cancelled. */
  find(scheduleId: string): Runnable | undefined
  /** Says that a run answers for a window: where the next one that fires by itself would have begun in it, it begins behind it. */
  cover(scheduleId: string, window: Window): void
}

/**
 * Runs the windows of a range, so many at a time.
 *
 * Owns: how far each backfill is (table `dotdo_backfills`). In memory: only whether one has more to look at.
 *
 * 1. A window is taken, the backfill moved past it and its run's row written in one transaction, so a crash neither repeats nor leaves out any.
 * 2. At most `concurrency` runs of a backfill are under way: a slot is free only when its run is known to have ended.
 * 3. A window is taken in the state that it has then: what has been done or begun in the meantime is passed over.
 * 4. A backfill ends when all its windows were looked at and its runs have ended, however they did.
 */
export class Backfills {
  readonly #ports: BackfillPorts
  readonly #table: BackfillTable
  #more = false

  constructor(ports: BackfillPorts) {
    this.#ports = ports
    this.#table = new BackfillTable(ports.store)
  }

  /** Whether {@link advance} has something to do that nothing else will begin. */
  get more(): boolean {
    return this.#more
  }

  /** To be called when the object starts: backfills of schedules that are gone end, and the others go on. */
  recover(): void {
    for (const row of this.#table.open()) {
      if (this.#ports.find(row.scheduleId)) this.#more = true
      else this.#end(row, 'cancelled')
    }
  }

  /**
   * Makes a backfill and begins its first runs.
   * @throws `INVALID_BACKFILL`, `INVALID_BUDGET`, `TOO_MANY_BACKFILLS`
   */
  begin({ row, instants }: Runnable, from: number, to: number, options: BackfillOptions): BackfillRow {
    const { concurrency, takes, budget } = readOptions(row.id, from, to, options)
    if (this.#table.open().length >= maxBackfills) {
      throw new DotdoError(
        'TOO_MANY_BACKFILLS',
        `This object has ${maxBackfills} backfills under way. Wait until one ends, or cancel one.`,
        {
          data: { scheduleId: row.id, maxBackfills },
          retryable: true,
        },
      )
    }
    const now = this.#ports.clock.now()
    // What is still due fires by itself.
    const last = Math.min(to, now, row.paused || row.nextAt === null ? now : row.nextAt - 1)
    let windows = 0
    for (const _ of windowsOf(instants, from, last)) if (++windows > maxCounted) break
    const backfill: BackfillRow = {
      backfillId: newId('backfill', this.#ports.clock, this.#ports.random),
      scheduleId: row.id,
      status: 'running',
      from,
      to: last,
      upTo: from,
      ...(windows <= maxCounted && { windows }),
      takes,
      concurrency,
      ...withBudget(budget),
      running: 0,
      done: 0,
      failed: 0,
      cancelled: 0,
      passed: 0,
      startedAt: now,
    }
    this.#table.write(backfill)
    this.#advance(backfill)
    return this.#table.read(backfill.backfillId)!
  }

  /** Begins as many runs as there is room for, inside the caller's transaction. */
  advance(): void {
    this.#more = false
    for (const row of this.#table.open()) this.#advance(row)
  }

  #advance(row: BackfillRow): void {
    const schedule = this.#ports.find(row.scheduleId)
    if (!schedule) return
    const next = { ...row }
    let looked = 0
    let all = true
    for (const window of windowsOf(schedule.instants, row.upTo, row.to)) {
      if (next.running >= row.concurrency || looked++ >= lookedAtOnce) {
        all = false
        break
      }
      const [view] = viewsOf([window], this.#ports.partitions.overlapping(row.scheduleId, window.start, window.end))
      if (row.takes.includes(view!.state)) {
        this.#start(next, schedule, window)
        next.running++
      } else next.passed++
      next.upTo = window.end
    }
    if (all) next.upTo = row.to
    else if (next.running < row.concurrency) this.#more = true
    if (all && next.running === 0) this.#end(next, 'done')
    else if (next.upTo !== row.upTo) this.#table.write(next)
  }

  #start(backfill: BackfillRow, { row, handler }: Runnable, window: Window): void {
    const runId = this.#freeRunId(row.id, window.end)
    this.#ports.partitions.lay([
      { ...window, schedule: row.id, state: 'running', runId, backfill: backfill.backfillId, again: false } satisfies OwnedSpan,
    ])
    this.#ports.cover(row.id, window)
    this.#ports.runs.start({
      scheduleId: row.id,
      runId,
      scheduledAt: window.end,
      window,
      handler,
      ...withBudget(backfill.budget ?? row.policies.budget),
    })
  }

  /** A run's id is its own for ever: a window that ran before gets the next number. */
  #freeRunId(scheduleId: string, end: number): string {
    const first = runIdOf(scheduleId, end)
    let id = first
    for (let nth = 2; statusOf(this.#ports.runs, id) !== undefined; nth++) id = `${first}#${nth}`
    return id
  }

  /** Counts runs that have ended, and begins others in their place. */
  settled(spans: readonly OwnedSpan[]): void {
    const ended = new Map<string, OwnedSpan[]>()
    for (const span of spans) if (span.backfill !== null) ended.set(span.backfill, [...(ended.get(span.backfill) ?? []), span])
    for (const [id, its] of ended) {
      const row = this.#table.read(id)
      if (!row) continue
      for (const { state } of its) {
        row.running--
        if (state === 'failed') row.failed++
        else if (state === 'missing') row.cancelled++
        else row.done++
      }
      this.#table.write(row)
      if (row.status === 'running') this.#advance(row)
      const before = row.done + row.failed - its.length
      if (Math.floor((row.done + row.failed) / foldEvery) > Math.floor(before / foldEvery)) this.#ports.partitions.fold(row.scheduleId)
    }
  }

  read(id: string): BackfillRow | undefined {
    return this.#table.read(id)
  }

  of(scheduleId: string): BackfillRow[] {
    return this.#table.of(scheduleId)
  }

  /** Ends one. Gives the runs of it that are under way, for the caller to cancel. */
  cancel(id: string): string[] {
    const row = this.#table.read(id)
    if (row?.status !== 'running') return []
    this.#end(row, 'cancelled')
    return this.#ports.partitions.running(row.scheduleId, id).flatMap(({ runId }) => (runId === null ? [] : [runId]))
  }

  /** Ends all of one schedule. Gives their runs as {@link cancel} does. */
  cancelAll(scheduleId: string): string[] {
    return this.#table.of(scheduleId).flatMap(({ backfillId }) => this.cancel(backfillId))
  }

  /** Forgets those that ended so long ago. */
  sweep(keptMs: number): void {
    this.#table.prune(this.#ports.clock.now(), keptMs)
  }

  /** When the first of those that have ended did, epoch milliseconds; null where there is none. */
  oldestEnded(): number | null {
    return this.#table.oldestEnded()
  }

  /** Forgets all of some schedules. */
  forget(scheduleIds: readonly string[]): void {
    this.#table.forget(scheduleIds)
  }

  #end(row: BackfillRow, status: 'done' | 'cancelled'): void {
    const now = this.#ports.clock.now()
    this.#table.write({ ...row, status, endedAt: now })
    this.#table.prune(now)
  }
}

/** @throws `INVALID_BACKFILL`, `INVALID_BUDGET` */
function readOptions(
  scheduleId: string,
  from: number,
  to: number,
  options: BackfillOptions,
): { concurrency: number; takes: PartitionState[]; budget: Budget | undefined } {
  const { concurrency = 1, take = ['missing', 'failed', 'stale'], budget, ...others } = options
  const refuse = (option: string, value: unknown, what: string): never => {
    throw new DotdoError('INVALID_BACKFILL', `A backfill of '${scheduleId}' ${what}.`, { data: { scheduleId, option, value } })
  }
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) refuse(unknown, null, `has no option '${unknown}'. There are concurrency, take and budget`)
  if (from >= to)
    refuse('to', to, `cannot go from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}: the end has to be later`)
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > maxConcurrency)
    refuse('concurrency', concurrency, `cannot run ${String(concurrency)} windows at once. Give a whole number from 1 to ${maxConcurrency}`)
  if (!Array.isArray(take) || take.length === 0) refuse('take', take, 'takes a list of states. Give take: [...] with at least one')
  for (const state of take) checkChoice('take', state, ['missing', 'failed', 'stale', 'done'])
  return { concurrency, takes: [...take], budget: budget === undefined ? undefined : readBudget(budget) }
}
