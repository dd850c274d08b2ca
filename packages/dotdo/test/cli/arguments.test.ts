import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { codeOf } from '../../src/base/errors.ts'
import {
  isObjectName,
  optionsOf,
  readArguments,
  readBudgetOption,
  readInstant,
  readNumber,
  readObject,
  readTimes,
  readWord,
} from '../../src/cli/arguments.ts'
import { commands } from '../../src/cli/cli.ts'
import type { Command } from '../../src/cli/command.ts'
import { exitCodeOf } from '../../src/cli/failure.ts'
import { editDistance, nearest } from '../../src/cli/nearest.ts'

const command: Command = {
  name: 'load',
  summary: 'loads',
  takes: 'NOUN/ID [DAY]',
  positionals: [1, 2],
  options: { wait: { help: 'until the end' }, since: { value: 'TIME', help: 'since when' } },
  examples: [],
  asksApp: true,
  run: () => Promise.resolve(0),
}
const refusal = (...args: string[]): string => {
  try {
    readArguments(command, args)
  } catch (error) {
    expect(codeOf(error)).toBe('USAGE_INVALID')
    expect(exitCodeOf(error)).toBe(2)
    return (error as Error).message
  }
  throw new Error('it was not refused')
}

describe('a command line', () => {
  test('gives arguments, texts and switches, in any order', () => {
    const input = readArguments(command, ['--since', '1d', 'Pipeline/main', '--wait', '2026-01-01', '--url=http://x'])
    expect(input.positionals).toEqual(['Pipeline/main', '2026-01-01'])
    expect([input.text('since'), input.has('wait'), input.text('url'), input.text('token'), input.has('json')]).toEqual([
      '1d',
      true,
      'http://x',
      undefined,
      false,
    ])
  })

  test('takes what stands behind -- as it is', () => {
    expect(readArguments(command, ['--', '--wait']).positionals).toEqual(['--wait'])
  })

  test.each([
    [['A/b', '--wiat'], 'There is no option --wiat: --wait is the nearest. See: npx dotdo load --help'],
    [['A/b', '--zzzzzzzz'], 'There is no option --zzzzzzzz. See'],
    [['A/b', '--constructor'], 'There is no option --constructor'],
    [['A/b', '-x'], 'There is no option -x'],
    [['A/b', '--wait=yes'], '--wait takes no value.'],
    [['A/b', '--since'], '--since needs a value: --since=TIME.'],
    [['A/b', '--since', '--wait'], '--since needs a value'],
    [['A/b', '--wait', '--wait'], '--wait was given twice.'],
    [['A/b', '--since=1d', '--since=2d'], '--since was given twice.'],
    [[], 'Something is missing: npx dotdo load NOUN/ID [DAY].'],
    [['A/b', 'c', 'd'], '"d" is one argument too many'],
  ])('%j is refused: %s', (args, message) => {
    expect(refusal(...args)).toContain(message)
  })

  test('that asks for help is right whatever else it says', () => {
    for (const args of [['--help'], ['-h'], ['--nonsense', '--help'], ['a', 'b', 'c', 'd', '-h']])
      expect(readArguments(command, args).has('help')).toBe(true)
  })

  test('never fails but by a usage error, whatever is typed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string(), fc.constantFrom('--wait', '--since', '--since=1', '--', '-', '--no-wait', '--help'))),
        (args) => {
          try {
            readArguments(command, args)
          } catch (error) {
            expect(codeOf(error)).toBe('USAGE_INVALID')
          }
        },
      ),
    )
  })
})

describe('the commands', () => {
  test.each(commands.map((it) => [it.name, it] as const))('%s has a help of its own, and no option means two things', (_, it) => {
    expect(it.examples.length).toBeGreaterThan(0)
    const all = optionsOf(it)
    for (const name of Object.keys(it.options)) expect(all[name]).toBeDefined()
    if (it.asksApp) for (const name of ['url', 'token', 'folder']) expect(Object.keys(it.options)).not.toContain(name)
  })

  test('no example shows a token', () => {
    for (const { examples } of commands) for (const [line] of examples) expect(line).not.toMatch(/--token|dotdo1\./)
  })
})

test.each([
  ['Pipeline/main', { noun: 'Pipeline', name: 'main' }],
  ['Page/https://a.example/b c', { noun: 'Page', name: 'https://a.example/b c' }],
  ['eu:Pipeline/main', { noun: 'eu:Pipeline', name: 'main' }],
])('%s is an object', (text, object) => {
  expect(isObjectName(text)).toBe(true)
  expect(readObject(text)).toEqual(object)
})

test.each(['', 'Pipeline', 'Pipeline/', 'pipeline/main', '/main', '1/2', ':Pipeline/main', 'eu:pipeline/main'])(
  '%j is no object',
  (text) => {
    expect(isObjectName(text)).toBe(false)
    expect(() => readObject(text)).toThrow('names no object. Write its noun and its name: Pipeline/main.')
  },
)

