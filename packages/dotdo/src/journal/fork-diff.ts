/** What a rehearsed fork would do, against what its origin did. Pure. */
import { codeOf } from '../base/errors.ts'
import type { ElsewhereWrite, ForkDiff, ForkedStep } from '../base/fork-views.ts'
import { edgeInWords } from '../base/lineage-views.ts'
import { redactData, redactText } from '../base/redact.ts'
import type { LineageEdge, ValuePreview } from '../base/views.ts'
import { formatCount } from '../base/words.ts'
import { printBounded } from './previews.ts'
import type { RehearsedStep } from './rehearsal.ts'

/** What is known when a rehearsal has ended. */
export interface Rehearsed {
  forkedFrom: ForkDiff['forkedFrom']
  steps: readonly RehearsedStep[]
  /** What the rehearsal noted, by step. */
  did: ReadonlyMap<string, readonly LineageEdge[]>
  elsewhere: ReadonlyMap<string, readonly ElsewhereWrite[]>
  /** What the origin has noted, by step, without the steps that were taken over. */
  before: ReadonlyMap<string, readonly LineageEdge[]>
  outcome: { value: unknown } | { thrown: unknown }
  beforeResult: ValuePreview | undefined
  warnings: readonly string[]
}

/** Compares what a rehearsal noted with what its origin did. Reading is no difference: it writes nothing. */
export function diffFork({ forkedFrom, steps, did, elsewhere, before, outcome, beforeResult, warnings }: Rehearsed): ForkDiff {
  const known = new Map(steps.map((step) => [step.stepId, step]))
  const ids = [...new Set([...known.keys(), ...did.keys(), ...elsewhere.keys(), ...before.keys()])]
  const told = [...warnings]
  if (ids.some((id) => [...(before.get(id) ?? []), ...(did.get(id) ?? [])].some(({ kind }) => kind === 'more')))
    told.push('more was done than is kept of a run or a step: what lies beyond is not compared')
  const compared = ids.map((id): ForkedStep => {
    const step = known.get(id)
    const state = step?.state ?? (id === '' || id.endsWith('/') || did.has(id) ? 'done' : 'gone')
    return {
      ...(id !== '' && { stepId: redactText(id) }),
      state,
      ...(state === 'taken' ? nothing() : compare(before.get(id) ?? [], did.get(id) ?? [])),
      elsewhere: (elsewhere.get(id) ?? []).map(redactData),
      ...(step?.error !== undefined && { error: messageOf(step.error) }),
    }
  })
  const failed = 'thrown' in outcome ? outcome.thrown : undefined
  const diff: Omit<ForkDiff, 'text'> = {
    forkedFrom,
    outcome: !('thrown' in outcome) ? 'done' : codeOf(failed) === 'REHEARSAL_ENDED' ? 'stopped' : 'failed',
    ...('thrown' in outcome && { error: messageOf(failed) }),
    result: {
      ...(beforeResult && { before: beforeResult.text }),
      ...('value' in outcome && { after: printBounded(outcome.value) }),
    },
    steps: compared,
    differs: compared.some(({ added, removed, changed }) => added.length + removed.length + changed.length > 0),
    warnings: told,
  }
  return { ...diff, text: textOf(diff) }
}

const nothing = (): Pick<ForkedStep, 'added' | 'removed' | 'changed' | 'same'> => ({ added: [], removed: [], changed: [], same: 0 })

function compare(
  before: readonly LineageEdge[],
  after: readonly LineageEdge[],
): Pick<ForkedStep, 'added' | 'removed' | 'changed' | 'same'> {
  const was = keyed(before)
  const is = keyed(after)
  const result = nothing()
  for (const [key, edge] of is) {
    const old = was.get(key)
    if (!old) result.added.push(edge)
    else if (old.n === edge.n && old.print === edge.print && old.rows === edge.rows) result.same++
    else result.changed.push({ before: old, after: edge })
  }
  for (const [key, edge] of was) if (!is.has(key)) result.removed.push(edge)
  return result
}

/** What may write, by the capability that does. A snapshot has another id each time, so those of a table are one. */
function keyed(edges: readonly LineageEdge[]): Map<string, LineageEdge> {
  const byKey = new Map<string, LineageEdge>()
  for (const edge of edges) {
    if (edge.kind === 'read' || edge.kind === 'by' || edge.kind === 'more') continue
    const what = edge.kind === 'write' ? '' : edge.what
    const key = `${edge.kind}\n${edge.target}\n${what}`
    const known = byKey.get(key)
    const rows = (known?.rows ?? 0) + (edge.rows ?? 0)
    byKey.set(key, {
      ...edge,
      what,
      n: edge.n + (known?.n ?? 0),
      print: (edge.print + (known?.print ?? 0)) >>> 0,
      ...((known?.rows ?? edge.rows) !== undefined && { rows }),
    })
  }
  return byKey
}

/** What was thrown never went through the journal, which takes secrets out of what it stores. */
function messageOf(thrown: unknown): string {
  const code = codeOf(thrown)
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return redactText(code === undefined ? message : `${code}: ${message}`)
}

function textOf({ forkedFrom, outcome, error, result, steps, differs, warnings }: Omit<ForkDiff, 'text'>): string {
  const { runId, stepId } = forkedFrom
  const lines = [
    `a fork of ${runId} ${stepId === undefined ? 'from its beginning' : `from ${stepId}`}: ${outcome}${differs ? '' : ', and writes what the run wrote'}`,
  ]
  if (error !== undefined) lines.push(`  ${error}`)
  for (const step of steps) {
    const { added, removed, changed, same, elsewhere } = step
    const isSilent = added.length + removed.length + changed.length + elsewhere.length === 0
    if (step.stepId === undefined && isSilent && same === 0) continue
    lines.push(
      `  ${step.stepId ?? '(between steps)'}: ${step.state}${same === 0 ? '' : isSilent ? ', as before' : `, ${same} more as before`}`,
    )
    for (const edge of added) lines.push(`    + ${shown(edge)}`)
    for (const edge of removed) lines.push(`    - ${shown(edge)}`)
    for (const { before, after } of changed) lines.push(`    ~ ${shown(before)}`, `      ${shown(after)}`)
    for (const { object, writer, target, rows } of elsewhere)
      lines.push(`    · ${object} would write ${writer} ${target}, ${formatCount(rows)}`)
  }
  if (result.after !== undefined && result.after !== result.before) {
    lines.push(`  result ${short(result.after)}`)
    if (result.before !== undefined) lines.push(`  before ${short(result.before)}`)
  }
  return [...lines, ...warnings.map((warning) => `warning: ${warning}`)].join('\n')
}

const shown = (edge: LineageEdge): string =>
  `${edgeInWords(edge)}${edge.input === undefined || edge.kind === 'write' ? '' : ` ${short(edge.input)}`}`

const short = (text: string): string => (text.length > 120 ? `${text.slice(0, 119)}…` : text)
