// The documents of the formats, example by example, worked out by hand: Thrift's compact protocol
// (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md) and Parquet's encodings
// (https://github.com/apache/parquet-format/blob/master/Encodings.md). A round trip through our own two halves would not see a shared mistake.
import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../src/parquet/bytes.ts'
import { decodeValues } from '../../src/parquet/decode.ts'
import { readDelta, writeDelta } from '../../src/parquet/delta.ts'
import { Encoding } from '../../src/parquet/format.ts'
import { readHybrid, writeHybrid, writeRun } from '../../src/parquet/hybrid.ts'
import { kindOf } from '../../src/parquet/kinds.ts'
import type { ColumnType } from '../../src/parquet/schema.ts'
import { readStruct } from '../../src/parquet/thrift-reader.ts'
import { StructWriter } from '../../src/parquet/thrift.ts'

/** Bytes as hexadecimal digits, spaces as one likes. */
const bytes = (hex: string): Uint8Array => Uint8Array.from(hex.replaceAll(' ', '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
const hex = (it: Uint8Array): string => Buffer.from(it).toString('hex')
const compact = (spaced: string): string => spaced.replaceAll(' ', '')

function written(write: (out: ByteWriter) => void): string {
  const out = new ByteWriter(1)
  write(out)
  return hex(out.copy())
}
const struct = (write: (fields: StructWriter) => void): string =>
  written((out) => {
    const fields = new StructWriter(out)
    write(fields)
    fields.end()
  })

describe('the compact protocol of Thrift', () => {
  test.each([
    [0, '00'],
    [1, '01'],
    [127, '7f'],
    [128, '80 01'],
    [300, 'ac 02'],
    [50_399, 'df 89 03'],
    [16_383, 'ff 7f'],
    [16_384, '80 80 01'],
    [2 ** 32 - 1, 'ff ff ff ff 0f'],
    [Number.MAX_SAFE_INTEGER, 'ff ff ff ff ff ff ff 0f'],
  ])('writes %i as the varint %s', (value, text) => {
    expect(written((out) => out.varint(value))).toBe(compact(text))
  })

  test.each([
    [0, '00'],
    [-1, '01'],
    [1, '02'],
    [-2, '03'],
    [2, '04'],
    [63, '7e'],
    [-64, '7f'],
    [64, '80 01'],
    [2_147_483_647, 'fe ff ff ff 0f'],
    [-2_147_483_648, 'ff ff ff ff 0f'],
    [2_147_483_648, '80 80 80 80 10'],
    [-2_147_483_649, '81 80 80 80 10'],
    [Number.MAX_SAFE_INTEGER, 'fe ff ff ff ff ff ff 1f'],
    [Number.MIN_SAFE_INTEGER, 'fd ff ff ff ff ff ff 1f'],
    [2 ** 53, '80 80 80 80 80 80 80 20'],
  ])('writes %i in zigzag as %s, and reads it', (value, text) => {
    expect(written((out) => out.zigzag(value))).toBe(compact(text))
    if (!Number.isSafeInteger(value)) return
    expect(readStruct(bytes(`16 ${text} 00`), 0).struct.number(1, 'it')).toBe(value)
  })

  test('reads integers of 64 bits beyond 2^53 as none that a footer can mean', () => {
    const most = readStruct(bytes('16 fe ff ff ff ff ff ff ff ff 01 00'), 0).struct
    expect(() => most.number(1, 'the number of rows')).toThrow('the number of rows is not a number that can be')
    expect(() => readStruct(bytes('16 fe ff ff ff ff ff ff ff ff ff 01 00'), 0)).toThrow('longer than 10 bytes')
  })

  test('writes a field as the step from the one before and its type, in one byte while the step is 1 to 15', () => {
    expect(struct((it) => it.i32(1, 1))).toBe(compact('15 02 00'))
    expect(struct((it) => it.i32(15, 1))).toBe(compact('f5 02 00'))
    expect(struct((it) => it.i32(16, 1))).toBe(compact('05 20 02 00'))
    expect(struct((it) => (it.i64(3, -1), it.i16(4, 1), it.i8(19, -1)))).toBe(compact('36 01 14 02 f3 ff 00'))
    expect(struct((it) => (it.i32(20, 0), it.i32(21, 0)))).toBe(compact('05 28 00 15 00 00'))
  })

  test('writes a boolean as the type of its field, without a byte of its own', () => {
    expect(struct((it) => (it.bool(1, true), it.bool(2, false), it.bool(30, true)))).toBe(compact('11 12 01 3c 00'))
  })

  test('writes texts and bytes behind their length', () => {
    expect(struct((it) => it.text(1, ''))).toBe(compact('18 00 00'))
    expect(struct((it) => it.text(1, 'é€😀'))).toBe(compact('18 09 c3a9 e282ac f09f9880 00'))
    expect(struct((it) => it.binary(1, new Uint8Array(128)))).toBe(`188001${'00'.repeat(128)}00`)
  })

  test('writes a list with its size beside the type up to 14, and behind it from 15 on', () => {
    expect(struct((it) => it.i32s(1, []))).toBe(compact('19 05 00'))
    expect(struct((it) => it.i32s(1, [1, -1]))).toBe(compact('19 25 02 01 00'))
    expect(struct((it) => it.i32s(1, Array<number>(14).fill(0)))).toBe(`19e5${'00'.repeat(14)}00`)
    expect(struct((it) => it.i32s(1, Array<number>(15).fill(0)))).toBe(`19f50f${'00'.repeat(15)}00`)
    expect(struct((it) => it.texts(2, ['a', '']))).toBe(compact('29 28 01 61 00 00'))
  })

  test('counts the fields of a nested struct from zero, and goes on where it was', () => {
    expect(struct((it) => (it.struct(2, (inner) => inner.i32(1, 1)), it.i32(3, 2)))).toBe(compact('2c 15 02 00 15 04 00'))
    expect(struct((it) => (it.structs(2, [1, 2], (inner, value) => inner.i32(3, value)), it.i32(3, 0)))).toBe(
      compact('29 2c 35 02 00 35 04 00 15 00 00'),
    )
  })

  test('reads what others may write: long forms for short ones, sets, doubles, booleans in lists, fields in any order', () => {
    const { struct: read, end } = readStruct(
      bytes('05 02 02  05 0a 04  09 0c f5 02 06 08  1a 15 0a  47 00 00 00 00 00 00 f0 3f  19 21 01 02  00  ff'),
      0,
    )
    expect(read.number(1, '')).toBe(1)
    expect(read.number(5, '')).toBe(2)
    expect(read.numbers(6, '')).toEqual([3, 4])
    expect(read.numbers(7, '')).toEqual([5])
    // No field of Parquet's that is read here is a double, so that nothing asks for its value.
    expect(read.has(11)).toBe(true)
    expect(() => read.numbers(12, 'flags')).toThrow('flags is not a list of numbers')
    expect(end).toBe(bytes('05 02 02  05 0a 04  09 0c f5 02 06 08  1a 15 0a  47 00 00 00 00 00 00 f0 3f  19 21 01 02  00').length)
  })

  test.each([
    ['an end in the middle of a field', '15'],
    ['an end in the middle of a number', '15 80'],
    ['an end before the stop', '15 02'],
    ['a text that is longer than what is left', '18 05 61 00'],
    ['a text of negative or endless length', '18 ff ff ff ff ff ff ff ff ff 01 00'],
    ['a list that is longer than what is left', '19 f5 7f 00'],
    ['a type that does not exist', '1e 00'],
    ['a map, which Parquet has none of', '1b 00 00'],
    ['a double that is cut off', '17 00 00'],
  ])('refuses %s', (_, text) => {
    expect(() => readStruct(bytes(text), 0)).toThrow(expect.objectContaining({ code: 'PARQUET_MALFORMED', retryable: false }))
  })
})

describe('bit-packed runs', () => {
  test('pack 0 to 7 in three bits as the specification draws it', () => {
    const values = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7)
    expect(written((out) => writeHybrid(out, values, 0, 8, 3))).toBe(compact('03 88 c6 fa'))
    const back = new Uint32Array(8)
    expect(readHybrid(bytes('03 88 c6 fa'), 0, 4, 3, 8, back)).toBe(4)
    expect([...back]).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  test.each<[string, number[], number, string]>([
    ['a run is its length twice, and the value in whole bytes', Array<number>(100).fill(4), 3, 'c8 01 04'],
    ['a run of a value of nine bits takes two bytes for it', Array<number>(8).fill(257), 9, '10 01 01'],
    ['seven equal values are no run yet', Array<number>(7).fill(1), 1, '03 7f'],
    ['eight are', Array<number>(8).fill(1), 1, '10 01'],
    ['a group that is not full is filled up with zeros', [1, 0, 1], 1, '03 05'],
    ['a run first fills up the group that stands open', [0, ...Array<number>(15).fill(1)], 1, '03 fe 10 01'],
    ['a run too short behind that filler is packed', [0, ...Array<number>(14).fill(1)], 1, '05 fe 7f'],
    ['two runs follow each other without a group', [...Array<number>(8).fill(1), ...Array<number>(8).fill(0)], 1, '10 01 10 00'],
    ['values of twelve bits lie across bytes', [0xabc, 0x123], 12, '03 bc 3a 12 00 00 00 00 00 00 00 00 00'],
    ['one value alone is a group', [5], 8, '03 05 00 00 00 00 00 00 00'],
    ['nothing is nothing', [], 1, ''],
  ])('%s', (_, values, width, text) => {
    expect(written((out) => writeHybrid(out, Uint16Array.from(values), 0, values.length, width))).toBe(compact(text))
    const back = new Uint32Array(values.length)
    readHybrid(bytes(text), 0, bytes(text).length, width, values.length, back)
    expect([...back]).toEqual(values)
  })

  test('of a width of nothing hold zeros alone, as some write a dictionary of one entry', () => {
    const back = new Uint32Array(9).fill(7)
    expect(readHybrid(bytes('12'), 0, 1, 0, 9, back)).toBe(1)
    expect([...back]).toEqual(Array(9).fill(0))
  })

  test('may claim more values than are asked for in their last run, and not fewer', () => {
    const back = new Uint32Array(3)
    readHybrid(bytes('c8 01 01'), 0, 3, 1, 3, back)
    expect([...back]).toEqual([1, 1, 1])
    expect(() => readHybrid(bytes('04 01'), 0, 2, 1, 3, new Uint32Array(3))).toThrow('runs end after 2 of 3 values')
    expect(() => readHybrid(bytes('00 01'), 0, 2, 1, 3, new Uint32Array(3))).toThrow('has no room for its value')
    expect(() => readHybrid(bytes('01'), 0, 1, 1, 3, new Uint32Array(3))).toThrow('0 groups')
    expect(() => readHybrid(bytes('05 ff'), 0, 2, 1, 9, new Uint32Array(9))).toThrow('2 groups of packed values do not fit in the 1 bytes')
    expect(() => readHybrid(bytes('02 01'), 0, 2, 25, 1, new Uint32Array(1))).toThrow('25 bits')
  })

  test.each([0, 25, 33])('are not written with %i bits', (width) => {
    expect(() => writeHybrid(new ByteWriter(), new Uint16Array(8), 0, 8, width)).toThrow(RangeError)
  })

  test('of one long run are three bytes and its value', () => {
    expect(written((out) => writeRun(out, 3, 100_000, 2))).toBe(compact('c0 9a 0c 03'))
  })
})

describe('packed differences', () => {
  // The two examples of the specification, in blocks of 128 with four miniblocks, as everybody writes them.
  const EXAMPLES: [string, number[], string][] = [
    ['of 1 to 5 are a smallest difference of 1 and no bits', [1, 2, 3, 4, 5], '80 01 04 05 02  02 00 00 00 00'],
    [
      'of 7 5 3 1 2 3 4 5 are 0 0 0 3 3 3 3 in two bits',
      [7, 5, 3, 1, 2, 3, 4, 5],
      '80 01 04 08 0e  03 02 00 00 00 c0 3f 00 00 00 00 00 00',
    ],
    ['of one value are the value', [-3], '80 01 04 01 05'],
    ['of no value are a header', [], '80 01 04 00 00'],
    ['of equal values take no bits', Array<number>(129).fill(9), '80 01 04 81 01 12  00 00 00 00 00'],
    ['of 130 values need a second block', [...Array<number>(129).fill(9), 8], '80 01 04 82 01 12  00 00 00 00 00  01 00 00 00 00'],
  ]
  test.each(EXAMPLES)('%s', (_, values, text) => {
    expect(written((out) => writeDelta(out, Float64Array.from(values), values.length))).toBe(compact(text))
    const read = readDelta(bytes(text), 0, bytes(text).length, values.length)
    expect([...read.values]).toEqual(values)
    expect(read.end).toBe(bytes(text).length)
  })

  test('of values from all kinds of arrays are the same bytes', () => {
    const values = [3, 1, 4, 1, 5, 9, 2, 6]
    const [one, ...others] = [Float64Array, Int32Array, Uint32Array].map((Kind) => written((out) => writeDelta(out, Kind.from(values), 8)))
    for (const other of others) expect(other).toBe(one)
  })

  test('of a last block may say any width for the parts that hold nothing, as the specification allows', () => {
    const text = '80 01 04 08 0e  03 02 ff 36 40 c0 3f 00 00 00 00 00 00'
    expect([...readDelta(bytes(text), 0, bytes(text).length, 8).values]).toEqual([7, 5, 3, 1, 2, 3, 4, 5])
  })

  test.each([
    ['256 in 8 parts', '80 02 08 03 02  02 00 00 00 00 00 00 00 00'],
    ['128 in one part', '80 01 01 03 02  02 00'],
    ['64 in two parts', '40 02 03 02  02 00 00'],
  ])('in blocks of %s are read', (_, text) => {
    expect([...readDelta(bytes(text), 0, bytes(text).length, 3).values]).toEqual([1, 2, 3])
  })

  test.each([
    ['a block of nothing', '00 01 03 02', 'PARQUET_UNSUPPORTED'],
    ['no parts', '80 01 00 03 02', 'PARQUET_UNSUPPORTED'],
    ['parts of 16', '80 01 08 03 02', 'PARQUET_UNSUPPORTED'],
    ['parts that do not divide the block', '80 01 03 03 02', 'PARQUET_UNSUPPORTED'],
    ['a block of a million', 'c0 84 3d 01 03 02', 'PARQUET_UNSUPPORTED'],
    ['another number of values', '80 01 04 04 02 02 00 00 00 00', 'PARQUET_MALFORMED'],
    ['no block', '80 01 04 03 02', 'PARQUET_MALFORMED'],
    ['a part that is cut off', '80 01 04 03 02 02 08 00 00 00 01', 'PARQUET_MALFORMED'],
    ['a width beyond 54', '80 01 04 03 02 02 37 00 00 00', 'PARQUET_UNSUPPORTED'],
    ['a first value beyond 2^53', '80 01 04 03 80 80 80 80 80 80 80 40', 'PARQUET_UNSUPPORTED'],
    ['differences that lead beyond 2^53', '80 01 04 03 fe ff ff ff ff ff ff 1f 02 00 00 00 00', 'PARQUET_UNSUPPORTED'],
  ])('with %s are refused', (_, text, code) => {
    expect(() => readDelta(bytes(text), 0, bytes(text).length, 3)).toThrow(expect.objectContaining({ code }))
  })
})

describe('the bytes of a page', () => {
  const CASES: [ColumnType, unknown[], number, string][] = [
    ['boolean', [true, false, true, true, false, false, false, true, true], Encoding.PLAIN, '8d 01'],
    ['int', [1, 2, 3, 4, 5], Encoding.DELTA_BINARY_PACKED, '80 01 04 05 02  02 00 00 00 00'],
    ['int', [-(2 ** 31), 2 ** 31 - 1], Encoding.PLAIN, '00 00 00 80  ff ff ff 7f'],
    ['long', [2n ** 63n - 1n, -1], Encoding.PLAIN, 'ff ff ff ff ff ff ff 7f  ff ff ff ff ff ff ff ff'],
    ['float', [1, -0, 0.1], Encoding.PLAIN, '00 00 80 3f  00 00 00 80  cd cc cc 3d'],
    ['double', [1, -Infinity], Encoding.PLAIN, '00 00 00 00 00 00 f0 3f  00 00 00 00 00 00 f0 ff'],
    ['date', ['1970-01-02', '1969-12-31'], Encoding.DELTA_BINARY_PACKED, '80 01 04 02 02  03 00 00 00 00'],
    ['timestamp', ['1970-01-01T00:00:00.000001', 0], Encoding.DELTA_BINARY_PACKED, '80 01 04 02 02  01 00 00 00 00'],
    ['timestamptz', ['1970-01-01T01:00:00.000001+01:00', 0], Encoding.DELTA_BINARY_PACKED, '80 01 04 02 02  01 00 00 00 00'],
    // The example of the specification: all lengths, then all bytes.
    [
      'string',
      ['Hello', 'World', 'Foobar', 'ABCDEF'],
      Encoding.DELTA_LENGTH_BYTE_ARRAY,
      `80 01 04 04 0a  00 01 00 00 00 02 00 00 00 ${Buffer.from('HelloWorldFoobarABCDEF').toString('hex')}`,
    ],
    ['string', ['a', 'b', 'a', 'a'], Encoding.RLE_DICTIONARY, '01 03 02'],
    [
      'json',
      [{ a: 1 }, [1]],
      Encoding.DELTA_LENGTH_BYTE_ARRAY,
      `80 01 04 02 0e  07 00 00 00 00 ${Buffer.from('{"a":1}[1]').toString('hex')}`,
    ],
    ['binary', [Uint8Array.of(1, 2), new Uint8Array(0)], Encoding.DELTA_LENGTH_BYTE_ARRAY, '80 01 04 02 04  03 00 00 00 00  01 02'],
    ['uuid', ['00112233-4455-6677-8899-aabbccddeeff'], Encoding.PLAIN, '00112233445566778899aabbccddeeff'],
  ]
  test.each(CASES)('of %s for %o, in the encoding %i, are %s', (type, values, encoding, text) => {
    const column = kindOf(type).values()
    for (const value of values) expect(column.push(value)).toBe(true)
    const out = new ByteWriter(1)
    expect(column.page(out)).toBe(encoding)
    expect(hex(out.copy())).toBe(compact(text))
  })

  test('of PLAIN are read for every type, also for those that are not written so', () => {
    const plain = (type: ColumnType, text: string, count: number) =>
      decodeValues(type, Encoding.PLAIN, { bytes: bytes(text), at: 0, count }, undefined)
    expect(plain('boolean', '8d 01', 9)).toEqual([true, false, true, true, false, false, false, true, true])
    expect(plain('int', 'ff ff ff ff 00 00 00 80', 2)).toEqual([-1, -(2 ** 31)])
    expect(plain('date', '01 00 00 00', 1)).toEqual([1])
    expect(plain('long', 'ff ff ff ff ff ff 1f 00  00 00 00 00 00 00 20 00', 2)).toEqual([Number.MAX_SAFE_INTEGER, 2n ** 53n])
    expect(plain('long', '01 00 00 00 00 00 e0 ff  00 00 00 00 00 00 00 80', 2)).toEqual([Number.MIN_SAFE_INTEGER, -(2n ** 63n)])
    expect(plain('timestamp', '01 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff', 2)).toEqual([0.001, -0.001])
    expect(plain('float', '00 00 c0 7f', 1)).toEqual([NaN])
    expect(plain('double', '00 00 00 00 00 00 00 80', 1)).toEqual([-0])
    expect(plain('string', '02 00 00 00 c3 a9 00 00 00 00', 2)).toEqual(['é', ''])
    expect(plain('json', '02 00 00 00 7b 7d', 1)).toEqual(['{}'])
    expect(plain('binary', '01 00 00 00 ff', 1)).toEqual([Uint8Array.of(255)])
    expect(plain('uuid', '00112233445566778899aabbccddeeff', 1)).toEqual(['00112233-4455-6677-8899-aabbccddeeff'])
  })

  test('of PLAIN texts that lie about their length are refused', () => {
    const read = (text: string, count: number) => () =>
      decodeValues('string', Encoding.PLAIN, { bytes: bytes(text), at: 0, count }, undefined)
    expect(read('02 00 00 00 61', 1)).toThrow('value 1 of 1 reaches beyond its page')
    expect(read('01 00 00 00 61 01 00', 2)).toThrow('value 2 of 2 reaches beyond its page')
    expect(read('ff ff ff ff 61', 1)).toThrow('reaches beyond its page')
    expect(read('01 00 00 00 ff', 1)).toThrow('not UTF-8')
  })
})
