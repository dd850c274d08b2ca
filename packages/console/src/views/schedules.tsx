/** The schedules of an object: when they fire next, what they did last, and Run now. */
import { useEffect, useRef } from 'preact/hooks'
import type { ScheduleView as Schedule } from 'dotdo/client'
import { budgetInWords, formatRelative } from 'dotdo/words'
import { dayTime, took, zoneName } from '../format.ts'
import { useAction, useNow, type LiveObject } from '../hooks.ts'
import { hrefOf, type ObjectRoute } from '../route.ts'
import { Empty, ErrorBox, HeldChip, Instant, LinkState } from './parts.tsx'
import { Windows } from './windows.tsx'

/** How many instants are shown of each schedule. */
const instantsShown = 5

/** A card for each schedule. */
export function SchedulesView({ live, route }: { live: LiveObject; route: ObjectRoute }) {
  const { state } = live
  return (
    <>
      <div class="heading">
        <h1>Schedules</h1>
        <LinkState link={live.link} />
      </div>
      {!state.loaded && live.error === undefined && <p class="note">Reading the schedules…</p>}
      {state.loaded && state.schedules.length === 0 && (
        <Empty title="No schedules">
          Declare one in <code>init()</code>: <code>this.every.day.at('2am')(() =&gt; …)</code>.
        </Empty>
      )}
      <ul class="cards">
        {state.schedules.map((schedule) => (
          <ScheduleCard key={schedule.scheduleId} live={live} route={route} schedule={schedule} />
        ))}
      </ul>
    </>
  )
}

function ScheduleCard({ live, route, schedule }: { live: LiveObject; route: ObjectRoute; schedule: Schedule }) {
  const now = useNow(1000) + live.state.clockAheadMs
  const action = useAction()
  const { noun, name } = route
  const { scheduleId, pattern, timeZone, paused, next, lastFiredAt, lastRunId, budget } = schedule
  const heading = `schedule-${scheduleId.replace(/\W+/g, '-')}`
  const current = live.state.runs.find(
    ({ status, target }) => status === 'running' && target.kind === 'schedule' && target.id === scheduleId,
  )
  const show = (runId: string) => (location.hash = hrefOf({ tab: 'runs', noun, name, runId }))
  // What runs is worth watching: it is shown as soon as its start is told, which may be before a busy object answers.
  const before = useRef<string | undefined>(undefined)
  const isNew = action.busy === 'run' && current !== undefined && current.runId !== before.current
  useEffect(() => {
    if (isNew) show(current.runId)
  }, [isNew])
  const place = location.hash
  const runNow = async () => {
    before.current = current?.runId
    const runId = await live.api.trigger(scheduleId)
    // Not for somebody who has gone on to another place meanwhile.
    if (location.hash === place) show(runId)
  }
  const setPaused = async (pause: boolean) => {
    await (pause ? live.api.pause(scheduleId) : live.api.resume(scheduleId))
    live.refresh()
  }
  return (
    <li class="card" aria-labelledby={heading}>
      <div class="card-head">
        <h2 id={heading}>
          {pattern} {paused && <span class="chip warn">paused</span>}{' '}
          <HeldChip held={schedule.held} href={(runId) => hrefOf({ tab: 'runs', noun, name, runId })} />
        </h2>
        <span class="actions">
          <button class="primary" disabled={action.busy !== undefined} onClick={() => action.run('run', runNow)}>
            {action.busy === 'run' ? 'Starting…' : 'Run now'}
          </button>
          <button disabled={action.busy !== undefined} onClick={() => action.run('pause', () => setPaused(!paused))}>
            {paused ? 'Resume' : 'Pause'}
          </button>
        </span>
      </div>
      <dl class="facts">
        <div>
          <dt>Id</dt>
          <dd>
            <code>{scheduleId}</code>
          </dd>
        </div>
        <div>
          <dt>Zone</dt>
          <dd>{timeZone}</dd>
        </div>
        <div>
          <dt>Last run</dt>
          <dd>
            {lastFiredAt === undefined ? (
              'never'
            ) : lastRunId === undefined ? (
              <Instant at={lastFiredAt} now={now} />
            ) : (
              <a href={hrefOf({ tab: 'runs', noun, name, runId: lastRunId })}>
                <Instant at={lastFiredAt} now={now} />
              </a>
            )}
          </dd>
        </div>
        {budget && (
          <div>
            <dt>Budget of a run</dt>
            <dd>{budgetInWords(budget)}</dd>
          </div>
        )}
        {current && (
          <div>
            <dt>Running</dt>
            <dd>
              <a href={hrefOf({ tab: 'runs', noun, name, runId: current.runId })}>for {took(current.startedAt, now)}</a>
            </dd>
          </div>
        )}
      </dl>
      {action.error !== undefined && <ErrorBox title="That did not work" error={action.error} />}
      <Windows api={live.api} noun={noun} name={name} scheduleId={scheduleId} clockAheadMs={live.state.clockAheadMs} />
      <h3>Next {next[0] !== undefined && !paused && <span class="note">your time, {zoneName(next[0])}</span>}</h3>
      {paused ? (
        <p class="note">Paused: it fires again after Resume.</p>
      ) : next.length === 0 ? (
        <p class="note">It does not fire again.</p>
      ) : (
        <ol class="instants">
          {next.slice(0, instantsShown).map((at) => (
            <li key={at}>
              <time dateTime={new Date(at).toISOString()}>{dayTime(at)}</time> <span class="note num">{formatRelative(at, now)}</span>
            </li>
          ))}
        </ol>
      )}
    </li>
  )
}
