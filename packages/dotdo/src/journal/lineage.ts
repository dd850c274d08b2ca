/**
 * What the steps of runs called, read and wrote: noted where it happens, stored with what the step comes to.
 *
 * Owns the table `dotdo_lineage`. Invariants: 1. A note is of a call that was made, or of a write that has its receipt: nothing is guessed from code.
 * 2. The notes of a step are written in the turn that writes its result, those of a run's own code with its end: they cost no flush. 3. Doing a step again
 * replaces its notes. 4. A step that notes nothing costs nothing. 5. There are at most {@link edgesOfStep} rows a step and {@link edgesOfRun} a run; what goes
 * beyond is counted in one row of kind `more`. They go with their run.
 */
import type { Store } from '../base/ports.ts'
import { redactText } from '../base/redact.ts'
import type { LineageEdge, LineageKind } from '../base/views.ts'
import { printBounded } from './previews.ts'

/** Rows that are kept of one step. */
export const edgesOfStep = 100
/** Rows that are kept of one run. */
export const edgesOfRun = 10_000

/** Characters of what went into a call that are kept to be looked at. */
const inputChars = 256

/** Something that a piece of code has done, as it is noted. */
export interface LineageNote {
  kind: LineageKind
  /** See {@link LineageEdge.target}. */
  target: string
  what?: string
  /** What went into it: printed now, and not kept. */
  input?: unknown
  /** How many rows it wrote. */
  rows?: number
}

/** The notes of one execution of a run that are not stored yet. Memory is bounded like the rows. */
export class Notes {
  readonly #byStep = new Map<string, Map<string, LineageEdge>>()
  #edges = 0

  /** @param stepId `''` for the run's own code */
  add(stepId: string, { kind, input, rows, ...note }: LineageNote): void {
    // The address of a hook may be a secret.
    const target = redactText(note.target)
    const what = redactText(note.what ?? '')
    let edges = this.#byStep.get(stepId)
    if (!edges) this.#byStep.set(stepId, (edges = new Map()))
    const isFull = edges.size >= edgesOfStep || this.#edges >= edgesOfRun
    let key = `${kind}\n${target}\n${what}`
    let edge = edges.get(key)
    if (!edge && isFull) edge = edges.get((key = 'more'))
    if (!edge) {
      const isMore = key === 'more'
      edge = isMore ? { kind: 'more', target: '', what: '', n: 0, print: 0 } : { kind, target, what, n: 0, print: 0 }
      edges.set(key, edge)
      this.#edges++
    }
    edge.n++
    if (rows !== undefined) edge.rows = (edge.rows ?? 0) + rows
    if (input === undefined || edge.kind === 'more') return
    const printed = printBounded(input)
    edge.input ??= printed.length > inputChars ? `${printed.slice(0, inputChars - 1)}…` : printed
    // A sum, because calls that are made together come in any order.
    edge.print = (edge.print + hash(printed)) >>> 0
  }

  /** The notes of a step, which are not kept any longer. */
  take(stepId: string): LineageEdge[] {
    const edges = this.#byStep.get(stepId)
    this.#byStep.delete(stepId)
    return edges ? [...edges.values()] : []
  }

  /** The steps that have notes. */
  get steps(): string[] {
    return [...this.#byStep.keys()]
  }
}

type LineageRow = {
  step: string
  kind: LineageKind
  target: string
  what: string
  n: number
  print: number
  input: string | null
  rows: number | null
}

/** Reads and writes `dotdo_lineage`. */
export class LineageTable {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** Writes what a step has noted. */
  put(run: number, stepId: string, edges: readonly LineageEdge[]): void {
    for (const { kind, target, what, n, print, input, rows } of edges) {
      this.#store.sql(
        'INSERT OR REPLACE INTO dotdo_lineage (run, step, kind, target, what, n, print, input, rows) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
        run,
        stepId,
        kind,
        target,
        what,
        n,
        print,
        input ?? null,
        rows ?? null,
      )
    }
  }

  /** What is stored of a run, by step. */
  read(run: number): Map<string, LineageEdge[]> {
    const steps = new Map<string, LineageEdge[]>()
    const rows = this.#store.sql<LineageRow>('SELECT step, kind, target, what, n, print, input, rows FROM dotdo_lineage WHERE run = ?', run)
    for (const { step, input, rows: count, ...row } of rows) {
      const edge: LineageEdge = { ...row, ...(input !== null && { input }), ...(count !== null && { rows: count }) }
      const edges = steps.get(step)
      if (edges) edges.push(edge)
      else steps.set(step, [edge])
    }
    return steps
  }

  /** The step of another object's run that called, and so began a run. */
  calledBy(run: number): { object: string; runId: string; stepId: string } | undefined {
    const row = this.#store.sql<LineageRow>(
      `SELECT target, what FROM dotdo_lineage WHERE run = ? AND step = '' AND kind = 'by' LIMIT 1`,
      run,
    )[0]
    const caller = row && callerOf(row.what)
    return row && caller && { object: row.target, ...caller }
  }

  /** Removes up to `limit` rows of a run; returns how many there were. */
  remove(run: number, limit: number): number {
    return this.#store.sql(
      `DELETE FROM dotdo_lineage WHERE run = ? AND (step, kind, target, what) IN
        (SELECT step, kind, target, what FROM dotdo_lineage WHERE run = ? LIMIT ?) RETURNING 1`,
      run,
      run,
      limit,
    ).length
  }
}

/**
 * The run and the step that a key of a call names: `<run id>/<step id>#call:…`, as `Scope.nextKey` makes it. `undefined` for another key, and for one that
 * was too long to be whole.
 */
export function callerOf(key: string): { runId: string; stepId: string } | undefined {
  const slash = key.indexOf('/')
  const end = key.lastIndexOf('#call:')
  if (slash < 0 || end < slash) return undefined
  const run = key.slice(0, slash).replace(/#\d+$/, '')
  return { runId: decodeURIComponent(run), stepId: key.slice(slash + 1, end) }
}

/** FNV-1a over UTF-16 units, as a number of 32 bits. */
function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}
