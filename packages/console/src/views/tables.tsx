/** The tables of the app's catalog with their current snapshots. */
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { TableOverview } from 'dotdo/client'
import { formatBytes, formatCount } from 'dotdo/words'
import type { Api } from '../api.ts'
import { dateTime } from '../format.ts'
import { useNow } from '../hooks.ts'
import { hrefOf } from '../route.ts'
import { Empty, ErrorBox, Instant } from './parts.tsx'

/** Read once and on demand: tables change by commits, which no object's events tell. */
export function TablesView({ api }: { api: Api }) {
  const [tables, setTables] = useState<TableOverview[]>()
  const [error, setError] = useState<unknown>()
  const [busy, setBusy] = useState(false)
  const load = () => {
    setBusy(true)
    setError(undefined)
    void api
      .tables()
      .then(setTables, setError)
      .finally(() => setBusy(false))
  }
  useEffect(load, [api])
  return (
    <>
      <div class="heading">
        <h1>Tables</h1>
        <button onClick={load} disabled={busy}>
          {busy ? 'Reading…' : 'Read again'}
        </button>
      </div>
      {error !== undefined && <ErrorBox title="The tables could not be read" error={error} onRetry={load} />}
      {tables?.length === 0 && (
        <Empty title="No tables yet">A table is there after the first load: the first write of an IcebergWriter makes it.</Empty>
      )}
      {tables && tables.length > 0 && (
        <ul class="cards">
          {tables.map((table) => (
            <TableCard key={table.name} table={table} />
          ))}
        </ul>
      )}
    </>
  )
}

function TableCard({ table }: { table: TableOverview }) {
  const now = useNow(10_000)
  const { name, location, snapshotId, committedAt, files, rows, bytes: size } = table
  return (
    <li class="card">
      <h2>
        <code>{name}</code>
      </h2>
      <dl class="facts">
        <Fact label="Rows">{formatCount(rows)}</Fact>
        <Fact label="Files">{formatCount(files)}</Fact>
        <Fact label="Size">{formatBytes(size)}</Fact>
        <Fact label="Committed">
          {committedAt === undefined ? (
            'never'
          ) : (
            <>
              <Instant at={committedAt} now={now} /> <span class="note">{dateTime(committedAt)}</span>
            </>
          )}
        </Fact>
        <Fact label="Snapshot">
          {snapshotId === undefined ? (
            'none'
          ) : (
            <a href={hrefOf({ tab: 'tables', of: { table: name, snapshotId } })} title="Where it comes from">
              <code>{String(snapshotId)}</code>
            </a>
          )}
        </Fact>
        <Fact label="Location" wide>
          <code>{location}</code>
        </Fact>
      </dl>
    </li>
  )
}

function Fact({ label, wide, children }: { label: string; wide?: boolean; children: ComponentChildren }) {
  return (
    <div class={wide ? 'wide' : undefined}>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  )
}
