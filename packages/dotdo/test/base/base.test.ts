import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { decodeValue, encodeValue } from '../../src/base/codec.ts'
import { formatMs, toMs } from '../../src/base/durations.ts'
import { codeOf, DotdoError, fromErrorRecord, isRetryable, toErrorRecord } from '../../src/base/errors.ts'
import { newId } from '../../src/base/ids.ts'
import { migrate } from '../../src/base/migrations.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'
import { SqliteStore } from '../support/sqlite-store.ts'

describe('errors', () => {
  test('code, data and retryable survive being stored', () => {
    const back = fromErrorRecord(
      JSON.parse(JSON.stringify(toErrorRecord(new DotdoError('X', 'x failed', { data: { id: 7 }, retryable: true })))),
    )
    expect(back).toMatchObject({ name: 'DotdoError', code: 'X', message: 'x failed', data: { id: 7 }, retryable: true })
  })
  test('anything can be thrown and is recorded', () => {
    expect(toErrorRecord('plain text')).toEqual({ name: 'Error', message: 'plain text' })
    expect(toErrorRecord(new TypeError('no'))).toEqual({ name: 'TypeError', message: 'no' })
  })
  test('what was recorded is recorded the same again, with or without a code', () => {
    const record = fc.record(
      {
        name: fc.string(),
        message: fc.string(),
        code: fc.string(),
        retryable: fc.boolean(),
        data: fc.dictionary(fc.string(), fc.string()),
      },
      { requiredKeys: ['name', 'message'] },
    )
    fc.assert(
      fc.property(record, (it) => {
        const back = toErrorRecord(fromErrorRecord(it))
        expect(back).toEqual(it.code === undefined ? it : { retryable: false, data: {}, ...it })
        expect(isRetryable(fromErrorRecord(it))).toBe(it.code === undefined ? it.retryable !== false : it.retryable === true)
      }),
    )
  })
  test.each<[string, unknown]>([
    ['no text', Object.create(null)],
    [
      'accessors that throw',
      {
        name: 'E',
        get message() {
          throw new Error('gotcha')
        },
      },
    ],
    ['parts that are no text', { name: 5, message: { toString: () => 'm' } }],
    ['a symbol', Symbol('s')],
    ['nothing', undefined],
  ])('a value with %s is recorded too, as text', (_, value) => {
    const { name, message } = toErrorRecord(value)
    expect([typeof name, typeof message]).toEqual(['string', 'string'])
  })
  test('only an error that says so is terminal', () => {
    expect(isRetryable(new DotdoError('X', 'x'))).toBe(false)
    expect(isRetryable(new Error('socket hang up'))).toBe(true)
    expect(codeOf(new Error('none'))).toBeUndefined()
  })
})

describe('durations', () => {
  test.each([
    ['250ms', 250],
    ['10s', 10_000],
    ['15 minutes', 900_000],
    ['2h', 7_200_000],
    ['1.5 d', 129_600_000],
    [42, 42],
  ])('%s is %i ms', (text, ms) => {
    expect(toMs(text)).toBe(ms)
  })
  test.each([
    '',
    'soon',
    '10',
    '-5s',
    '5 fortnights',
    '5 constructor',
    '5 __proto__',
    '5 toString',
    `${'9'.repeat(400)}d`,
    -1,
    NaN,
    Infinity,
  ])('%s is refused', (text) => {
    expect(() => toMs(text)).toThrow(expect.objectContaining({ code: 'INVALID_DURATION' }))
  })
  test('lengths of time are printed for people', () => {
    expect([850, 12_340, 245_000].map(formatMs)).toEqual(['850 ms', '12.3 s', '4 min 5 s'])
    expect([0, 999.4, 999.5, 59_949, 59_950, 119_499, 119_500].map(formatMs)).toEqual([
      '0 ms',
      '999 ms',
      '1.0 s',
      '59.9 s',
      '1 min 0 s',
      '1 min 59 s',
      '2 min 0 s',
    ])
  })
})

