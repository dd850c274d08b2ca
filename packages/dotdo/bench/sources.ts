// How fast rows come out of bytes, in MB of text a second: the readers alone, in chunks of 64 KiB, and extract() over a stream in memory.
// Run by: node packages/dotdo/bench/sources.ts
import { readFileSync } from 'node:fs'
import Papa from 'papaparse'
import { CsvReader } from '../src/sources/csv.ts'
import { createExtract } from '../src/sources/extract.ts'
import { JsonReader } from '../src/sources/json.ts'
import { NdjsonReader } from '../src/sources/ndjson.ts'
import type { RowReader } from '../src/sources/reader.ts'

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

async function measure(name: string, bytes: Uint8Array, run: () => number | Promise<number>): Promise<void> {
  let best = Infinity
  let rows = 0
  for (let round = 0; round < 5; round++) {
    const start = performance.now()
    rows = await run()
    best = Math.min(best, performance.now() - start)
  }
  console.log(
    `${name.padEnd(34)} ${(bytes.length / 1e3 / best).toFixed(0).padStart(5)} MB/s  ${rows} rows, ${(bytes.length / 1e6).toFixed(1)} MB`,
  )
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

await measure('NDJSON reader, flights', ndjson, () => readAll(() => new NdjsonReader(context), ndjson))
await measure('JSON reader, flights', json, () => readAll(() => new JsonReader(context), json))
for (const name of ['airports.csv', 'birdstrikes.csv', 'zipcodes.csv']) {
  const csv = csvOf(name)
  await measure(`CSV reader, ${name}`, csv, () => readAll(() => new CsvReader(context), csv))
  const text = new TextDecoder().decode(csv)
  await measure(`papaparse, ${name} (whole)`, csv, () => Papa.parse<unknown>(text, { header: true, skipEmptyLines: true }).data.length)
}
await measure('extract, NDJSON, in batches', ndjson, async () => {
  let rows = 0
  for await (const batch of extract('r2://B/x.ndjson')) rows += batch.length
  return rows
})
