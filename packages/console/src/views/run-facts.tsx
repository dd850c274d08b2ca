/** What is known of a run beside its steps: when, how long, what it has used, and which runs it belongs to. */
import type { RunView as Run } from 'dotdo/client'
import { budgetInWords, priceInWords } from 'dotdo/words'
import { dateTime, took } from '../format.ts'
import { hrefOf, type ObjectRoute } from '../route.ts'
import { Instant } from './parts.tsx'

/** The facts of a run at the instant `now`, by the object's clock. What there is nothing to say of is left out. */
export function RunFacts({ route: { noun, name }, run, now }: { route: ObjectRoute; run: Run; now: number }) {
  const runHref = (runId: string) => hrefOf({ tab: 'runs', noun, name, runId })
  return (
    <dl class="facts run-facts">
      <div>
        <dt>{run.status === 'held' ? 'Since it began' : run.endedAt === undefined ? 'Running for' : 'Took'}</dt>
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
      {run.price && priceInWords(run.price) !== '' && (
        <div>
          <dt>Used</dt>
          <dd>{priceInWords(run.price)}</dd>
        </div>
      )}
      {run.budget && (
        <div>
          <dt>Budget</dt>
          <dd>{budgetInWords(run.budget)}</dd>
        </div>
      )}
      {run.forkedFrom && (
        <div>
          <dt>Forked from</dt>
          <dd>
            <a href={runHref(run.forkedFrom.runId)}>{run.forkedFrom.runId}</a>
            {run.forkedFrom.stepId !== undefined && <span class="note"> at {run.forkedFrom.stepId}</span>}
          </dd>
        </div>
      )}
      {run.parent && (
        <div>
          <dt>For</dt>
          <dd>
            <a href={runHref(run.parent.runId)}>{run.parent.stepId}</a>
          </dd>
        </div>
      )}
      {run.tags && run.tags.length > 0 && (
        <div>
          <dt>Tags</dt>
          <dd class="inline">
            {run.tags.map((tag) => (
              <span key={tag} class="chip">
                {tag}
              </span>
            ))}
          </dd>
        </div>
      )}
      <div class="wide">
        <dt>Run</dt>
        <dd>
          <code>{run.runId}</code>
        </dd>
      </div>
    </dl>
  )
}
