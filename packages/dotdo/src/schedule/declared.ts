import { DotdoError } from '../base/errors.ts'
import type { Clock, Store } from '../base/ports.ts'
import type { AfterRecurrence, Declaration, ScheduleHandler } from './declaration.ts'
import { aim, beforeNow, type OpenRecurrences } from './instants.ts'
import { defaultPolicies, type SchedulePolicies } from './policies.ts'
import { once, storeRecurrence, type Recurrence } from './recurrence.ts'
import type { ScheduleRow, ScheduleTable } from './schedule-table.ts'

/**
 * The most schedules that one object declares. What bounds it is the start of the object, which reads a row of each: 10,000 take 0.15 s when they
 * are new and 0.1 s at each later start, and some MB of the 128 (bench/schedules.ts).
 */
export const maxSchedules = 10_000

/** What was declared and is not in the table yet. */
interface Pending {
  declaration: Declaration
  position: number
  at: number
}

/** What firing has to know of a schedule that its row says too, and that is the same for as long as this incarnation lives. */
export interface Standing {
  handler: ScheduleHandler
  policies: SchedulePolicies
  /** As the row has it; known once that is written. */
  recurrence: string
}

/**
 * The schedules of this incarnation, as its `init` declares them.
 *
 * Owns their handlers, which are in memory alone because functions cannot be stored, and brings the rows of the table to what the code says.
 * What is declared is gathered and written at the latest when somebody asks for it, or `init` ends: thousands of schedules are a few statements.
 */
export class Declared {
  readonly #store: Store
  readonly #clock: Clock
  readonly #table: ScheduleTable
  readonly #open: OpenRecurrences
  readonly #changed: (scheduleId: string) => void
  readonly #standing = new Map<string, Standing>()
  #pending = new Map<string, Pending>()
  /** How often each id was wanted: where the search for a free one goes on. */
  readonly #taken = new Map<string, number>()

  constructor(store: Store, clock: Clock, table: ScheduleTable, open: OpenRecurrences, changed: (scheduleId: string) => void) {
    this.#store = store
    this.#clock = clock
    this.#table = table
    this.#open = open
    this.#changed = changed
  }

  /** Takes one up, and gives its id: as given, else the handler's name, else the pattern in words, with `#2` and so on where that is taken. */
  add(declaration: Declaration, handler: ScheduleHandler, settled: boolean): string {
    const id = this.#freeId(declaration.id ?? (nameOf(handler) || declaration.pattern))
    this.#check(id, settled)
    this.#pending.set(id, { declaration, position: this.#standing.size, at: this.#clock.now() })
    this.#standing.set(id, { handler, policies: declaration.policies, recurrence: '' })
    return id
  }

  handlerOf(id: string): ScheduleHandler | undefined {
    return this.#standing.get(id)?.handler
  }

  /** What a schedule that is in the table stands for in this incarnation. */
  standingOf(id: string): Standing | undefined {
    return this.#standing.get(id)
  }

  has(id: string): boolean {
    return this.#standing.has(id)
  }

