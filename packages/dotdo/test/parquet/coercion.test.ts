// From the value of a row to what a column stores: every type on its edges, both the values that are taken and those that are not, and what
// a refusal says. Values are checked by what the file gives back, so that a wrong byte is seen and not only a wrong judgement.
import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { toDays, toInstantMicros, toJsonText, toText, toWallMicros, uuidText, writeUuid } from '../../src/parquet/coerce.ts'
import { toInt32, toInt64 } from '../../src/parquet/integers.ts'
import { kindOf } from '../../src/parquet/kinds.ts'
import { MAX_COLUMNS, type Column, type ColumnType } from '../../src/parquet/schema.ts'
import { ParquetWriter, type ParquetOptions } from '../../src/parquet/writer.ts'
import { column, readBack, TYPES, write } from './support.ts'

const DAY_MS = 86_400_000

/** What each type takes, and what then stands in the file. */
const TAKEN: [ColumnType, unknown, unknown][] = [
  ['boolean', true, true],
  ['boolean', false, false],
  ['int', -0, 0],
  ['int', 2 ** 31 - 1, 2 ** 31 - 1],
  ['int', -(2 ** 31), -(2 ** 31)],
  ['int', 1e9, 1e9],
  ['long', -0, 0],
  ['long', 0n, 0],
  ['long', Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  ['long', Number.MIN_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
  ['long', 2n ** 53n - 1n, Number.MAX_SAFE_INTEGER],
  ['long', 2n ** 53n, 2n ** 53n],
  ['long', -(2n ** 53n), -(2n ** 53n)],
  ['long', 2n ** 63n - 1n, 2n ** 63n - 1n],
  ['long', -(2n ** 63n), -(2n ** 63n)],
  ['float', 0.1, Math.fround(0.1)],
  ['float', -0, -0],
  ['float', NaN, NaN],
  ['float', -Infinity, -Infinity],
  ['float', 3.4028234663852886e38, 3.4028234663852886e38],
  ['float', 3.4028235e38, 3.4028234663852886e38],
  ['float', 1e-45, 1.401298464324817e-45],
  ['float', 1e-46, 0],
  ['float', 16_777_217, 16_777_216],
  ['double', Number.MAX_VALUE, Number.MAX_VALUE],
  ['double', Number.MIN_VALUE, Number.MIN_VALUE],
  ['double', -0, -0],
  ['double', NaN, NaN],
  ['date', 0, 0],
  ['date', -0, 0],
  ['date', 2 ** 31 - 1, 2 ** 31 - 1],
  ['date', -(2 ** 31), -(2 ** 31)],
  ['date', new Date(DAY_MS - 1), 0],
  ['date', new Date(-1), -1],
  ['date', new Date(8.64e15), 100_000_000],
  ['date', new Date(-8.64e15), -100_000_000],
  ['date', '0000-02-29', -719_469],
  ['date', '2000-02-29', 11_016],
  ['date', '-000001-01-01', Date.UTC(-1, 0, 1) / DAY_MS],
  ['date', '+002026-01-01', 20_454],
  ['timestamp', 0, 0],
  ['timestamp', -0.001, -0.001],
  ['timestamp', 0.0005, 0.001],
  ['timestamp', 0.00049, 0],
  ['timestamp', '2026-01-31 08:30', 1_769_848_200_000],
  ['timestamp', '2026-01-31T08:30:59', 1_769_848_259_000],
  ['timestamp', '2026-01-31T08:30:59.5', 1_769_848_259_500],
  ['timestamp', '2026-01-31T08:30:59,25', 1_769_848_259_250],
  ['timestamp', '2026-01-31T08:30:59.123456', 1_769_848_259_123.456],
  ['timestamp', '2026-01-31T08:30:59.123456000', 1_769_848_259_123.456],
  ['timestamp', '2026-01-31', 1_769_817_600_000],
  ['timestamp', '2026-01-31Z', 1_769_817_600_000],
  ['timestamptz', '2026-01-31T08:30Z', 1_769_848_200_000],
  ['timestamptz', '2026-01-31T08:30:00+0530', 1_769_828_400_000],
  ['timestamptz', '2026-01-31T08:30:00+05:30', 1_769_828_400_000],
  ['timestamptz', '2026-01-31T08:30:00-23:59', 1_769_934_540_000],
  ['timestamptz', '2026-01-31T00:00:00-00:00', 1_769_817_600_000],
  ['timestamptz', '1969-12-31T23:59:59.999999Z', -0.001],
  ['timestamptz', new Date(-1), -1],
  ['string', '', ''],
  ['string', '\0', '\0'],
  ['string', '\ud83d\ude00', '😀'],
  ['json', '', '""'],
  ['json', 0, '0'],
  ['json', -0, '0'],
  ['json', NaN, 'null'],
  ['json', false, 'false'],
  ['json', '\ud800', '"\\ud800"'],
  ['json', { a: undefined, b: () => 1, c: Symbol('s'), d: [undefined] }, '{"d":[null]}'],
  ['json', new Date(0), '"1970-01-01T00:00:00.000Z"'],
  ['json', new Map([[1, 2]]), '{}'],
  ['json', { toJSON: () => 'itself' }, '"itself"'],
  ['binary', new Uint8Array(0), new Uint8Array(0)],
  ['binary', Buffer.from('ü'), Uint8Array.of(0xc3, 0xbc)],
  ['binary', new Uint8Array([9, 1, 2, 9]).subarray(1, 3), Uint8Array.of(1, 2)],
  ['uuid', '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000'],
  ['uuid', 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
]

/** What no type takes in silence. */
const REFUSED: [ColumnType, unknown[]][] = [
  ['boolean', [0, 1, '', 'false', [], new Boolean(true)]],
  ['int', [0.5, 2 ** 31, -(2 ** 31) - 1, NaN, -Infinity, 0n, '0', true, [], [1], new Number(1), { valueOf: () => 1 }]],
  ['long', [0.5, 2 ** 53, -(2 ** 53), NaN, 2n ** 63n, -(2n ** 63n) - 1n, '0', true, [1], Object(1n)]],
  ['float', [3.5e38, -3.4028236e38, 1e300, 1n, '1', '', true, [1], new Date(0)]],
  ['double', [1n, '1', '', true, [], new Number(1), new Date(0)]],
  [
    'date',
    [
      0.5,
      2 ** 31,
      NaN,
      new Date(NaN),
      '',
      '2026',
      '2026-01',
      '20260101',
      '2026-02-29',
      '2026-1-01',
      '+02026-01-01',
      '2026-01-01Z',
      ' 2026-01-01',
      '2026-01-01\n',
      1n,
      true,
    ],
  ],
  [
    'timestamp',
    [
      NaN,
      8.64e15 + 1,
      -Infinity,
      new Date(NaN),
      '',
      '10:00',
      '2026-01-01T10',
      '2026-01-01T10:00+00:00',
      '2026-01-01T10:00:60',
      '2026-01-01t10:00',
      '2026-01-01T10:00z',
      '2026-01-01T24:00',
      '2026-01-01T10:00:00.',
      '2026-01-01T10:00:00.1234567',
      '2026-01-01  10:00',
      1n,
      true,
    ],
  ],
  [
    'timestamptz',
    [
      NaN,
      new Date(NaN),
      '',
      '2026-01-01T10:00',
      '2026-01-01 10:00:00.123',
      '2026-01-01T10:00:00',
      '2026-01-01T10:00 Z',
      '2026-01-01T10:00+5:30',
      '2026-01-01T10:00+24:00',
      '2026-01-01T10:00+05:60',
      '2026-01-01T10:00+05',
      '2026-01-01T10:00ZZ',
      '2026-13-01T00:00Z',
      1n,
      {},
    ],
  ],
  ['string', ['\ud800', '\udfff', 'a\ud800b', '\ude00\ud83d', 1, true, ['a'], new String('a'), Symbol.iterator]],
  ['json', [1n, { deep: [1n] }, () => 1, Symbol('s'), Object(1n)]],
  ['binary', ['', [], new ArrayBuffer(1), new DataView(new ArrayBuffer(1)), new Int8Array(1), new Uint8ClampedArray(1), 1]],
  [
    'uuid',
    [
      '',
      '0'.repeat(32),
      `{${'0'.repeat(8)}-0000-0000-0000-${'0'.repeat(12)}}`,
      '00000000-0000-0000-0000-00000000000g',
      '00000000-0000-0000-0000-0000000000000',
      ' 00000000-0000-0000-0000-000000000000',
      new Uint8Array(16),
      0,
    ],
  ],
]

describe('a value that is taken', () => {
  test.each(TYPES)('stands in the file as it is documented: %s', async (type) => {
    const cases = TAKEN.filter(([it]) => it === type)
    expect(cases.length).toBeGreaterThan(1)
    for (const required of [true, false]) {
      const { bytes } = write(
        [column('it', type, required)],
        cases.map(([, it]) => ({ it })),
      )
      expect((await readBack(bytes)).map((row) => row.it)).toStrictEqual(cases.map(([, , it]) => it))
    }
  })

  test('of a date is the day of Date.parse, for every text of a day', () => {
    const day = fc.tuple(fc.integer({ min: 0, max: 9999 }), fc.integer({ min: 0, max: 14 }), fc.integer({ min: 0, max: 32 }))
    fc.assert(
      fc.property(day, ([year, month, dayOfMonth]) => {
        const two = (it: number) => String(it).padStart(2, '0')
        const text = `${String(year).padStart(4, '0')}-${two(month)}-${two(dayOfMonth)}`
        const ms = Date.parse(`${text}T00:00:00Z`)
        // Date.parse of V8 carries February 30 over into March; a day that does not come back as it was is none.
        const exists = !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text)
        expect(toDays(text)).toBe(exists ? ms / DAY_MS + 0 : undefined)
      }),
      { numRuns: 3000 },
    )
  })

  test('of a time is the same by its short way and by its long one, and what is no time is none by both', () => {
    const digit = fc.constantFrom('0', '1', '2', '3', '5', '6', '9', 'x', ' ')
    const part = (length: number) => fc.array(digit, { minLength: length, maxLength: length }).map((it) => it.join(''))
    const good = fc
      .date({ noInvalidDate: true, min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59.999Z') })
      .map((it) => it.toISOString().slice(0, -1))
    const noisy = fc
      .tuple(part(4), part(2), part(2), part(2), part(2), part(2), part(3))
      .map(([y, mo, d, h, mi, s, ms]) => `${y}-${mo}-${d}T${h}:${mi}:${s}.${ms}`)
    fc.assert(
      fc.property(fc.oneof(good, noisy), fc.boolean(), (text, whole) => {
        const short = whole ? text.slice(0, 19) : text
        // A space for the T takes the long way, and so does a fourth digit of the fraction.
        const spaced = short.replace('T', ' ')
        const longer = whole ? `${short}.0000` : `${short}0`
        for (const read of [toWallMicros, (it: string) => toInstantMicros(`${it}Z`), (it: string) => toInstantMicros(`${it}+00:00`)]) {
          const micros = read(short)
          expect(read(spaced)).toBe(micros)
          expect(read(longer)).toBe(micros)
          const ms = /^[\d.:T-]+$/.test(short) ? Date.parse(`${short}Z`) : NaN
          const exists = !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(short)
          expect(micros === undefined ? undefined : Number(micros)).toBe(exists ? ms * 1000 + 0 : undefined)
        }
        expect(toInstantMicros(short)).toBeUndefined()
      }),
      { numRuns: 3000 },
    )
  })

  test('of an offset is moved by it', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1439, max: 1439 }), fc.integer({ min: 0, max: 4e12 }), (minutes, ms) => {
        const size = Math.abs(minutes)
        const zone = `${minutes < 0 ? '-' : '+'}${String(Math.floor(size / 60)).padStart(2, '0')}:${String(size % 60).padStart(2, '0')}`
        const local = new Date(ms + minutes * 60_000).toISOString().slice(0, -1)
        expect(toInstantMicros(local + zone)).toBe(ms * 1000)
        expect(toInstantMicros(local + zone.replace(':', ''))).toBe(ms * 1000)
        expect(toWallMicros(local + zone)).toBeUndefined()
      }),
    )
  })

  test('of a UUID is the same bytes in any case, and its text the lower one', () => {
    fc.assert(
      fc.property(fc.uuid(), (uuid) => {
        const [lower, upper] = [new Uint8Array(16), new Uint8Array(16)]
        expect([writeUuid(uuid, lower, 0), writeUuid(uuid.toUpperCase(), upper, 0)]).toEqual([true, true])
        expect(upper).toEqual(lower)
        expect([uuidText(lower), Buffer.from(lower).toString('hex')]).toEqual([uuid, uuid.replaceAll('-', '')])
      }),
    )
  })
})

