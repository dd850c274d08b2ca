import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ColumnType } from '../../src/parquet/schema.ts'
import { murmur3 } from '../../src/iceberg/murmur.ts'
import { hex, newSnapshotId, newUuid } from '../../src/iceberg/numbers.ts'
import { incrementText, lowerBound, singleValue, truncateText, upperBound } from '../../src/iceberg/single-value.ts'
import { partitionText, transformOf, transformResult } from '../../src/iceberg/transforms.ts'
import type { PartitionValue } from '../../src/iceberg/types.ts'
import { storedValue } from '../../src/iceberg/values.ts'
import { SeededRandom } from '../support/fakes.ts'

const text = fc.string({ unit: 'binary', maxLength: 40 })
const utf8 = (it: string): Buffer => Buffer.from(it, 'utf8')

describe('bounds', () => {
  test('a text lies between its bounds, in the order of UTF-8 bytes, and bounds are at most 16 code points', () => {
    fc.assert(
      fc.property(text, (value) => {
        const lower = lowerBound('string', value)!
        const upper = upperBound('string', value)
        expect(Buffer.compare(lower, utf8(value))).toBeLessThanOrEqual(0)
        expect(Array.from(Buffer.from(lower).toString()).length).toBeLessThanOrEqual(16)
        if (upper) {
          expect(Buffer.compare(upper, utf8(value))).toBeGreaterThanOrEqual(0)
          expect(Array.from(Buffer.from(upper).toString()).length).toBeLessThanOrEqual(16)
        }
      }),
      { numRuns: 2000 },
    )
  })
  test('an incremented text is above everything that starts with it, and is well formed', () => {
    fc.assert(
      fc.property(
        text.filter((it) => it.length > 0),
        text,
        (prefix, rest) => {
          const upper = incrementText(prefix)
          if (upper === undefined) return
          expect(upper.isWellFormed()).toBe(true)
          expect(Buffer.compare(utf8(upper), utf8(prefix + rest))).toBeGreaterThan(0)
        },
      ),
    )
  })
  test('characters around the surrogates and at the end are incremented safely', () => {
    expect(incrementText('a\ud7ff')).toBe('a\ue000')
    expect(incrementText('a\u{10ffff}')).toBe('b')
    expect(incrementText('\u{10ffff}\u{10ffff}')).toBeUndefined()
    expect(upperBound('string', '\u{10ffff}'.repeat(17))).toBeUndefined()
  })
  test('a pair of surrogates is one character and is never cut', () => {
    expect(truncateText('🚀'.repeat(20))).toBe('🚀'.repeat(16))
  })
  test('bytes lie between their bounds', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (value) => {
        expect(Buffer.compare(lowerBound('binary', value)!, value)).toBeLessThanOrEqual(0)
        const upper = upperBound('binary', value)
        if (upper) expect(Buffer.compare(upper, value)).toBeGreaterThanOrEqual(0)
      }),
    )
    expect(upperBound('binary', new Uint8Array(17).fill(255))).toBeUndefined()
  })
  test('NaN is no bound, and a zero is -0 below and 0 above', () => {
    expect([lowerBound('double', NaN), upperBound('float', NaN)]).toEqual([undefined, undefined])
    expect(hex(lowerBound('double', 0)!)).toBe('0000000000000080')
    expect(hex(upperBound('double', -0)!)).toBe('0000000000000000')
  })
  test.each([
    ['boolean', true, '01'],
    ['int', 34, '22000000'],
    ['date', -1, 'ffffffff'],
    ['long', -2, 'feffffffffffffff'],
    ['timestamptz', 1_000_000, '40420f0000000000'],
    ['float', 1.5, '0000c03f'],
    ['double', 1.5, '000000000000f83f'],
    ['string', 'é', 'c3a9'],
  ] satisfies [string, PartitionValue, string][])('a %s is stored as the specification says', (type, value, bytes) => {
    expect(hex(singleValue(type, value))).toBe(bytes)
  })
})

