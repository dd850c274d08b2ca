import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  firstMismatch,
  maxMatchSteps,
  maxPatternDepth,
  maxPatternNodes,
  patternBudget,
  readPatterns,
  type Pattern,
  type PatternRules,
} from '../../src/rpc/patterns.ts'

const matches = (pattern: Pattern, value: unknown) => firstMismatch([pattern], [value]) < 0
const read = (patterns: unknown) => readPatterns(patterns, 'where.run', patternBudget())

describe('an argument is what its pattern says', () => {
  const day = (n: number) => new Date(Date.UTC(2026, 0, n))
  test.each<[Pattern, unknown[], unknown[]]>([
    ['a', ['a'], ['b', 'A', '', undefined, ['a'], Object('a')]],
    [5, [5], ['5', 5n, 5.5, NaN]],
    [5n, [5n], [5, '5']],
    [true, [true], [false, 1, 'true']],
    [null, [null], [undefined, 0, '', {}]],
    [day(1), [day(1)], [day(2), day(1).getTime(), day(1).toISOString(), new Date(NaN)]],
    [{ any: true }, [undefined, null, 1, () => 1, [], {}], []],
    [{ optional: true, in: ['a'] }, [undefined, 'a'], [null, 'b']],
    [{ in: [1, 'a', null] }, [1, 'a', null], [2, 'b', undefined, '1']],
    [{ min: 1, max: 3 }, [1, 2.5, 3], [0.99, 3.01, '2', 2n, NaN, null, undefined, [2], day(1)]],
    [{ min: 1n }, [1n, 9n], [0n, 5]],
    [{ max: 'b' }, ['a', 'b', ''], ['c', 'b0', 1]],
    [{ min: day(1), max: day(3) }, [day(1), day(2), day(3)], [day(4), day(2).getTime(), new Date(NaN)]],
    [{ prefix: 'users/' }, ['users/', 'users/7'], ['user', 'xusers/', 7, ['users/'], undefined]],
    [{ prefix: 'a', length: 3 }, ['a', 'abc'], ['abcd', 'b']],
    [{ length: 2 }, ['ab', [1, 2], new Uint8Array(2)], ['abc', [1, 2, 3], new Uint8Array(3), 2, { length: 1 }, null]],
    [{ items: { min: 0 } }, [[], [1, 2]], [[-1], ['a'], [1, undefined], { 0: 1 }, 'ab', Array(1)]],
    [
      { fields: { id: 7 } },
      [{ id: 7 }],
      [{ id: 8 }, {}, { id: 7, more: 1 }, [], null, 'id', Object.create({ id: 7 }), new Map([['id', 7]])],
    ],
    [{ fields: { id: 7 }, others: true }, [{ id: 7 }, { id: 7, more: 1 }], [{ more: 1 }]],
    [{ fields: { at: { fields: { x: { max: 1 } } } } }, [{ at: { x: 0 } }], [{ at: { x: 2 } }, { at: 0 }, { at: { x: 0, y: 0 } }]],
    [{ fields: { id: { optional: true, in: [7] } } }, [{}, { id: 7 }, { id: undefined }], [{ id: 8 }]],
    [{ either: [1, { prefix: 'a' }] }, [1, 'ab'], [2, 'b']],
  ])('%o', (pattern, good, bad) => {
    expect(read([pattern])).toEqual([pattern])
    for (const value of good) expect({ value, is: matches(pattern, value) }).toEqual({ value, is: true })
    for (const value of bad) expect({ value, is: matches(pattern, value) }).toEqual({ value, is: false })
  })

  test('one pattern for each: an argument more is refused, one less is undefined', () => {
    expect(firstMismatch([1, 2], [1, 2])).toBe(-1)
    expect(firstMismatch([1, 2], [1, 2, 3])).toBe(2)
    expect(firstMismatch([1, 2], [1])).toBe(1)
    expect(firstMismatch([1, { optional: true, in: [2] }], [1])).toBe(-1)
    expect(firstMismatch([], [])).toBe(-1)
    expect(firstMismatch([], [undefined])).toBe(0)
    // The first that is wrong is told, also where there are too many.
    expect(firstMismatch([1, 2], [1, 3, 4])).toBe(1)
  })

  test('runs no code of the caller, and takes what is no plain data for nothing that it knows', () => {
    let ran = 0
    const trap = new Proxy(() => 0, { get: () => (ran++, undefined), has: () => (ran++, true), ownKeys: () => (ran++, []) })
    for (const pattern of [1, 'a', { fields: { a: { any: true } } }, { items: 1 }, { prefix: 'a' }, { min: 1 }, { length: 1 }] as Pattern[])
      expect(matches(pattern, trap)).toBe(false)
    expect(ran).toBe(0)
  })

  test('a name that every object inherits is no field', () => {
    expect(matches({ fields: { id: 1 } }, JSON.parse('{"id":1,"__proto__":{"more":1}}'))).toBe(false)
    expect(matches({ fields: { constructor: { any: true } } } as Pattern, { constructor: 1 })).toBe(true)
    expect(matches({ fields: { toString: { optional: true, in: [1] } } } as Pattern, {})).toBe(true)
  })

  test('more work than its bound is a refusal, and takes no longer than the bound', () => {
    const many = Array.from({ length: maxMatchSteps + 10 }, () => 1)
    expect(matches({ items: 1 }, many.slice(0, 1000))).toBe(true)
    expect(matches({ items: 1 }, many)).toBe(false)
    const hostile: Pattern = { items: { either: Array.from({ length: 900 }, (_, i) => `no ${i}`) } }
    expect(
      matches(
        hostile,
        Array.from({ length: 1_000_000 }, () => 'x'),
      ),
    ).toBe(false)
    const wide = Object.fromEntries(Array.from({ length: maxMatchSteps + 10 }, (_, i) => [`k${i}`, 1]))
    expect(matches({ fields: { k0: 1 } }, wide)).toBe(false)
  })
})

