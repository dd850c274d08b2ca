/** A run that a deploy has held: what the code that runs now changes for it, and the answer to that. */
import { useState } from 'preact/hooks'
import type { CodeChange } from 'dotdo/client'
import { counted } from 'dotdo/words'
import { useAction, type LiveObject } from '../hooks.ts'
import { Diff } from './fork.tsx'
import { ErrorBox } from './parts.tsx'

/** Tells what has changed, where somebody wants to know, and lets the run go on. To cancel it stands at its head, as for any run. */
export function HeldRun({ live, runId }: { live: LiveObject; runId: string }) {
  const action = useAction()
  const [change, setChange] = useState<CodeChange>()
  const look = async () => setChange(await live.api.whatChanged(runId))
  const accept = async () => {
    await live.api.accept(runId)
    live.refresh()
  }
  return (
    <section class="held-run" aria-label="What to do about it">
      <div class="inline">
        <button disabled={action.busy !== undefined} onClick={() => action.run('look', look)}>
          {action.busy === 'look' ? 'Running dry…' : 'What changed?'}
        </button>
        <button class="primary" disabled={action.busy !== undefined} onClick={() => action.run('accept', accept)}>
          Go on
        </button>
        <span class="note">
          To go on is to accept the code that runs now for this run. What changed is seen by a dry run of what is left: nothing is done.
        </span>
      </div>
      {action.error !== undefined && <ErrorBox title="That did not work" error={action.error} />}
      {change && <Change change={change} />}
    </section>
  )
}

/** The steps by what becomes of them, and below that what is left of the run, done dry. */
function Change({ change }: { change: CodeChange }) {
  const { began, now, kept, added, removed, missing, changed, next, comparedWith, dryRun } = change
  const differing = added.length + removed.length + missing.length + changed.length
  // What is done stays done, whether the new code comes to it or not: nothing of that is taken back.
  const rest = { ...dryRun, steps: dryRun.steps.filter(({ state }) => state !== 'gone') }
  return (
    <>
      <div class="diff" aria-live="polite">
        <h2>
          {differing > 0 ? `${counted(differing, 'step')} otherwise` : 'No step is seen to differ'}{' '}
          <span class="note">
            {began !== undefined && `began with version ${began}`}
            {began !== undefined && now !== undefined && ', '}
            {now !== undefined && `version ${now} runs now`}
          </span>
        </h2>
        <ul class="rows steps" aria-label="What changed, by step">
          <Named sign="+" steps={added} words={comparedWith === undefined ? 'new, before what is done' : 'new'} />
          <Named sign="−" steps={removed} words="done, and the new code does without" />
          <Named sign="−" steps={missing} words="was to come, and the new code does without" />
          {changed.map(({ stepId, error }) => (
            <Named key={stepId} sign="~" steps={[stepId]} words={error} />
          ))}
          <Named sign="·" steps={next} words="to come" />
          <Named sign="·" steps={kept} words="done, and stays so" />
        </ul>
        {comparedWith !== undefined && <p class="note">Compared with run {comparedWith}, the newest of the former version.</p>}
      </div>
      <Diff diff={rest} of="rest" />
    </>
  )
}

/** Steps that a line names at most. */
const mostNamed = 20
const classes = { '+': 'plus', '−': 'minus', '~': 'elsewhere', '·': 'elsewhere' } as const

/** Steps of which the same is to be said; nothing where there are none. */
function Named({ sign, steps, words }: { sign: keyof typeof classes; steps: readonly string[]; words: string }) {
  if (steps.length === 0) return null
  const more = steps.length - mostNamed
  return (
    <li class={classes[sign]}>
      <span class="sign" aria-hidden="true">
        {sign}
      </span>
      <span>
        <b>{steps.slice(0, mostNamed).join(', ')}</b>
        {more > 0 && ` and ${more} more`} <span class="note">{words}</span>
      </span>
    </li>
  )
}
