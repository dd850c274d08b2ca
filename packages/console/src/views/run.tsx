/** One run: its steps as a live picture, what went in, and what came out. */
import { useState } from 'preact/hooks'
import { targetInWords, type RunView as Run } from 'dotdo/client'
import { dateTime, took } from '../format.ts'
import { useAction, useNow, type LiveObject } from '../hooks.ts'
import { hrefOf, type ObjectRoute } from '../route.ts'
import { Empty, ErrorBox, Instant, LinkState, Preview, Status } from './parts.tsx'
import { TimelineView } from './timeline.tsx'

/** The run `runId`; says why where there is none. */
export function RunView({ live, route, runId }: { live: LiveObject; route: ObjectRoute; runId: string }) {
  const { noun, name } = route
  const { state, openError } = live
  // Until its steps are read, what the list knows of the run is shown.
  const run = state.open?.runId === runId ? state.open : state.runs.find((known) => known.runId === runId)
  const back = (
    <p class="back">
      <a href={hrefOf({ tab: 'runs', noun, name })}>← All runs</a>
    </p>
  )
  if (openError !== undefined) {
    return (
      <>
        {back}
        <h1>Run</h1>
        <ErrorBox title="This run cannot be shown" error={openError} />
      </>
    )
  }
  return (
    <>
      {back}
      {run ? <RunDetails live={live} run={run} /> : live.error === undefined && <p class="note">Reading the run…</p>}
    </>
  )
}

function RunDetails({ live, run }: { live: LiveObject; run: Run }) {
  const now = useNow(run.status === 'running' ? 100 : 1000) + live.state.clockAheadMs
  const steps = run.steps
  return (
    <>
      <div class="heading">
        <h1>{targetInWords(run.target)}</h1>
        <span role="status" class="big">
          <Status status={run.status} />
        </span>
        <LinkState link={live.link} />
        {run.status === 'running' ? <CancelRun live={live} runId={run.runId} /> : <Again live={live} run={run} />}
      </div>
      <dl class="facts run-facts">
        <div>
          <dt>{run.endedAt === undefined ? 'Running for' : 'Took'}</dt>
          <dd class="num">{took(run.startedAt, run.endedAt ?? now)}</dd>
        </div>
        <div>
          <dt>Started</dt>
          <dd>
            <Instant at={run.startedAt} now={now} /> <span class="note">{dateTime(run.startedAt)}</span>
          </dd>
        </div>
        {run.target.kind === 'schedule' && (
          <div>
            <dt>Due</dt>
            <dd>{dateTime(run.target.scheduledAt)}</dd>
          </div>
        )}
        {run.attempt > 1 && (
          <div>
            <dt>Interrupted</dt>
            <dd>{run.attempt === 2 ? 'once, and taken up again' : `${run.attempt - 1} times, and taken up again`}</dd>
          </div>
        )}
        <div class="wide">
          <dt>Run</dt>
          <dd>
            <code>{run.runId}</code>
          </dd>
        </div>
      </dl>
      {run.error && <ErrorBox title={run.status === 'cancelled' ? 'Cancelled' : 'Why it failed'} error={run.error} />}
      <section aria-labelledby="steps">
        <h2 id="steps">Steps {steps && steps.length > 0 && <span class="note">{stepsInWords(run)}</span>}</h2>
        {!steps && <p class="note">Reading the steps…</p>}
        {steps?.length === 0 && (
          <Empty title={run.status === 'running' ? 'No step has started yet' : 'No steps'}>
            Work that is wrapped in{' '}
            <code>
              this.do(…, {'{'} stepId {'}'})
            </code>{' '}
            is a step: kept, retried, and shown here.
          </Empty>
        )}
        {steps && steps.length > 0 && <TimelineView run={run} now={now} />}
      </section>
      <section class="values" aria-label="Input and result">
        {run.input ? <Preview value={run.input} label="Input" /> : <p class="note">No input.</p>}
        {run.result ? (
          <Preview value={run.result} label="Result" />
        ) : (
          <p class="note">{run.status === 'running' ? 'The result stands here when the run has ended.' : 'No result.'}</p>
        )}
      </section>
    </>
  )
}

function stepsInWords({ steps = [] }: Run): string {
  const of = (status: string) => steps.filter((step) => step.status === status).length
  const parts = [`${of('done')} of ${steps.length} done`]
  for (const status of ['running', 'waiting', 'failed']) if (of(status) > 0) parts.push(`${of(status)} ${status}`)
  return parts.join(' · ')
}

/** Takes a run up again, or forks it: a run of its own, which takes over what was done before one of the steps. */
function Again({ live, run }: { live: LiveObject; run: Run }) {
  const action = useAction()
  const [from, setFrom] = useState('')
  const { runId, status, steps = [] } = run
  const fork = async () => {
    const forked = await live.api.fork(runId, from === '' ? undefined : from)
    location.hash = location.hash.replace(/[^/]+$/, encodeURIComponent(forked))
  }
  return (
    <span class="actions">
      {status !== 'done' && (
        <button
          class="primary"
          disabled={action.busy !== undefined}
          onClick={() => action.run('retry', async () => (await live.api.retry(runId), live.refresh()))}
        >
          {status === 'held' ? 'Go on' : 'Retry'}
        </button>
      )}
      {status !== 'held' && (
        <>
          <select aria-label="Fork from" value={from} onChange={(event) => setFrom(event.currentTarget.value)}>
            <option value="">from the beginning</option>
            {steps
              .filter(({ kind }) => kind !== 'undo')
              .map(({ stepId }) => (
                <option key={stepId} value={stepId}>
                  from {stepId}
                </option>
              ))}
          </select>
          <button disabled={action.busy !== undefined} onClick={() => action.run('fork', fork)}>
            Fork
          </button>
        </>
      )}
      {action.error !== undefined && <ErrorBox title="That did not work" error={action.error} />}
    </span>
  )
}

/** Ends a run, in two presses: it cannot be taken back. */
function CancelRun({ live, runId }: { live: LiveObject; runId: string }) {
  const [asked, setAsked] = useState(false)
  const action = useAction()
  return (
    <span class="actions">
      {asked ? (
        <>
          <button
            class="danger"
            autofocus
            disabled={action.busy !== undefined}
            onClick={() => action.run('cancel', async () => (await live.api.cancel(runId), setAsked(false), live.refresh()))}
          >
            Really cancel
          </button>
          <button onClick={() => setAsked(false)}>Keep running</button>
        </>
      ) : (
        <button onClick={() => setAsked(true)}>Cancel run</button>
      )}
      {action.error !== undefined && <ErrorBox title="It could not be cancelled" error={action.error} />}
    </span>
  )
}
