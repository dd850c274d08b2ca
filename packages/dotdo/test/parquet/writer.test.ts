import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import type { Row } from '../../src/parquet/reader.ts'
import type { Column, ColumnType } from '../../src/parquet/schema.ts'
import { ParquetWriter, type ParquetOptions } from '../../src/parquet/writer.ts'
import { column, EVERY_COLUMN, everyRows, jsonRow, readBack, TYPES, write } from './support.ts'

const REFUSED: Record<ColumnType, unknown[]> = {
  boolean: [0, 1, 'true', {}],
  int: [1.5, 2 ** 31, -(2 ** 31) - 1, NaN, Infinity, 5n, '7', true],
  long: [1.5, 2 ** 53, NaN, -Infinity, 2n ** 63n, -(2n ** 63n) - 1n, '7', new Date(0)],
  float: [1e39, '1', 1n, null].slice(0, 3),
  double: ['1.5', 1n, true, new Date(0)],
  date: [1.5, NaN, new Date(NaN), '2026-02-30', '2026-13-01', '2026-1-1', '2026-01-01T00:00', 2 ** 31],
  timestamp: [NaN, Infinity, 8.65e15, new Date(NaN), '2026-01-01T25:00', '2026-01-01T10:00+02:00', 'today', 5n],
  timestamptz: [
    NaN,
    new Date(NaN),
    '2026-01-01T10:00',
    '2026-01-01T10:00:61Z',
    '2026-02-29T10:00Z',
    '2026-01-01T10:00:00.1234567Z',
    'now',
    {},
  ],
  string: [5, true, {}, '\ud800', 'a\udc00b', '\udc00\ud800'],
  json: [
    () => 1,
    Symbol('s'),
    5n,
    [5n],
    {
      toJSON: () => {
        throw new Error('no')
      },
    },
  ],
  binary: ['abc', [1, 2], new ArrayBuffer(3), new Uint16Array(2)],
  uuid: ['', '123e4567e89b12d3a456426614174000', '123e4567-e89b-12d3-a456-42661417400', 'g23e4567-e89b-12d3-a456-426614174000', 5],
}

describe('a row that is refused', () => {
  test.each(TYPES)('names column, row, value and what is accepted: %s', (type) => {
    for (const value of REFUSED[type]) {
      const writer = new ParquetWriter([column('ok', 'int', true, 1), column('it', type, false, 2)], { codec: 'uncompressed' })
      writer.add({ ok: 1 })
      let error: unknown
      try {
        writer.add({ ok: 2, it: value })
      } catch (thrown) {
        error = thrown
      }
      expect(error, `${type} took ${String(value)}`).toMatchObject({
        code: 'INVALID_VALUE',
        retryable: false,
        data: { column: 'it', type, row: 2 },
      })
      expect((error as Error).message).toMatch(/^Row 2 has .+ in column "it", which is of type .+\. Give .+, or null\.$/)
      expect(writer.finish().rows).toBe(1)
    }
  })

  test('may lack a required value', () => {
    const writer = new ParquetWriter([column('it', 'string', true)], { codec: 'uncompressed' })
    for (const row of [{}, { it: null }, { it: undefined }]) {
      expect(() => writer.add(row)).toThrow(expect.objectContaining({ code: 'INVALID_VALUE' }))
    }
    expect(() => writer.add({})).toThrow('Row 1 has nothing in column "it", which is a required string. Give a string of whole characters')
  })

  test('leaves the writer as it was: the file is the one without it, byte for byte', () => {
    // The last column alone refuses, so that all others have taken their value by then.
    const columns = [...EVERY_COLUMN, column('last', 'int', true, 99)]
    fc.assert(
      fc.property(
        everyRows,
        fc.array(fc.boolean(), { minLength: 1, maxLength: 50 }),
        fc.constantFrom(3, 1000),
        (rows, refusals, rowGroupRows) => {
          const options: ParquetOptions = { codec: 'uncompressed', rowGroupRows }
          const mixed = new ParquetWriter(columns, options)
          const accepted: Row[] = []
          rows.map(jsonRow).forEach((row, i) => {
            const last = refusals[i % refusals.length] ? 'no' : i
            if (last === i) accepted.push({ ...row, last })
            try {
              mixed.add({ ...row, last })
            } catch (error) {
              expect(error).toMatchObject({ code: 'INVALID_VALUE', data: { column: 'last', row: accepted.length + 1 } })
            }
          })
          const info = mixed.finish()
          const plain = write(columns, accepted, options)
          expect(info).toEqual(plain.info)
          expect(new Uint8Array(Buffer.concat(mixed.takeChunks()))).toEqual(plain.bytes)
        },
      ),
      { numRuns: 200 },
    )
  })

  test('may throw by itself, and leaves the writer as it was too', async () => {
    const writer = new ParquetWriter([column('a', 'string', true, 1), column('b', 'int', false, 2)], { codec: 'uncompressed' })
    writer.add({ a: 'x', b: 1 })
    const row = {
      a: 'y',
      get b(): number {
        throw new Error('a getter that fails')
      },
    }
    expect(() => writer.add(row)).toThrow('a getter that fails')
    expect(writer.finish()).toMatchObject({ rows: 1, columns: [{ lower: 'x', upper: 'x' }, { valueCount: 1 }] })
    expect(await readBack(new Uint8Array(Buffer.concat(writer.takeChunks())))).toEqual([{ a: 'x', b: 1 }])
  })
})

