import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readParquet } from '../../src/parquet/reader.ts'
import type { ColumnType } from '../../src/parquet/schema.ts'
import { writeManifestList } from '../../src/iceberg/manifest-list.ts'
import { keyOf } from '../../src/iceberg/ports.ts'
import { dataFiles, scanTable } from '../../src/iceberg/scan.ts'
import { columnsOf, partitionSpecOf } from '../../src/iceberg/schema.ts'
import { singleValue } from '../../src/iceberg/single-value.ts'
import { transformOf } from '../../src/iceberg/transforms.ts'
import type { DataFile, PartitionValue } from '../../src/iceberg/types.ts'
import { icebergType, storedValue } from '../../src/iceberg/values.ts'
import { chdb } from './support/chdb.ts'
import { decompress, events, openLake, type Lake } from './support/lake.ts'

const ident = { namespace: ['analytics'], name: 'events' }

/** Every type, with values that its partitions and bounds find hard. */
const kinds: Record<string, { type: ColumnType; values: fc.Arbitrary<unknown>; partitions: string[] }> = {
  flag: { type: 'boolean', values: fc.boolean(), partitions: ['flag'] },
  small: {
    type: 'int',
    values: fc.oneof(fc.integer(), fc.constantFrom(-(2 ** 31), 2 ** 31 - 1)),
    partitions: ['small', 'bucket(3, small)', 'truncate(100, small)'],
  },
  big: {
    type: 'long',
    values: fc.oneof(
      fc.integer({ min: -5, max: 5 }),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.constantFrom(-(2n ** 63n), 2n ** 63n - 1n, -Number.MAX_SAFE_INTEGER),
    ),
    partitions: ['bucket(3, big)', 'truncate(1000, big)'],
  },
  real: { type: 'double', values: fc.double(), partitions: [] },
  half: { type: 'float', values: fc.float(), partitions: [] },
  day: {
    type: 'date',
    values: fc.integer({ min: -40_000, max: 40_000 }),
    partitions: ['day', 'month(day)', 'year(day)', 'bucket(3, day)'],
  },
  wall: { type: 'timestamp', values: fc.integer({ min: -(2 ** 41), max: 2 ** 41 }), partitions: ['year(wall)', 'bucket(3, wall)'] },
  at: {
    type: 'timestamptz',
    values: fc.integer({ min: -(2 ** 41), max: 2 ** 41 }),
    partitions: ['year(at)', 'month(at)', 'day(at)', 'hour(at)'],
  },
  text: {
    type: 'string',
    values: fc.string({ unit: 'binary', maxLength: 40 }),
    partitions: ['text', 'bucket(3, text)', 'truncate(2, text)'],
  },
  blob: { type: 'binary', values: fc.uint8Array({ maxLength: 30 }), partitions: ['bucket(3, blob)', 'truncate(1, blob)'] },
  token: { type: 'uuid', values: fc.uuid(), partitions: ['token', 'bucket(3, token)'] },
}

const names = Object.keys(kinds)
const tables = fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 4 }).chain((picked) =>
  fc.record({
    schema: fc.constant(Object.fromEntries(picked.map((name) => [name, kinds[name]!.type]))),
    partitionBy: fc
      .uniqueArray(fc.constantFrom('', ...picked.flatMap((name) => kinds[name]!.partitions)), { maxLength: 2 })
      .map((it) => it.filter(Boolean)),
    rows: fc.array(fc.record(Object.fromEntries(picked.map((name) => [name, fc.option(kinds[name]!.values)]))), {
      minLength: 1,
      maxLength: 25,
    }),
  }),
)

