/** What a run that is held has come to, against what the code that was deployed since does of it in a dry run. Pure. */
import type { CodeChange } from '../base/code-change.ts'
import { codeOf } from '../base/errors.ts'
import type { ForkDiff } from '../base/fork-views.ts'
import { counted } from '../base/words.ts'
import type { RehearsedStep } from './rehearsal.ts'

/** What is stored of a run: its steps in the order in which they began. */
export interface HeldRun {
  runId: string
  startedAt: number
  began?: string
  now?: string
  steps: readonly { stepId: string; isDone: boolean }[]
  /** A run of the former version that has done the same, and its steps. */
  comparedWith?: { runId: string; steps: readonly string[] }
}

/** Names that a line of the text has at most. */
const mostNamed = 20

/** Compares them. @param rehearsed the steps of the dry run, in the order in which they began */
export function changeOf(run: HeldRun, rehearsed: readonly RehearsedStep[], dryRun: ForkDiff): CodeChange {
  const { runId, startedAt, began, now, steps, comparedWith } = run
  const stored = new Map(steps.map(({ stepId, isDone }, ordinal) => [stepId, { ordinal, isDone }]))
  const reached = new Set(rehearsed.map(({ stepId }) => stepId))
  const inFormer = comparedWith && new Set(comparedWith.steps)
  const namesOf = (some: readonly RehearsedStep[]) => some.map(({ stepId }) => stepId)
  const lastKept = rehearsed.findLastIndex(({ state }) => state === 'taken')
  const isChanged = ({ stepId, error }: RehearsedStep) => stored.has(stepId) && codeOf(error) === 'STEP_CHANGED'
  const isNew = ({ stepId, state }: RehearsedStep, index: number) => {
    const [own] = stepId.split('/')
    if (state === 'taken' || stored.has(stepId) || stored.has(own!)) return false
    return index < lastKept || (inFormer !== undefined && !inFormer.has(stepId) && !inFormer.has(own!))
  }
  const added = namesOf(rehearsed.filter(isNew))
  const changed = rehearsed.filter(isChanged)
  const known = new Set([...added, ...namesOf(changed)])
  // Where it stopped or failed, what stands behind is not known to be gone.
  const farthest = dryRun.outcome === 'done' ? Infinity : Math.max(-1, ...rehearsed.map(({ stepId }) => stored.get(stepId)?.ordinal ?? -1))
  const change: Omit<CodeChange, 'text'> = {
    runId,
    startedAt,
    ...(began !== undefined && { began }),
    ...(now !== undefined && { now }),
    kept: namesOf(rehearsed.filter(({ state }) => state === 'taken')),
    added,
    removed: steps.flatMap(({ stepId, isDone }, ordinal) => (isDone && ordinal < farthest && !reached.has(stepId) ? [stepId] : [])),
    changed: changed.map(({ stepId, error }) => ({ stepId, error: (error as Error).message })),
    next: namesOf(rehearsed.filter(({ stepId, state }) => state !== 'taken' && !known.has(stepId))),
    ...(comparedWith && { comparedWith: comparedWith.runId }),
    missing: dryRun.outcome === 'done' ? (comparedWith?.steps ?? []).filter((stepId) => !stored.has(stepId) && !reached.has(stepId)) : [],
    dryRun,
  }
  return { ...change, text: textOf(change) }
}

function textOf({
  runId,
  began,
  now,
  kept,
  added,
  removed,
  changed,
  next,
  comparedWith,
  missing,
  dryRun,
}: Omit<CodeChange, 'text'>): string {
  const versions = began === undefined ? '' : ` began with version '${began}'`
  const lines = [`${runId}${versions}${now === undefined ? '' : `${versions === '' ? '' : ','} and version '${now}' runs now`}`]
  const line = (sign: string, names: readonly string[], words: string) => {
    if (names.length > 0) lines.push(`  ${sign} ${named(names)}: ${words}`)
  }
  lines.push(`  ${counted(kept.length, 'step')} that ${kept.length === 1 ? 'is' : 'are'} done ${kept.length === 1 ? 'stays' : 'stay'} so`)
  line('+', added, `new${comparedWith === undefined ? ', before what is done' : `, as run ${comparedWith} of the former version shows`}`)
  line('-', removed, 'done, and the new code does without')
  line('-', missing, `to come by run ${comparedWith} of the former version, and the new code does without`)
  for (const { stepId, error } of changed) lines.push(`  ~ ${stepId}: ${error}`)
  line('·', next, 'to come')
  if (added.length + removed.length + changed.length + missing.length === 0) lines.push('  no step is seen to differ')
  const end = { done: 'it would come to its end', failed: 'it would fail', stopped: 'it was followed so far' }[dryRun.outcome]
  lines.push(`  ${end}${dryRun.error === undefined ? '' : `: ${dryRun.error}`}`)
  return [...lines, ...dryRun.warnings.map((warning) => `warning: ${warning}`)].join('\n')
}

function named(names: readonly string[]): string {
  const more = names.length - mostNamed
  return `${names.slice(0, mostNamed).join(', ')}${more > 0 ? `, and ${more} more` : ''}`
}
