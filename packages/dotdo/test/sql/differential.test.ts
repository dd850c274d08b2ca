import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { codeOf } from '../../src/base/errors.ts'
import { QueryCoordinator } from '../../src/sql/coordinator.ts'
import { sameRows } from './support/compare.ts'
import { ddl, distinctQuery, groupsQuery, rows, rowsQuery, type Query } from './support/grammar.ts'
import { parser } from './support/parser.ts'
import { splits, World } from './support/shards.ts'

const shardCounts = [1, 2, 3, 7, 16]
const runs = Number(process.env.SQL_RUNS ?? 200)

/**
 * Every answer equals that of one SQLite with all rows, or is a typed refusal. Where SQLite fails (an overflow), so do we. The share of
 * refusals is bounded, so that refusing everything does not pass.
 */
async function check(queries: fc.Arbitrary<Query>): Promise<void> {
  let answered = 0
  let refused = 0
  await fc.assert(
    fc.asyncProperty(
      rows,
      fc.array(queries, { minLength: 1, maxLength: 4 }),
      fc.constantFrom(...shardCounts),
      fc.constantFrom(...Object.keys(splits)),
      async (data, list, shards, split) => {
        const world = new World(ddl, 't', data, shards, splits[split])
        const coordinator = new QueryCoordinator(world.scanners, { parser })
        for (const { sql, total } of list) {
          const expected = world.oracle(sql)
          try {
            const ours = await coordinator.query(sql)
            answered++
            if (typeof expected === 'string') throw new Error(`${sql}\nSQLite fails: ${expected}\nours: ${show(ours)}`)
            if (!sameRows(ours, expected, total)) throw new Error(`${sql}\nours:   ${show(ours)}\nSQLite: ${show(expected)}`)
          } catch (thrown) {
            const code = codeOf(thrown)
            if (typeof expected === 'string' && (code === 'SHARD_FAILED' || code === 'SQL_OVERFLOW' || code === 'SQL_INVALID')) continue
            if (code !== 'SQL_UNSUPPORTED') throw thrown
            refused++
          }
        }
      },
    ),
    { numRuns: runs, ...(process.env.SQL_SEED && { seed: Number(process.env.SQL_SEED) }) },
  )
  expect(refused).toBeLessThan(answered * 0.05 + 5)
}

function show(value: unknown): string {
  return JSON.stringify(value, (_, it: unknown) => (typeof it === 'bigint' ? `${it}n` : it))
}

describe('an answer over shards is the answer of one SQLite with all the rows', () => {
  test('rows: any expression, filter, order, limit and offset', () => check(rowsQuery), Math.max(120_000, runs * 200))
  test(
    'groups: any keys, aggregates, filters, expressions over aggregates, HAVING, order and limit',
    () => check(groupsQuery),
    Math.max(120_000, runs * 200),
  )
  test('distinct rows', () => check(distinctQuery), Math.max(120_000, runs * 200))
})
