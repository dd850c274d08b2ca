import { DotdoError } from '../base/errors.ts'
import { newId } from '../base/ids.ts'
import { migrate } from '../base/migrations.ts'
import { pageSize } from '../base/pages.ts'
import type { Clock, Random, Store } from '../base/ports.ts'
import { readBudget } from '../base/price.ts'
import type { BackfillView, PartitionPage, PartitionView, RunStatus, RunView, ScheduleView } from '../base/views.ts'
import { Backfills } from './backfills.ts'
import { Declared, type Standing } from './declared.ts'
import type { BackfillOptions, Declaration, InstantLike, ScheduleHandle, ScheduleHandler, TriggerOptions } from './declaration.ts'
import { isOpen, runIdOf, runSuffix, statusOf, takeDue, withBudget, type Firing, type ScheduleRuns } from './firing.ts'
import { scheduleHandle } from './handles.ts'
import { readInstant } from './instant.ts'
import { aim, beforeNow, OpenRecurrences, startOf } from './instants.ts'
import { PartitionTable, type Outcome, type OwnedSpan } from './partition-table.ts'
import { viewsOf, windowsOf, type Window } from './partitions.ts'
import { readRecurrence, type Instants } from './recurrence.ts'
import { ScheduleTable, type DueRow, type Fired, type ScheduleRow, type Tally } from './schedule-table.ts'
import { migrations } from './tables.ts'

/** What a {@link Scheduler} stands on. */
export interface SchedulerPorts {
  store: Store
  clock: Clock
  random: Random
  runs: ScheduleRuns
  /** Calls `work` once, soon: how the ends of many runs are written together. Absent: at once. */
  soon?: (work: () => void) => void
  /** Told after a schedule was declared anew, paused, resumed, cancelled, run or filled, or its run ended: the alarm may have to move. */
  changed?: (scheduleId: string) => void
  /** Tells whoever watches what a schedule looks like now: paused, resumed, cancelled, failing or no more failing. Best effort. */
  observe?: (schedule: ScheduleView) => void
}

/** After this many firings {@link Scheduler.due} ends its transaction; the rest is due still, and `nextWakeMs` says so. */
export const maxFiringsAtOnce = 1000

/** The most instants that `next(count)` and `views(count)`, and the most windows that `partitions` lists of one schedule. */
export const maxListed = 1000

/** How often stretches of one schedule are folded: every so many firings. */
const foldEvery = 64

/**
 * Decides when.
 *
 * Owns: which schedules exist in one object, the next instant of each, whether it is paused (table `dotdo_schedules`), and which windows have
 * been covered (`dotdo_partitions`). In memory: handlers of this incarnation, and ends of runs that the end of the turn will write.
 *
 * 1. Firing is decided from the stored next instant, never from the time of the alarm: late, early and repeated alarms change nothing.
 * 2. An instant is taken, its successor stored and its run's row written in one transaction: a firing is neither lost nor doubled by a crash.
 * 3. Next instants only move forward, past every instant that was taken or given up as too late: a clock that jumps back fires
 *    nothing twice.
 * 4. Declaring again with the same recurrence keeps the stored next instant: what was missed while nothing ran is still due.
 * 5. Windows of one schedule follow each other without gap or overlap, whatever was missed, folded, paused or filled (`catchUp: 'skip'` excepted).
 * 6. A schedule that has no handler in this incarnation does not fire and loses nothing: it is declared, or `settle()` retires it.
 * 7. How a run ended is read from its row, also where nobody was there to be told: `settle()` asks for all that were under way.
 */
export class Scheduler {
  readonly #store: Store
  readonly #clock: Clock
  readonly #random: Random
  readonly #runs: ScheduleRuns
  readonly #soon: (work: () => void) => void
  readonly #changed: (scheduleId: string) => void
  readonly #observe: (schedule: ScheduleView) => void
  readonly #table: ScheduleTable
  readonly #partitions: PartitionTable
  readonly #open = new OpenRecurrences()
  readonly #declared: Declared
  readonly #backfills: Backfills
  #told = new Map<string, Outcome>()
  #settled = false

