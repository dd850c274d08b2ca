/** When the alert of a schedule's failed runs is over: by the windows that failed, and not by whichever run goes well next. */
import type { Store } from '../base/ports.ts'
import type { AlertRow } from './alerts.ts'

/** Failed or held, since the alert was opened, and done by no run that has covered the same window again (`<run>#2` and so on: `$` is behind `#`). */
const stillFailed = `SELECT 1 FROM dotdo_fleet_runs f
  WHERE object = ? AND subject = ? AND scheduled_at IS NOT NULL AND status <> 'done' AND status <> 'cancelled'
    AND status IN ('failed', 'held') AND (ended_at IS NULL OR ended_at >= ?)
    AND NOT EXISTS (SELECT 1 FROM dotdo_fleet_runs d WHERE d.object = f.object AND d.run_id > f.run_id || '#' AND d.run_id < f.run_id || '$' AND d.status = 'done')
  LIMIT 1`
const doneAgain = `SELECT 1 FROM dotdo_fleet_runs
  WHERE object = ? AND run_id > ? || '#' AND run_id < ? || '$' AND status = 'done' AND ended_at >= ? LIMIT 1`

/**
 * Whether a run of a schedule that is done ends the alert of those that failed.
 *
 * An instant that came after the failure ends it: the schedule works again, as a run by hand shows too. What a backfill covers lies before that, and a good
 * window says nothing of a bad one: then each window that failed has to be done.
 *
 * @param alert that is open of the schedule, of kind `failed`
 * @param runId the run that is done, and is in the index already
 * @param scheduledAt its instant, epoch milliseconds
 */
export function isMended(store: Store, alert: AlertRow, runId: string, scheduledAt: number): boolean {
  if (scheduledAt >= alert.last_at) return true
  if (store.sql(stillFailed, alert.object, alert.subject, alert.opened_at).length > 0) return false
  // Runs by hand and of windows that are run again are under no instant of the index: the last of them that failed stands in the alert.
  const failed = alert.run_id ?? ''
  const window = windowOf(failed)
  if (window === windowOf(runId)) return true
  // By hand it covers no window that could be done again. Of an instant's own run everything is said above.
  if (window === failed) return !failed.slice(failed.lastIndexOf('@')).includes('!')
  return store.sql(doneAgain, alert.object, window, window, alert.last_at).length > 0
}

/** The id of the run that covered a window first: those that cover it again have a number behind it. */
function windowOf(runId: string): string {
  return runId.replace(/#\d+$/, '')
}
