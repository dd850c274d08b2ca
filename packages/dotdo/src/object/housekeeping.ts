/** What the rooms of one object keep, and for how long: see `base/retention.ts` for the list. */
import type { Clock, Store } from '../base/ports.ts'
import type { Retention } from '../base/retention.ts'
import { Sweeper, type Sweep } from '../base/sweeper.ts'
import type { Inbox } from '../events/inbox.ts'
import type { Outbox } from '../events/outbox.ts'
import type { Journal } from '../journal/journal.ts'
import type { CallKeys } from '../rpc/call-keys.ts'
import type { Grants } from '../rpc/grants.ts'
import type { StepCalls } from '../rpc/step-calls.ts'
import type { Scheduler } from '../schedule/scheduler.ts'

/** The rooms that keep something. */
export interface KeepingRooms {
  readonly store: Store
  readonly journal: Pick<Journal, 'sweep' | 'nextSweepMs'>
  readonly scheduler: Pick<Scheduler, 'sweep' | 'nextSweepMs'>
  readonly outbox: Pick<Outbox, 'prune' | 'nextPruneMs'>
  readonly exchange: { readonly inbox: Pick<Inbox, 'prune' | 'nextPruneMs'> }
  readonly stepCalls: Pick<StepCalls, 'sweep' | 'nextSweepMs'>
  readonly callKeys: Pick<CallKeys, 'sweep' | 'nextSweepMs'>
  readonly issuer: { readonly grants: Pick<Grants, 'sweep' | 'nextSweepMs'> }
}

/** The housekeeping of one object. Rooms whose tables were never made are not opened for it. */
export function housekeepingOf(rooms: KeepingRooms, clock: Clock, retention: Retention): Sweeper {
  const ofRuns = { runsMs: retention.runs, waitingMs: retention.waitingRuns }
  const ofSchedules = { schedulesMs: retention.schedules, backfillsMs: retention.backfills }
  const { journal, scheduler, outbox, exchange, store } = rooms
  const exists = (table: string): boolean => store.sql('SELECT 1 FROM sqlite_master WHERE name = ?', table).length > 0
  const made = (table: string, of: () => { sweep(): boolean; nextSweepMs(): number | null }): Sweep => ({
    sweep: () => exists(table) && of().sweep(),
    nextMs: () => (exists(table) ? of().nextSweepMs() : null),
  })
  return new Sweeper(clock, [
    { sweep: () => journal.sweep(ofRuns), nextMs: () => journal.nextSweepMs(ofRuns) },
    { sweep: () => scheduler.sweep(ofSchedules), nextMs: () => scheduler.nextSweepMs(ofSchedules) },
    { sweep: () => outbox.prune().more, nextMs: () => outbox.nextPruneMs() },
    { sweep: () => exchange.inbox.prune(clock.now() - retention.inbox), nextMs: () => exchange.inbox.nextPruneMs(retention.inbox) },
    made('dotdo_step_calls', () => rooms.stepCalls),
    made('dotdo_calls', () => rooms.callKeys),
    made('dotdo_grants', () => rooms.issuer.grants),
  ])
}
