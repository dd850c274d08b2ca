/** Command lines that ask no app: help, refusals, and how a command ends. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { commands, runCommandLine } from '../../src/cli/cli.ts'
import type { BackfillView } from '../../src/base/views.ts'
import { backfillLines, failedLines, readStates } from '../../src/cli/commands/backfill.ts'
import { scheduleTable } from '../../src/cli/commands/schedules.ts'
import { width } from '../../src/cli/text.ts'
import { look, noon, recorded } from './machine.ts'

let cwd: string
beforeAll(async () => void (cwd = await mkdtemp(join(tmpdir(), 'dotdo-cli-'))))
afterAll(() => rm(cwd, { recursive: true, force: true }))

async function dotdo(
  args: string[],
  { env = {}, columns, signal }: { env?: Record<string, string>; columns?: number; signal?: AbortSignal } = {},
) {
  const { terminal, out, err } = recorded(env, columns)
  const code = await runCommandLine(args, {
    terminal,
    env,
    cwd,
    now: () => noon,
    signal: signal ?? new AbortController().signal,
    takeSignals: () => {},
  })
  return { code, out: out(), err: err() }
}

describe('help', () => {
  test.each([[], ['help'], ['--help'], ['-h']])('of all commands: %j', async (...args) => {
    const { code, out, err } = await dotdo(args)
    expect([code, err]).toEqual([0, ''])
    for (const { name, summary } of commands) expect(out).toMatch(new RegExp(`^ {2}${name} +${summary.slice(0, 10)}`, 'm'))
    expect(out).toContain('130 Ctrl-C')
  })

  test.each(commands.map(({ name }) => name))('of %s, with all of its options and examples, within 60 columns', async (name) => {
    const { code, out } = await dotdo([name, '--help'], { columns: 60 })
    expect(code).toBe(0)
    expect((await dotdo(['help', name], { columns: 60 })).out).toBe(out)
    const { options, examples } = commands.find((command) => command.name === name)!
    for (const option of Object.keys(options)) expect(out).toContain(`--${option}`)
    for (const [line] of examples) expect(out).toContain(line)
    // Examples are copied, so they stay in one line.
    for (const line of out.split('\n')) if (!line.startsWith('  npx ')) expect(width(line)).toBeLessThanOrEqual(60)
  })

  test('the version is that of the package', async () => {
    expect((await dotdo(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

describe('what makes no sense is refused with 2, and asks no app', () => {
  test.each([
    [['rnus'], 'There is no command "rnus": runs is the nearest. See: npx dotdo --help'],
    [['frobnicate'], 'There is no command "frobnicate". See'],
    [['help', 'rnus'], 'runs is the nearest'],
    [['runs', '--stat', 'failed'], 'There is no option --stat: --state is the nearest.'],
    [['runs', '--state', 'faild'], 'failed is the nearest.'],
    [['runs', '--since', 'yesterday'], '--since yesterday is no time.'],
    [['runs', '--limit', '0'], '--limit 0 will not do.'],
    [['run'], 'Something is missing'],
    [['run', 'x', '--cancel', '--retry'], '--cancel and --retry are two commands'],
    [['trigger', 'Pipeline/main'], 'Something is missing: npx dotdo trigger NOUN/ID SCHEDULE.'],
    [['trigger', 'pipeline', 'daily'], '"pipeline" names no object'],
    [['run', 'x', '--retry', '--accept'], '--retry and --accept are two commands'],
    [['backfill', 'A/b'], 'Something is missing: npx dotdo backfill NOUN/ID SCHEDULE [FROM TO].'],
    [['backfill', 'A/b', 'daily', '2026-01-01'], 'Say from when to when'],
    [['backfill', 'A/b', 'daily', '--dry-run'], 'Say from when to when'],
    [['backfill', 'A/b', 'daily', '2026-01-01', '2026-01-02', '--cancel', 'x'], '--cancel ends a backfill'],
    [
      ['backfill', 'A/b', 'daily', '2026-01-01', '2026-01-02', '--take', 'missing,runing'],
      '--take runing is none of missing, failed, stale, done',
    ],
    [['backfill', 'A/b', 'daily', '2026-01-01', '2026-01-02', '--concurrency', '101'], 'from 1 to 100'],
    [['schedules', '--pause', 'daily'], 'Say of which object: npx dotdo schedules NOUN/ID --pause daily.'],
    [['schedules', '--resume', 'daily'], 'Say of which object: npx dotdo schedules NOUN/ID --resume daily.'],
    [['schedules', 'A/b', '--pause', 'x', '--resume', 'x'], 'two commands'],
    [['backfill', 'A/b', 'daily', 'yesterday', '2026-01-02'], '"yesterday" is no date and no instant.'],
    [['backfill', 'A/b', 'daily', '2026-01-01', '2026-01-02T02:00'], 'with its zone'],
    [['run', 'x', '--budget', 'requests=1'], '--budget goes with --retry'],
    [['fork', 'x', '--dry-run', '--budget', 'requests=1'], '--dry-run uses nothing that --budget could bound'],
    [['fork', 'x', '--budget', 'requests'], '--budget requests is no budget.'],
    [['trigger', 'A/b', 'daily', '--budget', 'requests'], '--budget requests is no budget.'],
    [['lineage', 'x', '--as', 'mermiad'], 'mermaid is the nearest'],
    [['fleet', '--wait'], '--wait goes with --rebuild'],
    [['fleet', 'A/b', '--noun', 'A'], 'says which noun already'],
    [['dev', '--config', 'nowhere.toml'], 'nowhere.toml'],
    [['dev'], 'There is no wrangler.json, wrangler.jsonc, wrangler.toml in'],
    [['dev', '--url', 'http://x'], 'There is no option --url'],
  ])('%j', async (args, message) => {
    const { code, out, err } = await dotdo(args)
    expect([code, out]).toEqual([2, ''])
    expect(err).toContain(message)
    expect(err.trimEnd().split('\n')).toHaveLength(1)
    const json = await dotdo([...args, '--json'])
    expect(json).toMatchObject({ code: 2, out: '' })
    expect(JSON.parse(json.err)).toMatchObject({ error: { code: 'USAGE_INVALID', exitCode: 2 } })
  })

  test('an address that is none', async () => {
    expect(await dotdo(['runs'], { env: { DOTDO_URL: 'nowhere', DOTDO_TOKEN: 'x' } })).toMatchObject({ code: 2 })
  })
})

describe('what is not reached is refused with 3', () => {
  test('where no app runs', async () => {
    const { code, out, err } = await dotdo(['runs'])
    expect([code, out]).toEqual([3, ''])
    expect(err).toContain('APP_NOT_FOUND: No app runs on the state in')
  })
})

test('a command that is interrupted asks nothing and ends with the code of the signal', async () => {
  const ending = new AbortController()
  ending.abort(130)
  const { code } = await dotdo(['runs'], { env: { DOTDO_URL: 'http://127.0.0.1:9', DOTDO_TOKEN: 'x' }, signal: ending.signal })
  expect(code).toBe(130)
})

test('schedules have their next instants one below the other, on their own clock', () => {
  const schedule = {
    scheduleId: 'daily',
    pattern: 'every day at 02:00',
    timeZone: 'Europe/Zurich',
    paused: false,
    next: [1, 2, 3].map((days) => Date.UTC(2026, 10, 23 + days, 1)),
    lastFiredAt: noon - 3_600_000,
    lastRunId: 'daily@x',
  }
  const held = { ...schedule, next: schedule.next.slice(0, 1), lastStatus: 'held' as const, held: { runId: 'daily@w', skipped: 1200 } }
  expect(scheduleTable([{ object: 'P/m', schedule: held }], 2, noon, look())[1]).toMatch(/ held, 1,200 skipped .+ ‖ 1 h ago +daily@w$/)
  const paused = { ...schedule, scheduleId: 'hourly', paused: true, next: [], lastStatus: 'failed' as const, failures: 3 }
  expect(
    scheduleTable(
      [
        { object: 'P/m', schedule },
        { object: 'P/m', schedule: paused },
      ],
      2,
      noon,
      look(),
    ),
  ).toEqual([
    'SCHEDULE  PATTERN             ZONE           STATE   NEXT                 IN           LAST                          LAST RUN',
    'daily     every day at 02:00  Europe/Zurich          2026-11-24 02:00:00  in 13 h      1 h ago                       daily@x',
    '                                                     2026-11-25 02:00:00  in 1 d 13 h',
    'hourly    every day at 02:00  Europe/Zurich  paused                                    ✗ 1 h ago, 3 failed in a row  daily@x',
  ])
  for (const line of scheduleTable([{ object: 'P/m', schedule }], 3, noon, look(60))) expect(width(line)).toBeLessThanOrEqual(60)
})

describe('a backfill', () => {
  const view: BackfillView = {
    backfillId: 'bf_1',
    scheduleId: 'daily',
    status: 'running',
    from: noon - 10 * 86_400_000,
    to: noon,
    takes: ['missing'],
    upTo: noon - 5 * 86_400_000,
    windows: 10,
    running: 2,
    concurrency: 2,
    done: 3,
    failed: 1,
    cancelled: 0,
    passed: 1,
    startedAt: noon - 60_000,
  }

  test('is a bar with how its windows ended', () => {
    expect(backfillLines(view, noon, look())).toEqual([
      'bf_1 of daily',
      '2026-11-13 12:00:00Z to 2026-11-23 12:00:00Z, begun 1 min ago',
      '██████████░░░░░░░░░░  running  5 of 10 windows, 3 done, 1 failed, 1 left as they were, 2 running',
    ])
    const { windows: _, ...endless } = view
    expect(backfillLines({ ...endless, upTo: noon - 86_400_000 }, noon, look())[2]).toMatch(/^█{18}░░ {2}running {2}5 windows/)
    expect(backfillLines({ ...view, status: 'done', windows: 0, failed: 0 }, noon, look())[2]).toMatch(/^█{20} {2}done/)
    for (const line of backfillLines(view, noon, look(60))) expect(width(line)).toBeLessThanOrEqual(60)
  })

  test('names the first windows that failed, with their runs', () => {
    const window = { start: noon - 86_400_000, end: noon, state: 'failed', runId: 'daily@x' } as const
    const { runId: _, ...forgotten } = window
    expect(failedLines([window, forgotten], true, look())).toEqual([
      '✗ 2026-11-22 12:00:00Z to 2026-11-23 12:00:00Z  daily@x',
      '✗ 2026-11-22 12:00:00Z to 2026-11-23 12:00:00Z',
      '… and more',
    ])
    expect(failedLines([window], false, look(30))).toEqual(['✗ 2026-11-22 12:00:00Z to 202…'])
  })

  test('takes windows in the states that are named', () => {
    expect([readStates(undefined), readStates('missing, done')]).toEqual([undefined, ['missing', 'done']])
    expect(() => readStates('runing')).toThrow('is none of missing, failed, stale, done')
  })
})
