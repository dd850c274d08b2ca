import { DotdoError } from '../base/errors.ts'
import { newId } from '../base/ids.ts'
import type { Clock, Random, Store } from '../base/ports.ts'
import type { ScheduleView } from '../base/views.ts'
import type { AfterRecurrence, Declaration, ScheduleHandle, ScheduleHandler } from './declaration.ts'
import { runIdOf, takeDue, type Firing } from './firing.ts'
import { defaultPolicies, jitterOf } from './policies.ts'
import { once, openRecurrence, readRecurrence, storeRecurrence, type Instants, type Recurrence } from './recurrence.ts'
import { ScheduleTable, type ScheduleRow } from './schedule-table.ts'

/** Makes the run of a firing durable: writes its row, inside the transaction that takes the instant. Must not return a promise. */
export type StartRun = (firing: Firing) => void

/** What a {@link Scheduler} stands on. */
export interface SchedulerPorts {
  store: Store
  clock: Clock
  random: Random
  start: StartRun
  /** Told after a schedule was declared anew, paused, resumed, cancelled, run by hand or fired: the alarm may have to move. */
  changed?: (scheduleId: string) => void
}

/** The most schedules that one object declares. */
export const maxSchedules = 1000

/** After this many firings {@link Scheduler.due} ends its transaction; the rest is due still, and `nextWakeMs` says so. */
export const maxFiringsAtOnce = 1000

/** The most instants that `next(count)` and `views(count)` list of one schedule. */
export const maxListed = 1000

/**
 * Decides when.
 *
 * Owns: which schedules exist in one object, the next instant of each, whether it is paused (table `dotdo_schedules`). In memory: only the
 * handlers of this incarnation, because functions cannot be stored, so every incarnation declares its schedules anew.
 *
 * 1. Firing is decided from the stored next instant, never from the time of the alarm: late, early and repeated alarms change nothing.
 * 2. An instant is taken, its successor stored and its run's row written in one transaction: a firing is neither lost nor doubled by a crash.
 * 3. Next instants only move forward, past every instant that was taken or given up as too late: a clock that jumps back fires
 *    nothing twice.
 * 4. Declaring again with the same recurrence keeps the stored next instant: what was missed while nothing ran is still due.
 * 5. Windows of one schedule follow each other without gap or overlap, whatever was missed, folded or paused (`catchUp: 'skip'` excepted).
 * 6. A schedule that has no handler in this incarnation does not fire and loses nothing: it is declared, or `settle()` retires it.
 */
export class Scheduler {
  readonly #store: Store
  readonly #clock: Clock
  readonly #random: Random
  readonly #start: StartRun
  readonly #changed: (scheduleId: string) => void
  readonly #table: ScheduleTable
  readonly #handlers = new Map<string, ScheduleHandler>()
  readonly #opened = new Map<string, Instants>()
  #settled = false

  /** @throws `STATE_TOO_NEW` when the table was written by a later release */
  constructor(ports: SchedulerPorts) {
    this.#store = ports.store
    this.#clock = ports.clock
    this.#random = ports.random
    this.#start = ports.start
    this.#changed = ports.changed ?? (() => undefined)
    this.#table = new ScheduleTable(ports.store)
  }

