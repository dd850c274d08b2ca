/** `dotdo run`: one run with its steps. */
import type { AnyApp, AppStub } from '../../client/connect.ts'
import { codeOf, DotdoError } from '../../base/errors.ts'
import type { RunView } from '../../base/views.ts'
import { budgetOption, isObjectName, readBudgetOption, type ObjectName } from '../arguments.ts'
import type { Command, Context } from '../command.ts'
import { exit, usageError } from '../failure.ts'
import { inspect, nameOf, objectsOf } from '../objects.ts'
import { runTree, signedLines } from '../run-view.ts'
import { waitForRun } from '../wait-for-run.ts'

/** See the head of this file. */
export const run: Command = {
  name: 'run',
  summary: 'one run: its steps as a tree, their times, attempts and errors',
  takes: '[NOUN/ID] RUN',
  positionals: [1, 2],
  options: {
    wait: { help: 'until it has ended; 1 where it has failed or was cancelled' },
    cancel: { help: 'ends it: what waits is aborted, later steps are refused' },
    retry: { help: 'takes up one that failed, was cancelled or is held; what is done stays done' },
    budget: { ...budgetOption, help: `with --retry, in the place of what it had: ${budgetOption.help}` },
    changes: { help: 'of one that a deploy has held: what the code that runs now does otherwise; nothing is done' },
    accept: { help: 'lets one that is held go on with the code that runs now' },
  },
  about:
    'The beginning of an id is enough where one run has it. Without NOUN/ID the run is looked for in all objects that the app declares as singletons.',
  examples: [
    ['npx dotdo run $RUN', 'its steps'],
    ['npx dotdo run Pipeline/main $RUN --wait', 'until it has ended'],
    ['npx dotdo run Pipeline/main $RUN --json', 'as one object'],
    ['npx dotdo run Pipeline/main $FAILED --retry', 'takes up one that has failed'],
  ],
  asksApp: true,
  async run({ positionals, has, text }, context) {
    const acts = (['cancel', 'retry', 'accept', 'changes'] as const).filter((act) => has(act))
    if (acts.length > 1) throw usageError(`--${acts.join(' and --')} are two commands.`)
    const budget = readBudgetOption(text('budget'))
    if (has('changes') && has('wait')) throw usageError('--changes lets nothing go on that --wait could wait for.')
    if (budget && !has('retry')) throw usageError('--budget goes with --retry: a run that goes on keeps the one that it has.')
    const app = await context.connect()
    const { object, runId } = await findRun(app, positionals)
    if (has('changes')) {
      const change = await inspect(app, object, (inspector) => inspector.whatChanged(runId))
      if (context.json) context.terminal.object({ object: nameOf(object), ...change })
      else context.terminal.print(...signedLines(change.text, context.terminal))
      return exit.fine
    }
    const act = () =>
      inspect(app, object, async (inspector) => {
        if (acts[0] === 'cancel') await inspector.cancelRun(runId)
        if (acts[0] === 'retry') await inspector.retryRun(runId, budget ? { budget } : {})
        if (acts[0] === 'accept') await inspector.acceptRun(runId)
        return runId
      })
    if (has('wait')) return showEnd(app, object, act, context)
    await act()
    showRun(object, await inspect(app, object, (inspector) => inspector.run(runId)), context)
    return exit.fine
  },
}

/** Waits for the end of the run that `begin` gives, and prints it. Gives 0 where it is done, 1 where it has failed or was cancelled. */
export async function showEnd(app: AppStub<AnyApp>, object: ObjectName, begin: () => Promise<string>, context: Context): Promise<number> {
  const ended = await waitForRun(app, object, begin, context)
  // On a terminal the last drawing stands there, but for what did not fit.
  const lines = runTree({ object: nameOf(object), run: ended }, context.now(), context.terminal)
  if (context.json || !context.terminal.isLive || lines.length >= context.terminal.rows) showRun(object, ended, context)
  return ended.status === 'done' ? exit.fine : exit.failed
}

function showRun(object: ObjectName, view: RunView, { terminal, json, now }: Context): void {
  if (json) terminal.object({ object: nameOf(object), ...view })
  else terminal.print(...runTree({ object: nameOf(object), run: view }, now(), terminal))
}

/** Runs among which a beginning of an id is looked for. */
const searched = 500

/**
 * The run that is meant, and its object: the one that was named, or the one of the app's singletons that has it. The beginning of an id is enough
 * where one run has it, with those that it has begun.
 * @throws `RUN_UNKNOWN`, `USAGE_INVALID` where several are meant
 */
export async function findRun(app: AppStub<AnyApp>, positionals: readonly string[]): Promise<{ object: ObjectName; runId: string }> {
  const [first = '', second] = positionals
  if (second === undefined && isObjectName(first))
    throw usageError(`Which run of ${first}? Name it behind the object: npx dotdo runs ${first} lists them.`)
  const objects = await objectsOf(app, second === undefined ? undefined : first)
  // As a table has cut it, an id ends with a sign that is none of it.
  const wanted = (second ?? first).replace(/…$/, '')
  const found = (await Promise.all(objects.map((object) => matchesIn(app, object, wanted)))).flat()
  const exact = found.find(({ runId }) => runId === wanted)
  if (exact) return exact
  const whole = rootOf(found)
  if (whole) return whole
  const names = objects.map(nameOf).join(', ')
  if (found.length > 1) {
    const some = found.slice(0, 3).map(({ runId }) => runId)
    throw usageError(
      `${found.length} runs of ${names} begin with '${wanted}': ${some.join(', ')}${found.length > 3 ? ', …' : ''}. Write more of it.`,
      {
        runId: wanted,
      },
    )
  }
  throw new DotdoError(
    'RUN_UNKNOWN',
    `${names} ${objects.length > 1 ? 'have' : 'has'} no run '${wanted}'. npx dotdo runs lists those that exist; where another object has it, name that first: npx dotdo run Noun/name '${wanted}'.`,
    { data: { runId: wanted } },
  )
}

/**
 * Of runs that were found, the one from which all others were begun, and which is meant by a beginning that they share: what `this.runs.call` begins is called `<run>/<step>`.
 * `undefined` where there is none.
 */
export function rootOf<Found extends { runId: string }>(found: readonly Found[]): Found | undefined {
  const [root, ...others] = found.toSorted((a, b) => a.runId.length - b.runId.length)
  return root && others.every(({ runId }) => runId.startsWith(`${root.runId}/`)) ? root : undefined
}

/** The run of that id, or else the newest whose ids begin so. */
async function matchesIn(app: AppStub<AnyApp>, object: ObjectName, wanted: string): Promise<{ object: ObjectName; runId: string }[]> {
  return await inspect(app, object, async (inspector) => {
    try {
      return [{ object, runId: (await inspector.run(wanted)).runId }]
    } catch (error) {
      if (codeOf(error) !== 'RUN_UNKNOWN') throw error
    }
    const newest = await inspector.runs({ limit: searched })
    return newest.filter(({ runId }) => wanted !== '' && runId.startsWith(wanted)).map(({ runId }) => ({ object, runId }))
  })
}
