/**
 * What the steps of runs called, read and wrote: noted where it happens, stored with what the step comes to.
 *
 * Owns the columns `lineage` of `dotdo_runs` and `dotdo_steps`. Invariants: 1. A note is of a call that was made, or of a write that has its receipt: nothing
 * is guessed from code. 2. The notes of a step are written by the statement that writes its result, those of a run's own code with its end: they cost neither a
 * flush nor a row. 3. Doing a step again replaces its notes. 4. A step that notes nothing costs nothing. 5. There are at most {@link edgesOfStep} edges a step
 * and {@link edgesOfRun} an execution of a run, of names up to {@link nameChars}; what goes beyond is counted in one of kind `more`. They go with their run.
 */
import type { Store } from '../base/ports.ts'
import { redactText } from '../base/redact.ts'
import type { LineageEdge, LineageKind } from '../base/views.ts'
import { printBounded } from './previews.ts'

/** Edges that are kept of one step. */
export const edgesOfStep = 100
/** Edges that are kept of one execution of a run. */
export const edgesOfRun = 10_000

/** Characters of a target's or a method's name: all edges of a step fit in a row. */
export const nameChars = 2048

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

/** Who called, where a run is the call of a step of another object: that object, and the key of the call. */
export interface Caller {
  /** As `Noun/name`. */
  caller: string
  key: string
}

/** The edge that says who called: it is there from the run's first row on. */
export function edgeBy({ caller, key }: Caller): LineageEdge {
  return { kind: 'by', target: redactText(caller).slice(0, nameChars), what: redactText(key).slice(0, nameChars), n: 1, print: 0 }
}

/** The notes of one execution of a run that are not stored yet. Memory is bounded like the rows. */
export class Notes {
  readonly #byStep = new Map<string, Map<string, LineageEdge>>()
  #edges = 0

  /** @param stepId `''` for the run's own code */
  add(stepId: string, note: LineageNote): void {
    const { kind, input, rows } = note
    // The address of a hook may be a secret.
    const target = redactText(note.target).slice(0, nameChars)
    const what = redactText(note.what ?? '').slice(0, nameChars)
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

/** How an edge is stored: its parts in this order, the last two null where there are none. */
type StoredEdge = [kind: LineageKind, target: string, what: string, n: number, print: number, input: string | null, rows: number | null]

/** Edges as a column takes them; null for none. */
export function encodeEdges(edges: readonly LineageEdge[]): string | null {
  if (edges.length === 0) return null
  const stored = edges.map(({ kind, target, what, n, print, input = null, rows = null }): StoredEdge => [
    kind,
    target,
    what,
    n,
    print,
    input,
    rows,
  ])
  return JSON.stringify(stored)
}

/** Reads a column. This room wrote it, and migrations guard its version. */
function decodeEdges(text: string | null | undefined): LineageEdge[] {
  const stored = text ? (JSON.parse(text) as StoredEdge[]) : []
  return stored.map(([kind, target, what, n, print, input, rows]) => {
    return { kind, target, what, n, print, ...(input !== null && { input }), ...(rows !== null && { rows }) }
  })
}

type LineageRow = { step_id: string; lineage: string | null }

/** Reads and writes the columns `lineage` of `dotdo_runs` and `dotdo_steps`; that of a step that is done is written with its result. */
export class LineageTable {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** Writes what a step that is not done, or the run's own code (`stepId` is `''`), has noted. */
  put(run: number, stepId: string, edges: readonly LineageEdge[]): void {
    if (stepId !== '') {
      this.#store.sql('UPDATE dotdo_steps SET lineage = ? WHERE run = ? AND step_id = ?', encodeEdges(edges), run, stepId)
      return
    }
    // Who called stands there since the run's row was written, and stays.
    const by = this.#ofRun(run).filter(({ kind }) => kind === 'by')
    this.#store.sql('UPDATE dotdo_runs SET lineage = ? WHERE seq = ?', encodeEdges([...edges, ...by]), run)
  }

  /** What is stored of a run, by step. */
  read(run: number): Map<string, LineageEdge[]> {
    const steps = new Map<string, LineageEdge[]>()
    const own = this.#ofRun(run)
    if (own.length > 0) steps.set('', own)
    const rows = this.#store.sql<LineageRow>('SELECT step_id, lineage FROM dotdo_steps WHERE run = ? AND lineage IS NOT NULL', run)
    for (const { step_id: stepId, lineage } of rows) steps.set(stepId, decodeEdges(lineage))
    return steps
  }

  /** What is stored of one step of a run. */
  ofStep(run: number, stepId: string): LineageEdge[] {
    return decodeEdges(
      this.#store.sql<LineageRow>('SELECT lineage FROM dotdo_steps WHERE run = ? AND step_id = ?', run, stepId)[0]?.lineage,
    )
  }

  #ofRun(run: number): LineageEdge[] {
    return decodeEdges(this.#store.sql<LineageRow>('SELECT lineage FROM dotdo_runs WHERE seq = ?', run)[0]?.lineage)
  }

  /** The step of another object's run that called, and so began a run. */
  calledBy(run: number): { object: string; runId: string; stepId: string } | undefined {
    const edge = this.#ofRun(run).find(({ kind }) => kind === 'by')
    const caller = edge && callerOf(edge.what)
    return edge && caller && { object: edge.target, ...caller }
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
