// How fast row objects become a Parquet file and come back: 200,000 real flights, and as many events with a JSON text each, against
// hyparquet-writer and hyparquet (JavaScript, from the same objects) and DuckDB's COPY (native, one thread, from its own table).
// Times are the best of several rounds.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import { parquetReadObjects } from 'hyparquet'
import { ByteWriter, parquetWriteRows } from 'hyparquet-writer'
import { readParquet, type Row } from '../src/parquet/reader.ts'
import type { Column } from '../src/parquet/schema.ts'
import { ParquetWriter } from '../src/parquet/writer.ts'
import type { BenchResult } from '../../../bench/run.ts'

const ROWS = 200_000
const ROUNDS = 7
const folder = mkdtempSync(join(tmpdir(), 'parquet-bench-'))
const flightsFile = new URL('../../../node_modules/vega-datasets/data/flights-3m.parquet', import.meta.url).pathname
const compress = (bytes: Uint8Array): Uint8Array => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } })
const decompress = (bytes: Uint8Array, sizeBytes: number): Uint8Array => zstdDecompressSync(bytes, { maxOutputLength: sizeBytes })

interface Case {
  name: string
  columns: Column[]
  rows: Row[]
}

interface Best<T> {
  ms: number
  answer: T
}

/** The best time of several rounds for each of the runs, in milliseconds, and the last answer. The runs take turns, so that a busy machine is busy for all. */
async function best<T extends unknown[]>(...runs: { [K in keyof T]: () => T[K] | Promise<T[K]> }): Promise<{ [K in keyof T]: Best<T[K]> }> {
  const results = runs.map((): Best<unknown> => ({ ms: Infinity, answer: undefined }))
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, run] of runs.entries()) {
      const start = performance.now()
      const answer = await run()
      results[i] = { ms: Math.min(results[i]!.ms, performance.now() - start), answer }
      // What one long turn leaves behind is collected between turns only.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return results as { [K in keyof T]: Best<T[K]> }
}

/** What was measured and has not been handed on. */
const results: BenchResult[] = []

function report(name: string, unit: string, value: number, baseline: string, baselineValue: number, bar: number): void {
  const ratio = value / baselineValue
  const ok = unit === 'rows/s' ? ratio >= bar : ratio <= bar
  const round = (it: number): number => Math.round(it * 1000) / 1000
  const direction = unit === 'rows/s' ? 'at least' : 'at most'
  results.push({
    name,
    value: round(value),
    unit,
    baseline,
    baselineValue: round(baselineValue),
    ratio: round(ratio),
    bar: `${direction} ${bar}`,
    ok,
  })
}

function writeOurs({ columns, rows }: Case): Uint8Array {
  const writer = new ParquetWriter(columns, { codec: 'zstd', compress })
  for (const row of rows) writer.add(row)
  writer.finish()
  return Buffer.concat(writer.takeChunks())
}

async function writeHyparquet({ columns }: Case, converted: Row[]): Promise<Uint8Array> {
  const types = { string: 'STRING', json: 'STRING', long: 'INT64', timestamptz: 'TIMESTAMP', timestamp: 'TIMESTAMP' } as Record<
    string,
    'STRING' | 'INT64' | 'TIMESTAMP'
  >
  const writer = new ByteWriter()
  await parquetWriteRows({
    writer,
    rows: converted,
    columns: columns.map(({ name, type }) => ({ name, type: types[type]!, nullable: false })),
    codec: 'ZSTD',
    compressors: { ZSTD: compress },
    rowGroupSize: 100_000,
  })
  return writer.getBytes()
}

