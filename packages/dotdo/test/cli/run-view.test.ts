import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { RunView } from '../../src/base/views.ts'
import { rootOf } from '../../src/cli/commands/run.ts'
import { markOf, runTable, runTree, stateOf, stepFacts, timeBar } from '../../src/cli/run-view.ts'
import { width } from '../../src/cli/text.ts'
import { look, noon, run, step } from './machine.ts'

const object = 'Pipeline/main'
const failed = { name: 'Error', code: 'LOAD_FAILED', message: 'the lake\nis dry' }
const steps = [
  step('extract', 0, 1000, { progress: { rows: 200_000, bytes: 18_400_000 } }),
  step('load', 1000, 4000, { status: 'failed', attempt: 3, error: failed }),
]

describe('one run', () => {
  test('is its steps as a tree, with their part of its time, attempts and errors', () => {
    expect(runTree({ object, run: run({ status: 'failed', attempt: 2, steps, error: failed }) }, noon + 64_000, look(100))).toEqual([
      'daily@2026-11-23T12:00:00.000Z',
      'Pipeline/main, schedule daily, started 2026-11-23 12:00:00Z, 1 min ago',
      '✗ failed in 4.0 s, taken up 1 time',
      '├─ ✓ extract  1.0 s  ██████░░░░░░░░░░░░░░░░░░  200,000 rows  18.4 MB',
      '└─ ✗ load     3.0 s  ░░░░░░██████████████████  attempt 3',
      '     LOAD_FAILED: the lake is dry',
      'LOAD_FAILED: the lake is dry',
    ])
  })

  test('says what it has used, where it was anything', () => {
    const price = { requests: 3, bytes: 1_200_000, rowsRead: 12_000 }
    const lines = runTree({ object, run: run({ steps: [], price }) }, noon, look(100))
    expect(lines).toContain('used 3 requests, 1.2 MB, 12,000 rows read')
    expect(runTree({ object, run: run({ steps: [] }) }, noon, look(100)).join()).not.toContain('used')
    const budget = { requests: 50 }
    expect(runTree({ object, run: run({ steps: [], price: { calls: 1 }, budget }) }, noon, look(100))).toContain(
      'used 1 call; budget: at most 50 requests',
    )
    expect(runTree({ object, run: run({ steps: [], budget }) }, noon, look(100))).toContain('budget: at most 50 requests')
  })

  test('that goes on is measured up to now, and says when it is tried again', () => {
    const waiting = step('load', 0, 10, { status: 'waiting', error: failed, nextAttemptAt: noon + 30_000 })
    const { endedAt: _, ...open } = run({
      status: 'running',
      steps: [waiting, step('next', 10, undefined, { progress: { at: 's3://lake/x' } })],
    })
    const lines = runTree({ object, run: open }, noon + 2000, look(100))
    expect(lines[2]).toBe('◐ running for 2.0 s')
    expect(lines[4]).toBe('│    LOAD_FAILED: the lake is dry Tried again in 28 s.')
    expect(lines[5]).toContain('s3://lake/x')
  })

  test('fits into 60 columns, and into 30 without bars', () => {
    const whole = run({
      steps: [...steps, step('a-step-with-quite-a-long-name-indeed', 0, 1)],
      error: failed,
      result: { text: '{"records":200000}', sizeBytes: 18 },
    })
    const narrow = runTree({ object, run: whole }, noon, look(60))
    expect(narrow.filter((line) => line.includes('█'))).toHaveLength(3)
    const narrower = runTree({ object, run: whole }, noon, look(30))
    expect(narrower.filter((line) => line.includes('█'))).toEqual([])
    // What other commands are given stays whole.
    expect(runTree({ object, run: whole }, noon, look(20)).slice(0, 2).join('')).toBe(whole.runId)
    expect(narrower[0]).toBe(whole.runId)
  })

  test('has no line wider than the terminal, whatever its texts are', () => {
    const text = fc.string({ unit: 'binary', maxLength: 60 })
    const view = fc.record({ id: text, name: text, message: text, result: text, columns: fc.integer({ min: 20, max: 120 }) })
    fc.assert(
      fc.property(view, ({ id, name, message, result, columns }) => {
        const error = { name: 'Error', message }
        const all: RunView = run({
          runId: id,
          steps: [step(name, 5, 3000, { status: 'failed', error, result: { text: result, sizeBytes: 1 } })],
          error,
        })
        for (const line of runTree({ object, run: all }, noon, look(columns))) expect(width(line)).toBeLessThanOrEqual(columns)
      }),
    )
  })

  test('has the attempts that failed before below their step', () => {
    const attempts = [
      { attempt: 1, startedAt: noon, endedAt: noon + 1, error: failed },
      { attempt: 2, startedAt: noon + 2 },
      { attempt: 3, startedAt: noon + 4, endedAt: noon + 5 },
    ]
    const lines = (more: object) =>
      runTree({ object, run: run({ steps: [step('load', 0, 4000, { attempt: 3, attempts, ...more })] }) }, noon, look(100)).slice(4)
    expect(lines({})).toEqual(['     attempt 1: LOAD_FAILED: the lake is dry', '     attempt 2: was cut short'])
    const last = { ...attempts[2]!, error: failed }
    expect(lines({ status: 'failed', error: failed, attempts: [...attempts.slice(0, 2), last] })).toEqual([
      '     attempt 1: LOAD_FAILED: the lake is dry',
      '     attempt 2: was cut short',
      '     LOAD_FAILED: the lake is dry',
    ])
  })

  test('says what it waits for, what was undone, and who waits for it', () => {
    const { endedAt: _, ...open } = run({ status: 'running', parked: { until: noon + 9 }, parent: { runId: 'run_1', stepId: 'child' } })
    const waiting = step('approval', 0, undefined, { status: 'waiting', kind: 'wait', waitsFor: 'Order.approved' })
    const lines = runTree(
      { object, run: { ...open, steps: [waiting, step('nap', 0, undefined, { status: 'waiting', kind: 'sleep' })] } },
      noon,
      look(),
    )
    expect(lines[1]).toMatch(/, for child of run_1$/)
    expect(lines[2]).toBe('◌ parked for 0 ms')
    expect(lines[3]).toMatch(/waits for Order\.approved$/)
    expect(lines[4]).toMatch(/asleep$/)
    expect(stepFacts({ ...waiting, nextAttemptAt: noon + 7 * 86_400_000 })).toEqual([
      'waits for Order.approved',
      'until 2026-11-30 12:00:00Z',
    ])
    expect(stateOf({ ...open, undoing: true })).toBe('undoing')
    expect(stepFacts(step('x', 0, 1, { undo: 'undone' }))).toEqual(['undone'])
  })

  test('of an app that is newer shows a state by its name', () => {
    expect(markOf('hibernating')).toEqual({ mark: '•', color: 'blue' })
    expect(runTree({ object, run: run({ status: 'hibernating' as never }) }, noon, look())[2]).toBe('• hibernating in 4.0 s')
  })
})

