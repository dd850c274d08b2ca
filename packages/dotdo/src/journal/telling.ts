/** How a change of a run is told: to whoever watches, as people see it, and to those who depend on it, as it stands. */
import type { JournalPorts, RunEventType } from './ports.ts'
import { readTarget, statusOf, type RunRow, type RunTable } from './runs.ts'

/**
 * Tells of a change of a run, in the turn that writes it. What people see (previews of values, where it comes from) is made for a watcher alone: most runs
 * have none, and it costs as much as a statement.
 * @param row of the run as it is now
 */
export function tellRun(ports: JournalPorts, runs: RunTable, type: RunEventType, row: RunRow): void {
  if (ports.isObserved?.() ?? true) ports.observe({ type, run: runs.view(row) })
  ports.changed?.({
    type,
    runId: row.run_id,
    status: statusOf(row),
    isFork: row.forked_from !== null,
    get target() {
      return readTarget(row)
    },
  })
}
