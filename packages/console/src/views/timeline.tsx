/** The steps of a run over time: what ran beside what, how long, and how far it is. */
import { useState } from 'preact/hooks'
import type { RunView } from 'dotdo/client'
import { nextInWords, progressInWords, took } from '../format.ts'
import { layOutTimeline, type Timeline, type TimelineRow } from '../timeline.ts'
import { ErrorBox, Preview, Status } from './parts.tsx'

/** Rows that are drawn until more are asked for: a run may have thousands of steps. */
const rowsAtOnce = 200

/** The steps of `run` as they stand at `now`, by the object's clock; a press on one opens what is known of it. */
export function TimelineView({ run, now }: { run: RunView; now: number }) {
  const [selected, setSelected] = useState<string>()
  const [limit, setLimit] = useState(rowsAtOnce)
  const timeline = layOutTimeline(run, now)
  const more = timeline.rows.length - limit
  return (
    <div class="timeline">
      <Axis timeline={timeline} />
      <ol onKeyDown={moveBetween}>
        {timeline.rows.slice(0, limit).map((row) => (
          <StepRow
            key={row.step.stepId}
            row={row}
            now={now}
            timeline={timeline}
            open={selected === row.step.stepId}
            onToggle={() => setSelected(selected === row.step.stepId ? undefined : row.step.stepId)}
          />
        ))}
      </ol>
      {more > 0 && (
        <p>
          <button onClick={() => setLimit(limit + rowsAtOnce)}>
            Show {Math.min(more, rowsAtOnce)} of {more} more steps
          </button>
        </p>
      )}
    </div>
  )
}

function Axis({ timeline }: { timeline: Timeline }) {
  return (
    <div class="step-row axis" aria-hidden="true">
      <span class="step-name" />
      <span class="track">
        {timeline.ticks.map(({ left, label, isLast, isCrowded }) => (
          <span key={label} class={`tick${isLast ? ' last' : ''}${isCrowded ? ' crowded' : ''}`} style={{ left: `${left}%` }}>
            {label}
          </span>
        ))}
      </span>
      <span class="step-meta" />
    </div>
  )
}

interface StepRowProps {
  row: TimelineRow
  timeline: Timeline
  now: number
  open: boolean
  onToggle: () => void
}

function StepRow({ row, timeline, now, open, onToggle }: StepRowProps) {
  const { step, bar, waiting, elapsedMs } = row
  const progress = progressInWords(step.progress, elapsedMs)
  const panel = `step ${step.stepId}`.replace(/\W+/g, '-')
  return (
    <li class={open ? 'open' : undefined}>
      <button class="step-row" aria-expanded={open} aria-controls={panel} onClick={onToggle}>
        <span class="step-name">
          <Status status={step.status} quiet />
          <span class="clip" title={step.stepId}>
            {step.stepId}
          </span>
          {step.attempt > 1 && <span class="chip retried">attempt {step.attempt}</span>}
        </span>
        <span class="track" aria-hidden="true">
          {timeline.ticks.map(({ left, label }) => (
            <span key={label} class="gridline" style={{ left: `${left}%` }} />
          ))}
          {waiting && <span class="bar until-next" style={{ left: `${waiting.left}%`, width: `${waiting.width}%` }} />}
          <span
            class={`bar ${step.status}${step.attempt > 1 ? ' retried' : ''}`}
            style={{ left: `${bar.left}%`, width: `${bar.width}%` }}
          />
        </span>
        <span class="step-meta">
          <span class="num">{took(0, elapsedMs)}</span>
          <span class="note clip">{nextInWords(step, now) || progress}</span>
        </span>
      </button>
      <div id={panel} hidden={!open} class="step-panel">
        {open && <StepDetails row={row} />}
      </div>
    </li>
  )
}

function StepDetails({ row: { step, elapsedMs } }: { row: TimelineRow }) {
  const progress = progressInWords(step.progress, elapsedMs)
  return (
    <>
      <dl class="facts">
        <div>
          <dt>Status</dt>
          <dd>
            <Status status={step.status} />
          </dd>
        </div>
        <div>
          <dt>Attempts</dt>
          <dd class="num">{step.attempt}</dd>
        </div>
        <div>
          <dt>Took</dt>
          <dd class="num">{took(0, elapsedMs)}</dd>
        </div>
        {progress && (
          <div>
            <dt>Progress</dt>
            <dd class="num">{progress}</dd>
          </div>
        )}
        {step.progress?.at && (
          <div class="wide">
            <dt>{step.endedAt === undefined ? 'At' : 'Last at'}</dt>
            <dd>
              <code>{step.progress.at}</code>
            </dd>
          </div>
        )}
      </dl>
      {step.error && <ErrorBox title={step.status === 'failed' ? 'Why it failed' : 'Why the last attempt failed'} error={step.error} />}
      {step.result && <Preview value={step.result} label="Result" />}
      {!step.error && !step.result && (
        <p class="note">{step.endedAt === undefined ? 'The result stands here when the step has ended.' : 'No result.'}</p>
      )}
    </>
  )
}

/** Arrow keys go from step to step, Home and End to the first and the last. */
function moveBetween(event: KeyboardEvent & { currentTarget: HTMLOListElement }): void {
  const rows = [...event.currentTarget.querySelectorAll<HTMLButtonElement>('button.step-row')]
  const at = rows.indexOf(document.activeElement as HTMLButtonElement)
  if (at < 0) return
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key]
  const row = to === undefined ? undefined : rows[to]
  if (!row) return
  event.preventDefault()
  row.focus()
}
