import { describe, expect, test } from 'vitest'
import { hasParts, withParts } from '../../src/rpc/changed-parts.ts'

const double = (part: unknown) => (typeof part === 'number' ? part * 2 : part)

describe('a value with its parts changed', () => {
  test.each([
    [
      [1, 'a', 2],
      [2, 'a', 4],
    ],
    [
      { a: 1, b: 'b' },
      { a: 2, b: 'b' },
    ],
  ])('is a copy where one is another: %j', (value, expected) => {
    const before = structuredClone(value)
    expect(withParts(value, double)).toEqual(expected)
    expect(value).toEqual(before)
  })

  test.each([[['a', null]], [{ a: 'a', b: undefined }], [[]], [{}]])('is itself where none is: %j', (value) => {
    expect(withParts(value, double)).toBe(value)
  })

  test.each([
    [new Uint8Array([1])],
    [new Date(1)],
    [new Map([[1, 1]])],
    [
      new (class Own {
        part = 1
      })(),
    ],
    [new (class List extends Array {})(1)],
    [() => 1],
    ['text'],
    [null],
  ])('is itself where it is no list and no plain object: %s', (value) => {
    expect(hasParts(value)).toBe(false)
    expect(withParts(value, () => 'changed')).toBe(value)
  })

  test('has its holes where they were, and is as long', () => {
    const value = [1, , 3] // oxlint-disable-line no-sparse-arrays -- what a user may pass
    expect(withParts(value, double)).toHaveLength(3)
  })

  test('looks one level deep: the rest is for whoever changes', () => {
    expect(withParts({ a: [1], b: 1 }, double)).toEqual({ a: [1], b: 2 })
  })
})
