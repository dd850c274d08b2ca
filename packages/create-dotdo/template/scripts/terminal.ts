/** What `npm start` prints: the steps of a run as they happen, and tables. */
import type { RunView, StepView } from 'dotdo/client'
import { formatBytes, formatCount, formatMs } from 'dotdo/words'

const color = process.stdout.isTTY && !process.env['NO_COLOR']
const paint = (code: number) => (text: string) => (color ? `\x1b[${code}m${text}\x1b[0m` : text)
export const bold = paint(1)
export const dim = paint(2)
export const red = paint(31)
export const green = paint(32)
export const yellow = paint(33)
export const cyan = paint(36)

/** The steps of one run, redrawn in place on a terminal, and printed as they end anywhere else. */
export class LiveSteps {
  #steps = new Map<string, StepView>()
  #printed = new Set<string>()
  #drawnLines = 0
  #timer: ReturnType<typeof setInterval> | undefined

  constructor() {
    // Running times go on between events.
    if (process.stdout.isTTY) this.#timer = setInterval(() => this.#draw(), 100)
  }

  update(step: StepView): void {
    this.#take(step)
    this.#draw()
  }

  updateAll(run: RunView): void {
    for (const step of run.steps ?? []) this.#take(step)
    this.#draw()
  }

  #take(step: StepView): void {
    const known = this.#steps.get(step.stepId)
    // Events and views may cross: a step that has ended does not run again.
    if (known && known.status === 'done' && step.status !== 'done') return
    const progress = (step.progress ?? known?.progress) ? { ...known?.progress, ...step.progress } : undefined
    this.#steps.set(step.stepId, { ...known, ...step, ...(progress && { progress }) })
  }

  end(): void {
    clearInterval(this.#timer)
    this.#draw()
    this.#drawnLines = 0
  }

  #draw(): void {
    const steps = [...this.#steps.values()].sort((a, b) => a.startedAt - b.startedAt)
    if (!process.stdout.isTTY) {
      for (const step of steps) {
        const key = `${step.stepId} ${step.status === 'waiting' ? step.attempt : step.status}`
        if (step.status === 'running' || this.#printed.has(key)) continue
        this.#printed.add(key)
        console.log(line(step))
      }
      return
    }
    const rows = steps.map(line)
    // More steps than the screen has lines cannot be redrawn in place: the last ones are.
    const visible = rows.slice(-Math.max(1, (process.stdout.rows ?? 40) - 2))
    const up = this.#drawnLines > 0 ? `\x1b[${this.#drawnLines}A` : ''
    process.stdout.write(up + visible.map((row) => `\x1b[2K${row}\n`).join(''))
    this.#drawnLines = visible.length
  }
}

const marks = { running: cyan('◐'), waiting: yellow('↻'), done: green('✓'), failed: red('✗') }

function line(step: StepView): string {
  const took = (step.endedAt ?? Date.now()) - step.startedAt
  const { rows, bytes: size } = step.progress ?? {}
  const total = rows ?? step.result?.rows
  const facts = [
    total === undefined ? '' : `${formatCount(total)} rows`,
    size === undefined ? '' : formatBytes(size),
    total === undefined && step.result
      ? step.result.text.includes('"duplicate":true')
        ? 'in the table already'
        : cut(step.result.text)
      : '',
    step.attempt > 1 ? yellow(`attempt ${step.attempt}`) : '',
    step.error && step.status !== 'done' ? red(`${step.error.code ?? step.error.name}: ${step.error.message}`) : '',
  ].filter(Boolean)
  return `  ${marks[step.status]} ${step.stepId.padEnd(22)} ${formatMs(Math.max(0, took)).padStart(8)}  ${dim(facts.join('  '))}`
}

const cut = (text: string): string => (text.length > 90 ? `${text.slice(0, 89)}…` : text)

/** A table of rows with their columns' names, numbers to the right. */
export function table(rows: Record<string, unknown>[]): string {
  if (rows.length === 0) return '  (no rows)'
  const names = Object.keys(rows[0]!)
  const text = (value: unknown): string => {
    if (typeof value === 'number') return Number.isInteger(value) ? formatCount(value) : value.toFixed(2)
    return typeof value === 'string' ? value : JSON.stringify(value)
  }
  const widths = names.map((name) => Math.max(name.length, ...rows.map((row) => text(row[name]).length)))
  const numeric = names.map((name) => rows.every((row) => typeof row[name] === 'number'))
  const cell = (value: string, column: number) => (numeric[column] ? value.padStart(widths[column]!) : value.padEnd(widths[column]!))
  return [bold(names.map(cell).join('  ')), ...rows.map((row) => names.map((name, column) => cell(text(row[name]), column)).join('  '))]
    .map((row) => `  ${row}`)
    .join('\n')
}
