import { describe, expect, test } from 'vitest'
import {
  applyUpdates,
  checkRequirements,
  currentSnapshot,
  newTableMetadata,
  parseMetadata,
  serializeMetadata,
} from '../../src/iceberg/metadata.ts'
import { columnsOf, eventPartitionBy, eventSchema, matchTable, partitionSpecOf, schemaOf } from '../../src/iceberg/schema.ts'
import type { Requirement, Snapshot, TableMetadata, Update } from '../../src/iceberg/types.ts'

const columns = columnsOf(eventSchema)
const table = (): TableMetadata =>
  newTableMetadata('uuid-1', 's3://lake/t', { schema: schemaOf(columns), partitionSpec: partitionSpecOf(eventPartitionBy, columns) }, 1000)
const snapshot = (id: number, sequence: number, at = 2000): Snapshot => ({
  'snapshot-id': id,
  'sequence-number': sequence,
  'timestamp-ms': at,
  'manifest-list': `s3://lake/t/${id}.avro`,
  summary: { operation: 'append' },
  'schema-id': 0,
})
const toMain = (it: Snapshot): Update[] => [
  { action: 'add-snapshot', snapshot: it },
  { action: 'set-snapshot-ref', 'ref-name': 'main', type: 'branch', 'snapshot-id': it['snapshot-id'] },
]

describe('schemas', () => {
  test('the event table is the one of the README', () => {
    expect(schemaOf(columns).fields).toEqual([
      { id: 1, name: 'type', required: true, type: 'string' },
      { id: 2, name: 'entityId', required: true, type: 'string' },
      { id: 3, name: 'payload', required: false, type: 'string', doc: 'JSON text' },
      { id: 4, name: 'ts', required: true, type: 'timestamptz' },
    ])
    expect(partitionSpecOf(eventPartitionBy, columns).fields).toEqual([
      { 'source-id': 4, 'field-id': 1000, name: 'ts_day', transform: 'day' },
    ])
  })
  test('partition columns are read from text', () => {
    const own = columnsOf({ ts: 'timestamp', origin: 'string', id: 'long' })
    expect(
      partitionSpecOf(['hour(ts)', ' origin ', 'bucket(16, id)', 'truncate(4,origin)'], own).fields.map((it) => [
        it['source-id'],
        it['field-id'],
        it.name,
        it.transform,
      ]),
    ).toEqual([
      [1, 1000, 'ts_hour', 'hour'],
      [2, 1001, 'origin', 'identity'],
      [3, 1002, 'id_bucket', 'bucket[16]'],
      [2, 1003, 'origin_trunc', 'truncate[4]'],
    ])
  })
  test.each(['day(type)', 'day(nothing)', 'week(ts)', 'bucket(id)', 'bucket(0, type)', 'day(ts', 'payload', ''])(
    'the partition column %j is refused',
    (text) => {
      expect(() => partitionSpecOf([text], columns)).toThrow(expect.objectContaining({ code: 'INVALID_PARTITION' }))
    },
  )
  test('two partition columns of one name are refused', () => {
    expect(() => partitionSpecOf(['day(ts)', 'day(ts)'], columns)).toThrow(expect.objectContaining({ code: 'INVALID_PARTITION' }))
  })
  test('a type that does not exist is refused', () => {
    expect(() => columnsOf({ a: 'text' as 'string' })).toThrow(expect.objectContaining({ code: 'INVALID_SCHEMA' }))
  })
  test('a writer takes the field ids of the table, whatever order it names the columns in', () => {
    const turned = columnsOf({
      ts: { type: 'timestamptz', required: true },
      payload: 'json',
      entityId: { type: 'string', required: true },
      type: { type: 'string', required: true },
    })
    expect(matchTable(table(), turned, partitionSpecOf(['day(ts)'], turned)).map((it) => [it.name, it.fieldId])).toEqual([
      ['ts', 4],
      ['payload', 3],
      ['entityId', 2],
      ['type', 1],
    ])
  })
  test.each([
    ['a column more', { ...eventSchema, extra: 'long' }, ['day(ts)'], 'column extra (long) is not in the table'],
    [
      'a column less',
      { type: eventSchema.type!, entityId: eventSchema.entityId!, ts: eventSchema.ts! },
      ['day(ts)'],
      'column payload (string) is only in the table',
    ],
    [
      'another type',
      { ...eventSchema, entityId: { type: 'long', required: true } },
      ['day(ts)'],
      'column entityId is string required in the table and long required here',
    ],
    ['null allowed', { ...eventSchema, type: 'string' }, ['day(ts)'], 'column type is string required in the table and string here'],
    ['another partitioning', eventSchema, ['hour(ts)'], 'the table is partitioned by day(ts) and this writer by hour(ts)'],
    ['no partitioning', eventSchema, [], 'and this writer by nothing'],
  ] satisfies [string, typeof eventSchema, string[], string][])(
    'a writer with %s does not match the table, and the error says where',
    (_, spec, partitionBy, says) => {
      const own = columnsOf(spec)
      expect(() => matchTable(table(), own, partitionSpecOf(partitionBy, own))).toThrow(
        expect.objectContaining({ code: 'SCHEMA_MISMATCH', retryable: false, message: expect.stringContaining(says) }),
      )
    },
  )
})

