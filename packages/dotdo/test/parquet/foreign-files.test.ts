import { readFileSync } from 'node:fs'
import { ByteWriter, parquetWriteRows } from 'hyparquet-writer'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Row } from '../../src/parquet/reader.ts'
import { compress, Duck, fromDuck, readBack } from './support.ts'

const duck = new Duck()
beforeAll(() => duck.start())
afterAll(() => duck.stop())

/** What DuckDB writes for a query, with the encodings that it took. */
async function copied(sql: string, version: 'V1' | 'V2', rowGroupRows = 5000): Promise<{ bytes: Uint8Array; encodings: string[] }> {
  const path = `${duck.folder}/copied.parquet`
  await duck.query(`copy (${sql}) to '${path}' (codec zstd, parquet_version ${version}, row_group_size ${rowGroupRows})`)
  const encodings = await duck.query(`select distinct encodings::varchar as encodings from parquet_metadata('${path}') order by all`)
  return { bytes: new Uint8Array(readFileSync(path)), encodings: encodings.map((row) => String(row.encodings)) }
}

const EVERYTHING = `
  select i % 3 = 0 as boolean, (i * 7919) % 1000 - 500 as int, i::bigint * 1234567 - 4000000000 as long, (i / 8)::float as float, i / 7 as double,
    date '2020-02-28' + (i % 900)::int as date, timestamp '1969-12-31 23:59:59.999' + interval (i * 977) millisecond as timestamp,
    timestamptz '2026-01-01 00:00:00Z' - interval (i * 31) minute as timestamptz, 'größe 😀 ' || (i * 31 % 20000) as text,
    ('bytes ' || i)::blob as binary, 'one of ' || (i % 7) as few
  from (select i::int as i from range(12000) t(i))`

const WITH_NULLS = `select ${['boolean', 'int', 'long', 'float', 'double', 'date', 'timestamp', 'timestamptz', 'text', 'binary', 'few']
  .map((name, i) => `case when (row_number() over ()) % ${i + 2} = 0 then null else "${name}" end as "${name}"`)
  .join(', ')} from (${EVERYTHING})`

describe('files of DuckDB', () => {
  test.each([
    ['V1', 'without nulls', EVERYTHING],
    ['V1', 'with nulls', WITH_NULLS],
  ] as const)('of version %s %s are read value by value', async (version, _what, sql) => {
    const { bytes } = await copied(sql, version)
    const rows = (await duck.query(sql)).map(fromDuck)
    expect(rows).toHaveLength(12_000)
    expect(await readBack(bytes)).toEqual(rows)
  })

  test('of version V2 are read in the encodings that are known here: packed differences, runs of booleans, lengths before texts', async () => {
    const sql = `select "boolean", "int", "long", "date", "timestamp", text, few from (${WITH_NULLS})`
    const { bytes, encodings } = await copied(sql, 'V2')
    expect(encodings.join()).toContain('DELTA_BINARY_PACKED')
    expect(await readBack(bytes)).toEqual((await duck.query(sql)).map(fromDuck))
  })

  test('of one row and of long runs are read too', async () => {
    for (const sql of [
      `select 1 as n, 'a' as text, true as flag`,
      `select (i // 5000)::int as n, 'same' as text, i > 7000 as flag, null::int as nothing from range(10000) t(i)`,
    ]) {
      const { bytes } = await copied(sql, 'V1')
      expect(await readBack(bytes)).toEqual((await duck.query(sql)).map(fromDuck))
    }
  })

  test.each([
    ['nested', 'select [1, 2] as it'],
    ['nested', `select {'a': 1} as it`],
    ['a meaning that is unknown', 'select 1::decimal(9, 2) as it'],
    ['a meaning that is unknown', 'select 1::utinyint as it'],
    ['a meaning that is unknown', `select time '10:00' as it`],
  ])('with what is not read here are refused: %s, %s', async (what, sql) => {
    const { bytes } = await copied(sql, 'V1')
    await expect(readBack(bytes)).rejects.toMatchObject({
      code: 'PARQUET_UNSUPPORTED',
      retryable: false,
      message: expect.stringContaining(what) as string,
    })
  })

  test('in another compression are refused by its number', async () => {
    const path = `${duck.folder}/snappy.parquet`
    await duck.query(`copy (select 1 as it) to '${path}' (codec snappy)`)
    await expect(readBack(new Uint8Array(readFileSync(path)))).rejects.toMatchObject({ code: 'PARQUET_UNSUPPORTED', data: { codec: 1 } })
  })
})

test('data pages of version 2, as hyparquet-writer makes them, are refused and not misread', async () => {
  const writer = new ByteWriter()
  const rows: Row[] = [{ a: 1 }, { a: 2 }]
  await parquetWriteRows({ writer, rows, columns: [{ name: 'a', type: 'INT32' }], codec: 'ZSTD', compressors: { ZSTD: compress } })
  await expect(readBack(new Uint8Array(writer.getBuffer()))).rejects.toMatchObject({ code: 'PARQUET_UNSUPPORTED', data: { type: 3 } })
})
