// The footer byte by byte, as parquet.thrift has it: what is written for each type, what is read of others' files, and what is refused.
import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../src/parquet/bytes.ts'
import { decodeFooter, readFooter } from '../../src/parquet/footer-reader.ts'
import { encodeFooter } from '../../src/parquet/footer.ts'
import type { Column, ColumnType } from '../../src/parquet/schema.ts'
import { StructWriter } from '../../src/parquet/thrift.ts'
import { column, EVERY_COLUMN, readBack, source, write } from './support.ts'

const compact = (spaced: string): string => spaced.replaceAll(' ', '')
const text = (it: string): string => Buffer.from(it).length.toString(16).padStart(2, '0') + Buffer.from(it).toString('hex')

/** A footer of columns and no rows. */
const footerOf = (columns: Column[]): string =>
  Buffer.from(encodeFooter({ columns, rows: 0, rowGroups: [], metadata: {}, createdBy: 'x' })).toString('hex')

describe('the schema of a column', () => {
  // Field 1: physical type; 2: size; 3: repetition; 4: name; 6: converted type; 9: field id; 10: logical type.
  const CASES: [ColumnType, string][] = [
    ['boolean', '15 00  25 02  18 02 6974  55 0e 00'],
    ['int', '15 02  25 02  18 02 6974  55 0e 00'],
    ['long', '15 04  25 02  18 02 6974  55 0e 00'],
    ['float', '15 08  25 02  18 02 6974  55 0e 00'],
    ['double', '15 0a  25 02  18 02 6974  55 0e 00'],
    // DATE: converted 6, member 6 of the union.
    ['date', '15 02  25 02  18 02 6974  25 0c  35 0e  1c 6c 00 00 00'],
    // TIMESTAMP: member 8, not adjusted to UTC (a false in field 1), unit 2 (microseconds). No converted type says that.
    ['timestamp', '15 04  25 02  18 02 6974  55 0e  1c 8c 12 1c 2c 00 00 00 00 00'],
    ['timestamptz', '15 04  25 02  18 02 6974  25 14  35 0e  1c 8c 11 1c 2c 00 00 00 00 00'],
    // STRING: converted 0 (UTF8), member 1. JSON is a string to everyone else, as Iceberg wants it.
    ['string', '15 0c  25 02  18 02 6974  25 00  35 0e  1c 1c 00 00 00'],
    ['json', '15 0c  25 02  18 02 6974  25 00  35 0e  1c 1c 00 00 00'],
    ['binary', '15 0c  25 02  18 02 6974  55 0e 00'],
    // UUID: 16 bytes, member 14; it has no converted type.
    ['uuid', '15 0e  15 20  15 02  18 02 6974  55 0e  1c ec 00 00 00'],
  ]

  test.each(CASES)('of the type %s is %s', (type, element) => {
    const root = `48${text('schema')}1502` + '00'
    expect(footerOf([column('it', type, false, 7)])).toBe(
      // Version 2, two elements, no rows, no row groups, who wrote it, one order by type.
      compact(`15 04  19 2c ${root} ${element}  16 00  19 0c  28 ${text('x')}  19 1c 1c 00 00  00`),
    )
  })

  test('says whether null is refused, and its own name and field id', () => {
    const wide = footerOf([column('größe', 'int', true, 2 ** 31 - 1)])
    expect(wide).toContain(compact(`15 02 25 00 18 ${text('größe')} 55 fe ff ff ff 0f 00`))
  })

  test('comes back for all types, required and not', () => {
    const columns = [
      ...EVERY_COLUMN,
      ...EVERY_COLUMN.map((it) => ({ ...it, name: `${it.name}!`, required: true, fieldId: it.fieldId + 100 })),
    ]
    const bytes = encodeFooter({ columns, rows: 0, rowGroups: [], metadata: {}, createdBy: '' })
    expect(decodeFooter(bytes, 4).columns).toEqual(columns.map((it) => (it.type === 'json' ? { ...it, type: 'string' } : it)))
  })
})