describe('a value that is not', () => {
  test.each(REFUSED)('is refused by %s with its column, row, value and what is accepted, and leaves no trace', async (type, values) => {
    const { accepts } = kindOf(type)
    for (const value of values) {
      const writer = new ParquetWriter([column('größe', type, true)], { codec: 'uncompressed' })
      const good = TAKEN.find(([it]) => it === type)?.[1]
      writer.add({ größe: good })
      let refusal: unknown
      try {
        writer.add({ größe: value })
      } catch (thrown) {
        refusal = thrown
      }
      expect(refusal, `${type} took ${typeof value} ${String(value)}`).toMatchObject({
        code: 'INVALID_VALUE',
        retryable: false,
        data: { column: 'größe', type, row: 2, accepts },
      })
      const { message, data } = refusal as Error & { data: { value: string } }
      expect(message).toBe(`Row 2 has ${data.value} in column "größe", which is a required ${type}. Give ${accepts}.`)
      expect(structuredClone(data)).toEqual(data)
      const plain = write([column('größe', type, true)], [{ größe: good }], { codec: 'uncompressed' })
      writer.finish()
      expect(new Uint8Array(Buffer.concat(writer.takeChunks()))).toEqual(plain.bytes)
    }
  })

  test.each<[unknown, string]>([
    [undefined, 'nothing'],
    [null, 'null'],
    [-0.5, '-0.5'],
    [NaN, 'NaN'],
    [5n, '5n'],
    [true, 'true'],
    ['a"b', '"a\\"b"'],
    ['x'.repeat(60), `"${'x'.repeat(60)}"`],
    ['x'.repeat(61), `"${'x'.repeat(60)}…"`],
    [Symbol('s'), 'Symbol(s)'],
    [() => 1, 'a function'],
    [[1, 2], 'an array of 2'],
    [{ secret: 1 }, 'an object'],
    [Object.create(null), 'an object'],
    [new Date(NaN), 'an invalid Date'],
    [new Date(0), '1970-01-01T00:00:00.000Z'],
    [new Uint8Array(7), '7 bytes'],
  ])('is shown short: %o as %s', (value, shown) => {
    const writer = new ParquetWriter([column('it', typeof value === 'boolean' ? 'int' : 'boolean', true)], { codec: 'uncompressed' })
    expect(() => writer.add({ it: value })).toThrow(expect.objectContaining({ data: expect.objectContaining({ value: shown }) as object }))
  })

  test('is judged by the function of its type alone, which changes nothing', () => {
    expect([toInt32(-0), toInt32(2 ** 31), toInt32('1')]).toEqual([0, undefined, undefined])
    expect([toInt64(2n ** 53n), toInt64(5n), toInt64(2n ** 64n)]).toEqual([2n ** 53n, 5, undefined])
    expect([toText('a'), toText('\ud800'), toText(1)]).toEqual(['a', undefined, undefined])
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    expect([toJsonText(cycle), toJsonText(undefined), toJsonText([undefined])]).toEqual([undefined, undefined, '[null]'])
    const into = new Uint8Array(16).fill(7)
    expect(writeUuid('no uuid', into, 0)).toBe(false)
    expect(into).toEqual(new Uint8Array(16).fill(7))
  })
})

