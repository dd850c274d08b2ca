/** The windows of a schedule: which stretches of time its runs have covered, and running those that they have not. */
import { useEffect, useState } from 'preact/hooks'
import type { BackfillView, PartitionView } from 'dotdo/client'
import { formatCount } from 'dotdo/words'
import { dateTime } from '../format.ts'
import { useAction } from '../hooks.ts'
import type { ObjectApi } from '../api.ts'
import { hrefOf } from '../route.ts'
import { ErrorBox, Status } from './parts.tsx'

const dayMs = 86_400_000
/** How far back one look goes. */
const looks = [
  { label: '2 days', ms: 2 * dayMs },
  { label: '2 weeks', ms: 14 * dayMs },
  { label: '3 months', ms: 92 * dayMs },
]
/** How often a backfill that runs is asked how far it is: it has no events of its own. */
const askEveryMs = 1000
/** Backfills that are shown, the newest. */
const backfillsShown = 5
const takes = new Set(['missing', 'failed', 'stale'])

interface Props {
  api: ObjectApi
  noun: string
  name: string
  scheduleId: string
  /** How much further the object's clock is than this one. */
  clockAheadMs: number
}

/** Read of the object on demand, which wakes it: most who look at schedules do not ask for it. */
export function Windows({ api, noun, name, scheduleId, clockAheadMs }: Props) {
  const [look, setLook] = useState(1)
  const [windows, setWindows] = useState<PartitionView[]>()
  const [hasMore, setHasMore] = useState(false)
  const [span, setSpan] = useState<{ from: number; to: number }>()
  const [backfills, setBackfills] = useState<BackfillView[]>([])
  const action = useAction()
  const read = async (which: number) => {
    const to = Date.now() + clockAheadMs
    const from = to - looks[which]!.ms
    const [found, begun] = await Promise.all([api.partitions(scheduleId, from, to), api.backfills(scheduleId)])
    setWindows(found.windows)
    setHasMore(found.hasMore)
    setSpan({ from, to })
    setBackfills(begun.slice(0, backfillsShown))
  }
  const isRunning = backfills.some(({ status }) => status === 'running')
  useEffect(() => {
    if (!isRunning) return
    const timer = setInterval(() => document.visibilityState === 'visible' && action.run('look', () => read(look)), askEveryMs)
    return () => clearInterval(timer)
  }, [isRunning, look])
  const open = windows?.filter(({ state }) => takes.has(state)).length ?? 0
  const fill = async () => {
    await api.backfill(scheduleId, span!.from, span!.to)
    await read(look)
  }
  // Looking how far it is goes on beside what somebody does.
  const isBusy = action.busy !== undefined && action.busy !== 'look'
  return (
    <details class="windows" onToggle={(event) => event.currentTarget.open && !windows && action.run('read', () => read(look))}>
      <summary>Windows</summary>
      <div class="inline">
        <select
          aria-label={`Windows of ${scheduleId} that are shown`}
          value={String(look)}
          onChange={(event) => {
            const which = Number(event.currentTarget.value)
            setLook(which)
            action.run('read', () => read(which))
          }}
        >
          {looks.map(({ label }, index) => (
            <option key={label} value={String(index)}>
              the last {label}
            </option>
          ))}
        </select>
        <button disabled={isBusy} onClick={() => action.run('read', () => read(look))}>
          Read again
        </button>
        {open > 0 && (
          <button class="primary" disabled={isBusy} onClick={() => action.run('fill', fill)}>
            {action.busy === 'fill' ? 'Starting…' : hasMore ? 'Backfill all' : `Backfill ${formatCount(open)}`}
          </button>
        )}
      </div>
      {action.error !== undefined && <ErrorBox title="That did not work" error={action.error} />}
      {backfills.length > 0 && (
        <ul class="backfills" aria-label="Backfills, newest first">
          {backfills.map((backfill) => (
            <Backfill
              key={backfill.backfillId}
              backfill={backfill}
              onCancel={() =>
                action.run('cancel', async () => (await api.cancelBackfill(scheduleId, backfill.backfillId), await read(look)))
              }
            />
          ))}
        </ul>
      )}
      {windows?.length === 0 && <p class="note">No window has ended in that time.</p>}
      {windows && windows.length > 0 && (
        <>
          <p class="note">
            {summaryOf(windows)}
            {hasMore && ` · these are the first ${formatCount(windows.length)} of that time, and there are more: look at a shorter one`}
          </p>
          <ol class="strip" aria-label="Windows, oldest first">
            {windows.map(({ start, end, state, runId, held }) => {
              const title = `${held ? 'held' : state}: ${dateTime(start)} to ${dateTime(end)}`
              return (
                <li key={end} class={state} title={title}>
                  {runId === undefined ? (
                    <span class="hidden">{title}</span>
                  ) : (
                    <a href={hrefOf({ tab: 'runs', noun, name, runId })}>
                      <span class="hidden">{title}</span>
                    </a>
                  )}
                </li>
              )
            })}
          </ol>
        </>
      )}
    </details>
  )
}

/** One backfill: how far it is, how its windows ended, and ending it. */
function Backfill({ backfill, onCancel }: { backfill: BackfillView; onCancel: () => void }) {
  const { status, from, to, windows, done, failed, cancelled, passed, running } = backfill
  const looked = done + failed + cancelled + passed
  const words = [
    `${formatCount(looked)}${windows === undefined ? '' : ` of ${formatCount(windows)}`} windows`,
    `${formatCount(done)} done`,
    failed > 0 ? `${formatCount(failed)} failed${status === 'running' ? '' : ', which Backfill takes again'}` : '',
    cancelled > 0 ? `${formatCount(cancelled)} cancelled` : '',
    running > 0 ? `${formatCount(running)} running` : '',
  ].filter(Boolean)
  return (
    <li class="inline">
      {/* It has come to its end, and that is not all that one wants to know: done are its windows only where none failed. */}
      <Status status={status === 'done' && failed > 0 ? 'failed' : status} />
      {status === 'running' && <progress value={looked} max={Math.max(1, windows ?? looked + running + 1)} aria-label="How far it is" />}
      <span>{words.join(' · ')}</span>
      <span class="note">
        {dateTime(from)} to {dateTime(to)}
      </span>
      {status === 'running' && <button onClick={onCancel}>Cancel backfill</button>}
    </li>
  )
}

function summaryOf(windows: readonly PartitionView[]): string {
  const counts = new Map<string, number>()
  for (const { state } of windows) counts.set(state, (counts.get(state) ?? 0) + 1)
  return [...counts].map(([state, n]) => `${formatCount(n)} ${state}`).join(' · ')
}