/** What a leaf of a foreign schema says, field by field. */
interface Leaf {
  type?: number
  size?: number
  repetition?: number
  children?: number
  converted?: number
  logical?: (union: StructWriter) => void
  fieldId?: number
}

/** A foreign footer of one column. */
function foreign(
  { type = 1, size, repetition = 1, children, converted, logical, fieldId }: Leaf,
  more: (file: StructWriter) => void = () => {},
): Uint8Array {
  const out = new ByteWriter()
  const file = new StructWriter(out)
  file.i32(1, 1)
  file.structs(2, ['root', 'leaf'], (element, which) => {
    if (which === 'root') {
      element.text(4, 'root')
      element.i32(5, 1)
      return
    }
    element.i32(1, type)
    if (size !== undefined) element.i32(2, size)
    element.i32(3, repetition)
    element.text(4, 'it')
    if (children !== undefined) element.i32(5, children)
    if (converted !== undefined) element.i32(6, converted)
    if (fieldId !== undefined) element.i32(9, fieldId)
    if (logical !== undefined) element.struct(10, logical)
  })
  file.i64(3, 0)
  file.structs(4, [], () => {})
  more(file)
  file.end()
  return out.copy()
}

const nothing = (): void => {}
const integer = (bits: number, signed: boolean) => (union: StructWriter) => union.struct(10, (it) => (it.i8(1, bits), it.bool(2, signed)))
const timestamp = (utc: boolean, unit: number) => (union: StructWriter) =>
  union.struct(8, (it) => (it.bool(1, utc), it.struct(2, (of) => of.struct(unit, nothing))))
const [INT32, INT64, INT96, BYTES, FIXED] = [1, 2, 3, 6, 7]

describe('the schema of others', () => {
  test.each<[string, Leaf, ColumnType]>([
    ['a plain INT32', { type: INT32 }, 'int'],
    ['a plain INT64', { type: INT64 }, 'long'],
    ['signed integers of 8 bits', { type: INT32, logical: integer(8, true) }, 'int'],
    ['signed integers of 16 bits, the older way', { type: INT32, converted: 16 }, 'int'],
    ['signed integers of 32 bits, the older way', { type: INT32, converted: 17 }, 'int'],
    ['signed integers of 64 bits', { type: INT64, logical: integer(64, true) }, 'long'],
    ['signed integers of 64 bits, the older way', { type: INT64, converted: 18 }, 'long'],
    ['dates, the older way', { type: INT32, converted: 6 }, 'date'],
    ['dates, the newer way alone', { type: INT32, logical: (union) => union.struct(6, nothing) }, 'date'],
    ['microseconds in UTC', { type: INT64, logical: timestamp(true, 2) }, 'timestamptz'],
    ['microseconds of a wall clock', { type: INT64, logical: timestamp(false, 2) }, 'timestamp'],
    ['texts, the older way', { type: BYTES, converted: 0 }, 'string'],
    ['texts, the newer way alone', { type: BYTES, logical: (union) => union.struct(1, nothing) }, 'string'],
    ['JSON, the older way', { type: BYTES, converted: 19 }, 'json'],
    ['JSON, the newer way alone', { type: BYTES, logical: (union) => union.struct(12, nothing) }, 'json'],
    ['plain bytes', { type: BYTES }, 'binary'],
    ['UUIDs', { type: FIXED, size: 16, logical: (union) => union.struct(14, nothing) }, 'uuid'],
    ['booleans', { type: 0 }, 'boolean'],
    ['floats', { type: 4 }, 'float'],
    ['doubles', { type: 5 }, 'double'],
  ])('with %s is read', (_, leaf, type) => {
    expect(decodeFooter(foreign(leaf), 4).columns).toEqual([{ name: 'it', type, required: false, fieldId: -1 }])
    expect(decodeFooter(foreign({ ...leaf, repetition: 0, fieldId: 3 }), 4).columns).toEqual([
      { name: 'it', type, required: true, fieldId: 3 },
    ])
  })

  test.each<[string, Leaf]>([
    ['unsigned integers', { type: INT32, logical: integer(32, false) }],
    ['unsigned integers, the older way', { type: INT64, converted: 14 }],
    ['decimals in INT32', { type: INT32, converted: 5 }],
    ['decimals in INT64', { type: INT64, logical: (union) => union.struct(5, (it) => (it.i32(1, 2), it.i32(2, 9))) }],
    ['decimals in bytes', { type: BYTES, converted: 5 }],
    ['decimals of a fixed size', { type: FIXED, size: 16, converted: 5 }],
    ['times of a day', { type: INT32, converted: 7 }],
    ['milliseconds, the older way', { type: INT64, converted: 9 }],
    ['milliseconds', { type: INT64, logical: timestamp(true, 1) }],
    ['nanoseconds', { type: INT64, logical: timestamp(false, 3) }],
    ['INT96', { type: INT96 }],
    ['enums', { type: BYTES, converted: 4 }],
    ['BSON', { type: BYTES, converted: 20 }],
    ['plain bytes of a fixed size', { type: FIXED, size: 16 }],
    ['UUIDs of another size', { type: FIXED, size: 8, logical: (union) => union.struct(14, nothing) }],
    ['halves of floats', { type: FIXED, size: 2, logical: (union) => union.struct(15, nothing) }],
    ['a meaning that was not invented yet', { type: BYTES, logical: (union) => union.struct(30, nothing) }],
    ['a type that was not invented yet', { type: 9 }],
    ['repeated values', { repetition: 2 }],
    ['a group', { children: 1 }],
  ])('with %s is refused by the name of the column, and not read as something else', (_, leaf) => {
    expect(() => decodeFooter(foreign(leaf), 4)).toThrow(
      expect.objectContaining({
        code: 'PARQUET_UNSUPPORTED',
        retryable: false,
        message: expect.stringContaining('"it"') as string,
        data: expect.objectContaining({ column: 'it' }) as object,
      }),
    )
  })

  test('of microseconds the older way is refused: it does not say whether they are of a wall clock', () => {
    expect(() => decodeFooter(foreign({ type: INT64, converted: 10 }), 4)).toThrow(/"it" has physical type 2/)
  })
})

