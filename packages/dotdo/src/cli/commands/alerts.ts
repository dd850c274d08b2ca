/** `dotdo alerts`: what went wrong in all objects, and is still, or was. */
import { formatRelative, untoldInWords } from '../../base/words.ts'
import type { FleetAlert, FleetAlertQuery } from '../../base/fleet-views.ts'
import { readNumber, readTimes, readWord, timeOptions } from '../arguments.ts'
import type { Command } from '../command.ts'
import { exit } from '../failure.ts'
import { pages } from '../objects.ts'
import { leastObject, table, type Look } from '../table.ts'
import { instant } from '../text.ts'

const states = ['open', 'closed', 'all'] as const

/** See the head of this file. */
export const alerts: Command = {
  name: 'alerts',
  summary: 'what failed or is late, in all objects',
  takes: '',
  positionals: [0, 0],
  options: {
    state: { value: 'STATE', help: `only those that are ${states.join(', ')} (open)` },
    noun: { value: 'NOUN', help: 'only of objects of this noun' },
    ...timeOptions('those that began'),
    limit: { value: 'N', help: 'so many at most (20)' },
  },
  about:
    'One line for each schedule, method or handler that goes wrong, from the first time on until it goes well again. Late are schedules that have a deadline.',
  examples: [
    ['npx dotdo alerts', 'what is wrong now'],
    ['npx dotdo alerts --state all --json', 'what was wrong as well, for programs'],
  ],
  asksApp: true,
  async run({ text }, { connect, terminal, json, now }) {
    const state = readWord('state', text('state'), states) ?? 'open'
    const limit = readNumber('limit', text('limit'), 20, [1, 10_000])
    const noun = text('noun')
    const times = readTimes(text, now())
    const { fleet } = (await connect()).dotdo
    await fleet.settle()
    const query: FleetAlertQuery = { ...(state !== 'all' && { state }), ...(noun !== undefined && { noun }), ...times }
    const { items } = await pages(limit, (size, after) => fleet.alerts({ ...query, limit: size, ...(after !== undefined && { after }) }))
    if (json) for (const alert of items) terminal.object({ ...alert })
    else if (items.length > 0) terminal.print(...alertTable(items, now(), terminal))
    else terminal.note(`Nothing ${state === 'open' ? 'is' : 'was'} wrong${Object.keys(times).length === 0 ? '' : ' of that time'}.`)
    return exit.fine
  },
}

function alertTable(items: readonly FleetAlert[], now: number, look: Look): string[] {
  return table(
    [
      { title: 'STATE' },
      { title: 'OBJECT', least: leastObject },
      { title: 'OF', least: 8 },
      { title: 'SINCE', right: true },
      { title: 'TIMES', right: true, drop: 2 },
      { title: 'OVER', right: true, drop: 1 },
      { title: 'WHY', least: 12, drop: 3 },
    ],
    items.map(({ kind, object, subject, openedAt, count, closedAt, scheduledAt, error, untold }) => [
      { text: `${kind === 'late' ? '◷' : '✗'} ${kind}`, color: closedAt === undefined ? (kind === 'late' ? 'yellow' : 'red') : undefined },
      object,
      `${subject.kind === 'event' ? 'handler' : subject.kind} ${subject.id}`,
      formatRelative(openedAt, now),
      String(count),
      closedAt === undefined ? '' : formatRelative(closedAt, now),
      [
        scheduledAt === undefined ? '' : `due ${instant(scheduledAt)}.`,
        error?.code === undefined ? '' : `${error.code}:`,
        error?.message ?? '',
        untold === undefined ? '' : `(${untoldInWords(untold)})`,
      ]
        .filter(Boolean)
        .join(' '),
    ]),
    look,
  )
}
