import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AvroType } from '../../src/iceberg/avro-schema.ts'
import { readAvro, writeAvro } from '../../src/iceberg/avro.ts'
import { manifestListSchema, readManifestList, writeManifestList, type ManifestListEntry } from '../../src/iceberg/manifest-list.ts'
import { manifestSchema, partitionFields, readManifest, writeManifest, type ManifestEntry } from '../../src/iceberg/manifest.ts'
import { columnsOf, partitionSpecOf, schemaOf } from '../../src/iceberg/schema.ts'
import type { DataFile, PartitionValue } from '../../src/iceberg/types.ts'

const sync = new Uint8Array(16)
const columns = columnsOf({ ts: { type: 'timestamptz', required: true }, origin: 'string', id: 'long', token: 'uuid' })
const schema = schemaOf(columns)
const spec = partitionSpecOf(['day(ts)', 'origin', 'bucket(16, id)', 'token'], columns)

const counts = fc
  .dictionary(fc.integer({ min: 1, max: 9 }).map(String), fc.nat())
  .map((it) => new Map(Object.entries(it).map(([key, value]) => [Number(key), value])))
const bounds = fc
  .dictionary(fc.integer({ min: 1, max: 9 }).map(String), fc.uint8Array({ maxLength: 16 }))
  .map((it) => new Map(Object.entries(it).map(([key, value]) => [Number(key), value])))
const nullable = <Value extends PartitionValue>(values: fc.Arbitrary<Value>): fc.Arbitrary<PartitionValue> => fc.option(values)
const dataFile: fc.Arbitrary<DataFile> = fc.record({
  path: fc.string().map((it) => `s3://lake/${it}`),
  format: fc.constant('PARQUET'),
  partition: fc.tuple(
    nullable(fc.integer({ min: -100_000, max: 100_000 })),
    nullable(fc.string()),
    nullable(fc.nat(15)),
    nullable(fc.uint8Array({ minLength: 16, maxLength: 16 })),
  ),
  recordCount: fc.nat(),
  sizeBytes: fc.maxSafeNat(),
  columnSizes: counts,
  valueCounts: counts,
  nullCounts: counts,
  nanCounts: counts,
  lowerBounds: bounds,
  upperBounds: bounds,
  splitOffsets: fc.array(fc.maxSafeNat(), { maxLength: 4 }),
})
const entry: fc.Arbitrary<ManifestEntry> = fc
  .tuple(dataFile, fc.boolean(), fc.maxSafeNat(), fc.maxSafeNat())
  .map(([file, added, snapshotId, sequence]) => ({
    status: added ? 1 : 0,
    snapshotId,
    sequenceNumber: added ? null : sequence,
    fileSequenceNumber: added ? null : sequence,
    file,
  }))

describe('manifests', () => {
  test('entries come back as they were', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 10 }), (entries) => {
        expect(readManifest(writeManifest(entries, { schema, spec, sync }))).toEqual(entries)
      }),
      { numRuns: 200 },
    )
  })
  test('every field carries the id that the specification gives it', () => {
    expect(fieldIds(manifestSchema([]))).toEqual({
      status: 0,
      snapshot_id: 1,
      data_file: 2,
      sequence_number: 3,
      file_sequence_number: 4,
      content: 134,
      file_path: 100,
      file_format: 101,
      partition: 102,
      record_count: 103,
      file_size_in_bytes: 104,
      column_sizes: 108,
      'k117_v118.key': 117,
      'k117_v118.value': 118,
      value_counts: 109,
      'k119_v120.key': 119,
      'k119_v120.value': 120,
      null_value_counts: 110,
      'k121_v122.key': 121,
      'k121_v122.value': 122,
      nan_value_counts: 137,
      'k138_v139.key': 138,
      'k138_v139.value': 139,
      lower_bounds: 125,
      'k126_v127.key': 126,
      'k126_v127.value': 127,
      upper_bounds: 128,
      'k129_v130.key': 129,
      'k129_v130.value': 130,
      key_metadata: 131,
      split_offsets: 132,
      'split_offsets[]': 133,
      equality_ids: 135,
      'equality_ids[]': 136,
      sort_order_id: 140,
      referenced_data_file: 143,
    })
  })
  test('maps with integer keys say that they are maps', () => {
    const text = JSON.stringify(manifestSchema([]))
    expect(text.match(/"logicalType":"map"/g)).toHaveLength(6)
  })
  test('the partition tuple has the types and ids of the spec', () => {
    expect(partitionFields(spec, schema).map((it) => [it['field-id'], it.name, (it.type as AvroType[])[1]])).toEqual([
      [1000, 'ts_day', { type: 'int', logicalType: 'date' }],
      [1001, 'origin', 'string'],
      [1002, 'id_bucket', 'int'],
      [1003, 'token', { type: 'fixed', name: 'uuid_fixed', size: 16, logicalType: 'uuid' }],
    ])
  })
  test('the header holds the schema and the fields of the spec alone', () => {
    const { metadata } = readAvro(writeManifest([], { schema, spec, sync }))
    expect(JSON.parse(metadata['partition-spec']!)).toEqual(spec.fields)
    expect(JSON.parse(metadata.schema!)).toEqual(schema)
    expect(metadata).toMatchObject({ 'schema-id': '0', 'partition-spec-id': '0', 'format-version': '2', content: 'data' })
  })
  test('an added entry with a sequence number, and an existing one without, are refused', () => {
    const [file] = fc.sample(dataFile, { numRuns: 1, seed: 1 })
    const make = (status: 0 | 1, sequence: number | null) => () =>
      writeManifest([{ status, snapshotId: 1, sequenceNumber: sequence, fileSequenceNumber: sequence, file: file! }], {
        schema,
        spec,
        sync,
      })
    expect(make(1, 4)).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID' }))
    expect(make(0, null)).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID' }))
    expect(make(1, null)).not.toThrow()
    expect(make(0, 4)).not.toThrow()
  })
  test('an Avro file of something else is no manifest', () => {
    const other = writeAvro({ type: 'record', name: 'r', fields: [{ name: 'x', type: 'int' }] }, [{ x: 1 }], { sync })
    expect(() => readManifest(other)).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID' }))
    expect(() => readManifestList(other)).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID' }))
  })
})

