/** A terminal that remembers, and views to print. */
import type { RunView, StepView } from '../../src/base/views.ts'
import { makeTerminal, type Sink, type Terminal } from '../../src/cli/terminal.ts'
import { painter } from '../../src/cli/paint.ts'

/** A terminal over two texts. */
export interface Recorded {
  terminal: Terminal
  out: () => string
  err: () => string
}

/** Records what is printed; `columns` makes a terminal of that width. */
export function recorded(env: Record<string, string> = {}, columns?: number): Recorded {
  const texts = { out: '', err: '' }
  const sink = (name: 'out' | 'err'): Sink => ({
    write: (text) => void (texts[name] += text),
    ...(columns !== undefined && { isTTY: true, columns, rows: 10 }),
  })
  return { terminal: makeTerminal(sink('out'), sink('err'), env), out: () => texts.out, err: () => texts.err }
}

/** So many columns, and no colours. */
export const look = (columns = Infinity, isColorful = false) => ({ columns, paint: painter(isColorful) })

/** Noon of the day on which all of it happens. */
export const noon = Date.UTC(2026, 10, 23, 12)

export const step = (stepId: string, from: number, to: number | undefined, more: Partial<StepView> = {}): StepView => ({
  stepId,
  status: to === undefined ? 'running' : 'done',
  attempt: 1,
  startedAt: noon + from,
  ...(to !== undefined && { endedAt: noon + to }),
  ...more,
})

export const run = (more: Partial<RunView> = {}): RunView => ({
  runId: 'daily@2026-11-23T12:00:00.000Z',
  target: { kind: 'schedule', id: 'daily', scheduledAt: noon },
  status: 'done',
  attempt: 1,
  startedAt: noon,
  endedAt: noon + 4000,
  ...more,
})
