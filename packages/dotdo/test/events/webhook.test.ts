import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { isSink } from '../../src/events/sinks.ts'
import { readSecret, signedRequest } from '../../src/events/webhook.ts'

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

describe('a signed request', () => {
  test('has the signature that the specification computes', () => {
    // The body is whatever it is; the vector that the specification publishes has another form, so the rule is written out here a second time.
    const event = { id: 'evt_1', type: 'Order.paid', payload: { n: 1, text: 'größe' }, sentAt: 1_700_000_000_000, source: 'Orders/eu' }
    const key = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64')
    const { headers, body } = signedRequest(event, 1_700_000_123_999, (text) =>
      createHmac('sha256', readSecret(secret, 'HOOK')).update(text).digest(),
    )
    expect(JSON.parse(body)).toEqual({ type: 'Order.paid', timestamp: '2023-11-14T22:13:20.000Z', data: { n: 1, text: 'größe' } })
    expect(headers).toEqual({
      'content-type': 'application/json',
      'webhook-id': 'evt_1',
      'webhook-timestamp': '1700000123',
      'webhook-signature': `v1,${createHmac('sha256', key).update(`evt_1.1700000123.${body}`).digest('base64')}`,
    })
  })

  test('of the published vector is the published signature', () => {
    // https://github.com/standard-webhooks/standard-webhooks, the libraries' own test: id, timestamp and body as they stand there.
    const mac = createHmac('sha256', readSecret(secret, 'HOOK'))
    const signed = mac.update('msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}').digest('base64')
    expect(signed).toBe('g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
  })

  test.each([1, 2, 3, 24, 31, 32, 33])('a signature of %i bytes is base 64 as everybody writes it', (length) => {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 37) % 256)
    const event = { id: 'e', type: 'A.b', payload: null, sentAt: 0, source: 'A/b' }
    expect(signedRequest(event, 0, () => bytes).headers['webhook-signature']).toBe(`v1,${Buffer.from(bytes).toString('base64')}`)
  })

  test.each([
    1n,
    new Map([['a', 1]]),
    { at: new Date(NaN) },
    { tags: new Set(['a']) },
    [new Uint8Array(3)],
    { buffer: new ArrayBuffer(2) },
    /a/,
    { failed: new Error('lost') },
    { price: Number.NaN },
    -Infinity,
  ])('of %o is refused: JSON cannot hold it, or would make it into something else', (payload) => {
    const event = { id: 'e', type: 'A.b', payload, sentAt: 0, source: 'A/b' }
    expect(() => signedRequest(event, 0, () => new Uint8Array(32))).toThrow(
      expect.objectContaining({ code: 'NOT_STORABLE', data: { type: 'A.b', eventId: 'e' } }),
    )
  })

  test('has instants as their texts, and leaves out what is undefined', () => {
    const event = { id: 'e', type: 'A.b', payload: { at: new Date(0), none: undefined, list: [1.5, null, true] }, sentAt: 0, source: 'A/b' }
    expect(JSON.parse(signedRequest(event, 0, () => new Uint8Array(32)).body)).toMatchObject({
      data: { at: '1970-01-01T00:00:00.000Z', list: [1.5, null, true] },
    })
  })
})

describe('the secret of a webhook', () => {
  test.each([24, 25, 26, 32, 64])('of %i bytes is read with and without its prefix', (length) => {
    const bytes = Uint8Array.from({ length }, (_, i) => 255 - i)
    const text = Buffer.from(bytes).toString('base64')
    expect([...readSecret(text, 'HOOK')]).toEqual([...bytes])
    expect([...readSecret(`whsec_${text}`, 'HOOK')]).toEqual([...bytes])
  })

  test.each([
    undefined,
    '',
    'short',
    'whsec_',
    Buffer.alloc(23).toString('base64'),
    Buffer.alloc(65).toString('base64'),
    'not base 64 at all, but long enough',
  ])('%s is none, and is not repeated', (text) => {
    expect(() => readSecret(text, 'HOOK')).toThrow(
      expect.objectContaining({ code: 'SECRET_INVALID', message: expect.stringContaining('HOOK') }),
    )
  })
})

describe('a sink', () => {
  test.each([
    { queue: 'ORDERS' },
    { webhook: 'https://example.com/x', secret: 'HOOK' },
    { webhook: 'http://localhost:8080/x', secret: 'HOOK', timeout: '5s' },
    { table: { write: async () => undefined } },
  ])('%o is one', (sink) => {
    expect(isSink(sink, 'A.b')).toBe(true)
  })

  test.each([[() => 0], [null], ['ORDERS'], [{}]])('%o is none', (given) => {
    expect(isSink(given, 'A.b')).toBe(false)
  })

  test.each([
    [{ queue: 'ORDERS', retry: 1 }, 'retry'],
    [{ queue: 1 }, 'queue'],
    [{ webhook: 'http://example.com/x', secret: 'HOOK' }, 'https'],
    [{ webhook: 'nonsense', secret: 'HOOK' }, 'https'],
    [{ webhook: 'https://example.com/x' }, 'secret'],
    [{ table: {} }, 'IcebergWriter'],
    [{ table: { write() {} }, row: 1 }, 'row'],
  ])('%o is refused by what is wrong in it', (given, word) => {
    expect(() => isSink(given, 'A.b')).toThrow(expect.objectContaining({ code: 'INVALID_HANDLER', message: expect.stringContaining(word) }))
  })
})