describe('a row', () => {
  test('gives values in every form that is documented', async () => {
    const day = new Date('2026-01-31T08:30:00.250Z')
    const columns: Column[] = ['date', 'timestamp', 'timestamptz', 'long', 'uuid', 'json', 'double'].map((type, i) =>
      column(type, type as ColumnType, false, i),
    )
    const { bytes } = write(columns, [
      { date: day, timestamp: day, timestamptz: day, long: 5n, uuid: '123E4567-E89B-12D3-A456-426614174000', json: { b: [1, null] } },
      {
        date: '2026-01-31',
        timestamp: '2026-01-31T08:30:00.250',
        timestamptz: '2026-01-31 10:30:00.25+02:00',
        long: -0,
        json: 'text',
        double: -0,
      },
      { date: 20_484, timestamp: day.getTime(), timestamptz: day.getTime(), long: 2n ** 62n, json: [day] },
      {
        date: '-000001-12-31',
        timestamp: '0099-03-01T00:00:00.000001Z',
        timestamptz: '2026-01-31',
        json: undefined,
        extra: 'is not looked at',
      },
    ])
    const ms = day.getTime()
    const uuid = '123e4567-e89b-12d3-a456-426614174000'
    expect(await readBack(bytes)).toEqual([
      { date: 20_484, timestamp: ms, timestamptz: ms, long: 5, uuid, json: '{"b":[1,null]}', double: null },
      { date: 20_484, timestamp: ms, timestamptz: ms, long: 0, uuid: null, json: '"text"', double: -0 },
      { date: 20_484, timestamp: ms, timestamptz: ms, long: 2n ** 62n, uuid: null, json: '["2026-01-31T08:30:00.250Z"]', double: null },
      {
        date: Date.UTC(-1, 11, 31) / 86_400_000,
        timestamp: Date.parse('0099-03-01T00:00:00Z') + 0.001,
        timestamptz: Date.UTC(2026, 0, 31),
        long: null,
        uuid: null,
        json: null,
        double: null,
      },
    ])
  })

  test('gives dates and times as Date.parse reads them', async () => {
    const instants = fc.date({ noInvalidDate: true })
    await fc.assert(
      fc.asyncProperty(fc.array(instants, { maxLength: 20 }), async (dates) => {
        const { bytes } = write(
          [column('date', 'date', true, 1), column('at', 'timestamptz', true, 2), column('wall', 'timestamp', true, 3)],
          dates.map((it) => ({ date: it.toISOString().split('T')[0], at: it.toISOString(), wall: it.toISOString().slice(0, -1) })),
        )
        const whole = dates.map((it) => ({ date: Math.floor(it.getTime() / 86_400_000) + 0, at: it.getTime(), wall: it.getTime() }))
        expect(await readBack(bytes)).toEqual(whole)
      }),
    )
  })

  test('is read by its own keys where every object inherits one', async () => {
    const columns = [column('constructor', 'string', false, 1), column('toString', 'string', false, 2)]
    const { bytes } = write(columns, [{}, { constructor: 'a', toString: 'b' }])
    expect(await readBack(bytes)).toEqual([
      { constructor: null, toString: null },
      { constructor: 'a', toString: 'b' },
    ])
  })

  test('may be written over after it was added', async () => {
    const bytes = Uint8Array.of(1, 2, 3)
    const row = { it: bytes }
    const writer = new ParquetWriter([column('it', 'binary')], { codec: 'uncompressed' })
    writer.add(row)
    bytes.fill(9)
    row.it = bytes
    writer.finish()
    expect(await readBack(new Uint8Array(Buffer.concat(writer.takeChunks())))).toEqual([{ it: Uint8Array.of(1, 2, 3) }])
  })
})

