import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { decodeValue, encodeValue } from '../../src/base/codec.ts'
import { formatMs, toMs } from '../../src/base/durations.ts'
import { codeOf, DotdoError, fromErrorRecord, isRetryable, toErrorRecord } from '../../src/base/errors.ts'
import { newId } from '../../src/base/ids.ts'
import { ManualClock, SeededRandom } from '../support/fakes.ts'

/** What objects in the field have on their disks. A line may be added; one that changes makes their state unreadable. */
const PINNED: [unknown, string][] = [
  [null, 'jnull'],
  [true, 'jtrue'],
  [0, 'j0'],
  [-1.5e300, 'j-1.5e+300'],
  ['', 'j""'],
  ['größe "😀"\n', 'j"größe \\"😀\\"\\n"'],
  [[], 'j[]'],
  [{ a: [1, { b: null }] }, 'j{"a":[1,{"b":null}]}'],
  [undefined, 'd-1'],
  [NaN, 'd-3'],
  [Infinity, 'd-4'],
  [-Infinity, 'd-5'],
  [-0, 'd-6'],
  [{ a: undefined }, 'd[{"a":-1}]'],
  [new Date(5), 'd[["Date","1970-01-01T00:00:00.005Z"]]'],
  [new Map([['a', 1]]), 'd[["Map",1,2],"a",1]'],
  [new Set([1, 'x']), 'd[["Set",1,2],1,"x"]'],
  [2n ** 64n, 'd[["BigInt","18446744073709551616"]]'],
  [/a"b/gi, 'd[["RegExp","a\\"b","gi"]]'],
  [Uint8Array.of(1, 2, 3), 'd[["Uint8Array",1],["ArrayBuffer","AQID"]]'],
  [new Float64Array([1.5]), 'd[["Float64Array",1],["ArrayBuffer","AAAAAAAA+D8="]]'],
]

describe('the stored form of a value', () => {
  test.each(PINNED)('%o is %s, today and for as long as there are objects', (value, text) => {
    expect(encodeValue(value)).toBe(text)
    expect(decodeValue(text)).toEqual(value)
  })

  test('of an error is its record, and comes back as an error that tells its code', () => {
    const error = new DotdoError('SINK_FULL', 'it is full', { data: { at: 7 }, retryable: true, cause: new Error('at home') })
    const text =
      'd[["Error",1],{"name":2,"message":3,"code":4,"retryable":5,"data":6},"DotdoError","it is full","SINK_FULL",true,{"at":7},7]'
    expect(encodeValue(error)).toBe(text)
    const back = decodeValue(text)
    expect(back).toBeInstanceOf(Error)
    expect(back).toMatchObject({ name: 'DotdoError', message: 'it is full', code: 'SINK_FULL', retryable: true, data: { at: 7 } })
    expect((back as Error).cause).toBeUndefined()
  })

  test.each([
    ['nothing', ''],
    ['a later format', 'k{}'],
    ['JSON without its format', '{"a":1}'],
    ['another letter case', 'J1'],
  ])('that is %s is refused and not guessed at', (_, text) => {
    expect(() => decodeValue(text)).toThrow(
      expect.objectContaining({ code: 'STATE_TOO_NEW', retryable: false, message: expect.stringContaining('Deploy') as string }),
    )
  })

  test.each([
    ['at the top', () => 1, ''],
    ['in an object', { a: { b: () => 1 } }, '.a.b'],
    ['in a list', { rows: [1, { f: Symbol('s') }] }, '.rows[1].f'],
    ['in a map', new Map([['k', { p: Promise.resolve() }]]), '.get("k").p'],
  ])('tells where the part is that cannot be stored: %s', (_, value, path) => {
    expect(() => encodeValue(value, 'the input of run 7')).toThrow(
      expect.objectContaining({ code: 'NOT_STORABLE', retryable: false, data: { what: 'the input of run 7', path } }),
    )
  })

  test.each([64, 65, 66, 500])('keeps %i levels, as plain JSON up to 65 of them', (levels) => {
    let value: unknown = 'leaf'
    for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { in: value }
    const text = encodeValue(value)
    expect(text[0]).toBe(levels <= 65 ? 'j' : 'd')
    expect(decodeValue(text)).toEqual(value)
  })

  test('calls no toJSON: what it would hide is stored as it is, or refused', () => {
    expect(() => encodeValue({ toJSON: () => 'another' })).toThrow(expect.objectContaining({ code: 'NOT_STORABLE' }))
    expect(decodeValue(encodeValue({ toJSON: 'no function' }))).toEqual({ toJSON: 'no function' })
  })
})

