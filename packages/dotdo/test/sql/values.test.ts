import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { cellBytes, compareCells, compareText, fitsInt64, groupKey, toCell, toScalar, type Cell } from '../../src/sql/values.ts'

const sqlite = new DatabaseSync(':memory:')
const order = sqlite.prepare('SELECT (?1 < ?2) AS less, (?1 = ?2) AS equal')
const kinds = sqlite.prepare('SELECT typeof(?1) < typeof(?2) AS x')

// Text of any kind of letter, with the places where UTF-16 and UTF-8 order differ.
const text = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: fc.constantFrom('a', 'é', '\ud7ff', '\ue000', '\uffff', '😀', '\u{10ffff}') }),
)
const cell: fc.Arbitrary<Cell> = fc.oneof(
  fc.constant(null),
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map(toCell),
  fc.constantFrom<Cell>(2 ** 53, 2n ** 53n + 1n, 2 ** 60, 2n ** 60n, 2n ** 60n + 1n, 1e19, -0, 0),
  text,
  fc.uint8Array({ maxLength: 4 }),
)

describe('the order of values', () => {
  test('is that of SQLite between values of one type', () => {
    const pairs = fc.oneof(
      fc.tuple(text, text),
      fc.tuple(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 4 })),
      fc.tuple(fc.double({ noNaN: true }), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)),
    )
    fc.assert(
      fc.property(pairs, ([a, b]) => {
        // A NUL ends the text of a parameter in some readers; it is tested below.
        if (typeof a === 'string' && (a.includes('\0') || String(b).includes('\0'))) return
        const { less, equal } = order.get(a, b)!
        const ours = compareCells(a, b)
        expect([ours < 0 ? 1 : 0, ours === 0 ? 1 : 0]).toEqual([less, equal])
      }),
      { numRuns: 5000 },
    )
    expect(kinds.get(1, 'x')).toBeDefined()
  })

  test('puts NULL before numbers, numbers before text, text before blobs', () => {
    const sorted: Cell[] = [
      null,
      -Infinity,
      -(2n ** 63n),
      -1,
      0,
      0.5,
      1,
      2n ** 60n,
      Infinity,
      '',
      '1',
      'a',
      '\uffff',
      '😀',
      new Uint8Array([]),
      new Uint8Array([0]),
    ]
    expect(sorted.toReversed().toSorted(compareCells)).toEqual(sorted)
  })

  test('is total: antisymmetric and transitive', () => {
    fc.assert(
      fc.property(cell, cell, cell, (a, b, c) => {
        expect(Math.sign(compareCells(a, b))).toBe(-Math.sign(compareCells(b, a)) + 0)
        if (compareCells(a, b) <= 0 && compareCells(b, c) <= 0) expect(compareCells(a, c)).toBeLessThanOrEqual(0)
      }),
      { numRuns: 5000 },
    )
  })

  test('of text is by code point, which is not the order of UTF-16', () => {
    expect(compareText('\uffff', '😀')).toBeLessThan(0)
    expect(['😀', '\uffff'].toSorted()).toEqual(['😀', '\uffff'])
    expect(compareText('a\0b', 'a\0c')).toBeLessThan(0)
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareText(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))))
      }),
      { numRuns: 5000 },
    )
  })

  test('of integers and reals is exact beyond 2^53', () => {
    expect(compareCells(2n ** 60n + 1n, 2 ** 60)).toBeGreaterThan(0)
    expect(compareCells(2n ** 60n, 2 ** 60)).toBe(0)
    expect(compareCells(2n ** 53n + 1n, 2 ** 53)).toBeGreaterThan(0)
  })
})

describe('the key of a group', () => {
  test('is the same for equal values and for no others', () => {
    fc.assert(
      fc.property(fc.array(cell, { minLength: 1, maxLength: 3 }), fc.array(cell, { minLength: 1, maxLength: 3 }), (a, b) => {
        const equal = a.length === b.length && a.every((it, i) => compareCells(it, b[i]!) === 0)
        expect(groupKey(a) === groupKey(b)).toBe(equal)
      }),
      { numRuns: 10_000 },
    )
  })

  test.each<[Cell[], Cell[], boolean]>([
    [[1], [1], true],
    [[1], ['1'], false],
    [[0], [-0], true],
    [[2 ** 60], [2n ** 60n], true],
    [[2n ** 60n + 1n], [2 ** 60], false],
    [[1e300], [BigInt(1e300)], true],
    [[null], ['n'], false],
    [['a', 'b'], ['ab', ''], false],
    [['1:'], ['1', ''], false],
    [['t1:a'], ['a'], false],
    [[1, 2], [12], false],
    [[new Uint8Array([97])], ['a'], false],
    [[new Uint8Array([1, 35])], [new Uint8Array([18, 3])], false],
    [[Infinity], [-Infinity], false],
  ])('case %#', (a, b, same) => {
    expect(groupKey(a) === groupKey(b)).toBe(same)
  })
})

describe('cells and scalars', () => {
  test('an integer is a number while it is safe, a bigint beyond', () => {
    expect([toCell(5n), toCell(2n ** 53n - 1n), toCell(2n ** 53n), toCell(-(2n ** 53n))]).toEqual([5, 2 ** 53 - 1, 2n ** 53n, -(2n ** 53n)])
    expect(Object.is(toCell(-0), 0)).toBe(true)
    expect([toCell('x'), toCell(null), toCell(1.5)]).toEqual(['x', null, 1.5])
  })

  test('a scalar tells INTEGER from REAL', () => {
    expect([toScalar(4, 'i'), toScalar(4, 'r'), toScalar(2n ** 60n, 'i'), toScalar('4', 't'), toScalar(null, 'n')]).toEqual([
      4n,
      4,
      2n ** 60n,
      '4',
      null,
    ])
  })

  test('64 bits have a least and a greatest', () => {
    expect([fitsInt64(2n ** 63n - 1n), fitsInt64(2n ** 63n), fitsInt64(-(2n ** 63n)), fitsInt64(-(2n ** 63n) - 1n)]).toEqual([
      true,
      false,
      true,
      false,
    ])
  })

  test('the estimate of bytes grows with what grows', () => {
    expect(cellBytes('x'.repeat(1000))).toBeGreaterThan(2000)
    expect(cellBytes(new Uint8Array(1000))).toBeGreaterThan(1000)
    expect(cellBytes(null)).toBe(8)
  })
})
