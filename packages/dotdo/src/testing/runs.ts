/** Runs of a simulated object, as a test reads them. */
import { isThenable } from '../base/thenable.ts'
import type { RunView, StepView, ValuePreview } from '../base/views.ts'
import { Journal } from '../journal/journal.ts'
import { clock, random, zstd } from '../object/platform.ts'
import type { SimulatedObject } from './simulated-object.ts'

/** A run, with its steps in words: what a snapshot of a test shows. */
export interface TestRun extends Omit<RunView, 'steps' | 'result'> {
  /** The object that it is of, such as `Pipeline/main`. */
  object: string
  /** Its steps in the order of their first start, a line each: `load: done after 2 attempts, {"rows":3}`. */
  steps: string[]
  /** The same as data. */
  views: StepView[]
  /** What it gave, where it is done. */
  result?: unknown
}

/** All runs of an object that are kept, oldest first; at most 500. Looking changes nothing, whether the object lives or not. */
export function runsOf(object: SimulatedObject): TestRun[] {
  const { store } = object
  if (store.sql(`SELECT 1 FROM sqlite_master WHERE name = 'dotdo_runs'`).length === 0) return []
  const journal = readOnly(object)
  return journal
    .runs({ limit: 500 })
    .toReversed()
    .map(({ runId }) => {
      const { steps: views = [], result: _, ...run } = journal.run(runId)
      const ended = run.status === 'done' ? { result: resultOf(journal, runId) } : undefined
      return { object: object.label, ...run, steps: views.map(inWords), views, ...ended }
    })
}

/** The rows are there without an object; a journal reads them. It is never asked to do anything. */
function readOnly({ store }: SimulatedObject): Journal {
  const never = () => Promise.reject(new Error('a journal that is only read does nothing'))
  return new Journal({ store, clock, random, sleep: never, sync: never, execute: never, observe: () => undefined, compression: zstd })
}

/** A result that cannot be given (it was too large, or of a kind that is not stored) is shown by its error. */
function resultOf(journal: Journal, runId: string): unknown {
  try {
    const result = journal.result(runId)
    if (!isThenable(result)) return result
    // It is read where the object is.
    result.then(undefined, () => undefined)
    return '(in the bucket of results)'
  } catch (error) {
    return error
  }
}

function inWords({ stepId, status, attempt, kind, result, error, waitsFor, undo }: StepView): string {
  const after = attempt > 1 ? ` ${status === 'waiting' ? 'for attempt' : 'after'} ${attempt}${status === 'waiting' ? '' : ' attempts'}` : ''
  const waits = waitsFor === undefined ? '' : ` for ${waitsFor}`
  const given = status === 'done' && kind !== 'sleep' ? textOf(result) : ''
  const failed = error && status !== 'done' ? `, ${error.code ?? error.name ?? 'Error'}: ${error.message}` : ''
  return `${stepId}: ${kind && kind !== 'run' ? `${kind}, ` : ''}${status}${waits}${after}${given}${failed}${undo === 'undone' ? ', undone' : ''}`
}

/** Results as far as a line goes. */
const longestText = 80

function textOf(result: ValuePreview | undefined): string {
  if (!result || result.text === '') return ''
  const rows = result.rows !== undefined && result.rows > 3 ? `, ${result.rows} rows` : ''
  return rows || `, ${result.text.length <= longestText ? result.text : `${result.text.slice(0, longestText)}…`}`
}