describe('metadata', () => {
  test('what the specification requires of version 2 is there', () => {
    for (const key of [
      'format-version',
      'table-uuid',
      'location',
      'last-sequence-number',
      'last-updated-ms',
      'last-column-id',
      'schemas',
      'current-schema-id',
      'partition-specs',
      'default-spec-id',
      'last-partition-id',
      'sort-orders',
      'default-sort-order-id',
    ]) {
      expect(table()).toHaveProperty([key])
    }
    expect(table()).toMatchObject({ 'last-column-id': 4, 'last-partition-id': 1000, 'sort-orders': [{ 'order-id': 0, fields: [] }] })
  })
  test('an appended snapshot becomes the current one, and the logs tell of it', () => {
    const after = applyUpdates(table(), toMain(snapshot(7, 1)), 1500, 's3://lake/t/metadata/0.json')
    expect(currentSnapshot(after)?.['snapshot-id']).toBe(7)
    expect(after).toMatchObject({
      'current-snapshot-id': 7,
      'last-sequence-number': 1,
      'last-updated-ms': 2000,
      refs: { main: { 'snapshot-id': 7, type: 'branch' } },
      'snapshot-log': [{ 'timestamp-ms': 2000, 'snapshot-id': 7 }],
      'metadata-log': [{ 'timestamp-ms': 1000, 'metadata-file': 's3://lake/t/metadata/0.json' }],
    })
    expect(table().snapshots).toEqual([])
  })
  test('time never goes back, although clocks of writers differ', () => {
    const first = applyUpdates(table(), toMain(snapshot(7, 1, 9000)), 1500, 'a')
    const second = applyUpdates(first, toMain(snapshot(8, 2, 3000)), 1600, 'b')
    expect(second.snapshots.map((it) => it['timestamp-ms'])).toEqual([9000, 9000])
    expect(second['last-updated-ms']).toBe(9000)
  })
  test('the log of earlier files is bounded', () => {
    let metadata = table()
    for (let i = 0; i < 150; i++)
      metadata = applyUpdates(metadata, [{ action: 'set-properties', updates: { n: String(i) } }], 2000 + i, `file-${i}`)
    expect(metadata['metadata-log']).toHaveLength(100)
    expect(metadata['metadata-log'].at(-1)!['metadata-file']).toBe('file-149')
    metadata = applyUpdates(metadata, [{ action: 'set-properties', updates: { 'write.metadata.previous-versions-max': '3' } }], 3000, 'x')
    expect(metadata['metadata-log']).toHaveLength(3)
  })
  test('properties and schemas change', () => {
    let metadata = applyUpdates(
      table(),
      [
        { action: 'set-properties', updates: { a: '1', b: '2' } },
        { action: 'remove-properties', removals: ['a'] },
      ],
      2000,
      'x',
    )
    expect(metadata.properties).toEqual({ b: '2' })
    const wider = schemaOf(columnsOf({ ...eventSchema, extra: 'long' }), 1)
    metadata = applyUpdates(
      metadata,
      [
        { action: 'add-schema', schema: wider },
        { action: 'set-current-schema', 'schema-id': -1 },
      ],
      2000,
      'x',
    )
    expect([metadata['current-schema-id'], metadata['last-column-id'], metadata.schemas.length]).toEqual([1, 5, 2])
  })
  test.each([
    ['a snapshot id that is there', [...toMain(snapshot(7, 1)), { action: 'add-snapshot', snapshot: snapshot(7, 2) }]],
    ['a sequence number that was given', [...toMain(snapshot(7, 1)), { action: 'add-snapshot', snapshot: snapshot(8, 1) }]],
    ['a ref to nothing', [{ action: 'set-snapshot-ref', 'ref-name': 'main', type: 'branch', 'snapshot-id': 5 }]],
    [
      'a tag named main',
      [
        { action: 'add-snapshot', snapshot: snapshot(7, 1) },
        { action: 'set-snapshot-ref', 'ref-name': 'main', type: 'tag', 'snapshot-id': 7 },
      ],
    ],
    ['an id that JSON would round', [{ action: 'add-snapshot', snapshot: snapshot(2 ** 60, 1) }]],
    ['a schema that is not there', [{ action: 'set-current-schema', 'schema-id': 4 }]],
  ] satisfies [string, Update[]][])('%s is refused', (_, updates) => {
    expect(() => applyUpdates(table(), updates, 2000, 'x')).toThrow(expect.objectContaining({ code: 'INVALID_COMMIT', retryable: false }))
  })
  test('what this catalog does not apply is refused by name, never skipped', () => {
    expect(() => applyUpdates(table(), [{ action: 'remove-snapshots' } as unknown as Update], 2000, 'x')).toThrow(
      expect.objectContaining({ code: 'ICEBERG_UNSUPPORTED', message: expect.stringContaining('remove-snapshots') }),
    )
    expect(() => checkRequirements(table(), [{ type: 'assert-moon' } as unknown as Requirement])).toThrow(
      expect.objectContaining({ code: 'ICEBERG_UNSUPPORTED' }),
    )
  })
  test.each([
    [{ type: 'assert-create' }, false],
    [{ type: 'assert-table-uuid', uuid: 'uuid-1' }, true],
    [{ type: 'assert-table-uuid', uuid: 'uuid-2' }, false],
    [{ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': null }, true],
    [{ type: 'assert-ref-snapshot-id', ref: 'main', 'snapshot-id': 7 }, false],
    [{ type: 'assert-last-assigned-field-id', 'last-assigned-field-id': 4 }, true],
    [{ type: 'assert-current-schema-id', 'current-schema-id': 1 }, false],
    [{ type: 'assert-last-assigned-partition-id', 'last-assigned-partition-id': 1000 }, true],
    [{ type: 'assert-default-spec-id', 'default-spec-id': 0 }, true],
    [{ type: 'assert-default-sort-order-id', 'default-sort-order-id': 1 }, false],
  ] satisfies [Requirement, boolean][])('%j holds: %s', (requirement, holds) => {
    const check = (): void => checkRequirements(table(), [requirement])
    if (holds) expect(check).not.toThrow()
    else expect(check).toThrow(expect.objectContaining({ code: 'COMMIT_CONFLICT', retryable: true }))
  })
  test('metadata comes back from its text, and ids that would be rounded are refused', () => {
    const metadata = applyUpdates(table(), toMain(snapshot(2 ** 53 - 1, 1)), 1500, 'x')
    expect(parseMetadata(serializeMetadata(metadata), 'x')).toEqual(metadata)
    const foreign = serializeMetadata(metadata).replaceAll(String(2 ** 53 - 1), '3055729675574597004')
    expect(() => parseMetadata(foreign, 'x')).toThrow(
      expect.objectContaining({ code: 'ICEBERG_UNSUPPORTED', data: expect.objectContaining({ id: '3055729675574597004' }) }),
    )
  })
  test.each([
    ['{', 'METADATA_INVALID'],
    ['[]', 'METADATA_INVALID'],
    ['null', 'METADATA_INVALID'],
    ['{"table-uuid":"u","schemas":[],"format-version":3}', 'ICEBERG_UNSUPPORTED'],
  ])('%s is refused with %s', (text, code) => {
    expect(() => parseMetadata(text, 'x')).toThrow(expect.objectContaining({ code }))
  })
})
