// Files of any shape: random columns, required or not, in random row groups and codecs, with values that repeat and values that do not. Each
// is read by DuckDB and hyparquet, and DuckDB's own aggregates over the values are the oracle of every statistic.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { readFooter } from '../../src/parquet/footer-reader.ts'
import type { Row } from '../../src/parquet/reader.ts'
import type { Column, ColumnType } from '../../src/parquet/schema.ts'
import { column, Duck, fromDuck, readBack, readByHyparquet, source, text, TYPES, VALUES, write } from './support.ts'

const duck = new Duck()
beforeAll(() => duck.start())
afterAll(() => duck.stop())

/** JSON has its own form in a row, and is a string to others: it is covered as one. */
const COLUMN_TYPES = TYPES.filter((type) => type !== 'json')

/** What others give back as it is: no mark in front, which both bindings drop. */
const value = (type: ColumnType): fc.Arbitrary<unknown> => (type === 'string' ? text.map((it) => it.replace(/^\ufeff+/, '')) : VALUES[type])

interface Shape {
  columns: Column[]
  rows: Row[]
  rowGroupRows: number
  zstd: boolean
}

/** Columns by any name and in any order, each with a few values of its own to draw from, so that dictionaries and runs come about. */
const shapes: fc.Arbitrary<Shape> = fc
  .record({
    types: fc.array(fc.record({ type: fc.constantFrom(...COLUMN_TYPES), required: fc.boolean(), pool: fc.constantFrom(1, 2, 12) }), {
      minLength: 1,
      maxLength: 7,
    }),
    names: fc.uniqueArray(fc.constantFrom('a', 'A!', 'größe', 'two words', 'x.y', '😀', "it's", 'select', '0', '%'), {
      minLength: 7,
      maxLength: 7,
    }),
    count: fc.oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 30, max: 400 })),
    rowGroupRows: fc.constantFrom(1, 5, 64, 1000),
    zstd: fc.boolean(),
  })
  .chain(({ types, names, count, rowGroupRows, zstd }) => {
    // A file of 400 row groups is a slow way to say what one of 12 says.
    const most = rowGroupRows === 1 ? 12 : count
    const columns = types.map(({ type, required }, i) => ({ name: names[i]!, type, required, fieldId: 1000 - i }))
    const pools = types.map(({ type, required, pool }) =>
      fc.array(required ? value(type) : fc.option(value(type), { freq: 3 }), { minLength: pool, maxLength: pool }),
    )
    const picks = fc.array(fc.nat({ max: 1000 }), { minLength: Math.min(most, count), maxLength: Math.min(most, count) })
    return fc.tuple(fc.tuple(...pools), picks).map(([values, list]) => ({
      columns,
      rows: list.map((pick) => Object.fromEntries(columns.map(({ name }, c) => [name, values[c]![(pick * (c + 1)) % values[c]!.length]]))),
      rowGroupRows,
      zstd,
    }))
  })

const bytesOf = ({ columns, rows, rowGroupRows, zstd }: Shape) =>
  write(columns, rows, { rowGroupRows, codec: zstd ? 'zstd' : 'uncompressed' })

describe('a file of any shape', () => {
  test('comes back as it was, whole and by any of its columns', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, fc.nat(), async (shape, which) => {
        const { bytes } = bytesOf(shape)
        expect(await readBack(bytes)).toEqual(shape.rows)
        const wanted = shape.columns.filter((_, i) => ((which >> i) & 1) === 1).map(({ name }) => name)
        const part = shape.rows.map((row) => Object.fromEntries(wanted.map((name) => [name, row[name]])))
        expect(await readBack(bytes, { columns: wanted })).toEqual(part)
      }),
      { numRuns: 150 },
    )
  })

  test('is the same to DuckDB', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const { bytes } = bytesOf(shape)
        expect((await duck.query(`from read_parquet('${duck.file(bytes)}')`)).map(fromDuck)).toEqual(shape.rows)
      }),
      { numRuns: 50 },
    )
  })

  test('is the same to hyparquet', async () => {
    const day = 86_400_000
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const read = await readByHyparquet(bytesOf(shape).bytes)
        const shown = shape.rows.map((row) =>
          Object.fromEntries(
            shape.columns.map(({ name, type }) => {
              const it = row[name]
              if (it === null) return [name, null]
              if (type === 'long') return [name, BigInt(it as number)]
              if (type === 'date') return [name, new Date((it as number) * day)]
              return [name, type === 'timestamp' || type === 'timestamptz' ? new Date(Math.trunc(it as number)) : it]
            }),
          ),
        )
        expect(read.map((row) => ({ ...row }))).toEqual(shown)
      }),
      { numRuns: 50 },
    )
  })

  test('has a footer whose sums are those of its pages, and row groups that lie one behind the other', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const { bytes, info } = bytesOf(shape)
        const footer = await readFooter(source(bytes))
        expect(footer.columns).toEqual(shape.columns)
        expect(footer.rowGroups.map((group) => group.rows)).toEqual(
          Array.from({ length: Math.ceil(shape.rows.length / shape.rowGroupRows) }, (_, i) =>
            Math.min(shape.rowGroupRows, shape.rows.length - i * shape.rowGroupRows),
          ),
        )
        let at = 4
        for (const [i, group] of footer.rowGroups.entries()) {
          expect([group.offset, info.splitOffsets[i]]).toEqual([at, at])
          at += group.compressedBytes
        }
        for (const [c, summary] of info.columns.entries()) {
          expect(summary.sizeBytes).toBe(footer.rowGroups.reduce((sum, group) => sum + group.chunks[c]!.compressedBytes, 0))
          expect(summary.nullCount).toBe(footer.rowGroups.reduce((sum, group) => sum + group.chunks[c]!.statistics!.nullCount, 0))
        }
        const [sizes] = await duck.query(
          `select coalesce(sum(total_compressed_size), 0)::int as size, coalesce(sum(total_uncompressed_size), 0)::int as plain from parquet_metadata('${duck.file(bytes)}')`,
        )
        expect(sizes).toEqual({ size: at - 4, plain: footer.rowGroups.reduce((sum, group) => sum + group.uncompressedBytes, 0) })
      }),
      { numRuns: 50 },
    )
  })
})

