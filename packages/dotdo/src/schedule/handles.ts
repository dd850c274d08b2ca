import type { BackfillHandle, ByReference, ScheduleHandle } from './declaration.ts'
import type { Scheduler } from './scheduler.ts'

/** A schedule as its owner holds it: the scheduler's operations with the schedule's id filled in. */
export function scheduleHandle(scheduler: Scheduler, id: string): ScheduleHandle {
  const handle: Omit<ScheduleHandle, keyof ByReference> = {
    id,
    next: (count) => scheduler.next(id, count),
    view: () => scheduler.view(id),
    pause: () => scheduler.pause(id),
    resume: () => scheduler.resume(id),
    trigger: async (options) => scheduler.trigger(id, options),
    cancel: () => scheduler.cancel(id),
    runs: (page) => scheduler.runs(id, page),
    partitions: (from, to, page) => scheduler.partitions(id, from, to, page),
    markStale: (from, to) => scheduler.markStale(id, from, to),
    backfill: (from, to, options) => backfillHandle(scheduler, id, scheduler.backfill(id, from, to, options)),
    backfills: () => scheduler.backfills(id),
    openBackfill(backfillId) {
      scheduler.progress(id, backfillId)
      return backfillHandle(scheduler, id, backfillId)
    },
  }
  return handle as ScheduleHandle
}

function backfillHandle(scheduler: Scheduler, scheduleId: string, id: string): BackfillHandle {
  const handle: Omit<BackfillHandle, keyof ByReference> = {
    id,
    progress: () => scheduler.progress(scheduleId, id),
    cancel: () => scheduler.cancelBackfill(scheduleId, id),
  }
  return handle as BackfillHandle
}