/** What the grammar says, read another way: each rule is a predicate, and all hold. */
function naive(pattern: Pattern, value: unknown): boolean {
  if (typeof pattern !== 'object' || pattern === null || pattern instanceof Date) return Object.is(pattern, value) || pattern === value
  if (pattern.any) return true
  if (value === undefined) return pattern.optional ?? false
  const holds: { [Rule in keyof PatternRules]-?: () => boolean } = {
    any: () => true,
    optional: () => true,
    others: () => true,
    in: () => new Set<unknown>(pattern.in).has(value),
    min: () => typeof value === 'number' && value >= (pattern.min as number),
    max: () => typeof value === 'number' && value <= (pattern.max as number),
    prefix: () => typeof value === 'string' && value.indexOf(pattern.prefix!) === 0,
    length: () => (typeof value === 'string' || Array.isArray(value)) && value.length <= pattern.length!,
    fields: () => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
      const names = [...new Set([...Object.keys(value), ...Object.keys(pattern.fields!)])]
      return names.every((name) => {
        const rule = pattern.fields![name]
        return rule === undefined ? pattern.others === true : naive(rule, (value as Record<string, unknown>)[name])
      })
    },
    items: () => Array.isArray(value) && value.filter((it) => naive(pattern.items!, it)).length === value.length,
    either: () => pattern.either!.some((it) => naive(it, value)),
  }
  return (Object.keys(pattern) as (keyof PatternRules)[]).every((rule) => holds[rule]())
}

