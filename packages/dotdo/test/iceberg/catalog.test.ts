import { describe, expect, test } from 'vitest'
import { createHash } from 'node:crypto'
import type { ObjectStore } from '../../src/iceberg/ports.ts'
import type { R2Bucket } from '@cloudflare/workers-types'
import { Catalog, COMMIT_KEY_RETENTION_MS, INTENT_RETENTION_MS } from '../../src/iceberg/catalog.ts'
import { catalogTables } from '../../src/iceberg/catalog-tables.ts'
import { schemaOf, columnsOf } from '../../src/iceberg/schema.ts'
import { COMMIT_KEY, type CommitRequest, type Snapshot, type TableIdent } from '../../src/iceberg/types.ts'
import { openLake, type Lake } from './support/lake.ts'

const ident: TableIdent = { namespace: ['analytics'], name: 'events' }
const request = { schema: schemaOf(columnsOf({ id: 'long' })) }

function append(id: number, sequence: number, parent: number | null, key?: string): CommitRequest {
  const snapshot: Snapshot = {
    'snapshot-id': id,
    'sequence-number': sequence,
    'timestamp-ms': Date.UTC(2026, 0, 1),
    'manifest-list': `s3://lake/${id}.avro`,
    summary: { operation: 'append', ...(key !== undefined && { [COMMIT_KEY]: key }) },
  }
  return {
    requirements: [{ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': parent }],
    updates: [
      { action: 'add-snapshot', snapshot },
      { action: 'set-snapshot-ref', 'ref-name': 'main', type: 'branch', 'snapshot-id': id },
    ],
  }
}

async function withTable(): Promise<Lake> {
  const lake = openLake()
  await lake.catalog.createTable(ident, request)
  return lake
}

function metadataFiles(lake: Lake): string[] {
  return [...lake.bucket.objects.keys()].filter((key) => key.endsWith('.metadata.json'))
}

describe('the catalog', () => {
  test('an R2 binding is an object store as it is', () => {
    const accepts = (bucket: R2Bucket): ObjectStore => bucket
    expect(accepts).toBeTypeOf('function')
  })
  test('makes a table with its metadata in the bucket, and loads it', async () => {
    const lake = openLake()
    const made = await lake.catalog.createTable(ident, request)
    expect(made.metadataLocation).toMatch(
      /^s3:\/\/lake\/warehouse\/analytics\/events-[\da-f]{8}\/metadata\/00000-[\da-f-]{36}\.metadata\.json$/,
    )
    expect(await lake.catalog.loadTable(ident)).toEqual(made)
    expect(await lake.catalog.loadTable({ ...ident, name: 'other' })).toBeNull()
  })
  test('a name is given once, and two creations at a time make one table', async () => {
    const lake = openLake()
    const both = await Promise.allSettled([lake.catalog.createTable(ident, request), lake.catalog.createTable(ident, request)])
    expect(both.map((it) => it.status).toSorted()).toEqual(['fulfilled', 'rejected'])
    await expect(lake.catalog.createTable(ident, request)).rejects.toMatchObject({ code: 'TABLE_EXISTS', retryable: false })
  })
  test.each(['', 'a/b', 'a b', '..', '.hidden', 'a.b', '-x', 'x'.repeat(129), 'a\x1fb'])(
    '%j names neither a table nor a namespace',
    async (name) => {
      const { catalog } = openLake()
      await expect(catalog.createTable({ namespace: ['ok'], name }, request)).rejects.toMatchObject({ code: 'INVALID_NAME' })
      await expect(catalog.createNamespace([name])).rejects.toMatchObject({ code: 'INVALID_NAME' })
    },
  )
  test('a warehouse that is no address is refused', () => {
    const { store, bucket, clock, random } = openLake()
    expect(() => new Catalog({ store, bucket, clock, random, warehouse: 'lake' })).toThrow(
      expect.objectContaining({ code: 'INVALID_NAME' }),
    )
  })
  test('a dropped name that is made again finds none of the old files', async () => {
    const lake = await withTable()
    const before = (await lake.catalog.loadTable(ident))!.metadata
    expect(await lake.catalog.dropTable(ident)).toBe(true)
    expect(await lake.catalog.dropTable(ident)).toBe(false)
    const after = (await lake.catalog.createTable(ident, request)).metadata
    expect(after.location).not.toBe(before.location)
    expect(after['table-uuid']).not.toBe(before['table-uuid'])
  })
  test('lists namespaces by level and tables by name', async () => {
    const { catalog } = openLake()
    for (const namespace of [['b'], ['a', 'x'], ['a', 'y', 'z']]) await catalog.createTable({ namespace, name: 't' }, request)
    await catalog.createNamespace(['empty'], { owner: 'me' })
    expect(await catalog.listNamespaces()).toEqual([['a'], ['b'], ['empty']])
    expect(await catalog.listNamespaces(['a'])).toEqual([
      ['a', 'x'],
      ['a', 'y'],
    ])
    expect(await catalog.listTables(['a', 'x'])).toEqual([{ namespace: ['a', 'x'], name: 't' }])
    expect(await catalog.loadNamespace(['empty'])).toEqual({ owner: 'me' })
    expect(await catalog.loadNamespace(['a'])).toEqual({})
    expect(await catalog.loadNamespace(['none'])).toBeNull()
    expect(await catalog.listTables(['none'])).toEqual([])
  })
})

describe('a commit', () => {
  test('moves the table to a new file, numbered on, and keeps the old one', async () => {
    const lake = await withTable()
    const { metadataLocation } = await lake.catalog.commit(ident, append(7, 1, null))
    expect(metadataLocation).toMatch(/\/metadata\/00001-/)
    expect(metadataFiles(lake)).toHaveLength(2)
    expect((await lake.catalog.loadTable(ident))!.metadata['current-snapshot-id']).toBe(7)
  })
  test('one of two at a time goes through, the other conflicts and leaves no file', async () => {
    const lake = await withTable()
    const both = await Promise.allSettled([lake.catalog.commit(ident, append(7, 1, null)), lake.catalog.commit(ident, append(8, 1, null))])
    expect(both.filter((it) => it.status === 'fulfilled')).toHaveLength(1)
    expect(both.find((it) => it.status === 'rejected')!.reason).toMatchObject({ code: 'COMMIT_CONFLICT', retryable: true })
    expect(metadataFiles(lake)).toHaveLength(2)
    expect((await lake.catalog.loadTable(ident))!.metadata.snapshots).toHaveLength(1)
  })
  test('whose requirement does not hold writes nothing', async () => {
    const lake = await withTable()
    await expect(lake.catalog.commit(ident, append(7, 1, 99))).rejects.toMatchObject({
      code: 'COMMIT_CONFLICT',
      data: { wanted: 99, found: null },
    })
    expect(metadataFiles(lake)).toHaveLength(1)
  })
  test('to a table that is not there is refused', async () => {
    await expect(openLake().catalog.commit(ident, append(7, 1, null))).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND', retryable: false })
  })
  test('whose metadata cannot be written leaves the table as it was, and may be tried again', async () => {
    const lake = await withTable()
    lake.bucket.before = (operation) => {
      if (operation === 'put') throw new Error('internal error')
    }
    await expect(lake.catalog.commit(ident, append(7, 1, null))).rejects.toMatchObject({ code: 'STORAGE_WRITE_FAILED', retryable: true })
    lake.bucket.before = () => {}
    expect((await lake.catalog.loadTable(ident))!.metadata.snapshots).toEqual([])
    await lake.catalog.commit(ident, append(7, 1, null))
  })
  test('whose key was committed before adds nothing and answers with the snapshot of then', async () => {
    const lake = await withTable()
    const first = await lake.catalog.commit(ident, append(7, 1, null, 'k'))
    await lake.catalog.commit(ident, append(8, 2, 7))
    const again = await lake.catalog.commit(ident, append(9, 3, 8, 'k'))
    expect(again).toEqual({ ...first, duplicate: true })
    expect((await lake.catalog.loadTable(ident))!.metadata.snapshots).toHaveLength(2)
    expect(await lake.catalog.findCommit(ident, 'k')).toEqual(again)
    expect(await lake.catalog.findCommit(ident, 'other')).toBeNull()
  })
  test('and its repetition at the same time add the rows once', async () => {
    const lake = await withTable()
    const both = await Promise.all([
      lake.catalog.commit(ident, append(7, 1, null, 'k')),
      lake.catalog.commit(ident, append(8, 1, null, 'k')),
    ])
    expect(both.map((it) => it.duplicate).filter(Boolean)).toEqual([true])
    expect(new Set(both.map((it) => it.snapshot!['snapshot-id'])).size).toBe(1)
  })
  test('is known by its key in one table alone, and is forgotten with it', async () => {
    const lake = await withTable()
    await lake.catalog.createTable({ ...ident, name: 'other' }, request)
    await lake.catalog.commit(ident, append(7, 1, null, 'k'))
    expect((await lake.catalog.commit({ ...ident, name: 'other' }, append(8, 1, null, 'k'))).duplicate).toBe(false)
    await lake.catalog.dropTable(ident)
    await lake.catalog.createTable(ident, request)
    expect(await lake.catalog.findCommit(ident, 'k')).toBeNull()
  })
  test('is known by its key for 400 days', async () => {
    const lake = await withTable()
    await lake.catalog.commit(ident, append(7, 1, null, 'old'))
    lake.clock.advance(COMMIT_KEY_RETENTION_MS)
    await lake.catalog.commit(ident, append(8, 2, 7, 'new'))
    expect(await lake.catalog.findCommit(ident, 'old')).not.toBeNull()
    lake.clock.advance(1)
    await lake.catalog.commit(ident, append(9, 3, 8, 'newer'))
    expect(await lake.catalog.findCommit(ident, 'old')).toBeNull()
  })
  test('survives a crash of the object after its flush, and is undone whole before it', async () => {
    const lake = await withTable()
    lake.store.flush()
    await lake.catalog.commit(ident, append(7, 1, null, 'k'))
    lake.store.crash()
    const store = lake.store.reopen()
    const catalog = new Catalog({ ...lake, store, warehouse: 's3://lake/warehouse' })
    expect((await catalog.loadTable(ident))!.metadata.snapshots).toEqual([])
    expect(await catalog.findCommit(ident, 'k')).toBeNull()
    await catalog.commit(ident, append(8, 1, null, 'k'))
    const next = new Catalog({ ...lake, store: store.reopen(), warehouse: 's3://lake/warehouse' })
    expect((await next.findCommit(ident, 'k'))!.snapshot!['snapshot-id']).toBe(8)
  })
})

describe('an intent', () => {
  const intents = (lake: Lake): unknown[] =>
    lake.store.sql('SELECT commit_key, attempt_id, snapshot_id FROM dotdo_catalog_intents ORDER BY attempt_id')
  test('is stored for each attempt until its key is committed', async () => {
    const lake = await withTable()
    expect((await lake.catalog.beginWrite(ident, { commitKey: 'k', attemptId: 'a', snapshotId: 7 })).committed).toBeNull()
    await lake.catalog.beginWrite(ident, { commitKey: 'k', attemptId: 'b', snapshotId: 8 })
    expect(intents(lake)).toEqual([
      { commit_key: 'k', attempt_id: 'a', snapshot_id: 7 },
      { commit_key: 'k', attempt_id: 'b', snapshot_id: 8 },
    ])
    await lake.catalog.commit(ident, append(8, 1, null, 'k'))
    expect(intents(lake)).toEqual([])
    const late = await lake.catalog.beginWrite(ident, { commitKey: 'k', attemptId: 'c', snapshotId: 9 })
    expect(late.committed!.snapshot!['snapshot-id']).toBe(8)
    expect(intents(lake)).toEqual([])
  })
  test('of a writer that never came back is forgotten after 30 days', async () => {
    const lake = await withTable()
    await lake.catalog.beginWrite(ident, { commitKey: 'k', attemptId: 'a', snapshotId: 7 })
    lake.clock.advance(INTENT_RETENTION_MS + 1)
    await lake.catalog.beginWrite(ident, { commitKey: 'k2', attemptId: 'b', snapshotId: 8 })
    expect(intents(lake)).toHaveLength(1)
  })
})

describe('what the catalog stores', () => {
  // An entry that was released is never edited: state outlives code. A new version adds an entry, and its hash here.
  test.each([[0, 'b3b9911a0cf9087b']])('version %i of its tables is pinned', (index, hash) => {
    expect(createHash('sha256').update(JSON.stringify(catalogTables[index])).digest('hex').slice(0, 16)).toBe(hash)
  })
  test('every version is pinned', () => {
    expect(catalogTables).toHaveLength(1)
  })
})
