import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BinaryValues, UuidValues } from '../../src/parquet/blobs.ts'
import { ByteWriter } from '../../src/parquet/bytes.ts'
import { toDays, toInstantMicros, toWallMicros, uuidText, writeUuid } from '../../src/parquet/coerce.ts'
import { decodeValues } from '../../src/parquet/decode.ts'
import { Encoding } from '../../src/parquet/format.ts'
import { Int32Values, Int64Values, toInt32, toInt64 } from '../../src/parquet/integers.ts'
import { kindOf } from '../../src/parquet/kinds.ts'
import type { ColumnType } from '../../src/parquet/schema.ts'
import { TextValues } from '../../src/parquet/texts.ts'
import type { ColumnValues } from '../../src/parquet/values.ts'
import { TYPES } from './support.ts'

/** Pushes values, cuts a page and ends the row group. */
function page(values: ColumnValues, given: unknown[]): { encoding: number; size: number } {
  for (const value of given) expect(values.push(value)).toBe(true)
  const out = new ByteWriter()
  const encoding = values.page(out)
  return { encoding, size: out.length }
}

describe('the encoding of a page', () => {
  test('of 32-bit integers is packed until differences leave 32 bits', () => {
    expect(page(new Int32Values(toInt32), [-(2 ** 30), 2 ** 30 - 1]).encoding).toBe(Encoding.DELTA_BINARY_PACKED)
    expect(page(new Int32Values(toInt32), [-(2 ** 31), 2 ** 31 - 1])).toEqual({ encoding: Encoding.PLAIN, size: 8 })
  })

  test('of 64-bit integers is packed until differences leave 53 bits', () => {
    expect(page(new Int64Values(toInt64), [-(2 ** 51), 2 ** 51]).encoding).toBe(Encoding.DELTA_BINARY_PACKED)
    expect(page(new Int64Values(toInt64), [-(2 ** 51), 2 ** 51 + 1])).toEqual({ encoding: Encoding.PLAIN, size: 16 })
    expect(page(new Int64Values(toInt64), [1, 2n ** 60n])).toEqual({ encoding: Encoding.PLAIN, size: 16 })
  })

  test('of integers is chosen anew for each page', () => {
    const values = new Int64Values(toInt64)
    expect(page(values, [2n ** 60n]).encoding).toBe(Encoding.PLAIN)
    expect(page(values, [1, 2, 3]).encoding).toBe(Encoding.DELTA_BINARY_PACKED)
    expect(values.endGroup().bounds).toEqual({ lower: 1, upper: 2n ** 60n })
  })

  test('of texts is by dictionary when they repeat, and by lengths when they do not', () => {
    const text = (value: unknown) => value as string
    const few = new TextValues(text)
    expect(page(few, ['a', 'b', 'a', 'a', 'b']).encoding).toBe(Encoding.RLE_DICTIONARY)
    expect(few.endGroup()).toMatchObject({ dictionary: { entries: 2 }, bounds: { lower: 'a', upper: 'b' } })
    const many = new TextValues(text)
    expect(page(many, ['a', 'b', 'c', 'a', 'd']).encoding).toBe(Encoding.DELTA_LENGTH_BYTE_ARRAY)
    expect(many.endGroup()).toEqual({ bounds: { lower: 'a', upper: 'd' } })
  })

  test('of texts goes back to a dictionary after a short row group, and not after a long one without repetition', () => {
    const values = new TextValues((value) => value as string)
    page(values, ['a', 'b', 'c'])
    values.endGroup()
    expect(page(values, ['a', 'a', 'a']).encoding).toBe(Encoding.RLE_DICTIONARY)
    values.endGroup()
    const unique = Array.from({ length: 4096 }, (_, i) => `text ${i}`)
    expect(page(values, unique).encoding).toBe(Encoding.DELTA_LENGTH_BYTE_ARRAY)
    values.endGroup()
    expect(page(values, ['a', 'a', 'a']).encoding).toBe(Encoding.DELTA_LENGTH_BYTE_ARRAY)
  })

  test('of texts asks to be written when the dictionary is full, by entries or by characters', () => {
    const byEntries = new TextValues((value) => value as string)
    for (let i = 0; !byEntries.due; i++) {
      for (let times = 0; times < 3; times++) byEntries.push(`t${i}`)
      expect(i).toBeLessThan(1 << 15)
    }
    expect(byEntries.count).toBe(3 * 32_768)
    const byCharacters = new TextValues((value) => value as string)
    for (let i = 0; !byCharacters.due; i++) byCharacters.push(`${i}`.padEnd(1 << 16))
    expect(byCharacters.count).toBe(8)
  })
})