const word = fc.constantFrom('', 'a', 'ab', 'b')
const scalar = fc.oneof(word, fc.integer({ min: -2, max: 3 }), fc.boolean(), fc.constant(null))
const { value, pattern } = fc.letrec<{ value: unknown; pattern: Pattern }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('x', 'y', 'z'), tie('value'), { maxKeys: 3 }),
  ),
  pattern: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    scalar,
    fc.record(
      {
        in: fc.array(scalar, { minLength: 1, maxLength: 3 }),
        min: fc.integer({ min: -2, max: 3 }),
        prefix: word,
        length: fc.nat(3),
        optional: fc.constant(true as const),
      },
      { requiredKeys: ['length'] },
    ),
    fc.record({ items: tie('pattern') }),
    fc.record(
      { fields: fc.dictionary(fc.constantFrom('x', 'y', 'z'), tie('pattern')), others: fc.constant(true as const) },
      { requiredKeys: ['fields'] },
    ),
    fc.record({ either: fc.array(tie('pattern'), { minLength: 1, maxLength: 3 }) }),
  ) as fc.Arbitrary<Pattern>,
}))

test('any pattern says of any value what its rules say one by one', () => {
  fc.assert(
    fc.property(pattern, value, (it, argument) => {
      expect(matches(it, argument)).toBe(naive(it, argument))
    }),
    { numRuns: 5000 },
  )
})

test('any pattern is read as it was written', () => {
  fc.assert(
    fc.property(pattern, (it) => {
      expect(read([it])).toEqual([it])
    }),
  )
})

describe('a pattern that means nothing is refused with its place', () => {
  const invalid: [string, unknown, string][] = [
    ['no list', 'a', 'where.run'],
    ['no rule', [{}], 'where.run[0]'],
    ['only optional', [{ optional: true }], 'where.run[0]'],
    ['an unknown rule', [{ equals: 1 }], 'where.run[0].equals'],
    ['a rule that every object inherits', [{ constructor: 1 }], 'where.run[0].constructor'],
    ['code', [() => true], 'where.run[0]'],
    ['a regular expression', [/a/], 'where.run[0]'],
    ['NaN', [NaN], 'where.run[0]'],
    ['undefined', [undefined], 'where.run[0]'],
    ['a Date that is none', [new Date(NaN)], 'where.run[0]'],
    ['any: false', [{ any: false }], 'where.run[0].any'],
    ['an empty in', [{ in: [] }], 'where.run[0].in'],
    ['in of rules', [{ in: [{ any: true }] }], 'where.run[0].in[0]'],
    ['a bound of no order', [{ min: null }], 'where.run[0].min'],
    ['a prefix of a number', [{ prefix: 1 }], 'where.run[0].prefix'],
    ['a length below 0', [{ length: -1 }], 'where.run[0].length'],
    ['fields of a list', [{ fields: [1] }], 'where.run[0].fields'],
    ['others without fields', [{ others: true, any: true }], 'where.run[0].others'],
    ['a bad field', [{ fields: { a: { b: 1 } } }], 'where.run[0].fields.a.b'],
    ['an empty either', [{ either: [] }], 'where.run[0].either'],
    ['a long text', ['x'.repeat(5000)], 'where.run[0]'],
    ['__proto__ as a field', [{ fields: JSON.parse('{"__proto__":1}') as object }], 'where.run[0].fields'],
  ]
  test.each(invalid)('%s', (_, patterns, path) => {
    expect(() => read(patterns)).toThrow(
      expect.objectContaining({ code: 'INVALID_CAVEAT', data: expect.objectContaining({ path }) as object }),
    )
  })

  test('more patterns, values or levels than there may be', () => {
    expect(() => read(Array.from({ length: maxPatternNodes + 1 }, () => 1))).toThrow(/no more/)
    expect(() => read([{ in: Array.from({ length: maxPatternNodes + 1 }, () => 1) }])).toThrow(/more values/)
    let deep: Pattern = 1
    for (let i = 0; i <= maxPatternDepth; i++) deep = { items: deep }
    expect(() => read([deep])).toThrow(/deeper/)
    const circular: { items?: unknown } = {}
    circular.items = circular
    expect(() => read([circular])).toThrow(/deeper/)
  })
})
