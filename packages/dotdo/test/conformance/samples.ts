/** Values that a link must carry, by name: both ends have this table, so either can send one that the other knows. */
import { DotdoError } from '../../src/base/errors.ts'
import { nameKey } from '../../src/rpc/errors.ts'
import type { Far } from './kit.ts'

/** What a sample is made by; made anew for each use, so that nobody sees what another did to it. */
const made: Record<string, () => unknown> = {
  'an empty text': () => '',
  'a text of many scripts': () => 'Zürich, 東京, 🚀, \u0000\u001f"\\\u2028',
  'a text with half a character': () => 'broken \ud83d here',
  'a long text': () => 'x'.repeat(100_000),
  true: () => true,
  false: () => false,
  zero: () => 0,
  'minus zero': () => -0,
  'the largest whole number': () => Number.MAX_SAFE_INTEGER,
  'the smallest number': () => 5e-324,
  'the largest number': () => Number.MAX_VALUE,
  'a fraction': () => 0.1 + 0.2,
  NaN: () => Number.NaN,
  Infinity: () => Infinity,
  '-Infinity': () => -Infinity,
  null: () => null,
  undefined: () => undefined,
  'a big integer': () => 2n ** 200n,
  'a negative big integer': () => -(2n ** 70n),
  'zero as a big integer': () => 0n,
  'a date': () => new Date(1_700_000_000_123),
  'a date before the epoch': () => new Date(-1),
  'an invalid date': () => new Date(Number.NaN),
  bytes: () => Uint8Array.from({ length: 256 }, (_, i) => i),
  'no bytes': () => new Uint8Array(0),
  'bytes that end in =': () => Uint8Array.of(61, 61, 61),
  'a part of bytes': () => Uint8Array.of(9, 1, 2, 3, 9).subarray(1, 4),
  ArrayBuffer: () => Uint8Array.of(1, 2, 255).buffer,
  DataView: () => new DataView(Uint8Array.of(9, 1, 2, 9).buffer, 1, 2),
  Int8Array: () => Int8Array.of(-128, 0, 127),
  Uint8ClampedArray: () => Uint8ClampedArray.of(0, 255),
  Int16Array: () => Int16Array.of(-32768, 32767),
  Uint16Array: () => Uint16Array.of(0, 65535),
  Int32Array: () => Int32Array.of(-(2 ** 31), 2 ** 31 - 1),
  Uint32Array: () => Uint32Array.of(0, 2 ** 32 - 1),
  Float32Array: () => Float32Array.of(-0, 1.5, Number.NaN, Infinity),
  Float64Array: () => Float64Array.of(-0, 0.1, -Infinity),
  BigInt64Array: () => BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n),
  BigUint64Array: () => BigUint64Array.of(0n, 2n ** 64n - 1n),
  'a part of a Float64Array': () => Float64Array.of(1, 2, 3, 4).subarray(1, 3),
  'an empty list': () => [],
  'a list of lists': () => [[], [[]], [[1], [[2]]]],
  'undefined in a list': () => [undefined, 1, undefined],
  'a list of everything': () => [null, true, 1, 'x', 2n, new Date(0), Uint8Array.of(1), [undefined], { a: undefined }],
  // What the wire itself is made of: a user's list may look like it.
  'a list that looks like a call': () => ['pipeline', 0, ['square'], [2]],
  'a list that looks like bytes': () => ['bytes', 'AQID'],
  'lists that look like references': () => [['import', 0], ['export', -1], ['promise', 1], ['undefined'], ['nan'], ['error', 'Error', 'x']],
  'an empty object': () => ({}),
  'an object of objects': () => ({ a: { b: { c: [{ d: 1 }] } } }),
  'undefined in an object': () => ({ none: undefined, some: 1 }),
  'keys of any kind': () => ({ '': 1, ' ': 2, '0': 3, 'a.b': 4, ключ: 5, '🚀': 6, length: 7, name: 8, prototype: 9 }),
  'depth of a hundred': () => Array.from({ length: 100 }).reduce<unknown>((inner, _, i) => (i % 2 ? [inner] : { inner }), 'core'),
  'a frozen object': () => Object.freeze({ a: Object.freeze([1]) }),
  'a thousand rows': () => Array.from({ length: 1000 }, (_, i) => ({ id: i, name: `row ${i}`, at: new Date(i) })),
  'an error': () => new Error('plain'),
  'a TypeError': () => new TypeError('typed'),
  'an error with a code': () => Object.assign(new Error('coded'), { code: 'CODED', retryable: true, data: { part: 7 } }),
  'errors in a list': () => [new RangeError('far'), { inner: new SyntaxError('odd') }],
  'an address': () => new URL('https://example.com/a?b=c#d'),
  'HTTP headers': () => new Headers({ accept: 'text/plain', 'x-one': '1' }),
}

