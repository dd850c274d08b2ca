import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toErrorRecord, DotdoError } from '../../src/base/errors.ts'
import { redactData, redacted, redactText } from '../../src/base/redact.ts'
import { signToken } from '../../src/rpc/tokens.ts'

const token = await signToken({ kind: 'session', expiresAt: 1 }, 'a secret of thirty-two characters')
const [, claims, signature] = token.split('.') as [string, string, string]
/** Whether anything of a token's secret parts can be read. */
const leaks = (text: string) =>
  text.includes(claims.slice(0, 8)) || text.includes(signature.slice(0, 8)) || text.includes(signature.slice(-8))

describe('a text without tokens', () => {
  test.each([
    ['a sentence', `the token ${token} was refused`],
    ['JSON', JSON.stringify({ token, other: [token] })],
    ['an address', `https://x.example/live/A/b?ticket=${token}&x=1`],
    ['its end', token],
    ['two in a row', `${token},${token}`],
    ['one cut in its signature', token.slice(0, -20)],
    ['one cut in its claims', token.slice(0, 20)],
  ])('says nothing of one in %s', (_, text) => {
    expect(leaks(redactText(text))).toBe(false)
    expect(redactText(text)).toContain(redacted)
  })

  test('keeps what stands around it', () => {
    expect(redactText(`a ${token}, b`)).toBe(`a ${redacted}, b`)
    expect(redactText('tokens begin with dotdo1. and then')).toBe('tokens begin with dotdo1. and then')
  })

  test('is the text itself where there is none', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!text.includes('dotdo1.'))
        expect(redactText(text)).toBe(text)
      }),
    )
  })
})

describe('data without tokens', () => {
  test('has none at any place, in keys either, and is not the data that was given', () => {
    const data = { a: [1, { b: token }], [`k ${token}`]: 1, plain: new Date(5) }
    const clean = redactData(data)
    expect(clean).toEqual({ a: [1, { b: redacted }], [`k ${redacted}`]: 1, plain: new Date(5) })
    expect(data.a[1]).toEqual({ b: token })
  })

  test('is the same object where there is none', () => {
    const data = { a: [1, { b: 'x' }] }
    expect(redactData(data)).toBe(data)
  })

  test('ends at its bounds: what is not looked at is not shown', () => {
    let deep: unknown = token
    for (let i = 0; i < 100; i++) deep = { deep }
    expect(leaks(JSON.stringify(redactData(deep)))).toBe(false)
    const wide = Array.from({ length: 20_000 }, (_, i) => ({ i, token }))
    expect(leaks(JSON.stringify(redactData(wide)))).toBe(false)
    const circular: Record<string, unknown> = { token }
    circular['self'] = circular
    expect(leaks(JSON.stringify(redactData(circular)))).toBe(false)
  })

  test('of any shape: no token is left wherever one stands', () => {
    const leaf = fc.oneof(fc.constant(token), fc.string(), fc.integer(), fc.constant(`x${token}y`))
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof({ maxDepth: 5 }, leaf, fc.array(tie('tree')), fc.dictionary(fc.oneof(fc.string(), fc.constant(token)), tie('tree'))),
    }))
    fc.assert(
      fc.property(tree, (data) => {
        expect(leaks(JSON.stringify(redactData(data)) ?? '')).toBe(false)
      }),
    )
  })
})

test('an error that is recorded says no token, in its message, name or data', () => {
  const record = toErrorRecord(new DotdoError('X_Y', `no ${token}`, { data: { in: [token] } }))
  expect(leaks(JSON.stringify(record))).toBe(false)
  expect(leaks(JSON.stringify(toErrorRecord(`thrown ${token}`)))).toBe(false)
  expect(leaks(JSON.stringify(toErrorRecord(Object.assign(new Error('m'), { name: token }))))).toBe(false)
})
