import { DotdoError } from 'dotdo/client'
import { expect, test } from 'vitest'
import { endsSession, forgetSession, openSession, storedSession, takeOneTimeToken, tokenIn, type Browser } from '../src/session.ts'

/** A browser of a test: an address, a storage, and an app that redeems one token. */
function browserAt(hash: string, redeem: Browser['redeem'] = async (token) => ({ token: `session of ${token}`, expiresAt: 2000 })) {
  const kept = new Map<string, string>()
  const state = { hash, now: 1000, kept }
  const browser: Browser = {
    storage: {
      getItem: (name) => kept.get(name) ?? null,
      setItem: (name, value) => void kept.set(name, value),
      removeItem: (name) => void kept.delete(name),
    },
    hash: () => state.hash,
    replaceHash: (next) => (state.hash = next),
    now: () => state.now,
    redeem,
  }
  return { browser, state }
}

test('a one-time token is taken out of the address before it is used', () => {
  const { browser, state } = browserAt('#token=dotdo1.abc%2Bdef.ghi')
  expect(takeOneTimeToken(browser)).toBe('dotdo1.abc+def.ghi')
  expect(state.hash).toBe('#/')
})

test('an address without a token stays as it is', () => {
  const { browser, state } = browserAt('#/Pipeline/main/runs')
  expect(takeOneTimeToken(browser)).toBeUndefined()
  expect(state.hash).toBe('#/Pipeline/main/runs')
})

test.each([
  ['#token=a.b', 'a.b'],
  ['http://127.0.0.1:8787/#token=a.b', 'a.b'],
  ['  http://127.0.0.1:8787/#token=a.b\n', 'a.b'],
  ['#token=a&x=1', 'a'],
  ['a.b', undefined],
  ['', undefined],
  ['#token=', undefined],
])('in %j the token is %j', (text, token) => expect(tokenIn(text)).toBe(token))

test('a redeemed session is kept, and found again until it expires', async () => {
  const { browser, state } = browserAt('')
  expect(storedSession(browser)).toBe('absent')
  expect(await openSession(browser, 'once')).toEqual({ token: 'session of once', expiresAt: 2000 })
  expect(storedSession(browser)).toEqual({ token: 'session of once', expiresAt: 2000 })
  state.now = 2000
  expect(storedSession(browser)).toBe('ended')
  // It is told once: afterwards there is none.
  expect(storedSession(browser)).toBe('absent')
})

test('a session that is forgotten is gone', async () => {
  const { browser } = browserAt('')
  await openSession(browser, 'once')
  forgetSession(browser)
  expect(storedSession(browser)).toBe('absent')
})

test.each(['{', 'null', '{"token":1,"expiresAt":5000}', '{"token":"x"}', '[]'])('what is stored as %s is no session', (stored) => {
  const { browser, state } = browserAt('')
  state.kept.set('dotdo.session', stored)
  expect(storedSession(browser)).toBe('absent')
})

test.each([
  ['TOKEN_USED', 'used'],
  ['TOKEN_EXPIRED', 'expired'],
  ['TOKEN_INVALID', 'invalid'],
  ['LINK_LOST', 'unreachable'],
])('a token that is refused with %s is told as %s, and nothing is kept', async (code, reason) => {
  const { browser, state } = browserAt('', async () => {
    throw new DotdoError(code, 'refused')
  })
  expect(await openSession(browser, 'once')).toBe(reason)
  expect(state.kept.size).toBe(0)
})

test('a network that fails leaves the link good for another try', async () => {
  const { browser } = browserAt('', async () => {
    throw new TypeError('Failed to fetch')
  })
  expect(await openSession(browser, 'once')).toBe('unreachable')
})

test('only errors of the token end a session', () => {
  expect(['TOKEN_INVALID', 'TOKEN_EXPIRED', 'LINK_LOST', 'RUN_UNKNOWN'].map((code) => endsSession(new DotdoError(code, '')))).toEqual([
    true,
    true,
    false,
    false,
  ])
  expect(endsSession(new Error('x'))).toBe(false)
})
