/** `dotdo backfill`: runs windows of a schedule that were missed, failed, or are out of date. */
import { formatCount, formatRelative } from '../../base/words.ts'
import { setTimeout as wait } from 'node:timers/promises'
import type { AnyApp, AppStub } from '../../client/connect.ts'
import type { BackfillView, PartitionState, PartitionView } from '../../base/views.ts'
import { budgetOption, readBudgetOption, readInstant, readNumber, readObject, readWord, type ObjectName } from '../arguments.ts'
import type { Command, Context } from '../command.ts'
import { exit, usageError } from '../failure.ts'
import { inspect, nameOf } from '../objects.ts'
import { statusCell } from '../run-view.ts'
import { table, type Look } from '../table.ts'
import { cut, instant, plain } from '../text.ts'

/** States of windows that a backfill can be told to take. What runs is left alone. */
const takeable = ['missing', 'failed', 'stale', 'done'] as const satisfies readonly PartitionState[]

/** How often a backfill is asked how far it is. It has no live events of its own. */
const askMs = 500
/** Windows that one look shows, and asks for at a time. */
const mostWindows = 10_000
const page = 500
/** Of the windows of a backfill that failed so many are named: the others are found as these are. */
const mostNamed = 3

/** See the head of this file. */
export const backfill: Command = {
  name: 'backfill',
  summary: 'runs windows of a schedule that are missing, failed or stale',
  takes: 'NOUN/ID SCHEDULE [FROM TO]',
  positionals: [2, 4],
  options: {
    take: { value: 'STATES', help: `windows in which states: ${takeable.join(',')} (missing,failed,stale)` },
    concurrency: { value: 'N', help: 'so many at a time, 1 to 100 (1)' },
    budget: { ...budgetOption, help: `each of its runs: ${budgetOption.help}` },
    wait: { help: 'until it has ended; 1 where a window has failed or it was cancelled' },
    'dry-run': { help: 'shows the windows with their states, and runs none' },
    cancel: { value: 'BACKFILL', help: 'begins no more windows, and cancels those that run' },
  },
  about:
    'The windows that end after FROM and not after TO: dates, which are their midnights in UTC, or instants such as 2026-11-23T02:00Z. Without them it lists the backfills of the schedule.',
  examples: [
    ['npx dotdo backfill Pipeline/main daily 2026-11-01 2026-11-04 --dry-run', 'what would be run'],
    ['npx dotdo backfill Pipeline/main daily 2026-11-01 2026-11-04 --concurrency 4 --wait', 'runs it, and shows how far it is'],
    ['npx dotdo backfill Pipeline/main daily', 'those that were begun'],
  ],
  asksApp: true,
  async run({ positionals, text, has }, context) {
    const { terminal, json, now } = context
    const object = readObject(positionals[0]!)
    const [, scheduleId = '', from, to] = positionals
    const take = readStates(text('take'))
    const budget = readBudgetOption(text('budget'))
    const concurrency = readNumber('concurrency', text('concurrency'), 1, [1, 100])
    if (from !== undefined && to === undefined) throw usageError('Say from when to when: npx dotdo backfill NOUN/ID SCHEDULE FROM TO.')
    for (const instant of [from, to])
      if (instant !== undefined && readInstant(instant) === undefined)
        throw usageError(`${JSON.stringify(instant)} is no date and no instant. Write 2026-11-01, or 2026-11-01T02:00Z with its zone.`, {
          instant,
        })
    const cancelled = text('cancel')
    if (from === undefined && (has('wait') || has('dry-run')))
      throw usageError('Say from when to when: npx dotdo backfill NOUN/ID SCHEDULE FROM TO.')
    if (from !== undefined && cancelled !== undefined) throw usageError('--cancel ends a backfill, and FROM TO begin one.')
    const app = await context.connect()
    const name = nameOf(object)

    if (from === undefined || to === undefined) {
      const list = await inspect(app, object, async (inspector) => {
        const schedule = inspector.schedule(scheduleId)
        if (cancelled !== undefined) await schedule.openBackfill(cancelled).cancel()
        return await schedule.backfills()
      })
      if (json) for (const view of list) terminal.object({ object: name, ...view })
      else if (list.length > 0) terminal.print(...backfillTable(list, now(), terminal))
      else terminal.note(`No backfills of ${scheduleId} of ${name}.`)
      return exit.fine
    }
    if (has('dry-run')) {
      const windows = await windowsOf(app, object, scheduleId, from, to)
      if (json) for (const window of windows) terminal.object({ object: name, scheduleId, ...window })
      else if (windows.length > 0) terminal.print(...windowTable(windows, terminal))
      else terminal.note(`${scheduleId} of ${name} has no windows in that time.`)
      return exit.fine
    }
    const begun = await inspect(app, object, async (inspector) => {
      const made = inspector.schedule(scheduleId).backfill(from, to, { concurrency, ...(take && { take }), ...(budget && { budget }) })
      return await made.progress()
    })
    const view = has('wait') ? await waitForEnd(app, object, begun, context) : begun
    if (json) terminal.object({ object: name, ...view })
    else if (!has('wait')) {
      terminal.print(view.backfillId)
      terminal.note(`How far it is: npx dotdo backfill ${name} ${scheduleId}`)
    } else if (!terminal.isLive) terminal.print(...backfillLines(view, now(), terminal))
    if (has('wait') && !json && view.failed > 0) {
      const { windows, isCut } = await failedOf(app, object, view)
      terminal.print(...failedLines(windows, isCut, terminal))
      terminal.note(
        `Why: npx dotdo runs ${name} --state failed. Begun again, it takes the windows that failed: npx dotdo backfill ${name} ${scheduleId} ${from} ${to} --wait`,
      )
    }
    const isWhole = view.status !== 'cancelled' && view.failed === 0 && view.cancelled === 0
    return isWhole ? exit.fine : exit.failed
  },
}

