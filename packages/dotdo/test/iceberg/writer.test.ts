import { describe, expect, test } from 'vitest'
import { DotdoError } from '../../src/base/errors.ts'
import type { Progress } from '../../src/base/views.ts'
import { Catalog } from '../../src/iceberg/catalog.ts'
import type { CatalogClient } from '../../src/iceberg/ports.ts'
import { dataFiles, scanTable } from '../../src/iceberg/scan.ts'
import { hex } from '../../src/iceberg/numbers.ts'
import { COMMIT_KEY, type DataFile } from '../../src/iceberg/types.ts'
import type { IcebergWriterOptions, Rows } from '../../src/iceberg/writer.ts'
import { decompress, events, openLake, type Lake } from './support/lake.ts'

const ident = { namespace: ['analytics'], name: 'events' }
const good = { type: 'click', entityId: 'u1', payload: { page: '/' }, ts: Date.UTC(2026, 0, 1) }

async function rowsOf(lake: Lake): Promise<Record<string, unknown>[]> {
  const { metadata } = (await lake.catalog.loadTable(ident))!
  const rows: Record<string, unknown>[] = []
  for await (const batch of scanTable(lake.bucket, metadata, {
    decompress,
    ...(metadata.schemas[0]!.fields.some((it) => it.name === 'payload') && { json: ['payload'] }),
  }))
    rows.push(...batch)
  return rows
}

async function filesOf(lake: Lake): Promise<DataFile[]> {
  const { metadata } = (await lake.catalog.loadTable(ident))!
  const files: DataFile[] = []
  for await (const file of dataFiles(lake.bucket, metadata)) files.push(file)
  return files
}

/** Keys of data files, manifests and lists: what a write that failed must not leave. */
function uploads(lake: Lake): string[] {
  return [...lake.bucket.objects.keys()].filter((key) => !key.endsWith('.metadata.json'))
}

