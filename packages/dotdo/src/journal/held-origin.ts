/** What a rehearsal of the rest of a run that a deploy has held begins with, and what it is compared with: read only. */
import type { HeldRun } from './code-change.ts'
import { runNotHeld, runNotResumable } from './failures.ts'
import { readOrigin, type ForkOrigin, type Found, type OriginTables } from './fork-origin.ts'
import { endingOf, readTarget, statusOf, type RunRow } from './runs.ts'
import { idempotencyKey } from './scope.ts'

/** A run that is held, for a rehearsal and for what is told of it. */
export interface HeldOrigin {
  origin: ForkOrigin
  held: HeldRun
}

/** Among so many of the object's newest runs one of the former version is looked for that has done the same. */
const runsCompared = 50

/** Steps of a run that are read at once. */
const stepsRead = 2000

/** Reads it: all that it has done is taken over. @throws `RUN_NOT_HELD`, `RUN_NOT_RESUMABLE` */
export function heldOriginOf(row: RunRow, tables: OriginTables, codeVersion: string | undefined): HeldOrigin {
  const { run_id: runId, version, started_at: startedAt } = row
  if (statusOf(row) !== 'held') throw runNotHeld(runId, statusOf(row))
  if (row.args[0] === 'u') throw runNotResumable(runId, row.args.slice(1))
  const read = readOrigin(row, (stepId) => stepWithin(row, stepId, tables), tables, codeVersion)
  // Which versions they are stands beside.
  const warnings = endingOf(row) ? ['it was about to take back what it did: that is not rehearsed'] : []
  const former = tables.runs
    .page(Number.MAX_SAFE_INTEGER, runsCompared)
    .find((other) => other.status === 'done' && other.version === version && subjectOf(other) === subjectOf(row))
  return {
    origin: { ...read, warnings },
    held: {
      runId,
      startedAt,
      ...(version !== null && { began: version }),
      ...(codeVersion !== undefined && { now: codeVersion }),
      steps: stepsOf(row, tables),
      ...(former && { comparedWith: { runId: former.run_id, steps: stepsOf(former, tables).map(({ stepId }) => stepId) } }),
    },
  }
}

/** A step of a run, or under `<step>/<step>` one of a run that a step of it began and that goes on. */
function stepWithin(row: RunRow, stepId: string, tables: OriginTables): Found | undefined {
  const step = tables.steps.find(row.seq, stepId)
  if (step) return { row, step }
  for (let slash = stepId.indexOf('/'); slash > 0; slash = stepId.indexOf('/', slash + 1)) {
    const child = tables.runs.find(idempotencyKey(row.run_id, stepId.slice(0, slash)))
    const found = child && stepWithin(child, stepId.slice(slash + 1), tables)
    if (found) return found
  }
  return undefined
}

/** All steps of a run but those that undo, by name. */
function stepsOf(row: RunRow, { steps }: OriginTables): { stepId: string; isDone: boolean }[] {
  const found: { stepId: string; isDone: boolean }[] = []
  for (let after = -1; ;) {
    const page = steps.page(row.seq, after, stepsRead)
    for (const { stepId, status, kind } of page) if (kind !== 'undo') found.push({ stepId, isDone: status === 'done' })
    if (page.length < stepsRead) return found
    after = page.at(-1)!.ordinal
  }
}

/** Which schedule, method or handler a run is of. */
function subjectOf(row: RunRow): string {
  const target = readTarget(row)
  const id = target.kind === 'method' ? target.name : target.kind === 'schedule' ? target.id : target.handler
  return `${target.kind} ${id}`
}
