import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { requireSecret, signToken, verifyToken, type Claims } from '../../src/rpc/tokens.ts'

const secret = 'a secret of thirty-two characters'
const now = Date.UTC(2026, 0, 1)
const session: Claims = { kind: 'session', expiresAt: now + 60_000 }
const verify = (token: unknown, kind: Claims['kind'] = 'session', at = now, by: string | undefined = secret) =>
  verifyToken(token, kind, by, at)

describe('a token', () => {
  test('is read back as it was signed', async () => {
    const claims: Claims = { kind: 'watch', object: 'Pipeline/main', expiresAt: now + 1 }
    expect(await verify(await signToken(claims, secret), 'watch')).toEqual(claims)
  })

  test('has the form that is documented, and fits into an address', async () => {
    expect(await signToken(session, secret)).toMatch(/^dotdo1\.[\w-]+\.[\w-]{43}$/)
  })

  test('says nothing of the secret', async () => {
    const [, claims] = (await signToken(session, secret)).split('.')
    expect(JSON.parse(Buffer.from(claims!, 'base64url').toString())).toEqual(session)
  })

  test('expires at its instant, not before', async () => {
    const token = await signToken(session, secret)
    await expect(verify(token, 'session', session.expiresAt - 1)).resolves.toBeTruthy()
    await expect(verify(token, 'session', session.expiresAt)).rejects.toMatchObject({
      code: 'TOKEN_EXPIRED',
      data: { expiredAt: session.expiresAt },
      message: expect.stringContaining('npm start'),
    })
  })

  test.each(['once', 'watch'] as const)('of a session does not serve as a %s token', async (kind) => {
    await expect(verify(await signToken(session, secret), kind)).rejects.toMatchObject({
      code: 'TOKEN_INVALID',
      message: expect.stringContaining(kind),
    })
  })

  test('of another app is refused', async () => {
    await expect(verify(await signToken(session, 'another secret of thirty-two char'))).rejects.toMatchObject({
      code: 'TOKEN_INVALID',
      data: { reason: expect.stringContaining('signature') },
    })
  })

  test.each([
    undefined,
    null,
    7,
    '',
    'dotdo1',
    'dotdo1.e30',
    'dotdo1.e30.',
    'dotdo2.e30.AAAA',
    'dotdo1.e30.!!!!',
    'x'.repeat(10_000),
    {},
    ['dotdo1.e30.AAAA'],
  ])('%j is refused with what to do', async (token) => {
    await expect(verify(token)).rejects.toMatchObject({ code: 'TOKEN_INVALID', message: expect.stringMatching(/Open|sign/) })
  })

  test('with any one character changed is refused', async () => {
    const token = await signToken(session, secret)
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 1), fc.constantFrom(...'abcXYZ019_-.'.split('')), async (at, character) => {
        fc.pre(token[at] !== character)
        const changed = token.slice(0, at) + character + token.slice(at + 1)
        await expect(verify(changed)).rejects.toMatchObject({ code: 'TOKEN_INVALID' })
      }),
      { numRuns: 200 },
    )
  })

  test.each([undefined, '', 'short'])('cannot be signed or checked with %j as the secret', async (bad) => {
    // Who signs is mostly a script, and may have been started without the file that the secret stands in.
    await expect(signToken(session, bad)).rejects.toMatchObject({
      code: 'SECRET_MISSING',
      message: expect.stringMatching(/DOTDO_SECRET.*--env-file/) as string,
    })
    await expect(verifyToken('dotdo1.e30.AAAA', 'session', bad, now)).rejects.toMatchObject({ code: 'SECRET_MISSING' })
    // A capability's may be missing in another Worker than the one that reads of it.
    expect(() => requireSecret(bad, 'Stage/a')).toThrow(
      expect.objectContaining({ data: { object: 'Stage/a' }, message: expect.stringContaining('The Worker that has Stage/a') as string }),
    )
  })

  test('that says no end, or is to be used once and has no id, is refused', async () => {
    const endless = await signToken({ kind: 'session' } as Claims, secret)
    await expect(verify(endless)).rejects.toMatchObject({ code: 'TOKEN_INVALID', message: expect.stringContaining('expires') })
    const nameless = await signToken({ kind: 'once', expiresAt: now + 1 }, secret)
    await expect(verify(nameless, 'once')).rejects.toMatchObject({ code: 'TOKEN_INVALID', message: expect.stringContaining('id') })
  })

  test('does not appear in the error that refuses it', async () => {
    const token = await signToken(session, 'another secret of thirty-two char')
    const error = await verify(token).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(JSON.stringify({ ...(error as object), message: (error as Error).message })).not.toContain(token.split('.')[2])
  })
})

test.each([{ kind: 'sesion', expiresAt: 1 }, { expiresAt: 1 }, undefined])(
  'claims of a kind that there is not are not signed: %o',
  async (claims) => {
    await expect(signToken(claims as never, secret)).rejects.toMatchObject({ code: 'INVALID_OPTIONS' })
  },
)
