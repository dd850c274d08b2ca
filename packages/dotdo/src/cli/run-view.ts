/** Runs as people read them: one in a list, and one with its steps as a tree. Pure. */
import { budgetInWords, formatBytes, formatCount, formatRelative, priceInWords, targetInWords } from '../base/words.ts'
import { formatMs } from '../base/durations.ts'
import type { ErrorRecord } from '../base/errors.ts'
import type { AttemptView, RunView, StepView, ValuePreview } from '../base/views.ts'
import type { Color } from './paint.ts'
import type { Cell, Look } from './table.ts'
import { leastObject, table } from './table.ts'
import { cut, instant, pad, plain, width, wrap } from './text.ts'

/** How each state of a run or a step is marked. An app may be newer than this command: a state that it does not know is shown as it is called. */
const marks: Readonly<Record<string, readonly [mark: string, color: Color]>> = {
  running: ['◐', 'cyan'],
  waiting: ['↻', 'yellow'],
  done: ['✓', 'green'],
  failed: ['✗', 'red'],
  cancelled: ['⊘', 'yellow'],
  held: ['‖', 'yellow'],
  parked: ['◌', 'cyan'],
  undoing: ['↶', 'yellow'],
  missing: ['○', 'yellow'],
  stale: ['↻', 'yellow'],
}

/** The mark of a state, and its colour. */
export function markOf(status: string): { mark: string; color: Color } {
  const [mark, color] = marks[status] ?? ['•', 'blue']
  return { mark, color }
}

/** A state with its mark, as a cell. */
export function statusCell(status: string): Cell {
  const { mark, color } = markOf(status)
  return { text: `${mark} ${status}`, color }
}

/** Where a run stands: what its status leaves open, said more exactly. */
export function stateOf({ status, undoing, parked }: RunView): string {
  if (status !== 'running') return status
  return undoing ? 'undoing' : parked ? 'parked' : status
}

/** An error in one line. */
export function errorInWords({ code, name, message }: ErrorRecord): string {
  return plain(`${code ?? name}: ${message}`)
}

/** A run of an object, `Noun/name`. */
export interface RunOf {
  object: string
  run: RunView
}

/** Runs as a table, in the order that is given. */
export function runTable(runs: readonly RunOf[], now: number, look: Look): string[] {
  const objects = new Set(runs.map(({ object }) => object))
  return table(
    [
      { title: 'STATUS' },
      { title: 'OBJECT', least: leastObject },
      { title: 'RUN', least: 28 },
      { title: 'STARTED BY', least: 8, drop: 2 },
      { title: 'STARTED', right: true, drop: 1 },
      { title: 'TOOK', right: true },
      { title: 'ERROR', least: 12, drop: 3 },
    ],
    runs.map(({ object, run }) => [
      statusCell(stateOf(run)),
      // Said once is enough where all are of one.
      objects.size > 1 ? object : '',
      run.runId,
      targetInWords(run.target),
      formatRelative(run.startedAt, now),
      formatMs(Math.max(0, (run.endedAt ?? now) - run.startedAt)),
      // Also where no line is too long: a row is one thing to look at, and the run itself has all of it.
      run.error ? { text: cut(errorInWords(run.error), mostOfText), color: 'red' } : '',
    ]),
    look,
  )
}

/** Bars are so wide at most; where they would have fewer columns than this, they are left out. */
const bar = { most: 24, least: 8 }
/** A fact is not cut to less than this. */
const leastFact = 24
/** Of a step's result, and of an error in a list, so many columns, also where no line is too long: one step is one line to look at, and `--json` has it all. */
const mostOfText = 120

/** One run: what it is, its steps as a tree with the time that each took of the whole, and what came of it. */
export function runTree({ object, run }: RunOf, now: number, look: Look): string[] {
  const { paint, columns } = look
  const end = run.endedAt ?? now
  const took = formatMs(Math.max(0, end - run.startedAt))
  const { mark, color } = markOf(stateOf(run))
  const again = run.attempt > 1 ? `, taken up ${run.attempt - 1} ${run.attempt === 2 ? 'time' : 'times'}` : ''
  const steps = (run.steps ?? []).map((step) => ({
    step,
    took: formatMs(Math.max(0, (step.endedAt ?? now) - step.startedAt)),
    name: plain(step.stepId),
    facts: stepFacts(step),
  }))
  const lines = [
    // Whole, in as many lines as it takes: it is what other commands are given.
    ...wrapped(run.runId, '', 'bold', look),
    ...wrapped(
      `${object}, ${targetInWords(run.target)}, started ${instant(run.startedAt)}, ${formatRelative(run.startedAt, now)}${parentText(run)}`,
      '',
      'dim',
      look,
    ),
    paint(color, cut(`${mark} ${stateOf(run)} ${run.endedAt === undefined ? 'for' : 'in'} ${took}${again}`, columns)),
  ]
  const widest = (texts: readonly string[]) => texts.reduce((most, text) => Math.max(most, width(text)), 0)
  const nameColumns = Math.min(widest(steps.map(({ name }) => name)), Math.max(12, Math.floor(columns / 2) - 8))
  const tookColumns = widest(steps.map((step) => step.took))
  // Branch, mark, name and time, with the spaces between them. The first fact of each step goes before the bars.
  const left = columns - (3 + 2 + nameColumns + 2 + tookColumns + 2)
  const factColumns = Math.min(20, widest(steps.map(({ facts }) => facts[0] ?? '')))
  const barColumns = left < bar.least ? 0 : Math.min(bar.most, Math.max(bar.least, left - factColumns - 2))
  for (const [index, { step, took: stepTook, name, facts }] of steps.entries()) {
    const isLast = index === steps.length - 1
    const state = markOf(step.status)
    const head = cut(`${state.mark} ${pad(cut(name, nameColumns), nameColumns)}  ${pad(stepTook, tookColumns, true)}`, columns - 3)
    const drawn = barColumns > 0 ? `  ${timeBar(step, run.startedAt, end, barColumns)}` : ''
    const said = fitting(facts, columns - 3 - width(head) - width(drawn) - 2)
    lines.push(
      `${paint('dim', isLast ? '└─ ' : '├─ ')}${paint(state.color, head)}${paint('dim', drawn)}${said && `  ${paint('dim', said)}`}`,
    )
    const under = isLast ? '     ' : '│    '
    for (const { attempt, error } of pastAttempts(step))
      lines.push(...wrapped(`attempt ${attempt}: ${error ? errorInWords(error) : 'was cut short'}`, under, 'yellow', look))
    if (step.error && step.status !== 'done') {
      const next = step.nextAttemptAt === undefined ? '' : ` Tried again ${formatRelative(step.nextAttemptAt, now)}.`
      lines.push(...wrapped(errorInWords(step.error) + next, under, 'red', look))
    }
  }
  if (run.error) lines.push(...wrapped(errorInWords(run.error), '', 'red', look))
  const used = run.price ? priceInWords(run.price) : ''
  const most = run.budget ? `budget: at most ${budgetInWords(run.budget)}` : ''
  const priced = [used && `used ${used}`, most].filter(Boolean).join('; ')
  if (priced !== '') lines.push(...wrapped(priced, '', 'dim', look))
  if (run.result) lines.push(...wrapped(`result ${previewText(run.result)}`, '', undefined, look))
  return lines
}