describe('a write', () => {
  test('adds its rows in one snapshot of one file a day, and says so', async () => {
    const lake = openLake()
    const writer = lake.writer()
    const receipt = await writer.write(events(3, 10))
    expect(receipt).toEqual({ snapshotId: expect.any(Number), files: 3, rows: 30, bytes: expect.any(Number), partitions: 3 })
    expect(await writer.snapshot()).toMatchObject({
      table: 'analytics.events',
      snapshotId: receipt.snapshotId,
      files: 3,
      rows: 30,
      bytes: receipt.bytes,
      sequenceNumber: 1,
    })
    expect(await rowsOf(lake)).toEqual(events(3, 10))
  })
  test('takes arrays, generators, batches and streams alike', async () => {
    const rows = events(1, 6)
    const forms: (() => Rows)[] = [
      () => rows,
      function* () {
        yield* rows
      },
      () => [rows.slice(0, 4), rows.slice(4)],
      async function* () {
        yield* rows
      },
      async function* () {
        yield rows.slice(0, 1)
        yield []
        yield rows.slice(1)
      },
      () =>
        new ReadableStream({
          start: (it) => {
            it.enqueue(rows)
            it.close()
          },
        }) as unknown as Rows,
    ]
    for (const form of forms) {
      const lake = openLake()
      expect((await lake.writer().write(form())).rows).toBe(6)
      expect(await rowsOf(lake)).toEqual(rows)
    }
  })
  test('of nothing makes the table and no snapshot', async () => {
    const lake = openLake()
    const writer = lake.writer()
    expect(await writer.snapshot()).toBeNull()
    expect(await writer.write([])).toEqual({ snapshotId: null, files: 0, rows: 0, bytes: 0, partitions: 0 })
    expect(await writer.snapshot()).toMatchObject({ snapshotId: null, files: 0, rows: 0 })
    expect(uploads(lake)).toEqual([])
  })
  test('tells each file by its partition, counts and bounds', async () => {
    const lake = openLake()
    await lake.writer().write(events(2, 5))
    const [first] = await filesOf(lake)
    expect(first).toMatchObject({ partition: [20454], recordCount: 5, format: 'PARQUET' })
    expect(first!.path).toContain('/data/ts_day=2026-01-01/')
    expect(first!.valueCounts.get(1)).toBe(5)
    expect([...first!.nullCounts]).toEqual([
      [1, 0],
      [2, 0],
      [3, 0],
      [4, 0],
    ])
    expect(Buffer.from(first!.lowerBounds.get(1)!).toString()).toBe('click')
    expect(Buffer.from(first!.upperBounds.get(1)!).toString()).toBe('view')
    expect(hex(first!.lowerBounds.get(4)!)).toBe(hex(new Uint8Array(new BigInt64Array([BigInt(Date.UTC(2026, 0, 1)) * 1000n]).buffer)))
    expect(first!.lowerBounds.has(3)).toBe(false)
  })
  test('reports its progress, and breathes between stretches of rows', async () => {
    const lake = openLake()
    const seen: Progress[] = []
    let breaths = 0
    await lake
      .writer(
        {},
        {
          progress: (it) => seen.push(it),
          breathe: async () => {
            breaths++
          },
        },
      )
      .write(events(1, 25_000))
    expect(seen.map((it) => it.rows)).toEqual([10_000, 20_000, 25_000])
    expect(seen.at(-1)).toMatchObject({ bytes: expect.any(Number), at: expect.stringContaining('.parquet') })
    expect(breaths).toBe(2)
  })
  test('keeps to its bounds: more partitions than open files, and more bytes than memory, give more files and the same rows', async () => {
    for (const limits of [{ maxOpenFiles: 3 }, { maxBufferedBytes: 300_000 }]) {
      const lake = openLake()
      const rows = events(10, 20)
      const receipt = await lake.writer({ limits }).write(rows.toSorted((a, b) => (a.ts % 86_400_000) - (b.ts % 86_400_000)))
      expect(receipt.partitions).toBe(10)
      expect(receipt.files).toBeGreaterThan(10)
      expect((await rowsOf(lake)).toSorted((a, b) => Number(a.ts) - Number(b.ts))).toEqual(rows)
    }
  })
  test('that spreads over too many partitions is refused and leaves nothing', async () => {
    const lake = openLake()
    await expect(lake.writer({ limits: { maxFiles: 5, maxOpenFiles: 2 } }).write(events(10, 1))).rejects.toMatchObject({
      code: 'TOO_MANY_FILES',
      retryable: false,
    })
    expect(uploads(lake)).toEqual([])
  })
  test('of any schema and partitioning keeps nulls apart from texts', async () => {
    const lake = openLake()
    const options: Partial<IcebergWriterOptions> = { schema: { a: 'string', n: 'long' }, partitionBy: ['a', 'truncate(10, n)'] }
    const rows = [
      { a: 'null', n: 1 },
      { a: null, n: 1 },
      { a: '', n: null },
      { a: 'null', n: 12 },
      { a: 'null', n: 3n },
    ]
    expect((await lake.writer(options).write(rows)).partitions).toBe(4)
    expect((await filesOf(lake)).map((it) => it.partition)).toEqual([
      ['null', 0],
      [null, 0],
      ['', null],
      ['null', 10],
    ])
  })
  test('goes on after a conflict with another writer, making the manifest list anew and nothing else', async () => {
    const lake = openLake()
    await lake.writer().write(events(1, 2))
    let puts: string[] = []
    let raced = false
    const catalog = new Proxy(lake.catalog, {
      get: (target, name) => {
        const method = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>
        return async (...args: unknown[]) => {
          if (name === 'commit' && !raced) {
            raced = true
            await lake.writer().write(events(1, 3))
            puts = []
          }
          return method.apply(target, args)
        }
      },
    })
    lake.bucket.after = (operation, key) => {
      if (operation === 'put') puts.push(key.replace(/^.*\//, '').replace(/-.*\./, '-….'))
    }
    await lake.writer({}, { catalog }).write(events(1, 4))
    expect(puts).toEqual(['snap-….avro', '00003-….json'])
    expect(await rowsOf(lake)).toHaveLength(9)
    expect(uploads(lake).filter((key) => key.includes('/snap-'))).toHaveLength(3)
  })
  test('reads nothing back of what the writes before it made, and does where another writer came between', async () => {
    const lake = openLake()
    const memory = {}
    await lake.writer({}, { memory }).write(events(1, 2))
    let gets: string[] = []
    lake.bucket.before = (operation, key) => {
      if (operation === 'get') gets.push(key.replace(/^.*\//, '').replace(/-.*\./, '-….'))
    }
    for (let i = 0; i < 5; i++) await lake.writer({}, { memory }).write(events(1, 2))
    expect(gets).toEqual([])
    await lake.writer().write(events(1, 2))
    gets = []
    await lake.writer({}, { memory }).write(events(1, 2))
    expect(gets).toEqual(['snap-….avro'])
    expect(await rowsOf(lake)).toHaveLength(16)
  })
  test('finds its table by what the catalog says after another catalog of the same store has committed', async () => {
    const lake = openLake()
    await lake.writer().write(events(1, 2))
    const { bucket, store, clock, random } = lake
    const other = new Catalog({ store, bucket, clock, random, warehouse: 's3://lake/warehouse' })
    await lake.writer({}, { catalog: other }).write(events(1, 3))
    await lake.writer().write(events(1, 4))
    expect(await rowsOf(lake)).toHaveLength(9)
  })
})

describe('bad input', () => {
  test.each([
    ['no type', { ...good, type: undefined }, 'type', 'nothing'],
    ['null for a type', { ...good, type: null }, 'type', 'null'],
    ['a number for a type', { ...good, type: 7 }, 'type', '7'],
    ['no ts', { type: 'a', entityId: 'b' }, 'ts', 'nothing'],
    ['a ts that is no time', { ...good, ts: 'yesterday' }, 'ts', '"yesterday"'],
    ['a ts of NaN', { ...good, ts: NaN }, 'ts', 'NaN'],
    ['a ts without a zone', { ...good, ts: '2026-01-01T00:00:00' }, 'ts', '"2026-01-01T00:00:00"'],
    ['a key without a column', { ...good, user: 'x' }, 'user', '"x"'],
    ['a payload that JSON does not hold', { ...good, payload: 1n }, 'payload', '1n'],
  ])(
    'a record with %s is refused with its number, column, value and what is accepted; nothing is committed',
    async (_, record, column, value) => {
      const lake = openLake()
      const writer = lake.writer({ limits: { maxOpenFiles: 1 } })
      await writer.write(events(1, 2))
      const before = uploads(lake)
      const failure = await writer.write([...events(3, 1), record]).catch((thrown: unknown) => thrown)
      expect(failure).toMatchObject({
        code: 'INVALID_RECORD',
        retryable: false,
        data: { record: 4, column, value, accepted: expect.anything() },
      })
      expect((failure as Error).message).toContain('Record 4')
      expect((failure as Error).message).toContain('Nothing was committed')
      expect(uploads(lake)).toEqual(before)
      expect(await writer.snapshot()).toMatchObject({ rows: 2, sequenceNumber: 1 })
    },
  )
  test.each([
    ['a text', 'rows'],
    ['an object', { rows: [] }],
    ['nothing', undefined],
    ['a number', 7],
  ])('%s in place of rows is refused', async (_, rows) => {
    await expect(
      openLake()
        .writer()
        .write(rows as unknown as Rows),
    ).rejects.toMatchObject({ code: 'INVALID_RECORD', retryable: false })
  })
  test.each([
    ['a number', 7],
    ['null', null],
    ['a text', 'x'],
  ])('%s in place of a row is refused by its number', async (_, row) => {
    await expect(
      openLake()
        .writer()
        .write([good, row] as unknown as Rows),
    ).rejects.toMatchObject({ code: 'INVALID_RECORD', data: { record: 2 } })
  })
  test('a table of another schema is refused before a row is taken', async () => {
    const lake = openLake()
    await lake.writer().write(events(1, 1))
    let taken = 0
    const rows = function* () {
      taken++
      yield { id: 1 }
    }
    await expect(lake.writer({ schema: { id: 'long' } }).write(rows())).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH', retryable: false })
    expect(taken).toBe(0)
  })
  test('a bucket that is none is refused where the writer is made', () => {
    expect(() => openLake().writer({ bucket: undefined as never })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringContaining('wrangler.toml') }),
    )
  })
  test('a source that fails in the middle commits nothing, and is told as it is', async () => {
    const lake = openLake()
    const rows = async function* () {
      yield* events(2, 1)
      throw new Error('the source broke')
    }
    await expect(lake.writer({ limits: { maxOpenFiles: 1 } }).write(rows())).rejects.toThrow('the source broke')
    expect(uploads(lake)).toEqual([])
  })
})

describe('exactly once', () => {
  test('a repeated key adds nothing, takes no row, and gives the receipt of then', async () => {
    const lake = openLake()
    const writer = lake.writer({}, { commitKey: () => 'run-1/load' })
    const first = await writer.write(events(2, 5))
    let taken = 0
    const again = await writer.write(
      (function* () {
        taken++
        yield* events(2, 5)
      })(),
    )
    expect(again).toEqual({ ...first, duplicate: true })
    expect(taken).toBe(0)
    expect(await rowsOf(lake)).toHaveLength(10)
  })
  test('the key stands in the summary of the snapshot, and in the names of its files', async () => {
    const lake = openLake()
    await lake.writer().write(events(1, 1), { commitKey: 'run-1/load' })
    const { metadata } = (await lake.catalog.loadTable(ident))!
    expect(metadata.snapshots[0]!.summary).toEqual({
      operation: 'append',
      [COMMIT_KEY]: 'run-1/load',
      'added-data-files': '1',
      'added-records': '1',
      'added-files-size': expect.any(String),
      'changed-partition-count': '1',
      'total-data-files': '1',
      'total-records': '1',
      'total-files-size': expect.any(String),
      'total-delete-files': '0',
      'total-position-deletes': '0',
      'total-equality-deletes': '0',
    })
    for (const key of uploads(lake)) if (!key.includes('/snap-')) expect(key).toContain('run-1-load-')
  })
  test('without a key two equal writes are two snapshots', async () => {
    const lake = openLake()
    const writer = lake.writer()
    await writer.write([good])
    await writer.write([good])
    expect(await rowsOf(lake)).toHaveLength(2)
  })
  test('two writes of one key at a time are refused: the second would vanish', async () => {
    const lake = openLake()
    const writer = lake.writer({}, { commitKey: () => 'k' })
    const first = writer.write([good])
    await expect(writer.write([good])).rejects.toMatchObject({ code: 'COMMIT_KEY_IN_USE', retryable: false })
    await first
  })
  test('a put that fails halfway is retryable and leaves the table as before', async () => {
    const lake = openLake()
    const writer = lake.writer({}, { commitKey: () => 'k' })
    await lake.writer().write(events(1, 2))
    const before = uploads(lake)
    // Every put of the write fails once, the last ones too; some only after their effect.
    for (const gate of ['before', 'after'] as const) {
      for (let failing = 1; failing <= 5; failing++) {
        let puts = 0
        lake.bucket[gate] = (operation) => {
          if (operation === 'put' && ++puts === failing) throw new Error('internal error (10001)')
        }
        await expect(writer.write(events(2, 3))).rejects.toMatchObject({ code: 'STORAGE_WRITE_FAILED', retryable: true })
        lake.bucket[gate] = () => {}
        expect(uploads(lake)).toEqual(before)
        expect(await writer.snapshot()).toMatchObject({ rows: 2 })
      }
    }
    expect((await writer.write(events(2, 3))).rows).toBe(6)
    expect(await rowsOf(lake)).toHaveLength(8)
  })

  /** A catalog whose `commit` loses its reply, after or before its effect; `findCommit` may fail, too. */
  function lossy(lake: Lake, when: 'before' | 'after', find: boolean): CatalogClient {
    const lost = async (): Promise<never> => {
      throw new Error('Network connection lost.')
    }
    return new Proxy(lake.catalog, {
      get: (target, name) => {
        const method = (Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>).bind(target)
        if (name === 'commit') return async (...args: unknown[]) => (when === 'after' && (await method(...args)), lost())
        return name === 'findCommit' && !find ? lost : method
      },
    })
  }
  test('a reply that is lost after the commit is found again by its key', async () => {
    const lake = openLake()
    const receipt = await lake.writer({}, { catalog: lossy(lake, 'after', true) }).write(events(1, 3))
    expect(receipt.duplicate).toBeUndefined()
    expect(await rowsOf(lake)).toHaveLength(3)
  })
  test.each([
    ['after', false],
    ['before', true],
    ['before', false],
  ] as const)(
    'an outcome that stays unknown (lost %s the effect, found again: %s) deletes nothing and is settled by repeating it',
    async (when, find) => {
      const lake = openLake()
      const failure = await lake
        .writer({}, { catalog: lossy(lake, when, find) })
        .write(events(1, 3))
        .catch((thrown: unknown) => thrown)
      expect(failure).toMatchObject({ code: 'COMMIT_UNKNOWN', retryable: true, data: { commitKey: expect.any(String) } })
      expect(uploads(lake)).toHaveLength(3)
      const { commitKey } = (failure as { data: { commitKey: string } }).data
      const receipt = await lake.writer().write(events(1, 3), { commitKey })
      expect(receipt.duplicate ?? false).toBe(when === 'after')
      expect(await rowsOf(lake)).toHaveLength(3)
    },
  )
  test('conflicts without end are given up after 100, retryable, and nothing is left', async () => {
    const lake = openLake()
    await lake.writer().write(events(1, 1))
    const before = uploads(lake)
    let commits = 0
    const catalog = new Proxy(lake.catalog, {
      get: (target, name) => {
        const method = (Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>).bind(target)
        if (name !== 'commit') return method
        return async () => {
          commits++
          throw new DotdoError('COMMIT_CONFLICT', 'another came first', { retryable: true })
        }
      },
    })
    await expect(lake.writer({}, { catalog }).write(events(1, 2))).rejects.toMatchObject({ code: 'COMMIT_CONFLICT', retryable: true })
    expect(commits).toBe(101)
    expect(uploads(lake)).toEqual(before)
  })
  test('a refusal of the catalog is told as it is, and nothing is left', async () => {
    const lake = openLake()
    const catalog = new Proxy(lake.catalog, {
      get: (target, name) => {
        const method = (Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>).bind(target)
        if (name !== 'commit') return method
        return async () => {
          throw new DotdoError('INVALID_COMMIT', 'no', { data: { why: 'test' } })
        }
      },
    })
    await expect(lake.writer({}, { catalog }).write(events(1, 2))).rejects.toMatchObject({ code: 'INVALID_COMMIT' })
    expect(uploads(lake)).toEqual([])
  })
  test('a bucket that cannot even delete hides neither the error nor the truth', async () => {
    const lake = openLake()
    await lake.writer().write(events(1, 1))
    lake.bucket.before = (operation) => {
      if (operation === 'delete') throw new Error('internal error')
    }
    await expect(lake.writer({ limits: { maxOpenFiles: 1 } }).write([...events(3, 1), { type: 'x' }])).rejects.toMatchObject({
      code: 'INVALID_RECORD',
    })
    lake.bucket.before = () => {}
    expect(await rowsOf(lake)).toHaveLength(1)
    // What is left is known by its writer's intent.
    expect(lake.store.sql('SELECT count(*) AS n FROM dotdo_catalog_intents')).toEqual([{ n: 1 }])
  })
  test('a table that is dropped under a write is told, and nothing is left', async () => {
    const lake = openLake()
    const rows = async function* () {
      yield good
      await lake.catalog.dropTable(ident)
    }
    await expect(lake.writer().write(rows())).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
    expect(uploads(lake)).toEqual([])
  })
})