describe('fields that are not known here', () => {
  const more = (file: StructWriter): void => {
    file.text(6, 'another writer 2.0')
    file.structs(7, [1], (order) => order.struct(2, nothing))
    file.struct(8, (algorithm) => algorithm.struct(1, (it) => it.binary(1, Uint8Array.of(1))))
    file.binary(9, new Uint8Array(300))
    file.i64(100, 5)
    file.i32s(101, Array<number>(20).fill(1))
    file.bool(102, true)
  }

  test('are passed over, in the footer', () => {
    expect(decodeFooter(foreign({}, more), 4)).toEqual({
      columns: [{ name: 'it', type: 'int', required: false, fieldId: -1 }],
      rows: 0,
      rowGroups: [],
      metadata: {},
      createdBy: 'another writer 2.0',
    })
  })

  test('in metadata a key may lack its value, come twice, or be one that every object inherits', () => {
    const pairs = (file: StructWriter): void =>
      file.structs(
        5,
        [
          ['a', undefined],
          ['b', '1'],
          ['b', '2'],
          ['__proto__', 'p'],
          ['toString', 't'],
        ] as const,
        (pair, [key, value]) => {
          pair.text(1, key)
          if (value !== undefined) pair.text(2, value)
        },
      )
    const { metadata } = decodeFooter(foreign({}, pairs), 4)
    expect(Object.entries(metadata)).toEqual([
      ['a', ''],
      ['b', '2'],
      ['__proto__', 'p'],
      ['toString', 't'],
    ])
    expect(Object.getPrototypeOf(metadata)).toBe(Object.prototype)
  })

  test('are passed over in the header of a page', async () => {
    // A page of one required integer, with a checksum (field 4) and statistics in its header (field 5 of field 5), as others write them.
    const header = new ByteWriter()
    const fields = new StructWriter(header)
    fields.i32(1, 0)
    fields.i32(2, 4)
    fields.i32(3, 4)
    fields.i32(4, 0x1234)
    fields.struct(5, (it) => {
      it.i32(1, 1)
      it.i32(2, 0)
      it.i32(3, 3)
      it.i32(4, 3)
      it.struct(5, (statistics) => (statistics.binary(1, Uint8Array.of(7, 0, 0, 0)), statistics.i64(3, 0)))
    })
    fields.i32(99, 1)
    fields.end()
    const page = [...header.copy(), 7, 0, 0, 0]
    const chunk = {
      physical: 1,
      encodings: [0],
      name: 'it',
      codec: 0,
      values: 1,
      uncompressedBytes: page.length,
      compressedBytes: page.length,
      dataPageOffset: 4,
    }
    const footer = encodeFooter({
      columns: [column('it', 'int', true)],
      rows: 1,
      rowGroups: [{ rows: 1, offset: 4, uncompressedBytes: page.length, compressedBytes: page.length, chunks: [chunk] }],
      metadata: {},
      createdBy: '',
    })
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, footer.length, true)
    const magic = Buffer.from('PAR1')
    expect(await readBack(new Uint8Array(Buffer.concat([magic, Uint8Array.from(page), footer, length, magic])))).toEqual([{ it: 7 }])
  })
})