  /** @throws `STATE_TOO_NEW` when the tables were written by a later release */
  constructor(ports: SchedulerPorts) {
    this.#store = ports.store
    this.#clock = ports.clock
    this.#random = ports.random
    this.#runs = ports.runs
    this.#soon = ports.soon ?? ((work) => work())
    this.#changed = ports.changed ?? (() => undefined)
    this.#observe = ports.observe ?? (() => undefined)
    migrate(ports.store, 'schedule', migrations)
    this.#table = new ScheduleTable(ports.store)
    this.#partitions = new PartitionTable(ports.store)
    this.#declared = new Declared(ports.store, ports.clock, this.#table, this.#open, this.#changed)
    this.#backfills = new Backfills({
      ...ports,
      partitions: this.#partitions,
      find: (id) => {
        const row = this.#table.read(id)
        const handler = this.#declared.handlerOf(id)
        return row?.status === 'active' && handler ? { row, handler, instants: this.#open.of(row.recurrence) } : undefined
      },
      cover: (id, window) => this.#table.cover(id, window),
    })
  }

  /**
   * Makes a schedule exist, or takes it up again. Its id: as given, else the handler's name, else the pattern in words; a second one in the
   * same incarnation gets `#2`, and so on in order of declaration. It is stored at the latest when it is asked for, or by {@link settle}.
   *
   * @throws `SCHEDULE_TOO_LATE` after {@link settle}; `TOO_MANY_SCHEDULES` beyond `maxSchedules`
   */
  declare(declaration: Declaration, handler: ScheduleHandler): ScheduleHandle {
    return scheduleHandle(this, this.#declared.add(declaration, handler, this.#settled))
  }

  /**
   * The end of `init`: schedules that this incarnation did not declare are retired, and what runs of an earlier one have come to is written. Call
   * it only after an `init` that succeeded, or schedules it did not come to would lose what they missed.
   */
  settle(): void {
    this.#store.transaction(() => {
      const now = this.#clock.now()
      const rows = this.#declared.flushAll()
      const gone = rows.filter(({ id, status }) => status !== 'retired' && !this.#declared.has(id))
      this.#table.write(gone.map((row) => ({ ...row, status: 'retired', nextAt: null, wakeAt: null, changedAt: now })))
      if (gone.length > 0 || rows.some(({ status }) => status === 'retired')) this.#forget(this.#table.prune(now))
      this.#look([
        ...rows.flatMap(({ id, openRun, coveredTo }) => (openRun === null ? [] : [{ schedule: id, end: coveredTo ?? 0, runId: openRun }])),
        ...this.#partitions.running().map(({ schedule, end, runId }) => ({ schedule, end, runId: runId ?? '' })),
      ])
      this.#backfills.recover()
      this.#settleRuns()
      for (const { id } of gone) this.#changed(id)
    })
    this.#settled = true
  }

  /** Forgets schedules that were retired, and backfills that ended, so long ago. Both are bounded in number, so it is one slice. */
  sweep({ schedulesMs, backfillsMs }: { schedulesMs: number; backfillsMs: number }): boolean {
    this.#store.transaction(() => {
      this.#forget(this.#table.prune(this.#clock.now(), schedulesMs))
      this.#backfills.sweep(backfillsMs)
    })
    return false
  }

  /** When {@link sweep} has something to forget, epoch milliseconds; null where nothing is over. */
  nextSweepMs({ schedulesMs, backfillsMs }: { schedulesMs: number; backfillsMs: number }): number | null {
    const retired = this.#table.oldestRetired()
    const ended = this.#backfills.oldestEnded()
    const instants = [retired === null ? null : retired + schedulesMs, ended === null ? null : ended + backfillsMs].filter(
      (it) => it !== null,
    )
    return instants.length === 0 ? null : Math.min(...instants)
  }

  /** Puts the ends of runs, where they have one, with those that are to be written. A run that is forgotten counts as cancelled. */
  #look(runs: Omit<Outcome, 'status'>[]): void {
    if (runs.length === 0) return
    const statuses = this.#runs.statuses(runs.map(({ runId }) => runId))
    for (const run of runs) {
      const status = statuses.get(run.runId) ?? 'cancelled'
      if (!isOpen(status)) this.#told.set(run.runId, { ...run, status })
    }
  }

  #forget(ids: string[]): void {
    if (ids.length === 0) return
    this.#partitions.forget(ids)
    this.#backfills.forget(ids)
  }

  /**
   * Takes what is due now and starts it, and goes on with backfills. Runs are started in order of their instants, inside the transaction: when
   * that throws, nothing was taken and all of it is due still. At most about {@link maxFiringsAtOnce} at once: go by {@link nextWakeMs}.
   */
  due(start: ScheduleRuns['start'] = (firing) => this.#runs.start(firing)): Firing[] {
    const cancelled: string[] = []
    const firings = this.#store.transaction(() => {
      this.#declared.flush()
      this.#settleRuns()
      const now = this.#clock.now()
      const taken: Firing[] = []
      const turn: Turn = { now, taken, cancelled, suffixes: new Map() }
      const rows: Fired[] = []
      const fold: string[] = []
      for (const row of this.#dueRows(now)) {
        if (taken.length >= maxFiringsAtOnce) break
        const standing = this.#declared.standingOf(row.id)
        if (!standing) continue
        const after = this.#take(row, standing, turn)
        rows.push(after)
        if (Math.floor((row.fired + after.firings) / foldEvery) > Math.floor(row.fired / foldEvery)) fold.push(row.id)
      }
      this.#table.fired(rows)
      this.#partitions.lay(taken.filter(({ window }) => window.start < window.end).map(spanOf))
      for (const id of fold) this.#partitions.fold(id)
      taken.sort((a, b) => a.scheduledAt - b.scheduledAt)
      for (const firing of taken) start(firing)
      if (this.#backfills.more) this.#backfills.advance()
      return taken
    })
    for (const runId of cancelled) this.#runs.cancel(runId)
    for (const id of new Set(firings.map((it) => it.scheduleId))) this.#changed(id)
    return firings
  }

  /** What is due, soonest first. Until the end of `init` what it has not come to yet may stand before the others, so those are read too. */
  *#dueRows(now: number): Generator<DueRow> {
    for (let from = 0; ; from += maxFiringsAtOnce) {
      const rows = this.#table.due(now, maxFiringsAtOnce, from)
      yield* rows
      if (this.#settled || rows.length < maxFiringsAtOnce) return
    }
  }

  /**
   * When {@link due} has something to do next, epoch ms: where the alarm belongs. In the past when something is due. `null`: never. Before {@link settle} by what
   * is stored: an `init` that fails changes nothing.
   */
  nextWakeMs(): number | null {
    const soonest = this.#table.soonest()
    return this.#backfills.more ? Math.min(soonest ?? Infinity, this.#clock.now()) : soonest
  }

  /** To be told when a run of a schedule has ended, is held, or goes on after either. `scheduledAt` as it was started with. */
  ran(schedule: string, scheduledAt: number, runId: string, status: RunStatus): void {
    this.#told.set(runId, { schedule, end: scheduledAt, runId, status })
    if (this.#told.size === 1) this.#soon(() => this.#store.transaction(() => this.#settleRuns()))
  }

  /** Writes what runs have come to, and begins what waited for that. Inside a transaction: when it is undone, all is told still. */
  #settleRuns(): void {
    const outcomes = [...this.#told.values()]
    if (outcomes.length === 0) return
    const spans = this.#partitions.settle(outcomes)
    const tallies = talliesOf(outcomes)
    const { waiting, seen } = this.#table.ended(tallies)
    for (const id of waiting) {
      const row = this.#table.read(id)!
      this.#table.write([aim(row, row.nextAt, this.#open)])
    }
    this.#backfills.settled(spans)
    this.#told = new Map()
    // One that a deploy holds, or that goes on, is no end: it only looks otherwise.
    const held = outcomes.filter(({ status }) => status === 'held').map(({ schedule }) => schedule)
    for (const id of new Set([...seen, ...held])) if (this.#isActive(id)) this.#observe(this.view(id))
    for (const schedule of new Set(outcomes.map((it) => it.schedule))) this.#changed(schedule)
  }

  /**
   * Runs a schedule now, beside its instants: nothing it would fire by itself changes. Its window goes from the last one's end to now.
   * Gives the id of the run, which is stored.
   *
   * @throws `SCHEDULE_UNKNOWN`, `INVALID_BUDGET`, `INVALID_SCHEDULE` for an option that there is not
   */
  trigger(id: string, options: TriggerOptions = {}): string {
    const strange = Object.keys(options ?? {}).find((name) => name !== 'budget')
    if (strange !== undefined)
      throw new DotdoError('INVALID_SCHEDULE', `A run by hand of '${id}' has no option '${strange}'. There is one: budget.`, {
        data: { option: strange },
      })
    const given = options?.budget === undefined ? undefined : readBudget(options.budget)
    const runId = this.#store.transaction(() => {
      const row = this.#existing(id)
      const now = this.#clock.now()
      const firing: Firing = {
        scheduleId: id,
        // Copied into a terminal as it is: nothing in it means anything to a shell.
        runId: `${runIdOf(id, now)}.${newId('manual', this.#clock, this.#random)}`,
        scheduledAt: now,
        window: { start: Math.min(row.coveredTo ?? this.#open.of(row.recurrence).previous(now) ?? now, now), end: now },
        handler: this.#declared.handlerOf(id)!,
        ...withBudget(given ?? row.policies.budget),
      }
      this.#table.write([{ ...row, lastFiredAt: now, lastRunId: firing.runId }])
      this.#runs.start(firing)
      return firing.runId
    })
    this.#changed(id)
    return runId
  }

  /** No firing until {@link resume}, across restarts and deploys. @throws `SCHEDULE_UNKNOWN` */
  pause(id: string): void {
    this.#update(id, (row) => ({ ...row, paused: true }))
  }

  /** Goes on with the next instant from now; a single instant that passed while paused fires late. @throws `SCHEDULE_UNKNOWN` */
  resume(id: string): void {
    this.#update(id, (row, now) => {
      if (!row.paused) return row
      const single = readRecurrence(row.recurrence).kind === 'once'
      const nextAt = single ? row.nextAt : this.#open.of(row.recurrence).next(beforeNow(row, now))
      return aim({ ...row, paused: false }, nextAt, this.#open)
    })
  }

  /** Ends a schedule and its backfills, across restarts, until the code declares it with another recurrence. @throws `SCHEDULE_UNKNOWN` */
  cancel(id: string): void {
    let runIds: string[] = []
    this.#update(id, (row, now) => {
      runIds = this.#backfills.cancelAll(id)
      return { ...row, status: 'cancelled', nextAt: null, wakeAt: null, changedAt: now }
    })
    for (const runId of runIds) this.#runs.cancel(runId)
  }

  /** Its windows with their states: see `ScheduleHandle`. @throws `SCHEDULE_UNKNOWN`, `INVALID_INSTANT` */
  partitions(id: string, from: InstantLike, to: InstantLike, { limit }: { limit?: number } = {}): PartitionPage {
    const row = this.#known(id)
    const size = pageSize(limit, 100, maxListed)
    const windows: Window[] = []
    let more = false
    for (const window of windowsOf(this.#open.of(row.recurrence), readInstant(from), this.#over(to))) {
      if ((more = windows.length === size)) break
      windows.push(window)
    }
    const [first, last] = [windows[0], windows.at(-1)]
    if (!first || !last) return { partitions: [] }
    const partitions = this.#withHeld(viewsOf(windows, this.#partitions.overlapping(id, first.start, last.end)))
    return { partitions, ...(more && { next: last.end }) }
  }

  /** Says of windows whose run is under way where a deploy holds it: stored is only that it has not ended. */
  #withHeld(views: PartitionView[]): PartitionView[] {
    const runIds = views.flatMap(({ state, runId }) => (state === 'running' && runId !== undefined ? [runId] : []))
    if (runIds.length === 0) return views
    const statuses = this.#runs.statuses(runIds)
    return views.map((view) => (view.runId !== undefined && statuses.get(view.runId) === 'held' ? { ...view, held: true as const } : view))
  }

  /** Says that windows are to be done again: see `ScheduleHandle`. @throws `SCHEDULE_UNKNOWN`, `INVALID_INSTANT` */
  markStale(id: string, from: InstantLike, to: InstantLike): void {
    const instants = this.#open.of(this.#known(id).recurrence)
    const { value: first } = windowsOf(instants, readInstant(from), this.#over(to)).next()
    const end = instants.previous(this.#over(to))
    if (first && end !== null) this.#store.transaction(() => this.#partitions.markStale(id, first.start, end))
  }

  /** Runs windows beside the schedule's instants: see `ScheduleHandle`. Its id. @throws `SCHEDULE_UNKNOWN`, `INVALID_BACKFILL` and others */
  backfill(id: string, from: InstantLike, to: InstantLike, options: BackfillOptions = {}): string {
    const [after, until] = [readInstant(from), readInstant(to)]
    const { backfillId } = this.#store.transaction(() => {
      const row = this.#existing(id)
      this.#settleRuns()
      const runnable = { row, instants: this.#open.of(row.recurrence), handler: this.#declared.handlerOf(id)! }
      return this.#backfills.begin(runnable, after, until, options)
    })
    this.#changed(id)
    return backfillId
  }

  /** Its backfills, newest first. @throws `SCHEDULE_UNKNOWN` */
  backfills(id: string): BackfillView[] {
    return this.#backfills.of(this.#known(id).id)
  }

  /** How far a backfill of a schedule is. @throws `BACKFILL_UNKNOWN` */
  progress(id: string, backfillId: string): BackfillView {
    const row = this.#backfills.read(backfillId)
    if (row?.scheduleId !== id) {
      throw new DotdoError(
        'BACKFILL_UNKNOWN',
        `The schedule '${id}' has no backfill '${backfillId}'. It is forgotten 30 days after its end; backfills() lists those that are known.`,
        { data: { scheduleId: id, backfillId } },
      )
    }
    return row
  }

  /** Ends a backfill of a schedule and its runs; nothing, where it has ended. @throws `BACKFILL_UNKNOWN` */
  cancelBackfill(id: string, backfillId: string): void {
    this.progress(id, backfillId)
    for (const runId of this.#store.transaction(() => this.#backfills.cancel(backfillId))) this.#runs.cancel(runId)
    this.#changed(id)
  }

  /** Its runs, newest instant first. @throws `SCHEDULE_UNKNOWN` */
  runs(id: string, page: { limit?: number; before?: string } = {}): RunView[] {
    return this.#runs.list(this.#known(id).id, page)
  }

  /** What an observer sees of every schedule that exists, with up to `nextCount` instants each, in order of declaration. */
  views(nextCount = 5): ScheduleView[] {
    return this.#existingRows().map((row) => this.#view(row, nextCount))
  }

  /** What an observer sees of some schedules, with one instant each; of those that do not exist, nothing. */
  glances(ids: readonly string[]): ScheduleView[] {
    this.#declared.flush()
    const rows = this.#table.some(ids).filter(({ id, status }) => status === 'active' && this.#declared.has(id))
    const statuses = this.#runs.statuses(rows.flatMap(runsOf))
    return rows.map((row) => this.#view(row, 1, statuses))
  }

  /** The ids of all schedules that exist, in order of declaration. */
  ids(): string[] {
    return this.#existingRows().map(({ id }) => id)
  }

  /** What an observer sees of one schedule. @throws `SCHEDULE_UNKNOWN` */
  view(id: string, nextCount = 5): ScheduleView {
    return this.#view(this.#existing(id), nextCount)
  }

  /** The next instants of a schedule; none, where it was cancelled. @throws `SCHEDULE_UNKNOWN` */
  next(id: string, count = 5): number[] {
    return this.#isCancelled(id) ? [] : this.view(id, count).next
  }

  /** A schedule as a capability. @throws `SCHEDULE_UNKNOWN` */
  handle(id: string): ScheduleHandle {
    return scheduleHandle(this, this.#known(id).id)
  }

  /** The function of a schedule in this incarnation: what takes up a run that a crash interrupted. `undefined`: the code has none. */
  handlerOf(id: string): ScheduleHandler | undefined {
    return this.#declared.handlerOf(id)
  }

  /** What one schedule that is due fires, put with what is taken, and what that changes in its row. */
  #take(row: DueRow, { handler, policies, recurrence }: Standing, { now, taken, cancelled, suffixes }: Turn): Fired {
    const { id, nextAt, lastScheduledAt, coveredTo } = row
    const { overlapRuns } = policies
    const left: Fired = { id, nextAt, wakeAt: null, lastScheduledAt, coveredTo, firings: 0, firedAt: null, runSuffix: null, isOpen: false }
    if (nextAt === null) return left
    const open = row.openRun !== null && isOpen(statusOf(this.#runs, row.openRun)) ? row.openRun : null
    // It stays due, and is aimed anew when that run has ended.
    if (open !== null && overlapRuns === 'queue') return left
    const instants = this.#open.of(recurrence)
    const due = takeDue({ id, policies, coveredTo }, instants, nextAt, now)
    left.lastScheduledAt = due.lastScheduledAt
    left.nextAt = due.nextAt
    left.wakeAt = due.nextAt === null ? null : startOf(id, due.nextAt, policies.jitterMs, instants)
    const [first] = due.events
    if (!first || (open !== null && overlapRuns === 'skip')) return left
    if (open !== null && overlapRuns === 'cancel-previous') {
      const span = this.#partitions.endingAt(id, coveredTo ?? NaN)
      if (span?.runId === open) first.window.start = Math.min(first.window.start, span.start)
      cancelled.push(open)
    }
    for (const { scheduledAt, window } of due.events) {
      const suffix = suffixes.get(scheduledAt) ?? runSuffix(scheduledAt)
      suffixes.set(scheduledAt, suffix)
      left.runSuffix = suffix
      left.coveredTo = window.end
      taken.push({ scheduledAt, window, scheduleId: id, runId: id + suffix, handler, ...withBudget(policies.budget) })
    }
    left.firings = due.events.length
    left.firedAt = now
    left.isOpen = overlapRuns !== 'allow'
    return left
  }

  /** A cancelled schedule stays as it is: `init` runs on every wake, and what it does to its handles has to be repeatable. */
  #update(id: string, change: (row: ScheduleRow, now: number) => ScheduleRow): void {
    if (this.#isCancelled(id)) return
    this.#store.transaction(() => this.#table.write([change(this.#existing(id), this.#clock.now())]))
    this.#changed(id)
    this.#observe(this.#view(this.#known(id), 5))
  }

  #isCancelled(id: string): boolean {
    return this.#read(id)?.status === 'cancelled'
  }

  #isActive(id: string): boolean {
    return this.#read(id)?.status === 'active'
  }

  #view(
    row: ScheduleRow,
    count: number,
    statuses: ReadonlyMap<string, RunStatus> = row.lastRunId === null ? new Map() : this.#runs.statuses(runsOf(row)),
  ): ScheduleView {
    const lastStatus = row.lastRunId === null ? undefined : statuses.get(row.lastRunId)
    const held = row.openRun !== null && statuses.get(row.openRun) === 'held' ? row.openRun : undefined
    const recurrence = readRecurrence(row.recurrence)
    const instants = this.#open.of(row.recurrence)
    const next: number[] = []
    const paused = row.paused && recurrence.kind !== 'once'
    let at = paused && row.status === 'active' ? instants.next(beforeNow(row, this.#clock.now())) : row.nextAt
    for (; at !== null && next.length < Math.min(count, maxListed); at = instants.next(at)) next.push(at)
    return {
      scheduleId: row.id,
      pattern: row.pattern,
      timeZone: recurrence.kind === 'cron' ? recurrence.timeZone : 'UTC',
      paused: row.paused,
      next,
      ...(row.lastFiredAt !== null && { lastFiredAt: row.lastFiredAt }),
      ...(row.lastRunId !== null && { lastRunId: row.lastRunId }),
      ...withBudget(row.policies.budget),
      ...(lastStatus !== undefined && { lastStatus }),
      ...(held !== undefined && { held: { runId: held, skipped: skippedOf(row, instants) } }),
      ...(row.failures > 0 && { failures: row.failures }),
    }
  }

  /** The end of what is over: of a range that goes on beyond now, now. */
  #over(to: InstantLike): number {
    return Math.min(readInstant(to), this.#clock.now())
  }

  /** The row of a schedule that this incarnation declares. */
  #read(id: string): ScheduleRow | undefined {
    this.#declared.flush()
    return this.#declared.has(id) ? this.#table.read(id) : undefined
  }

  #existingRows(): ScheduleRow[] {
    this.#declared.flush()
    return this.#table.withStatus('active').filter((row) => this.#declared.has(row.id))
  }

  /** One that exists, though it may be cancelled. */
  #known(id: string): ScheduleRow {
    const row = this.#read(id)
    return row && row.status !== 'retired' ? row : this.#existing(id)
  }

  #existing(id: string): ScheduleRow {
    const row = this.#read(id)
    if (row?.status === 'active') return row
    const known = this.#existingRows().map((it) => it.id)
    const list =
      known.length > 0
        ? `There are ${known
            .slice(0, 20)
            .map((it) => `'${it}'`)
            .join(', ')}${known.length > 20 ? ' and more' : ''}.`
        : 'There is none.'
    throw new DotdoError(
      'SCHEDULE_UNKNOWN',
      `No schedule '${id}' exists here${row?.status === 'cancelled' ? ': it was cancelled' : ''}. ${list}`,
      {
        data: { scheduleId: id, known: known.slice(0, 20) },
      },
    )
  }
}

