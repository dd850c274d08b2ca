import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stageAppend, stageManifest, type StagedManifest } from '../../src/iceberg/append.ts'
import { readManifestList } from '../../src/iceberg/manifest-list.ts'
import { readManifest } from '../../src/iceberg/manifest.ts'
import { applyUpdates, checkRequirements, newTableMetadata } from '../../src/iceberg/metadata.ts'
import { hex } from '../../src/iceberg/numbers.ts'
import { columnsOf, partitionSpecOf, schemaOf } from '../../src/iceberg/schema.ts'
import { singleValue } from '../../src/iceberg/single-value.ts'
import { COMMIT_KEY, type DataFile, type PartitionValue, type TableMetadata } from '../../src/iceberg/types.ts'

const columns = columnsOf({ ts: 'timestamptz', origin: 'string', id: 'long' })
const schema = schemaOf(columns)
const spec = partitionSpecOf(['day(ts)', 'origin', 'id'], columns)
const sync = new Uint8Array(16)

function file(partition: PartitionValue[], recordCount = 10): DataFile {
  const empty = (): Map<number, never> => new Map<number, never>()
  return {
    path: `s3://lake/t/data/${JSON.stringify(partition, (_, it: unknown) => (typeof it === 'bigint' ? `${it}n` : it))}.parquet`,
    format: 'PARQUET',
    partition,
    recordCount,
    sizeBytes: 100,
    columnSizes: empty(),
    valueCounts: empty(),
    nullCounts: empty(),
    nanCounts: empty(),
    lowerBounds: empty(),
    upperBounds: empty(),
    splitOffsets: [4],
  }
}

function manifest(files: DataFile[], snapshotId = 7): StagedManifest {
  return stageManifest(files, { schema, spec, snapshotId, path: `s3://lake/t/metadata/${snapshotId}-m0.avro`, sync })
}

function table(): TableMetadata {
  return newTableMetadata('u', 's3://lake/t', { schema, partitionSpec: spec }, 1000)
}

function append(metadata: TableMetadata, staged: StagedManifest, parents: Uint8Array | null, snapshotId = 7, now = 5000) {
  return stageAppend({
    metadata,
    parents: parents ? readManifestList(parents) : [],
    manifest: staged,
    snapshotId,
    commitKey: `key-${snapshotId}`,
    listPath: `s3://lake/t/metadata/snap-${snapshotId}.avro`,
    sync,
    now,
  })
}

describe('a staged manifest', () => {
  test('adds its files under the snapshot, with sequence numbers to be inherited', () => {
    const entries = readManifest(manifest([file([1, 'JFK', 5]), file([2, null, null])]).bytes)
    expect(entries.map((it) => [it.status, it.snapshotId, it.sequenceNumber, it.fileSequenceNumber])).toEqual([
      [1, 7, null, null],
      [1, 7, null, null],
    ])
    expect(entries.map((it) => it.file.partition)).toEqual([
      [1, 'JFK', 5],
      [2, null, null],
    ])
  })
  test('counts files, rows, bytes and partitions', () => {
    const staged = manifest([
      file([1, 'a', 1], 3),
      file([1, 'a', 1], 4),
      file([1, 'b', 1], 5),
      file([1, null, 1], 6),
      file([1, 'a', 2n ** 60n], 7),
    ])
    expect(staged).toMatchObject({ files: 5, rows: 25, sizeBytes: 500, partitions: 4 })
    expect(staged.entry).toMatchObject({
      addedFiles: 5,
      addedRows: 25,
      existingFiles: 0,
      deletedFiles: 0,
      specId: 0,
      content: 0,
      sizeBytes: staged.bytes.length,
    })
  })
  test('is the same bytes for the same files, so that a retry can put it again', () => {
    expect(manifest([file([1, 'a', 1])]).bytes).toEqual(manifest([file([1, 'a', 1])]).bytes)
  })
  test('orders texts by their UTF-8 bytes, in which U+FFFD comes before what needs two surrogates', () => {
    const summary = manifest([file([1, '\u{1f680}', 1]), file([1, '\ufffd', 1])]).entry.partitions![1]!
    expect([summary.lower, summary.upper].map((it) => Buffer.from(it!).toString())).toEqual(['\ufffd', '\u{1f680}'])
  })
  test('spans its partitions: the bounds hold every file, in the order that Iceberg compares by', () => {
    const day = fc.option(fc.integer({ min: -50_000, max: 50_000 }))
    const origin = fc.option(fc.string({ unit: 'binary', maxLength: 4 }))
    const id = fc.option(fc.oneof(fc.maxSafeInteger(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 62n })))
    fc.assert(
      fc.property(fc.array(fc.tuple(day, origin, id), { minLength: 1, maxLength: 8 }), (partitions) => {
        const [days, origins, ids] = manifest(partitions.map((it) => file(it))).entry.partitions!
        for (const [summary, i] of [
          [days!, 0],
          [origins!, 1],
          [ids!, 2],
        ] as const) {
          const values = partitions.map((it) => it[i]).filter((it) => it !== null)
          expect(summary.containsNull).toBe(values.length < partitions.length)
          expect(summary.containsNan).toBe(false)
          expect([summary.lower === null, summary.upper === null]).toEqual([values.length === 0, values.length === 0])
        }
        const texts = partitions.map((it) => it[1]).filter((it) => it !== null)
        for (const text of texts) {
          expect(Buffer.compare(origins!.lower!, Buffer.from(text))).toBeLessThanOrEqual(0)
          expect(Buffer.compare(origins!.upper!, Buffer.from(text))).toBeGreaterThanOrEqual(0)
        }
        const numbers = partitions
          .map((it) => it[2])
          .filter((it) => it !== null)
          .map(BigInt)
        if (numbers.length > 0) {
          const least = numbers.reduce((a, b) => (a < b ? a : b))
          const most = numbers.reduce((a, b) => (a > b ? a : b))
          expect([hex(ids!.lower!), hex(ids!.upper!)]).toEqual([hex(singleValue('long', least)), hex(singleValue('long', most))])
        }
      }),
    )
  })
})

