/** Goes back from a table's snapshot, or a run, to what led to it: across all objects of the app. */
import { codeOf, DotdoError } from '../base/errors.ts'
import { redactText } from '../base/redact.ts'
import type { Lineage, SnapshotLineage, WrittenBy } from '../base/lineage-views.ts'
import type { RunLineage } from '../base/views.ts'
import { COMMIT_KEY, WRITTEN_BY, type Snapshot } from '../iceberg/types.ts'
import type { Journal } from '../journal/journal.ts'
import { viewLineage } from '../journal/lineage-view.ts'
import { appRenames } from './app.ts'
import { bucketBindings } from './buckets.ts'
import { catalogOf } from './catalog.ts'
import type { Links } from './nouns.ts'
import { sha256 } from './platform.ts'

/** Runs that are gone back to at most, from one snapshot or run. */
const mostRuns = 100

/** Which snapshot. */
export interface SnapshotName {
  /** `namespace.table`. */
  table: string
  /** The table's current one where it is absent. */
  snapshotId?: number
  /** Whose catalog has the table; the app's only bucket where it is absent. */
  warehouse?: string
}

/** See `lineage`; by links of whoever asks. @throws as that does */
export async function lineageBy(links: Links, name: SnapshotName): Promise<Lineage> {
  const snapshot = await findSnapshot(links, name)
  const { runId, object, calledBy } = snapshot.writtenBy ?? {}
  const first = runId === undefined ? calledBy : { object: object!, runId }
  return view(await walk(links, first ? [first] : []), snapshot)
}

/** Where a run comes from. @throws `RUN_UNKNOWN` */
export async function lineageOfRun(links: Links, own: RunLineage): Promise<Lineage> {
  return view(await walk(links, before(own), own))
}

/** What a run of one object called, read and wrote, by the names that objects have today. @throws `RUN_UNKNOWN` */
export function lineageIn({ journal, label }: { journal: Journal; label: string }, runId: string): RunLineage {
  const lineage = journal.lineage(runId, label)
  const { calledBy } = lineage
  return calledBy ? { ...lineage, calledBy: { ...calledBy, object: appRenames().labelNow(calledBy.object) } } : lineage
}

interface Found {
  runs: RunLineage[]
  missing: string[]
}

const view = ({ runs, missing }: Found, snapshot?: SnapshotLineage): Lineage =>
  viewLineage(runs, { digest: sha256 }, { missing, ...(snapshot && { snapshot }) })

type RunName = { object: string; runId: string }

/** The runs that led to a run: its caller's, the one that waits for it, the one that it was forked from. */
function before({ object, calledBy, parent, forkedFrom }: RunLineage): RunName[] {
  return [
    ...(calledBy ? [{ object: calledBy.object, runId: calledBy.runId }] : []),
    ...(parent ? [{ object, runId: parent.runId }] : []),
    ...(forkedFrom ? [{ object, runId: forkedFrom.runId }] : []),
  ]
}

/** Asks the objects of runs for them, and goes back from each. One that does not answer is named, and the rest is told all the same. */
async function walk(links: Links, from: readonly RunName[], own?: RunLineage): Promise<Found> {
  const found: Found = { runs: own ? [own] : [], missing: [] }
  const seen = new Set(own ? [`${own.object} ${own.runId}`] : [])
  const waiting = [...from]
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const key = `${next.object} ${next.runId}`
    if (seen.has(key)) continue
    seen.add(key)
    if (found.runs.length >= mostRuns) {
      found.missing.push(`what is further back than ${mostRuns} runs`)
      break
    }
    try {
      const run = await askObject(links, next)
      found.runs.push(run)
      waiting.push(...before(run))
    } catch (error) {
      const why =
        codeOf(error) === 'RUN_UNKNOWN' ? 'it is not kept any more' : redactText(error instanceof Error ? error.message : String(error))
      found.missing.push(`run ${next.runId} of ${next.object}: ${why}`)
    }
  }
  return found
}

async function askObject(links: Links, { object, runId }: RunName): Promise<RunLineage> {
  const [, jurisdiction, noun, name] = /^(?:([^:/]+):)?([^/]+)\/(.*)$/s.exec(object) ?? []
  const inspector = links.link(noun!, name!, 'inspector', jurisdiction).root() as unknown as {
    lineageOf(runId: string): Promise<RunLineage>
  }
  return await inspector.lineageOf(runId)
}

/** @throws `TABLE_NOT_FOUND`, `SNAPSHOT_UNKNOWN`, `INVALID_OPTIONS` */
async function findSnapshot(links: Links, { table, snapshotId, warehouse: given }: SnapshotName): Promise<SnapshotLineage> {
  const warehouse = given ?? onlyWarehouse()
  const levels = typeof table === 'string' ? table.split('.') : []
  if (levels.length < 2) throw new DotdoError('INVALID_OPTIONS', `A table is named as 'namespace.table', not ${JSON.stringify(table)}.`)
  const loaded = await catalogOf(
    () => links,
    () => warehouse,
  ).loadTable({ namespace: levels.slice(0, -1), name: levels.at(-1)! })
  if (!loaded) throw new DotdoError('TABLE_NOT_FOUND', `The warehouse ${warehouse} has no table ${table}.`, { data: { warehouse, table } })
  const { metadata } = loaded
  const wanted = snapshotId ?? metadata['current-snapshot-id']
  const snapshot = metadata.snapshots.find((it) => it['snapshot-id'] === wanted)
  if (!snapshot) {
    throw new DotdoError(
      'SNAPSHOT_UNKNOWN',
      snapshotId === undefined
        ? `The table ${table} has no snapshot yet: nothing has been written.`
        : `The table ${table} has no snapshot ${snapshotId}, or not any more. Its newest are ${metadata.snapshots
            .slice(-5)
            .map((it) => it['snapshot-id'])
            .join(', ')}.`,
      { data: { table, ...(snapshotId !== undefined && { snapshotId }) } },
    )
  }
  return described(snapshot, table, warehouse)
}

function described(snapshot: Snapshot, table: string, warehouse: string): SnapshotLineage {
  const { summary } = snapshot
  const { [COMMIT_KEY]: commitKey, [WRITTEN_BY]: by } = summary
  return {
    table,
    warehouse,
    snapshotId: snapshot['snapshot-id'],
    committedAt: snapshot['timestamp-ms'],
    rows: Number(summary['added-records'] ?? 0),
    ...(commitKey !== undefined && { commitKey }),
    ...(by !== undefined && { writtenBy: readWriter(by) }),
  }
}

/** What {@link writtenBy} wrote. Other engines may write to a table, too: what is none of ours is told as it stands. */
function readWriter(text: string): WrittenBy {
  try {
    const by = JSON.parse(text) as Partial<WrittenBy> | null
    const labelNow = (label: string) => appRenames().labelNow(label)
    if (typeof by?.object === 'string') {
      const { calledBy } = by
      return { ...by, object: labelNow(by.object), ...(calledBy && { calledBy: { ...calledBy, object: labelNow(calledBy.object) } }) }
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  return { object: text }
}

/** @throws `INVALID_OPTIONS` */
function onlyWarehouse(): string {
  const names = Object.keys(bucketBindings())
  if (names.length === 1) return names[0]!
  throw new DotdoError(
    'INVALID_OPTIONS',
    `Which warehouse has the table? There are ${names.length} buckets (${names.join(', ')}): say lineage({ table, warehouse: 'R2_BUCKET' }).`,
    { data: { names } },
  )
}