describe('a file by its outside', () => {
  const { bytes } = write([column('it', 'int')], [{ it: 1 }])
  const at = (edit: (copy: Uint8Array) => Uint8Array): ReturnType<typeof readFooter> => readFooter(source(edit(bytes.slice())))

  test('begins and ends with PAR1, and says the length of its footer before the end', () => {
    expect(Buffer.from(bytes.subarray(0, 4)).toString()).toBe('PAR1')
    expect(Buffer.from(bytes.subarray(-4)).toString()).toBe('PAR1')
    expect(new DataView(bytes.buffer).getUint32(bytes.length - 8, true)).toBeLessThan(bytes.length - 12)
  })

  test.each<[string, (copy: Uint8Array) => Uint8Array, string]>([
    ['of nothing', () => new Uint8Array(0), 'it has 0 bytes'],
    ['of 11 bytes', (copy) => copy.slice(0, 11), 'it has 11 bytes'],
    ['of another magic at its end', (copy) => (copy.set([0x45], copy.length - 1), copy), 'it does not end with PAR1'],
    [
      'whose footer is said to be longer than the file',
      (copy) => (new DataView(copy.buffer).setUint32(copy.length - 8, copy.length, true), copy),
      'does not fit into',
    ],
    [
      'whose footer would begin in the magic',
      (copy) => (new DataView(copy.buffer).setUint32(copy.length - 8, copy.length - 11, true), copy),
      'does not fit into',
    ],
    [
      'whose footer is said to be empty',
      (copy) => (new DataView(copy.buffer).setUint32(copy.length - 8, 0, true), copy),
      'a header ends in the middle',
    ],
  ])('%s is told to be damaged, and what to do', async (_, edit, words) => {
    await expect(at(edit)).rejects.toMatchObject({
      code: 'PARQUET_MALFORMED',
      retryable: false,
      message: expect.stringContaining(words) as string,
    })
    await expect(at(edit)).rejects.toThrow(/^The Parquet file is damaged or cut short: .+\. Fetch or write the file again\.$/)
  })

  test('with a footer longer than the first read is read in two', async () => {
    const file = write([column('it', 'int')], [{ it: 1 }], { metadata: { long: 'x'.repeat(70_000) } })
    const twice = source(file.bytes)
    expect((await readFooter(twice)).metadata['long']).toHaveLength(70_000)
    expect(twice.reads).toHaveLength(2)
    const once = source(bytes)
    await readFooter(once)
    expect(once.reads).toEqual([{ offset: 0, length: bytes.length }])
  })
})