describe('manifest lists', () => {
  const wide = fc.oneof(fc.maxSafeNat(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }))
  const listEntry: fc.Arbitrary<ManifestListEntry> = fc.record({
    path: fc.string(),
    sizeBytes: fc.nat(),
    specId: fc.nat(),
    content: fc.constantFrom(0, 1),
    sequenceNumber: fc.nat(),
    minSequenceNumber: fc.nat(),
    addedSnapshotId: wide,
    addedFiles: fc.nat(),
    existingFiles: fc.nat(),
    deletedFiles: fc.nat(),
    addedRows: wide,
    existingRows: wide,
    deletedRows: wide,
    partitions: fc.option(
      fc.array(
        fc.record({
          containsNull: fc.boolean(),
          containsNan: fc.option(fc.boolean()),
          lower: fc.option(fc.uint8Array()),
          upper: fc.option(fc.uint8Array()),
        }),
        { maxLength: 3 },
      ),
    ),
  })
  test('entries come back as they were, snapshot ids of other writers beyond 2^53 too', () => {
    fc.assert(
      fc.property(fc.array(listEntry, { maxLength: 20 }), (entries) => {
        expect(readManifestList(writeManifestList(entries, { snapshotId: 7, parentSnapshotId: null, sequenceNumber: 1, sync }))).toEqual(
          entries,
        )
      }),
      { numRuns: 200 },
    )
  })
  test('every field carries the id that the specification gives it', () => {
    expect(fieldIds(manifestListSchema)).toEqual({
      manifest_path: 500,
      manifest_length: 501,
      partition_spec_id: 502,
      content: 517,
      sequence_number: 515,
      min_sequence_number: 516,
      added_snapshot_id: 503,
      added_files_count: 504,
      existing_files_count: 505,
      deleted_files_count: 506,
      added_rows_count: 512,
      existing_rows_count: 513,
      deleted_rows_count: 514,
      partitions: 507,
      'partitions[]': 508,
      contains_null: 509,
      contains_nan: 518,
      lower_bound: 510,
      upper_bound: 511,
    })
  })
})

/** All field and element ids of a schema by name; fields of key-value records by the record's name. */
function fieldIds(type: AvroType, path = '', out: Record<string, number> = {}): Record<string, number> {
  if (typeof type !== 'object') return out
  if ('length' in type) for (const branch of type) fieldIds(branch, path, out)
  else if (type.type === 'array') {
    if (type['element-id'] !== undefined) out[`${path}[]`] = type['element-id']
    fieldIds(type.items, path, out)
  } else if (type.type === 'record') {
    for (const field of type.fields) {
      const name = /^k\d+_v/.test(type.name) ? `${type.name}.${field.name}` : field.name
      out[name] = field['field-id']!
      fieldIds(field.type, name, out)
    }
  }
  return out
}