describe('the part of a time', () => {
  test('that a step took is marked where it was, if only by one mark', () => {
    const bar = (from: number, to: number | undefined) => timeBar(step('x', from, to), noon, noon + 1000, 10)
    expect([bar(0, 1000), bar(0, 500), bar(500, 1000), bar(300, 301), bar(1000, 1000), bar(900, undefined), bar(-50, 2000)]).toEqual([
      '██████████',
      '█████░░░░░',
      '░░░░░█████',
      '░░░█░░░░░░',
      '░░░░░░░░░█',
      '░░░░░░░░░█',
      '██████████',
    ])
  })

  test('has as many columns as it was given, however the clocks stand', () => {
    const at = fc.integer({ min: -10_000, max: 10_000 })
    fc.assert(
      fc.property(
        at,
        at,
        at,
        fc.integer({ min: 8, max: 24 }),
        (from, to, end, columns) => width(timeBar(step('x', from, to), noon, noon + end, columns)) === columns,
      ),
    )
  })
})

test('a list of runs names the object only where there are several', () => {
  const other = run({ runId: 'run_2', target: { kind: 'method', name: 'load' }, status: 'failed', error: failed })
  expect(
    runTable(
      [
        { object, run: run() },
        { object, run: other },
      ],
      noon + 60_000,
      look(),
    ),
  ).toEqual([
    'STATUS    RUN                             STARTED BY        STARTED   TOOK  ERROR',
    '✓ done    daily@2026-11-23T12:00:00.000Z  schedule daily  1 min ago  4.0 s',
    '✗ failed  run_2                           load()          1 min ago  4.0 s  LOAD_FAILED: the lake is dry',
  ])
  expect(
    runTable(
      [
        { object, run: run() },
        { object: 'Shop/main', run: other },
      ],
      noon,
      look(),
    )[2],
  ).toContain('Shop/main')
})

