/** What a rehearsed fork begins with, and what it is compared with: its origin, read only. */
import type { LineageEdge, RunTarget, ValuePreview } from '../base/views.ts'
import { planFork, type ForkOptions } from './forks.ts'
import type { LineageTable } from './lineage.ts'
import { readTarget, type RunRow, type RunTable } from './runs.ts'
import { idempotencyKey } from './scope.ts'
import type { StepTable } from './steps.ts'
import type { ValueStore } from './values.ts'

/** A run as its fork finds it. */
export interface ForkOrigin {
  target: RunTarget
  args: unknown[]
  /** The result of a step that the fork takes over: `{ value }`. */
  taken: (stepId: string) => { value: unknown } | undefined
  /** What the run's wait of this id got: `{ value }`. */
  waited: (stepId: string) => { value: unknown } | undefined
  /** What the run noted in its own code and in the steps that are not taken over; of the runs that those began, too, under `<step>/<step>`. */
  before: Map<string, LineageEdge[]>
  result: ValuePreview | undefined
  warnings: string[]
}

/** The tables that are read. */
export interface OriginTables {
  runs: RunTable
  steps: StepTable
  values: ValueStore
  lineage: LineageTable
}

/** Reads a run for a rehearsal of its fork. @throws as {@link planFork} */
export function originOf(origin: RunRow, options: ForkOptions, tables: OriginTables, codeVersion: string | undefined): ForkOrigin {
  const { runs, steps, values } = tables
  const { before, around, childPrefix } = planFork(origin, options, steps)
  const taken = (stepId: string): { value: unknown } | undefined => {
    const step = steps.find(origin.seq, stepId)
    if (step?.status !== 'done' || step.ordinal >= before || step.undo < 0 || step.kind === 'undo' || around.includes(stepId))
      return undefined
    const text = step.result ?? (step.kind === 'run' ? runs.find(childPrefix + stepId)?.result : undefined)
    if (step.kind === 'sleep') return { value: undefined }
    return text === null || text === undefined ? undefined : { value: values.get(text) }
  }
  const waited = (stepId: string): { value: unknown } | undefined => {
    const step = steps.find(origin.seq, stepId)
    return step?.kind === 'wait' && step.status === 'done' && step.result !== null ? { value: values.get(step.result) } : undefined
  }
  const { version } = origin
  const isOther = version !== null && codeVersion !== undefined && version !== codeVersion
  return {
    target: readTarget(origin),
    // start() has encoded an array, so an array is read.
    args: values.get(origin.args) as unknown[],
    taken,
    waited,
    before: notesOf(origin, tables, (stepId) => taken(stepId) !== undefined),
    result: runs.view(origin).result,
    warnings: isOther ? [`the run ran with version '${version}' of the code, and this is version '${codeVersion}'`] : [],
  }
}

/** What a run and the runs that it began have noted, but for steps that are left out. */
function notesOf(row: RunRow, tables: OriginTables, isLeftOut: (stepId: string) => boolean, prefix = ''): Map<string, LineageEdge[]> {
  const { runs, steps, lineage } = tables
  const found = new Map<string, LineageEdge[]>()
  for (const [stepId, edges] of lineage.read(row.seq)) if (stepId === '' || !isLeftOut(stepId)) found.set(prefix + stepId, edges)
  for (const step of steps.kindOrTaken(row.seq)) {
    if (isLeftOut(step.stepId)) continue
    // What the run took over itself was noted where it was done.
    const by = step.taken === null ? row : runs.findBySeq(step.taken)
    if (!by) continue
    if (step.taken !== null && step.kind !== 'run') {
      const edges = lineage.ofStep(by.seq, step.stepId)
      if (edges.length > 0) found.set(prefix + step.stepId, edges)
    }
    const child = step.kind === 'run' ? runs.find(idempotencyKey(by.run_id, step.stepId)) : undefined
    if (child) for (const [id, edges] of notesOf(child, tables, () => false, `${prefix}${step.stepId}/`)) found.set(id, edges)
  }
  return found
}
