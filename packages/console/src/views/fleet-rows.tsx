/** The entries of the fleet's lists, with what can be done about each. */
import type { ComponentChildren } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import type { AlertSubject, FleetAlert, FleetLetter, FleetRun, FleetSchedule } from 'dotdo/client'
import { formatMs, formatRelative, targetInWords, untoldInWords } from 'dotdo/words'
import type { Api, ObjectApi } from '../api.ts'
import { dateTime, took } from '../format.ts'
import { useAction, useNow } from '../hooks.ts'
import { hrefOf, objectOf } from '../route.ts'
import { ErrorBox, HeldChip, Instant, Status } from './parts.tsx'
import { Windows } from './windows.tsx'

interface Row<Item> {
  api: Api
  item: Item
  /** Something was done: the list is to be read again. */
  onChange: () => void
}

/** A run: leads to its object, and is taken up again or cancelled here. */
export function RunRow({ api, item: { object, run }, onChange }: Row<FleetRun>) {
  const now = useNow(1000)
  const { runId, status, startedAt, endedAt, target, error, tags = [] } = run
  return (
    <li class="fleet-row">
      <Status status={status} />
      <span class="what">
        <a href={runHref(object, runId)}>
          <b>{targetInWords(target)}</b>
        </a>
        <span class="note">{object}</span>
        {tags.map((tag) => (
          <a key={tag} class="chip" title={`All runs with the tag ${tag}`} href={hrefOf({ tab: 'fleet', list: 'runs', filter: { tag } })}>
            {tag}
          </a>
        ))}
        {error && <span class="note clip">{`${error.code ?? error.name}: ${error.message.split('\n')[0]}`}</span>}
      </span>
      <span class="when">
        <Instant at={startedAt} now={now} /> <span class="num note">{took(startedAt, endedAt ?? now)}</span>
      </span>
      <Does api={api} object={object} onChange={onChange}>
        {(does) =>
          status === 'running' ? (
            <Twice label="Cancel" onSure={does((it) => it.cancel(runId))} />
          ) : status === 'held' ? (
            <button onClick={does((it) => it.accept(runId))}>Go on</button>
          ) : status === 'done' ? null : (
            <button onClick={does((it) => it.retry(runId))}>Retry</button>
          )
        }
      </Does>
    </li>
  )
}

/** A schedule: when it fires next, whether it is late or fails; it is run, paused, resumed and filled here. */
export function ScheduleRow({ api, item: { object, schedule, lateSince }, onChange }: Row<FleetSchedule>) {
  const now = useNow(1000)
  const { scheduleId, pattern, timeZone, paused, next, failures, lastStatus, lastFiredAt, lastRunId } = schedule
  const { noun, name } = objectOf(object)
  const own = useMemo(() => api.object(noun, name), [api, noun, name])
  return (
    <li class="fleet-row">
      {lastStatus ? <Status status={lastStatus} /> : <span class="note">never ran</span>}
      <span class="what">
        <a href={hrefOf({ tab: 'schedules', noun, name })}>
          <b>{scheduleId}</b>
        </a>
        <span class="note">
          {object} · {pattern}
          {timeZone === 'UTC' ? '' : ` · ${timeZone}`}
        </span>
        {paused && <span class="chip warn">paused</span>}
        <HeldChip held={schedule.held} href={(runId) => runHref(object, runId)} />
        {lateSince !== undefined && <span class="chip warn">late since {dateTime(lateSince)}</span>}
        {failures !== undefined && failures > 0 && <span class="chip warn">failed {failures}×</span>}
      </span>
      <span class="when">
        {next[0] === undefined ? (
          <span class="note">never again</span>
        ) : paused ? (
          <span class="note">waits</span>
        ) : (
          <Instant at={next[0]} now={now} />
        )}
        {lastFiredAt !== undefined && lastRunId !== undefined && (
          <a class="note" href={runHref(object, lastRunId)}>
            last {formatRelative(lastFiredAt, now)}
          </a>
        )}
      </span>
      <Does api={api} object={object} onChange={onChange}>
        {(does) => (
          <>
            <button
              onClick={does(async (it) => {
                location.hash = runHref(object, await it.trigger(scheduleId))
              })}
            >
              Run now
            </button>
            <button onClick={does((it) => (paused ? it.resume(scheduleId) : it.pause(scheduleId)))}>{paused ? 'Resume' : 'Pause'}</button>
          </>
        )}
      </Does>
      <Windows api={own} noun={noun} name={name} scheduleId={scheduleId} clockAheadMs={0} />
    </li>
  )
}

