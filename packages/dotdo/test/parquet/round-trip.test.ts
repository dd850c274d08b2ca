import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { ParquetWriter } from '../../src/parquet/writer.ts'
import {
  asHyparquet,
  column,
  Duck,
  EVERY_COLUMN,
  everyRows,
  expected,
  fromDuck,
  jsonRow,
  readBack,
  readByHyparquet,
  TYPES,
  VALUES,
  withoutMark,
  write,
} from './support.ts'

const duck = new Duck()
beforeAll(() => duck.start())
afterAll(() => duck.stop())

describe('what goes in comes out', () => {
  test('for every type, nulls, runs and row groups, by our own reader', async () => {
    await fc.assert(
      fc.asyncProperty(everyRows, fc.constantFrom(1, 7, 100_000), fc.boolean(), async (rows, rowGroupRows, zstd) => {
        const { bytes, info } = write(EVERY_COLUMN, rows.map(jsonRow), { rowGroupRows, codec: zstd ? 'zstd' : 'uncompressed' })
        expect(await readBack(bytes, { batchRows: 5 })).toEqual(rows.map(expected))
        expect(info).toMatchObject({ rows: rows.length, sizeBytes: bytes.length })
        expect(info.splitOffsets).toHaveLength(Math.ceil(rows.length / rowGroupRows))
      }),
      { numRuns: 150 },
    )
  })

  test('for every type as a required column', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc
          .constantFrom(...TYPES.filter((type) => type !== 'json'))
          .chain((type) => fc.tuple(fc.constant(type), fc.array(VALUES[type], { maxLength: 300 }))),
        async ([type, values]) => {
          const rows = values.map((value) => ({ it: value }))
          const { bytes } = write([column('it', type, true)], rows)
          expect(await readBack(bytes)).toEqual(rows)
        },
      ),
      { numRuns: 200 },
    )
  })

  test('by hyparquet', async () => {
    await fc.assert(
      fc.asyncProperty(everyRows, fc.constantFrom(9, 100_000), async (rows, rowGroupRows) => {
        const { bytes } = write(EVERY_COLUMN, rows.map(jsonRow), { rowGroupRows })
        const read = await readByHyparquet(bytes)
        expect(read.map((row) => ({ ...row }))).toEqual(rows.map(expected).map(withoutMark).map(asHyparquet))
      }),
      { numRuns: 60 },
    )
  })

  test('by DuckDB', async () => {
    await fc.assert(
      fc.asyncProperty(everyRows, fc.constantFrom(9, 100_000), async (rows, rowGroupRows) => {
        const { bytes } = write(EVERY_COLUMN, rows.map(jsonRow), { rowGroupRows })
        const read = await duck.query(`select * from read_parquet('${duck.file(bytes)}')`)
        expect(read.map(fromDuck)).toEqual(rows.map(expected).map(withoutMark))
      }),
      { numRuns: 60 },
    )
  })

  test('in pages of many blocks, with integers from narrow to wide, by three readers', async () => {
    for (const bits of [1, 7, 8, 15, 16, 31, 33, 40, 50, 51, 52, 53]) {
      let state = bits
      // A small generator with a fixed seed: the numbers only have to spread over all the bits.
      const next = () => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648
      const rows = Array.from({ length: 1000 }, () => ({ it: Math.floor((next() - 0.5) * 2 ** bits) }))
      const { bytes } = write([column('it', 'long')], rows)
      expect(await readBack(bytes)).toEqual(rows)
      expect((await duck.query(`from read_parquet('${duck.file(bytes)}')`)).map(fromDuck)).toEqual(rows)
      expect(await readByHyparquet(bytes)).toEqual(rows.map(({ it }) => ({ it: BigInt(it) })))
    }
  })

  test('for texts that first repeat, then do not, and for pages that change between ASCII and not', async () => {
    const rows = Array.from({ length: 40_000 }, (_, i) => ({
      // A dictionary that pays for 30,000 rows and overflows then.
      late: i < 30_000 ? `kind ${i % 50}` : `unique ${i} ${'x'.repeat(100)}`,
      mixed: i % 20_000 < 10_000 ? `plain ${i} ${'y'.repeat(120)}` : `größer ${i} ${'z😀'.repeat(40)}`,
      few: i % 3 === 0 ? null : ['a', 'ü', '😀'][(i % 7) % 3],
    }))
    const columns = [column('late', 'string', false, 1), column('mixed', 'string', true, 2), column('few', 'string', false, 3)]
    const { bytes } = write(columns, rows, { rowGroupRows: 35_000 })
    expect(await readBack(bytes)).toEqual(rows)
    expect(await duck.query(`from read_parquet('${duck.file(bytes)}')`)).toEqual(rows)
    expect((await readByHyparquet(bytes)).map((row) => ({ ...row }))).toEqual(rows)
    const encodings = await duck.query(
      `select encodings from parquet_metadata('${duck.file(bytes)}') where row_group_id = 0 order by column_id`,
    )
    expect(encodings.map((row) => String(row.encodings))).toEqual([
      'RLE_DICTIONARY, DELTA_LENGTH_BYTE_ARRAY, PLAIN, RLE',
      'DELTA_LENGTH_BYTE_ARRAY',
      'RLE_DICTIONARY, PLAIN, RLE',
    ])
  })

  test('for a text that begins with a byte order mark', async () => {
    const { bytes } = write([column('it', 'string')], [{ it: '\ufeffa' }])
    expect(await readBack(bytes)).toEqual([{ it: '\ufeffa' }])
    expect(await duck.query(`select hex(it) as hex from read_parquet('${duck.file(bytes)}')`)).toEqual([{ hex: 'EFBBBF61' }])
  })

  test('for a file without rows and for columns of nulls alone', async () => {
    const none = write(EVERY_COLUMN, [])
    expect(await readBack(none.bytes)).toEqual([])
    expect(await duck.query(`select count(*)::int as n from read_parquet('${duck.file(none.bytes)}')`)).toEqual([{ n: 0 }])
    expect(await readByHyparquet(none.bytes)).toEqual([])
    const nulls = write(EVERY_COLUMN, [{}, {}, {}])
    const row = Object.fromEntries(TYPES.map((type) => [type, null]))
    expect(await readBack(nulls.bytes)).toEqual([row, row, row])
    expect(await duck.query(`from read_parquet('${duck.file(nulls.bytes)}')`)).toEqual([row, row, row])
    expect((await readByHyparquet(nulls.bytes)).map((it) => ({ ...it }))).toEqual([row, row, row])
  })

  test('for pages that end by their number of rows', async () => {
    const rows = Array.from({ length: 300_000 }, (_, i) => ({ n: i % 11 === 0 ? null : i, nothing: null, few: `k${i % 4}` }))
    const columns = [column('n', 'int', false, 1), column('nothing', 'double', false, 2), column('few', 'string', true, 3)]
    const { bytes, info } = write(columns, rows, { rowGroupRows: 1_000_000 })
    expect(info.splitOffsets).toEqual([4])
    const [sums] = await duck.query(
      `select count(n)::int c, sum(n)::double s, count(nothing)::int z, count(distinct few)::int k from read_parquet('${duck.file(bytes)}')`,
    )
    const kept = rows.filter((row) => row.n !== null)
    expect(sums).toEqual({ c: kept.length, s: kept.reduce((sum, row) => sum + row.n!, 0), z: 0, k: 4 })
    const back = await readBack(bytes)
    expect(back.length).toBe(rows.length)
    expect(back[290_000]).toEqual(rows[290_000])
  })
})

