/** Lays the demo's data into the local bucket: real flights of January 2001, one NDJSON object a day, and the airports. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { parquetReadObjects } from 'hyparquet'

/** What the script needs of an R2 bucket. */
interface Bucket {
  head(key: string): Promise<unknown>
  put(key: string, value: string | Uint8Array): Promise<unknown>
}

/** How many flights of the data set's three million are laid out. */
export const flightCount = 200_000

const folder = join(dirname(createRequire(import.meta.url).resolve('vega-datasets')), '..', 'data')

/** Fills the bucket where it is empty. Tells how many objects were written; 0 where all was there. */
export async function layOutData(bucket: Bucket): Promise<number> {
  // Written last: where it stands, everything does.
  if (await bucket.head('airports/airports.csv')) return 0
  const days = await flightsByDay()
  for (const [day, lines] of days) await bucket.put(`flights/${day}.ndjson`, lines.join('\n') + '\n')
  await bucket.put('airports/airports.csv', readFileSync(join(folder, 'airports.csv')))
  return days.size + 1
}

/** The first flights of the data set as lines of JSON, by day. */
async function flightsByDay(): Promise<Map<string, string[]>> {
  const bytes = readFileSync(join(folder, 'flights-3m.parquet'))
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
  const compressors = { ZSTD: (input: Uint8Array) => new Uint8Array(zstdDecompressSync(input)) }
  const rows = await parquetReadObjects({ file, compressors, rowStart: 0, rowEnd: flightCount })
  const days = new Map<string, string[]>()
  for (const { date, delay, distance, origin, destination } of rows) {
    const text = (date as Date).toISOString().slice(0, 19)
    const lines = days.get(text.slice(0, 10)) ?? []
    if (lines.length === 0) days.set(text.slice(0, 10), lines)
    lines.push(JSON.stringify({ date: text, delay: Number(delay), distance: Number(distance), origin, destination }))
  }
  return days
}