describe('taking a value back', () => {
  const given: Record<ColumnType, [unknown, unknown]> = {
    boolean: [true, false],
    int: [1, -1],
    long: [1, 2n ** 62n],
    float: [1, -1.5],
    double: [1, NaN],
    date: [1, '1969-01-01'],
    timestamp: [1, new Date(8.64e15)],
    timestamptz: [1, -8.64e15],
    string: ['kept', 'gone'],
    json: [{ a: 1 }, { b: 'gone' }],
    binary: [Uint8Array.of(1), Uint8Array.of(0, 255)],
    uuid: ['00000000-0000-0000-0000-000000000001', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  }

  test.each(TYPES)('leaves the page and the bounds as they were: %s', (type) => {
    const [kept, gone] = given[type]
    const plain = kindOf(type).values()
    const undone = kindOf(type).values()
    plain.push(kept)
    undone.push(kept)
    const waiting = undone.waitingBytes
    undone.push(gone)
    expect(undone.count).toBe(2)
    undone.pop()
    expect([undone.count, undone.waitingBytes]).toEqual([1, waiting])
    const pages = [plain, undone].map((values) => {
      const out = new ByteWriter()
      const encoding = values.page(out)
      const { bounds, nanCount, dictionary } = values.endGroup()
      return { encoding, bytes: out.copy(), bounds, nanCount, entries: dictionary?.entries }
    })
    expect(pages[1]).toEqual(pages[0])
  })

  test.each(TYPES)('is not needed for a value that is refused: nothing was taken of it: %s', (type) => {
    const values = kindOf(type).values()
    expect(values.push(given[type][0])).toBe(true)
    const waiting = values.waitingBytes
    expect(values.push(Symbol('of no type'))).toBe(false)
    expect([values.count, values.waitingBytes]).toEqual([1, waiting])
  })
})

describe('dates and times', () => {
  test.each([
    ['1970-01-01', 0],
    ['1969-12-31', -1],
    ['2000-02-29', 11_016],
    ['1900-03-01', -25_508],
    ['0001-01-01', -719_162],
    ['9999-12-31', 2_932_896],
    ['+010000-01-01', 2_932_897],
  ])('%s is day %i', (text, days) => {
    expect(toDays(text)).toBe(days)
    expect(new Date(days * 86_400_000).toISOString().startsWith(text)).toBe(true)
  })

  test.each(['1900-02-29', '2026-00-10', '2026-04-31', '2026-1-01', '26-01-01', '2026-01-01 ', ''])('%j is no date', (text) => {
    expect(toDays(text)).toBeUndefined()
  })

  test.each([
    ['1970-01-01T00:00:00.000001Z', 1],
    ['1969-12-31T23:59:59.999999Z', -1],
    ['1970-01-01T05:30+05:30', 0],
    ['1969-12-31T16:00:00-0800', 0],
    ['1970-01-01T00:00:01,5Z', 1_500_000],
    ['1970-01-01T00:00:00.123456000Z', 123_456],
    ['1970-01-02', 86_400_000_000],
    ['+275760-09-13T00:00:00Z', 8_640_000_000_000_000_000n],
    ['-271821-04-20T00:00:00.000001Z', -8_639_999_999_999_999_999n],
  ])('%s is instant %s µs', (text, micros) => {
    expect(toInstantMicros(text)).toBe(micros)
  })

  test.each([
    '1970-01-01T00:00',
    '1970-01-01T24:00Z',
    '1970-01-01T00:60Z',
    '1970-01-01T00:00:00.1234567Z',
    '1970-01-01T00:00+24:00',
    '+275761-01-01T00:00Z',
  ])('%s is no instant', (text) => {
    expect(toInstantMicros(text)).toBeUndefined()
  })

  test('the common form of a time reads as every other form of it does', () => {
    const part = (least: number, most: number) => fc.integer({ min: least, max: most })
    const two = (value: number) => String(value).padStart(2, '0')
    const fields = fc.tuple(part(0, 9999), part(0, 13), part(0, 32), part(0, 25), part(0, 61), part(0, 61), part(0, 1009))
    const mark = fc.constantFrom('-', '/', 'T', ' ', ':', '.', 'x')
    fc.assert(
      fc.property(
        fields,
        fc.constantFrom('', 'Z'),
        fc.boolean(),
        fc.option(fc.tuple(part(0, 22), mark)),
        ([y, mo, d, h, mi, s, ms], zone, fraction, wrong) => {
          let text = `${String(y).padStart(4, '0')}-${two(mo)}-${two(d)}T${two(h)}:${two(mi)}:${two(s)}${fraction ? `.${String(ms).padStart(3, '0')}` : ''}`
          if (wrong && wrong[0] < text.length) text = text.slice(0, wrong[0]) + wrong[1] + text.slice(wrong[0] + 1)
          // The blank takes it past the short way, and means the same.
          const long = `${text.slice(0, 10)}${text[10] === 'T' ? ' ' : text[10]}${text.slice(11)}${zone}`
          expect(toWallMicros(text + zone)).toBe(toWallMicros(long))
          expect(toInstantMicros(text + zone)).toBe(toInstantMicros(long))
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('a wall-clock time has no offset', () => {
    expect(toWallMicros('1970-01-01T00:00:01')).toBe(1_000_000)
    expect(toWallMicros('1970-01-01T00:00:01Z')).toBe(1_000_000)
    expect(toWallMicros('1970-01-01T00:00:01+00:00')).toBeUndefined()
    expect(toWallMicros(new Date(1000))).toBe(1_000_000)
  })

  test('milliseconds keep their microseconds and no more', () => {
    expect(toInstantMicros(0.001)).toBe(1)
    expect(toInstantMicros(1.7e12 + 0.25)).toBe(1_700_000_000_000_250)
    expect(toInstantMicros(0.0004)).toBe(0)
    expect(toInstantMicros(8.64e15)).toBe(8_640_000_000_000_000_000n)
    expect(toInstantMicros(8.64e15 + 2)).toBeUndefined()
  })
})

test('a UUID comes back in lower case', () => {
  const bytes = new Uint8Array(20)
  expect(writeUuid('F47AC10B-58CC-4372-A567-0E02B2C3D479', bytes, 2)).toBe(true)
  expect(uuidText(bytes.subarray(2))).toBe('f47ac10b-58cc-4372-a567-0e02b2c3d479')
  expect([bytes[0], bytes[1], bytes[18]]).toEqual([0, 0, 0])
})

describe('bounds of bytes', () => {
  test('outlive the page they were found in', () => {
    const values = new BinaryValues()
    page(values, [Uint8Array.of(5, 5), Uint8Array.of(7)])
    page(values, [Uint8Array.of(6, 6), Uint8Array.of(6)])
    expect(values.endGroup().bounds).toEqual({ lower: Uint8Array.of(5, 5), upper: Uint8Array.of(7) })
    const uuids = new UuidValues()
    page(uuids, ['10000000-0000-0000-0000-000000000000'])
    page(uuids, ['0f000000-0000-0000-0000-000000000000', '20000000-0000-0000-0000-000000000000'])
    expect(uuids.endGroup().bounds).toEqual({
      lower: '0f000000-0000-0000-0000-000000000000',
      upper: '20000000-0000-0000-0000-000000000000',
    })
  })
})

describe('a page that was forged', () => {
  const malformed = expect.objectContaining({ code: 'PARQUET_MALFORMED' }) as Error
  const decode = (type: ColumnType, encoding: number, bytes: number[], count: number, dictionary?: unknown[]) => () =>
    decodeValues(type, encoding, { bytes: Uint8Array.from(bytes), at: 0, count }, dictionary)

  test('claims more values than it has room for', () => {
    for (const type of TYPES) expect(decode(type, Encoding.PLAIN, [1, 0, 0], 100), type).toThrow(malformed)
  })

  test('refers to entries that the dictionary does not have', () => {
    expect(decode('string', Encoding.RLE_DICTIONARY, [1, 4, 0], 2, ['a'])()).toEqual(['a', 'a'])
    expect(decode('string', Encoding.RLE_DICTIONARY, [1, 4, 1], 2, ['a'])).toThrow(/entry 1 of a dictionary of 1/)
    expect(decode('string', Encoding.RLE_DICTIONARY, [1, 4, 0], 2)).toThrow(/a dictionary that is not there/)
    expect(decode('string', Encoding.RLE_DICTIONARY, [], 2, ['a'])).toThrow(malformed)
    expect(decode('string', Encoding.RLE_DICTIONARY, [255, 4, 0], 2, ['a'])).toThrow(/255 bits/)
  })

  test('cuts a character in two, or holds bytes that are none', () => {
    const lengths = new ByteWriter()
    // Block of 128 in 4 parts, two values of length one, no difference.
    for (const byte of [0x80, 0x01, 4, 2, 2, 0, 0, 0, 0, 0]) lengths.u8(byte)
    const head = [...lengths.copy()]
    expect(decode('string', Encoding.DELTA_LENGTH_BYTE_ARRAY, [...head, 0x61, 0x62], 2)()).toEqual(['a', 'b'])
    expect(decode('string', Encoding.DELTA_LENGTH_BYTE_ARRAY, [...head, 0xc3, 0xa9], 2)).toThrow(/in the middle of a character/)
    expect(decode('string', Encoding.DELTA_LENGTH_BYTE_ARRAY, [...head, 0xff, 0x61], 2)).toThrow(/not UTF-8/)
    expect(decode('string', Encoding.DELTA_LENGTH_BYTE_ARRAY, [...head, 0x61], 2)).toThrow(malformed)
  })

  test('has an encoding that its type does not', () => {
    const unsupported = expect.objectContaining({ code: 'PARQUET_UNSUPPORTED' }) as Error
    expect(decode('double', Encoding.DELTA_BINARY_PACKED, [0], 1)).toThrow(unsupported)
    expect(decode('string', 9, [0], 1)).toThrow(unsupported)
    expect(decode('int', Encoding.RLE, [0], 1)).toThrow(unsupported)
  })

  test('of booleans as runs is read', () => {
    // Four bytes of size, a run of five ones, a group of eight of which three are asked for.
    expect(decode('boolean', Encoding.RLE, [4, 0, 0, 0, 10, 1, 3, 0b010], 8)()).toEqual([true, true, true, true, true, false, true, false])
  })
})
