/** A snapshot of a table: who wrote it, and what led to that. */
import type { SnapshotLineage } from 'dotdo/client'
import { formatCount } from 'dotdo/words'
import type { Api } from '../api.ts'
import { dateTime } from '../format.ts'
import { useNow } from '../hooks.ts'
import { hrefOf, objectOf, type SnapshotPlace } from '../route.ts'
import { LineageDetails, LineageState, useLineage } from './lineage.tsx'
import { Instant } from './parts.tsx'

/** Where a snapshot of a table comes from. */
export function SnapshotView({ api, of }: { api: Api; of: SnapshotPlace }) {
  const { lineage, error, again } = useLineage(() => api.lineage(of), JSON.stringify(of))
  return (
    <>
      <p class="back">
        <a href={hrefOf({ tab: 'tables' })}>← All tables</a>
      </p>
      <div class="heading">
        <h1>
          <code>{of.table}</code>
        </h1>
      </div>
      {lineage?.snapshot && <Facts snapshot={lineage.snapshot} />}
      {lineage ? (
        <LineageDetails lineage={lineage} name={`${of.table}-${lineage.snapshot?.snapshotId ?? 'current'}`} />
      ) : (
        <LineageState error={error} again={again} what={of.table} />
      )}
    </>
  )
}

function Facts({ snapshot: { snapshotId, committedAt, rows, writtenBy, warehouse, commitKey } }: { snapshot: SnapshotLineage }) {
  const now = useNow(10_000)
  // One that a call of a step wrote, in code without a run of its own.
  const by = writtenBy?.runId === undefined ? writtenBy?.calledBy : { ...writtenBy, runId: writtenBy.runId }
  return (
    <dl class="facts run-facts">
      <div>
        <dt>Snapshot</dt>
        <dd>
          <code>{String(snapshotId)}</code>
        </dd>
      </div>
      <div>
        <dt>Rows added</dt>
        <dd class="num">{formatCount(rows)}</dd>
      </div>
      <div>
        <dt>Committed</dt>
        <dd>
          <Instant at={committedAt} now={now} /> <span class="note">{dateTime(committedAt)}</span>
        </dd>
      </div>
      <div>
        <dt>Warehouse</dt>
        <dd>
          <code>{warehouse}</code>
        </dd>
      </div>
      {commitKey !== undefined && (
        <div>
          <dt>Commit key</dt>
          <dd>
            <code>{commitKey}</code>
          </dd>
        </div>
      )}
      <div class="wide">
        <dt>Written by</dt>
        <dd>
          {by ? (
            <>
              <a href={hrefOf({ tab: 'runs', ...objectOf(by.object), runId: by.runId })}>
                {by.stepId === undefined ? 'a run' : `step ${by.stepId}`} of {by.object}
              </a>{' '}
              <code>{by.runId}</code>
            </>
          ) : writtenBy ? (
            `${writtenBy.object}, outside of any run`
          ) : (
            'nobody of this app, or nobody who left a name'
          )}
        </dd>
      </div>
    </dl>
  )
}
