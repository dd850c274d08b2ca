import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Row } from '../../src/parquet/reader.ts'
import { column, Duck, fromDuck, readBack, readByHyparquet, write } from './support.ts'

const ROWS = 200_000
const FLIGHTS = join(import.meta.dirname, '../../../../node_modules/vega-datasets/data/flights-3m.parquet')

const COLUMNS = [
  column('date', 'timestamp', true, 1),
  column('delay', 'long', false, 2),
  column('distance', 'long', false, 3),
  column('origin', 'string', true, 4),
  column('destination', 'string', true, 5),
]

const SUMS = `
  select count(*)::int as flights, sum(delay)::int as delay, sum(distance)::int as distance, count(distinct origin)::int as origins,
    count(distinct destination)::int as destinations, min(date) as first, max(date) as last, bit_xor(hash(date, delay, distance, origin, destination))::varchar as all
  from `

describe('200,000 real flights, written by us', () => {
  const duck = new Duck()
  let rows: Row[] = []
  let bytes = new Uint8Array(0)

  beforeAll(async () => {
    await duck.start()
    await duck.query(`create table flights as from '${FLIGHTS}' limit ${ROWS}`)
    rows = (await duck.query('from flights')).map(fromDuck)
    bytes = new Uint8Array(write(COLUMNS, rows).bytes)
  }, 60_000)
  afterAll(() => duck.stop())

  test('are the same flights to DuckDB, by sums and by a hash over every value', async () => {
    const [mine] = await duck.query(`${SUMS} read_parquet('${duck.file(bytes)}')`)
    const [theirs] = await duck.query(`${SUMS} flights`)
    expect(mine).toEqual(theirs)
    expect(mine).toMatchObject({ flights: ROWS })
  })

  test('are the same flights to ClickHouse', async () => {
    const file = duck.file(bytes)
    const { query } = await import('chdb')
    const answer = query(
      `select count(), sum(delay), sum(distance), uniqExact(origin), uniqExact(destination), toUnixTimestamp64Milli(min(date)), toUnixTimestamp64Milli(max(date)) from file('${file}', Parquet)`,
      'TabSeparated',
    )
    const [theirs] = await duck.query(
      `select count(*)::int c, sum(delay)::int d, sum(distance)::int i, count(distinct origin)::int o, count(distinct destination)::int e, epoch_ms(min(date)) f, epoch_ms(max(date)) l from flights`,
    )
    expect(answer.trim().split('\t')).toEqual(Object.values(theirs!).map(String))
  }, 60_000)

  test('are the same flights to hyparquet and to ourselves, one by one', async () => {
    expect(await readBack(bytes)).toEqual(rows)
    const read = await readByHyparquet(bytes)
    expect(read.length).toBe(ROWS)
    for (let i = 0; i < ROWS; i += 997) {
      const row = rows[i]!
      expect({ ...read[i] }).toEqual({
        ...row,
        date: new Date(row.date as number),
        delay: BigInt(row.delay as number),
        distance: BigInt(row.distance as number),
      })
    }
  })

  test('take no more room than DuckDB takes for them', async () => {
    const path = `${duck.folder}/native.parquet`
    await duck.query(`copy flights to '${path}' (codec zstd, compression_level 1, row_group_size 100000)`)
    const [{ size }] = (await duck.query(`select size from read_blob('${path}')`)) as [{ size: bigint }]
    expect(bytes.length).toBeLessThan(Number(size) * 1.15)
  })
})

describe('every type, to ClickHouse', () => {
  const duck = new Duck()
  beforeAll(() => duck.start())
  afterAll(() => duck.stop())

  test('comes with its values and its type', async () => {
    const { query } = await import('chdb')
    const types = ['boolean', 'int', 'long', 'float', 'double', 'date', 'timestamp', 'timestamptz', 'string', 'json', 'uuid'] as const
    const rows = Array.from({ length: 300 }, (_, i) =>
      i % 7 === 6
        ? {}
        : {
            boolean: i % 2 === 0,
            int: i - 150,
            long: i % 3 === 0 ? 2n ** 62n + BigInt(i) : -i,
            float: i / 4,
            double: i / 7,
            date: i * 50,
            timestamp: i * 86_400_123,
            timestamptz: i * 86_400_456,
            string: `grün 😀 ${i % 100}`,
            json: { i },
            uuid: `123e4567-e89b-12d3-a456-${String(i).padStart(12, '0')}`,
          },
    )
    const columns = types.map((type, i) => column(type, type, false, i + 1))
    const path = duck.file(write(columns, rows, { rowGroupRows: 128 }).bytes)
    const lines = query(`select * from file('${path}', Parquet) settings output_format_json_quote_64bit_integers = 1`, 'JSONEachRow')
      .trim()
      .split('\n')
    const time = (ms: number) => new Date(ms).toISOString().replace('T', ' ').replace('Z', '000')
    const shown = rows.map((row) => {
      if (!('int' in row)) return Object.fromEntries(types.map((type) => [type, null]))
      return {
        ...row,
        long: String(row.long),
        date: new Date(row.date! * 86_400_000).toISOString().slice(0, 10),
        timestamp: time(row.timestamp!),
        timestamptz: time(row.timestamptz!),
        json: JSON.stringify(row.json),
      }
    })
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(shown)
  }, 60_000)
})
