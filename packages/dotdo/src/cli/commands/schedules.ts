/** `dotdo schedules`: the schedules of objects, and when they fire next. */
import { formatCount, formatRelative } from '../../base/words.ts'
import type { FleetSchedule, FleetScheduleQuery } from '../../base/fleet-views.ts'
import type { ScheduleView } from '../../base/views.ts'
import type { AnyApp, AppStub } from '../../client/connect.ts'
import { readNumber, readWord } from '../arguments.ts'
import type { Command } from '../command.ts'
import { exit, usageError } from '../failure.ts'
import { inspect, nameOf, pages, requireObject } from '../objects.ts'
import { markOf } from '../run-view.ts'
import { leastObject, table, type Cell, type Look } from '../table.ts'
import { instant } from '../text.ts'

const states = ['late', 'failing', 'paused'] as const
/** Schedules that one look at all objects shows. */
const mostShown = 10_000

/** See the head of this file. */
export const schedules: Command = {
  name: 'schedules',
  summary: 'schedules, and when they fire next',
  takes: '[NOUN/ID]',
  positionals: [0, 1],
  options: {
    next: { value: 'N', help: 'so many instants of each, 1 to 5 (3); with NOUN/ID' },
    state: { value: 'STATE', help: `only those that are ${states.join(', ')}; without NOUN/ID` },
    pause: { value: 'SCHEDULE', help: 'lets it fire no more, until it is resumed; with NOUN/ID' },
    resume: { value: 'SCHEDULE', help: 'lets it fire again; with NOUN/ID' },
  },
  about: 'Without NOUN/ID: of all objects, as they have told the index of the app; the one that fires next first.',
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
      throw usageError(
        `Say of which object: npx dotdo schedules NOUN/ID ${pause === undefined ? '--resume' : '--pause'} ${pause ?? resume}.`,
      )
    const state = readWord('state', text('state'), states)
    const named = positionals[0]
    if (state !== undefined && named !== undefined) throw usageError('--state looks among all objects: leave NOUN/ID away.')
    const app = await connect()
    const object = named === undefined ? undefined : await requireObject(app, named)
    const all = object
      ? await inspect(app, object, async (inspector) => {
          // Made in one turn, they are answered in this order.
          const [, , list] = await Promise.all([
            pause === undefined ? undefined : inspector.pause(pause),
            resume === undefined ? undefined : inspector.resume(resume),
            inspector.schedules(),
          ])
          return list.map((schedule) => ({ object: nameOf(object), schedule }))
        })
      : await fleetSchedules(app, state)
    if (json) for (const { object, schedule } of all) terminal.object({ object, ...schedule })
    else if (all.length > 0) terminal.print(...scheduleTable(all, instants, now(), terminal))
    else
      terminal.note(
        `No ${state === undefined ? '' : `${state} `}schedules of ${named ?? 'any object'}. Declare one in init(): this.every.day.at('2am')(() => …).`,
      )
    return exit.fine
  },
}

async function fleetSchedules(app: AppStub<AnyApp>, state: FleetScheduleQuery['state']): Promise<FleetSchedule[]> {
  const { fleet } = app.dotdo
  await fleet.settle()
  const query = state === undefined ? {} : { state }
  return (await pages(mostShown, (limit, after) => fleet.schedules({ ...query, limit, ...(after !== undefined && { after }) }))).items
}

/** When it fired last, how that run ended, and how many have failed in a row. */
function lastCell({ lastFiredAt, lastStatus, failures }: ScheduleView, now: number): Cell {
  if (lastFiredAt === undefined) return ''
  const when = formatRelative(lastFiredAt, now)
  if (lastStatus === undefined) return when
  const { mark, color } = markOf(lastStatus)
  return { text: `${mark} ${when}${failures !== undefined && failures > 1 ? `, ${failures} failed in a row` : ''}`, color }
}

/** Why it does not fire, where it does not. */
function stateCell({ paused, held }: ScheduleView): Cell {
  if (!held) return paused ? { text: 'paused', color: 'yellow' } : ''
  const skipped = held.skipped === 0 ? '' : `, ${formatCount(held.skipped)} skipped`
  return { text: `${paused ? 'paused, ' : ''}held${skipped}`, color: 'yellow' }
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
    const times = next.slice(0, instants).map((at) => [instant(at, timeZone), formatRelative(at, now)])
    const [first = [paused ? '' : 'never', '']] = times
    const last = lastCell(schedule, now)
    return [
      [
        objects.size > 1 ? object : '',
        scheduleId,
        pattern,
        timeZone,
        stateCell(schedule),
        ...first,
        last,
        schedule.held?.runId ?? lastRunId ?? '',
      ],
      ...times.slice(1).map((time): Cell[] => ['', '', '', '', '', ...time, '', '']),
    ]
  })
  return table(
    [
      { title: 'OBJECT', least: leastObject },
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
