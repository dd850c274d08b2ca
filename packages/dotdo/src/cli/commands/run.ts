/** `dotdo run`: one run with its steps. */
import type { AnyApp, AppStub } from '../../client/connect.ts'
import { codeOf, DotdoError } from '../../base/errors.ts'
import type { RunView } from '../../base/views.ts'
import { isObjectName, readObject, type ObjectName } from '../arguments.ts'
import type { Command, Context } from '../command.ts'
import { exit, usageError } from '../failure.ts'
import { inspect, nameOf, objectsOf } from '../objects.ts'
import { runTree } from '../run-view.ts'
import { waitForRun } from '../wait-for-run.ts'

export const run: Command = {
  name: 'run',
  summary: 'one run: its steps as a tree, their times, attempts and errors',
  takes: '[NOUN/ID] RUN',
  positionals: [1, 2],
  options: {
    wait: { help: 'until it has ended; 1 where it has failed or was cancelled' },
    cancel: { help: 'ends it: what waits is aborted, later steps are refused' },
  },
  about: 'Without NOUN/ID the run is looked for in all objects that the app declares as singletons.',
  examples: [
    ['npx dotdo run $RUN', 'its steps'],
    ['npx dotdo run Pipeline/main $RUN --wait', 'until it has ended'],
    ['npx dotdo run Pipeline/main $RUN --json', 'as one object'],
  ],
  asksApp: true,
  async run({ positionals, has }, context) {
    if (has('wait') && has('cancel')) throw usageError('--wait and --cancel are two commands: cancel the run, then look at it.')
    const app = await context.connect()
    const { object, runId } = await findRun(app, positionals)
    if (has('cancel')) await inspect(app, object, (inspector) => inspector.cancelRun(runId))
    if (has('wait')) return showEnd(app, object, runId, context)
    showRun(object, await inspect(app, object, (inspector) => inspector.run(runId)), context)
    return exit.fine
  },
}

/** Waits for the end of a run and prints it. Gives 0 where it is done, 1 where it has failed or was cancelled. */
export async function showEnd(app: AppStub<AnyApp>, object: ObjectName, runId: string, context: Context): Promise<number> {
  const ended = await waitForRun(app, object, runId, context)
  // On a terminal the last drawing stands there, but for what did not fit.
  const lines = runTree({ object: nameOf(object), run: ended }, context.now(), context.terminal)
  if (context.json || !context.terminal.isLive || lines.length >= context.terminal.rows) showRun(object, ended, context)
  return ended.status === 'done' ? exit.fine : exit.failed
}

function showRun(object: ObjectName, view: RunView, { terminal, json, now }: Context): void {
  if (json) terminal.object({ object: nameOf(object), ...view })
  else terminal.print(...runTree({ object: nameOf(object), run: view }, now(), terminal))
}

/** The object that has the run: the one that was named, or the one of the app's singletons that knows it. @throws `RUN_UNKNOWN` */
async function findRun(app: AppStub<AnyApp>, positionals: readonly string[]): Promise<{ object: ObjectName; runId: string }> {
  const [first = '', second] = positionals
  if (second !== undefined) return { object: readObject(first), runId: second }
  if (isObjectName(first)) throw usageError(`Which run of ${first}? Name it behind the object: npx dotdo runs ${first} lists them.`)
  const objects = await objectsOf(app, undefined)
  const known = await Promise.all(
    objects.map((object) =>
      inspect(app, object, (inspector) => inspector.run(first)).then(
        () => true,
        (error: unknown) => {
          if (codeOf(error) === 'RUN_UNKNOWN') return false
          throw error
        },
      ),
    ),
  )
  const object = objects[known.indexOf(true)]
  if (object) return { object, runId: first }
  throw new DotdoError(
    'RUN_UNKNOWN',
    `None of ${objects.map(nameOf).join(', ')} has a run '${first}'. Where another object has it, name that first: npx dotdo run Noun/name '${first}'.`,
    { data: { runId: first } },
  )
}