test('facts of a step are its attempt, its rows and bytes, or what it gave', () => {
  expect(stepFacts(step('x', 0, 1, { result: { text: '[1]', sizeBytes: 3, rows: 1 } }))).toEqual(['1 row'])
  expect(stepFacts(step('x', 0, 1, { result: { text: '{"a":', sizeBytes: 5000 } }))).toEqual(['{"a":… (5.0 kB)'])
  expect(stepFacts(step('x', 0, 1, { result: { text: 'undefined', sizeBytes: 0 } }))).toEqual([])
  // What was not cut where it was stored is cut here, and says so: also where no line is too long.
  const long = { text: 'x'.repeat(500), sizeBytes: 500 }
  expect(stepFacts(step('x', 0, 1, { result: long }))).toEqual([`${'x'.repeat(119)}… (500 B)`])
  expect(runTree({ object: 'Pipeline/main', run: run({ steps: [step('x', 0, 1, { result: long })] }) }, noon, look()).join()).not.toMatch(
    /x{120}/,
  )
  expect(stepFacts(step('x', 0, 1, { result: { text: 'x'.repeat(120), sizeBytes: 120 } }))).toEqual(['x'.repeat(120)])
})

test('a narrow list leaves columns out before it cuts the names of objects, which differ at their ends', () => {
  const runs = ['FlightShard/shard-2', 'FlightShard/shard-3'].map((object) => ({
    object,
    run: run({ runId: 'daily@2026-11-23T12:00:00.000Z.manual_01m84wh279xy8dsyp5a114z31y' }),
  }))
  const [titles, ...rows] = runTable(runs, noon + 60_000, look(70))
  expect(titles).toMatch(/^STATUS +OBJECT +RUN +TOOK$/)
  expect(rows.map((row) => /Flight\S+/.exec(row)?.[0])).toEqual(['FlightShard/shard-2', 'FlightShard/shard-3'])
})

test.each([
  ['one run', ['a@1'], 'a@1'],
  ['a run and those that it has begun', ['a@1/sum/add', 'a@1/sum', 'a@1', 'a@1/ship'], 'a@1'],
  ['two runs', ['a@1', 'a@12'], undefined],
  ['two runs, of which one has begun another', ['a@1', 'a@1/sum', 'a@2'], undefined],
  ['what a run has begun that is not there', ['a@1/sum', 'a@1/ship'], undefined],
  ['none', [], undefined],
])('the beginning of an id that %s has means the run that nobody of them has begun, or none', (_, runIds, meant) => {
  expect(rootOf(runIds.map((runId) => ({ runId })))?.runId).toBe(meant)
})

test('the error of a run in a list is cut, however wide the terminal is', () => {
  const long = run({ status: 'held', error: { name: 'DotdoError', code: 'RUN_HELD', message: 'x'.repeat(400) } })
  expect(runTable([{ object, run: long }], noon, look())[1]).toMatch(/RUN_HELD: x{109}…$/)
})
