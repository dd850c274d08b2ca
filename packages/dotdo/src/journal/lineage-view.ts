/** Lineage for whoever looks at it: runs and what they did, as data, as a graph, as a drawing, and as OpenLineage events. Pure. */
import { drawFlowchart, type FlowEdge, type FlowNode } from '../base/flowchart.ts'
import { edgeInWords, type Lineage, type LineageLink, type LineageNode, type SnapshotLineage } from '../base/lineage-views.ts'
import type { LineageEdge, RunLineage } from '../base/views.ts'
import { counted } from '../base/words.ts'
import { openLineage, targetName, type OpenLineagePorts } from './open-lineage.ts'

/** What a run and the step of another are known by. */
export const runNode = (object: string, runId: string): string => `run ${object} ${runId}`
const stepNode = (object: string, runId: string, stepId: string): string => `step ${object} ${runId} ${stepId}`

/** Makes the views of runs. The first is the one that was asked for. */
export function viewLineage(
  runs: readonly RunLineage[],
  ports: OpenLineagePorts,
  { snapshot, missing = [] }: { snapshot?: SnapshotLineage; missing?: readonly string[] } = {},
): Lineage {
  const graph = graphOf(runs, snapshot)
  return {
    ...(snapshot && { snapshot }),
    runs: [...runs],
    graph,
    drawing: drawFlowchart(graph.nodes.map(drawn), graph.edges.map(drawnEdge)),
    text: [...(snapshot ? snapshotText(snapshot) : []), ...runs.flatMap(runText), ...missing.map((it) => `missing: ${it}`)].join('\n'),
    openLineage: openLineage(runs, ports),
    missing: [...missing],
  }
}

function graphOf(runs: readonly RunLineage[], snapshot: SnapshotLineage | undefined): Lineage['graph'] {
  const nodes = new Map<string, LineageNode>()
  const edges: LineageLink[] = []
  const node = (id: string, kind: LineageNode['kind'], label: string): string => {
    if (!nodes.has(id)) nodes.set(id, { id, kind, label })
    return id
  }
  const link = (from: string, to: string, kind: LineageLink['kind'], label: string = kind): void =>
    void edges.push({ from, to, kind, label })
  const step = (object: string, runId: string, stepId: string): string => {
    const id = stepNode(object, runId, stepId)
    if (nodes.has(id)) return id
    node(id, 'step', stepId)
    link(runNode(object, runId), id, 'has', '')
    return id
  }
  for (const run of runs) node(runNode(run.object, run.runId), 'run', `${run.object} ${targetName(run.target)} ${run.runId}`)
  for (const run of runs) {
    const self = runNode(run.object, run.runId)
    const { calledBy, parent, forkedFrom } = run
    const known = (object: string, runId: string): boolean => nodes.has(runNode(object, runId))
    if (calledBy && known(calledBy.object, calledBy.runId)) link(step(calledBy.object, calledBy.runId, calledBy.stepId), self, 'began')
    if (parent && known(run.object, parent.runId)) link(step(run.object, parent.runId, parent.stepId), self, 'began')
    if (forkedFrom && known(run.object, forkedFrom.runId)) link(runNode(run.object, forkedFrom.runId), self, 'forked')
    for (const { stepId, edges: did } of run.steps) {
      const from = stepId === undefined ? self : step(run.object, run.runId, stepId)
      for (const edge of did) addEdge(from, edge)
    }
  }
  // One that was written in a call of a step, by code that has no run of its own.
  if (snapshot) {
    const id = node(`snapshot ${snapshot.snapshotId}`, 'snapshot', `snapshot ${snapshot.snapshotId}`)
    const by = snapshot.writtenBy?.runId === undefined ? snapshot.writtenBy?.calledBy : undefined
    if (by && nodes.has(runNode(by.object, by.runId)) && !edges.some(({ to }) => to === id))
      link(step(by.object, by.runId, by.stepId), id, 'wrote')
    link(id, node(`table ${snapshot.warehouse}/${snapshot.table}`, 'table', snapshot.table), 'has', 'of')
  }
  return { nodes: [...nodes.values()], edges }

  function addEdge(from: string, { kind, target, what, n, rows }: LineageEdge): void {
    const times = n > 1 ? ` ×${n}` : ''
    if (kind === 'call') link(from, node(`object ${target}`, 'object', target), 'called', `${what}${times}`)
    if (kind === 'send') link(from, node(`event ${target}`, 'event', target), 'sent', `sent${times}`)
    if (kind === 'http') link(from, node(`request ${target}`, 'request', target), 'wrote', `${what}${times}`)
    if (kind === 'read') link(node(`source ${target}`, 'source', target), from, 'read', `read${times}`)
    if (kind === 'run') link(from, node(`object ${target}`, 'object', target), 'began', `began${times}`)
    if (kind !== 'write') return
    const id = node(`snapshot ${what}`, 'snapshot', `snapshot ${what}`)
    link(from, id, 'wrote', rows === undefined ? 'wrote' : counted(rows, 'row'))
    if (String(snapshot?.snapshotId) !== what) link(id, node(`table ${target}`, 'table', target), 'has', 'of')
  }
}

const shapes: Partial<Record<LineageNode['kind'], FlowNode['shape']>> = {
  run: 'round',
  table: 'store',
  source: 'store',
  snapshot: 'store',
  event: 'circle',
}

function drawn({ id, kind, label }: LineageNode): FlowNode {
  return { id, label, shape: shapes[kind] ?? 'box' }
}

function drawnEdge({ from, to, kind, label }: LineageLink): FlowEdge {
  return { from, to, label, heavy: kind === 'read' || kind === 'wrote' }
}

function snapshotText({ table, snapshotId, committedAt, rows, writtenBy }: SnapshotLineage): string[] {
  const by = writtenBy?.runId === undefined ? writtenBy?.calledBy : { ...writtenBy, stepId: writtenBy.stepId }
  const who = by
    ? `${by.object}, run ${by.runId}${by.stepId === undefined ? '' : `, step ${by.stepId}`}`
    : writtenBy
      ? `${writtenBy.object}, outside of any run`
      : 'whoever it was, it was no run of this app'
  return [`${table} snapshot ${snapshotId}: ${counted(rows, 'row')}, ${new Date(committedAt).toISOString()}`, `written by ${who}`]
}

function runText({ object, runId, target, status, calledBy, parent, forkedFrom, steps }: RunLineage): string[] {
  const from = calledBy
    ? `, called by ${calledBy.object} ${calledBy.runId} ${calledBy.stepId}`
    : parent
      ? `, for ${parent.stepId} of ${parent.runId}`
      : forkedFrom
        ? `, forked from ${forkedFrom.runId}`
        : ''
  const lines = [`${object} ${targetName(target)} ${runId} ${status}${from}`]
  for (const { stepId, edges } of steps) {
    lines.push(`  ${stepId ?? '(between steps)'}`)
    for (const edge of edges) lines.push(`    ${edgeInWords(edge)}`)
  }
  return lines
}
