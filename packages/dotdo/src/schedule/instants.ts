import { jitterOf } from './policies.ts'
import { openRecurrence, readRecurrence, type Instants } from './recurrence.ts'
import { Zones } from './zone.ts'
import type { ScheduleRow } from './schedule-table.ts'

/** How many recurrences are held open at the same time, before all are opened anew. */
const maxOpen = 10_000

/** The instants of stored recurrences. Parsing a pattern and opening a zone cost about 0.1 ms: once for each recurrence of an incarnation. */
export class OpenRecurrences {
  readonly #opened = new Map<string, Instants>()
  readonly #zones = new Zones()

  /** @param recurrence as `storeRecurrence` writes it */
  of(recurrence: string): Instants {
    let instants = this.#opened.get(recurrence)
    if (!instants) {
      if (this.#opened.size >= maxOpen) this.#opened.clear()
      instants = remembering(openRecurrence(readRecurrence(recurrence), this.#zones))
      this.#opened.set(recurrence, instants)
    }
    return instants
  }
}

/** The same instants, with the newest answer remembered: schedules that are due together ask the same of a recurrence that they share. */
function remembering(instants: Instants): Instants {
  let [nextOf, previousOf]: [number, number] = [NaN, NaN]
  let [next, previous]: [number | null, number | null] = [null, null]
  return {
    next(instant) {
      if (instant !== nextOf) [nextOf, next] = [instant, instants.next(instant)]
      return next
    },
    previous(instant) {
      if (instant !== previousOf) [previousOf, previous] = [instant, instants.previous(instant)]
      return previous
    },
  }
}

/** A row with its next instant and, by its jitter, the time that one starts. */
export function aim(row: ScheduleRow, nextAt: number | null, open: OpenRecurrences): ScheduleRow {
  if (nextAt === null || row.status !== 'active') return { ...row, nextAt: null, wakeAt: null }
  const { jitterMs } = row.policies
  return { ...row, nextAt, wakeAt: jitterMs === 0 ? nextAt : startOf(row.id, nextAt, jitterMs, open.of(row.recurrence)) }
}

/** When an instant of a schedule starts: when it comes, or later by its jitter. */
export function startOf(id: string, instant: number, jitterMs: number, instants: Instants): number {
  return jitterMs === 0 ? instant : instant + jitterOf(id, instant, jitterMs, instants.next(instant))
}

/** The reference for a first or renewed next instant: one that is exactly now still counts, one that has fired does not. */
export function beforeNow(row: ScheduleRow, now: number): number {
  return Math.max(now - 1, row.lastScheduledAt ?? -Infinity)
}
