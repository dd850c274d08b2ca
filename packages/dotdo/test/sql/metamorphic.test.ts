import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { codeOf } from '../../src/base/errors.ts'
import { QueryCoordinator } from '../../src/sql/coordinator.ts'
import type { Scanner } from '../../src/sql/scanner.ts'
import type { Row } from '../../src/sql/values.ts'
import { SeededRandom } from '../support/fakes.ts'
import { sameRows } from './support/compare.ts'
import { condition, ddl, groupsQuery, rows, rowsQuery } from './support/grammar.ts'
import { parser } from './support/parser.ts'
import { splits, World } from './support/shards.ts'

const anyQuery = fc.oneof(rowsQuery, groupsQuery)
const runs = { numRuns: 150 }

async function outcome(work: () => Promise<Row[]>): Promise<Row[] | string> {
  try {
    return await work()
  } catch (thrown) {
    return codeOf(thrown) ?? String(thrown)
  }
}

async function collect(batches: AsyncIterable<Row[]>): Promise<Row[]> {
  const all: Row[] = []
  for await (const batch of batches) {
    expect(batch.length).toBeGreaterThan(0)
    all.push(...batch)
  }
  return all
}

function same(a: Row[] | string, b: Row[] | string, ordered: boolean): boolean {
  if (typeof a === 'string' || typeof b === 'string') return a === b
  return sameRows(a, b, ordered)
}

/** The same scanner with small batches and answers that come in another order each time. */
function shuffled(scanner: Scanner, random: SeededRandom, batchRows: number): Scanner {
  const late = async () => {
    for (let turns = random.below(8); turns > 0; turns--) await Promise.resolve()
  }
  return {
    describe: () => scanner.describe(),
    scan: async (request) => {
      await late()
      const reply = await scanner.scan({ ...request, batchRows })
      await late()
      const { cursor } = reply
      if (!cursor) return reply
      return {
        ...reply,
        cursor: {
          next: async () => {
            await late()
            return cursor.next()
          },
          [Symbol.dispose]: () => cursor[Symbol.dispose]?.(),
        },
      }
    },
  }
}

describe('the answer does not depend on', () => {
  test('how the rows are dealt, nor to how many shards', async () => {
    await fc.assert(
      fc.asyncProperty(rows, anyQuery, async (data, { sql, total }) => {
        const answers = await Promise.all(
          [1, 2, 7].flatMap((shards) =>
            Object.values(splits).map((split) =>
              outcome(() => new QueryCoordinator(new World(ddl, 't', data, shards, split).scanners, { parser }).query(sql)),
            ),
          ),
        )
        for (const answer of answers) if (!same(answer, answers[0]!, total)) throw new Error(sql)
      }),
      { numRuns: 60 },
    )
  }, 60_000)

  test('the size of batches, nor the order in which they come', async () => {
    await fc.assert(
      fc.asyncProperty(rows, anyQuery, fc.integer({ min: 1, max: 9 }), fc.integer(), async (data, { sql, total }, batchRows, seed) => {
        const { scanners } = new World(ddl, 't', data, 5)
        const random = new SeededRandom(seed)
        const plain = await outcome(() => new QueryCoordinator(scanners, { parser }).query(sql))
        const other = await outcome(() =>
          new QueryCoordinator(
            scanners.map((scanner) => shuffled(scanner, random, batchRows)),
            { parser },
          ).query(sql),
        )
        if (!same(plain, other, total)) throw new Error(sql)
        // Without ORDER BY rows come shard by shard, whoever answered first.
        if (!sql.includes('GROUP BY') && !/ORDER BY|COUNT|SUM|TOTAL|AVG|DISTINCT/.test(sql) && typeof plain !== 'string')
          expect(other).toEqual(plain)
      }),
      runs,
    )
  }, 60_000)

  test('the order of the scanners', async () => {
    await fc.assert(
      fc.asyncProperty(rows, anyQuery, async (data, { sql, total }) => {
        const { scanners } = new World(ddl, 't', data, 4)
        const forth = await outcome(() => new QueryCoordinator(scanners, { parser }).query(sql))
        const back = await outcome(() => new QueryCoordinator(scanners.toReversed(), { parser }).query(sql))
        if (!same(forth, back, total)) throw new Error(sql)
      }),
      runs,
    )
  }, 60_000)

  test('whether it is streamed', async () => {
    await fc.assert(
      fc.asyncProperty(rows, anyQuery, async (data, { sql, total }) => {
        const coordinator = new QueryCoordinator(
          new World(ddl, 't', data, 3).scanners.map((it) => shuffled(it, new SeededRandom(1), 4)),
          { parser },
        )
        const whole = await outcome(() => coordinator.query(sql))
        const streamed = await outcome(() => collect(coordinator.queryStream(sql)))
        if (!same(whole, streamed, total)) throw new Error(sql)
      }),
      runs,
    )
  }, 60_000)
})

describe('answers fit together', () => {
  test('the rows where p, where not p and where p is null are all rows', async () => {
    await fc.assert(
      fc.asyncProperty(rows, condition, async (data, p) => {
        const coordinator = new QueryCoordinator(new World(ddl, 't', data, 3).scanners, { parser })
        const parts = await Promise.all(
          [p, `NOT ${p}`, `${p} IS NULL`].map((test) => outcome(() => coordinator.query(`SELECT id FROM t WHERE ${test}`))),
        )
        if (parts.some((part) => typeof part === 'string')) return
        const ids = (parts as Row[][]).flat().map(({ id }) => Number(id))
        expect(ids.toSorted((a, b) => a - b)).toEqual(data.map((_, i) => i))
      }),
      runs,
    )
  }, 60_000)

  test('the count of the groups is the count of the rows', async () => {
    await fc.assert(
      fc.asyncProperty(rows, fc.constantFrom('i', 's', 'v', 'r', 'b', 'big', 'i % 3'), async (data, key) => {
        const coordinator = new QueryCoordinator(new World(ddl, 't', data, 3).scanners, { parser })
        const groups = await coordinator.query(`SELECT ${key} AS k, COUNT(*) AS n, MIN(id) AS low, MAX(id) AS high FROM t GROUP BY ${key}`)
        expect(groups.reduce((sum, { n }) => sum + Number(n), 0)).toBe(data.length)
        expect(await coordinator.query(`SELECT DISTINCT ${key} AS k FROM t`)).toHaveLength(groups.length)
        if (data.length) {
          expect(Math.min(...groups.map(({ low }) => Number(low)))).toBe(0)
          expect(Math.max(...groups.map(({ high }) => Number(high)))).toBe(data.length - 1)
        }
      }),
      runs,
    )
  }, 60_000)

  test('pages of an ordered answer are the answer', async () => {
    await fc.assert(
      fc.asyncProperty(
        rows,
        fc.constantFrom('i', 's DESC', 'v', 'r DESC NULLS LAST', 'b NULLS LAST'),
        fc.integer({ min: 1, max: 9 }),
        async (data, order, size) => {
          const coordinator = new QueryCoordinator(new World(ddl, 't', data, 3).scanners, { parser })
          const whole = await coordinator.query(`SELECT id, v FROM t ORDER BY ${order}, id`)
          const pages: Row[] = []
          for (let offset = 0; offset < data.length; offset += size)
            pages.push(...(await coordinator.query(`SELECT id, v FROM t ORDER BY ${order}, id LIMIT ? OFFSET ?`, [size, offset])))
          expect(pages).toEqual(whole)
        },
      ),
      runs,
    )
  }, 60_000)
})
