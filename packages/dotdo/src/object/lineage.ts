/** Where a table's snapshot comes from, and what of that a snapshot says itself. */
import { redactText } from '../base/redact.ts'
import { callerOf } from '../journal/lineage.ts'
import type { Lineage, WrittenBy } from '../base/lineage-views.ts'
import { ambientLinks } from './ambient.ts'
import { currentContext } from './context.ts'
import { lineageBy, type SnapshotName } from './lineage-walk.ts'

/**
 * Where a snapshot comes from: the run and the step that wrote it, wherever that was, the runs that led to those, and what each of them called, read
 * and wrote. As data, as a graph, as a drawing and as OpenLineage events.
 *
 * @throws `TABLE_NOT_FOUND`, `SNAPSHOT_UNKNOWN`, `INVALID_OPTIONS`
 * @example
 * const { runs, drawing } = await lineage({ table: 'analytics.events' })
 */
export async function lineage(snapshot: SnapshotName): Promise<Lineage> {
  return lineageBy(ambientLinks(), snapshot)
}

/** Who the code that runs now is, as the summary of a snapshot says it. `undefined` outside of an object. */
export function writtenBy(): string | undefined {
  const context = currentContext()
  if (!context) return undefined
  const { label } = context.host as { label?: string }
  if (label === undefined) return undefined
  const { execution, once } = context
  const caller = once && callerOf(once.key)
  const by: WrittenBy = {
    object: label,
    ...(execution && { runId: execution.runId }),
    ...(execution?.stepId !== undefined && { stepId: execution.stepId }),
    ...(caller && execution?.stepId === undefined && { calledBy: { object: once.caller, ...caller } }),
  }
  return redactText(JSON.stringify(by))
}