  /** Writes what was declared and is not in the table yet. */
  flush(): void {
    if (this.#pending.size > 0) this.#write((id) => this.#table.read(id))
  }

  /** The same at the end of `init`, from one look at the whole table. Gives its rows as they are then. */
  flushAll(): ScheduleRow[] {
    const rows = new Map(this.#table.all().map((row) => [row.id, row]))
    for (const row of this.#write((id) => rows.get(id))) rows.set(row.id, row)
    return [...rows.values()]
  }

  #write(find: (id: string) => ScheduleRow | undefined): ScheduleRow[] {
    const pending = this.#pending
    const fresh = new FreshRows(this.#open)
    const begun: ScheduleRow[] = []
    const written: ScheduleRow[] = []
    // Thousands have few recurrences, and each comes as a text of its own.
    const texts = new Map<string, string>()
    for (const [id, { declaration, position, at }] of pending) {
      const found = find(id)
      const declared = declaredText(declaration.recurrence)
      const same = found !== undefined && found.status !== 'retired' && found.declared === declared
      const row = same ? found : fresh.make(id, declaration.recurrence, declared, found, at)
      const stated = { ...row, pattern: declaration.pattern, policies: declaration.policies, position }
      // The jitter may have changed with the policies. What waits for a run goes on waiting.
      const aimed = same && found.nextAt !== null && found.wakeAt === null ? stated : aim(stated, stated.nextAt, this.#open)
      if (!texts.has(row.recurrence)) texts.set(row.recurrence, row.recurrence)
      this.#standing.get(id)!.recurrence = texts.get(row.recurrence)!
      // Most wakes change nothing, and then write nothing: a written row has a price.
      if (!found) begun.push(aimed)
      else if (!same || !isEqual(found, aimed)) written.push(aimed)
    }
    this.#store.transaction(() => {
      this.#table.begin(begun)
      this.#table.write(written)
    })
    this.#pending = new Map()
    const all = [...begun, ...written]
    for (const { id } of all) this.#changed(id)
    return all
  }

  #freeId(wanted: string): string {
    let nth = this.#taken.get(wanted) ?? 1
    let id = nth === 1 ? wanted : `${wanted}#${nth}`
    while (this.#standing.has(id)) id = `${wanted}#${++nth}`
    this.#taken.set(wanted, nth)
    return id
  }

  #check(id: string, settled: boolean): void {
    if (settled) {
      throw new DotdoError(
        'SCHEDULE_TOO_LATE',
        `The schedule '${id}' was declared after init had ended. Its function cannot be stored, so it would be lost when the object next sleeps: declare it in init().`,
        {
          data: { scheduleId: id },
        },
      )
    }
    if (this.#standing.size >= maxSchedules) {
      throw new DotdoError(
        'TOO_MANY_SCHEDULES',
        `This object declares more than ${maxSchedules} schedules. Give each tenant or stage an object of its own.`,
        { data: { scheduleId: id, maxSchedules } },
      )
    }
  }
}

/** Makes rows for recurrences that are new under their ids. Many have the same recurrence, whose instants are worked out once. */
class FreshRows {
  readonly #open: OpenRecurrences
  readonly #known = new Map<string, { nextAt: number | null; coveredTo: number | null }>()

  constructor(open: OpenRecurrences) {
    this.#open = open
  }

  /** What fired before under this id stays known: it must not fire again, and windows go on from it. */
  make(id: string, stated: Recurrence | AfterRecurrence, declared: string, found: ScheduleRow | undefined, now: number): ScheduleRow {
    const recurrence = stated.kind === 'after' ? storeRecurrence(once(now + stated.delayMs)) : declared
    const row: ScheduleRow = {
      id,
      status: 'active',
      paused: found?.paused ?? false,
      declared,
      recurrence,
      pattern: '',
      policies: defaultPolicies,
      nextAt: null,
      wakeAt: null,
      lastScheduledAt: found?.lastScheduledAt ?? null,
      coveredTo: found?.coveredTo ?? null,
      lastFiredAt: found?.lastFiredAt ?? null,
      lastRunId: found?.lastRunId ?? null,
      openRun: found?.openRun ?? null,
      failures: found?.failures ?? 0,
      fired: found?.fired ?? 0,
      position: 0,
      changedAt: now,
    }
    const { nextAt, coveredTo } = this.#instants(recurrence, beforeNow(row, now))
    return { ...row, nextAt, coveredTo: row.coveredTo ?? coveredTo }
  }

  #instants(recurrence: string, before: number): { nextAt: number | null; coveredTo: number | null } {
    const key = `${before} ${recurrence}`
    let known = this.#known.get(key)
    if (!known) {
      const instants = this.#open.of(recurrence)
      const nextAt = instants.next(before)
      // Stated from the start, so that what is paused over or given up before anything fired is covered as well.
      known = { nextAt, coveredTo: nextAt === null ? null : instants.previous(nextAt - 1) }
      this.#known.set(key, known)
    }
    return known
  }
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

/** Whether two rows that came from one say the same. */
function isEqual(found: ScheduleRow, row: ScheduleRow): boolean {
  for (const name of Object.keys(row) as (keyof ScheduleRow)[]) if (name !== 'policies' && row[name] !== found[name]) return false
  return JSON.stringify(found.policies) === JSON.stringify(row.policies)
}