describe('the statistics of a column', () => {
  /** What DuckDB says of the values of a file that it has read itself. NaN is the greatest number there, and is left out as it is here. */
  const asked = (type: ColumnType): string => {
    const kept = type === 'float' || type === 'double' ? 'filter (not isnan(it))' : ''
    const nans = kept === '' ? 'null' : 'coalesce(count_if(isnan(it)), 0)::int'
    const bound = (name: string): string => (type === 'boolean' ? `bool_${name === 'min' ? 'and' : 'or'}(it)` : `${name}(it) ${kept}`)
    return `select ${bound('min')} as lower, ${bound('max')} as upper, count(*)::int - count(it)::int as nulls, ${nans} as nans`
  }
  const short: Partial<Record<ColumnType, fc.Arbitrary<unknown>>> = {
    // Both are cut from 65 on, which no aggregate does.
    string: fc.string({ unit: 'binary', maxLength: 64 }).map((it) => it.replace(/^\ufeff+/, '')),
    binary: fc.uint8Array({ maxLength: 64 }),
  }

  test.each(COLUMN_TYPES)('are what DuckDB aggregates over its values: %s', async (type) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.option(short[type] ?? value(type), { freq: 5 }), { minLength: 1, maxLength: 60 }),
        fc.constantFrom(4, 1000),
        async (values, rowGroupRows) => {
          const { bytes, info } = write(
            [column('it', type)],
            values.map((it) => ({ it })),
            { rowGroupRows },
          )
          const [row] = await duck.query(`${asked(type)} from read_parquet('${duck.file(bytes)}')`)
          const found = fromDuck(row!)
          const { lower, upper, nullCount, nanCount } = info.columns[0]!
          // The two zeros are one to an aggregate; bounds take the sign that includes both.
          const near = (it: unknown) => (it === 0 ? 0 : (it ?? null))
          expect({ lower: near(lower), upper: near(upper), nulls: nullCount, nans: nanCount ?? null }).toEqual({
            lower: near(found.lower),
            upper: near(found.upper),
            nulls: found.nulls,
            nans: found.nans,
          })
        },
      ),
      { numRuns: 25 },
    )
  })

  test('stand in the file for each row group by itself, and in the summary for all of them', async () => {
    const days = [5, 9, null, -3, 0, null, null, null, 100, 7]
    const { bytes, info } = write(
      [column('it', 'date')],
      days.map((it) => ({ it })),
      { rowGroupRows: 4 },
    )
    const groups = await duck.query(
      `select stats_min_value::date::varchar as lower, stats_max_value::date::varchar as upper, stats_null_count::int as nulls from parquet_metadata('${duck.file(bytes)}') order by row_group_id`,
    )
    expect(groups).toEqual([
      { lower: '1969-12-29', upper: '1970-01-10', nulls: 1 },
      { lower: '1970-01-01', upper: '1970-01-01', nulls: 3 },
      { lower: '1970-01-08', upper: '1970-04-11', nulls: 0 },
    ])
    expect(info.columns[0]).toMatchObject({ lower: -3, upper: 100, nullCount: 4, valueCount: 10 })
  })

  test.each<ColumnType>(['int', 'long', 'double', 'date', 'timestamp', 'string', 'uuid'])(
    'let DuckDB find every value by a comparison with others of its column: %s',
    async (type) => {
      const values = fc.sample(short[type] ?? value(type), { numRuns: 40, seed: TYPES.indexOf(type) })
      const columns = [column('it', type, true, 1), column('n', 'int', true, 2)]
      const rows = values.map((it, n) => ({ it, n }))
      const file = duck.file(write(columns, rows, { rowGroupRows: 3 }).bytes)
      await duck.query(`create or replace table needles as from read_parquet('${file}') where n % 5 = 0`)
      await duck.query(`create or replace table plain as from read_parquet('${file}')`)
      // The same question, once with the statistics at hand and once over a table that has none of them.
      for (const operator of ['=', '<', '>=']) {
        const found = (from: string): Promise<unknown> =>
          duck.query(`select f.n, count(*)::int as found from ${from} t join needles f on t.it ${operator} f.it group by f.n order by f.n`)
        expect(await found(`read_parquet('${file}')`)).toEqual(await found('plain'))
      }
    },
  )
})
