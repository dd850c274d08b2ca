import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Frame } from '../../src/rpc/frames.ts'
import { ownBytes } from '../../src/rpc/own-bytes.ts'

describe('the bytes of a frame', () => {
  test('are a copy: what is written to the original later is not in it', () => {
    const bytes = Uint8Array.of(1, 2, 3)
    const frame = ownBytes(['push', ['pipeline', 0, ['write'], [['bytes', bytes]]]])
    bytes[0] = 99
    expect(frame).toEqual(['push', ['pipeline', 0, ['write'], [['bytes', Uint8Array.of(1, 2, 3)]]]])
  })

  test('are only those of the view, however large its buffer is', () => {
    const [, view] = ownBytes(['bytes', new Uint8Array(1 << 20).subarray(10, 14), 'Float32Array']) as [string, Uint8Array]
    expect(view.buffer.byteLength).toBe(4)
    expect(structuredClone(view).buffer.byteLength).toBe(4)
  })

  test('a Buffer becomes plain bytes', () => {
    const [, view] = ownBytes(['bytes', Buffer.from('abc')]) as [string, Uint8Array]
    expect(Object.getPrototypeOf(view)).toBe(Uint8Array.prototype)
  })

  test('dates are copied, where they stand alone and where they stand deep', () => {
    const at = new Date(5)
    const frame = ownBytes(['resolve', 1, { list: [[at]], at }])
    at.setTime(99)
    expect(frame).toEqual(['resolve', 1, { list: [[new Date(5)]], at: new Date(5) }])
  })

  test('a user’s list that looks like bytes is a list', () => {
    expect(ownBytes(['resolve', 1, [['bytes', [['x']]]]])).toEqual(['resolve', 1, [['bytes', [['x']]]]])
  })

  test('an object that was given another prototype by a key `__proto__` is a plain one again', () => {
    const object = Object.assign(Object.create({ polluted: true }) as object, { a: 1 })
    const [, , value] = ownBytes(['resolve', 1, object])
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
    expect(value).toEqual({ a: 1 })
  })

  test('that were given away fail the one answer that holds them, and refuse the message of a call', () => {
    const bytes = Uint8Array.of(1)
    structuredClone(bytes, { transfer: [bytes.buffer] })
    const [kind, id, error] = ownBytes(['resolve', 7, { list: [[['bytes', bytes]]] }])
    expect([kind, id]).toEqual(['reject', 7])
    expect(error).toEqual([
      'error',
      'DotdoError',
      expect.stringContaining('given away'),
      null,
      expect.objectContaining({ code: 'NOT_SENDABLE' }),
    ])
    expect(() => ownBytes(['push', ['pipeline', 0, ['take'], [['bytes', bytes]]]])).toThrow(
      expect.objectContaining({ code: 'NOT_SENDABLE' }),
    )
  })

  test('every frame stays what it was', () => {
    const plain = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.string(),
        fc.double(),
        fc.bigInt(),
        fc.constant(undefined),
        tie('bytes'),
        fc.date(),
        tie('list'),
        tie('object'),
      ),
      bytes: fc.uint8Array({ maxLength: 8 }).map((bytes) => ['bytes', bytes]),
      list: fc.array(tie('value'), { maxLength: 4 }).map((list) => [list]),
      object: fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }),
    })).value
    fc.assert(
      fc.property(plain, (value) => {
        const before = structuredClone(value)
        expect(ownBytes(['resolve', 1, value] as Frame)).toEqual(['resolve', 1, before])
      }),
      { numRuns: 500 },
    )
  })
})