describe('a writer', () => {
  test('refuses columns that no file can have', () => {
    const open =
      (...columns: Column[]) =>
      () =>
        new ParquetWriter(columns, { codec: 'uncompressed' })
    const code = (name: string) => expect.objectContaining({ code: name })
    expect(open()).toThrow(code('INVALID_SCHEMA'))
    expect(open(column('a', 'int'), column('a', 'int', false, 2))).toThrow(/Two columns are named "a"/)
    expect(open(column('a', 'int'), column('b', 'int'))).toThrow(/field id 1 of another/)
    expect(open(column('', 'int'))).toThrow(code('INVALID_SCHEMA'))
    expect(open(column('__proto__', 'int'))).toThrow(code('INVALID_SCHEMA'))
    expect(open(column('a', 'decimal' as ColumnType))).toThrow(/unknown type "decimal"/)
    expect(open(column('a', 'int', false, -1))).toThrow(code('INVALID_SCHEMA'))
  })

  test('refuses options that contradict themselves', () => {
    const open = (options: ParquetOptions) => () => new ParquetWriter([column('a', 'int')], options)
    expect(open({ codec: 'zstd' })).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }))
    expect(open({ codec: 'uncompressed', rowGroupRows: 0 })).toThrow(/rowGroupRows is 0/)
    expect(open({ codec: 'uncompressed', rowGroupBytes: Number.NaN })).toThrow(/rowGroupBytes is NaN/)
  })

  test('takes nothing more once it is finished', () => {
    const writer = new ParquetWriter([column('a', 'int')], { codec: 'uncompressed' })
    writer.finish()
    expect(() => writer.add({ a: 1 })).toThrow(expect.objectContaining({ code: 'WRITER_FINISHED' }))
    expect(() => writer.finish()).toThrow(expect.objectContaining({ code: 'WRITER_FINISHED' }))
  })

  test('ends row groups by their size and holds no more than about one', () => {
    const writer = new ParquetWriter([column('text', 'string', true, 1), column('n', 'double', true, 2)], {
      codec: 'uncompressed',
      rowGroupBytes: 1 << 20,
    })
    let most = 0
    for (let i = 0; i < 60_000; i++) {
      writer.add({ text: `${i} ${'x'.repeat(180)}`, n: i })
      most = Math.max(most, writer.bufferedBytes)
      writer.takeChunks()
    }
    const { splitOffsets } = writer.finish()
    expect(splitOffsets.length).toBeGreaterThanOrEqual(5)
    expect(most).toBeLessThan(10 << 20)
  })

  test('ends row groups of wide rows in time, which have no long texts', () => {
    const columns = Array.from({ length: 500 }, (_, i) => column(`c${i}`, 'double', false, i))
    const row = Object.fromEntries(columns.map(({ name }, i) => [name, i]))
    const writer = new ParquetWriter(columns, { codec: 'uncompressed', rowGroupBytes: 4 << 20 })
    for (let i = 0; i < 4000; i++) writer.add(row)
    expect(writer.finish().splitOffsets.length).toBeGreaterThanOrEqual(3)
  })

  test('keeps what is being gathered in sight of who bounds memory', () => {
    const writer = new ParquetWriter([column('text', 'string')], { codec: 'uncompressed' })
    const empty = writer.bufferedBytes
    for (let i = 0; i < 3000; i++) writer.add({ text: `${i}${'x'.repeat(100)}` })
    expect(writer.bufferedBytes).toBeGreaterThan(empty + 300_000)
  })
})

test('the bytes of a file are pinned: a change of the stored format is a decision', () => {
  const rows = Array.from({ length: 300 }, (_, i) => ({
    boolean: i % 3 === 0,
    int: i * 7,
    long: i % 2 === 0 ? i * 1e9 : BigInt(i) << 54n,
    float: i / 3,
    double: i === 5 ? null : -i / 7,
    date: i,
    timestamp: 1.7e12 + i,
    timestamptz: 1.7e12 - i,
    string: `kind ${i % 9}`,
    json: { i },
    binary: Uint8Array.of(i),
    uuid: `123e4567-e89b-12d3-a456-${String(i).padStart(12, '0')}`,
  }))
  const { bytes } = write(EVERY_COLUMN, rows, { codec: 'uncompressed', rowGroupRows: 200, metadata: { 'iceberg.schema': '{}' } })
  expect(createHash('sha256').update(bytes).digest('hex')).toMatchInlineSnapshot(
    `"46c4deb7f2fb63c45279a9ecf08d1a65a7714a3073d367685c81922166ea7e5d"`,
  )
})
