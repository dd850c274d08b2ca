/** The list of runs, newest first. */
import { formatRelative, targetInWords } from 'dotdo/words'
import { dateTime, took } from '../format.ts'
import { useAction, useNow, type LiveObject } from '../hooks.ts'
import { hrefOf, type ObjectRoute } from '../route.ts'
import { Empty, ErrorBox, LinkState, Status } from './parts.tsx'

/** Runs by pages of 50; each row leads to its run. */
export function RunsView({ live, route }: { live: LiveObject; route: ObjectRoute }) {
  const { state, link } = live
  const running = state.runs.some(({ status }) => status === 'running')
  const now = useNow(running ? 200 : 1000) + state.clockAheadMs
  const older = useAction()
  const { noun, name } = route
  return (
    <>
      <div class="heading">
        <h1>Runs</h1>
        <LinkState link={link} />
      </div>
      {!state.loaded && live.error === undefined && <p class="note">Reading the runs…</p>}
      {state.loaded && state.runs.length === 0 && (
        <Empty title="No runs yet">
          A run begins when a schedule fires, when a method that takes durable steps is called, or when an event is handled.{' '}
          <a href={hrefOf({ tab: 'schedules', noun, name })}>Schedules</a> can be run now.
        </Empty>
      )}
      {state.runs.length > 0 && (
        <>
          <div class="run-row columns" aria-hidden="true">
            <span>Status</span>
            <span>What</span>
            <span>Started</span>
            <span>Took</span>
          </div>
          <ul class="rows" aria-label="Runs, newest first">
            {state.runs.map((run) => (
              <li key={run.runId}>
                <a class="run-row" href={hrefOf({ tab: 'runs', noun, name, runId: run.runId })}>
                  <Status status={run.status} />
                  <span class="what">
                    <b>{targetInWords(run.target)}</b>
                    {run.attempt > 1 && <span class="chip">taken up again{run.attempt > 2 ? ` ${run.attempt - 1}×` : ''}</span>}
                    {run.error && (
                      <span class="note clip">{`${run.error.code ?? run.error.name}: ${run.error.message.split('\n')[0]}`}</span>
                    )}
                  </span>
                  <time dateTime={new Date(run.startedAt).toISOString()} title={dateTime(run.startedAt)}>
                    {formatRelative(run.startedAt, now)}
                  </time>
                  <span class="num">{took(run.startedAt, run.endedAt ?? now)}</span>
                </a>
              </li>
            ))}
          </ul>
        </>
      )}
      {older.error !== undefined && <ErrorBox title="Older runs could not be read" error={older.error} />}
      {state.hasOlder && (
        <p>
          <button disabled={older.busy !== undefined} onClick={() => older.run('older', () => live.loadOlder())}>
            Show older runs
          </button>
        </p>
      )}
    </>
  )
}