describe('an error on its way', () => {
  const error = new DotdoError('X', 'x failed', { data: { id: 7, at: [1] }, retryable: true })

  test.each<[string, (it: unknown) => unknown]>([
    ['JSON', (it) => JSON.parse(JSON.stringify(it)) as unknown],
    ['structuredClone', (it) => structuredClone(it)],
    ['storage', (it) => decodeValue(encodeValue(it))],
  ])('keeps its record through %s', (_, carry) => {
    const back = fromErrorRecord(carry(toErrorRecord(error)) as ReturnType<typeof toErrorRecord>)
    expect(back).toMatchObject({ name: 'DotdoError', message: 'x failed', code: 'X', retryable: true, data: { id: 7, at: [1] } })
    expect([codeOf(back), isRetryable(back)]).toEqual(['X', true])
  })

  test('keeps no more than name, message, code, retryable and data', () => {
    const noisy = Object.assign(new RangeError('out'), { code: 'E', retryable: false, data: { a: 1 }, secret: 's', cause: error })
    expect(toErrorRecord(noisy)).toEqual({ name: 'RangeError', message: 'out', code: 'E', retryable: false, data: { a: 1 } })
  })

  test.each<[string, object]>([
    ['a code that is no text', { code: 5 }],
    ['data that is a list', { data: [1] }],
    ['data that is null', { data: null }],
    ['a retryable that is no boolean', { retryable: 'no' }],
  ])('leaves out %s', (_, parts) => {
    expect(toErrorRecord({ name: 'E', message: 'm', ...parts })).toEqual({ name: 'E', message: 'm' })
  })

  test.each<[string, unknown, boolean]>([
    ['one that says it can', { name: 'E', message: 'm', retryable: true }, true],
    ['one that says it cannot', { name: 'E', message: 'm', retryable: false }, false],
    ['one that says nothing', new Error('m'), true],
    ['one that is text', 'm', true],
    ['one that is nothing', undefined, true],
    ['one that is no error at all, though it says so', { retryable: false }, true],
  ])('and whether %s can be tried again', (_, thrown, retryable) => {
    expect(isRetryable(thrown)).toBe(retryable)
  })

  test('has its cause at home alone, and none where none was given', () => {
    const cause = new Error('why')
    expect(new DotdoError('X', 'x', { cause }).cause).toBe(cause)
    expect('cause' in new DotdoError('X', 'x')).toBe(false)
  })
})