describe('columns and options that are refused', () => {
  const of = (...columns: Column[]) => columns
  const many = (count: number): Column[] => Array.from({ length: count }, (_, i) => column(`c${i}`, 'boolean', false, i))

  test.each<[string, Column[], string, object]>([
    ['none', [], `A Parquet file needs 1 to ${MAX_COLUMNS} columns and was given 0.`, { columns: 0 }],
    ['too many', many(MAX_COLUMNS + 1), `was given ${MAX_COLUMNS + 1}`, { columns: MAX_COLUMNS + 1 }],
    ['an empty name', of(column('', 'int')), '"" cannot be the name of a column. Use a text', { name: '' }],
    ['half a character for a name', of(column('\ud800', 'int')), 'cannot be the name', { name: '\ud800' }],
    ['a name that is no text', of(column(5 as unknown as string, 'int')), '5 cannot be the name', { name: 5 }],
    ['a name that no object can hold', of(column('__proto__', 'int')), 'other than __proto__', {}],
    [
      'a name twice',
      of(column('a', 'int', false, 1), column('a', 'long', false, 2)),
      'Two columns are named "a". Rename one.',
      { name: 'a' },
    ],
    ['a type that every object inherits', of(column('a', 'toString' as ColumnType)), 'Types are boolean, int, long', { type: 'toString' }],
    ['a field id below zero', of(column('a', 'int', false, -1)), 'field id -1. Give a whole number from 0 to 2147483647.', { fieldId: -1 }],
    ['a field id above 31 bits', of(column('a', 'int', false, 2 ** 31)), 'field id 2147483648', { fieldId: 2 ** 31 }],
    ['half a field id', of(column('a', 'int', false, 0.5)), 'field id 0.5', { fieldId: 0.5 }],
    [
      'a field id twice',
      of(column('a', 'int', false, 3), column('b', 'int', false, 3)),
      'Column b has the field id 3 of another column.',
      { name: 'b', fieldId: 3 },
    ],
  ])('for %s, with what to give in its place', (_, columns, words, data) => {
    expect(() => new ParquetWriter(columns, { codec: 'uncompressed' })).toThrow(
      expect.objectContaining({
        code: 'INVALID_SCHEMA',
        retryable: false,
        message: expect.stringContaining(words) as string,
        data: expect.objectContaining(data) as object,
      }),
    )
  })

  test('are few: the most columns are taken, and the largest field id, and names that need care elsewhere', async () => {
    const most = write(many(MAX_COLUMNS), [{ c0: true, [`c${MAX_COLUMNS - 1}`]: false }])
    const [row] = await readBack(most.bytes, { columns: ['c0', 'c1', `c${MAX_COLUMNS - 1}`] })
    expect(row).toEqual({ c0: true, c1: null, [`c${MAX_COLUMNS - 1}`]: false })
    const names = ['a.b', 'a b', '"', "'", '\0', '😀', 'constructor', 'hasOwnProperty', '0', '-1', 'schema', 'a'.repeat(1000)]
    const odd = write(
      names.map((name, i) => column(name, 'int', true, 2 ** 31 - 1 - i)),
      [Object.fromEntries(names.map((name, i) => [name, i]))],
    )
    expect(await readBack(odd.bytes)).toEqual([Object.fromEntries(names.map((name, i) => [name, i]))])
  })

  test.each<[Partial<ParquetOptions>, string]>([
    [{ codec: 'zstd' }, 'needs a compress function for zstd'],
    [{ codec: 'gzip' as 'zstd' }, 'codec "gzip"'],
    [{ rowGroupRows: 0 }, 'rowGroupRows is 0. Give a whole number above zero.'],
    [{ rowGroupRows: 1.5 }, 'rowGroupRows is 1.5'],
    [{ rowGroupRows: NaN }, 'rowGroupRows is NaN'],
    [{ rowGroupBytes: -1 }, 'rowGroupBytes is -1'],
    [{ rowGroupBytes: Infinity }, 'rowGroupBytes is Infinity'],
  ])('for the options %o, with what to give in their place', (options, words) => {
    expect(() => new ParquetWriter([column('a', 'int')], { codec: 'uncompressed', ...options })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringContaining(words) as string }),
    )
  })
})
