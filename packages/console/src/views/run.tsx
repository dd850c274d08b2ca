/** One run: its steps as a live picture, what went in, and what came out. */
import { useState } from 'preact/hooks'
import type { RunView as Run } from 'dotdo/client'
import { targetInWords } from 'dotdo/words'
import { useAction, useNow, type LiveObject } from '../hooks.ts'
import { hrefOf, type ObjectRoute, type RunSide } from '../route.ts'
import { ForkSide } from './fork.tsx'
import { HeldRun } from './held.tsx'
import { LineageDetails, LineageState, useLineage } from './lineage.tsx'
import { Empty, ErrorBox, LinkState, Preview, Status } from './parts.tsx'
import { RunFacts } from './run-facts.tsx'
import { TimelineView } from './timeline.tsx'

/** The run `runId`; says why where there is none. */
export function RunView({ live, route, runId, side }: { live: LiveObject; route: ObjectRoute; runId: string; side: RunSide | undefined }) {
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
      {run ? (
        <RunDetails live={live} route={route} run={run} side={side} />
      ) : (
        live.error === undefined && <p class="note">Reading the run…</p>
      )}
    </>
  )
}

interface RunProps {
  live: LiveObject
  route: ObjectRoute
  run: Run
}

function RunDetails({ side, ...props }: RunProps & { side: RunSide | undefined }) {
  const { live, run, route } = props
  const now = useNow(run.status === 'running' ? 100 : 1000) + live.state.clockAheadMs
  const { noun, name } = route
  const hasEnded = run.status !== 'running' && run.status !== 'held'
  return (
    <>
      <div class="heading">
        <h1>{targetInWords(run.target)}</h1>
        <span role="status" class="big">
          <Status status={run.status} />
        </span>
        <LinkState link={live.link} />
        {!hasEnded && <CancelRun live={live} run={run} />}
        {hasEnded && run.status !== 'done' && <Retry live={live} runId={run.runId} />}
      </div>
      <RunFacts route={route} run={run} now={now} />
      {run.error && <ErrorBox title={errorTitles[run.status] ?? 'Why it failed'} error={run.error} />}
      {/* Another deploy is another change: what was told of the one before goes. */}
      {run.status === 'held' && <HeldRun key={run.error?.message} live={live} runId={run.runId} />}
      <nav class="lists" aria-label="Sides of the run">
        {sides
          .filter(({ side }) => side !== 'fork' || hasEnded)
          .map(({ side: other, label }) => (
            <a
              key={label}
              href={hrefOf({ tab: 'runs', noun, name, runId: run.runId, ...(other && { side: other }) })}
              aria-current={other === side ? 'page' : undefined}
            >
              {label}
            </a>
          ))}
      </nav>
      {side === 'lineage' && <RunLineageSide {...props} />}
      {side === 'fork' && (hasEnded ? <ForkSide {...props} /> : <p class="note">A run can be forked when it has ended.</p>)}
      {side === undefined && <StepsSide run={run} now={now} />}
    </>
  )
}

const errorTitles: Partial<Record<Run['status'], string>> = { cancelled: 'Cancelled', held: 'Why it is held' }

const sides: readonly { side: RunSide | undefined; label: string }[] = [
  { side: undefined, label: 'Steps' },
  { side: 'lineage', label: 'Lineage' },
  { side: 'fork', label: 'Fork' },
]

function RunLineageSide({ live, run }: RunProps) {
  // What its steps did is written down with what they come to: it is read again when another has ended.
  const ended = (run.steps ?? []).filter(({ endedAt }) => endedAt !== undefined).length
  const { lineage, error, again } = useLineage(() => live.api.lineage(run.runId), `${run.runId} ${run.status} ${ended}`)
  if (!lineage || error !== undefined) return <LineageState error={error} again={again} what="this run" />
  return <LineageDetails lineage={lineage} name={run.runId} />
}

function StepsSide({ run, now }: { run: Run; now: number }) {
  const { steps } = run
  return (
    <>
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

/** Takes up a run that failed or was cancelled. */
function Retry({ live, runId }: { live: LiveObject; runId: string }) {
  const action = useAction()
  return (
    <span class="actions">
      <button
        class="primary"
        disabled={action.busy !== undefined}
        onClick={() => action.run('retry', async () => (await live.api.retry(runId), live.refresh()))}
      >
        Retry
      </button>
      {action.error !== undefined && <ErrorBox title="That did not work" error={action.error} />}
    </span>
  )
}

/** Ends a run, in two presses: it cannot be taken back. */
function CancelRun({ live, run: { runId, status } }: { live: LiveObject; run: Run }) {
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
          <button onClick={() => setAsked(false)}>{status === 'held' ? 'Keep it' : 'Keep running'}</button>
        </>
      ) : (
        <button onClick={() => setAsked(true)}>Cancel run</button>
      )}
      {action.error !== undefined && <ErrorBox title="It could not be cancelled" error={action.error} />}
    </span>
  )
}