describe('durations', () => {
  const units: [string, number][] = [
    ['ms millisecond milliseconds', 1],
    ['s sec second seconds', 1000],
    ['m min minute minutes', 60_000],
    ['h hour hours', 3_600_000],
    ['d day days', 86_400_000],
    ['w week weeks', 604_800_000],
  ]
  const names = units.flatMap(([list, ms]) => list.split(' ').map((name): [string, number] => [name, ms]))

  test.each(names)('2 %s are twice %i ms, with a space or without, in any case', (name, ms) => {
    for (const text of [`2${name}`, `2 ${name}`, ` 2  ${name.toUpperCase()} `, `2.0${name}`]) expect(toMs(text)).toBe(2 * ms)
  })

  test.each([
    ['0s', 0],
    ['0.5s', 500],
    ['0.0004s', 0],
    ['0.0005s', 1],
    ['1.0005 s', 1001],
    [0, 0],
    [0.25, 0.25],
    [Number.MAX_VALUE, Number.MAX_VALUE],
  ])('%s is %d ms: text is rounded to milliseconds, a number stands as it is', (duration, ms) => {
    expect(toMs(duration)).toBe(ms)
  })

  test.each(['1h30m', '1 h 30 m', 's', '.5s', '5.s', '1e3ms', '+5s', '5 s ago', '5\u00a0months', '٥s', '-0s'])(
    '%j is refused, and told how to write it',
    (text) => {
      expect(() => toMs(text)).toThrow(
        expect.objectContaining({
          code: 'INVALID_DURATION',
          data: { duration: text },
          message: expect.stringContaining("'15m'") as string,
        }),
      )
    },
  )

  test.each([
    [999.49, '999 ms'],
    [1049, '1.0 s'],
    [1051, '1.1 s'],
    [59_900, '59.9 s'],
    [60_000, '1 min 0 s'],
    [3_599_499, '59 min 59 s'],
    [3_599_501, '1 h 0 min'],
    [2 * 3_600_000 + 5 * 60_000, '2 h 5 min'],
    [86_369_999, '23 h 59 min'],
    [52 * 3_600_000, '2 d 4 h'],
  ])('%d ms are printed as %s', (ms, text) => {
    expect(formatMs(ms)).toBe(text)
  })
})

describe('ids', () => {
  const body = (ms: number, seed = 1) => newId('x', new ManualClock(ms), new SeededRandom(seed)).slice(2)

  test('begin with their time in ten digits of base 32, highest first', () => {
    expect(body(0).slice(0, 10)).toBe('0000000000')
    expect(body(31).slice(0, 10)).toBe('000000000z')
    expect(body(32).slice(0, 10)).toBe('0000000010')
    // The example of the ULID specification.
    expect(body(1_469_918_176_385).slice(0, 10)).toBe('01aryz6s41')
    expect(body(2 ** 48 - 1).slice(0, 10)).toBe('7zzzzzzzzz')
  })

  test('sort by time over every carry of their digits, as ULIDs do', () => {
    for (let digit = 1; digit < 10; digit++) {
      const at = 32 ** digit
      expect(body(at - 1, digit) < body(at, digit + 1)).toBe(true)
      expect(body(at, digit) < body(at + 1, digit + 1)).toBe(true)
    }
  })

  test('differ where the clock stands still or goes back', () => {
    const clock = new ManualClock()
    const random = new SeededRandom(9)
    const ids = Array.from({ length: 2000 }, (_, i) => ((clock.ms -= i % 2), newId('e', clock, random)))
    expect(new Set(ids).size).toBe(2000)
  })

  test('take every letter of the alphabet, and none that is read as another', () => {
    const letters = new Set(Array.from({ length: 200 }, (_, seed) => body(0, seed).slice(10)).join(''))
    expect([...letters].toSorted().join('')).toBe('0123456789abcdefghjkmnpqrstvwxyz')
  })

  test('keep the prefix as it is given', () => {
    expect(newId('', new ManualClock(0), new SeededRandom())).toMatch(/^_0{10}.{16}$/)
    expect(newId('a_b', new ManualClock(0), new SeededRandom())).toMatch(/^a_b_0{10}.{16}$/)
  })
})

describe('tables with a version', () => {
  const textsIn = (folder: URL): string[] =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => readFileSync(new URL(path, folder), 'utf8'))

  test('are pinned, whichever room has them: some test has the hashes of its migrations', () => {
    const rooms = textsIn(new URL('../../src/', import.meta.url)).flatMap((text) => [
      ...text.matchAll(/\bmigrate\([\w.#]+, '([\w-]+)', (\w+)\)/g),
    ])
    const tests = textsIn(new URL('../', import.meta.url)).filter((text) => /createHash\(|sha256\(/.test(text))
    expect(rooms.length).toBeGreaterThan(13)
    expect(rooms.filter(([, , name]) => !tests.some((text) => text.includes(name!))).map(([, room]) => room)).toEqual([])
  })
})