test('numbers and words are read or refused with what would do', () => {
  expect(readNumber('limit', undefined, 20, [1, 500])).toBe(20)
  expect(readNumber('limit', '500', 20, [1, 500])).toBe(500)
  for (const text of ['0', '501', '-1', '1.5', '', 'x', '1e2'])
    expect(() => readNumber('limit', text, 20, [1, 500])).toThrow('from 1 to 500')
  const words = ['running', 'failed'] as const
  expect(readWord('state', undefined, words)).toBeUndefined()
  expect(readWord('state', 'failed', words)).toBe('failed')
  expect(() => readWord('state', 'faild', words)).toThrow('--state faild is none of running, failed: failed is the nearest.')
  expect(() => readWord('state', 'purple', words)).toThrow('--state purple is none of running, failed.')
})

test.each([
  ['2026-11-23', Date.UTC(2026, 10, 23)],
  ['2026-11-23T02:00Z', Date.UTC(2026, 10, 23, 2)],
  ['2026-11-23 02:00:01Z', Date.UTC(2026, 10, 23, 2, 0, 1)],
  ['2026-11-23T02:00+01:00', Date.UTC(2026, 10, 23, 1)],
  ['2026-11-23T02:00', undefined],
  ['2026-13-01', undefined],
  ['2026-02-30', undefined],
  ['2025-02-29T02:00Z', undefined],
  ['2026', undefined],
  ['tomorrow', undefined],
  ['', undefined],
])('%j is the instant %j', (text, at) => expect(readInstant(text)).toBe(at))

test('a budget is read by name, its time as people write it, and what is none is refused with 2', () => {
  expect(readBudgetOption(undefined)).toBeUndefined()
  expect(readBudgetOption('requests=1000, rowsWritten=0,wall=1h')).toEqual({ requests: 1000, rowsWritten: 0, wallMs: 3_600_000 })
  for (const text of ['', 'requests', 'requests=', 'requests=-1', 'requests=1=2', 'requests=many', 'wall=soon', 'cpu=1', 'requests=1,,'])
    expect(exitCodeOf(thrown(() => readBudgetOption(text))), text).toBe(2)
})

function thrown(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return error
  }
}

describe('the nearest name', () => {
  test.each([
    ['rnus', 'runs'],
    ['trigerr', 'trigger'],
    ['sched', 'schedules'],
    ['RUNS', 'runs'],
    ['ev', 'events'],
  ])('of %s is %s', (typed, meant) => {
    expect(nearest(typed, ['runs', 'run', 'trigger', 'schedules', 'events'])).toBe(meant)
  })

  test('is none where nothing is near', () => {
    for (const typed of ['', 'xyz', 'frobnicate']) expect(nearest(typed, ['runs', 'trigger'])).toBeUndefined()
  })

  test('is the name itself where it exists', () => {
    fc.assert(fc.property(fc.array(fc.string({ minLength: 1 }), { minLength: 1 }), (names) => nearest(names[0]!, [names[0]!]) === names[0]))
  })
})

test('the distance of two texts is a metric, and swaps count once', () => {
  expect([editDistance('', 'abc'), editDistance('kitten', 'sitting'), editDistance('ab', 'ba'), editDistance('rnus', 'runs')]).toEqual([
    3, 3, 1, 1,
  ])
  fc.assert(
    fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
      const distance = editDistance(a, b)
      expect(distance).toBe(editDistance(b, a))
      expect(distance === 0).toBe(a === b)
      expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length))
    }),
  )
})

describe('--since and --until', () => {
  const noon = Date.UTC(2026, 10, 23, 12)
  const times = (since?: string, until?: string) => readTimes((option) => ({ since, until })[option], noon)

  test('are each a length of time before now, or an instant', () => {
    expect(times()).toEqual({})
    expect(times('1d')).toEqual({ since: noon - 86_400_000 })
    expect(times('1d', '90m')).toEqual({ since: noon - 86_400_000, until: noon - 5_400_000 })
    expect(times('2026-11-23T02:00Z', '2026-11-24')).toEqual({ since: Date.UTC(2026, 10, 23, 2), until: Date.UTC(2026, 10, 24) })
  })

  test('are refused where they are none, or nothing is between them', () => {
    for (const text of ['', 'x', '-1d', '2026-99-99', 'tomorrow']) {
      expect(() => times(text)).toThrow(`--since ${text} is no time`)
      expect(() => times(undefined, text)).toThrow(`--until ${text} is no time`)
    }
    expect(() => times('5 parsecs')).toThrow('is no duration')
    expect(() => times('1h', '1d')).toThrow('Nothing is since 1h and before 1d')
    expect(() => times('1h', '1h')).toThrow('--since is the earlier')
  })
})
