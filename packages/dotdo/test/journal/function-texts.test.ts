import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FunctionTexts } from '../../src/journal/function-texts.ts'

test('a function is called by its name, else by the beginning of its text on one line', () => {
  const texts = new FunctionTexts()
  const unnamed = [() => 1 + 1][0]!
  expect(texts.of(function load() {})).toBe(`'load'`)
  expect(texts.of(unnamed)).toMatch(/^`\(\) => 1 \+ ?1`$/)
  expect(texts.of({ name: 'load' })).toBe(`'load'`)
})

test('of a long text people see the beginning', () => {
  const long = [
    () => ['a function as long as they are', 'when somebody has written all of a step into it', 'and did not give it a name'].join(),
  ][0]!
  const text = new FunctionTexts().of(long)
  expect(text).toHaveLength(80 + '`…`'.length)
  expect(text).toMatch(/^`\(\) => \[ ?['"]a function as long.*…`$/)
})

test('whatever came before, a function has the text that it has alone', () => {
  // One whose name is the source of another is not that one.
  const functions = [
    () => 1,
    () => 2,
    ...[() => 1, () => 2].map((it) => Object.defineProperty(it, 'name', { value: String(it) })),
    function load() {},
  ]
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...functions)), (order) => {
      const texts = new FunctionTexts()
      for (const fn of order) expect(texts.of(fn)).toBe(new FunctionTexts().of(fn))
    }),
  )
})
