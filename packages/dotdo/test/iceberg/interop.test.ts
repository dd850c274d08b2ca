import { icebergRead } from 'icebird'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { scanTable } from '../../src/iceberg/scan.ts'
import { chdb } from './support/chdb.ts'
import { writeGoldenTable } from './support/golden-table.ts'
import { decompress, events, openLake, type Lake } from './support/lake.ts'
import { serveLake } from './support/serve.ts'

const folder = mkdtempSync(join(tmpdir(), 'iceberg-interop-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(() => {
  vi.unstubAllGlobals()
})

const types = {
  schema: {
    id: { type: 'long', required: true },
    origin: 'string',
    delay: 'int',
    ratio: 'double',
    half: 'float',
    at: 'timestamp',
    seen: 'timestamptz',
    day: 'date',
    ok: 'boolean',
    token: 'uuid',
    raw: 'binary',
    extra: 'json',
  },
  partitionBy: ['origin', 'month(seen)', 'bucket(4, id)'],
} as const

function typedRows(count: number): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, i) => ({
    id: i,
    origin: i % 17 === 0 ? null : ['JFK', 'LAX', 'Zürich/Kloten'][i % 3],
    delay: i % 13 === 0 ? null : (i % 200) - 100,
    ratio: i / 7,
    half: i / 4,
    at: Date.UTC(2001, 0, 1) + i * 1000,
    seen: Date.UTC(2001, i % 4, 15) + i,
    day: 11_323 + (i % 60),
    ok: i % 2 === 0,
    token: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
    raw: Uint8Array.of(i % 256, 255),
    extra: { i, tags: ['a', 'b'] },
  }))
}

describe('icebird', () => {
  test('reads every row of a table of several snapshots', async () => {
    const lake = openLake()
    const writer = lake.writer()
    const rows = [...events(3, 50), ...events(2, 20)]
    await writer.write(rows.slice(0, 150))
    await writer.write(rows.slice(150))
    const found = await readByIcebird(lake)
    const text = (row: Record<string, unknown>): string => JSON.stringify([row.type, row.entityId, row.payload, Number(row.ts)])
    expect(found.map(text).toSorted()).toEqual(rows.map((row) => text({ ...row, payload: JSON.stringify(row.payload) })).toSorted())
  })
  test('reads a table of every type and of several partition columns', async () => {
    const lake = openLake()
    await lake.writer(types).write(typedRows(300))
    const found = await readByIcebird(lake)
    expect(found.length).toBe(300)
    const byId = found.toSorted((a, b) => Number(a.id) - Number(b.id))
    expect(byId.map((row) => row.origin ?? null)).toEqual(typedRows(300).map((row) => row.origin))
    expect(byId.map((row) => row.ratio)).toEqual(typedRows(300).map((row) => row.ratio))
  })
})