/** What {@link Scheduler.due} gathers while it looks at rows. */
interface Turn {
  now: number
  taken: Firing[]
  /** Runs to end. */
  cancelled: string[]
  /** `runSuffix` of the instants so far: thousands fire at few. */
  suffixes: Map<number, string>
}

/** The runs that a schedule's view tells of: the last one, and the one that its instants wait for. They are one, unless somebody ran it by hand since. */
function runsOf({ lastRunId, openRun }: ScheduleRow): string[] {
  return [...new Set([lastRunId, openRun])].filter((it) => it !== null)
}

/** How many instants have gone by since the last window ended, without a run. */
function skippedOf({ coveredTo, lastScheduledAt }: ScheduleRow, instants: Instants): number {
  let count = 0
  if (coveredTo === null || lastScheduledAt === null) return count
  for (let at = instants.next(coveredTo); at !== null && at <= lastScheduledAt && count < maxListed; at = instants.next(at)) count++
  return count
}

/** The stretch that a firing answers for. */
function spanOf({ scheduleId, window, runId }: Firing): OwnedSpan {
  return { ...window, schedule: scheduleId, state: 'running', runId, backfill: null, again: false }
}

/** What each schedule's runs have come to, in the order in which it was told. */
function talliesOf(outcomes: readonly Outcome[]): Tally[] {
  const tallies = new Map<string, Tally>()
  for (const { schedule, runId, status } of outcomes) {
    if (isOpen(status)) continue
    let tally = tallies.get(schedule)
    if (!tally) tallies.set(schedule, (tally = { schedule, runIds: [], done: false, failed: 0 }))
    tally.runIds.push(runId)
    if (status === 'failed') tally.failed++
    if (status === 'done') Object.assign(tally, { done: true, failed: 0 })
  }
  return [...tallies.values()]
}
