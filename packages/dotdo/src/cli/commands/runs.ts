/** `dotdo runs`: what ran, newest first. */
import { toMs } from '../../base/durations.ts'
import type { RunStatus } from '../../base/views.ts'
import { readNumber, readWord } from '../arguments.ts'
import type { Command } from '../command.ts'
import { exit, usageError } from '../failure.ts'
import { inspect, nameOf, objectsOf } from '../objects.ts'
import { runTable, type RunOf } from '../run-view.ts'
import type { AnyApp, AppStub } from '../../client/connect.ts'
import type { ObjectName } from '../arguments.ts'

const states = ['running', 'done', 'failed', 'cancelled', 'held'] as const satisfies readonly RunStatus[]

/** Runs that one question asks for, and questions for one object: what is further back is not looked for. */
const page = 500
const mostPages = 20

/** See the head of this file. */
export const runs: Command = {
  name: 'runs',
  summary: 'what ran, newest first',
  takes: '[NOUN/ID]',
  positionals: [0, 1],
  options: {
    state: { value: 'STATE', help: `only runs that are ${states.join(', ')}` },
    since: { value: 'TIME', help: 'only runs that began since: 90m, 1d, 2026-11-23T02:00Z' },
    limit: { value: 'N', help: 'so many at most (20)' },
  },
  about: 'Without NOUN/ID: of all objects that the app declares as singletons.',
  examples: [
    ['npx dotdo runs', 'the newest runs'],
    ['npx dotdo runs Pipeline/main --state failed --since 7d', 'what failed there this week'],
    ['npx dotdo runs --json', 'the same for programs'],
  ],
  asksApp: true,
  async run({ positionals, text }, { connect, terminal, json, now }) {
    const state = readWord('state', text('state'), states)
    const limit = readNumber('limit', text('limit'), 20, [1, 10_000])
    const since = readSince(text('since'), now())
    const app = await connect()
    const objects = await objectsOf(app, positionals[0])
    const found = await Promise.all(objects.map((object) => runsOf(app, object, { state, since, limit })))
    const newest = found
      .flatMap(({ runs }) => runs)
      .sort((a, b) => b.run.startedAt - a.run.startedAt)
      .slice(0, limit)
    if (json) for (const { object, run } of newest) terminal.object({ object, ...run })
    else if (newest.length > 0) terminal.print(...runTable(newest, now(), terminal))
    else
      terminal.note(
        `No ${state ?? ''}${state === undefined ? '' : ' '}runs${since === undefined ? '' : ' in that time'} of ${objects.map(nameOf).join(', ')}.`,
      )
    const cutShort = found.filter(({ isCut }) => isCut).map(({ object }) => nameOf(object))
    if (cutShort.length > 0)
      terminal.note(`Of ${cutShort.join(', ')} only the newest ${page * mostPages} runs were looked at. Narrow it by --since.`)
    return exit.fine
  },
}

interface Wanted {
  state: RunStatus | undefined
  since: number | undefined
  limit: number
}

/** The runs of one object that are wanted, page by page. */
async function runsOf(
  app: AppStub<AnyApp>,
  object: ObjectName,
  { state, since, limit }: Wanted,
): Promise<{ object: ObjectName; runs: RunOf[]; isCut: boolean }> {
  const name = nameOf(object)
  const runs: RunOf[] = []
  let before: string | undefined
  for (let asked = 0; asked < mostPages; asked++) {
    // Where nothing is filtered, what is wanted is what is asked for.
    const size = state === undefined ? Math.min(page, limit - runs.length) : page
    const list = await inspect(app, object, (inspector) => inspector.runs({ limit: size, ...(before !== undefined && { before }) }))
    for (const run of list) {
      if (since !== undefined && run.startedAt < since) return { object, runs, isCut: false }
      if (state === undefined || run.status === state) runs.push({ object: name, run })
      if (runs.length >= limit) return { object, runs, isCut: false }
    }
    if (list.length < size) return { object, runs, isCut: false }
    before = list.at(-1)!.runId
  }
  return { object, runs, isCut: true }
}

/** Reads a length of time before now, or an instant. @throws `USAGE_INVALID` */
export function readSince(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{4}-/.test(text)) {
    const at = Date.parse(text)
    if (!Number.isNaN(at)) return at
  } else if (/^\d+(?:\.\d+)?\s*[a-z]+$/i.test(text)) return now - toMs(text)
  throw usageError(`--since ${text} is no time. Write how long ago, such as 90m or 1d, or an instant, such as 2026-11-23T02:00Z.`, {
    since: text,
  })
}
