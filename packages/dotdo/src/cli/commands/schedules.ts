/** `dotdo schedules`: the schedules of objects, and when they fire next. */
import type { ScheduleView } from '../../base/views.ts'
import { readNumber } from '../arguments.ts'
import type { Command } from '../command.ts'
import { exit, usageError } from '../failure.ts'
import { inspect, nameOf, objectsOf } from '../objects.ts'
import { markOf } from '../run-view.ts'
import { table, type Cell, type Look } from '../table.ts'
import { instant, relative } from '../text.ts'

/** See the head of this file. */
export const schedules: Command = {
  name: 'schedules',
  summary: 'schedules, and when they fire next',
  takes: '[NOUN/ID]',
  positionals: [0, 1],
  options: {
    next: { value: 'N', help: 'so many instants of each, 1 to 5 (3)' },
    pause: { value: 'SCHEDULE', help: 'lets it fire no more, until it is resumed; with NOUN/ID' },
    resume: { value: 'SCHEDULE', help: 'lets it fire again; with NOUN/ID' },
  },
  about: 'Without NOUN/ID: of all objects that the app declares as singletons.',
  examples: [
    ['npx dotdo schedules', 'all of them'],
    ['npx dotdo schedules Pipeline/main --pause daily', 'stops one'],
    ['npx dotdo schedules Pipeline/main --resume daily', 'and lets it go on'],
  ],
  asksApp: true,
  async run({ positionals, text }, { connect, terminal, json, now }) {
    const instants = readNumber('next', text('next'), 3, [1, 5])
    const [pause, resume] = [text('pause'), text('resume')]
    if (pause !== undefined && resume !== undefined) throw usageError('--pause and --resume are two commands.')
    if ((pause ?? resume) !== undefined && positionals.length === 0)
      throw usageError('Say of which object: npx dotdo schedules NOUN/ID --pause SCHEDULE.')
    const app = await connect()
    const objects = await objectsOf(app, positionals[0])
    const lists = await Promise.all(
      objects.map((object) =>
        inspect(app, object, async (inspector) => {
          // Made in one turn, they are answered in this order.
          const [, , list] = await Promise.all([
            pause === undefined ? undefined : inspector.pause(pause),
            resume === undefined ? undefined : inspector.resume(resume),
            inspector.schedules(),
          ])
          return list.map((schedule) => ({ object: nameOf(object), schedule }))
        }),
      ),
    )
    const all = lists.flat()
    if (json) for (const { object, schedule } of all) terminal.object({ object, ...schedule })
    else if (all.length > 0) terminal.print(...scheduleTable(all, instants, now(), terminal))
    else terminal.note(`No schedules of ${objects.map(nameOf).join(', ')}. Declare one in init(): this.every.day.at('2am')(() => …).`)
    return exit.fine
  },
}

/** When it fired last, how that run ended, and how many have failed in a row. */
function lastCell({ lastFiredAt, lastStatus, failures }: ScheduleView, now: number): Cell {
  if (lastFiredAt === undefined) return ''
  const when = relative(lastFiredAt, now)
  if (lastStatus === undefined) return when
  const { mark, color } = markOf(lastStatus)
  return { text: `${mark} ${when}${failures !== undefined && failures > 1 ? `, ${failures} failed in a row` : ''}`, color }
}

/** Schedules as a table: of each the next instants on its own clock, one below the other. */
export function scheduleTable(
  all: readonly { object: string; schedule: ScheduleView }[],
  instants: number,
  now: number,
  look: Look,
): string[] {
  const objects = new Set(all.map(({ object }) => object))
  const rows = all.flatMap(({ object, schedule }): Cell[][] => {
    const { scheduleId, pattern, timeZone, paused, next, lastRunId } = schedule
    const times = next.slice(0, instants).map((at) => [instant(at, timeZone), relative(at, now)])
    const [first = [paused ? '' : 'never', '']] = times
    const last = lastCell(schedule, now)
    return [
      [
        objects.size > 1 ? object : '',
        scheduleId,
        pattern,
        timeZone,
        paused ? { text: 'paused', color: 'yellow' } : '',
        ...first,
        last,
        lastRunId ?? '',
      ],
      ...times.slice(1).map((time): Cell[] => ['', '', '', '', '', ...time, '', '']),
    ]
  })
  return table(
    [
      { title: 'OBJECT', least: 8 },
      { title: 'SCHEDULE', least: 8 },
      { title: 'PATTERN', least: 20 },
      { title: 'ZONE', least: 6, drop: 2 },
      { title: 'STATE' },
      { title: 'NEXT' },
      { title: 'IN', drop: 1 },
      { title: 'LAST', drop: 3 },
      { title: 'LAST RUN', least: 10, drop: 4 },
    ],
    rows,
    look,
  )
}
