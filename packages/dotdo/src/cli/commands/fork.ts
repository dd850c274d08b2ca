/** `dotdo fork`: a run done again from one of its steps, or what that would change. */
import { budgetOption, readBudgetOption } from '../arguments.ts'
import type { Command } from '../command.ts'
import { exit, usageError } from '../failure.ts'
import { inspect, nameOf } from '../objects.ts'
import { signedLines } from '../run-view.ts'
import { findRun, showEnd } from './run.ts'

/** See the head of this file. */
export const fork: Command = {
  name: 'fork',
  summary: 'does a run again from one of its steps, as a run of its own',
  takes: '[NOUN/ID] RUN',
  positionals: [1, 2],
  options: {
    from: { value: 'STEP', help: 'the first step that is done again; without it all are' },
    'dry-run': { help: 'does nothing: tells what would be written, against what was written' },
    budget: { ...budgetOption, help: `in the place of the run's own: ${budgetOption.help}` },
    accept: { help: 'goes on from what another version of the code has come to' },
    wait: { help: 'until the fork has ended; 1 where it has failed or was cancelled' },
  },
  about:
    'Steps that began before STEP and are done keep their results. The run has to have ended. In a dry run the code runs with every capability that writes swapped for one that writes it down; bare bindings are named.',
  examples: [
    ['npx dotdo fork Pipeline/main $FAILED --from pour', 'tells the id of the fork'],
    ['npx dotdo fork $FAILED --from pour --dry-run', 'what would be written otherwise'],
    ['npx dotdo fork $FAILED --dry-run --json', 'the same as one object'],
  ],
  asksApp: true,
  async run({ positionals, has, text }, context) {
    const { terminal, json } = context
    if (has('dry-run') && has('wait')) throw usageError('--dry-run begins no run that --wait could wait for.')
    if (has('dry-run') && has('budget')) throw usageError('--dry-run uses nothing that --budget could bound.')
    const from = text('from')
    const budget = readBudgetOption(text('budget'))
    const app = await context.connect()
    const { object, runId } = await findRun(app, positionals)
    if (has('dry-run')) {
      const diff = await inspect(app, object, (inspector) => inspector.rehearseFork(runId, from === undefined ? {} : { from }))
      if (json) terminal.object({ object: nameOf(object), ...diff })
      else terminal.print(...signedLines(diff.text, terminal))
      return exit.fine
    }
    const options = { ...(from !== undefined && { from }), ...(budget && { budget }), ...(has('accept') && { accept: true }) }
    const begin = () => inspect(app, object, (inspector) => inspector.forkRun(runId, options))
    if (has('wait')) return showEnd(app, object, begin, context)
    const forkId = await begin()
    if (json) terminal.object({ object: nameOf(object), runId: forkId, forkedFrom: runId })
    else {
      terminal.print(forkId)
      terminal.note(`Look at it: npx dotdo run ${nameOf(object)} ${forkId}`)
    }
    return exit.fine
  },
}