describe('any table', () => {
  test('comes back row by row; each file holds one partition, and its bounds hold all of its values', async () => {
    await fc.assert(
      fc.asyncProperty(tables, async ({ schema, partitionBy, rows }) => {
        if (new Set(partitionBy.map((it) => it.replace(/^(bucket|truncate)\(\d+, /, '$1('))).size < partitionBy.length) return
        const lake = openLake()
        const receipt = await lake.writer({ schema, partitionBy, limits: { maxOpenFiles: 4 } }).write(rows)
        expect(receipt.rows).toBe(rows.length)

        const columns = columnsOf(schema)
        const spec = partitionSpecOf(partitionBy, columns)
        const stored = (row: Record<string, unknown>): PartitionValue[] => columns.map((it) => storedValue(it.type, row[it.name])!)
        const all: string[] = []
        for (const file of await filesOf(lake)) {
          const found = await rowsOfFile(lake, file)
          expect(found).toHaveLength(file.recordCount)
          for (const row of found) {
            const values = stored(row)
            all.push(shown(values))
            const partition = spec.fields.map((field) => {
              const column = columns.find((it) => it.fieldId === field['source-id'])!
              return transformOf(field.transform, column.type)(storedValue(column.type, row[column.name])!)
            })
            expect(shown(partition)).toBe(shown(file.partition))
            columns.forEach((column, i) => expectWithin(column.type, file, column.fieldId, values[i]!))
          }
          columns.forEach((column) => {
            expect(file.nullCounts.get(column.fieldId)).toBe(found.filter((row) => row[column.name] === null).length)
            expect(file.valueCounts.get(column.fieldId)).toBe(found.length)
          })
        }
        expect(all.toSorted()).toEqual(rows.map((row) => shown(stored(row))).toSorted())
      }),
      { numRuns: 150 },
    )
  }, 60_000)
})

describe('real flights', () => {
  const folder = mkdtempSync(join(tmpdir(), 'iceberg-flights-'))
  test('20,000 of them, by month and a bucket of the origin, give another engine the same answers', async () => {
    const text = readFileSync(new URL('../../../../node_modules/vega-datasets/data/flights-20k.json', import.meta.url), 'utf8')
    const flights = (JSON.parse(text) as { date: string; delay: number; distance: number; origin: string; destination: string }[]).map(
      (it) => ({
        at: Date.parse(`${it.date.replaceAll('/', '-').replace(' ', 'T')}:00Z`),
        delay: it.delay,
        distance: it.distance,
        origin: it.origin,
        destination: it.destination,
      }),
    )
    expect(flights.every((it) => Number.isFinite(it.at))).toBe(true)
    const lake = openLake()
    const schema = {
      at: { type: 'timestamptz', required: true },
      delay: 'int',
      distance: 'int',
      origin: 'string',
      destination: 'string',
    } as const
    const receipt = await lake.writer({ schema, partitionBy: ['month(at)', 'bucket(4, origin)'] }).write(flights)
    expect(receipt.rows).toBe(20_000)
    lake.bucket.dump(folder)
    const { metadata } = (await lake.catalog.loadTable(ident))!
    const table = `icebergLocal('${join(folder, metadata.location.replace('s3://lake/', ''))}/')`
    const [totals, busiest, february] = await chdb(folder, [
      `SELECT toUInt32(count()) AS n, toInt32(sum(delay)) AS delay, toUInt32(sum(distance)) AS distance FROM ${table}`,
      `SELECT origin, toUInt32(count()) AS n FROM ${table} GROUP BY origin ORDER BY n DESC, origin LIMIT 5`,
      `SELECT toUInt32(count()) AS n FROM ${table} WHERE at >= '2001-02-01 00:00:00' AND at < '2001-03-01 00:00:00' AND origin = 'SFO'`,
    ])
    const sum = (name: 'delay' | 'distance'): number => flights.reduce((total, it) => total + it[name], 0)
    expect(totals).toEqual([{ n: 20_000, delay: sum('delay'), distance: sum('distance') }])
    const counts = Map.groupBy(flights, (it) => it.origin)
    const top = Array.from(counts, ([origin, rows]) => ({ origin, n: rows.length })).toSorted(
      (a, b) => b.n - a.n || (a.origin < b.origin ? -1 : 1),
    )
    expect(busiest).toEqual(top.slice(0, 5))
    const inFebruary = flights.filter((it) => it.origin === 'SFO' && it.at >= Date.UTC(2001, 1, 1) && it.at < Date.UTC(2001, 2, 1))
    expect(february).toEqual([{ n: inFebruary.length }])
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)
})

describe('a scan', () => {
  const scan = async (lake: Lake, options = {}): Promise<Record<string, unknown>[]> => {
    const { metadata } = (await lake.catalog.loadTable(ident))!
    const rows: Record<string, unknown>[] = []
    for await (const batch of scanTable(lake.bucket, metadata, { decompress, ...options })) rows.push(...batch)
    return rows
  }
  test('of a table without rows gives none', async () => {
    const lake = openLake()
    await lake.writer().write([])
    expect(await scan(lake)).toEqual([])
  })
  test('reads the columns that were asked for, and JSON as text or as its value', async () => {
    const lake = openLake()
    await lake.writer().write(events(1, 2))
    expect(await scan(lake, { columns: ['payload'] })).toEqual(events(1, 2).map((it) => ({ payload: JSON.stringify(it.payload) })))
    expect(await scan(lake, { columns: ['payload'], json: ['payload'] })).toEqual(events(1, 2).map((it) => ({ payload: it.payload })))
  })
  test('names the object that the table names and the bucket lacks', async () => {
    for (const part of ['/data/', '-m0.avro', '/snap-']) {
      const lake = openLake()
      await lake.writer().write(events(1, 2))
      const key = [...lake.bucket.objects.keys()].find((it) => it.includes(part))!
      lake.bucket.objects.delete(key)
      await expect(scan(lake)).rejects.toMatchObject({ code: 'METADATA_MISSING', message: expect.stringContaining(key) })
    }
  })
  test('refuses a table with row-level deletes, whose rows would come back from the dead', async () => {
    const lake = openLake()
    await lake.writer().write(events(1, 2))
    const { metadata } = (await lake.catalog.loadTable(ident))!
    const list = writeManifestList(
      [
        {
          path: 's3://lake/deletes.avro',
          sizeBytes: 1,
          specId: 0,
          content: 1,
          sequenceNumber: 2,
          minSequenceNumber: 2,
          addedSnapshotId: 9,
          addedFiles: 1,
          existingFiles: 0,
          deletedFiles: 0,
          addedRows: 1,
          existingRows: 0,
          deletedRows: 0,
          partitions: null,
        },
      ],
      { snapshotId: 9, parentSnapshotId: null, sequenceNumber: 2, sync: new Uint8Array(16) },
    )
    await lake.bucket.put(keyOf(metadata.snapshots[0]!['manifest-list']), list)
    await expect(scan(lake)).rejects.toMatchObject({ code: 'ICEBERG_UNSUPPORTED' })
  })
  test('tells metadata that is gone from a table that is not there', async () => {
    const lake = openLake()
    await lake.writer().write(events(1, 2))
    const { metadataLocation } = (await lake.catalog.loadTable(ident))!
    lake.bucket.objects.delete(keyOf(metadataLocation))
    await expect(lake.catalog.loadTable(ident)).rejects.toMatchObject({ code: 'METADATA_MISSING', data: { metadataLocation } })
  })
})

async function filesOf(lake: Lake): Promise<DataFile[]> {
  const { metadata } = (await lake.catalog.loadTable(ident))!
  const files: DataFile[] = []
  for await (const file of dataFiles(lake.bucket, metadata)) files.push(file)
  return files
}

async function rowsOfFile(lake: Lake, file: DataFile): Promise<Record<string, unknown>[]> {
  const { bytes } = lake.bucket.objects.get(keyOf(file.path))!
  expect(bytes.length).toBe(file.sizeBytes)
  const rows: Record<string, unknown>[] = []
  const source = { sizeBytes: bytes.length, read: async (offset: number, length: number) => bytes.slice(offset, offset + length) }
  for await (const batch of readParquet(source, { decompress })) rows.push(...batch)
  return rows
}

/** A value lies between the bounds of its file: numbers by value, all else by bytes. NaN and null have no place in bounds. */
function expectWithin(type: ColumnType, file: DataFile, fieldId: number, value: PartitionValue): void {
  if (value === null || Number.isNaN(value)) return
  const lower = file.lowerBounds.get(fieldId)
  const upper = file.upperBounds.get(fieldId)
  expect(lower, `${type} ${String(value)}`).toBeDefined()
  if (typeof value === 'string' || value instanceof Uint8Array) {
    const bytes = singleValue(icebergType(type), value)
    expect(Buffer.compare(lower!, bytes)).toBeLessThanOrEqual(0)
    if (upper) expect(Buffer.compare(upper, bytes)).toBeGreaterThanOrEqual(0)
    return
  }
  expect(upper).toBeDefined()
  const [least, most] = [lower!, upper!].map((it) => number(type, it))
  const own = number(type, singleValue(type, value))
  expect(least! <= own && own <= most!, `${type}: ${String(least)} <= ${String(own)} <= ${String(most)}`).toBe(true)
}

function number(type: ColumnType, bytes: Uint8Array): number | bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (type === 'boolean') return bytes[0]!
  if (type === 'float') return view.getFloat32(0, true)
  if (type === 'double') return view.getFloat64(0, true)
  return bytes.length === 8 ? view.getBigInt64(0, true) : view.getInt32(0, true)
}

function shown(values: readonly PartitionValue[]): string {
  return values
    .map((it) => (it instanceof Uint8Array ? Buffer.from(it).toString('hex') : Object.is(it, -0) ? '-0' : `${typeof it} ${String(it)}`))
    .join(' | ')
}