/** Asks until it has ended. */
async function waitForEnd(app: AppStub<AnyApp>, object: ObjectName, begun: BackfillView, context: Context): Promise<BackfillView> {
  const { terminal, json, signal, now } = context
  context.atEnd(terminal.settle)
  for (let view = begun; ;) {
    if (terminal.isLive && !json) terminal.draw(backfillLines(view, now(), terminal))
    if (view.status !== 'running' || signal.aborted) return view
    await wait(askMs)
    view = await inspect(app, object, (inspector) => inspector.schedule(begun.scheduleId).openBackfill(begun.backfillId).progress())
  }
}

/** The first windows that failed in the time of a backfill, and whether there are more, or may be where a look has not come to the end. */
async function failedOf(
  app: AppStub<AnyApp>,
  object: ObjectName,
  { scheduleId, from, to }: BackfillView,
): Promise<{ windows: PartitionView[]; isCut: boolean }> {
  return await inspect(app, object, async (inspector) => {
    const failed: PartitionView[] = []
    let next: number | undefined = from
    for (let looks = 0; next !== undefined && failed.length <= mostNamed && looks < mostWindows / page; looks++) {
      const found: { partitions: PartitionView[]; next?: number } = await inspector
        .schedule(scheduleId)
        .partitions(next, to, { limit: page })
      failed.push(...found.partitions.filter(({ state }) => state === 'failed'))
      next = found.next
    }
    return { windows: failed.slice(0, mostNamed), isCut: failed.length > mostNamed || next !== undefined }
  })
}

/** The windows of a backfill that failed, a line each. @param isCut there are more */
export function failedLines(windows: readonly PartitionView[], isCut: boolean, look: Look): string[] {
  const lines = windows.map(({ start, end, runId }) => `✗ ${instant(start)} to ${instant(end)}${runId === undefined ? '' : `  ${runId}`}`)
  return [...lines, ...(isCut ? ['… and more'] : [])].map((line) => look.paint('red', cut(plain(line), look.columns)))
}