async function run(it: Case, duck: DuckDBConnection, table: string): Promise<void> {
  const perSecond = (ms: number): number => it.rows.length / (ms / 1000)
  // hyparquet-writer wants bigints and Dates: given to it ready-made, outside of its time.
  const converted = it.rows.map((row) => {
    const values = it.columns.map(({ name, type }) => {
      const value = row[name]
      return [
        name,
        type === 'long'
          ? BigInt(value as number)
          : type.startsWith('timestamp')
            ? new Date(value as number)
            : type === 'json'
              ? JSON.stringify(value)
              : value,
      ]
    })
    return Object.fromEntries(values) as Row
  })
  const native = join(folder, `${it.name}.parquet`)
  const [ours, theirs, copied] = await best(
    () => writeOurs(it),
    () => writeHyparquet(it, converted),
    () => duck.run(`copy ${table} to '${native}' (codec zstd, compression_level 1, row_group_size 100000)`),
  )
  const nativeBytes = readFileSync(native).length
  report(`parquet write ${it.name}`, 'rows/s', perSecond(ours.ms), 'hyparquet-writer, native zstd', perSecond(theirs.ms), 1.5)
  report(`parquet write ${it.name}`, 'rows/s', perSecond(ours.ms), 'DuckDB COPY of its own table, one thread', perSecond(copied.ms), 0.5)
  report(`parquet size ${it.name}`, 'B/row', ours.answer.length / ROWS, 'DuckDB COPY, zstd level 1', nativeBytes / ROWS, 1.15)

  const bytes = new Uint8Array(ours.answer)
  const source = { sizeBytes: bytes.length, read: async (offset: number, length: number) => bytes.subarray(offset, offset + length) }
  const [mine, other] = await best(
    async () => {
      let rows = 0
      for await (const batch of readParquet(source, { decompress })) rows += batch.length
      return rows
    },
    () => parquetReadObjects({ file: bytes.buffer, compressors: { ZSTD: (input: Uint8Array, size: number) => decompress(input, size) } }),
  )
  if (mine.answer !== ROWS || other.answer.length !== ROWS) throw new Error(`read ${mine.answer} and ${other.answer.length} rows`)
  report(`parquet read ${it.name}`, 'rows/s', perSecond(mine.ms), 'hyparquet, native zstd', perSecond(other.ms), 1.5)
}

/** Writes and reads flights and events, and tells each figure beside its peers'. */
export default async function* parquet(): AsyncGenerator<BenchResult> {
  const duck = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect()
  await duck.run(`create table flights as from '${flightsFile}' limit ${ROWS}`)
  const flights = (
    await duck.runAndReadAll(
      'select epoch_ms(date)::double as date, delay::double as delay, distance::double as distance, origin, destination from flights',
    )
  ).getRowObjects()
  const names = ['date', 'delay', 'distance', 'origin', 'destination']
  const types = ['timestamp', 'long', 'long', 'string', 'string'] as const
  await run(
    { name: 'flights', columns: names.map((name, i) => ({ name, type: types[i]!, required: true, fieldId: i + 1 })), rows: flights },
    duck,
    'flights',
  )
  yield* results.splice(0)

  await duck.run(`create table events as select
    ['view', 'click', 'order', 'login'][1 + i % 4] as type, 'user-' || (hash(i) % 50000) as "entityId",
    '{"page":"/products/' || (hash(i * 7) % 9000) || '","referrer":"https://example.com/' || (hash(i * 3) % 700) || '","ms":' || (hash(i * 11) % 4000) || ',"ok":true}' as payload,
    to_timestamp(1767225600 + i * 0.431) as ts from range(${ROWS}) t(i)`)
  const events = (await duck.runAndReadAll('select type, "entityId", payload, epoch_ms(ts)::double as ts from events')).getRowObjects()
  const eventColumns: Column[] = [
    { name: 'type', type: 'string', required: true, fieldId: 1 },
    { name: 'entityId', type: 'string', required: true, fieldId: 2 },
    { name: 'payload', type: 'string', required: true, fieldId: 3 },
    { name: 'ts', type: 'timestamptz', required: true, fieldId: 4 },
  ]
  await run({ name: 'events', columns: eventColumns, rows: events }, duck, 'events')
  yield* results.splice(0)
  const asJson = events.map((row) => ({ ...row, payload: JSON.parse(String(row.payload)) as unknown }))
  const jsonCase = {
    name: 'events with JSON values',
    columns: eventColumns.map((it) => (it.name === 'payload' ? { ...it, type: 'json' as const } : it)),
    rows: asJson,
  }
  const [fromValues, fromTexts] = await best(
    () => writeOurs(jsonCase),
    () => writeOurs({ ...jsonCase, columns: eventColumns, rows: asJson.map((row) => ({ ...row, payload: JSON.stringify(row.payload) })) }),
  )
  report('parquet write events with JSON values', 'ms', fromValues.ms, 'JSON.stringify of all rows, then the same', fromTexts.ms, 1.1)
  duck.closeSync()
  rmSync(folder, { recursive: true })
  yield* results.splice(0)
}