/** The attempts before the last that came to nothing: they failed, or their object died. What the step itself says is not said twice. */
function pastAttempts({ attempts = [], status, error }: StepView): AttemptView[] {
  const open = status === 'running' ? attempts.at(-1) : undefined
  const failed = attempts.filter((it) => it.error !== undefined || (it.endedAt === undefined && it !== open))
  return error !== undefined && status !== 'done' ? failed.slice(0, -1) : failed
}

/** Which run waits for this one. */
function parentText({ parent }: RunView): string {
  return parent === undefined ? '' : `, for ${parent.stepId} of ${parent.runId}`
}

/** As many facts as there is room for. One that is cut has to have some length left, or it says nothing. */
function fitting(facts: readonly string[], columns: number): string {
  let said = ''
  for (const fact of facts) {
    const more = said === '' ? fact : `${said}  ${fact}`
    if (width(more) <= columns) said = more
    else if (columns - width(said) >= leastFact) return cut(more, columns)
  }
  return said
}

/** The part of a run's time that a step took: `░░██░░`. What took any time at all has a mark. */
export function timeBar(step: Pick<StepView, 'startedAt' | 'endedAt'>, from: number, to: number, columns: number): string {
  const whole = Math.max(1, to - from)
  const place = (at: number) => Math.min(columns, Math.max(0, Math.round(((at - from) / whole) * columns)))
  const start = Math.min(place(step.startedAt), columns - 1)
  const end = Math.max(start + 1, place(step.endedAt ?? to))
  return '░'.repeat(start) + '█'.repeat(end - start) + '░'.repeat(columns - end)
}

/** What is known of a step beside its name and its time. */
export function stepFacts({ attempt, progress, result, status, kind, waitsFor, nextAttemptAt, undo }: StepView): string[] {
  const rows = progress?.rows ?? result?.rows
  return [
    attempt > 1 ? `attempt ${attempt}` : '',
    kind === 'sleep' && status === 'waiting' ? 'asleep' : '',
    waitsFor === undefined ? '' : `${status === 'waiting' ? 'waits for' : 'waited for'} ${plain(waitsFor)}`,
    // Of these it is no attempt: a wait gives up then, and a sleep is over.
    status === 'waiting' && (kind === 'wait' || kind === 'sleep') && nextAttemptAt !== undefined ? `until ${instant(nextAttemptAt)}` : '',
    undo === 'undone' ? 'undone' : '',
    rows === undefined ? '' : `${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'}`,
    progress?.bytes === undefined ? '' : formatBytes(progress.bytes),
    status === 'running' && progress?.at !== undefined ? plain(progress.at) : '',
    rows === undefined && result && result.text !== 'undefined' ? previewText(result, mostOfText) : '',
  ].filter(Boolean)
}

/** A value that was cut, here or where it was stored, says how large it is. */
function previewText({ text, sizeBytes }: ValuePreview, most = Infinity): string {
  const shown = cut(plain(text), most)
  if (sizeBytes <= Buffer.byteLength(text) && shown === plain(text)) return shown
  return `${shown.endsWith('…') ? shown : `${shown}…`} (${formatBytes(Math.max(sizeBytes, Buffer.byteLength(text)))})`
}

/** A text in lines below each other, each behind the same beginning. */
function wrapped(text: string, before: string, color: Color | undefined, { columns, paint }: Look): string[] {
  return wrap(plain(text), columns - width(before)).map((line) => `${before && paint('dim', before)}${paint(color, line)}`)
}

/** Lines of a difference, coloured by their signs, which say it without colour. */
export function signedLines(text: string, { paint }: Look): string[] {
  return text.split('\n').map((line, index) => paint(index === 0 ? 'bold' : colorOf(line), plain(line)))
}

function colorOf(line: string): Color | undefined {
  if (line.startsWith('warning:')) return 'yellow'
  const [, sign = ''] = /^(?: {2}| {4})([+~-]) /.exec(line) ?? []
  return { '+': 'green' as const, '-': 'red' as const, '~': 'yellow' as const }[sign]
}