describe('a staged append', () => {
  test('of a table without rows has no parent, and stands on the table having none', () => {
    const { snapshot, request } = append(table(), manifest([file([1, 'a', 1])]), null)
    expect(snapshot).not.toHaveProperty('parent-snapshot-id')
    expect(snapshot).toMatchObject({
      'snapshot-id': 7,
      'sequence-number': 1,
      'timestamp-ms': 5000,
      'schema-id': 0,
      'manifest-list': 's3://lake/t/metadata/snap-7.avro',
    })
    expect(request.requirements).toEqual([
      { type: 'assert-table-uuid', uuid: 'u' },
      { type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': null },
    ])
    expect(request.updates.map((it) => it.action)).toEqual(['add-snapshot', 'set-snapshot-ref'])
  })
  test('after another lists its own manifest first and then the parent’s as they are', () => {
    const first = append(table(), manifest([file([1, 'a', 1])], 7), null, 7)
    const after = applyUpdates(table(), first.request.updates, 6000, 'x')
    const second = append(after, manifest([file([2, 'b', 2]), file([3, 'b', 2])], 8), first.listBytes, 8)
    const listed = readManifestList(second.listBytes)
    expect(listed.map((it) => [it.path, it.sequenceNumber, it.minSequenceNumber, it.addedSnapshotId])).toEqual([
      ['s3://lake/t/metadata/8-m0.avro', 2, 2, 8],
      ['s3://lake/t/metadata/7-m0.avro', 1, 1, 7],
    ])
    expect(listed[1]).toEqual(readManifestList(first.listBytes)[0])
    expect(second.snapshot['parent-snapshot-id']).toBe(7)
    expect(second.request.requirements).toContainEqual({ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': 7 })
  })
  test('tells totals that add up over any chain of appends', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8 }),
        (appends) => {
          let metadata = table()
          let list: Uint8Array | null = null
          appends.forEach((counts, i) => {
            const staged = append(
              metadata,
              manifest(
                counts.map((count, f) => file([f, 'x', i], count)),
                i + 1,
              ),
              list,
              i + 1,
            )
            checkRequirements(metadata, staged.request.requirements)
            metadata = applyUpdates(metadata, staged.request.updates, 1000 + i, `file-${i}`)
            list = staged.listBytes
          })
          const rows = appends.flat().reduce((sum, count) => sum + count, 0)
          expect(metadata.snapshots.at(-1)!.summary).toMatchObject({
            'total-records': String(rows),
            'total-data-files': String(appends.flat().length),
            'total-files-size': String(100 * appends.flat().length),
          })
          expect(readManifestList(list!).reduce((sum, it) => sum + Number(it.addedRows), 0)).toBe(rows)
        },
      ),
    )
  })
  test('after a snapshot without totals tells none: a guess would be worse', () => {
    const first = append(table(), manifest([file([1, 'a', 1])], 7), null, 7)
    const bare = applyUpdates(table(), first.request.updates, 6000, 'x')
    bare.snapshots[0]!.summary = { operation: 'append' }
    const { summary } = append(bare, manifest([file([1, 'a', 1])], 8), first.listBytes, 8).snapshot
    expect(summary).not.toHaveProperty('total-records')
    expect(summary).toMatchObject({ 'added-records': '10', [COMMIT_KEY]: 'key-8' })
  })
  test('is never older than the table, whatever the writer’s clock says', () => {
    expect(append(table(), manifest([file([1, 'a', 1])]), null, 7, 10).snapshot['timestamp-ms']).toBe(1000)
  })
})