test('what other engines are told about a file: field ids, types, and the metadata of the footer', async () => {
  const { bytes } = write(EVERY_COLUMN, [{}], { metadata: { 'iceberg.schema': '{"schema-id":0}' } })
  const file = duck.file(bytes)
  const schema = await duck.query(
    `select name, type, repetition_type, field_id::int as id, logical_type from parquet_schema('${file}') where num_children is null`,
  )
  expect(schema.map((it) => [it.name, it.type, it.repetition_type, it.id, it.logical_type])).toEqual([
    ['boolean', 'BOOLEAN', 'OPTIONAL', 1, null],
    ['int', 'INT32', 'OPTIONAL', 2, null],
    ['long', 'INT64', 'OPTIONAL', 3, null],
    ['float', 'FLOAT', 'OPTIONAL', 4, null],
    ['double', 'DOUBLE', 'OPTIONAL', 5, null],
    ['date', 'INT32', 'OPTIONAL', 6, 'DateType()'],
    [
      'timestamp',
      'INT64',
      'OPTIONAL',
      7,
      'TimestampType(isAdjustedToUTC=0, unit=TimeUnit(MILLIS=<null>, MICROS=MicroSeconds(), NANOS=<null>))',
    ],
    [
      'timestamptz',
      'INT64',
      'OPTIONAL',
      8,
      'TimestampType(isAdjustedToUTC=1, unit=TimeUnit(MILLIS=<null>, MICROS=MicroSeconds(), NANOS=<null>))',
    ],
    ['string', 'BYTE_ARRAY', 'OPTIONAL', 9, 'StringType()'],
    ['json', 'BYTE_ARRAY', 'OPTIONAL', 10, 'StringType()'],
    ['binary', 'BYTE_ARRAY', 'OPTIONAL', 11, null],
    ['uuid', 'FIXED_LEN_BYTE_ARRAY', 'OPTIONAL', 12, 'UUIDType()'],
  ])
  const [pair] = await duck.query(`select decode(key) as key, decode(value) as value from parquet_kv_metadata('${file}')`)
  expect(pair).toEqual({ key: 'iceberg.schema', value: '{"schema-id":0}' })
})

test('the writer hands its bytes out row group by row group, and they are those of the whole file', () => {
  const rows = Array.from({ length: 1000 }, (_, i) => ({ it: i }))
  const whole = write([column('it', 'long')], rows, { rowGroupRows: 100, codec: 'uncompressed' })
  const writer = new ParquetWriter([column('it', 'long')], { codec: 'uncompressed', rowGroupRows: 100 })
  const taken: Uint8Array[] = []
  for (const row of rows) {
    writer.add(row)
    taken.push(...writer.takeChunks())
  }
  expect(taken.length).toBe(11)
  writer.finish()
  taken.push(...writer.takeChunks())
  expect(writer.takeChunks()).toEqual([])
  expect(new Uint8Array(Buffer.concat(taken))).toEqual(whole.bytes)
})
