/** What a rehearsal begins with, and what it is compared with: its origin, read only. */
import type { LineageEdge, RunTarget, ValuePreview } from '../base/views.ts'
import { planFork, type ForkOptions } from './forks.ts'
import type { LineageTable } from './lineage.ts'
import { readTarget, type RunRow, type RunTable } from './runs.ts'
import { idempotencyKey } from './scope.ts'
import type { Step, StepTable } from './steps.ts'
import { assertUnchanged, type Stated } from './unchanged.ts'
import type { ValueStore } from './values.ts'

/** A run as its fork finds it, or the code that it would go on with. */
export interface ForkOrigin {
  target: RunTarget
  args: unknown[]
  /** The result of a step that is taken over: `{ value }`. @throws `STEP_CHANGED` */
  taken: (stepId: string, stated?: Stated) => { value: unknown } | undefined
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
  const { before, around } = planFork(origin, options, tables.steps)
  const kept = (stepId: string): Found | undefined => {
    const step = tables.steps.find(origin.seq, stepId)
    return step?.status === 'done' && step.ordinal < before && !around.includes(stepId) ? { row: origin, step } : undefined
  }
  return readOrigin(origin, kept, tables, codeVersion)
}

/** A stored step, and the run that it is of. */
export interface Found {
  row: RunRow
  step: Step
}

/**
 * Reads a run for a rehearsal.
 * @param find a step that stays the one that it is: what the code states of it is compared
 */
export function readOrigin(
  origin: RunRow,
  find: (stepId: string) => Found | undefined,
  tables: OriginTables,
  codeVersion: string | undefined,
): ForkOrigin {
  const { runs, steps, values } = tables
  const keptOf = (stepId: string): Found | undefined => {
    const found = find(stepId)
    // What was taken back is done anew.
    return found && found.step.undo >= 0 && found.step.kind !== 'undo' ? found : undefined
  }
  const resultOf = ({ row, step }: Found): { value: unknown } | undefined => {
    if (step.status !== 'done') return undefined
    const text = step.result ?? (step.kind === 'run' ? runs.find(idempotencyKey(row.run_id, step.stepId))?.result : undefined)
    if (step.kind === 'sleep') return { value: undefined }
    return text === null || text === undefined ? undefined : { value: values.get(text) }
  }
  const taken = (stepId: string, stated?: Stated): { value: unknown } | undefined => {
    const kept = keptOf(stepId)
    if (kept && stated) assertUnchanged(kept.row.run_id, kept.step, stated)
    return kept && resultOf(kept)
  }
  const waited = (stepId: string): { value: unknown } | undefined => {
    const step = find(stepId)?.step ?? steps.find(origin.seq, stepId)
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
