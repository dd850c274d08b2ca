/** Forking a run: from which step, what that would write against what the run wrote, and doing it. */
import { useState } from 'preact/hooks'
import { codeOf, type ForkDiff, type ForkedStep, type LineageEdge, type RunView as Run } from 'dotdo/client'
import { counted } from 'dotdo/words'
import { useAction, type LiveObject } from '../hooks.ts'
import { hrefOf, type ObjectRoute } from '../route.ts'
import { EdgeWords } from './lineage.tsx'
import { ErrorBox, Status } from './parts.tsx'

/** A run's fork: rehearsed first, where somebody wants to know, and then done. Both begin at the step that is chosen. */
export function ForkSide({ live, route, run }: { live: LiveObject; route: ObjectRoute; run: Run }) {
  const action = useAction()
  const [from, setFrom] = useState('')
  const [diff, setDiff] = useState<ForkDiff>()
  const { runId, steps = [] } = run
  const step = from === '' ? undefined : from
  const choose = (chosen: string) => {
    setFrom(chosen)
    // What was compared was another fork.
    setDiff(undefined)
    action.dismiss()
  }
  const rehearse = async () => setDiff(await live.api.rehearse(runId, step))
  const fork = (accept: boolean) => async () => {
    const forked = await live.api.fork(runId, step, accept)
    location.hash = hrefOf({ tab: 'runs', noun: route.noun, name: route.name, runId: forked })
  }
  const isOther = codeOf(action.error) === 'RUN_VERSION_CHANGED'
  return (
    <section class="fork" aria-label="Fork">
      <p class="note">
        A fork is a run of its own. It keeps what was done before the chosen step, and does that step and the rest again. A dry run does
        nothing: it tells what would be written otherwise.
      </p>
      <div class="inline">
        <label>
          Fork{' '}
          <select aria-label="Fork from" value={from} onChange={(event) => choose(event.currentTarget.value)}>
            <option value="">from the beginning</option>
            {steps
              .filter(({ kind }) => kind !== 'undo')
              .map(({ stepId }) => (
                <option key={stepId} value={stepId}>
                  from {stepId}
                </option>
              ))}
          </select>
        </label>
        <button disabled={action.busy !== undefined} onClick={() => action.run('rehearse', rehearse)}>
          {action.busy === 'rehearse' ? 'Running dry…' : 'Dry run'}
        </button>
        <button class="primary" disabled={action.busy !== undefined} onClick={() => action.run('fork', fork(false))}>
          {action.busy === 'fork' ? 'Forking…' : 'Fork now'}
        </button>
        {isOther && (
          <button disabled={action.busy !== undefined} onClick={() => action.run('fork', fork(true))}>
            Fork with the code of now
          </button>
        )}
      </div>
      {action.error !== undefined && (
        <ErrorBox title={isOther ? 'The code is another one now' : 'That did not work'} error={action.error} />
      )}
      {diff && <Diff diff={diff} of="fork" />}
    </section>
  )
}

/** What a dry run is of: a fork, against what its run did, or what is left of a run, of which only that is new. */
const words = {
  fork: {
    writes: (changes: string) => `It would write ${changes} otherwise`,
    writesNothing: 'It would write what the run wrote',
    steps: 'Steps of the fork',
    done: 'done again',
  },
  rest: {
    writes: (changes: string) => `What is left would write ${changes}`,
    writesNothing: 'What is left would write nothing',
    steps: 'Steps of the dry run',
    done: 'to come',
  },
} as const

