import { describe, expect, expectTypeOf, test } from 'vitest'
import { Handlers, type EventHandler, type OnHandle } from '../../src/events/handlers.ts'
import { createOn, type On } from '../../src/events/on.ts'

const on = (handlers = new Handlers()): On => createOn((pattern, fn, options) => handlers.declare(pattern, fn, options))
const nothing = (): void => {}

describe('this.on', () => {
  test('a noun and a verb, either of them a star, declare a handler for that pattern', () => {
    const patterns: string[] = []
    const it = createOn((pattern) => (patterns.push(pattern), { id: pattern, unsubscribe: nothing }))
    it.Pipeline!.completed!(nothing)
    it['*']!.failed!(nothing)
    it.Pipeline!['*']!(nothing)
    it['*']!['*']!(nothing)
    expect(patterns).toEqual(['Pipeline.completed', '*.failed', 'Pipeline.*', '*.*'])
  })
  test('a wrong name is refused where it is written', () => {
    for (const work of [
      () => on().pipeline,
      () => on().Pipeline!.Completed,
      () => on()['Pipe line'],
      () => on()['Pipeline.completed'],
      () => on().Pipeline!['*x'],
    ]) {
      expect(work).toThrow(expect.objectContaining({ code: 'INVALID_EVENT_TYPE' }))
    }
  })
  test('it is no promise and no iterable, so awaiting, printing or copying it does no harm', async () => {
    const it = on()
    expect(await Promise.resolve(it)).toBe(it)
    expect(await Promise.resolve(it.Pipeline)).toBeTypeOf('object')
    expect(Object.keys(it)).toEqual([])
    expect(() => String(Object.prototype.toString.call(it))).not.toThrow()
  })
  test('nothing can be set on it: an assignment is a mistake for a call', () => {
    expect(() => {
      ;(on() as unknown as Record<string, unknown>).Pipeline = nothing
    }).toThrow(TypeError)
    expect(() => {
      ;(on().Pipeline as unknown as Record<string, unknown>).completed = nothing
    }).toThrow(TypeError)
  })
  test('a noun or verb can be held and used again', () => {
    const handlers = new Handlers()
    const { Order } = on(handlers)
    const { paid } = Order!
    paid!(function notify() {})
    paid!(function refund() {})
    expect(handlers.idsFor('Order.paid')).toEqual(['Order.paid#notify', 'Order.paid#refund'])
  })
  test('the payload has the type that the handler says; left out, it is unknown', () => {
    const { paid } = on().Order!
    paid!(async (payload: { total: number }, event) => {
      expectTypeOf(event.payload).toEqualTypeOf<{ total: number }>()
      return payload.total
    })
    paid!((payload) => expectTypeOf(payload).toBeUnknown())
    expectTypeOf(paid!(nothing)).toEqualTypeOf<OnHandle>()
    // @ts-expect-error a handler is a function
    expect(() => paid!('notify')).toThrow(expect.objectContaining({ code: 'INVALID_HANDLER' }))
  })
})

describe('ids of handlers', () => {
  const declare = (handlers: Handlers): string[] => {
    const named = (): void => {}
    return [
      handlers.declare('Order.paid', named),
      handlers.declare('Order.paid', () => 1),
      handlers.declare('Order.paid', () => 2),
      handlers.declare('Order.paid', named),
      handlers.declare('*.failed', () => 1),
      handlers.declare('Order.*', named.bind(null)),
      handlers.declare('Order.paid', () => 1, { id: 'mail/finance-1' }),
    ].map((handle) => handle.id)
  }
  test('they are the pattern with the name or ordinal, or what was given, and the same in every incarnation', () => {
    const ids = ['Order.paid#named', 'Order.paid#1', 'Order.paid#2', 'Order.paid#named#2', '*.failed#1', 'Order.*#1', 'mail/finance-1']
    expect(declare(new Handlers())).toEqual(ids)
    expect(declare(new Handlers())).toEqual(ids)
  })
  test('one that was unsubscribed frees a given id, but its default id is not handed on', () => {
    const handlers = new Handlers()
    const first = handlers.declare('Order.paid', nothing, { id: 'sink' })
    expect(() => handlers.declare('Order.failed', nothing, { id: 'sink' })).toThrow(
      expect.objectContaining({ code: 'HANDLER_ID_TAKEN', data: { id: 'sink', patterns: ['Order.paid', 'Order.failed'] } }),
    )
    first.unsubscribe()
    const second = handlers.declare('Order.failed', nothing, { id: 'sink' })
    first.unsubscribe()
    expect(handlers.idsFor('Order.failed')).toEqual(['sink'])
    expect(handlers.idsFor('Order.paid')).toEqual([])
    second.unsubscribe()
    handlers.declare('A.b', () => 1).unsubscribe()
    expect(handlers.declare('A.b', () => 1).id).toBe('A.b#2')
  })
  test('two that share a name never share an id, whatever the names look like', () => {
    const handlers = new Handlers()
    const ids = new Set<string>()
    const names = ['', '1', '2', 'a', '$', 'a$', 'bound a', 'x'.repeat(80), 'é']
    for (let i = 0; i < 60; i++) {
      const fn = Object.defineProperty(() => i, 'name', { value: names[i % names.length] })
      ids.add(handlers.declare(i % 2 ? 'A.b' : 'A.*', fn).id)
    }
    expect(ids.size).toBe(60)
    expect(handlers.ids()).toHaveLength(60)
  })
  test.each(['', 'a b', 'a#1', 'ü', 'x'.repeat(129), 7])('%j cannot be an id', (id) => {
    expect(() => new Handlers().declare('A.b', nothing, { id: id as string })).toThrow(expect.objectContaining({ code: 'INVALID_HANDLER' }))
  })
  test.each([undefined, null, {}, 'fn'])('%j is no handler', (fn) => {
    expect(() => new Handlers().declare('A.b', fn as unknown as EventHandler)).toThrow(expect.objectContaining({ code: 'INVALID_HANDLER' }))
  })
})
