import { describe, expect, test } from 'vitest'
import { calledOn, localName, wayTo, type Callee } from '../../src/rpc/call-names.ts'
import { notPlain } from '../../src/rpc/plain.ts'
import type { Answer, Start } from '../../src/rpc/ref.ts'

const start = (more: object = {}): Callee => ({
  answer: { link: { at: { noun: 'Shop', name: 'a' }, steps: [], ...more } as unknown as Start },
  path: [],
})
const at = (on: Callee, ...path: string[]): Callee => ({ answer: on.answer, path: [...on.path, ...path] })
/** What a call of it gave. */
const gave = (of: Callee, args: readonly unknown[] | typeof notPlain | undefined, named?: string): Callee => ({
  answer: { made: { of, args }, named } as unknown as Answer,
  path: [],
})
const cart = (...args: unknown[]) => gave(at(start(), 'cart'), args)

describe('what a call is made on', () => {
  test('is named by the calls that led to it, without their arguments', () => {
    expect(calledOn(at(start(), 'stock', 'take'))).toBe('Shop/a.stock.take')
    expect(calledOn(at(cart('mine'), 'add'))).toBe('Shop/a.cart().add')
    expect(calledOn(at(gave(at(cart(), 'box'), undefined), 'add'))).toBe('Shop/a.cart().box.add')
  })

  test('is named by the name of the call that gave it, where that has one', () => {
    expect(calledOn(at(gave(at(start(), 'cart'), [1], 'Shop/a.cart#1'), 'box', 'add'))).toBe('Shop/a.cart#1.box.add')
  })

  test('has the same name whether it is another object by its address or through whoever gave it', () => {
    const partner = gave(at(start(), 'partner'), ['b'], 'Shop/a.partner#0')
    const itself = start({ at: undefined, cameBy: partner })
    expect(calledOn(at(itself, 'add'))).toBe(calledOn(at(partner, 'add')))
    expect(wayTo(at(itself, 'add'))).toBe(wayTo(at(partner, 'add')))
  })

  test('that was narrowed or restored has a name in which nothing differs between attempts', () => {
    const restored = (token: string) => start({ steps: [['dotdo:restore', [token]]] })
    expect(calledOn(at(restored('dotdo1.secret'), 'add'))).toBe('Shop/a.restore().add')
    expect(wayTo(restored('one'))).toBe(wayTo(restored('another')))
    const narrowed = (until: number): Callee => ({ answer: { made: { of: cart(), narrow: [{ until }] } } as unknown as Answer, path: [] })
    expect(calledOn(narrowed(1))).toBe('Shop/a.cart().narrow()')
    expect(wayTo(narrowed(1))).toBe(wayTo(narrowed(2)))
  })

  test('without a beginning has a name all the same', () => {
    expect(calledOn({ answer: {} as Answer, path: ['add'] })).toBe('a result.add')
    expect(calledOn(start({ at: undefined }))).toBe('a reference')
  })
})

describe('the way to it', () => {
  test('differs with the arguments, the properties and the methods on it, and is short', () => {
    const ways = [cart(), cart(1), cart(2), cart([1]), at(cart(1), 'box'), gave(at(start(), 'carts'), [1])].map(wayTo)
    expect(new Set(ways).size).toBe(ways.length)
    expect(Math.max(...ways.map(({ length }) => length))).toBeLessThan(32)
    expect(wayTo(cart({ a: new Date(0) }))).toBe(wayTo(cart({ a: new Date(0) })))
  })

  test('takes arguments that are no data, or very many, as some', () => {
    expect(wayTo(gave(at(start(), 'cart'), notPlain))).toBe(wayTo(cart(() => 1)))
    expect(wayTo(cart('x'.repeat(100_000)))).toBe(wayTo(cart('y'.repeat(100_000))))
  })

  test('shows nothing of a token', () => {
    expect(wayTo(start({ steps: [['dotdo:restore', ['dotdo1.secret']]] }))).not.toContain('secret')
    expect(wayTo(cart('dotdo1.secret'))).not.toContain('secret')
  })
})

test('a name within a step is what stands behind the step in the key; of a key that was too long, all of it', () => {
  expect(localName(['run/step#call:Shop/a.cart#0', 0, 0])).toBe('Shop/a.cart#0')
  expect(localName(['run/long:digest', 0, 0])).toBe('run/long:digest')
})