/** What a dry run has come to: how it ended, what it does not cover, and what each step would write. */
export function Diff({ diff, of }: { diff: ForkDiff; of: keyof typeof words }) {
  const { outcome, error, steps, warnings, result, forkedFrom } = diff
  const changes = steps.reduce((sum, { added, removed, changed }) => sum + added.length + removed.length + changed.length, 0)
  return (
    <div class="diff" aria-live="polite">
      <h2>
        {changes > 0 ? words[of].writes(counted(changes, 'thing')) : words[of].writesNothing}{' '}
        <span class="note">
          {of === 'fork' && (forkedFrom.stepId === undefined ? 'from the beginning, ' : `from ${forkedFrom.stepId}, `)}
          {outcome === 'done'
            ? 'ran to its end'
            : outcome === 'failed'
              ? 'failed'
              : 'stopped where it could not go on without doing something'}
        </span>
      </h2>
      {error !== undefined && <p class={outcome === 'failed' ? 'wrong' : 'warn'}>{error}</p>}
      {warnings.length > 0 && (
        <>
          <h3>Not covered</h3>
          <ul class="warnings" aria-label="What the dry run does not cover">
            {warnings.map((text) => (
              <li key={text}>{text}</li>
            ))}
          </ul>
        </>
      )}
      <ol class="rows steps" aria-label={words[of].steps}>
        {steps.map((step) => (
          <DiffStep key={step.stepId ?? ''} step={step} done={words[of].done} />
        ))}
      </ol>
      {result.after !== undefined && result.after !== result.before && (
        <>
          <h3>Result</h3>
          <div class="sides">
            {of === 'fork' && <Side sign="−" word="was" text={result.before ?? 'nothing'} />}
            <Side sign="+" word="would be" text={result.after} />
          </div>
        </>
      )}
    </div>
  )
}

function DiffStep({ step, done }: { step: ForkedStep; done: string }) {
  const { stepId, state, added, removed, changed, same, elsewhere, error } = step
  const isSilent = added.length + removed.length + changed.length + elsewhere.length === 0
  if (stepId === undefined && isSilent && same === 0) return null
  return (
    <li class={isSilent ? 'same' : undefined}>
      <p class="inline">
        <b>{stepId ?? 'between steps'}</b>
        {state === 'failed' ? <Status status="failed" /> : <span class="note">{{ taken: 'kept', done, gone: 'not come to' }[state]}</span>}
        {same > 0 && <span class="note">{isSilent ? 'as before' : `${same} more as before`}</span>}
      </p>
      {error !== undefined && <p class="wrong">{error}</p>}
      <ul>
        {added.map((edge) => (
          <Change key={keyOf(edge)} sign="+" word="new" edge={edge} />
        ))}
        {removed.map((edge) => (
          <Change key={keyOf(edge)} sign="−" word="gone" edge={edge} />
        ))}
        {changed.map(({ before, after }) => (
          <li key={keyOf(after)} class="change">
            <ul>
              <Change sign="−" word="was" edge={before} />
              <Change sign="+" word="would be" edge={after} />
            </ul>
          </li>
        ))}
        {elsewhere.map(({ object, writer, target, rows, sample }) => (
          <li key={`${object} ${writer} ${target}`} class="elsewhere">
            <span class="sign">·</span>
            <span>
              {object} would write {writer} {target}: {counted(rows, 'row')} <span class="note">not compared</span>
              {sample.length > 0 && <code class="input">{sample.map((row) => JSON.stringify(row)).join('\n')}</code>}
            </span>
          </li>
        ))}
      </ul>
    </li>
  )
}

/** One side of a difference. The sign and the word say which; colour only says it again. */
function Change({ sign, word, edge }: { sign: '+' | '−'; word: string; edge: LineageEdge }) {
  return (
    <li class={sign === '+' ? 'plus' : 'minus'}>
      <span class="sign" aria-hidden="true">
        {sign}
      </span>
      <span>
        <span class="note">{word}</span> <EdgeWords edge={edge} />
      </span>
    </li>
  )
}

function Side({ sign, word, text }: { sign: '+' | '−'; word: string; text: string }) {
  return (
    <figure class={`preview ${sign === '+' ? 'plus' : 'minus'}`}>
      <figcaption>
        <span>
          <span aria-hidden="true">{sign}</span> {word}
        </span>
      </figcaption>
      <pre tabIndex={0} aria-label={word}>
        {text}
      </pre>
    </figure>
  )
}

const keyOf = ({ kind, target, what }: LineageEdge): string => `${kind} ${target} ${what}`