/** The names of all samples. */
export const sampleNames: readonly string[] = Object.keys(made)

/** A sample, made anew. */
export function sampleOf(name: string): unknown {
  const make = made[name]
  if (!make) throw new Error(`no sample is called ${name}`)
  return make()
}

/** What arrives of a sample where the wire is JSON: there is one zero in it. */
export function sampleOnJson(name: string): unknown {
  return name === 'minus zero' ? 0 : sampleOf(name)
}

/** Values that no link carries, and a word of why. */
export const refusedValues: Record<string, () => unknown> = {
  'a Map': () => new Map([[1, 2]]),
  'a Set': () => new Set([1]),
  'a WeakMap': () => new WeakMap(),
  'a RegExp': () => /x/,
  'a symbol': () => Symbol('x'),
  'an object without a prototype': () => Object.create(null) as unknown,
  'an object of a class': () =>
    new (class Point {
      x = 1
    })(),
  'an object that inherits': () => Object.create({ a: 1 }) as unknown,
  'a list of a class': () => new (class Rows extends Array {})(),
  'a date of a class': () => new (class Day extends Date {})(),
  'bytes of a class': () => new (class Page extends Uint8Array {})(2),
  'a boxed number': () => Object(1) as unknown,
  'a boxed text': () => Object('x') as unknown,
  'a WeakRef': () => new WeakRef({}),
  'an async generator': () =>
    (async function* () {
      yield await Promise.resolve(1)
    })(),
  'a generator': () =>
    (function* () {
      yield 1
    })(),
  'an object in a circle': () => {
    const circle: Far = { name: 'circle' }
    circle.self = circle
    return circle
  },
  'a list in a circle': () => {
    const circle: Far = []
    circle.push(circle)
    return circle
  },
  'depth without end': () => Array.from({ length: 1000 }).reduce<unknown>((inner) => ({ inner }), 1),
}

/** What a world throws. */
export const failures = {
  plain: () => new Error('it broke'),
  coded: () => Object.assign(new RangeError('too far'), { code: 'TOO_FAR', retryable: true, data: { by: 3, at: new Date(5) } }),
  owned: () => Object.assign(new Error('owned'), { code: 'OWNED', status: 404, details: { reason: 'x', tries: [1, 2] } }),
  caused: () => new Error('outer', { cause: new TypeError('the inner secret') }),
  gathered: () => new AggregateError([new TypeError('a'), new RangeError('b')], 'gathered'),
  unsendable: () => Object.assign(new Error('held'), { code: 'HELD', bad: new Map(), worse: Symbol('x') }),
  circular: () => {
    const error: Far = Object.assign(new Error('round'), { code: 'ROUND' })
    error.self = error
    return error as Error
  },
  text: () => 'just a text',
  null: () => null,
  undefined: () => undefined,
  object: () => ({ reason: 'an object' }),
  named: () => Object.assign(new Error('of a class'), { name: 'PaymentError' }),
  dotdos: () => new DotdoError('DECLINED', 'declined', { data: { card: 4 }, retryable: true }),
  gatheredNamed: () => new AggregateError([failures.named(), new TypeError('b')], 'gathered'),
  namedAtLength: () => Object.assign(new Error('long'), { name: 'x'.repeat(100_000) }),
  // Whoever speaks capnweb without dotdo may send anything by the property of the name.
  misnamed: () => Object.assign(new TypeError('odd'), { [nameKey]: { toString: 'no text' } }),
} as const
