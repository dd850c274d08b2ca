/** What lineage tells: of a run, and of a snapshot of a table. The journal makes these; the client, the command line and the page read them. */
import type { LineageEdge, RunLineage } from './views.ts'
import { counted } from './words.ts'

/** A snapshot of a table, and who wrote it. */
export interface SnapshotLineage {
  /** `namespace.table`. */
  table: string
  /** The binding of the bucket, or the name of the outside catalog. */
  warehouse: string
  snapshotId: number
  committedAt: number
  rows: number
  /** By which the write is told from every other one. */
  commitKey?: string
  /** What wrote it; absent where the code was in no run. */
  writtenBy?: WrittenBy
}

/** The piece of code that wrote a snapshot, as it stands in the snapshot's own summary. */
export interface WrittenBy {
  object: string
  runId?: string
  stepId?: string
  /** The step of another object's run that called that code, where it was in no step of its own. */
  calledBy?: { object: string; runId: string; stepId: string }
}

/** A thing in a graph of lineage. */
export interface LineageNode {
  id: string
  kind: 'run' | 'step' | 'object' | 'table' | 'source' | 'event' | 'request' | 'snapshot'
  label: string
}

/** Which thing leads to which. */
export interface LineageLink {
  from: string
  to: string
  /** `called`, `began` and `has` lead from cause to effect, `read` and `wrote` along the data. */
  kind: 'has' | 'called' | 'began' | 'read' | 'wrote' | 'sent' | 'forked'
  label: string
}

/** Where something comes from. Plain data. */
export interface Lineage {
  /** The snapshot that was asked for. */
  snapshot?: SnapshotLineage
  /** The run that was asked for, or that wrote the snapshot, and those that led to it: callers, waiting parents, origins of forks. */
  runs: RunLineage[]
  graph: { nodes: LineageNode[]; edges: LineageLink[] }
  /** The graph as a flowchart in Mermaid's language. */
  drawing: string
  /** For a terminal. */
  text: string
  /** Events of https://openlineage.io, a pair for each run and for each step that read or wrote, in the order of their times. */
  openLineage: OpenLineageEvent[]
  /** What is missing, in words: runs that are pruned, objects that did not answer. */
  missing: string[]
}

/** A table or source, as an event names it. */
export interface OpenLineageDataset {
  namespace: string
  name: string
  facets?: Record<string, Facet>
  outputFacets?: Record<string, Facet>
}

/** A facet: who made it, by which schema, and what it says. */
export type Facet = { _producer: string; _schemaURL: string } & Record<string, unknown>

/** A `RunEvent` of the specification. */
export interface OpenLineageEvent {
  eventType: 'START' | 'COMPLETE' | 'ABORT' | 'FAIL' | 'OTHER'
  /** ISO 8601, UTC. */
  eventTime: string
  run: { runId: string; facets?: Record<string, Facet> }
  job: { namespace: string; name: string }
  inputs: OpenLineageDataset[]
  outputs: OpenLineageDataset[]
  producer: string
  schemaURL: string
}

const verbs: Readonly<Record<LineageEdge['kind'], string>> = {
  call: 'called',
  write: 'wrote',
  read: 'read',
  send: 'sent',
  http: 'requested',
  run: 'began',
  by: 'called by',
  more: 'and more',
}

/** One thing that a step did, in words. */
export function edgeInWords({ kind, target, what, n, rows }: LineageEdge): string {
  const times = n > 1 ? ` ×${n}` : ''
  if (kind === 'call') return `called ${target}.${what}${times}`
  if (kind === 'http') return `requested ${what} ${target}${times}`
  if (kind === 'write')
    return `wrote ${target}${what === '' ? '' : ` snapshot ${what}`}${rows === undefined ? '' : `, ${counted(rows, 'row')}`}`
  return `${verbs[kind]}${target === '' ? '' : ` ${target}`}${times}`
}
