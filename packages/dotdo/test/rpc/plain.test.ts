import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { copyPlain, notPlain } from '../../src/rpc/plain.ts'

const plainLeaf = fc.oneof(
  fc.string(),
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.bigInt(),
  fc.constantFrom(null, undefined, -0, NaN, Infinity),
  fc.date({ noInvalidDate: false }),
  fc.uint8Array(),
)
const key = fc.string().filter((it) => !(it in Object.prototype) && it !== 'toJSON')
const plain = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    plainLeaf,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
})).value

describe('plain data', () => {
  test('is copied as it is', () => {
    fc.assert(
      fc.property(plain, fc.boolean(), (value, copyBytes) => {
        expect(copyPlain(value, copyBytes)).toStrictEqual(value)
      }),
      { numRuns: 500 },
    )
  })

  test('keeps what it was when the original changes afterwards', () => {
    const original = { list: [1, { deep: 'a' }], bytes: new Uint8Array([1, 2, 3]), at: new Date(5) }
    const copy = copyPlain(original, true)
    original.list.push(2)
    ;(original.list[1] as { deep: string }).deep = 'b'
    original.bytes[0] = 9
    original.at.setTime(7)
    expect(copy).toEqual({ list: [1, { deep: 'a' }], bytes: new Uint8Array([1, 2, 3]), at: new Date(5) })
  })

  test('gives two places that share an object one each', () => {
    const shared = { n: 1 }
    const bytes = new Uint8Array([1])
    const [a, b, c, d] = copyPlain([shared, shared, bytes, bytes], false) as [object, object, Uint8Array, Uint8Array]
    expect(a).not.toBe(b)
    expect(c.buffer).not.toBe(d.buffer)
  })

  test('takes of a view only its own part along', () => {
    const view = new Uint8Array(new ArrayBuffer(1000), 10, 4)
    expect((copyPlain(view, false) as Uint8Array).buffer.byteLength).toBe(4)
  })

  test('that is whole is not copied where nobody can change it', () => {
    const bytes = new Uint8Array(8)
    expect(copyPlain(bytes, false)).toBe(bytes)
    expect(copyPlain(bytes, true)).not.toBe(bytes)
  })

  class Thing {
    n = 1
  }
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  test.each<[string, unknown]>([
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a Map', new Map()],
    ['a Set', new Set()],
    ['an instance of a class', new Thing()],
    ['an object without a prototype', Object.create(null)],
    ['an error', new Error('e')],
    ['another typed array', new Float64Array(2)],
    ['a buffer of Node', Buffer.from('a')],
    ['bytes that are shared between threads', new Uint8Array(new SharedArrayBuffer(2))],
    ['a list with holes', [1, , 3]], // oxlint-disable-line no-sparse-arrays
    ['a key that every object has', { toString: 1 }],
    ['a key that JSON asks', { toJSON: 1 }],
    ['a cycle', cycle],
    ['a promise', Promise.resolve(1)],
    ['a stream', new ReadableStream()],
    ['a URL', new URL('http://a/')],
  ])('%s is not plain, wherever it stands', (_, value) => {
    expect(copyPlain(value, true)).toBe(notPlain)
    expect(copyPlain([1, { a: [value] }], true)).toBe(notPlain)
  })
})
