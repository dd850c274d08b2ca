/**
 * Lineage as events of OpenLineage: https://openlineage.io/docs/spec/. A run is a job's run, a step that read or wrote is a run of a job of its own below it,
 * and what was read or written are datasets. Pure.
 */
import type { Facet, OpenLineageDataset, OpenLineageEvent } from '../base/lineage-views.ts'
import type { LineageEdge, RunLineage, RunStatus, RunTarget, StepStatus } from '../base/views.ts'

/** What the events need of their surroundings. */
export interface OpenLineagePorts {
  /** At least 32 hexadecimal digits that stand for a text: the ids of OpenLineage's runs are UUIDs. */
  digest(text: string): string
}

const producer = 'https://www.npmjs.com/package/dotdo'
const schemaURL = 'https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent'
const facetURL = (name: string, version: string): string => `https://openlineage.io/spec/facets/${version}/${name}.json#/$defs/${name}`

/** The events of runs, in the order of their times. Those that go on have a `START` alone. */
export function openLineage(runs: readonly RunLineage[], ports: OpenLineagePorts): OpenLineageEvent[] {
  const events = runs.flatMap((run) => {
    const own = { run: { runId: uuid(ports, `${run.object} ${run.runId}`) }, job: { namespace: 'dotdo', name: jobOf(run) } }
    const all = run.steps.flatMap(({ edges }) => edges)
    const parent = { parent: { ...facet('ParentRunFacet', '1-0-1'), run: own.run, job: own.job } }
    const steps = run.steps.flatMap(({ stepId, startedAt = run.startedAt, endedAt, status = 'running', edges }) => {
      if (stepId === undefined || !edges.some(({ kind }) => kind === 'read' || kind === 'write')) return []
      const step = {
        run: { runId: uuid(ports, `${run.object} ${run.runId} ${stepId}`), facets: parent },
        job: { namespace: 'dotdo', name: `${jobOf(run)}.${stepId}` },
      }
      return pair(step, startedAt, endedAt, status, edges)
    })
    return [...pair(own, run.startedAt, run.endedAt, run.status, all), ...steps]
  })
  return events.toSorted((a, b) => Date.parse(a.eventTime) - Date.parse(b.eventTime))
}

const ends: Partial<Record<RunStatus | StepStatus, OpenLineageEvent['eventType']>> = {
  done: 'COMPLETE',
  failed: 'FAIL',
  cancelled: 'ABORT',
}

function pair(
  who: Pick<OpenLineageEvent, 'run' | 'job'>,
  startedAt: number,
  endedAt: number | undefined,
  status: RunStatus | StepStatus,
  edges: readonly LineageEdge[],
): OpenLineageEvent[] {
  const inputs = datasets(edges, 'read')
  const outputs = datasets(edges, 'write')
  const at = (eventType: OpenLineageEvent['eventType'], time: number): OpenLineageEvent => ({
    eventType,
    eventTime: new Date(time).toISOString(),
    ...who,
    inputs,
    outputs,
    producer,
    schemaURL,
  })
  const end = ends[status]
  const start = at('START', startedAt)
  return end === undefined || endedAt === undefined ? [start] : [start, at(end, endedAt)]
}

/** The datasets that edges of a kind name, each once. */
function datasets(edges: readonly LineageEdge[], kind: 'read' | 'write'): OpenLineageDataset[] {
  const found = new Map<string, OpenLineageDataset>()
  for (const edge of edges) {
    if (edge.kind !== kind) continue
    const name = kind === 'read' ? sourceName(edge.target) : tableName(edge.target)
    const key = `${name.namespace} ${name.name} ${edge.what}`
    found.set(key, {
      ...name,
      ...(kind === 'write' &&
        edge.what !== '' && { facets: { version: { ...facet('DatasetVersionDatasetFacet', '1-0-1'), datasetVersion: edge.what } } }),
      ...(kind === 'write' &&
        edge.rows !== undefined && {
          outputFacets: { outputStatistics: { ...facet('OutputStatisticsOutputDatasetFacet', '1-0-2'), rowCount: edge.rows } },
        }),
    })
  }
  return [...found.values()]
}

/** `s3://data-lake/events/` is `events/` of `s3://data-lake`; the name of a declared source is one of the app's. */
function sourceName(address: string): { namespace: string; name: string } {
  const [, namespace, name] = /^([a-z][a-z0-9+.-]*:\/\/[^/]*)\/?(.*)$/i.exec(address) ?? []
  return namespace === undefined
    ? { namespace: 'dotdo', name: address }
    : { namespace, name: name === '' || name === undefined ? '/' : name }
}

/** `R2_BUCKET/analytics.events` is `analytics.events` of the warehouse. */
function tableName(target: string): { namespace: string; name: string } {
  const slash = target.lastIndexOf('/')
  return { namespace: `iceberg://${target.slice(0, Math.max(0, slash))}`, name: target.slice(slash + 1) }
}

/** What started a run, in words. */
export function targetName(target: RunTarget): string {
  if (target.kind === 'schedule') return target.id
  return target.kind === 'event' ? `${target.type} to ${target.handler}` : target.name
}

function jobOf({ object, target }: RunLineage): string {
  return `${object}.${targetName(target)}`
}

function facet(name: string, version: string): Facet {
  return { _producer: producer, _schemaURL: facetURL(name, version) }
}

/** A UUID of version 8, whose bits are the maker's own: RFC 9562, 5.8. The same for the same text. */
function uuid(ports: OpenLineagePorts, text: string): string {
  const hex = ports.digest(text).slice(0, 32)
  const variant = ((Number.parseInt(hex[16]!, 16) & 3) | 8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`
}
