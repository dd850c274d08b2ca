// How fast rows come out of bytes, in MB of text a second: the readers alone, in chunks of 64 KiB, and extract() over a stream in memory.
// Each beside what a program would do that holds the whole text.
import { readFileSync } from 'node:fs'
import Papa from 'papaparse'
import { CsvReader } from '../src/sources/csv.ts'
import { createExtract } from '../src/sources/extract.ts'
import { JsonReader } from '../src/sources/json.ts'
import { NdjsonReader } from '../src/sources/ndjson.ts'
import type { RowReader } from '../src/sources/reader.ts'
import type { BenchResult } from '../../../bench/run.ts'

const CHUNK = 65_536
const REPEAT = 10
const context = { address: 'bench', maxRecordBytes: 1 << 24 }
const data = (name: string): string => readFileSync(new URL(`../../../node_modules/vega-datasets/data/${name}`, import.meta.url), 'utf8')
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

const flights: unknown[] = JSON.parse(data('flights-20k.json'))
const ndjson = encode(
  flights
    .map((row) => JSON.stringify(row) + '\n')
    .join('')
    .repeat(REPEAT),
)
const json = encode(`[${Array.from({ length: REPEAT }, () => JSON.stringify(flights).slice(1, -1)).join(',')}]`)

function csvOf(name: string): Uint8Array {
  const text = data(name)
  const header = text.indexOf('\n') + 1
  return encode(text.slice(0, header) + `${text.slice(header).trimEnd()}\n`.repeat(REPEAT))
}

function readAll(make: () => RowReader, bytes: Uint8Array): number {
  const reader = make()
  let rows = 0
  for (let start = 0; start < bytes.length; start += CHUNK) rows += reader.push(bytes.subarray(start, start + CHUNK)).length
  return rows + reader.end().length
}

/** MB of text a second, the best of five rounds; the two runs take turns, so that a busy machine is busy for both. */
async function compare(
  name: string,
  bytes: Uint8Array,
  run: () => number | Promise<number>,
  baseline: string,
  other: () => number,
  bar: number,
): Promise<BenchResult> {
  const best = [Infinity, Infinity]
  for (let round = 0; round < 5; round++) {
    for (const [i, work] of [run, other].entries()) {
      const start = performance.now()
      const rows = await work()
      best[i] = Math.min(best[i]!, performance.now() - start)
      if (rows === 0) throw new Error(`${name} read no rows`)
    }
  }
  const [value, baselineValue] = best.map((ms) => Math.round(bytes.length / 1e3 / ms))
  const ratio = Math.round((best[1]! / best[0]!) * 100) / 100
  return { name, value: value!, unit: 'MB/s', baseline, baselineValue: baselineValue!, ratio, bar: `at least ${bar}`, ok: ratio >= bar }
}

const extract = createExtract({
  bucket: () => ({
    get: async () => {
      let start = 0
      const body = new ReadableStream<Uint8Array>({
        pull: (controller) => {
          if (start >= ndjson.length) return controller.close()
          controller.enqueue(ndjson.subarray(start, (start += CHUNK)))
        },
      })
      return { body, size: ndjson.length }
    },
    list: async () => ({ objects: [], truncated: false }),
  }),
  bucketNames: () => ['B'],
  http: () => Promise.reject(new Error('no network in a bench')),
  gunzip: (stream) => stream,
})

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const parseLines = (): number =>
  textOf(ndjson)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown).length

/** Each reader beside the plain way with the whole text in memory. */
export default async function* sources(): AsyncGenerator<BenchResult> {
  yield await compare(
    'NDJSON reader, flights',
    ndjson,
    () => readAll(() => new NdjsonReader(context), ndjson),
    'JSON.parse a line, whole text',
    parseLines,
    0.5,
  )
  yield await compare(
    'JSON reader, flights',
    json,
    () => readAll(() => new JsonReader(context), json),
    'JSON.parse, whole text',
    () => (JSON.parse(textOf(json)) as unknown[]).length,
    0.5,
  )
  for (const name of ['airports.csv', 'birdstrikes.csv', 'zipcodes.csv']) {
    const csv = csvOf(name)
    const papa = () => Papa.parse<unknown>(textOf(csv), { header: true, skipEmptyLines: true }).data.length
    yield await compare(`CSV reader, ${name}`, csv, () => readAll(() => new CsvReader(context), csv), 'papaparse, whole text', papa, 1)
  }
  const batches = async (): Promise<number> => {
    let rows = 0
    for await (const batch of extract('r2://B/x.ndjson')) rows += batch.length
    return rows
  }
  yield await compare('extract, NDJSON, in batches', ndjson, batches, 'JSON.parse a line, whole text', parseLines, 0.4)
}