  /**
   * Makes a schedule exist, or takes it up again. Its id: as given, else the handler's name, else the pattern in words; a second one in the
   * same incarnation gets `#2`, and so on in order of declaration.
   *
   * @throws `SCHEDULE_TOO_LATE` after {@link settle}; `TOO_MANY_SCHEDULES` beyond {@link maxSchedules}
   */
  declare(declaration: Declaration, handler: ScheduleHandler): ScheduleHandle {
    const id = this.#freeId(declaration.id ?? (nameOf(handler) || declaration.pattern))
    this.#checkOpen(id)
    const declared = declaredText(declaration.recurrence)
    const written = this.#store.transaction(() => {
      const now = this.#clock.now()
      const found = this.#table.read(id)
      const same = found !== undefined && found.status !== 'retired' && found.declared === declared
      const row = same ? found : this.#fresh(id, declaration.recurrence, found, now)
      const stated = { ...row, pattern: declaration.pattern, policies: declaration.policies, position: this.#handlers.size }
      // The jitter may have changed with the policies.
      const aimed = this.#aim(stated, stated.nextAt)
      // Most wakes change nothing, and then write nothing: a written row has a price.
      const differs = JSON.stringify(found) !== JSON.stringify(aimed)
      if (differs) this.#table.write(aimed)
      return differs
    })
    this.#handlers.set(id, handler)
    if (written) this.#changed(id)
    return this.#handle(id)
  }

  /**
   * The end of `init`: schedules that this incarnation did not declare are retired. Call it only after an `init` that succeeded, or
   * schedules it did not come to would lose what they missed.
   */
  settle(): void {
    this.#settled = true
    this.#store.transaction(() => {
      const now = this.#clock.now()
      for (const row of [...this.#table.withStatus('active'), ...this.#table.withStatus('cancelled')]) {
        if (!this.#handlers.has(row.id)) this.#table.write({ ...row, status: 'retired', nextAt: null, wakeAt: null, changedAt: now })
      }
      this.#table.prune(now)
    })
  }

  /**
   * Takes what is due now and starts it. `start` is called for each firing, oldest instant first, inside the transaction: when it throws,
   * nothing was taken and all of it is due still. At most about {@link maxFiringsAtOnce} at once: go by {@link nextWakeMs}.
   */
  due(start: StartRun = this.#start): Firing[] {
    const firings = this.#store.transaction(() => {
      const now = this.#clock.now()
      const taken: Firing[] = []
      for (const row of this.#table.due(now)) {
        if (taken.length >= maxFiringsAtOnce) break
        const handler = this.#handlers.get(row.id)
        if (handler) taken.push(...this.#take(row, handler, now))
      }
      taken.sort((a, b) => a.scheduledAt - b.scheduledAt)
      for (const firing of taken) start(firing)
      return taken
    })
    for (const id of new Set(firings.map((it) => it.scheduleId))) this.#changed(id)
    return firings
  }

  /** When {@link due} has something to do next, epoch ms: where the alarm belongs. In the past when something is due. `null`: never. */
  nextWakeMs(): number | null {
    return this.#table.soonest()
  }

  /**
   * Runs a schedule now, beside its instants: nothing it would fire by itself changes. Its window goes from the last one's end to now.
   * Gives the id of the run, which `start` has stored.
   *
   * @throws `SCHEDULE_UNKNOWN`
   */
  trigger(id: string, start: StartRun = this.#start): string {
    const runId = this.#store.transaction(() => {
      const row = this.#existing(id)
      const now = this.#clock.now()
      const firing: Firing = {
        scheduleId: id,
        runId: `${runIdOf(id, now)}!${newId('manual', this.#clock, this.#random)}`,
        scheduledAt: now,
        window: { start: Math.min(row.coveredTo ?? this.#open(row).previous(now) ?? now, now), end: now },
        handler: this.#handlers.get(id)!,
        overlapRuns: row.policies.overlapRuns,
      }
      this.#table.write({ ...row, lastFiredAt: now, lastRunId: firing.runId })
      start(firing)
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
      return this.#aim({ ...row, paused: false }, single ? row.nextAt : this.#open(row).next(beforeNow(row, now)))
    })
  }

  /** Ends a schedule, across restarts, until the code declares it with another recurrence. @throws `SCHEDULE_UNKNOWN` */
  cancel(id: string): void {
    this.#update(id, (row, now) => ({ ...row, status: 'cancelled', nextAt: null, wakeAt: null, changedAt: now }))
  }

  /** What an observer sees of every schedule that exists, with up to `nextCount` instants each, in order of declaration. */
  views(nextCount = 5): ScheduleView[] {
    return this.#existingRows().map((row) => this.#view(row, nextCount))
  }

  /** What an observer sees of one schedule. @throws `SCHEDULE_UNKNOWN` */
  view(id: string, nextCount = 5): ScheduleView {
    return this.#view(this.#existing(id), nextCount)
  }

  /** The function of a schedule in this incarnation: what takes up a run that a crash interrupted. `undefined`: the code has none. */
  handlerOf(id: string): ScheduleHandler | undefined {
    return this.#handlers.get(id)
  }

  #handle(id: string): ScheduleHandle {
    return {
      id,
      next: (count) => (this.#isCancelled(id) ? [] : this.view(id, count).next),
      pause: () => this.pause(id),
      resume: () => this.resume(id),
      trigger: async () => this.trigger(id),
      cancel: () => this.cancel(id),
    }
  }

  /** A row for a recurrence that is new under this id. What fired before stays known: it must not fire again, and windows go on from it. */
  #fresh(id: string, declared: Recurrence | AfterRecurrence, found: ScheduleRow | undefined, now: number): ScheduleRow {
    const recurrence = declared.kind === 'after' ? once(now + declared.delayMs) : declared
    const row: ScheduleRow = {
      id,
      status: 'active',
      paused: found?.paused ?? false,
      declared: declaredText(declared),
      recurrence: storeRecurrence(recurrence),
      pattern: '',
      policies: defaultPolicies,
      nextAt: null,
      wakeAt: null,
      lastScheduledAt: found?.lastScheduledAt ?? null,
      coveredTo: found?.coveredTo ?? null,
      lastFiredAt: found?.lastFiredAt ?? null,
      lastRunId: found?.lastRunId ?? null,
      position: 0,
      changedAt: now,
    }
    const nextAt = this.#open(row).next(beforeNow(row, now))
    // Stated from the start, so that what is paused over or given up before anything fired is covered as well.
    const coveredTo = row.coveredTo ?? (nextAt === null ? null : this.#open(row).previous(nextAt - 1))
    return { ...row, nextAt, coveredTo }
  }

  #take(row: ScheduleRow, handler: ScheduleHandler, now: number): Firing[] {
    if (row.nextAt === null) return []
    const { events, lastScheduledAt, nextAt } = takeDue(row, this.#open(row), row.nextAt, now)
    const firings = events.map((event) => ({
      ...event,
      scheduleId: row.id,
      runId: runIdOf(row.id, event.scheduledAt),
      handler,
      overlapRuns: row.policies.overlapRuns,
    }))
    const last = firings.at(-1)
    const fired = last ? { lastFiredAt: now, lastRunId: last.runId, coveredTo: last.window.end } : {}
    this.#table.write(this.#aim({ ...row, ...fired, lastScheduledAt }, nextAt))
    return firings
  }

  /** Sets the next instant and, by its jitter, the time it starts. */
  #aim(row: ScheduleRow, nextAt: number | null): ScheduleRow {
    if (nextAt === null || row.status !== 'active') return { ...row, nextAt: null, wakeAt: null }
    const { jitterMs } = row.policies
    const jitter = jitterMs === 0 ? 0 : jitterOf(row.id, nextAt, jitterMs, this.#open(row).next(nextAt))
    return { ...row, nextAt, wakeAt: nextAt + jitter }
  }

  /** A cancelled schedule stays as it is: `init` runs on every wake, and what it does to its handles has to be repeatable. */
  #update(id: string, change: (row: ScheduleRow, now: number) => ScheduleRow): void {
    if (this.#isCancelled(id)) return
    this.#store.transaction(() => this.#table.write(change(this.#existing(id), this.#clock.now())))
    this.#changed(id)
  }

  #isCancelled(id: string): boolean {
    return this.#handlers.has(id) && this.#table.read(id)?.status === 'cancelled'
  }

  #view(row: ScheduleRow, count: number): ScheduleView {
    const recurrence = readRecurrence(row.recurrence)
    const instants = this.#open(row)
    const next: number[] = []
    const paused = row.paused && recurrence.kind !== 'once'
    let at = paused ? instants.next(beforeNow(row, this.#clock.now())) : row.nextAt
    for (; at !== null && next.length < Math.min(count, maxListed); at = instants.next(at)) next.push(at)
    return {
      scheduleId: row.id,
      pattern: row.pattern,
      timeZone: recurrence.kind === 'cron' ? recurrence.timeZone : 'UTC',
      paused: row.paused,
      next,
      ...(row.lastFiredAt !== null && { lastFiredAt: row.lastFiredAt }),
      ...(row.lastRunId !== null && { lastRunId: row.lastRunId }),
    }
  }

  #existingRows(): ScheduleRow[] {
    return this.#table.withStatus('active').filter((row) => this.#handlers.has(row.id))
  }

  #existing(id: string): ScheduleRow {
    const row = this.#table.read(id)
    if (row?.status === 'active' && this.#handlers.has(id)) return row
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
        data: { scheduleId: id, known },
      },
    )
  }

  /** Parsing a pattern and opening a zone cost about 0.1 ms: once for each recurrence of this incarnation. */
  #open(row: ScheduleRow): Instants {
    let instants = this.#opened.get(row.recurrence)
    if (!instants) {
      if (this.#opened.size >= maxSchedules) this.#opened.clear()
      instants = openRecurrence(readRecurrence(row.recurrence))
      this.#opened.set(row.recurrence, instants)
    }
    return instants
  }

  #freeId(wanted: string): string {
    let id = wanted
    for (let nth = 2; this.#handlers.has(id); nth++) id = `${wanted}#${nth}`
    return id
  }

  #checkOpen(id: string): void {
    if (this.#settled) {
      throw new DotdoError(
        'SCHEDULE_TOO_LATE',
        `The schedule '${id}' was declared after init had ended. Its function cannot be stored, so it would be lost when the object next sleeps: declare it in init().`,
        {
          data: { scheduleId: id },
        },
      )
    }
    if (this.#handlers.size >= maxSchedules) {
      throw new DotdoError(
        'TOO_MANY_SCHEDULES',
        `This object declares more than ${maxSchedules} schedules. Give each tenant or stage an object of its own.`,
        { data: { scheduleId: id, maxSchedules } },
      )
    }
  }
}

/** The reference for a first or renewed next instant: one that is exactly now still counts, one that has fired does not. */
function beforeNow(row: ScheduleRow, now: number): number {
  return Math.max(now - 1, row.lastScheduledAt ?? -Infinity)
}

/** A handler's name, without what `bind` puts in front. Arrow functions given in place have none. */
function nameOf(handler: ScheduleHandler): string {
  return handler.name.replace(/^(bound )+/, '').trim()
}

function declaredText(recurrence: Recurrence | AfterRecurrence): string {
  return recurrence.kind === 'after'
    ? JSON.stringify({ version: 1, kind: 'after', delayMs: recurrence.delayMs })
    : storeRecurrence(recurrence)
}
