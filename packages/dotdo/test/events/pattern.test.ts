import { describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { assertEventType, assertPattern, matches } from '../../src/events/pattern.ts'

const noun = fc.stringMatching(/^[A-Z][A-Za-z0-9_]{0,63}$/)
const verb = fc.stringMatching(/^[a-z][A-Za-z0-9_]{0,63}$/).filter((it) => it !== 'then')
const side = (of: fc.Arbitrary<string>): fc.Arbitrary<string> => fc.oneof(of, fc.constant('*'))

describe('event types', () => {
  test('a noun and a verb make a type, and a type is a pattern that matches itself alone', () => {
    fc.assert(
      fc.property(noun, verb, noun, verb, (n1, v1, n2, v2) => {
        assertEventType(`${n1}.${v1}`)
        assertPattern(`${n1}.${v1}`)
        expect(matches(`${n1}.${v1}`, `${n2}.${v2}`)).toBe(n1 === n2 && v1 === v2)
      }),
    )
  })
  test('a star on either side matches whatever stands there, as the regular expression of the pattern does', () => {
    fc.assert(
      fc.property(side(noun), side(verb), noun, verb, fc.boolean(), fc.boolean(), (pn, pv, n, v, sameNoun, sameVerb) => {
        const pattern = `${pn}.${pv}`
        const type = `${sameNoun && pn !== '*' ? pn : n}.${sameVerb && pv !== '*' ? pv : v}`
        assertPattern(pattern)
        expect(matches(pattern, type)).toBe(new RegExp(`^${pattern.replace('.', '\\.').replaceAll('*', '[^.]*')}$`).test(type))
      }),
    )
  })
  test('whatever text comes in, it is accepted or refused by name, and only the two forms are accepted', () => {
    const parts = fc
      .array(fc.constantFrom('A', 'a', 'Then', 'then', '.', '*', ' ', '1', '_', 'é', '\n', '\0', '$', 'x'.repeat(70)), { maxLength: 6 })
      .map((it) => it.join(''))
    fc.assert(
      fc.property(fc.oneof(fc.string(), parts), (text) => {
        for (const [check, form] of [
          [assertEventType, /^[A-Z][A-Za-z0-9_]{0,63}\.(?!then$)[a-z][A-Za-z0-9_]{0,63}$/],
          [assertPattern, /^([A-Z][A-Za-z0-9_]{0,63}|\*)\.(?!then$)([a-z][A-Za-z0-9_]{0,63}|\*)$/],
        ] as const) {
          // `$` in JavaScript also matches nowhere but the end, so a trailing newline is refused by both.
          if (form.test(text)) check(text)
          else expect(() => check(text)).toThrow(expect.objectContaining({ code: 'INVALID_EVENT_TYPE', retryable: false }))
        }
      }),
      { numRuns: 3000 },
    )
  })
  test.each([undefined, null, 7, {}, Symbol('Order.paid'), ['Order.paid']])('%o is refused, not read as text', (value) => {
    expect(() => assertEventType(value as unknown as string)).toThrow(expect.objectContaining({ code: 'INVALID_EVENT_TYPE' }))
    expect(() => assertPattern(value as unknown as string)).toThrow(expect.objectContaining({ code: 'INVALID_EVENT_TYPE' }))
  })
  test('a message never repeats a long text', () => {
    expect(() => assertEventType('x'.repeat(1e6))).toThrow(expect.objectContaining({ message: expect.stringMatching(/^.{0,600}$/s) }))
  })
  test('a type is no place for a star, and half a star is none', () => {
    expect(() => assertEventType('*.failed')).toThrow()
    expect(() => assertPattern('Pipe*.failed')).toThrow()
    expect(() => assertPattern('*')).toThrow()
  })
})
