/**
 * What happens in objects, as lines of a log: from what is stored (runs with their steps) and from what is told live, in one form. Pure.
 *
 * The form is what `--json` prints. Its fields are stable: more may come, none changes its meaning.
 */
import { targetInWords } from '../base/words.ts'
import type { ErrorRecord } from '../base/errors.ts'
import { formatMs } from '../base/durations.ts'
import type { LiveEvent, RunView, StepView } from '../base/views.ts'
import type { Color } from './paint.ts'
import { errorInWords, markOf, stepFacts } from './run-view.ts'
import type { Look } from './table.ts'
import { cut, plain, timeOfDay, width } from './text.ts'

/** One thing that happened. */
export interface LogEntry {
  /** Epoch milliseconds. */
  at: number
  /** `Noun/name`. */
  object: string
  /** That of the live event: `run.started`, `step.done`, `event.dead`. */
  type: string
  runId?: string
  stepId?: string
  /** Of the run or the step: 1 for the first. */
  attempt?: number
  /** What started a run: `schedule daily`, `event Order.paid`, `load()`. */
  startedBy?: string
  /** How long what ended took, in milliseconds. */
  tookMs?: number
  rows?: number
  bytes?: number
  scheduleId?: string
  eventId?: string
  eventType?: string
  handler?: string
  error?: ErrorRecord
  /** More in words. */
  text?: string
}

/** A live event as an entry. Events of kinds that this command does not know yet become one with their type alone. */
export function entryOf(object: string, event: LiveEvent): LogEntry {
  const base = { at: event.at, object, type: event.type }
  if ('run' in event) return { ...base, ...runPart(event.run) }
  if ('step' in event) return { ...base, runId: event.runId, ...stepPart(event.step) }
  const { schedule, eventId, eventType, handler, error } = event as Partial<
    Record<'eventId' | 'eventType' | 'handler', string> & {
      schedule: { scheduleId: string; pattern: string; paused: boolean }
      error: ErrorRecord
    }
  >
  return {
    ...base,
    ...(schedule && { scheduleId: schedule.scheduleId, text: schedule.paused ? `${schedule.pattern}, paused` : schedule.pattern }),
    ...(eventId !== undefined && { eventId }),
    ...(eventType !== undefined && { eventType }),
    ...(handler !== undefined && { handler }),
    ...(error && { error }),
  }
}

/** What is stored of a run as the entries that its events would have been, in the order of time. Attempts that failed before the last are not stored. */
export function entriesOf(object: string, run: RunView): LogEntry[] {
  const entry = (at: number, type: string, part: Partial<LogEntry>): LogEntry => ({ at, object, type, ...part })
  const started = entry(run.startedAt, 'run.started', { runId: run.runId, startedBy: targetInWords(run.target), attempt: 1 })
  const steps = (run.steps ?? []).flatMap((step) => [
    entry(step.startedAt, 'step.started', { runId: run.runId, stepId: step.stepId, attempt: 1 }),
    ...(step.endedAt === undefined ? [] : [entry(step.endedAt, `step.${step.status}`, { runId: run.runId, ...stepPart(step) })]),
  ])
  const ended = run.endedAt === undefined ? [] : [entry(run.endedAt, `run.${run.status}`, runPart(run))]
  // Of what happened in one millisecond the order above is the right one, which a stable sort keeps.
  return [started, ...steps, ...ended].sort((a, b) => a.at - b.at)
}

/** By what an entry is known again that comes from both sources. */
export function keyOf({ object, type, runId, stepId, attempt, eventId, handler, at }: LogEntry): string {
  return runId === undefined ? JSON.stringify([object, type, eventId, handler, at]) : JSON.stringify([object, type, runId, stepId, attempt])
}

/** One line for people. An entry without a `runId` says none: it is left out where all of one run is told, since ids are long. */
export function entryLine(entry: LogEntry, isOneObject: boolean, { columns, paint }: Look): string {
  const { object, type, runId, stepId, startedBy, eventType, handler, scheduleId, tookMs, error, text, attempt } = entry
  const [, what = ''] = type.split('.')
  const { mark, color } = markOf(states[what] ?? what)
  const head = `${timeOfDay(entry.at)}  ${isOneObject ? '' : `${plain(object)}  `}`
  const said = [
    `${mark} ${type}`,
    stepId ?? eventType ?? scheduleId ?? '',
    startedBy ?? '',
    handler === undefined ? '' : `to ${handler}`,
    tookMs === undefined ? '' : formatMs(tookMs),
    ...(entry.rows === undefined && entry.bytes === undefined ? [] : stepFacts(progressOf(entry))),
    attempt !== undefined && attempt > 1 ? `attempt ${attempt}` : '',
    error ? errorInWords(error) : '',
    text ?? '',
    // Long, and so the first to be cut off.
    runId === undefined ? '' : stepId === undefined ? runId : `of ${runId}`,
  ].filter(Boolean)
  const shown = cut(plain(said.join('  ')), columns - width(head))
  const [first = '', ...rest] = shown.split('  ')
  return `${paint('dim', head)}${paint(lineColor(what, color), first)}${rest.length > 0 ? `  ${rest.join('  ')}` : ''}`
}

/** The states that the verbs of events lead to. */
const states: Readonly<Record<string, string>> = {
  started: 'running',
  resumed: 'running',
  progress: 'running',
  retrying: 'waiting',
  delivered: 'done',
  dead: 'failed',
}

const lineColor = (what: string, color: Color): Color => (what === 'progress' ? 'dim' : color)

function progressOf({ rows, bytes }: LogEntry): StepView {
  const progress = { ...(rows !== undefined && { rows }), ...(bytes !== undefined && { bytes }) }
  return { stepId: '', status: 'done', attempt: 1, startedAt: 0, progress }
}

function runPart(run: RunView): Partial<LogEntry> {
  return {
    runId: run.runId,
    attempt: run.attempt,
    startedBy: targetInWords(run.target),
    ...(run.endedAt !== undefined && { tookMs: run.endedAt - run.startedAt }),
    ...(run.error && { error: run.error }),
  }
}

function stepPart(step: StepView): Partial<LogEntry> {
  const rows = step.progress?.rows ?? step.result?.rows
  return {
    stepId: step.stepId,
    attempt: step.attempt,
    ...(step.endedAt !== undefined && { tookMs: step.endedAt - step.startedAt }),
    ...(rows !== undefined && { rows }),
    ...(step.progress?.bytes !== undefined && { bytes: step.progress.bytes }),
    ...(step.error && step.status !== 'done' && { error: step.error }),
  }
}