/** An alert: what it is of, since when, why, and when it was over. */
export function AlertRow({ item }: { item: FleetAlert }) {
  const now = useNow(1000)
  const { object, subject, kind, openedAt, closedAt, count, error, runId, scheduledAt, deadlineMs, untold } = item
  const { noun, name } = objectOf(object)
  const href =
    runId === undefined
      ? subject.kind === 'schedule'
        ? hrefOf({ tab: 'schedules', noun, name })
        : hrefOf({ tab: 'runs', noun, name })
      : runHref(object, runId)
  return (
    <li class={`fleet-row bare ${closedAt === undefined ? '' : 'over'}`}>
      {kind === 'failed' ? (
        <Status status="failed" />
      ) : (
        <span class="status waiting">
          <span aria-hidden="true">◷</span> late
        </span>
      )}
      <span class="what">
        <a href={href}>
          <b>{subjectInWords(subject)}</b>
        </a>
        <span class="note">{object}</span>
        {count > 1 && <span class="chip">{count}×</span>}
        {scheduledAt !== undefined && deadlineMs !== undefined && (
          <span class="note">
            due {dateTime(scheduledAt)}, within {formatMs(deadlineMs)}
          </span>
        )}
        {error && <span class="note clip">{`${error.code === undefined ? '' : `${error.code}: `}${error.message}`}</span>}
        {untold && <span class="chip warn">{untoldInWords(untold)}</span>}
      </span>
      <span class="when">
        <Instant at={openedAt} now={now} />
        {closedAt !== undefined && <span class="note">well after {took(openedAt, closedAt)}</span>}
      </span>
    </li>
  )
}

/** A dead letter: what nobody took, why, and giving it to its handler again. */
export function LetterRow({ api, item: { object, letter }, onChange }: Row<FleetLetter>) {
  const now = useNow(1000)
  const { id, eventType, handler, attempts, error, diedAt, payload } = letter
  return (
    <li class="fleet-row">
      <span class="status failed">
        <span aria-hidden="true">✉</span> dead
      </span>
      <span class="what">
        <b>{eventType}</b>
        <span class="note">
          {object} · to {handler} · {attempts === 1 ? '1 attempt' : `${attempts} attempts`}
        </span>
        <span class="note clip">{`${error.code ?? error.name}: ${error.message}`}</span>
        <code class="clip">{payload.text}</code>
      </span>
      <span class="when">
        <Instant at={diedAt} now={now} />
      </span>
      <Does api={api} object={object} onChange={onChange}>
        {(does) => (
          <>
            <button onClick={does((it) => it.replay(id))}>Replay</button>
            <Twice label="Discard" onSure={does((it) => it.discard(id))} />
          </>
        )}
      </Does>
    </li>
  )
}

type Act = (use: (object: ObjectApi) => Promise<unknown>) => () => void

/** The buttons of a row. What they do, an object does; the index hears of it a moment later. */
function Does({
  api,
  object,
  onChange,
  children,
}: {
  api: Api
  object: string
  onChange: () => void
  children: (does: Act) => ComponentChildren
}) {
  const action = useAction()
  const { noun, name } = objectOf(object)
  const does: Act = (use) => () =>
    action.run('do', async () => {
      await use(api.object(noun, name))
      await new Promise((resolve) => setTimeout(resolve, toldMs))
      onChange()
    })
  return (
    <span class="actions">
      <fieldset disabled={action.busy !== undefined}>{children(does)}</fieldset>
      {action.error !== undefined && <ErrorBox title="That did not work" error={action.error} />}
    </span>
  )
}

/** Objects gather what they tell for half a second. */
const toldMs = 700

/** A button that asks once more: what it does cannot be taken back. */
function Twice({ label, onSure }: { label: string; onSure: () => void }) {
  const [asked, setAsked] = useState(false)
  if (!asked) return <button onClick={() => setAsked(true)}>{label}</button>
  return (
    <button class="danger" onClick={() => (setAsked(false), onSure())} onBlur={() => setAsked(false)}>
      Really {label.toLowerCase()}
    </button>
  )
}

function subjectInWords({ kind, id }: AlertSubject): string {
  return kind === 'method' ? `${id}()` : kind === 'schedule' ? `schedule ${id}` : `handler ${id}`
}

function runHref(object: string, runId: string): string {
  return hrefOf({ tab: 'runs', ...objectOf(object), runId })
}