describe('chdb', () => {
  test('counts, sums and filters a local table as they were written', async () => {
    const lake = openLake()
    const rows = events(3, 100)
    await lake.writer().write(rows)
    await lake.writer().write(events(2, 50))
    lake.bucket.dump(join(folder, 'events'))
    const table = `icebergLocal('${join(folder, 'events', await location(lake))}/')`
    const [totals, oneDay, grouped, payload] = await chdb(folder, [
      `SELECT toUInt32(count()) AS n, toString(sum(toUnixTimestamp64Milli(ts))) AS ts FROM ${table}`,
      `SELECT toUInt32(count()) AS n FROM ${table} WHERE ts >= '2026-01-02 00:00:00' AND ts < '2026-01-03 00:00:00'`,
      `SELECT type, toUInt32(count()) AS n FROM ${table} GROUP BY type ORDER BY type`,
      `SELECT toString(sum(JSONExtractInt(payload, 'i'))) AS i FROM ${table}`,
    ])
    const all = [...rows, ...events(2, 50)]
    expect(totals).toEqual([{ n: 400, ts: String(all.reduce((sum, row) => sum + row.ts, 0)) }])
    expect(oneDay).toEqual([{ n: 150 }])
    expect(grouped).toEqual(['click', 'view'].map((type) => ({ type, n: all.filter((row) => row.type === type).length })))
    expect(payload).toEqual([{ i: String(all.reduce((sum, row) => sum + (row.payload as { i: number }).i, 0)) }])
  }, 60_000)

  test('prunes by bounds and partitions without losing a row, for every type', async () => {
    const lake = openLake()
    const rows = typedRows(500)
    await lake.writer(types).write(rows)
    lake.bucket.dump(join(folder, 'types'))
    const table = `icebergLocal('${join(folder, 'types', await location(lake))}/')`
    const counts: [string, number][] = [
      ['id BETWEEN 100 AND 199', 100],
      ["origin = 'Zürich/Kloten'", rows.filter((row) => row.origin === 'Zürich/Kloten').length],
      ['origin IS NULL', rows.filter((row) => row.origin === null).length],
      ['delay > 90', rows.filter((row) => row.delay !== null && Number(row.delay) > 90).length],
      ['delay IS NULL', rows.filter((row) => row.delay === null).length],
      ['ratio < 3', rows.filter((row) => Number(row.ratio) < 3).length],
      ["day = toDate32('2001-01-01')", rows.filter((row) => row.day === 11_323).length],
      ["seen >= '2001-04-01 00:00:00'", rows.filter((row) => Number(row.seen) >= Date.UTC(2001, 3, 1)).length],
      ['ok', 250],
    ]
    const found = await chdb(
      folder,
      counts.map(([where]) => `SELECT toUInt32(count()) AS n FROM ${table} WHERE ${where}`),
    )
    expect(found.map((it, i) => [counts[i]![0], it[0]!.n])).toEqual(counts)
  }, 60_000)

  test('attaches to the catalog by its address, finds the tables and reads their files by the S3 endpoint', async () => {
    const lake = openLake()
    await lake.writer().write(events(3, 100))
    await lake.writer({ tableName: 'flights', schema: { origin: 'string', delay: 'long' }, partitionBy: ['origin'] }).write([
      { origin: 'JFK', delay: 5 },
      { origin: 'LAX', delay: -2 },
      { origin: 'JFK', delay: 1 },
    ])
    await using server = await serveLake(lake.catalog, lake.bucket)
    const [, , tables, totals, flights] = await chdb(folder, [
      'SET allow_database_iceberg = 1',
      `CREATE DATABASE lake ENGINE = DataLakeCatalog('${server.origin}/v1', 'key', 'secret') SETTINGS catalog_type = 'rest', warehouse = 'lake'`,
      'SHOW TABLES FROM lake',
      'SELECT toUInt32(count()) AS n FROM lake.`analytics.events`',
      'SELECT origin, toInt32(sum(delay)) AS delay FROM lake.`analytics.flights` GROUP BY origin ORDER BY origin',
    ])
    expect(tables!.map((it) => String(it.name)).toSorted()).toEqual(['analytics.events', 'analytics.flights'])
    expect(totals).toEqual([{ n: 300 }])
    expect(flights).toEqual([
      { origin: 'JFK', delay: 6 },
      { origin: 'LAX', delay: -2 },
    ])
    expect(server.requests.some((it) => it.startsWith('GET /v1/config'))).toBe(true)
  }, 60_000)
})

describe('our own scan', () => {
  test('gives back every row, and files are written once', async () => {
    const lake = openLake()
    await lake.writer(types).write(typedRows(300))
    const { metadata } = (await lake.catalog.loadTable({ namespace: ['analytics'], name: 'events' }))!
    const found: Record<string, unknown>[] = []
    for await (const batch of scanTable(lake.bucket, metadata, { decompress, json: ['extra'] })) found.push(...batch)
    expect(found.toSorted((a, b) => Number(a.id) - Number(b.id))).toEqual(typedRows(300))
    expect(lake.bucket.overwritten).toEqual([])
  })
})

describe('the golden table', () => {
  test('is the same bytes every time, and another engine reads it', async () => {
    const first = await writeGoldenTable(join(folder, 'golden-1'))
    const second = await writeGoldenTable(join(folder, 'golden-2'))
    expect(digest(join(folder, 'golden-1'))).toBe(digest(join(folder, 'golden-2')))
    expect(second).toEqual(first)
    const [found] = await chdb(folder, [
      `SELECT toUInt32(count()) AS n, toString(sum(toUnixTimestamp64Milli(ts))) AS ts FROM icebergLocal('${join(folder, 'golden-1', first.table)}/')`,
    ])
    expect(found).toEqual([{ n: first.rows, ts: String(first.sumTs) }])
  }, 60_000)
})

async function location(lake: Lake): Promise<string> {
  const table = await lake.catalog.loadTable({ namespace: ['analytics'], name: 'events' })
  return table!.metadata.location.replace('s3://lake/', '')
}

/** icebird fetches by HTTPS from S3's own address: the bucket answers in its place. */
async function readByIcebird(lake: Lake): Promise<Record<string, unknown>[]> {
  const { metadata } = (await lake.catalog.loadTable({ namespace: ['analytics'], name: 'events' }))!
  vi.stubGlobal('fetch', async (input: string | URL, init?: RequestInit) => {
    const bytes = lake.bucket.objects.get(decodeURI(new URL(input).pathname.slice(1)))?.bytes
    if (!bytes) return new Response('no such object', { status: 404 })
    const range = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init?.headers).get('range') ?? '')
    return range ? new Response(bytes.slice(Number(range[1]), Number(range[2]) + 1), { status: 206 }) : new Response(bytes.slice())
  })
  return icebergRead({ tableUrl: metadata.location, metadata: metadata as never })
}

function digest(path: string): string {
  const hash = createHash('sha256')
  const walk = (at: string): void => {
    for (const name of readdirSync(at).toSorted()) {
      const below = join(at, name)
      if (statSync(below).isDirectory()) walk(below)
      else hash.update(below.slice(path.length)).update(readFileSync(below))
    }
  }
  walk(path)
  return hash.digest('hex')
}
