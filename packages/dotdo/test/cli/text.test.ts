import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cut, instant, pad, plain, timeOfDay, width, wrap } from '../../src/cli/text.ts'
import { noon } from './machine.ts'

const anyText = fc.string({ unit: 'binary' })

describe('a text of an app', () => {
  test('is one line in which nothing moves the cursor', () => {
    expect(plain('two\nlines\r\n  and\ta tab')).toBe('two lines and a tab')
    expect(plain('\u001b[2J\u001b]0;title\u0007')).toBe('\\u001b[2J\\u001b]0;title\\u0007')
    expect(plain('right to \u202eleft')).toBe('right to \\u202eleft')
    fc.assert(fc.property(anyText, (text) => !/[\p{Cc}\u202a-\u202e]/u.test(plain(text))))
  })

  test.each([
    ['abc', 3],
    ['日本', 4],
    ['e\u0301', 1],
    ['✓ ok', 4],
    ['🚀', 2],
    ['', 0],
  ])('%j takes %i columns', (text, columns) => {
    expect(width(text)).toBe(columns)
  })

  test('is cut to what there is room for, and says so', () => {
    expect([cut('abcdef', 4), cut('abcd', 4), cut('日本語', 4), cut('abc', 1), cut('abc', 0), cut('abc', Infinity)]).toEqual([
      'abc…',
      'abcd',
      '日…',
      '…',
      '',
      'abc',
    ])
    fc.assert(fc.property(anyText, fc.integer({ min: 0, max: 12 }), (text, columns) => width(cut(plain(text), columns)) <= columns))
  })

  test('is padded on either side, and never cut by it', () => {
    expect([pad('ab', 4), pad('ab', 4, true), pad('日', 4, true), pad('abcdef', 4)]).toEqual(['ab  ', '  ab', '  日', 'abcdef'])
  })

  test('is broken at spaces, and nothing of it is lost', () => {
    expect(wrap('the quick brown fox', 9)).toEqual(['the quick', 'brown fox'])
    expect(wrap('abcdefghij k', 4)).toEqual(['abcd', 'efgh', 'ij k'])
    expect(wrap('', 4)).toEqual([''])
    expect(wrap('as long as it is', Infinity)).toEqual(['as long as it is'])
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 2, max: 20 }), (text, columns) => {
        const lines = wrap(text, columns)
        expect(lines.join('').replaceAll(' ', '')).toBe(text.replaceAll(' ', ''))
        for (const line of lines) expect(width(line)).toBeLessThanOrEqual(columns)
      }),
    )
  })
})

test('an instant is told on the clock of its zone, over its change of time', () => {
  expect(instant(noon)).toBe('2026-11-23 12:00:00Z')
  expect(instant(noon, 'Europe/Zurich')).toBe('2026-11-23 13:00:00')
  expect(instant(Date.UTC(2026, 2, 29, 1), 'Europe/Zurich')).toBe('2026-03-29 03:00:00')
  expect(timeOfDay(noon + 7)).toBe('12:00:00.007')
})