/** The windows of a time, page by page. @throws `USAGE_INVALID` where there are too many to be shown */
async function windowsOf(app: AppStub<AnyApp>, object: ObjectName, scheduleId: string, from: string, to: string): Promise<PartitionView[]> {
  return await inspect(app, object, async (inspector) => {
    const windows: PartitionView[] = []
    for (let next: string | number | undefined = from; next !== undefined;) {
      const found: { partitions: PartitionView[]; next?: number } = await inspector
        .schedule(scheduleId)
        .partitions(next, to, { limit: page })
      windows.push(...found.partitions)
      if (windows.length > mostWindows)
        throw usageError(`There are more than ${formatCount(mostWindows)} windows in that time. Look at less of it.`)
      next = found.next
    }
    return windows
  })
}

/** Reads `missing,failed`. @throws `USAGE_INVALID` */
export function readStates(text: string | undefined): (typeof takeable)[number][] | undefined {
  return text?.split(',').map((word) => readWord('take', word.trim(), takeable)!)
}

/** How wide the bar of a backfill is. */
const barColumns = 20

/** One backfill: how far it is, and how its windows ended. */
export function backfillLines(view: BackfillView, now: number, look: Look): string[] {
  const { status, windows, done, failed, cancelled, passed, running, from, to } = view
  const looked = done + failed + cancelled + passed
  const share =
    status === 'running' ? (windows === undefined ? (view.upTo - from) / Math.max(1, to - from) : looked / Math.max(1, windows)) : 1
  const filled = Math.round(Math.min(1, Math.max(0, share)) * barColumns)
  const words = [
    `${formatCount(looked)}${windows === undefined ? '' : ` of ${formatCount(windows)}`} windows`,
    `${formatCount(done)} done`,
    failed > 0 ? `${formatCount(failed)} failed` : '',
    cancelled > 0 ? `${formatCount(cancelled)} cancelled` : '',
    passed > 0 ? `${formatCount(passed)} left as they were` : '',
    running > 0 ? `${formatCount(running)} running` : '',
  ].filter(Boolean)
  const color = failed > 0 ? 'red' : status === 'running' ? 'cyan' : status === 'done' ? 'green' : 'yellow'
  return [
    look.paint('bold', cut(plain(`${view.backfillId} of ${view.scheduleId}`), look.columns)),
    look.paint('dim', cut(`${instant(from)} to ${instant(to)}, begun ${formatRelative(view.startedAt, now)}`, look.columns)),
    look.paint(color, cut(`${'█'.repeat(filled)}${'░'.repeat(barColumns - filled)}  ${status}  ${words.join(', ')}`, look.columns)),
  ]
}

function backfillTable(list: readonly BackfillView[], now: number, look: Look): string[] {
  return table(
    [
      { title: 'STATUS' },
      { title: 'BACKFILL' },
      { title: 'FROM', drop: 3 },
      { title: 'TO', drop: 3 },
      { title: 'DONE', right: true },
      { title: 'FAILED', right: true },
      { title: 'BEGUN', right: true, drop: 1 },
    ],
    list.map((view) => [
      statusCell(view.status),
      view.backfillId,
      instant(view.from),
      instant(view.to),
      formatCount(view.done),
      view.failed > 0 ? { text: formatCount(view.failed), color: 'red' } : '0',
      formatRelative(view.startedAt, now),
    ]),
    look,
  )
}

function windowTable(windows: readonly PartitionView[], look: Look): string[] {
  return table(
    [{ title: 'STATE' }, { title: 'FROM' }, { title: 'TO', drop: 1 }, { title: 'RUN', least: 16 }],
    windows.map(({ start, end, state, runId }) => [statusCell(state), instant(start), instant(end), runId ?? '']),
    look,
  )
}