describe('ids', () => {
  test('ids sort by time and do not repeat', () => {
    const clock = new ManualClock()
    const random = new SeededRandom()
    const ids = Array.from({ length: 500 }, () => (clock.advance(1), newId('run', clock, random)))
    expect(ids.toSorted()).toEqual(ids)
    expect(new Set(ids).size).toBe(500)
    expect(ids[0]).toMatch(/^run_[0-9a-hjkmnp-tv-z]{26}$/)
  })
})

describe('stored values', () => {
  const key = fc.string().filter((it) => it !== '__proto__')
  const jsonOrNot = fc.anything({
    key,
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withSparseArray: true,
    withNullPrototype: false,
  })
  test('whatever can be stored comes back as it was', () => {
    fc.assert(
      fc.property(jsonOrNot, (value) => {
        expect(decodeValue(encodeValue(value))).toEqual(value)
      }),
      { numRuns: 2000 },
    )
  })
  test('minus zero, undefined, dates and errors are told apart', () => {
    expect(Object.is(decodeValue(encodeValue(-0)), -0)).toBe(true)
    expect(decodeValue(encodeValue({ a: undefined }))).toStrictEqual({ a: undefined })
    expect(decodeValue(encodeValue(new Date(5)))).toEqual(new Date(5))
    expect(decodeValue(encodeValue({ e: new DotdoError('X', 'x') }))).toMatchObject({ e: { code: 'X' } })
  })
  test('a shared reference stays shared, a cycle stays a cycle', () => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    const back = decodeValue(encodeValue(cycle)) as typeof cycle
    expect(back.self).toBe(back)
    const shared = { x: 1 }
    const both = decodeValue(encodeValue({ a: shared, b: shared })) as { a: unknown; b: unknown }
    expect(both.a).toBe(both.b)
  })
  test('a value that shares at every level is stored in the time of its size', () => {
    let value: unknown = { leaf: true }
    for (let i = 0; i < 60; i++) value = { left: value, right: value }
    expect(encodeValue(value).length).toBeLessThan(10_000)
  })
  test.each([
    ['a function', { f: () => 1 }],
    ['a symbol', { s: Symbol('s') }],
    ['an instance', { r: new (class Room {})() }],
  ])('%s is refused by name', (_, value) => {
    expect(() => encodeValue(value, "the result of step 'load'")).toThrow(
      expect.objectContaining({ code: 'NOT_STORABLE', message: expect.stringContaining("step 'load'") }),
    )
  })
  test("an own '__proto__' is refused, at any depth: read back, it would be a prototype", () => {
    for (const value of [JSON.parse('{"__proto__":{"admin":true}}'), [{ deep: JSON.parse('{"__proto__":1}') }]]) {
      expect(() => encodeValue(value)).toThrow(expect.objectContaining({ code: 'NOT_STORABLE' }))
    }
  })
  test('a format from the future is refused, not misread', () => {
    expect(() => decodeValue('z{}')).toThrow(expect.objectContaining({ code: 'STATE_TOO_NEW' }))
  })
})

describe('migrations', () => {
  const first = [['CREATE TABLE a (x)']]
  const second = [...first, ['ALTER TABLE a ADD COLUMN y', 'UPDATE a SET y = 1']]
  test('older tables are brought forward, once', () => {
    const store = new SqliteStore()
    migrate(store, 'room', first)
    store.sql('INSERT INTO a VALUES (7)')
    migrate(store, 'room', second)
    migrate(store, 'room', second)
    expect(store.sql('SELECT * FROM a')).toEqual([{ x: 7, y: 1 }])
  })
  test('tables of a later release are refused and left alone', () => {
    const store = new SqliteStore()
    migrate(store, 'room', second)
    expect(() => migrate(store, 'room', first)).toThrow(expect.objectContaining({ code: 'STATE_TOO_NEW' }))
  })
  test('a migration that fails halfway leaves the older version', () => {
    const store = new SqliteStore()
    migrate(store, 'room', first)
    expect(() => migrate(store, 'room', [...first, ['ALTER TABLE a ADD COLUMN z', 'nonsense']])).toThrow()
    expect(store.sql("SELECT version FROM dotdo_versions WHERE room = 'room'")).toEqual([{ version: 1 }])
    expect(() => store.sql('SELECT z FROM a')).toThrow()
  })
})
