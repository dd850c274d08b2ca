/** `dotdo trigger`: runs a schedule now. */
import { codeOf, DotdoError } from '../../base/errors.ts'
import type { AnyApp, AppStub } from '../../client/connect.ts'
import type { Budget } from '../../base/price.ts'
import { budgetOption, readBudgetOption, readObject, type ObjectName } from '../arguments.ts'
import type { Command } from '../command.ts'
import { exit } from '../failure.ts'
import { nearest } from '../nearest.ts'
import { inspect, nameOf } from '../objects.ts'
import { showEnd } from './run.ts'

/** See the head of this file. */
export const trigger: Command = {
  name: 'trigger',
  summary: 'runs a schedule now',
  takes: 'NOUN/ID SCHEDULE',
  positionals: [2, 2],
  options: {
    budget: budgetOption,
    wait: { help: 'until the run has ended; 1 where it has failed or was cancelled' },
  },
  examples: [
    ['npx dotdo trigger Pipeline/main daily', 'tells the id of the run'],
    ['npx dotdo trigger Pipeline/main daily --wait', 'shows it until it has ended'],
    ['npx dotdo trigger Pipeline/main daily --budget requests=1000,wall=1h', 'and no more than that'],
  ],
  asksApp: true,
  async run({ positionals, has, text }, context) {
    const { terminal, json } = context
    const object = readObject(positionals[0]!)
    const scheduleId = positionals[1]!
    const budget = readBudgetOption(text('budget'))
    const app = await context.connect()
    const begin = () => triggerNow(app, object, scheduleId, budget)
    if (has('wait')) {
      return showEnd(
        app,
        object,
        async () => {
          const runId = await begin()
          // On a terminal it stands in what is drawn.
          if (!terminal.isLive) terminal.note(`Run ${runId}`)
          return runId
        },
        context,
      )
    }
    const runId = await begin()
    if (json) terminal.object({ object: nameOf(object), scheduleId, runId })
    else {
      terminal.print(runId)
      terminal.note(`Look at it: npx dotdo run ${nameOf(object)} ${runId}`)
    }
    return exit.fine
  },
}

/** Gives the id of the run. @throws `SCHEDULE_UNKNOWN` with the nearest name */
async function triggerNow(app: AppStub<AnyApp>, object: ObjectName, scheduleId: string, budget: Budget | undefined): Promise<string> {
  return await inspect(app, object, async (inspector) => {
    try {
      return await inspector.trigger(scheduleId, budget ? { budget } : {})
    } catch (error) {
      if (codeOf(error) !== 'SCHEDULE_UNKNOWN') throw error
      const names = (await inspector.schedules()).map((schedule) => schedule.scheduleId)
      const meant = nearest(scheduleId, names)
      throw new DotdoError(
        'SCHEDULE_UNKNOWN',
        `${nameOf(object)} has no schedule '${scheduleId}': ${meant === undefined ? `it has ${names.join(', ') || 'none'}` : `'${meant}' is the nearest`}.`,
        { data: { scheduleId, schedules: names }, cause: error },
      )
    }
  })
}
