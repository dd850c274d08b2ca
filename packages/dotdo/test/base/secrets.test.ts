import { Buffer } from 'node:buffer'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeValue, encodeValue } from '../../src/base/codec.ts'
import { DotdoError, toErrorRecord } from '../../src/base/errors.ts'
import { redactData, redactText } from '../../src/base/redact.ts'
import { refuseSecrets, Secret, secret } from '../../src/base/secrets.ts'
import { mostSecrets } from '../../src/base/secret-texts.ts'
import { errorForWire } from '../../src/rpc/errors.ts'

const value = 'k<"ey>/ö+ 7f3a91c2'
const key = secret('API_KEY', value)
const shown = '[secret API_KEY]'

describe('a secret', () => {
  test.each<[string, (it: Secret) => string]>([
    ['a template', (it) => `${it as unknown as string}`],
    ['String()', String],
    ['a sum of texts', (it) => 'a ' + (it as unknown as string)],
    ['JSON', (it) => JSON.stringify({ it })],
    ['inspect', (it) => inspect({ it }, { depth: 9 })],
    ['a list as text', (it) => [it, it].join()],
  ])('is its name in %s', (_, show) => {
    expect(show(key)).toContain(shown)
    expect(show(key)).not.toContain('7f3a')
  })

  test('is refused by a structured clone, and by the codec of stored values, with its place', () => {
    expect(() => structuredClone(key)).toThrow(/could not be cloned/)
    expect(() => structuredClone({ deep: [key] })).toThrow(/could not be cloned/)
    expect(() => encodeValue({ deep: [key] }, 'The result')).toThrow(
      expect.objectContaining({
        code: 'NOT_STORABLE',
        message: expect.stringContaining(`(at .deep[0]) cannot be stored: it holds ${shown}`),
      }),
    )
  })

  test('gives its text to whoever asks, and makes others that are as secret', () => {
    expect(key.reveal()).toBe(value)
    const bearer = key.derive((text) => `Bearer ${text.toUpperCase()}`)
    expect([bearer.reveal(), String(bearer)]).toEqual([`Bearer ${value.toUpperCase()}`, shown])
    expect(redactText(`sent ${bearer.reveal()}`)).toBe(`sent ${shown}`)
    expect(secret('OTHER', key)).toBe(key)
  })

  test.each<[string, string, unknown]>([
    ['a name that is none', 'API KEY', value],
    ['no name', '', value],
    ['a value that is too short to be found', 'K', '1234567'],
    ['one that is too long', 'K', 'x'.repeat(20_000)],
    ['one that the environment has not', 'K', undefined],
  ])('cannot be made of %s', (_, name, it) => {
    expect(() => secret(name, it)).toThrow(expect.objectContaining({ code: 'INVALID_SECRET', retryable: false }))
  })
})

/** Whatever a text is written down in, nothing of the secret may be read from it again. */
const forms: [string, (text: string) => string][] = [
  ['as it is', (text) => text],
  ['in JSON', (text) => JSON.stringify({ text })],
  ['in JSON in JSON', (text) => JSON.stringify(JSON.stringify(text).slice(1, -1).replaceAll('\\', ''))],
  ['in an address', (text) => `https://x.example/?q=${encodeURIComponent(text)}`],
  ['in base64', (text) => Buffer.from(text).toString('base64')],
  ['in base64 behind something', (text) => Buffer.from(`user:${text}`).toString('base64')],
  ['in base64 between something', (text) => Buffer.from(`users:${text}:x`).toString('base64url')],
]

describe('the text of a secret', () => {
  test.each(forms.filter(([name]) => name !== 'in JSON in JSON'))('is shown by its name %s', (_, write) => {
    const clean = redactText(`before ${write(value)} behind`)
    expect(clean).toContain(shown)
    expect(clean).not.toContain(write(value))
    expect([clean.startsWith('before '), clean.endsWith(' behind')]).toEqual([true, true])
  })

  test('is found whatever it is and whatever stands around it', () => {
    let n = 0
    fc.assert(
      fc.property(fc.string({ minLength: 8, maxLength: 40, unit: 'grapheme' }), fc.string(), fc.string(), (text, before, behind) => {
        fc.pre(n++ < 40)
        secret('DRAWN', text)
        expect(redactText(before + text + behind)).not.toContain(text)
        expect(() => refuseSecrets('It', JSON.stringify([before, text]))).toThrow(expect.objectContaining({ code: 'NOT_STORABLE' }))
      }),
      { numRuns: 40 },
    )
  })

  test('stands in no error that is stored, shown or sent', () => {
    const thrown = new DotdoError(`CODE_${value}`, `GET ?key=${value}`, { data: { [value]: [value, key], plain: 1 } })
    const record = toErrorRecord(thrown)
    expect(JSON.stringify(record)).not.toContain('7f3a')
    expect(record.data).toEqual({ [shown]: [shown, shown], plain: 1 })
    expect(JSON.stringify(redactData({ at: value }))).not.toContain('7f3a')
    expect(JSON.stringify(Object.entries(errorForWire(Object.assign(new Error(value), { url: value }))))).not.toContain('7f3a')
    expect(toErrorRecord(value).message).toBe(shown)
  })

  test('is refused where it would be stored, in every form, and the secret is named', () => {
    for (const it of [
      { a: value },
      [new Map([['a', value]])],
      new TextEncoder().encode(`x${value}`),
      { [value]: 1 },
      new Error(value).message,
    ]) {
      expect(() => encodeValue(it, 'The result of step a')).toThrow(
        expect.objectContaining({ code: 'NOT_STORABLE', retryable: false, data: { what: 'The result of step a', secret: shown } }),
      )
    }
    // An error is told without it, and so can be stored.
    expect((decodeValue(encodeValue(new Error(`no ${value}`))) as Error).message).toBe(`no ${shown}`)
  })

  test('is looked for among no more than so many, and one more is refused aloud', () => {
    expect(() => {
      for (let i = 0; i <= mostSecrets; i++) secret(`N${i}`, `number ${i} of them`)
    }).toThrow(expect.objectContaining({ code: 'TOO_MANY_SECRETS', data: expect.objectContaining({ limit: mostSecrets }) as object }))
    // One that is known already costs no place.
    expect(secret('API_KEY', value).reveal()).toBe(value)
  })
})
