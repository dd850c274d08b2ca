import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Context, Input } from '../../src/cli/command.ts'
import { query } from '../../src/cli/commands/query.ts'
import { table, valueTable, valueText, type Column } from '../../src/cli/table.ts'
import { width } from '../../src/cli/text.ts'
import { look, recorded } from './machine.ts'

const columns: Column[] = [
  { title: 'RUN', least: 6 },
  { title: 'BY', least: 4, drop: 1 },
  { title: 'TOOK', right: true },
]
const rows = [
  ['daily@2026-11-23', 'schedule daily', '4.0 s'],
  ['run_1', 'load()', '12 ms'],
]

describe('a table', () => {
  test('has its titles above its columns, and numbers to the right', () => {
    expect(table(columns, rows, look())).toEqual([
      'RUN               BY               TOOK',
      'daily@2026-11-23  schedule daily  4.0 s',
      'run_1             load()          12 ms',
    ])
  })

  test('is cut where it is widest, then loses what may be left out', () => {
    expect(table(columns, rows, look(32))).toEqual([
      'RUN          BY             TOOK',
      'daily@2026…  schedule da…  4.0 s',
      'run_1        load()        12 ms',
    ])
    expect(table(columns, rows, look(16))).toEqual(['RUN         TOOK', 'daily@20…  4.0 s', 'run_1      12 ms'])
  })

  test('leaves out a column that says nothing', () => {
    expect(
      table(
        columns,
        rows.map(([run, , took]) => [run!, '', took!]),
        look(),
      )[0],
    ).toBe('RUN                TOOK')
  })

  test('shows nothing that a terminal would obey', () => {
    expect(table([{ title: 'A' }], [['\u001b[31mred\nline']], look())).toEqual(['A', '\\u001b[31mred line'])
  })

  test('is coloured without being made wider', () => {
    const [title, line] = table([{ title: 'A' }, { title: 'B' }], [[{ text: 'x', color: 'red' }, 'y']], look(Infinity, true))
    expect(title).toBe('\u001b[1mA\u001b[0m  \u001b[1mB\u001b[0m')
    expect(line).toBe('\u001b[31mx\u001b[0m  y')
  })

  test('never has a line that is wider than the terminal, whatever is in it', () => {
    const cell = fc.string({ maxLength: 40 })
    const column = fc.record({ title: fc.string({ maxLength: 12 }), least: fc.integer({ min: 1, max: 10 }), right: fc.boolean() })
    fc.assert(
      fc.property(
        fc.array(column, { minLength: 1, maxLength: 6 }),
        fc.array(fc.array(cell, { minLength: 6, maxLength: 6 })),
        fc.integer({ min: 20, max: 100 }),
        (cols, data, room) => {
          for (const line of table(
            cols,
            data.map((row) => row.slice(0, cols.length)),
            look(room),
          ))
            expect(width(line)).toBeLessThanOrEqual(room)
        },
      ),
    )
  })
})

describe('rows of a query', () => {
  test('are a table with all names that occur', () => {
    expect(
      valueTable(
        [
          { origin: 'ORD', flights: 11015 },
          { origin: 'DFW', flights: null, mean: 0.123456 },
        ],
        look(),
      ),
    ).toEqual(['origin  flights    mean', 'ORD      11,015    NULL', 'DFW        NULL  0.1235'])
    expect(valueTable([], look())).toEqual([])
  })

  test('are printed however many there are', async () => {
    const rows = Array.from({ length: 150_000 }, (_, n) => ({ n }))
    const app = { dotdo: { object: () => ({ describe: () => ({ methods: ['query'] }) }) }, Shop: () => ({ query: () => rows }) }
    const { terminal, out } = recorded()
    const context = { connect: () => Promise.resolve(app), terminal, json: false } as unknown as Context
    await query.run({ positionals: ['SELECT n FROM t', 'Shop/main'] } as unknown as Input, context)
    expect(out().split('\n').slice(-2)).toEqual(['149,999', ''])
  })

  test.each([
    [null, 'NULL'],
    [12, '12'],
    [2n ** 60n, '1152921504606846976'],
    [new Date(0), '1970-01-01T00:00:00.000Z'],
    [Uint8Array.of(1, 2), '2 bytes'],
    [{ a: 1 }, '{"a":1}'],
    [true, 'true'],
  ])('%o is %s', (value, text) => {
    expect(valueText(value)).toBe(text)
  })
})