describe('transforms', () => {
  // The values of the specification's appendix B.
  test.each([
    ['int', 34, 2017239379],
    ['long', 34, 2017239379],
    ['date', '2017-11-16', -653330422],
    ['timestamp', '2017-11-16T22:31:08', -2047944441],
    ['timestamp', '2017-11-16T22:31:08.000001', -1207196810],
    ['timestamptz', '2017-11-16T14:31:08-08:00', -2047944441],
    ['string', 'iceberg', 1210000089],
    ['uuid', 'f79c3e09-677c-4bbd-a479-3f349cb785e7', 1488055340],
    ['binary', Uint8Array.of(0, 1, 2, 3), -188683207],
  ] satisfies [ColumnType, unknown, number][])('a %s %s hashes as the specification says', (type, value, hash) => {
    const stored = storedValue(type, value)!
    expect(murmur3(singleValue(type === 'int' || type === 'date' ? 'long' : type, stored)) | 0).toBe(hash)
    expect(transformOf('bucket[100]', type)(stored)).toBe((hash & 0x7fffffff) % 100)
  })
  test('time goes down to its day, hour, month and year, before 1970 too', () => {
    const at = storedValue('timestamptz', '1969-12-31T23:30:00Z')!
    expect(['year', 'month', 'day', 'hour'].map((it) => transformOf(it, 'timestamptz')(at))).toEqual([-1, -1, -1, -1])
    const later = storedValue('timestamptz', '2017-12-01T10:12:55.038Z')!
    expect(['year', 'month', 'day', 'hour'].map((it) => transformOf(it, 'timestamptz')(later))).toEqual([47, 575, 17501, 420034])
    expect(['year', 'month', 'day'].map((it) => transformOf(it, 'date')(17501))).toEqual([47, 575, 17501])
  })
  test('a day is the day of the instant in UTC, for every instant', () => {
    fc.assert(
      fc.property(fc.date({ min: new Date('1900-01-01'), max: new Date('2200-01-01'), noInvalidDate: true }), (date) => {
        expect(partitionText('date', 'day', transformOf('day', 'timestamptz')(storedValue('timestamptz', date)!))).toBe(
          date.toISOString().slice(0, 10),
        )
      }),
    )
  })
  test('truncation goes down, below zero too, and cuts texts by code point', () => {
    expect([1, -1, -10, 10n ** 18n + 7n].map((it) => transformOf('truncate[10]', 'long')(it))).toEqual([0, -10, -10, 10n ** 18n])
    expect(transformOf('truncate[2]', 'string')('🚀🚀🚀')).toBe('🚀🚀')
  })
  test('truncation at the lowest integers wraps, as in the reference implementation, and stays in its type', () => {
    expect(transformOf('truncate[1000]', 'int')(-(2 ** 31))).toBe(2147483296)
    expect(transformOf('truncate[1000]', 'long')(-(2n ** 63n))).toBe(9223372036854775616n)
    expect(transformOf('truncate[1000]', 'long')(-Number.MAX_SAFE_INTEGER)).toBe(-9007199254741000n)
    expect(transformOf('truncate[1000]', 'long')(2n ** 53n)).toBe(9007199254740000)
  })
  test('null stays null in every transform', () => {
    for (const transform of ['identity', 'year', 'month', 'day', 'hour', 'bucket[4]', 'truncate[4]'])
      expect(transformOf(transform, 'timestamptz')(null)).toBeNull()
  })
  test.each([
    ['day', 'string'],
    ['hour', 'date'],
    ['bucket[4]', 'double'],
    ['bucket[0]', 'int'],
    ['truncate[3]', 'boolean'],
    ['identity', 'double'],
    ['identity', 'json'],
    ['void', 'int'],
  ] satisfies [string, ColumnType][])('%s of a %s does not exist', (transform, type) => {
    expect(transformResult(transform, type)).toBeUndefined()
  })
})

describe('values of rows', () => {
  test('a number and a bigint of one value are one value', () => {
    expect(storedValue('long', 7n)).toBe(storedValue('long', 7))
    expect(storedValue('long', 2n ** 60n)).toBe(2n ** 60n)
  })
  test.each([
    ['timestamptz', NaN],
    ['timestamptz', 'yesterday'],
    ['timestamptz', new Date(NaN)],
    ['long', 1.5],
    ['long', 2n ** 63n],
    ['int', 2 ** 31],
    ['string', 7],
    ['string', '\ud800'],
    ['uuid', 'x'],
    ['date', '2026-02-30'],
    ['boolean', 0],
  ] satisfies [ColumnType, unknown][])('%s does not accept %s', (type, value) => {
    expect(storedValue(type, value)).toBeUndefined()
  })
  test('ids are UUIDs of version 4, and snapshot ids are exact in JSON', () => {
    const random = new SeededRandom()
    expect(newUuid(random)).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
    for (let i = 0; i < 1000; i++) {
      const id = newSnapshotId(random)
      expect(id > 0 && Number.isSafeInteger(id)).toBe(true)
    }
  })
})
