/** `dotdo fleet`: all objects of an app in numbers, and making their index again. */
import { setTimeout as wait } from 'node:timers/promises'
import type { FleetObject, FleetRebuild, FleetSummary } from '../../base/fleet-views.ts'
import { formatCount, formatRelative } from '../../base/words.ts'
import type { FleetStub } from '../../client/operator.ts'
import { readNumber, readObject } from '../arguments.ts'
import type { Command, Context } from '../command.ts'
import { exit, usageError } from '../failure.ts'
import { nameOf, pages } from '../objects.ts'
import { leastObject, table, type Cell, type Look } from '../table.ts'
import { cut, plain } from '../text.ts'

/** How often a rebuild is asked how far it is. */
const askMs = 500

/** See the head of this file. */
export const fleet: Command = {
  name: 'fleet',
  summary: 'all objects in numbers, and by name',
  takes: '[NOUN/ID]',
  positionals: [0, 1],
  options: {
    noun: { value: 'NOUN', help: 'lists objects of this noun alone' },
    limit: { value: 'N', help: 'lists so many at most (20)' },
    rebuild: { help: 'makes the index again: every object that it knows, and NOUN/ID, tells all of itself anew' },
    wait: { help: 'with --rebuild: until that has ended; 1 where an object did not answer' },
  },
  about: 'As the objects have told the index of the app; NOUN/ID lists that one alone.',
  examples: [
    ['npx dotdo fleet', 'how many there are, what runs, and what is wrong'],
    ['npx dotdo fleet --noun Pipeline --json', 'the same and its objects, for programs'],
    ['npx dotdo fleet --rebuild --wait', 'when the index has lost something'],
  ],
  asksApp: true,
  async run({ positionals, text, has }, context) {
    const { terminal, json, now } = context
    const limit = readNumber('limit', text('limit'), 20, [1, 10_000])
    const noun = text('noun')
    const object = positionals[0] === undefined ? undefined : nameOf(readObject(positionals[0]))
    if (has('wait') && !has('rebuild')) throw usageError('--wait goes with --rebuild: nothing else here takes long.')
    if (noun !== undefined && object !== undefined) throw usageError('NOUN/ID says which noun already: leave --noun away.')
    const { fleet: index } = (await context.connect()).dotdo
    if (has('rebuild')) return await rebuild(index, object, has('wait'), context)
    await index.settle()
    const query = { ...(noun !== undefined && { noun }), ...(object !== undefined && { object }) }
    const [summary, { items, isCut }] = await Promise.all([
      index.summary(),
      pages(limit, (size, after) => index.objects({ ...query, limit: size, ...(after !== undefined && { after }) })),
    ])
    if (json) {
      terminal.object({ kind: 'summary', ...summary })
      for (const it of items) terminal.object({ kind: 'object', ...it })
      return exit.fine
    }
    terminal.print(...summaryLines(summary, terminal))
    if (items.length > 0) terminal.print('', ...objectTable(items, now(), terminal))
    else terminal.note(`No ${noun === undefined ? 'object' : noun}${object === undefined ? '' : ` ${object}`} has told the index anything.`)
    if (isCut) terminal.note('There are more. Narrow it by --noun.')
    return exit.fine
  },
}

/** Begins a rebuild, and waits for its end where that is wanted. */
async function rebuild(index: FleetStub, object: string | undefined, isAwaited: boolean, context: Context): Promise<number> {
  const { terminal, json, signal } = context
  let view = await index.rebuild(object === undefined ? {} : { objects: [object] })
  if (isAwaited) context.atEnd(terminal.settle)
  while (isAwaited && view.status === 'running' && !signal.aborted) {
    if (terminal.isLive && !json) terminal.draw([rebuildLine(view, terminal)])
    await wait(askMs)
    view = (await index.rebuilding()) ?? view
  }
  if (json) terminal.object({ ...view })
  else if (terminal.isLive && isAwaited) terminal.draw([rebuildLine(view, terminal)])
  else terminal.print(rebuildLine(view, terminal))
  if (!json && !isAwaited) terminal.note('It goes on by itself. What the index has meanwhile is what it had, and what is told anew.')
  return view.failed > 0 ? exit.failed : exit.fine
}

function rebuildLine({ status, asked, failed, error }: FleetRebuild, { paint, columns }: Look): string {
  const color = failed > 0 ? 'red' : status === 'running' ? 'cyan' : 'green'
  const why = error === undefined ? '' : `, the last of them ${error.object}: ${error.message}`
  const mark = status === 'running' ? '◐' : failed > 0 ? '✗' : '✓'
  const words = `${mark} ${status}  ${formatCount(asked)} asked${failed === 0 ? '' : `, ${formatCount(failed)} failed${why}`}`
  return paint(color, cut(plain(words), columns))
}

/** The whole in numbers: those that want somebody are marked. */
function summaryLines({ objects, running, held, failed, schedules, late, letters, alerts }: FleetSummary, look: Look): string[] {
  const bad = (value: number): Cell => (value > 0 ? { text: `! ${formatCount(value)}`, color: 'red' } : '0')
  return table(
    ['OBJECTS', 'RUNNING', 'FAILED TODAY', 'HELD', 'SCHEDULES', 'LATE', 'OPEN ALERTS', 'DEAD LETTERS'].map((title) => ({
      title,
      right: true,
    })),
    [[formatCount(objects), formatCount(running), bad(failed), bad(held), formatCount(schedules), bad(late), bad(alerts), bad(letters)]],
    look,
  )
}

function objectTable(items: readonly FleetObject[], now: number, look: Look): string[] {
  return table(
    [
      { title: 'OBJECT', least: leastObject },
      { title: 'TOLD', right: true },
      { title: 'DEAD LETTERS', right: true },
    ],
    items.map(({ object, toldAt, letters }) => [
      object,
      formatRelative(toldAt, now),
      letters > 0 ? { text: formatCount(letters), color: 'red' } : '0',
    ]),
    look,
  )
}
