/** `dotdo runs`: what ran, newest first. */
import type { RunStatus } from '../../base/views.ts'
import { formatCount } from '../../base/words.ts'
import { readNumber, readTimes, readWord, timeOptions } from '../arguments.ts'
import type { Command } from '../command.ts'
import { exit, usageError } from '../failure.ts'
import { inspect, nameOf, pages, requireObject } from '../objects.ts'
import { runTable, type RunOf } from '../run-view.ts'
import type { AnyApp, AppStub } from '../../client/connect.ts'
import type { ObjectName, Times } from '../arguments.ts'

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
    noun: { value: 'NOUN', help: 'only runs of objects of this noun; without NOUN/ID' },
    tag: { value: 'TAG', help: 'only runs that have this tag' },
    state: { value: 'STATE', help: `only runs that are ${states.join(', ')}` },
    ...timeOptions('runs that began'),
    limit: { value: 'N', help: 'so many at most (20)' },
  },
  about: 'Without NOUN/ID: of all objects, as they have told the index of the app.',
  examples: [
    ['npx dotdo runs', 'the newest runs of all objects'],
    ['npx dotdo runs Pipeline/main --state failed --since 7d', 'what failed there this week'],
    ['npx dotdo runs --tag backlog --since 2026-11-22 --until 2026-11-23', 'what began on that day, with a tag'],
    ['npx dotdo runs --json', 'the same for programs'],
  ],
  asksApp: true,
  async run({ positionals, text }, { connect, terminal, json, now }) {
    const state = readWord('state', text('state'), states)
    const limit = readNumber('limit', text('limit'), 20, [1, 10_000])
    const times = readTimes(text, now())
    const tag = text('tag')
    const noun = text('noun')
    if (noun !== undefined && positionals.length > 0) throw usageError('NOUN/ID says which noun already: leave --noun away.')
    const app = await connect()
    const wanted: Wanted = { state, times, limit, tag }
    const named = positionals[0]
    const found =
      named === undefined ? await fleetRuns(app, { ...wanted, noun }) : await runsOf(app, await requireObject(app, named), wanted)
    const { runs: newest } = found
    if (json) for (const { object, run } of newest) terminal.object({ object, ...run })
    else if (newest.length > 0) terminal.print(...runTable(newest, now(), terminal))
    else
      terminal.note(
        `No ${state ?? ''}${state === undefined ? '' : ' '}runs${Object.keys(times).length === 0 ? '' : ' in that time'} of ${named ?? 'any object'}.`,
      )
    if (found.isCut)
      terminal.note(
        `Of ${named ?? 'all objects'} only the newest ${formatCount(page * mostPages)} runs were looked at. Narrow it by --since.`,
      )
    return exit.fine
  },
}

interface Wanted {
  state: RunStatus | undefined
  times: Times
  tag: string | undefined
  limit: number
}

/** The runs of all objects that are wanted, page by page, from the index. */
async function fleetRuns(app: AppStub<AnyApp>, { noun, state, times, tag, limit }: Wanted & { noun: string | undefined }) {
  const { fleet } = app.dotdo
  await fleet.settle()
  const query = {
    ...(noun !== undefined && { noun }),
    ...(state !== undefined && { state }),
    ...times,
    ...(tag !== undefined && { tag }),
  }
  const { items, isCut } = await pages(limit, (size, after) => fleet.runs({ ...query, limit: size, ...(after !== undefined && { after }) }))
  return { runs: items, isCut }
}

/** The runs of one object that are wanted, page by page. */
async function runsOf(
  app: AppStub<AnyApp>,
  object: ObjectName,
  { state, times: { since = 0, until = Infinity }, limit, tag }: Wanted,
): Promise<{ runs: RunOf[]; isCut: boolean }> {
  const name = nameOf(object)
  const runs: RunOf[] = []
  let before: string | undefined
  for (let asked = 0; asked < mostPages; asked++) {
    // Where nothing is filtered, what is wanted is what is asked for.
    const size = state === undefined && until === Infinity ? Math.min(page, limit - runs.length) : page
    const list = await inspect(app, object, (inspector) =>
      inspector.runs({ limit: size, ...(before !== undefined && { before }), ...(tag !== undefined && { tag }) }),
    )
    for (const run of list) {
      if (run.startedAt < since) return { runs, isCut: false }
      if (run.startedAt < until && (state === undefined || run.status === state)) runs.push({ object: name, run })
      if (runs.length >= limit) return { runs, isCut: false }
    }
    if (list.length < size) return { runs, isCut: false }
    before = list.at(-1)!.runId
  }
  return { runs, isCut: true }
}
